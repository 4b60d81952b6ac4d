/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * integer.c - small programs on the software CPU alone: results, flags, faults, and code that changes under it
 *
 * What one instruction does to its operands is compared with the host's processor by the fuzzer; here is what needs more than one
 * instruction, a fault, or another mode.
 */
#include "tests/cpu/harness.h"
#include "accel/soft/mmu.h"
#include <string.h>

static Harness *code_64, *code_32, *code_16;

static void expect_reg(Harness *h, unsigned number, uint64_t value) { g_assert_cmphex(h->cpu->gpr[number], ==, value); }
static void expect_flags(Harness *h, uint64_t value) { g_assert_cmphex(flags_get(h->cpu) & FLAG_ARITHMETIC, ==, value); }
static uint64_t *quad(Harness *h, uint64_t at) { return (uint64_t *)(h->bytes + at); }

static void expect_fault(Harness *h, unsigned vector, uint64_t rip)
{
    g_assert_cmpuint(soft_exception(h->cpu).vector, ==, vector);
    g_assert_cmphex(h->cpu->rip, ==, rip);
}

/* ---- arithmetic ------------------------------------------------------------------------------------------------------------ */

static void test_flags(void)
{
    Harness *h = code_64;

    harness_code(h, SNIPPET(64, "add $1, %al\n sub $1, %ah\n xor %ecx, %ecx\n adc $0x7f, %dl\n"));
    h->cpu->gpr[GPR_RAX] = 0xff;
    g_assert_cmpint(harness_run(h, 1), ==, SOFT_DONE);
    expect_flags(h, FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF);
    harness_run(h, 1);
    expect_reg(h, GPR_RAX, 0xff00);
    expect_flags(h, FLAG_CF | FLAG_PF | FLAG_AF | FLAG_SF);
    harness_run(h, 1);
    expect_flags(h, FLAG_ZF | FLAG_PF);
    flags_set_cf(h->cpu, true);
    harness_run(h, 1);
    expect_reg(h, GPR_RDX, 0x80);
    expect_flags(h, FLAG_SF | FLAG_OF | FLAG_AF);
}

static void test_inc_keeps_carry(void)
{
    Harness *h = code_64;

    harness_code(h, SNIPPET(64, "stc\n inc %eax\n dec %rbx\n neg %ecx\n not %edx"));
    harness_run(h, 3);
    expect_reg(h, GPR_RAX, 1);
    expect_reg(h, GPR_RBX, UINT64_MAX);
    g_assert_true(flags_cf(h->cpu));
    harness_run(h, 2);
    g_assert_false(flags_cf(h->cpu));
    expect_reg(h, GPR_RDX, UINT32_MAX);
}

static void test_nop_keeps_upper_half(void)
{
    Harness *h = code_64;

    harness_code(h, SNIPPET(64, ".byte 0x90\n .byte 0x87, 0xdb"));         /* nop; xchg %ebx, %ebx */
    h->cpu->gpr[GPR_RAX] = h->cpu->gpr[GPR_RBX] = UINT64_MAX;
    harness_run(h, 2);
    expect_reg(h, GPR_RAX, UINT64_MAX);
    expect_reg(h, GPR_RBX, UINT32_MAX);
}

static void test_divide(void)
{
    Harness *h = code_64;

    harness_code(h, SNIPPET(64, "div %rbx\n idiv %rcx"));
    h->cpu->gpr[GPR_RDX] = 5, h->cpu->gpr[GPR_RAX] = 7, h->cpu->gpr[GPR_RBX] = 16;
    harness_run(h, 1);
    expect_reg(h, GPR_RAX, UINT64_C(0x5000000000000000));
    expect_reg(h, GPR_RDX, 7);
    h->cpu->gpr[GPR_RDX] = UINT64_C(0x8000000000000000), h->cpu->gpr[GPR_RAX] = 0, h->cpu->gpr[GPR_RCX] = UINT64_MAX;
    g_assert_cmpint(harness_run(h, 1), ==, SOFT_RAISED);
    expect_fault(h, EXC_DE, HARNESS_CODE + 3);
    expect_reg(h, GPR_RDX, UINT64_C(0x8000000000000000));
    h->cpu->gpr[GPR_RDX] = UINT64_MAX, h->cpu->gpr[GPR_RAX] = (uint64_t)-100, h->cpu->gpr[GPR_RCX] = 7;
    g_assert_cmpint(harness_run(h, 1), ==, SOFT_DONE);
    expect_reg(h, GPR_RAX, (uint64_t)-14);
    expect_reg(h, GPR_RDX, (uint64_t)-2);
}

