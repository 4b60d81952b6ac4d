/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * harness.h - a software CPU over 16 MiB of plain RAM, for small programs in flat segments
 *
 *   Harness *h = harness_new(8, 3);                       64-bit code at CPL 3
 *   harness_code(h, SNIPPET(64, "add %rbx, %rax"));
 *   h->cpu->gpr[GPR_RAX] = 1;
 *   harness_run(h, 1);
 */
#pragma once
#include "accel/memory/ram.h"
#include "accel/soft/flags.h"
#include "accel/soft/soft.h"
#include "accel/x86/bits.h"
#include <glib.h>

enum { HARNESS_BYTES = 16 << 20, HARNESS_CODE = 0x8000, HARNESS_DATA = 0x4000, HARNESS_STACK = 0x7000, HARNESS_TABLES = 0x100000 };

typedef struct Harness {
    SoftCpu *cpu;
    Region root, ram, port_root;
    AddressSpace *memory, *ports;
    uint8_t *bytes;                        /* host address of guest-physical 0 */
} Harness;

Harness *harness_new(unsigned code_size, unsigned cpl);
void harness_free(Harness *h);
/* Copies code to HARNESS_CODE; clears registers; RIP, RSP and flags as at a start. */
void harness_code(Harness *h, const void *code, size_t length);
SoftStop harness_run(Harness *h, uint64_t count);         /* must do all of them, or raise */

/* Bytes of an assembly text, AT&T syntax, .code16, .code32 or .code64: pointer and length, as two arguments. */
#define SNIPPET(bits, text) SNIPPET_(bits, text, __COUNTER__)
#define SNIPPET_(bits, text, n) SNIPPET__(bits, text, n)
#define SNIPPET__(bits, text, n)                                                                                       \
    __extension__ ({                                                                                                   \
        const uint8_t *start_;                                                                                         \
        __asm__(".pushsection .rodata\n.code" #bits "\nsnippet_" #n ":\n" text "\nsnippet_end_" #n ":\n.code64\n.popsection"); \
        __asm__("lea snippet_" #n "(%%rip), %0" : "=r"(start_));                                                       \
        start_;                                                                                                        \
    }),                                                                                                                \
    __extension__ ({ size_t length_; __asm__("mov $snippet_end_" #n " - snippet_" #n ", %0" : "=r"(length_)); length_; })
