/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * system.c - delivery of exceptions and interrupts, control registers, MSRs, system calls, I/O permission, debug registers
 */
#include "tests/cpu/bare.h"
#include "accel/soft/flags.h"
#include "accel/soft/handlers.h"
#include "accel/soft/segment.h"
#include "accel/x86/optab.h"
#include <inttypes.h>
#include <stdlib.h>

enum {
    GDT = 0x1000, IDT = 0x2000, TSS = 0x3000, PML4 = 0x10000, STACK_0 = 0x20000, STACK_3 = 0x30000, STACK_IST = 0x40000, RAM_BYTES = 4 << 20,
    SEL_CODE0 = 0x08, SEL_DATA0 = 0x10, SEL_CODE3 = 0x1b, SEL_DATA3 = 0x23, SEL_TSS = 0x28, SEL_TARGET = 0x50, GDT_LIMIT = 0x8f,
    HANDLER = 0x9000, A_CODE = 0x9a, A_DATA = 0x92, FLAT32 = 0xc, LONG64 = 0xa,
};

static void put_descriptor(Bare *bare, unsigned selector, unsigned access, unsigned flags)
{
    bare_put64(bare, GDT + (selector & 0xfff8), 0xffff | (uint64_t)access << 40 | UINT64_C(15) << 48 | (uint64_t)flags << 52);
}

static void put_gate(Bare *bare, bool wide, unsigned vector, unsigned selector, uint32_t offset, unsigned access, unsigned ist)
{
    uint64_t low = (offset & 0xffff) | (uint64_t)selector << 16 | (uint64_t)ist << 32 | (uint64_t)access << 40 | (uint64_t)(offset >> 16) << 48;

    bare_put64(bare, IDT + vector * (wide ? 16 : 8), low);
    if (wide) {
        bare_put64(bare, IDT + vector * 16 + 8, 0);
    }
}

static void enter_level(Bare *bare, unsigned cpl, bool long_mode)
{
    SoftCpu *cpu = bare->cpu;
    uint16_t code = (uint16_t)((SEL_CODE0 + (cpl == 3 ? 0x10 : 0)) | cpl), data = (uint16_t)((SEL_DATA0 + (cpl == 3 ? 0x10 : 0)) | cpl);

    cpu->gdt_base = GDT;
    cpu->gdt_limit = GDT_LIMIT;
    cpu->idt_base = IDT;
    cpu->idt_limit = 0xfff;
    cpu->ldt = segment_null(0);
    cpu->tr = (CpuSegment){ .selector = SEL_TSS, .attributes = 0x8b, .limit = 0x67, .base = TSS };
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        cpu->segment[i] = (CpuSegment){ .selector = data, .attributes = 0xc093 | cpl << 5, .limit = UINT32_MAX };
    }
    cpu->segment[SEG_CS] = (CpuSegment){ .selector = code, .attributes = (long_mode ? 0xa09bu : 0xc09bu) | cpl << 5, .limit = UINT32_MAX };
    cpu->rip = cpu->block_rip = 0x5000;
    cpu->gpr[GPR_RSP] = cpl == 3 ? STACK_3 : STACK_0 + 0x800;
    flags_set(cpu, FLAG_IF);
    cpu->activity = CPU_RUNNABLE;
    cpu->sys.delivering = DELIVER_NOTHING;
    cpu->sys.external = 0;
    cpu->sys.double_fault = false;
    cpu->cr3 = PML4;
    if (long_mode) {
        bare_set_mode(bare, CR0_PE | CR0_PG, CR4_PAE, EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE, cpl);
    } else {
        bare_set_mode(bare, CR0_PE, 0, 0, cpl);
    }
}

static Bare *system_new(bool long_mode)
{
    Bare *bare = bare_new(RAM_BYTES);
    unsigned code_flags = long_mode ? LONG64 : FLAT32;

    put_descriptor(bare, SEL_CODE0, A_CODE, code_flags);
    put_descriptor(bare, SEL_DATA0, A_DATA, FLAT32);
    put_descriptor(bare, SEL_CODE3, A_CODE | 0x60, code_flags);
    put_descriptor(bare, SEL_DATA3, A_DATA | 0x60, FLAT32);
    bare_put64(bare, PML4, PML4 + 0x1007);
    bare_put64(bare, PML4 + 0x1000, 0x87);
    if (long_mode) {
        bare_put64(bare, TSS + 4, STACK_0);
        bare_put64(bare, TSS + 0x24 + 8, STACK_IST);           /* IST2 */
    } else {
        for (unsigned level = 0; level < 3; level++) {
            bare_put32(bare, TSS + 4 + level * 8, STACK_0 - level * 0x400);
            bare_put32(bare, TSS + 8 + level * 8, (0x60 + level * 8) | level);
            put_descriptor(bare, 0x60 + level * 8, A_DATA | level << 5, FLAT32);
        }
    }
    return bare;
}