static void test_bit_offset(void)
{
    Harness *h = code_64;

    harness_code(h, SNIPPET(64, "bts %rax, (%rdi)\n btl %ecx, 8(%rdi)\n lock btr %ax, (%rdi)"));
    h->cpu->gpr[GPR_RDI] = HARNESS_DATA;
    h->cpu->gpr[GPR_RAX] = (uint64_t)-3;   /* 61 of the eight bytes before */
    h->cpu->gpr[GPR_RCX] = (uint64_t)-1;
    memset(h->bytes + HARNESS_DATA - 16, 0, 64);
    *quad(h, HARNESS_DATA) = UINT64_C(0x8000000000000000);
    harness_run(h, 2);
    g_assert_cmphex(*quad(h, HARNESS_DATA - 8), ==, UINT64_C(1) << 61);
    g_assert_true(flags_cf(h->cpu));       /* bit -1 of the address 8 further on */
    harness_run(h, 1);
    g_assert_cmphex(*quad(h, HARNESS_DATA - 8), ==, 0);
    g_assert_true(flags_cf(h->cpu));
}

static void test_exchange(void)
{
    Harness *h = code_64;

    harness_code(h, SNIPPET(64, "lock cmpxchg16b (%rdi)\n lock cmpxchg16b (%rdi)\n lock xadd %rsi, (%rdi)\n lock cmpxchg16b 8(%rdi)"));
    quad(h, HARNESS_DATA)[0] = 1, quad(h, HARNESS_DATA)[1] = 2;
    h->cpu->gpr[GPR_RDI] = HARNESS_DATA, h->cpu->gpr[GPR_RSI] = 10, h->cpu->gpr[GPR_RBX] = 30, h->cpu->gpr[GPR_RCX] = 40;
    harness_run(h, 1);
    g_assert_false(flags_zf(h->cpu));
    expect_reg(h, GPR_RAX, 1);
    expect_reg(h, GPR_RDX, 2);
    harness_run(h, 1);
    g_assert_true(flags_zf(h->cpu));
    g_assert_cmphex(quad(h, HARNESS_DATA)[1], ==, 40);
    harness_run(h, 1);
    expect_reg(h, GPR_RSI, 30);
    g_assert_cmphex(quad(h, HARNESS_DATA)[0], ==, 40);
    g_assert_cmpint(harness_run(h, 1), ==, SOFT_RAISED);
    g_assert_cmpuint(soft_exception(h->cpu).vector, ==, EXC_GP);           /* not 16-byte aligned */
}

/* ---- stack and control -------------------------------------------------------------------------------------------------------- */

static void test_calls(void)
{
    Harness *h = code_64;

    harness_code(h, SNIPPET(64, "call 1f\n mov $7, %ebx\n hlt\n 1: push $-2\n pop %rax\n push %rsp\n pop %rcx\n enter $16, $0\n leave\n ret $8"));
    g_assert_cmpint(soft_run_fast(h->cpu), ==, SOFT_HALTED);
    expect_reg(h, GPR_RAX, (uint64_t)-2);
    expect_reg(h, GPR_RBX, 7);
    expect_reg(h, GPR_RCX, HARNESS_STACK - 8);
    expect_reg(h, GPR_RSP, HARNESS_STACK + 8);
}

static void test_pop_addresses_after_pop(void)
{
    Harness *h = code_64;

    harness_code(h, SNIPPET(64, "push $5\n push $6\n popq (%rsp)\n"));
    harness_run(h, 3);
    g_assert_cmphex(*quad(h, HARNESS_STACK - 8), ==, 6);
    expect_reg(h, GPR_RSP, HARNESS_STACK - 8);
}

static void test_non_canonical(void)
{
    Harness *h = code_64;

    harness_code(h, SNIPPET(64, "mov (%rax), %rbx\n push %rax\n jmp *%rax"));
    h->cpu->gpr[GPR_RAX] = UINT64_C(0x800000000000);
    g_assert_cmpint(harness_run(h, 1), ==, SOFT_RAISED);
    expect_fault(h, EXC_GP, HARNESS_CODE);
    h->cpu->rip = HARNESS_CODE + 3, h->cpu->gpr[GPR_RSP] = UINT64_C(0x800000000010);
    g_assert_cmpint(harness_run(h, 1), ==, SOFT_RAISED);
    expect_fault(h, EXC_SS, HARNESS_CODE + 3);
    h->cpu->rip = HARNESS_CODE + 4;
    g_assert_cmpint(harness_run(h, 1), ==, SOFT_RAISED);
    expect_fault(h, EXC_GP, HARNESS_CODE + 4);
}

