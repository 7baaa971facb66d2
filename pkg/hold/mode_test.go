// SPDX-License-Identifier: Apache-2.0

package hold_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/hold"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// numberOf returns the bytes of a number as a type has them.
func numberOf(t hold.Type, v float64) []byte {
	order := binary.NativeEndian
	switch t {
	case hold.Int8:
		return []byte{byte(int8(v))}
	case hold.Uint8:
		return []byte{uint8(v)}
	case hold.Int16:
		return order.AppendUint16(nil, uint16(int16(v)))
	case hold.Uint16:
		return order.AppendUint16(nil, uint16(v))
	case hold.Int32:
		return order.AppendUint32(nil, uint32(int32(v)))
	case hold.Uint32:
		return order.AppendUint32(nil, uint32(v))
	case hold.Int64:
		return order.AppendUint64(nil, uint64(int64(v)))
	case hold.Uint64:
		return order.AppendUint64(nil, uint64(v))
	case hold.Float32:
		return order.AppendUint32(nil, math.Float32bits(float32(v)))
	case hold.Float64:
		return order.AppendUint64(nil, math.Float64bits(v))
	}
	panic(t)
}

// limitsOf returns numbers in rising order, of which a comparison by another type
// gets one wrong: negative ones, or the highest bit.
func limitsOf(t hold.Type) (low, middle, high float64) {
	switch t {
	case hold.Int8, hold.Int16, hold.Int32, hold.Int64:
		return -100, -1, 100
	case hold.Uint8:
		return 1, 100, 200
	case hold.Uint16:
		return 1, 1 << 14, 1 << 15
	case hold.Uint32:
		return 1, 1 << 30, 1 << 31
	case hold.Uint64:
		return 1, 1 << 62, 1 << 63
	}
	return -1e30, -0.5, 1e30
}

var numberTypes = []hold.Type{hold.Int8, hold.Int16, hold.Int32, hold.Int64, hold.Uint8, hold.Uint16, hold.Uint32, hold.Uint64, hold.Float32, hold.Float64}

// Each mode, of each type: what the target writes, and what is there after a tick.
func TestModes(t *testing.T) {
	const low, middle, high = "low", "middle", "high"
	type step struct{ target, want string }
	cases := []struct {
		mode  hold.Mode
		value string // "" for none
		steps []step
	}{
		{hold.Constant, middle, []step{{low, middle}, {middle, middle}, {high, middle}}},
		{hold.Minimum, middle, []step{{high, high}, {low, middle}, {middle, middle}, {high, high}}},
		{hold.Maximum, middle, []step{{low, low}, {high, middle}, {middle, middle}, {low, low}}},
		{hold.OnlyUp, "", []step{{low, low}, {middle, middle}, {low, middle}, {high, high}, {middle, high}, {low, high}}},
		{hold.OnlyUp, middle, []step{{low, middle}, {high, high}, {middle, high}}},
		{hold.OnlyDown, "", []step{{high, high}, {middle, middle}, {high, middle}, {low, low}, {high, low}, {middle, low}}},
		{hold.OnlyDown, middle, []step{{high, middle}, {low, low}, {middle, low}}},
	}
	target := testtarget.Start(t)
	task := taskFor(t, target.PID)
	page := target.Address("layout rw-:1")
	const around = 32 // bytes on each side that must stay
	address := page + around + 1
	for _, kind := range numberTypes {
		numbers := map[string][]byte{}
		l, m, h := limitsOf(kind)
		numbers[low], numbers[middle], numbers[high] = numberOf(kind, l), numberOf(kind, m), numberOf(kind, h)
		for _, c := range cases {
			t.Run(kind.String()+" "+c.mode.String()+" "+c.value, func(t *testing.T) {
				holder := newHolder(t, task, hold.Entry{Name: "x", Place: hold.Fixed(address), Type: kind, Mode: c.mode, Value: numbers[c.value]})
				want := target.Bytes(page, 2*around+kind.Size()+1)
				for i, s := range c.steps {
					if err := task.Write(address, numbers[s.target]); err != nil {
						t.Fatal(err)
					}
					holder.tick()
					copy(want[around+1:], numbers[s.want])
					if got := target.Bytes(page, len(want)); !bytes.Equal(got, want) {
						t.Fatalf("after step %d (%s) there is\n%x; want\n%x", i, s.target, got, want)
					}
				}
				holder.wantEvents()
			})
		}
	}
}

func TestBytes(t *testing.T) {
	target := testtarget.Start(t)
	task := taskFor(t, target.PID)
	page := target.Address("layout rw-:2")
	address := page + pageSize - 7 // over the end of a page
	text := []byte("some more bytes than a word has")
	holder := newHolder(t, task, hold.Entry{Place: hold.Fixed(address), Type: hold.Bytes, Value: text})
	want := target.Bytes(page, int(2*pageSize))
	copy(want[address-page:], text)
	for range 2 {
		holder.tick()
		if got := target.Bytes(page, len(want)); !bytes.Equal(got, want) {
			t.Fatal("other bytes are there")
		}
		if err := task.Write(address+20, []byte{0}); err != nil {
			t.Fatal(err)
		}
	}
	if s := holder.Summary(); s.Writes != 2 || s.Changed != 1 {
		t.Errorf("the summary is %+v", s)
	}
}

