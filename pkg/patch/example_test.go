// SPDX-License-Identifier: Apache-2.0

package patch_test

import (
	"errors"
	"fmt"

	"github.com/vmwrite/vmwrite/pkg/patch"
)

func ExampleParse() {
	p, err := patch.Parse([]byte(`
version: 1
name: unlimited ammo
changes:
- at: game+0x1234
  old: 29 45 f?
  new: 90 90 90
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range p.Changes {
		fmt.Printf("line %d: %v: % x, of which % x count, becomes % x\n", c.Line, c.At, c.Old, c.Mask, c.New)
	}
	// Output:
	// line 5: game+0x1234: 29 45 f0, of which ff ff f0 count, becomes 90 90 90
}

func ExampleFileError() {
	_, err := patch.Parse([]byte("version: 1\nname: unlimited ammo\nchange: []\n"))
	fmt.Println(err)
	if e, ok := errors.AsType[*patch.FileError](err); ok {
		fmt.Printf("game.yaml:%d:%d\n", e.Line, e.Column)
	}
	// Output:
	// line 1, column 1: the key changes is missing
	// line 3, column 1: a patch file has no key "change"; did you mean changes?
	// game.yaml:1:1
}
