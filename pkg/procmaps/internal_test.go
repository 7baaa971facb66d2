// SPDX-License-Identifier: Apache-2.0

package procmaps

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// mapsOf is a Maps of any file, with text that no kernel prints and that must be
// refused all the same.
func mapsOf(t *testing.T, path string, source Source) *Maps {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	m := &Maps{file: file, fd: int(file.Fd()), source: source}
	t.Cleanup(func() { m.Close() })
	return m
}

func textOf(t *testing.T, text string) *Maps {
	t.Helper()
	path := filepath.Join(t.TempDir(), "maps")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return mapsOf(t, path, Text)
}

func listOf(m *Maps) (starts []uint64, err error) {
	for mapping, err := range m.All() {
		if err != nil {
			return starts, err
		}
		starts = append(starts, mapping.Start)
	}
	return starts, nil
}

func TestTextReadsLinesOfAnyLength(t *testing.T) {
	var lines []string
	for _, length := range []int{0, 70 << 10, 1, textBufferSize, textBufferSize - 1, 1 << 20, 3} {
		lines = append(lines, Mapping{Start: uint64(len(lines)) << 12, End: uint64(len(lines)+1) << 12, Path: "/" + strings.Repeat("d", length)}.String()+"\n")
	}
	m := textOf(t, strings.Join(lines, ""))
	i := 0
	for mapping, err := range m.All() {
		if err != nil {
			t.Fatal(err)
		}
		if got := mapping.String() + "\n"; got != lines[i] {
			t.Errorf("line %d has %d bytes; want %d", i, len(got), len(lines[i]))
		}
		i++
	}
	if i != len(lines) {
		t.Errorf("%d mappings; want %d", i, len(lines))
	}
	// A buffer that grew is not kept for the next walk.
	if w := textWalks.Get().(*textWalk); len(w.buffer) != textBufferSize {
		t.Errorf("a walk begins with a buffer of %d bytes; want %d", len(w.buffer), textBufferSize)
	}
}

func TestTextStopsAtWhatItCannotRead(t *testing.T) {
	const good = "00001000-00002000 rw-p 00000000 00:00 0 \n"
	tests := []struct {
		name, text, why string
		walks           bool // Walk does not look at what is wrong
	}{
		{"a line that is none", good + "hello\n" + good, "start address", false},
		{"a line whose protection is wrong", good + "00002000-00003000 abcd 00000000 00:00 0 \n", "protection", false},
		{"a line whose device is wrong", good + "00002000-00003000 rw-p 00000000 0000 0 \n" + good, "device", true},
		{"a last line that was cut", good + "00002000-00003000 rw-p 00000000 00:00 0 ", "no newline at its end", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := textOf(t, test.text)
			got, err := listOf(m)
			lineError, ok := errors.AsType[*LineError](err)
			if !ok || lineError.Why != test.why {
				t.Errorf("All ends with %v; want a LineError of: %s", err, test.why)
			}
			if !slices.Equal(got, []uint64{0x1000}) {
				t.Errorf("All yields %#x; want the first line", got)
			}
			err = m.Walk(0, math.MaxUint64, func(Span) bool { return true })
			if errors.Is(err, ErrMalformed) == test.walks {
				t.Errorf("Walk = %v", err)
			}
		})
	}
}

func TestTextLeavesOutTheGatePageOnly(t *testing.T) {
	m := textOf(t, "00001000-00002000 rw-p 00000000 00:01 7 [vsyscall]\n"+
		"ffff800000000000-ffff800000001000 --xp 00000000 00:00 0 [vectors]\n"+
		"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n")
	got, err := listOf(m)
	if err != nil || !slices.Equal(got, []uint64{0x1000, 0xffff800000000000}) {
		t.Errorf("All yields %#x, %v", got, err)
	}
}

