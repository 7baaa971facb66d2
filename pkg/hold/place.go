// SPDX-License-Identifier: Apache-2.0

package hold

import "github.com/vmwrite/vmwrite/pkg/address"

// At is the place that an expression names. It is found anew when a pointer that it
// reads has changed, and within a second or two when its module lies elsewhere.
//
// r must be a Resolver of the process whose memory is held.
func At(r *address.Resolver, e *address.Expr) Place { return &expression{resolver: r, expr: e} }

type expression struct {
	resolver   *address.Resolver
	expr       *address.Expr
	generation uint64 // of the modules by which it was resolved
}

// Resolve implements [Place].
func (p *expression) Resolve() (uint64, []Link, error) {
	// First: if the modules are forgotten meanwhile it is resolved once more.
	generation, err := p.resolver.Recheck(recheckInterval)
	if err != nil {
		return 0, nil, err
	}
	found, err := p.resolver.Resolve(p.expr)
	if err != nil {
		return 0, nil, err
	}
	p.generation = generation
	links := make([]Link, len(found.Links))
	for i, link := range found.Links {
		links[i] = Link{Address: link.Address, Value: link.Value, Size: link.Size}
	}
	return found.Address, links, nil
}

// Moved implements [Mover].
func (p *expression) Moved() bool {
	generation, err := p.resolver.Recheck(recheckInterval)
	return err == nil && generation != p.generation
}
