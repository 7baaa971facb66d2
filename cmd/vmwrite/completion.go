package main

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

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
		if described[w] == "" {
			words = append(words, w)
			described[w] = procmaps.Printable(p.command)
		} else {
			described[w] = "several processes"
		}
	}
	for i, w := range words {
		words[i] = cobra.CompletionWithDesc(w, described[w])
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

// isPlain reports whether a shell takes a word as it is, but for spaces. The
// scripts insert what several words have in common unquoted, and evaluate it when
// they ask again: a process may be named $(reboot).
func isPlain(word string) bool {
	return word != "" && procmaps.Printable(word) == word && !strings.ContainsAny(word, "\\\"'`$&|;<>()[]{}*?!#~")
}
