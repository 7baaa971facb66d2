// SPDX-License-Identifier: Apache-2.0

package search_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"github.com/vmwrite/vmwrite/pkg/search"
)

func ExampleParsePattern() {
	p, err := search.ParsePattern("48 8B 05 $ 48 85 C0")
	fmt.Println(p.Size(), err)
	_, err = search.ParsePattern("48 8B ? 5")
	fmt.Println(err)
	// Output:
	// 10 <nil>
	// pattern "48 8B ? 5", column 9: a byte has two digits, and "5" has an odd number
}

func ExampleFirst() {
	task, err := machcompat.TaskForPID(os.Getpid())
	if err != nil {
		log.Fatal(err)
	}
	defer task.Close()
	health, err := search.ParseValue(search.F32, "100")
	if err != nil {
		log.Fatal(err)
	}
	s := search.First(context.Background(), task, health, search.Options{Want: procmaps.Write, Limit: 20})
	for match, err := range s.All() {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%#x %s\n", match.Address, search.F32.Format(match.Bytes))
	}
	fmt.Println(s.Stats().Skipped, "bytes could not be read")
}
