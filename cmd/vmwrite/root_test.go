// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// What is made of a command alone says the same as beside the others.
func TestSubcommandAlone(t *testing.T) {
	for _, c := range subcommands {
		alone := newRootCmd(streams{}, c.name).Commands()
		if len(alone) != 2 || alone[0].Name() != min(c.name, "help") || alone[1].Name() != max(c.name, "help") {
			t.Errorf("for %q there are %d subcommands; want it and help", c.name, len(alone))
		}
	}
}

// The help of every command fits a terminal of 80 columns.
func TestHelpFits(t *testing.T) {
	var commands func(cmd *cobra.Command) [][]string
	commands = func(cmd *cobra.Command) [][]string {
		paths := [][]string{strings.Fields(cmd.CommandPath())[1:]}
		for _, sub := range cmd.Commands() {
			paths = append(paths, commands(sub)...)
		}
		return paths
	}
	for _, path := range commands(newRootCmd(streams{})) {
		var out bytes.Buffer
		if status := run(append(path, "--help"), streams{out: &out, err: &out}); status != 0 || out.Len() == 0 {
			t.Errorf("the help of %q has status %d and %d bytes", path, status, out.Len())
		}
		for line := range strings.Lines(out.String()) {
			if line = strings.TrimSuffix(line, "\n"); len(line) > 80 {
				t.Errorf("the help of %q has a line of %d columns: %s", path, len(line), line)
			}
		}
	}
}

func FuzzDidYouMean(f *testing.F) {
	f.Add("gam", "game")
	f.Add("\xff", "\x1b[2J")
	f.Fuzz(func(t *testing.T, word, other string) {
		if text := didYouMean(word, []string{other, other}, "--"); strings.ContainsAny(text, "\x1b\n\t\r") {
			t.Errorf("%q beside %q gives %q, which acts on a terminal", word, other, text)
		}
	})
}
