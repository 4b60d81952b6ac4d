/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * task.c - hardware task switches through 16- and 32-bit TSSs
 *
 * Models   Intel SDM volume 3, 8.3: jump, call, IRET and task gates, busy bits, the back link, NT, LDT, CR3, the T bit.
 *          Until the new state is loaded a fault belongs to the old task; from then on to the new one, with the registers
 *          already there and the segments that failed left null.
 * Tests    tests/cpu/segments.c
 */
#include "accel/soft/flags.h"
#include "accel/soft/segment.h"
#include "accel/soft/walk.h"

enum { TSS32_BYTES = 104, TSS16_BYTES = 44, DESCRIPTOR_BUSY = 0x200, CR0_TASK_SWITCHED = 8 };

/* The registers in a TSS, in the order in which both forms hold them. */
typedef struct TaskState {
    uint32_t cr3, eip, eflags, gpr[8];
    uint16_t segment[SEG_COUNT], ldt;
    bool trap;
} TaskState;

typedef struct Tss {
    uint32_t base;
    bool wide;
} Tss;

static uint32_t field_load(SoftCpu *cpu, const Insn *insn, Tss tss, unsigned offset, unsigned size)
{
    return (uint32_t)mmu_load_system(cpu, insn, (uint32_t)(tss.base + offset), size);
}

static void field_store(SoftCpu *cpu, const Insn *insn, Tss tss, unsigned offset, unsigned size, uint32_t value)
{
    mmu_store_system(cpu, insn, (uint32_t)(tss.base + offset), size, value);
}

static TaskState state_load(SoftCpu *cpu, const Insn *insn, Tss tss)
{
    unsigned size = tss.wide ? 4 : 2, at = tss.wide ? 0x20 : 0x0e, segments = tss.wide ? SEG_COUNT : 4;
    TaskState state = { .cr3 = tss.wide ? field_load(cpu, insn, tss, 0x1c, 4) : 0 };

    state.eip = field_load(cpu, insn, tss, at, size);
    state.eflags = field_load(cpu, insn, tss, at += size, size);
    for (unsigned i = 0; i < 8; i++) {
        state.gpr[i] = field_load(cpu, insn, tss, at += size, size) | (tss.wide ? 0 : 0xffff0000);
    }
    for (unsigned i = 0; i < segments; i++) {
        state.segment[i] = (uint16_t)field_load(cpu, insn, tss, at += size, 2);
    }
    state.ldt = (uint16_t)field_load(cpu, insn, tss, at + size, 2);
    state.trap = tss.wide && field_load(cpu, insn, tss, 0x64, 2) & 1;
    return state;
}

/* What a switch saves: EIP to GS; never CR3, the LDT or the inner stacks. */
static void state_save(SoftCpu *cpu, const Insn *insn, Tss tss, uint64_t rip, uint64_t flags)
{
    unsigned size = tss.wide ? 4 : 2, at = tss.wide ? 0x20 : 0x0e, segments = tss.wide ? SEG_COUNT : 4;

    field_store(cpu, insn, tss, at, size, (uint32_t)rip);
    field_store(cpu, insn, tss, at += size, size, (uint32_t)flags);
    for (unsigned i = 0; i < 8; i++) {
        field_store(cpu, insn, tss, at += size, size, (uint32_t)cpu->gpr[i]);
    }
    for (unsigned i = 0; i < segments; i++) {
        field_store(cpu, insn, tss, at += size, 2, cpu->segment[i].selector);
    }
}

/* The new task's descriptor: a TSS in the GDT, of the right kind of busy, present and long enough. */
static CpuSegment check_tss(SoftCpu *cpu, const Insn *insn, uint16_t selector, TaskSource source, Descriptor *d)
{
    uint32_t error = selector_error(selector);
    unsigned invalid = source == TASK_IRET ? EXC_TS : EXC_GP, type;
    bool busy = source == TASK_IRET;
    CpuSegment tr;

    if (selector & 4 || selector_is_null(selector) || !descriptor_read(cpu, insn, selector, d)) {
        soft_raise_error(cpu, insn, invalid, error);
    }
    type = descriptor_type(*d);
    if (descriptor_is_segment(*d) || (type & ~8u) != (busy ? SYS_TSS16_BUSY : SYS_TSS16)) {
        soft_raise_error(cpu, insn, invalid, error);
    }
    if (!descriptor_present(*d)) {
        soft_raise_error(cpu, insn, EXC_NP, error);
    }
    tr = descriptor_to_segment(*d, selector);
    if (tr.limit < (type & 8 ? TSS32_BYTES : TSS16_BYTES) - 1u) {
        soft_raise_error(cpu, insn, EXC_TS, error);
    }
    return tr;
}

/* CS of the new task, whose RPL becomes the privilege level. */
static CpuSegment task_code(SoftCpu *cpu, uint16_t selector)
{
    uint32_t error = selector_error(selector);
    unsigned rpl = selector & 3;
    Descriptor d;

    if (selector_is_null(selector) || !descriptor_read(cpu, NULL, selector, &d) || !descriptor_is_code(d) ||
        (descriptor_is_conforming(d) ? descriptor_dpl(d) > rpl : descriptor_dpl(d) != rpl)) {
        soft_raise_error(cpu, NULL, EXC_TS, error);
    }
    if (!descriptor_present(d)) {
        soft_raise_error(cpu, NULL, EXC_NP, error);
    }
    descriptor_set_accessed(cpu, NULL, selector, &d);
    return descriptor_to_segment(d, selector);
}

