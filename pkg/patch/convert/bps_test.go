// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
	"strings"
	"unicode/utf16"
)

// bps makes a BPS file of actions, with the checksums of what they should make.
func bps(source []byte, about string, target []byte, actions ...string) string {
	file := "BPS1"
	for _, n := range []int{len(source), len(target), len(about)} {
		file += number(uint64(n))
	}
	return sealed(file+about+strings.Join(actions, ""), source, target)
}

// sealed appends the checksums.
func sealed(file string, source, target []byte) string {
	out := binary.LittleEndian.AppendUint32([]byte(file), crc32.ChecksumIEEE(source))
	out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(target))
	return string(binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(out)))
}

// number is one as byuu's description of the format encodes it.
func number(n uint64) (text string) {
	for {
		part := byte(n & 0x7f)
		if n >>= 7; n == 0 {
			return text + string([]byte{0x80 | part})
		}
		text += string([]byte{part})
		n--
	}
}

func act(kind, length int) string { return number(uint64((length-1)<<2 | kind)) }

func distance(n int) string {
	if n < 0 {
		return number(uint64(-n)<<1 | 1)
	}
	return number(uint64(n) << 1)
}

// patched is a copy of a file with other bytes at a place.
func patched(file []byte, at int, bytes string) []byte {
	file = slices.Clone(file)
	copy(file[at:], bytes)
	return file
}

func utf16File(text string) string {
	out := []byte{0xff, 0xfe}
	for _, unit := range utf16.Encode([]rune(text)) {
		out = binary.LittleEndian.AppendUint16(out, unit)
	}
	return string(out)
}
