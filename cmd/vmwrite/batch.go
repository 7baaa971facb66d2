// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vmwrite/vmwrite/internal/value"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// readBatch reads the lines of --batch. Each says ADDRESS [TYPE] VALUE [if OLD].
func (j *job) readBatch() error {
	in, err := openInput(j.streams, j.batch)
	if err != nil {
		return err
	}
	e, err := j.encoding()
	if err != nil {
		return err
	}
	var text string
	err = j.gather(in, func() (err error) {
		text, err = in.text()
		return err
	})
	if err != nil {
		return err
	}
	for i, line := range strings.Split(strings.TrimPrefix(text, "\ufeff"), "\n") {
		change, at, err := e.parseLine(line)
		if err != nil {
			const enough = 200 // of a message with a word that may be a whole file
			return usagef("%s:%d: %s", in.name, i+1, strings.ToValidUTF8(err.Error()[:min(len(err.Error()), enough)], ""))
		}
		if change == nil {
			continue
		}
		change.Unprotect = j.unprotect
		j.changes, j.places, j.lines = append(j.changes, *change), append(j.places, at), append(j.lines, i+1)
		j.again = append(j.again, func(word int) (machcompat.Change, error) {
			e := e
			e.Word = word
			change, _, err := e.parseLine(line)
			if err != nil {
				return machcompat.Change{}, err
			}
			return *change, nil
		})
		j.size += uint64(len(change.New))
	}
	j.batch = in.name
	return j.confirmSize("no line of " + in.name + " says what")
}

// text returns the whole input. One that is no file may have no end.
func (in *input) text() (string, error) {
	limit := max(in.size, 64<<20)
	text, err := io.ReadAll(io.LimitReader(in, int64(limit)+1))
	if err != nil {
		return "", in.failed(err)
	}
	if uint64(len(text)) > limit {
		return "", usagef("%s is longer than the %s that a batch may have which is no file", in.name, byteCount(float64(limit)))
	}
	return string(text), nil
}

// confirmApart refuses places that overlap: which of the values would be there
// afterwards, and which the undo would find, is not what its author thought of.
func (j *job) confirmApart() error {
	order := make([]int, len(j.changes))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(j.changes[a].Address, j.changes[b].Address) })
	for n := 1; n < len(order); n++ {
		before, next := order[n-1], order[n]
		if c := j.changes[before]; j.changes[next].Address-c.Address < uint64(len(c.New)) {
			return usagef("%s:%d: it overlaps what line %d writes", j.batch, max(j.lines[before], j.lines[next]), min(j.lines[before], j.lines[next]))
		}
	}
	return nil
}

// parseLine parses a line of a batch; nil for one that says nothing.
func (e encoding) parseLine(line string) (change *machcompat.Change, at place, err error) {
	words, err := splitLine(line)
	if err != nil || len(words) == 0 {
		return nil, at, err
	}
	if at, err = parsePlace(words[0]); err != nil {
		return nil, at, err
	}
	change, err = e.parseChange(words[1:])
	return change, at, err
}

// parseChange parses the words of a line behind its address.
func (e encoding) parseChange(words []string) (change *machcompat.Change, err error) {
	const form = "want ADDRESS [TYPE] VALUE [if OLD]"
	change = &machcompat.Change{}
	typed := len(words) > 0 && slices.Contains(value.Types, words[0])
	if typed {
		e.Type, words = words[0], words[1:]
	}
	switch {
	case len(words) == 0, len(words) == 2 && words[0] == "if":
		return nil, fmt.Errorf("a value is missing: %s", form)
	case len(words) == 2 && words[1] == "if":
		return nil, fmt.Errorf("a value is missing behind if: %s", form)
	case len(words) == 3 && words[1] == "if":
		if change.Old, err = e.encode(words[2:]); err == nil && len(change.Old) == 0 {
			err = errors.New("the value behind if is empty")
		}
		if err != nil {
			return nil, err
		}
	case len(words) > 1 && !typed && !isHex(words[0]):
		return nil, checkType(words[0])
	case len(words) > 1:
		return nil, fmt.Errorf("%q is one word too many: %s, and a value with spaces in quotes", words[len(words)-1], form)
	}
	if change.New, err = e.encode(words[:1]); err != nil {
		return nil, err
	}
	if len(change.New) == 0 {
		return nil, errors.New("the value is empty")
	}
	return change, nil
}

