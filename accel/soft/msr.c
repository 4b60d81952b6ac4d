/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * msr.c - model-specific registers
 *
 * Models   Intel SDM volume 4, the architectural ones that our CPUID announces; a few of AMD's that Linux reads without asking
 *          when the vendor is AMD. Everything unknown is #GP, reading and writing. The APIC's registers and the TSC
 *          deadline belong to the interrupt source.
 *          MTRRs and PAT are stored and change nothing: the host's memory is write-back.
 * Tests    tests/cpu/system.c
 */
#include "accel/soft/mmu.h"
#include "accel/soft/segment.h"
#include "accel/soft/walk.h"
#include <x86intrin.h>

enum {
    MSR_TSC = 0x10, MSR_PLATFORM_ID = 0x17, MSR_APIC_BASE = 0x1b, MSR_FEATURE_CONTROL = 0x3a, MSR_TSC_ADJUST = 0x3b, MSR_SPEC_CTRL = 0x48,
    MSR_PRED_CMD = 0x49, MSR_UCODE_WRITE = 0x79, MSR_UCODE_REV = 0x8b, MSR_PLATFORM_INFO = 0xce, MSR_MTRR_CAP = 0xfe,
    MSR_ARCH_CAPABILITIES = 0x10a, MSR_FLUSH_CMD = 0x10b, MSR_SYSENTER_CS = 0x174, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP,
    MSR_MCG_CAP = 0x179, MSR_MCG_STATUS = 0x17a, MSR_MISC_ENABLE = 0x1a0, MSR_DEBUGCTL = 0x1d9,
    MSR_MTRR_BASE_0 = 0x200, MSR_MTRR_MASK_7 = 0x20f, MSR_PAT = 0x277, MSR_MTRR_DEF_TYPE = 0x2ff, MSR_TSC_DEADLINE = 0x6e0,
    MSR_X2APIC = 0x800, MSR_X2APIC_END = 0x900,
};
#define MSR_EFER           UINT32_C(0xc0000080)
#define MSR_STAR           UINT32_C(0xc0000081)
#define MSR_LSTAR          UINT32_C(0xc0000082)
#define MSR_CSTAR          UINT32_C(0xc0000083)
#define MSR_SFMASK         UINT32_C(0xc0000084)
#define MSR_FS_BASE        UINT32_C(0xc0000100)
#define MSR_GS_BASE        UINT32_C(0xc0000101)
#define MSR_KERNEL_GS_BASE UINT32_C(0xc0000102)
#define MSR_TSC_AUX        UINT32_C(0xc0000103)

/* RDCL_NO, IBRS_ALL, no L1 flush needed, SSB_NO, MDS_NO, PSCHANGE_MC_NO, TAA_NO, SBDR_SSDP_NO, FBSDP_NO, PSDP_NO, BHI_NO, PBRSB_NO,
 * GDS_NO, RFDS_NO, ITS_NO: what speculation could leak is the host's matter, and the guest need not spend time on it. */
#define ARCH_CAPABILITIES UINT64_C(0x400000000d10e17b)
#define UCODE_REVISION    (UINT64_C(0x1) << 32)
#define MISC_ENABLE_RESET UINT64_C(0x1801)      /* fast strings; no BTS, no PEBS */

uint64_t soft_tsc(const SoftCpu *cpu)
{
    return __rdtsc() + __atomic_load_n(&cpu->tsc_offset, __ATOMIC_RELAXED);
}

void soft_tsc_shift(SoftCpu *cpu, uint64_t by)
{
    __atomic_store_n(&cpu->tsc_offset, cpu->tsc_offset + by, __ATOMIC_RELAXED);
}

static void tsc_move(SoftCpu *cpu, uint64_t by)
{
    soft_tsc_shift(cpu, by);
    cpu->tsc_adjust += by;
}

/* Kinds of MSR that are plain memory: their place in SoftCpu, and what a value must look like. */
typedef enum { ANY, CANONICAL, LOW_32 } ValueRule;
typedef struct Stored { uint32_t index; uint16_t offset; uint8_t rule; } Stored;
#define FIELD(member) offsetof(SoftCpu, member)

static const Stored stored[] = {
    { MSR_STAR, FIELD(star), ANY }, { MSR_LSTAR, FIELD(lstar), CANONICAL }, { MSR_CSTAR, FIELD(cstar), CANONICAL },
    { MSR_SFMASK, FIELD(sfmask), LOW_32 }, { MSR_FS_BASE, FIELD(segment[SEG_FS].base), CANONICAL },
    { MSR_GS_BASE, FIELD(segment[SEG_GS].base), CANONICAL }, { MSR_KERNEL_GS_BASE, FIELD(kernel_gs_base), CANONICAL },
    { MSR_TSC_AUX, FIELD(tsc_aux), LOW_32 }, { MSR_SYSENTER_CS, FIELD(sysenter_cs), ANY },
    { MSR_SYSENTER_ESP, FIELD(sysenter_esp), CANONICAL }, { MSR_SYSENTER_EIP, FIELD(sysenter_eip), CANONICAL },
    { MSR_MISC_ENABLE, FIELD(misc_enable), ANY },
};

