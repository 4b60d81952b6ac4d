/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cpu-state.h - an x86 processor's architectural state, the same for both accelerators
 *
 * One saved-state table (cpu-state.c) serves both, so that a snapshot taken under the software CPU loads under KVM and back.
 */
#pragma once
#include "base/field.h"
#include <stdint.h>

enum { GPR_RAX, GPR_RCX, GPR_RDX, GPR_RBX, GPR_RSP, GPR_RBP, GPR_RSI, GPR_RDI, GPR_R8 };
enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_COUNT };      /* encoding order of sreg */

/* A segment register with its hidden part. attributes: bits 8-23 of a descriptor's second dword shifted down by 8:
 * type 0-3, S 4, DPL 5-6, P 7, AVL 12, L 13, D/B 14, G 15; bit 16 set: unusable (null). limit in bytes, granularity applied. */
typedef struct CpuSegment {
    uint16_t selector;
    uint32_t attributes;
    uint32_t limit;
    uint64_t base;
} CpuSegment;

enum {
    ATTR_TYPE = 0x0f, ATTR_S = 0x10, ATTR_DPL_SHIFT = 5, ATTR_DPL = 0x60, ATTR_P = 0x80,
    ATTR_AVL = 0x1000, ATTR_L = 0x2000, ATTR_DB = 0x4000, ATTR_G = 0x8000, ATTR_UNUSABLE = 0x10000,
};

typedef enum { CPU_RUNNABLE, CPU_HALTED, CPU_WAIT_SIPI, CPU_SHUTDOWN } CpuActivity;

typedef struct CpuState {
    uint64_t gpr[16], rip, rflags;
    CpuSegment segment[SEG_COUNT], ldt, tr;
    uint64_t gdt_base, idt_base;
    uint32_t gdt_limit, idt_limit;
    uint64_t cr0, cr2, cr3, cr4, cr8, efer, xcr0, apic_base;
    uint64_t dr[4], dr6, dr7;
    /* MSRs */
    uint64_t tsc, tsc_adjust, tsc_aux, tsc_deadline, star, lstar, cstar, sfmask, kernel_gs_base;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip, pat, misc_enable, mtrr_def_type;
    uint64_t mtrr_fixed[11], mtrr_base[8], mtrr_mask[8];
    uint64_t spec_ctrl, kvm_system_time, kvm_wall_clock;
    /* x87 and vectors: the standard XSAVE image, at most 4096 bytes used */
    uint8_t xsave[4096];
    /* events */
    CpuActivity activity;
    bool interrupt_shadow;                 /* after STI or MOV SS */
    bool nmi_pending, nmi_masked;
    bool exception_pending, exception_has_error;
    uint8_t exception_vector;
    uint32_t exception_error;
    bool interrupt_injected;               /* accepted from the controller, not yet delivered */
    uint8_t interrupt_vector, sipi_vector;
} CpuState;

extern const Field cpu_state_saved[];
/* The power-on state of Intel SDM volume 3, table 10-1, signature goes to RDX. */
void cpu_state_reset(CpuState *state, uint32_t signature, bool boot_processor);
/* Registers as text of several lines, for "info registers" and error reports; caller frees. */
char *cpu_state_describe(const CpuState *state);
