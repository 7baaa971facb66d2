// SPDX-License-Identifier: Apache-2.0

package instruction

import (
	"bufio"
	"bytes"
	"debug/elf"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
)

func TestMain(m *testing.M) { os.Exit(testtarget.Main(m)) }

const (
	amd64 = elf.EM_X86_64
	i386  = elf.EM_386
	arm64 = elf.EM_AARCH64
)

func TestNext(t *testing.T) {
	for _, c := range []struct {
		name    string
		machine elf.Machine
		code    string
		want    Instruction // of no size: ErrUnknown
	}{
		{"amd64: one byte", amd64, "c3", Instruction{1, false, "ret"}},
		{"amd64: what follows is not looked at", amd64, "c3 ff ff", Instruction{1, false, "ret"}},
		{"amd64: the target of a call", amd64, "e8 fb 0f 00 00", Instruction{5, true, "call 0x2000"}},
		{"amd64: the target of a call backwards", amd64, "e8 fb ef ff ff", Instruction{5, true, "call 0x0"}},
		{"amd64: the target of a short jump", amd64, "74 fe", Instruction{2, false, "jz 0x1000"}},
		{"amd64: the target of a jump", amd64, "0f 85 00 01 00 00", Instruction{6, false, "jnz 0x1106"}},
		{"amd64: an indirect call", amd64, "ff d0", Instruction{2, true, "call rax"}},
		{"amd64: a call by a table", amd64, "ff 15 10 00 00 00", Instruction{6, true, "call qword ptr [rip+0x10]"}},
		{"amd64: a call of 32 bits in 64-bit code", amd64, "66 48 e8 00 00 00 00", Instruction{7, true, "call 0x1007"}},
		{"amd64: an immediate of 8 bytes", amd64, "48 b8 08 07 06 05 04 03 02 01", Instruction{10, false, "mov rax, 0x102030405060708"}},
		{"amd64: an immediate of 2 bytes", amd64, "66 81 c1 34 12", Instruction{5, false, "add cx, 0x1234"}},
		{"amd64: an operand with SIB", amd64, "8b 84 88 10 00 00 00", Instruction{7, false, "mov eax, dword ptr [rax+4*rcx+0x10]"}},
		{"amd64: an address of 8 bytes", amd64, "a1 08 07 06 05 04 03 02 01", Instruction{9, false, "mov eax, dword ptr [0x102030405060708]"}},
		{"amd64: a target of branches", amd64, "f3 0f 1e fa", Instruction{4, false, "endbr64"}},
		{"amd64: VEX without an operand", amd64, "c5 f8 77", Instruction{3, false, "vzeroupper"}},
		{"amd64: VEX", amd64, "c5 fd 6f 05 10 00 00 00", Instruction{8, false, "vmovdqa ymm0, ymmword ptr [rip+0x10]"}},
		{"amd64: EVEX", amd64, "62 f1 7c 48 28 c1", Instruction{6, false, "vmovaps zmm0, zmm1"}},
		{"amd64: FWAIT is one by itself", amd64, "9b d9 3c 24", Instruction{1, false, "fwait"}},
		{"386: a call", i386, "e8 fb 0f 00 00", Instruction{5, true, "call 0x2000"}},
		{"386: a call backwards over address 0", i386, "e8 fa ef ff ff", Instruction{5, true, "call 0xffffffff"}},
		{"386: LDS", i386, "c5 08", Instruction{2, false, "lds ecx, ptr [eax]"}},
		{"386: INC, not REX", i386, "48", Instruction{1, false, "dec eax"}},
		{"386: a target of branches", i386, "f3 0f 1e fb", Instruction{4, false, "endbr32"}},
		{"arm64: a call", arm64, "00 04 00 94", Instruction{4, true, "bl 0x2000"}},
		{"arm64: an indirect call", arm64, "60 00 3f d6", Instruction{4, true, "blr x3"}},
		{"arm64: a jump", arm64, "ff ff ff 17", Instruction{4, false, "b 0xffc"}},
		{"arm64: a conditional jump", arm64, "40 00 00 54", Instruction{4, false, "b.eq 0x1008"}},
		{"arm64: the address of a page", arm64, "00 00 00 b0", Instruction{4, false, "adrp x0, 0x2000"}},
		{"arm64: ret", arm64, "c0 03 5f d6", Instruction{4, false, "ret"}},

		{"no bytes", amd64, "", Instruction{}},
		{"amd64: it breaks off", amd64, "e8 00 00 00", Instruction{}},
		{"amd64: only prefixes", amd64, "66 66", Instruction{}},
		{"amd64: more than 15 bytes", amd64, "66 66 66 66 66 66 66 66 66 66 66 66 66 66 66 90", Instruction{}},
		{"amd64: an instruction of 32-bit code", amd64, "06", Instruction{}},
		{"amd64: a jump of which processors differ in the size", amd64, "66 e9 00 00 00 00", Instruction{}},
		{"amd64: registers that are always registers", amd64, "0f 22 05 00 00 00 00", Instruction{}},
		{"amd64: a prefix before VEX", amd64, "66 c5 f8 28 c1", Instruction{}},
		{"amd64: REX before VEX", amd64, "48 c5 f8 28 c1", Instruction{}},
		{"amd64: XOP", amd64, "8f e8 78 c2 c0 07", Instruction{}},
		{"amd64: EVEX of half precision", amd64, "62 f5 7c 48 58 c1", Instruction{}},
		{"386: operands of 16-bit code", i386, "67 8b 07", Instruction{}},
		{"arm64: it breaks off", arm64, "c0 03 5f", Instruction{}},
		{"arm64: none", arm64, "00 00 00 00", Instruction{}},
		{"another machine", elf.EM_RISCV, "13 00 00 00", Instruction{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Next(c.machine, unhex(t, c.code), 0x1000)
			if size, sizeErr := Size(c.machine, unhex(t, c.code)); size != got.Size || (sizeErr != nil) != (err != nil) {
				t.Errorf("Size = %d, %v; want that of %+v, %v", size, sizeErr, got, err)
			}
			if got != c.want || (err != nil) != (c.want.Size == 0) || err != nil && !errors.Is(err, ErrUnknown) {
				t.Errorf("Next = %+v, %v; want %+v", got, err, c.want)
			}
		})
	}
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	code, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return code
}

