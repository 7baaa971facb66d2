package machcompat

import (
	"bytes"
	"sync"

	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// landmarks remembers where a task has what a borrowed thread needs: code, and
// the stack of its first thread. Each is looked at again before it is used.
type landmarks struct {
	sync.Mutex
	code  map[string]uint64 // by its bytes; 0 when there is none
	stack uint64            // an address in it; 0 when there is none
}

// code returns where bytes of code lie in executable memory of the stopped task:
// where they were last time, or in the first mapping that has them. The vdso is
// looked at first, because every program has it.
func (t *Task) code(pattern []byte) (uint64, error) {
	t.landmarks.Lock()
	defer t.landmarks.Unlock()
	address, known := t.landmarks.code[string(pattern)]
	switch {
	case known && address == 0:
		return 0, errNoInstruction
	case known && t.hasCode(address, pattern):
		return address, nil
	}
	mappings, err := t.executable()
	if err != nil {
		return 0, err
	}
	if t.landmarks.code == nil {
		t.landmarks.code = map[string]uint64{}
	}
	t.landmarks.code[string(pattern)] = 0
	for _, mapping := range mappings {
		if address, ok := t.search(mapping, pattern); ok {
			t.landmarks.code[string(pattern)] = address
			return address, nil
		}
	}
	return 0, errNoInstruction
}

func (t *Task) hasCode(address uint64, pattern []byte) bool {
	found := make([]byte, len(pattern))
	span, ok, err := t.maps.Next(address)
	return err == nil && ok && span.Contains(address) && span.Perms&procmaps.Execute != 0 && t.peek(address, found) == nil && bytes.Equal(found, pattern)
}

// executable lists the executable mappings, the vdso first, and notes where the
// stack is.
func (t *Task) executable() (mappings []procmaps.Mapping, err error) {
	for mapping, err := range t.maps.All() {
		if err != nil {
			return nil, err
		}
		if mapping.Path == "[stack]" {
			t.landmarks.stack = mapping.End - 1
		}
		switch {
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
func (t *Task) search(mapping procmaps.Mapping, pattern []byte) (uint64, bool) {
	all := make([]byte, 64<<10)
	for at := mapping.Start; at < mapping.End; {
		part := all[:min(uint64(len(all)), mapping.End-at)]
		err := t.peek(at, part)
		if err != nil { // some of it is beyond the end of its file, say
			part = part[:min(uint64(len(part)), HostPageSize())]
			err = t.peek(at, part)
		}
		if i := bytes.Index(part, pattern); err == nil && i >= 0 {
			return at + uint64(i), true
		}
		at += uint64(len(part))
	}
	return 0, false
}
