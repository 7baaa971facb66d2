/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of mach/thread_act.h, and those of mach/task.h and mach/mach_init.h that name threads. */
#include <elf.h>
#include <mach/mach.h>
#include <mach/thread_act.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>

#include "_cgo_export.h"

kern_return_t task_threads(task_inspect_t target_task, thread_act_array_t *act_list, mach_msg_type_number_t *act_listCnt)
{
	uint64_t list = 0;
	mach_msg_type_number_t count = 0;
	thread_act_array_t names;
	kern_return_t kr;

	if (act_list == NULL || act_listCnt == NULL)
		return KERN_INVALID_ARGUMENT;
	if (machcompat_in_child())
		return MACH_SEND_INVALID_DEST;
	kr = machcompatTaskThreads(target_task, &list, &count);
	if (kr == KERN_SUCCESS) {
		names = (thread_act_array_t)(uintptr_t)list;
		memcpy(act_list, &names, sizeof names);
		memcpy(act_listCnt, &count, sizeof count);
	}
	return kr;
}

mach_port_t mach_thread_self(void) { return machcompat_in_child() ? MACH_PORT_NULL : machcompatThreadSelf(); }

kern_return_t thread_suspend(thread_read_t target_act)
{
	if (machcompat_in_child())
		return MACH_SEND_INVALID_DEST;
	return machcompatThreadSuspend(target_act);
}

kern_return_t thread_resume(thread_read_t target_act)
{
	if (machcompat_in_child())
		return MACH_SEND_INVALID_DEST;
	return machcompatThreadResume(target_act);
}

/*
 * The layouts of thread states. A layout moves registers between a state of a program and
 * struct machcompat_state, one way or the other.
 */
enum direction { GET, SET };

static void move32(enum direction direction, uint32_t *theirs, uint64_t *ours)
{
	if (direction == GET)
		*theirs = (uint32_t)*ours;
	else
		*ours = *theirs;
}

static void move64(enum direction direction, uint64_t *theirs, uint64_t *ours)
{
	if (direction == GET)
		*theirs = *ours;
	else
		*ours = *theirs;
}

#if defined(__i386__) || defined(__x86_64__)

typedef union {
	x86_thread_state32_t narrow;
	x86_thread_state64_t wide;
	x86_thread_state_t either;
	natural_t words[x86_THREAD_STATE_COUNT];
} state_t;

/* The registers of DWARF begin with eax ecx edx ebx esp ebp esi edi eip. */
static void move_narrow(enum direction to, x86_thread_state32_t *t, struct machcompat_state *s)
{
	unsigned *general[] = { &t->__eax, &t->__ecx, &t->__edx, &t->__ebx, &t->__esp, &t->__ebp, &t->__esi, &t->__edi,
		&t->__eip };
	unsigned *selectors[] = { &t->__cs, &t->__ss, &t->__ds, &t->__es, &t->__fs, &t->__gs };
	unsigned i;

	s->machine = EM_386;
	s->count = sizeof general / sizeof *general;
	for (i = 0; i < s->count; i++)
		move32(to, general[i], &s->numbered[i]);
	for (i = 0; i < sizeof selectors / sizeof *selectors; i++)
		move32(to, selectors[i], &s->selectors[i]);
	move32(to, &t->__eip, &s->pc);
	move32(to, &t->__eflags, &s->flags);
}

/* They begin with rax rdx rcx rbx rsi rdi rbp rsp r8 to r15 rip. */
static void move_wide(enum direction to, x86_thread_state64_t *t, struct machcompat_state *s)
{
	uint64_t *general[] = { &t->__rax, &t->__rdx, &t->__rcx, &t->__rbx, &t->__rsi, &t->__rdi, &t->__rbp, &t->__rsp,
		&t->__r8, &t->__r9, &t->__r10, &t->__r11, &t->__r12, &t->__r13, &t->__r14, &t->__r15, &t->__rip };
	unsigned i;

	s->machine = EM_X86_64;
	s->count = sizeof general / sizeof *general;
	for (i = 0; i < s->count; i++)
		move64(to, general[i], &s->numbered[i]);
	move64(to, &t->__rip, &s->pc);
	move64(to, &t->__rflags, &s->flags);
	move64(to, &t->__cs, &s->selectors[0]);
	move64(to, &t->__fs, &s->selectors[4]);
	move64(to, &t->__gs, &s->selectors[5]);
}

/* Its length in ints; 0 for no flavor that there is here. */
static mach_msg_type_number_t length_of(thread_state_flavor_t flavor)
{
	switch (flavor) {
	case x86_THREAD_STATE32:
		return x86_THREAD_STATE32_COUNT;
	case x86_THREAD_STATE64:
		return x86_THREAD_STATE64_COUNT;
	case x86_THREAD_STATE:
		return x86_THREAD_STATE_COUNT;
	}
	return 0;
}

