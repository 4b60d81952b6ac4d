/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * block.c - a processor's cache of decoded blocks, and what keeps it true while guests and devices write to code
 *
 * Every 4 KiB page of RAM that has blocks has a CodePage (code-page.h): its blocks, and a bitmap of the 64-byte pieces
 * that they were decoded from. A dropped block is made harmless at once (each of its instructions now leaves for the run loop), so
 * jump caches and the block itself, when it is running, need not be searched; its memory is freed later, with the jump cache emptied.
 *
 * Most code is run a few times and never again. Where hot blocks become host code, the others are dropped now and then unless they were
 * run in the meantime, so a guest that has booted holds the blocks that it uses.
 *
 * A page whose code is overwritten again and again (data beside code, generated code) turns hot: its new blocks are short, carry a copy
 * of their bytes, and compare it at each entry, and the page is written at full speed. It cools down by itself. Blocks of a page that other
 * processors may still write to unseen (it is not settled yet) are made the same way, until it is.
 *
 * Other processors and devices may write to the bytes while they are decoded: the decoder works on a copy, and a block that is to be
 * compared keeps the very bytes that were decoded.
 *
 * Threads  the processor's own
 * Tests    tests/cpu/integer.c, tests/cpu/threads.c
 */
#include "accel/soft/block.h"
#include "accel/soft/code-page.h"
#include "accel/soft/jit.h"
#include "accel/soft/mmu.h"
#include "accel/soft/run.h"
#include "accel/soft/walk.h"
#include "accel/x86/decode.h"
#include "base/log.h"
#include <glib.h>
#include <stdlib.h>
#include <x86intrin.h>

enum {
    HASH_BITS = 15, PAGE_BYTES = 4096, PAGE_MASK = PAGE_BYTES - 1, LONGEST = 15,
    INSN_LIMIT = 768 * 1024,               /* of all processors' blocks: 48 MiB; then one that has more than its share forgets everything */
    INSN_LEAST = 128 * 1024,               /* but each may have 8 MiB */
    FRESH_LIMIT = 48 * 1024,               /* decoded since cold blocks were dropped last: 3 MiB, where there is a translator */
    COLD_RUNS = 4,                         /* executions meanwhile that keep a block which has no host code yet */
    GARBAGE_LIMIT = 16 * 1024,             /* instructions in dropped blocks before they are freed */
    HOT_HITS = 48, COPY_LIMIT = 12,
    WINDOW_SHIFT = 26,                     /* hits are counted per 2^26 ticks of the host's counter: some 25 ms */
    WINDOW_LOOKS = 64,                     /* a look at the counter serves so many questions */
};

typedef struct Build {
    SoftCpu *cpu;
    uint64_t linear;                       /* of the first byte */
    const uint8_t *host;                   /* page, or NULL outside RAM */
    unsigned offset;                       /* in the page */
    CodePage *page, *second;
    const uint8_t *second_host;
    unsigned limit;                        /* instructions */
    bool copies;                           /* compare instead of watch */
    unsigned count, length;
    bool closed;                           /* ends by itself */
    uint8_t bytes[BLOCK_LIMIT * LONGEST + LONGEST];          /* as they were decoded */
    Insn insns[BLOCK_LIMIT];
} Build;

typedef struct BlockCache {
    SoftCpu *cpu;
    Block *hash[1 << HASH_BITS];
    Block *garbage;
    size_t insns, bytes, garbage_insns, fresh_insns;            /* fresh: since drop_cold() */
    uint64_t window;                       /* of the host's counter */
    unsigned looks;
    Build build;
    _Alignas(64) uint8_t temporary[sizeof(Block) + 2 * sizeof(Insn)];
} BlockCache;

/* ---- hot pages ----------------------------------------------------------------------------------------------------------- */

static uint64_t look_at_window(BlockCache *cache)
{
    cache->looks = 0;
    return cache->window = __rdtsc() >> WINDOW_SHIFT;
}

static bool page_is_hot(const SoftCpu *cpu, CodePage *page)
{
    BlockCache *cache = cpu->blocks;

    if (page->hits && page->window != (++cache->looks < WINDOW_LOOKS ? cache->window : look_at_window(cache))) {
        page->hits = 0;
    }
    return page->hits > HOT_HITS;
}

