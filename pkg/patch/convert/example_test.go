// SPDX-License-Identifier: Apache-2.0

package convert_test

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"slices"

	"github.com/vmwrite/vmwrite/internal/testtarget/peimage"
	"github.com/vmwrite/vmwrite/pkg/patch/convert"
)

func open(file []byte) *io.SectionReader {
	return io.NewSectionReader(bytes.NewReader(file), 0, int64(len(file)))
}

// What x64dbg has exported needs no original. With one, the old bytes are checked, and the
// patch knows which file it is for.
func ExampleImport() {
	file := []byte(">game.exe\r\n00001000:C3->90\r\n00001001:C3->90\r\n")
	p, _, err := convert.Import(file, convert.X64dbg, convert.Options{Original: open(peimage.Build(64).File)})
	if err != nil {
		log.Fatal(err)
	}
	for _, c := range p.Changes {
		fmt.Printf("%v: % x -> % x\n", c.At, c.Old, c.New)
	}
	fmt.Println(p.Modules[0].Name, p.Modules[0].BuildID)
	// Output:
	// game.exe+0x1000: c3 c3 -> 90 90
	// game.exe 0102030405060708090A0B0C0D0E0F101F
}

// Two files with the same parts make a patch, which another tool may have too.
func ExampleDiffFiles() {
	before := peimage.Build(64).File
	after := slices.Clone(before)
	after[0x400] = 0x90 // in .text
	o := convert.Options{Module: "game.exe", Original: open(before)}
	p, _, err := convert.DiffFiles(open(after), o)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(p.Changes[0].At)
	text, err := convert.Export(p, convert.FC, o)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(string(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))))
	// Output:
	// game.exe+0x1000
	// Comparing files game.exe and game.exe.patched
	// 00000400: C3 90
}
