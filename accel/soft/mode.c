/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mode.c - what the processor's mode means for everyone else: translation table, code size, flatness, block key
 *
 * Tests    tests/cpu/segments.c, tests/cpu/system.c
 */
#include "accel/soft/flat.h"
#include "accel/soft/mmu.h"
#include "accel/soft/walk.h"
#include <string.h>

/* Present, writable where it is data, base 0, and no limit that an access could meet. */
static bool segment_is_flat(const CpuSegment *segment, bool code)
{
    uint32_t attributes = segment->attributes;

    if (segment->base || segment->limit != UINT32_MAX || attributes & ATTR_UNUSABLE || !(attributes & ATTR_P)) {
        return false;
    }
    return code ? (attributes & 0x8) && (attributes & 0x2)           /* readable: CS overrides */
                : !(attributes & 0x8) && (attributes & 0x2) && !(attributes & 0x4);
}

static bool all_flat(const SoftCpu *cpu)
{
    bool flat = segment_is_flat(&cpu->segment[SEG_DS], false) && segment_is_flat(&cpu->segment[SEG_ES], false) &&
                segment_is_flat(&cpu->segment[SEG_SS], false);

    if (!(cpu->cr0 & CR0_PE)) {            /* unreal mode: CS keeps its 64 KiB and its base */
        return flat && cpu->segment[SEG_CS].base == 0 && cpu->segment[SEG_CS].limit == UINT32_MAX;
    }
    return flat && segment_is_flat(&cpu->segment[SEG_CS], true);
}

static unsigned table_of(const SoftCpu *cpu)
{
    if (cpu->cpl == 3) {
        return TLB_USER;
    }
    return cpu->cr4 & CR4_SMAP && cpu->rflags & FLAG_AC ? TLB_SUPERVISOR_AC : TLB_SUPERVISOR;
}

static uint32_t key_of(const SoftCpu *cpu)
{
    uint32_t key = cpu->code_size == 8 ? KEY_CODE_64 : cpu->code_size == 4 ? KEY_CODE_32 : KEY_CODE_16;

    key |= (uint32_t)cpu->cpl << KEY_CPL_SHIFT;
    key |= cpu->cr0 & CR0_PE ? KEY_PROTECTED : 0;
    key |= cpu->rflags & FLAG_VM ? KEY_V8086 : 0;
    key |= cpu->long_mode ? KEY_LONG : 0;
    key |= cpu->flat ? KEY_FLAT : 0;
    key |= cpu->code_size != 8 && cpu->segment[SEG_SS].attributes & ATTR_DB ? KEY_STACK_32 : 0;
    key |= cpu->cr0 & CR0_TS ? KEY_TS : 0;
    key |= cpu->cr0 & CR0_EM ? KEY_EM : 0;
    key |= cpu->cr0 & CR0_MP ? KEY_MP : 0;
    key |= cpu->cr4 & CR4_OSFXSR ? KEY_OSFXSR : 0;
    key |= cpu->cr4 & CR4_OSXSAVE ? KEY_OSXSAVE : 0;
    key |= cpu->xcr0 & XCR0_AVX ? KEY_AVX : 0;
    key |= cpu->cr4 & CR4_TSD && cpu->cpl != 0 ? KEY_NO_TSC : 0;
    return key;
}

/* Bases come and go with each far call of real mode, a few of them again and again. When the numbers run out, all stamps become void. */
static uint32_t place_of(SoftCpu *cpu, uint32_t base)
{
    uint64_t *place = &cpu->sys.places[(base >> 4 ^ base >> 10) % CODE_PLACES];

    if (base == 0 || *place >> 32 == base) {
        return base == 0 ? 0 : (uint32_t)*place;
    }
    if (cpu->sys.places_used == PLACE_LIMIT - 1) {
        memset(cpu->sys.places, 0, sizeof cpu->sys.places);
        cpu->sys.places_used = 0;
        tlb_flush_all(cpu);
    }
    *place = (uint64_t)base << 32 | ++cpu->sys.places_used;
    return cpu->sys.places_used;
}

void soft_mode_changed(SoftCpu *cpu)
{
    const CpuSegment *cs = &cpu->segment[SEG_CS];

    cpu->long_mode = cpu->efer & EFER_LMA;
    if (cpu->long_mode && cs->attributes & ATTR_L) {
        cpu->code_size = 8;
        cpu->flat = true;
    } else {
        cpu->code_size = cs->attributes & ATTR_DB ? 4 : 2;
        cpu->flat = all_flat(cpu);
    }
    cpu->sys.code_place = place_of(cpu, cpu->code_size == 8 ? 0 : (uint32_t)cs->base);
    debug_update(cpu);
    cpu->sys.tlb_mode = (uint8_t)table_of(cpu);
    cpu->tlb = cpu->tables[cpu->sys.watching || mmu_alignment_checked(cpu) ? TLB_CHECKED : cpu->sys.tlb_mode];
    cpu->mode_key = key_of(cpu);
    if (cpu->cpl == 3) {
        flat_hide_supervisor(cpu);
    }
    tlb_stamp(cpu);
}
