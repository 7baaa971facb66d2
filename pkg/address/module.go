// SPDX-License-Identifier: Apache-2.0

package address

import (
	"fmt"
	"os"
	"path"
	"sort"
	"strings"

	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// Kind tells what a [Module] is.
type Kind uint8

// The kinds of a module.
const (
	ELF  Kind = iota + 1 // a program or library of Linux, or the vdso
	PE                   // a program or library of Windows, which Wine runs
	Data                 // any other file
)

// String returns "elf", "pe" or "data".
func (k Kind) String() string {
	switch k {
	case ELF:
		return "elf"
	case PE:
		return "pe"
	case Data:
		return "data"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Module is a file in the memory of a process: a program or library that was loaded, or
// the mappings of any other file that lie side by side.
type Module struct {
	Name        string       // last part of Path, without " (deleted)"
	Path        string       // as /proc/PID/maps prints it
	Kind        Kind         // what the file is
	Base        uint64       // address of the first byte in memory
	Size        uint64       // in memory, with the parts that are of no file, as .bss
	PointerSize int          // 4 or 8; 0 of Data
	BuildID     string       // ELF: NT_GNU_BUILD_ID; PE: GUID and age, as symbol servers write them; "" if there is none
	Dev         procmaps.Dev // device of the file, as /proc/PID/maps prints it
	Inode       uint64       // inode of the file; 0 of the vdso
	Executable  bool         // something of it is mapped executable

	process Process
	first   procmaps.Mapping // the mapping at Base
}

// vdsoPath is the name of the library that the kernel maps: vdso(7). It has no file.
const vdsoPath = "[vdso]"

// Contains reports whether an address lies in the module.
func (m *Module) Contains(address uint64) bool { return address-m.Base < m.Size }

// matches reports whether a name is that of the module: the last part of its path, the
// end of its path from a slash on, or at least 4 digits at the front of its build id.
// Windows knows no case of names, so there is none for PE.
func (m *Module) matches(name string) bool {
	const fewest = 4
	if name == "" {
		return false
	}
	equal := func(a, b string) bool { return a == b }
	if m.Kind == PE {
		equal = strings.EqualFold
	}
	whole := strings.TrimSuffix(m.Path, deletedMark)
	if equal(name, m.Name) || equal(name, whole) {
		return true
	}
	if at := len(whole) - len(name); at > 0 && (name[0] == '/' || whole[at-1] == '/') && equal(name, whole[at:]) {
		return true
	}
	return len(name) >= fewest && len(name) <= len(m.BuildID) && strings.EqualFold(name, m.BuildID[:len(name)])
}

const deletedMark = " (deleted)" // what the kernel appends to the path of a file that is gone

// modulesOf groups the mappings of a process into modules, in address order. Files are
// told apart by device and inode: their names are whatever somebody chose.
func modulesOf(p Process) ([]*Module, error) {
	mappings, err := mappingsOf(p)
	return modulesIn(p, mappings, mappings), err
}

// modulesAround is modulesOf for those that begin where the image nearest to an address
// does, or between that and the address.
func modulesAround(p Process, address uint64) ([]*Module, error) {
	mappings, err := mappingsOf(p)
	end := sort.Search(len(mappings), func(i int) bool { return mappings[i].Start > address })
	start := max(end-1, 0)
	for start > 0 && (mappings[start].Offset != 0 || mappings[start].Inode == 0 && mappings[start].Path != vdsoPath) {
		start--
	}
	return modulesIn(p, mappings[start:end], mappings), err
}

func mappingsOf(p Process) (mappings []procmaps.Mapping, err error) {
	for m, err := range p.Regions() {
		if err != nil {
			return nil, err
		}
		mappings = append(mappings, m)
	}
	return mappings, nil
}

// modulesIn returns the modules that begin in a part of the mappings.
func modulesIn(p Process, part, mappings []procmaps.Mapping) (modules []*Module) {
	var image *Module         // the last one that was loaded
	var data procmaps.Mapping // the last one of the last module, if that is Data
	for _, m := range part {
		executable := m.Perms&procmaps.Execute != 0
		inside := image != nil && image.Contains(m.Start)
		switch {
		case inside && m.Path != vdsoPath && (m.Inode == 0 || sameFile(image.first, m)):
			image.Executable = image.Executable || executable
			continue
		case m.Inode == 0 && m.Path != vdsoPath:
			continue
		case inside: // so the size in its header was a lie
			image.Size = m.Start - image.Base
		}
		if loaded := loadedModule(p, m, mappings); loaded != nil {
			image, data = loaded, procmaps.Mapping{}
			modules = append(modules, loaded)
			continue
		}
		if m.Inode == 0 {
			continue
		}
		if sameFile(data, m) && data.End == m.Start && data.Offset+(data.End-data.Start) == m.Offset {
			last := modules[len(modules)-1]
			last.Size += m.End - m.Start
			last.Executable = last.Executable || executable
		} else {
			modules = append(modules, newModule(p, m))
		}
		data = m
	}
	return modules
}

func sameFile(a, b procmaps.Mapping) bool {
	return a.Inode != 0 && a.Inode == b.Inode && a.Dev == b.Dev
}

// newModule returns the module of kind Data that one mapping is.
func newModule(p Process, m procmaps.Mapping) *Module {
	return &Module{
		Name: path.Base(strings.TrimSuffix(m.Path, deletedMark)), Path: m.Path, Kind: Data,
		Base: m.Start, Size: m.End - m.Start, Dev: m.Dev, Inode: m.Inode,
		Executable: m.Perms&procmaps.Execute != 0, process: p, first: m,
	}
}

// loadedModule returns the module of a program or library whose first mapping is m, or
// nil if m is none.
func loadedModule(p Process, m procmaps.Mapping, mappings []procmaps.Mapping) *Module {
	if m.Offset != 0 {
		return nil
	}
	module := newModule(p, m)
	i, err := module.headers()
	if err != nil || !i.loaded(m, mappings) {
		return nil
	}
	module.Kind, module.PointerSize = i.Kind, i.PointerSize
	module.Size = max(module.Size, min(i.Size, -m.Start)) // the last one ends where the addresses do
	module.BuildID = i.buildID(memoryFrom(p, m.Start))
	if module.BuildID == "" && m.Inode != 0 {
		if file, err := module.Open(); err == nil {
			module.BuildID = i.buildID(fileImage{i, file})
			file.Close()
		}
	}
	return module
}

// Image returns what the headers of the module say, which are read from memory or, where
// they are not there any more, from the file. The error wraps [ErrNoImage] if the module
// is Data.
func (m *Module) Image() (*Image, error) {
	if m.Kind == Data {
		return nil, fmt.Errorf("%s: %w", procmaps.Printable(m.Path), ErrNoImage)
	}
	i, err := m.headers()
	if err != nil {
		return nil, fmt.Errorf("reading the headers of %s: %w", procmaps.Printable(m.Path), err)
	}
	i.BuildID = m.BuildID
	return i, nil
}

// Open opens the file that is mapped, to be read, whatever became of its name. Only the
// privileged can open one that no name leads to. The vdso has none.
func (m *Module) Open() (*os.File, error) { return openMapped(m.process.PID(), m.first) }

// headers reads the headers of the module, from memory or, where they cannot be read or
// were wiped, from the file. Loaders map files privately.
func (m *Module) headers() (*Image, error) {
	i, err := readImage(memoryFrom(m.process, m.Base))
	if err == nil || m.Inode == 0 || m.first.Shared {
		return i, err
	}
	file, fileErr := m.Open()
	if fileErr != nil {
		return nil, fmt.Errorf("%w; %w", err, fileErr)
	}
	defer file.Close()
	return readImage(file)
}
