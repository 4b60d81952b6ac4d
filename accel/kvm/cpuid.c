/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cpuid.c - what this host's KVM can give a guest, and the CPUID table of one vCPU
 *
 * KVM_GET_SUPPORTED_CPUID becomes a CpuidConfig ("able"); accel/x86/cpuid.h lays model and features over it and answers
 * leaf by leaf; the answers are handed to KVM as one table. KVM itself keeps OSXSAVE, the APIC bit and XSAVE's current size up to date.
 *
 * Threads  machine lock held
 * Tests    tests/unit/cpuid.c, tests/kvm
 */
#include "accel/kvm/kvm-internal.h"
#include "base/error.h"
#include <errno.h>
#include <string.h>

enum { MOST_ENTRIES = 256, KVM_SIGNATURE_LEAF = 0x40000000 };

static struct kvm_cpuid2 *supported(Kvm *kvm, int *error)
{
    for (uint32_t room = 128; room <= 4096; room *= 2) {
        struct kvm_cpuid2 *table = g_malloc0(sizeof *table + room * sizeof table->entries[0]);
        table->nent = room;
        *error = -kvm_ioctl(kvm->system, KVM_GET_SUPPORTED_CPUID, table);
        if (*error <= 0) {
            return table;
        }
        g_free(table);
        if (*error != E2BIG) {
            return NULL;
        }
    }
    return NULL;
}

