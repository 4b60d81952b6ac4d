/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * interp-vex.c - AVX, AVX2, FMA and F16C: moves, gathers and masked moves in C, everything else by a stub
 *
 * Models   #UD without CR4.OSXSAVE and XCR0's SSE and AVX bits, then #NM; operands anywhere but for the aligned moves
 * How      registers are two halves in the XSAVE image: image_xmm() and image_ymm_high(). What is written is written whole, zeros
 *          above. Elements of a gather or of a masked move are accesses of their own: a masked-off one faults not
 * Threads  the vCPU's own
 * Tests    tests/cpu/fuzz.c
 */
#include "accel/soft/address.h"
#include "accel/soft/flags.h"
#include "accel/soft/fpu.h"
#include "accel/soft/handlers.h"
#include "accel/soft/mmu.h"
#include "accel/soft/vector-memory.h"
#include "accel/soft/vector-run.h"
#include "accel/x86/optab.h"

enum { HALF = 16, WHOLE = 32 };

static inline void *vex_slot(SoftCpu *cpu, unsigned file, unsigned number)
{
    return file == VECTOR_GPR ? (void *)&cpu->gpr[number] : image_xmm(cpu, number);
}

static void clear_high(SoftCpu *cpu, unsigned number) { memset(image_ymm_high(cpu, number), 0, HALF); }

static void get_register(SoftCpu *cpu, unsigned number, uint8_t out[WHOLE])
{
    memcpy(out, image_xmm(cpu, number), HALF);
    memcpy(out + HALF, image_ymm_high(cpu, number), HALF);
}

/* The first bytes of value, zeros above. */
static void set_register(SoftCpu *cpu, unsigned number, const uint8_t *value, unsigned bytes)
{
    uint8_t whole[WHOLE] = { 0 };

    memcpy(whole, value, bytes);
    memcpy(image_xmm(cpu, number), whole, HALF);
    memcpy(image_ymm_high(cpu, number), whole + HALF, HALF);
}

/* Anywhere but for the aligned moves. */
static inline uint64_t operand_address(SoftCpu *cpu, const Insn *insn, unsigned bytes, bool write)
{
    return insn->vector & VECTOR_ALIGNED ? vector_aligned_address(cpu, insn, bytes, write) : soft_address(cpu, insn, bytes, write);
}

/* ---- by stub ----------------------------------------------------------------------------------------------- */

SOFT_HANDLER(vex_general)
{
    uint32_t word = insn->vector, flags;
    unsigned bytes = vector_memory_bytes(word, insn->prefixes & PREFIX_REX_W);
    VectorOperands to = { .reg = vex_slot(cpu, vector_reg_file(word), insn->reg), .vvvv = image_xmm(cpu, insn->vvvv),
                          .fourth = image_xmm(cpu, cpu->code_size == 8 ? insn->imm >> 4 & 15 : insn->imm >> 4 & 7) };

    fpu_check_avx(cpu, insn);
    if (!insn->memory) {
        to.rm = vex_slot(cpu, vector_rm_file(word), insn->rm);
        flags = vector_run(cpu, insn, &to);
    } else if (word & VECTOR_WRITES_RM) {                  /* vcvtps2ph: its own exceptions and flags come before the store's faults */
        to.rm = cpu->bounce;
        flags = vector_run(cpu, insn, &to);
        uint64_t linear = soft_address(cpu, insn, bytes, true);
        vector_check_alignment(cpu, insn, linear, bytes);
        mmu_write(cpu, insn, linear, cpu->bounce, bytes);
    } else {
        to.rm = vector_source(cpu, insn, operand_address(cpu, insn, bytes, false), bytes, cpu->bounce);
        flags = vector_run(cpu, insn, &to);
    }
    if (word & VECTOR_FLAGS) {
        flags_set_arithmetic(cpu, flags & FLAG_ARITHMETIC);
    }
}

/* Vector registers only, no flags: the bulk. */
SOFT_HANDLER(vex_registers)
{
    fpu_check_avx(cpu, insn);
    vector_run(cpu, insn, &(VectorOperands){ image_xmm(cpu, insn->reg), image_xmm(cpu, insn->rm), image_xmm(cpu, insn->vvvv), NULL });
}