enum { NONE = -1 };

/* Delivery ------------------------------------------------------------------------------------------------------- */

/* The rules of the manual's INT page for one gate and one target. */
static int oracle_delivery(bool wide, unsigned gate, unsigned code, unsigned code_flags, unsigned cpl, DeliverKind kind, uint32_t *error)
{
    bool software = kind == DELIVER_INT_N || kind == DELIVER_INT3;
    unsigned type = gate & 31, dpl = code >> 5 & 3, ext = !software;

    *error = 0x40 * 8 + 2 + ext;
    if (!(type == 14 || type == 15 || (!wide && (type == 6 || type == 7)))) {
        return EXC_GP;
    }
    if (software && (gate >> 5 & 3) < cpl) {
        return EXC_GP;
    }
    if (!(gate & 0x80)) {
        return EXC_NP;
    }
    *error = SEL_TARGET + ext;
    if ((code & 0x18) != 0x18 || dpl > cpl || (wide && code_flags != LONG64)) {
        return EXC_GP;
    }
    if (!(code & 0x80)) {
        return EXC_NP;
    }
    *error = 0;
    return NONE;
}

static void check_delivered(Bare *bare, unsigned gate, unsigned code, unsigned cpl, bool wide, DeliverKind kind)
{
    SoftCpu *cpu = bare->cpu;
    unsigned level = code & 4 ? cpl : code >> 5 & 3, size = wide ? 8 : gate & 8 ? 4 : 2;
    uint64_t rip = 0;

    g_assert_cmpuint(cpu->rip, ==, gate & 8 ? 0x19000 : HANDLER);
    g_assert_cmpuint(cpu->cpl, ==, level);
    g_assert_cmpint(!!(cpu->rflags & FLAG_IF), ==, (gate & 1));
    memcpy(&rip, bare->memory + cpu->gpr[GPR_RSP], size);
    g_assert_cmpuint(rip, ==, kind == DELIVER_INT_N || kind == DELIVER_INT3 || kind == DELIVER_ICEBP ? 0x5002 : 0x5000);
    if (!wide && level < cpl) {
        g_assert_cmpuint(cpu->gpr[GPR_RSP], ==, STACK_0 - level * 0x400 - 5 * size);
        g_assert_cmpuint(cpu->segment[SEG_SS].selector, ==, (0x60 + level * 8) | level);
    }
    g_assert_cmpuint(cpu->sys.delivering, ==, DELIVER_NOTHING);
}

static void delivery_table(bool wide)
{
    static const uint8_t codes[] = { 0x9a, 0xba, 0xda, 0xfa, 0x9e, 0xde, 0x1a, 0x92, 0x8b };
    static const uint8_t kinds[] = { DELIVER_FAULT, DELIVER_INTERRUPT, DELIVER_INT_N, DELIVER_INT3, DELIVER_ICEBP };
    Bare *bare = system_new(wide);
    SoftCpu *cpu = bare->cpu;

    for (unsigned c = 0; c < 256 * 4 * 2 * sizeof codes * sizeof kinds; c++) {
        unsigned gate = c & 255, cpl = c >> 8 & 3, code_flags = c >> 10 & 1 ? LONG64 : FLAT32;
        unsigned code = codes[(c >> 11) % sizeof codes];
        DeliverKind kind = kinds[(c >> 11) / sizeof codes];
        uint32_t error = 0;
        int want = oracle_delivery(wide, gate, code, code_flags, cpl, kind, &error);
        bool raised;

        if ((gate & 31) == 5 || (!wide && code_flags == LONG64) || (wide && (cpl == 1 || cpl == 2)) ||
            (wide && (code >> 5 & 3) != 0 && (code >> 5 & 3) != cpl && !(code & 4))) {
            continue;                      /* task gates: segments.c; RSP1 and RSP2 are null here */
        }
        enter_level(bare, cpl, wide);
        put_descriptor(bare, SEL_TARGET, code, code_flags);
        put_gate(bare, wide, 0x40, SEL_TARGET, 0x10000 + HANDLER, gate, 0);
        cpu->sys.return_rip = 0x5002;
        raised = BARE_RAISES(bare, soft_deliver(cpu, 0x40, false, 0, kind));
        if ((raised ? cpu->sys.raised_vector : NONE) != want || (raised && cpu->sys.raised_error != error)) {
            g_error("gate %02x code %02x flags %x CPL %u kind %d: vector %d error %x, want %d %x", gate, code, code_flags, cpl, (int)kind,
                    raised ? cpu->sys.raised_vector : NONE, cpu->sys.raised_error, want, error);
        }
        if (!raised) {
            check_delivered(bare, gate, code, cpl, wide, kind);
        }
    }
    bare_free(bare);
}

