// SPDX-License-Identifier: Apache-2.0

package hold_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/hold"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// One batch reads, and one writes, if there is something to be written.
func TestBatchesOfATick(t *testing.T) {
	m := newFake(1, 4)
	var entries []hold.Entry
	for i := range uint64(3) {
		entries = append(entries, constant(fmt.Sprint(i), hold.Fixed((i+1)*pageSize), 7))
	}
	h := newHolder(t, m, entries...)
	for i, want := range []struct {
		changed       int // how many the target changes before
		reads, writes int
		summary       hold.Summary
	}{
		{0, 1, 1, hold.Summary{Ticks: 1, Writes: 3}}, // none of them is the target's change
		{0, 1, 0, hold.Summary{Ticks: 2, Writes: 3}},
		{2, 1, 1, hold.Summary{Ticks: 3, Writes: 5, Changed: 2}},
		{0, 1, 0, hold.Summary{Ticks: 4, Writes: 5, Changed: 2}},
	} {
		for j := range want.changed {
			copy(m.bytesAt(uint64(j+1)*pageSize, 4), u32(8))
		}
		m.reads, m.writes = 0, 0
		h.tick()
		if m.reads != want.reads || m.writes != want.writes || h.Summary() != want.summary {
			t.Errorf("tick %d made %d reads and %d writes: %+v; want %+v", i, m.reads, m.writes, h.Summary(), want)
		}
	}
	h.wantEvents()
}

// A value is held where the pointer points, whatever the target makes of it.
func TestChain(t *testing.T) {
	target := testtarget.Start(t)
	task := taskFor(t, target.PID)
	base := target.Address("layout rw-:3,gap:1")
	slot, first, second := base, base+pageSize, base+2*pageSize
	const offset = 16
	put := func(address uint64, data []byte) {
		t.Helper()
		if err := task.Write(address, data); err != nil {
			t.Fatal(err)
		}
	}
	wantAt := func(object uint64, want uint32) {
		t.Helper()
		got := target.Bytes(object, 64)
		if v := binary.NativeEndian.Uint32(got[offset:]); v != want {
			t.Errorf("%d is at %#x; want %d", v, object, want)
		}
	}
	put(slot, u64(first))
	put(first+offset, u32(1))
	put(second+offset, u32(2))
	synctest.Test(t, func(t *testing.T) {
		var resolved int
		h := newHolder(t, task,
			constant("fixed", hold.Fixed(base+100), 5),
			constant("chain", pointerChain{task, slot, offset, &resolved}, 9))
		h.tick()
		wantAt(first, 9)
		wantAt(second, 2)
		before := target.Bytes(first, int(pageSize))
		put(slot, u64(second))
		h.tick() // in which it is found at its new place, and held there
		wantAt(second, 9)
		put(first+offset, u32(3))
		h.tick()
		wantAt(first, 3)
		put(first+offset, u32(9))
		if !bytes.Equal(target.Bytes(first, int(pageSize)), before) {
			t.Error("the old object was changed")
		}
		if s := h.Summary(); s.Moved != 1 || resolved != 2 || s.Writes != 3 || s.Changed != 0 {
			t.Errorf("it was resolved %d times: %+v", resolved, s)
		}
		h.wantEvents()
		put(slot, u64(0)) // the object is destroyed
		h.tick()
		h.tick()
		h.wantEvents("-chain")
		time.Sleep(round)
		h.tick()
		h.wantEvents() // it is not said again
		put(slot, u64(first))
		put(first+offset, u32(4))
		h.tick() // not before a second has passed
		wantAt(first, 4)
		time.Sleep(round)
		h.tick()
		wantAt(first, 9)
		h.wantEvents("+chain")
		put(base+100, u32(6)) // and the other one was held all the time
		h.tick()
		if got := target.Bytes(base+100, 4); !bytes.Equal(got, u32(5)) {
			t.Errorf("%x is the other value", got)
		}
	})
}

