// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// costs are what the things take on this machine that all else is made of.
type costs struct {
	call, fault, handover, copy series
	copied                      int // bytes of each copy
}

func (b *bench) measureCosts() (costs, error) {
	defer b.endProcesses()
	c := costs{copied: min(256<<20, b.bulk())}
	machine, err := b.start(b.tools.program("machine"))
	if err != nil {
		return c, err
	}
	raw, err := b.start(b.tools.program("raw"))
	if err != nil {
		return c, err
	}
	all, err := b.alternate(b.size.shortRounds,
		b.loop("getppid", machine.timed("call")),
		b.loop("page fault", machine.timed("fault")),
		b.loop("handover", machine.timed("handover")),
		b.loop("memcpy", raw.timed("copy %d", c.copied)))
	if err != nil {
		return c, err
	}
	c.call, c.fault, c.handover, c.copy = all[0], all[1], all[2], all[3]
	return c, nil
}

// facts returns the medians, with the quartiles.
func (c *costs) facts() []fact {
	say := func(s series, unit unit) string {
		all := s.spread()
		return unit(all.median) + " (" + between(all, unit) + ")"
	}
	rate := series{}
	for _, took := range c.copy.values {
		rate.values = append(rate.values, float64(c.copied)/took)
	}
	return []fact{
		{"an empty system call", say(c.call, seconds)},
		{"a page fault", say(c.fault, seconds)},
		{"a context switch (by a byte in a pipe)", say(c.handover, seconds)},
		{"memcpy of " + byteCount(float64(c.copied)), say(rate, func(v float64) string { return byteCount(v) + "/s" })},
	}
}

// fact is a line of the description of where the numbers were taken.
type fact struct{ name, value string }

func (b *bench) describeMachine() []fact {
	cc := b.tools.cc
	facts := []fact{
		{"CPU", cpuModel() + ", " + strconv.Itoa(runtime.NumCPU()) + " cores"},
		{"memory", memory()},
		{"kernel", kernel()},
		{"load before", load()},
		{"huge pages", chosen("/sys/kernel/mm/transparent_hugepage/enabled")},
		{"commit", output("git", "describe", "--always", "--dirty")},
		{"date", time.Now().UTC().Format(time.DateOnly)},
		{"Go", runtime.Version()},
		{"C", output(cc, "--version") + ", -O2"},
	}
	for _, peer := range []struct{ name, flag string }{{"gdb", "--version"}, {"scanmem", "--version"}, {"dd", "--version"}, {"python3", "--version"}} {
		if path := b.tools.peers[peer.name]; path != "" {
			facts = append(facts, fact{peer.name, output(path, peer.flag)})
		}
	}
	return facts
}

func cpuModel() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func memory() string {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return "unknown"
	}
	return byteCount(float64(info.Totalram) * float64(info.Unit))
}

func kernel() string {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return "unknown"
	}
	return "Linux " + unix.ByteSliceToString(name.Release[:]) + " " + unix.ByteSliceToString(name.Machine[:])
}

// load returns the load averages: what else the machine did.
func load() string {
	text, _ := os.ReadFile("/proc/loadavg")
	words := strings.Fields(string(text))
	return strings.Join(words[:min(3, len(words))], ", ")
}

// chosen returns the word in brackets of a file of settings.
func chosen(path string) string {
	text, _ := os.ReadFile(path)
	_, rest, _ := strings.Cut(string(text), "[")
	word, _, ok := strings.Cut(rest, "]")
	if !ok {
		return "none"
	}
	return word
}

// output returns the first line that a program prints.
func output(name string, arguments ...string) string {
	out, _ := exec.Command(name, arguments...).CombinedOutput() // scanmem's version is an error
	first, _, _ := strings.Cut(string(out), "\n")
	return first
}
