/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * interp-x87.c - x87 instructions, D8h to DFh and FWAIT, each by the host's own instruction
 *
 * Models   every encoding that has a row, the aliases included; the state lives in the host's x87 registers (fpu.h)
 *          and the error of an instruction is reported in front of the next waiting one, as #MF
 * Omits    FIP, FDP, FOP: stored as zero (fpu.c)
 * Threads  the vCPU's own
 * Tests    tests/cpu/fuzz.c
 */
#include "accel/soft/address.h"
#include "accel/soft/flags.h"
#include "accel/soft/fpu.h"
#include "accel/soft/handlers.h"
#include "accel/soft/mmu.h"
#include "accel/soft/vector-memory.h"
#include "accel/soft/vector-stub.h"
#include "accel/x86/optab.h"

/* Environment as FNSTENV with a 32-bit operand stores it in protected mode, then the registers as FNSAVE does. */
typedef struct Environment {
    uint32_t control, status, tags, ip, cs_opcode, dp, ds;
} Environment;
typedef struct FullState {
    Environment environment;
    uint8_t st[80];
} __attribute__((packed)) FullState;

static inline uint16_t host_status(void) { uint16_t v; __asm__ volatile("fnstsw %0" : "=a"(v) : : "memory"); return v; }
static inline uint16_t host_control(void) { uint16_t v; __asm__ volatile("fnstcw %0" : "=m"(v) : : "memory"); return v; }

/* The control or status word was loaded: what do the next instructions have to look at? */
static void look_again(SoftCpu *cpu)
{
    uint16_t unmasked = ~host_control() & FCW_MASKS;

    cpu->x87_unmasked = unmasked != 0;
    cpu->x87_pending = (host_status() & unmasked) != 0;
}

static inline void enter(SoftCpu *cpu, const Insn *insn)
{
    if (__builtin_expect((cpu->cr0 & (CR0_EM | CR0_TS)) != 0, 0)) {
        soft_raise(cpu, insn, EXC_NM);
    }
    if (!cpu->fpu_live) {
        fpu_enter_x87(cpu);
    }
}

static inline void leave(SoftCpu *cpu)
{
    if (__builtin_expect(cpu->x87_unmasked, 0)) {
        cpu->x87_pending = (host_status() & FSW_ES) != 0;
    }
}

/* CR0.NE=0 and an error waits: the instruction runs as with IGNNE# asserted. The host would trap, so its errors are masked meanwhile. */
static uint32_t run_ignoring(SoftCpu *cpu, X87Stub *stub, void *memory, uint32_t flags)
{
    uint16_t control = host_control(), masked = control | FCW_MASKS;

    __asm__ volatile("fnclex\n\tfldcw %0" : : "m"(masked) : "memory");
    uint32_t result = stub(memory, flags);
    __asm__ volatile("fnclex\n\tfldcw %0" : : "m"(control) : "memory");
    cpu->x87_pending = false;
    return result;
}

static uint32_t run_stub(SoftCpu *cpu, const Insn *insn, void *memory, uint32_t flags)
{
    if (__builtin_expect(!insn->stub, 0)) {
        ((Insn *)insn)->stub = (const void *)x87_stub(insn->escape);
        if (!insn->stub) {
            soft_raise(cpu, insn, EXC_UD);
        }
    }
    X87Stub *stub = (X87Stub *)insn->stub;
    if (__builtin_expect(cpu->x87_pending, 0)) {
        fpu_report_pending(cpu, insn);
        return run_ignoring(cpu, stub, memory, flags);
    }
    uint32_t result = stub(memory, flags);
    if (__builtin_expect(result == STUB_FAULTED, 0)) {
        cpu->x87_pending = true;
        fpu_report_pending(cpu, insn);
        return run_ignoring(cpu, stub, memory, flags);
    }
    return result;
}

static inline void wait_here(SoftCpu *cpu, const Insn *insn)
{
    if (__builtin_expect(cpu->x87_pending && (cpu->cr0 & CR0_NE), 0)) {
        soft_raise(cpu, insn, EXC_MF);
    }
}

/* ---- ordinary forms ---------------------------------------------------------------------------------------- */

SOFT_HANDLER(x87_register)
{
    enter(cpu, insn);
    run_stub(cpu, insn, NULL, 0);
    leave(cpu);
}

SOFT_HANDLER(x87_fcmov)
{
    enter(cpu, insn);
    run_stub(cpu, insn, NULL, (uint32_t)flags_get(cpu) & FLAG_ARITHMETIC);
    leave(cpu);
}

SOFT_HANDLER(x87_fcomi)
{
    enter(cpu, insn);
    flags_set_arithmetic(cpu, run_stub(cpu, insn, NULL, 0) & FLAG_ARITHMETIC);
    leave(cpu);
}

