/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * segments.c - segment loads, far transfers, gates and task switches against oracles written from the manual
 *
 * The tables run over every access byte, privilege level and requested level; an oracle of a few lines says which fault, with
 * which error code, must come of it. What a transfer that is allowed leaves behind is checked by scripted cases.
 */
#include "tests/cpu/bare.h"
#include "accel/soft/flags.h"
#include "accel/soft/segment.h"
#include <inttypes.h>

enum {
    GDT = 0x1000, IDT = 0x2000, TSS = 0x3000, LDT = 0x4000, PML4 = 0x10000, STACK_0 = 0x20000, STACK_3 = 0x30000, RAM_BYTES = 4 << 20,
    SEL_CODE0 = 0x08, SEL_DATA0 = 0x10, SEL_CODE3 = 0x1b, SEL_DATA3 = 0x23, SEL_TSS = 0x28, SEL_TEST = 0x40, SEL_TARGET = 0x50,
    SEL_TSS2 = 0x60, SEL_CODE1 = 0x71, SEL_DATA1 = 0x79, SEL_SMALL = 0x80, GDT_LIMIT = 0x8f,
};
enum { A_CODE = 0x9a, A_DATA = 0x92, FLAT32 = 0xc, LONG64 = 0xa };

/* A descriptor: base, limit in bytes or pages, access byte, the G D L AVL nibble. */
static void put_descriptor(Bare *bare, unsigned selector, uint32_t base, uint32_t limit, unsigned access, unsigned flags)
{
    uint64_t d = (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)access << 40 |
                 (uint64_t)(limit >> 16 & 15) << 48 | (uint64_t)flags << 52 | (uint64_t)(base >> 24) << 56;

    bare_put64(bare, GDT + (selector & 0xfff8), d);
}

static void put_gate(Bare *bare, uint64_t address, unsigned selector, uint32_t offset, unsigned access, unsigned count)
{
    bare_put64(bare, address, (offset & 0xffff) | (uint64_t)selector << 16 | (uint64_t)count << 32 | (uint64_t)access << 40 |
                              (uint64_t)(offset >> 16) << 48);
}

static CpuSegment flat(uint16_t selector, unsigned access, unsigned flags)
{
    return (CpuSegment){ .selector = selector, .attributes = access | flags << 12, .limit = UINT32_MAX };
}

/* Protected mode at a level, with flat segments of its own, a TSS, and the tables above. */
static void enter_level(Bare *bare, unsigned cpl, bool long_mode)
{
    SoftCpu *cpu = bare->cpu;
    unsigned code_flags = long_mode ? LONG64 : FLAT32;

    cpu->gdt_base = GDT;
    cpu->gdt_limit = GDT_LIMIT;
    cpu->idt_base = IDT;
    cpu->idt_limit = 0xfff;
    cpu->ldt = segment_null(0);
    cpu->tr = (CpuSegment){ .selector = SEL_TSS, .attributes = 0x8b, .limit = 0x67, .base = TSS };
    cpu->segment[SEG_CS] = flat((uint16_t)((cpl == 3 ? SEL_CODE3 : SEL_CODE0) & ~3) | (uint16_t)cpl, 0x9b | cpl << 5, code_flags);
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        if (i != SEG_CS) {
            cpu->segment[i] = flat((uint16_t)((cpl == 3 ? SEL_DATA3 : SEL_DATA0) & ~3) | (uint16_t)cpl, 0x93 | cpl << 5, FLAT32);
        }
    }
    cpu->rip = 0x5000;
    cpu->block_rip = 0x5000;
    cpu->gpr[GPR_RSP] = cpl == 3 ? STACK_3 : STACK_0;
    flags_set(cpu, 0);
    cpu->activity = CPU_RUNNABLE;
    cpu->sys.delivering = DELIVER_NOTHING;
    cpu->cr3 = PML4;
    if (long_mode) {
        bare_set_mode(bare, CR0_PE | CR0_PG, CR4_PAE, EFER_LME | EFER_LMA | EFER_NXE, cpl);
    } else {
        bare_set_mode(bare, CR0_PE, 0, 0, cpl);
    }
}

