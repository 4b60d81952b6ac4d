/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cpuid.h - CPU models, feature names and CPUID leaves, the same for both accelerators
 *
 * An accelerator says what it can give on this host (a CpuidConfig called "able"); cpuid_config() lays the model and the
 * person's features over that; cpuid_query() answers any leaf from the result. What depends on the running CPU (OSXSAVE
 * and OSPKE, the current XCR0's size in leaf Dh, APIC base enable) is left zero here and added by the accelerator.
 */
#pragma once
#include "base/value.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    CPUID_1_EDX, CPUID_1_ECX, CPUID_7_EBX, CPUID_7_ECX, CPUID_7_EDX, CPUID_7_1_EAX, CPUID_D_1_EAX,
    CPUID_8000_0001_EDX, CPUID_8000_0001_ECX, CPUID_8000_0007_EDX, CPUID_8000_0008_EBX, CPUID_6_EAX, CPUID_4000_0001_EAX,
    CPUID_WORDS,                           /* at most 16 */
} CpuidWord;

/* One feature: word << 5 | bit, so that SoftCpu.features[] is tested by cpuid_has(words, FEATURE_X). */
#define FEATURE_(word, bit) ((word) << 5 | (bit))
enum {
    FEATURE_FPU = FEATURE_(CPUID_1_EDX, 0), FEATURE_VME = FEATURE_(CPUID_1_EDX, 1), FEATURE_DE = FEATURE_(CPUID_1_EDX, 2),
    FEATURE_PSE = FEATURE_(CPUID_1_EDX, 3), FEATURE_TSC = FEATURE_(CPUID_1_EDX, 4), FEATURE_MSR = FEATURE_(CPUID_1_EDX, 5),
    FEATURE_PAE = FEATURE_(CPUID_1_EDX, 6), FEATURE_CX8 = FEATURE_(CPUID_1_EDX, 8), FEATURE_APIC = FEATURE_(CPUID_1_EDX, 9),
    FEATURE_SEP = FEATURE_(CPUID_1_EDX, 11), FEATURE_MTRR = FEATURE_(CPUID_1_EDX, 12), FEATURE_PGE = FEATURE_(CPUID_1_EDX, 13),
    FEATURE_MCA = FEATURE_(CPUID_1_EDX, 14), FEATURE_CMOV = FEATURE_(CPUID_1_EDX, 15), FEATURE_PAT = FEATURE_(CPUID_1_EDX, 16),
    FEATURE_PSE36 = FEATURE_(CPUID_1_EDX, 17), FEATURE_CLFLUSH = FEATURE_(CPUID_1_EDX, 19), FEATURE_MMX = FEATURE_(CPUID_1_EDX, 23),
    FEATURE_FXSR = FEATURE_(CPUID_1_EDX, 24), FEATURE_SSE = FEATURE_(CPUID_1_EDX, 25), FEATURE_SSE2 = FEATURE_(CPUID_1_EDX, 26),
    FEATURE_HT = FEATURE_(CPUID_1_EDX, 28),
    FEATURE_SSE3 = FEATURE_(CPUID_1_ECX, 0), FEATURE_PCLMULQDQ = FEATURE_(CPUID_1_ECX, 1), FEATURE_MONITOR = FEATURE_(CPUID_1_ECX, 3),
    FEATURE_VMX = FEATURE_(CPUID_1_ECX, 5), FEATURE_SSSE3 = FEATURE_(CPUID_1_ECX, 9), FEATURE_FMA = FEATURE_(CPUID_1_ECX, 12),
    FEATURE_CX16 = FEATURE_(CPUID_1_ECX, 13), FEATURE_PCID = FEATURE_(CPUID_1_ECX, 17), FEATURE_SSE41 = FEATURE_(CPUID_1_ECX, 19),
    FEATURE_SSE42 = FEATURE_(CPUID_1_ECX, 20), FEATURE_X2APIC = FEATURE_(CPUID_1_ECX, 21), FEATURE_MOVBE = FEATURE_(CPUID_1_ECX, 22),
    FEATURE_POPCNT = FEATURE_(CPUID_1_ECX, 23), FEATURE_TSC_DEADLINE = FEATURE_(CPUID_1_ECX, 24), FEATURE_AES = FEATURE_(CPUID_1_ECX, 25),
    FEATURE_XSAVE = FEATURE_(CPUID_1_ECX, 26), FEATURE_AVX = FEATURE_(CPUID_1_ECX, 28), FEATURE_F16C = FEATURE_(CPUID_1_ECX, 29),
    FEATURE_RDRAND = FEATURE_(CPUID_1_ECX, 30), FEATURE_HYPERVISOR = FEATURE_(CPUID_1_ECX, 31),
    FEATURE_FSGSBASE = FEATURE_(CPUID_7_EBX, 0), FEATURE_TSC_ADJUST = FEATURE_(CPUID_7_EBX, 1), FEATURE_BMI1 = FEATURE_(CPUID_7_EBX, 3),
    FEATURE_AVX2 = FEATURE_(CPUID_7_EBX, 5), FEATURE_SMEP = FEATURE_(CPUID_7_EBX, 7), FEATURE_BMI2 = FEATURE_(CPUID_7_EBX, 8),
    FEATURE_ERMS = FEATURE_(CPUID_7_EBX, 9), FEATURE_INVPCID = FEATURE_(CPUID_7_EBX, 10), FEATURE_AVX512F = FEATURE_(CPUID_7_EBX, 16),
    FEATURE_RDSEED = FEATURE_(CPUID_7_EBX, 18), FEATURE_ADX = FEATURE_(CPUID_7_EBX, 19), FEATURE_SMAP = FEATURE_(CPUID_7_EBX, 20),
    FEATURE_CLFLUSHOPT = FEATURE_(CPUID_7_EBX, 23), FEATURE_CLWB = FEATURE_(CPUID_7_EBX, 24), FEATURE_SHA = FEATURE_(CPUID_7_EBX, 29),
    FEATURE_UMIP = FEATURE_(CPUID_7_ECX, 2), FEATURE_PKU = FEATURE_(CPUID_7_ECX, 3), FEATURE_GFNI = FEATURE_(CPUID_7_ECX, 8),
    FEATURE_VAES = FEATURE_(CPUID_7_ECX, 9), FEATURE_VPCLMULQDQ = FEATURE_(CPUID_7_ECX, 10), FEATURE_LA57 = FEATURE_(CPUID_7_ECX, 16),
    FEATURE_RDPID = FEATURE_(CPUID_7_ECX, 22), FEATURE_MOVDIRI = FEATURE_(CPUID_7_ECX, 27), FEATURE_MOVDIR64B = FEATURE_(CPUID_7_ECX, 28),
    FEATURE_FSRM = FEATURE_(CPUID_7_EDX, 4), FEATURE_SERIALIZE = FEATURE_(CPUID_7_EDX, 14), FEATURE_SPEC_CTRL = FEATURE_(CPUID_7_EDX, 26),
    FEATURE_ARCH_CAPABILITIES = FEATURE_(CPUID_7_EDX, 29), FEATURE_SSBD = FEATURE_(CPUID_7_EDX, 31),
    FEATURE_XSAVEOPT = FEATURE_(CPUID_D_1_EAX, 0), FEATURE_XSAVEC = FEATURE_(CPUID_D_1_EAX, 1),
    FEATURE_XGETBV1 = FEATURE_(CPUID_D_1_EAX, 2), FEATURE_XSAVES = FEATURE_(CPUID_D_1_EAX, 3),
    FEATURE_SYSCALL = FEATURE_(CPUID_8000_0001_EDX, 11), FEATURE_NX = FEATURE_(CPUID_8000_0001_EDX, 20),
    FEATURE_MMXEXT = FEATURE_(CPUID_8000_0001_EDX, 22), FEATURE_PDPE1GB = FEATURE_(CPUID_8000_0001_EDX, 26),
    FEATURE_RDTSCP = FEATURE_(CPUID_8000_0001_EDX, 27), FEATURE_LM = FEATURE_(CPUID_8000_0001_EDX, 29),
    FEATURE_LAHF_LM = FEATURE_(CPUID_8000_0001_ECX, 0), FEATURE_CMP_LEGACY = FEATURE_(CPUID_8000_0001_ECX, 1),
    FEATURE_SVM = FEATURE_(CPUID_8000_0001_ECX, 2), FEATURE_CR8LEGACY = FEATURE_(CPUID_8000_0001_ECX, 4),
    FEATURE_ABM = FEATURE_(CPUID_8000_0001_ECX, 5), FEATURE_SSE4A = FEATURE_(CPUID_8000_0001_ECX, 6),
    FEATURE_3DNOWPREFETCH = FEATURE_(CPUID_8000_0001_ECX, 8), FEATURE_TOPOEXT = FEATURE_(CPUID_8000_0001_ECX, 22),
    FEATURE_INVTSC = FEATURE_(CPUID_8000_0007_EDX, 8), FEATURE_WBNOINVD = FEATURE_(CPUID_8000_0008_EBX, 9),
    FEATURE_IBPB = FEATURE_(CPUID_8000_0008_EBX, 12), FEATURE_ARAT = FEATURE_(CPUID_6_EAX, 2),
};

