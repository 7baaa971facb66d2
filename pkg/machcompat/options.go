// SPDX-License-Identifier: Apache-2.0

package machcompat

import (
	"fmt"
	"strconv"
	"time"

	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// Backend is how bytes are copied into another process.
type Backend uint8

// The backends.
const (
	// Auto is ProcessVM where the kernel and the sandbox allow it, else ProcMem.
	Auto Backend = iota
	// ProcessVM is process_vm_writev(2), which checks each page itself. To a page
	// of userfaultfd(2) it waits, as the target itself would, until the page is
	// supplied; nothing but a kill of this program ends that. ProcMem does not
	// wait there, and gives KERN_MEMORY_ERROR.
	ProcessVM
	// ProcMem is /proc/PID/mem, which ignores protection: the target's threads
	// are stopped from the check to the last byte (see [StopPolicy]).
	ProcMem
)

var backendNames = [...]string{Auto: "auto", ProcessVM: "process_vm", ProcMem: "procmem"}

// String returns "auto", "process_vm" or "procmem".
func (b Backend) String() string {
	if int(b) < len(backendNames) {
		return backendNames[b]
	}
	return "Backend(" + strconv.Itoa(int(b)) + ")"
}

// ParseBackend returns the backend of a name that String returns.
func ParseBackend(name string) (Backend, error) {
	for b, n := range backendNames {
		if n == name {
			return Backend(b), nil
		}
	}
	return Auto, fmt.Errorf("no backend %q: auto, process_vm or procmem", name)
}

// StopPolicy says when the target's threads are stopped for a write.
type StopPolicy uint8

// The policies.
const (
	// StopAuto stops for [Atomic], and under [ProcMem] unless the kernel was
	// started with proc_mem.force_override=never.
	StopAuto StopPolicy = iota
	// StopAlways stops for every write. It also closes a gap of ProcessVM: the
	// kernel looks at the protection of up to 1024 pages and then copies, so a
	// page that the target protects in those microseconds is still written.
	StopAlways
	// StopNever never stops. Under [ProcMem] it waives the promise that no byte
	// goes to a page that the target itself could not write at that moment: the
	// target may protect or replace the page between the check and the write. It
	// is for a caller that has stopped the target itself, such as a debugger.
	StopNever
)

var stopNames = [...]string{StopAuto: "auto", StopAlways: "always", StopNever: "never"}

// String returns "auto", "always" or "never".
func (p StopPolicy) String() string {
	if int(p) < len(stopNames) {
		return stopNames[p]
	}
	return "StopPolicy(" + strconv.Itoa(int(p)) + ")"
}

// ParseStopPolicy returns the policy of a name that String returns.
func ParseStopPolicy(name string) (StopPolicy, error) {
	for p, n := range stopNames {
		if n == name {
			return StopPolicy(p), nil
		}
	}
	return StopAuto, fmt.Errorf("no stop policy %q: auto, always or never", name)
}

// Option changes how [TaskForPID] makes a [Task].
type Option func(*settings)

type settings struct {
	backend     Backend
	stop        StopPolicy
	stopTimeout time.Duration
	atomic      bool
	mapSource   procmaps.Source
}

// WithBackend takes one backend and no other. With [Auto], the default, a write
// goes through [ProcMem] only where the kernel lacks process_vm_writev(2) or a
// seccomp filter refuses it.
func WithBackend(b Backend) Option { return func(s *settings) { s.backend = b } }

// WithStop sets when the target is stopped; the default is [StopAuto].
func WithStop(p StopPolicy) Option { return func(s *settings) { s.stop = p } }

// DefaultStopTimeout is how long a call waits for the target's threads to stop
// before it gives up, and how long it keeps them stopped, unless [WithStopTimeout] says otherwise.
const DefaultStopTimeout = 10 * time.Second

// WithStopTimeout sets how long a call waits for the target's threads to stop, and
// keeps them stopped where its context does not say.
// A thread that waits for a disk, or for the child of a vfork, can't be stopped.
// A write through [ProcessVM] that then waits for a page for as long, beyond the
// time that it takes to copy, lets the target go on: the page may be one that
// the target itself supplies (userfaultfd(2)).
func WithStopTimeout(d time.Duration) Option { return func(s *settings) { s.stopTimeout = d } }

// Atomic stops the target's threads for each write, and puts back what was
// written when a write can't be finished: all or nothing, even where the map
// promises memory that cannot be faulted in. It reads the old bytes first, so it needs
// as much memory as it writes. A process that shares the target's memory without
// being one of its threads (CLONE_VM, vfork) is not stopped. See [Task]
// for what that does to a wait for the target in this program.
func Atomic() Option { return func(s *settings) { s.atomic = true } }

// WithMapSource forces one source of the target's mappings, which tests need.
func WithMapSource(source procmaps.Source) Option {
	return func(s *settings) { s.mapSource = source }
}
