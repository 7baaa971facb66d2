// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
)

// series is what one contender cost, a value for each round.
type series struct {
	name   string
	values []float64
	aside  bool // it is no peer of the first one of its group
}

// spread says how values lie: the quartiles, and the ends.
type spread struct {
	low, first, median, third, high float64
	count                           int
}

func spreadOf(values []float64) spread {
	sorted := slices.Sorted(slices.Values(values))
	return spread{
		low: sorted[0], first: quantile(sorted, 0.25), median: quantile(sorted, 0.5),
		third: quantile(sorted, 0.75), high: sorted[len(sorted)-1], count: len(sorted),
	}
}

// quantile lies between two values where it falls between two.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 == len(sorted) {
		return sorted[i]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

func (s series) spread() spread { return spreadOf(s.values) }

// over returns the ratio to other of each round. What disturbs the machine for
// longer than a round disturbs both, and cancels out.
func (s series) over(other series) spread {
	ratios := make([]float64, min(len(s.values), len(other.values)))
	for i := range ratios {
		ratios[i] = s.values[i] / other.values[i]
	}
	return spreadOf(ratios)
}

// timesOver is over for costs of which other's is the greater: how many times.
func (s series) timesOver(other series) spread { return other.over(s) }

// unit writes the values of a series.
type unit func(float64) string

// seconds writes a time with three digits.
func seconds(s float64) string {
	switch {
	case s < 0.9995e-6:
		return digits(s*1e9) + " ns"
	case s < 0.9995e-3:
		return digits(s*1e6) + " µs"
	case s < 0.9995:
		return digits(s*1e3) + " ms"
	}
	return digits(s) + " s"
}

// byteCount writes an amount of memory.
func byteCount(n float64) string {
	for i, name := range []string{"B", "KiB", "MiB", "GiB"} {
		size := n / math.Pow(1024, float64(i))
		if size >= 1023.5 && name != "GiB" {
			continue
		}
		if size == math.Trunc(size) {
			return plain(size) + " " + name
		}
		return digits(size) + " " + name
	}
	return ""
}

// plain writes a number as it is.
func plain(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// digits writes three of them.
func digits(v float64) string {
	switch {
	case v >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case v >= 9.995:
		return fmt.Sprintf("%.1f", v)
	case v >= 0.0995:
		return fmt.Sprintf("%.2f", v)
	case v == 0:
		return "0"
	}
	return fmt.Sprintf("%.2g", v)
}

func perCall(total time.Duration, calls int) float64 { return total.Seconds() / float64(calls) }
