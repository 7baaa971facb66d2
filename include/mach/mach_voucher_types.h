/* SPDX-License-Identifier: Apache-2.0 */
/* mach/mach_voucher_types.h: names of vouchers. There are none here. */
#ifndef _MACH_VOUCHER_TYPES_H_
#define _MACH_VOUCHER_TYPES_H_

#include <mach/port.h>
#include <mach/std_types.h>

typedef mach_port_t mach_voucher_t;
typedef mach_port_name_t mach_voucher_name_t;
typedef mach_voucher_t ipc_voucher_t;

#define MACH_VOUCHER_NULL ((mach_voucher_t)0)
#define MACH_VOUCHER_NAME_NULL ((mach_voucher_name_t)0)
#define IPC_VOUCHER_NULL ((ipc_voucher_t)0)

#endif /* _MACH_VOUCHER_TYPES_H_ */