func TestBoundary(t *testing.T) {
	for _, c := range []struct {
		name    string
		machine elf.Machine
		code    string
		offset  int
		want    bool
		err     error
	}{
		{"the start", amd64, "e8 00 00 00 00 c3", 0, true, nil},
		{"in an instruction", amd64, "e8 00 00 00 00 c3", 1, false, nil},
		{"between two", amd64, "e8 00 00 00 00 c3", 5, true, nil},
		{"the end", amd64, "e8 00 00 00 00 c3", 6, true, nil},
		{"behind what is unknown", amd64, "06 c3", 1, false, ErrUnknown},
		{"before what is unknown", amd64, "c3 06", 1, true, nil},
		{"behind the end", amd64, "c3", 2, false, ErrUnknown},
		{"before the start", amd64, "c3", -1, false, nil},
		{"arm64: between two that are unknown", arm64, "00 00 00 00 00 00 00 00", 4, true, nil},
		{"arm64: in one", arm64, "00 00 00 00 00 00 00 00", 2, false, nil},
		{"arm64: before the start", arm64, "00 00 00 00", -4, false, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Boundary(c.machine, unhex(t, c.code), c.offset)
			if got != c.want || !errors.Is(err, c.err) {
				t.Errorf("Boundary = %v, %v; want %v, %v", got, err, c.want, c.err)
			}
		})
	}
}

