// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// statuses are the exit statuses of the contract.
var statuses = []int{0, 1, 2, 4, 5, 6, 9, 10, 14, 46, 64, 65, 74}

// randomLines makes command lines on one process, the same again for the same seed.
type randomLines struct {
	pid     string
	models  [][]string // lines that work
	phrases [][]string // what is put into them
	odd     []string   // what stands in no line
	random  *rand.Rand
}

// newRandomLines returns what makes command lines for a process of a name, with a page of
// memory at address, a file that may be written from, and a patch of that memory.
func newRandomLines(seed uint64, pid int, name string, address uint64, file, patch string) *randomLines {
	p, at := strconv.Itoa(pid), fmt.Sprintf("%#x", address)
	page := machcompat.HostPageSize()
	end := fmt.Sprintf("%#x", address+page-6)
	return &randomLines{
		pid:    p,
		random: rand.New(rand.NewPCG(seed, 0)),
		models: [][]string{
			{}, {}, {}, {},
			{"write", "-p", p, at, "6e"},
			{"write", "-p", p, at, "6e"},
			{"write", "-p", p, at, "6e6f", "70"},
			{"write", "-p", p, at, "-t", "u32", "7"},
			{"write", "-p", p, at, "-t", "u32", "8", "9"},
			{"write", "-p", p, at, "-t", "i8", "-1"},
			{"write", "-p", p, at, "-t", "f32", "-1.5"},
			{"write", "-p", p, at, "-f", file},
			{"write", "-n", name, at, "6e6f", "70"},
			{"read", "-p", p, at, "16"},
			{"read", "-p", p, at, "4K"},
			{"read", "-p", p, at, "-t", "u16", "-c", "3"},
			{"copy", "-p", p, at, "16", end},
			{"copy", "-p", p, at, "16", at},
			{"maps", "-p", p},
			{"patch", "check", "-p", p, patch},
			{"patch", "apply", "-p", p, patch},
			{"patch", "apply", "-n", name, patch},
			{"patch", "undo", "-p", p, patch},
			{"patch", "status", "-p", p, patch},
			{"patch", "recover", "-p", p},
			{"patch", "export", patch, "--format", "1337", "-o", "-"},
			{"explain", "KERN_ABORTED"},
			{"protect", "-p", p, at, fmt.Sprint(page), "rw-"},
			{"protect", "-p", p, at, "1", "rwx"},
			{"protect", "-p", p, at, fmt.Sprint(page), "r--"},
			{"suspend", "-p", p, "--for", "1us"},
		},
		phrases: [][]string{
			{"-p", p}, {"-p", "0"}, {"-p", "-1"}, {"-p", "99999999999999999999"}, {"-n", name}, {"-n", ""}, {"-n", "\xff/../"},
			{at}, {at}, {end}, {end}, {"0x0"}, {"0xffffffffffffffff"}, {"0xfffffffffffff000"},
			{"90"}, {"9090"}, {"0x90"}, {"1"}, {"16"}, {"4096"}, {"-1"}, {"r--"}, {"rw-"}, {"---"}, {"-w-"},
			{"-t", "u8"}, {"-t", "f64"}, {"-t", "utf16"}, {"-t", "cstr"}, {"-t", "nonsense"},
			{"-f", file}, {"-f", "/nonexistent"}, {"-f", "-"}, {"-f", "/"}, {"-f", "/dev/zero"}, {"--allow-empty"},
			{"--batch", file}, {"--batch", "-"}, {"--batch", "/"}, {"--undo=/nonexistent/undo"},
			{"--expect", "6f"}, {"--expect", "6e"}, {"--verify"}, {"--dry-run"}, {"--atomic"}, {"--unprotect"}, {"-v"}, {"--json"}, {"--json"}, {"--json=maybe"},
			{"--endian", "big"}, {"-c", "3"}, {"--raw"}, {"--for", "1ms"}, {"-h"}, {"--help"}, {"--"}, {"-V"}, {"--prefix"}, {"-pid"}, {patch}, {"--force"}, {"--timeout", "0.1"}, {"--finish"}, {"--format", "ips"}, {"-o", "-"},
			{"--backend", "procmem"}, {"--backend", "process_vm"}, {"--backend", "x"}, {"--stop", "never"}, {"--stop", "always"},
		},
		odd: []string{
			"write", "read", "maps", "protect", "copy", "suspend", "explain", "version", "page-size", "completion", "help", "ps", "patch", "apply", "undo", "import", "diff",
			"0x", "0X10", "10", "-0x10", "0x1_000", "\x01", "9", "gg", "", " ", "256", "1e400", "NaN", "-", "rwx", "--size", "-s",
			"18446744073709551615", strings.Repeat("9", 5000), "ü", "%s%n", "$(id)", "'", "\n",
		},
	}
}

// next puts random phrases and words into a line that works, between its words or
// in place of them, or makes one of nothing else.
func (l *randomLines) next() []string {
	line := slices.Clone(pickFrom(l.random, l.models))
	edits := l.random.IntN(4)
	if len(line) == 0 {
		edits += 4
	}
	for range edits {
		words := pickFrom(l.random, l.phrases)
		switch l.random.IntN(8) {
		case 0:
			words = []string{pickFrom(l.random, words)}
		case 1:
			words = []string{pickFrom(l.random, l.odd)}
		}
		at := l.random.IntN(len(line) + 1)
		if at < len(line) && len(words) == 1 && l.random.IntN(2) == 0 {
			line[at] = words[0]
		} else {
			line = slices.Insert(line, at, words...)
		}
	}
	for i := 1; i < len(line); i++ {
		// A number that came behind -p may be a process of somebody else.
		if pid, err := strconv.Atoi(line[i]); err == nil && pid > 0 && line[i-1] == "-p" {
			line[i] = l.pid
		}
	}
	return line
}

func pickFrom[T any](random *rand.Rand, from []T) T { return from[random.IntN(len(from))] }
