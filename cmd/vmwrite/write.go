package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

type writeOptions struct {
	targetFlags
	backendFlags
	kind      string
	file      string
	endian    string
	expect    string
	unprotect bool
	verify    bool
	dryRun    bool
	json      bool
	verbose   bool
}

func newWriteCmd(s streams) *cobra.Command {
	o := &writeOptions{}
	cmd := &cobra.Command{
		Use:   "write (-p PID | -n NAME) ADDRESS (BYTES... | -t TYPE VALUE... | -f FILE)",
		Short: "Write bytes, values or a file at an address of a process",
		Long: `Write at ADDRESS of a process: bytes in hex (90 90, 9090 or 0x90), or values of a
type (-t), or a file (-f, "-" is standard input). All of it is written or
nothing, and only where the process itself may write; the exit status is the
kern_return_t (see vmwrite explain).

Types: ` + strings.Join(valueTypes, " ") + `.
ptr is as wide as the process's pointers; cstr ends with a NUL, str does not.`,
		Example: `  vmwrite write -p 4711 0x7f3a5c001000 90 90
  vmwrite write -n game 0x7f3a5c001000 -t i32 -5
  vmwrite write -n game 0x7f3a5c001000 -t cstr "Player One"
  vmwrite write -p 4711 0x7f3a5c001000 9090 --expect 7405 --verify
  vmwrite write -p 4711 0x7f3a5c001000 -f level.bin --dry-run`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(_ *cobra.Command, args []string) error {
			return runWrite(s, o, args)
		},
	}
	o.targetFlags.add(cmd)
	o.backendFlags.add(cmd)
	o.backendFlags.addStop(cmd)
	flags := cmd.Flags()
	flags.StringVarP(&o.kind, "type", "t", "", "type of the values")
	flags.StringVarP(&o.file, "file", "f", "", "write the bytes of this file; - is standard input")
	flags.StringVar(&o.endian, "endian", "native", "byte order of values: little, big or native")
	flags.StringVar(&o.expect, "expect", "", "stop the process, and write only if these bytes (hex) are there")
	flags.BoolVar(&o.unprotect, "unprotect", false, "make the memory writable, write, and put its protection back")
	flags.BoolVar(&o.verify, "verify", false, "read back and compare")
	flags.BoolVar(&o.dryRun, "dry-run", false, "say what would happen, and write nothing")
	flags.BoolVar(&o.json, "json", false, "print one JSON object")
	flags.BoolVarP(&o.verbose, "verbose", "v", false, "say what is there before, and how it is written")
	cmd.RegisterFlagCompletionFunc("type", cobra.FixedCompletions(valueTypes, cobra.ShellCompDirectiveNoFileComp))
	cmd.RegisterFlagCompletionFunc("endian", cobra.FixedCompletions([]string{"little", "big", "native"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// job is a write whose command line was found right.
type job struct {
	*writeOptions
	caller
	source
	address uint64
	expect  []byte
}

// runWrite reads all that can be wrong in the command line and its files before
// it touches the process.
func runWrite(s streams, o *writeOptions, args []string) error {
	if len(args) == 0 {
		return usagef("where? give an ADDRESS such as 0x7f3a5c001000, then what to write (see vmwrite write --help)")
	}
	address, err := parseAddress(args[0])
	if err != nil {
		return err
	}
	options, err := o.options()
	if err != nil {
		return err
	}
	pid, err := o.resolve()
	if err != nil {
		return err
	}
	expect, err := parseHex([]string{o.expect})
	if err != nil {
		return fmt.Errorf("--expect: %w", err)
	}
	what, err := o.toWrite(s, args[1:], pid)
	if err != nil {
		return err
	}
	defer what.release()
	task, err := machcompat.TaskForPID(pid, options...)
	if err != nil {
		return err
	}
	j := &job{writeOptions: o, caller: caller{streams: s, task: task}, source: what, address: address, expect: expect}
	defer task.Close()
	return j.run()
}

// toWrite returns the bytes to write. They come from one place only.
func (o *writeOptions) toWrite(s streams, values []string, pid int) (source, error) {
	if o.file != "" {
		if o.kind != "" || len(values) > 0 {
			return source{}, usagef("write a file (-f) or values, not both")
		}
		return readSource(s, o.file)
	}
	data, err := o.encode(values, pid)
	return source{data: data}, err
}

// encode returns the bytes of values.
func (o *writeOptions) encode(values []string, pid int) ([]byte, error) {
	if len(values) == 0 {
		return nil, usagef("write what? give BYTES in hex, or -t TYPE VALUE, or -f FILE")
	}
	order, err := parseEndian(o.endian)
	if err != nil {
		return nil, err
	}
	if o.kind == "" {
		return parseHex(values)
	}
	if err := checkType(o.kind); err != nil {
		return nil, err
	}
	return encoding{kind: o.kind, order: order, word: wordSize(pid)}.encode(values)
}

func parseEndian(text string) (binary.ByteOrder, error) {
	switch text {
	case "little":
		return binary.LittleEndian, nil
	case "big":
		return binary.BigEndian, nil
	case "native":
		if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
			return binary.LittleEndian, nil
		}
		return binary.BigEndian, nil
	}
	return nil, usagef("--endian %q: little, big or native", text)
}

// run does the job.
func (j *job) run() error {
	if j.verbose {
		if err := j.lookAtSource(j.describe); err != nil {
			return err
		}
	}
	if j.dryRun {
		if err := j.confirmExpected(); err != nil {
			return err
		}
		if err := j.check(); err != nil {
			return err
		}
		return j.finish(j.summary("would write"), 0)
	}
	if err := j.write(); err != nil {
		return err
	}
	if j.verify {
		if err := j.lookAtSource(j.readBack); err != nil {
			return err
		}
	}
	return j.finish(j.summary("wrote"), uint64(len(j.data)))
}

// check says whether the write can be made.
func (j *job) check() error {
	if j.unprotect {
		return j.confirmUnprotectable()
	}
	return j.task.Check(j.address, uint64(len(j.data)))
}

// write writes the data, until a signal comes.
func (j *job) write() error {
	interrupted := newInterruption()
	defer interrupted.stop()
	switch {
	case len(j.expect) > 0 && j.stop != "never":
		return j.writeExpecting(interrupted)
	case len(j.expect) > 0: // whoever stopped the process is responsible for it
		if err := j.confirmExpected(); err != nil {
			return err
		}
	}
	if j.unprotect {
		return j.writeUnprotected(interrupted)
	}
	return j.writeChunks(interrupted)
}

// writeExpecting compares and writes in one stop of the process.
func (j *job) writeExpecting(interrupted *interruption) error {
	if j.unprotect {
		if err := j.confirmUnprotectable(); err != nil {
			return err
		}
	}
	change := machcompat.Change{Address: j.address, Old: j.expect, New: j.data, Unprotect: j.unprotect}
	err := j.make(interrupted, endsWhenForced, func() error {
		return j.task.CompareAndWrite(context.Background(), []machcompat.Change{change})
	})
	if errors.Is(err, errGivenUp) {
		return j.givenUpAt(0, err)
	}
	if mismatch, ok := errors.AsType[*machcompat.MismatchError](err); ok {
		return j.unexpected(mismatch.Mismatches[0].Found)
	}
	return j.ofSource(err)
}

func (j *job) unexpected(found []byte) error {
	return j.failure(j.address, 0, machcompat.KERN_FAILURE, &expectationError{found, j.expect})
}

// expectationError is that other bytes are there than --expect says.
type expectationError struct{ found, expected []byte }

func (e *expectationError) Error() string {
	return fmt.Sprintf("found % x where --expect says % x; nothing was written", e.found, e.expected)
}

func (e *expectationError) Unwrap() error { return machcompat.ErrMismatch }

func (j *job) summary(did string) string {
	unit := "bytes"
	if len(j.data) == 1 {
		unit = "byte"
	}
	return fmt.Sprintf("%s %d %s at %#x of process %d", did, len(j.data), unit, j.address, j.task.PID())
}

// finish prints the result.
func (j *job) finish(message string, written uint64) error {
	return finish(j.streams, j.json, outcome{
		Op: "vm_write", PID: j.task.PID(), Address: hexAddress(j.address), Size: uint64(len(j.data)),
		Written: &written, Backend: j.task.Backend().String(),
	}, message)
}

// failure is an error of this command in the form of the library's.
func (j *job) failure(fault uint64, written uint64, code machcompat.KernReturn, err error) *machcompat.Error {
	return &machcompat.Error{
		Op: "vm_write", PID: j.task.PID(), Address: j.address, Size: uint64(len(j.data)), Written: written,
		Partial: written > 0, Code: code, Fault: fault, Err: err,
	}
}

// confirmExpected refuses unless the bytes of --expect are there.
func (j *job) confirmExpected() error {
	if len(j.expect) == 0 {
		return nil
	}
	found := make([]byte, len(j.expect))
	if _, err := j.read(found, j.address); err != nil {
		return err
	}
	if !bytes.Equal(found, j.expect) {
		return j.unexpected(found)
	}
	return nil
}

// describe tells what is there before the write.
func (j *job) describe() error {
	for mapping, err := range j.task.Regions() {
		if err != nil {
			break
		}
		if mapping.Start < j.address+uint64(len(j.data)) && j.address < mapping.End {
			j.notef("there: %s", printableMapping(mapping))
		}
	}
	const shown = 16
	before := make([]byte, min(len(j.data), shown))
	if _, err := j.read(before, j.address); err == nil {
		j.notef("before: % x", before)
	} else if errors.Is(err, errInterrupted) {
		return err
	}
	j.notef("new:    % x", j.data[:len(before)])
	j.notef("backend: %s", j.task.Backend())
	return nil
}

// readBack compares what is there now with what was written.
func (j *job) readBack() error {
	found := make([]byte, min(len(j.data), 1<<20))
	for done := 0; done < len(j.data); {
		part := found[:min(len(found), len(j.data)-done)]
		if _, err := j.read(part, j.address+uint64(done)); err != nil {
			return fmt.Errorf("everything was written, but can't be read back: %w", err)
		}
		if want := j.data[done : done+len(part)]; !bytes.Equal(part, want) {
			i := firstDifference(part, want)
			return j.failure(j.address+uint64(done+i), uint64(len(j.data)), machcompat.KERN_FAILURE,
				fmt.Errorf("everything was written, but %#x holds %02x now and not %02x: the process, or another writer, changed it", j.address+uint64(done+i), part[i], want[i]))
		}
		done += len(part)
	}
	return nil
}

func firstDifference(a, b []byte) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return len(a)
}