static void count_hit(const SoftCpu *cpu, CodePage *page)
{
    uint64_t window = look_at_window(cpu->blocks);

    page->hits = page->window == window ? page->hits + 1 : 1;
    page->window = window;
}

/* Blocks of the page should be watched, and can be, or could be before long. */
static bool page_wants_watch(SoftCpu *cpu, CodePage *page)
{
    return !page_is_hot(cpu, page) && (!page->owned || code_page_settled(cpu, page));
}

/* ---- dropping ------------------------------------------------------------------------------------------------------------ */

/* What the instructions of a dropped block do: this one was not run yet, the run loop finds it again. */
static void leave_dropped(SoftCpu *cpu, const Insn *insn)
{
    cpu->rip = insn_rip(cpu, insn);
    cpu->block = NULL;
}

static unsigned hash_slot(uint64_t key, uint32_t mode)
{
    return (unsigned)((key ^ (uint64_t)mode << 20) * UINT64_C(0x9e3779b97f4a7c15) >> (64 - HASH_BITS));
}

static void unlink_from_pages(Block *block)
{
    for (unsigned i = 0; i < 2; i++) {
        CodePage *page = block->page[i];

        for (Block **at = page ? &page->blocks : NULL; at && *at;) {
            Block *here = *at;
            unsigned which = here->page[0] == page ? 0 : 1;

            if (here == block) {
                *at = here->page_next[which];
                break;
            }
            at = &here->page_next[which];
        }
    }
}

static void drop(BlockCache *cache, Block *block)
{
    Block **at = &cache->hash[hash_slot(block->key, block->mode)];

    while (*at && *at != block) {
        at = &(*at)->hash_next;
    }
    if (*at) {
        *at = block->hash_next;
    }
    unlink_from_pages(block);
    for (unsigned i = 0; i <= block->count; i++) {
        block->insns[i].run = leave_dropped;
    }
    if (block->trans) {
        jit_block_dropped(cache->cpu, block);
    }
    block->dropped = true;
    block->hash_next = cache->garbage;
    cache->garbage = block;
    cache->garbage_insns += block->count + 1u;
}

static unsigned bytes_in(const Block *block, const CodePage *page, unsigned *start)
{
    unsigned offset = (unsigned)(block->key & PAGE_MASK), in_first = MIN(block->length, PAGE_BYTES - offset);

    if (block->page[0] == page) {
        *start = offset;
        return in_first;
    }
    *start = 0;
    return block->length - in_first;
}

static void page_written(SoftCpu *cpu, CodePage *page, unsigned offset, unsigned length)
{
    uint64_t left = 0;
    bool hit = false;

    if (!(page->bitmap & code_pieces(offset, length))) {
        return;
    }
    for (Block *block = page->blocks, *next; block; block = next) {
        unsigned start, bytes = bytes_in(block, page, &start);

        next = block->page_next[block->page[0] == page ? 0 : 1];
        if (offset < start + bytes && start < offset + length) {
            drop(cpu->blocks, block);
            hit = true;
        } else {
            left |= code_pieces(start, bytes);
        }
    }
    code_page_keep(cpu, page, left);
    if (hit) {
        count_hit(cpu, page);
    }
}

void block_written_here(SoftCpu *cpu, RamBlock *ram, uint64_t offset, uint64_t length)
{
    while (length) {
        uint64_t in_page = MIN(length, PAGE_BYTES - (offset & PAGE_MASK));
        CodePage *page = code_page_find(cpu, ram, offset);

        if (page) {
            page_written(cpu, page, (unsigned)(offset & PAGE_MASK), (unsigned)in_page);
        }
        offset += in_page;
        length -= in_page;
    }
}

void block_written(SoftCpu *cpu, RamBlock *ram, uint64_t offset, uint64_t length)
{
    block_written_here(cpu, ram, offset, length);
    if (code_cpu_count() > 1) {
        code_tell_others(cpu, ram, offset, length);
    }
}

/* The instructions that may hold the address of another block: the last one, and the closing one behind it. */
static void forget_dropped(Block *block)
{
    if (block->linked) {
        for (unsigned i = block->count - 1u; i <= block->count; i++) {
            const Block *target = block->insns[i].stub;

            if (target && target->dropped) {
                block->insns[i].stub = NULL;
            }
        }
    }
}

