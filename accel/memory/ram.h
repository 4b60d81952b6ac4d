/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ram.h - blocks of guest RAM: anonymous memory, reference counted, with dirty bitmaps per client
 */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct RamBlock RamBlock;
typedef enum { DIRTY_DISPLAY, DIRTY_MIGRATION, DIRTY_CODE, DIRTY_CLIENTS } DirtyClient;

struct RamBlock {
    char *name;
    uint8_t *host;
    uint64_t size;                         /* bytes, a multiple of 4096 */
    int references;                        /* atomic */
    uint64_t *dirty[DIRTY_CLIENTS];        /* one bit per 4 KiB page; NULL while the client does not log */
    void *code;                            /* the software CPU's page descriptors; NULL under KVM */
    RamBlock *next;                        /* list of all blocks */
};

RamBlock *ram_block_new(const char *name, uint64_t size, GError **err);
RamBlock *ram_block_ref(RamBlock *ram);
void ram_block_unref(RamBlock *ram);

/* Told of every write that did not come from the software CPU's own fast path (DMA, loaders): drops code. */
extern void (*ram_code_written)(RamBlock *ram, uint64_t offset, uint64_t length);    /* NULL when nobody translates */

/* Any thread. Sets the bits of all logging clients. */
void ram_mark_dirty(RamBlock *ram, uint64_t offset, uint64_t length);
bool ram_dirty_log(RamBlock *ram, DirtyClient client, bool on, GError **err);
bool ram_dirty_test_and_clear(RamBlock *ram, DirtyClient client, uint64_t offset, uint64_t length);
/* Calls each(opaque, block) for every block; creation and destruction wait meanwhile. */
void ram_for_each(void (*each)(void *opaque, RamBlock *ram), void *opaque);

/* An accelerator whose guests write without our seeing it (KVM) keeps a log of its own. */
typedef struct RamLogger {
    void (*changed)(void *opaque, RamBlock *ram, bool logging);       /* the first client came, the last one left */
    void (*sync)(void *opaque, RamBlock *ram);                        /* bring your log into the bitmaps: ram_mark_dirty() */
    void *opaque;
} RamLogger;
void ram_set_logger(const RamLogger *logger);                         /* NULL: none; machine lock */
void ram_dirty_sync(RamBlock *ram);        /* before a harvest; machine lock */