static Bare *protected_new(void)
{
    Bare *bare = bare_new(RAM_BYTES);

    put_descriptor(bare, SEL_CODE0, 0, 0xfffff, A_CODE, FLAT32);
    put_descriptor(bare, SEL_DATA0, 0, 0xfffff, A_DATA, FLAT32);
    put_descriptor(bare, SEL_CODE3, 0, 0xfffff, A_CODE | 0x60, FLAT32);
    put_descriptor(bare, SEL_DATA3, 0, 0xfffff, A_DATA | 0x60, FLAT32);
    put_descriptor(bare, SEL_CODE1, 0, 0xfffff, A_CODE | 0x20, FLAT32);
    put_descriptor(bare, SEL_DATA1, 0, 0xfffff, A_DATA | 0x20, FLAT32);
    put_descriptor(bare, SEL_TSS, TSS, 0x67, 0x8b, 0);
    put_descriptor(bare, SEL_SMALL, 0x1000, 0xff, A_DATA, 0x4);
    bare_put64(bare, PML4, PML4 + 0x1007);
    bare_put64(bare, PML4 + 0x1000, 0x87);                     /* 1 GiB, everything allowed */
    return bare;
}

/* What must happen: a fault, or none when vector is NONE. */
enum { NONE = -1 };
typedef struct Verdict { int vector; uint32_t error; } Verdict;

static void check_verdict(Bare *bare, bool raised, Verdict want, const char *what, unsigned access, unsigned cpl, unsigned rpl)
{
    int vector = raised ? bare->cpu->sys.raised_vector : NONE;
    uint32_t error = raised ? bare->cpu->sys.raised_error : 0;

    if (vector != want.vector || error != want.error) {
        g_error("%s, access byte %02x, CPL %u, RPL %u: vector %d error %x, want %d %x", what, access, cpl, rpl, vector, error,
                want.vector, want.error);
    }
}

/* Data segments and SS ------------------------------------------------------------------------------------------ */

static Verdict oracle_load(unsigned which, unsigned access, unsigned cpl, unsigned rpl)
{
    unsigned dpl = access >> 5 & 3, error = SEL_TEST;
    bool code = access & 8, readable_or_writable = access & 2, conforming = code && access & 4;

    if (!(access & 0x10)) {
        return (Verdict){ EXC_GP, error };
    }
    if (which == SEG_SS) {
        if (rpl != cpl || dpl != cpl || code || !readable_or_writable) {
            return (Verdict){ EXC_GP, error };
        }
        return access & 0x80 ? (Verdict){ NONE, 0 } : (Verdict){ EXC_SS, error };
    }
    if ((code && !readable_or_writable) || (!conforming && (rpl > dpl || cpl > dpl))) {
        return (Verdict){ EXC_GP, error };
    }
    return access & 0x80 ? (Verdict){ NONE, 0 } : (Verdict){ EXC_NP, error };
}

static void check_load(Bare *bare, unsigned which, unsigned access, unsigned cpl, unsigned rpl)
{
    SoftCpu *cpu = bare->cpu;
    CpuSegment before = cpu->segment[which];
    bool raised;

    put_descriptor(bare, SEL_TEST, 0x123456, 0x789, access, 0xc);
    raised = BARE_RAISES(bare, segment_load(cpu, NULL, which, (uint16_t)(SEL_TEST | rpl)));
    check_verdict(bare, raised, oracle_load(which, access, cpl, rpl), which == SEG_SS ? "load SS" : "load DS", access, cpl, rpl);
    if (raised) {
        g_assert_cmpmem(&before, sizeof before, &cpu->segment[which], sizeof before);
    } else {
        g_assert_cmpuint(cpu->segment[which].base, ==, 0x123456);
        g_assert_cmpuint(cpu->segment[which].limit, ==, 0x789fff);
        g_assert_cmpuint(cpu->segment[which].attributes, ==, (access | 1) | 0xc000);
    }
    g_assert_cmpint(bare_get64(bare, GDT + SEL_TEST) >> 40 & 1, ==, (access & 1) || !raised);
    cpu->segment[which] = before;
}

static void load_table(void)
{
    static const uint8_t registers[] = { SEG_DS, SEG_ES, SEG_FS, SEG_GS, SEG_SS };
    Bare *bare = protected_new();

    for (unsigned c = 0; c < 256 * 16 * sizeof registers; c++) {
        unsigned access = c & 255, cpl = c >> 8 & 3, rpl = c >> 10 & 3;

        enter_level(bare, cpl, false);
        check_load(bare, registers[c >> 12], access, cpl, rpl);
    }
    bare_free(bare);
}