// TestSizesAreThoseOfObjdump compares real code, and random bytes. What objdump takes for
// no instruction is left out. It takes FWAIT and what follows for one.
func TestSizesAreThoseOfObjdump(t *testing.T) {
	testtarget.Need(t, "objdump")
	if runtime.GOARCH != "amd64" {
		t.Skip("objdump is that of another machine")
	}
	random := filepath.Join(t.TempDir(), "random")
	if err := os.WriteFile(random, randomCode(testtarget.Sized(200_000, 5_000_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name      string
		machine   elf.Machine
		arguments []string
		unknown   int // a million instructions, at most
	}{
		{"Go code for amd64", amd64, []string{testtarget.Build(t, "amd64")}, 10},
		{"Go code for 386", i386, []string{testtarget.Build(t, "386")}, 10},
		{"the C library", amd64, []string{libc(t)}, 100},
		{"random bytes as amd64", amd64, []string{"-D", "-b", "binary", "-m", "i386:x86-64", random}, 20000},
		{"random bytes as 386", i386, []string{"-D", "-b", "binary", "-m", "i386", random}, 20000},
	}
	for _, c := range testtarget.Some(cases, 2, 1) {
		t.Run(c.name, func(t *testing.T) {
			all, unknown := compare(t, c.machine, c.arguments)
			if unknown*1e6 > all*c.unknown {
				t.Errorf("%d of %d instructions are unknown", unknown, all)
			}
			t.Logf("%d of %d instructions are unknown", unknown, all)
		})
	}
}

// libc is the library that a program of this machine's compiler is linked with.
func libc(t *testing.T) string {
	t.Helper()
	testtarget.Need(t, "cc")
	out, err := exec.Command("cc", "-print-file-name=libc.so.6").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// randomCode has as many instructions of each table as of one byte.
func randomCode(size int) []byte {
	starts := []string{"", "\x0f", "\x0f\x38", "\x0f\x3a", "\x66\x0f", "\xf2\x0f", "\xf3\x0f", "\x66\x0f\x38", "\xc5", "\xc4\xe1", "\xc4\xe2", "\xc4\xe3", "\x62\xf1", "\x62\xf2", "\x62\xf3", "\x48", "\x66", "\x67"}
	r := rand.New(rand.NewPCG(1, 0))
	var code []byte
	for len(code) < size {
		code = append(code, starts[r.IntN(len(starts))]...)
		for range 8 {
			code = append(code, byte(r.Uint32()))
		}
		code = append(code, bytes.Repeat([]byte{0x90}, 12)...) // what objdump comes to again
	}
	return code
}

// compare decodes what objdump finds.
func compare(t *testing.T, machine elf.Machine, arguments []string) (all, unknown int) {
	t.Helper()
	cmd := exec.Command("objdump", append([]string{"-d", "-w", "-M", "intel", "--insn-width=16"}, arguments...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var lines []line
	scanner := bufio.NewScanner(out)
	for scanner.Scan() {
		if l, ok := parseLine(scanner.Text()); ok {
			lines = append(lines, l)
		}
	}
	if err := errors.Join(scanner.Err(), cmd.Wait()); err != nil {
		t.Fatal(err)
	}
	wrong := 0
	for i, l := range lines {
		code := bytes.Clone(l.code)
		for _, next := range lines[i+1 : min(i+16, len(lines))] {
			if next.address == l.address+uint64(len(code)) {
				code = append(code, next.code...)
			}
		}
		got, err := Next(machine, code, l.address)
		if size, _ := Size(machine, code); size != got.Size {
			t.Errorf("% x is %+v; Size = %d", code, got, size)
		}
		if l.bad || strings.HasSuffix(got.Text, "fwait") {
			continue
		}
		all++
		if err != nil {
			unknown++
		} else if got.Size != len(l.code) {
			if wrong++; wrong <= 20 {
				t.Errorf("% x is %q of %d bytes; objdump says %q", code[:min(len(code), 16)], got.Text, got.Size, l.text)
			}
		}
	}
	return all, unknown
}

// line is an instruction as objdump writes it.
type line struct {
	address uint64
	code    []byte
	text    string
	bad     bool
}

func parseLine(text string) (l line, ok bool) {
	address, rest, _ := strings.Cut(text, ":\t")
	code, text, ok := strings.Cut(rest, "\t")
	var err error
	if l.address, err = strconv.ParseUint(strings.TrimSpace(address), 16, 64); err != nil || !ok {
		return l, false
	}
	l.code, err = hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(code), " ", ""))
	l.text = text
	fields := strings.Fields(text)
	// Prefixes alone stand for the front of what it does not know.
	last := fields[len(fields)-1]
	l.bad = strings.Contains(text, "(bad)") || strings.Contains(text, "{bad}") || strings.Contains(text, "?") || strings.HasPrefix(last, "rex") ||
		strings.HasPrefix(text, ".byte")
	return l, err == nil && len(l.code) > 0
}

func FuzzNext(f *testing.F) {
	for _, code := range [][]byte{{0xe8, 0, 0, 0, 0}, {0xc5, 0xf8, 0x77}, {0x62, 0xf1, 0x7c, 0x48, 0x28, 0xc1}, {0x66, 0x48, 0x0f, 0x38, 0xf6, 0xc1}, {0xf3, 0x0f, 0x1e, 0xfa}, {0, 4, 0, 0x94}} {
		f.Add(code)
	}
	f.Fuzz(func(t *testing.T, code []byte) {
		for _, machine := range []elf.Machine{amd64, i386, arm64} {
			i, err := Next(machine, code, 0x1000)
			if size, sizeErr := Size(machine, code); size != i.Size || (sizeErr != nil) != (err != nil) {
				t.Errorf("% x is %+v, %v; Size = %d, %v", code, i, err, size, sizeErr)
			}
			if err != nil {
				if !errors.Is(err, ErrUnknown) || i != (Instruction{}) {
					t.Errorf("% x: %+v, %v", code, i, err)
				}
				continue
			}
			if i.Size < 1 || i.Size > min(len(code), 15) || i.Text == "" {
				t.Errorf("% x is %+v", code, i)
			}
			if same, err := Next(machine, code[:i.Size], 0x1000); same != i || err != nil {
				t.Errorf("% x is %+v, and without what follows %+v, %v", code, i, same, err)
			}
			if ok, err := Boundary(machine, code, i.Size); !ok || err != nil {
				t.Errorf("% x: no boundary at %d: %v", code, i.Size, err)
			}
		}
	})
}

func BenchmarkSize(b *testing.B) {
	code := []byte{0x48, 0x8b, 0x84, 0x24, 0x10, 1, 0, 0, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90} // mov 0x110(%rsp),%rax
	for b.Loop() {
		if _, err := Size(elf.EM_X86_64, code); err != nil {
			b.Fatal(err)
		}
	}
}