static inline bool cpuid_has(const uint32_t *words, unsigned feature)
{
    return words[feature >> 5] >> (feature & 31) & 1;
}

typedef struct CpuidTopology { uint32_t cpus, sockets, dies, cores, threads; } CpuidTopology;   /* threads per core, cores per die, ... */

typedef struct CpuidConfig {
    const char *model;                     /* "qemu64" */
    char vendor[13];                       /* "GenuineIntel" */
    char brand[49];
    uint32_t signature;                    /* leaf 1 EAX: also in RDX at reset */
    uint32_t level, extended_level;        /* highest basic and extended leaf */
    uint32_t words[CPUID_WORDS];
    uint8_t physical_bits, linear_bits;
    uint64_t xcr0;                         /* components that XSAVE may manage; bits follow from the words */
    uint32_t tsc_khz;                      /* leaf 15h and 40000010h; 0: not told */
    bool kvm_leaves;                       /* 40000000h and 40000001h say KVMKVMKVM */
    bool hide_hypervisor;                  /* "kvm=off" */
    CpuidTopology topology;
} CpuidConfig;

/* Lays the "cpu" object (NULL: default_model) and the "smp" object (NULL: one CPU) over what the accelerator is able to give.
 * Models "max" and "host" are all of able. A feature asked for by name and missing in able is dropped with a warning once, or
 * refused under "enforce"; an unknown model or feature is an error naming it. */
