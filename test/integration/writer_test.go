// SPDX-License-Identifier: Apache-2.0

package integration_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// writer is vmwrite at some place.
type writer struct {
	docker []string // the docker command line up to vmwrite
	pid    int      // the target's process id at that place
}

// object is what --json prints, as far as it is asserted here.
type object struct {
	KernReturn int `json:"kern_return"`
	Written    int
	Message    string
	Backend    string
	Hint       string
}

// run runs a command of vmwrite to its end.
func (w writer) run(tb testing.TB, command string, arguments ...string) result {
	tb.Helper()
	got := runDocker(tb, slices.Concat(w.docker, []string{command, "-p", strconv.Itoa(w.pid)}, arguments)...)
	for line := range strings.Lines(got.stderr) {
		if !strings.HasPrefix(line, "vmwrite: ") {
			tb.Errorf("standard error has the line %q; want it to start with vmwrite:", line)
		}
	}
	return got
}

// write runs vmwrite write with --json, and returns the object too.
func (w writer) write(tb testing.TB, address uint64, data []byte, arguments ...string) (result, object) {
	tb.Helper()
	got := w.run(tb, "write", slices.Concat(arguments, []string{"--json", fmt.Sprintf("%#x", address), hex.EncodeToString(data)})...)
	var o object
	if err := json.Unmarshal([]byte(got.stdout), &o); err != nil {
		tb.Fatalf("standard output is %q; want one object: %v\n%s", got.stdout, err, got.stderr)
	}
	if o.KernReturn != got.status {
		tb.Errorf("--json says %d and the exit status is %d", o.KernReturn, got.status)
	}
	if got.status != 0 && (!strings.Contains(got.stderr, o.Message) || !strings.Contains(got.stderr, o.Hint)) {
		tb.Errorf("standard error is\n%swhich lacks the message or the hint of\n%s", got.stderr, got.stdout)
	}
	return got, o
}

// place makes a writer for a target.
type place func(tb testing.TB, c *target) writer

// sameContainer runs vmwrite beside the target, with options of docker exec.
func sameContainer(options ...string) place {
	return func(_ testing.TB, c *target) writer {
		return writer{slices.Concat([]string{"exec"}, options, []string{c.container, "/vmwrite"}), 1}
	}
}

// sidecar runs vmwrite in a container of its own, with options of docker run, in
// the pid namespace of the target's.
func sidecar(options ...string) place {
	return func(tb testing.TB, c *target) writer {
		return writer{container(append(options, "--pid=container:"+c.container), programs(tb), "/vmwrite"), 1}
	}
}

// prebuiltSidecar is sidecar with the image of the repository's Dockerfile.
func prebuiltSidecar(options ...string) place {
	return func(tb testing.TB, c *target) writer {
		return writer{container(append(options, "--pid=container:"+c.container), prebuilt(tb)), 1}
	}
}

// elsewhere runs vmwrite in a container of its own, where the target is known by its
// process id in the engine's own pid namespace.
func elsewhere(options ...string) place {
	return func(tb testing.TB, c *target) writer {
		return writer{container(options, programs(tb), "/vmwrite"), c.hostPID(tb)}
	}
}

// hostSidecar is elsewhere in that namespace.
func hostSidecar(options ...string) place { return elsewhere(append(options, "--pid=host")...) }

// ending is how a write is to end.
type ending struct {
	status  machcompat.KernReturn
	backend machcompat.Backend // of a success; Auto for whichever the engine allows
	message []string           // what standard error says, in parts
}

// granted is a write that succeeds.
func granted(backend machcompat.Backend) ending { return ending{backend: backend} }

// refused is a write for which the kernel gives no permission, and why.
func refused(why ...string) ending {
	return ending{status: machcompat.KERN_FAILURE, message: append(why, "KERN_FAILURE (5)")}
}

// pageSize is that of this machine, and so of every target.
var pageSize = os.Getpagesize()

// assertWrite writes into a page of the target. Where that is granted, a page
// that the target may not write is still refused, and so is a write over both.
// The pages are where no other program has memory, in case that vmwrite should
// take another process for the target.
func assertWrite(t *testing.T, m *testtarget.Target, w writer, want ending, arguments ...string) {
	t.Helper()
	pages := m.Address("layout rw-:1,r--:1")
	expected := m.Bytes(pages, 2*pageSize)
	data := []byte{0xde, 0xad, 0xbe, 0xef}
	assertOne := func(offset int, want ending) {
		t.Helper()
		if want.status == machcompat.KERN_SUCCESS {
			copy(expected[offset:], data)
		}
		got, o := w.write(t, pages+uint64(offset), data, arguments...)
		want.assert(t, got, o, len(data))
		if found := m.Bytes(pages, 2*pageSize); !bytes.Equal(found, expected) {
			i := 0
			for found[i] == expected[i] {
				i++
			}
			t.Errorf("after vmwrite at page+%#x (exit status %d), the target has %#x at page+%#x; want %#x", offset, got.status, found[i], i, expected[i])
		}
	}
	assertOne(0x10, want)
	if want.status != machcompat.KERN_SUCCESS {
		return
	}
	notWritable := ending{status: machcompat.KERN_PROTECTION_FAILURE, message: []string{
		"KERN_PROTECTION_FAILURE (2)", fmt.Sprintf("%#x is r--p", pages+uint64(pageSize)),
	}}
	if testtarget.Full() {
		assertOne(pageSize, notWritable)
	}
	assertOne(pageSize-2, notWritable)
	if read := w.run(t, "read", "--raw", fmt.Sprintf("%#x", pages), strconv.Itoa(2*pageSize)); read.stdout != string(expected) {
		t.Errorf("vmwrite read ends with %d and reads other bytes than the target\n%s", read.status, read.stderr)
	}
}

// assert compares how a write of size bytes ended with how it was to end.
func (e ending) assert(t *testing.T, got result, o object, size int) {
	t.Helper()
	if got.status != int(e.status) {
		t.Errorf("exit status %d; want %d %s\n%s", got.status, e.status, e.status.String(), got.stderr)
		return
	}
	for _, part := range e.message {
		if !strings.Contains(got.stderr, part) {
			t.Errorf("standard error does not say %q:\n%s", part, got.stderr)
		}
	}
	switch {
	case e.status != machcompat.KERN_SUCCESS:
		size = 0
	case e.backend != machcompat.Auto && o.Backend != e.backend.String():
		t.Errorf("written by backend %q; want %s", o.Backend, e.backend)
	}
	if o.Written != size {
		t.Errorf("--json says that %d bytes were written; want %d", o.Written, size)
	}
}
