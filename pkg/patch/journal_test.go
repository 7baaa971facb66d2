// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"golang.org/x/sys/unix"
)

// written returns a journal with one entry, of this process, its file and the folder of
// that.
func written(t *testing.T) (j *Journal, file string) {
	t.Helper()
	j = &Journal{filepath.Join(t.TempDir(), "state", "journal")}
	of, err := identityOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	folder, dir, err := j.lock(context.Background(), of)
	if err != nil {
		t.Fatal(err)
	}
	defer j.unlock(folder)
	e, err := prepare(folder, dir, record{
		Process: of, Name: "a patch", Patch: strings.Repeat("ab", 32), Time: time.Now().UTC(),
		Changes: []recordedChange{{Address: 0x1000, Old: []byte{1, 2}, New: []byte{3, 4}, Code: true, Line: 7}},
		Pages:   []recordedPages{{0x1000, 0x2000, procmaps.Read | procmaps.Execute}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return j, filepath.Join(dir, e.name())
}

// recoverNothing recovers with an open that must not be called.
func (j *Journal) recoverNothing(t *testing.T) ([]Recovered, error) {
	t.Helper()
	open := func(pid int) (Process, func(), error) {
		t.Errorf("process %d is opened", pid)
		return nil, nil, errors.New("it must not be")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	return j.Recover(ctx, open, RecoverOptions{})
}

// isDamaged fails unless err is one clear error of a file.
func isDamaged(t *testing.T, what string, err error) {
	t.Helper()
	of, ok := errors.AsType[*JournalError](err)
	if !ok || of.Path == "" || strings.Contains(err.Error(), "\n") {
		t.Errorf("%s: error %v; want one JournalError with a path", what, err)
	}
}

// A journal that was cut anywhere, or of which any byte was changed, is refused.
func TestDamagedJournal(t *testing.T) {
	j, file := written(t)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decodeRecord(whole); err != nil {
		t.Fatalf("decodeRecord of what was written = %v", err)
	}
	try := func(what string, data []byte) {
		t.Helper()
		if _, err := decodeRecord(data); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: decodeRecord = %v; want ErrDamaged", what, err)
		}
	}
	for size := range whole {
		try("a cut", whole[:size])
	}
	for i := range whole {
		edited := append([]byte(nil), whole...)
		edited[i] ^= 0x20
		try("an edit", edited)
	}
	try("something behind it", append(whole, '\n'))
	for _, size := range []int{0, 1, len(journalMark), len(whole) / 2, len(whole) - 1} {
		must(t, os.WriteFile(file, whole[:size], 0o600))
		all, err := j.recoverNothing(t)
		if len(all) != 0 || !errors.Is(err, ErrDamaged) {
			t.Errorf("cut to %d bytes: Recover = %v, %v; want ErrDamaged", size, all, err)
		}
		isDamaged(t, "a cut", err)
	}
}

// What is written with a right checksum, but makes no sense, is refused too.
func TestSenselessJournal(t *testing.T) {
	tests := []struct {
		name string
		edit func(*record)
	}{
		{"old and new bytes of other sizes", func(r *record) { r.Changes[0].Old = nil }},
		{"no bytes", func(r *record) { r.Changes[0].Old, r.Changes[0].New = nil, nil }},
		{"over the end of the addresses", func(r *record) { r.Changes[0].Address = 1<<64 - 1 }},
		{"pages that end before they begin", func(r *record) { r.Pages[0].End = r.Pages[0].Start }},
		{"a protection that is none", func(r *record) { r.Pages[0].Perms = 0x40 }},
		{"another process", func(r *record) { r.Process.PID++ }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			j, file := written(t)
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			r, err := decodeRecord(data)
			if err != nil {
				t.Fatal(err)
			}
			test.edit(&r)
			if data, err = r.encode(); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, data, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := j.recoverNothing(t); !errors.Is(err, ErrDamaged) {
				t.Errorf("Recover = %v; want ErrDamaged", err)
			}
		})
	}
}

// What others could have put there is not followed.
func TestJournalOfOthers(t *testing.T) {
	tests := []struct {
		name string
		make func(t *testing.T, j *Journal, file string)
		want error
	}{
		{"a link in place of the file", func(t *testing.T, _ *Journal, file string) {
			must(t, os.Rename(file, filepath.Join(t.TempDir(), "elsewhere")))
			must(t, os.Symlink("/etc/passwd", file))
		}, unix.ELOOP},
		{"a link in place of the folder of the process", func(t *testing.T, _ *Journal, file string) {
			elsewhere := filepath.Join(t.TempDir(), "elsewhere")
			must(t, os.Rename(filepath.Dir(file), elsewhere))
			must(t, os.Symlink(elsewhere, filepath.Dir(file)))
		}, unix.ENOTDIR},
		{"a link in place of the journal", func(t *testing.T, j *Journal, _ string) {
			elsewhere := filepath.Join(t.TempDir(), "elsewhere")
			must(t, os.Rename(j.path, elsewhere))
			must(t, os.Symlink(elsewhere, j.path))
		}, unix.ENOTDIR},
		{"a pipe in place of the file", func(t *testing.T, _ *Journal, file string) {
			must(t, os.Remove(file))
			must(t, unix.Mkfifo(file, 0o600))
		}, ErrDamaged},
		{"a folder that everybody can write to", func(t *testing.T, j *Journal, _ string) {
			must(t, os.Chmod(j.path, 0o777))
		}, unix.EPERM},
		{"another file", func(t *testing.T, _ *Journal, file string) {
			must(t, os.WriteFile(filepath.Join(filepath.Dir(file), "notes.txt"), nil, 0o600))
		}, ErrDamaged},
		{"another folder", func(t *testing.T, j *Journal, file string) {
			must(t, os.RemoveAll(filepath.Dir(file)))
			must(t, os.Mkdir(filepath.Join(j.path, "notes"), 0o700))
		}, ErrDamaged},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			j, file := written(t)
			test.make(t, j, file)
			_, err := j.recoverNothing(t)
			if !errors.Is(err, test.want) {
				t.Errorf("Recover = %v; want %v", err, test.want)
			}
			isDamaged(t, test.name, err)
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Nobody but the owner can look into a journal.
func TestJournalIsPrivate(t *testing.T) {
	defer unix.Umask(unix.Umask(0))
	j, file := written(t)
	for path, want := range map[string]os.FileMode{j.path: 0o700, filepath.Dir(file): 0o700, file: 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s is %v, %v; want %v", path, info.Mode(), err, want)
		}
	}
}

// The journal of a process that is gone is removed, and not applied to what has its pid.
func TestJournalOfANewcomer(t *testing.T) {
	tests := []struct {
		name string
		edit func(*identity)
	}{
		{"another start time", func(i *identity) { i.Start-- }},
		{"another boot", func(i *identity) { i.Boot = "00000000-0000-0000-0000-000000000000" }},
		{"another program", func(i *identity) { i.Layout = " 1 2 3 " }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			j := &Journal{filepath.Join(t.TempDir(), "journal")}
			of, err := identityOf(os.Getpid())
			must(t, err)
			test.edit(&of)
			folder, dir, err := j.lock(context.Background(), of)
			must(t, err)
			_, err = prepare(folder, dir, record{Process: of, Name: "a patch", Changes: []recordedChange{{Address: 0x1000, Old: []byte{1}, New: []byte{2}}}})
			must(t, err)
			j.unlock(folder)
			all, err := j.recoverNothing(t)
			if err != nil || len(all) != 1 || all[0].Outcome != Gone || all[0].Err != nil {
				t.Errorf("Recover = %v, %v; want one that is gone", all, err)
			}
			if left, err := os.ReadDir(j.path); err != nil || len(left) != 0 {
				t.Errorf("the journal has %v, %v; want nothing", left, err)
			}
		})
	}
}

// Whether a process of another pid namespace is gone can't be told.
func TestJournalOfAnotherNamespace(t *testing.T) {
	for _, pid := range []int{os.Getpid(), 1 << 30} { // a pid that is here too, and one that is not
		j := &Journal{filepath.Join(t.TempDir(), "journal")}
		of, err := identityOf(os.Getpid())
		must(t, err)
		of.PID, of.Space = pid, "pid:[1]"
		folder, dir, err := j.lock(context.Background(), of)
		must(t, err)
		_, err = prepare(folder, dir, record{Process: of, Name: "a patch", Changes: []recordedChange{{Address: 0x1000, Old: []byte{1}, New: []byte{2}}}})
		must(t, err)
		j.unlock(folder)
		all, err := j.recoverNothing(t)
		if err != nil || len(all) != 1 || all[0].Outcome != Failed || !errors.Is(all[0].Err, errElsewhere) {
			t.Errorf("pid %d: Recover = %v, %v; want one that failed", pid, all, err)
		}
		if left, err := j.entries(of.folderName()); err != nil || len(left) != 1 {
			t.Errorf("pid %d: the journal has %v, %v; want its one entry", pid, left, err)
		}
	}
}

// Whoever dies before its file is whole leaves one that is in nobody's way.
func TestJournalThatWasNotFinished(t *testing.T) {
	j, file := written(t)
	must(t, os.Rename(file, filepath.Join(filepath.Dir(file), "new.journal")))
	if all, err := j.recoverNothing(t); err != nil || len(all) != 0 {
		t.Errorf("Recover = %v, %v; want nothing", all, err)
	}
	if left, err := os.ReadDir(j.path); err != nil || len(left) != 0 {
		t.Errorf("the journal has %v, %v; want nothing", left, err)
	}
}

// Two who patch the same process wait for each other.
func TestJournalInUse(t *testing.T) {
	j, _ := written(t)
	of, err := identityOf(os.Getpid())
	must(t, err)
	folder, _, err := j.lock(context.Background(), of)
	must(t, err)
	if _, err := j.recoverNothing(t); !errors.Is(err, ErrInUse) {
		t.Errorf("Recover beside another = %v; want ErrInUse", err)
	}
	j.unlock(folder)
}
