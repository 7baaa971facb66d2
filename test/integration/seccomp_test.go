// SPDX-License-Identifier: Apache-2.0

package integration_test

import "github.com/vmwrite/vmwrite/pkg/machcompat"

// filter is the option for a seccomp profile of testdata.
func filter(name string) string { return "--security-opt=seccomp=testdata/" + name + ".json" }

// filtered are the options of a sidecar that may trace, but for the filter.
func filtered(name string) place { return sidecar(trace, filter(name)) }

var cantStop = ending{status: machcompat.KERN_NOT_SUPPORTED, message: []string{
	"KERN_NOT_SUPPORTED (46)", "stopping thread 1", "if you have stopped the process yourself, write without the stop (--stop never",
}}

// Where process_vm_writev is refused, /proc/PID/mem takes over; but that takes a stop,
// unless the user waives it.
var underASeccompFilter = []writeCase{
	{name: "process_vm_writev EPERM", quick: true,
		from: filtered("process-vm-eperm"), want: granted(machcompat.ProcMem)},
	{name: "process_vm_writev ENOSYS",
		from: filtered("process-vm-enosys"), want: granted(machcompat.ProcMem)},
	{name: "process_vm_writev EPERM, seen at the write only",
		from: filtered("process-vm-writev-eperm"), want: granted(machcompat.ProcMem)},
	{name: "process_vm_writev EPERM, a plain user",
		target: []string{filter("process-vm-eperm"), plainUser}, from: sameContainer(), want: granted(machcompat.ProcMem), sameUser: true},
	{name: "process_vm_writev EPERM, no other is allowed",
		from: filtered("process-vm-eperm"), arguments: []string{"--backend=process_vm"}, want: ending{status: machcompat.KERN_NOT_SUPPORTED, message: []string{"task_for_pid", "KERN_NOT_SUPPORTED (46)", "a seccomp filter or the kernel refuses process_vm_writev"}}},
	{name: "process_vm_writev and ptrace EPERM",
		from: filtered("process-vm-ptrace-eperm"), want: cantStop},
	{name: "process_vm_writev and ptrace ENOSYS",
		from: filtered("process-vm-ptrace-enosys"), want: cantStop},
	{name: "process_vm_writev and ptrace EPERM, no stop",
		from: filtered("process-vm-ptrace-eperm"), arguments: []string{"--stop=never"}, want: granted(machcompat.ProcMem)},
	{name: "process_vm_writev and ptrace ENOSYS, no stop",
		from: filtered("process-vm-ptrace-enosys"), arguments: []string{"--stop=never"}, want: granted(machcompat.ProcMem)},
	{name: "ptrace EPERM, for process_vm_writev needs none",
		from: filtered("ptrace-eperm"), want: granted(machcompat.ProcessVM)},
	{name: "ptrace EPERM, a stop is demanded",
		from: filtered("ptrace-eperm"), arguments: []string{"--stop=always"}, want: cantStop},
	{name: "pidfd_open EPERM, for it can do without",
		from: filtered("pidfd-eperm"), want: granted(machcompat.ProcessVM)},
	{name: "pidfd_open ENOSYS, for it can do without",
		from: filtered("pidfd-enosys"), want: granted(machcompat.ProcessVM)},
}

const hostsProc = "--volume=/proc:/proc"

var foreign = refused("/proc is mounted for another pid namespace", "mount a /proc of this one")

// The pids in /proc and those of system calls are then of two namespaces. To
// check the mappings of one process before a write into another would be worse
// than any refusal.
var withAnotherProc = []writeCase{
	{name: "in the target's container",
		target: []string{hostsProc, trace}, from: sameContainer(), want: foreign},
	{name: "in a sidecar",
		from: sidecar(trace, hostsProc), want: foreign},
	{name: "in a sidecar, pidfd_open refused",
		from: sidecar(trace, hostsProc, filter("pidfd-eperm")), want: foreign},
	{name: "in a sidecar, by procmem without a stop",
		from: sidecar(trace, hostsProc), arguments: []string{"--backend=procmem", "--stop=never"}, want: foreign},
	{name: "by the pid in the host's proc",
		from: elsewhere(trace, hostsProc), want: refused("no such process", "another pid namespace")},
	{name: "by the pid in the host's proc, pidfd_open refused",
		from: elsewhere(trace, hostsProc, filter("pidfd-eperm")), want: foreign},
	{name: "in the host's pid namespace it is the right one",
		from: hostSidecar(trace, unconfined, hostsProc), want: granted(machcompat.ProcessVM)},
}
