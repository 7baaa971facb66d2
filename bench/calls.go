// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ofRuntime are system calls that Go makes at times of its own choosing.
var ofRuntime = []string{"futex", "nanosleep", "sched_yield", "epoll_pwait", "tgkill", "rt_sigreturn", "rt_sigprocmask"}

// countCalls counts the system calls that one call of the library makes, which is a
// command of the writer that ends with the number of calls. The row says their
// names. Without strace it returns 0.
//
// What two runs differ by are the calls that the second makes more.
func (b *bench) countCalls(r *row, what string, target *coprocess, format string, args ...any) (sum float64, err error) {
	if !b.tools.has("strace") {
		return 0, nil
	}
	const some, more = 50, 500
	format += " %d"
	fewer, err := b.straced(target, fmt.Sprintf(format, append(args, some)...))
	if err != nil {
		return 0, err
	}
	all, err := b.straced(target, fmt.Sprintf(format, append(args, some+more)...))
	if err != nil {
		return 0, err
	}
	var names []string
	for name, count := range all {
		// Less than one in twenty is not the library's.
		each := math.Round(float64(count-fewer[name])/more*10) / 10
		if each > 0 && !slices.Contains(ofRuntime, name) {
			sum += each
			names = append(names, plain(each)+" "+name)
		}
	}
	slices.Sort(names)
	sum = math.Round(sum*10) / 10
	r.fact("System calls of %s, by strace: %s (%s).", what, plain(sum), strings.Join(names, ", "))
	return sum, nil
}

// straced counts the system calls of the first thread of a writer that obeys one
// command, by name.
func (b *bench) straced(target *coprocess, command string) (map[string]int, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	summary := filepath.Join(b.directory, "calls")
	cmd := exec.Command(b.tools.peers["strace"], "-c", "-o", summary, self)
	cmd.Env = append(os.Environ(), writerVariable+"=1")
	cmd.Stdin = strings.NewReader(fmt.Sprintf("open %d\n%s\n", target.pid(), command))
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("strace: %w: %s", err, out)
	}
	if strings.Contains(string(out), "error") {
		return nil, fmt.Errorf("under strace: %s", out)
	}
	text, err := os.ReadFile(summary)
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for line := range strings.Lines(string(text)) {
		// % time, seconds, usecs/call, calls, errors if there are any, syscall
		if words := strings.Fields(line); len(words) >= 5 {
			if count, err := strconv.Atoi(words[3]); err == nil && words[len(words)-1] != "total" {
				counts[words[len(words)-1]] = count
			}
		}
	}
	return counts, nil
}
