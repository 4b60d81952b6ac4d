/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * operand.h - registers and memory operands for handlers that are written once and made for each operand width
 *
 * bits is always a constant (8, 16, 32, 64) in the caller, so everything folds; Kind says how the memory address is found.
 * A read-modify-write finds its page once, with write rights, and touches nothing before it is sure to be able to store.
 */
#pragma once
#include "accel/soft/address.h"
#include "accel/soft/flags.h"
#include "accel/soft/handlers.h"
#include "accel/soft/mmu.h"

#define SOFT_INLINE static inline __attribute__((always_inline))

/* Where the r/m operand is: a register; memory by one of the two short ways, or by any. */
typedef enum { AT_REGISTER, AT_FLAT64, AT_FLAT32, AT_ANY, AT_EITHER } At;

SOFT_INLINE uint64_t reg_get(const SoftCpu *cpu, unsigned number, unsigned bits, unsigned high)
{
    switch (bits) {
    case 8: return ((const uint8_t *)&cpu->gpr[number])[high];
    case 16: return (uint16_t)cpu->gpr[number];
    case 32: return (uint32_t)cpu->gpr[number];
    default: return cpu->gpr[number];
    }
}

SOFT_INLINE void reg_set(SoftCpu *cpu, unsigned number, unsigned bits, unsigned high, uint64_t value)
{
    switch (bits) {
    case 8: ((uint8_t *)&cpu->gpr[number])[high] = (uint8_t)value; break;
    case 16: *(uint16_t *)&cpu->gpr[number] = (uint16_t)value; break;
    case 32: cpu->gpr[number] = (uint32_t)value; break;
    default: cpu->gpr[number] = value; break;
    }
}

SOFT_INLINE uint64_t get_reg(const SoftCpu *cpu, const Insn *insn, unsigned bits) { return reg_get(cpu, insn->reg, bits, insn->high & 1); }
SOFT_INLINE void set_reg(SoftCpu *cpu, const Insn *insn, unsigned bits, uint64_t value) { reg_set(cpu, insn->reg, bits, insn->high & 1, value); }
SOFT_INLINE uint64_t get_rm_reg(const SoftCpu *cpu, const Insn *insn, unsigned bits) { return reg_get(cpu, insn->rm, bits, insn->high >> 1); }
SOFT_INLINE void set_rm_reg(SoftCpu *cpu, const Insn *insn, unsigned bits, uint64_t value) { reg_set(cpu, insn->rm, bits, insn->high >> 1, value); }

SOFT_INLINE uint64_t operand_linear(SoftCpu *cpu, const Insn *insn, At at, unsigned bytes, bool write)
{
    uint64_t offset = cpu->gpr[insn->base] + (cpu->gpr[insn->index] << insn->scale) + (uint64_t)(int64_t)insn->disp;

    switch (at) {
    case AT_FLAT64: return offset;
    case AT_FLAT32: return (uint32_t)offset;
    default: return soft_address(cpu, insn, bytes, write);
    }
}

SOFT_INLINE uint64_t mem_load(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned bits)
{
    switch (bits) {
    case 8: return mmu_load8(cpu, insn, linear);
    case 16: return mmu_load16(cpu, insn, linear);
    case 32: return mmu_load32(cpu, insn, linear);
    default: return mmu_load64(cpu, insn, linear);
    }
}

SOFT_INLINE void mem_store(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned bits, uint64_t value)
{
    switch (bits) {
    case 8: mmu_store8(cpu, insn, linear, (uint8_t)value); break;
    case 16: mmu_store16(cpu, insn, linear, (uint16_t)value); break;
    case 32: mmu_store32(cpu, insn, linear, (uint32_t)value); break;
    default: mmu_store64(cpu, insn, linear, value); break;
    }
}

