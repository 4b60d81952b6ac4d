/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rig.h - a machine without a CPU, a clock turned by hand, and probes on its wires
 *
 * A test body runs on a fresh machine, and (RESTORED) on one that is saved and loaded into a second machine at every
 * rig_advance() and rig_checkpoint(). The failing line and the command that reproduces it are printed.
 */
#pragma once
#include "hw/core/machine.h"

typedef struct Rig Rig;
enum { FRESH = 1, RESTORED = 2, PLUGGED = 4 };
typedef struct Test {
    const char *name;
    void (*run)(Rig *rig);
    const char *board;                     /* "bare", "isa" (ports, 16 probed IRQ lines), "intc" (interrupt controllers, four processors that are probes), "chipset" (PCI, lines probed), "pc" (everything), NULL: "isa" */
    const char *devices;                   /* -device style list, blank separated: "isa-pit,irq=@0": a wire to probe 0 */
    unsigned runs;
    const char *config;                    /* members of the configuration tree, blank separated: "rtc.clock=vm"; may be NULL */
    Value *(*settings)(void);              /* more members, as an object, for what text cannot say: drives[] with images; may be NULL */
} Test;

uint8_t rig_inb(Rig *rig, uint16_t port);
uint16_t rig_inw(Rig *rig, uint16_t port);
uint32_t rig_inl(Rig *rig, uint16_t port);
void rig_outb(Rig *rig, uint16_t port, uint8_t value);
void rig_outw(Rig *rig, uint16_t port, uint16_t value);
void rig_outl(Rig *rig, uint16_t port, uint32_t value);
uint64_t rig_load(Rig *rig, uint64_t address, unsigned size);         /* memory, as a processor sees it */
void rig_store(Rig *rig, uint64_t address, unsigned size, uint64_t value);
void rig_read(Rig *rig, uint64_t address, void *data, size_t length);
void rig_write(Rig *rig, uint64_t address, const void *data, size_t length);
void rig_advance(Rig *rig, int64_t ns);    /* turns the clock; RESTORED: saves and loads first */
void rig_checkpoint(Rig *rig);             /* RESTORED: saves and loads; FRESH: nothing */
/* Turns the main IoLoop until no storage is at work: until then every drive is as slow as a drive can be. */
void rig_io(Rig *rig);
enum { RIG_PROBES = 24 };                  /* 0-15: the ISA lines of boards "isa" and "chipset"; the others are free */
bool rig_irq(Rig *rig, unsigned irq);      /* level at a probe */
unsigned rig_irq_edges(Rig *rig, unsigned irq);           /* rising edges since the last ask */
Machine *rig_machine(Rig *rig);            /* changes at a checkpoint: do not keep */
Device *rig_device(Rig *rig, const char *id);             /* by id or model name */
unsigned rig_resets(Rig *rig);             /* machine resets requested since the last ask */

/* Board "intc". */
typedef struct RigCpu {                    /* what a processor was told */
    bool intr;
    unsigned nmis, inits, sipis;
    uint8_t sipi_vector;
} RigCpu;
enum { RIG_CPUS = 4 };
typedef struct Intc Intc;
Intc *rig_intc(Rig *rig);                  /* changes at a checkpoint */
RigCpu *rig_cpu(Rig *rig, unsigned index); /* counts may be cleared */

void check_failed(const char *file, int line, const char *format, ...) G_GNUC_PRINTF(3, 4);
#define check(condition) \
    do { if (!(condition)) { check_failed(__FILE__, __LINE__, "%s", #condition); } } while (0)
#define check_eq(a, b)                                                                                     \
    do {                                                                                                   \
        long long a_ = (long long)(a), b_ = (long long)(b);                                                \
        if (a_ != b_) {                                                                                    \
            check_failed(__FILE__, __LINE__, "%s is 0x%llx, expected 0x%llx", #a, (unsigned long long)a_,  \
                         (unsigned long long)b_);                                                          \
        }                                                                                                  \
    } while (0)