// What can't be read or written is taken out, and what is behind it is held.
func TestVanishAndBack(t *testing.T) {
	for _, c := range []struct {
		name         string
		vanish, back string // what the target does; %#x is the page
		code         machcompat.KernReturn
		keeps        bool // what was there
	}{
		{"unmapped", "unmap %#x " + fmt.Sprint(pageSize), "mapat %#x rw- 1", machcompat.KERN_INVALID_ADDRESS, false},
		{"without any access", "protect %#x " + fmt.Sprint(pageSize) + " ---", "protect %#x " + fmt.Sprint(pageSize) + " rw-", machcompat.KERN_PROTECTION_FAILURE, true},
		{"read-only", "protect %#x " + fmt.Sprint(pageSize) + " r--", "protect %#x " + fmt.Sprint(pageSize) + " rw-", machcompat.KERN_PROTECTION_FAILURE, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			target := testtarget.Start(t)
			task := taskFor(t, target.PID)
			base := target.Address("layout rw-:3")
			if err := task.Write(base+pageSize+100, u32(50)); err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				h := newHolder(t, task,
					constant("before", hold.Fixed(base+100), 1),
					hold.Entry{Name: "value", Place: hold.Fixed(base + pageSize + 100), Type: hold.Uint32, Mode: hold.OnlyUp},
					constant("constant", hold.Fixed(base+pageSize+200), 2),
					constant("behind", hold.Fixed(base+2*pageSize+100), 3))
				h.tick()
				if err := task.Write(base+pageSize+200, u32(20)); err != nil {
					t.Fatal(err)
				}
				target.Do(c.vanish, base+pageSize)
				for range 3 {
					for _, address := range []uint64{base + 100, base + 2*pageSize + 100} {
						if err := task.Write(address, u32(0)); err != nil {
							t.Fatal(err)
						}
					}
					h.tick()
					if got := append(target.Bytes(base+100, 4), target.Bytes(base+2*pageSize+100, 4)...); !bytes.Equal(got, append(u32(1), u32(3)...)) {
						t.Errorf("%x is there of the others", got)
					}
					time.Sleep(round)
				}
				for _, e := range h.events {
					if !errors.Is(e.Err, c.code) {
						t.Errorf("the event is %+v; want %s", e, c.code.String())
					}
				}
				if len(h.events) != 2 || h.events[0].Entry+h.events[1].Entry != 3 {
					t.Errorf("the events are %+v", h.events)
				}
				h.events = nil
				target.Do(c.back, base+pageSize)
				h.tick()
				slices.SortFunc(h.events, func(a, b hold.Event) int { return a.Entry - b.Entry })
				h.wantEvents("+value", "+constant")
				got := append(target.Bytes(base+pageSize+100, 4), target.Bytes(base+pageSize+200, 4)...)
				if want := append(u32(50), u32(2)...); !bytes.Equal(got, want) {
					t.Errorf("%x is there; want %x", got, want)
				}
				if s := h.Summary(); s.Vanished != 2 || s.Back != 2 {
					t.Errorf("the summary is %+v", s)
				}
			})
		})
	}
}

// An entry that is not there at first is said, and found later.
func TestNotThereAtFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newFake(1, 1)
		h := newHolder(t, m,
			constant("a", hold.Fixed(5*pageSize), 1),
			constant("b", hold.Fixed(pageSize), 1),
			constant("c", pointerChain{m, 7 * pageSize, 0, nil}, 1),
			constant("wraps", hold.Fixed(1<<64-2), 1))
		h.tick()
		h.wantEvents("-a", "-c", "-wraps")
		m.add(5)
		m.add(7)
		copy(m.bytesAt(7*pageSize, 8), u64(pageSize+4))
		time.Sleep(round)
		h.tick()
		h.wantEvents("+a", "+c")
		if got := m.bytesAt(pageSize, 8); !bytes.Equal(got, append(u32(1), u32(1)...)) {
			t.Errorf("%x is there", got)
		}
	})
}