/* Ten bytes go as eight and two: the first page counts before the segment's end. */
static inline uint64_t operand_address(SoftCpu *cpu, const Insn *insn, unsigned size, bool write)
{
    if (size == 10 && insn->memory != MEMORY_FLAT64) {
        mmu_probe(cpu, insn, soft_address(cpu, insn, 8, write), 8, write);
    }
    return soft_address(cpu, insn, size, write);
}

static inline void load(SoftCpu *cpu, const Insn *insn, unsigned size)
{
    enter(cpu, insn);
    wait_here(cpu, insn);
    run_stub(cpu, insn, vector_source(cpu, insn, operand_address(cpu, insn, size, false), size, cpu->bounce), 0);
    leave(cpu);
}

static inline void store(SoftCpu *cpu, const Insn *insn, unsigned size)
{
    enter(cpu, insn);
    wait_here(cpu, insn);
    uint64_t linear = operand_address(cpu, insn, size, true);
    void *host = vector_destination(cpu, insn, linear, size);
    if (__builtin_expect(host != NULL, 1)) {
        run_stub(cpu, insn, host, 0);
        leave(cpu);
        return;
    }
    run_stub(cpu, insn, cpu->bounce, 0);
    leave(cpu);
    /* An unmasked error other than precision leaves the destination alone. */
    if (!cpu->x87_pending || !(host_status() & ~host_control() & 0x1f)) {
        mmu_write(cpu, insn, linear, cpu->bounce, size);
    }
}

SOFT_HANDLER(x87_load) { load(cpu, insn, insn->size); }
SOFT_HANDLER(x87_store) { store(cpu, insn, insn->size); }
SOFT_HANDLER(x87_load80) { load(cpu, insn, 10); }
SOFT_HANDLER(x87_store80) { store(cpu, insn, 10); }

static void x87_fwait(SoftCpu *cpu, const Insn *insn)
{
    if ((cpu->cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS)) {
        soft_raise(cpu, insn, EXC_NM);
    }
    if (!cpu->fpu_live) {
        fpu_enter_x87(cpu);
    }
    if (cpu->x87_pending) {
        fpu_report_pending(cpu, insn);
    }
}

/* ---- control ----------------------------------------------------------------------------------------------- */

static void x87_nop(SoftCpu *cpu, const Insn *insn)               /* feni, fdisi, fsetpm: of the 8087 and 80287 */
{
    enter(cpu, insn);
}

SOFT_HANDLER(x87_fldcw)
{
    load(cpu, insn, 2);
    look_again(cpu);
}

static void x87_fnstcw(SoftCpu *cpu, const Insn *insn)
{
    enter(cpu, insn);
    mmu_store16(cpu, insn, soft_address(cpu, insn, 2, true), host_control());
}

static void x87_fnstsw(SoftCpu *cpu, const Insn *insn)
{
    enter(cpu, insn);
    mmu_store16(cpu, insn, soft_address(cpu, insn, 2, true), host_status());
}

static void x87_fnstsw_ax(SoftCpu *cpu, const Insn *insn)
{
    enter(cpu, insn);
    cpu->gpr[GPR_RAX] = (cpu->gpr[GPR_RAX] & ~UINT64_C(0xffff)) | host_status();
}

static void x87_fnclex(SoftCpu *cpu, const Insn *insn)
{
    enter(cpu, insn);
    __asm__ volatile("fnclex" : : : "memory");
    cpu->x87_pending = cpu->ferr = false;
}

static void x87_fninit(SoftCpu *cpu, const Insn *insn)
{
    enter(cpu, insn);
    __asm__ volatile("fninit" : : : "memory");
    cpu->x87_pending = cpu->x87_unmasked = cpu->ferr = false;
}

/* ---- environment and whole state --------------------------------------------------------------------------- */

/* The operand size decides 14 or 28 bytes; insn->size carries it. Real mode packs the pointers differently, but they are zero. */
static unsigned pack(SoftCpu *cpu, const Insn *insn, const Environment *environment, uint8_t *out)
{
    if (insn->size == 2) {
        uint16_t words[7] = { (uint16_t)environment->control, (uint16_t)environment->status, (uint16_t)environment->tags };
        memcpy(out, words, 14);
        return 14;
    }
    bool protected_layout = (cpu->cr0 & CR0_PE) && !(cpu->rflags & FLAG_VM);
    uint32_t words[7] = {
        environment->control | 0xffff0000, environment->status | 0xffff0000, environment->tags | 0xffff0000, 0, 0, 0,
        protected_layout ? 0xffff0000 : 0,
    };
    memcpy(out, words, 28);
    return 28;
}

