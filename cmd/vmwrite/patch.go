// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/vmwrite/vmwrite/internal/diagnose"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/patch"
	"github.com/vmwrite/vmwrite/pkg/patch/convert"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"golang.org/x/sys/unix"
)

func newPatchCmd(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "patch COMMAND",
		Short: "Apply a patch file to a process, whole or not at all, and undo it",
		Long: `A patch file says what is changed in a process, and how to know that it is the
right one. It is applied whole or not at all. What was there is kept in a
journal, in $XDG_STATE_HOME/vmwrite or ~/.local/state/vmwrite, so that undo and
recover can put it back.`,
		Example: `  vmwrite patch diff game game.changed -o fix.yaml
  vmwrite patch check -n game fix.yaml
  vmwrite patch apply -n game fix.yaml
  vmwrite patch status -n game fix.yaml
  vmwrite patch undo -n game fix.yaml`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	cmd.AddCommand(
		newPatchCheckCmd(s), newPatchApplyCmd(s), newPatchUndoCmd(s), newPatchStatusCmd(s), newPatchRecoverCmd(s),
		newPatchImportCmd(s), newPatchExportCmd(s), newPatchDiffCmd(s),
	)
	return cmd
}

// patchOptions are those of the commands on a patch and a process.
type patchOptions struct {
	targetFlags
	timeout float64 // seconds
	watch   string
	force   bool
	dryRun  bool
	verbose bool
	json    bool
}

// add adds the flags that all of these commands have.
func (o *patchOptions) add(cmd *cobra.Command) {
	o.targetFlags.add(cmd)
	cmd.Args = nil // an argument is a file, and never a process
	cmd.Flags().BoolVarP(&o.verbose, "verbose", "v", false, "list all changes, however many there are")
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	cmd.ValidArgsFunction = completePatchFile
}

// addForce adds the flags of those that change the process.
func (o *patchOptions) addForce(cmd *cobra.Command, force string) {
	cmd.Flags().Float64Var(&o.timeout, "timeout", 10, "`SECONDS` to wait for threads that are in the code")
	cmd.Flags().BoolVar(&o.force, "force", false, force)
}

func completePatchFile(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
}

func newPatchCheckCmd(s streams) *cobra.Command {
	o := &patchOptions{}
	cmd := &cobra.Command{
		Use:   "check (-p PID | -n NAME) PATCH",
		Short: "Say whether a patch can be applied, and show what it would change",
		Long: `Say whether a patch can be applied: whether it is the right program, each place
is found, and the old bytes are there. Everything that stands against it is
listed. Nothing is written. Whether threads are in the code is not looked at.`,
		Example: "  vmwrite patch check -n game fix.yaml\n  vmwrite patch check -p 4711 fix.yaml --json",
		RunE: func(_ *cobra.Command, args []string) error {
			return runPatch(s, o, (*patchJob).check, args)
		},
	}
	o.add(cmd)
	return cmd
}

func newPatchApplyCmd(s streams) *cobra.Command {
	o := &patchOptions{}
	cmd := &cobra.Command{
		Use:   "apply (-p PID | -n NAME | --watch NAME) PATCH",
		Short: "Apply a patch, whole or not at all",
		Long: `Apply a patch: all of it in one stop of the process, in which no thread is in
the code that is changed or comes back into the middle of it, or nothing. It is
tried again until the time of --timeout is over. What was there is in the
journal before the first byte is written.

With --watch the process of that name may still have to start: the patch is
applied as soon as all of its places are found. Ctrl-C ends that.`,
		Example: `  vmwrite patch apply -n game fix.yaml
  vmwrite patch apply -p 4711 fix.yaml --timeout 60
  vmwrite patch apply --watch game fix.yaml`,
		RunE: func(_ *cobra.Command, args []string) error {
			if o.dryRun {
				return runPatch(s, o, (*patchJob).check, args)
			}
			return runPatch(s, o, (*patchJob).apply, args)
		},
	}
	o.add(cmd)
	o.addForce(cmd, "apply it though threads may run the code meanwhile")
	cmd.Flags().StringVar(&o.watch, "watch", "", "wait for the process of this `NAME`")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "only check, as vmwrite patch check does")
	cmd.RegisterFlagCompletionFunc("watch", completeNames)
	return cmd
}

