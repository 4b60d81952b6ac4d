/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * accel-ops.h - inside the accelerator: what accel.c and vcpu.c do for kvm/, soft/ and qtest, and what those give them
 *
 * accel.c owns the list of CPUs and the choice of accelerator; vcpu.c owns the threads and the protocol of pausing,
 * kicking and sleeping. An accelerator fills one AccelOps.
 *
 * A CpuThread serves one Cpu, or several in turn when the accelerator sets accel->one_thread in open(). Its loop, per Cpu:
 *
 *     work queued for it -> paused? wait -> runnable? ops->run(cpu) -> again
 *
 * run() is called without the machine lock, on the Cpu's thread, with cpu_current() set. It returns
 *     CPU_RAN      a kick was seen (cpu_leave_wanted(cpu)), or, when cpu->thread serves several, its turn is over
 *                  (some 10000 instructions: the implementation's choice);
 *     CPU_SLEEPS   halted: not called again until ops->has_work(cpu); the thread sleeps when all its Cpus do;
 *     CPU_STOPPED  cannot go on (triple fault, internal error, both already told to AccelHost): not called again
 *                  until cpu_reset() or cpu_set_state().
 *
 * Kicks: the core sets cpu->leave, then calls ops->kick(cpu), which must make a running run() return soon and may be
 * called at any time on any thread (run not active, twice at once, cpu stopped). The core clears cpu->leave before each
 * run(); so an implementation that keeps a request word of its own clears its exit bit at the start of run(), and
 * then looks at cpu_leave_wanted() once, in this order, so that no kick is lost.
 *
 * Lines (set_intr, nmi, init_signal, sipi) are called on any thread: they record the request by a sequentially consistent
 * store or read-modify-write and make a running guest notice it; the core then wakes the thread if it sleeps.
 */
#pragma once
#include "accel/accel.h"
#include <pthread.h>

typedef enum { CPU_RAN, CPU_SLEEPS, CPU_STOPPED } CpuRunResult;
typedef struct CpuThread CpuThread;

typedef struct AccelOps {
    const char *name;                      /* "kvm", "tcg", "qtest" */
    const char *help;
    bool has_cpus;                         /* false: cpus are objects that never run */
    /* Could it run here? May allocate one line into *why. */
    bool (*usable)(char **why);
    /* options: one object of the accel list, or NULL. Sets accel->data, ->irqchip, ->one_thread; an option that it does not know is an error naming it. */
    bool (*open)(Accel *accel, const Value *options, GError **err);
    void (*close)(Accel *accel);           /* after every cpu_close() */

    /* Machine lock held, cpu->index, ->apic_id and ->accel set; sets cpu->data. The reset state is set by the core's reset() call that follows. */
    bool (*cpu_open)(Cpu *cpu, const Value *model, const Value *smp, GError **err);
    void (*cpu_close)(Cpu *cpu);           /* its thread has ended */
    void (*thread_begin)(CpuThread *thread);   /* on the new thread, before anything (may be NULL): signal stacks */
    void (*thread_end)(CpuThread *thread);     /* may be NULL */

    CpuRunResult (*run)(Cpu *cpu);
    bool (*has_work)(Cpu *cpu);            /* a sleeping CPU should run again; any thread, no lock */
    void (*kick)(Cpu *cpu);

    void (*set_intr)(Cpu *cpu, bool level);
    void (*nmi)(Cpu *cpu);
    void (*init_signal)(Cpu *cpu);
    void (*sipi)(Cpu *cpu, uint8_t vector);
    void (*set_a20)(Accel *accel, bool enabled);         /* may be NULL */

    /* CPU paused, machine lock held; called on the thread that asks. */
    void (*resuming)(Cpu *cpu);            /* just before it may run again (may be NULL) */
    void (*paused)(Accel *accel);          /* all have come to stand (may be NULL) */
    void (*reset)(Cpu *cpu);
    void (*get_state)(Cpu *cpu, CpuState *state);
    bool (*set_state)(Cpu *cpu, const CpuState *state, GError **err);
    bool (*is_halted)(Cpu *cpu);           /* may race with a running CPU */
    char *(*translator)(const Cpu *cpu);   /* one line about its translated code, for "info jit"; may be NULL: it has none */
    bool (*has_feature)(const Cpu *cpu, unsigned feature);   /* FEATURE_X of accel/x86/cpuid.h; NULL: none */
    bool (*cpu_config)(Accel *accel, const Value *model, CpuidConfig *out, GError **err);    /* accel_cpu_config(); NULL: no CPUs */
    uint64_t (*tsc_khz)(const Cpu *cpu);
    uint64_t (*tsc)(const Cpu *cpu);       /* any thread; may be NULL: the guest clock times tsc_khz */

    /* May be NULL or return false: then the table of space.c does it (it serves every userspace store). */
    bool (*add_doorbell)(Accel *accel, AddressSpace *space, uint64_t address, unsigned size, bool match, uint64_t value, int fd);
    bool (*remove_doorbell)(Accel *accel, AddressSpace *space, uint64_t address, unsigned size, bool match, uint64_t value, int fd);
} AccelOps;

extern const AccelOps kvm_ops;             /* accel/kvm/kvm.c; absent under -Dkvm=false */
extern const AccelOps soft_ops;            /* accel/soft/soft.c */
extern const AccelOps qtest_ops;           /* accel/accel.c */

struct Accel {
    const AccelOps *ops;
    AddressSpace *memory, *ports;
    AccelHost host;                        /* copied */
    IrqchipMode irqchip;
    bool one_thread;                       /* all CPUs on one thread, in turn */
    void *data;                            /* the accelerator's */
    GPtrArray *cpus;                       /* Cpu *, by index; machine lock */
    GPtrArray *threads;                    /* CpuThread * */
    pthread_mutex_t mutex;                 /* of all thread states below; taken last, nothing is called under it but has_work */
    pthread_cond_t quiet;                  /* a thread left guest code, or finished work */
    bool paused;                           /* wanted by accel_pause; atomic */
    bool settled;                          /* all have come to stand since; machine lock */
    bool ending;
};

typedef struct CpuWork CpuWork;
struct CpuThread {
    Accel *accel;
    GPtrArray *cpus;                       /* those it serves */
    pthread_t thread;
    int tid;
    pthread_cond_t wake;
    bool in_guest;                         /* inside the run phase: accel->mutex */
    bool ended;                            /* the same */
    bool sleeping;                         /* waits on .wake; atomic, so that a line finds out cheaply */
    CpuWork *work;                         /* list; accel->mutex */
    unsigned turn;                         /* index into .cpus of the next to run */
};

struct Cpu {
    Object object;
    Accel *accel;
    CpuThread *thread;
    unsigned index;
    uint32_t apic_id;
    CpuIrqSource source;                   /* .opaque NULL and all NULL until given */
    void *data;                            /* the accelerator's own context */
    bool leave;                            /* atomic: a kick is wanted */
    bool sleeps, stopped;                  /* written by its own thread or while paused */
};

/* Any thread: somebody wants this CPU out of guest code. */
static inline bool cpu_leave_wanted(const Cpu *cpu)
{
    return __atomic_load_n(&cpu->leave, __ATOMIC_SEQ_CST);
}

/* accel.c: an Accel on this table, not opened yet (tests bring tables of their own). */
Accel *accel_new_with(const AccelOps *ops, AddressSpace *memory, AddressSpace *ports, const AccelHost *host);

/* vcpu.c */
bool cpu_thread_attach(Cpu *cpu, GError **err);           /* gives it its thread */
void cpu_threads_end(Accel *accel);                       /* joins all; drops the machine lock while it waits */
void cpu_wake(Cpu *cpu);                                  /* any thread: has_work() may have changed */
/* Runs call(cpu, opaque) on the CPU's thread, out of guest code, and waits; at once when the caller is that thread or
 * everything is paused. Drops the machine lock while it waits. call must not take the machine lock. */
void cpu_run_on(Cpu *cpu, void (*call)(Cpu *cpu, void *opaque), void *opaque);
