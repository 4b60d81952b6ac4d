/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * jit.c - what translated code must get right beyond single instructions: chains, faults in the middle, code that changes, a full cache
 *
 * Everything runs twice, interpreted and translated at the first execution; both must leave the same registers, flags and memory.
 */
#include "accel/soft/block.h"
#include "accel/soft/jit.h"
#include "accel/soft/mmu.h"
#include "tests/cpu/harness.h"
#include <stdio.h>
#include <string.h>

enum { FAR_CODE = 0x400000 };
static Harness *interpreted, *translated;

typedef struct Program { const void *code; size_t length; } Program;
#define PROGRAM(text) ((Program){ SNIPPET(64, text) })

static SoftStop run(Harness *h, Program program, uint64_t rax, uint64_t rcx)
{
    memset(h->bytes + HARNESS_DATA, 0, 0x3000);
    harness_code(h, program.code, program.length);
    h->cpu->gpr[GPR_RDI] = HARNESS_DATA;
    h->cpu->gpr[GPR_RAX] = rax;
    h->cpu->gpr[GPR_RCX] = rcx;
    return soft_run_fast(h->cpu);
}

static void run_both(Program program, uint64_t rax, uint64_t rcx, SoftStop expected)
{
    g_assert_cmpint(run(interpreted, program, rax, rcx), ==, expected);
    g_assert_cmpint(run(translated, program, rax, rcx), ==, expected);
    for (unsigned i = 0; i < 16; i++) {
        g_assert_cmphex(translated->cpu->gpr[i], ==, interpreted->cpu->gpr[i]);
    }
    g_assert_cmphex(translated->cpu->rip, ==, interpreted->cpu->rip);
    g_assert_cmphex(flags_get(translated->cpu), ==, flags_get(interpreted->cpu));
    g_assert_cmpmem(translated->bytes + HARNESS_DATA, 0x3000, interpreted->bytes + HARNESS_DATA, 0x3000);
}

static void test_loop(void)
{
    uint64_t before = translated->cpu->jit.leaves;

    run_both(PROGRAM("1: add %rcx, (%rdi)\n adc $3, %r10\n rol $1, %r15\n xor %r10, %r15\n mov %r15, 8(%rdi,%rcx,8)\n and $255, %ecx\n dec %rax\n lea 5(%rcx,%rcx,2), %rcx\n"
                     "and $127, %ecx\n test %rax, %rax\n jnz 1b\n hlt"), 100000, 3, SOFT_HALTED);
    g_assert_cmpuint(translated->cpu->jit.translated, >, 0);
    g_assert_cmpuint(translated->cpu->jit.leaves - before, <, 100);            /* a chain does not come back to the run loop */
}

static void test_calls(void)
{
    run_both(PROGRAM("call 2f\n hlt\n 2: cmp $2, %rax\n jae 3f\n ret\n 3: push %rax\n dec %rax\n call 2b\n xchg %rax, (%rsp)\n sub $2, %rax\n call 2b\n pop %rdx\n"
                     "add %rdx, %rax\n lea 2f(%rip), %r11\n jmp *%r11\n 2: ret"), 14, 0, SOFT_HALTED);
}

/* Flags and registers at the instruction that faults, in the middle of a block, as everything before it left them. */
static void test_fault_inside(void)
{
    run_both(PROGRAM("mov $7, %ebx\n cmp $9, %ebx\n mov $0x700000000000, %rdx\n lea 1(%rax), %rax\n mov %rbx, (%rdx)\n mov $1, %ebx\n hlt"), 1, 0, SOFT_RAISED);
    g_assert_cmpuint(soft_exception(translated->cpu).vector, ==, EXC_PF);
    run_both(PROGRAM("mov $0x100000000, %rdx\n mov $5, %ebx\n stc\n div %rbx\n hlt"), 1, 0, SOFT_RAISED);
    g_assert_cmpuint(soft_exception(translated->cpu).vector, ==, EXC_DE);
    run_both(PROGRAM("mov $0x8000000000000000, %rdx\n sub $1, %rbx\n incl (%rdx)\n hlt"), 1, 0, SOFT_RAISED);
    g_assert_cmpuint(soft_exception(translated->cpu).vector, ==, EXC_GP);
    run_both(PROGRAM("mov $0x8000000000000000, %rbx\n push %rax\n jmp *%rbx"), 1, 0, SOFT_RAISED);
    g_assert_cmpuint(soft_exception(translated->cpu).vector, ==, EXC_GP);
}