/* False for a thread that has no such state. */
static int get(thread_state_flavor_t flavor, state_t *t, struct machcompat_state *s)
{
	int narrow = s->machine == EM_386;

	if (flavor == (narrow ? x86_THREAD_STATE64 : x86_THREAD_STATE32))
		return 0;
	if (flavor == x86_THREAD_STATE) {
		t->either.tsh.flavor = narrow ? x86_THREAD_STATE32 : x86_THREAD_STATE64;
		t->either.tsh.count = narrow ? x86_THREAD_STATE32_COUNT : x86_THREAD_STATE64_COUNT;
		if (narrow)
			move_narrow(GET, &t->either.uts.ts32, s);
		else
			move_wide(GET, &t->either.uts.ts64, s);
	} else if (narrow) {
		move_narrow(GET, &t->narrow, s);
	} else {
		move_wide(GET, &t->wide, s);
	}
	return 1;
}

/* False for a state that says to be none, or that no thread can have. */
static int set(thread_state_flavor_t flavor, state_t *t, struct machcompat_state *s)
{
	if (flavor == x86_THREAD_STATE64)
		move_wide(SET, &t->wide, s);
	else if (flavor == x86_THREAD_STATE32)
		move_narrow(SET, &t->narrow, s);
	else if (t->either.tsh.flavor == x86_THREAD_STATE64 && t->either.tsh.count == x86_THREAD_STATE64_COUNT)
		move_wide(SET, &t->either.uts.ts64, s);
	else if (t->either.tsh.flavor == x86_THREAD_STATE32 && t->either.tsh.count == x86_THREAD_STATE32_COUNT)
		move_narrow(SET, &t->either.uts.ts32, s);
	else
		return 0;
	/* As on macOS; the kernel would take it, and the thread die where it goes on. */
	return s->machine != EM_X86_64 || (s->pc < MACH_VM_MAX_ADDRESS && s->numbered[7] < MACH_VM_MAX_ADDRESS);
}

#else

typedef union {
	arm_thread_state64_t wide;
	arm_unified_thread_state_t either;
	natural_t words[ARM_UNIFIED_THREAD_STATE_COUNT];
} state_t;

/* The registers of DWARF are x0 to x30 and sp. */
static void move_wide(enum direction to, arm_thread_state64_t *t, struct machcompat_state *s)
{
	uint64_t flags = t->__cpsr;
	unsigned i;

	s->machine = EM_AARCH64;
	s->count = 32;
	for (i = 0; i < 29; i++)
		move64(to, &t->__x[i], &s->numbered[i]);
	move64(to, &t->__fp, &s->numbered[29]);
	move64(to, &t->__lr, &s->numbered[30]);
	move64(to, &t->__sp, &s->numbered[31]);
	move64(to, &t->__pc, &s->pc);
	move64(to, &flags, &s->flags);
	if (to == GET)
		t->__cpsr = (uint32_t)flags;
}

static mach_msg_type_number_t length_of(thread_state_flavor_t flavor)
{
	switch (flavor) {
	case ARM_THREAD_STATE64:
		return ARM_THREAD_STATE64_COUNT;
	case ARM_THREAD_STATE:
		return ARM_UNIFIED_THREAD_STATE_COUNT;
	}
	return 0;
}

static int get(thread_state_flavor_t flavor, state_t *t, struct machcompat_state *s)
{
	if (s->machine != EM_AARCH64)
		return 0;
	if (flavor == ARM_THREAD_STATE64) {
		move_wide(GET, &t->wide, s);
		return 1;
	}
	t->either.ash.flavor = ARM_THREAD_STATE64;
	t->either.ash.count = ARM_THREAD_STATE64_COUNT;
	move_wide(GET, &t->either.ts_64, s);
	return 1;
}

static int set(thread_state_flavor_t flavor, state_t *t, struct machcompat_state *s)
{
	if (flavor == ARM_THREAD_STATE64)
		move_wide(SET, &t->wide, s);
	else if (t->either.ash.flavor == ARM_THREAD_STATE64 && t->either.ash.count == ARM_THREAD_STATE64_COUNT)
		move_wide(SET, &t->either.ts_64, s);
	else
		return 0;
	return 1;
}

#endif

