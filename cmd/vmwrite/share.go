// SPDX-License-Identifier: Apache-2.0

//go:build share

// With the tag share this is the program that writes what is installed in share: the
// manual pages and the completions. So the product is not linked with what only they
// take.
package main

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"
)

// completions are the places in which the shells look for those of a command.
var completions = map[string]string{
	"bash": "bash-completion/completions/vmwrite",
	"zsh":  "zsh/site-functions/_vmwrite",
	"fish": "fish/vendor_completions.d/vmwrite.fish",
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("which SHARE folder, and of which DATE?")
	}
	if err := writeShare(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func writeShare(folder, date string) error {
	day, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return err
	}
	files := map[string][]byte{}
	for shell, path := range completions {
		var script bytes.Buffer
		if status := run([]string{"completion", shell}, streams{in: os.Stdin, out: &script, err: os.Stderr}); status != 0 {
			return fmt.Errorf("vmwrite completion %s: exit status %d", shell, status)
		}
		files[path] = script.Bytes()
	}
	root := newRootCmd(streams{in: os.Stdin, out: os.Stdout, err: os.Stderr})
	for _, cmd := range commandsOf(root) {
		page, err := manualPage(cmd, day)
		if err != nil {
			return err
		}
		files["man/man1/"+pageName(cmd)+".1"] = []byte(page)
	}
	for path, content := range files {
		path = filepath.Join(folder, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// commandsOf returns a command and all below it that a person can use.
func commandsOf(cmd *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{cmd}
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			all = append(all, commandsOf(sub)...)
		}
	}
	return all
}

func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// manualPage is the page that cobra makes of a command, in the form of other manual
// pages: options hang below their names, and there are the sections that a reader
// looks for.
func manualPage(cmd *cobra.Command, date time.Time) (string, error) {
	cmd.DisableAutoGenTag = true
	cmd.DisableFlagsInUseLine = true
	if cmd.Long == "" {
		cmd.Long = cmd.Short + "."
	}
	var rendered bytes.Buffer
	header := doc.GenManHeader{Date: &date, Source: "vmwrite " + version, Manual: "User Commands"}
	if err := doc.GenMan(cmd, &header, &rendered); err != nil {
		return "", err
	}
	page, _, _ := strings.Cut(rendered.String(), ".SH SEE ALSO")
	arguments := strings.TrimPrefix(cmd.Use, cmd.Name())
	if !cmd.HasParent() {
		arguments = " COMMAND"
	}
	page = strings.Replace(page, `\fB`+cmd.UseLine()+`\fP`, `\fB`+cmd.CommandPath()+`\fP`+arguments+" [OPTIONS]", 1)
	page = option.ReplaceAllStringFunc(page, func(text string) string { return hangOption(cmd, text) })
	page = strings.Replace(page, ".SH EXAMPLE\n", ".SH EXAMPLES\n", 1)
	page = blankLines.ReplaceAllString(page, "\n")
	if cmd.HasAvailableSubCommands() {
		page += ".SH COMMANDS\n"
		for _, child := range cmd.Commands() {
			if child.IsAvailableCommand() {
				page += fmt.Sprintf(".TP\n\\fB%s\\fP(1)\n%s.\n", pageName(child), child.Short)
			}
		}
	}
	page += `.SH EXIT STATUS
0 if all was done, 64 if the command line is wrong and nothing was done; else mostly
the \fBkern_return_t\fP. \fBvmwrite-formats\fP(7) lists all.
.SH SEE ALSO
`
	switch {
	case cmd.HasParent() && cmd.Parent().HasParent():
		page += fmt.Sprintf("\\fB%s\\fP(1),\n\\fBvmwrite-formats\\fP(7)\n", pageName(cmd.Parent()))
	case cmd.HasParent():
		page += "\\fBvmwrite\\fP(1),\n\\fBvmwrite-formats\\fP(7)\n"
	default:
		page += "\\fBvmwrite-formats\\fP(7),\n\\fBmachcompat\\fP(3),\n\\fBprocess_vm_writev\\fP(2),\n\\fBptrace\\fP(2)\n"
	}
	// A plain dash could be shown as a hyphen, which no shell takes for an option's.
	page = strings.ReplaceAll(strings.ReplaceAll(page, `\-`, "-"), "-", `\-`)
	return strings.Replace(page, date.Format("Jan 2006"), date.Format(time.DateOnly), 1), nil
}

// blankLines are what cobra leaves around its sections; a manual page has requests for that.
var blankLines = regexp.MustCompile(`\n{2,}`)

// option is an option of cobra's page: its names in bold, its value unless it is
// given, and below a tab what it means.
var option = regexp.MustCompile(`(?m)^(?:\.PP\n)?(\\fB-.*\\fP)(\[=.*\]|=.*)\n\t(.*)$`)

func hangOption(cmd *cobra.Command, text string) string {
	parts := option.FindStringSubmatch(text)
	names, preset, meaning := parts[1], parts[2], parts[3]
	if strings.HasPrefix(preset, "=") { // it takes a value
		long := names[strings.LastIndex(names, "--")+2:]
		value, _ := pflag.UnquoteUsage(cmd.Flag(long[:strings.Index(long, `\`)]))
		names += `=\fI` + value + `\fP`
		if value := strings.Trim(preset, `="`); value != "" && value != "0" && value != "0s" {
			meaning += " (default " + value + ")"
		}
	}
	return ".TP\n" + names + "\n" + meaning
}