/* Operands over the end of a page, and at its very end and start. */
static void test_page_ends(void)
{
    run_both(PROGRAM("add $0xff0, %rdi\n 1: mov %rax, (%rdi)\n rol $3, %rax\n add %rax, (%rdi)\n movups (%rdi), %xmm0\n movups %xmm0, 3(%rdi)\n inc %rdi\n dec %ecx\n jnz 1b\n hlt"),
             UINT64_C(0x0123456789abcdef), 40, SOFT_HALTED);
}

/* Several accesses from one register, wherever it points: in one page, over the end of it, and with the stack between. */
static void test_groups(void)
{
    run_both(PROGRAM("add $0xf40, %rdi\n 1: mov %rax, 8(%rdi)\n add 16(%rdi), %rax\n mov %eax, -4(%rdi)\n xor $5, %ecx\n movzwl 3(%rdi), %edx\n incb 40(%rdi)\n movups 8(%rdi), %xmm1\n"
                     "movups %xmm1, 24(%rdi)\n add %rdx, %rax\n cmp 32(%rdi), %rax\n adc $7, %rax\n mov 8(%rdi), %rsi\n xor $5, %ecx\n inc %rdi\n dec %ecx\n jnz 1b\n hlt"),
             UINT64_C(0x1234567), 300, SOFT_HALTED);
    run_both(PROGRAM("lea 0xfc0(%rdi), %rsp\n 1: push %rax\n push %rcx\n mov 8(%rsp), %rdx\n add %rdx, (%rsp)\n push $-77\n mov 4(%rsp), %ebx\n pop %rsi\n pop %rdi\n add %rsi, %rdi\n"
                     "lea 3(%rax,%rdi), %rax\n pop %rdx\n add $8, %rsp\n dec %ecx\n jnz 1b\n hlt"), 5, 30, SOFT_HALTED);
    run_both(PROGRAM("1: mov %rdi, 16(%rdi)\n mov 16(%rdi), %rdi\n mov 8(%rdi), %rax\n add %rcx, 8(%rdi)\n dec %ecx\n jnz 1b\n mov $0x700000000ff8, %rdi\n stc\n mov (%rdi), %rax\n mov 8(%rdi), %rax\n hlt"),
             0, 9, SOFT_RAISED);
}

/* A store over an instruction of the same block, which is behind it, and over the loop's own head. */
static void test_own_code(void)
{
    run_both(PROGRAM("1: lea 2f(%rip), %rdx\n mov %al, 1(%rdx)\n 2: mov $0, %bl\n movzbl %bl, %ebx\n add %rbx, %r9\n dec %eax\n jnz 1b\n hlt"), 200, 0, SOFT_HALTED);
    g_assert_cmpuint(translated->cpu->gpr[9], ==, 200 * 201 / 2);
}

/* Vectors, x87 and general registers through the same block, with calls of the interpreter between (cpuid). */
static void test_states(void)
{
    run_both(PROGRAM("fninit\n fld1\n cvtsi2sd %rax, %xmm3\n 1: fld %st(0)\n faddp\n addsd %xmm3, %xmm3\n mov %ecx, %r8d\n xor %eax, %eax\n xor %ecx, %ecx\n push %rbx\n cpuid\n pop %rbx\n"
                     "mov %r8d, %ecx\n dec %ecx\n jnz 1b\n fistpll (%rdi)\n movsd %xmm3, 8(%rdi)\n xor %eax, %eax\n xor %edx, %edx\n xor %ebx, %ebx\n hlt"), 3, 20, SOFT_HALTED);
    g_assert_cmphex(*(uint64_t *)(translated->bytes + HARNESS_DATA), ==, 1 << 20);
}

