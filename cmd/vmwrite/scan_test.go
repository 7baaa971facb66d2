// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/search"
)

// The bar is shown by the threads that search. -race looks on.
func TestPlacesArePrintedWhileTheBarIsShown(t *testing.T) {
	task, err := machcompat.TaskForPID(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer task.Close()
	var screen bytes.Buffer
	c := &scan{
		scanOptions: &scanOptions{}, caller: caller{streams: streams{out: &screen}, task: task},
		bar: &progress{terminal: &screen, start: time.Now().Add(-time.Hour)},
	}
	var group sync.WaitGroup
	group.Go(func() {
		for done := range uint64(100) {
			c.progress(done, 100)
		}
	})
	const places = 100
	for range places {
		if err := c.show(search.Match{Bytes: []byte{1, 0, 0, 0}}, search.I32); err != nil {
			t.Error(err)
		}
	}
	group.Wait()
	if n := strings.Count(screen.String(), "0x0  -  1\n"); n != places {
		t.Errorf("%d places are on the screen; want %d", n, places)
	}
}
