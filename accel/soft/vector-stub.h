/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vector-stub.h - small pieces of host code, one per form of a vector or x87 instruction
 *
 * A stub is the guest's own instruction with its registers renamed to fixed host registers, between the loads and the
 * stores of its operands. Stubs are made on first use, kept for ever and shared by all CPUs (docs/decisions/vector-stubs.md).
 * Any thread.
 */
#pragma once
#include "accel/soft/state.h"
#include "accel/x86/vector.h"

/*
 * reg and rm point to the operand's slot (16 bytes of the XSAVE image, or a GPR), or rm to the memory operand: exactly
 * the bytes that the instruction touches, aligned where it wants that. vvvv and fourth: slots of a VEX form's other registers. The
 * upper half of a YMM register lies YMM_HIGH bytes behind its slot.
 * Returns RFLAGS for a row with VECTOR_FLAGS, or STUB_FAULTED: an unmasked SIMD exception, nothing was written, the
 * host's MXCSR tells which.
 */
typedef uint32_t VectorStub(void *reg, void *rm, SoftCpu *cpu, void *vvvv, void *fourth);
#define STUB_FAULTED UINT32_C(0x80000000)

enum { STUB_66 = 1, STUB_F3 = 2, STUB_F2 = 3 };            /* mandatory prefix */

typedef struct StubForm {
    uint32_t word;                         /* VECTOR_* of the row */
    uint32_t vex;                          /* VEX_* and VVVV_* of the row */
    uint8_t prefix, map, opcode;           /* map 1: 0F, 2: 0F 38, 3: 0F 3A */
    int8_t extension;                      /* ModRM.reg where it belongs to the opcode, else -1 */
    bool w, memory;
    bool has_vex, wide;                    /* a VEX prefix, with L=1 */
    uint8_t imm;                           /* ignored without VECTOR_IMM8, and with VEX_IS4 */
} StubForm;

/* Gets the memory for code and the SIGFPE handler; when a CPU is made, so that a host which refuses says so before the guest runs. */
bool vector_stub_open(void);
/* NULL only when the host refuses memory for code. */
VectorStub *vector_stub(const StubForm *form);

/* escape as in Insn.escape; a memory form reads or writes memory; flags: RFLAGS going in (fcmov) and the result (fcomi).
 * STUB_FAULTED: an error was pending after all, nothing was done. */
typedef uint32_t X87Stub(void *memory, uint32_t flags);
X87Stub *x87_stub(uint16_t escape);
