/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cpu-state.c - the saved-state table of a processor, its power-on values, and its registers as text
 *
 * Models   Intel SDM volume 3, section 10.1.1 and table 10-1 (state after power-up)
 * Threads  pure functions
 * Tests    tests/unit/cpuid.c, tests/kvm/guests.c
 */
#include "accel/x86/cpu-state.h"
#include <string.h>

static const Field segment_saved[] = {
    SAVE_U16(CpuSegment, selector), SAVE_U32(CpuSegment, attributes), SAVE_U32(CpuSegment, limit), SAVE_U64(CpuSegment, base),
    FIELD_END };

const Field cpu_state_saved[] = {
    SAVE_U64S(CpuState, gpr), SAVE_U64(CpuState, rip), SAVE_U64(CpuState, rflags),
    SAVE_STRUCTS(CpuState, segment, segment_saved), SAVE_STRUCT(CpuState, ldt, segment_saved), SAVE_STRUCT(CpuState, tr, segment_saved),
    SAVE_U64(CpuState, gdt_base), SAVE_U64(CpuState, idt_base), SAVE_U32(CpuState, gdt_limit), SAVE_U32(CpuState, idt_limit),
    SAVE_U64(CpuState, cr0), SAVE_U64(CpuState, cr2), SAVE_U64(CpuState, cr3), SAVE_U64(CpuState, cr4), SAVE_U64(CpuState, cr8),
    SAVE_U64(CpuState, efer), SAVE_U64(CpuState, xcr0), SAVE_U64(CpuState, apic_base),
    SAVE_U64S(CpuState, dr), SAVE_U64(CpuState, dr6), SAVE_U64(CpuState, dr7),
    SAVE_U64(CpuState, tsc), SAVE_U64(CpuState, tsc_adjust), SAVE_U64(CpuState, tsc_aux), SAVE_U64(CpuState, tsc_deadline),
    SAVE_U64(CpuState, star), SAVE_U64(CpuState, lstar), SAVE_U64(CpuState, cstar), SAVE_U64(CpuState, sfmask),
    SAVE_U64(CpuState, kernel_gs_base), SAVE_U64(CpuState, sysenter_cs), SAVE_U64(CpuState, sysenter_esp),
    SAVE_U64(CpuState, sysenter_eip), SAVE_U64(CpuState, pat), SAVE_U64(CpuState, misc_enable), SAVE_U64(CpuState, mtrr_def_type),
    SAVE_U64S(CpuState, mtrr_fixed), SAVE_U64S(CpuState, mtrr_base), SAVE_U64S(CpuState, mtrr_mask),
    SAVE_U64(CpuState, spec_ctrl), SAVE_U64(CpuState, kvm_system_time), SAVE_U64(CpuState, kvm_wall_clock),
    SAVE_BYTES(CpuState, xsave),
    SAVE_U32(CpuState, activity), SAVE_BOOL(CpuState, interrupt_shadow), SAVE_BOOL(CpuState, nmi_pending),
    SAVE_BOOL(CpuState, nmi_masked), SAVE_BOOL(CpuState, exception_pending), SAVE_BOOL(CpuState, exception_has_error),
    SAVE_U8(CpuState, exception_vector), SAVE_U32(CpuState, exception_error), SAVE_BOOL(CpuState, interrupt_injected),
    SAVE_U8(CpuState, interrupt_vector), SAVE_U8(CpuState, sipi_vector),
    FIELD_END };
G_STATIC_ASSERT(sizeof(CpuActivity) == sizeof(uint32_t));

