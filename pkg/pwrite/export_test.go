// SPDX-License-Identifier: Apache-2.0

package pwrite

// SetMaxBytes makes so many bytes the most that one call moves, and returns what
// makes it [MaxBytes] again.
func SetMaxBytes(most int) (reset func()) {
	maxBytes = most
	return func() { maxBytes = MaxBytes }
}
