// SPDX-License-Identifier: Apache-2.0

// Target is the program that tests write into. It reads commands, one a line,
// and answers each with a line "ok ..." or "error ...". It is the other half of
// package testtarget.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

func main() {
	if os.Getenv("VMWRITE_TEST_TRACEABLE") != "" {
		_ = unix.Prctl(unix.PR_SET_PTRACER, unix.PR_SET_PTRACER_ANY, 0, 0, 0) // EINVAL without Yama
	}
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		name, argument, _ := strings.Cut(lines.Text(), " ")
		command, ok := commands[name]
		if !ok {
			fmt.Printf("error no command %q\n", name)
			continue
		}
		answer, err := command(strings.Fields(argument))
		if err != nil {
			fmt.Printf("error %v\n", err)
			continue
		}
		fmt.Println(strings.TrimSuffix("ok "+answer, " "))
	}
}

// commands are what the target can do. Sizes are in bytes unless a name says
// pages, protections as in /proc/PID/maps: rw-.
var commands = map[string]func(arguments []string) (string, error){
	"layout":       layout,          // PROT:PAGES,... ("gap" maps nothing): its address; unmapped pages around it
	"dump":         dump,            // ADDRESS SIZE: the bytes in hex, whatever their protection
	"map":          mapPages,        // PROT PAGES [shared]: an address with unmapped pages around it
	"mapat":        mapAtAddress,    // ADDRESS PROT PAGES
	"find":         findMapping,     // NAME: the address of the mapping of that name
	"protect":      protect,         // ADDRESS SIZE PROT
	"unmap":        unmap,           // ADDRESS SIZE
	"guard":        guard,           // ADDRESS SIZE: guard region
	"file":         mapFile,         // PATH PROT PAGES FILEBYTES shared|private: creates and maps it
	"named":        mapNamed,        // HEXPATH PROT OFFSET: creates a file of any name and maps a page of it
	"pe":           loadPE,          // HEXPATH 32|64 ADDRESS whole|wiped: maps a program of Windows there, and may wipe its headers
	"deep":         mapDeep,         // DIRECTORY BYTES: a page of a file whose path has at least so many bytes
	"secret":       secret,          // PAGES: memory of memfd_secret
	"readonlyfile": mapReadOnlyFile, // PATH: a shared page of a file that was opened for reading
	"seal":         seal,            // ADDRESS SIZE: mseal
	"split":        split,           // COUNT: that many mappings of a page each, side by side
	"threads":      threads,         // COUNT: threads that count without pause
	"counts":       counts,          // the counts of those threads
	"catch":        catchSignal,     // SIGNAL: catches it from now on
	"caught":       caughtSignals,   // SIGNAL: how often it came
	"vfork":        startVfork,      // a thread waits for the child of a vfork
	"endvfork":     endVfork,        // ends that child
	"endfirst":     endFirstThread,  // ends the first thread, and no other
	"execself":     execSelf,        // runs this program anew in this process
	"seccomp":      underFilter,     // kill|refuse|readonly mprotect|msync|reboot: from now on
	"dumpable":     setDumpable,     // 0|1
}
