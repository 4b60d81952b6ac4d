/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cpuid-model.c - CPU models, and what -cpu makes of them
 *
 * A named model is a list of features that any guest of its age knows; what the accelerator cannot give is left out. "max"
 * and "host" are all that the accelerator can give.
 *
 * Tests    tests/unit/cpuid.c
 */
#include "accel/x86/cpuid-names.h"
#include "base/error.h"
#include "base/field.h"
#include "base/log.h"
#include <cpuid.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { FEATURE_KVMCLOCK = FEATURE_(CPUID_4000_0001_EAX, 0), FEATURE_KVMCLOCK2 = FEATURE_(CPUID_4000_0001_EAX, 3) };
#define BIT(feature) (UINT32_C(1) << ((feature) & 31))

typedef struct Model {
    const char *name, *help, *vendor, *brand;
    uint8_t family, model, stepping;
    uint32_t level, extended_level;
    uint32_t words[CPUID_WORDS];
} Model;

#define PENTIUM_PRO (BIT(FEATURE_FPU) | BIT(FEATURE_DE) | BIT(FEATURE_PSE) | BIT(FEATURE_TSC) | BIT(FEATURE_MSR) | BIT(FEATURE_PAE) | \
                     1u << 7 | BIT(FEATURE_CX8) | BIT(FEATURE_APIC) | BIT(FEATURE_SEP) | BIT(FEATURE_PGE) | BIT(FEATURE_CMOV) |       \
                     BIT(FEATURE_PAT) | BIT(FEATURE_MMX) | BIT(FEATURE_FXSR) | BIT(FEATURE_SSE) | BIT(FEATURE_SSE2))
#define ALL_NAMED_1_EDX (PENTIUM_PRO | BIT(FEATURE_MTRR) | BIT(FEATURE_CLFLUSH) | BIT(FEATURE_MCA) | BIT(FEATURE_PSE36))

static const Model models[] = {
    { .name = "qemu64", .help = "a plain 64-bit processor (default)", .vendor = "AuthenticAMD", .brand = "QEMU Virtual CPU version 2.5+",
      .family = 15, .model = 107, .stepping = 1, .level = 0xd, .extended_level = 0x8000000a,
      .words = { [CPUID_1_EDX] = ALL_NAMED_1_EDX, [CPUID_1_ECX] = BIT(FEATURE_SSE3) | BIT(FEATURE_CX16),
                 [CPUID_8000_0001_EDX] = BIT(FEATURE_LM) | BIT(FEATURE_SYSCALL) | BIT(FEATURE_NX),
                 [CPUID_8000_0001_ECX] = BIT(FEATURE_LAHF_LM) } },
    { .name = "kvm64", .help = "the processor that any 64-bit host has", .vendor = "GenuineIntel", .brand = "Common KVM processor",
      .family = 15, .model = 6, .stepping = 1, .level = 0xd, .extended_level = 0x80000008,
      .words = { [CPUID_1_EDX] = ALL_NAMED_1_EDX | BIT(FEATURE_VME), [CPUID_1_ECX] = BIT(FEATURE_SSE3) | BIT(FEATURE_CX16),
                 [CPUID_8000_0001_EDX] = BIT(FEATURE_LM) | BIT(FEATURE_SYSCALL) | BIT(FEATURE_NX) } },
};

/* Bits that a named model gets from the accelerator whether or not it lists them: the virtual machine's own comforts. */
static const uint32_t always[CPUID_WORDS] = {
    [CPUID_1_ECX] = BIT(FEATURE_X2APIC) | BIT(FEATURE_HYPERVISOR),
    [CPUID_4000_0001_EAX] = 1u << 0 | 1u << 1 | 1u << 3 | 1u << 4 | 1u << 5 | 1u << 6 | 1u << 24,
};

const char *cpuid_model_name(size_t i)
{
    return i < G_N_ELEMENTS(models) ? models[i].name : NULL;
}

uint32_t cpuid_model_word(size_t i, CpuidWord word)
{
    return models[i].words[word];
}

