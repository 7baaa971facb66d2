// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"time"

	"github.com/vmwrite/vmwrite/pkg/hold"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

// heldValues is how many values are held, each in a page of its own, which is the
// dearest way for them to lie.
const heldValues = 1000

// holding is row 14.
func (b *bench) holding() (row, error) {
	r := row{
		number: 15, short: true, title: fmt.Sprintf("to hold %d values", heldValues),
		setup: fmt.Sprintf("A tick of `hold.Holder` over %d values of %d bytes, each in a page of its own: when all of them hold, which are then not written, and when the target has changed all. C makes the bare batches, compares nothing and checks nothing.", heldValues, valueSize),
	}
	if err := b.onOneCore(); err != nil {
		return r, err
	}
	page := os.Getpagesize()
	v, err := b.victimWith([]machcompat.Option{machcompat.WithStop(machcompat.StopNever)}, "region %d touched", heldValues*page)
	if err != nil {
		return r, err
	}
	addresses := addressesFrom(v.address, heldValues, page)
	if err := v.raw.load(addresses, valueSize); err != nil {
		return r, err
	}
	// Each of the two finds what the other one has written.
	one, err := holderOf(v.task, addresses, 1)
	if err != nil {
		return r, err
	}
	other, err := holderOf(v.task, addresses, 2)
	if err != nil {
		return r, err
	}
	steady, err := b.measure(&r, b.size.shortRounds, "a tick, all values hold",
		b.loop("Holder.Tick", repeat(one.Tick)),
		b.loop(fmt.Sprintf("C: one process_vm_readv of %d iovecs", heldValues), v.raw.timed("readbatch")))
	if err != nil {
		return r, err
	}
	r.atMost(fmt.Sprintf("holding %d values, a tick without a change, time to the bare batch", heldValues), steady[0].over(steady[1]), 1.3)
	changed, err := b.measure(&r, b.size.shortRounds, "a tick, all values have changed",
		b.loop("Holder.Tick", inTurns(one.Tick, other.Tick)),
		b.loop("C: one process_vm_readv, one process_vm_writev", bothOf(v.raw.timed("readbatch"), v.raw.timed("batch"))))
	if err != nil {
		return r, err
	}
	r.atMost(fmt.Sprintf("holding %d values, a tick that writes all, time to the bare batches", heldValues), changed[0].over(changed[1]), 1.3)

	// A core that has slept finds its caches cold, and not only for us.
	while := 10 * b.size.quiet
	share, err := b.shareOfACore(while, one.Tick)
	if err != nil {
		return r, err
	}
	bare, err := b.shareOfACore(while, bareRead(v.pid(), addresses))
	if err != nil {
		return r, err
	}
	r.fact("at %d Hz, without a change, for %v: %s %% of a core; the bare process_vm_readv, in Go: %s %%", hold.DefaultRate, while, digits(100*share), digits(100*bare))
	return r, nil
}

// bareRead reads the values by one call.
func bareRead(pid int, addresses []uint64) func() error {
	data := make([]byte, len(addresses)*valueSize)
	local, remote := make([]unix.Iovec, len(addresses)), make([]unix.RemoteIovec, len(addresses))
	for i, address := range addresses {
		local[i].Base = &data[i*valueSize]
		local[i].SetLen(valueSize)
		remote[i] = unix.RemoteIovec{Base: uintptr(address), Len: valueSize}
	}
	return func() error {
		_, err := unix.ProcessVMReadv(pid, local, remote, 0)
		return err
	}
}

// holderOf holds a value at all addresses.
func holderOf(task *machcompat.Task, addresses []uint64, value byte) (*hold.Holder, error) {
	entries := make([]hold.Entry, len(addresses))
	for i, address := range addresses {
		entries[i] = hold.Entry{Place: hold.Fixed(address), Type: hold.Uint32, Value: []byte{value, 0, 0, 0}}
	}
	return hold.New(task, entries)
}

// inTurns makes a timed of two calls, one after the other.
func inTurns(one, other func() error) timed {
	odd := false
	return repeat(func() error {
		odd = !odd
		if odd {
			return one()
		}
		return other()
	})
}

// bothOf takes the time of two.
func bothOf(one, other timed) timed {
	return func(calls int) (time.Duration, error) {
		first, err := one(calls)
		if err != nil {
			return 0, err
		}
		second, err := other(calls)
		return first + second, err
	}
}

// shareOfACore calls f at the rate of a Holder for a while, and returns how much of
// that time this program has computed.
func (b *bench) shareOfACore(while time.Duration, f func() error) (float64, error) {
	ticker := time.NewTicker(time.Second / hold.DefaultRate)
	defer ticker.Stop()
	before, err := processorTime()
	if err != nil {
		return 0, err
	}
	for end := time.Now().Add(while); time.Now().Before(end); <-ticker.C {
		if err := f(); err != nil {
			return 0, err
		}
	}
	after, err := processorTime()
	return (after - before).Seconds() / while.Seconds(), err
}

func processorTime() (time.Duration, error) {
	var used unix.Rusage
	err := unix.Getrusage(unix.RUSAGE_SELF, &used)
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()), err
}
