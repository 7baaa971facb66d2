// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// newJob returns a job that writes a file of size bytes, the last of which are
// "end", into a target.
func newJob(t *testing.T, size int64) (*job, *testtarget.Target) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size-3); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteString("end"); err != nil {
		t.Fatal(err)
	}
	target := testtarget.Start(t)
	page := machcompat.HostPageSize()
	base := target.Address("map rw- %d", (uint64(size)+page-1)/page)
	task, err := machcompat.TaskForPID(target.PID)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { task.Close() })
	j := &job{
		writeOptions: &writeOptions{file: path, endian: "native"},
		caller:       caller{streams: streams{out: io.Discard, err: io.Discard}, task: task},
		pid:          target.PID,
		interrupted:  newInterruption(),
	}
	t.Cleanup(j.interrupted.stop)
	if err := j.readArguments([]string{hexAddress(base)}); err != nil {
		t.Fatal(err)
	}
	j.moveTo(t, base)
	return j, target
}

// moveTo has the job write at an address.
func (j *job) moveTo(t *testing.T, address uint64) {
	t.Helper()
	at, err := parsePlace(hexAddress(address))
	if err != nil {
		t.Fatal(err)
	}
	j.places = []place{at}
	if err := j.locate(j.at); err != nil {
		t.Fatal(err)
	}
}

func TestWriteOfSeveralParts(t *testing.T) {
	const size = 2*partSize + 5
	for name, set := range map[string]func(*writeOptions){
		"a part at a time":         func(*writeOptions) {},
		"and read back":            func(o *writeOptions) { o.verify = true },
		"looked at first":          func(o *writeOptions) { o.verbose = true },
		"at once":                  func(o *writeOptions) { o.atomic, o.verify = true, true },
		"if other bytes are there": func(o *writeOptions) { o.expect, o.verify = "00", true },
		"unprotected":              func(o *writeOptions) { o.unprotect = true },
	} {
		t.Run(name, func(t *testing.T) {
			j, target := newJob(t, size)
			target.Do("protect %#x %d rw-", j.address, machcompat.HostPageSize())
			set(j.writeOptions)
			if err := j.run(nil); err != nil {
				t.Fatal(err)
			}
			if got := target.Bytes(j.address+size-3, 3); string(got) != "end" {
				t.Errorf("%q is at the end; want end", got)
			}
			if got := target.Bytes(j.address+size, 1); got[0] != 0 {
				t.Errorf("%#x is behind the end; want what was there", got)
			}
		})
	}
}

func TestInterruptBetweenPartsSaysWhatWasWritten(t *testing.T) {
	const size = 2 * partSize
	j, _ := newJob(t, size)
	j.interrupted.came() // begins to watch
	j.interrupted.signals <- os.Interrupt
	<-j.interrupted.first
	err := j.run(nil)
	e, ok := errors.AsType[*machcompat.Error](err)
	if !ok || e.Code != machcompat.KERN_ABORTED || e.Written != 0 || e.Size != size {
		t.Fatalf("the error is %v; want KERN_ABORTED with nothing written", err)
	}
	if status := exitStatus(err); status != int(machcompat.KERN_ABORTED) {
		t.Errorf("status %d; want %d", status, machcompat.KERN_ABORTED)
	}
}

func TestGapBehindSeveralPartsIsFoundBeforeTheFirst(t *testing.T) {
	const size = 2 * partSize
	j, target := newJob(t, size)
	page := machcompat.HostPageSize()
	last := j.address + size - page
	target.Do("unmap %#x %d", last, page)
	err := j.run(nil)
	e, ok := errors.AsType[*machcompat.Error](err)
	if !ok || e.Code != machcompat.KERN_INVALID_ADDRESS || e.Partial || e.Fault != last {
		t.Fatalf("the error is %v; want KERN_INVALID_ADDRESS at %#x with nothing written", err, last)
	}
}

