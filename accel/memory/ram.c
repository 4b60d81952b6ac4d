/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ram.c - blocks of guest RAM and their dirty bitmaps; see ram.h
 *
 * A block is private anonymous memory, aligned for huge pages when it is large enough to use them. It costs address
 * space only until the guest touches it.
 *
 * Threads  references and dirty bits: any thread; ram_dirty_log: machine lock
 * Tests    tests/unit/memory-dma.c
 */
#include "accel/memory/ram.h"
#include "base/checked.h"
#include "base/epoch.h"
#include "base/error.h"
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>

enum { PAGE_SHIFT = 12, PAGE_BYTES = 1 << PAGE_SHIFT, HUGE_BYTES = 2 << 20 };
#define LARGEST (UINT64_C(1) << 46)        /* bytes: what a process can map, and then some */

void (*ram_code_written)(RamBlock *ram, uint64_t offset, uint64_t length);

static pthread_mutex_t blocks_mutex = PTHREAD_MUTEX_INITIALIZER;
static RamBlock *blocks;                   /* under blocks_mutex */
static RamLogger logger;                   /* machine lock */

/* Anonymous memory whose start is aligned to a huge page: maps more and gives the ends back. */
static void *map_aligned(uint64_t size)
{
    uint64_t slack = size >= HUGE_BYTES ? HUGE_BYTES : 0;
    uint8_t *map = mmap(NULL, size + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED || !slack) {
        return map;
    }
    uint64_t before = -(uintptr_t)map & (HUGE_BYTES - 1);
    if (before) {
        munmap(map, before);
    }
    if (slack > before) {
        munmap(map + before + size, slack - before);
    }
    madvise(map + before, size, MADV_HUGEPAGE);      /* a wish; kernels without it refuse, which is fine */
    return map + before;
}

