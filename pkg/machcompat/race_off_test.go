// SPDX-License-Identifier: Apache-2.0

//go:build !race

package machcompat_test

// raceEnabled is true where the race detector allocates and pools forget.
const raceEnabled = false
