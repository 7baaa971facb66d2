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

func ExampleParseValue() {
	for _, text := range []string{"100", "95..105", "100+-0.1", "1 ? 3"} {
		v, err := search.ParseValue(search.F32, text)
		fmt.Println(v.Size(), err)
	}
	_, err := search.ParseValue(search.I8, "200")
	fmt.Println(err)
	// Output:
	// 4 <nil>
	// 4 <nil>
	// 4 <nil>
	// 12 <nil>
	// "200": 200 is out of range for i8
}

func ExampleCandidates_Next() {
	task, err := machcompat.TaskForPID(os.Getpid())
	if err != nil {
		log.Fatal(err)
	}
	defer task.Close()
	anything, err := search.Unknown(search.I32)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	writable := search.Options{Want: procmaps.Write}
	c, _, err := search.Save(ctx, "/tmp/candidates", "started at 12:00", task, anything, writable)
	if err != nil {
		log.Fatal(err)
	}
	// The health goes down by 5.
	five, err := search.Equal(int32(5))
	if err != nil {
		log.Fatal(err)
	}
	stats, err := c.Next(ctx, task, search.Compare{Op: search.OpDecreased, By: five}, "/tmp/candidates", nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d of %d are left\n", stats.After, stats.Before)
	for candidate, err := range c.All() {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%#x %s\n", candidate.Address, c.Type().Format(candidate.Bytes))
	}
}