void cpu_state_reset(CpuState *state, uint32_t signature, bool boot_processor)
{
    enum { DATA = ATTR_P | ATTR_S | 3, CODE = ATTR_P | ATTR_S | 0xb, LDT = ATTR_P | 2, BUSY_TSS = ATTR_P | 0xb };
    static const uint16_t fcw = 0x0040;
    static const uint32_t mxcsr = 0x1f80;

    memset(state, 0, sizeof *state);
    state->gpr[GPR_RDX] = signature;
    state->rip = 0xfff0;
    state->rflags = 2;
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        state->segment[i] = (CpuSegment){ .attributes = DATA, .limit = 0xffff };
    }
    state->segment[SEG_CS] = (CpuSegment){ .selector = 0xf000, .attributes = CODE, .limit = 0xffff, .base = 0xffff0000 };
    state->ldt = (CpuSegment){ .attributes = LDT, .limit = 0xffff };
    state->tr = (CpuSegment){ .attributes = BUSY_TSS, .limit = 0xffff };
    state->gdt_limit = state->idt_limit = 0xffff;
    state->cr0 = 0x60000010;
    state->dr6 = 0xffff0ff0;
    state->dr7 = 0x400;
    state->xcr0 = 1;
    state->apic_base = 0xfee00800 | (boot_processor ? 0x100 : 0);
    state->pat = UINT64_C(0x0007040600070406);
    state->misc_enable = 1;                /* fast strings */
    /* FXSAVE layout: FCW at 0, abridged tag word at 4 (all registers valid zeros: tag word 5555h), MXCSR at 24; XSTATE_BV at 512. */
    memcpy(state->xsave, &fcw, sizeof fcw);
    state->xsave[4] = 0xff;
    memcpy(state->xsave + 24, &mxcsr, sizeof mxcsr);
    state->xsave[512] = 3;
    state->activity = boot_processor ? CPU_RUNNABLE : CPU_WAIT_SIPI;
}

static void describe_segment(GString *text, const char *name, const CpuSegment *segment)
{
    g_string_append_printf(text, "%s=%04x %016" G_GINT64_MODIFIER "x %08x %05x\n", name, segment->selector, segment->base, segment->limit,
                           segment->attributes);
}

char *cpu_state_describe(const CpuState *s)
{
    static const char *const gpr[16] = { "RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
                                         "R8 ", "R9 ", "R10", "R11", "R12", "R13", "R14", "R15" };
    static const char *const segment[SEG_COUNT] = { "ES ", "CS ", "SS ", "DS ", "FS ", "GS " };
    static const char *const activity[] = { "running", "halted", "waiting for SIPI", "shut down" };
    static const uint8_t order[16] = { 0, 3, 1, 2, 6, 7, 5, 4, 8, 9, 10, 11, 12, 13, 14, 15 };
    GString *text = g_string_new(NULL);

    for (unsigned i = 0; i < 16; i++) {
        g_string_append_printf(text, "%s=%016" G_GINT64_MODIFIER "x%c", gpr[order[i]], s->gpr[order[i]], i % 4 == 3 ? '\n' : ' ');
    }
    g_string_append_printf(text, "RIP=%016" G_GINT64_MODIFIER "x RFL=%08x CPL=%u %s%s\n", s->rip, (unsigned)s->rflags,
                           (s->segment[SEG_SS].attributes & ATTR_DPL) >> ATTR_DPL_SHIFT,
                           s->activity <= CPU_SHUTDOWN ? activity[s->activity] : "?", s->interrupt_shadow ? ", interrupts held back" : "");
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        describe_segment(text, segment[i], &s->segment[i]);
    }
    describe_segment(text, "LDT", &s->ldt);
    describe_segment(text, "TR ", &s->tr);
    g_string_append_printf(text, "GDT=     %016" G_GINT64_MODIFIER "x %08x\nIDT=     %016" G_GINT64_MODIFIER "x %08x\n", s->gdt_base,
                           s->gdt_limit, s->idt_base, s->idt_limit);
    g_string_append_printf(text, "CR0=%08x CR2=%016" G_GINT64_MODIFIER "x CR3=%016" G_GINT64_MODIFIER "x CR4=%08x EFER=%04x\n",
                           (unsigned)s->cr0, s->cr2, s->cr3, (unsigned)s->cr4, (unsigned)s->efer);
    g_string_append_printf(text, "DR0=%016" G_GINT64_MODIFIER "x DR1=%016" G_GINT64_MODIFIER "x DR2=%016" G_GINT64_MODIFIER
                           "x DR3=%016" G_GINT64_MODIFIER "x DR6=%08x DR7=%08x",
                           s->dr[0], s->dr[1], s->dr[2], s->dr[3], (unsigned)s->dr6, (unsigned)s->dr7);
    return g_string_free(text, FALSE);
}
