// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/vmwrite/vmwrite/pkg/address"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/patch"
	"github.com/vmwrite/vmwrite/pkg/patch/convert"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// patchFormats are the formats of other tools.
var patchFormats = []string{"1337", "dif", "fc", "ips", "ips32", "bps"}

// patchFileOptions are those of the commands that make files.
type patchFileOptions struct {
	out     string
	format  string
	module  string
	as      string
	buildID string
	sha256  bool
	partial bool
	verbose bool
	json    bool
}

func (o *patchFileOptions) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&o.out, "output", "o", "", "the new `FILE`; - is standard output")
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
}

func (o *patchFileOptions) addFormat(cmd *cobra.Command, usage string) {
	cmd.Flags().StringVar(&o.format, "format", "", usage)
	cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(patchFormats, cobra.ShellCompDirectiveNoFileComp))
	cmd.Flags().StringVar(&o.module, "module", "", "the `FILE` that the patch is for, as it was before")
}

func newPatchImportCmd(s streams) *cobra.Command {
	o := &patchFileOptions{}
	cmd := &cobra.Command{
		Use:   "import FILE -o PATCH",
		Short: "Make a patch of a file of another tool",
		Long: `Make a patch of a file of another tool: .1337 of x64dbg, .dif of IDA, what fc /b
of Windows prints, IPS, IPS32 and BPS. All but .1337 count from the front of a
file, and need that as --module. What can't be a part of the patch is listed,
and makes it fail unless --partial is given.`,
		Example: `  vmwrite patch import game.1337 -o fix.yaml --build-id 3f2a91c04d
  vmwrite patch import game.ips --module game -o fix.yaml`,
		RunE: func(_ *cobra.Command, args []string) error {
			return runImport(s, o, args)
		},
	}
	o.add(cmd)
	o.addFormat(cmd, "the `FORMAT` of FILE: 1337, dif, fc, ips, ips32 or bps; else what it looks like")
	flags := cmd.Flags()
	flags.StringVar(&o.as, "as", "", "the `NAME` that a process has the module by; else that of its file")
	flags.StringVar(&o.buildID, "build-id", "", "the build `ID` of the module")
	flags.BoolVar(&o.sha256, "sha256", false, "have the patch say the SHA-256 of --module")
	flags.BoolVar(&o.partial, "partial", false, "make a patch of the rest when something was skipped")
	flags.BoolVarP(&o.verbose, "verbose", "v", false, "list all that was skipped")
	return cmd
}

func newPatchExportCmd(s streams) *cobra.Command {
	o := &patchFileOptions{}
	cmd := &cobra.Command{
		Use:   "export PATCH --format FORMAT -o FILE",
		Short: "Write a patch for another tool",
		Long: `Write a patch for another tool. All formats but 1337 count from the front of the
file that is given as --module. No format holds everything: what one can't hold,
as the place of a pattern or old bytes that may be any, makes it fail.`,
		Example:           "  vmwrite patch export fix.yaml --format ips --module game -o fix.ips",
		ValidArgsFunction: completePatchFile,
		RunE: func(_ *cobra.Command, args []string) error {
			return runExport(s, o, args)
		},
	}
	o.add(cmd)
	o.addFormat(cmd, "the `FORMAT` of FILE: 1337, dif, fc, ips, ips32 or bps")
	return cmd
}

func newPatchDiffCmd(s streams) *cobra.Command {
	o, target := &patchFileOptions{}, &targetFlags{}
	cmd := &cobra.Command{
		Use:   "diff ((-p PID | -n NAME) MODULE | BEFORE AFTER) -o PATCH",
		Short: "Make a patch of what differs in a process, or between two files",
		Long: `Make a patch of what was changed in a module of a process since it was loaded:
what differs from its file where the process may not write. Or make one of what
differs between two ELF or PE files. The status is 56 if there is no difference.`,
		Example: `  vmwrite patch diff -n game game -o changed.yaml
  vmwrite patch diff game game.changed -o fix.yaml`,
		ValidArgsFunction: func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
			if target.pid == "" && target.name == "" {
				return nil, cobra.ShellCompDirectiveDefault // files
			}
			return target.completePlaces(0)(cmd, args, prefix)
		},
		RunE: func(_ *cobra.Command, args []string) error {
			return runDiff(s, o, target, args)
		},
	}
	target.add(cmd)
	cmd.Args = nil
	o.add(cmd)
	cmd.Flags().BoolVar(&o.partial, "partial", false, "make a patch of the rest when something was skipped")
	cmd.Flags().BoolVarP(&o.verbose, "verbose", "v", false, "list all that was skipped")
	return cmd
}