// A mapping that the map allows to write, and that can't be faulted in: it is tried
// once a round, and nothing is said of that.
func TestMappedButNotThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newFake(1, 3)
		h := newHolder(t, m,
			constant("a", hold.Fixed(pageSize), 1), constant("b", hold.Fixed(2*pageSize), 1), constant("c", hold.Fixed(3*pageSize), 1))
		m.pages[2].guard = true
		for range 3 {
			copy(m.bytesAt(3*pageSize, 4), u32(0))
			m.reads = 0
			h.tick()
			if got := m.bytesAt(3*pageSize, 4); !bytes.Equal(got, u32(1)) {
				t.Errorf("%x is behind it", got)
			}
			if m.reads != 2 {
				t.Errorf("%d reads in a round", m.reads)
			}
			m.reads = 0
			h.tick()
			if m.reads != 1 {
				t.Errorf("%d reads between two rounds", m.reads)
			}
			time.Sleep(round)
		}
		h.wantEvents("-b")
		m.pages[2].guard = false
		h.tick()
		h.wantEvents("+b")
	})
}

// A write that is refused for one entry is made for all others, and of the values that
// were written already no one is lost or counted twice.
func TestWriteThatIsRefusedInTheMiddle(t *testing.T) {
	for _, refuse := range []func(p *fakePage){
		func(p *fakePage) { p.perms = procmaps.Read }, // by the check
		func(p *fakePage) { p.guard = true },          // by the transfer, behind the check
	} {
		for refused := range 3 {
			m := newFake(1, 3)
			var entries []hold.Entry
			for i := range uint64(3) {
				entries = append(entries, constant(fmt.Sprint(i), hold.Fixed((i+1)*pageSize), 7))
			}
			h := newHolder(t, m, entries...)
			calls := 0
			m.before = func() {
				if calls++; calls == 2 { // between the read and the write
					refuse(m.pages[uint64(refused)+1])
				}
			}
			h.tick()
			if e, ok := errors.AsType[*machcompat.Error](h.events[0].Err); !ok || e.Segment != 0 || e.Partial {
				t.Errorf("the event says %v, which speaks of others", h.events[0].Err)
			}
			h.wantEvents("-" + fmt.Sprint(refused))
			for i := range 3 {
				want := u32(7)
				if i == refused {
					want = u32(0)
				}
				if got := m.bytesAt(uint64(i+1)*pageSize, 4); !bytes.Equal(got, want) {
					t.Errorf("%d was refused, and %x is at %d", refused, got, i)
				}
			}
			if s := h.Summary(); s.Writes != 2 {
				t.Errorf("the summary is %+v", s)
			}
		}
	}
}

// When a pointer changes again while its place is found anew, nothing is written to
// the old place, nor to the new.
func TestPointerThatChangesAgain(t *testing.T) {
	m := newFake(1, 4)
	slot := pageSize
	copy(m.bytesAt(slot, 8), u64(2*pageSize))
	h := newHolder(t, m, constant("x", pointerChain{m, slot, 0, nil}, 7))
	h.tick()
	copy(m.bytesAt(2*pageSize, 4), u32(1))
	copy(m.bytesAt(slot, 8), u64(3*pageSize))
	calls := 0
	m.before = func() {
		if calls++; calls == 3 { // the read of the tick, that of the place, and then
			copy(m.bytesAt(slot, 8), u64(4*pageSize))
		}
	}
	h.tick()
	if m.writes != 1 {
		t.Errorf("%d batches were written", m.writes)
	}
	h.tick()
	for i, want := range []uint32{1, 0, 7} {
		if got := m.bytesAt(uint64(i+2)*pageSize, 4); !bytes.Equal(got, u32(want)) {
			t.Errorf("%x is in page %d; want %d", got, i+2, want)
		}
	}
	h.wantEvents()
}

// badPlace gives pointers that no process has.
type badPlace []hold.Link

