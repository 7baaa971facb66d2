package procmaps

import (
	"bytes"
	"strings"

	"github.com/vmwrite/vmwrite/internal/linux"
	"golang.org/x/sys/unix"
)

// PROCMAP_QUERY's permission bits are those of mmap(2) and so of Perms.
const permsMask = linux.PROCMAP_QUERY_VMA_READABLE | linux.PROCMAP_QUERY_VMA_WRITABLE | linux.PROCMAP_QUERY_VMA_EXECUTABLE

func spanOf(q *linux.ProcmapQuery) Span {
	return Span{
		Start:  q.VMAStart,
		End:    q.VMAEnd,
		Perms:  Perms(q.VMAFlags & permsMask),
		Shared: q.VMAFlags&linux.PROCMAP_QUERY_VMA_SHARED != 0,
	}
}

// rangeIoctl is Range through PROCMAP_QUERY.
func (m *Maps) rangeIoctl(start, end uint64, yield func(Mapping, error) bool) error {
	// The kernel copies a name of up to PATH_MAX bytes, its NUL counted.
	name := make([]byte, unix.PathMax)
	for start < end {
		mapping, err := m.mappingAt(start, name)
		if err == unix.ENOENT {
			return nil
		}
		if err != nil {
			return queryError(err)
		}
		if mapping.Start >= end || !yield(mapping, nil) {
			return nil
		}
		start = mapping.End
	}
	return nil
}

// mappingAt returns the mapping at address or the next above it, with its name.
func (m *Maps) mappingAt(address uint64, name []byte) (Mapping, error) {
	var q linux.ProcmapQuery
	err := m.query(address, &q, name)
	tooLong := err == unix.ENAMETOOLONG
	if tooLong {
		err = m.query(address, &q, nil)
	}
	if err != nil {
		return Mapping{}, err
	}
	span := spanOf(&q)
	mapping := Mapping{
		Start: span.Start, End: span.End, Perms: span.Perms, Shared: span.Shared,
		Offset: q.VMAOffset,
		Dev:    Dev{Major: q.DevMajor, Minor: q.DevMinor},
		Inode:  q.Inode,
	}
	if tooLong {
		mapping.Path, err = m.pathFromText(span.Start)
		return mapping, err
	}
	path, _, _ := bytes.Cut(name[:q.VMANameSize], []byte{0})
	// The text shows a newline so; a mapping has one name, however it is read.
	mapping.Path = strings.ReplaceAll(string(path), "\n", `\012`)
	return mapping, nil
}

// pathFromText returns the name of the mapping at address from the text, which
// alone has names longer than PATH_MAX.
func (m *Maps) pathFromText(address uint64) (path string, err error) {
	walkErr := m.eachLine(address, address+1, func(line []byte, _ Span) bool {
		var mapping Mapping
		mapping, err = parseLine(line)
		path = mapping.Path
		return false
	})
	if walkErr != nil {
		return "", walkErr
	}
	return path, err
}
