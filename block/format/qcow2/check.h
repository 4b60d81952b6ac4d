/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check.h - a check in progress: check.c counts, check-compare.c compares, repair.c mends */
#pragma once
#include "block/format/qcow2/parts.h"
#include "block/format/qcow2/refmap.h"

typedef struct CheckTable {                /* an L2 table, read once however many L1 entries name it */
    uint64_t offset, times;
    bool active;                           /* the active L1 table names it: it counts for the statistics */
} CheckTable;

typedef struct Check {
    Qcow2 *qcow2;
    ImageCheck *out;
    CheckRepair repair;
    RefMap *refs;                          /* what was counted */
    RefMap *fixed;                         /* of these, metadata other than L2 tables: never written over by a repair of an entry */
    bool counting_fixed;
    uint64_t file_bytes, clusters;         /* of the image file, rounded up */
    GArray *tables;                        /* CheckTable, in the order they were found */
    GHashTable *tables_at;                 /* offset to index + 1 */
    uint8_t *table;                        /* a cluster for L2 tables */
    bool rebuild;                          /* the refcounts' own structure is unusable */
    uint64_t structure_errors;             /* how many of the errors a rebuild of it mends */
    bool unread;                           /* metadata could not be read: what it refers to looks like a leak, nothing is mended */
    bool mismatch;                         /* counts and refcounts differ somewhere */
    /* The refcount block at hand. */
    uint8_t *block;
    uint64_t block_index;                  /* UINT64_MAX: none */
    int block_error;
    bool block_dirty;
    int failure;                           /* -errno: the check cannot go on */
} Check;

void check_tell(Check *check, const char *format, ...) G_GNUC_PRINTF(2, 3);
void check_corrupt(Check *check, uint64_t times);          /* counts errors */
void check_unread(Check *check, const char *format, ...) G_GNUC_PRINTF(2, 3);
static inline const char *check_word(bool repairs) { return repairs ? "Repairing" : "ERROR"; }
/* What lies beyond the end of the file reads as zeroes. */
int check_read(Check *check, uint64_t offset, void *data, uint64_t bytes);
/* One reference more (`times`) to each cluster of a range. */
void check_count(Check *check, uint64_t offset, uint64_t bytes, uint64_t times);

/* The refcount in the file; -errno when its block cannot be had. */
int check_refcount(Check *check, uint64_t cluster, uint64_t *refcount);
int check_refcount_store(Check *check, uint64_t cluster, uint64_t refcount);
int check_refcounts_flush(Check *check);
/* Compares all refcounts with what was counted and tells; repairs what `fix` allows, in place. */
int check_compare(Check *check, CheckRepair fix);
int check_copied(Check *check);
/* Whether [offset, offset + bytes) may be written as (part of) an L2 table, as far as was counted. */
bool check_writable(Check *check, uint64_t offset, uint64_t bytes);
/* repair.c: a new refcount table with new blocks from what was counted. */
int check_rebuild(Check *check);
