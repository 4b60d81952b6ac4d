/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check.c - lockstep and audit find what they are for: a translation that does something else, an entry that outlived its flush
 *
 * The mistakes are made by hand: decoded instructions are changed behind the translation's back, table entries are put back.
 */
#include "accel/soft/block.h"
#include "accel/soft/flat.h"
#include "accel/soft/jit-check.h"
#include "accel/soft/mmu.h"
#include "tests/cpu/harness.h"
#include <string.h>

#define RUN(h, text) run(h, SNIPPET(64, text))

static Harness *checked(void)
{
    Harness *h = harness_new(8, 0);

    if (!h->cpu->jit.check && soft_translate(h->cpu)) {
        jit_check_open(h->cpu, CHECK_LOCKSTEP | CHECK_AUDIT);
    }
    return h;
}

static SoftStop run(Harness *h, const void *code, size_t length)
{
    memset(h->bytes + HARNESS_DATA, 0, 0x3000);
    harness_code(h, code, length);
    h->cpu->gpr[GPR_RDI] = HARNESS_DATA;
    return soft_run_fast(h->cpu);
}

/* The mistakes were found; harness_free() would call them ours. */
static void forgive(Harness *h)
{
    jit_check_close(h->cpu);
    harness_free(h);
}

static Block *block_at_start(Harness *h)
{
    h->cpu->rip = HARNESS_CODE;
    Block *block = block_find(h->cpu);

    g_assert_nonnull(block);
    g_assert_nonnull(block->trans);
    return block;
}

/* The program of many kinds: stores to two pages, calls, a shadow, vectors, x87, a helper in the middle, a fault of the host's at the end. */
static void test_agreement(void)
{
    Harness *h = checked();

    g_assert_cmpint(RUN(h, "mov $300, %ecx\n 1: mov %rcx, (%rdi)\n add %rcx, 0xffc(%rdi)\n push %rcx\n call 2f\n pop %rcx\n sti\n nop\n cli\n cvtsi2sd %ecx, %xmm1\n addsd %xmm1, %xmm2\n"
                           "fld1\n fistpl 16(%rdi)\n mov %ecx, %r8d\n xor %eax, %eax\n cpuid\n mov %r8d, %ecx\n mov $5, %eax\n xor %edx, %edx\n div %ecx\n dec %ecx\n jnz 1b\n hlt\n"
                           "2: xchg %rax, 8(%rdi)\n lock xadd %rbx, 8(%rdi)\n rdtsc\n ret"), ==, SOFT_HALTED);
    g_assert_cmpuint(jit_check_differences(h->cpu), ==, 0);
    if (h->cpu->jit.check) {
        g_autofree char *text = jit_check_describe(h->cpu);

        g_assert_null(strstr(text, " 0 instructions"));
        g_assert_nonnull(strstr(text, "audit"));
    }
    harness_free(h);
}

/* What the translated code does that the interpreter does not, once for each loop. */
static void mistaken(const void *code, size_t length, unsigned insn, void (*change)(Insn *insn), const char *expected)
{
    Harness *h = checked();

    if (!h->cpu->jit.check) {
        g_test_skip("no translator on this host");
        harness_free(h);
        return;
    }
    g_assert_cmpint(run(h, code, length), ==, SOFT_HALTED);
    g_assert_cmpuint(jit_check_differences(h->cpu), ==, 0);
    change(&block_at_start(h)->insns[insn]);
    h->cpu->activity = CPU_RUNNABLE;
    h->cpu->gpr[GPR_RDI] = HARNESS_DATA;
    if (g_test_subprocess()) {
        soft_run_fast(h->cpu);
        _exit(jit_check_differences(h->cpu) == 1 ? 0 : 1);
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr(expected);
    forgive(h);
}

static void other_immediate(Insn *insn) { insn->imm++; }
static void other_place(Insn *insn) { insn->disp += 8; }
static void other_page(Insn *insn) { insn->disp += 0x1000; }
static void nowhere(Insn *insn) { insn->disp = 0x70000000; }

static void test_register(void) { mistaken(SNIPPET(64, "add $3, %rax\n jmp 1f\n 1: hlt"), 0, other_immediate, "*differs: rax 6 (was 3, interpreted 7)*add*"); }
static void test_store(void) { mistaken(SNIPPET(64, "movq $7, 8(%rdi)\n jmp 1f\n 1: hlt"), 0, other_place, "*differs: ?4010? 0 (was 0, interpreted 7)*mov*"); }
static void test_store_elsewhere(void) { mistaken(SNIPPET(64, "movq $7, 8(%rdi)\n jmp 1f\n 1: hlt"), 0, other_page, "*stores to a page that translated code did not*"); }
static void test_exception(void) { mistaken(SNIPPET(64, "mov %rax, %rbx\n mov 8(%rdi), %rcx\n jmp 1f\n 1: hlt"), 1, nowhere, "*comes to a device*"); }

static void test_stale_entry(void)
{
    Harness *h = checked();

    if (!h->cpu->jit.audit) {
        g_test_skip("no translator on this host");
        harness_free(h);
        return;
    }
    g_assert_cmpint(RUN(h, "mov (%rdi), %rax\n hlt"), ==, SOFT_HALTED);
    intptr_t *entry = &flat_read_table(h->cpu)[flat_index(HARNESS_DATA)], delta = *entry;
    g_assert_cmpint(delta, !=, 0);
    tlb_flush_page(h->cpu, HARNESS_DATA);
    g_assert_cmpint(*entry, ==, 0);
    tlb_flush_non_global(h->cpu);
    g_assert_cmpuint(jit_check_differences(h->cpu), ==, 0);
    g_assert_cmpint(RUN(h, "mov (%rdi), %rax\n hlt"), ==, SOFT_HALTED);
    delta = *entry;
    g_assert_cmpint(delta, !=, 0);
    tlb_flush_page(h->cpu, HARNESS_DATA);
    *entry = delta;                        /* as if the flush had missed it */
    for (unsigned i = 0; i < 10000; i++) {
        audit_now_and_then(h->cpu);
    }
    g_assert_cmpuint(jit_check_differences(h->cpu), ==, 1);
    forgive(h);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/check/agreement", test_agreement);
    g_test_add_func("/check/register", test_register);
    g_test_add_func("/check/store", test_store);
    g_test_add_func("/check/store-elsewhere", test_store_elsewhere);
    g_test_add_func("/check/exception", test_exception);
    g_test_add_func("/check/stale-entry", test_stale_entry);
    return g_test_run();
}