RamBlock *ram_block_new(const char *name, uint64_t size, GError **err)
{
    if (size == 0 || size > LARGEST) {
        fail(err, EINVAL, "memory '%s': %" G_GUINT64_FORMAT " bytes is not a possible size (1 to %" G_GUINT64_FORMAT ")", name, size,
             LARGEST);
        return NULL;
    }
    size = (size + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
    void *host = map_aligned(size);
    if (host == MAP_FAILED) {
        fail(err, errno, "memory '%s': the host has no room for %" G_GUINT64_FORMAT " MiB: %s; ask for less with -m", name,
             size >> 20, g_strerror(errno));
        return NULL;
    }
    RamBlock *ram = g_new0(RamBlock, 1);
    ram->name = g_strdup(name);
    ram->host = host;
    ram->size = size;
    ram->references = 1;
    pthread_mutex_lock(&blocks_mutex);
    ram->next = blocks;
    blocks = ram;
    pthread_mutex_unlock(&blocks_mutex);
    return ram;
}

RamBlock *ram_block_ref(RamBlock *ram)
{
    __atomic_fetch_add(&ram->references, 1, __ATOMIC_RELAXED);
    return ram;
}

void ram_block_unref(RamBlock *ram)
{
    if (__atomic_sub_fetch(&ram->references, 1, __ATOMIC_ACQ_REL) != 0) {
        return;
    }
    pthread_mutex_lock(&blocks_mutex);
    for (RamBlock **link = &blocks; *link; link = &(*link)->next) {
        if (*link == ram) {
            *link = ram->next;
            break;
        }
    }
    pthread_mutex_unlock(&blocks_mutex);
    munmap(ram->host, ram->size);
    for (unsigned client = 0; client < DIRTY_CLIENTS; client++) {
        g_free(ram->dirty[client]);
    }
    g_free(ram->name);
    g_free(ram);
}

void ram_for_each(void (*each)(void *opaque, RamBlock *ram), void *opaque)
{
    pthread_mutex_lock(&blocks_mutex);
    for (RamBlock *ram = blocks; ram; ram = ram->next) {
        each(opaque, ram);
    }
    pthread_mutex_unlock(&blocks_mutex);
}

static uint64_t *bitmap_of(RamBlock *ram, unsigned client)
{
    return __atomic_load_n(&ram->dirty[client], __ATOMIC_ACQUIRE);
}

/* First and last page that [offset, offset + length) touches; false when it is empty or outside. */
static bool pages_of(const RamBlock *ram, uint64_t offset, uint64_t length, uint64_t *first, uint64_t *last)
{
    if (length == 0 || !range_within(offset, length, ram->size)) {
        return false;
    }
    *first = offset >> PAGE_SHIFT;
    *last = (offset + length - 1) >> PAGE_SHIFT;
    return true;
}

/* The bits of word number `word` that lie in pages first to last. */
static uint64_t word_mask(uint64_t word, uint64_t first, uint64_t last)
{
    uint64_t mask = UINT64_MAX;
    if (word == first / 64) {
        mask &= UINT64_MAX << (first % 64);
    }
    if (word == last / 64) {
        mask &= UINT64_MAX >> (63 - last % 64);
    }
    return mask;
}

void ram_mark_dirty(RamBlock *ram, uint64_t offset, uint64_t length)
{
    uint64_t first, last;
    bool logging = false;
    for (unsigned client = 0; client < DIRTY_CLIENTS; client++) {
        logging |= bitmap_of(ram, client) != NULL;
    }
    if (!logging || !pages_of(ram, offset, length, &first, &last)) {
        return;
    }
    epoch_enter();
    for (unsigned client = 0; client < DIRTY_CLIENTS; client++) {
        uint64_t *bits = bitmap_of(ram, client);
        for (uint64_t word = first / 64; bits && word <= last / 64; word++) {
            uint64_t mask = word_mask(word, first, last);
            if ((__atomic_load_n(&bits[word], __ATOMIC_RELAXED) & mask) != mask) {
                __atomic_fetch_or(&bits[word], mask, __ATOMIC_RELEASE);
            }
        }
    }
    epoch_leave();
}

static bool any_client(const RamBlock *ram)
{
    for (unsigned client = 0; client < DIRTY_CLIENTS; client++) {
        if (ram->dirty[client]) {
            return true;
        }
    }
    return false;
}

bool ram_dirty_log(RamBlock *ram, DirtyClient client, bool on, GError **err)
{
    if (on == (ram->dirty[client] != NULL)) {
        return true;
    }
    bool before = any_client(ram);
    if (on) {
        uint64_t words = (ram->size / PAGE_BYTES + 63) / 64;
        uint64_t *bits = g_try_new0(uint64_t, words);
        if (!bits) {
            return fail(err, ENOMEM, "memory '%s': no room for a dirty bitmap of %" G_GUINT64_FORMAT " bytes", ram->name, words * 8);
        }
        __atomic_store_n(&ram->dirty[client], bits, __ATOMIC_RELEASE);
    } else {
        epoch_retire(g_free, __atomic_exchange_n(&ram->dirty[client], NULL, __ATOMIC_ACQ_REL));
    }
    if (logger.changed && any_client(ram) != before) {
        logger.changed(logger.opaque, ram, on);
    }
    return true;
}

bool ram_dirty_test_and_clear(RamBlock *ram, DirtyClient client, uint64_t offset, uint64_t length)
{
    uint64_t first, last, found = 0;
    if (!pages_of(ram, offset, length, &first, &last)) {
        return false;
    }
    epoch_enter();
    uint64_t *bits = bitmap_of(ram, client);
    for (uint64_t word = first / 64; bits && word <= last / 64; word++) {
        uint64_t mask = word_mask(word, first, last);
        if (__atomic_load_n(&bits[word], __ATOMIC_RELAXED) & mask) {
            found |= __atomic_fetch_and(&bits[word], ~mask, __ATOMIC_ACQ_REL) & mask;
        }
    }
    epoch_leave();
    return found != 0;
}

void ram_set_logger(const RamLogger *new_logger)
{
    logger = new_logger ? *new_logger : (RamLogger){ 0 };
}

void ram_dirty_sync(RamBlock *ram)
{
    if (logger.sync) {
        logger.sync(logger.opaque, ram);
    }
}
