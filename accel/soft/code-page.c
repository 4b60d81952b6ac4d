/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * code-page.c - who has decoded code of which page of RAM, and how processors tell each other that it was written
 *
 * Blocks are private to a processor, so making, finding and dropping them takes no lock. Between processors there are:
 *
 *   owners      one word per page of RAM: a bit for each processor with code there (from 63 on they share bits, and then no bit is
 *               taken back), and OWNERS_SETTLED
 *   written     per processor: what others wrote over its code. Bounded; beyond the bound it forgets everything
 *   protection  a ring of pages that have become code: each processor drops its write entries for them
 *
 * A processor that stores to a page goes the slow way when the page has owners (mmu.c gives no write entry then), and tells those whose
 * bitmap it hit. The orders that this rests on, all sequentially consistent:
 *
 *   owner    sets bitmap, sets owners;                         then reads the bytes it decodes
 *   writer   stores the bytes, fence;                          then reads owners and bitmap
 *            so either the owner sees the new bytes, or the writer sees the owner.
 *
 *   owner    sets owners, publishes the request, sets REQUEST_PROTECT of the others;    then reads whether they have seen it
 *   filler   reads owners (none: a write entry) inside one instruction; at its next poll it sees the request, and drops the entry.
 *            A fill that came later than the request was seen comes later than the owners were set, and gives no entry.
 *   enterer  sets .inside; then reads the number of the last request, and serves what it had not seen, before any guest instruction.
 *            So whoever is not inside counts as having seen it: either it is found inside, or it finds the request.
 *
 * Until all have seen it the owner must not rely on being told: block.c compares the bytes at every entry meanwhile. Nobody waits.
 * Then the owner sets OWNERS_SETTLED, which stays while the page has any owner: the next one needs no request, since no write entry
 * can have come into being in between. The last owner takes it away together with its own bit, in one exchange.
 *
 * x86 promises no more to code that is modified by another processor: it must execute a serializing instruction or take an interrupt
 * before it runs the new bytes. The request is posted before the writer's next store becomes visible, and both of these poll.
 *
 * Threads  as code-page.h says; code_written() any. code.lock guards the ring and the making of tables, cpu->code.lock the written list
 * Tests    tests/cpu/threads.c, tests/cpu/integer.c
 */
#include "accel/soft/code-page.h"
#include "accel/soft/mmu.h"
#include "base/epoch.h"
#include <glib.h>

enum { PAGE_BYTES = 4096, PAGE_MASK = PAGE_BYTES - 1, CPU_LIMIT = 1024, BITS = 63, RING = 256 };
#define OWNERS_SETTLED (UINT64_C(1) << BITS)

/* RamBlock.code. */
typedef struct RamCode {
    CodePage **pages[CPU_LIMIT];           /* by number of the processor; its own thread makes it */
    uint64_t owners[];
} RamCode;

static struct {
    pthread_mutex_t lock;
    SoftCpu *cpus[CPU_LIMIT];
    unsigned limit;                        /* one above the highest number in use; atomic */
    unsigned count;
    GPtrArray *rams;                       /* RamBlocks with .code; a reference each */
    uint64_t requests;                     /* so many pages were ever asked to be protected; atomic */
    const uint8_t *ring[RING];             /* the last of them */
} code = { .lock = PTHREAD_MUTEX_INITIALIZER };

static SoftCpu *cpu_number(unsigned i)
{
    return __atomic_load_n(&code.cpus[i], __ATOMIC_ACQUIRE);
}

static unsigned cpu_limit(void)
{
    return __atomic_load_n(&code.limit, __ATOMIC_ACQUIRE);
}

unsigned code_cpu_count(void)
{
    return __atomic_load_n(&code.count, __ATOMIC_RELAXED);
}

static uint64_t owner_bit(unsigned number)
{
    return UINT64_C(1) << number % BITS;
}

static RamCode *ram_code(const RamBlock *ram)
{
    return __atomic_load_n((void *const *)&ram->code, __ATOMIC_ACQUIRE);
}

/* ---- pages ----------------------------------------------------------------------------------------------------------------- */

typedef struct HostSearch { const uint8_t *host; RamBlock *found; } HostSearch;

static void match_ram(void *opaque, RamBlock *ram)
{
    HostSearch *search = opaque;

    if (search->host >= ram->host && search->host < ram->host + ram->size) {
        search->found = ram;
    }
}

static RamBlock *ram_of(const SoftCpu *cpu, const uint8_t *host)
{
    RamBlock *last = cpu->code.last_ram;

    if (last && host >= last->host && host < last->host + last->size) {
        return last;
    }
    HostSearch search = { .host = host };
    ram_for_each(match_ram, &search);
    return search.found;
}

