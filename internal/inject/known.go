// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"bytes"
	"os"
	"sync"

	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// Known remembers where one address space has the instructions that injected calls
// need, and its stack. Each is looked at again before it is used. The zero value is
// ready, and can be used from many goroutines.
type Known struct {
	mutex sync.Mutex
	code  map[string]uint64 // by its bytes
	stack uint64            // an address in the first thread's stack
	waits map[int]wait      // of threads
}

// wait is a wait for a time: its system call, and the registers but for those that a
// new start of it changes.
type wait struct {
	number uint64
	place  registers
}

// findCode returns where bytes of code lie in executable memory that a thread can
// run: where they were last time, or in the first mapping that has them. Of a 64-bit
// process, a thread in 32-bit code reaches the first 4 GiB only.
func (t Target) findCode(abi *abi, pattern []byte) (uint64, error) {
	t.Known.mutex.Lock()
	address, known := t.Known.code[string(pattern)]
	t.Known.mutex.Unlock()
	if known && t.hasCode(address, pattern) {
		return address, nil
	}
	mappings, err := t.executable()
	if err != nil {
		return 0, err
	}
	for _, mapping := range mappings {
		if abi.word == 4 && mapping.End > 1<<32 {
			continue
		}
		if address, ok := t.search(mapping, pattern); ok {
			t.Known.mutex.Lock()
			defer t.Known.mutex.Unlock()
			if t.Known.code == nil {
				t.Known.code = map[string]uint64{}
			}
			t.Known.code[string(pattern)] = address
			return address, nil
		}
	}
	return 0, ErrNoInstruction
}

func (t Target) hasCode(address uint64, pattern []byte) bool {
	found := make([]byte, len(pattern))
	span, ok, err := t.Maps.Next(address)
	return err == nil && ok && span.Contains(address) && span.Perms&procmaps.Execute != 0 && t.Memory.Read(address, found) == nil && bytes.Equal(found, pattern)
}

// executable lists the executable mappings, first the vdso, which every program
// has.
func (t Target) executable() (mappings []procmaps.Mapping, err error) {
	for mapping, err := range t.Maps.All() {
		switch {
		case err != nil:
			return nil, err
		case mapping.Perms&procmaps.Execute == 0:
		case mapping.Path == "[vdso]":
			mappings = append([]procmaps.Mapping{mapping}, mappings...)
		default:
			mappings = append(mappings, mapping)
		}
	}
	return mappings, nil
}

// search looks for pattern in a mapping.
func (t Target) search(mapping procmaps.Mapping, pattern []byte) (uint64, bool) {
	all := make([]byte, 64<<10)
	for at := mapping.Start; at < mapping.End; {
		part := all[:min(uint64(len(all)), mapping.End-at)]
		err := t.Memory.Read(at, part)
		if err != nil { // some of it is beyond the end of its file, say
			part = part[:min(len(part), os.Getpagesize())]
			err = t.Memory.Read(at, part)
		}
		if i := bytes.Index(part, pattern); err == nil && i >= 0 {
			return at + uint64(i), true
		}
		at += uint64(len(part))
	}
	return 0, false
}

// findStack returns the stack of the first thread.
func (t Target) findStack() (procmaps.Mapping, bool) {
	const name = "[stack]"
	t.Known.mutex.Lock()
	address := t.Known.stack
	t.Known.mutex.Unlock()
	if mapping, ok, err := t.Maps.Find(address); err == nil && ok && mapping.Path == name {
		return mapping, true
	}
	for mapping, err := range t.Maps.All() {
		if err == nil && mapping.Path == name {
			t.Known.mutex.Lock()
			defer t.Known.mutex.Unlock()
			t.Known.stack = mapping.End - 1
			return mapping, true
		}
	}
	return procmaps.Mapping{}, false
}
