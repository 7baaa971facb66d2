// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
)

func TestMain(m *testing.M) {
	if asWriter() {
		return
	}
	os.Exit(m.Run())
}

// newBench returns a bench that can start targets and nothing else.
func newBench(tb testing.TB) *bench {
	tb.Helper()
	testtarget.Need(tb, "cc")
	b := &bench{ctx: context.Background(), directory: tb.TempDir()}
	tb.Cleanup(b.close)
	b.tools.directory, b.tools.cc = b.directory, "cc"
	for _, p := range cPrograms {
		if p.name == "target" || p.name == "raw" {
			if err := b.tools.compile(p.name, p.sources, p.flags); err != nil && !p.spare {
				tb.Fatal(err)
			}
		}
	}
	return b
}