static void delivery_32(void) { delivery_table(false); }
static void delivery_64(void) { delivery_table(true); }

static void delivery_frames_64(void)
{
    Bare *bare = system_new(true);
    SoftCpu *cpu = bare->cpu;

    enter_level(bare, 3, true);
    put_gate(bare, true, EXC_PF, SEL_CODE0, HANDLER, 0x8e, 2);
    cpu->gpr[GPR_RSP] = STACK_3 - 3;
    g_assert_false(BARE_RAISES(bare, soft_deliver(cpu, EXC_PF, true, 0x1234, DELIVER_FAULT)));
    g_assert_cmpuint(cpu->gpr[GPR_RSP], ==, STACK_IST - 48);
    g_assert_cmpuint(bare_get64(bare, STACK_IST - 48), ==, 0x1234);
    g_assert_cmpuint(bare_get64(bare, STACK_IST - 40), ==, 0x5000);
    g_assert_cmpuint(bare_get64(bare, STACK_IST - 32), ==, SEL_CODE3);
    g_assert_cmphex(bare_get64(bare, STACK_IST - 24), ==, FLAG_FIXED | FLAG_IF | FLAG_RF);
    g_assert_cmpuint(bare_get64(bare, STACK_IST - 16), ==, STACK_3 - 3);
    g_assert_cmpuint(bare_get64(bare, STACK_IST - 8), ==, SEL_DATA3);
    g_assert_cmpuint(cpu->segment[SEG_SS].selector, ==, 0);
    /* At its own level: the old stack, aligned down to 16. */
    enter_level(bare, 0, true);
    put_gate(bare, true, 0x40, SEL_CODE0, HANDLER, 0x8f, 0);
    cpu->gpr[GPR_RSP] = STACK_0 + 0x1f;
    g_assert_false(BARE_RAISES(bare, soft_deliver(cpu, 0x40, false, 0, DELIVER_INTERRUPT)));
    g_assert_cmpuint(cpu->gpr[GPR_RSP], ==, STACK_0 + 0x10 - 40);
    g_assert_cmpuint(bare_get64(bare, STACK_0 + 0x10 - 16), ==, STACK_0 + 0x1f);
    bare_free(bare);
}

static void delivery_real(void)
{
    Bare *bare = bare_new(RAM_BYTES);
    SoftCpu *cpu = bare->cpu;

    cpu->idt_limit = 0x3ff;
    bare_put32(bare, 0x21 * 4, 0xf0001234);
    segment_set_real(&cpu->segment[SEG_CS], 0x1000);
    segment_set_real(&cpu->segment[SEG_SS], 0x2000);
    cpu->rip = 0x100;
    cpu->gpr[GPR_RSP] = 0xabcd0000;                            /* only SP moves, and it wraps */
    flags_set(cpu, FLAG_IF | FLAG_CF);
    soft_mode_changed(cpu);
    cpu->sys.return_rip = 0x102;
    g_assert_false(BARE_RAISES(bare, soft_deliver(cpu, 0x21, false, 0, DELIVER_INT_N)));
    g_assert_cmphex(cpu->gpr[GPR_RSP], ==, 0xabcdfffa);
    g_assert_cmphex(cpu->segment[SEG_CS].base, ==, 0xf0000);
    g_assert_cmphex(cpu->rip, ==, 0x1234);
    g_assert_cmphex(bare_get32(bare, 0x2fffa), ==, 0x10000102);
    g_assert_cmphex(bare_get32(bare, 0x2fffe) & 0xffff, ==, FLAG_IF | FLAG_CF | FLAG_FIXED);
    g_assert_false(cpu->rflags & FLAG_IF);
    cpu->idt_limit = 0x20;                                     /* no entry: #GP, then #DF, then shutdown */
    g_assert_true(BARE_RAISES(bare, soft_deliver(cpu, 0x21, false, 0, DELIVER_INT_N)));
    g_assert_true(BARE_RAISES(bare, soft_fault(cpu)));
    g_assert_true(BARE_RAISES(bare, soft_fault(cpu)));
    g_assert_false(BARE_RAISES(bare, soft_fault(cpu)));
    g_assert_cmpint(cpu->activity, ==, CPU_SHUTDOWN);
    bare_free(bare);
}

