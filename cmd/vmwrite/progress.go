// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// progress is a bar on a terminal, shown when the work takes longer than half a
// second.
type progress struct {
	terminal io.Writer // nil when there is none
	total    uint64
	start    time.Time
	last     time.Time
	shown    bool
}

func isTerminal(file *os.File) bool {
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return err == nil
}

// columns returns how wide the terminal is to which results go; 0 if they go
// elsewhere.
func (s streams) columns() int {
	if file, ok := s.out.(*os.File); ok {
		if size, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ); err == nil {
			return int(size.Col)
		}
	}
	return 0
}

func newProgress(w io.Writer, total uint64) *progress {
	p := &progress{total: total, start: time.Now()}
	if file, ok := w.(*os.File); ok && isTerminal(file) {
		p.terminal = w
	}
	return p
}

func (p *progress) show(done uint64) {
	const patience, interval = 500 * time.Millisecond, 100 * time.Millisecond
	now := time.Now()
	if p.terminal == nil || now.Sub(p.start) < patience || now.Sub(p.last) < interval {
		return
	}
	p.last, p.shown = now, true
	fmt.Fprint(p.terminal, "\r"+progressLine(done, p.total, now.Sub(p.start)))
}

// progressLine fits a terminal of 80 columns.
func progressLine(done, total uint64, elapsed time.Duration) string {
	const width = 30
	full := int(done * width / max(total, 1))
	rate := float64(done) / elapsed.Seconds()
	return fmt.Sprintf("[%s%s] %3d%% %s of %s, %s/s\x1b[K",
		strings.Repeat("#", full), strings.Repeat(".", width-full), done*100/max(total, 1),
		byteCount(float64(done)), byteCount(float64(total)), byteCount(rate))
}

func byteCount(n float64) string {
	unit := 0
	for n >= 1024 && unit < 4 {
		n /= 1024
		unit++
	}
	if unit == 0 {
		return fmt.Sprintf("%.0f B", n)
	}
	return fmt.Sprintf("%.1f %ciB", n, "KMGT"[unit-1])
}

// clear takes the bar away, so that a message has the line for itself.
func (p *progress) clear() {
	if p.shown {
		p.shown = false
		fmt.Fprint(p.terminal, "\r\x1b[K")
	}
}