static void load_edges(void)
{
    Bare *bare = protected_new();
    SoftCpu *cpu = bare->cpu;

    enter_level(bare, 0, false);
    g_assert_true(BARE_RAISES(bare, segment_load(cpu, NULL, SEG_DS, 0x90)));            /* beyond the limit */
    g_assert_cmpuint(cpu->sys.raised_error, ==, 0x90);
    g_assert_true(BARE_RAISES(bare, segment_load(cpu, NULL, SEG_DS, 0x0c)));            /* no LDT */
    g_assert_cmpuint(cpu->sys.raised_error, ==, 0x0c);
    cpu->gdt_limit = SEL_TEST + 6;                                                      /* one byte short */
    g_assert_true(BARE_RAISES(bare, segment_load(cpu, NULL, SEG_DS, SEL_TEST)));
    cpu->gdt_limit = GDT_LIMIT;
    g_assert_true(BARE_RAISES(bare, segment_load(cpu, NULL, SEG_SS, 0)));
    g_assert_cmpuint(cpu->sys.raised_error, ==, 0);
    g_assert_false(BARE_RAISES(bare, segment_load(cpu, NULL, SEG_DS, 3)));
    g_assert_true(cpu->segment[SEG_DS].attributes & ATTR_UNUSABLE);
    g_assert_false(cpu->flat);
    enter_level(bare, 0, true);
    g_assert_false(BARE_RAISES(bare, segment_load(cpu, NULL, SEG_SS, 0)));              /* 64-bit, below level 3 */
    g_assert_true(BARE_RAISES(bare, segment_load(cpu, NULL, SEG_SS, 1)));
    enter_level(bare, 3, true);
    g_assert_true(BARE_RAISES(bare, segment_load(cpu, NULL, SEG_SS, 3)));
    bare_free(bare);
}

static void expand_down_limits(void)
{
    CpuSegment down = { .attributes = 0x97 | ATTR_DB, .limit = 0xfff }, up = { .attributes = 0x93, .limit = 0xfff };

    g_assert_false(segment_covers(&down, 0xfff, 1));
    g_assert_true(segment_covers(&down, 0x1000, 4));
    g_assert_true(segment_covers(&down, 0xfffffffc, 4));
    g_assert_false(segment_covers(&down, 0xfffffffd, 4));
    down.attributes &= ~(uint32_t)ATTR_DB;
    g_assert_true(segment_covers(&down, 0xfffe, 2));
    g_assert_false(segment_covers(&down, 0xffff, 2));
    g_assert_true(segment_covers(&up, 0xffc, 4));
    g_assert_false(segment_covers(&up, 0xffd, 4));
}

/* Far jumps and calls ------------------------------------------------------------------------------------------- */

/* The instruction that does it: at 5000h, seven bytes long. */
static Insn far_insn(unsigned size)
{
    return (Insn){ .size = (uint8_t)size, .length = 7, .form = FORM_FAR };
}

static Verdict oracle_direct(unsigned access, unsigned cpl, unsigned rpl)
{
    unsigned dpl = access >> 5 & 3, error = SEL_TEST;

    if ((access & 0x18) != 0x18) {
        return (Verdict){ EXC_GP, error };                     /* data; system types have a test of their own */
    }
    if (access & 4 ? dpl > cpl : (rpl > cpl || dpl != cpl)) {
        return (Verdict){ EXC_GP, error };
    }
    return access & 0x80 ? (Verdict){ NONE, 0 } : (Verdict){ EXC_NP, error };
}

static void direct_table(void)
{
    Bare *bare = protected_new();
    SoftCpu *cpu = bare->cpu;
    Insn insn = far_insn(4);

    for (unsigned c = 0; c < 256 * 16 * 2; c++) {
        unsigned access = c & 255, cpl = c >> 8 & 3, rpl = c >> 10 & 3;
        bool call = c >> 12, raised;

        if (!(access & 0x10)) {
            continue;
        }
        enter_level(bare, cpl, false);
        put_descriptor(bare, SEL_TEST, 0, 0xfffff, access, FLAT32);
        raised = call ? BARE_RAISES(bare, far_call(cpu, &insn, (uint16_t)(SEL_TEST | rpl), 0x7777))
                      : BARE_RAISES(bare, far_jump(cpu, &insn, (uint16_t)(SEL_TEST | rpl), 0x7777));
        check_verdict(bare, raised, oracle_direct(access, cpl, rpl), call ? "far call" : "far jump", access, cpl, rpl);
        if (!raised) {
            uint64_t rsp = cpl == 3 ? STACK_3 : STACK_0;

            g_assert_cmpuint(cpu->rip, ==, 0x7777);
            g_assert_cmpuint(cpu->cpl, ==, cpl);
            g_assert_cmpuint(cpu->segment[SEG_CS].selector, ==, SEL_TEST | cpl);
            g_assert_cmpuint(cpu->gpr[GPR_RSP], ==, call ? rsp - 8 : rsp);
            if (call) {
                g_assert_cmpuint(bare_get32(bare, rsp - 8), ==, 0x5007);
            }
        }
    }
    bare_free(bare);
}

