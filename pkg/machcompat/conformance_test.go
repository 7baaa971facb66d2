// SPDX-License-Identifier: Apache-2.0

package machcompat_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// conformance is testdata/vm.json.
type conformance struct {
	PageSize          int `json:"page_size"`
	Layouts           []conformanceLayout
	Absolute          []conformanceAddress
	MatrixRegionBytes int `json:"matrix_region_bytes"`
	Matrix            []conformanceCall
}

// A conformanceLayout is a write at an offset into a layout of mappings.
type conformanceLayout struct {
	Segments []struct {
		Prot  string
		Pages int
	}
	Offset  uint64
	Size    int
	Expect  string
	Written int
}

// A conformanceAddress is a write at an address that no layout decides about.
type conformanceAddress struct {
	Address string
	Size    int
	Expect  string
	Why     string
}

// A conformanceCall is a call of the family on a region that can be written.
type conformanceCall struct {
	Call   string
	Start  string
	Size   int
	Expect string
}

func readConformance(t *testing.T) (c conformance) {
	t.Helper()
	testtarget.Need(t, "4k pages") // as the cases say
	text, err := os.ReadFile("testdata/vm.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// newData returns size bytes that differ from what the target holds there.
func newData(old []byte) []byte {
	data := make([]byte, len(old))
	for i, b := range old {
		data[i] = ^b
	}
	return data
}

func TestConformanceLayouts(t *testing.T) {
	eachRunOf(t, readConformance(t).Layouts, func(t *testing.T, cases []conformanceLayout, options ...machcompat.Option) {
		target := testtarget.Start(t)
		task := taskFor(t, target.PID, options...)
		for i, c := range cases {
			var parts []string
			for _, segment := range c.Segments {
				parts = append(parts, fmt.Sprintf("%s:%d", segment.Prot, segment.Pages))
			}
			spec := strings.Join(parts, ",")
			base := target.Address("layout %s", spec)
			// Every mapped segment is compared whole, before and after.
			dump := func() []byte {
				var all []byte
				at := base
				for _, segment := range c.Segments {
					size := segment.Pages * 4096
					if segment.Prot == "gap" {
						all = append(all, make([]byte, size)...)
					} else {
						all = append(all, target.Bytes(at, size)...)
					}
					at += uint64(size)
				}
				return all
			}
			before := dump()
			data := bytes.Repeat([]byte{0xA5}, c.Size)
			for k := range data {
				if at := int(c.Offset) + k; at < len(before) {
					data[k] = ^before[at]
				}
			}
			code := machcompat.MachVMWrite(task, machcompat.MachVMAddress(base+c.Offset), data)
			if code.String() != c.Expect {
				t.Errorf("layout %d: %s: write %d at +%d = %v; want %s", i, spec, c.Size, c.Offset, code.String(), c.Expect)
			}
			want := bytes.Clone(before)
			copy(want[min(int(c.Offset), len(want)):], data[:c.Written])
			if after := dump(); !bytes.Equal(after, want) {
				t.Errorf("layout %d: %s: write %d at +%d: not exactly %d bytes changed", i, spec, c.Size, c.Offset, c.Written)
			}
			target.Do("unmap %#x %d", base, len(before))
		}
		t.Logf("%d layouts", len(cases))
	})
}

func TestConformanceAbsoluteAddresses(t *testing.T) {
	eachRunOf(t, readConformance(t).Absolute, func(t *testing.T, cases []conformanceAddress, options ...machcompat.Option) {
		task := taskFor(t, testtarget.Start(t).PID, options...)
		for _, c := range cases {
			address, err := strconv.ParseUint(c.Address, 0, 64)
			if err != nil {
				t.Fatal(err)
			}
			code := machcompat.MachVMWrite(task, machcompat.MachVMAddress(address), make([]byte, c.Size))
			if code.String() != c.Expect {
				t.Errorf("write %d at %s = %s; want %s: %s", c.Size, c.Address, code.String(), c.Expect, c.Why)
			}
		}
		t.Logf("%d addresses", len(cases))
	})
}

func TestConformanceMatrixOfWrites(t *testing.T) {
	all := readConformance(t)
	eachRunOf(t, all.Matrix, func(t *testing.T, cases []conformanceCall, options ...machcompat.Option) {
		target := testtarget.Start(t)
		task := taskFor(t, target.PID, options...)
		base := target.Address("map rw- %d", all.MatrixRegionBytes/all.PageSize)
		count := 0
		for _, c := range cases {
			if !strings.HasPrefix(c.Call, "mach_vm_write") {
				continue
			}
			count++
			// A Go slice is always valid data, so the source's address has no say,
			// and the write goes to the front of the region.
			address := base
			if c.Call == "mach_vm_write(dst)" {
				address = matrixAddress(t, c.Start, base)
			}
			var before []byte
			if c.Expect == "KERN_SUCCESS" && c.Size > 0 {
				before = target.Bytes(address, c.Size)
			} else {
				before = make([]byte, c.Size)
			}
			data := newData(before)
			whole := target.Bytes(base, all.MatrixRegionBytes)
			code := machcompat.MachVMWrite(task, machcompat.MachVMAddress(address), data)
			if code.String() != c.Expect {
				t.Errorf("%s %s+%d = %s; want %s", c.Call, c.Start, c.Size, code.String(), c.Expect)
			}
			if c.Expect == "KERN_SUCCESS" && c.Size > 0 {
				copy(whole[address-base:], data)
			}
			if !bytes.Equal(target.Bytes(base, all.MatrixRegionBytes), whole) {
				t.Errorf("%s %s+%d: the region does not hold what it must", c.Call, c.Start, c.Size)
			}
		}
		t.Logf("%d calls", count)
	})
}

func matrixAddress(t *testing.T, text string, base uint64) uint64 {
	t.Helper()
	rest, relative := strings.CutPrefix(text, "BASE+")
	address, err := strconv.ParseUint(rest, 0, 64)
	if err != nil {
		t.Fatal(err)
	}
	if relative {
		address += base
	}
	return address
}

func TestKernReturnsAreThoseOfTheConformanceFile(t *testing.T) {
	text, err := os.ReadFile("testdata/kern_return.json")
	if err != nil {
		t.Fatal(err)
	}
	var groups map[string][]struct {
		Name  string
		Value int32
		Text  string
	}
	if err := json.Unmarshal(text, &groups); err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, codes := range groups {
		for _, c := range codes {
			count++
			code := machcompat.KernReturn(c.Value)
			if code.String() != c.Name || code.Error() != c.Text {
				t.Errorf("code %d is %s %q; want %s %q", c.Value, code.String(), code.Error(), c.Name, c.Text)
			}
		}
	}
	if count < 70 {
		t.Errorf("%d codes; want them all", count)
	}
	if unknown := machcompat.KernReturn(57); unknown.String() != "KERN_RETURN(57)" || unknown.Error() != "unknown error code" {
		t.Errorf("code 57 is %s %q", unknown.String(), unknown.Error())
	}
}
