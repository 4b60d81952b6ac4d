/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * interp-vector.c - MMX and SSE instructions: moves in C, everything else by a stub around the host's own instruction
 *
 * Models   MMX, SSE to SSE4.2, AES, PCLMULQDQ, SHA; operand sizes, alignment and exception order as the row's word says
 * Omits    non-temporal stores are ordinary stores, hints do nothing; VEX forms: interp-vex.c
 * How      the first execution of a decoded instruction picks its function and its stub (vector_first); after that
 *          a register form costs an indirect call and the stub
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

typedef struct Wide { uint64_t low, high; } __attribute__((aligned(16))) Wide;

/* ---- operands ---------------------------------------------------------------------------------------------- */

static inline void *slot(SoftCpu *cpu, unsigned file, unsigned number)
{
    switch (file) {
    case VECTOR_XMM: return image_xmm(cpu, number);
    case VECTOR_MMX: return image_st(cpu, number & 7);
    default: return &cpu->gpr[number];
    }
}

/* Shifts by an immediate: ModRM.reg belongs to the opcode, the register operand is ModRM.rm. */
static inline bool is_group(uint32_t word) { return vector_rm_file(word) == VECTOR_NONE && (word & VECTOR_IMM8); }

/* A 16-byte operand that may lie anywhere for the guest (pcmpestri, sha1rnds4): hosts do not agree on the latter, so it is aligned for them. */
static inline void *operand(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned bytes)
{
    if (__builtin_expect(bytes == 16 && (linear & 15) != 0, 0)) {
        vector_check_alignment(cpu, insn, linear, bytes);
        mmu_read(cpu, insn, linear, cpu->bounce, bytes);
        return cpu->bounce;
    }
    return vector_source(cpu, insn, linear, bytes, cpu->bounce);
}

/* ---- floating point ---------------------------------------------------------------------------------------- */

/* The guest's MXCSR is not in the host's. With everything masked it moves there and stays; otherwise for this one instruction. */
uint32_t vector_run_with_mxcsr(SoftCpu *cpu, const Insn *insn, const VectorOperands *to)
{
    VectorStub *stub = (VectorStub *)insn->stub;
    uint32_t mxcsr = image_u32(cpu, IMAGE_MXCSR) & MXCSR_WRITABLE;

    host_set_mxcsr(mxcsr);
    if ((mxcsr & MXCSR_MASKS) == MXCSR_MASKS) {
        cpu->mxcsr_live = true;
        return stub(to->reg, to->rm, cpu, to->vvvv, to->fourth);
    }
    uint32_t result = stub(to->reg, to->rm, cpu, to->vvvv, to->fourth);
    mxcsr = host_mxcsr();
    host_set_mxcsr(MXCSR_DEFAULT);
    image_set_u32(cpu, IMAGE_MXCSR, mxcsr & MXCSR_WRITABLE);
    if (result == STUB_FAULTED) {
        if ((insn->vector & 3) == VECTOR_MMX || (insn->vector >> 2 & 3) == VECTOR_MMX) {
            __asm__ volatile("emms" : : : "memory");
        }
        soft_raise(cpu, insn, cpu->cr4 & CR4_OSXMMEXCPT ? EXC_XM : EXC_UD);
    }
    return result;
}

static inline uint32_t run_stub(SoftCpu *cpu, const Insn *insn, void *reg, void *rm)
{
    return vector_run(cpu, insn, &(VectorOperands){ reg, rm, NULL, NULL });
}

/* ---- the general case -------------------------------------------------------------------------------------- */

static inline bool touches_mmx(const Insn *insn)
{
    uint32_t word = insn->vector;

    if (vector_reg_file(word) == VECTOR_MMX) {
        return !(insn->memory && (word & VECTOR_NO_MMX_STATE));
    }
    return vector_rm_file(word) == VECTOR_MMX && !(insn->memory && (word & VECTOR_NO_MMX_STATE));
}

static void check(SoftCpu *cpu, const Insn *insn)
{
    if (insn->vector & VECTOR_UNCHECKED) {
        return;
    }
    if (vector_reg_file(insn->vector) == VECTOR_XMM || vector_rm_file(insn->vector) == VECTOR_XMM) {
        fpu_check_sse(cpu, insn);
    }
    if (touches_mmx(insn)) {
        fpu_check_mmx(cpu, insn);
    }
}