// A file that becomes shorter must not be blamed on the process.
func TestFileThatBecomesShorter(t *testing.T) {
	for _, c := range []struct {
		name    string
		size    int64
		atomic  bool
		arrived string
		written uint64
	}{
		{"between two parts", 2 * partSize, false, "1048576 of 2097152 bytes were written", partSize},
		{"while it is held", 2 * partSize, true, "has become shorter while it was read", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			j, _ := newJob(t, c.size)
			j.atomic = c.atomic
			if err := os.Truncate(j.file, c.size/2); err != nil {
				t.Fatal(err)
			}
			err := j.run(nil)
			if exitStatus(err) != exitFile || !strings.Contains(err.Error(), "has become shorter") || !strings.Contains(err.Error(), c.arrived) {
				t.Errorf("the error is %v; want status 74, that the file became shorter, and %q", err, c.arrived)
			}
			if o := outcomeOf(err, ""); *o.Written != c.written || o.Name != "EX_IOERR" || o.KernReturn != nil {
				t.Errorf("the object is %+v; want EX_IOERR with %d bytes written", o, c.written)
			}
		})
	}
}

// What a signal ends before the first byte is written has the status of a signal,
// also when it has ended the program in front of the pipe, and so the input.
func TestInterruptWhileAnInputIsRead(t *testing.T) {
	for name, read := range map[string]func(*job, *input) error{
		"-f -": func(j *job, in *input) error {
			j.input = in
			return j.run(nil)
		},
		"--batch -": func(j *job, in *input) error {
			return j.gather(in, func() error {
				_, err := in.text()
				return err
			})
		},
	} {
		for when, end := range map[string]error{"in it": nil, "as it ends": io.EOF} {
			t.Run(name+", "+when, func(t *testing.T) {
				for range 10 { // Go chooses at random between two that are ready
					j, target := newJob(t, 3)
					if err := j.task.Write(j.address, []byte("old")); err != nil {
						t.Fatal(err)
					}
					err := read(j, &input{Reader: &interrupted{j: j, end: end}, name: "standard input", fed: true})
					if status := exitStatus(err); status != int(machcompat.KERN_ABORTED) || !strings.Contains(err.Error(), "nothing was written") {
						t.Errorf("the error is %v; want KERN_ABORTED, and that nothing was written", err)
					}
					if got := target.Bytes(j.address, 3); string(got) != "old" {
						t.Errorf("%q is there; want old", got)
					}
				}
			})
		}
	}
}

// interrupted is an input in which a signal comes, and that then has no more or, with
// an end, ends.
type interrupted struct {
	j   *job
	end error
}

func (i *interrupted) Read(p []byte) (int, error) {
	i.j.interrupted.signals <- os.Interrupt
	<-i.j.interrupted.first
	if i.end == nil {
		<-i.j.interrupted.second // which never comes
	}
	return copy(p, "00"), i.end
}

// What is put back was not written.
func TestAtomicWriteBeyondTheEndOfAFile(t *testing.T) {
	const size = 2 * partSize
	for name, set := range map[string]func(*job){
		"--atomic": func(j *job) { j.atomic = true },
		"--expect": func(j *job) { j.expect = "00" },
	} {
		t.Run(name, func(t *testing.T) {
			j, target := newJob(t, size)
			page := machcompat.HostPageSize()
			j.moveTo(t, target.Address("file %s rw- %d %d shared", filepath.Join(t.TempDir(), "short"), size/page, size/2))
			set(j)
			task, err := machcompat.TaskForPID(target.PID, machcompat.Atomic())
			if err != nil {
				t.Fatal(err)
			}
			defer task.Close()
			j.task = task
			before := target.Bytes(j.address, 1)
			err = j.run(nil)
			e, ok := errors.AsType[*machcompat.Error](err)
			if !ok || e.Code != machcompat.KERN_MEMORY_ERROR || e.Written != 0 || e.Partial || e.Fault != j.address+size/2 {
				t.Errorf("the error is %v; want KERN_MEMORY_ERROR at %#x with nothing written", err, j.address+size/2)
			}
			if after := target.Bytes(j.address, 1); !bytes.Equal(before, after) {
				t.Errorf("% x is there; it was % x", after, before)
			}
		})
	}
}

