// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/vmwrite/vmwrite/internal/value"
	"github.com/vmwrite/vmwrite/pkg/address"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

type writeOptions struct {
	targetFlags
	backendFlags
	kind       string
	file       string
	batch      string
	undo       string
	endian     string
	expect     string
	unprotect  bool
	verify     bool
	dryRun     bool
	allowEmpty bool
	json       bool
	verbose    bool
}

func newWriteCmd(s streams) *cobra.Command {
	o := &writeOptions{}
	cmd := &cobra.Command{
		Use:   "write (-p PID|-n NAME) ADDRESS (BYTES...|-t TYPE VALUE...|-f FILE)",
		Short: "Write bytes, values or a file at an address of a process",
		Long: `Write at ADDRESS of a process: bytes in hex (90 90, 9090 or 0x90), or values of
a type (-t), or a file (-f, "-" is standard input). All of it is written or
nothing, and only where the process itself may write; the exit status is the
kern_return_t (see vmwrite explain).

--batch writes at several addresses at once. Each line of its file says

  ADDRESS [TYPE] VALUE [if OLD]

VALUE is bytes in hex unless a TYPE precedes it, and stands in "quotes" if it
holds spaces. The process is stopped, and if each place with an OLD holds that,
all is written; or nothing. --undo records what was there in the same form.

Types: ` + strings.Join(value.Types, " ") + `.
ptr is as wide as the process's pointers; cstr ends with a NUL, str does not.`,
		Example: `  vmwrite write -p 4711 0x7f3a5c001000 90 90
  vmwrite write -n game 0x7f3a5c001000 -t i32 -5
  vmwrite write -n game 0x7f3a5c001000 -t cstr "Player One"
  vmwrite write -p 4711 0x7f3a5c001000 9090 --expect 7405 --verify
  vmwrite write -p 4711 0x7f3a5c001000 -f level.bin --dry-run
  vmwrite write -p 4711 --batch patch.txt --undo undo.txt --unprotect`,
		ValidArgsFunction: o.completePlaces(0),
		RunE: func(_ *cobra.Command, args []string) error {
			return runWrite(s, o, args)
		},
	}
	o.targetFlags.add(cmd)
	o.backendFlags.add(cmd)
	o.backendFlags.addStop(cmd)
	flags := cmd.Flags()
	flags.StringVarP(&o.kind, "type", "t", "", "`TYPE` of the values")
	flags.StringVarP(&o.file, "file", "f", "", "write the bytes of `FILE`; - is standard input")
	flags.StringVar(&o.batch, "batch", "", "write what the lines of `FILE` say; - is standard input")
	flags.StringVar(&o.undo, "undo", "", "record in a new `FILE` what was there, as a batch")
	flags.StringVar(&o.endian, "endian", "native", "byte `ORDER` of values: little, big or native")
	flags.StringVar(&o.expect, "expect", "", "stop the process, and write only if these `BYTES` (hex) are there")
	flags.BoolVar(&o.unprotect, "unprotect", false, "make the memory writable, write, and put its protection back")
	flags.BoolVar(&o.verify, "verify", false, "read back and compare")
	flags.BoolVar(&o.dryRun, "dry-run", false, "say what would happen, and write nothing")
	flags.BoolVar(&o.allowEmpty, "allow-empty", false, "writing nothing is no error")
	flags.BoolVar(&o.json, "json", false, "print one JSON object")
	flags.BoolVarP(&o.verbose, "verbose", "v", false, "say what is there before, and how it is written")
	completeTypes(cmd)
	return cmd
}

// job is a write whose command line was found right.
type job struct {
	*writeOptions
	caller
	pid         int
	interrupted *interruption
	address     uint64              // of the first change, once it is known
	size        uint64              // of all that is written
	changes     []machcompat.Change // one, or the lines of a batch
	places      []place             // where each is, which locate finds out
	word        int                 // bytes of a pointer, where values may be some; else 0
	again       []encoder           // of each change, for pointers of another width
	lines       []int               // the number of each
	input       *input              // what is still to be read
}

// encoder encodes a change with pointers of a width.
type encoder func(word int) (machcompat.Change, error)

