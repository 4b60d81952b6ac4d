/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * soft-loops.c - how many instructions a second the software CPU does on a few hot loops, without a machine around it
 */
#include "tests/cpu/harness.h"
#include <stdio.h>
#include <time.h>

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void measure(Harness *h, const char *name, const void *code, size_t length, uint64_t rounds, double per_round)
{
    harness_code(h, code, length);
    h->cpu->gpr[GPR_RCX] = rounds;
    h->cpu->gpr[GPR_RSI] = 0x200000;
    h->cpu->gpr[GPR_RDI] = 0x400000;
    double start = now();
    SoftStop stop = soft_run_fast(h->cpu);
    double seconds = now() - start;
    printf("%-16s %8.1f million instructions a second%s\n", name, (double)rounds * per_round / seconds / 1e6, stop == SOFT_HALTED ? "" : ", but it did not end well");
}

int main(void)
{
    Harness *h = harness_new(8, 0);

    measure(h, "add/dec/jnz", SNIPPET(64, "1: add %rcx, %rax\n dec %rcx\n jnz 1b\n hlt"), 100000000, 3);
    measure(h, "load/store", SNIPPET(64, "1: mov (%rsi), %rax\n add $1, %rax\n mov %rax, 8(%rsi)\n movzbl 3(%rsi,%rdx), %ebx\n xor %ebx, %eax\n add %eax, 4(%rsi)\n sub $1, %rcx\n jnz 1b\n hlt"), 30000000, 8);
    measure(h, "call/ret", SNIPPET(64, "1: call 2f\n dec %rcx\n jnz 1b\n hlt\n 2: push %rbx\n mov %rdi, %rbx\n lea 8(%rbx,%rcx,4), %rax\n pop %rbx\n ret"), 20000000, 8);
    measure(h, "branches", SNIPPET(64, "1: imul $1103515245, %eax, %eax\n add $12345, %eax\n test $0x10000, %eax\n jz 2f\n inc %rdx\n 2: cmp $77, %al\n jb 3f\n shr $3, %rbx\n 3: dec %rcx\n jnz 1b\n hlt"), 20000000, 9);
    measure(h, "sha-like", SNIPPET(64, "1: mov %eax, %edx\n ror $6, %edx\n mov %eax, %ebx\n ror $11, %ebx\n xor %ebx, %edx\n mov %eax, %ebx\n ror $25, %ebx\n xor %ebx, %edx\n add (%rsi), %edx\n lea (%rax,%rdx), %eax\n mov %r8d, %r9d\n and %eax, %r9d\n add %r9d, %r10d\n dec %rcx\n jnz 1b\n hlt"), 20000000, 15);
    measure(h, "sse scalar", SNIPPET(64, "1: movsd (%rsi), %xmm1\n mulsd %xmm0, %xmm1\n addsd %xmm1, %xmm2\n sqrtsd %xmm2, %xmm3\n movsd %xmm3, 8(%rsi)\n dec %rcx\n jnz 1b\n hlt"), 10000000, 7);
    measure(h, "sse packed", SNIPPET(64, "1: movups (%rsi), %xmm1\n pshufd $0x1b, %xmm1, %xmm2\n paddd %xmm2, %xmm1\n pxor %xmm3, %xmm3\n pcmpgtd %xmm3, %xmm1\n movaps %xmm1, 32(%rsi)\n pmovmskb %xmm1, %eax\n dec %rcx\n jnz 1b\n hlt"), 10000000, 9);
    measure(h, "x87", SNIPPET(64, "1: fldl (%rsi)\n fld %st(0)\n fmul %st(1)\n faddp\n fstpl 8(%rsi)\n dec %rcx\n jnz 1b\n hlt"), 10000000, 7);
    harness_free(h);
    return 0;
}
