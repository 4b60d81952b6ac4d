/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xsave.c - FXSAVE, FXRSTOR, the XSAVE family, LDMXCSR, STMXCSR, XGETBV
 *
 * Models   Intel SDM volume 1, chapters 10.5 and 13: standard and compacted forms, header rules, the init optimisation
 * Omits    the modified optimisation of XSAVEOPT (everything in use is written), XSAVES, the fast FXSAVE of EFER.FFXSR
 * How      from and to the image in the context, under the guest's XCR0; never the host's instruction. A component is in
 *          use when it is not in its initial state. Memory is probed whole before anything is written
 * Threads  the vCPU's own
 * Tests    tests/cpu/fuzz.c
 */
#include "accel/soft/address.h"
#include "accel/soft/fpu.h"
#include "accel/soft/handlers.h"
#include "accel/soft/mmu.h"
#include "accel/soft/vector-memory.h"
#include "accel/soft/vector-run.h"

enum { AVX_OFFSET = 576, AVX_BYTES = 256, AREA_BYTES = AVX_OFFSET + AVX_BYTES };
#define COMPACTED (UINT64_C(1) << 63)

static unsigned xmm_bytes(const SoftCpu *cpu) { return cpu->code_size == 8 ? 256 : 128; }

static void refuse_gp(SoftCpu *cpu, const Insn *insn) { soft_raise_error(cpu, insn, EXC_GP, 0); }

/* FXSAVE's operand: the segment and #AC come first, then #GP(0). */
static uint64_t fxsave_operand(SoftCpu *cpu, const Insn *insn, bool write)
{
    uint64_t linear = soft_address(cpu, insn, 16, false);  /* the first part, as if to read */

    if (linear & 15) {
        vector_check_alignment(cpu, insn, linear, 4);
        if ((uint64_t)((int64_t)(linear << 16) >> 16) != linear && insn->segment == SEG_SS) {
            soft_raise_error(cpu, insn, EXC_SS, 0);
        }
        refuse_gp(cpu, insn);
    }
    mmu_probe(cpu, insn, soft_address(cpu, insn, 16, write), 16, write);      /* before the segment's limit is seen to end inside */
    return soft_address(cpu, insn, IMAGE_LEGACY, write);
}

/* The word that a processor keeps of one that was stored. */
static uint16_t control_kept(uint16_t control) { return (control & 0x1f3f) | 0x40; }
static uint16_t status_kept(uint16_t status, uint16_t control)
{
    status &= ~(FSW_ES | FSW_BUSY);
    return status & ~control & FCW_MASKS ? status | FSW_ES | FSW_BUSY : status;
}

/* The x87 part of area, bytes 0-23 and 32-159, becomes the image's. */
static void load_x87(SoftCpu *cpu, const uint8_t *area)
{
    memcpy(cpu->xsave, area, IMAGE_MXCSR);
    image_set_u16(cpu, IMAGE_FCW, control_kept(image_u16(cpu, IMAGE_FCW)));
    image_set_u16(cpu, IMAGE_FSW, status_kept(image_u16(cpu, IMAGE_FSW), image_u16(cpu, IMAGE_FCW)));
    cpu->xsave[IMAGE_FTW + 1] = 0;
    image_set_u16(cpu, IMAGE_FOP, image_u16(cpu, IMAGE_FOP) & 0x7ff);
    for (unsigned i = 0; i < 8; i++) {
        memcpy(image_st(cpu, i), area + IMAGE_ST + 16 * i, 10);
        memset((uint8_t *)image_st(cpu, i) + 10, 0, 6);
    }
}

static void init_x87(SoftCpu *cpu)
{
    memset(cpu->xsave, 0, IMAGE_MXCSR);
    memset(cpu->xsave + IMAGE_ST, 0, IMAGE_XMM - IMAGE_ST);
    image_set_u16(cpu, IMAGE_FCW, FCW_DEFAULT);
}

static bool all_zero(const uint8_t *bytes, unsigned count)
{
    uint8_t any = 0;

    for (unsigned i = 0; i < count; i++) {
        any |= bytes[i];
    }
    return any == 0;
}

/* XINUSE: components that differ from their initial state. */
static uint64_t in_use(const SoftCpu *cpu)
{
    uint64_t use = 0;

    if (image_u16(cpu, IMAGE_FCW) != FCW_DEFAULT || !all_zero(cpu->xsave + 2, IMAGE_MXCSR - 2) ||
        !all_zero(cpu->xsave + IMAGE_ST, IMAGE_XMM - IMAGE_ST)) {
        use |= XCR0_X87;
    }
    if (!all_zero(cpu->xsave + IMAGE_XMM, 256)) {
        use |= XCR0_SSE;
    }
    if ((cpu->xcr0 & XCR0_AVX) && !all_zero(cpu->xsave + AVX_OFFSET, AVX_BYTES)) {
        use |= XCR0_AVX;
    }
    return use;
}

/* ---- MXCSR ------------------------------------------------------------------------------------------------- */

