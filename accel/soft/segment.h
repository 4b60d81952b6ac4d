/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * segment.h - descriptors, segment registers, and stacks as far transfers use them
 *
 * Everything here may raise; nothing is changed before the last check has passed, except accessed bits in descriptors.
 */
#pragma once
#include "accel/soft/mmu.h"

typedef struct Descriptor { uint32_t low, high; } Descriptor;

enum {                                     /* system descriptor types */
    SYS_TSS16 = 1, SYS_LDT = 2, SYS_TSS16_BUSY = 3, SYS_CALL16 = 4, SYS_TASK_GATE = 5, SYS_INT16 = 6, SYS_TRAP16 = 7,
    SYS_TSS32 = 9, SYS_TSS32_BUSY = 11, SYS_CALL32 = 12, SYS_INT32 = 14, SYS_TRAP32 = 15,
    TYPE_CODE = 8, TYPE_CONFORMING = 4, TYPE_EXPAND_DOWN = 4, TYPE_READ_WRITE = 2, TYPE_ACCESSED = 1,
};
static inline unsigned descriptor_type(Descriptor d) { return d.high >> 8 & 15; }
static inline bool descriptor_is_segment(Descriptor d) { return d.high >> 12 & 1; }       /* the S bit */
static inline unsigned descriptor_dpl(Descriptor d) { return d.high >> 13 & 3; }
static inline bool descriptor_present(Descriptor d) { return d.high >> 15 & 1; }
static inline bool descriptor_long(Descriptor d) { return d.high >> 21 & 1; }
static inline bool descriptor_big(Descriptor d) { return d.high >> 22 & 1; }
static inline bool descriptor_is_code(Descriptor d) { return descriptor_is_segment(d) && descriptor_type(d) & TYPE_CODE; }
static inline bool descriptor_is_conforming(Descriptor d) { return descriptor_is_code(d) && descriptor_type(d) & TYPE_CONFORMING; }
static inline uint16_t gate_selector(Descriptor d) { return (uint16_t)(d.low >> 16); }
static inline uint32_t gate_offset(Descriptor d) { return (d.low & 0xffff) | (d.high & 0xffff0000); }

static inline bool selector_is_null(uint16_t selector) { return !(selector & 0xfffc); }
static inline uint32_t selector_error(uint16_t selector) { return selector & 0xfffc; }

static inline bool cpu_is_real(const SoftCpu *cpu) { return !(cpu->cr0 & CR0_PE); }
static inline bool cpu_is_v8086(const SoftCpu *cpu) { return cpu->rflags & FLAG_VM; }
static inline bool cpu_is_64(const SoftCpu *cpu) { return cpu->code_size == 8; }
static inline unsigned cpu_iopl(const SoftCpu *cpu) { return cpu->rflags >> FLAG_IOPL_SHIFT & 3; }
static inline bool linear_is_canonical(uint64_t linear) { return (uint64_t)((int64_t)(linear << 16) >> 16) == linear; }

/* Reads a descriptor (its first eight bytes). False: the selector lies outside its table, or there is no LDT. May raise #PF. */
bool descriptor_read(SoftCpu *cpu, const Insn *insn, uint16_t selector, Descriptor *descriptor);
/* The same for the 16-byte descriptors of long mode; *upper is the second eight bytes. */
bool descriptor_read_wide(SoftCpu *cpu, const Insn *insn, uint16_t selector, Descriptor *descriptor, uint64_t *upper);
/* Writes the second dword back: accessed and busy bits. */
void descriptor_write_high(SoftCpu *cpu, const Insn *insn, uint16_t selector, uint32_t high);
void descriptor_set_accessed(SoftCpu *cpu, const Insn *insn, uint16_t selector, Descriptor *descriptor);
CpuSegment descriptor_to_segment(Descriptor descriptor, uint16_t selector);

bool segment_covers(const CpuSegment *segment, uint32_t offset, unsigned size);
void segment_set_real(CpuSegment *segment, uint16_t selector);          /* real mode: limit and size stay */
void segment_set_v8086(CpuSegment *segment, uint16_t selector);
CpuSegment segment_null(uint16_t selector);

