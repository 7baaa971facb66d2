/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors as text. The texts stand in C, and pkg/machcompat has them once more, so
 * that the child of a fork can print what went wrong; a test compares the two.
 */
#include <mach/mach.h>
#include <stddef.h>
#include <stdio.h>

static const char *const kernel_texts[] = {
	"(os/kern) successful",
	"(os/kern) invalid address",
	"(os/kern) protection failure",
	"(os/kern) no space available",
	"(os/kern) invalid argument",
	"(os/kern) failure",
	"(os/kern) resource shortage",
	"(os/kern) not receiver",
	"(os/kern) no access",
	"(os/kern) memory failure",
	"(os/kern) memory error",
	"(os/kern) already in set",
	"(os/kern) not in set",
	"(os/kern) name exists",
	"(os/kern) aborted",
	"(os/kern) invalid name",
	"(os/kern) invalid task",
	"(os/kern) invalid right",
	"(os/kern) invalid value",
	"(os/kern) urefs overflow",
	"(os/kern) invalid capability",
	"(os/kern) right exists",
	"(os/kern) invalid host",
	"(os/kern) memory present",
	"(os/kern) memory data moved",
	"(os/kern) memory restart copy",
	"(os/kern) invalid processor set",
	"(os/kern) policy limit",
	"(os/kern) invalid policy",
	"(os/kern) invalid object",
	"(os/kern) already waiting",
	"(os/kern) default set",
	"(os/kern) exception protected",
	"(os/kern) invalid ledger",
	"(os/kern) invalid memory control",
	"(os/kern) invalid security",
	"(os/kern) not depressed",
	"(os/kern) object terminated",
	"(os/kern) lock set destroyed",
	"(os/kern) lock unstable",
	"(os/kern) lock owned by another",
	"(os/kern) lock owned by self",
	"(os/kern) semaphore destroyed",
	"(os/kern) RPC terminated",
	"(os/kern) terminate orphan",
	"(os/kern) let orphan continue",
	"(os/kern) service not supported",
	"(os/kern) remote node down",
	"(os/kern) thread not waiting",
	"(os/kern) operation timed out",
	"(os/kern) code signing error",
	"(os/kern) policy is static",
	"(os/kern) insufficient input buffer size",
	"(os/kern) denied by security policy",
	"(os/kern) missing kernel collection",
	"(os/kern) invalid kernel collection",
	"(os/kern) result not found",
};

static const struct {
	mach_error_t code;
	const char *text;
} other_texts[] = {
	{ MACH_SEND_INVALID_DEST, "(ipc/send) invalid destination port" },
	{ MACH_SEND_INVALID_MEMORY, "(ipc/send) invalid memory" },
	{ MACH_SEND_NO_BUFFER, "(ipc/send) no msg buffer" },
	{ MACH_RCV_PORT_DIED, "(ipc/rcv) port died" },
	{ MIG_TYPE_ERROR, "(ipc/mig) client type check failure" },
	{ MIG_REPLY_MISMATCH, "(ipc/mig) wrong reply message ID" },
	{ MIG_REMOTE_ERROR, "(ipc/mig) server detected error" },
	{ MIG_BAD_ID, "(ipc/mig) bad request message ID" },
	{ MIG_BAD_ARGUMENTS, "(ipc/mig) server type check failure" },
	{ MIG_NO_REPLY, "(ipc/mig) no reply should be sent" },
	{ MIG_EXCEPTION, "(ipc/mig) server raised exception" },
	{ MIG_ARRAY_TOO_LARGE, "(ipc/mig) array not large enough" },
	{ MIG_SERVER_DIED, "(ipc/mig) server died" },
	{ MIG_TRAILER_ERROR, "(ipc/mig) unknown trailer format" },
};

static const char *text_of(mach_error_t code)
{
	size_t i;

	if (code >= 0 && (size_t)code < sizeof kernel_texts / sizeof kernel_texts[0])
		return kernel_texts[code];
	for (i = 0; i < sizeof other_texts / sizeof other_texts[0]; i++)
		if (other_texts[i].code == code)
			return other_texts[i].text;
	return "unknown error code";
}

/* The interface has no const, from a time before there was one. */
char *mach_error_string(mach_error_t error_value) { return (char *)text_of(error_value); }

char *mach_error_type(mach_error_t error_value)
{
	static const char *const messages[] = { "(ipc/send)", "(ipc/rcv)" };
	int system = err_get_system(error_value), sub = err_get_sub(error_value);

	if (error_value <= MIG_TYPE_ERROR && error_value >= MIG_TRAILER_ERROR)
		return (char *)"(ipc/mig)";
	if (system == 0 && sub == 0)
		return (char *)"(os/kern)";
	if (system == err_get_system(err_mach_ipc) && sub <= 1)
		return (char *)messages[sub];
	return (char *)"(?/?)";
}

void mach_error(const char *str, mach_error_t error_value)
{
	fprintf(stderr, "%s %s\n", str == NULL ? "" : str, text_of(error_value));
}
