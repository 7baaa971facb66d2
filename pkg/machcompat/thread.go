package machcompat

import (
	"errors"
	"io"
	"os"
	"strconv"

	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
	"golang.org/x/sys/unix"
)

// A process lives on when its first thread ends before the others. The kernel
// then finds no memory by the process's number: not in /proc/PID, and not for
// process_vm_writev. It does by the number of a thread that lives.

// throughThread opens a file of /proc/PID, and if the first thread has ended,
// that of another thread. A thread that is listed before and after is the same
// one: its number was not given to another process meanwhile.
func throughThread[T io.Closer](pid int, open func(id int) (T, error)) (T, error) {
	file, err := open(pid)
	if !errors.Is(err, unix.ESRCH) {
		return file, err
	}
	directory := "/proc/" + strconv.Itoa(pid) + "/task/"
	entries, _ := os.ReadDir(directory)
	for _, entry := range entries {
		tid, convErr := strconv.Atoi(entry.Name())
		if convErr != nil || tid == pid {
			continue
		}
		other, openErr := open(tid)
		if openErr != nil {
			continue // it has ended too
		}
		if _, statErr := os.Stat(directory + entry.Name()); statErr == nil {
			return other, nil
		}
		other.Close()
	}
	return file, err
}

func openMaps(pid int, source procmaps.Source) (*procmaps.Maps, error) {
	return throughThread(pid, func(id int) (*procmaps.Maps, error) {
		return procmaps.Open(id, procmaps.WithSource(source))
	})
}

func openMemory(pid int) (*pwrite.ProcMem, error) {
	return throughThread(pid, func(id int) (*pwrite.ProcMem, error) {
		file, err := pwrite.OpenProcMem(id)
		if err != nil {
			return nil, err
		}
		// Some kernels open the file of a thread that has ended, with no memory
		// behind it.
		var b [1]byte
		if _, err := file.Read([]pwrite.Segment{{Address: 0, Data: b[:]}}); errors.Is(err, pwrite.ErrGone) {
			file.Close()
			return nil, err
		}
		return file, nil
	})
}

// missesThread reports whether process_vm_writev did not find the task because
// its first thread has ended, while the task lives.
func (t *Task) missesThread(err error) bool {
	return errors.Is(err, pwrite.ErrNotFound) && t.maps.Alive() == nil
}
