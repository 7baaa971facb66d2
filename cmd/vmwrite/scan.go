// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"github.com/vmwrite/vmwrite/internal/procstatus"
	"github.com/vmwrite/vmwrite/internal/value"
	"github.com/vmwrite/vmwrite/pkg/address"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"github.com/vmwrite/vmwrite/pkg/search"
)

type scanOptions struct {
	targetFlags
	kind      string
	unknown   bool
	unaligned bool
	in        string
	perms     string
	limit     int
	save      string
	from      string
	changed   bool
	unchanged bool
	increased string
	decreased string
	json      bool
}

func newScanCmd(s streams) *cobra.Command {
	o := &scanOptions{}
	cmd := &cobra.Command{
		Use:   "scan (-p PID|-n NAME) (PATTERN|-t TYPE VALUE...|--from FILE [VALUE])",
		Short: "Find a value or a pattern of bytes in the memory of a process",
		Long: `Find a value, or a pattern of bytes, in the memory of a process, which is not
stopped. Each is printed with its address, and the module that it lies in.

A PATTERN is bytes in hex: ? or ?? stands for any byte and 4? for half of one, |
marks the byte whose address is the result, and $ stands for a 32-bit distance
to the result. A VALUE is a number, a range (90..110), a float with a tolerance
(1.5+-0.1) or a text; several lie one behind the other. A float without a
tolerance is one that rounds to it.

--save keeps the places in a file, and --from looks at them again: at those
that hold VALUE now, or have --changed since, and so on. What is left is kept
in the same file, or in that of --save.`,
		Example: `  vmwrite scan -n game '48 8B 05 $' --in game
  vmwrite scan -n game -t i32 100 --save health
  vmwrite scan -n game --from health 95
  vmwrite scan -n game --from health --decreased`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(_ *cobra.Command, args []string) error {
			return runScan(s, o, args)
		},
	}
	o.targetFlags.add(cmd)
	flags := cmd.Flags()
	flags.StringVarP(&o.kind, "type", "t", "", "`TYPE` of the value: u8 ... f64, ptr, bytes, str or utf16")
	flags.BoolVar(&o.unknown, "unknown", false, "with -t and --save: begin with all that there is")
	flags.BoolVar(&o.unaligned, "unaligned", false, "numbers at any address, not only at multiples of their size")
	flags.StringVar(&o.in, "in", "", "only in the `MODULE`")
	flags.StringVar(&o.perms, "perms", "", "only in memory of the `PERMISSIONS`, as r-x, in which ? is either (default rw?, or r?? for patterns and --in)")
	flags.IntVar(&o.limit, "limit", 100, "print at most `N` places; 0 is all")
	flags.StringVar(&o.save, "save", "", "keep the places in a `FILE`")
	flags.StringVar(&o.from, "from", "", "look only at the places in the `FILE`")
	flags.BoolVar(&o.changed, "changed", false, "with --from: what is another value now")
	flags.BoolVar(&o.unchanged, "unchanged", false, "with --from: what is the same value now")
	flags.StringVar(&o.increased, "increased", "", "with --from: what is more now, or more by `N`")
	flags.StringVar(&o.decreased, "decreased", "", "with --from: what is less now, or less by `N`")
	flags.Lookup("increased").NoOptDefVal = anyAmount
	flags.Lookup("decreased").NoOptDefVal = anyAmount
	flags.BoolVar(&o.json, "json", false, "print one JSON object")
	completeTypes(cmd)
	cmd.RegisterFlagCompletionFunc("in", o.completePlaces(0))
	cmd.RegisterFlagCompletionFunc("perms", cobra.FixedCompletions([]string{"rw-", "r--", "r-x", "r??"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// anyAmount is what --increased and --decreased are without a number.
const anyAmount = "any"

// found is a place that was found, in the object of --json.
type found struct {
	Address string   `json:"address"`
	Place   string   `json:"place"`
	Values  []string `json:"values"` // as they were read; of a pattern its bytes
}

// scan is a search whose command line was found right.
type scan struct {
	*scanOptions
	caller
	what    search.Matcher // nil where nothing must be equal
	compare search.Compare // of --from
	bar     *progress
	screen  sync.Mutex // of who shows the bar, or prints in its place
	shown   []found    // for --json
	printed int
}

func runScan(s streams, o *scanOptions, args []string) error {
	c := &scan{scanOptions: o, caller: caller{streams: s}, bar: newProgress(s.err, 1)}
	pid, err := o.resolve()
	if err != nil {
		return err
	}
	var kept *search.Candidates
	if o.from == "" {
		err = c.parseFirst(args, pid)
	} else if kept, err = loadCandidates(o.from, pid); err == nil {
		err = c.parseNext(args, kept.Type())
	}
	if err != nil {
		return err
	}
	options, err := c.options()
	if err != nil {
		return err
	}
	if c.task, err = machcompat.TaskForPID(pid); err != nil {
		return err
	}
	defer c.task.Close()
	if _, err := c.listModules(); err != nil { // by which the places are named
		return err
	}
	if err := c.within(&options); err != nil {
		return err
	}
	interrupted := watchSignals()
	defer interrupted.stop()
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	go func() {
		select {
		case <-interrupted.first:
			cancel(errInterrupted)
		case <-ctx.Done():
		}
	}()
	var total uint64
	err = c.make(interrupted, endsSoon, func() (err error) {
		switch {
		case kept != nil:
			total, err = c.next(ctx, kept)
		case o.save != "":
			total, err = c.saveFirst(ctx, options, pid)
		default:
			total, err = c.first(ctx, options)
		}
		return err
	})
	if c.screen.TryLock() { // else the search was left behind, and prints
		c.bar.clear()
		c.screen.Unlock()
	}
	if err != nil {
		return c.failed(err)
	}
	return c.finish(total)
}

// parseFirst parses what a first search is for.
func (c *scan) parseFirst(args []string, pid int) (err error) {
	text := strings.Join(args, " ")
	switch {
	case c.changed || c.unchanged || c.increased != "" || c.decreased != "":
		return usagef("--changed and its like compare with an earlier search: name its file with --from")
	case c.unknown && (c.kind == "" || c.save == ""):
		return usagef("--unknown begins a search for values of a type (-t) whose places are kept (--save)")
	case c.unknown && len(args) > 0:
		return usagef("--unknown stands for any value, and %q is one", args[0])
	case c.unknown:
		text = "?"
	case len(args) == 0:
		return usagef("scan for what? give a PATTERN such as '48 8B 05 $', or -t TYPE VALUE")
	}
	if c.kind == "" {
		c.what, err = search.ParsePattern(text)
		if err != nil {
			return usagef("%s; a value has its type in front, as -t i32 100", procmaps.Printable(err.Error()))
		}
		if len(args) == 1 && value.IsDecimal(text) {
			c.notef("%s is searched for as bytes in hex; for the number give its type, as -t i32 %s", text, text)
		}
		return nil
	}
	kind, err := searchType(c.kind, pid)
	if err != nil {
		return err
	}
	return c.parseValue(kind, text)
}

func (c *scan) parseValue(kind search.Type, text string) (err error) {
	if c.what, err = search.ParseValue(kind, text); err != nil {
		return usagef("%s", procmaps.Printable(err.Error()))
	}
	return nil
}

// searchType is a type of -t for package search.
func searchType(kind string, pid int) (search.Type, error) {
	switch {
	case kind == "ptr" && machcompat.PointerSizeOf(pid) == 4:
		return search.U32, nil
	case kind == "ptr":
		return search.U64, nil
	case kind == "cstr":
		return 0, usagef("search for a str: where a text ends says nothing of where it is")
	}
	t, err := search.ParseType(kind)
	if err != nil {
		return 0, checkType(kind)
	}
	return t, nil
}

// parseNext parses what of an earlier search is kept.
func (c *scan) parseNext(args []string, kind search.Type) error {
	if c.kind != "" || c.unknown || c.unaligned || c.in != "" || c.perms != "" {
		return usagef("-t, --unknown, --unaligned, --in and --perms belong to the first search, which made %s", procmaps.Printable(c.from))
	}
	chosen := 0
	choose := func(given bool, op search.Op) {
		if given {
			chosen++
			c.compare.Op = op
		}
	}
	choose(len(args) > 0, search.OpEqual)
	choose(c.changed, search.OpChanged)
	choose(c.unchanged, search.OpUnchanged)
	choose(c.increased != "", search.OpIncreased)
	choose(c.decreased != "", search.OpDecreased)
	if len(args) > 0 && (c.increased == anyAmount || c.decreased == anyAmount) {
		return usagef("--increased and --decreased take a number behind =, as --increased=%s", procmaps.Printable(args[0]))
	}
	if chosen != 1 {
		return usagef("keep which places of %s? give one of VALUE, --changed, --unchanged, --increased and --decreased", procmaps.Printable(c.from))
	}
	text := c.increased + c.decreased
	if c.compare.Op == search.OpEqual {
		text = strings.Join(args, " ")
	} else if text == "" || text == anyAmount {
		return nil
	}
	if kind == search.Bytes && c.compare.Op == search.OpEqual {
		pattern, err := search.ParsePattern(text)
		if err != nil {
			return usagef("%s", procmaps.Printable(err.Error()))
		}
		c.compare.Value = pattern
		return nil
	}
	value, err := search.ParseValue(kind, text)
	if err != nil {
		return usagef("%s", procmaps.Printable(err.Error()))
	}
	if c.compare.Op == search.OpEqual {
		c.compare.Value = value
	} else {
		c.compare.By = value
	}
	return nil
}

// options says in which memory is searched.
func (c *scan) options() (o search.Options, err error) {
	perms := c.perms
	if perms == "" {
		perms = "rw?"
		if _, isPattern := c.what.(*search.Pattern); isPattern || c.in != "" {
			perms = "r??"
		}
	}
	if len(perms) != 3 {
		return o, usagef("--perms %q: want three characters such as rw-, r-x or r??", perms)
	}
	for i, bit := range []procmaps.Perms{procmaps.Read, procmaps.Write, procmaps.Execute} {
		switch perms[i] {
		case "rwx"[i]:
			o.Want |= bit
		case '-':
			o.Without |= bit
		case '?':
		default:
			return o, usagef("--perms %q: want three characters such as rw-, r-x or r??", perms)
		}
	}
	if o.Without&procmaps.Read != 0 {
		return o, usagef("--perms %q: memory that the process can't read is not searched", perms)
	}
	if c.limit < 0 {
		return o, usagef("--limit %d: a number of places can't be negative", c.limit)
	}
	if c.unaligned {
		o.Align = 1
	}
	o.Progress = c.progress
	o.Threads = runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(o.Threads + 1) // see search.Options
	return o, nil
}

// within keeps a search in the module of --in.
func (c *scan) within(o *search.Options) error {
	if c.in == "" {
		return nil
	}
	at, err := parsePlace(address.Quote(c.in))
	if err != nil {
		return err
	}
	base, err := c.at(at)
	if err != nil {
		return err
	}
	module, _, ok := c.modules().Locate(base.Address)
	if !ok {
		return usagef("--in %s: want the name of a module", procmaps.Printable(c.in))
	}
	o.Within = []search.Range{{Start: module.Base, End: module.Base + module.Size}}
	return nil
}

func (c *scan) progress(done, total uint64) {
	if !c.screen.TryLock() { // a place is printed, for which a pager may have no room
		return
	}
	defer c.screen.Unlock()
	c.bar.total = total
	c.bar.show(done)
}

// first makes a search whose places are only printed.
func (c *scan) first(ctx context.Context, o search.Options) (total uint64, err error) {
	if c.limit > 0 {
		o.Limit = c.limit + 1 // one more tells that there are more
	}
	for match, err := range search.First(ctx, c.task, c.what, o).All() {
		if err != nil {
			return 0, err
		}
		total++
		if err := c.show(match, c.typeOfFirst()); err != nil {
			return 0, err
		}
	}
	return total, nil
}

func (c *scan) typeOfFirst() search.Type {
	if value, ok := c.what.(*search.Value); ok {
		return value.Type()
	}
	return search.Bytes
}

// saveFirst makes a search whose places are kept.
func (c *scan) saveFirst(ctx context.Context, o search.Options, pid int) (uint64, error) {
	identity, err := identityOf(pid)
	if err != nil {
		return 0, err
	}
	kept, _, err := search.Save(ctx, c.save, identity, c.task, c.what, o)
	if err != nil {
		return 0, err
	}
	return c.showKept(kept)
}

// next narrows an earlier search down.
func (c *scan) next(ctx context.Context, kept *search.Candidates) (uint64, error) {
	into := c.save
	if into == "" {
		into = c.from
	}
	stats, err := kept.Next(ctx, c.task, c.compare, into, c.progress)
	if err != nil || stats.After == 0 {
		return 0, err
	}
	return c.showKept(kept)
}

// showKept shows the first of what is kept.
func (c *scan) showKept(kept *search.Candidates) (uint64, error) {
	shown := uint64(0)
	for match, err := range kept.All() {
		if err != nil {
			return 0, err
		}
		if shown++; c.limit > 0 && shown > uint64(c.limit) {
			break
		}
		if err := c.show(match, kept.Type()); err != nil {
			return 0, err
		}
	}
	return kept.Count(), nil
}

// show prints a place, up to the limit.
func (c *scan) show(m search.Match, kind search.Type) error {
	if c.limit > 0 && c.printed+len(c.shown) == c.limit {
		return nil
	}
	f := found{Address: hexAddress(m.Address), Place: nameIn(c.modules(), m.Address), Values: []string{kind.Format(m.Bytes)}}
	if c.json {
		c.shown = append(c.shown, f)
		return nil
	}
	c.printed++
	c.screen.Lock()
	defer c.screen.Unlock()
	c.bar.clear()
	return c.print(fmt.Appendf(nil, "%s  %s  %s\n", f.Address, orDash(f.Place), procmaps.Printable(f.Values[0])))
}

// finish says how many there are.
func (c *scan) finish(total uint64) error {
	left := c.save
	if c.from != "" && left == "" {
		left = c.from
	}
	switch {
	case total == 0 && c.from != "":
		return c.notFound("no place is left; " + procmaps.Printable(c.from) + " is as it was")
	case total == 0:
		return c.notFound("nothing was found")
	case left == "" && c.limit > 0 && total > uint64(c.limit):
		c.notef("these are the first %d, and there are more; --limit 0 prints all", c.limit)
		return c.printFound(nil)
	case left == "":
	case c.limit > 0 && total > uint64(c.limit):
		c.notef("%s in %s, of which these are the first %d", counted(total, "place"), procmaps.Printable(left), c.limit)
	default:
		c.notef("%s in %s", counted(total, "place"), procmaps.Printable(left))
	}
	return c.printFound(&total)
}

// printFound prints the object of --json. The total is nil when the search has ended
// at the limit.
func (c *scan) printFound(total *uint64) error {
	if !c.json {
		return nil
	}
	out := outcome{Op: "scan", PID: c.task.PID(), Backend: c.task.Backend().String(), Found: c.shown, Total: total}
	return c.printJSON(out.succeeded("found " + counted(len(c.shown), "place")))
}

func (c *scan) notFound(message string) error {
	return &codedError{message, &machcompat.Error{Op: "scan", PID: c.task.PID(), Code: machcompat.KERN_NOT_FOUND, Err: errors.New(message)}}
}

// failed gives an error of package search its status.
func (c *scan) failed(err error) error {
	_, isCode := errors.AsType[*machcompat.Error](err)
	_, isFile := errors.AsType[*search.FileError](err)
	_, isPath := errors.AsType[*fs.PathError](err)
	switch {
	case errors.Is(err, errInterrupted), errors.Is(err, errGivenUp):
		return &codedError{"interrupted; nothing was kept", &machcompat.Error{Op: "scan", PID: c.task.PID(), Code: machcompat.KERN_ABORTED, Err: errInterrupted}}
	case isCode:
		return err
	case isFile, isPath:
		return &fileError{err}
	}
	return usagef("%v", err) // how the places can't be compared
}

// loadCandidates opens the file of --from, which must be of this run of the process.
func loadCandidates(path string, pid int) (*search.Candidates, error) {
	identity, err := identityOf(pid)
	if err != nil {
		return nil, err
	}
	kept, err := search.Load(path, identity)
	if errors.Is(err, search.ErrOtherProcess) {
		return nil, usagef("%s is of another process, or of an earlier run of this one, where addresses were others", procmaps.Printable(path))
	}
	if err != nil {
		return nil, &fileError{err}
	}
	return kept, nil
}

// identityOf tells this run of a process from others.
func identityOf(pid int) (string, error) {
	text, stat, err := procstatus.ReadStatText(pid, pid, new([procstatus.StatSize]byte))
	if err != nil {
		return "", mapsError(pid, err)
	}
	return strconv.Itoa(pid) + stat.Layout(text), nil
}
