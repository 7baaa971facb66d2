package inject

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestEveryInstructionOfAFilter has each instruction that seccomp(2) lets into a
// filter work on 0x30 and 5, and answers with the accumulator.
func TestEveryInstructionOfAFilter(t *testing.T) {
	const alu, jmp, k, x = unix.BPF_ALU, unix.BPF_JMP, unix.BPF_K, unix.BPF_X
	const yes, no = 1, 0
	one := func(code uint16, operand uint32) unix.SockFilter { return unix.SockFilter{Code: code, K: operand} }
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
		{"shift left x", one(alu|unix.BPF_LSH|x, 0), 0x600},
		{"shift right", one(alu|unix.BPF_RSH|k, 4), 3},
		{"negate", one(alu|unix.BPF_NEG, 0), ^uint32(0x30) + 1},
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
	for name, middle := range map[string]unix.SockFilter{
		"a load of a byte":      one(unix.BPF_LD|unix.BPF_IND, 0),
		"a remainder":           one(alu|unix.BPF_MOD|k, 5),
		"a jump behind the end": one(jmp|unix.BPF_JA, 0xffffffff),
	} {
		if got, err := runFilter([]unix.SockFilter{middle, one(unix.BPF_RET|k, 1)}, nil); err != errBadFilter {
			t.Errorf("%s: it answers %#x, %v; want errBadFilter", name, got, err)
		}
	}
}