/* ---- strings -------------------------------------------------------------------------------------------------------------------- */

static void test_strings(void)
{
    Harness *h = code_64;

    harness_code(h, SNIPPET(64, "rep movsb\n rep stosw\n repne scasb\n std\n rep movsb\n repe cmpsb"));
    for (unsigned i = 0; i < 8192; i++) {
        h->bytes[0x20000 + i] = (uint8_t)(i * 3);
    }
    h->cpu->gpr[GPR_RSI] = 0x20000, h->cpu->gpr[GPR_RDI] = 0x20003, h->cpu->gpr[GPR_RCX] = 5000;      /* overlapping: a pattern of three */
    harness_run(h, 1);
    for (unsigned i = 0; i < 5000; i++) {
        g_assert_cmpuint(h->bytes[0x20003 + i], ==, (i % 3) * 3);
    }
    expect_reg(h, GPR_RCX, 0);
    expect_reg(h, GPR_RSI, 0x20000 + 5000);
    h->cpu->gpr[GPR_RDI] = 0x20fff, h->cpu->gpr[GPR_RCX] = 3000, h->cpu->gpr[GPR_RAX] = 0x4241;        /* odd: elements cross pages */
    harness_run(h, 1);
    g_assert_cmpuint(h->bytes[0x20fff], ==, 0x41);
    g_assert_cmpuint(h->bytes[0x21000], ==, 0x42);
    expect_reg(h, GPR_RDI, 0x20fff + 6000);
    h->bytes[0x21800] = 0x99;
    h->cpu->gpr[GPR_RDI] = 0x21000, h->cpu->gpr[GPR_RCX] = 100000, h->cpu->gpr[GPR_RAX] = 0x99;
    harness_run(h, 1);
    expect_reg(h, GPR_RDI, 0x21801);
    expect_reg(h, GPR_RCX, 100000 - 0x801);
    g_assert_true(flags_zf(h->cpu));
    h->cpu->gpr[GPR_RSI] = 0x20010, h->cpu->gpr[GPR_RDI] = 0x30010, h->cpu->gpr[GPR_RCX] = 17;
    harness_run(h, 2);                     /* downwards */
    g_assert_cmpmem(h->bytes + 0x20000, 17, h->bytes + 0x30000, 17);
    expect_reg(h, GPR_RDI, 0x2ffff);
    h->bytes[0x30004] ^= 1;
    h->cpu->gpr[GPR_RSI] = 0x20010, h->cpu->gpr[GPR_RDI] = 0x30010, h->cpu->gpr[GPR_RCX] = 17;
    harness_run(h, 1);
    expect_reg(h, GPR_RCX, 4);
    g_assert_false(flags_zf(h->cpu));
}

/* A fault in the middle leaves the registers at the element that faulted. */
static void test_string_fault(void)
{
    Harness *h = code_32;

    harness_code(h, SNIPPET(32, "rep stosl"));
    h->cpu->segment[SEG_ES].limit = 0x20fff;
    soft_mode_changed(h->cpu);
    h->cpu->gpr[GPR_RDI] = 0x20ff0, h->cpu->gpr[GPR_RCX] = 10, h->cpu->gpr[GPR_RAX] = 0x12345678;
    g_assert_cmpint(harness_run(h, 1), ==, SOFT_RAISED);
    expect_fault(h, EXC_GP, HARNESS_CODE);
    expect_reg(h, GPR_RCX, 6);
    expect_reg(h, GPR_RDI, 0x21000);
    soft_set_flat(h->cpu, 4, 0, 0);
}

/* ---- other modes ------------------------------------------------------------------------------------------------------------------ */