SOFT_HANDLER(vex_memory)
{
    unsigned bytes = insn->vector >> 4 & 63;

    fpu_check_avx(cpu, insn);
    uint64_t linear = operand_address(cpu, insn, bytes, false);
    void *rm = vector_source(cpu, insn, linear, bytes, cpu->bounce);
    vector_run(cpu, insn, &(VectorOperands){ image_xmm(cpu, insn->reg), rm, image_xmm(cpu, insn->vvvv), NULL });
}

/* ---- moves without the host's instruction ------------------------------------------------------------------ */

SOFT_HANDLER(vex_move_registers)           /* from .rm to .reg, or back */
{
    bool store = insn->vector & VECTOR_WRITES_RM;
    unsigned from = store ? insn->reg : insn->rm, to = store ? insn->rm : insn->reg;

    fpu_check_avx(cpu, insn);
    memcpy(image_xmm(cpu, to), image_xmm(cpu, from), HALF);
    if (insn->vex & VEX_L) {
        memcpy(image_ymm_high(cpu, to), image_ymm_high(cpu, from), HALF);
    } else {
        clear_high(cpu, to);
    }
}

SOFT_HANDLER(vex_load32)
{
    fpu_check_avx(cpu, insn);
    const uint8_t *source = vector_source(cpu, insn, operand_address(cpu, insn, WHOLE, false), WHOLE, cpu->bounce);
    memcpy(image_xmm(cpu, insn->reg), source, HALF);
    memcpy(image_ymm_high(cpu, insn->reg), source + HALF, HALF);
}

SOFT_HANDLER(vex_store32)
{
    fpu_check_avx(cpu, insn);
    uint64_t linear = operand_address(cpu, insn, WHOLE, true);
    uint8_t *host = vector_destination(cpu, insn, linear, WHOLE);
    uint8_t *to = __builtin_expect(host != NULL, 1) ? host : cpu->bounce;
    memcpy(to, image_xmm(cpu, insn->reg), HALF);
    memcpy(to + HALF, image_ymm_high(cpu, insn->reg), HALF);
    if (__builtin_expect(!host, 0)) {
        mmu_write(cpu, insn, linear, cpu->bounce, WHOLE);
    }
}

SOFT_HANDLER(vex_load16)
{
    fpu_check_avx(cpu, insn);
    memcpy(image_xmm(cpu, insn->reg), vector_source(cpu, insn, operand_address(cpu, insn, HALF, false), HALF, cpu->bounce), HALF);
    clear_high(cpu, insn->reg);
}

SOFT_HANDLER(vex_store16)
{
    fpu_check_avx(cpu, insn);
    uint64_t linear = operand_address(cpu, insn, HALF, true);
    void *host = vector_destination(cpu, insn, linear, HALF);
    if (__builtin_expect(host != NULL, 1)) {
        memcpy(host, image_xmm(cpu, insn->reg), HALF);
    } else {
        mmu_write(cpu, insn, linear, image_xmm(cpu, insn->reg), HALF);
    }
}

SOFT_HANDLER(vex_load8)                    /* vmovq, vmovsd */
{
    fpu_check_avx(cpu, insn);
    uint64_t value[2] = { mmu_load64(cpu, insn, soft_address(cpu, insn, 8, false)), 0 };
    memcpy(image_xmm(cpu, insn->reg), value, HALF);
    clear_high(cpu, insn->reg);
}

SOFT_HANDLER(vex_load4)                    /* vmovd, vmovss */
{
    fpu_check_avx(cpu, insn);
    uint64_t value[2] = { mmu_load32(cpu, insn, soft_address(cpu, insn, 4, false)), 0 };
    memcpy(image_xmm(cpu, insn->reg), value, HALF);
    clear_high(cpu, insn->reg);
}

SOFT_HANDLER(vex_store8)
{
    uint64_t value;

    fpu_check_avx(cpu, insn);
    memcpy(&value, image_xmm(cpu, insn->reg), 8);
    mmu_store64(cpu, insn, soft_address(cpu, insn, 8, true), value);
}

SOFT_HANDLER(vex_store4)
{
    uint32_t value;

    fpu_check_avx(cpu, insn);
    memcpy(&value, image_xmm(cpu, insn->reg), 4);
    mmu_store32(cpu, insn, soft_address(cpu, insn, 4, true), value);
}

