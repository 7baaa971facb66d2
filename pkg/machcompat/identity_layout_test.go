// SPDX-License-Identifier: Apache-2.0

package machcompat

import (
	"errors"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/procstatus"
	"github.com/vmwrite/vmwrite/internal/testtarget"
	"golang.org/x/sys/unix"
)

// The numbers before those that tell one program from another grow, and so move these
// in the text.
func TestAProcessIsTheSameWhereverItsNumbersStand(t *testing.T) {
	target := testtarget.Start(t)
	task, err := TaskForPID(target.PID)
	if err != nil {
		t.Fatal(err)
	}
	defer task.Close()
	i := &task.identity
	code, heap := i.code.at.Load(), i.heap.at.Load()
	for _, at := range []int64{0, code - 1, code + 1, procstatus.StatSize} {
		i.code.at.Store(at)
		i.heap.at.Store(at)
		if err := i.confirm(); err != nil {
			t.Errorf("confirm() with the numbers looked for at %d, which stand at %d: %v", at, code, err)
		}
		if i.code.at.Load() != code || i.heap.at.Load() != heap {
			t.Errorf("the numbers are noted at %d and %d; they stand at %d and %d", i.code.at.Load(), i.heap.at.Load(), code, heap)
		}
	}
}

func TestAProgramWithOtherNumbersIsAnother(t *testing.T) {
	target := testtarget.Start(t)
	for _, of := range []string{"code", "heap"} {
		task, err := TaskForPID(target.PID)
		if err != nil {
			t.Fatal(err)
		}
		defer task.Close()
		number := map[string]*layout{"code": &task.identity.code, "heap": &task.identity.heap}[of]
		number.text = strings.Repeat(" 7", len(number.text)/2)
		if err := task.identity.confirm(); !errors.Is(err, unix.ESRCH) {
			t.Errorf("confirm() of a program with another %s = %v; want ESRCH", of, err)
		}
	}
}
