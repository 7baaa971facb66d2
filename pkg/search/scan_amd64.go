// SPDX-License-Identifier: Apache-2.0

package search

import "golang.org/x/sys/cpu"

var hasAVX2 = cpu.X86.HasAVX2

// find is findGo, by the vector unit where there is one.
func find(data []byte, groups int, p *probes) (int, uint64) {
	if groups <= 0 || !hasAVX2 {
		return findGo(data, groups, p)
	}
	_ = data[groups*group+p.reach()-1] // the assembly checks no bounds
	return findAVX2(&data[0], groups, p)
}

//go:noescape
func findAVX2(data *byte, groups int, p *probes) (group int, places uint64)
