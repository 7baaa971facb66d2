package inject

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

func TestFiltersAnswerAsTheKernelRunsThem(t *testing.T) {
	const ld, jeq, ret = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	data := seccompData(10, unix.AUDIT_ARCH_X86_64, 0x1234567890, [6]uint64{0: 0x1122334455667788})
	for _, c := range []struct {
		name    string
		program []unix.SockFilter
		want    uint32
		bad     bool
	}{
		{"the number", []unix.SockFilter{{Code: ld, K: 0}, {Code: jeq, K: 10, Jf: 1}, {Code: ret, K: 1}, {Code: ret, K: 2}}, 1, false},
		{"the architecture", []unix.SockFilter{{Code: ld, K: 4}, {Code: unix.BPF_RET | unix.BPF_A}}, unix.AUDIT_ARCH_X86_64, false},
		{"half of an argument", []unix.SockFilter{{Code: ld, K: 16}, {Code: unix.BPF_RET | unix.BPF_A}}, 0x55667788, false},
		{"a mask", []unix.SockFilter{{Code: ld, K: 0}, {Code: unix.BPF_ALU | unix.BPF_AND, K: 2}, {Code: unix.BPF_RET | unix.BPF_A}}, 2, false},
		{"memory and x", []unix.SockFilter{{Code: ld, K: 0}, {Code: unix.BPF_ST, K: 3}, {Code: unix.BPF_LDX | unix.BPF_MEM, K: 3}, {Code: unix.BPF_ALU | unix.BPF_ADD | unix.BPF_X}, {Code: unix.BPF_RET | unix.BPF_A}}, 20, false},
		{"a jump", []unix.SockFilter{{Code: unix.BPF_JMP | unix.BPF_JA, K: 1}, {Code: ret, K: 1}, {Code: ret, K: 7}}, 7, false},
		{"the length", []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_LEN}, {Code: unix.BPF_RET | unix.BPF_A}}, 64, false},
		{"a load beyond the data", []unix.SockFilter{{Code: ld, K: 61}, {Code: ret}}, 0, true},
		{"no end", []unix.SockFilter{{Code: ld, K: 0}}, 0, true},
		{"a division by zero", []unix.SockFilter{{Code: unix.BPF_ALU | unix.BPF_DIV, K: 0}, {Code: ret}}, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := runFilter(c.program, data)
			if (err != nil) != c.bad || got != c.want {
				t.Errorf("it answers %#x, %v; want %#x", got, err, c.want)
			}
		})
	}
}

// Whatever a filter holds, running it here ends and does not panic.
func FuzzRunFilter(f *testing.F) {
	f.Add([]byte{0x20, 0, 0, 0, 0, 0, 0, 0, 0x06, 0, 0, 0, 0, 0, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, text []byte) {
		var program []unix.SockFilter
		for ; len(text) >= 8; text = text[8:] {
			program = append(program, unix.SockFilter{
				Code: binary.LittleEndian.Uint16(text), Jt: text[2], Jf: text[3], K: binary.LittleEndian.Uint32(text[4:]),
			})
		}
		_, _ = runFilter(program, seccompData(1, 2, 3, [6]uint64{}))
	})
}
