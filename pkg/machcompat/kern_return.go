// SPDX-License-Identifier: Apache-2.0

package machcompat

import "strconv"

// KernReturn is Mach's kern_return_t: what a call of the kernel returns. It also
// holds the codes of sending messages (mach_msg_return_t) and of MIG, which the
// C interface of Mach returns through the same type.
//
// String returns the name as C spells it, Error the text of mach_error_string.
// As an error it serves [errors.Is]; a KERN_SUCCESS in an error is not nil, so use
// Err to make one.
type KernReturn int32

// The codes of the kernel, from mach/kern_return.h.
const (
	KERN_SUCCESS                  KernReturn = 0   // (os/kern) successful
	KERN_INVALID_ADDRESS          KernReturn = 1   // (os/kern) invalid address
	KERN_PROTECTION_FAILURE       KernReturn = 2   // (os/kern) protection failure
	KERN_NO_SPACE                 KernReturn = 3   // (os/kern) no space available
	KERN_INVALID_ARGUMENT         KernReturn = 4   // (os/kern) invalid argument
	KERN_FAILURE                  KernReturn = 5   // (os/kern) failure
	KERN_RESOURCE_SHORTAGE        KernReturn = 6   // (os/kern) resource shortage
	KERN_NOT_RECEIVER             KernReturn = 7   // (os/kern) not receiver
	KERN_NO_ACCESS                KernReturn = 8   // (os/kern) no access
	KERN_MEMORY_FAILURE           KernReturn = 9   // (os/kern) memory failure
	KERN_MEMORY_ERROR             KernReturn = 10  // (os/kern) memory error
	KERN_ALREADY_IN_SET           KernReturn = 11  // (os/kern) already in set
	KERN_NOT_IN_SET               KernReturn = 12  // (os/kern) not in set
	KERN_NAME_EXISTS              KernReturn = 13  // (os/kern) name exists
	KERN_ABORTED                  KernReturn = 14  // (os/kern) aborted
	KERN_INVALID_NAME             KernReturn = 15  // (os/kern) invalid name
	KERN_INVALID_TASK             KernReturn = 16  // (os/kern) invalid task
	KERN_INVALID_RIGHT            KernReturn = 17  // (os/kern) invalid right
	KERN_INVALID_VALUE            KernReturn = 18  // (os/kern) invalid value
	KERN_UREFS_OVERFLOW           KernReturn = 19  // (os/kern) urefs overflow
	KERN_INVALID_CAPABILITY       KernReturn = 20  // (os/kern) invalid capability
	KERN_RIGHT_EXISTS             KernReturn = 21  // (os/kern) right exists
	KERN_INVALID_HOST             KernReturn = 22  // (os/kern) invalid host
	KERN_MEMORY_PRESENT           KernReturn = 23  // (os/kern) memory present
	KERN_MEMORY_DATA_MOVED        KernReturn = 24  // (os/kern) memory data moved
	KERN_MEMORY_RESTART_COPY      KernReturn = 25  // (os/kern) memory restart copy
	KERN_INVALID_PROCESSOR_SET    KernReturn = 26  // (os/kern) invalid processor set
	KERN_POLICY_LIMIT             KernReturn = 27  // (os/kern) policy limit
	KERN_INVALID_POLICY           KernReturn = 28  // (os/kern) invalid policy
	KERN_INVALID_OBJECT           KernReturn = 29  // (os/kern) invalid object
	KERN_ALREADY_WAITING          KernReturn = 30  // (os/kern) already waiting
	KERN_DEFAULT_SET              KernReturn = 31  // (os/kern) default set
	KERN_EXCEPTION_PROTECTED      KernReturn = 32  // (os/kern) exception protected
	KERN_INVALID_LEDGER           KernReturn = 33  // (os/kern) invalid ledger
	KERN_INVALID_MEMORY_CONTROL   KernReturn = 34  // (os/kern) invalid memory control
	KERN_INVALID_SECURITY         KernReturn = 35  // (os/kern) invalid security
	KERN_NOT_DEPRESSED            KernReturn = 36  // (os/kern) not depressed
	KERN_TERMINATED               KernReturn = 37  // (os/kern) object terminated
	KERN_LOCK_SET_DESTROYED       KernReturn = 38  // (os/kern) lock set destroyed
	KERN_LOCK_UNSTABLE            KernReturn = 39  // (os/kern) lock unstable
	KERN_LOCK_OWNED               KernReturn = 40  // (os/kern) lock owned by another
	KERN_LOCK_OWNED_SELF          KernReturn = 41  // (os/kern) lock owned by self
	KERN_SEMAPHORE_DESTROYED      KernReturn = 42  // (os/kern) semaphore destroyed
	KERN_RPC_SERVER_TERMINATED    KernReturn = 43  // (os/kern) RPC terminated
	KERN_RPC_TERMINATE_ORPHAN     KernReturn = 44  // (os/kern) terminate orphan
	KERN_RPC_CONTINUE_ORPHAN      KernReturn = 45  // (os/kern) let orphan continue
	KERN_NOT_SUPPORTED            KernReturn = 46  // (os/kern) service not supported
	KERN_NODE_DOWN                KernReturn = 47  // (os/kern) remote node down
	KERN_NOT_WAITING              KernReturn = 48  // (os/kern) thread not waiting
	KERN_OPERATION_TIMED_OUT      KernReturn = 49  // (os/kern) operation timed out
	KERN_CODESIGN_ERROR           KernReturn = 50  // (os/kern) code signing error
	KERN_POLICY_STATIC            KernReturn = 51  // (os/kern) policy is static
	KERN_INSUFFICIENT_BUFFER_SIZE KernReturn = 52  // (os/kern) insufficient input buffer size
	KERN_DENIED                   KernReturn = 53  // (os/kern) denied by security policy
	KERN_MISSING_KC               KernReturn = 54  // (os/kern) missing kernel collection
	KERN_INVALID_KC               KernReturn = 55  // (os/kern) invalid kernel collection
	KERN_NOT_FOUND                KernReturn = 56  // (os/kern) result not found
	KERN_RETURN_MAX               KernReturn = 256 // unknown error code
)

