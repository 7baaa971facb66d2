// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// streams are what a command reads and writes. Results go to out, and everything
// else, each line behind "vmwrite: ", to err.
type streams struct {
	in  io.Reader
	out io.Writer
	err io.Writer
}

// notef writes a line that is no result.
func (s streams) notef(format string, args ...any) {
	fmt.Fprintf(s.err, "vmwrite: "+format+"\n", args...)
}

// print writes a result.
func (s streams) print(text []byte) error {
	if _, err := s.out.Write(text); err != nil {
		return &fileError{fmt.Errorf("writing the result: %w", err)}
	}
	return nil
}

// run runs the command line and returns the exit status.
func run(args []string, s streams) (status int) {
	defer func() {
		if r := recover(); r != nil {
			s.notef("this is a bug, please report it: %v\n%s", r, debug.Stack())
			status = exitBug
		}
	}()
	root := newRootCmd(s, args...)
	if len(args) > 0 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd) {
		plainUsages(root)
	}
	err := checkDashes(root, args)
	if err == nil {
		root.SetArgs(numbersLast(root, args))
		err = root.Execute()
	}
	if err != nil {
		cmd, rest, unknown := root.Find(args)
		if unknown != nil {
			err = unknownCommand(root, firstWord(root, args))
		} else if word := firstWord(cmd, rest); word != "" && cmd != root && cmd.HasSubCommands() {
			err = unknownCommand(cmd, word)
		}
		report(s, err, wantsJSON(args))
	}
	return exitStatus(err)
}

// wantsJSON looks for --json itself, because a command line that can't be parsed
// gets its answer in that form too.
func wantsJSON(args []string) bool {
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	return slices.Contains(args, "--json") || slices.Contains(args, "--json=true")
}

// subcommands are all but help.
var subcommands = []struct {
	name string
	make func(streams) *cobra.Command
}{
	{"write", newWriteCmd}, {"read", newReadCmd}, {"copy", newCopyCmd}, {"protect", newProtectCmd}, {"maps", newMapsCmd},
	{"modules", newModulesCmd}, {"resolve", newResolveCmd}, {"scan", newScanCmd}, {"watch", newWatchCmd}, {"hold", newHoldCmd}, {"patch", newPatchCmd},
	{"ps", newPSCmd}, {"suspend", newSuspendCmd}, {"demo", newDemoCmd}, {"demo-target", newDemoTargetCmd},
	{"explain", newExplainCmd}, {"page-size", newPageSizeCmd}, {"version", newVersionCmd}, {"completion", newCompletionCmd},
}

// newRootCmd makes the command with all subcommands or, for args that begin with the
// name of one, with that one alone.
func newRootCmd(s streams, args ...string) *cobra.Command {
	root := &cobra.Command{
		Use:   "vmwrite COMMAND",
		Short: "Write into the memory of a running process, as Mach's vm_write does",
		Long: `Write into the memory of a running process, as Mach's vm_write does: only where
the process itself may write, all of it or nothing, and with the exact
kern_return_t as the exit status when it can't.`,
		Example: `  vmwrite demo
  vmwrite ps
  vmwrite maps -n game
  vmwrite write -n game 0x7f3a5c001000 -t i32 999
  vmwrite hold -n game -t i32 'game+0x4068,0x8,0x16=999'
  vmwrite write -p 4711 0x7f3a5c001000 90 90 --expect 7405
  vmwrite read -p 4711 0x7f3a5c001000 64`,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true}, // ours is another
		PersistentPreRunE: confirmValues,
		SilenceErrors:     true,
		SilenceUsage:      true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			if asked, _ := cmd.Flags().GetBool("version"); asked {
				version := newVersionCmd(s)
				return version.RunE(version, nil)
			}
			return cmd.Help()
		},
	}
	root.Flags().BoolP("version", "V", false, "print the version")
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetFlagErrorFunc(flagError)
	root.SetUsageFunc(usage)
	made := subcommands
	for i, c := range subcommands {
		if len(args) > 0 && c.name == args[0] {
			made = subcommands[i : i+1]
		}
	}
	for _, c := range made {
		root.AddCommand(c.make(s))
	}
	root.SetHelpCommand(newHelpCmd())
	root.InitDefaultHelpCmd()
	return root
}

// plainUsages takes the quotes off the name of a flag's value, which a shell would
// show with the completions.
func plainUsages(root *cobra.Command) {
	for _, cmd := range root.Commands() {
		cmd.Flags().VisitAll(func(flag *pflag.Flag) { _, flag.Usage = pflag.UnquoteUsage(flag) })
	}
}

