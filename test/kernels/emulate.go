// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
)

// run emulates the machine until it has powered itself off, and returns what its tests
// said. It is emulated even where the kernel could run it as it is (KVM): every run has
// the same processor.
func (m machine) run() result {
	r := result{machine: m}
	started := time.Now()
	r.err = r.emulate()
	r.took = time.Since(started)
	return r
}

func (r *result) emulate() error {
	a := architectures[slices.IndexFunc(architectures, func(a architecture) bool { return a.has(r.machine) })]
	ctx, cancel := context.WithTimeout(context.Background(), *deadline)
	defer cancel()
	line, err := r.commandLine(a.console)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, a.emulator[0], append(slices.Clone(a.emulator[1:]),
		"-cpu", r.processor, "-accel", "tcg,thread=multi", "-smp", "2", "-m", "3072",
		"-display", "none", "-nodefaults", "-no-reboot", "-net", "none",
		"-serial", "stdio", "-kernel", r.image(), "-initrd", a.archive(), "-append", line)...)
	log, err := os.Create(r.log(".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	events, err := os.Create(r.log(".json"))
	if err != nil {
		return err
	}
	defer events.Close()
	cmd.Stderr = log
	console, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := testtarget.StartCommand(cmd); err != nil {
		return err
	}
	err = r.read(io.TeeReader(console, log), events)
	if err != nil { // it may write on
		cancel()
	}
	if waitErr := cmd.Wait(); err == nil {
		err = waitErr
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("the machine was ended after %s", *deadline)
	}
	if err == nil && len(r.ran) != len(r.packages) {
		err = fmt.Errorf("%d packages of %d ran", len(r.ran), len(r.packages))
	}
	return err
}

// commandLine returns that of the kernel: see init for the words in capitals.
func (m machine) commandLine(console string) (string, error) {
	// The names without what all begin with, for there is little room.
	pattern := "^Test(" + strings.TrimPrefix(strings.Join(m.skipped, "|"), "Test") + ")$"
	pattern = strings.ReplaceAll(pattern, "|Test", "|")
	if *skip != "" {
		pattern += "|" + *skip
	}
	// Messages of the kernel's that are no emergency stay out of the tests' output.
	line := strings.Join([]string{"console=" + console, "panic=-1", "loglevel=1", "secretmem.enable=1",
		"YAMA=" + m.yama, "RUN_AS=" + m.user, "PACKAGES=" + strings.Join(m.packages, ","), `"SKIP=` + pattern + `"`, m.append}, " ")
	if len(line) >= 2048 { // COMMAND_LINE_SIZE of both architectures
		return "", fmt.Errorf("the kernel's command line has %d bytes; it takes 2047", len(line))
	}
	return line, nil
}