static const struct kvm_cpuid_entry2 *entry_of(const struct kvm_cpuid2 *table, uint32_t leaf, uint32_t subleaf)
{
    static const struct kvm_cpuid_entry2 nothing;
    for (uint32_t i = 0; i < table->nent; i++) {
        const struct kvm_cpuid_entry2 *entry = &table->entries[i];
        if (entry->function == leaf && (!(entry->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || entry->index == subleaf)) {
            return entry;
        }
    }
    return &nothing;
}

static void clear(uint32_t *words, unsigned feature)
{
    words[feature >> 5] &= ~(UINT32_C(1) << (feature & 31));
}

static void set(uint32_t *words, unsigned feature, bool on)
{
    clear(words, feature);
    words[feature >> 5] |= (uint32_t)on << (feature & 31);
}

/* Where the table is silent or says more than a guest of ours may have. */
static void adjust(Kvm *kvm, uint32_t *words)
{
    bool lapic = kvm_lapic_in_kernel(kvm);

    set(words, FEATURE_HYPERVISOR, true);
    set(words, FEATURE_ARAT, lapic);       /* KVM's APIC timer never stops */
    set(words, FEATURE_X2APIC, lapic && cpuid_has(words, FEATURE_X2APIC));
    set(words, FEATURE_TSC_DEADLINE, lapic && kvm_has(kvm->accel, KVM_CAP_TSC_DEADLINE_TIMER));
    clear(words, FEATURE_MONITOR);         /* MWAIT exits at once: a guest that idles by it burns the host */
    clear(words, FEATURE_(CPUID_1_ECX, 27));      /* OSXSAVE and OSPKE follow CR4 */
    clear(words, FEATURE_(CPUID_7_ECX, 4));
    clear(words, FEATURE_(CPUID_7_EDX, 22));      /* AMX: its 8 KiB of tiles do not fit the saved state */
    clear(words, FEATURE_(CPUID_7_EDX, 24));
    clear(words, FEATURE_(CPUID_7_EDX, 25));
    clear(words, FEATURE_(CPUID_D_1_EAX, 3));     /* XSAVES and XFD: MSRs that are not in the saved state */
    clear(words, FEATURE_(CPUID_D_1_EAX, 4));
    clear(words, FEATURE_VMX);                    /* nested state is not saved */
    clear(words, FEATURE_SVM);
    if (!lapic) {                                 /* asynchronous page faults and EOI by memory need the kernel's LAPIC */
        words[CPUID_4000_0001_EAX] &= ~(1u << 4 | 1u << 6 | 1u << 11 | 1u << 13 | 1u << 14 | 1u << 15);
    }
}

bool kvm_cpuid_probe(Kvm *kvm, GError **err)
{
    int error = 0;
    g_autofree struct kvm_cpuid2 *table = supported(kvm, &error);
    CpuidConfig *able = &kvm->able;
    uint32_t *words = able->words;

    if (!table) {
        return fail(err, error ? error : E2BIG, "/dev/kvm: does not tell what processor it gives: %s", g_strerror(error ? error : E2BIG));
    }
    cpuid_of_host(able);                   /* vendor, brand, signature, address bits */
    able->kvm_leaves = true;
    words[CPUID_1_EDX] = entry_of(table, 1, 0)->edx;
    words[CPUID_1_ECX] = entry_of(table, 1, 0)->ecx;
    words[CPUID_6_EAX] = entry_of(table, 6, 0)->eax;
    words[CPUID_7_EBX] = entry_of(table, 7, 0)->ebx;
    words[CPUID_7_ECX] = entry_of(table, 7, 0)->ecx;
    words[CPUID_7_EDX] = entry_of(table, 7, 0)->edx;
    words[CPUID_7_1_EAX] = entry_of(table, 7, 1)->eax;
    words[CPUID_D_1_EAX] = entry_of(table, 0xd, 1)->eax;
    words[CPUID_8000_0001_EDX] = entry_of(table, 0x80000001, 0)->edx & ~UINT32_C(0x0183f3ff);     /* AMD's copies of leaf 1 come back by vendor */
    words[CPUID_8000_0001_ECX] = entry_of(table, 0x80000001, 0)->ecx;
    words[CPUID_8000_0007_EDX] = entry_of(table, 0x80000007, 0)->edx;
    words[CPUID_8000_0008_EBX] = entry_of(table, 0x80000008, 0)->ebx;
    words[CPUID_4000_0001_EAX] = entry_of(table, KVM_SIGNATURE_LEAF + 1, 0)->eax;
    able->xcr0 = (uint64_t)entry_of(table, 0xd, 0)->edx << 32 | entry_of(table, 0xd, 0)->eax;
    able->level = MIN(able->level, 0x16);
    able->extended_level = MIN(able->extended_level, 0x8000001e);
    adjust(kvm, words);
    if (able->xcr0 == 0) {
        clear(words, FEATURE_XSAVE);
    }
    cpuid_settle(able);
    return true;
}

/* One vCPU's table ------------------------------------------------------------------------------------------------ */

typedef struct Table { struct kvm_cpuid2 *kvm; const CpuidConfig *config; uint32_t apic_id; } Table;

static bool add_leaf(Table *table, uint32_t leaf, uint32_t subleaf, bool indexed)
{
    uint32_t out[4];

    if (table->kvm->nent == MOST_ENTRIES) {
        return false;
    }
    cpuid_query(table->config, table->apic_id, leaf, subleaf, out);
    if (indexed && subleaf && !(out[0] | out[1] | out[2])) {
        return true;                       /* an absent subleaf reads as zeros anyway */
    }
    table->kvm->entries[table->kvm->nent++] = (struct kvm_cpuid_entry2){
        .function = leaf, .index = subleaf, .flags = indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
        .eax = out[0], .ebx = out[1], .ecx = out[2], .edx = out[3] };
    return true;
}

/* How many subleaves a leaf has; 0: it does not look at ECX. */
static uint32_t subleaves(uint32_t leaf)
{
    switch (leaf) {
    case 4: case 0x8000001d: return 5;
    case 7: return 2;
    case 0xb: case 0x1f: return 4;
    case 0xd: return 63;
    default: return 0;
    }
}

static bool add_range(Table *table, uint32_t first, uint32_t last)
{
    bool fits = true;
    for (uint32_t leaf = first; leaf <= last && leaf >= first; leaf++) {
        uint32_t count = subleaves(leaf);
        for (uint32_t subleaf = 0; subleaf < MAX(count, 1); subleaf++) {
            fits = fits && add_leaf(table, leaf, subleaf, count != 0);
        }
    }
    return fits;
}

bool kvm_cpuid_set(KvmCpu *k, const Value *model, const Value *smp, GError **err)
{
    if (!cpuid_config(&k->config, model, smp, "qemu64", &k->kvm->able, err)) {
        return false;
    }
    g_autofree struct kvm_cpuid2 *entries = g_malloc0(sizeof *entries + MOST_ENTRIES * sizeof entries->entries[0]);
    Table table = { entries, &k->config, k->cpu->apic_id };
    bool fits = add_range(&table, 0, k->config.level);
    if (cpuid_has(k->config.words, FEATURE_HYPERVISOR) && !k->config.hide_hypervisor) {
        fits = fits && add_range(&table, KVM_SIGNATURE_LEAF, KVM_SIGNATURE_LEAF + (k->config.tsc_khz ? 0x10 : 1));
    }
    fits = fits && add_range(&table, 0x80000000, k->config.extended_level);
    if (!fits) {
        return fail(err, E2BIG, "CPU %u: more than %d CPUID entries", k->cpu->index, MOST_ENTRIES);
    }
    int result = kvm_ioctl(k->fd, KVM_SET_CPUID2, entries);
    return result >= 0 || fail(err, -result, "CPU %u: KVM refuses model '%s': %s", k->cpu->index, k->config.model, g_strerror(-result));
}
