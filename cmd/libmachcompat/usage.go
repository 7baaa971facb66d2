// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// statFields returns the fields of /proc/PID/stat from the third on (proc_pid_stat(5)).
// The second, the name, may hold anything, blanks and parentheses too.
func statFields(pid int) ([]string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	end := bytes.LastIndexByte(text, ')')
	fields := strings.Fields(string(text[end+1:]))
	if end < 0 || len(fields) < 50 {
		return nil, errors.New("/proc/PID/stat has another form")
	}
	return fields, nil
}

// stat returns field n of proc_pid_stat(5).
func stat(fields []string, n int) string { return fields[n-3] }

// processIdentity returns what tells a process, and the program that it runs,
// from another with the same pid: when it began, and where its code, stack,
// arguments and environment lie. It is "" when that can't be read.
func processIdentity(pid int) string {
	const startTime, startCode, endCode, startStack = 22, 26, 27, 28
	const startData, environmentEnd = 45, 51
	fields, err := statFields(pid)
	if err != nil {
		return ""
	}
	parts := []string{stat(fields, startTime), stat(fields, startCode), stat(fields, endCode), stat(fields, startStack)}
	for n := startData; n <= environmentEnd; n++ {
		parts = append(parts, stat(fields, n))
	}
	return strings.Join(parts, " ")
}

// usage is what a process has used: bytes and microseconds.
type usage struct {
	virtual, resident, residentMax uint64
	user, system                   uint64
}

func usageOf(pid int) (usage, error) {
	const userTime, systemTime, virtualSize = 14, 15, 23
	const ticksPerSecond = 100 // USER_HZ, the same on every architecture that Go knows
	fields, err := statFields(pid)
	if err != nil {
		return usage{}, err
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return usage{}, err
	}
	number := func(n int) uint64 {
		value, _ := strconv.ParseUint(stat(fields, n), 10, 64)
		return value
	}
	return usage{
		virtual:     number(virtualSize),
		resident:    statusBytes(status, "VmRSS:"),
		residentMax: statusBytes(status, "VmHWM:"),
		user:        number(userTime) * (1e6 / ticksPerSecond),
		system:      number(systemTime) * (1e6 / ticksPerSecond),
	}, nil
}

// statusBytes returns a size of /proc/PID/status, which is in KiB there.
func statusBytes(status []byte, label string) uint64 {
	for line := range bytes.Lines(status) {
		if rest, ok := bytes.CutPrefix(line, []byte(label)); ok {
			if fields := strings.Fields(string(rest)); len(fields) > 0 {
				value, _ := strconv.ParseUint(fields[0], 10, 64)
				return value << 10
			}
		}
	}
	return 0
}
