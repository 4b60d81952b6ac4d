/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * exception.c - delivery of exceptions, interrupts and software interrupts, and faults within deliveries
 *
 * Models   Intel SDM volume 3, chapter 6: the real-mode table, 16- and 32-bit gates with inner stacks and from
 *          virtual-8086 mode, task gates, 64-bit gates with IST; contributory, double and triple faults (table 6-5)
 * Omits    the interrupt redirection of CR4.VME (not in CPUID: INT n at IOPL below 3 faults)
 * Tests    tests/cpu/system.c
 */
#include "accel/soft/flags.h"
#include "accel/soft/segment.h"
#include "base/log.h"
#include <inttypes.h>

/* One delivery on its way. */
typedef struct Delivery {
    unsigned vector, kind;
    bool has_error, software;
    uint32_t error;
    uint64_t return_rip, flags;            /* as they are pushed */
} Delivery;

static uint32_t gate_error(const Delivery *delivery)
{
    return delivery->vector * 8 + 2;       /* IDT bit; EXT comes with the raise */
}

/* Real mode ----------------------------------------------------------------------------------------------------- */

static void deliver_real(SoftCpu *cpu, const Delivery *delivery)
{
    Stack stack = stack_current(cpu);
    uint32_t entry;

    if (delivery->vector * 4 + 3 > cpu->idt_limit) {
        soft_raise_error(cpu, NULL, EXC_GP, gate_error(delivery));
    }
    entry = (uint32_t)mmu_load_system(cpu, NULL, (uint32_t)(cpu->idt_base + delivery->vector * 4), 4);
    stack.mode = TLB_SUPERVISOR;
    stack_push(cpu, NULL, &stack, 2, delivery->flags);
    stack_push(cpu, NULL, &stack, 2, cpu->segment[SEG_CS].selector);
    stack_push(cpu, NULL, &stack, 2, delivery->return_rip);
    stack_commit(cpu, &stack);
    segment_set_real(&cpu->segment[SEG_CS], (uint16_t)(entry >> 16));
    cpu->rip = entry & 0xffff;
    cpu->rflags &= ~(uint64_t)(FLAG_IF | FLAG_TF | FLAG_AC | FLAG_RF);
}

/* Protected mode and long mode ---------------------------------------------------------------------------------- */

typedef struct IdtGate {
    unsigned type;
    uint16_t selector;
    uint64_t offset;
    unsigned ist;
} IdtGate;

static IdtGate read_gate(SoftCpu *cpu, const Delivery *delivery)
{
    unsigned size = cpu->long_mode ? 16 : 8;
    uint64_t address = cpu->idt_base + delivery->vector * size, value;
    Descriptor d;
    IdtGate gate;

    if (delivery->vector * size + size - 1 > cpu->idt_limit) {
        soft_raise_error(cpu, NULL, EXC_GP, gate_error(delivery));
    }
    value = mmu_load_system(cpu, NULL, cpu->long_mode ? address : (uint32_t)address, 8);
    d = (Descriptor){ (uint32_t)value, (uint32_t)(value >> 32) };
    gate = (IdtGate){ .type = descriptor_type(d), .selector = gate_selector(d), .offset = gate_offset(d) };
    if (descriptor_is_segment(d) || !(gate.type == SYS_INT32 || gate.type == SYS_TRAP32 ||
        (!cpu->long_mode && (gate.type == SYS_INT16 || gate.type == SYS_TRAP16 || gate.type == SYS_TASK_GATE)))) {
        soft_raise_error(cpu, NULL, EXC_GP, gate_error(delivery));
    }
    if (delivery->software && descriptor_dpl(d) < cpu->cpl) {
        soft_raise_error(cpu, NULL, EXC_GP, gate_error(delivery));
    }
    if (!descriptor_present(d)) {
        soft_raise_error(cpu, NULL, EXC_NP, gate_error(delivery));
    }
    if (cpu->long_mode) {
        gate.ist = d.high & 7;
        gate.offset |= (mmu_load_system(cpu, NULL, address + 8, 8) & UINT32_MAX) << 32;
    } else if (gate.type == SYS_INT16 || gate.type == SYS_TRAP16) {
        gate.offset &= 0xffff;
    }
    return gate;
}

