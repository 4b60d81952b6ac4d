/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * accel.h - the accelerator: what runs the guest's processors, as hw/ and cli/ see it
 *
 * One Accel per process: KVM, the software CPU ("tcg"), or none (qtest and the rig). hw builds the machine, asks for
 * CPUs, hands each its interrupt source, and lets them run.
 *
 * Threads: one per vCPU, started halted-for-pause by cpu_new(). Everything here is called with the machine lock held
 * unless it says "any thread".
 */
#pragma once
#include "accel/memory/space.h"
#include "accel/x86/cpu-state.h"
#include "accel/x86/cpuid.h"
#include "base/object.h"
#include "base/value.h"

typedef struct Accel Accel;
typedef struct Cpu Cpu;

typedef enum { IRQCHIP_OFF, IRQCHIP_SPLIT, IRQCHIP_KERNEL } IrqchipMode;

/* Where a CPU without an in-kernel LAPIC gets its interrupts and its APIC registers: hw/intc/lapic.c.
 * All are called on the CPU's own thread, without the machine lock; the source locks for itself. */
typedef struct CpuIrqSource {
    void *opaque;
    int (*acknowledge)(void *opaque);                     /* the vector to deliver now, or -1 (it was withdrawn) */
    uint8_t (*get_cr8)(void *opaque);
    void (*set_cr8)(void *opaque, uint8_t value);
    uint64_t (*get_base)(void *opaque);                   /* MSR IA32_APIC_BASE */
    bool (*set_base)(void *opaque, uint64_t value);       /* false: #GP */
    bool (*read_msr)(void *opaque, uint32_t index, uint64_t *value);      /* 800h-8FFh and 6E0h (TSC deadline); false: #GP */
    bool (*write_msr)(void *opaque, uint32_t index, uint64_t value);
} CpuIrqSource;

/* What the accelerator asks of the machine above. Called on any thread without the machine lock. */
typedef struct AccelHost {
    void *opaque;
    void (*triple_fault)(void *opaque, Cpu *cpu);
    void (*internal_error)(void *opaque, Cpu *cpu, const char *sentence);   /* registers and bytes were logged; the CPU has stopped */
    int (*pic_acknowledge)(void *opaque);                 /* KVM with userspace PIC: vector */
    void (*ioapic_eoi)(void *opaque, uint8_t vector);     /* KVM split irqchip */
    void (*breakpoint)(void *opaque, Cpu *cpu);           /* debugger stops (later) */
} AccelHost;

/* config: the "accel" list of the configuration tree, in order of preference. Creates the first that works; a sentence for each that did not. */
Accel *accel_new(const Value *config, AddressSpace *memory, AddressSpace *ports, const AccelHost *host, GError **err);
void accel_free(Accel *accel);             /* ends all vCPU threads */
const char *accel_name(const Accel *accel);               /* "kvm", "tcg", "qtest" */
bool accel_has_cpus(const Accel *accel);                  /* false: qtest */
IrqchipMode accel_irqchip(const Accel *accel);
/* Which of the known accelerators could run here; *why gets one line when it cannot (caller frees). Used for the default and for QMP. */
bool accel_usable(const char *name, char **why);

/* CPUs. model: the "cpu" object of the tree; index: 0 is the boot processor; apic_id from the topology; the topology is
 * given by smp: the "smp" object. The CPU starts paused, in its reset state. */
Cpu *cpu_new(Accel *accel, const Value *model, const Value *smp, unsigned index, uint32_t apic_id, GError **err);
/* What "-cpu" so written makes here, without a CPU: the "cpu" object of the tree, or NULL for the default. */
bool accel_cpu_config(Accel *accel, const Value *model, CpuidConfig *out, GError **err);
unsigned cpu_index(const Cpu *cpu);
int cpu_thread_id(const Cpu *cpu);                        /* Linux TID */
Object *cpu_object(Cpu *cpu);
void cpu_set_irq_source(Cpu *cpu, const CpuIrqSource *source);        /* copied; before the first run */
Cpu *cpu_current(void);                                   /* any thread: the CPU that this thread runs, or NULL */

/* Lines into a CPU. Any thread, cheap; they wake a halted CPU. */
void cpu_set_intr(Cpu *cpu, bool level);                  /* the source has something: acknowledge() will be asked when IF allows */
void cpu_nmi(Cpu *cpu);
void cpu_init_signal(Cpu *cpu);                           /* INIT: application processors then wait for SIPI */
void cpu_sipi(Cpu *cpu, uint8_t vector);
void cpu_kick(Cpu *cpu);                                  /* leave guest code soon */
void cpu_set_a20(Accel *accel, bool enabled);             /* software CPU only; KVM ignores it, as QEMU does */

/* All CPUs at once. accel_pause waits until every CPU is out of guest code; it may drop and retake the machine lock. */
void accel_pause(Accel *accel);
void accel_resume(Accel *accel);
/* Any thread, also a CPU's own: every CPU leaves guest code at the next instruction that ends its turn and does not enter it
 * again before accel_resume(). Does not wait. */
void accel_stop_soon(Accel *accel);
void cpu_reset(Cpu *cpu);                                 /* paused only: power-on state; the boot processor at F000:FFF0, others waiting for SIPI */
void cpu_get_state(Cpu *cpu, CpuState *state);            /* paused only */
bool cpu_set_state(Cpu *cpu, const CpuState *state, GError **err);
uint64_t cpu_tsc_khz(const Cpu *cpu);                     /* guest TSC frequency */
uint64_t cpu_tsc(const Cpu *cpu);                         /* guest TSC now; any thread (a userspace LAPIC's deadline timer) */
bool cpu_is_halted(Cpu *cpu);
bool cpu_has_feature(const Cpu *cpu, unsigned feature);   /* FEATURE_X of accel/x86/cpuid.h: what the guest's CPUID says */
char *cpu_translator(const Cpu *cpu);      /* one line about its translated code, NULL where none is made; figures may be a moment old; caller frees */
char *cpu_describe(Cpu *cpu);                             /* registers for "info registers" and error reports; caller frees */

/* Host wakes for ports and memory (ioeventfd): an access of size bytes (0: any) with value (when match) signals fd without the machine lock. */
bool accel_add_doorbell(Accel *accel, AddressSpace *space, uint64_t address, unsigned size, bool match, uint64_t value, int fd, GError **err);
void accel_remove_doorbell(Accel *accel, AddressSpace *space, uint64_t address, unsigned size, bool match, uint64_t value, int fd);
