// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// coprocess is a program that takes a command a line and answers each with one.
// It ends with its input, so it doesn't outlive this program however that ends.
type coprocess struct {
	cmd   *exec.Cmd
	input io.WriteCloser
	lines *bufio.Reader
}

// start starts a coprocess. It is ended with the bench, if not before.
func (b *bench) start(name string, arguments ...string) (*coprocess, error) {
	cmd := exec.Command(name, arguments...)
	cmd.Stderr = os.Stderr
	// In a group of its own, so that Ctrl-C reaches this program alone, which
	// then ends it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &coprocess{cmd: cmd, input: input, lines: bufio.NewReaderSize(output, 1<<16)}
	b.processes = append(b.processes, p)
	return p, nil
}

// startOnOneCore is start for a program that may use one core only.
func (b *bench) startOnOneCore(name string, arguments ...string) (*coprocess, error) {
	release, err := takeOneCore()
	if err != nil {
		return nil, err
	}
	defer release()
	return b.start(name, arguments...)
}

// onOneCore keeps this goroutine, and the programs that it starts, on one core to the
// end of the row. Short calls are compared so, because the cores of a virtual machine
// may run at different speeds, each by what its neighbours do.
func (b *bench) onOneCore() error {
	release, err := takeOneCore()
	if err == nil {
		b.cleanups = append(b.cleanups, release)
	}
	return err
}

// takeOneCore keeps this goroutine on one core until it is released.
func takeOneCore() (release func(), err error) {
	runtime.LockOSThread()
	var all, one unix.CPUSet
	if err = unix.SchedGetaffinity(0, &all); err == nil {
		one.Set(lastOf(&all))
		err = unix.SchedSetaffinity(0, &one)
	}
	if err != nil {
		runtime.UnlockOSThread()
		return nil, err
	}
	return func() {
		unix.SchedSetaffinity(0, &all)
		runtime.UnlockOSThread()
	}, nil
}

func lastOf(set *unix.CPUSet) (last int) {
	for i, found := 0, 0; found < set.Count(); i++ {
		if set.IsSet(i) {
			last = i
			found++
		}
	}
	return last
}

func (p *coprocess) pid() int { return p.cmd.Process.Pid }

// tell sends a command whose answer is waited for later.
func (p *coprocess) tell(format string, args ...any) error {
	_, err := fmt.Fprintf(p.input, format+"\n", args...)
	return err
}

// answer returns the words of the next answer.
func (p *coprocess) answer() ([]string, error) {
	line, err := p.lines.ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("%s ended: %w", p.cmd.Path, err)
	}
	words := strings.Fields(line)
	if len(words) == 0 || words[0] != "ok" {
		return nil, errors.New(strings.TrimSpace(line))
	}
	return words[1:], nil
}

func (p *coprocess) ask(format string, args ...any) ([]string, error) {
	if err := p.tell(format, args...); err != nil {
		return nil, err
	}
	return p.answer()
}

// numbers is ask for an answer that is numbers.
func (p *coprocess) numbers(format string, args ...any) ([]uint64, error) {
	words, err := p.ask(format, args...)
	if err != nil {
		return nil, err
	}
	return parseNumbers(words)
}

func parseNumbers(words []string) ([]uint64, error) {
	values := make([]uint64, len(words))
	for i, word := range words {
		value, err := strconv.ParseUint(word, 0, 64)
		if err != nil {
			return nil, err
		}
		values[i] = value
	}
	return values, nil
}

// number is numbers for an answer that begins with the one that is wanted.
func (p *coprocess) number(format string, args ...any) (uint64, error) {
	values, err := p.numbers(format, args...)
	if err == nil && len(values) == 0 {
		err = errors.New("no number in the answer")
	}
	if err != nil {
		return 0, fmt.Errorf(format+": %w", append(args, err)...)
	}
	return values[0], nil
}

// timed makes a timed of a command that ends with the number of calls and is
// answered with nanoseconds.
func (p *coprocess) timed(format string, args ...any) timed {
	return func(calls int) (time.Duration, error) {
		ns, err := p.number(format+" %d", append(args[:len(args):len(args)], calls)...)
		return time.Duration(ns), err
	}
}

// end ends the program and waits for it. A second call does nothing.
func (p *coprocess) end() {
	if p.cmd.ProcessState != nil {
		return
	}
	p.input.Close()
	timer := time.AfterFunc(10*time.Second, func() { p.cmd.Process.Kill() })
	defer timer.Stop()
	p.cmd.Wait()
}
