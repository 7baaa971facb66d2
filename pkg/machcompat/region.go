package machcompat

import (
	"math"

	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// Values of a [Region]: mach/vm_inherit.h and mach/vm_behavior.h.
const (
	VM_INHERIT_SHARE    = 0
	VM_INHERIT_COPY     = 1
	VM_BEHAVIOR_DEFAULT = 0
)

// Region is what vm_region tells of a mapping (vm_region_basic_info_64).
type Region struct {
	Start         uint64
	Size          uint64
	Protection    VMProt
	MaxProtection VMProt // what [Task.Protect] may make of it
	Inheritance   int32  // VM_INHERIT_SHARE for shared memory, else VM_INHERIT_COPY
	Shared        bool   // other processes, or a file, see what is written
	Reserved      bool   // always false: Linux does not tell
	Offset        uint64 // byte in the file that Start maps
	Behavior      int32  // always VM_BEHAVIOR_DEFAULT: Linux does not tell
	// UserWiredCount is always 0: Linux does not tell without reading smaps.
	UserWiredCount uint16
	Mapping        procmaps.Mapping // the same in Linux's terms, with the name
}

// Region returns the mapping that address lies in, or the next above it:
// vm_region. The error is an [*Error]: KERN_INVALID_ADDRESS when there is none,
// KERN_INVALID_ARGUMENT when the task has ended.
func (t *Task) Region(address uint64) (Region, error) {
	t.open.RLock()
	defer t.open.RUnlock()
	if t.closed {
		return Region{}, t.closedError(opRegion)
	}
	for mapping, err := range t.maps.Range(address, math.MaxUint64) {
		if err != nil {
			return Region{}, t.newError(opRegion, address, 0, fault{}, err)
		}
		return t.regionOf(mapping), nil
	}
	if err := t.aliveError(opRegion, address); err != nil {
		return Region{}, err
	}
	return Region{}, t.newError(opRegion, address, 0, fault{code: KERN_INVALID_ADDRESS, address: address}, nil)
}

func (t *Task) regionOf(mapping procmaps.Mapping) Region {
	r := Region{
		Start:         mapping.Start,
		Size:          mapping.End - mapping.Start,
		Protection:    VMProt(mapping.Perms),
		MaxProtection: t.maxProtection(mapping.Start, mapping.Shared),
		Inheritance:   VM_INHERIT_COPY,
		Shared:        mapping.Shared,
		Offset:        mapping.Offset,
		Behavior:      VM_BEHAVIOR_DEFAULT,
		Mapping:       mapping,
	}
	if mapping.Shared {
		r.Inheritance = VM_INHERIT_SHARE
	}
	return r
}