// skippedReport is what did not become a part of a patch, in the object of --json.
type skippedReport struct {
	Line   int    `json:"line"`
	Offset string `json:"offset"`
	Size   uint64 `json:"size"`
	Reason string `json:"reason"`
}

func reportSkipped(skipped []convert.Skipped) (all []skippedReport) {
	for _, s := range skipped {
		all = append(all, skippedReport{s.Line, hexAddress(s.Offset), s.Size, s.Reason})
	}
	return all
}

// confirm refuses a command line that can't be meant.
func (o *patchFileOptions) confirm(args []string, want string) error {
	switch {
	case len(args) == 0:
		return usagef("give %s", want)
	case len(args) > 1:
		return usagef("give %s; %q is one more", want, args[1])
	}
	return o.confirmOutput()
}

func (o *patchFileOptions) confirmOutput() error {
	switch {
	case o.out == "":
		return usagef("write it where? give a new file with -o; - is standard output")
	case o.out == "-" && o.json:
		return usagef("-o - and --json would both go to standard output")
	}
	return nil
}

func runImport(s streams, o *patchFileOptions, args []string) error {
	if err := o.confirm(args, "one FILE of another tool"); err != nil {
		return err
	}
	if o.sha256 && o.module == "" {
		return usagef("--sha256 is that of --module: give that too")
	}
	var format convert.Format
	if o.format != "" {
		var err error
		if format, err = parsePatchFormat(o.format); err != nil {
			return err
		}
	}
	const maxForeign = 256 << 20 // bytes
	data, err := readWhole(s, args[0], maxForeign)
	if err != nil {
		return err
	}
	if format == 0 {
		found, ok := convert.Detect(data, args[0])
		if !ok {
			return notForeign(args[0], data)
		}
		format = found
	}
	if format != convert.X64dbg && o.module == "" {
		return usagef("%s counts from the front of a file: give that file, as it was before, with --module", procmaps.Printable(args[0]))
	}
	options := convert.Options{Module: o.as, BuildID: o.buildID, Partial: o.partial}
	if o.module != "" {
		original, err := openOriginal(o.module)
		if err != nil {
			return err
		}
		defer original.Close()
		options.Original = original.SectionReader
		if o.sha256 {
			if options.SHA256, err = sumOf(original.SectionReader); err != nil {
				return err
			}
		}
	}
	c := &caller{streams: s}
	var p *patch.Patch
	var skipped []convert.Skipped
	work := func(context.Context) (err error) {
		p, skipped, err = convert.Import(data, format, options)
		return err
	}
	err = c.atOnce("importing "+procmaps.Printable(args[0]), work)
	if _, isSkipped := errors.AsType[*convert.SkippedError](err); err != nil && !isSkipped && o.as == "" && o.module != "" {
		options.Module = filepath.Base(o.module) // which the file may not tell
		err = c.atOnce("importing "+procmaps.Printable(args[0]), work)
	}
	if err != nil {
		return o.refused(args[0], skipped, err)
	}
	return o.write(s, p, skipped)
}

// notForeign is the error for a file that is of no other tool.
func notForeign(name string, data []byte) error {
	message := fmt.Sprintf("%s: this is of no tool that is known; name its --format: %s", procmaps.Printable(name), strings.Join(patchFormats, ", "))
	if _, err := patch.Parse(data); err == nil {
		message = procmaps.Printable(name) + ": this is a patch already, and needs no import"
	}
	return usagef("%s", message)
}

