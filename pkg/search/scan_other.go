// SPDX-License-Identifier: Apache-2.0

//go:build !amd64

package search

func find(data []byte, groups int, p *probes) (int, uint64) { return findGo(data, groups, p) }