static size_t bytes_of(unsigned count) { return sizeof(Block) + (count + 1u) * sizeof(Insn); }

static void free_garbage(SoftCpu *cpu)
{
    BlockCache *cache = cpu->blocks;

    memset(cpu->jumps, 0, sizeof cpu->jumps);
    cpu->link = NULL;
    for (unsigned slot = 0; cache->garbage && slot < G_N_ELEMENTS(cache->hash); slot++) {
        for (Block *block = cache->hash[slot]; block; block = block->hash_next) {
            forget_dropped(block);
        }
    }
    while (cache->garbage) {
        Block *block = cache->garbage;

        cache->garbage = block->hash_next;
        cache->insns -= block->count + 1u;
        cache->bytes -= bytes_of(block->count);
        g_free(block->copy);
        free(block);
    }
    cache->garbage_insns = 0;
}

static void forget_all(SoftCpu *cpu)
{
    BlockCache *cache = cpu->blocks;

    for (unsigned slot = 0; slot < G_N_ELEMENTS(cache->hash); slot++) {
        while (cache->hash[slot]) {
            drop(cache, cache->hash[slot]);
        }
    }
    for (CodePage *page = cpu->code.pages; page; page = page->next) {
        code_page_keep(cpu, page, 0);
    }
    free_garbage(cpu);
}

static bool is_cold(const Block *block)
{
    return !block->trans && block->heat <= block->heat_then && block->heat_then - block->heat < COLD_RUNS;
}

static void drop_cold(SoftCpu *cpu)
{
    BlockCache *cache = cpu->blocks;

    for (unsigned slot = 0; slot < G_N_ELEMENTS(cache->hash); slot++) {
        for (Block *block = cache->hash[slot], *next; block; block = next) {
            next = block->hash_next;
            if (is_cold(block)) {
                drop(cache, block);
            }
            block->heat_then = block->heat;
        }
    }
    for (CodePage *page = cpu->code.pages; page; page = page->next) {
        uint64_t left = 0;

        for (const Block *block = page->blocks; block; block = block->page_next[block->page[0] == page ? 0 : 1]) {
            unsigned start, bytes = bytes_in(block, page, &start);

            left |= code_pieces(start, bytes);
        }
        code_page_keep(cpu, page, left);
    }
    free_garbage(cpu);
    cache->fresh_insns = 0;
    jit_trim(cpu);
}

static void drop_written(SoftCpu *cpu)
{
    CodeWritten written[WRITTEN_LIMIT];
    unsigned count;

    if (!code_take_written(cpu, written, &count)) {
        forget_all(cpu);
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        block_written_here(cpu, written[i].ram, written[i].offset, written[i].length);
    }
}

void block_settle(SoftCpu *cpu)
{
    BlockCache *cache = cpu->blocks;
    uint32_t pending = __atomic_load_n(&cpu->request, __ATOMIC_SEQ_CST);

    if (pending & (REQUEST_CODE | REQUEST_PROTECT)) {
        __atomic_fetch_and(&cpu->request, ~(uint32_t)(REQUEST_CODE | REQUEST_PROTECT), __ATOMIC_SEQ_CST);
    }
    code_protect_take(cpu);
    mmu_written_late(cpu);
    if (pending & REQUEST_CODE) {
        drop_written(cpu);
    }
    if (cpu->jit.unlocked && code_cpu_count() > 1) {
        jit_flush(cpu);
        cpu->jit.unlocked = false;
    }
    if (cache->fresh_insns > FRESH_LIMIT && cpu->jit.cache) {
        drop_cold(cpu);
    }
    if (cache->garbage_insns > GARBAGE_LIMIT) {
        free_garbage(cpu);
    }
    if (cache->insns > MAX(INSN_LIMIT / code_cpu_count(), INSN_LEAST)) {
        forget_all(cpu);
    }
}

void block_enter(SoftCpu *cpu)
{
    __atomic_store_n(&cpu->code.inside, true, __ATOMIC_SEQ_CST);
    block_settle(cpu);
}

void block_leave(SoftCpu *cpu)
{
    mmu_written_late(cpu);
    __atomic_store_n(&cpu->code.inside, false, __ATOMIC_RELEASE);
}

