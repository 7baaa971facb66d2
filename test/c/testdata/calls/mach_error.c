/* SPDX-License-Identifier: Apache-2.0 */
/* mach_error_string, mach_error_type and mach_error. */
#include "../check.h"

int main(int argc, char **argv)
{
	char line[128];
	FILE *errors;

	begin(argc, argv);
	CHECK(strcmp(mach_error_string(KERN_PROTECTION_FAILURE), "(os/kern) protection failure") == 0);
	CHECK(strcmp(mach_error_string(MACH_SEND_INVALID_DEST), "(ipc/send) invalid destination port") == 0);
	CHECK(strcmp(mach_error_string(MIG_SERVER_DIED), "(ipc/mig) server died") == 0);
	CHECK(strcmp(mach_error_string(57), "unknown error code") == 0);
	CHECK(strcmp(mach_error_string(-1), "unknown error code") == 0);
	CHECK(strcmp(mach_error_string((kern_return_t)0x80000000), "unknown error code") == 0);
	CHECK(strcmp(mach_error_type(KERN_FAILURE), "(os/kern)") == 0);
	CHECK(strcmp(mach_error_type(MACH_SEND_INVALID_DEST), "(ipc/send)") == 0);
	CHECK(strcmp(mach_error_type(MACH_RCV_PORT_DIED), "(ipc/rcv)") == 0);
	CHECK(strcmp(mach_error_type(MIG_BAD_ID), "(ipc/mig)") == 0);
	CHECK(strcmp(mach_error_type(-1), "(?/?)") == 0);
	CHECK(err_get_system(MACH_RCV_PORT_DIED) == err_get_system(err_mach_ipc) && err_get_sub(MACH_RCV_PORT_DIED) == 1);

	errors = tmpfile();
	CHECK(errors != NULL && dup2(fileno(errors), 2) == 2);
	mach_error("vm_write:", KERN_INVALID_ADDRESS);
	mach_error(NULL, 57);
	rewind(errors);
	CHECK(fgets(line, sizeof line, errors) != NULL && strcmp(line, "vm_write: (os/kern) invalid address\n") == 0);
	CHECK(fgets(line, sizeof line, errors) != NULL && strcmp(line, " unknown error code\n") == 0);
	return failures != 0;
}