void vector_ldmxcsr(SoftCpu *cpu, const Insn *insn)
{
    vector_check(cpu, insn);
    uint32_t value = mmu_load32(cpu, insn, soft_address(cpu, insn, 4, false));
    if (value & ~(uint32_t)MXCSR_WRITABLE) {
        refuse_gp(cpu, insn);
    }
    fpu_park(cpu);
    image_set_u32(cpu, IMAGE_MXCSR, value);
}

void vector_stmxcsr(SoftCpu *cpu, const Insn *insn)
{
    vector_check(cpu, insn);
    if (cpu->mxcsr_live) {
        image_set_u32(cpu, IMAGE_MXCSR, host_mxcsr() & MXCSR_WRITABLE);
    }
    mmu_store32(cpu, insn, soft_address(cpu, insn, 4, true), image_u32(cpu, IMAGE_MXCSR));
}

/* ---- FXSAVE ------------------------------------------------------------------------------------------------ */

static void refuse_fpu_off(SoftCpu *cpu, const Insn *insn)
{
    if (cpu->cr0 & (CR0_EM | CR0_TS)) {
        soft_raise(cpu, insn, EXC_NM);
    }
}

void vector_fxsave(SoftCpu *cpu, const Insn *insn)
{
    refuse_fpu_off(cpu, insn);
    uint64_t linear = fxsave_operand(cpu, insn, true);
    fpu_park(cpu);
    image_set_u32(cpu, IMAGE_MXCSR_MASK, MXCSR_WRITABLE);
    mmu_probe(cpu, insn, linear, IMAGE_LEGACY, true);
    mmu_write(cpu, insn, linear, cpu->xsave, cpu->cr4 & CR4_OSFXSR ? IMAGE_XMM + xmm_bytes(cpu) : IMAGE_XMM);
}

void vector_fxrstor(SoftCpu *cpu, const Insn *insn)
{
    uint8_t area[IMAGE_LEGACY];
    uint32_t mxcsr;

    refuse_fpu_off(cpu, insn);
    uint64_t linear = fxsave_operand(cpu, insn, false);
    mmu_read(cpu, insn, linear, area, sizeof area);
    memcpy(&mxcsr, area + IMAGE_MXCSR, sizeof mxcsr);
    if (mxcsr & ~(uint32_t)MXCSR_WRITABLE) {
        refuse_gp(cpu, insn);
    }
    fpu_park(cpu);
    load_x87(cpu, area);
    if (cpu->cr4 & CR4_OSFXSR) {
        image_set_u32(cpu, IMAGE_MXCSR, mxcsr);
        memcpy(cpu->xsave + IMAGE_XMM, area + IMAGE_XMM, xmm_bytes(cpu));
    }
}

/* ---- XSAVE ------------------------------------------------------------------------------------------------- */

static uint64_t requested(const SoftCpu *cpu)
{
    return (cpu->gpr[GPR_RDX] << 32 | (uint32_t)cpu->gpr[GPR_RAX]) & cpu->xcr0;
}

static uint64_t xsave_operand(SoftCpu *cpu, const Insn *insn, bool write)
{
    if (!(cpu->cr4 & CR4_OSXSAVE)) {
        soft_raise(cpu, insn, EXC_UD);
    }
    if (cpu->cr0 & CR0_TS) {
        soft_raise(cpu, insn, EXC_NM);
    }
    if ((soft_offset(cpu, insn) + (cpu->code_size == 8 && insn->segment != SEG_FS && insn->segment != SEG_GS ? 0 : cpu->segment[insn->segment].base)) & 63) {
        refuse_gp(cpu, insn);
    }
    mmu_probe(cpu, insn, soft_address(cpu, insn, 8, write), 8, write);
    return soft_address(cpu, insn, cpu->xcr0 & XCR0_AVX ? AREA_BYTES : AVX_OFFSET, write);
}

/* The legacy and extended parts named by parts, from the image to memory. */
static void write_parts(SoftCpu *cpu, const Insn *insn, uint64_t linear, uint64_t parts, bool mxcsr)
{
    if (parts & XCR0_X87) {
        mmu_write(cpu, insn, linear, cpu->xsave, IMAGE_MXCSR);
        mmu_write(cpu, insn, linear + IMAGE_ST, cpu->xsave + IMAGE_ST, IMAGE_XMM - IMAGE_ST);
    }
    if (mxcsr) {
        image_set_u32(cpu, IMAGE_MXCSR_MASK, MXCSR_WRITABLE);
        mmu_write(cpu, insn, linear + IMAGE_MXCSR, cpu->xsave + IMAGE_MXCSR, 8);
    }
    if (parts & XCR0_SSE) {
        mmu_write(cpu, insn, linear + IMAGE_XMM, cpu->xsave + IMAGE_XMM, xmm_bytes(cpu));
    }
    if (parts & XCR0_AVX) {
        mmu_write(cpu, insn, linear + AVX_OFFSET, cpu->xsave + AVX_OFFSET, cpu->code_size == 8 ? 256 : 128);
    }
}

static void probe_area(SoftCpu *cpu, const Insn *insn, uint64_t linear, uint64_t parts)
{
    mmu_probe(cpu, insn, linear, parts & XCR0_AVX ? AREA_BYTES : AVX_OFFSET, true);
}