static void target_limits(void)
{
    Bare *bare = protected_new();
    SoftCpu *cpu = bare->cpu;
    Insn insn = far_insn(4);

    enter_level(bare, 0, false);
    put_descriptor(bare, SEL_TEST, 0, 0x7776, A_CODE, 0x4);
    g_assert_true(BARE_RAISES(bare, far_jump(cpu, &insn, SEL_TEST, 0x7777)));
    g_assert_cmpuint(cpu->sys.raised_vector, ==, EXC_GP);
    g_assert_cmpuint(cpu->sys.raised_error, ==, 0);
    g_assert_true(BARE_RAISES(bare, far_jump(cpu, &insn, 0, 0)));
    g_assert_cmpuint(cpu->sys.raised_error, ==, 0);
    enter_level(bare, 0, true);
    put_descriptor(bare, SEL_TEST, 0, 0xfffff, A_CODE, 0xe);               /* both L and D */
    g_assert_true(BARE_RAISES(bare, far_jump(cpu, &insn, SEL_TEST, 0)));
    g_assert_cmpuint(cpu->sys.raised_error, ==, SEL_TEST);
    put_descriptor(bare, SEL_TEST, 0, 0xfffff, A_CODE, LONG64);
    g_assert_true(BARE_RAISES(bare, far_jump(cpu, &insn, SEL_TEST, UINT64_C(0x800000000000))));
    g_assert_cmpuint(cpu->sys.raised_error, ==, 0);
    bare_free(bare);
}

/* Call gates: what the gate says, what its target says, and where the call ends. */
static Verdict oracle_gate(bool call, unsigned gate, unsigned code, unsigned cpl, unsigned rpl)
{
    unsigned gate_dpl = gate >> 5 & 3, dpl = code >> 5 & 3;

    if (gate_dpl < cpl || gate_dpl < rpl) {
        return (Verdict){ EXC_GP, SEL_TEST };
    }
    if (!(gate & 0x80)) {
        return (Verdict){ EXC_NP, SEL_TEST };
    }
    if ((code & 0x18) != 0x18 || dpl > cpl || (!call && !(code & 4) && dpl != cpl)) {
        return (Verdict){ EXC_GP, SEL_TARGET };
    }
    return code & 0x80 ? (Verdict){ NONE, 0 } : (Verdict){ EXC_NP, SEL_TARGET };
}

static void gate_stacks(Bare *bare)
{
    static const uint16_t stacks[] = { SEL_DATA0, SEL_DATA1 };

    for (unsigned level = 0; level < 2; level++) {
        bare_put32(bare, TSS + 4 + level * 8, STACK_0 - 0x1000 * level);
        bare_put32(bare, TSS + 8 + level * 8, stacks[level]);
    }
    bare_put32(bare, TSS + 4 + 16, 0);                         /* level 2 has a null stack */
    bare_put32(bare, TSS + 8 + 16, 0);
}

static void check_gate_call(Bare *bare, unsigned code, unsigned cpl)
{
    SoftCpu *cpu = bare->cpu;
    unsigned dpl = code >> 5 & 3, level = code & 4 ? cpl : dpl;
    uint64_t rsp = cpu->gpr[GPR_RSP];

    g_assert_cmpuint(cpu->cpl, ==, level);
    g_assert_cmpuint(cpu->rip, ==, 0x12340);
    g_assert_cmpuint(cpu->segment[SEG_CS].selector, ==, SEL_TARGET | level);
    g_assert_cmpuint(bare_get32(bare, rsp), ==, 0x5007);
    if (level < cpl) {
        g_assert_cmpuint(rsp, ==, (level ? STACK_0 - 0x1000 : STACK_0) - 24);
        g_assert_cmpuint(bare_get32(bare, rsp + 8), ==, 0xaaaa0001);       /* two parameters, in order */
        g_assert_cmpuint(bare_get32(bare, rsp + 12), ==, 0xbbbb0002);
        g_assert_cmpuint(cpu->segment[SEG_SS].selector & 3, ==, level);
    }
}