SOFT_HANDLER(vex_clear)                    /* vpxor, vxorps, vxorpd of a register with itself */
{
    fpu_check_avx(cpu, insn);
    memset(image_xmm(cpu, insn->reg), 0, HALF);
    clear_high(cpu, insn->reg);
}

/* ---- choosing ---------------------------------------------------------------------------------------------- */

static InsnRun *choose_move(const Insn *insn, uint32_t word)
{
    bool store = word & VECTOR_WRITES_RM;
    unsigned bytes = vector_memory_bytes(word, insn->prefixes & PREFIX_REX_W);

    if (!insn->memory) {
        return bytes >= HALF ? vex_move_registers : NULL;
    }
    switch (bytes) {
    case WHOLE: return store ? vex_store32 : vex_load32;
    case HALF: return store ? vex_store16 : vex_load16;
    case 8: return store ? vex_store8 : vex_load8;
    case 4: return store ? vex_store4 : vex_load4;
    default: return NULL;
    }
}

static InsnRun *choose(const Insn *insn, const OptabRow *row)
{
    const uint32_t special = VECTOR_WRITES_RM | VECTOR_FLAGS | VECTOR_MEMORY_W;
    uint32_t word = row->vector;
    InsnRun *run = word & VECTOR_MOVE ? choose_move(insn, word) : NULL;

    if (run) {
        return run;
    }
    if ((word & VECTOR_CLEARS) && !insn->memory && insn->vvvv == insn->rm) {
        return vex_clear;
    }
    if (vector_reg_file(word) == VECTOR_XMM && vector_rm_file(word) == VECTOR_XMM && !(word & special) && !(row->vex & VEX_IS4)) {
        return insn->memory ? vex_memory : vex_registers;
    }
    return vex_general;
}

/* First execution of a decoded instruction: completes it in its block, as vector_first() does. */
void vex_first(SoftCpu *cpu, const Insn *insn)
{
    Insn *own = (Insn *)insn;
    const OptabRow *row = optab_row(insn->row);
    unsigned w = row->vex & VEX_W_RULE;
    bool sized = vector_reg_file(row->vector) == VECTOR_GPR || vector_rm_file(row->vector) == VECTOR_GPR || row->vector & VECTOR_COMPARES;
    StubForm form = {
        .word = row->vector, .vex = row->vex, .prefix = (uint8_t)(row->prefix - MANDATORY_NONE), .map = row->map - (MAP_VEX_0F - 1),
        .opcode = row->opcode, .extension = row->extension ? row->extension & 7 : -1, .memory = insn->memory != MEMORY_NONE,
        .w = w == VEX_W_ANY ? sized && insn->prefixes & PREFIX_REX_W : w == VEX_W_1,
        .has_vex = true, .wide = (row->vex & VEX_L_RULE) == VEX_L_1, .imm = (uint8_t)insn->imm,
    };

    own->vector = row->vector;
    own->stub = (const void *)vector_stub(&form);
    if (!own->stub) {
        soft_raise(cpu, insn, EXC_UD);
    }
    InsnRun *run = choose(insn, row);
    __atomic_store_n(&own->run, run, __ATOMIC_RELEASE);
    run(cpu, insn);
}

/* ---- zeroupper, zeroall ------------------------------------------------------------------------------------- */

void vex_zero(SoftCpu *cpu, const Insn *insn)
{
    unsigned bytes = HALF * (cpu->code_size == 8 ? 16 : 8);

    fpu_check_avx(cpu, insn);
    memset(image_ymm_high(cpu, 0), 0, bytes);
    if (insn->vex & VEX_L) {
        memset(image_xmm(cpu, 0), 0, bytes);
    }
}

/* ---- element by element -------------------------------------------------------------------------------------- */

static bool is_set(const uint8_t *mask, unsigned element, unsigned size) { return mask[element * size + size - 1] & 0x80; }

/* Linear addresses of the elements that are not masked off: the segment has its say about all of them first. */
static void masked_addresses(SoftCpu *cpu, const Insn *insn, const uint8_t *mask, unsigned bytes, unsigned size, bool write, uint64_t linear[8])
{
    uint64_t offset = soft_offset(cpu, insn);

    for (unsigned i = 0; i < bytes / size; i++) {
        if (is_set(mask, i, size)) {
            linear[i] = soft_linear(cpu, insn, insn->segment, offset + i * size, size, write);
        }
    }
}

