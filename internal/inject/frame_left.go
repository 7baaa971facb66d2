// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || 386 || arm64

package inject

import (
	"bytes"
	"encoding/binary"
)

// frameMark stands in the link of our frames.
var frameMark = [8]byte{'v', 'm', 'w', 'r', 'i', 't', 'e'}

// An alternate signal stack with these flags is refused, and the error is passed
// over: the thread keeps the one that it has.
const noAlternate = 0x10

// isFrame reports whether the bytes begin with a frame that this package has
// laid, and been killed before it could remove it.
func isFrame(p []byte) bool {
	return len(p) >= frameHead && bytes.Equal(p[frameLink:frameLink+8], frameMark[:]) &&
		binary.NativeEndian.Uint64(p[frameAlternateFlags:]) == noAlternate
}
