// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"golang.org/x/sys/unix"
)

// Journal is a folder that keeps what was there before a patch, and how far whoever
// applied it has come. Each process has a folder in it, and each patch a file there,
// which is written and synchronised before the first byte of the process is changed. What
// is in the file stays as it is; its name tells how far the patch has come, so that one
// rename, which happens or does not, goes from one to the next:
//
//	PID.START.BOOT/0001.prepared   the process may have old bytes, new ones, or some of both
//	PID.START.BOOT/0001.applied    it has the new ones
//	PID.START.BOOT/0001.undoing    as prepared
//
// A patch that was undone has no file any more. Nobody but the owner can read or write
// any of it, and no link is followed.
type Journal struct{ path string }

// JournalError is an error of a journal: it can't be read or written, or it is not what was
// written.
type JournalError struct {
	Path string
	Err  error
}

// Error names the file.
func (e *JournalError) Error() string {
	return "journal " + procmaps.Printable(e.Path) + ": " + e.Err.Error()
}

// Unwrap returns Err.
func (e *JournalError) Unwrap() error { return e.Err }

// Errors that a [JournalError] wraps.
var (
	// ErrDamaged means that a journal is not as it was written.
	ErrDamaged = errors.New("the file is damaged or was edited")
	// ErrInUse means that another process is applying or undoing a patch of the same process.
	ErrInUse = errors.New("a patch of the process is being applied or undone")
)

// OpenJournal returns the journal in a folder, which is made when it is needed. "" is
// vmwrite in $XDG_STATE_HOME, or in ~/.local/state without that.
func OpenJournal(path string) (*Journal, error) {
	if path == "" {
		state := os.Getenv("XDG_STATE_HOME")
		if !filepath.IsAbs(state) { // which the XDG base directory specification tells to ignore
			home, err := os.UserHomeDir()
			if err == nil && !filepath.IsAbs(home) {
				err = fmt.Errorf("HOME is %q, which is no absolute path", home)
			}
			if err != nil {
				return nil, &JournalError{"vmwrite", err}
			}
			state = filepath.Join(home, ".local/state")
		}
		path = filepath.Join(state, "vmwrite")
	}
	return &Journal{path}, nil
}

// The names that files of a journal end in: see Journal.
const (
	prepared = "prepared"
	applied  = "applied"
	undoing  = "undoing"
)

// entry is one patch in a journal: what its file holds, and where that is.
type entry struct {
	record
	folder *os.File // of the process, locked; nil when it is only looked at
	dir    string
	number int
	state  string
}

// record is what a file of a journal holds.
type record struct {
	Process    identity         `json:"process"`
	Executable string           `json:"executable"`
	BuildID    string           `json:"buildID"` // of the program
	Patch      string           `json:"patch"`   // digest of its changes
	Name       string           `json:"name"`
	Time       time.Time        `json:"time"`
	Forced     bool             `json:"forced"`
	Changes    []recordedChange `json:"changes"`
	Pages      []recordedPages  `json:"pages"` // that are made writable for a moment
}

type recordedChange struct {
	Address   uint64   `json:"address"`
	Old       hexBytes `json:"old"`
	New       hexBytes `json:"new"`
	Code      bool     `json:"code"`
	Unprotect bool     `json:"unprotect"`
	Line      int      `json:"line"`
}

func (c recordedChange) end() uint64 { return c.Address + uint64(len(c.New)) }

type recordedPages struct {
	Start uint64         `json:"start"`
	End   uint64         `json:"end"`
	Perms procmaps.Perms `json:"perms"`
}

// hexBytes are bytes that stand as hex digits in JSON.
type hexBytes []byte

func (b hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(b)), nil }

