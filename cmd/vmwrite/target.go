// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// targetFlags name the process.
type targetFlags struct {
	pid    string
	name   string
	prefix bool
}

func (f *targetFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.pid, "pid", "p", "", "the process, by its `PID`")
	cmd.Flags().StringVarP(&f.name, "name", "n", "", "the process, by its `NAME`; there must be only one")
	cmd.Flags().BoolVar(&f.prefix, "prefix", false, "with -n, the beginning of a name is enough")
	cmd.RegisterFlagCompletionFunc("pid", completePIDs)
	cmd.RegisterFlagCompletionFunc("name", completeNames)
	parse := cmd.Args
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := f.named(args); err != nil || parse == nil {
			return err
		}
		return parse(cmd, args)
	}
}

// named refuses a process that is named where an argument stands.
func (f *targetFlags) named(args []string) error {
	if f.pid != "" || f.name != "" || len(args) == 0 || isAddress(args[0]) {
		return nil
	}
	flag := "-n"
	if isPID(args[0]) {
		flag = "-p"
	}
	return usagef("which process? name it with %s %s", flag, procmaps.Printable(args[0]))
}

// resolve returns the pid.
func (f *targetFlags) resolve() (int, error) {
	switch {
	case f.pid != "" && f.name != "":
		return 0, usagef("name the process with -p or with -n, not both")
	case f.name != "":
		return pidOfName(f.name, f.prefix)
	case f.prefix:
		return 0, usagef("--prefix goes with -n NAME")
	case f.pid == "":
		return 0, usagef("which process? name it with -p PID or -n NAME (vmwrite ps lists them)")
	case strings.Trim(f.pid, "-0123456789") == "" && !isPID(f.pid):
		return 0, usagef("%q is not a pid", f.pid)
	case !isPID(f.pid):
		return 0, usagef("%q is not a pid; to name a process by its name, give -n %s", f.pid, procmaps.Printable(f.pid))
	}
	pid, err := strconv.Atoi(f.pid)
	if err == nil && pid == os.Getpid() {
		err = ownProcess(pid)
	}
	return pid, err
}

func isPID(text string) bool {
	pid, err := strconv.ParseInt(text, 10, 32)
	return err == nil && pid > 0
}

// open takes hold of the process.
func (f *targetFlags) open(options ...machcompat.Option) (*machcompat.Task, error) {
	pid, err := f.resolve()
	if err != nil {
		return nil, err
	}
	return machcompat.TaskForPID(pid, options...)
}

// backendFlags say how bytes get there.
type backendFlags struct {
	backend string
	stop    string
	atomic  bool
}

func (f *backendFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.backend, "backend", "auto", "`BACKEND` that bytes go through: auto, process_vm or procmem")
	cmd.RegisterFlagCompletionFunc("backend", cobra.FixedCompletions([]string{"auto", "process_vm", "procmem"}, cobra.ShellCompDirectiveNoFileComp))
}

func (f *backendFlags) addStop(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.stop, "stop", "auto", "`WHEN` to stop the process meanwhile: auto, always or never")
	cmd.Flags().BoolVar(&f.atomic, "atomic", false, "stop the process, and put back what was written if not all can be")
	cmd.RegisterFlagCompletionFunc("stop", cobra.FixedCompletions([]string{"auto", "always", "never"}, cobra.ShellCompDirectiveNoFileComp))
}

// options parses the flags.
func (f *backendFlags) options() ([]machcompat.Option, error) {
	backend, err := machcompat.ParseBackend(f.backend)
	if err != nil {
		return nil, usagef("--backend: %v", err)
	}
	options := []machcompat.Option{machcompat.WithBackend(backend)}
	if f.stop != "" {
		stop, err := machcompat.ParseStopPolicy(f.stop)
		if err != nil {
			return nil, usagef("--stop: %v", err)
		}
		options = append(options, machcompat.WithStop(stop))
	}
	if f.atomic {
		if f.stop == "never" {
			return nil, usagef("--atomic needs the process stopped, and --stop never forbids it")
		}
		options = append(options, machcompat.Atomic())
	}
	return options, nil
}