// splitLine splits a line at its spaces, up to a #. A word in quotes may hold
// spaces, and what Go's strings do behind a backslash. The first word is an address,
// which keeps its quotes: "7" is a module, and no number.
func splitLine(line string) (words []string, err error) {
	for {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			return words, nil
		}
		word, end := line, strings.IndexAny(line, " \t\r")
		if len(words) == 0 {
			end = endOfAddress(line)
			word = line[:end]
		} else if line[0] == '"' {
			quoted, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, fmt.Errorf("%.40q: a quote is missing, or a character behind a backslash is none that a string may hold", line)
			}
			word, _ = strconv.Unquote(quoted)
			if end = len(quoted); end < len(line) && !strings.ContainsRune(" \t\r", rune(line[end])) {
				return nil, fmt.Errorf("%.40q: a space is missing behind the quote", line)
			}
		} else if end >= 0 {
			word = line[:end]
		} else {
			end = len(line)
		}
		words, line = append(words, word), line[end:]
	}
}

// endOfAddress returns where an address at the front of a line ends: at a space that is
// not in quotes.
func endOfAddress(line string) int {
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case ' ', '\t', '\r':
			return i
		case '"':
			quoted, _ := strconv.QuotedPrefix(line[i:]) // one that is not closed is refused with the address
			i += max(len(quoted)-1, 0)
		}
	}
	return len(line)
}

// ofLine names the line of a batch that an error is of, and tells how much of the
// batch was written.
func (j *job) ofLine(change int, err error) error {
	if !j.isBatch() {
		return err
	}
	switch e, ok := errors.AsType[*machcompat.Error](err); {
	case !ok || !e.Partial:
	case e.Op == "vm_protect": // which was to be put back
		e.Written, e.Size = j.size, j.size
	default:
		for _, c := range j.changes[:e.Segment] {
			e.Written += uint64(len(c.New))
		}
		e.Segment, e.Size = 0, j.size
	}
	return fmt.Errorf("%s:%d: %w", j.batch, j.lines[change], err)
}

// ofItsLine is ofLine for an error that says which change it is of.
func (j *job) ofItsLine(err error) error {
	e, ok := errors.AsType[*machcompat.Error](err)
	if !ok || e.Code == machcompat.KERN_ABORTED {
		return err
	}
	return j.ofLine(e.Segment, err)
}

// undoFile is the file of --undo. It is nil without one.
type undoFile struct {
	*os.File
	command  string // that takes back what was written
	recorded bool
	keep     bool
}

// createUndo creates the file of --undo before anything is done. It must be a new
// one, because what an older one undoes could not be found out again.
func (j *job) createUndo() (*undoFile, error) {
	if j.undo == "" {
		return nil, nil
	}
	name := j.undo
	if name[0] == '-' {
		name = "./" + name // no flag, and no standard input
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, os.ErrExist) {
		return nil, &fileError{fmt.Errorf("%s exists already; --undo makes a new file, so that no undo is lost", name)}
	}
	if err != nil {
		return nil, &fileError{err}
	}
	command := fmt.Sprintf("vmwrite write -p %d --batch %s", j.pid, shellWord(name))
	if j.unprotect {
		command += " --unprotect"
	}
	if j.stop == "never" {
		command += " --stop never"
	}
	return &undoFile{File: file, command: command}, nil
}

// shellWord is text as a shell takes it for one word.
func shellWord(text string) string {
	if strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./") == "" {
		return text
	}
	return "'" + strings.ReplaceAll(procmaps.Printable(text), "'", `'\''`) + "'"
}

// record writes what the places hold, each with what they will hold as the
// condition.
func (u *undoFile) record(read func([]machcompat.Segment) error, changes []machcompat.Change) error {
	if u == nil {
		return nil
	}
	var before []machcompat.Segment
	for _, c := range changes {
		before = append(before, machcompat.Segment{Address: c.Address, Data: make([]byte, len(c.New))})
	}
	if err := read(before); err != nil {
		return err
	}
	w := bufio.NewWriter(u)
	fmt.Fprintf(w, "# What was there before %s.\n", time.Now().Format(time.DateTime))
	for i, c := range changes {
		if len(c.New) > 0 {
			fmt.Fprintf(w, "%#x %x if %x\n", c.Address, before[i].Data, c.New)
			u.recorded = true
		}
	}
	err := w.Flush()
	if closeErr := u.Close(); err == nil {
		err = closeErr // of a file system that writes late
	}
	if err != nil {
		return &fileError{fmt.Errorf("recording what was there: %w; nothing was written", err)}
	}
	return nil
}

// ended takes the error of the write, which decides whether there is anything to
// undo. What is not known counts as written.
func (u *undoFile) ended(err error) {
	if u == nil {
		return
	}
	e, isCode := errors.AsType[*machcompat.Error](err)
	_, isBug := errors.AsType[*bugError](err)
	u.keep = u.recorded && (err == nil || isBug || errors.Is(err, errGivenUp) || (isCode && e.Partial))
}

func (u *undoFile) close() {
	if u != nil && !u.keep {
		u.Close()
		os.Remove(u.Name())
	}
}