static void test_16_bit(void)
{
    Harness *h = code_16;

    harness_code(h, SNIPPET(16, "mov $0x1234, %ax\n push %ax\n pop %bx\n mov $0xfff0, %si\n mov %ax, 0x20(%bx,%si)\n loop 1f\n nop\n 1: addr32 mov 0x10(%esi), %cl\n hlt"));
    h->cpu->gpr[GPR_RAX] = UINT64_C(0xaaaa0000), h->cpu->gpr[GPR_RCX] = 0x10001;
    g_assert_cmpint(soft_run_fast(h->cpu), ==, SOFT_RAISED);               /* 32-bit address 10000h is beyond the limit */
    g_assert_cmpuint(soft_exception(h->cpu).vector, ==, EXC_GP);
    expect_reg(h, GPR_RAX, 0xaaaa1234);
    expect_reg(h, GPR_RBX, 0x1234);
    expect_reg(h, GPR_RCX, 0x10000);
    g_assert_cmphex(*(uint16_t *)(h->bytes + 0x1244), ==, 0x1234);         /* 1234 + fff0 + 20 wraps */
}

static void test_32_bit(void)
{
    Harness *h = code_32;

    harness_code(h, SNIPPET(32, "pusha\n popa\n mov $0x99, %al\n add $1, %al\n daa\n mov $12, %ah\n aad\n jcxz 1f\n 1: dec %ebx\n push %cs\n pop %edx\n hlt"));
    h->cpu->gpr[GPR_RSI] = 0x11223344, h->cpu->gpr[GPR_RSP] = HARNESS_STACK;
    g_assert_cmpint(soft_run_fast(h->cpu), ==, SOFT_HALTED);
    expect_reg(h, GPR_RSI, 0x11223344);
    expect_reg(h, GPR_RSP, HARNESS_STACK);
    expect_reg(h, GPR_RAX, 120);           /* 00h and carry after daa, then 12 * 10 + 0 */
    expect_reg(h, GPR_RBX, UINT32_MAX);
    expect_reg(h, GPR_RDX, 8);
    g_assert_cmphex(*(uint32_t *)(h->bytes + HARNESS_STACK - 28), ==, 0x11223344);
}

static void test_invalid(void)
{
    Harness *h = code_64;

    harness_code(h, SNIPPET(64, "nop\n ud2\n .byte 0xf0, 0x90"));
    g_assert_cmpint(harness_run(h, 2), ==, SOFT_RAISED);
    expect_fault(h, EXC_UD, HARNESS_CODE + 1);
    h->cpu->rip = HARNESS_CODE + 3;
    g_assert_cmpint(harness_run(h, 1), ==, SOFT_RAISED);
    expect_fault(h, EXC_UD, HARNESS_CODE + 3);
    memset(h->bytes + HARNESS_CODE, 0x66, 16);
    ram_code_written(h->ram.ram, HARNESS_CODE, 16);
    h->cpu->rip = HARNESS_CODE;
    g_assert_cmpint(harness_run(h, 1), ==, SOFT_RAISED);
    expect_fault(h, EXC_GP, HARNESS_CODE);
}

/* ---- code that changes ---------------------------------------------------------------------------------------------------------------- */

/* The store hits the next instruction of its own block. */
static void test_own_block(void)
{
    Harness *h = code_64;

    harness_code(h, SNIPPET(64, "movb $5, 1f+1(%rip)\n 1: mov $1, %al\n hlt"));
    g_assert_cmpint(soft_run_fast(h->cpu), ==, SOFT_HALTED);
    expect_reg(h, GPR_RAX, 5);
}

/* A loop that changes an immediate of its own each time round, a thousand times: hot pages too. */
static void test_hot_page(void)
{
    Harness *h = code_64;

    harness_code(h, SNIPPET(64, "mov $1000, %ecx\n 1: add $0, %ebx\n incb -1(%rip)\n loop 1b\n hlt"));
    /* "-1(%rip)" is the last byte of the incb itself: point it at the immediate of the add */
    *(int32_t *)(h->bytes + HARNESS_CODE + 10) = -7;
    g_assert_cmpint(soft_run_fast(h->cpu), ==, SOFT_HALTED);
    uint64_t sum = 0;
    for (int i = 0; i < 1000; i++) {
        sum += (uint64_t)(int64_t)(int8_t)i;
    }
    expect_reg(h, GPR_RBX, (uint32_t)sum);
}

static void test_dma(void)
{
    Harness *h = code_64;

    harness_code(h, SNIPPET(64, "mov $1, %eax\n hlt"));
    g_assert_cmpint(soft_run_fast(h->cpu), ==, SOFT_HALTED);
    h->bytes[HARNESS_CODE + 1] = 9;
    ram_code_written(h->ram.ram, HARNESS_CODE + 1, 1);
    h->cpu->rip = HARNESS_CODE, h->cpu->activity = CPU_RUNNABLE;
    g_assert_cmpint(soft_run_fast(h->cpu), ==, SOFT_HALTED);
    expect_reg(h, GPR_RAX, 9);
}