static void unpack(const Insn *insn, const uint8_t *in, Environment *environment)
{
    *environment = (Environment){ .control = 0 };
    if (insn->size == 2) {
        uint16_t words[3];
        memcpy(words, in, sizeof words);
        environment->control = words[0], environment->status = words[1], environment->tags = words[2];
    } else {
        memcpy(environment, in, 12);
    }
    environment->control |= 0xffff0000, environment->status |= 0xffff0000, environment->tags |= 0xffff0000;
}

/* Transferred word by word, so the first word's alignment and page count before the last one's limit. */
static uint64_t environment_address(SoftCpu *cpu, const Insn *insn, unsigned bytes, bool write)
{
    unsigned word = insn->size == 2 ? 2 : 4;

    uint64_t linear = soft_address(cpu, insn, word, write);

    vector_check_alignment(cpu, insn, linear, word);
    mmu_probe(cpu, insn, linear, word, write);
    return soft_address(cpu, insn, bytes, write);
}

static void x87_fnstenv(SoftCpu *cpu, const Insn *insn)
{
    uint8_t out[28];
    Environment environment;
    unsigned bytes = insn->size == 2 ? 14 : 28;

    enter(cpu, insn);
    uint64_t linear = environment_address(cpu, insn, bytes, true);
    mmu_probe(cpu, insn, linear, bytes, true);
    __asm__ volatile("fnstenv %0" : "=m"(environment) : : "memory");
    environment.control &= 0xffff, environment.status &= 0xffff, environment.tags &= 0xffff;
    mmu_write(cpu, insn, linear, out, pack(cpu, insn, &environment, out));
    cpu->x87_pending = cpu->x87_unmasked = false;          /* it masks everything */
}

static void x87_fldenv(SoftCpu *cpu, const Insn *insn)
{
    uint8_t in[28];
    Environment environment;
    unsigned bytes = insn->size == 2 ? 14 : 28;

    enter(cpu, insn);
    wait_here(cpu, insn);
    uint64_t linear = environment_address(cpu, insn, bytes, false);
    mmu_read(cpu, insn, linear, in, bytes);
    unpack(insn, in, &environment);
    __asm__ volatile("fnclex\n\tfldenv %0" : : "m"(environment) : "memory");
    look_again(cpu);
}

static void x87_fnsave(SoftCpu *cpu, const Insn *insn)
{
    uint8_t out[108];
    FullState state;
    unsigned bytes = insn->size == 2 ? 94 : 108;

    enter(cpu, insn);
    uint64_t linear = environment_address(cpu, insn, bytes, true);
    mmu_probe(cpu, insn, linear, bytes, true);
    __asm__ volatile("fnsave %0" : "=m"(state) : : "memory");
    Environment environment = state.environment;
    environment.control &= 0xffff, environment.status &= 0xffff, environment.tags &= 0xffff;
    unsigned at = pack(cpu, insn, &environment, out);
    memcpy(out + at, state.st, sizeof state.st);
    mmu_write(cpu, insn, linear, out, bytes);
    cpu->x87_pending = cpu->x87_unmasked = cpu->ferr = false;
}

static void x87_frstor(SoftCpu *cpu, const Insn *insn)
{
    uint8_t in[108];
    FullState state;
    unsigned bytes = insn->size == 2 ? 94 : 108;
    Environment environment;

    enter(cpu, insn);
    wait_here(cpu, insn);
    uint64_t linear = environment_address(cpu, insn, bytes, false);
    mmu_read(cpu, insn, linear, in, bytes);
    unpack(insn, in, &environment);
    state.environment = environment;
    memcpy(state.st, in + (bytes - 80), sizeof state.st);
    __asm__ volatile("fnclex\n\tfrstor %0" : : "m"(state) : "memory");
    look_again(cpu);
}

const SoftHandler x87_handlers[] = {
    { OP_X87, .run = x87_register }, { OP_X87_LOAD, .run = x87_load }, { OP_X87_STORE, .run = x87_store },
    { OP_X87_LOAD80, .run = x87_load80 }, { OP_X87_STORE80, .run = x87_store80 }, { OP_FCMOV, .run = x87_fcmov }, { OP_FCOMI, .run = x87_fcomi },
    { OP_FLDCW, .run = x87_fldcw }, { OP_X87_NOP, .call = x87_nop }, { OP_FWAIT, .call = x87_fwait },
    { OP_FNSTCW, .call = x87_fnstcw }, { OP_FNSTSW, .call = x87_fnstsw }, { OP_FNSTSW_AX, .call = x87_fnstsw_ax },
    { OP_FNCLEX, .call = x87_fnclex }, { OP_FNINIT, .call = x87_fninit }, { OP_FLDENV, .call = x87_fldenv }, { OP_FNSTENV, .call = x87_fnstenv },
    { OP_FRSTOR, .call = x87_frstor }, { OP_FNSAVE, .call = x87_fnsave },
    { .op = 0 },
};
