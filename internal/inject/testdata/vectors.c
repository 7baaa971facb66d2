/* SPDX-License-Identifier: Apache-2.0 */
/* A process of one thread that makes no system call: it keeps values in its
 * vector registers, those of SVE too, and its flags and checks them. It prints "ready", works until
 * SIGTERM, and then prints "ok", or has ended with a message before.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static volatile sig_atomic_t ending;

static void on_term(int signal)
{
	(void)signal;
	ending = 1;
}

static unsigned char kept[16][32], found[16][32];

#if defined(__x86_64__)
#define EACH(f) f(0) f(1) f(2) f(3) f(4) f(5) f(6) f(7) f(8) f(9) f(10) f(11) f(12) f(13) f(14) f(15)
#define LOAD(n) "vmovdqu " #n "*32(%0), %%ymm" #n "\n"
#define STORE(n) "vmovdqu %%ymm" #n ", " #n "*32(%1)\n"
#define CLOBBER "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"
static void keep(void)
{
	__asm__ volatile(EACH(LOAD) "mov $20000000, %%rax\n"
				    "1: dec %%rax\n jnz 1b\n" EACH(STORE) "vzeroupper\n"
			 :
			 : "r"(kept), "r"(found)
			 : "rax", "memory", "cc", CLOBBER);
}
#elif defined(__aarch64__)
#include <sys/auxv.h>
#define CLOBBER "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31"
#define COUNT "mov x9, #0x1000000\n1: subs x9, x9, #1\n b.ne 1b\n"
static unsigned char scalable_kept[9][256], scalable_found[9][256];

static void keep(void)
{
	if (getauxval(AT_HWCAP) & HWCAP_SVE) {
		unsigned char predicate_kept[32], predicate_found[32];
		memset(predicate_kept, 0x6d, sizeof predicate_kept);
		memset(predicate_found, 0x6d, sizeof predicate_found);
		for (unsigned i = 0; i < sizeof scalable_kept; i++)
			((unsigned char *)scalable_kept)[i] = (unsigned char)(i * 5 + 3);
		memcpy(scalable_found, scalable_kept, sizeof scalable_kept);
		__asm__ volatile(".arch_extension sve\n"
				 "ldr z0, [%0]\n ldr z7, [%0, #1, mul vl]\n ldr z16, [%0, #2, mul vl]\n ldr z31, [%0, #3, mul vl]\n ldr p1, [%2]\n ldr p15, [%2]\n" COUNT
				 "str z0, [%1]\n str z7, [%1, #1, mul vl]\n str z16, [%1, #2, mul vl]\n str z31, [%1, #3, mul vl]\n"
				 "mov p2.b, p1.b\n str p2, [%3]\n"
				 :
				 : "r"(scalable_kept), "r"(scalable_found), "r"(predicate_kept), "r"(predicate_found)
				 : "x9", "memory", "cc", CLOBBER);
		if (memcmp(scalable_found, scalable_kept, sizeof scalable_kept) != 0 || memcmp(predicate_found, predicate_kept, sizeof predicate_kept) != 0)
			return;
	}
	__asm__ volatile("mov x10, %0\n"
			 "ld1 {v0.16b-v3.16b}, [x10], #64\n ld1 {v4.16b-v7.16b}, [x10], #64\n ld1 {v16.16b-v19.16b}, [x10], #64\n ld1 {v20.16b-v23.16b}, [x10], #64\n ld1 {v24.16b-v27.16b}, [x10], #64\n ld1 {v28.16b-v31.16b}, [x10], #64\n" COUNT
			 "mov x10, %1\n"
			 "st1 {v0.16b-v3.16b}, [x10], #64\n st1 {v4.16b-v7.16b}, [x10], #64\n st1 {v16.16b-v19.16b}, [x10], #64\n st1 {v20.16b-v23.16b}, [x10], #64\n st1 {v24.16b-v27.16b}, [x10], #64\n st1 {v28.16b-v31.16b}, [x10], #64\n"
			 :
			 : "r"(kept), "r"(found)
			 : "x9", "x10", "memory", "cc", CLOBBER);
	memcpy((char *)found + 384, (char *)kept + 384, sizeof found - 384);
}
#else
static void keep(void)
{
	memcpy(found, kept, sizeof found);
}
#endif

int main(void)
{
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0); /* its writers are siblings, which Yama keeps away */
	signal(SIGTERM, on_term);
	for (unsigned i = 0; i < sizeof kept; i++)
		((unsigned char *)kept)[i] = (unsigned char)(i * 7 + 1);
	puts("ready");
	fflush(stdout);
	while (!ending) {
		memset(found, 0, sizeof found);
		keep();
		if (memcmp(kept, found, sizeof kept) != 0) {
			puts("the vector registers were changed");
			return 1;
		}
	}
	puts("ok");
	return 0;
}
