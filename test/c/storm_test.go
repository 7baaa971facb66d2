package c

import (
	"bufio"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/linux"
	"github.com/vmwrite/vmwrite/internal/testtarget"
	"golang.org/x/sys/unix"
)

// The name is that of the same flag of test/adversarial.
var stormSeconds = flag.Int("adversarial.seconds", 2, "how long each storm lasts")

const stormPages = 64

// A storm is test/adversarial/testdata/storm.c at work.
type storm struct {
	kind  string
	pid   int
	base  string
	files []*os.File // its control page and its range
	stdin io.Closer
	lines *bufio.Scanner
}

func startStorm(t *testing.T, kind string) *storm {
	t.Helper()
	needTracing(t)
	s := &storm{kind: kind}
	for _, pages := range []int{1, stormPages} {
		fd, err := unix.MemfdCreate("storm", unix.MFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		file := os.NewFile(uintptr(fd), "storm")
		t.Cleanup(func() { file.Close() })
		if err := file.Truncate(int64(pages * os.Getpagesize())); err != nil {
			t.Fatal(err)
		}
		s.files = append(s.files, file)
	}
	cmd := exec.Command(testtarget.BuildC(t, "../adversarial/testdata/storm.c"), kind, "4")
	cmd.ExtraFiles, cmd.Stderr = s.files, os.Stderr
	stdin, stdout := testtarget.StartPiped(t, cmd)
	t.Cleanup(func() {
		stdin.Close()
		cmd.Process.Kill()
		cmd.Wait()
	})
	s.pid, s.stdin, s.lines = cmd.Process.Pid, stdin, bufio.NewScanner(stdout)
	s.base = s.line()
	return s
}

func (s *storm) line() string {
	s.lines.Scan()
	return s.lines.Text()
}

// write lets the writers write, and returns what they say.
func (s *storm) write(t *testing.T, program, how string, seconds int) (string, error) {
	t.Helper()
	cmd := exec.Command(program, fmt.Sprint(s.pid), s.base, s.kind, fmt.Sprint(seconds), how)
	cmd.ExtraFiles = s.files
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// end ends the storm, which must have found nothing amiss. It returns in how many
// epochs that forbid it a byte arrived.
func (s *storm) end(t *testing.T) (faults uint64) {
	t.Helper()
	s.stdin.Close()
	if line := s.line(); line != "ok" {
		t.Errorf("the storm says %q; want ok", line)
	}
	var word [8]byte
	if _, err := s.files[0].ReadAt(word[:], stormPages*8); err != nil { // struct control
		t.Fatal(err)
	}
	return binary.NativeEndian.Uint64(word[:])
}

// Every code that the library returns in a storm is compared with what arrived.
func TestWritersInCInAStorm(t *testing.T) {
	program := compile(t, c99, "testdata/programs/storm_writer.c")
	for _, kind := range []string{"shared", "private"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := startStorm(t, kind)
			out, err := s.write(t, program, "library", *stormSeconds)
			t.Log(out)
			if err != nil {
				t.Error(err)
			}
			// Nothing is stopped: the kernel may write a page that was protected
			// after it had looked (see test/adversarial/README.md).
			t.Logf("in %d epochs a byte arrived", s.end(t))
		})
	}
}

// The comparison finds a write without the check, and a lost byte.
func TestTheWritersInCFindFaults(t *testing.T) {
	program := compile(t, c99, "testdata/programs/storm_writer.c")
	for _, c := range []struct{ how, want string }{
		{"mem", "could not be written throughout"},
		{"short", "are not what was reported"},
	} {
		t.Run(c.how, func(t *testing.T) {
			if c.how == "mem" {
				needForce(t)
			}
			const bound = 30 // the first fault comes within a second
			s := startStorm(t, "private")
			out, err := s.write(t, program, c.how, bound)
			if err == nil || !strings.Contains(out, c.want) {
				t.Errorf("%v: %s; want %q", err, out, c.want)
			}
			if faults := s.end(t); c.how == "mem" && faults == 0 {
				t.Error("the storm itself found no fault")
			}
		})
	}
}

// needForce skips the test on kernels that keep /proc/PID/mem to the protection.
func needForce(t *testing.T) {
	t.Helper()
	page, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(page)
	memory, err := os.OpenFile("/proc/self/mem", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	if _, err := memory.WriteAt([]byte{1}, int64(linux.AddressOf(page))); err != nil {
		testtarget.Skip(t, "kernel", "proc_mem.force_override keeps /proc/PID/mem to the protection")
	}
}
