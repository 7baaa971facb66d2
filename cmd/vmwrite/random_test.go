// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"golang.org/x/sys/unix"
)

var randomSeed = flag.Uint64("lines.seed", 0, "which random command lines are run; 0 is others each time")

// Random command lines, run in this process: no panic, no status outside of the
// contract; nothing is written, and nothing printed, after a usage error; nothing
// is written after a refusal; --json is one object.
func TestRandomCommandLines(t *testing.T) {
	seed := *randomSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-lines.seed %d", seed)
	file := filepath.Join(t.TempDir(), "bytes")
	if err := os.WriteFile(file, []byte("from a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := debug.SetGCPercent(1000) // each line makes all commands anew, and leaves little
	t.Cleanup(func() { debug.SetGCPercent(before) })
	const parts = 4
	var seen [parts]map[int]int // how many lines ended with each status
	t.Cleanup(func() {          // when all parts have ended
		for _, status := range []int{0, 1, 2, 5, exitUsage, exitFile} {
			ended := func(part map[int]int) bool { return part[status] > 0 }
			if testtarget.Full() && !slices.ContainsFunc(seen[:], ended) {
				t.Errorf("no line ended with status %d", status)
			}
		}
	})
	for part := range parts {
		t.Run(fmt.Sprint("part ", part), func(t *testing.T) {
			t.Parallel()
			name, target := startNamedTarget(t, part)
			page := target.Address("layout rw-:1")
			patch := filepath.Join(t.TempDir(), "patch.yaml")
			text := fmt.Sprintf("version: 1\nname: a test\nchanges:\n- {at: %#x, old: 6e, new: 6f}\n", page)
			if err := os.WriteFile(patch, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			lines := newRandomLines(seed+uint64(part), target.PID, name, page, file, patch)
			j := &judge{t: t, target: target, page: page, seen: map[int]int{}}
			seen[part] = j.seen
			j.memory = openMemory(t, target.PID)
			j.before = j.look()
			for range testtarget.Rounds(testtarget.Sized(2000, 20000) / parts) {
				j.run(lines.next())
				if t.Failed() {
					break
				}
			}
			t.Logf("statuses: %v", j.seen)
			if !bytes.Equal(target.Bytes(page, os.Getpagesize()), j.before) {
				t.Error("the target sees other bytes in its memory")
			}
		})
	}
}

// startNamedTarget starts a target whose name no other process has.
func startNamedTarget(t *testing.T, part int) (name string, target *testtarget.Target) {
	t.Helper()
	name = fmt.Sprintf("lines-%d-%d", os.Getpid(), part)
	path := filepath.Join(t.TempDir(), name)
	// A copy could not be run as long as another test's child has it open.
	if err := os.Symlink(testtarget.Build(t, ""), path); err != nil {
		t.Fatal(err)
	}
	return name, testtarget.StartBinary(t, path)
}

// judge runs command lines and knows what the target's page holds.
type judge struct {
	t      *testing.T
	target *testtarget.Target
	page   uint64
	memory *os.File
	before []byte
	seen   map[int]int
}

// openMemory opens a process's memory by another way than the command's.
func openMemory(t *testing.T, pid int) *os.File {
	t.Helper()
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { memory.Close() })
	return memory
}

func (j *judge) look() []byte {
	data := make([]byte, os.Getpagesize())
	_, err := j.memory.ReadAt(data, int64(j.page))
	if errors.Is(err, unix.EIO) { // a line has protected the page, and proc_mem.force_override keeps to it
		return j.target.Bytes(j.page, len(data))
	}
	if err != nil {
		j.t.Fatal(err)
	}
	return data
}

func (j *judge) run(arguments []string) {
	var out, trouble bytes.Buffer
	status := run(arguments, streams{in: strings.NewReader("from standard input"), out: &out, err: &trouble})
	j.seen[status]++
	if !slices.Contains(statuses, status) || strings.Contains(trouble.String(), "goroutine ") {
		j.t.Errorf("%q: status %d: %s", arguments, status, trouble.String())
	}
	after := j.look()
	refused := status != 0 && !strings.Contains(trouble.String(), "everything was written")
	if refused && !bytes.Equal(j.before, after) {
		j.t.Errorf("%q: status %d, and the process has changed: %s", arguments, status, trouble.String())
	}
	asJSON := wantsJSON(arguments)
	if status == exitUsage && out.Len() > 0 && !asJSON {
		j.t.Errorf("%q is a usage error, and prints %q", arguments, out.String())
	}
	if status != 0 && asJSON {
		var object map[string]any
		if err := json.Unmarshal(out.Bytes(), &object); err != nil {
			j.t.Errorf("%q: status %d: %q is no object: %v", arguments, status, out.String(), err)
		}
	}
	j.before = after
}
