/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * context.c - making a software CPU's context, its state in and out, reset and INIT, and the CPU by itself (soft.h)
 *
 * Models   Intel SDM volume 3, table 10-1: what RESET and INIT leave
 * Threads  the CPU's own, or any while it stands still
 * Tests    tests/cpu/integer.c
 */
#include "accel/soft/soft.h"
#include "accel/soft/block.h"
#include "accel/soft/flags.h"
#include "accel/soft/flat.h"
#include "accel/soft/fpu.h"
#include "accel/soft/jit.h"
#include "accel/soft/mmu.h"
#include "accel/soft/run.h"
#include "accel/soft/walk.h"
#include "accel/soft/vector-stub.h"
#include "base/epoch.h"
#include "base/lock.h"

/* ---- life ------------------------------------------------------------------------------------------------------------------ */

SoftCpu *soft_context_new(AddressSpace *memory, AddressSpace *ports)
{
    SoftCpu *cpu = vector_stub_open() ? flat_context_new() : NULL;

    if (!cpu) {
        return NULL;
    }
    cpu->jit.calm = 1;
    cpu->memory = memory;
    cpu->ports = ports;
    return cpu;
}

/* Machine lock held: the address space calls back. */
bool soft_context_attach(SoftCpu *cpu)
{
    if (!block_add_cpu(cpu)) {
        return false;
    }
    mmu_attach(cpu);
    return true;
}

/* Others may be about to tell it that its code was written. */
void soft_context_free(SoftCpu *cpu)
{
    jit_close(cpu);
    if (cpu->blocks) {
        block_remove_cpu(cpu);
        mmu_detach(cpu);
    }
    epoch_retire(flat_context_free, cpu);
}

/* ---- state ----------------------------------------------------------------------------------------------------------------- */

void soft_state_get(SoftCpu *cpu, CpuState *state)
{
    memset(state, 0, sizeof *state);
    fpu_park(cpu);
    memcpy(state->gpr, cpu->gpr, sizeof state->gpr);
    state->rip = cpu->rip;
    state->rflags = flags_get(cpu);
    memcpy(state->segment, cpu->segment, sizeof state->segment);
    state->ldt = cpu->ldt;
    state->tr = cpu->tr;
    state->gdt_base = cpu->gdt_base, state->gdt_limit = cpu->gdt_limit;
    state->idt_base = cpu->idt_base, state->idt_limit = cpu->idt_limit;
    state->cr0 = cpu->cr0, state->cr2 = cpu->cr2, state->cr3 = cpu->cr3, state->cr4 = cpu->cr4;
    state->efer = cpu->efer, state->xcr0 = cpu->xcr0;
    memcpy(state->dr, cpu->dr, sizeof state->dr);
    state->dr6 = cpu->dr6, state->dr7 = cpu->dr7;
    state->tsc = soft_tsc(cpu), state->tsc_adjust = cpu->tsc_adjust, state->tsc_aux = cpu->tsc_aux;
    state->star = cpu->star, state->lstar = cpu->lstar, state->cstar = cpu->cstar, state->sfmask = cpu->sfmask;
    state->kernel_gs_base = cpu->kernel_gs_base;
    state->sysenter_cs = cpu->sysenter_cs, state->sysenter_esp = cpu->sysenter_esp, state->sysenter_eip = cpu->sysenter_eip;
    state->pat = cpu->pat, state->misc_enable = cpu->misc_enable, state->mtrr_def_type = cpu->mtrr_def_type;
    memcpy(state->mtrr_fixed, cpu->mtrr_fixed, sizeof state->mtrr_fixed);
    memcpy(state->mtrr_base, cpu->mtrr_base, sizeof state->mtrr_base);
    memcpy(state->mtrr_mask, cpu->mtrr_mask, sizeof state->mtrr_mask);
    state->spec_ctrl = cpu->spec_ctrl;
    fpu_export(cpu, state->xsave, sizeof state->xsave);
    state->activity = cpu->activity;
    state->interrupt_shadow = cpu->interrupt_shadow;
    state->nmi_masked = cpu->nmi_masked;
    state->nmi_pending = cpu->request & REQUEST_NMI;
    state->sipi_vector = cpu->sipi_vector;
    if (cpu->source.get_cr8) {
        state->cr8 = cpu->source.get_cr8(cpu->source.opaque);
    }
    if (cpu->source.get_base) {
        state->apic_base = cpu->source.get_base(cpu->source.opaque);
    }
}

static uint8_t level_of(const CpuState *state)
{
    if (!(state->cr0 & CR0_PE)) {
        return 0;
    }
    return state->rflags & FLAG_VM ? 3 : (state->segment[SEG_SS].attributes & ATTR_DPL) >> ATTR_DPL_SHIFT;
}

