// SPDX-License-Identifier: Apache-2.0

package hold_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"log"
	"os"
	"os/signal"
	"unsafe"

	"github.com/vmwrite/vmwrite/pkg/hold"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// Ammunition is kept at 99 or more until Ctrl-C, or until the game ends.
func ExampleHolder_Run() {
	task, err := machcompat.TaskForPID(os.Getpid(), machcompat.WithStop(machcompat.StopNever))
	if err != nil {
		log.Fatal(err)
	}
	defer task.Close()
	ammunition := int32(3) // of this process, where a real program would have an address in another
	entry := hold.Entry{
		Name:  "ammunition",
		Place: hold.Fixed(uint64(uintptr(unsafe.Pointer(&ammunition)))),
		Type:  hold.Int32,
		Mode:  hold.Minimum,
		Value: binary.NativeEndian.AppendUint32(nil, 99),
	}
	holder, err := hold.New(task, []hold.Entry{entry}, hold.OnEvent(func(e hold.Event) { fmt.Println(e.Name, e.Err) }))
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	stop() // as Ctrl-C would
	summary, err := holder.Run(ctx, hold.DefaultRate)
	fmt.Println(summary.Ticks, err)
	// Output: 0 <nil>
}

func ExampleHolder_Tick() {
	task, err := machcompat.TaskForPID(os.Getpid(), machcompat.WithStop(machcompat.StopNever))
	if err != nil {
		log.Fatal(err)
	}
	defer task.Close()
	score := new(int32)
	holder, err := hold.New(task, []hold.Entry{{
		Place: hold.Fixed(uint64(uintptr(unsafe.Pointer(score)))), Type: hold.Int32, Mode: hold.OnlyUp,
	}})
	if err != nil {
		log.Fatal(err)
	}
	for _, *score = range []int32{10, 30, 20} {
		if err := holder.Tick(); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(*score, holder.Summary().Changed)
	// Output: 30 1
}