func newPatchUndoCmd(s streams) *cobra.Command {
	o := &patchOptions{}
	cmd := &cobra.Command{
		Use:   "undo (-p PID | -n NAME) PATCH",
		Short: "Put back what was there before a patch was applied",
		Long: `Put back what was there before a patch was applied, under the same rules: all of
it or nothing, and with no thread in the code. Patches that overlap are undone
in reverse order.`,
		Example: "  vmwrite patch undo -n game fix.yaml",
		RunE: func(_ *cobra.Command, args []string) error {
			return runPatch(s, o, (*patchJob).undo, args)
		},
	}
	o.add(cmd)
	o.addForce(cmd, "undo it though threads may run the code, or other bytes stand there")
	return cmd
}

func newPatchStatusCmd(s streams) *cobra.Command {
	o := &patchOptions{}
	cmd := &cobra.Command{
		Use:   "status (-p PID | -n NAME) PATCH",
		Short: "Say of each change of a patch whether it is applied",
		Long: `Say of each change whether it is applied, not applied, mixed (of some bytes the
old ones are there, of others the new ones), foreign (other bytes are there) or
unknown (its place was not found). The status is 0 whichever it is.`,
		Example: "  vmwrite patch status -n game fix.yaml",
		RunE: func(_ *cobra.Command, args []string) error {
			return runPatch(s, o, (*patchJob).status, args)
		},
	}
	o.add(cmd)
	return cmd
}

// patchJob is a patch and the process that it is for.
type patchJob struct {
	*patchOptions
	caller
	file        string
	patch       *patch.Patch
	plan        *patch.Plan
	interrupted *interruption
	undoes      bool
}

func runPatch(s streams, o *patchOptions, do func(*patchJob) error, args []string) error {
	if err := o.confirmPatch(args); err != nil {
		return err
	}
	p, err := readPatch(s, args[0])
	if err != nil {
		return err
	}
	j := &patchJob{patchOptions: o, caller: caller{streams: s}, file: args[0], patch: p, interrupted: watchSignals()}
	defer j.interrupted.stop()
	if o.watch != "" {
		err = j.wait()
	} else if j.task, err = o.open(); err == nil {
		err = j.resolve()
	}
	if j.task != nil {
		defer func() { j.task.Close() }()
	}
	if err != nil {
		return err
	}
	return do(j)
}

// confirmPatch refuses a command line that can't be meant.
func (o *patchOptions) confirmPatch(args []string) error {
	switch {
	case len(args) == 0 && isPatchName(o.pid+o.name):
		return usagef("%q is no process; name one with -p PID or -n NAME, and the patch behind that", o.pid+o.name)
	case len(args) == 0:
		return usagef("which patch? give its file, as fix.yaml")
	case len(args) > 1 && o.pid+o.name+o.watch == "" && !(isPatchName(args[0]) && isPatchName(args[1])):
		other := args[0]
		if isPatchName(other) {
			other = args[1]
		}
		return usagef("which process? it is named with -p PID or -n NAME, and %q stands behind neither", other)
	case len(args) > 1:
		return usagef("one patch at a time, and %q is another", args[1])
	case !(o.timeout >= 0 && o.timeout <= 1e6):
		return usagef("--timeout %g: want a number of seconds from 0 to 1000000", o.timeout)
	case o.watch != "" && (o.pid != "" || o.name != ""):
		return usagef("--watch names the process; leave out -p and -n")
	case o.watch != "" && o.dryRun:
		return usagef("--watch waits to apply, and --dry-run does not")
	case o.watch != "":
		return nil
	case o.pid == "" && o.name == "":
		return usagef("which process? name it with -p PID or -n NAME (vmwrite ps lists them)")
	}
	named := o.pid + o.name
	if _, err := os.Stat(args[0]); err != nil && (isPID(args[0]) || isPatchName(named)) {
		return usagef("%q is no patch file; the process belongs behind -p or -n, and the file behind that", args[0])
	}
	return nil
}