/* ---- making -------------------------------------------------------------------------------------------------------------- */

/* What follows the last instruction of a block that just ends. */
static void end_block(SoftCpu *cpu, const Insn *insn)
{
    uint64_t rip = insn_rip(cpu, insn);

    soft_goto(cpu, cpu->code_size == 8 ? rip : (uint32_t)rip);
}

static void refine_memory(const SoftCpu *cpu, Insn *insn)
{
    if (insn->base == INSN_RIP) {
        int64_t disp = (int64_t)insn->disp + insn->start + insn->length;

        if (disp != (int32_t)disp) {
            insn->vex |= INSN_FAR_RIP;
            return;
        }
        insn->disp = (int32_t)disp;
    }
    if (cpu->code_size == 8) {
        if (insn->address_size == 8 && insn->segment < SEG_FS) {
            insn->memory = MEMORY_FLAT64;
        }
    } else if (cpu->flat && insn->address_size == 4 && insn->segment < SEG_FS && insn->segment != SEG_CS) {
        insn->memory = MEMORY_FLAT32;
    }
}

/* Could the instruction store somewhere? (Where it cannot be told, yes.) */
static bool may_store(const Insn *insn)
{
    const OptabRow *row = optab_row(insn->row);

    return row->access & STACK || insn->form == FORM_STRING || insn->form == FORM_OA ||
           (insn->memory && (row->access & WRITE_RM || !row->access));
}

static void log_instruction(const Insn *insn, uint64_t rip)
{
    char text[128];

    insn_print(insn, rip, text, sizeof text);
    log_line(LOG_IN_ASM, "0x%08" G_GINT64_MODIFIER "x:  %s", rip, text);
}

static DecodeMode decode_mode(const SoftCpu *cpu)
{
    return (DecodeMode){ .code_size = cpu->code_size, .protected_mode = cpu->cr0 & CR0_PE, .v8086 = cpu->rflags & FLAG_VM };
}

/* The second page of the only instruction, before it is read. */
static void watch_second(Build *build)
{
    CodePage *second;

    if (build->copies || !build->second_host) {
        return;
    }
    second = code_page_get(build->cpu, build->second_host);
    if (!second || second == build->page || page_is_hot(build->cpu, second)) {
        build->copies = true;
        return;
    }
    code_page_watch(build->cpu, second, 0, LONGEST);
    build->second = second;
    build->copies = !code_page_settled(build->cpu, second);
}

/* The bytes up to the end of the page are not enough: the next page's come too. Raises what fetching them raises. */
static DecodeResult decode_across(Build *build, Insn *insn, unsigned at)
{
    unsigned here = PAGE_BYTES - at, wanted = LONGEST - here;
    SoftCpu *cpu = build->cpu;
    uint64_t next = (build->linear & ~(uint64_t)PAGE_MASK) + PAGE_BYTES;

    mmu_fetch_page(cpu, cpu->code_size == 8 ? next : (uint32_t)next, &build->second_host);
    watch_second(build);
    memset(build->bytes + here, 0, wanted);
    if (build->second_host) {
        memcpy(build->bytes + here, build->second_host, wanted);
    }
    return decode(insn, build->bytes, LONGEST, decode_mode(cpu));
}

/* CS has a limit outside 64-bit mode: bytes beyond it are not there. */
static uint64_t bytes_below_limit(const SoftCpu *cpu)
{
    return cpu->code_size == 8 ? UINT64_MAX : (uint64_t)cpu->segment[SEG_CS].limit - cpu->rip + 1;
}

