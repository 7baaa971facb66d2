// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/internal/testtarget/peimage"
)

// A pointer of a 32-bit Windows program has 4 bytes, though the process of Wine has
// pointers of 8.
func TestPointersAreAsWideAsThoseOfTheModule(t *testing.T) {
	testtarget.Need(t, "4k pages", "64-bit tests")
	const base = 0x20000000
	target := testtarget.Start(t)
	target.Do("pe %x 32 %#x whole", filepath.Join(t.TempDir(), "game.exe"), base)
	place := fmt.Sprintf("game.exe+%#x", peimage.Data)
	batch := filepath.Join(t.TempDir(), "batch")
	if err := os.WriteFile(batch, []byte(place+" ptr 0x11223344 if 0xaaaaaaaa"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, arguments := range []string{
		"write %s -t ptr 0x11223344",
		"write --batch " + batch,
		"hold %s=0x11223344 -t ptr --for 1ns",
	} {
		t.Run(arguments, func(t *testing.T) {
			run(strings.Fields(fmt.Sprintf("write -p %d %s aaaaaaaaaaaaaaaa", target.PID, place)), streams{out: &bytes.Buffer{}, err: &bytes.Buffer{}})
			var trouble bytes.Buffer
			line := strings.Fields(strings.Replace(arguments, "%s", place, 1) + fmt.Sprint(" -p ", target.PID))
			if status := run(line, streams{out: &bytes.Buffer{}, err: &trouble}); status != 0 {
				t.Errorf("status %d: %s", status, &trouble)
			}
			if got, want := target.Bytes(base+peimage.Data, 8), []byte("\x44\x33\x22\x11\xaa\xaa\xaa\xaa"); !bytes.Equal(got, want) {
				t.Errorf("% x is there; want % x", got, want)
			}
			for _, reading := range []string{"read", "watch --for 1ms"} {
				var out bytes.Buffer
				line := strings.Fields(fmt.Sprintf("%s %s -t ptr -p %d", reading, place, target.PID))
				if status := run(line, streams{out: &out, err: &trouble}); status != 0 || !strings.HasSuffix(out.String(), "0x11223344\n") {
					t.Errorf("%s prints %q, status %d: %s", reading, &out, status, &trouble)
				}
			}
		})
	}
}