// runWrite reads all that can be wrong in the command line and its files before
// it touches the process.
func runWrite(s streams, o *writeOptions, args []string) error {
	options, err := o.options()
	if err != nil {
		return err
	}
	if err := o.confirmFlags(args); err != nil {
		return err
	}
	pid, err := o.resolve()
	if err != nil {
		return err
	}
	j := &job{writeOptions: o, caller: caller{streams: s}, pid: pid, interrupted: newInterruption()}
	defer j.interrupted.stop()
	if o.batch != "" {
		err = j.readBatch()
	} else {
		err = j.readArguments(args)
	}
	if err != nil {
		return err
	}
	undo, err := j.createUndo()
	if err != nil {
		return err
	}
	defer undo.close()
	if j.task, err = machcompat.TaskForPID(pid, options...); err != nil {
		return err
	}
	defer j.task.Close()
	return j.run(undo)
}

// confirmFlags refuses what contradicts itself.
func (o *writeOptions) confirmFlags(args []string) error {
	switch {
	case o.batch != "" && len(args) > 0:
		return usagef("the lines of --batch say where and what to write, and so %q is one argument too many", args[0])
	case o.batch != "" && (o.kind != "" || o.file != "" || o.expect != ""):
		return usagef("the lines of --batch say what to write: -t, -f and --expect do not go with it")
	case o.batch != "" && o.unprotect && o.stop == "never":
		return usagef("--batch with --unprotect needs the process stopped, and --stop never forbids it")
	case o.undo != "" && o.file != "":
		return usagef("--undo records values and batches; of a file (-f), vmwrite read --raw keeps what was there")
	case o.undo != "" && o.dryRun:
		return usagef("--undo has nothing to record of a --dry-run")
	case o.expect != "" && strings.TrimSpace(o.expect) == "":
		return usagef("--expect is empty; leave it out to write whatever is there")
	case o.batch == "" && len(args) == 0:
		return usagef("where? give an ADDRESS such as 0x7f3a5c001000, then what to write (see vmwrite write --help)")
	case o.file != "" && (o.kind != "" || len(args) > 1):
		return usagef("write a file (-f) or values, not both")
	}
	return nil
}

// readArguments reads one address, and what to write there.
func (j *job) readArguments(args []string) (err error) {
	at, err := parsePlace(args[0])
	if err != nil {
		return err
	}
	expect, err := parseHex([]string{j.expect})
	if err != nil {
		return usagef("--expect %q: want bytes in hex, as vmwrite read shows them", j.expect)
	}
	j.places = []place{at}
	j.changes = []machcompat.Change{{Old: expect, Unprotect: j.unprotect}}
	if j.file != "" {
		j.input, err = openInput(j.streams, j.file)
		return err
	}
	data, err := j.encode(args[1:])
	if err != nil {
		return err
	}
	j.changes[0].New, j.size = data, uint64(len(data))
	j.again = []encoder{func(word int) (c machcompat.Change, err error) {
		e, err := j.encoding()
		if e.Word = word; err == nil {
			c.New, err = e.encode(args[1:])
		}
		c.Old = expect
		return c, err
	}}
	return j.confirmSize("the value is empty")
}

// confirmSize refuses to write nothing, which mostly is an accident: a variable that
// is not set, a command in front of the pipe that failed.
func (j *job) confirmSize(empty string) error {
	if j.size > 0 || j.allowEmpty {
		return nil
	}
	return usagef("nothing to write: %s (if that is meant, add --allow-empty)", empty)
}

// encode returns the bytes of values.
func (j *job) encode(values []string) ([]byte, error) {
	if len(values) == 0 {
		return nil, usagef("write what? give BYTES in hex, or -t TYPE VALUE, or -f FILE")
	}
	e, err := j.encoding()
	if err != nil {
		return nil, err
	}
	return e.encode(values)
}

// encoding is that of the values: bytes if no type was given.
func (j *job) encoding() (encoding, error) {
	order, err := parseEndian(j.endian)
	if err != nil {
		return encoding{}, err
	}
	e := encoding{value.Encoding{Type: cmp.Or(j.kind, "bytes"), Order: order}}
	if err := checkType(e.Type); err != nil {
		return encoding{}, err
	}
	if e.Type == "ptr" || j.isBatch() {
		e.Word = machcompat.PointerSizeOf(j.pid)
		j.word = e.Word
	}
	return e, nil
}

func parseEndian(text string) (binary.ByteOrder, error) {
	switch text {
	case "little":
		return binary.LittleEndian, nil
	case "big":
		return binary.BigEndian, nil
	case "native":
		return value.NativeOrder(), nil
	}
	return nil, usagef("--endian %q: little, big or native", text)
}