func (p badPlace) Resolve() (uint64, []hold.Link, error) { return pageSize, p, nil }

func TestPlacesThatAreRefused(t *testing.T) {
	m := newFake(1, 1)
	h := newHolder(t, m,
		constant("size 0", badPlace{{Address: pageSize}}, 1),
		constant("size 3", badPlace{{Address: pageSize, Size: 3}}, 1),
		constant("size -1", badPlace{{Address: pageSize, Size: -1}}, 1),
		constant("wraps", badPlace{{Address: 1<<64 - 4, Size: 8}}, 1),
		constant("too many", badPlace(make([]hold.Link, 1<<20)), 1),
		constant("good", badPlace{{Address: pageSize + 8, Size: 4}, {Address: pageSize + 16, Size: 8}}, 1))
	h.tick()
	h.wantEvents("-size 0", "-size 3", "-size -1", "-wraps", "-too many")
	if got := m.bytesAt(pageSize, 4); !bytes.Equal(got, u32(1)) {
		t.Errorf("%x is there", got)
	}
}

// A great many vanish and come back at once: that takes no call for each.
func TestManyVanishAtOnce(t *testing.T) {
	const pages = 500
	synctest.Test(t, func(t *testing.T) {
		m := newFake(1, pages+1)
		var entries []hold.Entry
		for i := range uint64(hold.MaxEntries) {
			entries = append(entries, constant("", hold.Fixed(pageSize*(1+i%pages)+i/pages*8), uint32(i)|1))
		}
		entries[hold.MaxEntries-1].Place = hold.Fixed(pageSize * (pages + 1))
		h := newHolder(t, m, entries...)
		h.tick()
		if s := h.Summary(); s.Writes != hold.MaxEntries {
			t.Errorf("the summary is %+v", s)
		}
		kept := m.pages[pages+1]
		all := m.pages
		m.pages = map[uint64]*fakePage{pages + 1: kept}
		kept.data[0] ^= 0xff
		m.reads, m.writes = 0, 0
		h.tick()
		if s := h.Summary(); m.reads > 2 || m.writes != 1 || s.Vanished != hold.MaxEntries-1 || s.Changed != 1 {
			t.Errorf("%d reads and %d writes when all vanish: %+v", m.reads, m.writes, s)
		}
		m.pages = all
		for _, page := range all {
			clear(page.data)
		}
		time.Sleep(round)
		h.tick() // which takes no time here, so that it finds all
		for i, e := range entries[:hold.MaxEntries-1] {
			if got := m.bytesAt(pageSize*(1+uint64(i)%pages)+uint64(i)/pages*8, 4); !bytes.Equal(got, e.Value) {
				t.Fatalf("%x is at entry %d; want %x", got, i, e.Value)
			}
		}
		if s := h.Summary(); s.Back != hold.MaxEntries-1 {
			t.Errorf("the summary is %+v", s)
		}
	})
}

// slowPlace takes a millisecond each time.
type slowPlace struct{ hold.Place }

func (p slowPlace) Resolve() (uint64, []hold.Link, error) {
	time.Sleep(time.Millisecond)
	return p.Place.Resolve()
}

// A round of attempts is spread over ticks, so that none takes long; but the first
// tick looks for all.
func TestAttemptsThatTakeLong(t *testing.T) {
	const count = 30
	synctest.Test(t, func(t *testing.T) {
		m := newFake(1, 1)
		entries := []hold.Entry{constant("there", hold.Fixed(pageSize), 1)}
		for range count {
			entries = append(entries, constant("slow", slowPlace{hold.Fixed(2 * pageSize)}, 1))
		}
		h := newHolder(t, m, entries...)
		h.tick()
		if s := h.Summary(); s.Vanished != count {
			t.Errorf("the summary is %+v", s)
		}
		m.add(2)
		time.Sleep(round)
		ticks := 0
		for ; h.Summary().Back < count && ticks < count; ticks++ {
			copy(m.bytesAt(pageSize, 4), u32(0))
			start := time.Now()
			h.tick()
			if took := time.Since(start); took > 5*time.Millisecond {
				t.Errorf("a tick took %v", took)
			}
			if got := m.bytesAt(pageSize, 4); !bytes.Equal(got, u32(1)) {
				t.Errorf("%x is there", got)
			}
		}
		if s := h.Summary(); s.Back != count || ticks < 5 {
			t.Errorf("after %d ticks: %+v", ticks, s)
		}
	})
}

