/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * trans.h - between the parts of the translator: the block being built, and how operands get where the host's instruction finds them
 */
#pragma once
#include "accel/soft/jit.h"
#include "accel/x86/optab.h"

/* The host registers of the guest's; the others live in the context. RCX and RBP are the translator's, R15 the write table, RSP the host's stack. */
enum { NOT_PINNED = 0xff, TEMP_DELTA = H_RCX, TEMP_ADDRESS = H_RBP, WRITE_TABLE = H_R15 };
extern const uint8_t trans_host[16];

enum { ISLANDS = 16, COLDS = 512 };
typedef struct Island { uint8_t *rel8; uint32_t site; uint8_t tramp, move; } Island;       /* move: a register that goes to RBP first, or NOT_PINNED */
typedef struct Cold { uint8_t *rel32; uint32_t site; uint8_t tramp, move; } Cold;

typedef struct TransBuild {
    SoftCpu *cpu;
    JitCache *cache;
    Block *block;
    Trans *trans;
    Emit e;
    const Insn *insn;
    unsigned index;                        /* of insn */
    bool long_code, user;
    bool alone;                            /* the only processor of all */
    struct { bool live; uint8_t base; unsigned last; } group;              /* accesses that share one look-up */
    bool vectors, avx, x87;                /* the block has native ones */
    uint32_t fixups[80];                   /* sites whose .after is the end of the current instruction */
    unsigned fixup_count;
    Island islands[ISLANDS];
    unsigned island_count;
    Cold colds[COLDS];
    unsigned cold_count;
} TransBuild;

/* trans-operand.c */
uint32_t trans_site(TransBuild *b, unsigned size, bool write);                 /* of the current instruction */
static inline uint16_t trans_offset(const TransBuild *b) { return (uint16_t)(emit_here(&b->e) - b->trans->start); }
void trans_island(TransBuild *b, uint8_t *rel8, uint32_t site, unsigned tramp, unsigned move);
void trans_flush_islands(TransBuild *b, bool jump_over);
void trans_make_room(TransBuild *b);       /* before something that may hold a jrcxz: flushes islands that would get too far away */
void trans_cold(TransBuild *b, uint8_t *rel32, uint32_t site, unsigned tramp);
bool trans_address(TransBuild *b, const Insn *insn);                           /* the linear address to RBP; false: not here */
/* The memory operand: a host operand that may be read (and written). RCX and RBP are taken. */
bool trans_memory(TransBuild *b, const Insn *insn, unsigned size, bool write, bool plain_registers, Rm *rm);
/* The same for the linear address in reg, already there; one_page: it cannot lie in two. */
Rm trans_lookup(TransBuild *b, unsigned reg, unsigned size, bool write, bool one_page);
void trans_check_stack(TransBuild *b, const Insn *insn);   /* behind an instruction that may leave RSP no multiple of 8 */
unsigned trans_get(TransBuild *b, unsigned guest, unsigned temp);              /* a guest register, in temp when it lives in the context */
void trans_put(TransBuild *b, unsigned guest, unsigned from);                  /* the other way */
static inline Rm trans_slot(unsigned guest) { return rm_context(offsetof(SoftCpu, gpr) + 8 * guest); }

/* trans-group.c */
void trans_group_begin(TransBuild *b, unsigned index);     /* before an instruction: looks up for those that follow, where that pays */
bool trans_shared(const TransBuild *b, unsigned base, int32_t disp, Rm *rm);   /* the operand, when the group has looked it up */
bool trans_is_there(const TransBuild *b, const Insn *insn);

/* trans-integer.c, trans-stack.c, trans-vector.c: false: the interpreter's function is called for it. */
bool trans_integer(TransBuild *b, const Insn *insn);
bool trans_stack(TransBuild *b, const Insn *insn);
bool trans_system(TransBuild *b, const Insn *insn);
bool trans_vector(TransBuild *b, const Insn *insn);
bool trans_x87(TransBuild *b, const Insn *insn);
bool trans_needs_vectors(const TransBuild *b, const Insn *insn);
bool trans_needs_avx(const TransBuild *b, const Insn *insn);
bool trans_needs_x87(const TransBuild *b, const Insn *insn);
bool trans_system_end(TransBuild *b, const Insn *insn);            /* the same for some that end a block */
/* The last instruction; true when it was done here, exits and all. */
bool trans_branch(TransBuild *b, const Insn *insn);
void trans_exit(TransBuild *b, uint64_t target, bool polls);                   /* goes on at a known RIP */
bool trans_can_link(const TransBuild *b, uint64_t target, bool *crosses);      /* trans_exit() there becomes a jump; *crosses: while both pages are global */
void trans_exit_indirect(TransBuild *b);   /* RIP in RBP */
uint64_t trans_next_rip(const TransBuild *b, const Insn *insn);
