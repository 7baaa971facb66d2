// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

func newDemoCmd(s streams) *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Change the memory of a small process and show what is refused",
		Long: `Start a small process, show the bytes before and after a write into its memory,
then a write that its protection refuses and one that a gap refuses. It needs no
privilege and touches no other process.`,
		Args: takesNone,
		RunE: func(*cobra.Command, []string) error {
			return runDemo(s)
		},
	}
}

// demoPlaces are what the small process tells of itself.
type demoPlaces struct {
	text     uint64 // writable, holds demoText
	readOnly uint64 // a page without write permission
	head     uint64 // a writable page with a gap behind it
}

const (
	demoText = "gold: 0000100"
	demoNew  = "gold: 9999999"
)

// start starts a program that takes the signals which the main thread does not: it
// inherits what the thread that starts it blocks.
func start(child *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := maskSignals(unix.SIG_UNBLOCK)
	if err != nil {
		return err
	}
	defer unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil)
	return child.Start()
}

func runDemo(s streams) error {
	child := exec.Command("/proc/self/exe", "demo-target")
	child.Args[0] = os.Args[0] // what a person sees in ps
	child.Stderr = s.err
	stdin, err := child.StdinPipe()
	if err != nil {
		return &bugError{err}
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		return &bugError{err}
	}
	if err := start(child); err != nil {
		return &fileError{fmt.Errorf("starting the demo's process: %w", err)}
	}
	defer func() {
		stdin.Close() // which ends it
		child.Wait()
	}()
	var places demoPlaces
	if _, err := fmt.Fscanf(stdout, "%v %v %v\n", &places.text, &places.readOnly, &places.head); err != nil {
		return &bugError{fmt.Errorf("the demo's process does not answer: %w", err)}
	}
	task, err := machcompat.TaskForPID(child.Process.Pid)
	if err != nil {
		return err
	}
	defer task.Close()
	d := &demo{s, task, bufio.NewReader(stdout)}
	fmt.Fprintf(s.out, "Process %d runs %s demo-target.\n", child.Process.Pid, os.Args[0])
	if err := d.write(places); err != nil {
		return err
	}
	if err := d.refuse(places); err != nil {
		return err
	}
	fmt.Fprint(stdin, "\n")
	line, err := d.child.ReadString('\n')
	if err != nil {
		return &bugError{fmt.Errorf("the demo's process does not answer: %w", err)}
	}
	fmt.Fprintf(s.out, "\nThe process itself now reads: %s", line)
	return nil
}

type demo struct {
	streams
	task  *machcompat.Task
	child *bufio.Reader
}

// write shows a write that succeeds.
func (d *demo) write(places demoPlaces) error {
	fmt.Fprintf(d.out, "\n1. Its memory at %#x, then after vm_write of %q there:\n", places.text, demoNew)
	if _, err := d.show(places.text); err != nil {
		return err
	}
	if err := d.task.Write(places.text, []byte(demoNew)); err != nil {
		return err
	}
	after, err := d.show(places.text)
	if err != nil {
		return err
	}
	if string(after[:len(demoNew)]) != demoNew {
		return &bugError{fmt.Errorf("%q was written and %q is there", demoNew, after)}
	}
	return nil
}

// refuse shows the two writes that must fail, and that they changed nothing.
func (d *demo) refuse(places demoPlaces) error {
	fmt.Fprintf(d.out, "\n2. A write to a page that the process may only read:\n")
	if err := d.expect(places.readOnly, []byte("x"), machcompat.KERN_PROTECTION_FAILURE); err != nil {
		return err
	}
	page := uint64(os.Getpagesize())
	tail := places.head + page - 8
	fmt.Fprintf(d.out, "\n3. A write of 16 bytes from %#x, of which the last 8 fall in a gap:\n", tail)
	before, err := d.show(tail)
	if err != nil {
		return err
	}
	if err := d.expect(tail, bytes.Repeat([]byte("X"), 16), machcompat.KERN_INVALID_ADDRESS); err != nil {
		return err
	}
	after, err := d.show(tail)
	if err != nil {
		return err
	}
	if !bytes.Equal(before, after) {
		return &bugError{fmt.Errorf("a write that failed changed % x to % x", before, after)}
	}
	fmt.Fprintln(d.out, "The 8 bytes before the gap are untouched.")
	return nil
}

// show prints up to 16 bytes and returns them.
func (d *demo) show(address uint64) ([]byte, error) {
	data := make([]byte, 16)
	n, err := d.task.ReadAt(data, int64(address))
	if n == 0 {
		return nil, err
	}
	fmt.Fprintf(d.out, "%s", hexdump(address, data[:n]))
	return data[:n], nil
}

// expect makes a write that must fail with code.
func (d *demo) expect(address uint64, data []byte, code machcompat.KernReturn) error {
	err := d.task.Write(address, data)
	if got := machcompat.CodeOf(err); got != code {
		return &bugError{fmt.Errorf("the write gave %s and not %s", got.String(), code.String())}
	}
	fmt.Fprintf(d.out, "%s\n", strings.Replace(err.Error(), ": ", ":\n  ", 1)) // 80 columns
	return nil
}
