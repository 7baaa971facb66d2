// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// A process is whatever its owner calls it, and a shell evaluates what it offers.
func TestCompletionOfHostileNames(t *testing.T) {
	front := fmt.Sprintf("tab%d", os.Getpid())
	for _, name := range []string{" game", "$(id)", "`id`", "\x1b[2J", "\nnext", "\ttab", "a;b", "~", "'", `"`, "\xff", "é"} {
		program := filepath.Join(t.TempDir(), front+name)
		if text, err := exec.Command("cp", testtarget.Build(t, ""), program).CombinedOutput(); err != nil {
			t.Fatal(string(text), err)
		}
		testtarget.StartBystander(t, program)
	}
	words, directive := completeNames(nil, nil, front)
	var names []string
	for _, word := range words {
		name, description, _ := strings.Cut(word, "\t")
		names = append(names, strings.TrimPrefix(name, front))
		if procmaps.Printable(description) != description {
			t.Errorf("%q is described by %q", name, description)
		}
	}
	slices.Sort(names)
	if want := []string{" game", "é"}; !slices.Equal(names, want) || directive != cobra.ShellCompDirectiveNoFileComp {
		t.Errorf("offered are %q, %v; want %q", names, directive, want)
	}
}

// The script for bash works without the package bash-completion, and completes
// what stands before the cursor.
func TestCompletionInBash(t *testing.T) {
	testtarget.Need(t, "bash")
	var script bytes.Buffer
	if status := run([]string{"completion", "bash"}, streams{out: &script, err: &script}); status != 0 {
		t.Fatal(script.String())
	}
	directory := t.TempDir()
	if err := os.WriteFile(filepath.Join(directory, "script"), script.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(testtarget.BuildCommand(t), filepath.Join(directory, "vmwrite")); err != nil {
		t.Fatal(err)
	}
	// Without a terminal no key can be pressed; this is what bash does at Tab.
	const tab = `
PATH=$1:$PATH; source "$1/script"; complete -p vmwrite >/dev/null || exit
COMP_LINE=$2; COMP_POINT=$3; COMP_TYPE=9; COLUMNS=80; shift 3
COMP_WORDS=("$@"); COMP_CWORD=$(($#-1))
compopt() { :; } # which is for a real key press
__start_vmwrite && printf '%s,' "${COMPREPLY[@]%% *}"`
	for _, c := range []struct {
		name, line string
		words      []string // as bash splits the line up to the cursor
		want       string
	}{
		{"a command", "vmwrite wr", []string{"vmwrite", "wr"}, "write,"},
		{"several", "vmwrite s", []string{"vmwrite", "s"}, "scan,suspend,"},
		{"a flag", "vmwrite write --unp", []string{"vmwrite", "write", "--unp"}, "--unprotect,"},
		{"the value of a flag", "vmwrite write --stop  al", []string{"vmwrite", "write", "--stop", "al"}, "always,"},
		{"one behind =", "vmwrite write --stop=al", []string{"vmwrite", "write", "--stop", "=", "al"}, "always,"},
		{"all of them behind =", "vmwrite write --stop=", []string{"vmwrite", "write", "--stop", "="}, "auto,always,never,"},
		{"all of them behind a blank", "vmwrite write --stop ", []string{"vmwrite", "write", "--stop", ""}, "auto,always,never,"},
		{"in front of other words", "vmwrite completion | -p 1", []string{"vmwrite", "completion", ""}, "bash,zsh,fish,"},
		{"in the middle of a word", "vmwrite wr|ong", []string{"vmwrite", "wrong"}, "write,"},
	} {
		t.Run(c.name, func(t *testing.T) {
			front, rest, _ := strings.Cut(c.line, "|")
			args := append([]string{"--norc", "--noprofile", "-c", tab, "bash", directory, front + rest, fmt.Sprint(len(front))}, c.words...)
			if out, err := exec.Command("bash", args...).CombinedOutput(); err != nil || string(out) != c.want {
				t.Errorf("%q completes to %q, %v; want %q", c.line, out, err, c.want)
			}
		})
	}
}