static inline void turn(SoftCpu *cpu, const Insn *insn)
{
    if (touches_mmx(insn)) {
        fpu_turn_to_mmx(cpu);
    }
}

/* A written MMX register has an exponent of all ones. */
static void mark_mmx(SoftCpu *cpu, const Insn *insn)
{
    static const uint16_t ones = 0xffff;
    uint32_t word = insn->vector;

    if ((word & VECTOR_WRITES_REG) && vector_reg_file(word) == VECTOR_MMX) {
        memcpy((uint8_t *)image_st(cpu, (is_group(word) ? insn->rm : insn->reg) & 7) + 8, &ones, 2);
    }
    if ((word & VECTOR_WRITES_RM) && vector_rm_file(word) == VECTOR_MMX && !insn->memory) {
        memcpy((uint8_t *)image_st(cpu, insn->rm & 7) + 8, &ones, 2);
    }
}

SOFT_HANDLER(vector_general)
{
    uint32_t word = insn->vector, flags;

    check(cpu, insn);
    bool group = is_group(word);
    void *reg = slot(cpu, vector_reg_file(word), group ? insn->rm : insn->reg);
    if (!insn->memory) {
        turn(cpu, insn);
        flags = run_stub(cpu, insn, reg, slot(cpu, vector_rm_file(word), insn->rm));
    } else {
        unsigned bytes = vector_memory_bytes(word, insn->prefixes & PREFIX_REX_W);
        bool write = word & VECTOR_WRITES_RM;
        uint64_t linear = word & VECTOR_ALIGNED ? vector_aligned_address(cpu, insn, 16, write) : soft_address(cpu, insn, bytes, write);
        if (word & VECTOR_WRITES_RM) {
            void *host = vector_destination(cpu, insn, linear, bytes);
            turn(cpu, insn);
            flags = run_stub(cpu, insn, reg, host ? host : (void *)cpu->bounce);
            if (!host) {
                mmu_write(cpu, insn, linear, cpu->bounce, bytes);
            }
        } else {
            void *source = operand(cpu, insn, linear, bytes);
            turn(cpu, insn);
            flags = run_stub(cpu, insn, reg, source);
        }
    }
    if (word & VECTOR_FLAGS) {
        flags_set_arithmetic(cpu, flags & FLAG_ARITHMETIC);
    }
    mark_mmx(cpu, insn);
}

/* ---- XMM operands only: the bulk --------------------------------------------------------------------------- */

SOFT_HANDLER(vector_xmm_registers)
{
    fpu_check_sse(cpu, insn);
    run_stub(cpu, insn, image_xmm(cpu, insn->reg), image_xmm(cpu, insn->rm));
}

SOFT_HANDLER(vector_xmm_memory)
{
    unsigned bytes = insn->vector >> 4 & 63;

    fpu_check_sse(cpu, insn);
    uint64_t linear = insn->vector & VECTOR_ALIGNED ? vector_aligned_address(cpu, insn, 16, false) : soft_address(cpu, insn, bytes, false);
    run_stub(cpu, insn, image_xmm(cpu, insn->reg), operand(cpu, insn, linear, bytes));
}

/* ---- moves without the host's instruction ------------------------------------------------------------------ */

SOFT_HANDLER(move16_load_register)
{
    fpu_check_sse(cpu, insn);
    memcpy(image_xmm(cpu, insn->reg), image_xmm(cpu, insn->rm), 16);
}

SOFT_HANDLER(move16_store_register)
{
    fpu_check_sse(cpu, insn);
    memcpy(image_xmm(cpu, insn->rm), image_xmm(cpu, insn->reg), 16);
}

SOFT_HANDLER(move16_load)
{

    fpu_check_sse(cpu, insn);
    uint64_t linear = insn->vector & VECTOR_ALIGNED ? vector_aligned_address(cpu, insn, 16, false) : soft_address(cpu, insn, 16, false);
    memcpy(image_xmm(cpu, insn->reg), vector_source(cpu, insn, linear, 16, cpu->bounce), 16);
}