static const Stored *find_stored(const SoftCpu *cpu, uint32_t index)
{
    bool syscall_msr = index >= MSR_STAR && index <= MSR_SFMASK, base_msr = index >= MSR_FS_BASE && index <= MSR_KERNEL_GS_BASE;

    if ((syscall_msr && !cpuid_has(cpu->features, FEATURE_SYSCALL)) || (base_msr && !cpuid_has(cpu->features, FEATURE_LM)) ||
        (index == MSR_TSC_AUX && !cpuid_has(cpu->features, FEATURE_RDTSCP) && !cpuid_has(cpu->features, FEATURE_RDPID))) {
        return NULL;
    }
    for (unsigned i = 0; i < sizeof stored / sizeof stored[0]; i++) {
        if (stored[i].index == index) {
            return &stored[i];
        }
    }
    return NULL;
}

/* MTRRs --------------------------------------------------------------------------------------------------------- */

static bool is_memory_type(uint64_t type)
{
    return type < 8 && 0x73 >> type & 1;   /* UC, WC, WT, WP, WB */
}

static uint64_t *find_mtrr(SoftCpu *cpu, uint32_t index)
{
    static const uint16_t fixed[] = { 0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f };

    if (!cpuid_has(cpu->features, FEATURE_MTRR)) {
        return NULL;
    }
    if (index >= MSR_MTRR_BASE_0 && index <= MSR_MTRR_MASK_7) {
        return index & 1 ? &cpu->mtrr_mask[index >> 1 & 7] : &cpu->mtrr_base[index >> 1 & 7];
    }
    if (index == MSR_MTRR_DEF_TYPE) {
        return &cpu->mtrr_def_type;
    }
    for (unsigned i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        if (fixed[i] == index) {
            return &cpu->mtrr_fixed[i];
        }
    }
    return NULL;
}

static bool mtrr_value_is_good(const SoftCpu *cpu, uint32_t index, uint64_t value)
{
    if (index == MSR_MTRR_DEF_TYPE) {
        return !(value & ~UINT64_C(0xcff)) && is_memory_type(value & 0xff);
    }
    if (index <= MSR_MTRR_MASK_7) {
        uint64_t reserved = cpu->sys.physical_limit | UINT64_C(0xfff0000000000000) | (index & 1 ? 0x7ff : 0xf00);

        return !(value & reserved) && (index & 1 || is_memory_type(value & 0xff));
    }
    for (unsigned shift = 0; shift < 64; shift += 8) {
        if (!is_memory_type(value >> shift & 0xff)) {
            return false;
        }
    }
    return true;
}

static bool pat_is_good(uint64_t value)
{
    for (unsigned shift = 0; shift < 64; shift += 8) {
        uint64_t type = value >> shift & 0xff;

        if (!is_memory_type(type) && type != 7) {
            return false;
        }
    }
    return true;
}

/* Single ones --------------------------------------------------------------------------------------------------- */

static bool efer_write(SoftCpu *cpu, uint64_t value)
{
    uint64_t known = EFER_LMA, changed;

    known |= cpuid_has(cpu->features, FEATURE_SYSCALL) ? EFER_SCE : 0;
    known |= cpuid_has(cpu->features, FEATURE_LM) ? EFER_LME : 0;
    known |= cpuid_has(cpu->features, FEATURE_NX) ? EFER_NXE : 0;
    value = (value & ~(uint64_t)EFER_LMA) | (cpu->efer & EFER_LMA);
    changed = cpu->efer ^ value;
    if (value & ~known || (changed & EFER_LME && cpu->cr0 & CR0_PG)) {
        return false;
    }
    cpu->efer = value;
    if (changed & EFER_NXE) {
        tlb_flush_all(cpu);
    }
    soft_mode_changed(cpu);
    return true;
}

static bool is_apic_register(uint32_t index)
{
    return index == MSR_TSC_DEADLINE || (index >= MSR_X2APIC && index < MSR_X2APIC_END);
}

/* AMD's: frequency select, serializing LFENCE; the rest of what Linux touches there reads zero. */
static bool amd_read(uint32_t index, uint64_t *value)
{
    switch (index) {
    case 0xc0010015: *value = 1 << 24; return true;            /* HWCR */
    case 0xc0011029: *value = 1 << 1; return true;             /* DE_CFG */
    case 0xc0010010: case 0xc001001f: case 0xc0010055: case 0xc0011020: case 0xc0011023: case 0xc001100d: *value = 0; return true;
    default: return false;
    }
}