static void gate_table(void)
{
    static const uint8_t codes[] = { 0x9a, 0xba, 0xda, 0xfa, 0x9e, 0xbe, 0xfe, 0x92, 0x1a, 0x3e, 0x82 };
    Bare *bare = protected_new();
    SoftCpu *cpu = bare->cpu;
    Insn insn = far_insn(4);

    gate_stacks(bare);
    for (unsigned c = 0; c < 2 * 8 * 16 * sizeof codes; c++) {
        unsigned cpl = c & 3, rpl = c >> 2 & 3, gate = 0x0c | (c >> 4 & 3) << 5 | (c >> 6 & 1) << 7;
        unsigned code = codes[(c >> 8) % sizeof codes];
        bool call = c >> 7 & 1, raised, inner_2;
        Verdict want = oracle_gate(call, gate, code, cpl, rpl);

        enter_level(bare, cpl, false);
        bare_put32(bare, cpu->gpr[GPR_RSP], 0xaaaa0001);
        bare_put32(bare, cpu->gpr[GPR_RSP] + 4, 0xbbbb0002);
        put_descriptor(bare, SEL_TARGET, 0, 0xfffff, code, FLAT32);
        put_gate(bare, GDT + SEL_TEST, SEL_TARGET | 3, 0x12340, gate, 2);
        inner_2 = call && want.vector == NONE && !(code & 4) && (code >> 5 & 3) == 2 && cpl == 3;
        if (inner_2) {
            want = (Verdict){ EXC_TS, 0 };                     /* its stack is null */
        }
        raised = call ? BARE_RAISES(bare, far_call(cpu, &insn, (uint16_t)(SEL_TEST | rpl), 0))
                      : BARE_RAISES(bare, far_jump(cpu, &insn, (uint16_t)(SEL_TEST | rpl), 0));
        check_verdict(bare, raised, want, call ? "call gate" : "jump gate", code, cpl, rpl);
        if (!raised && call) {
            check_gate_call(bare, code, cpl);
        }
    }
    bare_free(bare);
}

/* A 64-bit call gate from level 3 and the return. */
static void gate_64(void)
{
    Bare *bare = protected_new();
    SoftCpu *cpu = bare->cpu;
    Insn insn = far_insn(8);

    put_descriptor(bare, SEL_CODE3, 0, 0xfffff, A_CODE | 0x60, LONG64);
    enter_level(bare, 3, true);
    bare_put64(bare, TSS + 4, STACK_0);
    put_descriptor(bare, SEL_TARGET, 0, 0xfffff, A_CODE, LONG64);
    put_gate(bare, GDT + SEL_TEST, SEL_TARGET, 0x12340, 0xec, 0);
    bare_put64(bare, GDT + SEL_TEST + 8, 0xffff8000);
    g_assert_false(BARE_RAISES(bare, far_call(cpu, &insn, SEL_TEST | 3, 0)));
    g_assert_cmpuint(cpu->rip, ==, UINT64_C(0xffff800000012340));
    g_assert_cmpuint(cpu->gpr[GPR_RSP], ==, STACK_0 - 32);
    g_assert_cmpuint(cpu->segment[SEG_SS].selector, ==, 0);
    g_assert_cmpuint(cpu->cpl, ==, 0);
    g_assert_cmpuint(bare_get64(bare, STACK_0 - 32), ==, 0x5007);
    g_assert_cmpuint(bare_get64(bare, STACK_0 - 16), ==, STACK_3);
    g_assert_false(BARE_RAISES(bare, far_return(cpu, &insn, 0)));
    g_assert_cmpuint(cpu->cpl, ==, 3);
    g_assert_cmpuint(cpu->rip, ==, 0x5007);
    g_assert_cmpuint(cpu->gpr[GPR_RSP], ==, STACK_3);
    put_gate(bare, GDT + SEL_TEST, SEL_TARGET, 0x12340, 0xe4, 0);          /* 16-bit gates are gone in long mode */
    g_assert_true(BARE_RAISES(bare, far_call(cpu, &insn, SEL_TEST | 3, 0)));
    g_assert_cmpuint(cpu->sys.raised_error, ==, SEL_TEST);
    bare_free(bare);
}

/* Returns -------------------------------------------------------------------------------------------------------- */

static Verdict oracle_return(unsigned access, unsigned cpl, unsigned rpl)
{
    unsigned dpl = access >> 5 & 3;

    if ((access & 0x18) != 0x18 || rpl < cpl || (access & 4 ? dpl > rpl : dpl != rpl)) {
        return (Verdict){ EXC_GP, SEL_TEST };
    }
    return access & 0x80 ? (Verdict){ NONE, 0 } : (Verdict){ EXC_NP, SEL_TEST };
}

