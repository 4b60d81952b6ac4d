/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kept.c - calls that keep every general register but the one they answer in
 *
 * Tests    tests/cpu/integer.c
 */
#include "accel/soft/kept.h"

#ifndef mmu_load_kept
/* The stack is aligned by hand: the caller's inline assembly may stand anywhere. */
#define KEPT(name, target)                                                                                        \
    __asm__(".text\n\t.p2align 4\n\t.globl " name "\n\t.hidden " name "\n\t.type " name ", @function\n" name ":\n\t"   \
            "push %rbp\n\tmov %rsp, %rbp\n\tpush %rdi\n\tpush %rsi\n\tpush %rdx\n\tpush %rcx\n\t"                   \
            "push %r8\n\tpush %r9\n\tpush %r10\n\tpush %r11\n\tand $-16, %rsp\n\tcall " target "\n\t"                \
            "lea -64(%rbp), %rsp\n\tpop %r11\n\tpop %r10\n\tpop %r9\n\tpop %r8\n\t"                                  \
            "pop %rcx\n\tpop %rdx\n\tpop %rsi\n\tpop %rdi\n\tpop %rbp\n\tret\n\t.size " name ", . - " name)
KEPT("kept_load", "mmu_load_slow");
KEPT("kept_store", "mmu_store_slow");
KEPT("kept_probe", "mmu_probe");
#endif
