/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvm-internal.h - inside accel/kvm: the VM, a vCPU, and what the files say to each other
 */
#pragma once
#include "accel/accel-ops.h"
#include "accel/kvm/kvm.h"
#include "accel/x86/cpuid.h"
#include <linux/kvm.h>
#include <sys/ioctl.h>

typedef struct KvmSlots KvmSlots;
typedef struct KvmRoutes KvmRoutes;

typedef struct Kvm {
    Accel *accel;
    int system, vm;                        /* descriptors; -1 when not open */
    size_t run_size;                       /* bytes of each vCPU's shared page */
    bool has_xcrs, has_debugregs, has_ioeventfd_any_length;
    KvmSlots *slots;
    KvmRoutes *routes;
    CpuidConfig able;                      /* what this host's KVM gives a guest */
    uint64_t refused_msrs;                 /* by index into the table of msr.c: do not try again */
    /* The guest's clock, which stands while the machine is paused: ns, read at the pause. */
    bool clock_held;
    uint64_t clock;
    /* Nobody may be in KVM_RUN while slots change. */
    bool inhibit;                          /* atomic */
    pthread_mutex_t inhibit_mutex;
    pthread_cond_t inhibit_change;
} Kvm;

enum {                                     /* KvmCpu.requests; atomic */
    REQUEST_NMI = 1, REQUEST_INIT = 2, REQUEST_SIPI = 4,
};

typedef struct KvmCpu {
    Cpu *cpu;
    Kvm *kvm;
    int fd;
    struct kvm_run *run;
    CpuidConfig config;
    bool in_run;                           /* atomic: in KVM_RUN, so that a signal is needed to get it out */
    bool intr;                             /* atomic: level from the userspace controller */
    uint32_t requests;                     /* atomic */
    uint8_t sipi_vector;
    CpuActivity activity;                  /* atomic; without an in-kernel LAPIC: halted and waiting for SIPI are kept here */
    uint64_t cr8;                          /* as the irq source has it */
    unsigned refusals;                     /* KVM_RUN said EAGAIN so many times in a row */
} KvmCpu;

static inline bool kvm_lapic_in_kernel(const Kvm *kvm) { return kvm->accel->irqchip != IRQCHIP_OFF; }

static inline CpuActivity kvm_activity(const KvmCpu *k) { return __atomic_load_n(&k->activity, __ATOMIC_RELAXED); }
static inline void kvm_set_activity(KvmCpu *k, CpuActivity activity) { __atomic_store_n(&k->activity, activity, __ATOMIC_RELAXED); }

/* ioctl that starts again after a signal: 0 or more, or -errno. */
int kvm_ioctl(int fd, unsigned long request, void *argument);

/* kvm.c */
char *kvm_explain_open(const char *path, int error);     /* the four distinguished sentences; caller frees */
int kvm_open_device(const char *path, char **why);       /* descriptor, or -1 and a sentence */
/* Keeps every vCPU out of KVM_RUN until kvm_uninhibit(); machine lock held. */
void kvm_inhibit(Kvm *kvm);
void kvm_uninhibit(Kvm *kvm);

/* vcpu.c */
CpuRunResult kvm_cpu_run(Cpu *cpu);
bool kvm_cpu_has_work(Cpu *cpu);
void kvm_cpu_kick(Cpu *cpu);

/* slots.c */
KvmSlots *kvm_slots_new(Kvm *kvm);
void kvm_slots_free(KvmSlots *slots);
void kvm_slots_sync(KvmSlots *slots);      /* before guest memory matters to KVM; NULL is ignored */

/* irqchip.c */
bool kvm_irqchip_open(Kvm *kvm, IrqchipMode mode, GError **err);
void kvm_irqchip_close(Kvm *kvm);
bool kvm_doorbell_add(Accel *accel, AddressSpace *space, uint64_t address, unsigned size, bool match, uint64_t value, int fd);
bool kvm_doorbell_remove(Accel *accel, AddressSpace *space, uint64_t address, unsigned size, bool match, uint64_t value, int fd);

/* cpuid.c */
bool kvm_cpuid_probe(Kvm *kvm, GError **err);            /* fills kvm->able */
bool kvm_cpuid_set(KvmCpu *k, const Value *model, const Value *smp, GError **err);

/* msr.c */
void kvm_msrs_get(KvmCpu *k, CpuState *state);
void kvm_msrs_set(KvmCpu *k, const CpuState *state);

/* state.c */
void kvm_cpu_reset(Cpu *cpu);
void kvm_cpu_init(Cpu *cpu, bool boot_processor);        /* INIT signal, without an in-kernel LAPIC */
void kvm_cpu_start_at(Cpu *cpu, uint8_t vector);         /* SIPI, likewise */
void kvm_cpu_get_state(Cpu *cpu, CpuState *state);
bool kvm_cpu_set_state(Cpu *cpu, const CpuState *state, GError **err);