/* Host address for a store that may go straight there, or NULL: ask the slow path. */
SOFT_INLINE uint8_t *fast_write(const SoftCpu *cpu, uint64_t linear, unsigned bytes)
{
    const TlbEntry *entry = &cpu->tlb[tlb_slot(linear)];

    return __builtin_expect(((linear + bytes - 1) & ~UINT64_C(0xfff)) == entry->write, 1) ? (uint8_t *)(linear + (uint64_t)entry->delta) : NULL;
}

SOFT_INLINE const uint8_t *fast_read(const SoftCpu *cpu, uint64_t linear, unsigned bytes)
{
    const TlbEntry *entry = &cpu->tlb[tlb_slot(linear)];

    return __builtin_expect(((linear + bytes - 1) & ~UINT64_C(0xfff)) == entry->read, 1) ? (const uint8_t *)(linear + (uint64_t)entry->delta) : NULL;
}

/* A memory operand between its load and its store. */
typedef struct Modify { uint8_t *host; uint64_t linear; } Modify;

SOFT_INLINE uint64_t modify_begin(SoftCpu *cpu, const Insn *insn, At at, unsigned bits, Modify *modify)
{
    if (at == AT_REGISTER || (at == AT_EITHER && !insn->memory)) {
        return get_rm_reg(cpu, insn, bits);
    }
    modify->linear = operand_linear(cpu, insn, at, bits / 8, true);
    modify->host = fast_write(cpu, modify->linear, bits / 8);
    if (__builtin_expect(modify->host != NULL, 1)) {
        return host_load(modify->host, bits);
    }
    mmu_probe_kept(cpu, insn, modify->linear, bits / 8, true);
    return mmu_load_kept(cpu, insn, modify->linear, bits / 8);
}

SOFT_INLINE void modify_end(SoftCpu *cpu, const Insn *insn, At at, unsigned bits, const Modify *modify, uint64_t value)
{
    if (at == AT_REGISTER || (at == AT_EITHER && !insn->memory)) {
        set_rm_reg(cpu, insn, bits, value);
    } else if (__builtin_expect(modify->host != NULL, 1)) {
        host_store(modify->host, bits, value);
    } else {
        mmu_store_kept(cpu, insn, modify->linear, bits / 8, value);
    }
}

/* For a locked operation: RAM that the host's own locked instruction may work on, or NULL: two pages (mmu_split_begin()), or a device,
 * of which each access is one, but not the two together. mmu_written_late() follows the write. */
SOFT_INLINE uint8_t *locked_host(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned bytes)
{
    uint8_t *host = fast_write(cpu, linear, bytes);

    return host ? host : mmu_host(cpu, insn, linear, bytes, true);
}

/* The other way, where there is no such host address: nothing may raise between the two. */
static inline uint64_t two_steps_begin(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned bits, Split *split)
{
    uint64_t value;

    if (!mmu_split_begin(cpu, insn, linear, bits / 8, split, &value)) {
        split->host[0] = NULL;
        mmu_probe(cpu, insn, linear, bits / 8, true);
        value = mmu_load_slow(cpu, insn, linear, bits / 8);
    }
    return value;
}

static inline void two_steps_end(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned bits, const Split *split, uint64_t value)
{
    if (split->host[0]) {
        mmu_split_end(cpu, split, value);
    } else {
        mmu_store_slow(cpu, insn, linear, bits / 8, value);
    }
}

SOFT_INLINE uint64_t get_rm(SoftCpu *cpu, const Insn *insn, At at, unsigned bits)
{
    if (at == AT_REGISTER || (at == AT_EITHER && !insn->memory)) {
        return get_rm_reg(cpu, insn, bits);
    }
    return mem_load(cpu, insn, operand_linear(cpu, insn, at, bits / 8, false), bits);
}

SOFT_INLINE void set_rm(SoftCpu *cpu, const Insn *insn, At at, unsigned bits, uint64_t value)
{
    if (at == AT_REGISTER || (at == AT_EITHER && !insn->memory)) {
        set_rm_reg(cpu, insn, bits, value);
    } else {
        mem_store(cpu, insn, operand_linear(cpu, insn, at, bits / 8, true), bits, value);
    }
}