// A NaN is never less, nor more, than a limit, and yet must not stay; a zero is as
// large as its negative.
func TestNaN(t *testing.T) {
	nan, negativeZero := math.NaN(), math.Copysign(0, -1)
	for _, kind := range []hold.Type{hold.Float32, hold.Float64} {
		for _, c := range []struct {
			name         string
			mode         hold.Mode
			value        []byte
			target, want []float64
		}{
			{"minimum", hold.Minimum, numberOf(kind, 1), []float64{nan, 2, nan}, []float64{1, 2, 1}},
			{"maximum", hold.Maximum, numberOf(kind, 1), []float64{nan, 0, nan}, []float64{1, 0, 1}},
			{"only up, a NaN at first", hold.OnlyUp, nil, []float64{nan, 1, nan, 2}, []float64{nan, 1, 1, 2}},
			{"only down, a NaN at first", hold.OnlyDown, nil, []float64{nan, 1, nan, 0}, []float64{nan, 1, 1, 0}},
			{"a constant NaN", hold.Constant, numberOf(kind, nan), []float64{1, nan}, []float64{nan, nan}},
			{"the minimum is zero", hold.Minimum, numberOf(kind, 0), []float64{negativeZero}, []float64{negativeZero}},
			{"the constant is zero", hold.Constant, numberOf(kind, 0), []float64{negativeZero}, []float64{0}},
			{"infinity", hold.Maximum, numberOf(kind, 1), []float64{math.Inf(1), math.Inf(-1)}, []float64{1, math.Inf(-1)}},
		} {
			t.Run(kind.String()+" "+c.name, func(t *testing.T) {
				m := newFake(1, 1)
				holder := newHolder(t, m, hold.Entry{Place: hold.Fixed(pageSize), Type: kind, Mode: c.mode, Value: c.value})
				for i := range c.target {
					copy(m.bytesAt(pageSize, 8), numberOf(kind, c.target[i]))
					holder.tick()
					if got, want := m.bytesAt(pageSize, kind.Size()), numberOf(kind, c.want[i]); !bytes.Equal(got, want) {
						t.Errorf("after %v there is %x; want %x", c.target[i], got, want)
					}
				}
			})
		}
	}
}

func TestNames(t *testing.T) {
	for m := hold.Constant; m <= hold.OnlyDown; m++ {
		if got, err := hold.ParseMode(m.String()); got != m || err != nil {
			t.Errorf("ParseMode(%q) = %v, %v", m.String(), got, err)
		}
	}
	for kind := hold.Int8; kind <= hold.Bytes; kind++ {
		if got, err := hold.ParseType(kind.String()); got != kind || err != nil {
			t.Errorf("ParseType(%q) = %v, %v", kind.String(), got, err)
		}
	}
	for _, name := range []string{"", "Constant", "Mode(5)", "Type(0)"} {
		_, modeErr := hold.ParseMode(name)
		_, typeErr := hold.ParseType(name)
		if modeErr == nil || typeErr == nil {
			t.Errorf("the name %q is taken", name)
		}
	}
	if hold.Type(200).String() != "Type(200)" || hold.Mode(200).String() != "Mode(200)" || hold.Type(200).Size() != 0 {
		t.Error("what there is not has a name or a size")
	}
}

func TestEntriesThatAreRefused(t *testing.T) {
	place := hold.Fixed(pageSize)
	nan := numberOf(hold.Float64, math.NaN())
	for _, c := range []struct {
		name  string
		entry hold.Entry
	}{
		{"no place", hold.Entry{Type: hold.Uint8, Value: []byte{1}}},
		{"no type", hold.Entry{Place: place, Value: []byte{1}}},
		{"a type that there is not", hold.Entry{Place: place, Type: hold.Bytes + 1, Value: []byte{1}}},
		{"a mode that there is not", hold.Entry{Place: place, Type: hold.Uint8, Mode: hold.OnlyDown + 1, Value: []byte{1}}},
		{"no value", hold.Entry{Place: place, Type: hold.Uint8}},
		{"no minimum", hold.Entry{Place: place, Type: hold.Uint8, Mode: hold.Minimum}},
		{"no maximum", hold.Entry{Place: place, Type: hold.Uint8, Mode: hold.Maximum}},
		{"a byte too many", hold.Entry{Place: place, Type: hold.Uint8, Value: []byte{1, 2}}},
		{"a byte too few", hold.Entry{Place: place, Type: hold.Uint64, Mode: hold.OnlyUp, Value: make([]byte, 7)}},
		{"an empty value", hold.Entry{Place: place, Type: hold.Uint8, Value: []byte{}}},
		{"no bytes", hold.Entry{Place: place, Type: hold.Bytes, Value: []byte{}}},
		{"bytes that may only rise", hold.Entry{Place: place, Type: hold.Bytes, Mode: hold.OnlyUp, Value: []byte{1}}},
		{"a minimum of NaN", hold.Entry{Place: place, Type: hold.Float64, Mode: hold.Minimum, Value: nan}},
		{"a begin of NaN", hold.Entry{Place: place, Type: hold.Float64, Mode: hold.OnlyUp, Value: nan}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.entry.Name = "bad"
			_, err := hold.New(newFake(0, 0), []hold.Entry{constant("good", place, 1), c.entry})
			if e, ok := errors.AsType[*hold.EntryError](err); !ok || e.Entry != 1 || e.Name != "bad" || errors.Unwrap(err) == nil || !strings.HasPrefix(err.Error(), `entry 1 ("bad"): `) {
				t.Errorf("New = %v; want an EntryError of entry 1", err)
			}
		})
	}
	if _, err := hold.New(newFake(0, 0), make([]hold.Entry, hold.MaxEntries+1)); err == nil {
		t.Error("too many entries are taken")
	}
}

var _ hold.Memory = (*machcompat.Task)(nil)
