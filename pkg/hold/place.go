// SPDX-License-Identifier: Apache-2.0

package hold

import "github.com/vmwrite/vmwrite/pkg/address"

// At is the place that an expression names. It is found anew when a pointer that it
// reads has changed. While its entry has vanished, the modules are looked at anew too.
//
// r must be a Resolver of the process whose memory is held.
func At(r *address.Resolver, e *address.Expr) Place { return &expression{r, e} }

type expression struct {
	resolver *address.Resolver
	expr     *address.Expr
}

// Resolve implements [Place].
func (p *expression) Resolve() (uint64, []Link, error) {
	found, err := p.resolver.Resolve(p.expr)
	if err != nil {
		return 0, nil, err
	}
	links := make([]Link, len(found.Links))
	for i, link := range found.Links {
		links[i] = Link{Address: link.Address, Value: link.Value, Size: link.Size}
	}
	return found.Address, links, nil
}

// Refresh implements [Refresher].
func (p *expression) Refresh() { p.resolver.Refresh() }
