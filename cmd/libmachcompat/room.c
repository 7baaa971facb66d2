/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge.h"

/* Structs have grown: a caller has room for one of several versions. */
uint32_t machcompat_fitting(const uint32_t *counts, uint32_t room)
{
	while (*counts > room)
		counts++;
	return *counts;
}