/* The new task's segments, checked now that all else is in place; a fault here is the new task's. */
static void load_segments(SoftCpu *cpu, const TaskState *state)
{
    static const uint8_t data[] = { SEG_ES, SEG_DS, SEG_FS, SEG_GS };
    CpuSegment code;

    if (state->eflags & FLAG_VM) {
        for (unsigned i = 0; i < SEG_COUNT; i++) {
            segment_set_v8086(&cpu->segment[i], state->segment[i]);
        }
        cpu->cpl = 3;
        return;
    }
    cpu->ldt = segment_check_ldt(cpu, NULL, state->ldt, EXC_TS);
    code = task_code(cpu, state->segment[SEG_CS]);
    cpu->segment[SEG_SS] = segment_check_ss(cpu, NULL, state->segment[SEG_SS], cpu->cpl, EXC_TS);
    for (unsigned i = 0; i < sizeof data; i++) {
        cpu->segment[data[i]] = segment_check_data(cpu, NULL, state->segment[data[i]], cpu->cpl, EXC_TS);
    }
    cpu->segment[SEG_CS] = code;
    soft_mode_changed(cpu);
    if (cpu->rip > code.limit) {
        soft_raise_error(cpu, NULL, EXC_GP, 0);
    }
}

static void load_registers(SoftCpu *cpu, const Tss *tss, const TaskState *state, uint64_t flags)
{
    for (unsigned i = 0; i < 8; i++) {
        cpu->gpr[i] = state->gpr[i];
    }
    cpu->rip = state->eip;
    flags_set(cpu, flags);
    cpu->sys.resume_flag_kept = flags & FLAG_RF;
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        cpu->segment[i] = segment_null(state->segment[i]);
    }
    cpu->ldt = segment_null(state->ldt);
    cpu->cpl = flags & FLAG_VM ? 3 : state->segment[SEG_CS] & 3;
    /* Until CS has passed its checks: something that cannot run, of the task's own width and privilege. */
    cpu->segment[SEG_CS].attributes = 0x9b | (tss->wide ? ATTR_DB : 0);
    cpu->dr7 &= ~UINT64_C(0x155);          /* the local enables */
    cpu->cr0 |= CR0_TASK_SWITCHED;
}

/* CR3 with the new task's address space. PAE pointers that are bad are the new task's #TS. */
static void load_cr3(SoftCpu *cpu, uint32_t cr3, uint16_t selector)
{
    if (!(cpu->cr0 & CR0_PG)) {
        return;
    }
    if (cpu->sys.paging == PAGING_PAE && !walk_load_pdptrs(cpu, cr3)) {
        soft_raise_error(cpu, NULL, EXC_TS, selector_error(selector));
    }
    cpu->cr3 = cr3;
    tlb_flush_non_global(cpu);
}

static void push_error(SoftCpu *cpu, const Tss *tss, uint32_t error)
{
    Stack stack = stack_current(cpu);

    stack_push(cpu, NULL, &stack, tss->wide ? 4 : 2, error);
    stack_commit(cpu, &stack);
}

void task_switch(SoftCpu *cpu, const Insn *insn, uint16_t selector, TaskSource source, uint64_t next_rip, bool has_error, uint32_t error)
{
    bool nests = source == TASK_CALL || source == TASK_EVENT;
    uint64_t flags = flags_get(cpu), new_flags;
    Tss old = { (uint32_t)cpu->tr.base, (cpu->tr.attributes & ATTR_TYPE) >= SYS_TSS32 }, new;
    uint16_t old_selector = cpu->tr.selector;
    TaskState state;
    CpuSegment tr;
    Descriptor d, old_d;

    tr = check_tss(cpu, insn, selector, source, &d);
    new = (Tss){ (uint32_t)tr.base, descriptor_type(d) >= SYS_TSS32 };
    if (cpu->tr.attributes & ATTR_UNUSABLE || cpu->tr.limit < (old.wide ? 0x5f : 0x29)) {
        soft_raise_error(cpu, insn, EXC_TS, selector_error(old_selector));
    }
    /* Everything that can fault in the old task's name: read the new state, probe what will be written. */
    state = state_load(cpu, insn, new);
    mmu_probe_system(cpu, insn, old.base, old.wide ? 0x60 : 0x2a, true);
    if (nests) {
        mmu_probe_system(cpu, insn, new.base, 2, true);
    }
    if (source == TASK_IRET) {
        flags &= ~(uint64_t)FLAG_NT;
    }
    state_save(cpu, insn, old, next_rip, flags);
    if (!nests && descriptor_read(cpu, insn, old_selector, &old_d)) {
        descriptor_write_high(cpu, insn, old_selector, old_d.high & ~(uint32_t)DESCRIPTOR_BUSY);
    }
    new_flags = state.eflags | FLAG_FIXED;
    new_flags = new.wide ? new_flags & 0x3f7fd7 : (new_flags & 0x7fd7);
    if (nests) {
        field_store(cpu, insn, new, 0, 2, old_selector);
        new_flags |= FLAG_NT;
    }
    if (source != TASK_IRET) {
        descriptor_write_high(cpu, insn, selector, d.high | DESCRIPTOR_BUSY);
    }
    tr.attributes |= DESCRIPTOR_BUSY >> 8;
    cpu->tr = tr;
    load_registers(cpu, &new, &state, new_flags);
    soft_mode_changed(cpu);
    if (new.wide) {
        load_cr3(cpu, state.cr3, selector);
    }
    load_segments(cpu, &state);
    soft_mode_changed(cpu);
    if (has_error) {
        push_error(cpu, &new, error);
    }
    if (state.trap) {
        cpu->sys.debug_hits |= 1 << 15;    /* DR6.BT */
        cpu->sys.stepping = true;
    }
}

void task_gate(SoftCpu *cpu, const Insn *insn, uint16_t selector, TaskSource source, uint64_t next_rip, bool has_error, uint32_t error)
{
    task_switch(cpu, insn, selector, source, next_rip, has_error, error);
}
