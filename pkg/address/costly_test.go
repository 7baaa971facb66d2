// SPDX-License-Identifier: Apache-2.0

package address

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

// The demangler takes twice as long for each conversion inside another: more than a
// minute for these 242 bytes.
func TestNameThatTakesLongIsNotDemangled(t *testing.T) {
	name := "_Z" + strings.Repeat("N1CcvT_I1D", 40)
	found, err := find("C", func(visit visitor) error {
		visit([]byte(name), 1, 0)
		visit([]byte("_ZN1C1CEv"), 2, 0)
		return nil
	})
	if err != nil || len(found) != 0 {
		t.Errorf("found %v, %v", found, err)
	}
}

// All exports of an image have one name of 4 KiB, which was 4 GiB to read.
func TestExportsWithNamesWithoutEndAreRefused(t *testing.T) {
	const size, count = 20 << 20, 1 << 20
	memory := bytes.Repeat([]byte{1}, size)
	clear(memory[0x100:0x128])
	binary.LittleEndian.PutUint32(memory[0x100+20:], count)
	binary.LittleEndian.PutUint32(memory[0x100+24:], count)
	for at := 0x100 + 28; at < 0x100+40; at += 4 {
		binary.LittleEndian.PutUint32(memory[at:], 0x1000)
	}
	i := &Image{Kind: PE, order: binary.LittleEndian, Size: 32 << 20, exports: Part{At: 0x100, Size: 40}}
	visited := 0
	err := i.exportSymbols(bytes.NewReader(memory), func([]byte, uint64, uint64) { visited++ })
	if err == nil || !strings.Contains(err.Error(), "the names of the exports") {
		t.Errorf("%d names were visited: %v", visited, err)
	}
}
