/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fpu.c - moves the guest's x87 and MXCSR state between the context and the host's registers
 *
 * Models   the conditions of #UD, #NM and #MF in front of x87, MMX and SSE instructions (SDM volume 3, chapters 2.5, 13)
 * Omits    the instruction and data pointers: always zero after an instruction ran, since the host's would be host addresses;
 *          FERR# is only noted
 * Threads  the vCPU's own
 * Tests    tests/cpu/fuzz.c
 */
#include "accel/soft/fpu.h"

void fpu_image_reset(SoftCpu *cpu)
{
    memset(cpu->xsave, 0, sizeof cpu->xsave);
    image_set_u16(cpu, IMAGE_FCW, 0x40);
    image_set_u32(cpu, IMAGE_MXCSR, MXCSR_DEFAULT);
    image_set_u32(cpu, IMAGE_MXCSR_MASK, MXCSR_WRITABLE);
    cpu->fpu_live = cpu->mxcsr_live = cpu->x87_pending = cpu->x87_unmasked = cpu->ferr = false;
}

void fpu_export(SoftCpu *cpu, uint8_t *image, size_t bytes)
{
    uint64_t states = XCR0_X87 | XCR0_SSE | (cpu->xcr0 & XCR0_AVX);

    fpu_park(cpu);
    memcpy(image, cpu->xsave, bytes);
    memset(image + IMAGE_HEADER, 0, IMAGE_EXTENDED - IMAGE_HEADER);
    for (unsigned i = 0; i < 16; i++) {                    /* they stay while XCR0 hides them */
        static const uint8_t zeros[16];
        states |= memcmp(image_ymm_high(cpu, i), zeros, sizeof zeros) ? XCR0_AVX : 0;
    }
    memcpy(image + IMAGE_HEADER, &states, sizeof states);
}

/* A component that the header says is in its initial state need not be there. */
void fpu_import(SoftCpu *cpu, const uint8_t *image, size_t bytes)
{
    uint64_t states;
    uint32_t mxcsr;

    fpu_park(cpu);
    memcpy(&states, image + IMAGE_HEADER, sizeof states);
    memcpy(&mxcsr, image + IMAGE_MXCSR, sizeof mxcsr);
    fpu_image_reset(cpu);
    image_set_u16(cpu, IMAGE_FCW, FCW_DEFAULT);
    image_set_u32(cpu, IMAGE_MXCSR, mxcsr & MXCSR_WRITABLE);
    if (states & XCR0_X87) {
        memcpy(cpu->xsave, image, IMAGE_MXCSR);
        memcpy(cpu->xsave + IMAGE_ST, image + IMAGE_ST, IMAGE_XMM - IMAGE_ST);
    }
    if (states & XCR0_SSE) {
        memcpy(cpu->xsave + IMAGE_XMM, image + IMAGE_XMM, 256);
    }
    if (states & XCR0_AVX) {
        memcpy(cpu->xsave + IMAGE_EXTENDED, image + IMAGE_EXTENDED, bytes - IMAGE_EXTENDED < 256 ? bytes - IMAGE_EXTENDED : 256);
    }
}

void fpu_park_mxcsr(SoftCpu *cpu)
{
    image_set_u32(cpu, IMAGE_MXCSR, host_mxcsr() & MXCSR_WRITABLE);
    host_set_mxcsr(MXCSR_DEFAULT);
    cpu->mxcsr_live = false;
}

void fpu_park_slow(SoftCpu *cpu)
{
    if (cpu->mxcsr_live) {
        fpu_park_mxcsr(cpu);
    }
    if (cpu->fpu_live) {
        uint8_t host[IMAGE_LEGACY] __attribute__((aligned(16)));

        __asm__ volatile("fxsave64 %0\n\tfninit" : "=m"(host) : : "memory");
        memcpy(cpu->xsave, host, IMAGE_FOP);
        memset(cpu->xsave + IMAGE_FOP, 0, IMAGE_MXCSR - IMAGE_FOP);      /* FOP, FIP, FDP */
        memcpy(cpu->xsave + IMAGE_ST, host + IMAGE_ST, IMAGE_XMM - IMAGE_ST);
        cpu->fpu_live = false;
    }
}

void fpu_enter_x87(SoftCpu *cpu)
{
    uint8_t host[IMAGE_LEGACY] __attribute__((aligned(16)));

    memcpy(host, cpu->xsave, IMAGE_XMM);
    memset(host + IMAGE_FOP, 0, IMAGE_MXCSR - IMAGE_FOP);
    uint32_t mxcsr = host_mxcsr();
    memcpy(host + IMAGE_MXCSR, &mxcsr, sizeof mxcsr);
    memset(host + IMAGE_XMM, 0, IMAGE_LEGACY - IMAGE_XMM);
    __asm__ volatile("fxrstor64 %0" : : "m"(host)
                     : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",
                       "xmm13", "xmm14", "xmm15");
    cpu->fpu_live = true;
    cpu->x87_unmasked = (~image_u16(cpu, IMAGE_FCW) & FCW_MASKS) != 0;
    cpu->x87_pending = (image_u16(cpu, IMAGE_FSW) & ~image_u16(cpu, IMAGE_FCW) & FCW_MASKS) != 0;
}

void fpu_refuse_sse(SoftCpu *cpu, const Insn *insn)
{
    if ((cpu->cr0 & CR0_EM) || !(cpu->cr4 & CR4_OSFXSR)) {
        soft_raise(cpu, insn, EXC_UD);
    }
    soft_raise(cpu, insn, EXC_NM);
}

void fpu_refuse_avx(SoftCpu *cpu, const Insn *insn)
{
    const uint64_t both = XCR0_SSE | XCR0_AVX;

    soft_raise(cpu, insn, !(cpu->cr4 & CR4_OSXSAVE) || (cpu->xcr0 & both) != both ? EXC_UD : EXC_NM);
}

void fpu_report_pending(SoftCpu *cpu, const Insn *insn)
{
    if (cpu->cr0 & CR0_NE) {
        soft_raise(cpu, insn, EXC_MF);
    }
    cpu->ferr = true;
}

void fpu_check_mmx(SoftCpu *cpu, const Insn *insn)
{
    if (cpu->cr0 & (CR0_EM | CR0_TS)) {
        soft_raise(cpu, insn, cpu->cr0 & CR0_EM ? EXC_UD : EXC_NM);
    }
    fpu_park(cpu);
    if (image_u16(cpu, IMAGE_FSW) & ~image_u16(cpu, IMAGE_FCW) & FCW_MASKS) {
        fpu_report_pending(cpu, insn);
    }
}

void fpu_turn_to_mmx(SoftCpu *cpu)
{
    uint16_t status = image_u16(cpu, IMAGE_FSW);
    unsigned top = status >> 11 & 7;

    if (top) {                                             /* slots are counted from TOP, MMX registers from 0 */
        uint8_t turned[8][16];

        for (unsigned i = 0; i < 8; i++) {
            memcpy(turned[(i + top) & 7], image_st(cpu, i), 16);
        }
        memcpy(image_st(cpu, 0), turned, sizeof turned);
        image_set_u16(cpu, IMAGE_FSW, status & ~0x3800);
    }
    cpu->xsave[IMAGE_FTW] = 0xff;
}