/* A frame for RETF (flags absent) or IRET: EIP, CS, [EFLAGS], ESP, SS. SS is a fine one for the level. */
static void put_frame(Bare *bare, unsigned cs, unsigned rpl, bool with_flags)
{
    uint64_t at = bare->cpu->gpr[GPR_RSP];

    put_descriptor(bare, SEL_TARGET, 0, 0xfffff, A_DATA | rpl << 5, FLAT32);
    bare_put32(bare, at, 0x7777);
    bare_put32(bare, at + 4, cs | rpl);
    if (with_flags) {
        bare_put32(bare, at + 8, FLAG_IF | FLAG_IOPL | FLAG_CF | FLAG_AC);
        at += 4;
    }
    bare_put32(bare, at + 8, 0x44444);
    bare_put32(bare, at + 12, SEL_TARGET | rpl);
}

static void check_returned(Bare *bare, unsigned cpl, unsigned rpl, bool is_iret, uint64_t rsp)
{
    SoftCpu *cpu = bare->cpu;

    g_assert_cmpuint(cpu->rip, ==, 0x7777);
    g_assert_cmpuint(cpu->cpl, ==, rpl);
    if (rpl > cpl) {
        g_assert_cmpuint(cpu->gpr[GPR_RSP], ==, 0x44444);
        g_assert_cmpuint(cpu->segment[SEG_SS].selector, ==, SEL_TARGET | rpl);
        g_assert_true(cpu->segment[SEG_DS].attributes & ATTR_UNUSABLE);    /* it was the inner level's */
    } else {
        g_assert_cmpuint(cpu->gpr[GPR_RSP], ==, rsp + (is_iret ? 12 : 8));
    }
    if (is_iret) {
        uint64_t want = FLAG_FIXED | FLAG_CF | FLAG_AC | (cpl == 0 ? FLAG_IF | FLAG_IOPL : 0);

        g_assert_cmphex(flags_get(cpu), ==, want);
    }
}

static void return_table(void)
{
    Bare *bare = protected_new();
    SoftCpu *cpu = bare->cpu;
    Insn insn = far_insn(4);

    for (unsigned c = 0; c < 256 * 16 * 2; c++) {
        unsigned access = c & 255, cpl = c >> 8 & 3, rpl = c >> 10 & 3;
        bool is_iret = c >> 12, raised;
        uint64_t rsp;

        enter_level(bare, cpl, false);
        rsp = cpu->gpr[GPR_RSP];
        put_descriptor(bare, SEL_TEST, 0, 0xfffff, access, FLAT32);
        put_frame(bare, SEL_TEST, rpl, is_iret);
        raised = is_iret ? BARE_RAISES(bare, far_iret(cpu, &insn)) : BARE_RAISES(bare, far_return(cpu, &insn, 0));
        check_verdict(bare, raised, oracle_return(access, cpl, rpl), is_iret ? "iret" : "far return", access, cpl, rpl);
        if (raised) {
            g_assert_cmpuint(cpu->gpr[GPR_RSP], ==, rsp);
            g_assert_cmpuint(cpu->cpl, ==, cpl);
        } else {
            check_returned(bare, cpl, rpl, is_iret, rsp);
        }
    }
    bare_free(bare);
}

/* IRET to virtual-8086 mode, and a general protection back to level 0. */
static void to_v8086_and_back(void)
{
    static const uint32_t frame[] = { 0x100, 0x2000, FLAG_VM | FLAG_IF | FLAG_FIXED, 0xfff0, 0x3000, 0x4000, 0x5000, 0x6000, 0x7000 };
    Bare *bare = protected_new();
    SoftCpu *cpu = bare->cpu;
    Insn insn = far_insn(4);

    enter_level(bare, 0, false);
    gate_stacks(bare);
    memcpy(bare->memory + STACK_0, frame, sizeof frame);
    g_assert_false(BARE_RAISES(bare, far_iret(cpu, &insn)));
    g_assert_true(cpu->rflags & FLAG_VM);
    g_assert_cmpuint(cpu->cpl, ==, 3);
    g_assert_cmpuint(cpu->code_size, ==, 2);
    g_assert_cmpuint(cpu->segment[SEG_CS].base, ==, 0x20000);
    g_assert_cmpuint(cpu->segment[SEG_ES].base, ==, 0x40000);
    g_assert_cmpuint(cpu->segment[SEG_GS].base, ==, 0x70000);
    g_assert_cmphex(cpu->segment[SEG_DS].attributes, ==, 0xf3);
    g_assert_true(BARE_RAISES(bare, far_iret(cpu, &insn)));    /* IOPL 0 */
    put_gate(bare, IDT + EXC_GP * 8, SEL_CODE0, 0x9999, 0x8e, 0);
    g_assert_false(BARE_RAISES(bare, soft_fault(cpu)));
    g_assert_false(cpu->rflags & FLAG_VM);
    g_assert_cmpuint(cpu->cpl, ==, 0);
    g_assert_cmpuint(cpu->rip, ==, 0x9999);
    g_assert_cmpuint(cpu->gpr[GPR_RSP], ==, STACK_0 - 40);
    g_assert_cmpuint(bare_get32(bare, STACK_0 - 4), ==, 0x7000);           /* GS, FS, DS, ES, SS, ESP, EFLAGS, CS, EIP, error */
    g_assert_cmpuint(bare_get32(bare, STACK_0 - 16), ==, 0x4000);
    g_assert_cmpuint(bare_get32(bare, STACK_0 - 20), ==, 0x3000);
    g_assert_cmpuint(bare_get32(bare, STACK_0 - 40), ==, 0);
    g_assert_true(cpu->segment[SEG_ES].attributes & ATTR_UNUSABLE);
    bare_free(bare);
}

