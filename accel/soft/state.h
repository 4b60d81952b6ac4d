/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * state.h - the software CPU's context: one per virtual processor
 *
 * Only the software CPU's own files include this. Handlers (InsnRun) take the context and the decoded instruction;
 * a fault unwinds by soft_raise() and never returns.
 *
 * RIP: while a block runs, cpu->block_rip is the RIP of its first byte and insn->start the offset, so the interpreter
 * does not store RIP for each instruction. Branch handlers write cpu->rip; the run loop adds the length of
 * a block that ends without a branch.
 *
 * Flags: the six arithmetic flags live in flags_low (RFLAGS bits 0-7) and flags_of (0 or 1), as lahf and seto deliver
 * them on the host; flags.h has the accessors. All other RFLAGS bits live in .rflags, whose arithmetic bits are zero.
 */
#pragma once
#include "accel/accel.h"
#include "accel/memory/ram.h"
#include "accel/soft/jit-state.h"
#include "accel/soft/system.h"
#include "accel/x86/insn.h"
#include <pthread.h>
#include <setjmp.h>

enum { TLB_BITS = 10, TLB_ENTRIES = 1 << TLB_BITS };
#define TLB_EMPTY UINT64_C(1)              /* never equal to a page address */
/* Two arrays a multiple of 4 MiB apart would share every slot without the second term. */
static inline unsigned tlb_slot(uint64_t linear) { return (unsigned)(linear >> 12 ^ linear >> 22) & (TLB_ENTRIES - 1); }

/* One page: tags hold the linear page address when that access may go straight to host memory. */
typedef struct TlbEntry {
    uint64_t read, write;                  /* page-aligned linear address, or TLB_EMPTY */
    intptr_t delta;                        /* host address minus linear address */
    uint64_t physical;                     /* page-aligned guest-physical address */
} TlbEntry;

/* AC: EFLAGS.AC lets SMAP through. CHECKED is never filled: the current table while every access needs a look (data
 * breakpoints, alignment checks). */
enum { TLB_USER, TLB_SUPERVISOR, TLB_SUPERVISOR_AC, TLB_CHECKED, TLB_MODES };

enum {                                     /* bits of SoftCpu.request, set by other threads */
    REQUEST_EXIT = 1,                      /* leave guest code: pause, kick, flush, end */
    REQUEST_INTR = 2,                      /* the interrupt source has something (level) */
    REQUEST_NMI = 4, REQUEST_INIT = 8, REQUEST_SIPI = 16,
    REQUEST_YIELD = 64,                    /* by the CPU itself: it spins, let the others have their turn */
    REQUEST_CODE = 32,                     /* somebody else wrote over decoded code: block_settle() */
    REQUEST_PROTECT = 128,                 /* pages became code of another processor: block_settle() */
};

#define X87_READY 1

/* Bit of a block's key that soft_mode_changed() never sets (its bits: KEY_* in system.h): a block of one instruction. */
#define KEY_SINGLE (UINT32_C(1) << 31)

/* Where a RIP was found the last time. Valid while .stamp is the CPU's: mode_key and the generation of the flushes. */
enum { JUMP_BITS = 12, JUMP_ENTRIES = 1 << JUMP_BITS };
typedef struct Block Block;
typedef struct JumpEntry { uint64_t rip, stamp; Block *block; uint64_t unused; } JumpEntry;

/* What a processor and the others tell each other about decoded code: code-page.c. */
typedef struct CodeWritten { RamBlock *ram; uint64_t offset, length; } CodeWritten;
typedef struct CodeInbox {
    unsigned number;                       /* of this processor among all contexts */
    bool inside;                           /* may run guest code; atomic */
    bool overflow;                         /* .lock */
    unsigned written_count;                /* .lock */
    uint64_t seen;                         /* the last request for protection that was served; atomic */
    pthread_mutex_t lock;
    CodeWritten written[64];               /* WRITTEN_LIMIT; .lock */
    void (*wake)(Cpu *cpu);                /* it may sleep: let it look; NULL: nothing sleeps here */
    struct CodePage *pages;                /* all of its own */
    RamBlock *last_ram;                    /* where its code was found last */
} CodeInbox;
/* The flat tables' bookkeeping: flat.h. */
enum { FLAT_LOG = 16384, FLAT_SEEN = 1024 };
typedef struct FlatLog { unsigned count; uint64_t index[FLAT_LOG]; } FlatLog;
typedef struct FlatTables {
    bool tables;                           /* the host gave the address space */
    unsigned touched, low_supervisor;
    uint64_t fills, resets;
    uint64_t seen[FLAT_SEEN];              /* a bit for each hash of a table page that was touched */
    FlatLog local, global;
} FlatTables;