/* More bases of CS than there are numbers for them: neighbours never look alike. */
static void numbers_of_bases(void)
{
    Bare *bare = bare_new(RAM_BYTES);
    SoftCpu *cpu = bare->cpu;
    uint64_t before = 0;

    for (uint32_t selector = 1; selector < 40000; selector++) {
        segment_set_real(&cpu->segment[SEG_CS], (uint16_t)selector);
        soft_mode_changed(cpu);
        g_assert_cmphex(cpu->stamp, !=, before);
        before = cpu->stamp;
        soft_mode_changed(cpu);
        g_assert_cmphex(cpu->stamp, ==, before);
    }
    bare_free(bare);
}

/* Table 6-5: every vector met while delivering every vector. */
static int oracle_nested(unsigned first, unsigned second)
{
    static const uint8_t contributory[] = { EXC_DE, EXC_TS, EXC_NP, EXC_SS, EXC_GP };
    bool a = memchr(contributory, (int)first, sizeof contributory), b = memchr(contributory, (int)second, sizeof contributory);

    if (first == EXC_DF) {
        return NONE;                       /* shutdown */
    }
    if ((first == EXC_PF && (b || second == EXC_PF)) || (a && b)) {
        return EXC_DF;
    }
    return (int)second;
}

static void nesting(void)
{
    Bare *bare = system_new(false);
    SoftCpu *cpu = bare->cpu;

    for (unsigned vector = 0; vector < 32; vector++) {
        put_gate(bare, false, vector, SEL_CODE0, HANDLER + vector * 16, 0x8e, 0);
    }
    for (unsigned c = 0; c < 32 * 32 * 2; c++) {
        unsigned first = c & 31, second = c >> 5 & 31;
        bool interrupt = c >> 10;
        int want = interrupt ? (int)second : oracle_nested(first, second);

        enter_level(bare, 0, false);
        cpu->sys.delivering = interrupt ? DELIVER_INTERRUPT : DELIVER_FAULT;
        cpu->sys.delivering_vector = (uint8_t)first;
        cpu->sys.double_fault = !interrupt && first == EXC_DF;
        cpu->sys.raised_vector = (uint8_t)second;
        cpu->sys.raised_has_error = false;
        g_assert_false(BARE_RAISES(bare, soft_fault(cpu)));
        if (want == NONE) {
            g_assert_cmpint(cpu->activity, ==, CPU_SHUTDOWN);
        } else {
            g_assert_cmpuint(cpu->rip, ==, (unsigned)(HANDLER + want * 16));
        }
    }
    bare_free(bare);
}

/* Instructions by their table -------------------------------------------------------------------------------------- */

static void execute(SoftCpu *cpu, const Insn *insn)
{
    for (const SoftHandler *h = system_handlers; h->op; h++) {
        if (h->op == insn->op) {
            h->call(cpu, insn);
            return;
        }
    }
    g_assert_not_reached();
}

/* True when it raised #GP(0); any other fault fails the test. */
static bool refuses(Bare *bare, Insn insn)
{
    bool raised;

    insn.length = 2;
    raised = BARE_RAISES(bare, execute(bare->cpu, &insn));
    if (raised) {
        g_assert_cmpuint(bare->cpu->sys.raised_vector, ==, EXC_GP);
        g_assert_cmpuint(bare->cpu->sys.raised_error, ==, 0);
    }
    return raised;
}

static bool undefined(Bare *bare, unsigned op)
{
    Insn insn = { .op = (uint16_t)op, .length = 2 };

    return BARE_RAISES(bare, execute(bare->cpu, &insn)) && bare->cpu->sys.raised_vector == EXC_UD;
}

static bool cr_write_refused(Bare *bare, unsigned number, uint64_t value)
{
    bare->cpu->gpr[GPR_RAX] = value;
    return refuses(bare, (Insn){ .op = OP_MOV_TO_CR, .reg = (uint8_t)number });
}