// run does the job.
func (j *job) run(undo *undoFile) error {
	if err := j.locate(j.at); err != nil {
		return err
	}
	if err := j.hold(); err != nil {
		return err
	}
	if j.verbose {
		if err := j.describe(); err != nil {
			return err
		}
	}
	if j.dryRun {
		if err := j.check(); err != nil {
			return err
		}
		return j.finish("would write", 0, nil)
	}
	err := j.write(undo)
	undo.ended(err)
	if err != nil {
		return err
	}
	return j.finish("wrote", j.size, undo)
}

// locate has at find out where the places are, and how wide pointers are there: in a
// 32-bit module of a 64-bit process they are not as wide as in the others.
func (j *job) locate(at func(place) (address.Resolution, error)) error {
	for i, p := range j.places {
		found, err := at(p)
		if err != nil {
			return j.ofLine(i, err)
		}
		c := &j.changes[i]
		c.Address = found.Address
		if j.word == 0 || found.PointerSize == 0 {
			continue
		}
		encoded, err := j.again[i](found.PointerSize)
		if err != nil {
			return j.ofLine(i, err)
		}
		j.size += uint64(len(encoded.New)) - uint64(len(c.New))
		c.Old, c.New = encoded.Old, encoded.New
	}
	if len(j.changes) > 0 {
		j.address = j.changes[0].Address
	}
	return j.confirmApart()
}

// locateStopped is locate in a stop of the process, which may have moved what a chain
// of pointers leads to since, or unloaded a module.
func (j *job) locateStopped() error {
	if _, err := j.modules().Recheck(0); err != nil {
		return err
	}
	return j.locate(func(p place) (address.Resolution, error) {
		if constant, ok := p.expr.Constant(); ok {
			return address.Resolution{Address: constant}, nil
		}
		found, err := j.modules().Resolve(p.expr)
		return found, j.unresolved(p, err)
	})
}

// compares reports whether the places are compared with what they should hold, or
// recorded, in the stop in which they are written.
func (j *job) compares() bool { return j.expect != "" || j.batch != "" || j.undo != "" }

// check says whether the write can be made.
func (j *job) check() error {
	if err := j.confirmExpected(); err != nil {
		return err
	}
	if !j.isBatch() {
		return j.checkRange(j.address, j.size)
	}
	for i, c := range j.changes {
		if err := j.checkRange(c.Address, uint64(len(c.New))); err != nil {
			return j.ofLine(i, err)
		}
	}
	return nil
}

func (j *job) checkRange(address, size uint64) error {
	if j.unprotect {
		return j.confirmUnprotectable(address, size)
	}
	return j.task.Check(address, size)
}

// finish prints the result.
func (j *job) finish(did string, written uint64, undo *undoFile) error {
	name := j.moduleOf(j.address)
	message := fmt.Sprintf("%s %s at %s of process %d", did, counted(j.size, "byte"), beside(j.address, name), j.pid)
	if j.isBatch() {
		message = fmt.Sprintf("%s %s at %s of process %d", did, counted(j.size, "byte"), counted(len(j.changes), "place"), j.pid)
	}
	if undo != nil && written > 0 {
		message += "; to take it back: " + undo.command
	}
	return finish(j.streams, j.json, outcome{
		Op: "vm_write", PID: j.pid, Address: hexAddress(j.address), Place: name, Size: j.size,
		Written: &written, Backend: j.task.Backend().String(),
	}, message)
}

// failure is an error of this command in the form of the library's.
func (j *job) failure(fault uint64, written uint64, code machcompat.KernReturn, err error) *machcompat.Error {
	op := "vm_write"
	if j.task == nil { // the process was not opened yet
		op = "task_for_pid"
	}
	return &machcompat.Error{
		Op: op, PID: j.pid, Address: j.address, Size: j.size, Written: written,
		Partial: written > 0, Code: code, Fault: fault, Err: err,
	}
}

func (j *job) isBatch() bool { return j.batch != "" }

// givenUpAt is the error for a write that goes on, of which at least done bytes
// are written.
func (j *job) givenUpAt(done uint64, err error) error {
	if done > 0 {
		err = fmt.Errorf("%w, but that it is at least %s of %d", err, counted(done, "byte"), j.size)
	}
	e := j.failure(j.address+done, done, machcompat.KERN_ABORTED, err)
	e.Partial, e.Hint = false, givenUpHint
	return e
}
