/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * state.c - a processor's state between CpuState and KVM: registers, XSAVE image, events, debug registers, run state
 *
 * The LAPIC and the other in-kernel chips are not here: hw/intc/kvm-irqchip.c reads and writes them by kvm_cpu_ioctl().
 *
 * Order    CPUID is set at birth; then registers, XCR0 and XSAVE, special registers (CR4 and EFER decide about MSRs), MSRs, debug registers,
 *          events, and last the run state
 * Threads  CPU paused, machine lock held; INIT and SIPI on the CPU's own thread
 * Tests    tests/kvm
 */
#include "accel/kvm/kvm-internal.h"
#include "base/error.h"
#include "base/log.h"
#include <string.h>

enum { CR4_PAE = 1 << 5 };
G_STATIC_ASSERT(sizeof(struct kvm_xsave) == sizeof(((CpuState *)0)->xsave));

/* Segments: attributes as a descriptor has them, against KVM's one byte per field. */
static struct kvm_segment segment_out(const CpuSegment *s)
{
    uint32_t a = s->attributes;
    return (struct kvm_segment){
        .base = s->base, .limit = s->limit, .selector = s->selector, .type = a & ATTR_TYPE, .s = (a & ATTR_S) != 0,
        .dpl = (a & ATTR_DPL) >> ATTR_DPL_SHIFT, .present = (a & ATTR_P) != 0, .avl = (a & ATTR_AVL) != 0, .l = (a & ATTR_L) != 0,
        .db = (a & ATTR_DB) != 0, .g = (a & ATTR_G) != 0, .unusable = (a & ATTR_UNUSABLE) != 0 || !(a & ATTR_P) };
}

static CpuSegment segment_in(const struct kvm_segment *s)
{
    uint32_t a = s->type | (uint32_t)s->s << 4 | (uint32_t)s->dpl << ATTR_DPL_SHIFT | (uint32_t)s->avl << 12 | (uint32_t)s->l << 13 |
                 (uint32_t)s->db << 14 | (uint32_t)s->g << 15;
    a |= s->unusable ? ATTR_UNUSABLE : s->present ? ATTR_P : 0;
    return (CpuSegment){ .selector = s->selector, .attributes = a, .limit = s->limit, .base = s->base };
}

static void regs_out(const CpuState *s, struct kvm_regs *r)
{
    *r = (struct kvm_regs){
        .rax = s->gpr[GPR_RAX], .rcx = s->gpr[GPR_RCX], .rdx = s->gpr[GPR_RDX], .rbx = s->gpr[GPR_RBX], .rsp = s->gpr[GPR_RSP],
        .rbp = s->gpr[GPR_RBP], .rsi = s->gpr[GPR_RSI], .rdi = s->gpr[GPR_RDI], .r8 = s->gpr[8], .r9 = s->gpr[9], .r10 = s->gpr[10],
        .r11 = s->gpr[11], .r12 = s->gpr[12], .r13 = s->gpr[13], .r14 = s->gpr[14], .r15 = s->gpr[15],
        .rip = s->rip, .rflags = s->rflags | 2 };
}

static void regs_in(const struct kvm_regs *r, CpuState *s)
{
    const uint64_t gpr[16] = { r->rax, r->rcx, r->rdx, r->rbx, r->rsp, r->rbp, r->rsi, r->rdi,
                               r->r8, r->r9, r->r10, r->r11, r->r12, r->r13, r->r14, r->r15 };
    memcpy(s->gpr, gpr, sizeof gpr);
    s->rip = r->rip;
    s->rflags = r->rflags;
}

static void sregs_out(const CpuState *s, struct kvm_sregs *r)
{
    *r = (struct kvm_sregs){
        .es = segment_out(&s->segment[SEG_ES]), .cs = segment_out(&s->segment[SEG_CS]), .ss = segment_out(&s->segment[SEG_SS]),
        .ds = segment_out(&s->segment[SEG_DS]), .fs = segment_out(&s->segment[SEG_FS]), .gs = segment_out(&s->segment[SEG_GS]),
        .ldt = segment_out(&s->ldt), .tr = segment_out(&s->tr),
        .gdt = { .base = s->gdt_base, .limit = (uint16_t)s->gdt_limit }, .idt = { .base = s->idt_base, .limit = (uint16_t)s->idt_limit },
        .cr0 = s->cr0, .cr2 = s->cr2, .cr3 = s->cr3, .cr4 = s->cr4, .cr8 = s->cr8, .efer = s->efer, .apic_base = s->apic_base };
}

static void sregs_in(const struct kvm_sregs *r, CpuState *s)
{
    s->segment[SEG_ES] = segment_in(&r->es), s->segment[SEG_CS] = segment_in(&r->cs), s->segment[SEG_SS] = segment_in(&r->ss);
    s->segment[SEG_DS] = segment_in(&r->ds), s->segment[SEG_FS] = segment_in(&r->fs), s->segment[SEG_GS] = segment_in(&r->gs);
    s->ldt = segment_in(&r->ldt), s->tr = segment_in(&r->tr);
    s->gdt_base = r->gdt.base, s->gdt_limit = r->gdt.limit, s->idt_base = r->idt.base, s->idt_limit = r->idt.limit;
    s->cr0 = r->cr0, s->cr2 = r->cr2, s->cr3 = r->cr3, s->cr4 = r->cr4, s->cr8 = r->cr8;
    s->efer = r->efer, s->apic_base = r->apic_base;
}

