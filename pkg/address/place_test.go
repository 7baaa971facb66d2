// SPDX-License-Identifier: Apache-2.0

package address

import (
	"math/bits"
	"os"
	"testing"

	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// The map may show another device than stat does, on overlayfs and btrfs, and then the
// inode may be another file's.
func TestProgramOf(t *testing.T) {
	path, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	var self Module
	for _, m := range newFake(t).modules {
		if m.Name == "game" {
			self = *m
		}
	}
	self.Path = path
	with := func(change func(m *Module)) *Module {
		m := self
		change(&m)
		return &m
	}
	other := with(func(m *Module) { m.Path, m.Inode, m.Dev = "/other", m.Inode+1, procmaps.Dev{Major: 1} })
	sameInode := with(func(m *Module) { m.Path, m.Dev = "/other", procmaps.Dev{Major: 1} })
	otherDevice := with(func(m *Module) { m.Dev = procmaps.Dev{Major: 1} })
	pathAlone := with(func(m *Module) { m.Inode, m.Dev = m.Inode+1, procmaps.Dev{} })
	renamed := with(func(m *Module) { m.Path += " (deleted)" })
	data := with(func(m *Module) { m.Kind = Data })
	read := with(func(m *Module) { m.Executable = false })
	for _, c := range []struct {
		name    string
		modules []*Module
		want    *Module
	}{
		{"by device and inode", []*Module{other, sameInode, otherDevice, renamed}, renamed},
		{"by inode and path", []*Module{other, sameInode, pathAlone, otherDevice}, otherDevice},
		{"by path", []*Module{other, sameInode, pathAlone}, pathAlone},
		{"the one that is mapped to be run", []*Module{data, read, &self, renamed}, &self},
		{"one that is only read, if there is no other", []*Module{other, read}, read},
		{"none by the inode alone", []*Module{other, sameInode}, nil},
		{"none", nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := programOf(os.Getpid(), c.modules); got != c.want || (err == nil) != (c.want != nil) {
				t.Errorf("%+v, %v; want %+v", got, err, c.want)
			}
		})
	}
	if m, err := programOf(-1, []*Module{&self}); m != nil || !os.IsNotExist(err) {
		t.Errorf("no process has %v, %v", m, err)
	}
}

func TestPointerSize(t *testing.T) {
	const own = bits.UintSize / 8
	for header, want := range map[string]int{
		"\x7fELF\x01": 4, "\x7fELF\x02": 8, "\x7fELF\x03": own, "\x7fELF": own, "#!/bi": own, "": own,
	} {
		if got := elfPointerSize([]byte(header)); got != want {
			t.Errorf("%q says %d; want %d", header, got, want)
		}
	}
	if got := pointerSizeOf(os.Getpid()); got != own {
		t.Errorf("this process has pointers of %d bytes; want %d", got, own)
	}
	if got := pointerSizeOf(-1); got != own {
		t.Errorf("no process has pointers of %d bytes; want %d", got, own)
	}
}
