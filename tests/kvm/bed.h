/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bed.h - a bare address space and an accelerator around a guest of a few bytes
 *
 * Memory: RAM from 0 to 640 KiB and from 1 MiB to 4 MiB, a 64 KiB ROM at f0000 and below 4 GiB. Ports: e9 prints a byte, f4 ends
 * the guest with a value, 80 records a value. Guests are real-mode code in the ROM's first bytes unless they say otherwise.
 * A guest that does not end within its time fails the test.
 */
#pragma once
#include "accel/accel-ops.h"
#include "accel/kvm/kvm.h"
#include "accel/memory/ram.h"
#include "base/lock.h"
#include <string.h>

typedef struct Bed {
    Region memory_root, port_root, low, high, rom, rom_top, print, end, post;
    AddressSpace *memory, *ports;
    Accel *accel;
    Cpu *cpu[2];
    GString *printed;
    uint32_t end_value, post_value;
    unsigned ends, triple_faults, internal_errors, posts;
    char *sentence;                        /* of the last internal error */
    int next_vector;                       /* what pic_acknowledge says, once; -1: nothing */
    int eoi_vector;
    pthread_cond_t change;                 /* with mutex: any of the above */
    pthread_mutex_t mutex;
} Bed;

/* options: "kernel-irqchip" value, or NULL for none. */
Bed *bed_new(const char *irqchip, unsigned cpus);
void bed_free(Bed *bed);
void bed_load(Bed *bed, const void *start, const void *end);           /* into the ROM's beginning */
void bed_start(Bed *bed);                  /* resumes, releases the machine lock */
void bed_stop(Bed *bed);                   /* takes the machine lock, pauses */
/* Waits until *counter is at least wanted; false after five seconds. Machine lock not held. */
bool bed_wait(Bed *bed, const unsigned *counter, unsigned wanted);
uint32_t bed_run(Bed *bed);                /* start, wait for the end, stop: the value */
uint8_t *bed_ram(Bed *bed, uint64_t address);             /* below 640 KiB */

bool kvm_missing(void);                    /* skips the test by name when /dev/kvm cannot be used */
bool host_runs_all_code(void);             /* the host has VMX or SVM; without them KVM emulates, and not all */

/* A guest in the middle of C: GUEST(name, "instructions") makes name_start and name_end. */
#define GUEST_(name, mode, code)                                                          \
    extern const uint8_t name##_start[], name##_end[];                                    \
    __asm__(".pushsection .rodata\n.balign 16\n" #name "_start:\n" mode "\n" code         \
            "\n" #name "_end:\n.code64\n.popsection\n")
#define GUEST(name, code) GUEST_(name, ".code16", code)
#define GUEST32(name, code) GUEST_(name, ".code32", code)
#define GUEST64(name, code) GUEST_(name, ".code64", code)
