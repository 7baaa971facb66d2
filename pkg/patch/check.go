// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/vmwrite/vmwrite/pkg/address"
	"github.com/vmwrite/vmwrite/pkg/search"
)

// check says what of a patch no file may say, whoever made it.
func (p *Patch) check() error {
	if err := checkName(p.Name); err != nil {
		return err
	}
	if p.Executable != "" {
		if err := checkExecutable(p.Executable); err != nil {
			return err
		}
	}
	names := map[string]bool{}
	for _, m := range p.Modules {
		if err := m.check(); err != nil {
			return fmt.Errorf("module %q: %w", m.Name, err)
		}
		if names[m.Name] {
			return fmt.Errorf("module %q is there twice", m.Name)
		}
		names[m.Name] = true
	}
	if err := checkCount(len(p.Changes)); err != nil {
		return err
	}
	for i, c := range p.Changes {
		if err := c.check(len(p.Modules) > 0); err != nil {
			return fmt.Errorf("change %d: %w", i+1, err)
		}
	}
	return nil
}

func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("the name is empty")
	case strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }):
		return fmt.Errorf("the name %q is not one line of text", name)
	}
	return nil
}

func checkExecutable(name string) error {
	if name == "" || strings.ContainsAny(name, "/\x00") {
		return fmt.Errorf("%q is not the last part of a path", name)
	}
	return nil
}

func checkCount(changes int) error {
	if changes == 0 {
		return errors.New("there is no change")
	}
	if changes > maxChanges {
		return fmt.Errorf("there are %d changes, and at most %d are taken", changes, maxChanges)
	}
	return nil
}

func (m Module) check() error {
	if _, err := moduleExpr(m.Name); err != nil {
		return err
	}
	switch {
	case m.BuildID == "" && m.SHA256 == "":
		return errors.New("a module needs a build-id or a sha256: a name alone says nothing of what it is")
	case !isHex(m.BuildID):
		return fmt.Errorf("the build-id %q is not hex digits", m.BuildID)
	case m.SHA256 != "" && (len(m.SHA256) != 64 || !isHex(m.SHA256)):
		return fmt.Errorf("the sha256 %q is not 64 hex digits", m.SHA256)
	}
	return nil
}

func isHex(text string) bool { return strings.Trim(text, "0123456789abcdefABCDEF") == "" }

// check says what is wrong with a change of a patch that has the condition on a module,
// or has none.
func (c *Change) check(identity bool) error {
	switch {
	case c.At == nil && c.Find == nil:
		return errors.New("the change has no place: it needs at or find")
	case c.At != nil && c.Find != nil:
		return errors.New("the change has two places: it may have at or find")
	case len(c.New) == 0:
		return errors.New("the change has no new bytes")
	case len(c.Old) > 0 && len(c.Old) != len(c.New):
		return fmt.Errorf("there are %d old bytes and %d new ones, and both must be as many", len(c.Old), len(c.New))
	case c.Mask != nil && len(c.Mask) != len(c.Old):
		return fmt.Errorf("there are %d old bytes and a mask of %d", len(c.Old), len(c.Mask))
	case !identity && !c.isFixed():
		return errors.New("without old bytes, modules must say by a build-id or sha256 which program the patch is for")
	}
	if c.Find == nil {
		return nil
	}
	if _, err := search.ParsePattern(c.Find.Text); err != nil {
		return err
	}
	_, err := moduleExpr(c.Find.Module)
	return err
}

// isFixed reports whether some bit of the old bytes must be there.
func (c *Change) isFixed() bool {
	for i := range c.Old {
		if c.Mask == nil || c.Mask[i] != 0 {
			return true
		}
	}
	return false
}

// moduleExpr returns the address of a module with a name. The name has no quotes as in an
// expression, and may be @exe or @vdso.
func moduleExpr(name string) (*address.Expr, error) {
	switch {
	case name == "":
		return nil, errors.New("the name of the module is empty")
	case name == "@exe" || name == "@vdso":
	case strings.HasPrefix(name, "@"):
		return nil, fmt.Errorf("no module is called %q; there are @exe and @vdso", name)
	case strings.Contains(name, `"`):
		return nil, fmt.Errorf("the name of a module has no quotes of an expression: %q", name)
	default:
		name = address.Quote(name)
	}
	return address.Parse(name)
}