/* False: the block ends before this one. */
static bool add_instruction(Build *build)
{
    SoftCpu *cpu = build->cpu;
    Insn *insn = &build->insns[build->count];
    unsigned at = build->offset + build->length;
    DecodeResult result;

    if (at >= PAGE_BYTES) {
        return false;
    }
    unsigned here = MIN(PAGE_BYTES - at, LONGEST);
    if (!build->copies) {
        code_page_watch(cpu, build->page, at, LONGEST);
    }
    memcpy(build->bytes + build->length, build->host + at, here);
    result = decode(insn, build->bytes + build->length, here, decode_mode(cpu));
    if (result == DECODE_SHORT) {
        if (build->count) {
            return false;
        }
        result = decode_across(build, insn, at);
    }
    if (result == DECODE_OK && build->length + insn->length > bytes_below_limit(cpu)) {
        if (build->count) {
            return false;
        }
        result = DECODE_TOO_LONG;          /* the same #GP(0) */
    }
    if (result != DECODE_OK && build->count) {
        return false;
    }
    insn->start = (uint16_t)build->length;
    build->count++;
    if (result != DECODE_OK) {
        insn->length = insn->length ? insn->length : 1;
        if (result == DECODE_INVALID) {
            soft_bind(cpu, insn);
        } else {
            soft_bind_too_long(insn);
        }
        build->closed = true;
        build->length += insn->length;
        return false;
    }
    if (log_enabled(LOG_IN_ASM)) {
        log_instruction(insn, cpu->rip + insn->start);
    }
    if (insn->memory) {
        refine_memory(cpu, insn);
    }
    soft_bind(cpu, insn);
    build->length += insn->length;
    build->closed = soft_ends_block(insn);
    return !build->closed && !build->second_host && build->count < build->limit && !(build->copies && may_store(insn));
}

static void block_init(Block *block, const Build *build, uint64_t key, uint32_t mode)
{
    memset(block, 0, sizeof *block);
    block->key = key;
    block->mode = mode;
    block->count = (uint16_t)build->count;
    block->length = (uint16_t)build->length;
    block->second_host = build->second_host;
    block->heat = block->heat_then = JIT_HEAT;
    memcpy(block->insns, build->insns, build->count * sizeof(Insn));
    memset(&block->insns[build->count], 0, sizeof(Insn));
    block->insns[build->count].start = (uint16_t)build->length;
    block->insns[build->count].run = end_block;
}

/* NULL: the host has no memory. */
static Block *block_new(BlockCache *cache, uint64_t key, uint32_t mode)
{
    size_t insns = cache->build.count + 1u;
    Block *block = aligned_alloc(64, bytes_of(cache->build.count));

    if (block) {
        block_init(block, &cache->build, key, mode);
        cache->insns += insns;
        cache->bytes += bytes_of(cache->build.count);
        cache->fresh_insns += insns;
        if (cache->fresh_insns > FRESH_LIMIT && cache->cpu->jit.cache) {
            soft_request(cache->cpu, REQUEST_CODE);      /* block_settle(), at the next poll */
        }
    }
    return block;
}

static void link_to_page(Block *block, unsigned i, CodePage *page)
{
    block->page[i] = page;
    block->page_next[i] = page->blocks;
    page->blocks = block;
}

/* Where the bytes are, and how they are kept true. */
static void build_begin(Build *build, SoftCpu *cpu, uint64_t linear, const uint8_t *host, uint32_t mode)
{
    build->cpu = cpu, build->linear = linear, build->host = host, build->offset = linear & PAGE_MASK;
    build->page = code_page_get(cpu, host);
    build->second = NULL, build->second_host = NULL, build->count = build->length = 0, build->closed = false;
    build->copies = !build->page || page_is_hot(cpu, build->page);
    if (!build->copies) {
        code_page_watch(cpu, build->page, build->offset, LONGEST);
        build->copies = !code_page_settled(cpu, build->page);
    }
    build->limit = mode & KEY_SINGLE ? 1 : build->copies ? COPY_LIMIT : BLOCK_LIMIT;
}

static void link_last(SoftCpu *cpu, Block *block, const Build *build, uint32_t mode)
{
    InsnRun *linked = build->copies || mode & KEY_SINGLE || log_enabled(LOG_EXEC | LOG_CPU) || !build->closed || build->second_host
                          ? NULL : branch_bind_linked(cpu, &block->insns[block->count - 1], build->offset);

    if (linked) {
        block->insns[block->count - 1].run = linked;
        block->linked = true;
    }
}

