package inject

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/vmwrite/vmwrite/internal/linux"
	"github.com/vmwrite/vmwrite/internal/procstatus"
	"github.com/vmwrite/vmwrite/internal/ptrace"
	"golang.org/x/sys/unix"
)

// Values of Seccomp in /proc/PID/status, and results of a filter: seccomp(2).
const (
	seccompModeNone   = 0
	seccompModeFilter = 2
	seccompAllow      = 0x7fff0000
	seccompLog        = 0x7ffc0000
	seccompActionMask = 0xffff0000
)

// readFilters reads the seccomp filters of the thread, which stay what they are
// while the process is stopped, and notes whether the processor checks where the
// thread returns to, which the same file says. It fails when they can't be read,
// which takes CAP_SYS_ADMIN.
func (t *thread) readFilters() error {
	status, err := procstatus.ReadThread(t.target.Session.PID(), t.tid)
	t.shadowStack = status.X86Features != ""
	switch {
	case err != nil:
		return &ptrace.StopError{TID: t.tid, Err: err}
	case status.Seccomp == seccompModeNone:
		return nil
	case status.Seccomp != seccompModeFilter:
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
		t.filters = append(t.filters, slices.Clone(program[:n]))
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
	for _, program := range t.filters {
		action, err := runFilter(program, data)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrSeccomp, err)
		}
		if action&seccompActionMask != seccompAllow && action&seccompActionMask != seccompLog {
			return fmt.Errorf("%w: it answers %#x to system call %d", ErrSeccomp, action, number)
		}
	}
	return nil
}

// seccompData is struct seccomp_data of the uapi header linux/seccomp.h.
func seccompData(number, audit uint32, instruction uint64, arguments [6]uint64) []byte {
	data := binary.NativeEndian.AppendUint32(nil, number)
	data = binary.NativeEndian.AppendUint32(data, audit)
	data = binary.NativeEndian.AppendUint64(data, instruction)
	for _, argument := range arguments {
		data = binary.NativeEndian.AppendUint64(data, argument)
	}
	return data
}

// filterMachine is the classic BPF machine of networking/filter.rst in the
// kernel's documentation, as far as seccomp filters may use it.
type filterMachine struct {
	a, x    uint32
	scratch [16]uint32
	data    []byte
}

var errBadFilter = fmt.Errorf("the filter holds an instruction that no filter may: %w", unix.EINVAL)

// runFilter returns what a filter answers to data.
func runFilter(program []unix.SockFilter, data []byte) (uint32, error) {
	m := filterMachine{data: data}
	for pc := 0; pc < len(program); pc++ {
		in := program[pc]
		switch in.Code & 0x07 {
		case unix.BPF_RET:
			if in.Code&0x18 == unix.BPF_A {
				return m.a, nil
			}
			return in.K, nil
		case unix.BPF_JMP:
			pc += m.jump(in)
		default:
			if !m.step(in) {
				return 0, errBadFilter
			}
		}
	}
	return 0, errBadFilter
}

// jump returns how many instructions are left out.
func (m *filterMachine) jump(in unix.SockFilter) int {
	operand := in.K
	if in.Code&unix.BPF_X != 0 {
		operand = m.x
	}
	holds := false
	switch in.Code & 0xf0 {
	case unix.BPF_JA:
		return int(min(in.K, unix.BPF_MAXINSNS)) // beyond the end all are alike
	case unix.BPF_JEQ:
		holds = m.a == operand
	case unix.BPF_JGT:
		holds = m.a > operand
	case unix.BPF_JGE:
		holds = m.a >= operand
	case unix.BPF_JSET:
		holds = m.a&operand != 0
	}
	if holds {
		return int(in.Jt)
	}
	return int(in.Jf)
}

// step does an instruction that neither jumps nor returns. It reports whether a
// filter may hold it.
func (m *filterMachine) step(in unix.SockFilter) bool {
	switch in.Code & 0x07 {
	case unix.BPF_LD:
		return m.load(in, &m.a)
	case unix.BPF_LDX:
		return m.load(in, &m.x)
	case unix.BPF_ST:
		m.scratch[in.K%16] = m.a
	case unix.BPF_STX:
		m.scratch[in.K%16] = m.x
	case unix.BPF_MISC:
		if in.Code&0xf8 == unix.BPF_TXA {
			m.a = m.x
		} else {
			m.x = m.a
		}
	case unix.BPF_ALU:
		return m.alu(in)
	}
	return true
}

func (m *filterMachine) load(in unix.SockFilter, to *uint32) bool {
	switch in.Code & 0xe0 {
	case unix.BPF_ABS:
		if uint64(in.K)+4 > uint64(len(m.data)) {
			return false
		}
		*to = binary.NativeEndian.Uint32(m.data[in.K:])
	case unix.BPF_IMM:
		*to = in.K
	case unix.BPF_MEM:
		*to = m.scratch[in.K%16]
	case unix.BPF_LEN:
		*to = uint32(len(m.data))
	default:
		return false
	}
	return true
}

func (m *filterMachine) alu(in unix.SockFilter) bool {
	operand := in.K
	if in.Code&unix.BPF_X != 0 {
		operand = m.x
	}
	switch in.Code & 0xf0 {
	case unix.BPF_ADD:
		m.a += operand
	case unix.BPF_SUB:
		m.a -= operand
	case unix.BPF_MUL:
		m.a *= operand
	case unix.BPF_DIV:
		if operand == 0 {
			return false
		}
		m.a /= operand
	case unix.BPF_OR:
		m.a |= operand
	case unix.BPF_AND:
		m.a &= operand
	case unix.BPF_XOR:
		m.a ^= operand
	case unix.BPF_LSH:
		m.a <<= operand & 31
	case unix.BPF_RSH:
		m.a >>= operand & 31
	case unix.BPF_NEG:
		m.a = -m.a
	default:
		return false
	}
	return true
}
