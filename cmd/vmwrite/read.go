// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/vmwrite/vmwrite/internal/value"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

type readOptions struct {
	targetFlags
	backendFlags
	raw     bool
	kind    string
	count   uint64
	counted bool // -c was given
	endian  string
	json    bool
}

func newReadCmd(s streams) *cobra.Command {
	o := &readOptions{}
	cmd := &cobra.Command{
		Use:   "read (-p PID | -n NAME) ADDRESS (SIZE | -t TYPE [-c COUNT])",
		Short: "Show the bytes or the values at an address of a process",
		Long: `Show SIZE bytes at ADDRESS of a process as a hexdump, or raw, or COUNT values of
a type, one a line. Only what the process itself may read is read.`,
		Example: `  vmwrite read -p 4711 0x7f3a5c001000 64
  vmwrite read -n game 0x7f3a5c001000 -t f32 -c 3
  vmwrite read -p 4711 0x7f3a5c001000 4K --raw > page.bin`,
		ValidArgsFunction: o.completePlaces(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.counted = cmd.Flags().Changed("count")
			return runRead(s, o, args)
		},
	}
	o.targetFlags.add(cmd)
	o.backendFlags.add(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&o.raw, "raw", false, "the bytes as they are")
	flags.StringVarP(&o.kind, "type", "t", "", "`TYPE` of the values (see vmwrite write --help)")
	flags.Uint64VarP(&o.count, "count", "c", 1, "`COUNT` of values; for bytes, str and utf16 of units")
	flags.StringVar(&o.endian, "endian", "native", "byte `ORDER` of values: little, big or native")
	flags.BoolVar(&o.json, "json", false, "print one JSON object")
	completeTypes(cmd)
	return cmd
}

func runRead(s streams, o *readOptions, args []string) error {
	if len(args) == 0 {
		return usagef("where? give an ADDRESS such as 0x7f3a5c001000, then a SIZE or -t TYPE (see vmwrite read --help)")
	}
	if len(args) == 2 && isSmall(args[0]) && !isSmall(args[1]) {
		return usagef("ADDRESS stands first: vmwrite read %s %s", args[1], args[0])
	}
	at, err := parsePlace(args[0])
	if err != nil {
		return err
	}
	size, err := o.size(args[1:])
	if err != nil {
		return err
	}
	order, err := parseEndian(o.endian)
	if err != nil {
		return err
	}
	options, err := o.options()
	if err != nil {
		return err
	}
	task, err := o.open(options...)
	if err != nil {
		return err
	}
	defer task.Close()
	r := &reading{readOptions: o, caller: caller{streams: s, task: task}}
	found, err := r.at(at)
	if err != nil {
		return err
	}
	r.address = found.Address
	if o.kind == "" {
		return r.bytes(size)
	}
	return r.values(encoding{value.Encoding{Type: o.kind, Order: order, Word: cmp.Or(found.PointerSize, task.PointerSize())}})
}

// size parses SIZE, which a type replaces.
func (o *readOptions) size(args []string) (uint64, error) {
	switch {
	case o.kind != "" && len(args) > 0:
		return 0, usagef("a type (-t) has its own size; say how many values with -c")
	case o.raw && (o.kind != "" || o.json):
		return 0, usagef("--raw prints the bytes of a SIZE as they are, without -t and --json")
	case o.kind != "":
		return 0, checkType(o.kind)
	case o.counted:
		return 0, usagef("-c counts the values of a type; give one with -t")
	case len(args) == 0:
		return 0, usagef("how much? give a SIZE in bytes, or a type with -t")
	case len(args) > 1:
		return 0, usagef("%q is one argument too many", args[1])
	}
	if slices.Contains(value.Types, args[0]) {
		return 0, usagef("give the type with -t: -t %s", args[0])
	}
	return parseSize(args[0])
}

// reading is a read whose command line was found right.
type reading struct {
	*readOptions
	caller
	address uint64
}

const readChunk = 1 << 20