func (b *hexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

// The first line of a file: a mark, the version, and the SHA-256 of the rest.
const (
	journalMark = "vmwrite-journal 1 "
	maxJournal  = 1 << 30 // bytes
)

func (r record) encode() ([]byte, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	return slices.Concat([]byte(journalMark), []byte(hex.EncodeToString(sum[:])), []byte("\n"), body), nil
}

// decodeRecord reads what encode has written. What was not is ErrDamaged.
func decodeRecord(data []byte) (r record, err error) {
	rest, ok := bytes.CutPrefix(data, []byte(journalMark))
	sum, body, found := bytes.Cut(rest, []byte("\n"))
	want := sha256.Sum256(body)
	if !ok || !found || string(sum) != hex.EncodeToString(want[:]) {
		return r, ErrDamaged
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return r, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	for _, c := range r.Changes {
		if len(c.Old) != len(c.New) || len(c.New) == 0 || c.end() < c.Address {
			return r, fmt.Errorf("%w: a change of %d bytes for %d at %#x", ErrDamaged, len(c.New), len(c.Old), c.Address)
		}
	}
	for _, p := range r.Pages {
		if p.Start >= p.End || p.Perms&^(procmaps.Read|procmaps.Write|procmaps.Execute) != 0 {
			return r, fmt.Errorf("%w: pages from %#x to %#x", ErrDamaged, p.Start, p.End)
		}
	}
	return r, nil
}

// digest returns what tells the changes of a patch from those of others.
func digest(p *Patch) string {
	sum := sha256.New()
	for _, c := range p.Changes {
		if c.Find != nil {
			fmt.Fprintf(sum, "%q %q %d", c.Find.Text, c.Find.Module, c.Find.Offset)
		} else {
			fmt.Fprint(sum, c.At)
		}
		fmt.Fprintf(sum, " %x %x %x %v\n", c.Old, c.Mask, c.New, c.Unprotect)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func bootID() (string, error) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(text)), err
}

// folderName is the name of the folder of a process.
func (i identity) folderName() string {
	return fmt.Sprintf("%d.%d.%s", i.PID, i.Start, i.Boot)
}

// find returns the newest entry of a patch for a process; nil if there is none.
func (j *Journal) find(of identity, p *Patch) (*entry, error) {
	sum := digest(p)
	all, err := j.entries(of.folderName())
	if err != nil {
		return nil, err
	}
	for _, e := range slices.Backward(all) {
		if e.Patch == sum && e.Process == of && len(e.Changes) == len(p.Changes) {
			if e.state != applied && e.isInUse() {
				return nil, &JournalError{e.dir, ErrInUse}
			}
			return e, nil
		}
	}
	return nil, nil
}

// isInUse reports whether somebody applies or undoes a patch of the process now.
func (e *entry) isInUse() bool {
	folder, err := openFolder(unix.AT_FDCWD, e.dir)
	if err != nil {
		return false
	}
	defer folder.Close() // which unlocks it, too
	return unix.Flock(int(folder.Fd()), unix.LOCK_SH|unix.LOCK_NB) == unix.EWOULDBLOCK
}

// folders returns the names of the folders of all processes.
func (j *Journal) folders() ([]string, error) {
	folder, err := openFolder(unix.AT_FDCWD, j.path)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, &JournalError{j.path, err}
	}
	defer folder.Close()
	names, err := folder.Readdirnames(-1)
	if err != nil {
		return nil, &JournalError{j.path, err}
	}
	slices.Sort(names)
	return names, nil
}

// entries returns the entries of a process in the order in which they were made.
func (j *Journal) entries(name string) ([]*entry, error) {
	dir := filepath.Join(j.path, name)
	parent, err := openFolder(unix.AT_FDCWD, j.path)
	if err == nil {
		defer parent.Close()
		var folder *os.File
		if folder, err = openFolder(int(parent.Fd()), name); err == nil {
			defer folder.Close()
			return entriesIn(folder, dir)
		}
	}
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	return nil, &JournalError{dir, err}
}

func entriesIn(folder *os.File, dir string) (all []*entry, err error) {
	if _, err := folder.Seek(0, io.SeekStart); err != nil {
		return nil, &JournalError{dir, err}
	}
	names, err := folder.Readdirnames(-1)
	if err != nil {
		return nil, &JournalError{dir, err}
	}
	for _, name := range names {
		e := &entry{dir: dir}
		number, state, _ := strings.Cut(name, ".")
		e.number, err = strconv.Atoi(number)
		e.state = state
		if err != nil || name != e.name() || !slices.Contains([]string{prepared, applied, undoing}, state) {
			if name == whole {
				continue
			}
			return nil, &JournalError{filepath.Join(dir, name), fmt.Errorf("%w: no such file belongs here", ErrDamaged)}
		}
		data, err := readFile(folder, name)
		if errors.Is(err, unix.ENOENT) {
			continue // it went on meanwhile, or was undone
		}
		if err == nil {
			e.record, err = decodeRecord(data)
		}
		if err == nil && e.Process.folderName() != filepath.Base(dir) {
			err = fmt.Errorf("%w: it is of process %d", ErrDamaged, e.Process.PID)
		}
		if err != nil {
			return nil, &JournalError{filepath.Join(dir, name), err}
		}
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b *entry) int { return cmp.Compare(a.number, b.number) })
	return all, nil
}

func (e *entry) name() string { return e.named(e.state) }

func (e *entry) named(state string) string { return fmt.Sprintf("%04d.%s", e.number, state) }

