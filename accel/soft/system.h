/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * system.h - what the run loop and the other handlers ask of the processor's system side
 *
 * Paging (mmu.h), delivery of exceptions and interrupts (exception.c), segment loads (segment.h), permission to
 * do I/O, debug registers, model-specific registers and CPUID. SoftSystem is that side's own part of SoftCpu.
 *
 * Unwinding: soft_raise() stores the fault and jumps to cpu->unwind. The run loop's landing calls soft_fault(), which
 * delivers it, or, when it came from within a delivery, makes the double fault of it. soft_fault() may itself
 * fault and land again; three in a row shut the processor down (activity becomes CPU_SHUTDOWN), so it always ends.
 */
#pragma once
#include "accel/x86/cpuid.h"
#include "accel/x86/insn.h"

typedef enum { PAGING_OFF, PAGING_32, PAGING_PAE, PAGING_4LEVEL } PagingMode;

/* Which slots of one TLB table are in use, so that a flush costs what was filled. A slot is listed at most once in each list. */
enum { TLB_SLOTS = 1024 };
typedef struct TlbList { uint16_t count, slot[TLB_SLOTS]; } TlbList;
typedef struct TlbUse {
    TlbList local, global;
    uint8_t flags[TLB_SLOTS];
} TlbUse;

/* Pages to execute from: one for user code, one for supervisor code. Valid while .generation is the CPU's (of the kind that .global says). */
enum { FETCH_ENTRIES = 256 };
typedef struct FetchEntry { uint64_t linear, physical; const uint8_t *host; uint64_t generation; bool global; } FetchEntry;
/* Hashes of the pages that were executed from in this generation, and the 2 MiB and 1 GiB regions where those were slices of large pages
 * (too many to list: any may be). */
enum { FETCH_HASH_BITS = 15, FETCH_REGIONS = 32 };
typedef struct FetchSeen {
    uint64_t pages[1 << (FETCH_HASH_BITS - 6)];
    uint64_t region[FETCH_REGIONS];        /* linear address >> 21 */
    unsigned regions;
    bool huge;                             /* 1 GiB pages: not listed */
} FetchSeen;
#define STAMP_LOCAL (UINT64_C(1) << 30)    /* of SoftCpu.stamp_local: no mode_key has it */

typedef enum {
    DELIVER_NOTHING, DELIVER_FAULT, DELIVER_TRAP, DELIVER_INTERRUPT, DELIVER_NMI,
    DELIVER_INT_N,                         /* INT n: gate DPL and IOPL are checked */
    DELIVER_INT3,                          /* INT3, INTO: gate DPL is checked, vm86 needs no IOPL */
    DELIVER_ICEBP,                         /* F1h: neither */
} DeliverKind;

enum { CODE_PLACES = 64 };
typedef struct SoftSystem {
    CpuidConfig cpuid;
    bool intel;                            /* by the CPUID's vendor: SYSCALL and SYSENTER differ */
    uint64_t physical_limit;               /* bits that a physical address cannot have (CPUID 80000008h) */
    uint64_t physical_mask;                /* the A20 gate: all ones, or without bit 20 */
    uint64_t pdptr[4];                     /* PAE paging: loaded with CR3 */
    uint8_t paging;                        /* PagingMode */
    uint8_t tlb_mode;                      /* the table of the current privilege, whether or not cpu->tlb is the checked one */
    bool watching;                         /* DR7 enables a data breakpoint */
    bool stepping;                         /* run one instruction at a time: TF, or DR7 enables any breakpoint */
    uint32_t flush_wanted;                 /* atomic: another thread asks for tlb_flush_all and a new view */
    uint64_t fetch_generation;             /* rises with every flush that code could notice; caches of linear addresses compare it */
    uint64_t global_generation;            /* the same for code in global pages: loading CR3 leaves it */
    FetchSeen seen[2];                     /* in pages that are not global, and in those that are */
    const struct FlatRange *last_range;    /* of the view: where the walker last found RAM */
    uint64_t large_local, large_global;    /* hashes of the 4 MiB regions that have entries of large pages */
    uint64_t huge_local, huge_global;      /* the same for 1 GiB pages */

    uint8_t raised_vector;                 /* by soft_raise, until soft_fault takes it */
    bool raised_has_error;
    uint32_t raised_error;
    uint8_t external;                      /* the EXT bit of error codes during a delivery */
    uint8_t delivering;                    /* DeliverKind; nothing outside of a delivery */
    uint8_t delivering_vector;
    bool double_fault;                     /* what is being delivered is #DF */
    uint64_t return_rip;                   /* of a software interrupt */
    uint32_t debug_hits;                   /* DR6 bits gathered by the current instruction */
    bool resume_flag_kept;                 /* IRET or a task switch loaded RF: the step must not clear it */
    bool shadow_of_ss;                     /* cpu->interrupt_shadow comes from MOV SS or POP SS: debug traps wait too */
    bool step_armed;                       /* TF was set when the instruction began */
    TlbUse use[3];                         /* of tables[TLB_USER .. TLB_SUPERVISOR_AC] */
    FetchEntry fetch[2][FETCH_ENTRIES];
    uint32_t code_place;                   /* a number for CS's base, in the stamps: the jump cache knows offsets only. 0: base 0 */
    uint32_t places_used;
    uint64_t places[CODE_PLACES];          /* bases by a hash of them, each with its number in the low bits; 0: none */
} SoftSystem;