func parsePatchFormat(name string) (convert.Format, error) {
	format, err := convert.ParseFormat(strings.TrimPrefix(strings.ToLower(name), "."))
	if err != nil {
		return 0, usagef("--format: %v", err)
	}
	return format, nil
}

// atOnce makes a call that may take its time and changes nothing, so that a signal ends it.
func (c *caller) atOnce(what string, call func(context.Context) error) error {
	i := newInterruption()
	defer i.stop()
	return c.long(i, what, endsAtOnce, call)
}

// refused is the error for what can't be made a patch of.
func (o *patchFileOptions) refused(name string, skipped []convert.Skipped, err error) *patchError {
	e := &patchError{message: fmt.Sprintf("%s: %v", procmaps.Printable(name), err), err: err, skipped: reportSkipped(skipped)}
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		e.err = &fileError{path}
	}
	if s, ok := errors.AsType[*convert.SkippedError](err); ok {
		if len(skipped) == 0 {
			e.skipped = reportSkipped(s.Skipped)
		}
		e.notes = o.shorten(skippedLines(s.Skipped))
		e.message = fmt.Sprintf("%s: no patch was made, because not all of it can be a part of one: %s", procmaps.Printable(name), counted(len(s.Skipped), "place"))
		if !o.partial {
			e.hint = "with --partial the rest is made a patch"
		}
	}
	return e
}

// notExported is the error for a patch that a format can't hold.
func (o *patchFileOptions) notExported(name string, p *patch.Patch, err error) error {
	e := o.refused(name, nil, err)
	if x, ok := errors.AsType[*convert.ExportError](err); ok && x.Change >= 0 {
		c := p.Changes[x.Change]
		isOffset := false
		if c.At != nil {
			_, _, isOffset = c.At.InModule()
		}
		if !isOffset {
			e.hint = fmt.Sprintf("vmwrite patch check -n NAME %s shows which place that is in a process: give it as the offset in its module, as at: game+0x1420", shellWord(name))
		}
	}
	return e
}

func (o *patchFileOptions) shorten(lines []string) []string {
	return (&patchOptions{verbose: o.verbose}).shorten(lines)
}

func skippedLines(skipped []convert.Skipped) (lines []string) {
	for _, s := range skipped {
		lines = append(lines, "skipped: "+procmaps.Printable(s.String()))
	}
	return lines
}

// write writes a patch that was made.
func (o *patchFileOptions) write(s streams, p *patch.Patch, skipped []convert.Skipped) error {
	for _, line := range o.shorten(skippedLines(skipped)) {
		s.notef("%s", line)
	}
	data, err := p.Marshal()
	if err != nil {
		return &patchError{message: err.Error(), err: &convert.Error{Err: err}}
	}
	if err := writeNew(s, o.out, data); err != nil {
		return err
	}
	message := fmt.Sprintf("wrote a patch of %s to %s", counted(len(p.Changes), "change"), o.where())
	if len(skipped) > 0 {
		message += fmt.Sprintf("; %s skipped", counted(len(skipped), "place"))
	}
	return o.finish(s, outcome{Patch: fileReport(o.out, p), Skipped: reportSkipped(skipped)}, message)
}

func (o *patchFileOptions) finish(s streams, out outcome, message string) error {
	out.Op = "patch"
	if o.out == "-" {
		s.notef("%s", message)
		return nil
	}
	return finish(s, o.json, out, message)
}

// where says in a message where the file was written.
func (o *patchFileOptions) where() string {
	if o.out == "-" {
		return "standard output"
	}
	return procmaps.Printable(o.out)
}

// fileReport is that of a patch that no process was looked at for.
func fileReport(file string, p *patch.Patch) *patchReport {
	all := &patchReport{File: file, Name: p.Name, Changes: []changeReport{}, Findings: []findingReport{}, Obstacles: []obstacleReport{}}
	for _, c := range p.Changes {
		r := changeReport{Line: c.Line, Comment: c.Comment, Old: hexText(c.Old, c.Mask), New: hexText(c.New, nil)}
		if c.At != nil {
			r.Place = c.At.String()
		}
		all.Changes = append(all.Changes, r)
	}
	return all
}

