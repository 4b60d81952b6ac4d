/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * block.c - the cache of decoded blocks, and what keeps it true while guests and devices write to code
 *
 * Every 4 KiB page of RAM that has blocks has a CodePage, reached from RamBlock.code: its blocks, and a bitmap of the 64-byte pieces
 * that they were decoded from. A dropped block is made harmless at once (each of its instructions now leaves for the run loop), so
 * jump caches and the block itself, when it is running, need not be searched; its memory is freed later, with all jump caches emptied.
 *
 * A page whose code is overwritten again and again (data beside code, generated code) turns hot: its new blocks are short, carry a copy
 * of their bytes, and compare it at each entry, and the page is written at full speed. It cools down by itself.
 *
 * Threads  the one that runs all CPUs; code_written() any (it only notes)
 * Tests    tests/cpu/integer.c
 */
#include "accel/soft/block.h"
#include "accel/soft/mmu.h"
#include "accel/soft/run.h"
#include "accel/soft/walk.h"
#include "accel/x86/decode.h"
#include "base/log.h"
#include <glib.h>
#include <stdlib.h>

enum {
    HASH_BITS = 15, PAGE_BYTES = 4096, PAGE_MASK = PAGE_BYTES - 1, LONGEST = 15,
    INSN_LIMIT = 768 * 1024,               /* of all blocks: 48 MiB; then everything is forgotten */
    GARBAGE_LIMIT = 16 * 1024,             /* instructions in dropped blocks before they are freed */
    HOT_HITS = 48, COPY_LIMIT = 12,
    WINDOW_SHIFT = 24,                     /* hits are counted per 16 million instructions */
};

typedef struct CodePage CodePage;
struct CodePage {
    RamBlock *ram;
    uint8_t *host;
    uint64_t bitmap;                       /* 64-byte pieces with code; read by other threads */
    Block *blocks;
    uint32_t hits;
    uint64_t window;
};

typedef struct Written { RamBlock *ram; uint64_t offset, length; } Written;

static struct {
    Block *hash[1 << HASH_BITS];
    SoftCpu *cpus;
    Block *garbage;
    size_t insns, garbage_insns;
    GPtrArray *rams;                       /* RamBlocks with .code; a reference each */
    RamBlock *last_ram;
    GMutex lock;                           /* of written, and of the list of CPUs towards other threads */
    GArray *written;                       /* by DMA, not yet looked at */
} cache;

/* ---- pages -------------------------------------------------------------------------------------------------------------- */

static CodePage **page_slot(const RamBlock *ram, uint64_t offset)
{
    CodePage **pages = __atomic_load_n((void *const *)&ram->code, __ATOMIC_ACQUIRE);

    return pages && offset < ram->size ? &pages[offset / PAGE_BYTES] : NULL;
}

typedef struct HostSearch { const uint8_t *host; RamBlock *found; } HostSearch;

static void match_ram(void *opaque, RamBlock *ram)
{
    HostSearch *search = opaque;

    if (search->host >= ram->host && search->host < ram->host + ram->size) {
        search->found = ram;
    }
}

static RamBlock *ram_of(const uint8_t *host)
{
    RamBlock *last = cache.last_ram;

    if (last && host >= last->host && host < last->host + last->size) {
        return last;
    }
    HostSearch search = { .host = host };
    ram_for_each(match_ram, &search);
    return search.found;
}

/* NULL: no memory for it; the caller's block compares its bytes instead. */
static CodePage *page_get(const uint8_t *host)
{
    RamBlock *ram = ram_of(host);

    if (!ram) {
        return NULL;
    }
    if (!ram->code) {
        CodePage **pages = g_try_new0(CodePage *, ram->size / PAGE_BYTES + 1);

        if (!pages) {
            return NULL;
        }
        g_ptr_array_add(cache.rams, ram_block_ref(ram));
        __atomic_store_n((CodePage ***)&ram->code, pages, __ATOMIC_RELEASE);
    }
    cache.last_ram = ram;                  /* which we hold a reference on */
    CodePage **slot = page_slot(ram, (uint64_t)(host - ram->host));
    if (!*slot) {
        CodePage *page = g_new0(CodePage, 1);

        page->ram = ram;
        page->host = ram->host + ((uint64_t)(host - ram->host) & ~(uint64_t)PAGE_MASK);
        __atomic_store_n(slot, page, __ATOMIC_RELEASE);
    }
    return *slot;
}

bool block_page_has_code(const RamBlock *ram, uint64_t offset)
{
    CodePage **slot = page_slot(ram, offset);

    return slot && *slot && (*slot)->bitmap;
}

static uint64_t pieces(unsigned offset, uint64_t length)
{
    unsigned first = offset / 64, last = (unsigned)((offset + length - 1) / 64);

    return (last >= 63 ? UINT64_MAX : (UINT64_C(1) << (last + 1)) - 1) & ~((UINT64_C(1) << first) - 1);
}

