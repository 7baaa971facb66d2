// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/patch"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

type recoverOptions struct {
	targetFlags
	finish bool
	force  bool
	json   bool
}

func newPatchRecoverCmd(s streams) *cobra.Command {
	o := &recoverOptions{}
	cmd := &cobra.Command{
		Use:   "recover [-p PID | -n NAME]",
		Short: "Put back what was left half done, in one process or in all",
		Long: `Put back what was there where vmwrite was killed while it applied or undid a
patch, or with --finish end what it began. Patches that are applied whole stay
so. Of processes that have ended the journal is removed; a process that has got
the same pid since is never touched.`,
		Example: "  vmwrite patch recover\n  vmwrite patch recover -p 4711 --finish",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := takesNone(cmd, args); err != nil {
				return err
			}
			return runRecover(s, o)
		},
	}
	o.targetFlags.add(cmd)
	cmd.Args = nil
	cmd.Flags().BoolVar(&o.finish, "finish", false, "write the new bytes, not the old ones")
	cmd.Flags().BoolVar(&o.force, "force", false, "do it though threads may run the code, or other bytes stand there")
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return cmd
}

// recoveredReport is a patch of the journal in the object of --json.
type recoveredReport struct {
	PID     int       `json:"pid"`
	Name    string    `json:"name"`
	Time    time.Time `json:"time"`
	Journal string    `json:"journal"` // its file
	Outcome string    `json:"outcome"`
	Error   string    `json:"error"`
}

func runRecover(s streams, o *recoverOptions) error {
	options := patch.RecoverOptions{Finish: o.finish, Force: o.force}
	if o.pid != "" || o.name != "" || o.prefix {
		var err error
		if options.PID, err = o.resolve(); err != nil {
			return err
		}
	}
	journal, err := patch.OpenJournal("")
	if err != nil {
		return journalError(err)
	}
	interrupted := watchSignals()
	defer interrupted.stop()
	c := &caller{streams: s}
	var all []patch.Recovered
	err = c.long(interrupted, "recovering", endsWhenForced, func(ctx context.Context) (err error) {
		all, err = journal.Recover(ctx, openProcess, options)
		return err
	})
	if exitStatus(err) == int(machcompat.KERN_ABORTED) {
		return err // the call may go on
	}
	out := outcome{Op: "patch", PID: options.PID, Recovered: []recoveredReport{}}
	failed := 0
	var firstErr error
	for _, r := range all {
		report := recoveredReport{PID: r.PID, Name: r.Name, Time: r.Time, Journal: r.Path, Outcome: r.Outcome.String()}
		if r.Err != nil {
			report.Error = r.Err.Error()
		}
		if r.Outcome == patch.Failed {
			if failed++; firstErr == nil {
				firstErr = r.Err
			}
		}
		out.Recovered = append(out.Recovered, report)
	}
	if !o.json && (err == nil || len(all) > 0) {
		if err := s.print(recoveredTable(out.Recovered)); err != nil {
			return err
		}
	}
	if err != nil {
		return &patchError{message: err.Error(), hint: journalHint(err), recovered: out.Recovered, err: &fileError{err}}
	}
	if failed > 0 {
		e := &patchError{message: fmt.Sprintf("%s of %d not recovered: %v", counted(failed, "patch"), len(all), firstErr), recovered: out.Recovered, err: firstErr}
		switch {
		case interrupted.came() && isCanceled(firstErr):
			e.err = c.coded(machcompat.KERN_ABORTED, errInterrupted)
		case exitStatus(e) == exitUsage:
			e.mach = c.coded(machcompat.KERN_FAILURE, firstErr).mach
		}
		return e
	}
	if o.json {
		return s.printJSON(out.succeeded(counted(len(all), "patch")))
	}
	return nil
}

// openProcess opens a process that the journal names.
func openProcess(pid int) (patch.Process, func(), error) {
	task, err := machcompat.TaskForPID(pid)
	if err != nil {
		return nil, nil, err
	}
	return patch.Of(task), func() { task.Close() }, nil
}

func journalError(err error) error {
	return &patchError{message: err.Error(), hint: journalHint(err), err: &fileError{err}}
}

func recoveredTable(all []recoveredReport) []byte {
	if len(all) == 0 {
		return []byte("no patch is in the journal\n")
	}
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PID\tOUTCOME\tPATCH\tAPPLIED\tERROR")
	for _, r := range all {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\n", r.PID, r.Outcome, procmaps.Printable(r.Name), r.Time.Local().Format(time.DateTime), orDash(procmaps.Printable(r.Error)))
	}
	w.Flush()
	return b.Bytes()
}
