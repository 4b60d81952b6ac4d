/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * code-page.h - which pages of RAM hold decoded code, and of which processor: between block.c and code-page.c
 *
 * Each processor has a CodePage of its own for every page that it decoded from. What processors share is one word per page, the
 * owners: who has code there, and OWNERS_SETTLED once no processor can store there past the slow path.
 */
#pragma once
#include "accel/soft/block.h"

typedef struct CodePage CodePage;
struct CodePage {
    RamBlock *ram;
    uint8_t *host;
    uint64_t *owners;                      /* the shared word */
    uint64_t bitmap;                       /* 64-byte pieces with code; written by its own processor, read by all */
    Block *blocks;
    uint64_t request;                      /* number of the request to protect the page */
    bool owned;                            /* our bit in the owners is set */
    uint32_t hits;                         /* block.c: how often code was overwritten in this window of time */
    uint64_t window;
    CodePage *next;                        /* list of all of the processor's */
};

/* The 64-byte pieces of a page that [offset, offset + length) touches. */
static inline uint64_t code_pieces(unsigned offset, uint64_t length)
{
    unsigned first = offset / 64, last = (unsigned)((offset + length - 1) / 64);

    return (last >= 63 ? UINT64_MAX : (UINT64_C(1) << (last + 1)) - 1) & ~((UINT64_C(1) << first) - 1);
}

/* All of these: the processor's own thread. */
CodePage *code_page_get(SoftCpu *cpu, const uint8_t *host);            /* NULL: not RAM, or no memory for it */
CodePage *code_page_find(const SoftCpu *cpu, const RamBlock *ram, uint64_t offset);     /* NULL: it never had code */
/* Before bytes are read to be decoded: whoever writes there from now on says so, as soon as the page is settled. */
void code_page_watch(SoftCpu *cpu, CodePage *page, unsigned offset, unsigned length);
bool code_page_settled(SoftCpu *cpu, CodePage *page);                  /* every store to it by any processor goes slow */
void code_page_keep(SoftCpu *cpu, CodePage *page, uint64_t left);      /* these pieces still have code; none: the page is let go */
/* What others wrote since the last time; false: so much that nobody kept count. */
enum { WRITTEN_LIMIT = 64 };
bool code_take_written(SoftCpu *cpu, CodeWritten taken[WRITTEN_LIMIT], unsigned *count);
void code_protect_take(SoftCpu *cpu);      /* does what others asked for: stores to their pages go slow from now on */

/* The processor stored there (its own code is dropped by its own thread): tells all others that have code there. */
void code_tell_others(SoftCpu *cpu, RamBlock *ram, uint64_t offset, uint64_t length);

bool code_add_cpu(SoftCpu *cpu);           /* machine lock; false: there are too many */
void code_remove_cpu(SoftCpu *cpu);        /* it has no blocks any more; its pages go once nobody can be looking at them */
unsigned code_cpu_count(void);