static void events_out(const CpuState *s, struct kvm_vcpu_events *e)
{
    *e = (struct kvm_vcpu_events){
        .exception = { .injected = s->exception_pending, .nr = s->exception_vector, .has_error_code = s->exception_has_error,
                       .error_code = s->exception_error },
        .interrupt = { .injected = s->interrupt_injected, .nr = s->interrupt_vector,
                       .shadow = s->interrupt_shadow ? KVM_X86_SHADOW_INT_STI : 0 },
        .nmi = { .pending = s->nmi_pending, .masked = s->nmi_masked },
        .sipi_vector = s->sipi_vector,
        .flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SIPI_VECTOR | KVM_VCPUEVENT_VALID_SHADOW };
}

static void events_in(const struct kvm_vcpu_events *e, CpuState *s)
{
    s->exception_pending = e->exception.injected;
    s->exception_vector = e->exception.nr;
    s->exception_has_error = e->exception.has_error_code;
    s->exception_error = e->exception.error_code;
    s->interrupt_injected = e->interrupt.injected && !e->interrupt.soft;
    s->interrupt_vector = e->interrupt.nr;
    s->interrupt_shadow = e->interrupt.shadow != 0;
    s->nmi_pending = e->nmi.pending;
    s->nmi_masked = e->nmi.masked;
    s->sipi_vector = (uint8_t)e->sipi_vector;
}

static CpuActivity activity_of(uint32_t mp_state)
{
    switch (mp_state) {
    case KVM_MP_STATE_HALTED: return CPU_HALTED;
    case KVM_MP_STATE_UNINITIALIZED: case KVM_MP_STATE_INIT_RECEIVED: return CPU_WAIT_SIPI;
    default: return CPU_RUNNABLE;
    }
}

/* An ioctl of the series below; the first failure is told and ends it. */
static bool step(KvmCpu *k, const char *what, unsigned long request, void *argument, GError **err)
{
    int result = kvm_ioctl(k->fd, request, argument);
    return result >= 0 || fail(err, -result, "CPU %u: KVM refuses its %s: %s", k->cpu->index, what, g_strerror(-result));
}

static bool set_xcr0(KvmCpu *k, const CpuState *state, GError **err)
{
    if (!k->kvm->has_xcrs || !cpuid_has(k->config.words, FEATURE_XSAVE)) {
        return true;
    }
    struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs = { { .xcr = 0, .value = state->xcr0 } } };
    return step(k, "XCR0", KVM_SET_XCRS, &xcrs, err);
}

static bool set_activity(KvmCpu *k, const CpuState *state, GError **err)
{
    kvm_set_activity(k, state->activity);
    if (!kvm_lapic_in_kernel(k->kvm)) {
        return true;
    }
    struct kvm_mp_state mp = { .mp_state = state->activity == CPU_HALTED ? KVM_MP_STATE_HALTED
                                         : state->activity == CPU_WAIT_SIPI ? KVM_MP_STATE_INIT_RECEIVED
                                                                            : KVM_MP_STATE_RUNNABLE };
    return step(k, "run state", KVM_SET_MP_STATE, &mp, err);
}

bool kvm_cpu_set_state(Cpu *cpu, const CpuState *state, GError **err)
{
    KvmCpu *k = cpu->data;
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    struct kvm_vcpu_events events;
    struct kvm_debugregs debug = { .db = { state->dr[0], state->dr[1], state->dr[2], state->dr[3] }, .dr6 = state->dr6, .dr7 = state->dr7 };

    if (state->cr4 & CR4_PAE) {
        kvm_slots_sync(k->kvm->slots);     /* KVM follows CR3 at once */
    }
    regs_out(state, &regs);
    sregs_out(state, &sregs);
    events_out(state, &events);
    if (!step(k, "registers", KVM_SET_REGS, &regs, err) || !set_xcr0(k, state, err) ||
        !step(k, "XSAVE image", KVM_SET_XSAVE, (void *)state->xsave, err) ||
        !step(k, "special registers", KVM_SET_SREGS, &sregs, err)) {
        return false;
    }
    kvm_msrs_set(k, state);
    return (!k->kvm->has_debugregs || step(k, "debug registers", KVM_SET_DEBUGREGS, &debug, err)) &&
           step(k, "pending events", KVM_SET_VCPU_EVENTS, &events, err) && set_activity(k, state, err);
}

/* Asked when nothing can be done about a refusal: what could be read stays, and it is said. */
static void ask(KvmCpu *k, const char *what, unsigned long request, void *argument)
{
    int result = kvm_ioctl(k->fd, request, argument);
    if (result < 0) {
        report_warning("CPU %u: KVM does not tell its %s: %s", k->cpu->index, what, g_strerror(-result));
    }
}

