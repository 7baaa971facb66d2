// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

func runFilter(program []unix.SockFilter, data []byte) (uint32, error) {
	filter, err := newFilter(program)
	if err != nil {
		return 0, err
	}
	answer, err := filter.Run(data)
	return uint32(answer), err
}

func one(code uint16, operand uint32) unix.SockFilter {
	return unix.SockFilter{Code: code, K: operand}
}

func TestFiltersAnswerAsTheKernelRunsThem(t *testing.T) {
	const load, jump = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JA
	returns := func(k uint32) unix.SockFilter { return one(unix.BPF_RET|unix.BPF_K, k) }
	returnA := one(unix.BPF_RET|unix.BPF_A, 0)
	aToX, xToA := one(unix.BPF_MISC|unix.BPF_TAX, 0), one(unix.BPF_MISC|unix.BPF_TXA, 0)
	data := seccompData(10, unix.AUDIT_ARCH_X86_64, 0x1234567890, [6]uint64{0: 0x1122334455667788})
	type program = []unix.SockFilter
	for _, c := range []struct {
		name    string
		program program
		want    uint32
		bad     bool
	}{
		{"the number", program{one(load, 0), {Code: unix.BPF_JMP | unix.BPF_JEQ, K: 10, Jf: 1}, returns(1), returns(2)}, 1, false},
		{"the architecture", program{one(load, 4), returnA}, unix.AUDIT_ARCH_X86_64, false},
		{"a mask", program{one(load, 0), one(unix.BPF_ALU|unix.BPF_AND, 2), returnA}, 2, false},
		{"memory and x", program{one(load, 0), one(unix.BPF_ST, 3), one(unix.BPF_LDX|unix.BPF_MEM, 3), one(unix.BPF_ALU|unix.BPF_ADD|unix.BPF_X, 0), returnA}, 20, false},
		{"a jump", program{one(jump, 1), returns(1), returns(7)}, 7, false},
		{"the length", program{one(unix.BPF_LD|unix.BPF_LEN, 0), returnA}, 64, false},
		{"the length goes to x", program{one(load, 0), one(unix.BPF_LDX|unix.BPF_LEN, 0), returnA}, 10, false},
		{"the length in x", program{one(unix.BPF_LDX|unix.BPF_LEN, 0), xToA, returnA}, 64, false},
		{"an answer with all bits", program{returns(0xffffffff)}, 0xffffffff, false},
		{"a division by an x of zero kills", program{one(load, 0), one(unix.BPF_ALU|unix.BPF_DIV|unix.BPF_X, 0), returns(unix.SECCOMP_RET_ALLOW)}, 0, false},

		{"a division by zero", program{one(unix.BPF_ALU|unix.BPF_DIV, 0), returns(1)}, 0, true},
		{"a negation", program{one(unix.BPF_ALU|unix.BPF_NEG, 0), returns(1)}, 0, true},
		{"a shift by x, which may be 32 and more", program{one(load, 0), aToX, one(unix.BPF_ALU|unix.BPF_LSH|unix.BPF_X, 0), returns(1)}, 0, true},
		{"a load beyond the data", program{one(load, 64), returns(1)}, 0, true},
		{"a load of a negative place", program{one(load, 0xfffffff0), returns(1)}, 0, true},
		{"a load of what is no word of the data", program{one(load, 61), returns(1)}, 0, true},
		{"a load of a byte", program{one(unix.BPF_LD|unix.BPF_B|unix.BPF_ABS, 0), returns(1)}, 0, true},
		{"a load of data to x", program{one(unix.BPF_LDX|unix.BPF_ABS, 0), returns(1)}, 0, true},
		{"a load from where x says", program{one(unix.BPF_LD|unix.BPF_IND, 0), returns(1)}, 0, true},
		{"a load of a packet's header length", program{one(unix.BPF_LDX|unix.BPF_B|unix.BPF_MSH, 0), returns(1)}, 0, true},
		{"an extension for packets", program{one(load, 0xfffff001), returns(1)}, 0, true},
		{"a place that the scratch memory does not have", program{one(unix.BPF_ST, 16), returns(1)}, 0, true},
		{"an unknown instruction", program{one(0xffff, 0), returns(1)}, 0, true},
		{"a jump behind the end", program{one(jump, 0xffffffff), returns(1)}, 0, true},
		{"no end", program{one(load, 0)}, 0, true},
		{"no instruction", nil, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := runFilter(c.program, data)
			if (err != nil) != c.bad || got != c.want {
				t.Errorf("it answers %#x, %v; want %#x", got, err, c.want)
			}
		})
	}
	t.Run("either half of an argument", func(t *testing.T) {
		const argument, other = 16, 20
		low, _ := runFilter(program{one(load, argument), returnA}, data)
		high, _ := runFilter(program{one(load, other), returnA}, data)
		if got := binary.NativeEndian.Uint64(binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint32(nil, low), high)); got != 0x1122334455667788 {
			t.Errorf("the argument is %#x", got)
		}
	})
}

