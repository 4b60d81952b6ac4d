/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz.h - one instruction, run by the host's processor and by the software CPU, and what must come out the same
 *
 * fuzz.c makes the cases and compares; fuzz-native.c runs a batch on the host in a child process; fuzz-soft.c runs
 * one on the software CPU. Both see the same 64 KiB arena at the same linear address, and the same descriptor tables.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* The arena: code page, hole, two pages of data, a read-only page, hole. */
#define ARENA UINT64_C(0x10000000)
enum {
    ARENA_BYTES = 0x10000, PAGE = 0x1000,
    CODE_OFFSET = 0, DATA_OFFSET = 0x2000, DATA_BYTES = 0x2000, READ_ONLY_OFFSET = 0x4000,
};

typedef enum { MODE_64, MODE_32, MODE_16, MODES } FuzzMode;

/* Selectors that exist for both: Linux's flat user segments, and the local table of fuzz_segments[]. */
enum { USER_CS32 = 0x23, USER_DS = 0x2b, USER_CS64 = 0x33 };
typedef struct FuzzSegment {
    uint32_t base, limit;                  /* limit in bytes, or pages if .pages */
    uint8_t type;                          /* descriptor type 0-15, S is set, DPL 3 */
    bool big, pages, absent;
} FuzzSegment;
enum { LDT_CODE16, LDT_DATA16, LDT_DATA16_SHORT, LDT_DATA32, LDT_EXPAND_DOWN, LDT_READ_ONLY, LDT_CODE32, LDT_ABSENT, LDT_COUNT };
#define LDT_SELECTOR(n) ((n) << 3 | 7)
extern const FuzzSegment fuzz_segments[LDT_COUNT];

typedef struct FuzzState {
    uint64_t gpr[16], rip, rflags;
    uint64_t fs_base, gs_base;             /* 64-bit mode */
    uint16_t cs, ss, ds, es, fs, gs;
    uint8_t fx[512] __attribute__((aligned(16)));          /* as FXSAVE64 writes it */
    uint8_t ymm[256] __attribute__((aligned(16)));         /* upper halves; zero where the host has no AVX */
} FuzzState;

enum { CHANGES = 136, POKES = 3, POKE_BYTES = 64 };
typedef struct FuzzOutcome {
    FuzzState state;
    int vector;                            /* exception, or -1: the instruction completed */
    uint32_t error;
    uint64_t cr2;
    uint32_t changes;                      /* 8-byte words of data that differ from before */
    struct { uint32_t offset; uint64_t value; } change[CHANGES];
} FuzzOutcome;

typedef struct FuzzPoke { uint16_t offset, length; uint8_t bytes[POKE_BYTES]; } FuzzPoke;      /* offset in the arena */

typedef struct FuzzCase {
    uint64_t number;                       /* the seed's n-th case */
    uint8_t mode, length, bytes[16];
    bool repeats;                          /* a rep string instruction or a gather: single steps may come per iteration */
    FuzzState in;
    FuzzPoke poke[POKES];
    FuzzOutcome native, soft;
} FuzzCase;

/* Where in the code page the instruction lies. */
static inline unsigned fuzz_code_offset(const FuzzCase *fuzz)
{
    return (unsigned)(fuzz->in.rip - (fuzz->in.cs == LDT_SELECTOR(LDT_CODE16) || fuzz->in.cs == LDT_SELECTOR(LDT_CODE32) ? 0 : ARENA)) - CODE_OFFSET;
}

enum { BATCH = 256 };
typedef struct FuzzBatch {
    uint32_t count, current;               /* current: the case in the child's hands */
    uint8_t pattern[DATA_BYTES + PAGE];    /* data and the read-only page, before each case */
    FuzzCase cases[BATCH];
} FuzzBatch;

/* fuzz-native.c. NULL and a reason (TAP's skip text) when the host cannot do it. */
const char *native_open(bool with_ldt);
bool native_has_avx(void);                 /* and lets it be seen and set in a signal's frame */
FuzzBatch *native_batch(void);             /* shared with the child */
void native_start(void);                   /* the child runs the batch */
bool native_wait(void);                    /* false: the child died at .current */
void native_close(void);

/* fuzz-soft.c */
bool soft_open(bool with_avx, bool translate);
const uint32_t *soft_features(void);       /* CPUID words, for cpuid_has() */
void soft_run_batch(FuzzBatch *batch);
void soft_close(void);

/* fuzz-vendor.c: between the outcomes of the two and their comparison. True: the vendors differ here, there is nothing to compare. */
void vendor_open(void);
bool vendor_differs(FuzzCase *fuzz);

/* fuzz-make.c: cases from the decoder's table */
void make_open(FuzzMode mode, uint64_t seed, const char *only);         /* only: a mnemonic, or NULL */
unsigned make_rows(void);                  /* rows that this selection leaves, */
unsigned make_row(unsigned i);             /* and their numbers in the decoder's table */
void make_pattern(FuzzBatch *batch, uint64_t first);
void make_case(FuzzCase *fuzz, uint64_t number);