// Codes of mach_msg, from mach/message.h, that a call on a dead or false port returns.
const (
	MACH_SEND_INVALID_DEST   KernReturn = 0x10000003 // (ipc/send) invalid destination port
	MACH_SEND_INVALID_MEMORY KernReturn = 0x1000000c // (ipc/send) invalid memory
	MACH_SEND_NO_BUFFER      KernReturn = 0x1000000d // (ipc/send) no msg buffer
	MACH_RCV_PORT_DIED       KernReturn = 0x10004009 // (ipc/rcv) port died
)

// Codes of the interface generator, from mach/mig_errors.h.
const (
	MIG_TYPE_ERROR      KernReturn = -300 // (ipc/mig) client type check failure
	MIG_REPLY_MISMATCH  KernReturn = -301 // (ipc/mig) wrong reply message ID
	MIG_REMOTE_ERROR    KernReturn = -302 // (ipc/mig) server detected error
	MIG_BAD_ID          KernReturn = -303 // (ipc/mig) bad request message ID
	MIG_BAD_ARGUMENTS   KernReturn = -304 // (ipc/mig) server type check failure
	MIG_NO_REPLY        KernReturn = -305 // (ipc/mig) no reply should be sent
	MIG_EXCEPTION       KernReturn = -306 // (ipc/mig) server raised exception
	MIG_ARRAY_TOO_LARGE KernReturn = -307 // (ipc/mig) array not large enough
	MIG_SERVER_DIED     KernReturn = -308 // (ipc/mig) server died
	MIG_TRAILER_ERROR   KernReturn = -309 // (ipc/mig) unknown trailer format
)