// TestEveryInstructionOfAFilter has each instruction that seccomp(2) lets into a
// filter work on 0x30 and 5, and answers with the accumulator.
func TestEveryInstructionOfAFilter(t *testing.T) {
	const alu, jmp, k, x = unix.BPF_ALU, unix.BPF_JMP, unix.BPF_K, unix.BPF_X
	const yes, no = 1, 0
	jump := func(code uint16, operand uint32) unix.SockFilter {
		return unix.SockFilter{Code: jmp | code, K: operand, Jt: 0, Jf: 2}
	}
	tests := []struct {
		name   string
		middle unix.SockFilter
		want   uint32 // of the accumulator; of a jump, whether it is taken
	}{
		{"add", one(alu|unix.BPF_ADD|k, 7), 0x37},
		{"add x", one(alu|unix.BPF_ADD|x, 0), 0x35},
		{"sub", one(alu|unix.BPF_SUB|k, 0x31), 0xffffffff},
		{"sub x", one(alu|unix.BPF_SUB|x, 0), 0x2b},
		{"mul", one(alu|unix.BPF_MUL|k, 0x10000000), 0},
		{"mul x", one(alu|unix.BPF_MUL|x, 0), 0xf0},
		{"div", one(alu|unix.BPF_DIV|k, 7), 6},
		{"div x", one(alu|unix.BPF_DIV|x, 0), 9},
		{"or", one(alu|unix.BPF_OR|k, 3), 0x33},
		{"and x", one(alu|unix.BPF_AND|x, 0), 0},
		{"xor", one(alu|unix.BPF_XOR|k, 0xff), 0xcf},
		{"shift left", one(alu|unix.BPF_LSH|k, 28), 0},
		{"shift right", one(alu|unix.BPF_RSH|k, 4), 3},
		{"x to a", one(unix.BPF_MISC|unix.BPF_TXA, 0), 5},
		{"a to x", one(unix.BPF_MISC|unix.BPF_TAX, 0), 0x30},
		{"load of a number", one(unix.BPF_LD|unix.BPF_IMM, 9), 9},
		{"load of the memory", one(unix.BPF_LD|unix.BPF_MEM, 15), 5},
		{"load of the length to x", one(unix.BPF_LDX|unix.BPF_W|unix.BPF_LEN, 0), 0x30},
		{"store of x", one(unix.BPF_STX, 0), 0x30},
		{"equal", jump(unix.BPF_JEQ|k, 0x30), yes},
		{"not equal", jump(unix.BPF_JEQ|x, 0), no},
		{"greater", jump(unix.BPF_JGT|x, 0), yes},
		{"not greater", jump(unix.BPF_JGT|k, 0x30), no},
		{"greater without a sign", jump(unix.BPF_JGT|k, 0x80000000), no},
		{"greater or equal", jump(unix.BPF_JGE|k, 0x30), yes},
		{"not greater or equal", jump(unix.BPF_JGE|k, 0x31), no},
		{"a bit in common", jump(unix.BPF_JSET|k, 0x10), yes},
		{"no bit in common", jump(unix.BPF_JSET|x, 0), no},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			program := []unix.SockFilter{
				one(unix.BPF_LDX|unix.BPF_IMM, 5),
				one(unix.BPF_STX, 15),
				one(unix.BPF_LD|unix.BPF_IMM, 0x30),
				test.middle,
			}
			if test.middle.Code&0x07 == jmp {
				program = append(program,
					one(unix.BPF_LD|unix.BPF_IMM, yes),
					one(unix.BPF_RET|unix.BPF_A, 0),
					one(unix.BPF_LD|unix.BPF_IMM, no))
			}
			program = append(program, one(unix.BPF_RET|unix.BPF_A, 0))
			got, err := runFilter(program, seccompData(0, 0, 0, [6]uint64{}))
			if err != nil || got != test.want {
				t.Errorf("it answers %#x, %v; want %#x", got, err, test.want)
			}
		})
	}
}

// Whatever a filter holds, running it ends, does not panic, and answers alike twice.
func FuzzRunFilter(f *testing.F) {
	f.Add([]byte{0x20, 0, 0, 0, 0, 0, 0, 0, 0x06, 0, 0, 0, 0, 0, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, text []byte) {
		var program []unix.SockFilter
		for ; len(text) >= 8; text = text[8:] {
			program = append(program, unix.SockFilter{
				Code: binary.LittleEndian.Uint16(text), Jt: text[2], Jf: text[3], K: binary.LittleEndian.Uint32(text[4:]),
			})
		}
		data := seccompData(1, 2, 3, [6]uint64{})
		first, firstErr := runFilter(program, data)
		second, secondErr := runFilter(program, data)
		if first != second || (firstErr == nil) != (secondErr == nil) {
			t.Errorf("it answers %#x, %v and then %#x, %v", first, firstErr, second, secondErr)
		}
	})
}
