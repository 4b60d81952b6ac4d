/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cpuid.c - what the software CPU is able to be, and the parts of CPUID that change while it runs
 *
 * Features come in two kinds: those that our own code gives (paging, long mode, system instructions), and those
 * that run as the host's own instruction and so need the host to have them. The vendor is Intel, because Linux then takes the
 * TSC's frequency from leaf 15h (no timer calibration) and the absence of flaws from ARCH_CAPABILITIES; family 6 model 8Fh
 * is recent enough to be in none of its lists of flawed models.
 *
 * Omits    VME (CR4.VME's interrupt redirection), 5-level paging, protection keys, performance counters, MONITOR
 * Tests    tests/cpu/system.c
 */
#include "accel/soft/mmu.h"
#include "accel/accel-ops.h"
#include "accel/soft/system.h"
#include <cpuid.h>
#include <time.h>
#include <x86intrin.h>

enum { SIGNATURE = 0x000806f8, PHYSICAL_BITS = 46, LEVEL = 0x16, EXTENDED_LEVEL = 0x80000008 };

/* Ours whatever the host has. */
static const uint16_t emulated[] = {
    FEATURE_FPU, FEATURE_DE, FEATURE_PSE, FEATURE_TSC, FEATURE_MSR, FEATURE_PAE, FEATURE_(CPUID_1_EDX, 7) /* MCE */, FEATURE_CX8,
    FEATURE_APIC, FEATURE_SEP, FEATURE_MTRR, FEATURE_PGE, FEATURE_MCA, FEATURE_CMOV, FEATURE_PAT, FEATURE_PSE36, FEATURE_CLFLUSH,
    FEATURE_MMX, FEATURE_FXSR, FEATURE_SSE, FEATURE_SSE2,
    FEATURE_PCID, FEATURE_X2APIC, FEATURE_TSC_DEADLINE, FEATURE_HYPERVISOR,
    FEATURE_FSGSBASE, FEATURE_TSC_ADJUST, FEATURE_SMEP, FEATURE_SMAP, FEATURE_INVPCID,
    FEATURE_UMIP, FEATURE_RDPID, FEATURE_SPEC_CTRL, FEATURE_ARCH_CAPABILITIES,
    FEATURE_SYSCALL, FEATURE_NX, FEATURE_PDPE1GB, FEATURE_RDTSCP, FEATURE_LM, FEATURE_LAHF_LM,
    FEATURE_ARAT,
};

/* The host's own instructions. */
static const uint16_t native[] = {
    FEATURE_SSE3, FEATURE_PCLMULQDQ, FEATURE_SSSE3, FEATURE_CX16, FEATURE_SSE41, FEATURE_SSE42, FEATURE_MOVBE, FEATURE_POPCNT,
    FEATURE_AES, FEATURE_XSAVE, FEATURE_RDRAND,
    FEATURE_BMI1, FEATURE_BMI2, FEATURE_ERMS, FEATURE_RDSEED, FEATURE_ADX, FEATURE_CLFLUSHOPT, FEATURE_SHA, FEATURE_FSRM,
    FEATURE_XSAVEOPT, FEATURE_XSAVEC, FEATURE_XGETBV1,
    FEATURE_ABM, FEATURE_3DNOWPREFETCH, FEATURE_INVTSC,
    FEATURE_AVX, FEATURE_F16C, FEATURE_FMA, FEATURE_AVX2, FEATURE_VAES, FEATURE_VPCLMULQDQ,        /* where the host's kernel keeps YMM */
};

static void add(uint32_t *words, unsigned feature)
{
    words[feature >> 5] |= UINT32_C(1) << (feature & 31);
}

/* The host's TSC frequency -------------------------------------------------------------------------------------- */

/* What the processor or the hypervisor under us says of itself: leaf 15h with its crystal, or 40000010h. 0: neither does. (A perf event's
 * page has the kernel's own figure too, but opening one costs ten milliseconds on some hosts.) */
static uint32_t khz_told(void)
{
    uint32_t eax, ebx, ecx, edx;

    __cpuid(0, eax, ebx, ecx, edx);
    if (eax >= 0x15) {
        __cpuid_count(0x15, 0, eax, ebx, ecx, edx);
        if (eax && ebx && ecx) {
            return (uint32_t)((uint64_t)ecx * ebx / eax / 1000);
        }
    }
    __cpuid(1, eax, ebx, ecx, edx);
    if (!(ecx >> 31)) {                    /* no hypervisor, no leaves of one */
        return 0;
    }
    __cpuid(0x40000000, eax, ebx, ecx, edx);
    if (eax < 0x40000010 || eax > 0x400000ff) {
        return 0;
    }
    __cpuid(0x40000010, eax, ebx, ecx, edx);
    return eax;
}

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* A clock reading with the TSC around it: the tightest of a few, since anything may interrupt one. */
static uint64_t paired_tsc(uint64_t *ns)
{
    uint64_t best = UINT64_MAX, tsc = 0;

    *ns = 0;

    for (unsigned i = 0; i < 8; i++) {
        uint64_t before = __rdtsc(), clock = now_ns(), width = __rdtsc() - before;

        if (width < best) {
            best = width;
            tsc = before + width / 2;
            *ns = clock;
        }
    }
    return tsc;
}

/* A millisecond of looking: with readings right to tens of nanoseconds that is some 20 ppm. A sleep would be as exact and can
 * take sixteen milliseconds of start-up on a host with coarse wake-ups. */
static uint32_t khz_measured(void)
{
    enum { LONG_ENOUGH_NS = 1000000 };
    uint64_t ns_0, ns_1, tsc_0 = paired_tsc(&ns_0), tsc_1;

    while (now_ns() < ns_0 + LONG_ENOUGH_NS) {
        _mm_pause();
    }
    tsc_1 = paired_tsc(&ns_1);
    return ns_1 > ns_0 ? (uint32_t)((tsc_1 - tsc_0) * 1000000 / (ns_1 - ns_0)) : 0;
}

uint32_t soft_host_tsc_khz(void)
{
    static uint32_t khz;

    if (!khz) {
        khz = khz_told();
        khz = khz ? khz : khz_measured();
    }
    return khz;
}

/* The host's kernel keeps the upper halves of YMM registers: without that there is no AVX for anybody. */
static bool host_keeps_ymm(void)
{
    uint32_t eax, ebx, ecx, edx;

    __cpuid(1, eax, ebx, ecx, edx);
    if (!(ecx >> 27 & 1)) {                /* OSXSAVE */
        return false;
    }
    __asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
    return (eax & (XCR0_SSE | XCR0_AVX)) == (XCR0_SSE | XCR0_AVX);
}

/* The configuration --------------------------------------------------------------------------------------------- */

void soft_cpuid_able(CpuidConfig *able)
{
    CpuidConfig host;

    cpuid_of_host(&host);
    memset(able, 0, sizeof *able);
    able->model = "max";
    strcpy(able->vendor, "GenuineIntel");
    strcpy(able->brand, "Roost Virtual CPU");
    able->signature = SIGNATURE;
    able->level = LEVEL;
    able->extended_level = EXTENDED_LEVEL;
    able->physical_bits = PHYSICAL_BITS;
    able->linear_bits = 48;
    able->tsc_khz = soft_host_tsc_khz();
    able->topology = (CpuidTopology){ 1, 1, 1, 1, 1 };
    for (unsigned i = 0; i < sizeof emulated / sizeof emulated[0]; i++) {
        add(able->words, emulated[i]);
    }
    for (unsigned i = 0; i < sizeof native / sizeof native[0]; i++) {
        if (cpuid_has(host.words, native[i])) {
            add(able->words, native[i]);
        }
    }
    able->xcr0 = XCR0_X87 | XCR0_SSE | (host_keeps_ymm() ? XCR0_AVX : 0);
    cpuid_settle(able);
}

bool soft_cpuid_config(CpuidConfig *out, const Value *cpu, const Value *smp, GError **err)
{
    CpuidConfig able;

    soft_cpuid_able(&able);
    if (!value_get(cpu, "model")) {        /* SMAP costs a table switch at each copy to or from a program: only by name */
        able.words[FEATURE_SMAP >> 5] &= ~(UINT32_C(1) << (FEATURE_SMAP & 31));
    }
    if (!cpuid_config(out, cpu, smp, "max", &able, err)) {
        return false;
    }
    out->tsc_khz = able.tsc_khz;
    return true;
}

void soft_cpuid_set(SoftCpu *cpu, const CpuidConfig *config)
{
    const uint64_t every = UINT64_C(0x000fffffffffffff);

    cpu->sys.cpuid = *config;
    cpu->sys.intel = strcmp(config->vendor, "GenuineIntel") == 0;
    memcpy(cpu->features, config->words, sizeof config->words);
    cpu->sys.physical_limit = every & ~((UINT64_C(1) << config->physical_bits) - 1);
}

bool soft_vendor_is_intel(const SoftCpu *cpu)
{
    return cpu->sys.intel;
}

/* The instruction ----------------------------------------------------------------------------------------------- */

void soft_cpuid(SoftCpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    cpuid_query(&cpu->sys.cpuid, cpu->cpu ? cpu->cpu->apic_id : 0, leaf, subleaf, out);
    switch (leaf) {
    case 1:
        if (cpu->cr4 & CR4_OSXSAVE) {
            out[2] |= 1u << 27;
        }
        if (cpu->source.get_base && !(cpu->source.get_base(cpu->source.opaque) & 0x800)) {
            out[3] &= ~(UINT32_C(1) << 9); /* the APIC is switched off */
        }
        break;
    case 7:
        if (cpuid_has(cpu->features, FEATURE_SPEC_CTRL) && cpu->sys.intel) {
            if (subleaf == 0) {
                out[0] = 2;
            } else if (subleaf == 2) {     /* BHI_CTRL: Linux then leaves out its loops that clear branch history at each system call */
                out[3] = 1 << 4;
            }
        }
        break;
    case 0xd:
        if (subleaf < 2 && cpu->sys.cpuid.xcr0) {
            out[1] = cpuid_xsave_size(cpu->xcr0);
        }
        break;
    default:
        break;
    }
}