static void set_bytes(Harness *h, uint64_t address, const void *bytes, size_t length)
{
    memcpy(h->bytes + address, bytes, length);
    if (ram_code_written) {
        ram_code_written(h->ram.ram, address, length);
    }
}

/* Jumps between global pages are linked, the links undone when code's mapping changes, and made again; then the target is written. Each
 * caller must come to what stands there now, not to what was linked before. */
static void test_page_links(void)
{
    enum { CALLERS = 6, TARGET = 0x480000 };
    static const uint8_t first[] = { 0x48, 0x83, 0xc0, 0x01, 0xc3 }, second[] = { 0x48, 0x83, 0xc0, 0x07, 0xc3 };      /* add $1 or $7, %rax; ret */
    Harness *h = harness_new(8, 0);

    g_assert_true(soft_translate(h->cpu));
    for (unsigned i = 0; i < 4; i++) {     /* the identity map, global */
        h->bytes[HARNESS_TABLES + 0x1000 + i * 8 + 1] |= 1;
    }
    h->cpu->cr4 |= CR4_PGE;
    soft_mode_changed(h->cpu);
    set_bytes(h, TARGET, first, sizeof first);
    for (unsigned i = 0; i < CALLERS; i++) {           /* call TARGET; hlt */
        uint64_t at = FAR_CODE + i * 4096;
        int32_t distance = (int32_t)(TARGET - (at + 5));
        uint8_t call[6] = { 0xe8 };

        memcpy(call + 1, &distance, 4);
        call[5] = 0xf4;
        set_bytes(h, at, call, sizeof call);
    }
    for (unsigned round = 0; round < 12; round++) {
        bool changed = round % 3 == 2;

        if (round % 3 == 1) {
            tlb_flush_page(h->cpu, TARGET);            /* of global code: links are undone */
        } else if (changed) {
            set_bytes(h, TARGET, round % 2 ? first : second, sizeof first);
        }
        for (unsigned i = 0; i < 2 * CALLERS; i++) {   /* not in the order of the first time */
            h->cpu->gpr[GPR_RAX] = 0;
            h->cpu->gpr[GPR_RSP] = HARNESS_STACK;
            h->cpu->rip = FAR_CODE + (round % 2 ? i * 5 % CALLERS : i % CALLERS) * 4096;
            h->cpu->activity = CPU_RUNNABLE;
            g_assert_cmpint(soft_run_fast(h->cpu), ==, SOFT_HALTED);
            g_assert_cmpuint(h->cpu->gpr[GPR_RAX], ==, h->bytes[TARGET + 3]);
        }
    }
    harness_free(h);
}

/* What only CPL 0 may do, and what CR4.TSD takes from the others, is refused by code that was translated before too. */
static void test_privileges(void)
{
    static const char *const names[] = { "cli", "sti", "swapgs" };
    const Program programs[] = { PROGRAM("cli\n nop\n hlt"), PROGRAM("sti\n nop\n hlt"), PROGRAM("swapgs\n nop\n hlt") };

    for (unsigned cpl = 1; cpl < 4; cpl++) {
        Harness *h = harness_new(8, cpl);

        g_assert_true(soft_translate(h->cpu));
        for (unsigned i = 0; i < G_N_ELEMENTS(programs); i++) {
            g_test_message("%s at CPL %u", names[i], cpl);
            g_assert_cmpint(run(h, programs[i], 0, 0), ==, SOFT_RAISED);
            g_assert_cmpuint(soft_exception(h->cpu).vector, ==, EXC_GP);
            g_assert_cmphex(h->cpu->rip, ==, HARNESS_CODE);
        }
        for (unsigned round = 0; round < 4; round++) {
            h->cpu->cr4 = round % 2 ? h->cpu->cr4 | CR4_TSD : h->cpu->cr4 & ~(uint64_t)CR4_TSD;
            soft_mode_changed(h->cpu);
            g_assert_cmpint(run(h, PROGRAM("1: rdtsc\n dec %ecx\n jnz 1b\n ud2"), 0, 100), ==, SOFT_RAISED);
            g_assert_cmpuint(soft_exception(h->cpu).vector, ==, round % 2 ? EXC_GP : EXC_UD);
        }
        harness_free(h);
    }
}

