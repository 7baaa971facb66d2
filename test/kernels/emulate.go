package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// emulate runs the machine until it has powered itself off. It is emulated even where
// the kernel could run it as it is (KVM): every run has the same processor.
func (m machine) emulate(kernel, flags string, deadline time.Duration) error {
	a := architectures[slices.IndexFunc(architectures, func(a architecture) bool { return a.name == m.arch })]
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	// Messages of the kernel's that are no emergency stay out of the tests' output.
	words := []string{"console=" + a.console, "panic=-1", "loglevel=1", "secretmem.enable=1",
		"YAMA=" + m.yama, "RUN_AS=" + m.user, "PACKAGES=" + strings.Join(m.packages, ","), `"TEST_FLAGS=` + flags + `"`, m.append}
	arguments := append(a.emulator[1:],
		"-cpu", m.processor, "-accel", "tcg,thread=multi", "-smp", "2", "-m", "3072",
		"-nographic", "-nodefaults", "-no-reboot", "-net", "none",
		"-serial", "file:"+m.log(".log"), "-kernel", kernel, "-initrd", a.archive(), "-append", strings.Join(words, " "))
	_, err := command(exec.CommandContext(ctx, a.emulator[0], arguments...))
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("the machine was ended after %s", deadline)
	}
	return err
}