void cpuid_print_models(void)
{
    puts("Available CPUs:");
    for (size_t i = 0; i < G_N_ELEMENTS(models); i++) {
        printf("x86 %-20s  %s\n", models[i].name, models[i].help);
    }
    puts("x86 host                  this host's processor, as far as KVM can give it (KVM only)");
    puts("x86 max                   everything that the accelerator can give on this host");
    fputs("\nRecognized CPUID flags (+NAME, -NAME, NAME=on or NAME=off):\n ", stdout);
    size_t column = 1;
    for (unsigned word = 0; word < CPUID_WORDS; word++) {
        for (unsigned bit = 0; bit < 32; bit++) {
            const char *name = cpuid_feature_name(word, bit);
            if (name) {
                size_t width = strlen(name) + 1;
                if (column + width > 78) {
                    fputs("\n ", stdout);
                    column = 1;
                }
                printf(" %s", name);
                column += width;
            }
        }
    }
    putchar('\n');
}

/* Who needs whom; in an order that lets one pass settle chains. */
static const struct { uint16_t feature, needs; } needs[] = {
    { FEATURE_SSE2, FEATURE_SSE }, { FEATURE_SSE3, FEATURE_SSE2 }, { FEATURE_SSSE3, FEATURE_SSE3 }, { FEATURE_SSE41, FEATURE_SSSE3 },
    { FEATURE_SSE42, FEATURE_SSE41 }, { FEATURE_AES, FEATURE_SSE2 }, { FEATURE_PCLMULQDQ, FEATURE_SSE2 }, { FEATURE_SHA, FEATURE_SSE2 },
    { FEATURE_GFNI, FEATURE_SSE2 }, { FEATURE_AVX, FEATURE_XSAVE }, { FEATURE_AVX, FEATURE_SSE42 }, { FEATURE_FMA, FEATURE_AVX },
    { FEATURE_F16C, FEATURE_AVX }, { FEATURE_AVX2, FEATURE_AVX }, { FEATURE_VAES, FEATURE_AVX }, { FEATURE_VPCLMULQDQ, FEATURE_AVX },
    { FEATURE_(CPUID_7_1_EAX, 4), FEATURE_AVX2 }, { FEATURE_AVX512F, FEATURE_AVX2 },
    { FEATURE_(CPUID_7_EBX, 17), FEATURE_AVX512F }, { FEATURE_(CPUID_7_EBX, 21), FEATURE_AVX512F },
    { FEATURE_(CPUID_7_EBX, 26), FEATURE_AVX512F }, { FEATURE_(CPUID_7_EBX, 27), FEATURE_AVX512F },
    { FEATURE_(CPUID_7_EBX, 28), FEATURE_AVX512F }, { FEATURE_(CPUID_7_EBX, 30), FEATURE_AVX512F },
    { FEATURE_(CPUID_7_EBX, 31), FEATURE_AVX512F }, { FEATURE_(CPUID_7_ECX, 1), FEATURE_AVX512F },
    { FEATURE_(CPUID_7_ECX, 6), FEATURE_AVX512F }, { FEATURE_(CPUID_7_ECX, 11), FEATURE_AVX512F },
    { FEATURE_(CPUID_7_ECX, 12), FEATURE_AVX512F }, { FEATURE_(CPUID_7_ECX, 14), FEATURE_AVX512F },
    { FEATURE_(CPUID_7_EDX, 2), FEATURE_AVX512F }, { FEATURE_(CPUID_7_EDX, 3), FEATURE_AVX512F },
    { FEATURE_(CPUID_7_EDX, 8), FEATURE_AVX512F }, { FEATURE_(CPUID_7_EDX, 23), FEATURE_AVX512F },
    { FEATURE_(CPUID_7_1_EAX, 5), FEATURE_AVX512F },
    { FEATURE_(CPUID_7_EBX, 14), FEATURE_XSAVE }, { FEATURE_PKU, FEATURE_XSAVE }, { FEATURE_XSAVEOPT, FEATURE_XSAVE },
    { FEATURE_XSAVEC, FEATURE_XSAVE }, { FEATURE_XGETBV1, FEATURE_XSAVE }, { FEATURE_XSAVES, FEATURE_XSAVE },
    { FEATURE_(CPUID_D_1_EAX, 4), FEATURE_XSAVE },
    { FEATURE_LM, FEATURE_PAE }, { FEATURE_LAHF_LM, FEATURE_LM }, { FEATURE_PDPE1GB, FEATURE_LM }, { FEATURE_LA57, FEATURE_LM },
    { FEATURE_PCID, FEATURE_LM }, { FEATURE_FSGSBASE, FEATURE_LM }, { FEATURE_SMAP, FEATURE_PAE }, { FEATURE_INVPCID, FEATURE_PCID },
    { FEATURE_TSC_DEADLINE, FEATURE_APIC }, { FEATURE_X2APIC, FEATURE_APIC },
};

