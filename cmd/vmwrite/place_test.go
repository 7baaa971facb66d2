// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/pkg/address"
	"github.com/vmwrite/vmwrite/pkg/hold"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// A message may name a file of the process, which can be called anything.
func TestNamesInMessages(t *testing.T) {
	task, err := machcompat.TaskForPID(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer task.Close()
	var text bytes.Buffer
	c := &caller{streams: streams{err: &text}, task: task}
	hostile := &address.SymbolError{Name: "x", Err: errors.New("symbols of /tmp/\x1b]0;owned\a: EOF")}
	c.notef("%v", c.unresolved(place{text: "game!x"}, hostile))
	c.tell(hold.Event{Name: "game!x", Err: hostile})
	if got := text.String(); strings.Count(got, `\x1b]0;owned\a`) != 2 || strings.ContainsAny(got, "\x1b\a") {
		t.Errorf("%q", got)
	}
}