func runExport(s streams, o *patchFileOptions, args []string) error {
	if err := o.confirm(args, "one PATCH"); err != nil {
		return err
	}
	if o.format == "" {
		return usagef("which format? give --format: %s", strings.Join(patchFormats, ", "))
	}
	format, err := parsePatchFormat(o.format)
	if err != nil {
		return err
	}
	p, err := readPatch(s, args[0])
	if err != nil {
		return err
	}
	options := convert.Options{}
	if format != convert.X64dbg && o.module == "" {
		return usagef("%v counts from the front of a file: give that file, as it was before, with --module", format)
	}
	if o.module != "" {
		original, err := openOriginal(o.module)
		if err != nil {
			return err
		}
		defer original.Close()
		options.Original, options.Module = original.SectionReader, filepath.Base(o.module)
	}
	c := &caller{streams: s}
	var data []byte
	err = c.atOnce("exporting", func(context.Context) (err error) {
		data, err = convert.Export(p, format, options)
		return err
	})
	if err != nil {
		return o.notExported(args[0], p, err)
	}
	if err := writeNew(s, o.out, data); err != nil {
		return err
	}
	message := fmt.Sprintf("wrote %s to %s", counted(len(p.Changes), "change"), o.where())
	return o.finish(s, outcome{Patch: fileReport(o.out, p)}, message)
}

func runDiff(s streams, o *patchFileOptions, target *targetFlags, args []string) error {
	ofProcess := target.pid != "" || target.name != ""
	switch {
	case ofProcess && len(args) == 2:
		return usagef("give one MODULE of the process, or two files without -p and -n")
	case ofProcess && len(args) != 1:
		return usagef("which module? give one MODULE, as game or libc.so.6 (vmwrite modules lists them)")
	case !ofProcess && len(args) == 1:
		return usagef("which process? name it with -p or -n, or give two files: BEFORE and AFTER")
	case !ofProcess && len(args) != 2:
		return usagef("give two files, BEFORE and AFTER, or one MODULE of a process (-p, -n)")
	}
	if err := o.confirmOutput(); err != nil {
		return err
	}
	var p *patch.Patch
	var skipped []convert.Skipped
	var err error
	if ofProcess {
		p, skipped, err = o.diffModule(s, target, args[0])
	} else {
		p, skipped, err = o.diffFiles(s, args[0], args[1])
	}
	if errors.Is(err, convert.ErrNoDifference) {
		for _, line := range o.shorten(skippedLines(skipped)) {
			s.notef("%s", line)
		}
		between := fmt.Sprintf("%s and %s", args[0], args[len(args)-1])
		if ofProcess {
			between = fmt.Sprintf("%s in the process and its file", args[0])
		}
		return &codedError{"there is no difference between " + procmaps.Printable(between), &machcompat.Error{Op: "patch", Code: machcompat.KERN_NOT_FOUND, Err: convert.ErrNoDifference}}
	}
	if _, isConvert := errors.AsType[*convert.Error](err); isConvert || errors.As(err, new(*convert.SkippedError)) {
		return o.refused(args[0], skipped, err)
	}
	if err != nil {
		return err
	}
	return o.write(s, p, skipped)
}

// diffModule finds what was changed in a module of a process.
func (o *patchFileOptions) diffModule(s streams, target *targetFlags, name string) (p *patch.Patch, skipped []convert.Skipped, err error) {
	expression := name
	if !strings.HasPrefix(name, "@") {
		expression = address.Quote(name)
	}
	at, err := parsePlace(expression)
	if err != nil {
		return nil, nil, err
	}
	task, err := target.open()
	if err != nil {
		return nil, nil, err
	}
	defer task.Close()
	c := &caller{streams: s, task: task}
	base, err := c.at(at)
	if err != nil {
		return nil, nil, err
	}
	module, _, ok := c.modules().Locate(base.Address)
	if !ok {
		return nil, nil, usagef("%q is no module", name)
	}
	err = c.atOnce("comparing "+procmaps.Printable(name), func(context.Context) (err error) {
		p, skipped, err = convert.DiffModule(module, task, convert.Options{})
		return err
	})
	return p, skipped, err
}