/* All but what other threads give it meanwhile: the vector of a SIPI, and the counter that all processors share. */
static void state_apply(SoftCpu *cpu, const CpuState *state)
{
    fpu_park(cpu);
    memcpy(cpu->gpr, state->gpr, sizeof state->gpr);
    cpu->rip = state->rip;
    flags_set(cpu, state->rflags);
    memcpy(cpu->segment, state->segment, sizeof cpu->segment);
    cpu->ldt = state->ldt;
    cpu->tr = state->tr;
    cpu->gdt_base = state->gdt_base, cpu->gdt_limit = state->gdt_limit;
    cpu->idt_base = state->idt_base, cpu->idt_limit = state->idt_limit;
    cpu->cr0 = state->cr0, cpu->cr2 = state->cr2, cpu->cr3 = state->cr3, cpu->cr4 = state->cr4;
    cpu->efer = state->efer, cpu->xcr0 = (state->xcr0 & cpu->sys.cpuid.xcr0) | XCR0_X87;
    memcpy(cpu->dr, state->dr, sizeof cpu->dr);
    cpu->dr6 = state->dr6, cpu->dr7 = state->dr7;
    cpu->tsc_adjust = state->tsc_adjust, cpu->tsc_aux = state->tsc_aux;
    cpu->star = state->star, cpu->lstar = state->lstar, cpu->cstar = state->cstar, cpu->sfmask = state->sfmask;
    cpu->kernel_gs_base = state->kernel_gs_base;
    cpu->sysenter_cs = state->sysenter_cs, cpu->sysenter_esp = state->sysenter_esp, cpu->sysenter_eip = state->sysenter_eip;
    cpu->pat = state->pat, cpu->misc_enable = state->misc_enable, cpu->mtrr_def_type = state->mtrr_def_type;
    memcpy(cpu->mtrr_fixed, state->mtrr_fixed, sizeof cpu->mtrr_fixed);
    memcpy(cpu->mtrr_base, state->mtrr_base, sizeof cpu->mtrr_base);
    memcpy(cpu->mtrr_mask, state->mtrr_mask, sizeof cpu->mtrr_mask);
    cpu->spec_ctrl = state->spec_ctrl;
    fpu_import(cpu, state->xsave, sizeof state->xsave);
    cpu->activity = state->activity <= CPU_SHUTDOWN ? state->activity : CPU_SHUTDOWN;
    cpu->interrupt_shadow = state->interrupt_shadow;
    cpu->nmi_masked = state->nmi_masked;
    if (state->nmi_pending) {
        __atomic_fetch_or(&cpu->request, REQUEST_NMI, __ATOMIC_SEQ_CST);
    }
    cpu->cpl = level_of(state);
    cpu->sys.delivering = DELIVER_NOTHING;
    cpu->sys.double_fault = false;
    cpu->sys.debug_hits = 0;
    walk_update_mode(cpu);
    tlb_flush_all(cpu);
    if (cpu->sys.paging == PAGING_PAE) {
        epoch_enter();
        mmu_begin(cpu);
        walk_load_pdptrs(cpu, cpu->cr3);
        epoch_leave();
    }
    soft_mode_changed(cpu);
}

void soft_state_set(SoftCpu *cpu, const CpuState *state)
{
    state_apply(cpu, state);
    soft_tsc_shift(cpu, state->tsc - soft_tsc(cpu));
    __atomic_store_n(&cpu->sipi_vector, state->sipi_vector, __ATOMIC_SEQ_CST);
}

void soft_reset(SoftCpu *cpu, bool boot_processor)
{
    CpuState state;

    cpu_state_reset(&state, cpu->sys.cpuid.signature, boot_processor);
    soft_state_set(cpu, &state);
    msr_reset(cpu);
    fpu_image_reset(cpu);
    __atomic_fetch_and(&cpu->request, REQUEST_EXIT | REQUEST_INTR | REQUEST_CODE | REQUEST_PROTECT, __ATOMIC_SEQ_CST);
}

/* INIT leaves x87, vectors, MSRs, the time stamp counter and CR0's CD and NW. */
void soft_init_signal(SoftCpu *cpu, bool boot_processor)
{
    CpuState now, state;

    soft_state_get(cpu, &now);
    cpu_state_reset(&state, cpu->sys.cpuid.signature, boot_processor);
    state.cr0 = (state.cr0 & ~(uint64_t)(CR0_CD | CR0_NW)) | (now.cr0 & (CR0_CD | CR0_NW));
    memcpy(state.xsave, now.xsave, sizeof state.xsave);
    state.xcr0 = now.xcr0;
    state.tsc_adjust = now.tsc_adjust, state.tsc_aux = now.tsc_aux;
    state.star = now.star, state.lstar = now.lstar, state.cstar = now.cstar, state.sfmask = now.sfmask;
    state.kernel_gs_base = now.kernel_gs_base;
    state.sysenter_cs = now.sysenter_cs, state.sysenter_esp = now.sysenter_esp, state.sysenter_eip = now.sysenter_eip;
    state.pat = now.pat, state.misc_enable = now.misc_enable, state.mtrr_def_type = now.mtrr_def_type;
    memcpy(state.mtrr_fixed, now.mtrr_fixed, sizeof state.mtrr_fixed);
    memcpy(state.mtrr_base, now.mtrr_base, sizeof state.mtrr_base);
    memcpy(state.mtrr_mask, now.mtrr_mask, sizeof state.mtrr_mask);
    state.spec_ctrl = now.spec_ctrl;
    state_apply(cpu, &state);
}