static bool amd_write(uint32_t index)
{
    uint64_t ignored;

    return amd_read(index, &ignored);
}

bool msr_read(SoftCpu *cpu, uint32_t index, uint64_t *value)
{
    const Stored *place = find_stored(cpu, index);
    const uint64_t *mtrr;

    if (place) {
        *value = *(const uint64_t *)(const void *)((const char *)cpu + place->offset);
        return true;
    }
    if (is_apic_register(index)) {
        return cpu->source.read_msr && cpu->source.read_msr(cpu->source.opaque, index, value);
    }
    mtrr = find_mtrr(cpu, index);
    if (mtrr) {
        *value = *mtrr;
        return true;
    }
    switch (index) {
    case MSR_TSC: *value = soft_tsc(cpu); return true;
    case MSR_TSC_ADJUST: *value = cpu->tsc_adjust; return cpuid_has(cpu->features, FEATURE_TSC_ADJUST);
    case MSR_EFER: *value = cpu->efer; return true;
    case MSR_APIC_BASE: *value = cpu->source.get_base ? cpu->source.get_base(cpu->source.opaque) : 0xfee00900; return true;
    case MSR_PAT: *value = cpu->pat; return true;
    case MSR_MTRR_CAP: *value = 0x508; return cpuid_has(cpu->features, FEATURE_MTRR);       /* eight pairs, fixed ones, WC */
    case MSR_SPEC_CTRL: *value = cpu->spec_ctrl; return cpuid_has(cpu->features, FEATURE_SPEC_CTRL);
    case MSR_ARCH_CAPABILITIES: *value = ARCH_CAPABILITIES; return cpuid_has(cpu->features, FEATURE_ARCH_CAPABILITIES);
    case MSR_UCODE_REV: *value = UCODE_REVISION; return true;
    case MSR_FEATURE_CONTROL: *value = 1; return true;          /* locked, nothing enabled */
    case MSR_PLATFORM_ID: case MSR_MCG_CAP: case MSR_MCG_STATUS: case MSR_DEBUGCTL: case MSR_PLATFORM_INFO:
        *value = 0;
        return true;
    default: return !cpu->sys.intel && amd_read(index, value);
    }
}

static bool stored_write(SoftCpu *cpu, const Stored *place, uint64_t value)
{
    if ((place->rule == CANONICAL && !linear_is_canonical(value)) || (place->rule == LOW_32 && value >> 32)) {
        return false;
    }
    *(uint64_t *)(void *)((char *)cpu + place->offset) = value;
    return true;
}

bool msr_write(SoftCpu *cpu, uint32_t index, uint64_t value)
{
    const Stored *place = find_stored(cpu, index);
    uint64_t *mtrr;

    if (place) {
        return stored_write(cpu, place, value);
    }
    if (is_apic_register(index)) {
        return cpu->source.write_msr && cpu->source.write_msr(cpu->source.opaque, index, value);
    }
    mtrr = find_mtrr(cpu, index);
    if (mtrr) {
        if (!mtrr_value_is_good(cpu, index, value)) {
            return false;
        }
        *mtrr = value;
        return true;
    }
    switch (index) {
    case MSR_TSC: tsc_move(cpu, value - soft_tsc(cpu)); return true;
    case MSR_TSC_ADJUST:
        if (!cpuid_has(cpu->features, FEATURE_TSC_ADJUST)) {
            return false;
        }
        tsc_move(cpu, value - cpu->tsc_adjust);
        return true;
    case MSR_EFER: return efer_write(cpu, value);
    case MSR_APIC_BASE: return cpu->source.set_base && cpu->source.set_base(cpu->source.opaque, value);
    case MSR_PAT:
        if (!pat_is_good(value)) {
            return false;
        }
        cpu->pat = value;
        return true;
    case MSR_SPEC_CTRL:
        if (value & ~UINT64_C(0x407) || !cpuid_has(cpu->features, FEATURE_SPEC_CTRL)) {
            return false;
        }
        cpu->spec_ctrl = value;
        return true;
    case MSR_PRED_CMD: return !(value & ~UINT64_C(1)) && cpuid_has(cpu->features, FEATURE_SPEC_CTRL);
    case MSR_UCODE_REV: case MSR_UCODE_WRITE: case MSR_MCG_STATUS: return true;             /* written before a read of the revision */
    case MSR_DEBUGCTL: return !(value & ~UINT64_C(3));          /* LBR and BTF are not there; asking is no fault */
    default: return !cpu->sys.intel && amd_write(index);
    }
}

void msr_reset(SoftCpu *cpu)
{
    cpu->misc_enable = MISC_ENABLE_RESET;
    cpu->pat = UINT64_C(0x0007040600070406);
}
