/* SPDX-License-Identifier: Apache-2.0 */
/* mach/thread_status.h: the registers of a thread. */
#ifndef _MACH_THREAD_STATUS_H_
#define _MACH_THREAD_STATUS_H_

#include <mach/machine/thread_state.h>
#include <mach/machine/thread_status.h>
#include <mach/machine/vm_types.h>

typedef natural_t *thread_state_t;
typedef natural_t thread_state_data_t[THREAD_STATE_MAX];

#define THREAD_STATE_FLAVOR_LIST 0

typedef int thread_state_flavor_t;
typedef thread_state_flavor_t *thread_state_flavor_array_t;

#endif /* _MACH_THREAD_STATUS_H_ */
