// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/vmwrite/vmwrite/internal/value"
	"github.com/vmwrite/vmwrite/pkg/address"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// bashWords replaces what cobra's script for bash takes from the package
// bash-completion where that is missing.
const bashWords = `
# Without the package bash-completion: bash also splits words at = and :, and what
# no blank comes before belongs to the word in front of it.
__vmwrite_init_completion()
{
    local line=${COMP_LINE:0:COMP_POINT} i blanks
    COMPREPLY=()
    words=()
    cword=-1
    for ((i = 0; i <= COMP_CWORD; i++)); do
        blanks=${line%%[![:space:]]*}
        line=${line#"$blanks"}
        if ((cword < 0)) || [[ -n $blanks ]]; then
            words[++cword]=
        fi
        if ((i < COMP_CWORD)); then
            words[cword]+=${COMP_WORDS[i]}
            line=${line#"${COMP_WORDS[i]}"}
        else
            words[cword]+=$line # up to the cursor
        fi
    done
    cur=${words[cword]}
    prev=${words[cword > 0 ? cword - 1 : 0]}
}
`

func newCompletionCmd(s streams) *cobra.Command {
	return &cobra.Command{
		Use:   "completion (bash | zsh | fish)",
		Short: "Print a script by which a shell completes the command's words",
		Long: `Print a script by which a shell completes commands, flags, the pids and names
of processes, and their modules. It works without the package bash-completion.`,
		Example: `  source <(vmwrite completion bash)        # in ~/.bashrc
  source <(vmwrite completion zsh)         # in ~/.zshrc, behind compinit
  vmwrite completion fish | source         # in ~/.config/fish/config.fish`,
		ValidArgs: []string{"bash", "zsh", "fish"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("which shell? give bash, zsh or fish")
			}
			var script bytes.Buffer // writing to it can't fail
			switch args[0] {
			case "bash":
				_ = cmd.Root().GenBashCompletionV2(&script, true)
				script.WriteString(bashWords)
			case "zsh":
				_ = cmd.Root().GenZshCompletion(&script)
			case "fish":
				_ = cmd.Root().GenFishCompletion(&script, true)
			default:
				return usagef("no completion for %q; there is one for bash, zsh and fish", args[0])
			}
			return s.print(script.Bytes())
		},
	}
}

func completePIDs(_ *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
	return complete(prefix, func(p process) string { return strconv.Itoa(p.pid) })
}

func completeNames(_ *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
	return complete(prefix, func(p process) string { return p.name })
}

// complete offers the processes of this user, each word once.
func complete(prefix string, word func(process) string) ([]string, cobra.ShellCompDirective) {
	list, err := processes()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var words []string
	described := map[string]string{}
	for _, p := range list {
		w := word(p)
		if !p.isOurs() || !strings.HasPrefix(w, prefix) || !isPlain(w) {
			continue
		}
		if _, again := described[w]; again {
			described[w] = "several processes"
			continue
		}
		words = append(words, w)
		described[w] = procmaps.Printable(p.command)
	}
	for i, w := range words {
		words[i] = cobra.CompletionWithDesc(w, described[w])
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

// completeTypes offers the types of -t, and the byte orders where they can be chosen.
func completeTypes(cmd *cobra.Command) {
	cmd.RegisterFlagCompletionFunc("type", cobra.FixedCompletions(value.Types, cobra.ShellCompDirectiveNoFileComp))
	if cmd.Flags().Lookup("endian") != nil {
		cmd.RegisterFlagCompletionFunc("endian", cobra.FixedCompletions([]string{"little", "big", "native"}, cobra.ShellCompDirectiveNoFileComp))
	}
}

// completePlaces offers the modules of the process that was named, for an ADDRESS to
// begin with, which is one of these arguments.
func (f *targetFlags) completePlaces(arguments ...int) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, prefix string) (words []string, _ cobra.ShellCompDirective) {
		const directive = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		if !slices.Contains(arguments, len(args)) {
			return nil, directive
		}
		for _, m := range f.modules() {
			// The expression would need quotes around any other name.
			name := m.Name
			if isPlain(name) && address.Quote(name) == name && m.Kind != address.Data && strings.HasPrefix(name, prefix) {
				words = append(words, cobra.CompletionWithDesc(name, m.Kind.String()+" at "+hexAddress(m.Base)))
			}
		}
		return words, directive
	}
}

// modules lists the modules of the process, none if that can't be done.
func (f *targetFlags) modules() []*address.Module {
	task, err := f.open()
	if err != nil {
		return nil
	}
	defer task.Close()
	list, _ := address.NewResolver(task).Modules()
	return list
}

// isPlain reports whether a shell takes a word as it is, but for spaces. The
// scripts insert what several words have in common unquoted, and evaluate it when
// they ask again: a process may be named $(reboot).
func isPlain(word string) bool {
	return word != "" && procmaps.Printable(word) == word && !strings.ContainsAny(word, "\\\"'`$&|;<>()[]{}*?!#~")
}