// Whatever comes and goes, after a tick everything holds that was there for a round,
// and nothing else was changed.
func TestComingAndGoing(t *testing.T) {
	const pages, count = 20, 400
	random := rand.New(rand.NewPCG(1, 2))
	synctest.Test(t, func(t *testing.T) {
		m := newFake(1, pages)
		var entries []hold.Entry
		for i := range uint64(count) {
			address := pageSize*(1+i%pages) + 64 + i/pages*8
			var place hold.Place = hold.Fixed(address)
			if i%3 == 0 { // behind a pointer in another page
				slot := pageSize*(1+(i+7)%pages) + 1024 + i/pages*8
				copy(m.bytesAt(slot, 8), u64(address))
				place = pointerChain{m, slot, 0, nil}
			}
			entries = append(entries, constant("", place, uint32(i)+1))
		}
		h := newHolder(t, m, entries...)
		said := make([]bool, count) // that it vanished
		for step := range testtarget.Sized(300, 3000) {
			for range random.IntN(4) {
				page := m.pages[1+random.Uint64N(pages)]
				page.perms = []procmaps.Perms{readWrite, readWrite, procmaps.Read, 0}[random.IntN(4)]
				page.guard = random.IntN(6) == 0
			}
			for range random.IntN(100) {
				i := random.Uint64N(count)
				copy(m.bytesAt(pageSize*(1+i%pages)+64+i/pages*8, 4), u32(0))
			}
			if step%2 == 0 {
				time.Sleep(round)
			}
			h.tick()
			for _, e := range h.events {
				if said[e.Entry] == !e.Back {
					t.Fatalf("%+v was said twice", e)
				}
				said[e.Entry] = !e.Back
			}
			h.events = nil
			for i := range uint64(count) {
				usable := func(page *fakePage, want procmaps.Perms) bool { return page.perms&want == want && !page.guard }
				there := usable(m.pages[1+i%pages], readWrite) && (i%3 != 0 || usable(m.pages[1+(i+7)%pages], procmaps.Read))
				if step%2 != 0 || !there {
					continue
				}
				if got := m.bytesAt(pageSize*(1+i%pages)+64+i/pages*8, 4); !bytes.Equal(got, u32(uint32(i)+1)) || said[i] {
					t.Fatalf("step %d: %x is at entry %d, of which it was said that it is gone: %v", step, got, i, said[i])
				}
			}
		}
	})
}

// As many as can be held, in a real process.
func TestMaxEntries(t *testing.T) {
	target := testtarget.Start(t)
	task := taskFor(t, target.PID)
	const size = 4 * hold.MaxEntries
	base := target.Address("layout rw-:%d", (size+pageSize-1)/pageSize)
	var entries []hold.Entry
	for i := range uint64(hold.MaxEntries) {
		entries = append(entries, constant("", hold.Fixed(base+4*i), uint32(i)*7))
	}
	h := newHolder(t, task, entries...)
	read := make([]byte, size)
	for range 2 {
		h.tick()
		if _, err := task.ReadAt(read, int64(base)); err != nil {
			t.Fatal(err)
		}
		for i := range hold.MaxEntries {
			if got := binary.NativeEndian.Uint32(read[4*i:]); got != uint32(i)*7 {
				t.Fatalf("%d is at entry %d", got, i)
			}
		}
		if err := task.Write(base, make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
	h.wantEvents()
}
