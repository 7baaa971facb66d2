// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vmwrite/vmwrite/internal/value"
)

// numbersLast moves what stands for no flag behind a "--", so that a negative
// number, or a protection, may be a value: pflag would take -5 and -w- for flags
// of those names.
func numbersLast(root *cobra.Command, args []string) []string {
	cmd, rest, err := root.Find(args)
	if err != nil || cmd == root || !hasDashedValue(rest) {
		return args
	}
	flags := append([]string{}, args[:len(args)-len(rest)]...)
	if len(flags) == 0 || args[len(flags)-1] != cmd.Name() {
		return args // flags stand before the command's name: leave it to cobra
	}
	var values []string
	for i := 0; i < len(rest); i++ {
		switch arg := rest[i]; {
		case arg == "--":
			values = append(values, rest[i+1:]...)
			i = len(rest)
		case !strings.HasPrefix(arg, "-") || arg == "-" || isDashedValue(arg):
			values = append(values, arg)
		default:
			flags = append(flags, arg)
			if takesNext(cmd, arg) && i+1 < len(rest) {
				i++
				flags = append(flags, rest[i])
			}
		}
	}
	return append(append(flags, "--"), values...)
}

// checkDashes refuses a long flag with one dash, which would be taken for a group
// of short ones: -pid for -p id.
func checkDashes(root *cobra.Command, args []string) error {
	cmd, rest, err := root.Find(args)
	for i := 0; err == nil && i < len(rest) && rest[i] != "--"; i++ {
		arg := rest[i]
		if !strings.HasPrefix(arg, "-") {
			continue
		}
		if name, _, _ := strings.Cut(arg[1:], "="); len(name) > 1 && cmd.Flags().Lookup(name) != nil {
			return usagef("unknown flag -%s; did you mean --%s?", name, name)
		}
		if takesNext(cmd, arg) {
			i++
		}
	}
	return nil
}

func hasDashedValue(args []string) bool {
	for _, arg := range args {
		if isDashedValue(arg) {
			return true
		}
	}
	return false
}

// isDashedValue reports whether arg is a value though it may begin with a dash.
// No flag is spelled like a protection.
func isDashedValue(arg string) bool { return isProtection(arg) || isNegativeNumber(arg) }

// isNegativeNumber reports whether arg is a number of a kind that a value may
// be. No flag begins with a digit, and none is named inf.
func isNegativeNumber(arg string) bool {
	digits, ok := strings.CutPrefix(arg, "-")
	if !ok || digits == "" {
		return false
	}
	if c := digits[0]; (c >= '0' && c <= '9') || (c == '.' && len(digits) > 1) {
		return true
	}
	_, err := strconv.ParseFloat(arg, 64)
	return err == nil
}

// takesNext reports whether the flag or the group of short flags takes the next
// argument as its value.
func takesNext(cmd *cobra.Command, arg string) bool {
	if strings.Contains(arg, "=") {
		return false
	}
	if name, long := strings.CutPrefix(arg, "--"); long {
		return wantsValue(cmd.Flag(name))
	}
	for i := 1; i < len(arg); i++ { // by bytes, as pflag does, which panics for more
		if wantsValue(cmd.Flags().ShorthandLookup(arg[i : i+1])) {
			return i == len(arg)-1 // else the rest of the group is the value
		}
	}
	return false
}

func wantsValue(flag *pflag.Flag) bool { return flag != nil && flag.NoOptDefVal == "" }

// takesNone refuses arguments.
func takesNone(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s takes no arguments, and %q is one", cmd.CommandPath(), args[0])
	}
	return nil
}

// parseSize parses a count of bytes: decimal or 0x, with K, M or G for powers of
// 1024.
func parseSize(text string) (uint64, error) {
	number, shift := text, 0
	if n := len(text); n > 1 && !strings.HasPrefix(strings.ToLower(text), "0x") {
		if i := strings.IndexByte("KMG", text[n-1]&^0x20); i >= 0 {
			number, shift = text[:n-1], 10*(i+1)
		}
	}
	size, err := value.ParseUnsigned(number, 64)
	if err != nil || size > (1<<64-1)>>shift {
		return 0, usagef("size %q: want a number of bytes such as 64, 0x40 or 4K", text)
	}
	return size << shift, nil
}
