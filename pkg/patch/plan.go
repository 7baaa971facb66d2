// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/vmwrite/vmwrite/pkg/address"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"github.com/vmwrite/vmwrite/pkg/search"
)

// State is what stands at the place of a change.
type State uint8

// The states of a change, and of a whole patch.
const (
	Unknown    State = iota // the place was not found, or can't be read
	NotApplied              // the old bytes
	Applied                 // the new bytes
	Mixed                   // of some bytes the old one, of others the new one; of a patch, changes of both kinds
	Foreign                 // other bytes
)

// String returns "unknown", "not applied", "applied", "mixed" or "foreign".
func (s State) String() string {
	switch s {
	case Unknown:
		return "unknown"
	case NotApplied:
		return "not applied"
	case Applied:
		return "applied"
	case Mixed:
		return "mixed"
	case Foreign:
		return "foreign"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// Place is where a change is made in one process.
type Place struct {
	Change  Change // as the patch has it
	Address uint64 // 0 if it was not found
	Found   []byte // what was there when it was looked at, as long as Change.New; nil if it can't be read
	State   State
	Module  *address.Module // that it lies in; nil for none
	Perms   procmaps.Perms  // what all of it allows
	// Executable is true if any of it is code that threads could run.
	Executable bool

	old []byte // what an undo puts there; nil if that is not known
}

// Options say how a patch is resolved, applied and undone.
type Options struct {
	// Journal is where journals are kept; nil for no journal, and nothing can be undone
	// or recovered then but what is known from the patch itself.
	Journal *Journal
	// Force makes a patch be applied or undone though threads may run the code meanwhile,
	// and undone though other bytes stand there now. The journal notes it.
	Force bool
}

// Plan is a patch for one process: where its changes are, and what was there when that was
// looked at. It is not safe for concurrent use; several plans for one process are.
type Plan struct {
	Patch    *Patch
	Places   []Place   // of each change
	Findings []Finding // everything that stands against applying it
	// Journaled is true if the places are those of a journal: the patch was applied to
	// this process, or somebody died while he did.
	Journaled bool

	options  Options
	process  Process
	resolver *address.Resolver
	identity identity
	buildID  string // of the program
	entry    *entry // of the journal
}

// Resolve finds the places of a patch in a process, and compares all that it expects with
// what is there. What is not as expected is no error, but a finding of the plan. The error
// is that of a process that can't be looked at, or of a journal.
func (p *Patch) Resolve(ctx context.Context, process Process, o Options) (*Plan, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	identity, err := identityOf(process.PID())
	if err != nil {
		return nil, err
	}
	plan := &Plan{Patch: p, options: o, process: process, resolver: address.NewResolver(process), identity: identity}
	modules, err := plan.resolver.Modules()
	if err != nil {
		return nil, err
	}
	plan.buildID = programOf(process.PID(), modules)
	identified := plan.checkProgram(modules)
	if o.Journal != nil {
		if plan.entry, err = o.Journal.find(identity, p); err != nil {
			return nil, err
		}
	}
	plan.Journaled = plan.entry != nil
	for i, c := range p.Changes {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		place := Place{Change: c}
		if plan.entry != nil {
			place.Address, place.old = plan.entry.Changes[i].Address, plan.entry.Changes[i].Old
		} else {
			place.Address, err = plan.locate(ctx, c)
			if err != nil {
				plan.find(i, Finding{Err: err})
			} else if err := c.checkIdentity(place.Address, identified); err != nil {
				plan.find(i, Finding{Address: place.Address, Err: err})
			}
		}
		plan.Places = append(plan.Places, place)
	}
	return plan, plan.look()
}

// find notes a finding of a change.
func (p *Plan) find(change int, f Finding) {
	f.Change = change
	if change >= 0 {
		f.Line = p.Patch.Changes[change].Line
	}
	p.Findings = append(p.Findings, f)
}

// programOf returns the build id of the program that a process runs, "" if it has none.
func programOf(pid int, modules []*address.Module) string {
	path, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/exe")
	for _, m := range modules {
		if err == nil && m.Path == path {
			return m.BuildID
		}
	}
	return ""
}

// checkProgram compares the process with what the patch is for, and returns the modules
// that are proven to be the right ones.
func (p *Plan) checkProgram(modules []*address.Module) (identified []*address.Module) {
	if want := p.Patch.Executable; want != "" {
		path, err := os.Readlink("/proc/" + strconv.Itoa(p.process.PID()) + "/exe")
		if name := filepath.Base(strings.TrimSuffix(path, " (deleted)")); err != nil || name != want {
			p.find(-1, Finding{Err: fmt.Errorf("%w: the program is called %q; want %q", ErrOtherProgram, name, want)})
		}
	}
	for _, condition := range p.Patch.Modules {
		m, err := p.module(condition.Name, modules)
		if err == nil {
			err = condition.holds(m)
		}
		if err != nil {
			p.find(-1, Finding{Line: condition.Line, Err: err})
			continue
		}
		identified = append(identified, m)
	}
	return identified
}

// module returns the module of a name.
func (p *Plan) module(name string, modules []*address.Module) (*address.Module, error) {
	e, err := moduleExpr(name)
	if err != nil {
		return nil, err
	}
	at, err := p.resolver.Resolve(e)
	if err != nil {
		return nil, err
	}
	for _, m := range modules {
		if m.Contains(at.Address) {
			return m, nil
		}
	}
	return nil, fmt.Errorf("%w: %s is no module", ErrOtherProgram, name)
}

// holds returns an error unless a module is the right one.
func (c Module) holds(m *address.Module) error {
	if c.BuildID != "" && !strings.EqualFold(c.BuildID, m.BuildID) {
		return fmt.Errorf("%w: the build id of %s is %q; want %q", ErrOtherProgram, c.Name, m.BuildID, c.BuildID)
	}
	if c.SHA256 == "" {
		return nil
	}
	file, err := m.Open()
	if err != nil {
		return fmt.Errorf("the SHA-256 of %s: %w", c.Name, err)
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return fmt.Errorf("the SHA-256 of %s: %w", c.Name, err)
	}
	if found := hex.EncodeToString(sum.Sum(nil)); !strings.EqualFold(c.SHA256, found) {
		return fmt.Errorf("%w: the SHA-256 of %s is %s; want %s", ErrOtherProgram, c.Name, found, c.SHA256)
	}
	return nil
}

// checkIdentity returns an error if neither the bytes at an address nor the module that it
// lies in tell that it is the right place.
func (c *Change) checkIdentity(at uint64, identified []*address.Module) error {
	isKnown := func(m *address.Module) bool { return m.Contains(at) }
	if c.isFixed() || slices.ContainsFunc(identified, isKnown) {
		return nil
	}
	return ErrNoIdentity
}

// locate returns the address of a change.
func (p *Plan) locate(ctx context.Context, c Change) (uint64, error) {
	if c.Find == nil {
		at, err := p.resolver.Resolve(c.At)
		return at.Address, err
	}
	modules, err := p.resolver.Modules()
	if err != nil {
		return 0, err
	}
	m, err := p.module(c.Find.Module, modules)
	if err != nil {
		return 0, err
	}
	var found []uint64
	const enough = 2
	within := []search.Range{{Start: m.Base, End: m.Base + m.Size}}
	for match, err := range search.First(ctx, p.process, c.Find.Pattern, search.Options{Within: within, Limit: enough}).All() {
		if err != nil {
			return 0, err
		}
		found = append(found, match.Address+uint64(c.Find.Offset))
	}
	switch len(found) {
	case 0:
		return 0, fmt.Errorf("%w: it is not in %s", ErrNotOnce, c.Find.Module)
	case 1:
		return found[0], nil
	}
	return 0, fmt.Errorf("%w: in %s it is at %#x and %#x at least", ErrNotOnce, c.Find.Module, found[0], found[1])
}

// look reads what is at each place, and what it is.
func (p *Plan) look() error {
	var mappings []procmaps.Mapping
	for m, err := range p.process.Regions() {
		if err != nil {
			return err
		}
		mappings = append(mappings, m)
	}
	for i := range p.Places {
		place := &p.Places[i]
		if place.Address == 0 {
			continue
		}
		place.Module, _, _ = p.resolver.Locate(place.Address)
		p.lookAt(i, place, mappings)
	}
	p.checkOverlaps()
	return nil
}

func (p *Plan) lookAt(i int, place *Place, mappings []procmaps.Mapping) {
	c := &place.Change
	size := uint64(len(c.New))
	end := place.Address + size
	if end < place.Address {
		p.find(i, Finding{Address: place.Address, Err: fmt.Errorf("the change reaches over the end of the addresses: %w", machcompat.KERN_INVALID_ADDRESS)})
		return
	}
	next, refused := place.Address, error(nil)
	place.Perms = procmaps.Read | procmaps.Write | procmaps.Execute
	for _, m := range mappings[firstAbove(mappings, place.Address):] {
		if m.Start > next || next >= end {
			break
		}
		next = m.End
		place.Perms &= m.Perms
		place.Executable = place.Executable || m.Perms&procmaps.Execute != 0
		switch {
		case m.Perms&procmaps.Write != 0 || refused != nil:
		case m.Shared:
			refused = fmt.Errorf("the process may not write there, and the memory is shared: %w", machcompat.KERN_PROTECTION_FAILURE)
		case !c.Unprotect:
			refused = fmt.Errorf("the process may not write there, and the change does not say unprotect: true: %w", machcompat.KERN_PROTECTION_FAILURE)
		}
	}
	if next < end {
		p.find(i, Finding{Address: next, Err: fmt.Errorf("nothing is mapped there: %w", machcompat.KERN_INVALID_ADDRESS)})
		return
	}
	if refused != nil {
		p.find(i, Finding{Address: place.Address, Err: refused})
	}
	found := make([]byte, size)
	if _, err := p.process.ReadAt(found, int64(place.Address)); err != nil {
		p.find(i, Finding{Address: place.Address, Err: err})
		return
	}
	old, mask := c.Old, c.Mask
	if place.old != nil {
		old, mask = place.old, nil
	}
	place.Found, place.State = found, stateOf(found, old, mask, c.New)
	if place.State != NotApplied && !(p.entry != nil && place.State == Applied) {
		f := Finding{Address: place.Address, Expected: old, Mask: mask, Found: found, Err: machcompat.ErrMismatch}
		if place.State == Applied {
			f.Err = fmt.Errorf("the new bytes are there already: %w", machcompat.ErrMismatch)
		}
		p.find(i, f)
	}
}

// firstAbove returns the index of the first mapping that ends above an address.
func firstAbove(mappings []procmaps.Mapping, address uint64) int {
	i, _ := slices.BinarySearchFunc(mappings, address, func(m procmaps.Mapping, address uint64) int {
		if m.End <= address {
			return -1
		}
		return 1
	})
	return i
}

// stateOf compares what is at a place with what was and what is to be there.
func stateOf(found, old, mask, new []byte) State {
	oldLeft, newLeft := false, false // some byte is not what it was, is to be
	for i, b := range found {
		isOld := len(old) == 0 || (b^old[i])&bits(mask, i) == 0
		isNew := b == new[i]
		if !isOld && !isNew {
			return Foreign
		}
		oldLeft, newLeft = oldLeft || !isOld, newLeft || !isNew
	}
	switch {
	case !newLeft:
		return Applied
	case !oldLeft:
		return NotApplied
	}
	return Mixed
}

// bits returns the bits of byte i that count.
func bits(mask []byte, i int) byte {
	if mask == nil {
		return 0xff
	}
	return mask[i]
}

// checkOverlaps finds changes that have bytes in common.
func (p *Plan) checkOverlaps() {
	order := make([]int, 0, len(p.Places))
	for i, place := range p.Places {
		if place.Address != 0 {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(p.Places[a].Address, p.Places[b].Address)
	})
	end, last := uint64(0), 0
	for _, i := range order {
		place := p.Places[i]
		if place.Address < end {
			p.find(i, Finding{Address: place.Address, Err: fmt.Errorf("%w: that of line %d", ErrOverlap, p.Patch.Changes[last].Line)})
		}
		if placeEnd := place.Address + uint64(len(place.Change.New)); placeEnd > end {
			end, last = placeEnd, i
		}
	}
}

// State returns what stands in the process: the state that all changes are in, or Mixed if
// some are applied and others are not; Foreign or Unknown if any is so.
func (p *Plan) State() State {
	var all State
	for i, place := range p.Places {
		switch {
		case place.State == Unknown || all == Unknown && i > 0:
			all = Unknown
		case place.State == Foreign || all == Foreign:
			all = Foreign
		case i == 0:
			all = place.State
		case all != place.State:
			all = Mixed
		}
	}
	return all
}

// Check returns nil if the patch can be applied, but for threads that may stand in the way;
// [ErrApplied] or [ErrUnfinished]; or a [*CheckError] with everything that stands against it.
func (p *Plan) Check() error {
	state := p.State()
	switch {
	case p.entry != nil && p.entry.state != applied:
		return ErrUnfinished
	case p.entry != nil && state != Applied:
		// Others have changed the bytes, or the process runs the program anew in the same
		// places, as without ASLR.
		return fmt.Errorf("%w, says the journal, but the process has it %v: undo it first", ErrApplied, state)
	case state == Applied:
		return ErrApplied
	case len(p.Findings) > 0:
		return &CheckError{p.Findings}
	}
	return nil
}
