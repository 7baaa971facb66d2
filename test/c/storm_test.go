// SPDX-License-Identifier: Apache-2.0

package c

import (
	"encoding/binary"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"golang.org/x/sys/unix"
)

const stormPages = 64

// A storm is test/adversarial/testdata/storm.c at work.
type storm struct {
	*testtarget.Process
	kind  string
	base  string
	files []*os.File // its control page and its range
}

func startStorm(t *testing.T, kind string) *storm {
	t.Helper()
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
	cmd.ExtraFiles = s.files
	s.Process = testtarget.StartProcess(t, cmd)
	s.base = s.Line()
	return s
}

// write lets the writers write, and returns what they say.
func (s *storm) write(program, how string) (string, error) {
	cmd := command(program, s.PID, s.base, s.kind, testtarget.Chance().Milliseconds(), how)
	cmd.ExtraFiles = s.files
	return tryOutput(cmd)
}

// end ends the storm, which must have found nothing amiss. It returns in how many
// epochs that forbid it a byte arrived.
func (s *storm) end(t *testing.T) (faults uint64) {
	t.Helper()
	s.Stdin.Close()
	if line := s.Line(); line != "ok" {
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
	testtarget.Need(t, "tracing", "4k pages")
	program := c99.program(t, "testdata/programs/storm_writer.c", library(t))
	for _, kind := range []string{"shared", "private"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := startStorm(t, kind)
			out, err := s.write(program, "library")
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
	testtarget.Need(t, "tracing", "4k pages")
	for _, c := range []struct{ how, want string }{
		{"mem", "could not be written throughout"},
		{"short", "are not what was reported"},
	} {
		t.Run(c.how, func(t *testing.T) {
			if c.how == "mem" {
				testtarget.Need(t, "forced writes")
			}
			t.Parallel()
			s := startStorm(t, "private")
			out, err := s.write(c99.program(t, "testdata/programs/storm_writer.c", library(t)), c.how)
			if err == nil || !strings.Contains(out, c.want) {
				t.Errorf("%v: %s; want %q", err, out, c.want)
			}
			if faults := s.end(t); c.how == "mem" && faults == 0 {
				t.Error("the storm itself found no fault")
			}
		})
	}
}