static void control_registers(void)
{
    Bare *bare = system_new(false);
    SoftCpu *cpu = bare->cpu;
    const uint64_t pg = CR0_PG;

    enter_level(bare, 0, false);
    g_assert_true(cr_write_refused(bare, 0, pg | CR0_ET));                 /* paging without protection */
    g_assert_true(cr_write_refused(bare, 0, CR0_PE | CR0_NW));
    g_assert_true(cr_write_refused(bare, 4, CR4_LA57));
    g_assert_true(cr_write_refused(bare, 4, CR4_PCIDE));                   /* only in long mode */
    g_assert_true(cr_write_refused(bare, 8, 16));
    g_assert_false(cr_write_refused(bare, 4, CR4_PAE));
    /* PAE: bad pointers refuse CR0.PG, good ones do not. */
    cpu->cr3 = 0x6000;
    bare_put64(bare, 0x6000, 0x7000 | 3);
    g_assert_true(cr_write_refused(bare, 0, CR0_PE | pg));
    g_assert_cmpuint(cpu->sys.paging, ==, PAGING_OFF);
    bare_put64(bare, 0x6000, 0x7001);
    bare_put64(bare, 0x7000, 0x87);
    g_assert_false(cr_write_refused(bare, 0, CR0_PE | pg));
    g_assert_cmpuint(cpu->sys.paging, ==, PAGING_PAE);
    g_assert_false(cr_write_refused(bare, 0, CR0_PE));
    /* Long mode: LME first, LMA with paging, and not from a 64-bit segment. */
    cpu->gpr[GPR_RCX] = 0xc0000080;
    cpu->gpr[GPR_RAX] = EFER_LME;
    cpu->gpr[GPR_RDX] = 0;
    g_assert_false(refuses(bare, (Insn){ .op = OP_WRMSR }));
    cpu->cr3 = PML4;
    cpu->segment[SEG_CS].attributes |= ATTR_L;
    g_assert_true(cr_write_refused(bare, 0, CR0_PE | pg));
    cpu->segment[SEG_CS].attributes &= ~(uint32_t)ATTR_L;
    g_assert_false(cr_write_refused(bare, 0, CR0_PE | pg));
    g_assert_true(cpu->efer & EFER_LMA);
    g_assert_cmpuint(cpu->sys.paging, ==, PAGING_4LEVEL);
    g_assert_true(cr_write_refused(bare, 4, 0));                           /* PAE must stay */
    g_assert_false(cr_write_refused(bare, 4, CR4_PAE | CR4_PCIDE));
    g_assert_true(cr_write_refused(bare, 0, CR0_PE));                      /* paging must stay with PCIDE */
    g_assert_false(cr_write_refused(bare, 4, CR4_PAE));
    g_assert_false(cr_write_refused(bare, 0, CR0_PE));
    g_assert_false(cpu->efer & EFER_LMA);
    enter_level(bare, 0, true);
    g_assert_true(cr_write_refused(bare, 0, CR0_PE));                      /* from 64-bit code */
    g_assert_true(cr_write_refused(bare, 0, UINT64_C(1) << 32 | CR0_PE | pg));
    g_assert_true(cr_write_refused(bare, 3, UINT64_C(1) << 46 | PML4));
    enter_level(bare, 3, true);
    for (unsigned number = 0; number < 5; number++) {
        if (number != 1) {
            g_assert_true(cr_write_refused(bare, number, 0));
        }
    }
    bare_free(bare);
}

static void privileged(void)
{
    static const uint16_t ops[] = { OP_CLTS, OP_HLT, OP_INVD, OP_WBINVD, OP_RDMSR, OP_WRMSR, OP_INVLPG, OP_LMSW, OP_SWAPGS, OP_MOV_FROM_CR, OP_MOV_TO_DR,
                                    OP_LGDT, OP_LIDT };
    Bare *bare = system_new(true);

    for (unsigned i = 0; i < G_N_ELEMENTS(ops); i++) {
        for (unsigned cpl = 1; cpl < 4; cpl++) {
            enter_level(bare, cpl, true);
            g_assert_true(refuses(bare, (Insn){ .op = ops[i] }));
        }
    }
    enter_level(bare, 0, true);
    g_assert_false(refuses(bare, (Insn){ .op = OP_HLT }));
    g_assert_cmpint(bare->cpu->activity, ==, CPU_HALTED);
    g_assert_true(undefined(bare, OP_VMCALL) && undefined(bare, OP_MONITOR) && undefined(bare, OP_RSM));
    bare_free(bare);
}