static void save_standard(SoftCpu *cpu, const Insn *insn, bool skip_initial)
{
    uint64_t linear = xsave_operand(cpu, insn, true), wanted = requested(cpu);

    probe_area(cpu, insn, linear, wanted);
    fpu_park(cpu);
    uint64_t use = in_use(cpu), states = mmu_load64(cpu, insn, linear + IMAGE_HEADER);
    write_parts(cpu, insn, linear, skip_initial ? wanted & use : wanted, (wanted & (XCR0_SSE | XCR0_AVX)) != 0);
    mmu_store64(cpu, insn, linear + IMAGE_HEADER, (states & ~wanted) | (use & wanted));
}

void vector_xsave(SoftCpu *cpu, const Insn *insn) { save_standard(cpu, insn, false); }

void vector_xsaveopt(SoftCpu *cpu, const Insn *insn) { save_standard(cpu, insn, true); }

void vector_xsavec(SoftCpu *cpu, const Insn *insn)
{
    uint64_t linear = xsave_operand(cpu, insn, true), wanted = requested(cpu);

    probe_area(cpu, insn, linear, wanted);
    fpu_park(cpu);
    uint64_t use = in_use(cpu) & wanted;
    if ((wanted & XCR0_SSE) && image_u32(cpu, IMAGE_MXCSR) != MXCSR_DEFAULT) {
        use |= XCR0_SSE;
    }
    write_parts(cpu, insn, linear, use, (use & XCR0_SSE) != 0);
    uint64_t header[2] = { use, wanted | COMPACTED };
    mmu_write(cpu, insn, linear + IMAGE_HEADER, header, sizeof header);
}

static bool header_allowed(const SoftCpu *cpu, const uint64_t header[8])
{
    const uint8_t *bytes = (const uint8_t *)header;
    uint64_t compact = header[1];

    if (!(compact & COMPACTED)) {
        return !(header[0] & ~cpu->xcr0) && all_zero(bytes + 8, 16);
    }
    return cpuid_has(cpu->features, FEATURE_XSAVEC) && !(compact & ~COMPACTED & ~cpu->xcr0) && !(header[0] & ~compact) &&
           !(header[0] & COMPACTED) && all_zero(bytes + 16, 48);
}

void vector_xrstor(SoftCpu *cpu, const Insn *insn)
{
    uint64_t linear = xsave_operand(cpu, insn, false), wanted = requested(cpu), header[8];
    uint8_t area[AREA_BYTES];
    uint32_t mxcsr;

    mmu_read(cpu, insn, linear, area, AVX_OFFSET);
    memcpy(header, area + IMAGE_HEADER, sizeof header);
    if (!header_allowed(cpu, header)) {
        refuse_gp(cpu, insn);
    }
    bool compacted = header[1] & COMPACTED;
    uint64_t load = wanted & header[0];
    if (load & XCR0_AVX) {
        mmu_read(cpu, insn, linear + AVX_OFFSET, area + AVX_OFFSET, AVX_BYTES);
    }
    memcpy(&mxcsr, area + IMAGE_MXCSR, sizeof mxcsr);
    bool load_mxcsr = compacted ? (load & XCR0_SSE) != 0 : (wanted & (XCR0_SSE | XCR0_AVX)) != 0;
    if (load_mxcsr && (mxcsr & ~(uint32_t)MXCSR_WRITABLE)) {
        refuse_gp(cpu, insn);
    }
    fpu_park(cpu);
    if (load_mxcsr) {
        image_set_u32(cpu, IMAGE_MXCSR, mxcsr);
    } else if (compacted && (wanted & XCR0_SSE)) {
        image_set_u32(cpu, IMAGE_MXCSR, MXCSR_DEFAULT);
    }
    if (load & XCR0_X87) {
        load_x87(cpu, area);
    } else if (wanted & XCR0_X87) {
        init_x87(cpu);
    }
    unsigned half = xmm_bytes(cpu);
    if (wanted & XCR0_SSE) {
        load & XCR0_SSE ? memcpy(cpu->xsave + IMAGE_XMM, area + IMAGE_XMM, half) : memset(cpu->xsave + IMAGE_XMM, 0, half);
    }
    if (wanted & XCR0_AVX) {
        load & XCR0_AVX ? memcpy(cpu->xsave + AVX_OFFSET, area + AVX_OFFSET, half) : memset(cpu->xsave + AVX_OFFSET, 0, half);
    }
}

void vector_xgetbv(SoftCpu *cpu, const Insn *insn)
{
    uint32_t index = (uint32_t)cpu->gpr[GPR_RCX];
    uint64_t value = cpu->xcr0;

    if (!(cpu->cr4 & CR4_OSXSAVE)) {
        soft_raise(cpu, insn, EXC_UD);
    }
    if (index == 1 && cpuid_has(cpu->features, FEATURE_XGETBV1)) {
        fpu_park(cpu);
        value &= in_use(cpu);
    } else if (index != 0) {
        refuse_gp(cpu, insn);
    }
    cpu->gpr[GPR_RAX] = (uint32_t)value;
    cpu->gpr[GPR_RDX] = value >> 32;
}