/* An instruction over the end of a page, its second half changed by a store. */
static void test_crossing(void)
{
    Harness *h = code_64;
    static const uint8_t crossing[] = { 0xb8, 1, 2, 3, 4, 0xf4 };          /* mov $0x04030201, %eax; hlt */

    harness_code(h, SNIPPET(64, "movb $0x55, (%rdi)\n jmp *%rsi"));
    for (unsigned round = 0; round < 2; round++) {
        memcpy(h->bytes + 0x9ffe, crossing, sizeof crossing);
        ram_code_written(h->ram.ram, 0x9ffe, sizeof crossing);
        h->cpu->gpr[GPR_RSI] = 0x9ffe, h->cpu->gpr[GPR_RDI] = round ? 0xa001 : 0x4000;
        h->cpu->rip = HARNESS_CODE, h->cpu->activity = CPU_RUNNABLE;
        g_assert_cmpint(soft_run_fast(h->cpu), ==, SOFT_HALTED);
        expect_reg(h, GPR_RAX, round ? 0x04550201 : 0x04030201);
    }
}

/* Returns to one offset in two segments of real mode, in turn: where it was found the last time is another place. */
static void test_one_offset_in_two_segments(void)
{
    static const uint8_t begin[] = { 0xb8, 0x10, 0x01, 0x50, 0xc3 };                               /* mov $110h, %ax; push %ax; ret */
    static const uint8_t first[] = { 0x43, 0xea, 0x00, 0x01, 0x00, 0x20 };                         /* inc %bx; ljmp 2000h:100h */
    static const uint8_t second[] = { 0x83, 0xc3, 0x10, 0xe2, 0x01, 0xf4, 0xea, 0x00, 0x01, 0x00, 0x10 };     /* add $16, %bx; loop 1f; hlt; 1: ljmp 1000h:100h */
    Harness *h = harness_new(2, 0);

    memcpy(h->bytes + 0x10100, begin, sizeof begin);
    memcpy(h->bytes + 0x10110, first, sizeof first);
    memcpy(h->bytes + 0x20100, begin, sizeof begin);
    memcpy(h->bytes + 0x20110, second, sizeof second);
    harness_code(h, SNIPPET(16, "mov $5, %cx; mov %cr0, %eax; and $0x7ffffffe, %eax; mov %eax, %cr0; ljmp $0x1000, $0x100"));
    g_assert_cmpint(soft_run_fast(h->cpu), ==, SOFT_HALTED);
    expect_reg(h, GPR_RBX, 0x55);
    harness_free(h);
}

int main(int argc, char **argv)
{
    int status;

    g_test_init(&argc, &argv, NULL);
    code_64 = harness_new(8, 0);
    code_32 = harness_new(4, 0);
    code_16 = harness_new(2, 0);
    g_test_add_func("/integer/flags", test_flags);
    g_test_add_func("/integer/inc-keeps-carry", test_inc_keeps_carry);
    g_test_add_func("/integer/nop-keeps-upper-half", test_nop_keeps_upper_half);
    g_test_add_func("/integer/divide", test_divide);
    g_test_add_func("/integer/bit-offset", test_bit_offset);
    g_test_add_func("/integer/exchange", test_exchange);
    g_test_add_func("/integer/calls", test_calls);
    g_test_add_func("/integer/pop-addresses-after-pop", test_pop_addresses_after_pop);
    g_test_add_func("/integer/non-canonical", test_non_canonical);
    g_test_add_func("/integer/strings", test_strings);
    g_test_add_func("/integer/string-fault", test_string_fault);
    g_test_add_func("/integer/16-bit", test_16_bit);
    g_test_add_func("/integer/32-bit", test_32_bit);
    g_test_add_func("/integer/invalid", test_invalid);
    g_test_add_func("/integer/own-block", test_own_block);
    g_test_add_func("/integer/hot-page", test_hot_page);
    g_test_add_func("/integer/dma", test_dma);
    g_test_add_func("/integer/crossing", test_crossing);
    g_test_add_func("/integer/one-offset-in-two-segments", test_one_offset_in_two_segments);
    status = g_test_run();
    harness_free(code_64);
    harness_free(code_32);
    harness_free(code_16);
    return status;
}
