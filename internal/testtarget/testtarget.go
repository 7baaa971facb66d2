// SPDX-License-Identifier: Apache-2.0

// Package testtarget starts and commands the program that tests write into, a real
// process with real mappings, and knows what the machine has and how much is to be
// tried on it. Only tests may import it.
package testtarget

import (
	"encoding/hex"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// Target is a running target program.
type Target struct{ *Process }

// Start builds the target if need be, starts it and waits until it is ready. It is
// ended with the test.
func Start(tb testing.TB) *Target {
	tb.Helper()
	return StartBinary(tb, Build(tb, ""))
}

// StartBinary is Start for a target that is built already.
func StartBinary(tb testing.TB, path string) *Target {
	tb.Helper()
	Need(tb, "own children")
	return StartBystander(tb, path)
}

// StartBystander is StartBinary for a test that does nothing with the target's memory and
// threads, or expects to be refused.
func StartBystander(tb testing.TB, path string) *Target {
	tb.Helper()
	t := &Target{start(tb, exec.Command(path))}
	if line := t.Line(); line != "ready" {
		tb.Fatalf("the target says %q; want ready", line)
	}
	return t
}

// Do sends a command of the target (see its main.go) and returns its answer. The
// test fails when the target answers with an error.
func (t *Target) Do(format string, args ...any) string {
	t.tb.Helper()
	line := t.Try(format, args...)
	answer, ok := strings.CutPrefix(line, "ok")
	if !ok {
		t.tb.Fatalf("target: %s: %s", fmt.Sprintf(format, args...), line)
	}
	return strings.TrimPrefix(answer, " ")
}

// Try is Do for a command that may fail: it returns the whole answer, "ok ..." or
// "error ...".
func (t *Target) Try(format string, args ...any) string {
	t.tb.Helper()
	answer, err := t.Ask(format, args...)
	if err != nil {
		t.tb.Fatalf("target: %s: %v", fmt.Sprintf(format, args...), t.HowItEnds(err))
	}
	return answer
}

// Address is Do for a command that answers with an address.
func (t *Target) Address(format string, args ...any) uint64 {
	t.tb.Helper()
	answer := t.Do(format, args...)
	address, err := strconv.ParseUint(answer, 0, 64)
	if err != nil {
		t.tb.Fatalf("target: %s: %v", fmt.Sprintf(format, args...), err)
	}
	return address
}

// Bytes returns size bytes of the target's memory, as the target itself reads
// them, whatever their protection.
func (t *Target) Bytes(address uint64, size int) []byte {
	t.tb.Helper()
	data, err := hex.DecodeString(t.Do("dump %#x %d", address, size))
	if err != nil {
		t.tb.Fatal(err)
	}
	return data
}
