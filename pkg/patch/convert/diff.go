// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/vmwrite/vmwrite/pkg/address"
	"github.com/vmwrite/vmwrite/pkg/patch"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// DiffFiles makes a patch of what differs between two ELF or PE files with the same parts at
// the same places, of which Original is the first. Module is needed. What was skipped is as
// [Import] has it: differences that nothing loads, or where a loader changes what it loads.
// The error is an [*Error] or a [*SkippedError].
func DiffFiles(after *io.SectionReader, o Options) (*patch.Patch, []Skipped, error) {
	p, skipped, err := diffFiles(after, o)
	if err != nil {
		if _, ok := errors.AsType[*SkippedError](err); !ok {
			err = &Error{Err: err}
		}
		return nil, skipped, err
	}
	return p, skipped, nil
}

func diffFiles(after *io.SectionReader, o Options) (*patch.Patch, []Skipped, error) {
	if o.Original == nil || o.Module == "" {
		return nil, nil, errors.New("the file before the changes and the name of its module are needed")
	}
	before, err := openOriginal(o)
	if err != nil {
		return nil, nil, err
	}
	image, err := address.ReadImage(after)
	if err != nil {
		return nil, nil, fmt.Errorf("the second file: %w", err)
	}
	was := before.image
	if was.Kind != image.Kind || was.Machine != image.Machine || was.PointerSize != image.PointerSize {
		return nil, nil, fmt.Errorf("the files are for different machines: %v of %v and %v of %v", was.Kind, was.Machine, image.Kind, image.Machine)
	}
	if !slices.Equal(was.Parts, image.Parts) {
		for i := range max(len(was.Parts), len(image.Parts)) {
			if i >= len(was.Parts) || i >= len(image.Parts) {
				return nil, nil, fmt.Errorf("the files have %d and %d parts, so the same code may be elsewhere", len(was.Parts), len(image.Parts))
			}
			if a, b := was.Parts[i], image.Parts[i]; a != b {
				return nil, nil, fmt.Errorf("%s is other in the second file (%#x bytes at %#x, and %#x at %#x), so the same code may be elsewhere",
					partName(a), a.Size, a.At, b.Size, b.At)
			}
		}
	}
	b := &builder{Options: o, original: before}
	if err := b.cut(uint64(after.Size())); err != nil {
		return nil, nil, err
	}
	if err := b.compareWith(after); err != nil {
		return nil, nil, err
	}
	return b.build()
}

// DiffModule makes a patch of what was changed in a loaded module since it was loaded: its
// parts that are not writable, in memory and in its file. The old bytes are those of the
// file. Memory is read at the addresses of the process. Of the options only Name and Module
// matter; the module's own name is taken if that is "".
//
// What was skipped does not make it fail: parts that the process may write, memory that
// cannot be read, and differences where the loader changes what it loads. The error wraps
// [ErrNoDifference] if nothing was changed; it is an [*Error].
func DiffModule(m *address.Module, memory io.ReaderAt, o Options) (*patch.Patch, []Skipped, error) {
	p, skipped, err := diffModule(m, memory, o)
	if err != nil {
		return nil, skipped, &Error{Err: err}
	}
	return p, skipped, nil
}

func diffModule(m *address.Module, memory io.ReaderAt, o Options) (*patch.Patch, []Skipped, error) {
	if strings.HasPrefix(m.Path, "[") {
		return nil, nil, fmt.Errorf("%s is of the kernel, and has no file to compare it with", procmaps.Printable(m.Name))
	}
	f, err := m.Open()
	if err != nil {
		return nil, nil, fmt.Errorf("opening the file of %s: %w", procmaps.Printable(m.Name), err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	file, err := openOriginal(Options{Original: io.NewSectionReader(f, 0, info.Size())})
	if err != nil {
		return nil, nil, err
	}
	if file.fixups, err = file.image.Fixups(file, m.Base); err != nil {
		return nil, nil, err
	}
	b := &builder{Options: Options{Name: o.Name, Module: cmp.Or(o.Module, m.Name)}}
	for _, part := range file.image.Parts {
		if part.Perms&procmaps.Write != 0 {
			b.skipped = append(b.skipped, Skipped{Offset: part.At, Size: part.Size, Reason: "the process may write it"})
			continue
		}
		if err := b.comparePart(part, file, io.NewSectionReader(memory, int64(m.Base), 1<<62)); err != nil {
			return nil, nil, err
		}
	}
	if len(b.edits) == 0 {
		return nil, b.skipped, ErrNoDifference
	}
	b.Partial = true
	b.BuildID, b.SHA256 = file.is.BuildID, file.is.SHA256
	return b.build()
}

// comparePart adds what differs between a part in memory, which begins with that of the
// module, and in the file.
func (b *builder) comparePart(part address.Part, file *original, memory io.ReaderAt) error {
	const page = 4096
	before, now := make([]byte, page), make([]byte, page)
	loader := uint64(0) // bytes that differ where it changes what it loads
	for in := uint64(0); in < part.FileSize; in += page - (part.At+in)%page {
		size := min(page-(part.At+in)%page, part.FileSize-in)
		had, err := file.ReadAt(before[:size], int64(part.Offset+in))
		if err != nil && err != io.EOF {
			return fmt.Errorf("reading the file: %w", err)
		}
		at := part.At + in
		if n, _ := memory.ReadAt(now[:size], int64(at)); uint64(n) < size {
			b.skip(edit{at: at, new: now[:size]}, "it cannot be read")
			continue
		}
		for i := range uint64(had) {
			if before[i] != now[i] && file.loaderChanges(at+i, 1) {
				loader++
				now[i] = before[i]
			}
		}
		if err := b.compare(at, before[:had], now[:had]); err != nil {
			return err
		}
	}
	if loader > 0 {
		b.skipped = append(b.skipped, Skipped{Offset: part.At, Size: loader, Reason: "the loader changes what it loads here"})
	}
	return nil
}
