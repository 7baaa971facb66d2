// SPDX-License-Identifier: Apache-2.0

package address

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"golang.org/x/sys/unix"
)

// openMapped opens the file of a mapping. map_files of proc(5) has it whatever became of
// its name, but only for the privileged. Others get it by a name that still leads to it:
// the kernel prints names as our own root has them, and as that of the process has them
// where its mounts are not ours.
func openMapped(pid int, m procmaps.Mapping) (*os.File, error) {
	proc := "/proc/" + strconv.Itoa(pid)
	file, err := openRegular(fmt.Sprintf("%s/map_files/%x-%x", proc, m.Start, m.End), func(*unix.Stat_t) bool { return true })
	if err == nil {
		return file, nil
	}
	same := func(s *unix.Stat_t) bool { return s.Ino == m.Inode && sameDevice(s.Dev, m.Dev) }
	paths := []string{proc + "/exe"}
	if strings.HasPrefix(m.Path, "/") {
		for _, path := range []string{m.Path, strings.ReplaceAll(m.Path, `\012`, "\n")} {
			paths = append(paths, proc+"/root"+path, path)
		}
	}
	for _, path := range paths {
		file, pathErr := openRegular(path, same)
		if pathErr == nil {
			return file, nil
		}
		if path == m.Path {
			err = fmt.Errorf("%w; %w", err, pathErr)
		}
	}
	return nil, err
}

// sameDevice compares the device of stat(2) with that of a mapping. They differ for a
// file of overlayfs or btrfs, of which one at least is a device of no hardware.
func sameDevice(stat uint64, mapped procmaps.Dev) bool {
	major, minor := unix.Major(stat), unix.Minor(stat)
	return major == 0 || mapped.Major == 0 || mapped == procmaps.Dev{Major: major, Minor: minor}
}

// openRegular opens a regular file that is the wanted one. Nothing else is opened to
// read: that of a device can do anything, and that of a pipe or a leased file can wait.
func openRegular(path string, wanted func(*unix.Stat_t) bool) (*os.File, error) {
	failed := func(err error) (*os.File, error) {
		return nil, &os.PathError{Op: "open", Path: procmaps.Printable(path), Err: err}
	}
	place, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return failed(err)
	}
	defer unix.Close(place)
	var status unix.Stat_t
	if err := unix.Fstat(place, &status); err != nil {
		return failed(err)
	}
	if status.Mode&unix.S_IFMT != unix.S_IFREG || !wanted(&status) {
		return failed(unix.ESTALE)
	}
	fd, err := unix.Open("/proc/self/fd/"+strconv.Itoa(place), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return failed(err)
	}
	if err := unix.SetNonblock(fd, false); err != nil { // else it would need a poller
		unix.Close(fd)
		return failed(err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

// debugDirectory is that of the separate debug files of a system. Tests have their own.
var debugDirectory = "/usr/lib/debug"

// openDebug opens the separate debug file of a build id, where gdb looks for it too: in
// the file system of the process, and in our own. A file of that name may be of another
// build, so its own build id decides.
func openDebug(pid int, buildID string) (*os.File, error) {
	if len(buildID) < 4 {
		return nil, unix.ENOENT
	}
	path := debugDirectory + "/.build-id/" + buildID[:2] + "/" + buildID[2:] + ".debug"
	var err error
	for _, root := range []string{"/proc/" + strconv.Itoa(pid) + "/root", ""} {
		var file *os.File
		file, err = openRegular(root+path, func(*unix.Stat_t) bool { return true })
		if err != nil {
			continue
		}
		if sectionBuildID(file) == buildID {
			return file, nil
		}
		file.Close()
		err = fmt.Errorf("%s has another build id", root+path)
	}
	return nil, err
}
