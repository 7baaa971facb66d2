/* SPDX-License-Identifier: Apache-2.0 */
/* mach_port_get_refs. */
#include "../check.h"

int main(int argc, char **argv)
{
	mach_port_t task = begin(argc, argv), self = mach_task_self();
	mach_port_urefs_t refs = 7;

	RETURNS(KERN_SUCCESS, mach_port_get_refs(self, task, MACH_PORT_RIGHT_SEND, &refs));
	CHECK(refs == 1);
	RETURNS(KERN_SUCCESS, mach_port_get_refs(self, task, MACH_PORT_RIGHT_DEAD_NAME, &refs));
	CHECK(refs == 0);
	RETURNS(KERN_SUCCESS, mach_port_get_refs(self, self, MACH_PORT_RIGHT_SEND, &refs));
	CHECK(refs >= 1);
	RETURNS(KERN_SUCCESS, mach_port_get_refs(self, MACH_PORT_NULL, MACH_PORT_RIGHT_SEND, &refs));
	CHECK(refs == 0);
	refs = 7;
	RETURNS(KERN_INVALID_NAME, mach_port_get_refs(self, 4711, MACH_PORT_RIGHT_SEND, &refs));
	RETURNS(KERN_INVALID_VALUE, mach_port_get_refs(self, task, MACH_PORT_RIGHT_NUMBER, &refs));
	RETURNS(KERN_INVALID_ARGUMENT, mach_port_get_refs(self, task, MACH_PORT_RIGHT_SEND, NULL));
	RETURNS(KERN_INVALID_TASK, mach_port_get_refs(task, task, MACH_PORT_RIGHT_SEND, &refs));
	RETURNS(MACH_SEND_INVALID_DEST, mach_port_get_refs(TASK_NULL, task, MACH_PORT_RIGHT_SEND, &refs));
	CHECK(refs == 7);
	return failures != 0;
}