/* Before the bytes are read, so that a device writing them meanwhile is told on. */
static void page_watch(CodePage *page, unsigned offset, unsigned length)
{
    uint64_t bits = pieces(offset, MIN(length, PAGE_BYTES - offset));

    if ((page->bitmap & bits) == bits) {
        return;
    }
    if (!page->bitmap) {
        for (SoftCpu *cpu = cache.cpus; cpu; cpu = cpu->next_cpu) {
            tlb_protect_page(cpu, page->host);
        }
    }
    __atomic_fetch_or(&page->bitmap, bits, __ATOMIC_SEQ_CST);
}

static bool page_is_hot(CodePage *page, const SoftCpu *cpu)
{
    if (page->window != cpu->instructions >> WINDOW_SHIFT) {
        page->hits = 0;
    }
    return page->hits > HOT_HITS;
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

static void drop(Block *block)
{
    Block **at = &cache.hash[hash_slot(block->key, block->mode)];

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
    block->dropped = true;
    block->hash_next = cache.garbage;
    cache.garbage = block;
    cache.garbage_insns += block->count + 1u;
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

static void page_written(CodePage *page, unsigned offset, unsigned length, const SoftCpu *cpu)
{
    uint64_t left = 0;
    bool hit = false;

    if (!(page->bitmap & pieces(offset, length))) {
        return;
    }
    for (Block *block = page->blocks, *next; block; block = next) {
        unsigned start, bytes = bytes_in(block, page, &start);

        next = block->page_next[block->page[0] == page ? 0 : 1];
        if (offset < start + bytes && start < offset + length) {
            drop(block);
            hit = true;
        } else {
            left |= pieces(start, bytes);
        }
    }
    __atomic_store_n(&page->bitmap, left, __ATOMIC_SEQ_CST);
    if (hit && cpu) {
        uint64_t window = cpu->instructions >> WINDOW_SHIFT;

        page->hits = page->window == window ? page->hits + 1 : 1;
        page->window = window;
    }
}

void block_written(SoftCpu *cpu, RamBlock *ram, uint64_t offset, uint64_t length)
{
    while (length) {
        uint64_t in_page = MIN(length, PAGE_BYTES - (offset & PAGE_MASK));
        CodePage **slot = page_slot(ram, offset);

        if (slot && *slot) {
            page_written(*slot, (unsigned)(offset & PAGE_MASK), (unsigned)in_page, cpu);
        }
        offset += in_page;
        length -= in_page;
    }
}

/* Any thread: DMA and loaders. */
static void code_written(RamBlock *ram, uint64_t offset, uint64_t length)
{
    bool hit = false;

    for (uint64_t at = offset & ~(uint64_t)PAGE_MASK; !hit && at < offset + length; at += PAGE_BYTES) {
        CodePage **slot = page_slot(ram, at), *page = slot ? __atomic_load_n(slot, __ATOMIC_ACQUIRE) : NULL;

        hit = page && __atomic_load_n(&page->bitmap, __ATOMIC_SEQ_CST);
    }
    if (!hit) {
        return;
    }
    Written written = { .ram = ram, .offset = offset, .length = length };
    g_mutex_lock(&cache.lock);
    g_array_append_val(cache.written, written);
    for (SoftCpu *cpu = cache.cpus; cpu; cpu = cpu->next_cpu) {
        __atomic_fetch_or(&cpu->request, REQUEST_CODE, __ATOMIC_SEQ_CST);
    }
    g_mutex_unlock(&cache.lock);
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

static void free_garbage(void)
{
    for (SoftCpu *cpu = cache.cpus; cpu; cpu = cpu->next_cpu) {
        memset(cpu->jumps, 0, sizeof cpu->jumps);
        cpu->link = NULL;
    }
    for (unsigned slot = 0; cache.garbage && slot < G_N_ELEMENTS(cache.hash); slot++) {
        for (Block *block = cache.hash[slot]; block; block = block->hash_next) {
            forget_dropped(block);
        }
    }
    while (cache.garbage) {
        Block *block = cache.garbage;

        cache.garbage = block->hash_next;
        cache.insns -= block->count + 1u;
        g_free(block->copy);
        free(block);
    }
    cache.garbage_insns = 0;
}

static void forget_all(void)
{
    for (unsigned slot = 0; slot < G_N_ELEMENTS(cache.hash); slot++) {
        while (cache.hash[slot]) {
            drop(cache.hash[slot]);
        }
    }
    for (guint r = 0; r < cache.rams->len; r++) {
        RamBlock *ram = g_ptr_array_index(cache.rams, r);
        CodePage **pages = ram->code;

        for (uint64_t p = 0; p < ram->size / PAGE_BYTES; p++) {
            if (pages[p]) {
                pages[p]->bitmap = 0;
            }
        }
    }
    free_garbage();
}

void block_settle(void)
{
    g_mutex_lock(&cache.lock);
    for (guint i = 0; i < cache.written->len; i++) {
        Written *written = &g_array_index(cache.written, Written, i);

        block_written(NULL, written->ram, written->offset, written->length);
    }
    g_array_set_size(cache.written, 0);
    g_mutex_unlock(&cache.lock);
    if (cache.garbage_insns > GARBAGE_LIMIT) {
        free_garbage();
    }
    if (cache.insns > INSN_LIMIT) {
        forget_all();
    }
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

typedef struct Build {
    SoftCpu *cpu;
    uint64_t linear;                       /* of the first byte */
    const uint8_t *host;                   /* page, or NULL outside RAM */
    unsigned offset;                       /* in the page */
    CodePage *page;
    const uint8_t *second_host;
    unsigned limit;                        /* instructions */
    bool copies;                           /* compare instead of watch */
    unsigned count, length;
    bool closed;                           /* ends by itself */
    Insn insns[BLOCK_LIMIT];
} Build;

static DecodeMode decode_mode(const SoftCpu *cpu)
{
    return (DecodeMode){ .code_size = cpu->code_size, .protected_mode = cpu->cr0 & CR0_PE, .v8086 = cpu->rflags & FLAG_VM };
}

/* The bytes up to the end of the page are not enough: the next page's come too. Raises what fetching them raises. */
static DecodeResult decode_across(Build *build, Insn *insn, unsigned at)
{
    uint8_t bytes[LONGEST] = { 0 };
    unsigned here = PAGE_BYTES - at, wanted = LONGEST - here;
    SoftCpu *cpu = build->cpu;
    uint64_t next = (build->linear & ~(uint64_t)PAGE_MASK) + PAGE_BYTES;

    mmu_fetch_page(cpu, cpu->code_size == 8 ? next : (uint32_t)next, &build->second_host);
    memcpy(bytes, build->host + at, here);
    if (build->second_host) {
        memcpy(bytes + here, build->second_host, wanted);
    }
    return decode(insn, bytes, LONGEST, decode_mode(cpu));
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
    if (build->page && !build->copies) {
        page_watch(build->page, at, LONGEST);
    }
    result = decode(insn, build->host + at, PAGE_BYTES - at, decode_mode(cpu));
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
    memcpy(block->insns, build->insns, build->count * sizeof(Insn));
    memset(&block->insns[build->count], 0, sizeof(Insn));
    block->insns[build->count].start = (uint16_t)build->length;
    block->insns[build->count].run = end_block;
}

/* NULL: the host has no memory. */
static Block *block_new(const Build *build, uint64_t key, uint32_t mode)
{
    size_t insns = build->count + 1u;
    Block *block = aligned_alloc(64, sizeof *block + insns * sizeof(Insn));

    if (block) {
        block_init(block, build, key, mode);
        cache.insns += insns;
    }
    return block;
}

static void link_to_page(Block *block, unsigned i, CodePage *page)
{
    block->page[i] = page;
    block->page_next[i] = page->blocks;
    page->blocks = block;
}

static void copy_bytes(const Block *block, uint8_t *to)
{
    unsigned first = MIN(block->length, PAGE_BYTES - (unsigned)(block->key & PAGE_MASK));

    memcpy(to, (const uint8_t *)(uintptr_t)block->key, first);
    if (first < block->length) {
        memcpy(to + first, block->second_host, block->length - first);
    }
}

static Block *make(SoftCpu *cpu, uint64_t linear, const uint8_t *host, uint32_t mode)
{
    static Build build;                    /* one thread; too big for every stack frame that raises */
    uint64_t key = (uint64_t)(uintptr_t)host + (linear & PAGE_MASK);

    build.cpu = cpu, build.linear = linear, build.host = host, build.offset = linear & PAGE_MASK;
    build.page = page_get(host);
    build.second_host = NULL, build.count = build.length = 0, build.closed = false;
    build.copies = !build.page || page_is_hot(build.page, cpu);
    build.limit = mode & KEY_SINGLE ? 1 : build.copies ? COPY_LIMIT : BLOCK_LIMIT;
    while (add_instruction(&build)) {
    }
    Block *block = block_new(&build, key, mode);
    if (!block) {
        return NULL;
    }
    CodePage *second = build.second_host && !build.copies ? page_get(build.second_host) : NULL;
    if (build.second_host && (!second || second == build.page)) {
        second = NULL;
        build.copies = true;
    }
    if (second) {
        page_watch(second, 0, LONGEST);
        link_to_page(block, 1, second);
    }
    if (!build.copies) {
        link_to_page(block, 0, build.page);
    } else {
        block->copy = g_malloc(block->length);
        copy_bytes(block, block->copy);
    }
    InsnRun *linked = build.copies || mode & KEY_SINGLE || log_enabled(LOG_EXEC | LOG_CPU) || !build.closed || build.second_host
                          ? NULL : branch_bind_linked(cpu, &block->insns[block->count - 1], build.offset);
    if (linked) {
        block->insns[block->count - 1].run = linked;
        block->linked = true;
    }
    Block **slot = &cache.hash[hash_slot(key, mode)];
    block->hash_next = *slot;
    *slot = block;
    return block;
}

/* ---- code outside RAM ---------------------------------------------------------------------------------------------------- */

/* Fetched byte by byte through the address space, decoded anew each time. Also what is left when memory runs out. */
static Block *make_temporary(SoftCpu *cpu, uint64_t physical)
{
    static struct { _Alignas(64) uint8_t bytes[sizeof(Block) + 2 * sizeof(Insn)]; } place;
    uint8_t bytes[LONGEST];
    Build build = { .cpu = cpu };
    Insn *insn = &build.insns[0];

    space_read(cpu->memory, physical, bytes, sizeof bytes);
    DecodeResult result = decode(insn, bytes, sizeof bytes, decode_mode(cpu));
    build.count = 1;
    insn->length = insn->length ? insn->length : 1;
    build.length = insn->length;
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
    block_init((Block *)&place, &build, 0, KEY_SINGLE);
    return (Block *)&place;
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
            (first < block->length && memcmp(block->copy + first, block->second_host, block->length - first))) {
            return false;
        }
        CodePage *page = page_get((const uint8_t *)(uintptr_t)block->key);
        if (page && !page_is_hot(page, cpu)) {
            return false;                  /* it cooled down: watch it again */
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
    Block *block = cache.hash[hash_slot(key, mode)];
    while (block && (block->key != key || block->mode != mode)) {
        block = block->hash_next;
    }
    if (block && !still_good(cpu, block, linear)) {
        drop(block);
        block = NULL;
    }
    if (!block && (block = make(cpu, linear, host, mode)) == NULL) {
        forget_all();                      /* the host has no memory: start over with what we had */
        return make_temporary(cpu, physical + (linear & PAGE_MASK));
    }
    if (cpu->link) {
        link_to(cpu, block);
    }
    if (!single && !block->copy && cpu->stamp != STAMP_NONE) {
        bool global = !block->second_host && tlb_fetch_entry(cpu, cpu->cpl == 3, linear)->global;

        cpu->jumps[jump_slot(cpu->rip)] = (JumpEntry){ .rip = cpu->rip, .stamp = global ? cpu->stamp : cpu->stamp_local, .block = block };
    }
    return block;
}

void block_run(SoftCpu *cpu, Block *block)
{
    cpu->block = block;
    cpu->block_rip = cpu->rip;
    cpu->budget -= block->count;
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

void block_add_cpu(SoftCpu *cpu)
{
    g_mutex_lock(&cache.lock);
    if (!cache.rams) {
        cache.rams = g_ptr_array_new();
        cache.written = g_array_new(false, false, sizeof(Written));
    }
    cpu->next_cpu = cache.cpus;
    cache.cpus = cpu;
    ram_code_written = code_written;
    g_mutex_unlock(&cache.lock);
}

static void release_all(void)
{
    for (unsigned slot = 0; slot < G_N_ELEMENTS(cache.hash); slot++) {
        while (cache.hash[slot]) {         /* nobody runs any more: no need to unlink each */
            Block *block = cache.hash[slot];

            cache.hash[slot] = block->hash_next;
            block->hash_next = cache.garbage;
            cache.garbage = block;
        }
    }
    free_garbage();
    for (guint r = 0; r < cache.rams->len; r++) {
        RamBlock *ram = g_ptr_array_index(cache.rams, r);
        CodePage **pages = ram->code;

        ram->code = NULL;
        for (uint64_t p = 0; p < ram->size / PAGE_BYTES; p++) {
            g_free(pages[p]);
        }
        g_free(pages);
        ram_block_unref(ram);
    }
    g_ptr_array_set_size(cache.rams, 0);
    g_array_set_size(cache.written, 0);
    cache.last_ram = NULL;
    cache.insns = 0;
    ram_code_written = NULL;
}

void block_remove_cpu(SoftCpu *cpu)
{
    g_mutex_lock(&cache.lock);
    for (SoftCpu **at = &cache.cpus; *at; at = &(*at)->next_cpu) {
        if (*at == cpu) {
            *at = cpu->next_cpu;
            break;
        }
    }
    g_mutex_unlock(&cache.lock);
    if (!cache.cpus) {
        release_all();
    }
}