static bool msr_write_refused(Bare *bare, uint32_t index, uint64_t value)
{
    bare->cpu->gpr[GPR_RCX] = index;
    bare->cpu->gpr[GPR_RAX] = (uint32_t)value;
    bare->cpu->gpr[GPR_RDX] = value >> 32;
    return refuses(bare, (Insn){ .op = OP_WRMSR });
}

static void msrs(void)
{
    static const uint32_t bases[] = { 0xc0000082, 0xc0000083, 0xc0000100, 0xc0000101, 0xc0000102, 0x175, 0x176 };
    Bare *bare = system_new(true);
    SoftCpu *cpu = bare->cpu;
    uint64_t value;

    enter_level(bare, 0, true);
    for (unsigned i = 0; i < G_N_ELEMENTS(bases); i++) {
        g_assert_false(msr_write_refused(bare, bases[i], UINT64_C(0xffff800000000000) + i));
        g_assert_true(msr_write_refused(bare, bases[i], UINT64_C(0x0000800000000000)));
        g_assert_true(msr_read(cpu, bases[i], &value));
        g_assert_cmphex(value, ==, UINT64_C(0xffff800000000000) + i);
    }
    g_assert_true(msr_write_refused(bare, 0x12345678, 0));
    g_assert_true(msr_write_refused(bare, 0xc0000080, EFER_SCE | EFER_NXE));           /* LME may not change under paging */
    g_assert_true(msr_write_refused(bare, 0xc0000080, 1 << 12 | EFER_LME));
    g_assert_false(msr_write_refused(bare, 0xc0000080, EFER_LME | EFER_SCE));
    g_assert_true(cpu->efer & EFER_LMA);
    g_assert_true(msr_write_refused(bare, 0x277, 2));
    g_assert_true(msr_write_refused(bare, 0x2ff, 0x100));
    g_assert_true(msr_write_refused(bare, 0x200, 2));
    g_assert_false(msr_write_refused(bare, 0x200, 6 | 0x10000000));
    g_assert_false(msr_write_refused(bare, 0x10, 0));                                  /* the TSC starts over */
    g_assert_true(msr_read(cpu, 0x10, &value));
    g_assert_cmpuint(value, <, UINT64_C(10000000000));
    g_assert_true(msr_read(cpu, 0x3b, &value));
    g_assert_false(msr_write_refused(bare, 0x3b, value + 1000));
    g_assert_cmpuint(cpu->tsc_adjust, ==, value + 1000);
    g_assert_true(msr_write_refused(bare, 0x808, 0));                                  /* no interrupt source here */
    bare_free(bare);
}

/* System calls ----------------------------------------------------------------------------------------------------- */

static void system_calls(void)
{
    Bare *bare = system_new(true);
    SoftCpu *cpu = bare->cpu;
    Insn syscall = { .op = OP_SYSCALL, .length = 2 }, sysret = { .op = OP_SYSRET, .length = 2, .size = 8 };

    cpu->star = UINT64_C(0x0023001000000000);
    cpu->lstar = UINT64_C(0xffffffff81000000);
    cpu->sfmask = FLAG_IF | FLAG_DF;
    enter_level(bare, 3, true);
    flags_set(cpu, FLAG_IF | FLAG_DF | FLAG_CF);
    g_assert_false(BARE_RAISES(bare, execute(cpu, &syscall)));
    g_assert_cmpuint(cpu->cpl, ==, 0);
    g_assert_cmphex(cpu->rip, ==, cpu->lstar);
    g_assert_cmphex(cpu->gpr[GPR_RCX], ==, 0x5002);
    g_assert_cmphex(cpu->gpr[GPR_R8 + 3], ==, FLAG_FIXED | FLAG_IF | FLAG_DF | FLAG_CF);
    g_assert_cmphex(flags_get(cpu), ==, FLAG_FIXED | FLAG_CF);
    g_assert_cmphex(cpu->segment[SEG_CS].selector, ==, 0x10);
    g_assert_cmphex(cpu->segment[SEG_SS].selector, ==, 0x18);
    g_assert_false(BARE_RAISES(bare, execute(cpu, &sysret)));
    g_assert_cmpuint(cpu->cpl, ==, 3);
    g_assert_cmphex(cpu->segment[SEG_CS].selector, ==, 0x33);
    g_assert_cmphex(cpu->segment[SEG_SS].selector, ==, 0x2b);
    g_assert_cmphex(flags_get(cpu), ==, FLAG_FIXED | FLAG_IF | FLAG_DF | FLAG_CF);
    g_assert_cmpuint(cpu->code_size, ==, 8);
    enter_level(bare, 0, true);
    cpu->gpr[GPR_RCX] = UINT64_C(0x800000000000);
    g_assert_true(refuses(bare, sysret));
    sysret.size = 4;
    g_assert_false(BARE_RAISES(bare, execute(cpu, &sysret)));              /* to a 32-bit program */
    g_assert_cmpuint(cpu->code_size, ==, 4);
    g_assert_cmphex(cpu->segment[SEG_CS].selector, ==, 0x23);
    cpu->sys.intel = true;
    g_assert_true(undefined(bare, OP_SYSCALL));                            /* compatibility mode: AMD's only */
    cpu->sysenter_cs = 0;
    g_assert_true(refuses(bare, (Insn){ .op = OP_SYSENTER }));
    cpu->sysenter_cs = 0x10;
    cpu->sysenter_eip = UINT64_C(0xffffffff82000000);
    g_assert_false(refuses(bare, (Insn){ .op = OP_SYSENTER }));
    g_assert_cmphex(cpu->rip, ==, cpu->sysenter_eip);
    g_assert_cmpuint(cpu->code_size, ==, 8);
    cpu->sys.intel = false;
    g_assert_true(undefined(bare, OP_SYSENTER));
    cpu->efer &= ~(uint64_t)EFER_SCE;
    g_assert_true(undefined(bare, OP_SYSCALL));
    bare_free(bare);
}