/* Where the number of CS's base stands in a stamp, above the mode_key and below STAMP_LOCAL. */
enum { PLACE_SHIFT = 16, PLACE_LIMIT = 1 << 14 };

/* mode_key: what decoding and the choice of handlers depend on. Made by soft_mode_changed(). */
enum {
    KEY_CODE_16 = 0, KEY_CODE_32 = 1, KEY_CODE_64 = 2, KEY_CODE = 3,
    KEY_CPL_SHIFT = 2, KEY_CPL = 3 << 2,
    KEY_PROTECTED = 1 << 4, KEY_V8086 = 1 << 5, KEY_LONG = 1 << 6, KEY_FLAT = 1 << 7,
    KEY_STACK_32 = 1 << 8,                 /* SS.B: matters outside 64-bit code */
    KEY_TS = 1 << 9, KEY_EM = 1 << 10, KEY_MP = 1 << 11, KEY_OSFXSR = 1 << 12, KEY_OSXSAVE = 1 << 13,
    KEY_AVX = 1 << 14,                     /* XCR0 enables AVX */
    KEY_NO_TSC = 1 << 15,                  /* CR4.TSD forbids this CPL to read the time stamp counter */
};

/* fault.c: the landing of soft_raise(); call it after the jump, inside a new landing. */
void soft_fault(SoftCpu *cpu);
/* exception.c: delivers vector now. cpu->rip is what will be returned to (software interrupts: the instruction's own
 * RIP, and sys.return_rip what follows it). May raise. */
void soft_deliver(SoftCpu *cpu, unsigned vector, bool has_error, uint32_t error, unsigned kind);
/* The processor stops (triple fault): AccelHost is told by the run loop, which sees the activity. */
void soft_shutdown(SoftCpu *cpu);

/* May this instruction touch these ports? #GP(0) when not. IN, OUT, INS, OUTS call it first. */
void soft_io_check(SoftCpu *cpu, const Insn *insn, uint16_t port, unsigned size);

/* debug.c. The run loop single-steps while sys.stepping. */
bool debug_before(SoftCpu *cpu);           /* an instruction breakpoint is hit: deliver #DB as a fault, RIP unchanged */
bool debug_after(SoftCpu *cpu);            /* a trap is due after this instruction: deliver #DB as a trap; cpu->rip is the next */
void debug_data(SoftCpu *cpu, uint64_t linear, unsigned size, bool write);    /* called by the slow path while sys.watching */
void debug_io(SoftCpu *cpu, uint16_t port, unsigned size);
void debug_update(SoftCpu *cpu);           /* DR7, CR4.DE or RFLAGS.TF changed */

/* cpuid.c */
void soft_cpuid_able(CpuidConfig *able);   /* what this software CPU can give on this host */
void soft_cpuid(SoftCpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);
void soft_cpuid_set(SoftCpu *cpu, const CpuidConfig *config);      /* fills features and the limits that follow from them */
bool soft_vendor_is_intel(const SoftCpu *cpu);
/* The configuration for a "cpu" object (NULL: our default model) and an "smp" object of the tree. */
bool soft_cpuid_config(CpuidConfig *out, const Value *cpu, const Value *smp, GError **err);
uint32_t soft_host_tsc_khz(void);

/* msr.c: false: #GP */
bool msr_read(SoftCpu *cpu, uint32_t index, uint64_t *value);
bool msr_write(SoftCpu *cpu, uint32_t index, uint64_t value);
uint64_t soft_tsc(const SoftCpu *cpu);     /* the guest's time stamp counter now; any thread */
void soft_tsc_shift(SoftCpu *cpu, uint64_t by);            /* its own thread, or while it stands */
void msr_reset(SoftCpu *cpu);              /* those that CpuState's reset table leaves to the accelerator */

/* interp-system.c: control registers as instructions write them. Raise #GP(0); insn may be NULL where nothing can fail. */
void cr0_write(SoftCpu *cpu, const Insn *insn, uint64_t value);
void cr3_write(SoftCpu *cpu, const Insn *insn, uint64_t value);
void cr4_write(SoftCpu *cpu, const Insn *insn, uint64_t value);
