// SPDX-License-Identifier: Apache-2.0

package patch_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/patch"
)

const ammo = `
version: 1
name: unlimited ammo
changes:
  - {at: 0x1004, old: 29 d8, new: 90 90}
`

// A byte slice is patched, and what was there is put back: what a process is, a test
// need not have.
func ExamplePlan_Apply() {
	p, err := patch.Parse([]byte(ammo))
	if err != nil {
		log.Fatal(err)
	}
	m := memory{0x1000, []byte{0x8b, 0x43, 0x10, 0x90, 0x29, 0xd8, 0xc3}}
	plan, err := p.Resolve(context.Background(), m, patch.Options{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(plan.State())
	if err := plan.Apply(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("% x\n", m.data)
	// Output:
	// not applied
	// 8b 43 10 90 90 90 c3
}

// What a patch expects is compared with what is there, and everything that is not so is
// listed.
func ExamplePatch_Resolve() {
	p, err := patch.Parse([]byte(ammo))
	if err != nil {
		log.Fatal(err)
	}
	m := memory{0x1000, make([]byte, 16)}
	plan, err := p.Resolve(context.Background(), m, patch.Options{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(plan.State())
	for _, finding := range plan.Findings {
		fmt.Println(finding)
	}
	// Output:
	// foreign
	// line 5: 0x1004: other bytes are there than expected: want 29 d8, found 00 00
}

// A patch that was applied is undone. In another run of this program it would be found in
// the journal.
func ExamplePlan_Undo() {
	p, err := patch.Parse([]byte(ammo))
	if err != nil {
		log.Fatal(err)
	}
	m := memory{0x1000, []byte{0x8b, 0x43, 0x10, 0x90, 0x90, 0x90, 0xc3}}
	plan, err := p.Resolve(context.Background(), m, patch.Options{})
	if err != nil {
		log.Fatal(err)
	}
	if err := plan.Undo(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("% x\n", m.data)
	// Output: 8b 43 10 90 29 d8 c3
}

// A process is patched, with a journal by which it can be undone after a crash too. Threads
// have five seconds to leave the code.
func ExampleOf() {
	task, err := machcompat.TaskForPID(1234)
	if err != nil {
		fmt.Println("no such process")
		return
	}
	defer task.Close()
	journal, err := patch.OpenJournal("")
	if err != nil {
		log.Fatal(err)
	}
	p, err := patch.Parse([]byte(ammo))
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	plan, err := p.Resolve(ctx, patch.Of(task), patch.Options{Journal: journal})
	if err != nil {
		log.Fatal(err)
	}
	if err := plan.Apply(ctx); err != nil {
		log.Fatal(err)
	}
}

// What those have left who died while they applied a patch is put back.
func ExampleJournal_Recover() {
	journal, err := patch.OpenJournal("")
	if err != nil {
		log.Fatal(err)
	}
	open := func(pid int) (patch.Process, func(), error) {
		task, err := machcompat.TaskForPID(pid)
		if err != nil {
			return nil, nil, err
		}
		return patch.Of(task), func() { task.Close() }, nil
	}
	all, err := journal.Recover(context.Background(), open, patch.RecoverOptions{})
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range all {
		fmt.Println(r.PID, r.Name, r.Outcome, r.Err)
	}
}