/* 64-bit IRET always takes SS:RSP, also at its own level. */
static void iret_64(void)
{
    static const uint64_t frame[] = { 0x7777, SEL_CODE0, FLAG_FIXED | FLAG_ZF, 0x55555, 0 };
    Bare *bare = protected_new();
    SoftCpu *cpu = bare->cpu;
    Insn insn = far_insn(8);

    put_descriptor(bare, SEL_CODE0, 0, 0xfffff, A_CODE, LONG64);
    enter_level(bare, 0, true);
    memcpy(bare->memory + STACK_0, frame, sizeof frame);
    cpu->nmi_masked = true;
    g_assert_false(BARE_RAISES(bare, far_iret(cpu, &insn)));
    g_assert_cmpuint(cpu->gpr[GPR_RSP], ==, 0x55555);
    g_assert_cmpuint(cpu->segment[SEG_SS].selector, ==, 0);
    g_assert_true(flags_zf(cpu));
    g_assert_false(cpu->nmi_masked);
    cpu->rflags |= FLAG_NT;
    g_assert_true(BARE_RAISES(bare, far_iret(cpu, &insn)));
    g_assert_cmpuint(cpu->sys.raised_vector, ==, EXC_GP);
    bare_free(bare);
}

/* Tasks ---------------------------------------------------------------------------------------------------------- */

enum { TSS2 = 0x8000 };

static void put_task(Bare *bare)
{
    memset(bare->memory + TSS2, 0, 0x68);
    put_descriptor(bare, SEL_TSS2, TSS2, 0x67, 0x89, 0);
    bare_put32(bare, TSS2 + 0x20, 0x6666);                     /* EIP */
    bare_put32(bare, TSS2 + 0x24, FLAG_FIXED);
    bare_put32(bare, TSS2 + 0x28, 0x11111111);                 /* EAX */
    bare_put32(bare, TSS2 + 0x38, STACK_3);                    /* ESP */
    bare_put32(bare, TSS2 + 0x48, SEL_DATA0);
    bare_put32(bare, TSS2 + 0x4c, SEL_CODE0);
    bare_put32(bare, TSS2 + 0x50, SEL_DATA0);
    bare_put32(bare, TSS2 + 0x54, SEL_DATA0);
}

static unsigned tss_type(Bare *bare, unsigned selector)
{
    return bare_get64(bare, GDT + selector) >> 40 & 15;
}

