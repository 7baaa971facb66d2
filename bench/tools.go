// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// tools are the programs that a run uses.
type tools struct {
	directory string
	vmwrite   string
	cc        string
	peers     map[string]string // by name; the path of the program
	missing   []string          // one sentence for each peer that is left out
}

// program returns the path of a program that was built from peers.
func (t *tools) program(name string) string { return filepath.Join(t.directory, name) }

// cPrograms are the C programs: their files, and further flags. The target is
// static where that is possible, because it then has the fewest mappings.
var cPrograms = []struct {
	name    string
	sources []string
	flags   []string
	spare   bool // left out where it can't be built
}{
	{name: "target", sources: []string{"target.c"}},
	{name: "target", sources: []string{"target.c"}, flags: []string{"-static"}, spare: true},
	{name: "raw", sources: []string{"raw.c", "stop.c"}},
	{name: "machine", sources: []string{"machine.c"}},
	{name: "run", sources: []string{"run.c"}},
	{name: "once", sources: []string{"once.c"}},
	{name: "once-static", sources: []string{"once.c"}, flags: []string{"-static"}, spare: true},
}

// prepare builds the programs and finds the peers, which it installs where the
// system has apt-get and install is set.
func (b *bench) prepare(install bool) error {
	t := &b.tools
	t.directory, t.peers = b.directory, map[string]string{}
	if install {
		installMissing(b)
	}
	var err error
	if t.cc, err = exec.LookPath("cc"); err != nil {
		return fmt.Errorf("a C compiler builds what the library is compared with: %w", err)
	}
	for _, p := range cPrograms {
		if err := t.compile(p.name, p.sources, p.flags); err != nil && !p.spare {
			return err
		}
	}
	t.vmwrite = t.program("vmwrite")
	if err := build(t.vmwrite, "..", "./cmd/vmwrite"); err != nil {
		return err
	}
	for _, name := range []string{"empty", "empty-procfs", "empty-cobra"} {
		if err := build(t.program(name), ".", "./peers/"+name); err != nil {
			return err
		}
	}
	t.findPeers()
	return nil
}

// build builds a Go program of a module as "make build" does.
func build(path, module, source string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=auto", "-o", path, source)
	cmd.Dir, cmd.Env = module, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", source, err, out)
	}
	return nil
}

func (t *tools) compile(name string, sources, flags []string) error {
	arguments := append([]string{"-O2", "-Wall", "-Wextra", "-Werror", "-pthread"}, flags...)
	arguments = append(arguments, "-o", t.program(name))
	for _, source := range sources {
		arguments = append(arguments, filepath.Join("peers", source))
	}
	if out, err := exec.Command(t.cc, arguments...).CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", name, err, out)
	}
	return nil
}

// packages are the Debian packages of the peers.
var packages = map[string]string{
	"cc": "gcc libc6-dev", "dd": "coreutils", "gdb": "gdb", "python3": "python3", "scanmem": "scanmem", "strace": "strace",
}

// installMissing tries once; what is missing then is left out by findPeers.
func installMissing(b *bench) {
	var wanted []string
	for name, list := range packages {
		if _, err := exec.LookPath(name); err != nil {
			wanted = append(wanted, strings.Fields(list)...)
		}
	}
	aptGet, err := exec.LookPath("apt-get")
	if len(wanted) == 0 || err != nil || os.Geteuid() != 0 {
		return
	}
	fmt.Fprintf(b.log, "installing %s\n", strings.Join(wanted, " "))
	cmd := exec.Command(aptGet, append([]string{"install", "-y", "--no-install-recommends"}, wanted...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(b.log, "apt-get: %v\n%s", err, out)
	}
}

func (t *tools) findPeers() {
	for _, name := range []string{"dd", "gdb", "scanmem", "python3", "strace"} {
		path, err := exec.LookPath(name)
		if err == nil && name == "python3" {
			path, err = realPython(path)
		}
		if err != nil {
			t.missing = append(t.missing, fmt.Sprintf("%s is missing, and what needs it is left out: %v", name, err))
			continue
		}
		t.peers[name] = path
	}
}

// realPython finds the interpreter behind a wrapper that chooses one, which
// would be measured too.
func realPython(path string) (string, error) {
	out, err := exec.Command(path, "-c", "import ctypes, sys; print(sys.executable)").Output()
	if err != nil {
		return "", fmt.Errorf("no ctypes: %w", err)
	}
	if path := strings.TrimSpace(string(out)); path != "" {
		return path, nil
	}
	return "", errors.New("it does not name its interpreter")
}

// has reports whether a peer was found.
func (t *tools) has(name string) bool { return t.peers[name] != "" }
