/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blocks.h - reading and writing for formats that keep a disk in blocks with a table of where each one is
 *
 * All functions co.
 */
#pragma once
#include "block/driver.h"

typedef struct Place {
    Node *file;
    uint64_t at;                           /* of the byte asked for, in file */
    uint64_t count;                        /* bytes for which this answer holds, at least 1 */
    bool present;                          /* else it reads as zeroes */
} Place;

typedef struct BlocksOps {
    int (*locate)(Node *node, uint64_t offset, Place *place);                  /* 0 or -errno */
    /* The lock is held, the block is absent. New zeroed space for it, that no table names yet: *at is where the block begins. */
    int (*allocate)(Node *node, uint64_t block, uint64_t *at);
    int (*enter)(Node *node, uint64_t block, uint64_t at);                     /* into the table, after the data was written */
    Node *(*file_of)(Node *node, uint64_t offset);                             /* NULL: the child "file" */
} BlocksOps;

typedef struct Blocks { const BlocksOps *ops; uint64_t size; CoMutex lock; } Blocks;

int blocks_preadv(Node *node, Blocks *blocks, uint64_t offset, Iov to);
int blocks_pwritev(Node *node, Blocks *blocks, uint64_t offset, Iov from);
int blocks_pwrite_zeroes(Node *node, Blocks *blocks, uint64_t offset, uint64_t bytes, RequestFlags flags);
int blocks_status(Node *node, Blocks *blocks, uint64_t offset, uint64_t bytes, uint64_t *count, uint64_t *map, Node **file);
/* Zeroed space [at, at + bytes) in a file, which grows where it must. */
int blocks_make_room(Node *file, uint64_t at, uint64_t bytes);
/* A table from the file, of entries * width bytes: NULL with a sentence when it does not lie in the file or is larger than 64 MiB. */
void *blocks_read_table(Node *file, const char *what, uint64_t at, uint64_t entries, unsigned width, GError **err);
int blocks_write(Node *file, uint64_t at, const void *data, size_t bytes);    /* node_pwrite, which grows what is no growable file */
