// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

type suspendOptions struct {
	targetFlags
	duration time.Duration
	json     bool
}

func newSuspendCmd(s streams) *cobra.Command {
	o := &suspendOptions{}
	cmd := &cobra.Command{
		Use:   "suspend (-p PID | -n NAME) [--for DURATION]",
		Short: "Stop a process until Enter, Ctrl-C or the end of a time",
		Long: `Stop all threads of a process until Enter is pressed, standard input ends,
Ctrl-C, or the time of --for has passed. Then it goes on, as it does however
this command ends: so there is no command to resume it. It keeps its state of
job control.`,
		Example: "  vmwrite suspend -n game\n  vmwrite suspend -p 4711 --for 2s",
		Args:    takesNone,
		RunE: func(*cobra.Command, []string) error {
			return runSuspend(s, o)
		},
	}
	o.targetFlags.add(cmd)
	cmd.Flags().DurationVar(&o.duration, "for", 0, "`TIME` such as 500ms or 2s; 0 is until Enter or Ctrl-C")
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object, when the process goes on")
	return cmd
}

func runSuspend(s streams, o *suspendOptions) error {
	if o.duration < 0 {
		return usagef("--for %v: a time can't be negative", o.duration)
	}
	task, err := o.open()
	if err != nil {
		return err
	}
	defer task.Close()
	interrupted := watchSignals()
	defer interrupted.stop()
	if err := task.Suspend(); err != nil {
		return err
	}
	begun := time.Now()
	enter := make(chan struct{})
	var timeout <-chan time.Time
	until := "; press Enter to let it go on"
	if o.duration > 0 {
		timeout = time.After(o.duration)
		until = fmt.Sprintf(" for %v", o.duration)
	}
	if stopped := fmt.Sprintf("process %d is stopped%s", task.PID(), until); o.json {
		s.notef("%s", stopped)
	} else {
		fmt.Fprintln(s.out, stopped)
	}
	if o.duration == 0 {
		go func() {
			_, _ = bufio.NewReader(s.in).ReadString('\n')
			close(enter)
		}()
	}
	select {
	case <-enter:
	case <-timeout:
	case <-interrupted.first:
	}
	if err := task.Resume(); err != nil {
		return err
	}
	message := fmt.Sprintf("process %d goes on", task.PID())
	if o.json {
		message += fmt.Sprintf(" after %v", time.Since(begun).Round(time.Millisecond))
	}
	return finish(s, o.json, outcome{Op: "task_suspend", PID: task.PID()}, message)
}
