// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"slices"
	"strings"
	"testing"
)

func TestNumbersLast(t *testing.T) {
	for _, c := range []struct{ name, args, want string }{
		{"no negative number: nothing changes", "write -p 1 0x10 90 -v", "write -p 1 0x10 90 -v"},
		{"a negative value", "write -p 1 0x10 -t i32 -5", "write -p 1 -t i32 -- 0x10 -5"},
		{"flags behind it", "write 0x10 -5 -t i32 -p 1 --json", "write -t i32 -p 1 --json -- 0x10 -5"},
		{"a flag with = takes nothing more", "write --pid=1 -t=i32 0x10 -5", "write --pid=1 -t=i32 -- 0x10 -5"},
		{"a group of short flags", "write -vp 1 -ti32 0x10 -5", "write -vp 1 -ti32 -- 0x10 -5"},
		{"behind -- all are values", "write -p 1 -- 0x10 -5 -v", "write -p 1 -- 0x10 -5 -v"},
		{"a flag's value may be negative", "write -p -1 0x10 00", "write -p -1 -- 0x10 00"},
		{"fractions and infinity", "write -p 1 -t f32 0x10 -.5 -inf", "write -p 1 -t f32 -- 0x10 -.5 -inf"},
		{"standard input is no number", "write -p 1 0x10 -f - -5", "write -p 1 -f - -- 0x10 -5"},
		{"another command", "read -p 1 0x10 -5", "read -p 1 -- 0x10 -5"},
		{"no command", "-5", "-5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := newRootCmd(streams{in: strings.NewReader(""), out: io.Discard, err: io.Discard})
			if got := numbersLast(root, strings.Fields(c.args)); !slices.Equal(got, strings.Fields(c.want)) {
				t.Errorf("%q became %q; want %q", c.args, strings.Join(got, " "), c.want)
			}
		})
	}
}

// Whatever the command line, there is no panic, and the status is one of the
// contract's. No process is named, so nothing can be written.
func FuzzCommandLine(f *testing.F) {
	for _, seed := range []string{
		"write -p 1073741824 0x10 90", "write 0x10 -t i32 -5", "read 0x10 4 --raw", "explain 2", "maps --json", "write --endian big -- -1 --",
		"-5 write", "write -ti8 -p", "wirte -x 1", "-V", "write -é -5", "help wrte", "copy 0x1 0x2 4", "completion bash", "ps xyzzy", "write -endian big 0x1", "maps 2515",
		"help write", "write --json=maybe", "write -n  0x10 00", "__complete write --type",
	} {
		f.Add(seed)
	}
	allowed := []int{0, 1, 2, 4, 5, 6, 9, 10, 14, 46, exitUsage, exitFile}
	f.Fuzz(func(t *testing.T, line string) {
		args := strings.Fields(line)
		for _, arg := range args {
			// A command line could name a real process, run the demo or read a file.
			if strings.HasPrefix(arg, "demo") || strings.HasPrefix(arg, "-p") || strings.HasPrefix(arg, "--pid") || strings.HasPrefix(arg, "-n") || strings.HasPrefix(arg, "--name") || strings.HasPrefix(arg, "-v") || strings.HasPrefix(arg, "-f") || strings.HasPrefix(arg, "--file") {
				return
			}
		}
		status := run(args, streams{in: strings.NewReader(""), out: io.Discard, err: io.Discard})
		if !slices.Contains(allowed, status) {
			t.Errorf("%q ended with status %d", line, status)
		}
	})
}
