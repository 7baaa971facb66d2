// SPDX-License-Identifier: Apache-2.0

// Package search finds bytes and values in the memory of another process, and what of
// them changes.
//
// What is looked for is a [Pattern] or a [Value]. [First] looks through the mappings,
// with all cores and in bounded memory, and yields the matches in the order of their
// addresses. [Save] keeps them in a file instead, as [Candidates], of which each
// [Candidates.Next] keeps those whose values have become what is asked for.
//
// Nothing here stops the process or writes to it. A search of memory that changes
// meanwhile is of each byte at some moment of it.
package search
