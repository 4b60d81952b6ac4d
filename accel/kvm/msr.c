/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * msr.c - model-specific registers between CpuState and KVM
 *
 * All go in one call. KVM stops at the first that it refuses and says how many it took: that one is left out, here and in all
 * later calls (a host that does not know an MSR will not learn it), with a warning when it would have held something, and the
 * rest goes on. No host's refusal ends the machine.
 *
 * Threads  CPU paused, machine lock held
 * Tests    tests/kvm
 */
#include "accel/kvm/kvm-internal.h"
#include "base/log.h"
#include <stddef.h>
#include <string.h>

typedef struct Msr {
    uint32_t index;
    size_t offset;                         /* of the uint64_t in CpuState */
    int needs;                             /* FEATURE_*, or -1 */
} Msr;

#define MSR(number, member) { number, offsetof(CpuState, member), -1 }
#define MSR_IF(number, member, feature) { number, offsetof(CpuState, member), feature }
#define MTRR_PAIR(n) MSR_IF(0x200 + 2 * (n), mtrr_base[n], FEATURE_MTRR), MSR_IF(0x201 + 2 * (n), mtrr_mask[n], FEATURE_MTRR)

static const Msr msrs[] = {
    MSR(0x10, tsc), MSR_IF(0x3b, tsc_adjust, FEATURE_TSC_ADJUST), MSR_IF(0xc0000103, tsc_aux, FEATURE_RDTSCP),
    MSR_IF(0xc0000081, star, FEATURE_SYSCALL), MSR_IF(0xc0000082, lstar, FEATURE_LM), MSR_IF(0xc0000083, cstar, FEATURE_LM),
    MSR_IF(0xc0000084, sfmask, FEATURE_LM), MSR_IF(0xc0000102, kernel_gs_base, FEATURE_LM),
    MSR_IF(0x174, sysenter_cs, FEATURE_SEP), MSR_IF(0x175, sysenter_esp, FEATURE_SEP), MSR_IF(0x176, sysenter_eip, FEATURE_SEP),
    MSR_IF(0x277, pat, FEATURE_PAT), MSR(0x1a0, misc_enable), MSR_IF(0x48, spec_ctrl, FEATURE_SPEC_CTRL),
    MSR_IF(0x2ff, mtrr_def_type, FEATURE_MTRR),
    MSR_IF(0x250, mtrr_fixed[0], FEATURE_MTRR), MSR_IF(0x258, mtrr_fixed[1], FEATURE_MTRR), MSR_IF(0x259, mtrr_fixed[2], FEATURE_MTRR),
    MSR_IF(0x268, mtrr_fixed[3], FEATURE_MTRR), MSR_IF(0x269, mtrr_fixed[4], FEATURE_MTRR), MSR_IF(0x26a, mtrr_fixed[5], FEATURE_MTRR),
    MSR_IF(0x26b, mtrr_fixed[6], FEATURE_MTRR), MSR_IF(0x26c, mtrr_fixed[7], FEATURE_MTRR), MSR_IF(0x26d, mtrr_fixed[8], FEATURE_MTRR),
    MSR_IF(0x26e, mtrr_fixed[9], FEATURE_MTRR), MSR_IF(0x26f, mtrr_fixed[10], FEATURE_MTRR),
    MTRR_PAIR(0), MTRR_PAIR(1), MTRR_PAIR(2), MTRR_PAIR(3), MTRR_PAIR(4), MTRR_PAIR(5), MTRR_PAIR(6), MTRR_PAIR(7),
    MSR_IF(0x4b564d00, kvm_wall_clock, FEATURE_(CPUID_4000_0001_EAX, 3)), MSR_IF(0x4b564d01, kvm_system_time, FEATURE_(CPUID_4000_0001_EAX, 3)),
    /* Last: it means something only once the APIC's timer is in deadline mode. */
    MSR_IF(0x6e0, tsc_deadline, FEATURE_TSC_DEADLINE),
};
enum { MSRS = G_N_ELEMENTS(msrs) };
G_STATIC_ASSERT(MSRS <= 64);               /* Kvm.refused_msrs */

typedef struct Batch {
    struct kvm_msrs head;
    struct kvm_msr_entry entries[MSRS];
    unsigned which[MSRS];                  /* index into msrs[] */
} Batch;

static bool wanted(const KvmCpu *k, unsigned i)
{
    return !(k->kvm->refused_msrs >> i & 1) && (msrs[i].needs < 0 || cpuid_has(k->config.words, (unsigned)msrs[i].needs));
}

static void collect(const KvmCpu *k, const CpuState *state, Batch *batch)
{
    memset(batch, 0, sizeof *batch);
    for (unsigned i = 0; i < MSRS; i++) {
        if (wanted(k, i)) {
            struct kvm_msr_entry *entry = &batch->entries[batch->head.nmsrs];
            entry->index = msrs[i].index;
            if (state) {
                memcpy(&entry->data, (const char *)state + msrs[i].offset, sizeof entry->data);
            }
            batch->which[batch->head.nmsrs++] = i;
        }
    }
}

/* Does the whole batch; each refusal shortens it by one. */
static void transfer(KvmCpu *k, Batch *batch, unsigned long request)
{
    for (;;) {
        int done = kvm_ioctl(k->fd, request, batch);
        if (done >= (int)batch->head.nmsrs) {
            return;
        }
        unsigned bad = (unsigned)MAX(done, 0);
        if (request == KVM_SET_MSRS && batch->entries[bad].data) {
            report_warning("KVM refuses 0x%" G_GINT64_MODIFIER "x for MSR 0x%x on CPU %u; the guest runs with the host's value",
                           (uint64_t)batch->entries[bad].data, batch->entries[bad].index, k->cpu->index);
        } else {
            k->kvm->refused_msrs |= UINT64_C(1) << batch->which[bad];
        }
        unsigned after = batch->head.nmsrs - bad - 1;
        memmove(&batch->entries[bad], &batch->entries[bad + 1], after * sizeof batch->entries[0]);
        memmove(&batch->which[bad], &batch->which[bad + 1], after * sizeof batch->which[0]);
        batch->head.nmsrs--;
    }
}

void kvm_msrs_get(KvmCpu *k, CpuState *state)
{
    Batch batch;
    collect(k, NULL, &batch);
    transfer(k, &batch, KVM_GET_MSRS);
    for (unsigned i = 0; i < batch.head.nmsrs; i++) {
        memcpy((char *)state + msrs[batch.which[i]].offset, &batch.entries[i].data, sizeof(uint64_t));
    }
}

void kvm_msrs_set(KvmCpu *k, const CpuState *state)
{
    Batch batch;
    collect(k, state, &batch);
    transfer(k, &batch, KVM_SET_MSRS);
}