SOFT_HANDLER(move16_store)
{
    fpu_check_sse(cpu, insn);
    uint64_t linear = insn->vector & VECTOR_ALIGNED ? vector_aligned_address(cpu, insn, 16, true) : soft_address(cpu, insn, 16, true);
    void *host = vector_destination(cpu, insn, linear, 16);
    if (__builtin_expect(host != NULL, 1)) {
        memcpy(host, image_xmm(cpu, insn->reg), 16);
    } else {
        mmu_write(cpu, insn, linear, image_xmm(cpu, insn->reg), 16);
    }
}

SOFT_HANDLER(move8_load)     /* movq xmm, m64; movsd xmm, m64: the rest is cleared */
{
    fpu_check_sse(cpu, insn);
    Wide value = { mmu_load64(cpu, insn, soft_address(cpu, insn, 8, false)), 0 };
    memcpy(image_xmm(cpu, insn->reg), &value, 16);
}

SOFT_HANDLER(move4_load)     /* movd xmm, m32; movss xmm, m32 */
{
    fpu_check_sse(cpu, insn);
    Wide value = { mmu_load32(cpu, insn, soft_address(cpu, insn, 4, false)), 0 };
    memcpy(image_xmm(cpu, insn->reg), &value, 16);
}

SOFT_HANDLER(move8_store)
{
    uint64_t value;

    fpu_check_sse(cpu, insn);
    memcpy(&value, image_xmm(cpu, insn->reg), 8);
    mmu_store64(cpu, insn, soft_address(cpu, insn, 8, true), value);
}

SOFT_HANDLER(move4_store)
{
    uint32_t value;

    fpu_check_sse(cpu, insn);
    memcpy(&value, image_xmm(cpu, insn->reg), 4);
    mmu_store32(cpu, insn, soft_address(cpu, insn, 4, true), value);
}

SOFT_HANDLER(clear_register) /* pxor, xorps, xorpd of a register with itself */
{
    fpu_check_sse(cpu, insn);
    memset(image_xmm(cpu, insn->reg), 0, 16);
}

/* ---- choosing ---------------------------------------------------------------------------------------------- */

static InsnRun *choose_move(const Insn *insn, uint32_t word)
{
    bool store = word & VECTOR_WRITES_RM;

    if (vector_reg_file(word) != VECTOR_XMM || (vector_rm_file(word) != VECTOR_XMM && !insn->memory)) {
        return NULL;
    }
    unsigned bytes = vector_memory_bytes(word, insn->prefixes & PREFIX_REX_W);
    if (!insn->memory) {
        return bytes != 16 ? NULL : store ? move16_store_register : move16_load_register;
    }
    switch (bytes) {
    case 16: return store ? move16_store : move16_load;
    case 8: return store ? move8_store : move8_load;
    case 4: return store ? move4_store : move4_load;
    default: return NULL;
    }
}

static InsnRun *choose(const Insn *insn, const OptabRow *row)
{
    uint32_t word = row->vector;
    InsnRun *run = word & VECTOR_MOVE ? choose_move(insn, word) : NULL;
    const uint32_t special = VECTOR_WRITES_RM | VECTOR_FLAGS | VECTOR_MEMORY_W | VECTOR_UNCHECKED;

    if (run) {
        return run;
    }
    if ((word & VECTOR_CLEARS) && !insn->memory && insn->reg == insn->rm && vector_reg_file(word) == VECTOR_XMM) {
        return clear_register;
    }
    if (vector_reg_file(word) == VECTOR_XMM && !is_group(word) && !(word & special)) {
        if (insn->memory && vector_rm_file(word) == VECTOR_XMM) {
            return vector_xmm_memory;
        }
        if (!insn->memory && vector_rm_file(word) == VECTOR_XMM) {
            return vector_xmm_registers;
        }
    }
    return vector_general;
}

/* First execution of a decoded instruction: completes it in its block, which is this processor's own. */
static void vector_first(SoftCpu *cpu, const Insn *insn)
{
    Insn *own = (Insn *)insn;
    const OptabRow *row = optab_row(insn->row);
    StubForm form = {
        .word = row->vector, .prefix = (uint8_t)(row->prefix - MANDATORY_NONE), .map = row->map,
        .opcode = row->opcode, .extension = row->extension ? row->extension & 7 : -1,
        .w = (insn->prefixes & PREFIX_REX_W) != 0, .memory = insn->memory != MEMORY_NONE, .imm = (uint8_t)insn->imm,
    };

    own->vector = row->vector;
    own->stub = (const void *)vector_stub(&form);
    if (!own->stub) {
        soft_raise(cpu, insn, EXC_UD);
    }
    InsnRun *run = choose(insn, row);
    own->run = run;
    run(cpu, insn);
}