// bytes shows a number of bytes, a chunk at a time.
func (r *reading) bytes(size uint64) error {
	if r.json {
		data, err := r.all(size)
		if err != nil {
			return err
		}
		return r.printJSON(data, nil)
	}
	buffer := make([]byte, min(size, readChunk))
	for done := uint64(0); ; {
		part := buffer[:min(size-done, readChunk)]
		n, err := r.read(part, r.address+done)
		if err := r.show(r.address+done, part[:n]); err != nil {
			return err
		}
		if err != nil {
			return ofWhole(err, r.address, size, done)
		}
		if done += uint64(n); done >= size {
			return nil
		}
	}
}

func (r *reading) show(address uint64, data []byte) error {
	if r.raw {
		return r.print(data)
	}
	return r.print(hexdump(address, data))
}

// all reads size bytes or fails. It asks for memory as bytes arrive, because a
// size that was mistyped must not take all there is.
func (r *reading) all(size uint64) ([]byte, error) {
	var data []byte
	for done := uint64(0); ; {
		part := make([]byte, min(size-done, readChunk))
		n, err := r.read(part, r.address+done)
		if err != nil {
			return nil, ofWhole(err, r.address, size, done)
		}
		data = append(data, part...)
		if done += uint64(n); done >= size {
			return data, nil
		}
	}
}

// values shows typed values, one a line.
func (r *reading) values(e encoding) error {
	values, data, err := r.decode(e)
	if err != nil {
		return err
	}
	if r.json {
		return r.printJSON(data, values)
	}
	var text bytes.Buffer
	for _, value := range values {
		fmt.Fprintln(&text, procmaps.Printable(value))
	}
	return r.print(text.Bytes())
}

func (r *reading) decode(e encoding) (values []string, data []byte, err error) {
	if e.Type == "cstr" {
		return r.strings(r.count)
	}
	size, err := e.sizeOf(r.count)
	if err != nil {
		return nil, nil, err
	}
	if data, err = r.all(size); err != nil {
		return nil, nil, err
	}
	return e.Decode(data), data, nil
}

// strings reads strings that end with a NUL, one behind the other.
func (r *reading) strings(count uint64) (values []string, data []byte, err error) {
	const step = 256
	for next := 0; uint64(len(values)) < count; {
		if end := bytes.IndexByte(data[next:], 0); end >= 0 {
			values = append(values, string(data[next:next+end]))
			next += end + 1
			continue
		}
		part := make([]byte, step)
		n, err := r.read(part, r.address+uint64(len(data)))
		// A string may end just before memory that can't be read.
		if data = append(data, part[:n]...); n == 0 {
			return nil, nil, err
		}
	}
	return values, data, nil
}

func (r *reading) printJSON(data []byte, values []string) error {
	o := outcome{
		Op: "vm_read", PID: r.task.PID(), Address: hexAddress(r.address), Place: r.moduleOf(r.address), Size: uint64(len(data)),
		Backend: r.task.Backend().String(), Data: hex.EncodeToString(data), Values: values,
	}
	return r.streams.printJSON(o.succeeded("read " + counted(len(data), "byte")))
}

// hexdump shows sixteen bytes a line: address, bytes, text.
func hexdump(address uint64, data []byte) []byte {
	var b bytes.Buffer
	for len(data) > 0 {
		line := data[:min(16, len(data))]
		fmt.Fprintf(&b, "%012x  %-23s %-23s |%s|\n", address, hexBytes(line[:min(8, len(line))]), hexBytes(line[min(8, len(line)):]), asciiText(line))
		address += uint64(len(line))
		data = data[len(line):]
	}
	return b.Bytes()
}

func hexBytes(data []byte) string { return fmt.Sprintf("% x", data) }

func asciiText(data []byte) string {
	text := bytes.Clone(data)
	for i, c := range text {
		if c < ' ' || c > '~' {
			text[i] = '.'
		}
	}
	return string(text)
}