// kernReturns has the name and the text of each code. It is not a map, because every
// program that imports the package would fill one at its start.
var kernReturns = [...]struct {
	code       KernReturn
	name, text string
}{
	{KERN_SUCCESS, "KERN_SUCCESS", "(os/kern) successful"},
	{KERN_INVALID_ADDRESS, "KERN_INVALID_ADDRESS", "(os/kern) invalid address"},
	{KERN_PROTECTION_FAILURE, "KERN_PROTECTION_FAILURE", "(os/kern) protection failure"},
	{KERN_NO_SPACE, "KERN_NO_SPACE", "(os/kern) no space available"},
	{KERN_INVALID_ARGUMENT, "KERN_INVALID_ARGUMENT", "(os/kern) invalid argument"},
	{KERN_FAILURE, "KERN_FAILURE", "(os/kern) failure"},
	{KERN_RESOURCE_SHORTAGE, "KERN_RESOURCE_SHORTAGE", "(os/kern) resource shortage"},
	{KERN_NOT_RECEIVER, "KERN_NOT_RECEIVER", "(os/kern) not receiver"},
	{KERN_NO_ACCESS, "KERN_NO_ACCESS", "(os/kern) no access"},
	{KERN_MEMORY_FAILURE, "KERN_MEMORY_FAILURE", "(os/kern) memory failure"},
	{KERN_MEMORY_ERROR, "KERN_MEMORY_ERROR", "(os/kern) memory error"},
	{KERN_ALREADY_IN_SET, "KERN_ALREADY_IN_SET", "(os/kern) already in set"},
	{KERN_NOT_IN_SET, "KERN_NOT_IN_SET", "(os/kern) not in set"},
	{KERN_NAME_EXISTS, "KERN_NAME_EXISTS", "(os/kern) name exists"},
	{KERN_ABORTED, "KERN_ABORTED", "(os/kern) aborted"},
	{KERN_INVALID_NAME, "KERN_INVALID_NAME", "(os/kern) invalid name"},
	{KERN_INVALID_TASK, "KERN_INVALID_TASK", "(os/kern) invalid task"},
	{KERN_INVALID_RIGHT, "KERN_INVALID_RIGHT", "(os/kern) invalid right"},
	{KERN_INVALID_VALUE, "KERN_INVALID_VALUE", "(os/kern) invalid value"},
	{KERN_UREFS_OVERFLOW, "KERN_UREFS_OVERFLOW", "(os/kern) urefs overflow"},
	{KERN_INVALID_CAPABILITY, "KERN_INVALID_CAPABILITY", "(os/kern) invalid capability"},
	{KERN_RIGHT_EXISTS, "KERN_RIGHT_EXISTS", "(os/kern) right exists"},
	{KERN_INVALID_HOST, "KERN_INVALID_HOST", "(os/kern) invalid host"},
	{KERN_MEMORY_PRESENT, "KERN_MEMORY_PRESENT", "(os/kern) memory present"},
	{KERN_MEMORY_DATA_MOVED, "KERN_MEMORY_DATA_MOVED", "(os/kern) memory data moved"},
	{KERN_MEMORY_RESTART_COPY, "KERN_MEMORY_RESTART_COPY", "(os/kern) memory restart copy"},
	{KERN_INVALID_PROCESSOR_SET, "KERN_INVALID_PROCESSOR_SET", "(os/kern) invalid processor set"},
	{KERN_POLICY_LIMIT, "KERN_POLICY_LIMIT", "(os/kern) policy limit"},
	{KERN_INVALID_POLICY, "KERN_INVALID_POLICY", "(os/kern) invalid policy"},
	{KERN_INVALID_OBJECT, "KERN_INVALID_OBJECT", "(os/kern) invalid object"},
	{KERN_ALREADY_WAITING, "KERN_ALREADY_WAITING", "(os/kern) already waiting"},
	{KERN_DEFAULT_SET, "KERN_DEFAULT_SET", "(os/kern) default set"},
	{KERN_EXCEPTION_PROTECTED, "KERN_EXCEPTION_PROTECTED", "(os/kern) exception protected"},
	{KERN_INVALID_LEDGER, "KERN_INVALID_LEDGER", "(os/kern) invalid ledger"},
	{KERN_INVALID_MEMORY_CONTROL, "KERN_INVALID_MEMORY_CONTROL", "(os/kern) invalid memory control"},
	{KERN_INVALID_SECURITY, "KERN_INVALID_SECURITY", "(os/kern) invalid security"},
	{KERN_NOT_DEPRESSED, "KERN_NOT_DEPRESSED", "(os/kern) not depressed"},
	{KERN_TERMINATED, "KERN_TERMINATED", "(os/kern) object terminated"},
	{KERN_LOCK_SET_DESTROYED, "KERN_LOCK_SET_DESTROYED", "(os/kern) lock set destroyed"},
	{KERN_LOCK_UNSTABLE, "KERN_LOCK_UNSTABLE", "(os/kern) lock unstable"},
	{KERN_LOCK_OWNED, "KERN_LOCK_OWNED", "(os/kern) lock owned by another"},
	{KERN_LOCK_OWNED_SELF, "KERN_LOCK_OWNED_SELF", "(os/kern) lock owned by self"},
	{KERN_SEMAPHORE_DESTROYED, "KERN_SEMAPHORE_DESTROYED", "(os/kern) semaphore destroyed"},
	{KERN_RPC_SERVER_TERMINATED, "KERN_RPC_SERVER_TERMINATED", "(os/kern) RPC terminated"},
	{KERN_RPC_TERMINATE_ORPHAN, "KERN_RPC_TERMINATE_ORPHAN", "(os/kern) terminate orphan"},
	{KERN_RPC_CONTINUE_ORPHAN, "KERN_RPC_CONTINUE_ORPHAN", "(os/kern) let orphan continue"},
	{KERN_NOT_SUPPORTED, "KERN_NOT_SUPPORTED", "(os/kern) service not supported"},
	{KERN_NODE_DOWN, "KERN_NODE_DOWN", "(os/kern) remote node down"},
	{KERN_NOT_WAITING, "KERN_NOT_WAITING", "(os/kern) thread not waiting"},
	{KERN_OPERATION_TIMED_OUT, "KERN_OPERATION_TIMED_OUT", "(os/kern) operation timed out"},
	{KERN_CODESIGN_ERROR, "KERN_CODESIGN_ERROR", "(os/kern) code signing error"},
	{KERN_POLICY_STATIC, "KERN_POLICY_STATIC", "(os/kern) policy is static"},
	{KERN_INSUFFICIENT_BUFFER_SIZE, "KERN_INSUFFICIENT_BUFFER_SIZE", "(os/kern) insufficient input buffer size"},
	{KERN_DENIED, "KERN_DENIED", "(os/kern) denied by security policy"},
	{KERN_MISSING_KC, "KERN_MISSING_KC", "(os/kern) missing kernel collection"},
	{KERN_INVALID_KC, "KERN_INVALID_KC", "(os/kern) invalid kernel collection"},
	{KERN_NOT_FOUND, "KERN_NOT_FOUND", "(os/kern) result not found"},
	{KERN_RETURN_MAX, "KERN_RETURN_MAX", "unknown error code"},
	{MACH_SEND_INVALID_DEST, "MACH_SEND_INVALID_DEST", "(ipc/send) invalid destination port"},
	{MACH_SEND_INVALID_MEMORY, "MACH_SEND_INVALID_MEMORY", "(ipc/send) invalid memory"},
	{MACH_SEND_NO_BUFFER, "MACH_SEND_NO_BUFFER", "(ipc/send) no msg buffer"},
	{MACH_RCV_PORT_DIED, "MACH_RCV_PORT_DIED", "(ipc/rcv) port died"},
	{MIG_TYPE_ERROR, "MIG_TYPE_ERROR", "(ipc/mig) client type check failure"},
	{MIG_REPLY_MISMATCH, "MIG_REPLY_MISMATCH", "(ipc/mig) wrong reply message ID"},
	{MIG_REMOTE_ERROR, "MIG_REMOTE_ERROR", "(ipc/mig) server detected error"},
	{MIG_BAD_ID, "MIG_BAD_ID", "(ipc/mig) bad request message ID"},
	{MIG_BAD_ARGUMENTS, "MIG_BAD_ARGUMENTS", "(ipc/mig) server type check failure"},
	{MIG_NO_REPLY, "MIG_NO_REPLY", "(ipc/mig) no reply should be sent"},
	{MIG_EXCEPTION, "MIG_EXCEPTION", "(ipc/mig) server raised exception"},
	{MIG_ARRAY_TOO_LARGE, "MIG_ARRAY_TOO_LARGE", "(ipc/mig) array not large enough"},
	{MIG_SERVER_DIED, "MIG_SERVER_DIED", "(ipc/mig) server died"},
	{MIG_TRAILER_ERROR, "MIG_TRAILER_ERROR", "(ipc/mig) unknown trailer format"},
}

// String returns the name of the code as C spells it, or KERN_RETURN(n) for a
// number that is no code.
func (k KernReturn) String() string {
	if name, _, ok := k.lookUp(); ok {
		return name
	}
	return "KERN_RETURN(" + strconv.Itoa(int(k)) + ")"
}

// Error returns the text of mach_error_string, as "(os/kern) invalid address".
func (k KernReturn) Error() string {
	if _, text, ok := k.lookUp(); ok {
		return text
	}
	return "unknown error code"
}

func (k KernReturn) lookUp() (name, text string, ok bool) {
	for i := range kernReturns {
		if known := &kernReturns[i]; known.code == k {
			return known.name, known.text, true
		}
	}
	return "", "", false
}

// Err returns the code as an error: nil for KERN_SUCCESS.
func (k KernReturn) Err() error {
	if k == KERN_SUCCESS {
		return nil
	}
	return k
}