func isPatchName(name string) bool {
	return strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml")
}

// resolve finds the places of the patch.
func (j *patchJob) resolve() error {
	var plan *patch.Plan
	err := j.long(j.interrupted, "looking for the places of the patch", endsAtOnce, func(ctx context.Context) error {
		journal, err := patch.OpenJournal("")
		if err != nil {
			return err
		}
		plan, err = j.patch.Resolve(ctx, patch.Of(j.task), patch.Options{Journal: journal, Force: j.force})
		return err
	})
	if err != nil {
		return j.failed(err)
	}
	j.plan = plan
	return nil
}

// long makes a call that may take its time, and whose context ends with a signal.
func (c *caller) long(i *interruption, what string, ends ending, call func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-i.first:
			cancel()
		case <-ctx.Done():
		}
	}()
	defer c.working(what)()
	err := c.make(i, ends, func() error { return call(ctx) })
	switch {
	case errors.Is(err, errGivenUp) && ends == endsAtOnce, err != nil && i.came() && isCanceled(err):
		return c.coded(machcompat.KERN_ABORTED, errNothingChanged)
	case errors.Is(err, errGivenUp):
		e := c.coded(machcompat.KERN_ABORTED, err)
		e.mach.Hint = "vmwrite patch recover puts back what was there"
		return e
	}
	return err
}

// errNothingChanged is that of a signal that came in time.
var errNothingChanged = errors.New("interrupted; nothing was changed")

// isCanceled reports whether the end of a context may be the reason of an error.
func isCanceled(err error) bool {
	_, inTheWay := errors.AsType[*patch.InTheWayError](err)
	return inTheWay || errors.Is(err, context.Canceled)
}

// coded is an error with a code of its own.
func (c *caller) coded(code machcompat.KernReturn, err error) *codedError {
	pid := 0
	if c.task != nil {
		pid = c.task.PID()
	}
	return &codedError{err.Error(), &machcompat.Error{Op: "patch", PID: pid, Code: code, Err: err}}
}

func (j *patchJob) check() error {
	if err := j.plan.Check(); err != nil {
		return j.failed(err)
	}
	v := j.view()
	return j.succeeded(v, 0, v.before(), v.planned(), fmt.Sprintf("%q can be applied to process %d: %s", j.patch.Name, j.task.PID(), j.counts()))
}

func (j *patchJob) apply() error {
	how := ""
	if j.force {
		how = " by force"
	}
	return j.change("applying", j.plan.Apply, fmt.Sprintf("applied %q%s to process %d: %s; to take it back: vmwrite patch undo -p %d %s",
		j.patch.Name, how, j.task.PID(), j.counts(), j.task.PID(), shellWord(j.file)))
}

func (j *patchJob) undo() error {
	j.undoes = true
	return j.change("undoing", j.plan.Undo, fmt.Sprintf("undid %q in process %d: %s", j.patch.Name, j.task.PID(), j.counts()))
}

// change makes a call that changes the process, and shows what it did.
func (j *patchJob) change(what string, call func(context.Context) error, message string) error {
	v := j.view()
	var before, after [][]byte
	if !j.json {
		before = v.before()
	}
	err := j.long(j.interrupted, what, endsWhenForced, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, time.Duration(j.timeout*float64(time.Second)))
		defer cancel()
		return call(ctx)
	})
	if err != nil {
		return j.failed(err)
	}
	if !j.json {
		after = v.after()
	}
	return j.succeeded(v, j.size(), before, after, message)
}

