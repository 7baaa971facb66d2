// SPDX-License-Identifier: Apache-2.0

package procstatus

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestStatOfThisThread(t *testing.T) {
	s, err := ReadStat(os.Getpid(), os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.ContainsRune("RS", rune(s.State)) || s.StartCode == 0 ||
		s.Flags&(PF_KTHREAD|PF_IO_WORKER|PF_USER_WORKER) != 0 {
		t.Errorf("ReadStat = %+v", s)
	}
	if _, err := ReadStat(os.Getpid(), 1<<30); !os.IsNotExist(err) {
		t.Errorf("ReadStat of no thread: %v", err)
	}
}

// statText is the text of stat with fields that hold their own number.
func statText(name string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "1 (%s) S", name)
	for field := 4; field <= 52; field++ {
		fmt.Fprintf(&b, " %d", field)
	}
	return b.String() + "\n"
}

func TestParseStat(t *testing.T) {
	for _, name := range []string{"a", "a b", ") S 1 2 3", "(((", "\n"} {
		text := statText(name)
		got, err := ParseStat([]byte(text))
		if err != nil || got.State != 'S' || got.Flags != 9 || got.StartCode != 26 {
			t.Fatalf("ParseStat of a program named %q = %+v, %v", name, got, err)
		}
		if code, heap := text[got.Code.Start:got.Code.End], text[got.Heap.Start:got.Heap.End]; code != " 26 27 28 " || heap != " 47 " {
			t.Errorf("ParseStat of a program named %q finds its code in %q and its heap in %q", name, code, heap)
		}
	}
	for _, text := range []string{"", "1", "1 (a)", "1 (a) ", "1 (a) S", "1 (a) S x", statText("a")[:60], strings.Replace(statText("a"), " 9 ", " x ", 1), strings.Replace(statText("a"), " 26 ", "  ", 1)} {
		if got, err := ParseStat([]byte(text)); err == nil {
			t.Errorf("ParseStat(%q) = %+v; want an error", text, got)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte(statText("a")))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := ParseStat(text)
		if err != nil && s != (Stat{}) {
			t.Errorf("ParseStat(%q) = %+v, %v", text, s, err)
		}
		for _, p := range []Place{s.Code, s.Heap} {
			if p.Start < 0 || p.Start > p.End || p.End > len(text) {
				t.Errorf("ParseStat(%q) finds %+v", text, p)
			}
		}
	})
}

func BenchmarkStat(b *testing.B) {
	file, err := os.Open(fmt.Sprintf("/proc/%d/task/%[1]d/stat", os.Getppid()))
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	b.ReportAllocs()
	var text [StatSize]byte
	for b.Loop() {
		n, err := file.ReadAt(text[:], 0)
		if n == 0 {
			b.Fatal(err)
		}
		if _, err := ParseStat(text[:n]); err != nil {
			b.Fatal(err)
		}
	}
}