enum { XCR0_LEGACY = 3, XCR0_AVX = 4, XCR0_AVX512 = 0xe0, XCR0_PKRU = 0x200 };

static void set_feature(uint32_t *words, unsigned feature, bool on)
{
    uint32_t bit = UINT32_C(1) << (feature & 31);
    words[feature >> 5] = on ? words[feature >> 5] | bit : words[feature >> 5] & ~bit;
}

void cpuid_settle(CpuidConfig *config)
{
    uint64_t limit = config->xcr0 ? config->xcr0 : UINT64_MAX;
    uint32_t *words = config->words;

    if (!(limit & XCR0_AVX)) {
        set_feature(words, FEATURE_AVX, false);
    }
    if ((limit & XCR0_AVX512) != XCR0_AVX512) {
        set_feature(words, FEATURE_AVX512F, false);
    }
    if (!(limit & XCR0_PKRU)) {
        set_feature(words, FEATURE_PKU, false);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(needs); i++) {
        if (!cpuid_has(words, needs[i].needs)) {
            set_feature(words, needs[i].feature, false);
        }
    }
    config->xcr0 = cpuid_has(words, FEATURE_XSAVE) ? XCR0_LEGACY : 0;
    config->xcr0 |= cpuid_has(words, FEATURE_AVX) ? XCR0_AVX : 0;
    config->xcr0 |= cpuid_has(words, FEATURE_AVX512F) ? XCR0_AVX512 : 0;
    config->xcr0 |= cpuid_has(words, FEATURE_PKU) ? XCR0_PKRU : 0;
}

void cpuid_of_host(CpuidConfig *out)
{
    uint32_t r[4] = { 0 };
    uint32_t *words = out->words;

    memset(out, 0, sizeof *out);
    out->model = "host";
    __cpuid(0, out->level, r[1], r[2], r[3]);
    memcpy(out->vendor, &r[1], 4);
    memcpy(out->vendor + 4, &r[3], 4);
    memcpy(out->vendor + 8, &r[2], 4);
    __cpuid(1, out->signature, r[1], words[CPUID_1_ECX], words[CPUID_1_EDX]);
    if (out->level >= 6) {
        __cpuid(6, words[CPUID_6_EAX], r[1], r[2], r[3]);
    }
    if (out->level >= 7) {
        __cpuid_count(7, 0, r[0], words[CPUID_7_EBX], words[CPUID_7_ECX], words[CPUID_7_EDX]);
        if (r[0] >= 1) {
            __cpuid_count(7, 1, words[CPUID_7_1_EAX], r[1], r[2], r[3]);
        }
    }
    if (out->level >= 0xd) {
        __cpuid_count(0xd, 1, words[CPUID_D_1_EAX], r[1], r[2], r[3]);
    }
    __cpuid(0x80000000, out->extended_level, r[1], r[2], r[3]);
    __cpuid(0x80000001, r[0], r[1], words[CPUID_8000_0001_ECX], words[CPUID_8000_0001_EDX]);
    for (unsigned i = 0; i < 3 && out->extended_level >= 0x80000004; i++) {
        __cpuid(0x80000002 + i, r[0], r[1], r[2], r[3]);
        memcpy(out->brand + 16 * i, r, 16);
    }
    if (out->extended_level >= 0x80000007) {
        __cpuid(0x80000007, r[0], r[1], r[2], words[CPUID_8000_0007_EDX]);
    }
    out->physical_bits = 36;
    out->linear_bits = 48;
    if (out->extended_level >= 0x80000008) {
        __cpuid(0x80000008, r[0], words[CPUID_8000_0008_EBX], r[2], r[3]);
        out->physical_bits = (uint8_t)r[0];
        out->linear_bits = (uint8_t)(r[0] >> 8);
    }
    cpuid_settle(out);
}

