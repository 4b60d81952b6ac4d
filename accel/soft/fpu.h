/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fpu.h - where the guest's x87, MMX and SSE state is, and the rules every such instruction starts with
 *
 * Home is the XSAVE image in the context. While a vCPU runs, the x87 stack may live in the host's registers (fpu_live)
 * and the guest's MXCSR in the host's (mxcsr_live, only while it masks everything). Nothing in the run loop uses x87 or
 * cares for MXCSR's rounding; whatever else is called (device models, the end of run) is preceded by fpu_park().
 * XMM and YMM registers are always in the image, the upper halves in its AVX part; MMX registers too, in the x87 slots, with TOP 0.
 */
#pragma once
#include "accel/soft/state.h"
#include "accel/x86/bits.h"
#include <string.h>

/* Offsets in the XSAVE image. */
enum {
    IMAGE_FCW = 0, IMAGE_FSW = 2, IMAGE_FTW = 4, IMAGE_FOP = 6, IMAGE_FIP = 8, IMAGE_FDP = 16, IMAGE_MXCSR = 24, IMAGE_MXCSR_MASK = 28,
    IMAGE_ST = 32, IMAGE_XMM = 160, IMAGE_LEGACY = 512, IMAGE_HEADER = 512, IMAGE_EXTENDED = 576,
};
enum { YMM_HIGH = IMAGE_EXTENDED - IMAGE_XMM };             /* from a register's lower half to its upper one */
enum { MXCSR_MASKS = 0x1f80, MXCSR_WRITABLE = 0xffff, MXCSR_DEFAULT = 0x1f80 };
enum { FSW_ES = 0x80, FSW_BUSY = 0x8000, FCW_MASKS = 0x3f, FCW_DEFAULT = 0x37f };

static inline uint16_t image_u16(const SoftCpu *cpu, unsigned offset) { uint16_t v; memcpy(&v, cpu->xsave + offset, 2); return v; }
static inline uint32_t image_u32(const SoftCpu *cpu, unsigned offset) { uint32_t v; memcpy(&v, cpu->xsave + offset, 4); return v; }
static inline void image_set_u16(SoftCpu *cpu, unsigned offset, uint16_t v) { memcpy(cpu->xsave + offset, &v, 2); }
static inline void image_set_u32(SoftCpu *cpu, unsigned offset, uint32_t v) { memcpy(cpu->xsave + offset, &v, 4); }
static inline void *image_xmm(SoftCpu *cpu, unsigned n) { return cpu->xsave + IMAGE_XMM + 16 * n; }
static inline void *image_ymm_high(SoftCpu *cpu, unsigned n) { return cpu->xsave + IMAGE_EXTENDED + 16 * n; }
static inline void *image_st(SoftCpu *cpu, unsigned n) { return cpu->xsave + IMAGE_ST + 16 * n; }

/* Everything home into the image; the host's x87 and MXCSR as C wants them. Cheap when nothing lives there. */
void fpu_park_slow(SoftCpu *cpu);
void fpu_park_mxcsr(SoftCpu *cpu);         /* mxcsr_live: only that */
static inline void fpu_park(SoftCpu *cpu)
{
    if (__builtin_expect(cpu->fpu_live | cpu->mxcsr_live, 0)) {
        fpu_park_slow(cpu);
    }
}
/* The power-on and INIT values of the image (FINIT's control word 037Fh is not the power-on 0040h). */
void fpu_image_reset(SoftCpu *cpu);

/* To and from an XSAVE image in standard form of at least 576 bytes, header and all: CpuState.xsave. */
void fpu_export(SoftCpu *cpu, uint8_t *image, size_t bytes);
void fpu_import(SoftCpu *cpu, const uint8_t *image, size_t bytes);

/* Before an SSE, an AVX, an MMX, an x87 instruction: #UD, #NM, #MF. */
void fpu_refuse_sse(SoftCpu *cpu, const Insn *insn);       /* raises; called when the fast test below fails */
static inline void fpu_check_sse(SoftCpu *cpu, const Insn *insn)
{
    if (__builtin_expect((cpu->cr0 & (CR0_EM | CR0_TS)) | (~cpu->cr4 & (uint64_t)CR4_OSFXSR), 0)) {
        fpu_refuse_sse(cpu, insn);
    }
}
void fpu_refuse_avx(SoftCpu *cpu, const Insn *insn);
static inline void fpu_check_avx(SoftCpu *cpu, const Insn *insn)
{
    if (__builtin_expect((cpu->cr0 & CR0_TS) | (~cpu->cr4 & (uint64_t)CR4_OSXSAVE) | (~cpu->xcr0 & (XCR0_SSE | XCR0_AVX)), 0)) {
        fpu_refuse_avx(cpu, insn);
    }
}
/* The image's x87 part into the host's registers, and what follows from a new control or status word. */
void fpu_enter_x87(SoftCpu *cpu);
/* An unmasked x87 error waits and a waiting instruction came: #MF, or FERR# where CR0.NE is clear (then it returns). */
void fpu_report_pending(SoftCpu *cpu, const Insn *insn);
/* In front of an MMX instruction; x87 is parked. Then, when nothing can fault any more: registers as MMX sees them, TOP 0, all valid. */
void fpu_check_mmx(SoftCpu *cpu, const Insn *insn);
void fpu_turn_to_mmx(SoftCpu *cpu);

static inline void host_set_mxcsr(uint32_t value) { __asm__ volatile("ldmxcsr %0" : : "m"(value) : "memory"); }
static inline uint32_t host_mxcsr(void) { uint32_t value; __asm__ volatile("stmxcsr %0" : "=m"(value) : : "memory"); return value; }
