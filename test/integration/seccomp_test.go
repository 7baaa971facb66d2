package integration_test

import (
	"testing"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// filter is the option for a seccomp profile of testdata.
func filter(name string) string { return "--security-opt=seccomp=testdata/" + name + ".json" }

// filtered are the options of a sidecar that may trace, but for the filter.
func filtered(name string) place { return sidecar(trace, filter(name)) }

func TestWritingUnderASeccompFilter(t *testing.T) {
	needDocker(t)
	const waiver = "if you have stopped the process yourself, write without the stop (--stop never"
	cantStop := ending{status: machcompat.KERN_NOT_SUPPORTED, message: []string{"KERN_NOT_SUPPORTED (46)", "stopping thread 1", waiver}}
	runCases(t, []writeCase{
		{name: "process_vm_writev answers EPERM: /proc/PID/mem takes over",
			from: filtered("process-vm-eperm"), want: granted(machcompat.ProcMem)},
		{name: "process_vm_writev answers ENOSYS: /proc/PID/mem takes over",
			from: filtered("process-vm-enosys"), want: granted(machcompat.ProcMem)},
		{name: "only process_vm_writev is refused, which comes to light at the write: /proc/PID/mem takes over",
			from: filtered("process-vm-writev-eperm"), want: granted(machcompat.ProcMem)},
		{name: "process_vm_writev answers EPERM in the target's container, to a plain user: /proc/PID/mem takes over",
			target: []string{filter("process-vm-eperm"), plainUser}, from: sameContainer(), want: granted(machcompat.ProcMem), sameUser: true},
		{name: "process_vm_writev answers EPERM and another backend is forbidden: refused",
			from: filtered("process-vm-eperm"), arguments: []string{"--backend=process_vm"}, want: ending{status: machcompat.KERN_NOT_SUPPORTED, message: []string{"task_for_pid", "KERN_NOT_SUPPORTED (46)", "a seccomp filter or the kernel refuses process_vm_writev"}}},
		{name: "process_vm_writev and ptrace answer EPERM: the target can't be stopped, so nothing is written",
			from: filtered("process-vm-ptrace-eperm"), want: cantStop},
		{name: "process_vm_writev and ptrace answer ENOSYS: the target can't be stopped, so nothing is written",
			from: filtered("process-vm-ptrace-enosys"), want: cantStop},
		{name: "process_vm_writev and ptrace answer EPERM: --stop never writes through /proc/PID/mem",
			from: filtered("process-vm-ptrace-eperm"), arguments: []string{"--stop=never"}, want: granted(machcompat.ProcMem)},
		{name: "process_vm_writev and ptrace answer ENOSYS: --stop never writes through /proc/PID/mem",
			from: filtered("process-vm-ptrace-enosys"), arguments: []string{"--stop=never"}, want: granted(machcompat.ProcMem)},
		{name: "ptrace answers EPERM: process_vm_writev needs no stop",
			from: filtered("ptrace-eperm"), want: granted(machcompat.ProcessVM)},
		{name: "ptrace answers EPERM and a stop is demanded: refused",
			from: filtered("ptrace-eperm"), arguments: []string{"--stop=always"}, want: cantStop},
		{name: "pidfd_open answers EPERM: written without it",
			from: filtered("pidfd-eperm"), want: granted(machcompat.ProcessVM)},
		{name: "pidfd_open answers ENOSYS: written without it",
			from: filtered("pidfd-enosys"), want: granted(machcompat.ProcessVM)},
	})
}

// The pids in /proc and those of system calls are then of two namespaces. To
// check the mappings of one process before a write into another would be worse
// than any refusal.
func TestWritingWithTheProcOfAnotherPidNamespaceIsRefused(t *testing.T) {
	needDocker(t)
	const hostsProc = "--volume=/proc:/proc"
	foreign := refused("/proc is mounted for another pid namespace", "mount a /proc of this one")
	runCases(t, []writeCase{
		{name: "in the target's container",
			target: []string{hostsProc, trace}, from: sameContainer(), want: foreign},
		{name: "in a sidecar",
			from: sidecar(trace, hostsProc), want: foreign},
		{name: "in a sidecar where pidfd_open is refused",
			from: sidecar(trace, hostsProc, filter("pidfd-eperm")), want: foreign},
		{name: "in a sidecar that goes through /proc/PID/mem without a stop",
			from: sidecar(trace, hostsProc), arguments: []string{"--backend=procmem", "--stop=never"}, want: foreign},
		{name: "in a container that knows the target by its pid in the host's /proc only",
			from: elsewhere(trace, hostsProc), want: refused("no such process", "another pid namespace")},
		{name: "in a container that knows the target by its pid in the host's /proc only, where pidfd_open is refused",
			from: elsewhere(trace, hostsProc, filter("pidfd-eperm")), want: foreign},
		{name: "but with the host's pid namespace it is the right one",
			from: hostSidecar(trace, unconfined, hostsProc), want: granted(machcompat.ProcessVM)},
	})
}