static Block *make(SoftCpu *cpu, uint64_t linear, const uint8_t *host, uint32_t mode)
{
    BlockCache *cache = cpu->blocks;
    Build *build = &cache->build;          /* too big for every stack frame that raises */
    uint64_t key = (uint64_t)(uintptr_t)host + (linear & PAGE_MASK);

    build_begin(build, cpu, linear, host, mode);
    while (add_instruction(build)) {
    }
    Block *block = block_new(cache, key, mode);
    if (!block) {
        return NULL;
    }
    if (build->copies) {
        block->copy = g_memdup2(build->bytes, block->length);
    } else {
        link_to_page(block, 0, build->page);
    }
    if (!build->copies && build->second) {
        link_to_page(block, 1, build->second);
    }
    link_last(cpu, block, build, mode);
    Block **slot = &cache->hash[hash_slot(key, mode)];
    block->hash_next = *slot;
    *slot = block;
    return block;
}

/* ---- code outside RAM ---------------------------------------------------------------------------------------------------- */

/* Fetched byte by byte through the address space, decoded anew each time. Also what is left when memory runs out. */
static Block *make_temporary(SoftCpu *cpu, uint64_t physical)
{
    uint8_t bytes[LONGEST];
    Block *place = (Block *)cpu->blocks->temporary;
    Build *build = &cpu->blocks->build;
    Insn *insn = &build->insns[0];

    space_read(cpu->memory, physical, bytes, sizeof bytes);
    DecodeResult result = decode(insn, bytes, sizeof bytes, decode_mode(cpu));
    insn->length = insn->length ? insn->length : 1;
    insn->start = 0;
    build->count = 1, build->length = insn->length, build->second_host = NULL;
    if (result == DECODE_OK) {
        if (insn->memory) {
            refine_memory(cpu, insn);
        }
        soft_bind(cpu, insn);
    } else if (result == DECODE_INVALID) {
        soft_bind(cpu, insn);
    } else {
        soft_bind_too_long(insn);
    }
    block_init(place, build, 0, KEY_SINGLE);
    return place;
}

/* ---- looking up ---------------------------------------------------------------------------------------------------------- */

static uint64_t code_linear(SoftCpu *cpu)
{
    if (cpu->code_size == 8) {
        if ((uint64_t)((int64_t)(cpu->rip << 16) >> 16) != cpu->rip) {
            soft_raise_error(cpu, NULL, EXC_GP, 0);
        }
        return cpu->rip;
    }
    if (cpu->rip > cpu->segment[SEG_CS].limit) {
        soft_raise_error(cpu, NULL, EXC_GP, 0);
    }
    return (uint32_t)(cpu->segment[SEG_CS].base + cpu->rip);
}

static bool may_be_watched(SoftCpu *cpu, const Block *block)
{
    CodePage *page = code_page_get(cpu, (const uint8_t *)(uintptr_t)block->key), *second;

    if (!page || !page_wants_watch(cpu, page)) {
        return false;
    }
    if (!block->second_host) {
        return true;
    }
    second = code_page_get(cpu, block->second_host);
    return second && second != page && page_wants_watch(cpu, second);
}

/* The bytes of its second page may have moved, its own bytes may have changed, CS may have become shorter. */
static bool still_good(SoftCpu *cpu, const Block *block, uint64_t linear)
{
    if (block->second_host) {
        const uint8_t *host;
        uint64_t next = (linear & ~(uint64_t)PAGE_MASK) + PAGE_BYTES;

        mmu_fetch_page(cpu, cpu->code_size == 8 ? next : (uint32_t)next, &host);
        if (host != block->second_host) {
            return false;
        }
    }
    if (block->copy) {
        unsigned first = MIN(block->length, PAGE_BYTES - (unsigned)(block->key & PAGE_MASK));

        if (memcmp(block->copy, (const void *)(uintptr_t)block->key, first) ||
            (first < block->length && block->second_host && memcmp(block->copy + first, block->second_host, block->length - first))) {
            return false;
        }
        if (may_be_watched(cpu, block)) {
            return false;                  /* it cooled down, or settled: make it anew, an ordinary one */
        }
    }
    return block->length <= bytes_below_limit(cpu);
}

/* The branch that led here may remember it. */
static void link_to(SoftCpu *cpu, Block *block)
{
    const Block *from = cpu->link_block;

    if (cpu->link_rip == cpu->rip && !from->dropped && from->mode == block->mode && from->key / PAGE_BYTES == block->key / PAGE_BYTES && !block->copy &&
        !block->second_host) {
        cpu->link->stub = block;
    }
    cpu->link = NULL;
}

