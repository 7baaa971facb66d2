/* SPDX-License-Identifier: Apache-2.0 */
/* mach_port_mod_refs. */
#include "../check.h"

int main(int argc, char **argv)
{
	mach_port_t task = begin(argc, argv), self = mach_task_self();
	mach_port_urefs_t refs = 0;
	int pid;

	RETURNS(KERN_SUCCESS, mach_port_mod_refs(self, task, MACH_PORT_RIGHT_SEND, 5));
	RETURNS(KERN_SUCCESS, mach_port_get_refs(self, task, MACH_PORT_RIGHT_SEND, &refs));
	CHECK(refs == 6);
	RETURNS(KERN_INVALID_VALUE, mach_port_mod_refs(self, task, MACH_PORT_RIGHT_SEND, -7));
	RETURNS(KERN_UREFS_OVERFLOW, mach_port_mod_refs(self, task, MACH_PORT_RIGHT_SEND, 0x7fffffff));
	RETURNS(KERN_SUCCESS, mach_port_mod_refs(self, task, MACH_PORT_RIGHT_SEND, 0));
	RETURNS(KERN_INVALID_RIGHT, mach_port_mod_refs(self, task, MACH_PORT_RIGHT_RECEIVE, -1));
	RETURNS(KERN_INVALID_VALUE, mach_port_mod_refs(self, task, MACH_PORT_RIGHT_NUMBER, 1));
	RETURNS(KERN_INVALID_TASK, mach_port_mod_refs(task, task, MACH_PORT_RIGHT_SEND, 1));
	RETURNS(KERN_SUCCESS, mach_port_mod_refs(self, MACH_PORT_NULL, MACH_PORT_RIGHT_SEND, 1));
	RETURNS(KERN_INVALID_NAME, mach_port_mod_refs(self, MACH_PORT_NULL, MACH_PORT_RIGHT_RECEIVE, 1));
	RETURNS(KERN_INVALID_NAME, mach_port_mod_refs(self, task + 1, MACH_PORT_RIGHT_SEND, 1));
	RETURNS(KERN_SUCCESS, mach_port_mod_refs(self, task, MACH_PORT_RIGHT_SEND, -6));
	RETURNS(MACH_SEND_INVALID_DEST, pid_for_task(task, &pid));
	RETURNS(KERN_INVALID_NAME, mach_port_mod_refs(self, task, MACH_PORT_RIGHT_SEND, 1));
	return failures != 0;
}
