// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"

	"github.com/vmwrite/vmwrite/pkg/address"
	"github.com/vmwrite/vmwrite/pkg/patch"
)

// original is the file that changes are counted in.
type original struct {
	*io.SectionReader
	image  *address.Image
	fixups []address.Span
	is     patch.Module // without a name
}

// openOriginal reads the headers of the original, which must be what the options say.
func openOriginal(o Options) (*original, error) {
	image, err := address.ReadImage(o.Original)
	if err != nil {
		return nil, fmt.Errorf("the original: %w", err)
	}
	f := &original{SectionReader: o.Original, image: image, is: patch.Module{BuildID: image.BuildID}}
	if o.BuildID != "" && !strings.EqualFold(o.BuildID, image.BuildID) {
		return nil, fmt.Errorf("%w: its build id is %q, not %q", ErrOriginal, image.BuildID, o.BuildID)
	}
	if o.SHA256 != "" || image.BuildID == "" {
		hash := sha256.New()
		if _, err := io.Copy(hash, io.NewSectionReader(f, 0, f.Size())); err != nil {
			return nil, fmt.Errorf("the original: %w", err)
		}
		f.is.SHA256 = hex.EncodeToString(hash.Sum(nil))
		if o.SHA256 != "" && !strings.EqualFold(o.SHA256, f.is.SHA256) {
			return nil, fmt.Errorf("%w: its SHA-256 is %s, not %s", ErrOriginal, f.is.SHA256, o.SHA256)
		}
	}
	if f.fixups, err = image.Fixups(f, 0); err != nil {
		return nil, fmt.Errorf("the original: %w", err)
	}
	return f, nil
}

// inMemory returns where the bytes from an offset of the file on are in memory, or why they
// are not there as one run.
func (f *original) inMemory(offset, size uint64) (at uint64, part address.Part, err error) {
	if end := uint64(f.Size()); offset > end || size > end-offset {
		return 0, part, fmt.Errorf("it is behind the end of the file, which has %#x bytes", end)
	}
	at, ok := f.image.AtOffset(offset)
	behind := "" // the part that it is behind
	for _, part := range f.image.Parts {
		switch in := offset - part.Offset; {
		case in < part.FileSize && !ok:
			return 0, part, errors.New("it is loaded at more than one place")
		case in < part.FileSize && size > part.FileSize-in:
			return 0, part, fmt.Errorf("it runs over the end of %s", partName(part))
		case in < part.FileSize:
			return at, part, nil
		case in >= part.FileSize && offset >= part.Offset:
			behind = ", behind " + partName(part)
		}
	}
	return 0, part, errors.New("nothing loads it" + behind)
}

// partAt returns the part that has some bytes of memory.
func (f *original) partAt(at, size uint64) (address.Part, error) {
	for _, part := range f.image.Parts {
		switch {
		case part.Contains(at) && size > part.Size-(at-part.At):
			return part, fmt.Errorf("it runs over the end of %s", partName(part))
		case part.Contains(at):
			return part, nil
		}
	}
	return address.Part{}, errors.New("the original has nothing there")
}

// loaded returns what a loader puts at a place in a part.
func (f *original) loaded(part address.Part, at, size uint64) ([]byte, error) {
	loaded := make([]byte, size)
	in := at - part.At
	if in >= part.FileSize {
		return loaded, nil
	}
	has := loaded[:min(size, part.FileSize-in)]
	if n, err := f.ReadAt(has, int64(part.Offset+in)); n < len(has) && err != io.EOF {
		return nil, fmt.Errorf("reading the original: %w", err)
	}
	return loaded, nil
}

// loaderChanges reports whether a loader changes one of some bytes in memory.
func (f *original) loaderChanges(at, size uint64) bool {
	n := sort.Search(len(f.fixups), func(n int) bool { return f.fixups[n].At+f.fixups[n].Size > at })
	return n < len(f.fixups) && f.fixups[n].At < at+size
}

func partName(p address.Part) string {
	if p.Name == "" {
		return fmt.Sprintf("the part at %#x", p.At)
	}
	return fmt.Sprintf("%q", p.Name)
}