/* ---- the bare CPU ------------------------------------------------------------------------------------------------------------ */

SoftCpu *soft_new(AddressSpace *memory, AddressSpace *ports, const uint32_t *features)
{
    SoftCpu *cpu = soft_context_new(memory, ports);
    CpuidConfig able;
    bool locked = machine_lock_held();

    if (!cpu) {
        return NULL;
    }
    soft_cpuid_able(&able);
    if (features) {
        memcpy(able.words, features, sizeof able.words);
        cpuid_settle(&able);
    }
    soft_cpuid_set(cpu, &able);
    if (!locked) {
        machine_lock();
    }
    bool attached = soft_context_attach(cpu);
    if (attached) {
        soft_reset(cpu, true);
    } else {
        soft_context_free(cpu);
    }
    if (!locked) {
        machine_unlock();
    }
    return attached ? cpu : NULL;
}

void soft_free(SoftCpu *cpu)
{
    bool locked = machine_lock_held();

    if (!locked) {
        machine_lock();
    }
    soft_context_free(cpu);
    if (!locked) {
        machine_unlock();
    }
}

/* PML4, PDPT: four entries of 1 GiB, user, writable; the third page is spare so that callers may extend. */
static void write_identity_tables(SoftCpu *cpu, uint64_t tables)
{
    space_store(cpu->memory, tables, 8, (tables + 0x1000) | 0x67);
    for (unsigned i = 0; i < 4; i++) {
        space_store(cpu->memory, tables + 0x1000 + i * 8, 8, (uint64_t)i << 30 | 0xe7);
    }
}

void soft_set_flat(SoftCpu *cpu, unsigned code_size, unsigned cpl, uint64_t tables)
{
    uint32_t level = cpl << ATTR_DPL_SHIFT, limit = code_size == 2 ? 0xffff : UINT32_MAX;
    uint32_t big = code_size == 2 ? 0 : ATTR_DB | ATTR_G;
    CpuState state;

    soft_state_get(cpu, &state);
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        state.segment[i] = (CpuSegment){ .selector = (uint16_t)(0x10 | cpl), .limit = limit, .attributes = ATTR_P | ATTR_S | 3 | level | big };
    }
    state.segment[SEG_CS].selector = (uint16_t)(8 | cpl);
    state.segment[SEG_CS].attributes = ATTR_P | ATTR_S | 0xb | level | (code_size == 8 ? ATTR_L | ATTR_G : big);
    state.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP;
    state.cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_PAE | (cpuid_has(cpu->features, FEATURE_FSGSBASE) ? CR4_FSGSBASE : 0);
    state.efer = EFER_SCE | EFER_NXE;
    if (code_size == 8) {
        write_identity_tables(cpu, tables);
        state.cr3 = tables;
        state.cr0 |= CR0_PG;
        state.efer |= EFER_LME | EFER_LMA;
    }
    state.rflags = FLAG_FIXED;
    state.idt_limit = 0;
    state.activity = CPU_RUNNABLE;
    soft_state_set(cpu, &state);
    image_set_u16(cpu, IMAGE_FCW, FCW_DEFAULT);
}

bool soft_translate(SoftCpu *cpu)
{
    const char *why;

    cpu->jit.force = jit_open(cpu, 16 << 20, &why);
    return cpu->jit.force;
}

SoftStop soft_run(SoftCpu *cpu, uint64_t count, uint64_t *done)
{
    RunStop stop;
    uint64_t unused;

    epoch_enter();
    mmu_begin(cpu);
    stop = soft_loop_bare(cpu, count, done ? done : &unused);
    epoch_leave();
    return stop == RUN_RAISED ? SOFT_RAISED : stop == RUN_AGAIN ? SOFT_DONE : SOFT_HALTED;
}

SoftStop soft_run_fast(SoftCpu *cpu)
{
    RunStop stop;

    epoch_enter();
    mmu_begin(cpu);
    stop = soft_loop_fast(cpu);
    epoch_leave();
    return stop == RUN_RAISED ? SOFT_RAISED : stop == RUN_AGAIN ? SOFT_DONE : SOFT_HALTED;
}

SoftException soft_exception(const SoftCpu *cpu)
{
    return (SoftException){ cpu->sys.raised_vector, cpu->sys.raised_has_error, cpu->sys.raised_error };
}
