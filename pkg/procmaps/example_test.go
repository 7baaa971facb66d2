// SPDX-License-Identifier: Apache-2.0

package procmaps_test

import (
	"errors"
	"fmt"
	"log"
	"os"
	"reflect"
	"strings"

	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"golang.org/x/sys/unix"
)

func ExampleOpen() {
	maps, err := procmaps.Open(os.Getpid())
	if err != nil {
		log.Fatal(err)
	}
	defer maps.Close()
	fmt.Println("alive:", maps.Alive() == nil)

	_, err = procmaps.Open(-1)
	fmt.Println("no such process:", errors.Is(err, unix.ENOENT))
	// Output:
	// alive: true
	// no such process: true
}

func ExampleMaps_Find() {
	maps, err := procmaps.Open(os.Getpid())
	if err != nil {
		log.Fatal(err)
	}
	defer maps.Close()

	data := []byte("bytes of this program")
	address := uint64(reflect.ValueOf(data).Pointer())
	mapping, found, err := maps.Find(address)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(found, mapping.Contains(address), mapping.PermsText())

	_, found, err = maps.Find(0)
	fmt.Println(found, err)
	// Output:
	// true true rw-p
	// false <nil>
}

func ExampleMaps_All() {
	maps, err := procmaps.Open(os.Getpid())
	if err != nil {
		log.Fatal(err)
	}
	defer maps.Close()

	for mapping, err := range maps.All() {
		if err != nil {
			log.Fatal(err)
		}
		if mapping.Path == "[stack]" {
			fmt.Println(mapping.Path, mapping.Perms)
		}
	}
	// Output: [stack] rw-
}

func ExampleMaps_Walk() {
	maps, err := procmaps.Open(os.Getpid())
	if err != nil {
		log.Fatal(err)
	}
	defer maps.Close()

	data := make([]byte, 64)
	start := uint64(reflect.ValueOf(data).Pointer())
	err = maps.Walk(start, start+uint64(len(data)), func(span procmaps.Span) bool {
		fmt.Println("writable:", span.Perms&procmaps.Write != 0)
		return true
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: writable: true
}

func ExampleMaps_Range() {
	maps, err := procmaps.Open(os.Getpid())
	if err != nil {
		log.Fatal(err)
	}
	defer maps.Close()

	data := make([]byte, 64)
	start := uint64(reflect.ValueOf(data).Pointer())
	for mapping, err := range maps.Range(start, start+uint64(len(data))) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(mapping.Contains(start), mapping.PermsText())
	}
	// Output: true rw-p
}

// How much the process may write, found without allocating anything.
func ExampleMaps_Next() {
	maps, err := procmaps.Open(os.Getpid())
	if err != nil {
		log.Fatal(err)
	}
	defer maps.Close()

	var writable uint64
	for address := uint64(0); ; {
		span, found, err := maps.Next(address)
		if err != nil {
			log.Fatal(err)
		}
		if !found {
			break
		}
		if span.Perms&procmaps.Write != 0 {
			writable += span.End - span.Start
		}
		address = span.End
	}
	fmt.Println(writable > 0)
	// Output: true
}

func ExamplePrintable() {
	fmt.Println(procmaps.Printable("/tmp/game\x1b[2J\xff"))
	// Output: /tmp/game\x1b[2J\xff
}

func ExampleParse() {
	const text = `00400000-00452000 r-xp 00000000 08:02 173521      /usr/bin/dbus daemon
7ffc1a000000-7ffc1a021000 rw-p 00000000 00:00 0   [stack]
7ffc1a021000 is the end
`
	for mapping, err := range procmaps.Parse(strings.NewReader(text)) {
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Printf("%#x %s %s\n", mapping.Start, mapping.PermsText(), mapping.Path)
	}
	// Output:
	// 0x400000 r-xp /usr/bin/dbus daemon
	// 0x7ffc1a000000 rw-p [stack]
	// malformed line of /proc/PID/maps: start address: "7ffc1a021000 is the end"
}