static void task_call_and_return(void)
{
    Bare *bare = protected_new();
    SoftCpu *cpu = bare->cpu;
    Insn insn = far_insn(4);

    enter_level(bare, 0, false);
    put_task(bare);
    cpu->gpr[GPR_RAX] = 0x22222222;
    g_assert_false(BARE_RAISES(bare, far_call(cpu, &insn, SEL_TSS2, 0)));
    g_assert_cmpuint(cpu->tr.selector, ==, SEL_TSS2);
    g_assert_cmpuint(cpu->rip, ==, 0x6666);
    g_assert_cmpuint(cpu->gpr[GPR_RAX], ==, 0x11111111);
    g_assert_true(cpu->rflags & FLAG_NT);
    g_assert_true(cpu->cr0 & CR0_TS);
    g_assert_cmpuint(tss_type(bare, SEL_TSS), ==, 11);         /* both busy */
    g_assert_cmpuint(tss_type(bare, SEL_TSS2), ==, 11);
    g_assert_cmpuint(bare_get32(bare, TSS2), ==, SEL_TSS);     /* the link */
    g_assert_cmpuint(bare_get32(bare, TSS + 0x20), ==, 0x5007);
    g_assert_cmpuint(bare_get32(bare, TSS + 0x28), ==, 0x22222222);
    g_assert_true(BARE_RAISES(bare, far_jump(cpu, &insn, SEL_TSS, 0)));    /* busy */
    g_assert_cmpuint(cpu->sys.raised_error, ==, SEL_TSS);
    g_assert_false(BARE_RAISES(bare, far_iret(cpu, &insn)));
    g_assert_cmpuint(cpu->tr.selector, ==, SEL_TSS);
    g_assert_cmpuint(cpu->rip, ==, 0x5007);
    g_assert_cmpuint(cpu->gpr[GPR_RAX], ==, 0x22222222);
    g_assert_false(cpu->rflags & FLAG_NT);
    g_assert_cmpuint(tss_type(bare, SEL_TSS2), ==, 9);
    bare_free(bare);
}

static void task_jump(void)
{
    Bare *bare = protected_new();
    SoftCpu *cpu = bare->cpu;
    Insn insn = far_insn(4);

    enter_level(bare, 0, false);
    put_task(bare);
    put_gate(bare, GDT + SEL_TEST, SEL_TSS2, 0, 0x85, 0);      /* through a task gate */
    g_assert_false(BARE_RAISES(bare, far_jump(cpu, &insn, SEL_TEST, 0)));
    g_assert_cmpuint(cpu->tr.selector, ==, SEL_TSS2);
    g_assert_false(cpu->rflags & FLAG_NT);
    g_assert_cmpuint(tss_type(bare, SEL_TSS), ==, 9);
    g_assert_cmpuint(bare_get32(bare, TSS2), ==, 0);
    bare_free(bare);
}

/* Faults before the switch leave the old task whole; after it they are the new task's. */
static void task_faults(void)
{
    Bare *bare = protected_new();
    SoftCpu *cpu = bare->cpu;
    Insn insn = far_insn(4);

    enter_level(bare, 0, false);
    put_task(bare);
    put_descriptor(bare, SEL_TSS2, TSS2, 0x66, 0x89, 0);       /* too short */
    g_assert_true(BARE_RAISES(bare, far_call(cpu, &insn, SEL_TSS2, 0)));
    g_assert_cmpuint(cpu->sys.raised_vector, ==, EXC_TS);
    g_assert_cmpuint(cpu->sys.raised_error, ==, SEL_TSS2);
    g_assert_cmpuint(cpu->tr.selector, ==, SEL_TSS);
    put_descriptor(bare, SEL_TSS2, TSS2, 0x67, 0x09, 0);
    g_assert_true(BARE_RAISES(bare, far_call(cpu, &insn, SEL_TSS2, 0)));
    g_assert_cmpuint(cpu->sys.raised_vector, ==, EXC_NP);
    put_task(bare);
    bare_put32(bare, TSS2 + 0x50, SEL_DATA3);                  /* SS of another level */
    g_assert_true(BARE_RAISES(bare, far_call(cpu, &insn, SEL_TSS2, 0)));
    g_assert_cmpuint(cpu->sys.raised_vector, ==, EXC_TS);
    g_assert_cmpuint(cpu->sys.raised_error, ==, SEL_DATA3 & ~3);
    g_assert_cmpuint(cpu->tr.selector, ==, SEL_TSS2);
    g_assert_cmpuint(cpu->rip, ==, 0x6666);
    bare_free(bare);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cpu/segments/load table", load_table);
    g_test_add_func("/cpu/segments/load edges", load_edges);
    g_test_add_func("/cpu/segments/expand-down limits", expand_down_limits);
    g_test_add_func("/cpu/segments/direct transfers", direct_table);
    g_test_add_func("/cpu/segments/target limits", target_limits);
    g_test_add_func("/cpu/segments/call gates", gate_table);
    g_test_add_func("/cpu/segments/64-bit call gate", gate_64);
    g_test_add_func("/cpu/segments/returns", return_table);
    g_test_add_func("/cpu/segments/virtual-8086", to_v8086_and_back);
    g_test_add_func("/cpu/segments/64-bit iret", iret_64);
    g_test_add_func("/cpu/segments/task call and return", task_call_and_return);
    g_test_add_func("/cpu/segments/task jump", task_jump);
    g_test_add_func("/cpu/segments/task faults", task_faults);
    return g_test_run();
}