/* The handler's code segment; *cpl becomes the level it runs at. */
static CpuSegment handler_code(SoftCpu *cpu, const IdtGate *gate, unsigned *cpl)
{
    uint32_t error = selector_error(gate->selector);
    Descriptor d;

    if (selector_is_null(gate->selector)) {
        soft_raise_error(cpu, NULL, EXC_GP, 0);
    }
    if (!descriptor_read(cpu, NULL, gate->selector, &d) || !descriptor_is_code(d) || descriptor_dpl(d) > cpu->cpl ||
        (cpu->long_mode && (!descriptor_long(d) || descriptor_big(d)))) {
        soft_raise_error(cpu, NULL, EXC_GP, error);
    }
    *cpl = descriptor_is_conforming(d) ? cpu->cpl : descriptor_dpl(d);
    if (cpu_is_v8086(cpu) && *cpl != 0) {
        soft_raise_error(cpu, NULL, EXC_GP, error);
    }
    return code_segment(cpu, NULL, gate->selector, d, *cpl);
}

static void push_frame(SoftCpu *cpu, Stack *stack, const Delivery *delivery, unsigned size)
{
    stack_push(cpu, NULL, stack, size, delivery->flags);
    stack_push(cpu, NULL, stack, size, cpu->segment[SEG_CS].selector);
    stack_push(cpu, NULL, stack, size, delivery->return_rip);
    if (delivery->has_error) {
        stack_push(cpu, NULL, stack, size, delivery->error);
    }
}

static void enter_handler(SoftCpu *cpu, const IdtGate *gate, CpuSegment cs, unsigned cpl)
{
    cpu->segment[SEG_CS] = cs;
    cpu->cpl = (uint8_t)cpl;
    cpu->rip = gate->offset;
    cpu->rflags &= ~(uint64_t)(FLAG_TF | FLAG_VM | FLAG_RF | FLAG_NT);
    if (gate->type == SYS_INT16 || gate->type == SYS_INT32) {
        cpu->rflags &= ~(uint64_t)FLAG_IF;
    }
}

static void deliver_protected(SoftCpu *cpu, const Delivery *delivery, const IdtGate *gate)
{
    static const uint8_t pushed_by_v8086[] = { SEG_GS, SEG_FS, SEG_DS, SEG_ES };
    unsigned cpl, size = gate->type & 8 ? 4 : 2;
    CpuSegment cs = handler_code(cpu, gate, &cpl);
    bool inwards = cpl != cpu->cpl, from_v8086 = cpu_is_v8086(cpu);
    Stack stack = stack_current(cpu);

    if (inwards) {
        stack = stack_from_tss(cpu, NULL, cpl);
    }
    code_check_target(cpu, NULL, &cs, gate->offset);
    for (unsigned i = 0; i < 4 && from_v8086; i++) {
        stack_push(cpu, NULL, &stack, size, cpu->segment[pushed_by_v8086[i]].selector);
    }
    if (inwards) {
        stack_push(cpu, NULL, &stack, size, cpu->segment[SEG_SS].selector);
        stack_push(cpu, NULL, &stack, size, cpu->gpr[GPR_RSP]);
    }
    push_frame(cpu, &stack, delivery, size);
    for (unsigned i = 0; i < 4 && from_v8086; i++) {
        cpu->segment[pushed_by_v8086[i]] = segment_null(0);
    }
    if (inwards) {
        cpu->segment[SEG_SS] = stack.ss;
    }
    stack_commit(cpu, &stack);
    enter_handler(cpu, gate, cs, cpl);
}

static void deliver_long(SoftCpu *cpu, const Delivery *delivery, const IdtGate *gate)
{
    unsigned cpl;
    CpuSegment cs = handler_code(cpu, gate, &cpl), ss = cpu->segment[SEG_SS];
    bool inwards = cpl != cpu->cpl;
    uint64_t pointer = cpu->gpr[GPR_RSP];
    Stack stack;

    if (gate->ist) {
        pointer = tss64_pointer(cpu, NULL, 3 + gate->ist);
    } else if (inwards) {
        pointer = tss64_pointer(cpu, NULL, cpl);
    }
    if (inwards) {
        ss = segment_null((uint16_t)cpl);
        ss.attributes |= cpl << ATTR_DPL_SHIFT;
    }
    code_check_target(cpu, NULL, &cs, gate->offset);
    stack = stack_new(cpu, ss, pointer & ~UINT64_C(15), true, cpl);
    stack.error = 0;
    stack_push(cpu, NULL, &stack, 8, cpu->segment[SEG_SS].selector);
    stack_push(cpu, NULL, &stack, 8, cpu->gpr[GPR_RSP]);
    push_frame(cpu, &stack, delivery, 8);
    cpu->segment[SEG_SS] = ss;
    stack_commit(cpu, &stack);
    enter_handler(cpu, gate, cs, cpl);
}