/* Ports -------------------------------------------------------------------------------------------------------------- */

static __attribute__((noinline)) bool io_refused(Bare *bare, unsigned port, unsigned size)
{
    return BARE_RAISES(bare, soft_io_check(bare->cpu, NULL, (uint16_t)port, size));
}

static void io_permission(void)
{
    Bare *bare = system_new(false);
    SoftCpu *cpu = bare->cpu;

    put_descriptor(bare, SEL_TSS, 0x8b, 0);
    for (unsigned iopl = 0; iopl < 4; iopl++) {
        for (unsigned cpl = 0; cpl < 4; cpl++) {
            enter_level(bare, cpl, false);
            flags_set(cpu, iopl << FLAG_IOPL_SHIFT);
            g_assert_cmpint(io_refused(bare, 0x80, 1), ==, cpl > iopl);
        }
    }
    enter_level(bare, 3, false);
    cpu->tr.limit = 0x88 + 0x40;
    bare_put32(bare, TSS + 0x64, 0x880000);
    memset(bare->memory + TSS + 0x88, 0xff, 0x41);
    for (unsigned port = 0; port < 512; port++) {
        for (unsigned size = 1; size <= 4; size *= 2) {
            uint8_t *bits = bare->memory + TSS + 0x88;
            bool outside = port / 8 + 1 > 0x40;

            for (unsigned i = 0; i < size && !outside; i++) {
                bits[(port + i) / 8] &= (uint8_t)~(1u << ((port + i) & 7));
            }
            g_assert_cmpint(io_refused(bare, port, size), ==, outside);
            for (unsigned i = 0; i < size && !outside; i++) {
                bits[(port + i) / 8] |= (uint8_t)(1u << ((port + i) & 7));
                g_assert_true(io_refused(bare, port, size));
                bits[(port + i) / 8] &= (uint8_t)~(1u << ((port + i) & 7));
            }
            memset(bits, 0xff, 0x41);
        }
    }
    bare_free(bare);
}

/* Debug registers ---------------------------------------------------------------------------------------------------- */

static void breakpoints(void)
{
    Bare *bare = system_new(false);
    SoftCpu *cpu = bare->cpu;

    enter_level(bare, 0, false);
    cpu->dr[0] = 0x5000;
    cpu->dr[1] = 0x6004;
    cpu->dr7 = 0x400 | 1 << 0 | 1 << 2 | 1 << 20 | 3 << 22;    /* 0: execute; 1: write, four bytes */
    soft_mode_changed(cpu);
    g_assert_true(cpu->sys.stepping && cpu->sys.watching);
    g_assert_true(debug_before(cpu));
    g_assert_cmphex(cpu->dr6 & 0xf, ==, 1);
    cpu->rflags |= FLAG_RF;
    g_assert_false(debug_before(cpu));
    g_assert_false(debug_after(cpu));
    g_assert_false(cpu->rflags & FLAG_RF);
    cpu->rip = 0x5001;
    for (unsigned address = 0x6000; address < 0x6010; address++) {
        bool want = address + 3 >= 0x6004 && address <= 0x6007;

        g_assert_false(debug_before(cpu));
        g_assert_false(BARE_RAISES(bare, mmu_load32(cpu, NULL, address)));
        g_assert_false(debug_after(cpu));
        g_assert_false(BARE_RAISES(bare, mmu_store32(cpu, NULL, address, 0)));
        g_assert_cmpint(debug_after(cpu), ==, want);
        g_assert_cmphex(cpu->dr6 & 0xf, ==, want ? 2 : cpu->dr6 & 0xf);
    }
    cpu->dr7 = 0x400;
    cpu->rflags |= FLAG_TF;
    soft_mode_changed(cpu);
    g_assert_true(cpu->sys.stepping && !cpu->sys.watching);
    g_assert_false(debug_before(cpu));
    g_assert_true(debug_after(cpu));
    g_assert_true(cpu->dr6 & 1 << 14);
    bare_free(bare);
}

