/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * debug.c - debug registers and the trap flag: which instruction or access is to stop
 *
 * Models   Intel SDM volume 3, chapter 18: instruction, data and I/O breakpoints, single step, RF, the general-detect bit
 *          (MOV DR tests it), the hold-off after MOV SS
 * Omits    LBR, BTS, DEBUGCTL.BTF
 * Tests    tests/cpu/system.c
 */
#include "accel/soft/mmu.h"

enum { KIND_EXECUTE, KIND_WRITE, KIND_IO, KIND_ACCESS };
enum { DR6_BS = 1 << 14, DR7_ENABLES = 0xff };

static bool is_enabled(const SoftCpu *cpu, unsigned i)
{
    return cpu->dr7 >> i * 2 & 3;
}

static unsigned kind_of(const SoftCpu *cpu, unsigned i)
{
    unsigned kind = cpu->dr7 >> (16 + i * 4) & 3;

    return kind == KIND_IO && !(cpu->cr4 & CR4_DE) ? KIND_ACCESS : kind;      /* undefined without DE: the wider meaning */
}

static uint64_t length_of(const SoftCpu *cpu, unsigned i)
{
    static const uint8_t lengths[] = { 1, 2, 8, 4 };

    return lengths[cpu->dr7 >> (18 + i * 4) & 3];
}

void debug_update(SoftCpu *cpu)
{
    SoftSystem *sys = &cpu->sys;

    sys->stepping = cpu->dr7 & DR7_ENABLES || cpu->rflags & FLAG_TF;
    sys->watching = false;
    if (cpu->dr7 & DR7_ENABLES) {
        for (unsigned i = 0; i < 4; i++) {
            unsigned kind = kind_of(cpu, i);

            sys->watching |= is_enabled(cpu, i) && (kind == KIND_WRITE || kind == KIND_ACCESS);
        }
    }
}

static void record(SoftCpu *cpu, uint32_t hits)
{
    cpu->dr6 = (cpu->dr6 & ~UINT64_C(0xf)) | hits;
}

bool debug_before(SoftCpu *cpu)
{
    uint64_t linear = cpu->segment[SEG_CS].base + cpu->rip;
    bool after_ss = cpu->interrupt_shadow && cpu->sys.shadow_of_ss;
    uint32_t hits = 0;

    if (cpu->code_size != 8) {
        linear = (uint32_t)linear;
    }
    cpu->sys.step_armed = cpu->rflags & FLAG_TF;
    cpu->sys.resume_flag_kept = false;
    cpu->sys.shadow_of_ss = false;
    if (after_ss || cpu->rflags & FLAG_RF || !(cpu->dr7 & DR7_ENABLES)) {
        return false;                      /* SDM volume 3, 6.8.3: after MOV SS as if RF were set */
    }
    for (unsigned i = 0; i < 4; i++) {
        if (is_enabled(cpu, i) && kind_of(cpu, i) == KIND_EXECUTE && cpu->dr[i] == linear) {
            hits |= 1u << i;
        }
    }
    if (hits) {
        record(cpu, hits);
        cpu->sys.step_armed = false;
    }
    return hits;
}

bool debug_after(SoftCpu *cpu)
{
    SoftSystem *sys = &cpu->sys;
    uint32_t hits = sys->debug_hits;

    if (!sys->resume_flag_kept) {
        cpu->rflags &= ~(uint64_t)FLAG_RF;
    }
    if (cpu->interrupt_shadow && sys->shadow_of_ss) {
        return false;                      /* data hits wait for the next instruction, the step is lost */
    }
    if (!hits && !sys->step_armed) {
        return false;
    }
    record(cpu, hits);
    if (sys->step_armed) {
        cpu->dr6 |= DR6_BS;
    }
    sys->debug_hits = 0;
    sys->step_armed = false;
    return true;
}

static void match(SoftCpu *cpu, uint64_t first, uint64_t last, unsigned kind_a, unsigned kind_b)
{
    for (unsigned i = 0; i < 4; i++) {
        unsigned kind = kind_of(cpu, i);
        uint64_t length = length_of(cpu, i), start = cpu->dr[i] & ~(length - 1);

        if (is_enabled(cpu, i) && (kind == kind_a || kind == kind_b) && start <= last && first <= start + (length - 1)) {
            cpu->sys.debug_hits |= 1u << i;
        }
    }
}

void debug_data(SoftCpu *cpu, uint64_t linear, unsigned size, bool write)
{
    match(cpu, linear, linear + (size - 1), KIND_ACCESS, write ? KIND_WRITE : KIND_ACCESS);
}

void debug_io(SoftCpu *cpu, uint16_t port, unsigned size)
{
    if (cpu->dr7 & DR7_ENABLES && cpu->cr4 & CR4_DE) {
        match(cpu, port, port + size - 1, KIND_IO, KIND_IO);
    }
}
