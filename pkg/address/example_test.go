// SPDX-License-Identifier: Apache-2.0

package address_test

import (
	"errors"
	"fmt"
	"log"
	"os"
	"reflect"

	"github.com/vmwrite/vmwrite/pkg/address"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

func ExampleParse() {
	e, err := address.Parse("game+0x4068,0x8,0d16")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(e)

	_, err = address.Parse("game+374")
	fmt.Println(err)
	// Output:
	// [[game+0x4068]+0x8]+0x10
	// "game+374", column 6: "374" is ambiguous: did you mean 0x374 or 0d374?
}

func ExampleExpr_Constant() {
	for _, text := range []string{"0x1000+0d16", "game+0x1000"} {
		e, err := address.Parse(text)
		if err != nil {
			log.Fatal(err)
		}
		value, ok := e.Constant()
		fmt.Printf("%s: %#x, %v\n", text, value, ok)
	}
	// Output:
	// 0x1000+0d16: 0x1010, true
	// game+0x1000: 0x0, false
}

// The process is this one; a trainer has a game's.
func ExampleResolver_Resolve() {
	task, err := machcompat.TaskForPID(os.Getpid())
	if err != nil {
		log.Fatal(err)
	}
	defer task.Close()
	r := address.NewResolver(task)

	player := &struct{ name, lives uint64 }{lives: 3}
	pointer := reflect.ValueOf(&player).Pointer() // of a global variable: game+0x4068
	e, err := address.Parse(fmt.Sprintf("%#x -> 0x8", pointer))
	if err != nil {
		log.Fatal(err)
	}
	found, err := r.Resolve(e)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(found.Address == uint64(reflect.ValueOf(&player.lives).Pointer()), len(found.Links))

	// The 3 lives are no pointer.
	e, err = address.Parse(fmt.Sprintf("%#x -> 0x8 -> 0x10 -> 0x18", pointer))
	if err != nil {
		log.Fatal(err)
	}
	_, err = r.Resolve(e)
	if broken, ok := errors.AsType[*address.ChainError](err); ok {
		fmt.Printf("%d %#x %v\n", broken.Link, broken.Address, broken.Mapping)
	}
	// Output:
	// true 1
	// 2 0x13 <nil>
}

func ExampleResolver_Locate() {
	task, err := machcompat.TaskForPID(os.Getpid())
	if err != nil {
		log.Fatal(err)
	}
	defer task.Close()
	r := address.NewResolver(task)
	e, err := address.Parse("@exe+0x40")
	if err != nil {
		log.Fatal(err)
	}
	found, err := r.Resolve(e)
	if err != nil {
		log.Fatal(err)
	}
	module, offset, ok := r.Locate(found.Address)
	fmt.Println(module.Contains(found.Address), offset, ok)
	// Output: true 64 true
}