static void deliver_by_gate(SoftCpu *cpu, const Delivery *delivery)
{
    IdtGate gate;

    if (cpu_is_v8086(cpu) && delivery->kind == DELIVER_INT_N && cpu_iopl(cpu) != 3) {
        soft_raise_error(cpu, NULL, EXC_GP, 0);
    }
    gate = read_gate(cpu, delivery);
    if (gate.type == SYS_TASK_GATE) {
        task_gate(cpu, NULL, gate.selector, TASK_EVENT, delivery->return_rip, delivery->has_error, delivery->error);
    } else if (cpu->long_mode) {
        deliver_long(cpu, delivery, &gate);
    } else {
        deliver_protected(cpu, delivery, &gate);
    }
}

/* All of them --------------------------------------------------------------------------------------------------- */

/* Faults push RF so that the instruction is not stopped by its breakpoint again when it is retried; an instruction breakpoint's
 * own #DB leaves that to its handler. */
static uint64_t pushed_flags(const SoftCpu *cpu, unsigned vector, unsigned kind)
{
    uint64_t flags = flags_get(cpu);

    return kind == DELIVER_FAULT && vector != EXC_DB ? flags | FLAG_RF : flags;
}

void soft_deliver(SoftCpu *cpu, unsigned vector, bool has_error, uint32_t error, unsigned kind)
{
    SoftSystem *sys = &cpu->sys;
    bool software = kind == DELIVER_INT_N || kind == DELIVER_INT3;
    Delivery delivery = { .vector = vector, .kind = kind, .has_error = has_error, .software = software, .error = error };

    sys->delivering = (uint8_t)kind;
    sys->delivering_vector = (uint8_t)vector;
    sys->double_fault = vector == EXC_DF && kind == DELIVER_FAULT;
    sys->external = !software;
    delivery.return_rip = software || kind == DELIVER_ICEBP ? sys->return_rip : cpu->rip;
    delivery.flags = pushed_flags(cpu, vector, kind);
    if (log_enabled(LOG_INTERRUPTS)) {
        log_line(LOG_INTERRUPTS, "vector %02x error %04x kind %u cpl %u cs:rip %04x:%016" PRIx64 " ss:rsp %04x:%016" PRIx64 " cr2 %016" PRIx64,
                 vector, has_error ? error : 0, kind, cpu->cpl, cpu->segment[SEG_CS].selector, cpu->rip,
                 cpu->segment[SEG_SS].selector, cpu->gpr[GPR_RSP], cpu->cr2);
    }
    if (cpu_is_real(cpu)) {
        deliver_real(cpu, &delivery);
    } else {
        deliver_by_gate(cpu, &delivery);
    }
    if (kind == DELIVER_NMI) {
        cpu->nmi_masked = true;
    }
    if (vector == EXC_DB && (kind == DELIVER_FAULT || kind == DELIVER_TRAP || kind == DELIVER_ICEBP)) {
        cpu->dr7 &= ~UINT64_C(0x2000);     /* general detect */
    }
    sys->delivering = DELIVER_NOTHING;
    sys->double_fault = false;
    sys->external = 0;
    sys->step_armed = false;
    cpu->interrupt_shadow = false;
    cpu->activity = CPU_RUNNABLE;
    soft_mode_changed(cpu);
}

static bool is_contributory(unsigned vector)
{
    return vector == EXC_DE || (vector >= EXC_TS && vector <= EXC_GP);
}

/* Is this fault, met while delivering that one, a double fault? */
static bool makes_double(const SoftSystem *sys, unsigned second)
{
    unsigned first = sys->delivering_vector;

    if (sys->delivering != DELIVER_FAULT && sys->delivering != DELIVER_TRAP) {
        return false;                      /* interrupts are benign whatever their vector */
    }
    if (first == EXC_PF) {
        return second == EXC_PF || is_contributory(second);
    }
    return is_contributory(first) && is_contributory(second);
}

void soft_shutdown(SoftCpu *cpu)
{
    cpu->sys.delivering = DELIVER_NOTHING;
    cpu->sys.double_fault = false;
    cpu->sys.external = 0;
    cpu->activity = CPU_SHUTDOWN;
}

void soft_fault(SoftCpu *cpu)
{
    SoftSystem *sys = &cpu->sys;

    sys->external = 0;
    if (sys->delivering != DELIVER_NOTHING && sys->double_fault) {
        soft_shutdown(cpu);
        return;
    }
    if (sys->delivering != DELIVER_NOTHING && makes_double(sys, sys->raised_vector)) {
        soft_deliver(cpu, EXC_DF, true, 0, DELIVER_FAULT);
        return;
    }
    soft_deliver(cpu, sys->raised_vector, sys->raised_has_error, sys->raised_error, DELIVER_FAULT);
}
