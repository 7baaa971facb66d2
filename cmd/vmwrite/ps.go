// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/vmwrite/vmwrite/internal/diagnose"
	"github.com/vmwrite/vmwrite/internal/procstatus"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

func newPSCmd(s streams) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ps [NAME]",
		Short: "List the processes, and which of them can be written to",
		Long: `List the processes whose name contains NAME, or all of them, with the memory
that each has. ACCESS is "yes" for those that vmwrite could open, and for the
others the rule that forbids it. One that is traced can be opened, but only its
tracer can stop it. Nothing happens to the processes.`,
		Example: "  vmwrite ps\n  vmwrite ps game\n  vmwrite ps --json",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("one NAME is enough, and %q is another", args[1])
			}
			return nil
		},
		ValidArgsFunction: completeNames,
		RunE: func(_ *cobra.Command, args []string) error {
			return runPS(s, strings.Join(args, ""), asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// access is a process, and whether it could be opened, in the object of --json.
type access struct {
	PID     int    `json:"pid"`
	Name    string `json:"name"`
	User    string `json:"user"`
	UID     uint64 `json:"uid"`
	Memory  uint64 `json:"memory"` // resident, in bytes
	Command string `json:"command"`
	Allowed bool   `json:"allowed"`
	Tracer  int    `json:"tracer,omitempty"` // the thread that traces it
	Rule    string `json:"rule"`             // which forbids to open it
	Hint    string `json:"hint"`
}

func runPS(s streams, name string, asJSON bool) error {
	all, err := processes()
	if err != nil {
		return err
	}
	list := matching(all, func(p process) bool { return strings.Contains(strings.ToLower(p.name), strings.ToLower(name)) })
	if len(list) == 0 {
		return noProcess(listed, name, all, true)
	}
	users := map[uint64]string{}
	rows := []access{}
	for _, p := range list {
		user, known := users[p.uid]
		if !known {
			user = userName(p.uid)
			users[p.uid] = user
		}
		row := access{PID: p.pid, Name: p.name, User: user, UID: p.uid, Memory: p.memory, Command: p.command, Tracer: procstatus.TracerOf(p.pid)}
		if row.try() {
			rows = append(rows, row)
		}
	}
	if asJSON {
		return s.printJSON(map[string]any{"processes": rows})
	}
	return s.print(processTable(rows, s.columns()))
}

// try opens the process, which changes nothing there. It returns false when there
// is no such process any more.
func (a *access) try() bool {
	task, err := machcompat.TaskForPID(a.PID)
	if err == nil {
		task.Close()
		a.Allowed = true
		return true
	}
	e, ok := errors.AsType[*machcompat.Error](err)
	if !ok {
		return false
	}
	reason, known := diagnose.Why(a.PID, e.Err)
	a.Rule, a.Hint = "refused", withRemedy(e.Hint, reason)
	if known {
		a.Rule = ruleName(reason)
	}
	_, gone := os.Stat(fmt.Sprintf("/proc/%d", a.PID))
	return gone == nil && reason.Rule != diagnose.Zombie
}

// ruleName is a rule in a few words.
func ruleName(r diagnose.Reason) string {
	switch r.Rule {
	case diagnose.OtherNamespace:
		return "another user namespace"
	case diagnose.OtherUser, diagnose.OtherOwner:
		return "another user's"
	case diagnose.OtherGroup:
		return "another group's"
	case diagnose.MoreCapabilities:
		return "more capabilities"
	case diagnose.Undumpable:
		return "not dumpable"
	case diagnose.OutsideNamespace:
		return "outside user namespace"
	case diagnose.Yama:
		return fmt.Sprintf("yama ptrace_scope %d", r.YamaLevel)
	case diagnose.SecurityModule:
		return "security module"
	case diagnose.BackendRefused:
		return "seccomp"
	case diagnose.HiddenProc:
		return "hidden in /proc"
	case diagnose.ForeignProc:
		return "another pid namespace"
	case diagnose.TooManyFiles:
		return "too many open files"
	}
	return "refused"
}

// processTable shows no more of a command line than there are columns.
func processTable(rows []access, columns int) []byte {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PID\tUSER\tMEMORY\tNAME\tACCESS\tCOMMAND")
	for _, row := range rows {
		access := row.Rule
		switch {
		case row.Allowed && row.Tracer != 0:
			access = fmt.Sprintf("yes, traced by %d", row.Tracer)
		case row.Allowed:
			access = "yes"
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\n", row.PID, row.User, byteCount(float64(row.Memory)),
			orDash(procmaps.Printable(row.Name)), access, orDash(procmaps.Printable(row.Command)))
	}
	w.Flush()
	if columns == 0 {
		return b.Bytes()
	}
	var cut strings.Builder
	for line := range strings.Lines(b.String()) {
		shown := []rune(strings.TrimSuffix(line, "\n"))
		cut.WriteString(string(shown[:min(len(shown), columns)]) + "\n")
	}
	return []byte(cut.String())
}

// userName returns the name of a user, or the number of one that has none.
func userName(uid uint64) string {
	id := strconv.FormatUint(uid, 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}
