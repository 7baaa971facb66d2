// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

const valueSize = 4

// segmentsAt makes a value of so many bytes for each address.
func segmentsAt(addresses []uint64, size int) []machcompat.Segment {
	data := make([]byte, len(addresses)*size)
	segments := make([]machcompat.Segment, len(addresses))
	for i, address := range addresses {
		segments[i] = machcompat.Segment{Address: address, Data: data[i*size : (i+1)*size]}
	}
	return segments
}

// addressesFrom returns count addresses that lie step apart.
func addressesFrom(base uint64, count, step int) []uint64 {
	addresses := make([]uint64, count)
	for i := range addresses {
		addresses[i] = base + uint64(i*step)
	}
	return addresses
}

// load gives the C program the addresses of its batches, and the bytes of a value.
func (p *coprocess) load(addresses []uint64, size int) error {
	var binaries bytes.Buffer
	if err := binary.Write(&binaries, binary.NativeEndian, addresses); err != nil {
		return err
	}
	if err := p.tell("addresses %d %d", len(addresses), size); err != nil {
		return err
	}
	if _, err := p.input.Write(binaries.Bytes()); err != nil {
		return err
	}
	_, err := p.answer()
	return err
}

// batch is row 4.
func (b *bench) batch() (row, error) {
	const count = 1024
	page := os.Getpagesize()
	r := row{
		number: 4, short: true, title: fmt.Sprintf("a batch of %d values", count),
		setup: fmt.Sprintf("`Task.WriteBatch` of %d values of %d bytes, each in a page of its own.", count, valueSize),
	}
	if err := b.onOneCore(); err != nil {
		return r, err
	}
	v, err := b.victimWith(nil, "region %d touched", count*page)
	if err != nil {
		return r, err
	}
	addresses := addressesFrom(v.address, count, page)
	segments := segmentsAt(addresses, valueSize)
	if err := v.raw.load(addresses, valueSize); err != nil {
		return r, err
	}
	all, err := b.measure(&r, b.size.shortRounds, "time of a batch",
		b.loop("Task.WriteBatch", repeat(func() error { return v.task.WriteBatch(segments) })),
		b.loop(fmt.Sprintf("C: one process_vm_writev of %d iovecs", count), v.raw.timed("batch")),
		b.loop(fmt.Sprintf("C: %d calls of process_vm_writev", count), v.raw.timed("single")))
	if err != nil {
		return r, err
	}
	r.atMost(fmt.Sprintf("batch of %d, time to one raw call of %d iovecs", count, count), all[0].over(all[1]), 1.1)
	r.atMost(fmt.Sprintf("batch of %d, time to %d raw calls", count, count), all[0].over(all[2]), 0.35)
	r.dependsOn("what a call costs, against a value in one")
	return r, nil
}

// The grid that large batches are spread over: its mappings, and the pages of each.
const (
	gridMappings = 1000
	gridPages    = 4
)

// spreadOverGrid returns the addresses of count values, in order, evenly over the
// mappings of a grid.
func spreadOverGrid(base uint64, count int) []uint64 {
	page := os.Getpagesize()
	each := (count + gridMappings - 1) / gridMappings
	step := gridPages * page / each &^ (valueSize - 1)
	addresses := make([]uint64, count)
	for i := range addresses {
		mapping, place := i/each, i%each
		addresses[i] = base + uint64(mapping*(gridPages+1)*page+place*step)
	}
	return addresses
}

