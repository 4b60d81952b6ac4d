/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memory-disk.h - storage for device tests: bytes that can be looked at, requests that are held back or fail when a test says so
 *
 * It is a node of the block graph: drive=NAME finds it, in every machine that a test builds. Main thread, outside of coroutines.
 */
#pragma once
#include "block/driver.h"

typedef struct MemoryDisk {
    Node node;
    uint8_t *bytes;                        /* node.length of them */
    bool hold;                             /* requests wait for memory_disk_release() */
    CoQueue held;
    unsigned holding;
    int fail_with;                         /* errno of the next failures */
    unsigned failures;                     /* how many are left */
    unsigned reads, writes, zeroes, discards, flushes;         /* how often each was asked for */
    unsigned flags;                        /* of the last write */
} MemoryDisk;

MemoryDisk *memory_disk_new(const char *name, uint64_t size);          /* filled with zeroes, writable */
void memory_disk_release(MemoryDisk *disk);
void memory_disk_release_soon(MemoryDisk *disk);           /* in a turn of its loop, whichever that is */
void memory_disk_resize(MemoryDisk *disk, uint64_t size);              /* its users are told */
void memory_disk_free(MemoryDisk *disk);   /* nobody uses it any more */
/* Turns the main loop until nothing is due. */
void memory_disk_settle(void);
