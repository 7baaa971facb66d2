// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestCommandLinesOfTheDocuments parses each command line of the documents and of the
// commands' own examples, as far as it can be without a process: the command, its
// flags and the number of its arguments.
func TestCommandLinesOfTheDocuments(t *testing.T) {
	documents, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	inBlock := regexp.MustCompile(`(?m)(?:^[ $]*|\$\(|<\()(?:sudo )?(vmwrite [^\n)]*)`)
	inSentence := regexp.MustCompile("`(vmwrite [^`]*)`")
	lines := map[string]string{}
	for _, path := range append(documents, "../../README.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i, part := range strings.Split(string(text), "```") {
			commandLine := inSentence
			if i%2 == 1 {
				commandLine = inBlock
			}
			for _, match := range commandLine.FindAllStringSubmatch(part, -1) {
				lines[match[1]] = path
			}
		}
	}
	root := newRootCmd(streams{strings.NewReader(""), io.Discard, io.Discard})
	eachCommand(root, func(cmd *cobra.Command) {
		for _, match := range inBlock.FindAllStringSubmatch(cmd.Example, -1) {
			lines[match[1]] = "its example"
		}
	})
	if len(lines) < 20 {
		t.Errorf("%d command lines were found: %q", len(lines), lines)
	}
	for line, path := range lines {
		if err := parses(line); err != nil {
			t.Errorf("%s: %s: %v", path, line, err)
		}
	}
}

// eachCommand calls f with a command and all below it.
func eachCommand(cmd *cobra.Command, f func(*cobra.Command)) {
	f(cmd)
	for _, sub := range cmd.Commands() {
		eachCommand(sub, f)
	}
}

// parses does to a command line what run does before the command itself runs.
func parses(line string) error {
	root := newRootCmd(streams{strings.NewReader(""), io.Discard, io.Discard})
	eachCommand(root, func(cmd *cobra.Command) {
		if cmd != root {
			cmd.RunE, cmd.Run = nil, func(*cobra.Command, []string) {}
		}
	})
	line, _, _ = strings.Cut(line, " | ")
	line, _, _ = strings.Cut(line, " > ")
	args := strings.Fields(line)[1:]
	root.SetArgs(numbersLast(root, args))
	return root.Execute()
}