// confirmValues refuses an empty value, which mostly is a variable that is not set.
func confirmValues(cmd *cobra.Command, _ []string) (err error) {
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		if flag.Value.String() == "" {
			err = usagef("%s is empty; leave it out if that is meant", flagName(flag))
		}
	})
	return err
}

func newHelpCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Show the help of a command",
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return commandNames(cmd.Root()), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			topic, rest, err := cmd.Root().Find(args)
			if err != nil {
				return unknownCommand(cmd.Root(), args[0])
			}
			if len(rest) > 0 {
				return usagef("%s has no command %q", topic.CommandPath(), rest[0])
			}
			topic.InitDefaultHelpFlag()
			return topic.Help()
		},
	}
}

// usage is cobra's own, but as wide as a terminal is at least.
func usage(cmd *cobra.Command) error {
	const width = 80
	w := cmd.OutOrStderr()
	fmt.Fprintf(w, "Usage:\n  %s\n", strings.TrimSuffix(cmd.UseLine(), " [flags]")) // they follow
	if cmd.HasExample() {
		fmt.Fprintf(w, "\nExamples:\n%s\n", cmd.Example)
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(w, "\nCommands:\n")
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() || sub.Name() == "help" {
				fmt.Fprintf(w, "  %-*s %s\n", sub.NamePadding(), sub.Name(), sub.Short)
			}
		}
	}
	fmt.Fprintf(w, "\nFlags:\n%s", cmd.LocalFlags().FlagUsagesWrapped(width))
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(w, "\n%s COMMAND --help says more about a command.\n", cmd.CommandPath())
	}
	return nil
}

// firstWord returns what stands where a command should, as cobra takes it: a flag
// that is not known has a value.
func firstWord(root *cobra.Command, args []string) string {
	for i := 0; i < len(args); i++ {
		switch arg := args[i]; {
		case arg != "" && !strings.HasPrefix(arg, "-"):
			return arg
		case strings.Contains(arg, "="), root.Flag(strings.TrimLeft(arg, "-")) != nil:
		case strings.HasPrefix(arg, "--"), len(arg) == 2 && root.Flags().ShorthandLookup(arg[1:]) == nil:
			i++
		}
	}
	return ""
}

func unknownCommand(parent *cobra.Command, word string) error {
	meant := didYouMean(word, commandNames(parent), "")
	switch {
	case meant != "":
	case isPID(word) && !parent.HasParent():
		meant = "; the process is named behind a command, as in vmwrite maps -p " + word
	default:
		meant = fmt.Sprintf(" (see %s --help)", parent.CommandPath())
	}
	return usagef("unknown command %q%s", word, meant)
}

func commandNames(root *cobra.Command) (names []string) {
	for _, cmd := range root.Commands() {
		if cmd.IsAvailableCommand() {
			names = append(names, cmd.Name())
		}
	}
	return names
}

// flagError says what is wrong with a flag.
func flagError(cmd *cobra.Command, err error) error {
	see := fmt.Sprintf(" (see %s --help)", cmd.CommandPath())
	if !cmd.HasParent() {
		see = "; flags stand behind a command" + see
	}
	if e, ok := errors.AsType[*pflag.NotExistError](err); ok {
		dashes, name := "--", e.GetSpecifiedName()
		if e.GetSpecifiedShortnames() != "" {
			dashes = "-"
		}
		var names []string
		cmd.Flags().VisitAll(func(flag *pflag.Flag) { names = append(names, flag.Name) })
		if meant := didYouMean(name, names, "--"); meant != "" && dashes == "--" {
			see = meant
		}
		return usagef("unknown flag %s%s%s", dashes, name, see)
	}
	if e, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		return usagef("%s needs a value%s", flagName(e.GetFlag()), see)
	}
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return usagef("%s %q: want %s%s", flagName(e.GetFlag()), e.GetValue(), wanted(e.GetFlag()), see)
	}
	return usagef("%v%s", err, see)
}

func flagName(flag *pflag.Flag) string {
	if flag.Shorthand != "" {
		return "-" + flag.Shorthand + " (--" + flag.Name + ")"
	}
	return "--" + flag.Name
}

// wanted says what the value of a flag may be.
func wanted(flag *pflag.Flag) string {
	switch flag.Value.Type() {
	case "bool":
		return "true or false"
	case "duration":
		return "a time such as 500ms or 2s"
	}
	return "a number"
}