func TestTextHidesTheKernelsDataOnly(t *testing.T) {
	tests := []struct {
		line string
		want Perms
	}{
		{"r--p 00000000 00:00 0                          [vvar]", 0},
		{"r--p 00000000 00:00 0 [vvar_vclock]", 0},
		{"r-xp 00000000 00:00 0                          [vdso]", Read | Execute},
		{"r--p 00000000 08:01 7                          [vvar]", Read},
		{"r--p 00000000 08:01 7                          /a [vvar]", Read},
		{"r--p 00000000 00:00 0                          [anon:[vvar]]", Read},
		{"r--p 00000000 00:00 0 ", Read},
	}
	for i, test := range tests {
		m := textOf(t, fmt.Sprintf("%08x-%08x %s\n", i<<12, (i+1)<<12, test.line))
		mapping, found, err := m.mappingInText(0)
		if err != nil || !found || mapping.Perms != test.want {
			t.Errorf("%s: %v, %v; want %v", test.line, mapping, err, test.want)
		}
		if span, _, err := m.Next(0); span != mapping.Span() || err != nil {
			t.Errorf("%s: Next yields %v, %v; want %v", test.line, span, err, mapping.Span())
		}
	}
}

func TestAnErrorOfReadNamesTheFile(t *testing.T) {
	for _, source := range []Source{Text, Ioctl} {
		m := &Maps{file: os.NewFile(^uintptr(0), ""), fd: -1, source: source}
		m.file, _ = os.Open("/proc/self/maps")
		defer m.file.Close()
		_, err := listOf(m)
		for what, err := range map[string]error{"All": err, "Alive": m.Alive(), "Walk": m.Walk(0, 1, func(Span) bool { return true })} {
			if !errors.Is(err, unix.EBADF) || errors.Is(err, ErrGone) {
				t.Errorf("%s of a bad descriptor = %v; want EBADF", what, err)
			}
			if want := map[Source]string{Text: "read /proc/self/maps: ", Ioctl: "PROCMAP_QUERY: "}[source]; !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%s = %q; want %s...", what, err, want)
			}
		}
	}
}

// /proc/PID/smaps stands for the maps of a kernel before 6.11: it is about the
// same mappings, and has no ioctl.
func TestAutoTakesTheTextWhereTheKernelHasNoIoctl(t *testing.T) {
	m := mapsOf(t, "/proc/self/smaps", Auto)
	if got, _ := m.bestSource(); got != Text {
		t.Errorf("bestSource() = %v; want text", got)
	}
	m.source = Ioctl
	if err := m.Alive(); !errors.Is(err, unix.ENOTTY) {
		t.Errorf("Alive() through an ioctl that is not there = %v; want ENOTTY", err)
	}
}

// The mapping that is asked for can vanish between the ioctl, which finds that
// its name is too long, and the text.
func TestMappingInTextIsThatAtTheAddressOrTheNext(t *testing.T) {
	m := textOf(t, "00001000-00002000 rw-p 00000000 00:00 0 \n00005000-00006000 rw-p 00000000 00:00 0 /x\n")
	for address, want := range map[uint64]uint64{0: 0x1000, 0x1fff: 0x1000, 0x2000: 0x5000, 0x5fff: 0x5000, 0x6000: 0} {
		mapping, found, err := m.mappingInText(address)
		if err != nil || found != (want != 0) || mapping.Start != want {
			t.Errorf("mappingInText(%#x) = %v, %v, %v; want that at %#x", address, mapping, found, err, want)
		}
	}
	m = textOf(t, "00001000-00002000 rw-p 00000000 0000 0 \n")
	if _, found, err := m.mappingInText(0x1000); found || !errors.Is(err, ErrMalformed) {
		t.Errorf("mappingInText of a malformed line = %v, %v", found, err)
	}
	m = textOf(t, "hello\n")
	if _, found, err := m.mappingInText(0x1000); found || !errors.Is(err, ErrMalformed) {
		t.Errorf("mappingInText of no line = %v, %v", found, err)
	}
}
