// SPDX-License-Identifier: Apache-2.0

package procmaps

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"

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

// nextIoctl is Next through PROCMAP_QUERY.
func (m *Maps) nextIoctl(address uint64) (span Span, found bool, err error) {
	var q linux.ProcmapQuery
	if found, err = m.query(address, &q, nil); !found {
		return Span{}, false, err
	}
	span = spanOf(&q)
	if span.Perms != Read || q.Inode != 0 {
		return span, true, nil
	}
	// A name that is too long for this is another one.
	name := shortNames.Get().(*[shortName]byte)
	defer shortNames.Put(name)
	var named linux.ProcmapQuery
	if ok, _ := m.query(span.Start, &named, name[:]); ok && spanOf(&named) == span && isKernelData(name[:named.VMANameSize], named.Inode) {
		span.Perms = 0
	}
	return span, true, nil
}

// shortName is more than the bytes of a kernel's name for its data.
const shortName = 64

var shortNames = sync.Pool{New: func() any { return new([shortName]byte) }}

// query asks for the mapping at address or the next above it.
func (m *Maps) query(address uint64, q *linux.ProcmapQuery, name []byte) (found bool, err error) {
	q.QueryAddr = address
	q.QueryFlags = linux.PROCMAP_QUERY_COVERING_OR_NEXT_VMA
	err = linux.QueryProcmap(m.fd, q, name)
	runtime.KeepAlive(m)
	switch err {
	case nil:
		return true, nil
	case unix.ENOENT:
		return false, nil
	case unix.ESRCH:
		return false, ErrGone
	}
	return false, fmt.Errorf("PROCMAP_QUERY: %w", err)
}

// rangeIoctl is Range through PROCMAP_QUERY.
func (m *Maps) rangeIoctl(start, end uint64, yield func(Mapping, error) bool) error {
	// The kernel copies a name of up to PATH_MAX bytes, its NUL counted.
	name := make([]byte, unix.PathMax)
	for start < end {
		mapping, found, err := m.mappingAt(start, name)
		if err != nil || !found || mapping.Start >= end || !yield(mapping, nil) {
			return err
		}
		start = mapping.End
	}
	return nil
}

// mappingAt returns the mapping at address or the next above it, with its name.
func (m *Maps) mappingAt(address uint64, name []byte) (mapping Mapping, found bool, err error) {
	var q linux.ProcmapQuery
	found, err = m.query(address, &q, name)
	if errors.Is(err, unix.ENAMETOOLONG) {
		return m.mappingInText(address)
	}
	if !found {
		return Mapping{}, false, err
	}
	span := spanOf(&q)
	path, _, _ := bytes.Cut(name[:q.VMANameSize], []byte{0})
	if isKernelData(path, q.Inode) {
		span.Perms = 0
	}
	return Mapping{
		Start: span.Start, End: span.End, Perms: span.Perms, Shared: span.Shared,
		Offset: q.VMAOffset,
		Dev:    Dev{Major: q.DevMajor, Minor: q.DevMinor},
		Inode:  q.Inode,
		// The text shows a newline so; a mapping has one name, however it is read.
		Path: strings.ReplaceAll(string(path), "\n", `\012`),
	}, true, nil
}

// mappingInText is mappingAt through the text, which alone has names longer
// than PATH_MAX.
func (m *Maps) mappingInText(address uint64) (mapping Mapping, found bool, err error) {
	walkErr := m.rangeText(address, math.MaxUint64, func(first Mapping, lineErr error) bool {
		mapping, found, err = first, lineErr == nil, lineErr
		return false
	})
	return mapping, found, cmp.Or(err, walkErr)
}
