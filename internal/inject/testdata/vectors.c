/* A process of one thread that makes no system call: it keeps values in its
 * vector registers and its flags and checks them. It prints "ready", works until
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

static void keep(void)
{
#if defined(__x86_64__)
#define EACH(f) f(0) f(1) f(2) f(3) f(4) f(5) f(6) f(7) f(8) f(9) f(10) f(11) f(12) f(13) f(14) f(15)
#define LOAD(n) "vmovdqu " #n "*32(%0), %%ymm" #n "\n"
#define STORE(n) "vmovdqu %%ymm" #n ", " #n "*32(%1)\n"
#define CLOBBER "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"
	__asm__ volatile(EACH(LOAD) "mov $20000000, %%rax\n"
				    "1: dec %%rax\n jnz 1b\n" EACH(STORE) "vzeroupper\n"
			 :
			 : "r"(kept), "r"(found)
			 : "rax", "memory", "cc", CLOBBER);
#else
	memcpy(found, kept, sizeof found);
#endif
}

int main(void)
{
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0); /* its writers are siblings, which Yama keeps away */
	signal(SIGTERM, on_term);
	for (unsigned i = 0; i < sizeof kept; i++)
		((unsigned char *)kept)[i] = (unsigned char)(i * 7 + 1);
	puts("ready");
	fflush(stdout);
	while (!ending) {
		keep();
		if (memcmp(kept, found, sizeof kept) != 0) {
			puts("the vector registers were changed");
			return 1;
		}
	}
	puts("ok");
	return 0;
}