// The undo of what was written is kept when only its protection can't be put back.
func TestUndoOfWhatCannotBeProtectedAgain(t *testing.T) {
	testtarget.Need(t, "root", "tracing") // to read the filter
	for name, flags := range map[string][]string{"in one stop": nil, "without one": {"--stop", "never"}} {
		t.Run(name, func(t *testing.T) {
			target := testtarget.Start(t)
			address := target.Address("layout r--:1")
			target.Do("seccomp readonly mprotect")
			undo := filepath.Join(t.TempDir(), "undo")
			var out bytes.Buffer
			line := append([]string{"write", "-p", fmt.Sprint(target.PID), hexAddress(address), "9090", "--unprotect", "--undo", undo, "--json"}, flags...)
			status := run(line, streams{in: strings.NewReader(""), out: &out, err: io.Discard})
			if status != int(machcompat.KERN_NOT_SUPPORTED) || !strings.Contains(out.String(), `"written":2,`) {
				t.Errorf("status %d, %s; want %d, and that 2 bytes were written", status, &out, machcompat.KERN_NOT_SUPPORTED)
			}
			if text, err := os.ReadFile(undo); err != nil || !strings.Contains(string(text), " if 9090\n") {
				t.Errorf("the undo is %q, %v", text, err)
			}
		})
	}
}

// endless is an input without end that counts what is taken of it.
type endless struct{ taken uint64 }

func (e *endless) Read(p []byte) (int, error) {
	e.taken += uint64(len(p))
	return len(p), nil
}

func TestNoMoreIsReadThanCanBeWritten(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(*writeOptions)
		code machcompat.KernReturn
		room uint64 // pages
	}{
		{"up to a page that may not be written", func(*writeOptions) {}, machcompat.KERN_PROTECTION_FAILURE, 2},
		{"up to a gap, with --unprotect", func(o *writeOptions) { o.unprotect = true }, machcompat.KERN_INVALID_ADDRESS, 3},
		{"at once", func(o *writeOptions) { o.atomic = true }, machcompat.KERN_PROTECTION_FAILURE, 2},
		{"at the end of all addresses", func(o *writeOptions) { o.unprotect = true }, machcompat.KERN_INVALID_ADDRESS, 0},
		{"--dry-run", func(o *writeOptions) { o.dryRun = true }, machcompat.KERN_PROTECTION_FAILURE, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			j, target := newJob(t, 3)
			j.moveTo(t, target.Address("layout rw-:2,r--:1,gap:1"))
			if c.room == 0 {
				j.moveTo(t, 1<<64-1)
			}
			c.set(j.writeOptions)
			zero := &endless{}
			j.input = &input{Reader: zero, name: "standard input"}
			err := j.run(nil)
			want := c.room * machcompat.HostPageSize()
			e, ok := errors.AsType[*machcompat.Error](err)
			if !ok || e.Code != c.code || e.Written != 0 || e.Partial || e.Fault != j.address+want {
				t.Errorf("the error is %v; want %v at %#x with nothing written", err, c.code, j.address+want)
			}
			if zero.taken > want+1 {
				t.Errorf("%d bytes were read; want no more than the %d that can be written, and one", zero.taken, want)
			}
		})
	}
}

func TestProgressLine(t *testing.T) {
	got := progressLine(1<<30, 4<<30, time.Second)
	if want := "[#######.......................]  25% 1.0 GiB of 4.0 GiB, 1.0 GiB/s"; !strings.HasPrefix(got, want) {
		t.Errorf("the line is %q; want %q", got, want)
	}
	var b bytes.Buffer
	bar := newProgress(&b, 100)
	bar.start = bar.start.Add(-time.Hour)
	bar.show(50)
	bar.clear()
	if b.Len() > 0 {
		t.Errorf("a bar of %q went to what is no terminal", b.String())
	}
}

func TestHexdump(t *testing.T) {
	got := string(hexdump(0x7f00, []byte("0123456789abcdefXY\x00\x7f")))
	want := "000000007f00  30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66 |0123456789abcdef|\n" +
		"000000007f10  58 59 00 7f                                     |XY..|\n"
	if got != want {
		t.Errorf("the dump is\n%swant\n%s", got, want)
	}
}
