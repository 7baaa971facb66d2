package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"github.com/prometheus/procfs"
	"github.com/spf13/cobra"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"golang.org/x/sys/unix"
)

// targetFlags name the process.
type targetFlags struct {
	pid  string
	name string
}

func (f *targetFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.pid, "pid", "p", "", "the process, by its pid")
	cmd.Flags().StringVarP(&f.name, "name", "n", "", "the process, by its name; there must be only one")
	cmd.RegisterFlagCompletionFunc("pid", completePIDs)
	cmd.RegisterFlagCompletionFunc("name", completeNames)
}

// resolve returns the pid.
func (f *targetFlags) resolve() (int, error) {
	switch {
	case f.pid != "" && f.name != "":
		return 0, usagef("name the process with -p or with -n, not both")
	case f.name != "":
		return pidOfName(f.name)
	case f.pid == "":
		return 0, usagef("which process? name it with -p PID or -n NAME")
	}
	pid, err := strconv.ParseInt(f.pid, 10, 32)
	if err != nil || pid <= 0 {
		return 0, usagef("%q is not a pid", f.pid)
	}
	if int(pid) == os.Getpid() {
		return 0, ownProcess(int(pid))
	}
	return int(pid), nil
}

// open takes hold of the process.
func (f *targetFlags) open(options ...machcompat.Option) (*machcompat.Task, error) {
	pid, err := f.resolve()
	if err != nil {
		return nil, err
	}
	return machcompat.TaskForPID(pid, options...)
}

// process is what a person knows a process by.
type process struct {
	pid     int
	name    string
	command string
	uid     uint64
}

func (p process) String() string {
	return fmt.Sprintf("%d %s", p.pid, procmaps.Printable(p.command))
}

// processes lists what /proc shows, but this program and what has no memory.
func processes() ([]process, error) {
	all, err := procfs.AllProcs()
	if err != nil {
		return nil, &fileError{fmt.Errorf("listing the processes: %w", err)}
	}
	sort.Sort(all)
	var list []process
	for _, proc := range all {
		// Unlike Comm, Stat keeps the spaces around a name.
		stat, statErr := proc.Stat()
		status, statusErr := proc.NewStatus()
		arguments, err := proc.CmdLine()
		if errors.Join(statErr, statusErr, err) != nil || len(arguments) == 0 || proc.PID == os.Getpid() {
			continue
		}
		p := process{pid: proc.PID, name: stat.Comm, command: strings.Join(arguments, " "), uid: status.UIDs[1]}
		// The kernel cuts the name at 15 bytes; the program's own is whole.
		if whole := filepath.Base(arguments[0]); strings.HasPrefix(whole, stat.Comm) {
			p.name = whole
		}
		list = append(list, p)
	}
	return list, nil
}

// pidOfName returns the pid of the only process of that name.
func pidOfName(name string) (int, error) {
	list, err := processes()
	if err != nil {
		return 0, err
	}
	var found []process
	for _, p := range list {
		if p.name == name || (len(p.name) > 15 && p.name[:15] == name) {
			found = append(found, p)
		}
	}
	switch len(found) {
	case 0:
		return 0, &machcompat.Error{Op: "task_for_pid", Code: machcompat.KERN_FAILURE, Err: fmt.Errorf("no process is named %q: %w", name, unix.ESRCH)}
	case 1:
		return found[0].pid, nil
	}
	var lines []string
	for _, p := range found {
		lines = append(lines, p.String())
	}
	return 0, usagef("%d processes are named %q; choose one with -p: %s", len(found), name, strings.Join(lines, "; "))
}

// backendFlags say how bytes get there.
type backendFlags struct {
	backend string
	stop    string
	atomic  bool
}

func (f *backendFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.backend, "backend", "auto", "how bytes get there: auto, process_vm or procmem")
	cmd.RegisterFlagCompletionFunc("backend", cobra.FixedCompletions([]string{"auto", "process_vm", "procmem"}, cobra.ShellCompDirectiveNoFileComp))
}

func (f *backendFlags) addStop(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.stop, "stop", "auto", "when to stop the process meanwhile: auto, always or never")
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

// wordSize returns the bytes of a pointer in the process: 4 or 8. What can't be
// told counts as the machine's own. (debug/elf would read all of the program's
// sections, and takes a tenth of a millisecond to start.)
func wordSize(pid int) int {
	const class32, class64 = 1, 2 // ELFCLASS32, ELFCLASS64 of elf(5)
	var header [5]byte
	file, err := os.Open("/proc/" + strconv.Itoa(pid) + "/exe")
	if err == nil {
		_, err = io.ReadFull(file, header[:])
		file.Close()
	}
	switch {
	case err != nil || string(header[:4]) != "\x7fELF":
	case header[4] == class32:
		return 4
	case header[4] == class64:
		return 8
	}
	return strconv.IntSize / 8
}

func completePIDs(_ *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
	return complete(prefix, func(p process) string { return strconv.Itoa(p.pid) })
}

func completeNames(_ *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
	return complete(prefix, func(p process) string { return p.name })
}

// complete offers the processes of this user.
func complete(prefix string, word func(process) string) ([]string, cobra.ShellCompDirective) {
	list, err := processes()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var words []string
	for _, p := range list {
		if p.uid == uint64(os.Geteuid()) && strings.HasPrefix(word(p), prefix) {
			words = append(words, cobra.CompletionWithDesc(word(p), procmaps.Printable(p.command)))
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}
