// SPDX-License-Identifier: Apache-2.0

// Command trainer holds the health of the player of examples/game, wherever the player
// moves: trainer PID EXPRESSION HEALTH.
package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"

	"github.com/vmwrite/vmwrite/pkg/address"
	"github.com/vmwrite/vmwrite/pkg/hold"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

func main() {
	pid, text, health := 0, "", int32(0)
	if _, err := fmt.Sscan(strings.Join(os.Args[1:], " "), &pid, &text, &health); err != nil {
		log.Fatal("usage: trainer PID EXPRESSION HEALTH")
	}
	expr, err := address.Parse(text)
	if err != nil {
		log.Fatal(err)
	}
	task, err := machcompat.TaskForPID(pid, machcompat.WithStop(machcompat.StopNever))
	if err != nil {
		log.Fatal(err)
	}
	resolver := address.NewResolver(task)
	found, err := resolver.Resolve(expr)
	if err != nil {
		log.Fatal(err)
	}
	was, err := machcompat.ReadValue[int32](task, found.Address)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("the health at %#x was %d\n", found.Address, was)
	holder, err := hold.New(task, []hold.Entry{{
		Name: text, Place: hold.At(resolver, expr), Type: hold.Int32,
		Value: binary.NativeEndian.AppendUint32(nil, uint32(health)),
	}}, hold.OnEvent(func(e hold.Event) { log.Println(e.Name, e.Err) }))
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	did, err := holder.Run(ctx, hold.DefaultRate)
	fmt.Printf("the game had changed it %d times\n", did.Changed)
	if err != nil {
		log.Fatal(err)
	}
}
