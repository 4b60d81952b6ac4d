/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cpuid-names.c - the features' names, as QEMU's -cpu spells them
 *
 * A name found in two spellings (sse4.1 and sse4_1, nx and xd) is listed once; the others are aliases. '_' and '-' are the
 * same in what a person writes. Bits without a name (OSXSAVE, duplicates on AMD) cannot be asked for.
 */
#include "accel/x86/cpuid-names.h"
#include <string.h>

static const char *const names[CPUID_WORDS][32] = {
    [CPUID_1_EDX] = { "fpu", "vme", "de", "pse", "tsc", "msr", "pae", "mce", "cx8", "apic", NULL, "sep", "mtrr", "pge", "mca", "cmov",
                      "pat", "pse36", "pn", "clflush", NULL, "ds", "acpi", "mmx", "fxsr", "sse", "sse2", "ss", "ht", "tm", "ia64", "pbe" },
    [CPUID_1_ECX] = { "pni", "pclmulqdq", "dtes64", "monitor", "ds-cpl", "vmx", "smx", "est", "tm2", "ssse3", "cid", NULL, "fma", "cx16",
                      "xtpr", "pdcm", NULL, "pcid", "dca", "sse4.1", "sse4.2", "x2apic", "movbe", "popcnt", "tsc-deadline", "aes",
                      "xsave", NULL, "avx", "f16c", "rdrand", "hypervisor" },
    [CPUID_7_EBX] = { "fsgsbase", "tsc-adjust", "sgx", "bmi1", "hle", "avx2", NULL, "smep", "bmi2", "erms", "invpcid", "rtm", NULL, NULL,
                      "mpx", NULL, "avx512f", "avx512dq", "rdseed", "adx", "smap", "avx512ifma", "pcommit", "clflushopt", "clwb",
                      "intel-pt", "avx512pf", "avx512er", "avx512cd", "sha-ni", "avx512bw", "avx512vl" },
    [CPUID_7_ECX] = { NULL, "avx512vbmi", "umip", "pku", NULL, "waitpkg", "avx512vbmi2", NULL, "gfni", "vaes", "vpclmulqdq", "avx512vnni",
                      "avx512bitalg", NULL, "avx512-vpopcntdq", NULL, "la57", NULL, NULL, NULL, NULL, NULL, "rdpid", NULL,
                      "bus-lock-detect", "cldemote", NULL, "movdiri", "movdir64b", NULL, "sgxlc", "pks" },
    [CPUID_7_EDX] = { NULL, NULL, "avx512-4vnniw", "avx512-4fmaps", "fsrm", NULL, NULL, NULL, "avx512-vp2intersect", NULL, "md-clear",
                      NULL, NULL, NULL, "serialize", NULL, "tsx-ldtrk", NULL, NULL, "arch-lbr", NULL, NULL, "amx-bf16", "avx512-fp16",
                      "amx-tile", "amx-int8", "spec-ctrl", "stibp", NULL, "arch-capabilities", "core-capability", "ssbd" },
    [CPUID_7_1_EAX] = { [4] = "avx-vnni", [5] = "avx512-bf16" },
    [CPUID_D_1_EAX] = { "xsaveopt", "xsavec", "xgetbv1", "xsaves", "xfd" },
    [CPUID_8000_0001_EDX] = { [11] = "syscall", [19] = "mp", [20] = "nx", [22] = "mmxext", [25] = "fxsr-opt", [26] = "pdpe1gb",
                              [27] = "rdtscp", [29] = "lm", [30] = "3dnowext", [31] = "3dnow" },
    [CPUID_8000_0001_ECX] = { "lahf-lm", "cmp-legacy", "svm", "extapic", "cr8legacy", "abm", "sse4a", "misalignsse", "3dnowprefetch",
                              "osvw", "ibs", "xop", "skinit", "wdt", NULL, "lwp", "fma4", "tce", NULL, "nodeid-msr", NULL, "tbm",
                              "topoext", "perfctr-core", "perfctr-nb" },
    [CPUID_8000_0007_EDX] = { [8] = "invtsc" },
    [CPUID_8000_0008_EBX] = { [0] = "clzero", [2] = "xsaveerptr", [9] = "wbnoinvd", [12] = "ibpb", [14] = "ibrs", [15] = "amd-stibp",
                              [24] = "amd-ssbd", [25] = "virt-ssbd", [26] = "amd-no-ssb" },
    [CPUID_6_EAX] = { [2] = "arat" },
    [CPUID_4000_0001_EAX] = { "kvmclock", "kvm-nopiodelay", "kvm-mmu", NULL, "kvm-asyncpf", "kvm-steal-time", "kvm-pv-eoi",
                              "kvm-pv-unhalt", NULL, "kvm-pv-tlb-flush", NULL, "kvm-pv-ipi", "kvm-poll-control", "kvm-pv-sched-yield",
                              "kvm-asyncpf-int", "kvm-msi-ext-dest-id", [24] = "kvmclock-stable-bit" },
};

static const struct { const char *alias, *name; } aliases[] = {
    { "sse3", "pni" }, { "pclmuldq", "pclmulqdq" }, { "sse4-1", "sse4.1" }, { "sse4-2", "sse4.2" }, { "i64", "lm" }, { "xd", "nx" },
    { "ffxsr", "fxsr-opt" }, { "lzcnt", "abm" }, { "sha", "sha-ni" },
};

const char *cpuid_feature_name(CpuidWord word, unsigned bit)
{
    return word < CPUID_WORDS && bit < 32 ? names[word][bit] : NULL;
}

/* Equal but for '_' and '-'. */
static bool same_name(const char *a, const char *b)
{
    for (; *a && *b; a++, b++) {
        if ((*a == '_' ? '-' : *a) != (*b == '_' ? '-' : *b)) {
            return false;
        }
    }
    return *a == *b;
}

int cpuid_feature_find(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(aliases); i++) {
        if (same_name(name, aliases[i].alias)) {
            name = aliases[i].name;
        }
    }
    for (unsigned word = 0; word < CPUID_WORDS; word++) {
        for (unsigned bit = 0; bit < 32; bit++) {
            if (names[word][bit] && same_name(name, names[word][bit])) {
                return (int)FEATURE_(word, bit);
            }
        }
    }
    return -1;
}
