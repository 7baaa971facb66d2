// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"encoding/binary"
	"fmt"

	"github.com/vmwrite/vmwrite/internal/linux"
	"github.com/vmwrite/vmwrite/internal/procstatus"
	"github.com/vmwrite/vmwrite/internal/ptrace"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// readFilters reads the seccomp filters of the thread, which stay what they are
// while the process is stopped, and notes whether the processor checks where the
// thread returns to, which the same file says. It fails when they can't be read,
// which takes CAP_SYS_ADMIN and no filter on this process.
func (t *thread) readFilters() error {
	status, err := procstatus.ReadThread(t.target.Session.PID(), t.tid)
	t.shadowStack = status.X86Features != ""
	switch {
	case err != nil:
		return &ptrace.StopError{TID: t.tid, Err: err}
	case status.Seccomp == unix.SECCOMP_MODE_DISABLED:
		return nil
	case status.Seccomp != unix.SECCOMP_MODE_FILTER:
		return fmt.Errorf("%w: strict mode", ErrSeccomp)
	}
	var program [unix.BPF_MAXINSNS]unix.SockFilter
	for {
		n, err := linux.PtraceSeccompFilter(t.tid, len(t.filters), &program)
		if err == unix.ENOENT && len(t.filters) > 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w, and can't be read to see whether it does: %w", ErrSeccomp, err)
		}
		filter, err := newFilter(program[:n])
		if err != nil {
			return fmt.Errorf("%w: %w", ErrSeccomp, err)
		}
		t.filters = append(t.filters, filter)
	}
}

// confirmAllowed makes sure that no seccomp filter of the thread would act on the
// system call, because many end the process.
func (t *thread) confirmAllowed(instruction, number uint64, arguments [6]uint64) error {
	if !t.filtersRead {
		t.filters = nil
		if err := t.readFilters(); err != nil {
			return err
		}
		t.filtersRead = true
	}
	data := seccompData(uint32(number), t.saved.abi.audit, instruction, arguments)
	for _, filter := range t.filters {
		result, err := filter.Run(data)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrSeccomp, err)
		}
		answer := uint32(result)
		if action := answer & unix.SECCOMP_RET_ACTION_FULL; action != unix.SECCOMP_RET_ALLOW && action != unix.SECCOMP_RET_LOG {
			return fmt.Errorf("%w: it answers %#x to system call %d", ErrSeccomp, answer, number)
		}
	}
	return nil
}

const seccompDataSize = 64

// seccompData is struct seccomp_data of the uapi header linux/seccomp.h. Filters
// load words of it in the byte order of the machine, and package bpf big endian ones.
func seccompData(number, audit uint32, instruction uint64, arguments [6]uint64) []byte {
	data := make([]byte, 0, seccompDataSize)
	data = binary.NativeEndian.AppendUint32(data, number)
	data = binary.NativeEndian.AppendUint32(data, audit)
	data = binary.NativeEndian.AppendUint64(data, instruction)
	for _, argument := range arguments {
		data = binary.NativeEndian.AppendUint64(data, argument)
	}
	for at := 0; at < len(data); at += 4 {
		binary.BigEndian.PutUint32(data[at:], binary.NativeEndian.Uint32(data[at:]))
	}
	return data
}

// newFilter returns what runs a filter that the kernel has accepted. It fails where
// package bpf would run it in another way than the kernel.
func newFilter(program []unix.SockFilter) (*bpf.VM, error) {
	instructions := make([]bpf.Instruction, len(program))
	for i, in := range program {
		same := true
		instructions[i] = bpf.RawInstruction{Op: in.Code, Jt: in.Jt, Jf: in.Jf, K: in.K}.Disassemble()
		switch known := instructions[i].(type) {
		case bpf.LoadAbsolute:
			same = in.Code == unix.BPF_LD|unix.BPF_ABS && known.Off < seccompDataSize && known.Off%4 == 0
		case bpf.LoadExtension: // the length, which package bpf loads into A, never into X
			same = in.Code&unix.BPF_LEN != 0
			instructions[i] = bpf.LoadConstant{Dst: bpf.Register(in.Code & unix.BPF_LDX), Val: seccompDataSize}
		case bpf.LoadIndirect, bpf.LoadMemShift:
			same = false // no filter of seccomp has these
		case bpf.ALUOpX: // the kernel shifts by the last 5 bits of X
			same = known.Op != bpf.ALUOpShiftLeft && known.Op != bpf.ALUOpShiftRight
		case bpf.Jump:
			same = known.Skip < unix.BPF_MAXINSNS // package bpf adds it as an int
		}
		if !same {
			return nil, fmt.Errorf("its instruction %d (%#x) can't be run here", i, in.Code)
		}
	}
	return bpf.NewVM(instructions)
}