/* MOV and POP to a segment register, LDS and friends: any mode, every check. Not CS. */
void segment_load(SoftCpu *cpu, const Insn *insn, unsigned which, uint16_t selector);
/* SS for a given privilege level; invalid: the vector for what is wrong with the selector (#GP, or #TS in a task switch
 * or when the stack comes from a TSS). */
CpuSegment segment_check_ss(SoftCpu *cpu, const Insn *insn, uint16_t selector, unsigned cpl, unsigned invalid);
CpuSegment segment_check_data(SoftCpu *cpu, const Insn *insn, uint16_t selector, unsigned cpl, unsigned invalid);
/* LLDT and the LDT of a task switch. */
CpuSegment segment_check_ldt(SoftCpu *cpu, const Insn *insn, uint16_t selector, unsigned invalid);
/* After a return outwards: DS ES FS GS that the new level may not see become null. */
void segments_hide(SoftCpu *cpu, unsigned cpl);

/* A stack that is pushed to or popped from, not yet the CPU's. */
typedef struct Stack {
    CpuSegment ss;
    uint64_t pointer;
    uint64_t mask;                         /* of the pointer: 16, 32 or 64 bits */
    bool wide;                             /* 64-bit: no segment */
    uint8_t mode;                          /* TLB_ mode of its accesses */
    uint32_t error;                        /* #SS's error code */
} Stack;
Stack stack_current(const SoftCpu *cpu);
Stack stack_new(const SoftCpu *cpu, CpuSegment ss, uint64_t pointer, bool wide, unsigned cpl);
void stack_push(SoftCpu *cpu, const Insn *insn, Stack *stack, unsigned size, uint64_t value);
uint64_t stack_pop(SoftCpu *cpu, const Insn *insn, Stack *stack, unsigned size);
uint64_t stack_peek(SoftCpu *cpu, const Insn *insn, const Stack *stack, unsigned offset, unsigned size);
void stack_commit(SoftCpu *cpu, const Stack *stack);      /* RSP, by the mask; SS is the caller's */

/* The stack for level cpl out of the current TSS (not long mode). */
Stack stack_from_tss(SoftCpu *cpu, const Insn *insn, unsigned cpl);
/* RSP0-2 (which 0-2) or IST1-7 (which 4-10: the slot's number in the 64-bit TSS after its first dword). */
uint64_t tss64_pointer(SoftCpu *cpu, const Insn *insn, unsigned slot);

/* far.c. next_rip is what a call pushes. */
void far_jump(SoftCpu *cpu, const Insn *insn, uint16_t selector, uint64_t offset);
void far_call(SoftCpu *cpu, const Insn *insn, uint16_t selector, uint64_t offset);
void far_return(SoftCpu *cpu, const Insn *insn, unsigned release);
void far_iret(SoftCpu *cpu, const Insn *insn);
/* Checks a code segment for a transfer to level cpl and returns it as CS, accessed bit set; error: its #GP code. */
CpuSegment code_segment(SoftCpu *cpu, const Insn *insn, uint16_t selector, Descriptor descriptor, unsigned cpl);
void code_check_target(SoftCpu *cpu, const Insn *insn, const CpuSegment *cs, uint64_t offset);

/* task.c */
typedef enum { TASK_JUMP, TASK_CALL, TASK_IRET, TASK_EVENT } TaskSource;
/* Switches to the task of this TSS selector (already checked for privilege). error: pushed on the new stack after an event that has one. */
void task_switch(SoftCpu *cpu, const Insn *insn, uint16_t selector, TaskSource source, uint64_t next_rip, bool has_error, uint32_t error);
/* A task gate: its selector must be a present, available TSS in the GDT. */
void task_gate(SoftCpu *cpu, const Insn *insn, uint16_t selector, TaskSource source, uint64_t next_rip, bool has_error, uint32_t error);