static RamCode *ram_code_make(RamBlock *ram)
{
    pthread_mutex_lock(&code.lock);
    RamCode *made = ram->code;
    if (!made && (made = g_try_malloc0(sizeof *made + (ram->size / PAGE_BYTES + 1) * sizeof made->owners[0])) != NULL) {
        g_ptr_array_add(code.rams, ram_block_ref(ram));
        __atomic_store_n(&ram->code, made, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&code.lock);
    return made;
}

static CodePage **table_make(SoftCpu *cpu, RamBlock *ram)
{
    RamCode *of_ram = ram_code(ram);

    if (!of_ram && (of_ram = ram_code_make(ram)) == NULL) {
        return NULL;
    }
    CodePage **table = of_ram->pages[cpu->code.number];
    if (!table && (table = g_try_new0(CodePage *, ram->size / PAGE_BYTES + 1)) != NULL) {
        __atomic_store_n(&of_ram->pages[cpu->code.number], table, __ATOMIC_RELEASE);
    }
    return table;
}

CodePage *code_page_get(SoftCpu *cpu, const uint8_t *host)
{
    RamBlock *ram = ram_of(cpu, host);
    CodePage **table = ram ? table_make(cpu, ram) : NULL;

    if (!table) {
        return NULL;
    }
    cpu->code.last_ram = ram;              /* on which we hold a reference */
    uint64_t number = (uint64_t)(host - ram->host) / PAGE_BYTES;
    if (!table[number]) {
        CodePage *page = g_new0(CodePage, 1);

        page->ram = ram;
        page->host = ram->host + number * PAGE_BYTES;
        page->owners = &ram_code(ram)->owners[number];
        page->next = cpu->code.pages;
        cpu->code.pages = page;
        __atomic_store_n(&table[number], page, __ATOMIC_RELEASE);
    }
    return table[number];
}

static CodePage *page_of(RamCode *of_ram, unsigned cpu_number_, uint64_t page_number)
{
    CodePage **table = __atomic_load_n(&of_ram->pages[cpu_number_], __ATOMIC_ACQUIRE);

    return table ? __atomic_load_n(&table[page_number], __ATOMIC_ACQUIRE) : NULL;
}

CodePage *code_page_find(const SoftCpu *cpu, const RamBlock *ram, uint64_t offset)
{
    RamCode *of_ram = ram_code(ram);

    return of_ram && offset < ram->size ? page_of(of_ram, cpu->code.number, offset / PAGE_BYTES) : NULL;
}

bool block_page_has_code(const RamBlock *ram, uint64_t offset)
{
    RamCode *of_ram = ram_code(ram);

    return of_ram && offset < ram->size && __atomic_load_n(&of_ram->owners[offset / PAGE_BYTES], __ATOMIC_SEQ_CST);
}

/* ---- protection ------------------------------------------------------------------------------------------------------------ */

/* Returns the request's number. */
static uint64_t ask_for_protection(SoftCpu *cpu, const uint8_t *host)
{
    pthread_mutex_lock(&code.lock);
    uint64_t before = code.requests;
    code.ring[before % RING] = host;
    __atomic_store_n(&code.requests, before + 1, __ATOMIC_SEQ_CST);
    if (cpu->code.seen == before) {        /* our own: done already */
        __atomic_store_n(&cpu->code.seen, before + 1, __ATOMIC_SEQ_CST);
    }
    pthread_mutex_unlock(&code.lock);
    for (unsigned i = 0; i < cpu_limit(); i++) {
        SoftCpu *other = cpu_number(i);

        if (other && other != cpu && __atomic_load_n(&other->code.inside, __ATOMIC_SEQ_CST)) {
            soft_request(other, REQUEST_PROTECT);
        }
    }
    return before + 1;
}

static bool all_have_seen(const SoftCpu *cpu, uint64_t request)
{
    for (unsigned i = 0; i < cpu_limit(); i++) {
        SoftCpu *other = cpu_number(i);

        if (other && other != cpu && __atomic_load_n(&other->code.inside, __ATOMIC_SEQ_CST) &&
            __atomic_load_n(&other->code.seen, __ATOMIC_SEQ_CST) < request) {
            return false;
        }
    }
    return true;
}

void code_protect_take(SoftCpu *cpu)
{
    const uint8_t *pages[RING];
    uint64_t seen = cpu->code.seen;

    if (__atomic_load_n(&code.requests, __ATOMIC_SEQ_CST) == seen) {
        return;
    }
    pthread_mutex_lock(&code.lock);
    uint64_t last = code.requests;
    for (uint64_t i = seen; i < last && last - seen <= RING; i++) {
        pages[i - seen] = code.ring[i % RING];
    }
    pthread_mutex_unlock(&code.lock);
    if (last - seen > RING) {
        tlb_protect_page(cpu, NULL);
    }
    for (uint64_t i = 0; i < last - seen && last - seen <= RING; i++) {
        tlb_protect_page(cpu, pages[i]);
    }
    __atomic_store_n(&cpu->code.seen, last, __ATOMIC_SEQ_CST);
}

static void own(SoftCpu *cpu, CodePage *page)
{
    uint64_t before = __atomic_fetch_or(page->owners, owner_bit(cpu->code.number), __ATOMIC_SEQ_CST);

    page->owned = true;
    if (before & OWNERS_SETTLED) {
        return;
    }
    tlb_protect_page(cpu, page->host);
    if (code_cpu_count() == 1) {
        __atomic_fetch_or(page->owners, OWNERS_SETTLED, __ATOMIC_SEQ_CST);
    } else {
        page->request = ask_for_protection(cpu, page->host);
    }
}

void code_page_watch(SoftCpu *cpu, CodePage *page, unsigned offset, unsigned length)
{
    uint64_t bits = code_pieces(offset, MIN(length, PAGE_BYTES - offset));

    if ((page->bitmap & bits) != bits) {
        __atomic_fetch_or(&page->bitmap, bits, __ATOMIC_SEQ_CST);
    }
    if (!page->owned) {
        own(cpu, page);
    }
}

bool code_page_settled(SoftCpu *cpu, CodePage *page)
{
    if (!page->owned) {
        return false;
    }
    if (__atomic_load_n(page->owners, __ATOMIC_SEQ_CST) & OWNERS_SETTLED) {
        return true;
    }
    if (!all_have_seen(cpu, page->request)) {
        return false;
    }
    __atomic_fetch_or(page->owners, OWNERS_SETTLED, __ATOMIC_SEQ_CST);
    return true;
}

static void disown(const SoftCpu *cpu, CodePage *page)
{
    uint64_t word = __atomic_load_n(page->owners, __ATOMIC_SEQ_CST), left;

    page->owned = false;
    do {
        left = word & ~owner_bit(cpu->code.number);
        left = left == OWNERS_SETTLED ? 0 : left;
    } while (!__atomic_compare_exchange_n(page->owners, &word, left, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
}

void code_page_keep(SoftCpu *cpu, CodePage *page, uint64_t left)
{
    __atomic_store_n(&page->bitmap, left, __ATOMIC_SEQ_CST);
    if (!left && page->owned && cpu_limit() <= BITS) {
        disown(cpu, page);
    }
}

/* ---- what was written -------------------------------------------------------------------------------------------------------- */

/* Does [offset, ...) go on where the entry ends, or lie in it? A page that is cleared is told of word by word. */
static bool written_grows(CodeWritten *entry, const RamBlock *ram, uint64_t offset, uint64_t length)
{
    if (entry->ram != ram || offset < entry->offset || offset > entry->offset + entry->length) {
        return false;
    }
    entry->length = MAX(entry->length, offset + length - entry->offset);
    return true;
}

static void tell(SoftCpu *cpu, RamBlock *ram, uint64_t offset, uint64_t length)
{
    CodeInbox *inbox = &cpu->code;

    pthread_mutex_lock(&inbox->lock);
    bool first = !inbox->written_count && !inbox->overflow;
    if (!inbox->written_count || !written_grows(&inbox->written[inbox->written_count - 1], ram, offset, length)) {
        if (inbox->written_count < WRITTEN_LIMIT) {
            inbox->written[inbox->written_count++] = (CodeWritten){ ram, offset, length };
        } else {
            inbox->overflow = true;
        }
    }
    soft_request(cpu, REQUEST_CODE);
    pthread_mutex_unlock(&inbox->lock);
    if (first && inbox->wake) {
        inbox->wake(cpu->cpu);             /* it may sleep for long, and its old code would slow down all stores there */
    }
}

bool code_take_written(SoftCpu *cpu, CodeWritten taken[WRITTEN_LIMIT], unsigned *count)
{
    CodeInbox *inbox = &cpu->code;

    pthread_mutex_lock(&inbox->lock);
    bool complete = !inbox->overflow;
    *count = inbox->written_count;
    memcpy(taken, inbox->written, *count * sizeof taken[0]);
    inbox->written_count = 0;
    inbox->overflow = false;
    pthread_mutex_unlock(&inbox->lock);
    return complete;
}

/* Inside one page. */
static void tell_owners(const SoftCpu *cpu, RamCode *of_ram, RamBlock *ram, uint64_t offset, uint64_t length, uint64_t owners)
{
    uint64_t pieces = code_pieces((unsigned)(offset & PAGE_MASK), length);

    for (unsigned i = 0; i < cpu_limit(); i++) {
        SoftCpu *other = owners & owner_bit(i) ? cpu_number(i) : NULL;
        CodePage *page = other && other != cpu ? page_of(of_ram, i, offset / PAGE_BYTES) : NULL;

        if (page && __atomic_load_n(&page->bitmap, __ATOMIC_SEQ_CST) & pieces) {
            tell(other, ram, offset, length);
        }
    }
}

void code_tell_others(SoftCpu *cpu, RamBlock *ram, uint64_t offset, uint64_t length)
{
    uint64_t own_bit = cpu && cpu_limit() <= BITS ? owner_bit(cpu->code.number) : 0;

    soft_fence();                          /* the bytes are there before we look who has code of them */
    RamCode *of_ram = ram_code(ram);
    if (!of_ram) {
        return;
    }
    while (length && offset < ram->size) {
        uint64_t in_page = MIN(length, PAGE_BYTES - (offset & PAGE_MASK));
        uint64_t owners = __atomic_load_n(&of_ram->owners[offset / PAGE_BYTES], __ATOMIC_SEQ_CST) & ~(own_bit | OWNERS_SETTLED);

        if (owners) {
            tell_owners(cpu, of_ram, ram, offset, in_page, owners);
        }
        offset += in_page;
        length -= in_page;
    }
}

/* Any thread: DMA and loaders. */
static void code_written(RamBlock *ram, uint64_t offset, uint64_t length)
{
    epoch_enter();
    code_tell_others(NULL, ram, offset, length);
    epoch_leave();
}

/* ---- processors -------------------------------------------------------------------------------------------------------------- */

bool code_add_cpu(SoftCpu *cpu)
{
    unsigned number = 0;

    pthread_mutex_lock(&code.lock);
    while (number < CPU_LIMIT && code.cpus[number]) {
        number++;
    }
    if (number == CPU_LIMIT) {
        pthread_mutex_unlock(&code.lock);
        return false;
    }
    pthread_mutex_init(&cpu->code.lock, NULL);
    if (!code.rams) {
        code.rams = g_ptr_array_new();
    }
    cpu->code.number = number;
    cpu->code.seen = code.requests;        /* it has no entries yet */
    __atomic_store_n(&code.limit, MAX(code.limit, number + 1), __ATOMIC_RELEASE);
    __atomic_store_n(&code.count, code.count + 1, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < cpu_limit(); i++) {
        if (code.cpus[i]) {
            soft_request(code.cpus[i], REQUEST_CODE);    /* it is not alone any more: block_settle() */
        }
    }
    __atomic_store_n(&code.cpus[number], cpu, __ATOMIC_RELEASE);
    ram_code_written = code_written;
    pthread_mutex_unlock(&code.lock);
    return true;
}

static void free_pages(void *opaque)
{
    for (CodePage *page = opaque, *next; page; page = next) {
        next = page->next;
        g_free(page);
    }
}

static void ram_unref(void *opaque)
{
    ram_block_unref(opaque);
}

/* code.lock held; the caller retires what it put into the two lists. last: nobody is left that has code. */
static void unpublish(const SoftCpu *cpu, bool last, GPtrArray *tables, GPtrArray *rams)
{
    for (guint i = 0; i < code.rams->len; i++) {
        RamBlock *ram = g_ptr_array_index(code.rams, i);
        RamCode *of_ram = ram->code;

        g_ptr_array_add(tables, __atomic_exchange_n(&of_ram->pages[cpu->code.number], NULL, __ATOMIC_SEQ_CST));
        if (last) {
            g_ptr_array_add(tables, __atomic_exchange_n(&ram->code, NULL, __ATOMIC_SEQ_CST));
            g_ptr_array_add(rams, ram);
        }
    }
    if (last) {
        g_ptr_array_set_size(code.rams, 0);
        ram_code_written = NULL;
    }
}

void code_remove_cpu(SoftCpu *cpu)
{
    g_autoptr(GPtrArray) tables = g_ptr_array_new(), rams = g_ptr_array_new();

    for (CodePage *page = cpu->code.pages; page; page = page->next) {
        code_page_keep(cpu, page, 0);
    }
    pthread_mutex_lock(&code.lock);
    __atomic_store_n(&code.cpus[cpu->code.number], NULL, __ATOMIC_RELEASE);
    __atomic_store_n(&code.count, code.count - 1, __ATOMIC_RELAXED);
    unpublish(cpu, !code.count, tables, rams);
    pthread_mutex_unlock(&code.lock);
    for (guint i = 0; i < tables->len; i++) {
        if (g_ptr_array_index(tables, i)) {
            epoch_retire(g_free, g_ptr_array_index(tables, i));
        }
    }
    for (guint i = 0; i < rams->len; i++) {
        epoch_retire(ram_unref, g_ptr_array_index(rams, i));
    }
    epoch_retire(free_pages, cpu->code.pages);
    cpu->code.pages = NULL;
    cpu->code.last_ram = NULL;
}