kern_return_t thread_get_state(thread_read_t target_act, thread_state_flavor_t flavor, thread_state_t old_state,
	mach_msg_type_number_t *old_stateCnt)
{
	mach_msg_type_number_t count = length_of(flavor);
	struct machcompat_state found;
	state_t state;
	kern_return_t kr;

	if (count == 0 || old_state == NULL || old_stateCnt == NULL || *old_stateCnt < count)
		return KERN_INVALID_ARGUMENT;
	if (machcompat_in_child())
		return MACH_SEND_INVALID_DEST;
	memset(&found, 0, sizeof found);
	memset(&state, 0, sizeof state);
	kr = machcompatGetState(target_act, &found);
	if (kr != KERN_SUCCESS)
		return kr;
	if (!get(flavor, &state, &found))
		return KERN_INVALID_ARGUMENT;
	memcpy(old_state, state.words, count * sizeof(natural_t));
	memcpy(old_stateCnt, &count, sizeof count);
	return KERN_SUCCESS;
}

kern_return_t thread_set_state(thread_act_t target_act, thread_state_flavor_t flavor, thread_state_t new_state,
	mach_msg_type_number_t new_stateCnt)
{
	mach_msg_type_number_t count = length_of(flavor);
	struct machcompat_state wanted;
	state_t state;

	if (count == 0 || new_state == NULL || new_stateCnt < count)
		return KERN_INVALID_ARGUMENT;
	if (machcompat_in_child())
		return MACH_SEND_INVALID_DEST;
	memset(&wanted, 0, sizeof wanted);
	memcpy(state.words, new_state, count * sizeof(natural_t));
	if (!set(flavor, &state, &wanted))
		return KERN_INVALID_ARGUMENT;
	return machcompatSetState(target_act, &wanted);
}

static time_value_t time_value(uint64_t nanoseconds)
{
	time_value_t t = { (integer_t)(nanoseconds / 1000000000), (integer_t)(nanoseconds / 1000 % TIME_MICROS_MAX) };
	return t;
}

static integer_t run_state(char state)
{
	switch (state) {
	case 'R':
		return TH_STATE_RUNNING;
	case 'D':
		return TH_STATE_UNINTERRUPTIBLE;
	case 'T':
	case 't':
		return TH_STATE_STOPPED;
	}
	return TH_STATE_WAITING;
}

static policy_t policy(int32_t number)
{
	switch (number) {
	case SCHED_FIFO:
		return POLICY_FIFO;
	case SCHED_RR:
		return POLICY_RR;
	}
	return POLICY_TIMESHARE;
}

/* Fills info in the layout of a flavor, and returns its length in ints; 0 for no flavor. */
static mach_msg_type_number_t fill_thread_info(thread_flavor_t flavor, int32_t *info, const struct machcompat_thread *from)
{
	struct thread_basic_info basic = { time_value(from->user), time_value(from->system), from->usage,
		policy(from->policy), run_state(from->state), 0, from->suspend_count, 0 };
	struct thread_identifier_info identifier = { from->id, 0, 0 };
	struct thread_extended_info extended = { from->user, from->system, from->usage, policy(from->policy),
		run_state(from->state), 0, 0, 31 - from->nice, 31 - from->nice, 63, { 0 } };

	switch (flavor) {
	case THREAD_BASIC_INFO:
		memcpy(info, &basic, sizeof basic);
		return THREAD_BASIC_INFO_COUNT;
	case THREAD_IDENTIFIER_INFO:
		memcpy(info, &identifier, sizeof identifier);
		return THREAD_IDENTIFIER_INFO_COUNT;
	case THREAD_EXTENDED_INFO:
		memcpy(extended.pth_name, from->name, sizeof extended.pth_name);
		memcpy(info, &extended, sizeof extended);
		return THREAD_EXTENDED_INFO_COUNT;
	}
	return 0;
}

kern_return_t thread_info(thread_inspect_t target_act, thread_flavor_t flavor, thread_info_t thread_info_out,
	mach_msg_type_number_t *thread_info_outCnt)
{
	int32_t filled[sizeof(struct thread_extended_info) / sizeof(int32_t)];
	struct machcompat_thread thread;
	mach_msg_type_number_t count;
	kern_return_t kr;

	memset(&thread, 0, sizeof thread);
	count = fill_thread_info(flavor, filled, &thread);
	if (count == 0 || thread_info_out == NULL || thread_info_outCnt == NULL || *thread_info_outCnt < count)
		return KERN_INVALID_ARGUMENT;
	if (machcompat_in_child())
		return MACH_SEND_INVALID_DEST;
	kr = machcompatThreadInfo(target_act, &thread);
	if (kr != KERN_SUCCESS)
		return kr;
	fill_thread_info(flavor, filled, &thread);
	memcpy(thread_info_out, filled, count * sizeof(int32_t));
	memcpy(thread_info_outCnt, &count, sizeof count);
	return KERN_SUCCESS;
}