/* More code than the cache holds: everything is forgotten, and nothing lost. */
static void test_full_cache(void)
{
    uint8_t code[5000];
    unsigned used = 0;

    for (unsigned i = 0; i < 500; i++) {   /* add $1, %rax; jmp +0 */
        static const uint8_t piece[] = { 0x48, 0x83, 0xc0, 0x01, 0xeb, 0x00 };
        memcpy(code + used, piece, sizeof piece);
        used += sizeof piece;
    }
    code[used++] = 0xf4;
    size_t bytes = translated->cpu->jit.cache->bytes;
    translated->cpu->jit.cache->bytes = translated->cpu->jit.cache->used + 40000;
    for (unsigned round = 0; round < 20; round++) {
        memcpy(translated->bytes + FAR_CODE + round * 8192, code, used);
    }
    for (unsigned round = 0; round < 40; round++) {
        translated->cpu->gpr[GPR_RAX] = round;
        translated->cpu->rip = FAR_CODE + round % 20 * 8192;
        translated->cpu->activity = CPU_RUNNABLE;
        g_assert_cmpint(soft_run_fast(translated->cpu), ==, SOFT_HALTED);
        g_assert_cmpuint(translated->cpu->gpr[GPR_RAX], ==, round + 500);
    }
    translated->cpu->jit.cache->bytes = bytes;
    g_assert_cmpuint(translated->cpu->jit.flushes, >, 0);
}

static bool has_lock(const Trans *trans)
{
    static const uint8_t lock_xadd[] = { 0xf0, 0x48, 0x0f, 0xc1 };

    return memmem(trans->start, (size_t)(trans->end - trans->start), lock_xadd, sizeof lock_xadd);
}

static bool any_has_lock(const JitCache *cache)
{
    for (unsigned i = 0; i < cache->trans_count; i++) {
        if (has_lock(cache->transes[i])) {
            return true;
        }
    }
    return false;
}

/* The only processor runs without the guest's lock prefixes, until there is another one. */
static void test_alone(void)
{
    Program program = PROGRAM("1: lock xaddq %rax, (%rdi)\n dec %rcx\n jnz 1b\n hlt");

    harness_free(interpreted);
    jit_flush(translated->cpu);
    g_assert_cmpint(run(translated, program, 3, 1000), ==, SOFT_HALTED);
    g_assert_true(translated->cpu->jit.unlocked);
    g_assert_false(any_has_lock(translated->cpu->jit.cache));
    interpreted = harness_new(8, 0);
    run_both(program, 3, 1000, SOFT_HALTED);
    g_assert_false(translated->cpu->jit.unlocked);
    g_assert_true(any_has_lock(translated->cpu->jit.cache));
}

int main(int argc, char **argv)
{
    int status;

    g_test_init(&argc, &argv, NULL);
    interpreted = harness_new(8, 0);
    translated = harness_new(8, 0);
    if (!soft_translate(translated->cpu)) {
        puts("1..0 # SKIP this host cannot run translated code");
        return 0;
    }
    g_test_add_func("/jit/loop", test_loop);
    g_test_add_func("/jit/calls", test_calls);
    g_test_add_func("/jit/fault-inside", test_fault_inside);
    g_test_add_func("/jit/page-ends", test_page_ends);
    g_test_add_func("/jit/groups", test_groups);
    g_test_add_func("/jit/own-code", test_own_code);
    g_test_add_func("/jit/states", test_states);
    g_test_add_func("/jit/page-links", test_page_links);
    g_test_add_func("/jit/privileges", test_privileges);
    g_test_add_func("/jit/full-cache", test_full_cache);
    g_test_add_func("/jit/alone", test_alone);
    status = g_test_run();
    harness_free(translated);
    harness_free(interpreted);
    return status;
}