/* Nothing of a masked store is done before all of it can be. */
static void store_masked(SoftCpu *cpu, const Insn *insn, const uint8_t *mask, unsigned bytes, unsigned size)
{
    uint64_t linear[WHOLE / 4];
    uint8_t data[WHOLE];

    masked_addresses(cpu, insn, mask, bytes, size, true, linear);
    for (unsigned i = 0; i < bytes / size; i++) {
        if (is_set(mask, i, size)) {
            mmu_probe(cpu, insn, linear[i], size, true);
        }
    }
    get_register(cpu, insn->reg, data);
    for (unsigned i = 0; i < bytes / size; i++) {
        if (is_set(mask, i, size)) {
            mmu_write(cpu, insn, linear[i], data + i * size, size);
        }
    }
}

static void load_masked(SoftCpu *cpu, const Insn *insn, const uint8_t *mask, unsigned bytes, unsigned size)
{
    uint64_t linear[WHOLE / 4];
    uint8_t value[WHOLE] = { 0 };

    masked_addresses(cpu, insn, mask, bytes, size, false, linear);
    for (unsigned i = 0; i < bytes / size; i++) {
        if (is_set(mask, i, size)) {
            mmu_read(cpu, insn, linear[i], value + i * size, size);
        }
    }
    set_register(cpu, insn->reg, value, bytes);
}

void vex_maskmov(SoftCpu *cpu, const Insn *insn)
{
    const OptabRow *row = optab_row(insn->row);
    unsigned bytes = vector_memory_bytes(row->vector, false), size = row->constant;
    uint8_t mask[WHOLE];

    fpu_check_avx(cpu, insn);
    get_register(cpu, insn->vvvv, mask);
    if (row->vector & VECTOR_WRITES_RM) {
        store_masked(cpu, insn, mask, bytes, size);
    } else {
        load_masked(cpu, insn, mask, bytes, size);
    }
}

static uint64_t gather_linear(SoftCpu *cpu, const Insn *insn, const uint8_t *index, unsigned index_size, unsigned size)
{
    int64_t value;

    if (index_size == 4) {
        int32_t narrow;
        memcpy(&narrow, index, sizeof narrow);
        value = narrow;
    } else {
        memcpy(&value, index, sizeof value);
    }
    uint64_t offset = cpu->gpr[insn->base] + ((uint64_t)value << insn->scale) + (uint64_t)(int64_t)insn->disp;
    return soft_linear(cpu, insn, insn->segment, insn->address_size == 8 ? offset : (uint32_t)offset, size, false);
}

/* Lowest element first; what was loaded before a fault stays, and its mask is clear: the instruction goes on from there. */
void vex_gather(SoftCpu *cpu, const Insn *insn)
{
    const OptabRow *row = optab_row(insn->row);
    unsigned bytes = vector_memory_bytes(row->vector, false), size = insn->vex & VEX_W ? 8 : 4, index_size = insn->opcode & 1 ? 8 : 4;
    unsigned width = insn->vex & VEX_L ? WHOLE : HALF;
    uint8_t index[WHOLE], mask[WHOLE], value[WHOLE];

    fpu_check_avx(cpu, insn);
    get_register(cpu, insn->imm2, index);
    get_register(cpu, insn->vvvv, mask);
    get_register(cpu, insn->reg, value);
    for (unsigned i = 0; i < width / size; i++) {          /* what a fault shows */
        memset(mask + i * size, is_set(mask, i, size) ? 0xff : 0, size);
    }
    set_register(cpu, insn->vvvv, mask, width);
    for (unsigned i = 0; i < bytes / size; i++) {
        if (is_set(mask, i, size)) {
            uint64_t linear = gather_linear(cpu, insn, index + i * index_size, index_size, size);
            mmu_read(cpu, insn, linear, value + i * size, size);
            memset(mask + i * size, 0, size);
            set_register(cpu, insn->reg, value, width);
            set_register(cpu, insn->vvvv, mask, width);
        }
    }
    set_register(cpu, insn->reg, value, bytes);
    set_register(cpu, insn->vvvv, value, 0);
}
