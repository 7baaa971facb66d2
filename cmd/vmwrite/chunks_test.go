package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// newJob returns a job that writes a file of size bytes into a target.
func newJob(t *testing.T, size int64) (*job, *testtarget.Target) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "data")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteAt([]byte("end"), size-3); err != nil {
		t.Fatal(err)
	}
	target := testtarget.Start(t)
	page := machcompat.HostPageSize()
	base := target.Address("map rw- %d", (uint64(size)+page-1)/page)
	what, err := readSource(streams{in: strings.NewReader("")}, path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(what.release)
	task, err := machcompat.TaskForPID(target.PID)
	if err != nil {
		t.Fatal(err)
	}
	j := &job{
		writeOptions: &writeOptions{file: path}, address: base, source: what,
		caller: caller{streams: streams{out: io.Discard, err: io.Discard}, task: task},
	}
	t.Cleanup(func() { j.task.Close() })
	return j, target
}

func TestWriteOfSeveralChunks(t *testing.T) {
	const size = 2*chunkSize + 5
	j, target := newJob(t, size)
	if err := j.write(); err != nil {
		t.Fatal(err)
	}
	if got := target.Bytes(j.address+size-3, 3); string(got) != "end" {
		t.Errorf("%q is at the end; want end", got)
	}
}

func TestInterruptBetweenChunksSaysWhatWasWritten(t *testing.T) {
	j, _ := newJob(t, 2*chunkSize)
	interrupted := watchSignals()
	defer interrupted.stop()
	interrupted.signals <- os.Interrupt
	<-interrupted.first
	err := j.writeChunks(interrupted)
	e, ok := errors.AsType[*machcompat.Error](err)
	if !ok || e.Code != machcompat.KERN_ABORTED || e.Written != 0 || e.Size != 2*chunkSize {
		t.Fatalf("the error is %v; want KERN_ABORTED with nothing written", err)
	}
	if status := exitStatus(err); status != int(machcompat.KERN_ABORTED) {
		t.Errorf("status %d; want %d", status, machcompat.KERN_ABORTED)
	}
}

func TestGapBehindSeveralChunksIsFoundBeforeTheFirst(t *testing.T) {
	const size = 2 * chunkSize
	j, target := newJob(t, size)
	page := machcompat.HostPageSize()
	last := j.address + size - page
	target.Do("unmap %#x %d", last, page)
	err := j.write()
	e, ok := errors.AsType[*machcompat.Error](err)
	if !ok || e.Code != machcompat.KERN_INVALID_ADDRESS || e.Partial || e.Fault != last {
		t.Fatalf("the error is %v; want KERN_INVALID_ADDRESS at %#x with nothing written", err, last)
	}
}

// Our own mapping of a file that has become shorter must not end this program
// with SIGBUS, and must not be blamed on the process.
func TestFileThatBecomesShorterWhileItIsWritten(t *testing.T) {
	for _, size := range []int64{2 * int64(machcompat.HostPageSize()), 2 * chunkSize} {
		j, _ := newJob(t, size)
		if err := os.Truncate(j.file, size/2); err != nil {
			t.Fatal(err)
		}
		err := j.write()
		if exitStatus(err) != exitFile || !strings.Contains(err.Error(), "has become shorter") {
			t.Errorf("%d bytes: the error is %v; want status 74 and that the file became shorter", size, err)
		}
	}
}

// --verify and -v look at the bytes themselves.
func TestFileThatBecomesShorterWhileItIsLookedAt(t *testing.T) {
	for name, look := range map[string]func(*job) func() error{
		"--verify": func(j *job) func() error { return j.readBack },
		"-v":       func(j *job) func() error { return j.describe },
	} {
		j, _ := newJob(t, 8192)
		if err := j.write(); err != nil {
			t.Fatal(err)
		}
		if err := j.lookAtSource(look(j)); err != nil {
			t.Errorf("%s of a whole file: %v", name, err)
		}
		if err := os.Truncate(j.file, 0); err != nil {
			t.Fatal(err)
		}
		if err := j.lookAtSource(look(j)); exitStatus(err) != exitFile || !strings.Contains(err.Error(), "has become shorter") {
			t.Errorf("%s: the error is %v; want status 74 and that the file became shorter", name, err)
		}
	}
	j, _ := newJob(t, 8192)
	defer func() {
		if r := recover(); r != "another panic" {
			t.Errorf("a panic that is no fault came out as %v", r)
		}
	}()
	_ = j.lookAtSource(func() error { panic("another panic") })
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
	want := "000000007f00  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|\n" +
		"000000007f10  58 59 00 7f                                       |XY..|\n"
	if got != want {
		t.Errorf("the dump is\n%swant\n%s", got, want)
	}
}