/* ---- handlers of their own --------------------------------------------------------------------------------- */

static void vector_emms(SoftCpu *cpu, const Insn *insn)
{
    fpu_check_mmx(cpu, insn);
    fpu_turn_to_mmx(cpu);
    cpu->xsave[IMAGE_FTW] = 0;
}

/* maskmovq, maskmovdqu: the bytes of reg whose byte in rm has its high bit set go to [DS:rDI]. */
static void vector_maskmov(SoftCpu *cpu, const Insn *insn)
{
    bool wide = insn->prefixes & PREFIX_66;                /* always with VEX */
    unsigned bytes = wide ? 16 : 8;
    uint8_t data[16], mask[16];
    uint64_t offset = cpu->gpr[GPR_RDI];

    if (wide) {
        vector_check(cpu, insn);
    } else {
        fpu_check_mmx(cpu, insn);
        fpu_turn_to_mmx(cpu);                              /* this one does so even when the store faults */
    }
    offset = insn->address_size == 8 ? offset : insn->address_size == 4 ? (uint32_t)offset : (uint16_t)offset;
    uint64_t linear = soft_linear(cpu, insn, insn->prefixes & PREFIX_SEGMENT ? insn->segment : SEG_DS, offset, bytes, true);
    vector_check_alignment(cpu, insn, linear, 8);
    mmu_probe(cpu, insn, linear, bytes, true);
    memcpy(data, wide ? image_xmm(cpu, insn->reg) : image_st(cpu, insn->reg & 7), bytes);
    memcpy(mask, wide ? image_xmm(cpu, insn->rm) : image_st(cpu, insn->rm & 7), bytes);
    for (unsigned i = 0; i < bytes; i++) { /* the others are not touched: another processor may be writing them */
        if (mask[i] & 0x80) {
            mmu_write(cpu, insn, linear + i, &data[i], 1);
        }
    }
}

static void vector_nothing(SoftCpu *cpu, const Insn *insn) { (void)cpu, (void)insn; }

static void vector_fence(SoftCpu *cpu, const Insn *insn)
{
    (void)cpu;
    if (insn->opcode != 0xae) {
        return;
    }
    switch (insn->reg & 7) {
    case 5: __asm__ volatile("lfence" ::: "memory"); break;
    case 6: soft_fence(); break;
    default: __asm__ volatile("sfence" ::: "memory"); break;               /* the guest's streaming stores are the host's */
    }
}

static void vector_clflush(SoftCpu *cpu, const Insn *insn)
{
    mmu_probe(cpu, insn, soft_address(cpu, insn, 1, false), 1, false);
}

const SoftHandler vector_handlers[] = {
    { OP_VECTOR, .run = vector_first }, { OP_VECTOR_VEX, .run = vex_first },
    { OP_VZERO, .call = vex_zero }, { OP_GATHER, .call = vex_gather }, { OP_VMASKMOV, .call = vex_maskmov },
    { OP_EMMS, .call = vector_emms }, { OP_MASKMOV, .call = vector_maskmov }, { OP_PREFETCH, .call = vector_nothing },
    { OP_FENCE, .call = vector_fence }, { OP_CLFLUSH, .call = vector_clflush },
    { OP_LDMXCSR, .call = vector_ldmxcsr }, { OP_STMXCSR, .call = vector_stmxcsr },
    { OP_FXSAVE, .call = vector_fxsave }, { OP_FXRSTOR, .call = vector_fxrstor },
    { OP_XSAVE, .call = vector_xsave }, { OP_XSAVEOPT, .call = vector_xsaveopt }, { OP_XSAVEC, .call = vector_xsavec },
    { OP_XRSTOR, .call = vector_xrstor }, { OP_XGETBV, .call = vector_xgetbv },
    { .op = 0 },
};