bool cpuid_topology(CpuidTopology *out, const Value *smp, GError **err)
{
    *out = (CpuidTopology){
        .cpus = (uint32_t)value_get_uint(smp, "cpus", 1),       .sockets = (uint32_t)value_get_uint(smp, "sockets", 1),
        .dies = (uint32_t)value_get_uint(smp, "dies", 1),       .cores = (uint32_t)value_get_uint(smp, "cores", 1),
        .threads = (uint32_t)value_get_uint(smp, "threads", 1),
    };
    if (!out->dies || !out->cores || !out->threads || !out->sockets || out->dies > 4096 || out->cores > 4096 || out->threads > 4096) {
        return fail(err, EINVAL, "smp: %u sockets of %u dies of %u cores of %u threads is not a topology; each must be 1 to 4096", out->sockets,
                    out->dies, out->cores, out->threads);
    }
    return true;
}

/* A person's word on one thing that is no feature. Returns false when the name is none of these either. */
static bool set_property(CpuidConfig *config, const char *name, const char *text, bool on, bool *enforce, GError **err)
{
    uint64_t number = 0;
    if (strcmp(name, "check") == 0 || strcmp(name, "migratable") == 0) {
        return true;                       /* what is missing is always said; nothing here hinders a migration */
    }
    if (strcmp(name, "enforce") == 0) {
        *enforce = on;
    } else if (strcmp(name, "kvm") == 0) {
        config->hide_hypervisor = !on;
    } else if (strcmp(name, "vendor") == 0 && text && strlen(text) == 12) {
        g_strlcpy(config->vendor, text, sizeof config->vendor);
    } else if (strcmp(name, "model-id") == 0 && text && strlen(text) < sizeof config->brand) {
        memset(config->brand, 0, sizeof config->brand);
        g_strlcpy(config->brand, text, sizeof config->brand);
    } else if (strcmp(name, "phys-bits") == 0 && text && parse_uint(text, &number) && number >= 32 && number <= 52) {
        config->physical_bits = (uint8_t)number;
    } else if (strcmp(name, "family") == 0 && text && parse_uint(text, &number) && number <= 0xff + 0xf) {
        config->signature = (config->signature & ~0x0ff00f00u) | (number > 15 ? 0xf00 | (uint32_t)(number - 15) << 20 : (uint32_t)number << 8);
    } else if (strcmp(name, "model") == 0 && text && parse_uint(text, &number) && number <= 0xff) {
        config->signature = (config->signature & ~0x000f00f0u) | ((uint32_t)number & 0xf) << 4 | ((uint32_t)number >> 4) << 16;
    } else if (strcmp(name, "stepping") == 0 && text && parse_uint(text, &number) && number <= 0xf) {
        config->signature = (config->signature & ~0xfu) | (uint32_t)number;
    } else if (strcmp(name, "level") == 0 && text && parse_uint(text, &number) && number <= 0x1f) {
        config->level = (uint32_t)number;
    } else if (text) {
        return fail(err, EINVAL, "cpu: '%s=%s' is not a known property with a possible value; 'roost -cpu help' lists features", name, text);
    } else {
        return fail(err, EINVAL, "cpu: there is no feature '%s'; 'roost -cpu help' lists them", name);
    }
    return true;
}

/* Lays the person's features over the config; what was asked for by name is noted in asked (words of bits). */
static bool apply_features(CpuidConfig *config, const Value *features, const CpuidConfig *able, uint32_t *asked, bool *enforce, GError **err)
{
    for (size_t i = 0; i < value_length(features); i++) {
        const Value *entry = value_at(features, i);
        const char *name = value_get_string(entry, "name", value_string(entry));
        const char *text = value_get_string(entry, "value", NULL);
        bool on = value_get_bool(entry, "on", true);
        if (!name) {
            return fail(err, EINVAL, "cpu: a feature without a name");
        }
        if (text && parse_bool(text, &on)) {
            text = NULL;
        }
        int feature = text ? -1 : cpuid_feature_find(name);
        if (feature < 0) {
            if (!set_property(config, name, text, on, enforce, err)) {
                return false;
            }
            continue;
        }
        set_feature(config->words, (unsigned)feature, on && cpuid_has(able->words, (unsigned)feature));
        if (feature == FEATURE_KVMCLOCK) {
            set_feature(config->words, FEATURE_KVMCLOCK2, on && cpuid_has(able->words, FEATURE_KVMCLOCK2));
        }
        set_feature(asked, (unsigned)feature, on);
    }
    return true;
}

