// Package procstatus reads what /proc says of a process or a thread: who it is,
// what it may and what it does (proc_pid_status(5)).
//
// It stands where a library for all of /proc would do as well, but for a third
// of a millisecond that such a library takes to start, which is a tenth of the
// life of a command that writes four bytes.
package procstatus

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Status is what /proc/PID/status says. What the kernel leaves out is zero.
type Status struct {
	Name    string // of the program, at most 15 bytes, as the kernel escapes it
	State   string // one letter: R, S, D, T, t, Z, X, I
	PPID    int
	Threads int
	Tracer  int // the thread that traces it

	UIDs, GIDs [4]uint64 // real, effective, saved, of the file system

	CapPrm, CapEff, CapBnd uint64

	Seccomp     int    // mode of seccomp(2)
	X86Features string // such as "shstk", a shadow stack
}

// Read reads the status of a process.
func Read(pid int) (Status, error) { return read("/proc/" + strconv.Itoa(pid) + "/status") }

// ReadThread reads the status of a thread of a process.
func ReadThread(pid, tid int) (Status, error) {
	return read("/proc/" + strconv.Itoa(pid) + "/task/" + strconv.Itoa(tid) + "/status")
}

func read(path string) (Status, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Status{}, err
	}
	s, err := parse(string(text))
	if err != nil {
		return Status{}, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// parse reads the lines that it knows.
func parse(text string) (s Status, err error) {
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		var lineErr error
		switch name {
		case "Name":
			s.Name = value
		case "State":
			s.State, _, _ = strings.Cut(value, " ")
		case "PPid":
			s.PPID, lineErr = strconv.Atoi(value)
		case "Threads":
			s.Threads, lineErr = strconv.Atoi(value)
		case "TracerPid":
			s.Tracer, lineErr = strconv.Atoi(value)
		case "Uid":
			s.UIDs, lineErr = ids(value)
		case "Gid":
			s.GIDs, lineErr = ids(value)
		case "CapPrm":
			s.CapPrm, lineErr = strconv.ParseUint(value, 16, 64)
		case "CapEff":
			s.CapEff, lineErr = strconv.ParseUint(value, 16, 64)
		case "CapBnd":
			s.CapBnd, lineErr = strconv.ParseUint(value, 16, 64)
		case "Seccomp":
			s.Seccomp, lineErr = strconv.Atoi(value)
		case "x86_Thread_features":
			s.X86Features = value
		}
		if lineErr != nil {
			return Status{}, fmt.Errorf("line %q: %w", line, lineErr)
		}
	}
	return s, nil
}

func ids(text string) (four [4]uint64, err error) {
	fields := strings.Fields(text)
	if len(fields) != len(four) {
		return four, errors.New("not four numbers")
	}
	for i, field := range fields {
		if four[i], err = strconv.ParseUint(field, 10, 32); err != nil {
			return four, err
		}
	}
	return four, nil
}

// IsKernelThread reports whether the process is a thread of the kernel's, by the
// flags in /proc/PID/stat (proc_pid_stat(5)).
func IsKernelThread(pid int) bool {
	const kernelThread = 0x00200000 // PF_KTHREAD of the kernel's linux/sched.h
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	// The name stands in parentheses, and may hold some itself.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	const flagsField = 9 - 3 // the first behind the name is number 3
	if len(fields) <= flagsField {
		return false
	}
	flags, err := strconv.ParseUint(fields[flagsField], 10, 64)
	return err == nil && flags&kernelThread != 0
}

// All lists the processes that /proc shows, by their number.
func All() ([]int, error) {
	pids, err := numbersIn("/proc")
	slices.Sort(pids)
	return pids, err
}

// Threads lists the threads of a process, dead ones too. The error is ENOENT or
// ESRCH when there is no such process, or, with those that were found by then and
// not nil, when it ends meanwhile.
func Threads(pid int) ([]int, error) { return numbersIn("/proc/" + strconv.Itoa(pid) + "/task") }

// numbersIn lists the names in a directory that are numbers.
func numbersIn(path string) ([]int, error) {
	directory, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer directory.Close()
	names, err := directory.Readdirnames(-1)
	numbers := make([]int, 0, len(names))
	for _, name := range names {
		if number, err := strconv.Atoi(name); err == nil {
			numbers = append(numbers, number)
		}
	}
	return numbers, err
}

// CommandLine returns the arguments of a process, none for a kernel thread and a
// zombie: proc_pid_cmdline(5).
func CommandLine(pid int) ([]string, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	if err != nil || len(text) == 0 {
		return nil, err
	}
	return strings.Split(strings.TrimRight(string(text), "\x00"), "\x00"), nil
}

// Command returns the name of a process that the kernel keeps, at most 15 bytes,
// as it is: proc_pid_comm(5).
func Command(pid int) (string, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
	return strings.TrimSuffix(string(text), "\n"), err
}

// TracerOf returns the thread that traces the process pid, 0 when none does or
// it can't be told.
func TracerOf(pid int) int {
	status, err := Read(pid)
	if err != nil {
		return 0
	}
	return status.Tracer
}
