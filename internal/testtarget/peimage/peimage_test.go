// SPDX-License-Identifier: Apache-2.0

package peimage

import (
	"bytes"
	"debug/pe"
	"fmt"
	"testing"
)

func TestBuild(t *testing.T) {
	for _, bits := range []int{32, 64} {
		t.Run(fmt.Sprint(bits), func(t *testing.T) {
			image := Build(bits)
			file, err := pe.NewFile(bytes.NewReader(image.File))
			if err != nil {
				t.Fatal(err)
			}
			var base uint64
			var size, headers uint32
			var directories [16]pe.DataDirectory
			switch h := file.OptionalHeader.(type) {
			case *pe.OptionalHeader32:
				base, size, headers, directories = uint64(h.ImageBase), h.SizeOfImage, h.SizeOfHeaders, h.DataDirectory
			case *pe.OptionalHeader64:
				base, size, headers, directories = h.ImageBase, h.SizeOfImage, h.SizeOfHeaders, h.DataDirectory
			}
			if base != image.Base || size != image.Size || headers != image.Headers {
				t.Errorf("base %#x, size %#x, headers %#x; want %#x, %#x, %#x", base, size, headers, image.Base, image.Size, image.Headers)
			}
			if directories[0].VirtualAddress != exportDirectory || directories[6].VirtualAddress != debugDirectory {
				t.Errorf("exports at %#x, debug data at %#x; want %#x, %#x", directories[0].VirtualAddress, directories[6].VirtualAddress, exportDirectory, debugDirectory)
			}
			for i, s := range file.Sections {
				got := Section{s.Name, s.VirtualAddress, s.VirtualSize, s.Offset, s.Size, image.Sections[i].Protection}
				if got != image.Sections[i] {
					t.Errorf("section %+v; want %+v", got, image.Sections[i])
				}
			}
			if machine := map[int]uint16{32: pe.IMAGE_FILE_MACHINE_I386, 64: pe.IMAGE_FILE_MACHINE_AMD64}[bits]; file.Machine != machine {
				t.Errorf("machine %#x; want %#x", file.Machine, machine)
			}
		})
	}
}