/* A handler for each width: name_8 ... name_64 from the always-inline function name(cpu, insn, bits). */
#define SOFT_SIZED(name)                                       \
    SOFT_HANDLER(name##_8) { name(cpu, insn, 8); }             \
    SOFT_HANDLER(name##_16) { name(cpu, insn, 16); }           \
    SOFT_HANDLER(name##_32) { name(cpu, insn, 32); }           \
    SOFT_HANDLER(name##_64) { name(cpu, insn, 64); }
#define SOFT_SIZED_WIDE(name)                                  \
    SOFT_HANDLER(name##_16) { name(cpu, insn, 16); }           \
    SOFT_HANDLER(name##_32) { name(cpu, insn, 32); }           \
    SOFT_HANDLER(name##_64) { name(cpu, insn, 64); }
#define ROWS_SIZED(op_, name)                                                                   \
    { .op = OP_##op_, .size = 1, .run = name##_8 }, { .op = OP_##op_, .size = 2, .run = name##_16 },  \
    { .op = OP_##op_, .size = 4, .run = name##_32 }, { .op = OP_##op_, .size = 8, .run = name##_64 }
#define ROWS_SIZED_WIDE(op_, name)                                                              \
    { .op = OP_##op_, .size = 2, .run = name##_16 }, { .op = OP_##op_, .size = 4, .run = name##_32 }, { .op = OP_##op_, .size = 8, .run = name##_64 }

/* Stack: width of the stack pointer by SS.B outside 64-bit code. The pushes here are of explicit instructions. */
SOFT_INLINE uint64_t stack_mask(const SoftCpu *cpu)
{
    return cpu->code_size == 8 ? UINT64_MAX : cpu->mode_key & KEY_STACK_32 ? UINT32_MAX : UINT16_MAX;
}

static inline void set_stack_pointer(SoftCpu *cpu, uint64_t value)
{
    uint64_t mask = stack_mask(cpu);

    cpu->gpr[GPR_RSP] = mask == UINT16_MAX ? (cpu->gpr[GPR_RSP] & ~mask) | (value & mask) : value & mask;
}

/* Linear address of bytes at an offset in the stack segment. */
SOFT_INLINE uint64_t stack_linear(SoftCpu *cpu, const Insn *insn, uint64_t pointer, unsigned bytes, bool write)
{
    if (__builtin_expect(cpu->code_size == 8, 1)) {
        if (__builtin_expect((uint64_t)((int64_t)(pointer << 16) >> 16) != pointer, 0)) {
            soft_raise_error(cpu, insn, EXC_SS, 0);        /* the slow path would judge by the segment of the other operand */
        }
        return pointer;
    }
    pointer &= stack_mask(cpu);
    if (cpu->flat && cpu->mode_key & KEY_STACK_32 && pointer + (bytes - 1) <= UINT32_MAX) {
        return pointer;
    }
    return soft_linear(cpu, insn, SEG_SS, pointer, bytes, write);
}

SOFT_INLINE void stack_push(SoftCpu *cpu, const Insn *insn, unsigned bits, uint64_t value)
{
    uint64_t pointer = cpu->gpr[GPR_RSP] - bits / 8;

    mem_store(cpu, insn, stack_linear(cpu, insn, pointer, bits / 8, true), bits, value);
    set_stack_pointer(cpu, pointer);
}

/* The value only: the caller moves RSP when nothing can raise any more. */
SOFT_INLINE uint64_t stack_peek(SoftCpu *cpu, const Insn *insn, unsigned bits, uint64_t offset)
{
    return mem_load(cpu, insn, stack_linear(cpu, insn, cpu->gpr[GPR_RSP] + offset, bits / 8, false), bits);
}