/* Says what of the asked-for features is not there after settling, and why: a warning once, or a refusal under "enforce". */
static bool tell_missing(const CpuidConfig *config, const CpuidConfig *able, const uint32_t *asked, bool enforce, GError **err)
{
    static bool warned;
    g_autoptr(GString) absent = g_string_new(NULL), lonely = g_string_new(NULL);

    for (unsigned feature = 0; feature < CPUID_WORDS * 32; feature++) {
        if (cpuid_has(asked, feature) && !cpuid_has(config->words, feature)) {
            GString *list = cpuid_has(able->words, feature) ? lonely : absent;
            g_string_append_printf(list, "%s%s", list->len ? ", " : "", cpuid_feature_name(feature >> 5, feature & 31));
        }
    }
    if (absent->len && enforce) {
        return fail(err, ENOTSUP, "cpu: this host and accelerator cannot give: %s; drop 'enforce' or these features", absent->str);
    }
    if (lonely->len && enforce) {
        return fail(err, EINVAL, "cpu: these need other features that are off: %s (XSAVE for AVX, SSE4.2 for AVX, ...)", lonely->str);
    }
    if (absent->len && !warned) {
        report_warning("cpu: this host and accelerator cannot give: %s; the guest runs without", absent->str);
    }
    if (lonely->len && !warned) {
        report_warning("cpu: these need other features that are off: %s; the guest runs without", lonely->str);
    }
    warned |= absent->len || lonely->len;
    return true;
}

static bool apply_model(CpuidConfig *config, const char *name, const CpuidConfig *able, GError **err)
{
    *config = *able;
    config->model = name;
    if (strcmp(name, "max") == 0 || strcmp(name, "host") == 0) {
        return true;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(models); i++) {
        const Model *model = &models[i];
        if (strcmp(name, model->name) != 0) {
            continue;
        }
        config->model = model->name;
        g_strlcpy(config->vendor, model->vendor, sizeof config->vendor);
        memset(config->brand, 0, sizeof config->brand);
        g_strlcpy(config->brand, model->brand, sizeof config->brand);
        config->signature = (uint32_t)(model->family << 8 | (model->model & 0xf) << 4 | (model->model >> 4) << 16 | model->stepping);
        config->level = model->level;
        config->extended_level = model->extended_level;
        config->physical_bits = MIN(able->physical_bits, 40);
        config->linear_bits = 48;
        config->tsc_khz = 0;
        for (unsigned word = 0; word < CPUID_WORDS; word++) {
            config->words[word] = (model->words[word] | always[word]) & able->words[word];
        }
        return true;
    }
    return fail(err, EINVAL, "cpu: there is no model '%s'; 'roost -cpu help' lists them", name);
}

bool cpuid_config(CpuidConfig *out, const Value *cpu, const Value *smp, const char *default_model, const CpuidConfig *able, GError **err)
{
    uint32_t asked[CPUID_WORDS] = { 0 };
    bool enforce = false;

    if (!apply_model(out, value_get_string(cpu, "model", default_model), able, err) ||
        !apply_features(out, value_get(cpu, "features"), able, asked, &enforce, err) || !cpuid_topology(&out->topology, smp, err)) {
        return false;
    }
    out->xcr0 = able->xcr0;
    cpuid_settle(out);
    if (!tell_missing(out, able, asked, enforce, err)) {
        return false;
    }
    if (out->words[CPUID_7_EBX] | out->words[CPUID_7_ECX] | out->words[CPUID_7_EDX]) {
        out->level = MAX(out->level, 7);
    }
    if (out->xcr0) {
        out->level = MAX(out->level, 0xd);
    }
    if (out->tsc_khz) {
        out->level = MAX(out->level, 0x16);
    }
    if (out->topology.dies > 1) {
        out->level = MAX(out->level, 0x1f);
    }
    if (cpuid_has(out->words, FEATURE_TOPOEXT)) {
        out->extended_level = MAX(out->extended_level, 0x8000001e);
    }
    if (out->words[CPUID_8000_0007_EDX] | out->words[CPUID_8000_0008_EBX]) {
        out->extended_level = MAX(out->extended_level, 0x80000008);
    }
    return true;
}
