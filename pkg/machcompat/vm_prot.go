// SPDX-License-Identifier: Apache-2.0

package machcompat

import (
	"os"

	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// VMProt is Mach's vm_prot_t: a set of accesses, from mach/vm_prot.h.
type VMProt int32

// The accesses of mach/vm_prot.h. VM_PROT_COPY asks [Task.Protect] for memory
// that may be written without what it is a copy of being changed.
const (
	VM_PROT_NONE    VMProt = 0x00
	VM_PROT_READ    VMProt = 0x01
	VM_PROT_WRITE   VMProt = 0x02
	VM_PROT_EXECUTE VMProt = 0x04
	VM_PROT_COPY    VMProt = 0x10
	VM_PROT_DEFAULT        = VM_PROT_READ | VM_PROT_WRITE
	VM_PROT_ALL            = VM_PROT_READ | VM_PROT_WRITE | VM_PROT_EXECUTE
)

// String returns the three characters of vmmap and of /proc/PID/maps, as "rw-",
// and "+copy" behind them for VM_PROT_COPY.
func (p VMProt) String() string {
	text := p.perms().String()
	if p&VM_PROT_COPY != 0 {
		text += "+copy"
	}
	return text
}

// perms returns the accesses as Linux has them: the bits are the same.
func (p VMProt) perms() procmaps.Perms { return procmaps.Perms(p & VM_PROT_ALL) }

// Flags of [Task.Allocate], [Task.Map] and [Task.Remap], from mach/vm_statistics.h.
const (
	VM_FLAGS_FIXED     = 0x0000 // at the address, or not at all
	VM_FLAGS_ANYWHERE  = 0x0001 // where there is room; the address is a hint
	VM_FLAGS_OVERWRITE = 0x4000 // with VM_FLAGS_FIXED: in place of what is there

	VM_FLAGS_RETURN_DATA_ADDR = 0x100000 // for Remap: return where the data are in their page
)

// HostPageSize returns the size of a page in bytes: Mach's host_page_size.
func HostPageSize() uint64 { return uint64(os.Getpagesize()) }

// pageRange widens a range to whole pages. It must not wrap.
func pageRange(address, size uint64) (start, end uint64) {
	page := HostPageSize()
	return address &^ (page - 1), (address + size + page - 1) &^ (page - 1)
}