/* All its pages were just fetched from. */
void block_remember(SoftCpu *cpu, Block *block)
{
    uint64_t linear = code_linear(cpu);
    bool user = cpu->cpl == 3;
    bool global = tlb_fetch_entry(cpu, user, linear)->global &&
                  (!block->second_host || tlb_fetch_entry(cpu, user, linear + block->length - 1)->global);

    cpu->jumps[jump_slot(cpu->rip)] = (JumpEntry){ .rip = cpu->rip, .stamp = global ? cpu->stamp : cpu->stamp_local, .block = block };
}

Block *block_find(SoftCpu *cpu)
{
    uint64_t linear = code_linear(cpu);
    const uint8_t *host;

    mmu_fetch_page(cpu, linear, &host);
    uint64_t key = (uint64_t)(uintptr_t)host + (linear & PAGE_MASK);
    Block *block = host ? cpu->blocks->hash[hash_slot(key, cpu->mode_key)] : NULL;
    while (block && (block->key != key || block->mode != cpu->mode_key)) {
        block = block->hash_next;
    }
    return block && still_good(cpu, block, linear) ? block : NULL;
}

Block *block_get(SoftCpu *cpu, bool single)
{
    uint64_t linear = code_linear(cpu), physical;
    uint32_t mode = cpu->mode_key | (single ? KEY_SINGLE : 0);
    const uint8_t *host;

    physical = mmu_fetch_page(cpu, linear, &host);
    if (!host) {
        return make_temporary(cpu, physical + (linear & PAGE_MASK));
    }
    uint64_t key = (uint64_t)(uintptr_t)host + (linear & PAGE_MASK);
    Block *block = cpu->blocks->hash[hash_slot(key, mode)];
    while (block && (block->key != key || block->mode != mode)) {
        block = block->hash_next;
    }
    if (block && !still_good(cpu, block, linear)) {
        drop(cpu->blocks, block);
        block = NULL;
    }
    if (!block && (block = make(cpu, linear, host, mode)) == NULL) {
        forget_all(cpu);                   /* the host has no memory: start over with what we had */
        return make_temporary(cpu, physical + (linear & PAGE_MASK));
    }
    if (cpu->link) {
        link_to(cpu, block);
    }
    if (!single && !block->copy && cpu->stamp != STAMP_NONE) {
        block_remember(cpu, block);
    }
    return block;
}

void block_run(SoftCpu *cpu, Block *block)
{
    cpu->block = block;
    cpu->block_rip = cpu->rip;
    cpu->budget -= block->count;
    block->heat--;
#if SOFT_THREADED
    block->insns[0].run(cpu, block->insns);
#else
    for (unsigned i = 0; i <= block->count && cpu->block == block; i++) {
        bool last = i + 1u == block->count && soft_ends_block(&block->insns[i]);

        block->insns[i].run(cpu, &block->insns[i]);
        if (last) {
            break;
        }
    }
#endif
}

/* ---- CPUs ------------------------------------------------------------------------------------------------------------------ */

bool block_add_cpu(SoftCpu *cpu)
{
    cpu->blocks = aligned_alloc(64, sizeof *cpu->blocks);
    if (!cpu->blocks) {
        return false;
    }
    memset(cpu->blocks, 0, sizeof *cpu->blocks);
    cpu->blocks->cpu = cpu;
    if (!code_add_cpu(cpu)) {
        free(cpu->blocks);
        cpu->blocks = NULL;
    }
    return cpu->blocks != NULL;
}

size_t block_bytes(const SoftCpu *cpu) { return cpu->blocks->bytes; }

void block_remove_cpu(SoftCpu *cpu)
{
    BlockCache *cache = cpu->blocks;

    for (unsigned slot = 0; slot < G_N_ELEMENTS(cache->hash); slot++) {
        while (cache->hash[slot]) {        /* it does not run any more: no need to unlink each */
            Block *block = cache->hash[slot];

            cache->hash[slot] = block->hash_next;
            block->hash_next = cache->garbage;
            cache->garbage = block;
        }
    }
    free_garbage(cpu);
    code_remove_cpu(cpu);
    free(cache);
    cpu->blocks = NULL;
}
