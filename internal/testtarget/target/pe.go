// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/hex"
	"fmt"
	"os"
	"strconv"

	"github.com/vmwrite/vmwrite/internal/testtarget/peimage"
	"golang.org/x/sys/unix"
)

// loadPE creates a program of Windows and maps it as Wine 8 does. The headers are mapped
// from the file, and so is a section that begins with a page of the file. The others are
// anonymous memory with a copy, which the map shows without a name.
func loadPE(arguments []string) (string, error) {
	path, err := hex.DecodeString(arguments[0])
	if err != nil {
		return "", err
	}
	bits, err := strconv.Atoi(arguments[1])
	if err != nil {
		return "", err
	}
	base, err := strconv.ParseUint(arguments[2], 0, strconv.IntSize)
	if err != nil {
		return "", err
	}
	image := peimage.Build(bits)
	if err := os.WriteFile(string(path), image.File, 0o600); err != nil {
		return "", err
	}
	file, err := os.Open(string(path))
	if err != nil {
		return "", err
	}
	defer file.Close()

	parts := append([]peimage.Section{{Size: uint32(pageSize), RawSize: image.Headers, Protection: "r--"}}, image.Sections...)
	for _, part := range parts {
		at, size := uintptr(base)+uintptr(part.RVA), uintptr(part.Size)
		if uintptr(part.Offset)%pageSize == 0 {
			err = mapAt(at, size, unix.MAP_PRIVATE, int(file.Fd()), int64(part.Offset))
		} else if err = mapAt(at, size, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS, -1, 0); err == nil {
			copy(bytesAt(at, size), image.File[part.Offset:part.Offset+part.RawSize])
		}
		if err != nil {
			return "", err
		}
		if part.RVA == 0 && arguments[3] == "wiped" {
			clear(bytesAt(at, size))
		}
		if err := setProtection(at, size, part.Protection); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%#x", base), nil
}