func (j *patchJob) status() error {
	message := fmt.Sprintf("%q in process %d: %v", j.patch.Name, j.task.PID(), j.plan.State())
	if j.plan.Journaled {
		message += ", and in the journal"
	}
	if j.json {
		return j.printJSON(outcome{Op: "patch", PID: j.task.PID(), Patch: j.view().report()}.succeeded(message))
	}
	return j.print(append(j.view().table(), message+"\n"...))
}

// counts says how much is changed.
func (j *patchJob) counts() string {
	return fmt.Sprintf("%s, %s", counted(len(j.patch.Changes), "change"), counted(j.size(), "byte"))
}

// size is how many bytes all changes have.
func (j *patchJob) size() (size uint64) {
	for _, c := range j.patch.Changes {
		size += uint64(len(c.New))
	}
	return size
}

// succeeded prints what was changed, or would be.
func (j *patchJob) succeeded(v *patchView, written uint64, before, after [][]byte, message string) error {
	if j.json {
		return j.printJSON(outcome{Op: "patch", PID: j.task.PID(), Written: &written, Patch: v.report()}.succeeded(message))
	}
	return j.print(append(v.changes(before, after), message+"\n"...))
}

// failed is the error of the command for one of package patch: its findings and obstacles
// are listed, and it has a code.
func (j *patchJob) failed(err error) error {
	e := &patchError{err: err, pid: j.task.PID(), message: fmt.Sprintf("%s: %v", procmaps.Printable(j.file), err)}
	v := j.view()
	e.report = v.report()
	check, isCheck := errors.AsType[*patch.CheckError](err)
	inTheWay, isInTheWay := errors.AsType[*patch.InTheWayError](err)
	switch {
	case isCheck:
		e.report.Findings = nil
		for _, f := range check.Findings {
			e.report.Findings = append(e.report.Findings, v.finding(f))
		}
		slices.SortStableFunc(e.report.Findings, func(a, b findingReport) int { return cmp.Compare(a.Line, b.Line) })
		e.notes = j.shorten(e.report.findings(j.file))
		e.message = fmt.Sprintf("%s can't be %s: %s; nothing was written", procmaps.Printable(j.file), j.done(), counted(len(check.Findings), "finding"))
		e.hint = v.checkHint(check)
	case isInTheWay:
		for _, o := range inTheWay.Obstacles {
			e.report.Obstacles = append(e.report.Obstacles, v.obstacle(o))
			e.notes = append(e.notes, procmaps.Printable(o.String()))
		}
		e.notes = j.shorten(e.notes)
		e.message = fmt.Sprintf("nothing was written: threads were in the way each time within %g s", j.timeout)
		e.hint = inTheWayHint(inTheWay)
	case errors.Is(err, patch.ErrUnfinished), errors.Is(err, patch.ErrNotPutBack):
		e.hint = fmt.Sprintf("vmwrite patch recover -p %d puts back what was there, once no other vmwrite is at work on it; with --finish it ends what was begun", j.task.PID())
	case errors.Is(err, patch.ErrApplied):
		e.hint = fmt.Sprintf("vmwrite patch undo -p %d %s takes it back", j.task.PID(), shellWord(j.file))
	case errors.Is(err, patch.ErrNotApplied):
		e.message, e.hint = j.notApplied()
	case errors.Is(err, unix.ESRCH) && machcompat.CodeOf(err) == machcompat.KERN_INVALID_ARGUMENT:
		e.message = fmt.Sprintf("process %d has ended, or runs another program now", j.task.PID())
	}
	if _, isJournal := errors.AsType[*patch.JournalError](err); isJournal {
		e.hint = journalHint(err)
	}
	if reason, ok := diagnose.Why(j.task.PID(), err); ok && reason.Rule == diagnose.AlreadyTraced {
		e.hint = reason.Text + "; let that tracer detach first" // a patch needs the stop
	}
	if exitStatus(e) == exitUsage { // nothing has given it a code yet
		e.mach = j.coded(j.codeOf(err), err).mach
	}
	return e
}