// diffFiles finds what differs between two files.
func (o *patchFileOptions) diffFiles(s streams, before, after string) (p *patch.Patch, skipped []convert.Skipped, err error) {
	first, err := openOriginal(before)
	if err != nil {
		return nil, nil, err
	}
	defer first.Close()
	second, err := openOriginal(after)
	if err != nil {
		return nil, nil, err
	}
	defer second.Close()
	c := &caller{streams: s}
	err = c.atOnce("comparing", func(context.Context) (err error) {
		p, skipped, err = convert.DiffFiles(second.SectionReader, convert.Options{
			Module: filepath.Base(before), Original: first.SectionReader, Partial: o.partial,
		})
		return err
	})
	return p, skipped, err
}

// readPatch reads a patch file.
func readPatch(s streams, name string) (*patch.Patch, error) {
	const maxPatch = 64 << 20 // bytes: patch.Parse takes no more
	data, err := readWhole(s, name, maxPatch)
	if err != nil {
		return nil, err
	}
	done := s.working("reading " + procmaps.Printable(name))
	p, err := patch.Parse(data)
	done()
	if err == nil {
		return p, nil
	}
	e := &patchError{err: err, report: fileReport(name, &patch.Patch{})}
	all := []error{err}
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		all = several.Unwrap()
	}
	for _, one := range all {
		f := findingReport{Message: one.Error()}
		if at, ok := errors.AsType[*patch.FileError](one); ok {
			f = findingReport{Line: at.Line, Column: at.Column, Message: at.Err.Error()}
		}
		e.report.Findings = append(e.report.Findings, f)
	}
	lines := e.report.findings(name)
	if e.message = lines[0]; len(lines) > 1 {
		e.notes, e.message = lines, fmt.Sprintf("%s is no patch: %s", procmaps.Printable(name), counted(len(lines), "error"))
	}
	if format, ok := convert.Detect(data, name); ok {
		e.hint = fmt.Sprintf("it looks like %v of another tool, which vmwrite patch import makes a patch of", format)
	}
	return nil, e
}

// readWhole reads a file of at most so many bytes; - is standard input.
func readWhole(s streams, name string, limit int64) ([]byte, error) {
	in := s.in
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, &fileError{err}
		}
		defer file.Close()
		in = file
	}
	data, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s has more than %d bytes", name, limit)
	}
	if err != nil {
		return nil, &fileError{err}
	}
	return data, nil
}

// originalFile is a file that a patch is for.
type originalFile struct {
	*os.File
	*io.SectionReader
}

func (f originalFile) Close() error { return f.File.Close() }

func openOriginal(name string) (*originalFile, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, &fileError{err}
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", name)
	}
	if err != nil {
		file.Close()
		return nil, &fileError{err}
	}
	return &originalFile{file, io.NewSectionReader(file, 0, info.Size())}, nil
}

func sumOf(r *io.SectionReader) (string, error) {
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(r, 0, r.Size())); err != nil {
		return "", &fileError{err}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// writeNew writes a file that does not exist yet; - is standard output.
func writeNew(s streams, name string, data []byte) error {
	if name == "-" {
		return s.print(data)
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, os.ErrExist) {
		return &fileError{fmt.Errorf("%s exists already, and is not written over: give -o a new name", name)}
	}
	if err != nil {
		return &fileError{err}
	}
	_, err = file.Write(data)
	if closeErr := file.Close(); err == nil {
		err = closeErr // of a file system that writes late
	}
	if err != nil {
		os.Remove(name)
		return &fileError{err}
	}
	return nil
}
