/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bitmap.h - persistent bitmaps in memory, between bitmap.c and bitmap-store.c
 *
 * A bitmap is an array of chunks, one for each entry of its table: a cluster of bits. A chunk that nobody touched is only its entry.
 */
#pragma once
#include "block/format/qcow2/parts.h"

enum { BITMAP_IN_USE = 1, BITMAP_AUTO = 2, BITMAP_EXTRA_COMPATIBLE = 4, BITMAP_FLAGS = 7, BITMAP_TYPE_DIRTY = 1 };
enum { BITMAP_MIN_BITS = 9, BITMAP_MAX_BITS = 31, BITMAP_MAX_NAME = 1023, BITMAP_MAX_COUNT = 65535, BITMAP_MAX_TABLE = 0x8000000 };
#define BITMAP_MAX_BYTES      0x20000000ULL            /* of one bitmap's bits */
#define BITMAP_MAX_DIRECTORY  (65535ULL * 1024)
#define BITMAP_ALL_ONES       1ULL                     /* an entry without a cluster: all bits are set */

typedef struct Chunk {
    uint64_t entry;                        /* as in the file; 0 all clear, BITMAP_ALL_ONES, or the offset of a cluster */
    uint8_t *bits;                         /* a cluster; NULL: only entry */
    bool whole;                            /* bits are all of it; else they are to be added to what entry says */
} Chunk;

typedef struct Bitmap {
    char *name;
    unsigned granularity_bits;
    bool enabled;                          /* records writes; kept as the flag "auto" */
    bool inconsistent;                     /* found in use: nobody knows what it missed. No chunks */
    bool changed;                          /* other than in the file, which says "in use" then */
    uint32_t flags;                        /* as in the directory in the file */
    uint8_t *extra;
    uint32_t extra_bytes;
    uint64_t table_offset;                 /* 0: not in the file yet */
    uint32_t table_entries;
    Chunk *chunks;
    uint32_t chunk_count;
} Bitmap;

struct Qcow2Bitmaps {
    GPtrArray *list;                       /* of Bitmap, in the directory's order */
    GArray *dropped;                       /* Qcow2Freed: places in the file to be freed once the directory there is a new one */
    bool directory_changed;                /* entries came or went: it must be written anew */
    bool marked;                           /* the file says "in use" of those that are sound */
    unsigned enabled;                      /* how many record writes */
};

void qcow2_bitmap_free(void *bitmap);
/* The chunk's bits, all of them in memory. co. 0 or -errno. */
int qcow2_chunk_load(Qcow2 *qcow2, Chunk *chunk);
void qcow2_bitmap_drop_places(Qcow2 *qcow2, Bitmap *bitmap);           /* its table and clusters go to ->dropped */
int qcow2_bitmap_drop_unread(Qcow2 *qcow2, Bitmap *bitmap);            /* the same of an inconsistent one: its table is read. co */
uint32_t qcow2_bitmap_entries(const Qcow2 *qcow2, uint64_t size, unsigned granularity_bits);           /* UINT32_MAX: too many */
Qcow2Bitmaps *qcow2_bitmaps_get(Qcow2 *qcow2);             /* made when there were none */
void qcow2_bitmaps_recount(Qcow2 *qcow2);                  /* after some were enabled, disabled, added, removed */
