// Command vmwrite writes into the memory of a running process with the meaning
// of Mach's vm_write: only where the process itself may write, all of it or
// nothing, and with the exact kern_return_t as its exit status.
package main

import "os"

func main() {
	os.Exit(run(os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}