bool cpuid_config(CpuidConfig *out, const Value *cpu, const Value *smp, const char *default_model, const CpuidConfig *able, GError **err);
/* out: EAX, EBX, ECX, EDX. A leaf beyond the highest one answers as the highest basic leaf does on Intel, zero on AMD. */
void cpuid_query(const CpuidConfig *config, uint32_t apic_id, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);
/* What the host's own processor says, for "able": brand, vendor, signature, words (unmasked), bits. */
void cpuid_of_host(CpuidConfig *out);
/* Makes the bits that hang on others agree (no XSAVE: no AVX; no AVX: no AVX2; ...) and recomputes .xcr0. */
void cpuid_settle(CpuidConfig *config);
/* Bytes of the standard-format XSAVE image for these components. */
uint32_t cpuid_xsave_size(uint64_t xcr0);

/* The names, for help: "avx2"; NULL for a bit without a name. */
const char *cpuid_feature_name(CpuidWord word, unsigned bit);
/* The named models: the i-th, NULL beyond the last, and what it lists of this word. */
const char *cpuid_model_name(size_t i);
uint32_t cpuid_model_word(size_t i, CpuidWord word);
void cpuid_print_models(void);             /* "-cpu help" */

/* The topology's fields of an APIC id: cpu index to APIC id, as a board with these numbers must give them. */
uint32_t cpuid_apic_id(const CpuidTopology *topology, uint32_t index);
bool cpuid_topology(CpuidTopology *out, const Value *smp, GError **err);