void kvm_cpu_get_state(Cpu *cpu, CpuState *state)
{
    KvmCpu *k = cpu->data;
    struct kvm_regs regs = { 0 };
    struct kvm_sregs sregs = { 0 };
    struct kvm_vcpu_events events = { 0 };
    struct kvm_debugregs debug = { 0 };
    struct kvm_xcrs xcrs = { 0 };
    struct kvm_mp_state mp = { 0 };

    state->activity = kvm_activity(k);
    if (kvm_lapic_in_kernel(k->kvm)) {
        ask(k, "run state", KVM_GET_MP_STATE, &mp);      /* first: this makes KVM take in INIT and SIPI that are on the way */
        state->activity = activity_of(mp.mp_state);
    }
    ask(k, "registers", KVM_GET_REGS, &regs);
    ask(k, "special registers", KVM_GET_SREGS, &sregs);
    ask(k, "pending events", KVM_GET_VCPU_EVENTS, &events);
    ask(k, "XSAVE image", KVM_GET_XSAVE, state->xsave);
    regs_in(&regs, state);
    sregs_in(&sregs, state);
    events_in(&events, state);
    state->xcr0 = 1;
    if (k->kvm->has_xcrs && kvm_ioctl(k->fd, KVM_GET_XCRS, &xcrs) >= 0) {
        for (uint32_t i = 0; i < MIN(xcrs.nr_xcrs, KVM_MAX_XCRS); i++) {
            state->xcr0 = xcrs.xcrs[i].xcr == 0 ? xcrs.xcrs[i].value : state->xcr0;
        }
    }
    if (k->kvm->has_debugregs) {
        ask(k, "debug registers", KVM_GET_DEBUGREGS, &debug);
        memcpy(state->dr, debug.db, sizeof state->dr);
        state->dr6 = debug.dr6;
        state->dr7 = debug.dr7;
    }
    kvm_msrs_get(k, state);
}

/* Reset, INIT and SIPI ------------------------------------------------------------------------------------------- */

static void put(Cpu *cpu, const CpuState *state)
{
    g_autoptr(GError) err = NULL;
    if (!kvm_cpu_set_state(cpu, state, &err)) {
        report_error("%s", err->message);
    }
}

void kvm_cpu_reset(Cpu *cpu)
{
    KvmCpu *k = cpu->data;
    g_autofree CpuState *state = g_new0(CpuState, 1);

    __atomic_store_n(&k->requests, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&k->intr, false, __ATOMIC_SEQ_CST);
    k->refusals = 0;
    cpu_state_reset(state, k->config.signature, cpu->index == 0);
    put(cpu, state);
}

/* INIT: registers as after power-up; caches, MSRs, the time-stamp counter and the FPU keep what they have (SDM volume 3, table 10-1). */
static void keep_over_init(const CpuState *old, CpuState *state)
{
    state->cr0 = (old->cr0 & 0x60000000) | 0x10;
    state->xcr0 = old->xcr0;
    state->apic_base = old->apic_base;
    state->tsc = old->tsc, state->tsc_adjust = old->tsc_adjust, state->tsc_aux = old->tsc_aux;
    state->star = old->star, state->lstar = old->lstar, state->cstar = old->cstar, state->sfmask = old->sfmask;
    state->kernel_gs_base = old->kernel_gs_base;
    state->sysenter_cs = old->sysenter_cs, state->sysenter_esp = old->sysenter_esp, state->sysenter_eip = old->sysenter_eip;
    state->pat = old->pat, state->misc_enable = old->misc_enable, state->spec_ctrl = old->spec_ctrl;
    state->kvm_system_time = old->kvm_system_time, state->kvm_wall_clock = old->kvm_wall_clock;
    state->mtrr_def_type = old->mtrr_def_type;
    memcpy(state->mtrr_fixed, old->mtrr_fixed, sizeof state->mtrr_fixed);
    memcpy(state->mtrr_base, old->mtrr_base, sizeof state->mtrr_base);
    memcpy(state->mtrr_mask, old->mtrr_mask, sizeof state->mtrr_mask);
    memcpy(state->xsave, old->xsave, sizeof state->xsave);
}

void kvm_cpu_init(Cpu *cpu, bool boot_processor)
{
    KvmCpu *k = cpu->data;
    g_autofree CpuState *old = g_new0(CpuState, 1);
    g_autofree CpuState *state = g_new0(CpuState, 1);

    kvm_cpu_get_state(cpu, old);
    cpu_state_reset(state, k->config.signature, boot_processor);
    keep_over_init(old, state);
    put(cpu, state);
}

void kvm_cpu_start_at(Cpu *cpu, uint8_t vector)
{
    g_autofree CpuState *state = g_new0(CpuState, 1);

    kvm_cpu_get_state(cpu, state);
    state->segment[SEG_CS].selector = (uint16_t)(vector << 8);
    state->segment[SEG_CS].base = (uint64_t)vector << 12;
    state->rip = 0;
    state->activity = CPU_RUNNABLE;
    put(cpu, state);
}