// notApplied says why there is nothing to undo.
func (j *patchJob) notApplied() (message, hint string) {
	name := procmaps.Printable(j.file)
	status := fmt.Sprintf("vmwrite patch status -p %d %s shows each change", j.task.PID(), shellWord(j.file))
	switch j.plan.State() {
	case patch.Mixed:
		return name + ": only some of the patch is there, and no journal says what was there before", status
	case patch.Foreign:
		return name + ": the patch is not applied: other bytes are there", status
	case patch.Unknown:
		return name + ": the patch is not applied: not all of its places were found", status
	}
	return name + ": the patch is not applied; there is nothing to undo", ""
}

// inTheWayHint says what to do about threads that were in the way.
func inTheWayHint(e *patch.InTheWayError) string {
	const force = "--force does it all the same, and a thread that runs the code meanwhile may crash"
	if slices.ContainsFunc(e.Obstacles, func(o patch.Obstacle) bool { return o.Err == nil }) {
		return "give it more time with --timeout SECONDS, or do it when those threads are elsewhere; " + force
	}
	if slices.ContainsFunc(e.Obstacles, func(o patch.Obstacle) bool { return errors.Is(o.Err, patch.ErrSharedMemory) }) {
		return "do it when those processes have ended; " + force
	}
	return "more time may not help: Go programs, and code that is made while a program runs, have no tables of who calls whom. " +
		"A change of a single byte, or of one instruction in a function that has a name, needs none; " + force
}

// done says in a message what was to be done.
func (j *patchJob) done() string {
	if j.undoes {
		return "undone"
	}
	return "applied"
}

// codeOf returns the code of an error of package patch that is not a *machcompat.Error.
func (j *patchJob) codeOf(err error) machcompat.KernReturn {
	if code, ok := errors.AsType[machcompat.KernReturn](err); ok {
		return code
	}
	if isUnresolved(err) {
		return machcompat.KERN_INVALID_ADDRESS
	}
	return machcompat.KERN_FAILURE
}

func journalHint(err error) string {
	switch {
	case errors.Is(err, patch.ErrInUse):
		return "wait until the other one is done"
	case errors.Is(err, patch.ErrDamaged):
		return "nothing of it is used; look at it, and remove it if the process has ended"
	}
	return "set XDG_STATE_HOME to a folder that you may write to, and nobody else"
}

// patchError is an error of package patch as this command tells it.
type patchError struct {
	message   string
	pid       int
	notes     []string // lines in front of the message
	hint      string
	report    *patchReport
	skipped   []skippedReport
	recovered []recoveredReport
	err       error
	mach      *machcompat.Error // the code, where err has none
}

func (e *patchError) Error() string { return e.message }

func (e *patchError) Unwrap() []error {
	if e.mach == nil {
		return []error{e.err}
	}
	return []error{e.err, e.mach}
}

// isPatchData reports whether an error is about what a patch says, or what is in the
// process, and not about a call or a file that can't be read.
func isPatchData(err error) bool {
	for _, e := range []error{
		patch.ErrOtherProgram, patch.ErrNoIdentity, patch.ErrNotOnce, patch.ErrOverlap, patch.ErrApplied, patch.ErrNotApplied,
		patch.ErrUnfinished, patch.ErrLater, patch.ErrNoOld,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	_, isFile := errors.AsType[*patch.FileError](err)
	_, isInTheWay := errors.AsType[*patch.InTheWayError](err)
	_, isConvert := errors.AsType[*convert.Error](err)
	_, isSkipped := errors.AsType[*convert.SkippedError](err)
	_, isExport := errors.AsType[*convert.ExportError](err)
	return isFile || isInTheWay || isConvert || isSkipped || isExport
}
