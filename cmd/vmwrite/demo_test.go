// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// The process of the demo is ended by Ctrl-C, and by kill, whichever thread starts it.
func TestTheProcessOfTheDemoTakesSignals(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := maskSignals(unix.SIG_BLOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil)
	child := exec.Command("cat")
	input, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := start(child); err != nil {
		t.Fatal(err)
	}
	defer child.Wait()
	defer input.Close()
	status, err := os.ReadFile("/proc/" + strconv.Itoa(child.Process.Pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	if blocked := regexp.MustCompile(`SigBlk:\t0*\n`); !blocked.Match(status) {
		t.Errorf("it blocks signals:\n%s", status)
	}
}
