/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cpuid.c - CPUID leaf by leaf, from a settled configuration
 *
 * Models   Intel SDM volume 2, CPUID; AMD APM volume 3, appendix E (AMD's own leaves when the vendor is AMD)
 * Omits    performance monitoring (leaf Ah), SGX, PT, RDT: zero
 * APIC id  | package | die | core | thread |, each field as wide as its count needs
 * Tests    tests/unit/cpuid.c
 */
#include "accel/x86/cpuid.h"
#include <cpuid.h>
#include <string.h>

enum { EAX, EBX, ECX, EDX };
enum { LINE = 64 };                        /* bytes of a cache line */

static unsigned bits_for(uint32_t count)
{
    return count <= 1 ? 0 : 32 - (unsigned)__builtin_clz(count - 1);
}

typedef struct Fields { unsigned thread, core, die; } Fields;     /* where the next field begins: shifts */

static Fields fields_of(const CpuidTopology *t)
{
    Fields f = { .thread = bits_for(t->threads) };
    f.core = f.thread + bits_for(t->cores);
    f.die = f.core + bits_for(t->dies);
    return f;
}

uint32_t cpuid_apic_id(const CpuidTopology *t, uint32_t index)
{
    Fields f = fields_of(t);
    uint32_t thread = index % t->threads, core = index / t->threads % t->cores;
    uint32_t die = index / t->threads / t->cores % t->dies, package = index / t->threads / t->cores / t->dies;
    return package << f.die | die << f.core | core << f.thread | thread;
}

static bool is_amd(const CpuidConfig *config)
{
    return strcmp(config->vendor, "AuthenticAMD") == 0 || strcmp(config->vendor, "HygonGenuine") == 0;
}

static void put_vendor(const char vendor[12], uint32_t out[4])
{
    memcpy(&out[EBX], vendor, 4);
    memcpy(&out[EDX], vendor + 4, 4);
    memcpy(&out[ECX], vendor + 8, 4);
}

static uint32_t per_package(const CpuidTopology *t)
{
    return t->threads * t->cores * t->dies;
}

/* Caches: sizes are what Linux prints, nothing hangs on them. */
typedef struct Cache { uint8_t type, level; uint16_t ways; uint32_t sets; bool shared; } Cache;
static const Cache caches[] = {
    { 1, 1, 8, 64, false }, { 2, 1, 8, 64, false }, { 3, 2, 16, 1024, false }, { 3, 3, 16, 16384, true },
};

static void cache_leaf(const CpuidConfig *config, uint32_t subleaf, uint32_t out[4], bool intel)
{
    if (subleaf >= sizeof caches / sizeof caches[0]) {
        return;
    }
    const Cache *cache = &caches[subleaf];
    Fields f = fields_of(&config->topology);
    uint32_t sharing = cache->shared ? UINT32_C(1) << f.die : UINT32_C(1) << f.thread;
    uint32_t cores = UINT32_C(1) << (f.die - f.thread);
    out[EAX] = cache->type | cache->level << 5 | 1 << 8 | (MIN(sharing, 4096) - 1) << 14;
    if (intel) {
        out[EAX] |= (MIN(cores, 64) - 1) << 26;
    }
    out[EBX] = (LINE - 1) | (uint32_t)(cache->ways - 1) << 22;
    out[ECX] = cache->sets - 1;
}

/* Leaves Bh and 1Fh: one level after the other. */
static void topology_leaf(const CpuidConfig *config, uint32_t apic_id, uint32_t subleaf, uint32_t out[4], bool with_dies)
{
    const CpuidTopology *t = &config->topology;
    Fields f = fields_of(t);
    const struct { uint32_t type, shift, count; } levels[] = {
        { 1, f.thread, t->threads },
        { 2, with_dies ? f.core : f.die, with_dies ? t->threads * t->cores : per_package(t) },
        { 5, f.die, per_package(t) },
    };
    out[ECX] = subleaf & 0xff;
    out[EDX] = apic_id;
    if (subleaf < (with_dies ? 3u : 2u)) {
        out[EAX] = levels[subleaf].shift;
        out[EBX] = levels[subleaf].count;
        out[ECX] |= levels[subleaf].type << 8;
    }
}

/* Size and offset of an XSAVE component, as the host lays it out: guests' images are saved and restored by the host's own instructions. */
static void xsave_component(unsigned component, uint32_t *size, uint32_t *offset, uint32_t *flags)
{
    uint32_t edx;
    __cpuid_count(0xd, component, *size, *offset, *flags, edx);
    if (component == 2 && !*size) {        /* a host without AVX: the architecture's fixed place */
        *size = 256;
        *offset = 576;
    }
}

uint32_t cpuid_xsave_size(uint64_t xcr0)
{
    uint32_t end = 576;
    for (unsigned component = 2; component < 63; component++) {
        if (xcr0 >> component & 1) {
            uint32_t size, offset, flags;
            xsave_component(component, &size, &offset, &flags);
            end = MAX(end, offset + size);
        }
    }
    return end;
}

static void xsave_leaf(const CpuidConfig *config, uint32_t subleaf, uint32_t out[4])
{
    if (!config->xcr0) {
        return;
    }
    if (subleaf == 0) {
        out[EAX] = (uint32_t)config->xcr0;
        out[ECX] = cpuid_xsave_size(config->xcr0);
        out[EDX] = (uint32_t)(config->xcr0 >> 32);
    } else if (subleaf == 1) {
        out[EAX] = config->words[CPUID_D_1_EAX];
    } else if (subleaf < 63 && (config->xcr0 >> subleaf & 1)) {
        xsave_component(subleaf, &out[EAX], &out[EBX], &out[ECX]);
    }
}

/* TSC to crystal as a fraction near khz / 1000000. Linux multiplies the crystal's kHz by the numerator in 32 bits: it stays below 4295. */
static void tsc_ratio(uint32_t khz, uint32_t *denominator, uint32_t *numerator)
{
    uint64_t best = UINT64_MAX;

    for (uint64_t d = 1; d <= 1000000; d++) {
        uint64_t n = (khz * d + 500000) / 1000000, exact = khz * d, error = n * 1000000 > exact ? n * 1000000 - exact : exact - n * 1000000;

        if (n > 4294) {
            break;
        }
        if (n && error * 1000 / d < best) {
            best = error * 1000 / d;
            *denominator = (uint32_t)d;
            *numerator = (uint32_t)n;
        }
    }
}

static void basic_leaf(const CpuidConfig *config, uint32_t apic_id, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    const uint32_t *words = config->words;
    uint32_t logical = per_package(&config->topology);

    switch (leaf) {
    case 0:
        out[EAX] = config->level;
        put_vendor(config->vendor, out);
        break;
    case 1:
        out[EAX] = config->signature;
        out[EBX] = apic_id << 24 | MIN(logical, 255) << 16 | (LINE / 8) << 8;
        out[ECX] = words[CPUID_1_ECX];
        out[EDX] = words[CPUID_1_EDX] | (logical > 1 ? 1u << 28 : 0);
        break;
    case 2:                                /* L1d and L1i 32 KiB, L2 1 MiB, L3 16 MiB */
        out[EAX] = 1;
        out[EDX] = 0x4d7c302c;
        break;
    case 4:
        if (!is_amd(config)) {
            cache_leaf(config, subleaf, out, true);
        }
        break;
    case 6:
        out[EAX] = words[CPUID_6_EAX];
        break;
    case 7:
        if (subleaf == 0) {
            out[EAX] = words[CPUID_7_1_EAX] ? 1 : 0;
            out[EBX] = words[CPUID_7_EBX];
            out[ECX] = words[CPUID_7_ECX];
            out[EDX] = words[CPUID_7_EDX];
        } else if (subleaf == 1) {
            out[EAX] = words[CPUID_7_1_EAX];
        }
        break;
    case 0xb:
        topology_leaf(config, apic_id, subleaf, out, false);
        break;
    case 0xd:
        xsave_leaf(config, subleaf, out);
        break;
    case 0x15:                             /* the crystal is the APIC timer's 1 GHz, so that Linux derives both from here */
        if (config->tsc_khz) {
            tsc_ratio(config->tsc_khz, &out[EAX], &out[EBX]);
            out[ECX] = 1000000000;
        }
        break;
    case 0x16:
        out[EAX] = out[EBX] = config->tsc_khz / 1000;
        out[ECX] = config->tsc_khz ? 100 : 0;
        break;
    case 0x1f:
        if (config->topology.dies > 1) {
            topology_leaf(config, apic_id, subleaf, out, true);
        }
        break;
    default:
        break;
    }
}

static void hypervisor_leaf(const CpuidConfig *config, uint32_t leaf, uint32_t out[4])
{
    switch (leaf) {
    case 0x40000000:
        out[EAX] = config->tsc_khz ? 0x40000010 : 0x40000001;
        memcpy(&out[EBX], config->kvm_leaves ? "KVMKVMKVM\0\0" : "TCGTCGTCGTCG", 12);      /* EBX, ECX, EDX in this order */
        break;
    case 0x40000001:
        out[EAX] = config->kvm_leaves ? config->words[CPUID_4000_0001_EAX] : 0;
        break;
    case 0x40000010:
        out[EAX] = config->tsc_khz;
        out[EBX] = config->tsc_khz ? 1000000 : 0;
        break;
    default:
        break;
    }
}

/* Bits of leaf 1 EDX that AMD repeats in 80000001h. */
#define AMD_REPEATS UINT32_C(0x0183f3ff)

static void extended_leaf(const CpuidConfig *config, uint32_t apic_id, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    const CpuidTopology *t = &config->topology;
    Fields f = fields_of(t);
    uint32_t logical = per_package(t);

    switch (leaf) {
    case 0x80000000:
        out[EAX] = config->extended_level;
        if (is_amd(config)) {
            put_vendor(config->vendor, out);
        }
        break;
    case 0x80000001:
        out[EAX] = is_amd(config) ? config->signature : 0;
        out[ECX] = config->words[CPUID_8000_0001_ECX];
        out[EDX] = config->words[CPUID_8000_0001_EDX];
        if (is_amd(config)) {
            out[EDX] |= config->words[CPUID_1_EDX] & AMD_REPEATS;
            out[ECX] |= logical > 1 ? UINT32_C(1) << (FEATURE_CMP_LEGACY & 31) : 0;
        }
        break;
    case 0x80000002: case 0x80000003: case 0x80000004:
        memcpy(out, config->brand + 16 * (leaf - 0x80000002), 16);
        break;
    case 0x80000005:                       /* AMD: TLBs, L1 data and code: KiB, ways, lines per tag, line */
        if (is_amd(config)) {
            out[EAX] = out[EBX] = 0x01ff01ff;
            out[ECX] = out[EDX] = 32u << 24 | 8u << 16 | 1u << 8 | LINE;
        }
        break;
    case 0x80000006:
        out[ECX] = 1024u << 16 | 8u << 12 | 1u << 8 | LINE;
        if (is_amd(config)) {
            out[EBX] = 0x42004200;
            out[EDX] = 32u << 18 | 8u << 12 | 1u << 8 | LINE;
        }
        break;
    case 0x80000007:
        out[EDX] = config->words[CPUID_8000_0007_EDX];
        break;
    case 0x80000008:
        out[EAX] = (uint32_t)config->physical_bits | (uint32_t)config->linear_bits << 8;
        out[EBX] = config->words[CPUID_8000_0008_EBX];
        if (is_amd(config)) {
            out[ECX] = (logical > 1 ? MIN(logical, 256) - 1 : 0) | f.die << 12;
        }
        break;
    case 0x8000001d:
        if (is_amd(config) && cpuid_has(config->words, FEATURE_TOPOEXT)) {
            cache_leaf(config, subleaf, out, false);
        }
        break;
    case 0x8000001e:
        if (is_amd(config) && cpuid_has(config->words, FEATURE_TOPOEXT)) {
            out[EAX] = apic_id;
            out[EBX] = (apic_id >> f.thread & 0xff) | (t->threads - 1) << 8;
            out[ECX] = apic_id >> f.core & ((UINT32_C(1) << (f.die - f.core)) - 1);
        }
        break;
    default:
        break;
    }
}

void cpuid_query(const CpuidConfig *config, uint32_t apic_id, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    memset(out, 0, 4 * sizeof out[0]);
    if (leaf >= 0x40000000 && leaf <= 0x4fffffff) {
        if (cpuid_has(config->words, FEATURE_HYPERVISOR) && !config->hide_hypervisor) {
            hypervisor_leaf(config, leaf, out);
        }
        return;
    }
    if (leaf >= 0x80000000 && leaf <= config->extended_level) {
        extended_leaf(config, apic_id, leaf, subleaf, out);
        return;
    }
    if (leaf > config->level) {
        if (is_amd(config)) {
            return;
        }
        leaf = config->level;              /* Intel: the data of the highest basic leaf */
    }
    basic_leaf(config, apic_id, leaf, subleaf, out);
}