func shuffled(addresses []uint64) []uint64 {
	all := append([]uint64(nil), addresses...)
	random := rand.New(rand.NewPCG(1, 2))
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// largeBatches is row 5.
func (b *bench) largeBatches() (row, error) {
	r := row{
		number: 5, title: "large batches",
		setup: fmt.Sprintf("`Task.WriteBatch` of values of %d bytes over %d mappings, in the order of their addresses and shuffled; C makes one call for 1,024 of them, in the same order, and checks nothing.", valueSize, gridMappings),
	}
	if err := b.onOneCore(); err != nil {
		return r, err
	}
	v, err := b.victimWith(nil, "grid %d %d", gridMappings, gridPages)
	if err != nil {
		return r, err
	}
	for _, order := range []string{"sorted", "shuffled"} {
		var ours, raw []contender
		for _, count := range slices.Backward(b.size.values) {
			o, c, err := b.largeBatch(v, count, order == "shuffled")
			if err != nil {
				return r, err
			}
			if len(ours) > 0 {
				o, c = aside(o), aside(c)
			}
			ours, raw = append(ours, o), append(raw, c)
		}
		all, err := b.measure(&r, b.size.rounds, "time of one value, "+order, append(ours, raw...)...)
		if err != nil {
			return r, err
		}
		most := len(b.size.values) - 1
		r.atMost(fmt.Sprintf("%s batch, time of a value of %d to one of %d (linear)", order, b.size.values[most], b.size.values[most-1]),
			all[0].over(all[1]), 1.25)
	}
	return r, nil
}

// largeBatch returns the two sides of a batch of count values.
func (b *bench) largeBatch(v victim, count int, shuffle bool) (ours, raw contender, err error) {
	addresses := spreadOverGrid(v.address, count)
	if shuffle {
		addresses = shuffled(addresses)
	}
	peer, err := b.raw(v.coprocess)
	if err == nil {
		err = peer.load(addresses, valueSize)
	}
	segments := segmentsAt(addresses, valueSize)
	ours = each(count, b.loop(fmt.Sprintf("Task.WriteBatch of %d", count), repeat(func() error { return v.task.WriteBatch(segments) })))
	raw = each(count, b.loop(fmt.Sprintf("C: process_vm_writev, 1,024 iovecs a call, of %d", count), peer.timed("batch")))
	return ours, raw, err
}

// each makes the cost of a contender that of one of count things.
func each(count int, c contender) contender {
	round := c.round
	c.round = func() (float64, error) {
		cost, err := round()
		return cost / float64(count), err
	}
	return c
}

// A batch as a trainer writes it many times a second, to hold some values of a game.
const (
	tickValues = 16
	tickSize   = 8
)

// tick is row 12.
func (b *bench) tick() (row, error) {
	r := row{
		number: 12, short: true, title: fmt.Sprintf("a batch of %d values", tickValues),
		setup: fmt.Sprintf("`Task.WriteBatch` and `Task.ReadBatch` of %d values of %d bytes, in pages of their own of one mapping, and in one page. C makes the same calls: for a write a query of the map, the madvise(2) that makes sure of the source, one process_vm_writev, and the read of stat; for a read one process_vm_readv and the read of stat.", tickValues, tickSize),
	}
	page := os.Getpagesize()
	if err := b.onOneCore(); err != nil {
		return r, err
	}
	v, err := b.victimWith(nil, "region %d touched", tickValues*page)
	if err != nil {
		return r, err
	}
	for _, place := range []struct {
		name string
		step int
	}{{fmt.Sprintf("%d pages", tickValues), page}, {"one page", tickSize}} {
		addresses := addressesFrom(v.address, tickValues, place.step)
		segments := segmentsAt(addresses, tickSize)
		if err := v.raw.load(addresses, tickSize); err != nil {
			return r, err
		}
		for _, way := range []struct {
			name, call string
			ours       func([]machcompat.Segment) error
			same, one  string // the commands
		}{
			{"write", "process_vm_writev", v.task.WriteBatch, "checkedbatch", "batch"},
			{"read", "process_vm_readv", v.task.ReadBatch, "confirmedread", "readbatch"},
		} {
			title := way.name + ", " + place.name
			all, err := b.measure(&r, b.size.shortRounds, title,
				b.loop("Task."+capital(way.name)+"Batch", repeat(func() error { return way.ours(segments) })),
				b.loop("C: the same calls", v.raw.timed(way.same)),
				b.loop(fmt.Sprintf("C: one %s of %d iovecs", way.call, tickValues), v.raw.timed(way.one)))
			if err != nil {
				return r, err
			}
			r.atMost(fmt.Sprintf("batch of %d, %s, time to the same calls in C", tickValues, title), all[0].over(all[1]), 1.3)
			if _, err := b.countCalls(&r, "a "+title, v.coprocess, way.one+" %#x %d", v.address, place.step); err != nil {
				return r, err
			}
		}
	}
	return r, nil
}
