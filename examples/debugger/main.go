// SPDX-License-Identifier: Apache-2.0

// Command debugger stops examples/game at a breakpoint, once: debugger PID DAMAGE.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"runtime"
	"strings"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

func main() {
	pid, address, status := 0, uint64(0), unix.WaitStatus(0)
	_, err := fmt.Sscan(strings.Join(os.Args[1:], " "), &pid, &address) // as the game prints them
	must(err)
	task, err := machcompat.TaskForPID(pid)
	must(err)
	trap := map[string][]byte{"amd64": {0xcc}, "arm64": {0, 0, 0x20, 0xd4}}[runtime.GOARCH] // int3, brk #0
	code, err := task.Read(address, uint64(len(trap)))
	must(err)
	exchange := func(old, new []byte) error { // in the stop that this program has made
		changes := []machcompat.Change{{Address: address, Old: old, New: new, Unprotect: true}}
		return task.StoppedByCaller(context.Background(), func(s *machcompat.Stopped) error { return s.CompareAndWrite(changes) })
	}
	signal.Ignore(os.Interrupt) // Ctrl-C would leave the trap in the game
	runtime.LockOSThread()      // a tracer is one thread
	must(unix.PtraceSeize(pid)) // of the game's first thread, which is its only one
	must(unix.PtraceInterrupt(pid))
	_, err = unix.Wait4(pid, &status, unix.WALL, nil)
	must(err)
	must(exchange(code, trap))
	for pending := 0; status.TrapCause() != 0; pending = int(status.StopSignal()) {
		must(unix.PtraceCont(pid, pending)) // with the signal that has stopped it
		_, err = unix.Wait4(pid, &status, unix.WALL, nil)
		must(err)
	}
	must(exchange(trap, code))
	if runtime.GOARCH == "amd64" { // the thread is behind int3, but at brk
		var registers unix.PtraceRegs
		must(unix.PtraceGetRegs(pid, &registers))
		registers.SetPC(address)
		must(unix.PtraceSetRegs(pid, &registers))
	}
	must(unix.PtraceDetach(pid))
	fmt.Printf("the game came to %#x\n", address)
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