// openFolder opens a folder that nobody else can write to.
func openFolder(parent int, name string) (*os.File, error) {
	fd, err := unix.Openat(parent, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	var status unix.Stat_t
	if err := unix.Fstat(fd, &status); err != nil {
		unix.Close(fd)
		return nil, err
	}
	if status.Uid != uint32(os.Geteuid()) || status.Mode&0o022 != 0 {
		unix.Close(fd)
		return nil, fmt.Errorf("%s can be written by others, or belongs to them: %w", procmaps.Printable(name), unix.EPERM)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// readFile reads a regular file of a folder.
func readFile(folder *os.File, name string) ([]byte, error) {
	fd, err := unix.Openat(int(folder.Fd()), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), name)
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxJournal {
		return nil, fmt.Errorf("%w: it is no file, or has more than %d bytes", ErrDamaged, maxJournal)
	}
	return io.ReadAll(io.LimitReader(file, maxJournal))
}

// lock makes the folder of a process if need be, and waits until nobody else works in it,
// or for the end of ctx.
func (j *Journal) lock(ctx context.Context, of identity) (folder *os.File, dir string, err error) {
	dir = filepath.Join(j.path, of.folderName())
	if err := os.MkdirAll(j.path, 0o700); err != nil {
		return nil, dir, &JournalError{j.path, err}
	}
	parent, err := openFolder(unix.AT_FDCWD, j.path)
	if err != nil {
		return nil, dir, &JournalError{j.path, err}
	}
	defer parent.Close()
	for {
		folder, err = tryLock(parent, of.folderName())
		if err == nil {
			return folder, dir, nil
		}
		if err != unix.EWOULDBLOCK && err != unix.ENOENT {
			return nil, dir, &JournalError{dir, err}
		}
		const look = 10 * time.Millisecond
		select {
		case <-ctx.Done():
			return nil, dir, &JournalError{dir, fmt.Errorf("%w: %w", ErrInUse, ctx.Err())}
		case <-time.After(look):
		}
	}
}

// tryLock makes a folder if need be and locks it. The error is EWOULDBLOCK if another has
// locked it, and ENOENT if another has just removed it.
func tryLock(parent *os.File, name string) (*os.File, error) {
	switch err := unix.Mkdirat(int(parent.Fd()), name, 0o700); err {
	case nil:
		if err := parent.Sync(); err != nil {
			return nil, err
		}
	case unix.EEXIST:
	default:
		return nil, err
	}
	folder, err := openFolder(int(parent.Fd()), name)
	if err != nil {
		return nil, err
	}
	var status unix.Stat_t
	err = unix.Flock(int(folder.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		err = unix.Fstat(int(folder.Fd()), &status)
	}
	if err == nil && status.Nlink == 0 {
		err = unix.ENOENT
	}
	if err != nil {
		folder.Close()
		return nil, err
	}
	_ = unix.Unlinkat(int(folder.Fd()), whole, 0) // whose writer died, before the process was changed
	return folder, nil
}

// prepare writes the file of a patch that is to be applied, behind all that were.
func prepare(folder *os.File, dir string, r record) (*entry, error) {
	all, err := entriesIn(folder, dir)
	if err != nil {
		return nil, err
	}
	e := &entry{record: r, folder: folder, dir: dir, number: 1, state: prepared}
	for _, other := range all {
		if other.Process == r.Process && other.state != applied {
			return nil, fmt.Errorf("%w: %q", ErrUnfinished, other.Name)
		}
		e.number = other.number + 1
	}
	data, err := r.encode()
	if err == nil {
		err = e.write(data)
	}
	if err != nil {
		return nil, &JournalError{filepath.Join(dir, e.name()), err}
	}
	return e, nil
}

// whole is the name of a file until it is whole.
const whole = "new.journal"

// write makes the file under another name, so that it is whole as soon as it is there.
func (e *entry) write(data []byte) error {
	at := int(e.folder.Fd())
	fd, err := unix.Openat(at, whole, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(fd), whole)
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = unix.Renameat2(at, whole, at, e.name(), unix.RENAME_NOREPLACE)
	}
	if err == nil {
		err = e.folder.Sync()
	}
	return err
}

// become renames the file: the patch has come so far.
func (e *entry) become(state string) error {
	at := int(e.folder.Fd())
	if err := unix.Renameat(at, e.name(), at, e.named(state)); err != nil {
		return &JournalError{filepath.Join(e.dir, e.name()), err}
	}
	e.state = state
	return nil
}

// remove removes the file: nothing of the patch is left in the process.
func (e *entry) remove() error {
	if err := unix.Unlinkat(int(e.folder.Fd()), e.name(), 0); err != nil {
		return &JournalError{filepath.Join(e.dir, e.name()), err}
	}
	return nil
}

// unlock lets others work in the folder of a process, and removes it if it is empty.
func (j *Journal) unlock(folder *os.File) {
	_ = unix.Rmdir(filepath.Join(j.path, filepath.Base(folder.Name())))
	folder.Close()
}