struct SoftCpu {
    union {
        uint64_t gpr[18];                  /* INSN_NO_REG and INSN_RIP index the two that follow the 16 registers */
        struct { uint64_t general[16], zero, block_rip; };
    };
    uint64_t rip;                          /* while a block runs: what follows it, until a branch says otherwise */
    union {
        uint16_t flags_both;
        struct { uint8_t flags_of, flags_low; };
    };
    uint32_t poll_mask;                    /* the bits of request that end a chain of blocks now */
    uint32_t request;                      /* atomic; polled at every block end */
    int32_t budget;                        /* instructions left of this turn; a chain of blocks ends below zero */
    uint64_t rflags;                       /* all but the arithmetic bits */
    TlbEntry *tlb;                         /* the current mode's table: tables[mode] */
    uint8_t cpl, code_size;                /* code_size 2, 4, 8 as in DecodeMode */
    bool long_mode;                        /* EFER.LMA */
    bool flat;                             /* CS DS ES SS have base 0 and no limit that could bite (always so in 64-bit mode) */
    uint32_t mode_key;                     /* everything decoding and block lookup depend on: KEY_* */
    CpuSegment segment[SEG_COUNT], ldt, tr;
    uint64_t gdt_base, idt_base;
    uint32_t gdt_limit, idt_limit;
    uint64_t cr0, cr2, cr3, cr4, efer, xcr0;
    uint64_t dr[4], dr6, dr7;
    uint64_t tsc_offset;                   /* to the host's counter; other threads read it */
    uint64_t tsc_adjust, tsc_aux, star, lstar, cstar, sfmask, kernel_gs_base;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip, pat, misc_enable, mtrr_def_type;
    uint64_t mtrr_fixed[11], mtrr_base[8], mtrr_mask[8], spec_ctrl;
    CpuActivity activity;
    bool interrupt_shadow;                 /* this one next instruction takes no interrupt */
    bool nmi_masked;
    bool a20_wanted;                       /* the gate as it was set last; atomic: tlb_flush_take() obeys it */
    uint8_t sipi_vector;
    uint8_t pending_vector, pending_kind;  /* an exception being delivered, for the double-fault rule */
    jmp_buf unwind;                        /* run loop: where soft_raise lands */
    /* x87, MMX, SSE: the XSAVE image is the truth between instructions unless fpu_live says that x87 is in the host's registers */
    uint8_t xsave[4096] __attribute__((aligned(64)));
    union {
        uint32_t x87_state;                /* X87_READY: translated code may go ahead */
        struct {
            bool fpu_live;
            bool x87_pending;              /* fpu_live: an unmasked x87 exception waits (the status word's ES) */
            bool x87_unmasked;             /* fpu_live: the control word unmasks something, so ES must be looked at */
        };
    };
    uint8_t bounce[64] __attribute__((aligned(64)));       /* a vector operand that is not in one page of RAM */
    bool mxcsr_live;                       /* the host's MXCSR is the guest's and collects its flags: see fpu.h */
    bool ferr;                             /* CR0.NE=0: the FERR# line, IRQ 13 on a PC; nothing listens yet */
    TlbEntry tables[TLB_MODES][TLB_ENTRIES];
    AddressSpace *memory, *ports;
    const FlatView *view;                  /* held while inside run */
    CpuIrqSource source;
    uint32_t features[16];                 /* CPUID words; enum in cpuid.h */
    Cpu *cpu;                              /* the outside's handle */
    SoftSystem sys;                        /* of the system side: system.h */
    uint64_t instructions;                 /* executed, for statistics and later for an instruction-counted clock */
    Block *block;                          /* running now; NULL: left by its own stores (block.c) */
    uint64_t stamp, stamp_local;           /* of the jump cache, by tlb_stamp(): for code in global pages (or of CPL 3), for other code */
    JumpEntry jumps[JUMP_ENTRIES];
    bool shares;                           /* its thread runs other CPUs too */
    unsigned spins;                        /* PAUSEs executed */
    Insn *link;                            /* a branch that asks for the address of the block at link_rip (block.h: soft_link()) */
    Block *link_block;                     /* the block it stands in */
    uint64_t link_rip;
    struct BlockCache *blocks;             /* its own; nobody else looks in there */
    CodeInbox code;
    CodeWritten late;                      /* what mmu_host() gave away for writing and others are to hear of: mmu_written_late() */
    FlatTables pages;                      /* the flat tables */
    JitState jit;                          /* of the translator: jit.h */
};

/* Any thread: something for the run loop. */
static inline void soft_request(SoftCpu *cpu, uint32_t bits)
{
    __atomic_fetch_or(&cpu->request, bits, __ATOMIC_SEQ_CST);
    __atomic_store_n(&cpu->jit.calm, 0, __ATOMIC_SEQ_CST);
}

/* Exceptions. They never return; the instruction has no effect (handlers probe before they commit). */
_Noreturn void soft_raise(SoftCpu *cpu, const Insn *insn, unsigned vector);                 /* no error code */
_Noreturn void soft_raise_error(SoftCpu *cpu, const Insn *insn, unsigned vector, uint32_t error);
enum {
    EXC_DE = 0, EXC_DB = 1, EXC_NMI = 2, EXC_BP = 3, EXC_OF = 4, EXC_BR = 5, EXC_UD = 6, EXC_NM = 7, EXC_DF = 8, EXC_TS = 10,
    EXC_NP = 11, EXC_SS = 12, EXC_GP = 13, EXC_PF = 14, EXC_MF = 16, EXC_AC = 17, EXC_MC = 18, EXC_XM = 19,
};
/* What serializing instructions do besides: earlier stores are seen by all before anything later is read. */
static inline void soft_fence(void)
{
    __asm__ volatile("mfence" ::: "memory");   /* the builtin is unknown to the thread sanitizer */
}
static inline uint64_t insn_rip(const SoftCpu *cpu, const Insn *insn) { return cpu->block_rip + insn->start; }
static inline uint64_t insn_next_rip(const SoftCpu *cpu, const Insn *insn) { return cpu->block_rip + insn->start + insn->length; }