static void general_detect(void)
{
    Bare *bare = system_new(false);
    SoftCpu *cpu = bare->cpu;
    Insn insn = { .op = OP_MOV_FROM_DR, .length = 3 };

    enter_level(bare, 0, false);
    cpu->dr7 = 0x2400;
    g_assert_true(BARE_RAISES(bare, execute(cpu, &insn)));
    g_assert_cmpuint(cpu->sys.raised_vector, ==, EXC_DB);
    g_assert_true(cpu->dr6 & 1 << 13);
    cpu->dr7 = 0x400;
    insn.reg = 4;                                              /* an alias of 6, unless CR4.DE */
    g_assert_false(BARE_RAISES(bare, execute(cpu, &insn)));
    cpu->cr4 = CR4_DE;
    g_assert_true(BARE_RAISES(bare, execute(cpu, &insn)));
    g_assert_cmpuint(cpu->sys.raised_vector, ==, EXC_UD);
    bare_free(bare);
}

/* CPUID ---------------------------------------------------------------------------------------------------------------- */

static void cpuid_able(void)
{
    Bare *bare = system_new(true);
    CpuidConfig able;
    uint32_t out[4];

    soft_cpuid_able(&able);
    g_assert_true(cpuid_has(able.words, FEATURE_LM) && cpuid_has(able.words, FEATURE_SSE2) && cpuid_has(able.words, FEATURE_PCID));
    g_assert_false(cpuid_has(able.words, FEATURE_VME) || cpuid_has(able.words, FEATURE_AVX512F) || cpuid_has(able.words, FEATURE_LA57) ||
                   cpuid_has(able.words, FEATURE_PKU) || cpuid_has(able.words, FEATURE_MONITOR));
    g_assert_cmpuint(able.tsc_khz, >, 100000);
    soft_cpuid_set(bare->cpu, &able);
    g_assert_true(soft_vendor_is_intel(bare->cpu));
    enter_level(bare, 0, true);
    soft_cpuid(bare->cpu, 1, 0, out);
    g_assert_false(out[2] & 1 << 27);
    bare->cpu->cr4 |= CR4_OSXSAVE;
    soft_cpuid(bare->cpu, 1, 0, out);
    g_assert_true(out[2] & 1 << 27);
    soft_cpuid(bare->cpu, 0x15, 0, out);
    g_assert_cmpuint((uint64_t)out[2] / 1000 * out[1], <=, UINT32_MAX);    /* Linux multiplies in 32 bits */
    g_assert_cmpint(llabs((long long)((uint64_t)out[2] * out[1] / out[0] / 1000) - (long long)able.tsc_khz), <=, 10);
    bare_free(bare);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cpu/system/delivery 32-bit", delivery_32);
    g_test_add_func("/cpu/system/delivery 64-bit", delivery_64);
    g_test_add_func("/cpu/system/delivery frames 64-bit", delivery_frames_64);
    g_test_add_func("/cpu/system/delivery real mode", delivery_real);
    g_test_add_func("/cpu/system/numbers of bases", numbers_of_bases);
    g_test_add_func("/cpu/system/nested exceptions", nesting);
    g_test_add_func("/cpu/system/control registers", control_registers);
    g_test_add_func("/cpu/system/privileged instructions", privileged);
    g_test_add_func("/cpu/system/MSRs", msrs);
    g_test_add_func("/cpu/system/system calls", system_calls);
    g_test_add_func("/cpu/system/ports", io_permission);
    g_test_add_func("/cpu/system/breakpoints", breakpoints);
    g_test_add_func("/cpu/system/general detect", general_detect);
    g_test_add_func("/cpu/system/CPUID", cpuid_able);
    return g_test_run();
}
