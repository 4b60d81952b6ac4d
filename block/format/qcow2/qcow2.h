/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2.h - what the files of the qcow2 driver share: the image in memory, its metadata caches, its allocator
 *
 * All multi-byte numbers on disk are big-endian. Header (version 2 ends after 72 bytes):
 *
 *     0  u32 magic "QFI\xfb"            36  u32 l1_size (entries)              72  u64 incompatible_features
 *     4  u32 version 2, 3               40  u64 l1_table_offset                80  u64 compatible_features
 *     8  u64 backing_file_offset        48  u64 refcount_table_offset          88  u64 autoclear_features
 *    16  u32 backing_file_size          56  u32 refcount_table_clusters        96  u32 refcount_order (width 1 << order)
 *    20  u32 cluster_bits 9..21         60  u32 nb_snapshots                  100  u32 header_length
 *    24  u64 size                       64  u64 snapshots_offset              104  u8  compression_type, 7 bytes of padding
 *    32  u32 crypt_method
 *
 * then header extensions { u32 type, u32 length, data, padding to 8 } up to a type of 0, then the backing file's name; all of it in
 * the first cluster.
 *
 * L1 entry: bits 9..55 offset of an L2 table, bit 63 (COPIED) its refcount is one.
 * L2 entry: bit 62 compressed, else bits 9..55 offset of the cluster, bit 63 COPIED, bit 0 reads as zeroes (version 3, plain entries).
 *   compressed: with x = 62 - (cluster_bits - 8), bits 0..x-1 byte offset, bits x..61 further 512-byte sectors.
 *   extended: a second u64 follows, bits 0..31 subcluster allocated, bits 32..63 subcluster reads as zeroes.
 * Refcount table entry: bits 9..63 offset of a refcount block, one cluster of refcounts of 1 << refcount_order bits.
 *
 * Threads and locks. Everything runs on the node's home loop, so what does not yield is atomic. `gate` is held shared by every
 * request and exclusively by what needs all of them to be done (snapshots, check, amend, resize). Below it, `lock` guards the
 * allocator: refcounts, the L1 table, L2 entries that change. A lookup that hits the cache takes neither yield nor lock.
 *
 * The order on disk is written down in cache.c.
 */
#pragma once
#include "base/bytes.h"
#include "base/checked.h"
#include "base/error.h"
#include "block/driver.h"
#include <errno.h>
#include <inttypes.h>

typedef struct Qcow2 Qcow2;

enum {
    Q2_MAGIC = 0x514649fb,
    Q2_MIN_CLUSTER_BITS = 9, Q2_MAX_CLUSTER_BITS = 21,
    Q2_MAX_L1_BYTES = 32 << 20,
    Q2_MAX_REFTABLE_BYTES = 8 << 20,
    Q2_MAX_SNAPSHOTS = 65536, Q2_MAX_SNAPSHOT_BYTES = 1024 * 65536,    /* table entries; all of the table */
    Q2_MAX_SNAPSHOT_EXTRA = 1024,
    Q2_MAX_BACKING_NAME = 1023,
    Q2_SECTOR = 512,
    Q2_MAX_SUBCLUSTERS = 32,
};
enum { Q2_EXT_END = 0, Q2_EXT_BACKING_FORMAT = 0xe2792acaL, Q2_EXT_FEATURES = 0x6803f857, Q2_EXT_BITMAPS = 0x23852875,
       Q2_EXT_CRYPTO = 0x0537be77, Q2_EXT_DATA_FILE = 0x44415441 };
#define Q2_INCOMPAT_DIRTY       (1ULL << 0)
#define Q2_INCOMPAT_CORRUPT     (1ULL << 1)
#define Q2_INCOMPAT_DATA_FILE   (1ULL << 2)
#define Q2_INCOMPAT_COMPRESSION (1ULL << 3)
#define Q2_INCOMPAT_EXTL2       (1ULL << 4)
#define Q2_INCOMPAT_ALL         0x1fULL
#define Q2_COMPAT_LAZY          (1ULL << 0)
#define Q2_AUTOCLEAR_BITMAPS    (1ULL << 0)
#define Q2_AUTOCLEAR_DATA_RAW   (1ULL << 1)
#define Q2_AUTOCLEAR_ALL        0x3ULL
#define Q2_COPIED               (1ULL << 63)
#define Q2_COMPRESSED           (1ULL << 62)
#define Q2_ZERO                 (1ULL << 0)
#define Q2_L1_OFFSET            0x00fffffffffffe00ULL
#define Q2_L2_OFFSET            0x00fffffffffffe00ULL
#define Q2_L1_RESERVED          0x7f000000000001ffULL
#define Q2_L2_RESERVED          0x3f000000000001feULL
#define Q2_REFTABLE_OFFSET      0xfffffffffffffe00ULL
#define Q2_REFTABLE_RESERVED    0x1ffULL

enum { Q2_CRYPT_NONE, Q2_CRYPT_AES, Q2_CRYPT_LUKS };
enum { Q2_ZLIB, Q2_ZSTD };

/* What lies where in the image file; the bits of overlap-check, in QEMU's order and with its names. */
typedef enum {
    Q2_OL_HEADER = 1, Q2_OL_ACTIVE_L1 = 2, Q2_OL_ACTIVE_L2 = 4, Q2_OL_REFTABLE = 8, Q2_OL_REFBLOCK = 16, Q2_OL_SNAPSHOTS = 32,
    Q2_OL_INACTIVE_L1 = 64, Q2_OL_INACTIVE_L2 = 128, Q2_OL_BITMAPS = 256,
} Qcow2Region;

/* ---- metadata in memory (cache.c) ---- */

typedef struct Qcow2Table {                /* a slice of an L2 table, or a refcount block */
    uint64_t offset;                       /* in the image file; 0: not in use */
    uint8_t *data;
    uint32_t dirty_from, dirty_to;         /* bytes changed since it was last written; from >= to: clean */
    uint32_t pins;                         /* users between get and put: not evicted */
    uint32_t next;                         /* index + 1 in its hash chain */
    bool used;                             /* since the clock's hand came by */
    bool loading;
} Qcow2Table;

typedef struct Qcow2Cache {
    Qcow2 *qcow2;
    Qcow2Region kind;                      /* Q2_OL_ACTIVE_L2 or Q2_OL_REFBLOCK */
    uint32_t bytes, bits;                  /* of one table: a power of two, at most a cluster */
    uint32_t limit, made;                  /* tables at most; made so far */
    uint32_t dirty;                        /* how many */
    uint32_t hand;
    Qcow2Table *tables;
    uint32_t *buckets, mask;
    CoQueue waiters;                       /* for a load to end or a pin to go */
} Qcow2Cache;

int qcow2_cache_init(Qcow2 *qcow2, Qcow2Cache *cache, Qcow2Region kind, uint32_t table_bytes, uint64_t cache_bytes);
void qcow2_cache_free(Qcow2Cache *cache);  /* what is dirty is lost */
/* The table at offset (aligned to cache->bytes), pinned; read when it is not there. co. */
int qcow2_cache_get(Qcow2Cache *cache, uint64_t offset, Qcow2Table **out);
/* The same, of zeroes, without reading: for a table that was just allocated. Dirty throughout. co. */
int qcow2_cache_new(Qcow2Cache *cache, uint64_t offset, Qcow2Table **out);
/* The same of a table whose cluster holds zeroes on disk: clean. */
int qcow2_cache_zero(Qcow2Cache *cache, uint64_t offset, Qcow2Table **out);
void qcow2_cache_put(Qcow2Cache *cache, Qcow2Table *table);            /* NULL is ignored */
/* Without a pin, good until the next yield; NULL when it is not there. Any time. */
static inline Qcow2Table *qcow2_cache_find(Qcow2Cache *cache, uint64_t offset)
{
    for (uint32_t i = cache->buckets[(uint32_t)(offset >> cache->bits) & cache->mask]; i; i = cache->tables[i - 1].next) {
        Qcow2Table *table = &cache->tables[i - 1];

        if (table->offset == offset) {
            table->used = true;
            return table->loading ? NULL : table;
        }
    }
    return NULL;
}
void qcow2_cache_dirty(Qcow2Cache *cache, Qcow2Table *table, uint32_t from, uint32_t bytes);
/* Tables inside [offset, offset + bytes) are dropped unwritten: the cluster was freed, or is about to be written past the cache. */
void qcow2_cache_forget(Qcow2Cache *cache, uint64_t offset, uint64_t bytes);

/* Writes what is dirty (refcounts, mapping, L1, refcount table), in the order that keeps the image sound; what is written need not be
 * on stable storage yet. co, with or without the lock. */
int qcow2_writeback(Qcow2 *qcow2);
/* The writeback must not come before what was just written (data of a new cluster, a table's copy) is on disk. Any time. */
static inline void qcow2_order_after_write(Qcow2 *qcow2);
/* Flushes the files, and moves on what that makes free. co, with or without the lock. */
int qcow2_flush_files(Qcow2 *qcow2);
/* The same, then everything on stable storage, then what was waiting to be freed is free. co, without the lock. */
int qcow2_sync(Qcow2 *qcow2);
/* The same with the lock held (by exclusive users). */
int qcow2_sync_locked(Qcow2 *qcow2);
/* qcow2_sync_locked(), and both caches are empty afterwards: before tables are written past them. */
int qcow2_caches_drop(Qcow2 *qcow2);
/* Around a change that goes through states which are no harm to data but not what a check expects: the dirty bit is set meanwhile (version 3), so
 * that whoever opens the image after a power cut mends it. end returns result, or what ending it failed with. co, lock held. */
int qcow2_unfinished_begin(Qcow2 *qcow2, bool *marked);
int qcow2_unfinished_end(Qcow2 *qcow2, bool marked, int result);
/* Memory of tables that nobody asked for since the last call is given back. Any time. */
void qcow2_cache_trim(Qcow2Cache *cache);
bool qcow2_is_clean(const Qcow2 *qcow2);   /* the mapping in memory is the one on stable storage */

/* ---- refcounts and the allocator (refcount.c); all co, lock held, unless they say otherwise ---- */

/* Whose space it was: decides whether a discard goes down to the file (pass-discard-*). */
typedef enum { Q2_FREE_NEVER, Q2_FREE_ALWAYS, Q2_FREE_REQUEST, Q2_FREE_SNAPSHOT, Q2_FREE_OTHER } Qcow2Free;

int qcow2_refcount_get(Qcow2 *qcow2, uint64_t cluster, uint64_t *refcount);                    /* cluster: number, not offset */
/* Adds delta to the refcount of every cluster that [offset, offset + bytes) touches, at once. -EINVAL: it would leave its range (the
 * image is marked corrupt), -ERANGE: above what the width can count. On failure what was changed is changed back. Decreases are for
 * clusters that nothing on disk refers to any more; others use qcow2_free(). */
int qcow2_refcount_add(Qcow2 *qcow2, uint64_t offset, uint64_t bytes, int64_t delta, Qcow2Free why);
/* Contiguous clusters for bytes, refcount 1; the offset or -errno. fresh (may be NULL): they are known to read as zeroes. */
int64_t qcow2_alloc(Qcow2 *qcow2, uint64_t bytes, bool *fresh);
/* The same of up to *count clusters, fewer where that leaves no hole; *count: how many. */
int64_t qcow2_alloc_run(Qcow2 *qcow2, uint64_t *count, bool *fresh);
/* At offset (a cluster's begin), as many of count clusters as are free there: their number or -errno. */
int64_t qcow2_alloc_at(Qcow2 *qcow2, uint64_t offset, uint64_t count, bool *fresh);
/* What was freed and is safe to use again is handed to the refcounts. */
int qcow2_release_freed(Qcow2 *qcow2);
/* Decreases the refcounts once nothing on disk refers to them, i.e. after the next qcow2_sync(). Never yields, never fails; lock held
 * or not. */
void qcow2_free(Qcow2 *qcow2, uint64_t offset, uint64_t bytes, Qcow2Free why);
/* The host range of a data, zero or compressed L2 entry is freed so. */
void qcow2_free_entry(Qcow2 *qcow2, uint64_t entry, Qcow2Free why);
/* Where a compressed entry's bytes are. */
void qcow2_compressed_range(const Qcow2 *qcow2, uint64_t entry, uint64_t *offset, uint64_t *bytes);
/* A refcount in a block's bytes, of width 1 << order. */
uint64_t qcow2_refcount_load(const void *block, unsigned order, uint64_t index);
void qcow2_refcount_store(void *block, unsigned order, uint64_t index, uint64_t value);
/* A larger refcount table, when the one there does not reach cluster number `cluster`. */
int qcow2_reftable_grow(Qcow2 *qcow2, uint64_t cluster);
/* Table of regions against [offset, offset + bytes): 0, or -EIO and the image is marked corrupt. ignore: regions that it may touch. */
int qcow2_overlap_check(Qcow2 *qcow2, unsigned ignore, uint64_t offset, uint64_t bytes);
/* After the L1 table, the refcount table, the snapshots or the bitmap directory changed as a whole; -ENOMEM. Does not yield. */
int qcow2_regions_rebuild(Qcow2 *qcow2);
int qcow2_regions_add(Qcow2 *qcow2, Qcow2Region kind, uint64_t offset);                        /* one L2 table, one refcount block */
void qcow2_regions_remove(Qcow2 *qcow2, uint64_t offset, uint64_t bytes);                      /* freed: whatever was there */
void qcow2_regions_free(Qcow2 *qcow2);
/* Sets the corrupt bit (version 3) and tells by node_corrupt(). co. offset, bytes UINT64_MAX: not known. */
void qcow2_corrupt(Qcow2 *qcow2, bool fatal, uint64_t offset, uint64_t bytes, const char *format, ...) G_GNUC_PRINTF(5, 6);
extern const struct Qcow2OverlapName { const char *option; const char *what; unsigned bit; } qcow2_overlap_names[];

/* ---- the mapping (map.c) ---- */

typedef enum {                             /* of a subcluster; without extended entries a cluster is its one subcluster */
    Q2_UNALLOCATED,                        /* the backing file decides */
    Q2_UNALLOCATED_ALLOC,                  /* the same, but the cluster has its place (extended only) */
    Q2_ZERO_PLAIN,                         /* reads as zeroes */
    Q2_ZERO_ALLOC,                         /* the same, and there is a place for data */
    Q2_NORMAL,
    Q2_COMPRESSED_DATA,
    Q2_INVALID,                            /* bits that the specification does not allow */
} Qcow2Kind;
Qcow2Kind qcow2_kind(const Qcow2 *qcow2, uint64_t entry, uint64_t bitmap, unsigned subcluster);

static inline uint64_t qcow2_l1_index(const Qcow2 *qcow2, uint64_t guest);
/* The slice that maps guest, pinned; *index: of its entry in the slice. *out NULL: there is no L2 table. -EIO: the L1 entry is bad. co. */
int qcow2_l2_get(Qcow2 *qcow2, uint64_t guest, Qcow2Table **out, uint32_t *index);
/* The same for changing: the table is made, or copied from one shared with a snapshot. co, lock held. */
int qcow2_l2_get_writable(Qcow2 *qcow2, uint64_t guest, Qcow2Table **out, uint32_t *index);
static inline uint64_t qcow2_l2_entry(const Qcow2 *qcow2, const Qcow2Table *table, uint32_t index);
static inline uint64_t qcow2_l2_bitmap(const Qcow2 *qcow2, const Qcow2Table *table, uint32_t index);    /* 0 when not extended */
void qcow2_l2_set(Qcow2 *qcow2, Qcow2Table *table, uint32_t index, uint64_t entry, uint64_t bitmap);    /* dirties */
/* Where guest lies, as far as one answer reaches; kind NORMAL: contiguous at host. Loads the slice when needed, else does not yield. */
typedef struct Qcow2Map {
    Qcow2Kind kind;
    bool writable;                         /* NORMAL, ZERO_ALLOC, UNALLOCATED_ALLOC: the cluster's refcount is one */
    uint64_t host;                         /* of guest itself, in qcow2->data; of kinds that have one */
    uint64_t entry;                        /* COMPRESSED_DATA */
    uint64_t bytes;
} Qcow2Map;
int qcow2_map(Qcow2 *qcow2, uint64_t guest, uint64_t bytes, Qcow2Map *map);
/* In memory at once, on disk by the next writeback. */
void qcow2_l1_set(Qcow2 *qcow2, uint32_t index, uint64_t entry);
/* Exactly `entries`, when it has fewer; the larger table is written, flushed and named by the header. co, lock held. */
int qcow2_l1_grow(Qcow2 *qcow2, uint64_t entries);
/* Unmaps or zeroes whole clusters (zeroes: subclusters). co, lock held by none. */
int qcow2_discard_clusters(Qcow2 *qcow2, uint64_t guest, uint64_t bytes, Qcow2Free why, bool keep_zero);
int qcow2_zero_clusters(Qcow2 *qcow2, uint64_t guest, uint64_t bytes, bool may_unmap);
/* Makes data clusters for a range that has none, and the L2 tables for them: preallocation. co, lock held by none. */
int qcow2_preallocate(Qcow2 *qcow2, uint64_t guest, uint64_t end, Preallocation mode);
/* Until no allocating write on clusters of the range is in flight. co, lock held (it is let go meanwhile). */
void qcow2_wait_allocs(Qcow2 *qcow2, uint64_t guest, uint64_t bytes);

/* ---- the header (header.c) ---- */

typedef struct Qcow2Extension { uint32_t type, length; uint8_t *data; } Qcow2Extension;

/* Fields and extensions from the struct to the file's first cluster; only sectors that differ are written, so that one field's change
 * is one sector. Extensions not known are kept byte for byte. -ENOSPC: they do not fit. Not flushed. co. */
int qcow2_header_write(Qcow2 *qcow2);
/* The same, and on stable storage. After a failure the file may say either: the caller puts the old fields back before it yields, and no
 * table is written until qcow2_header_settle() has made the file say so too. co. */
int qcow2_header_commit(Qcow2 *qcow2);
/* Before tables are written: 0 when the header in the file is known. co, ->writing held. */
int qcow2_header_settle(Qcow2 *qcow2);
bool qcow2_header_read(Qcow2 *qcow2, const NodeOpen *how, GError **err);
void qcow2_header_free(Qcow2 *qcow2);
/* Sets and clears bits of incompatible_features, written and flushed. Version 2 has none: nothing happens. co. */
int qcow2_mark(Qcow2 *qcow2, uint64_t set, uint64_t clear);
/* A table of count entries of entry_bytes at offset: aligned, and inside what an offset may be; else a sentence that names it. */
bool qcow2_table_check(const Qcow2 *qcow2, uint64_t offset, uint64_t count, uint64_t entry_bytes, uint64_t max_bytes, const char *what,
                       GError **err);

/* ---- the image ---- */

typedef struct Qcow2Snapshot {
    uint64_t l1_offset;
    uint32_t l1_size;                      /* entries */
    char *id, *name;
    uint64_t vm_state_size, disk_size, vm_clock_ns;
    int64_t icount;                        /* -1: none */
    uint32_t date_sec, date_nsec;
    uint32_t extra_size;                   /* of the table entry, as found */
    uint8_t *unknown_extra;                /* beyond what is known, kept byte for byte */
    uint32_t unknown_extra_size;
} Qcow2Snapshot;

typedef struct Qcow2Alloc Qcow2Alloc;      /* an allocating write in flight */
typedef struct Qcow2Freed { uint64_t offset, bytes; Qcow2Free why; } Qcow2Freed;
typedef struct Qcow2SnapshotFaults Qcow2SnapshotFaults;
typedef struct Qcow2Regions Qcow2Regions;
typedef struct Qcow2Gather Qcow2Gather;    /* merge.c: small requests of this turn */
typedef struct Qcow2Crypt Qcow2Crypt;      /* crypt.c */
typedef struct Qcow2Bitmaps Qcow2Bitmaps;  /* bitmap.c */

struct Qcow2 {
    Node node;

    /* The header. */
    uint32_t version, cluster_bits, refcount_order, crypt_method, header_length, compression_type;
    uint64_t incompatible, compatible, autoclear;
    uint32_t l1_size;                      /* entries; l1_bytes in the file is its multiple of 8 */
    uint64_t l1_offset;
    uint64_t reftable_offset;
    uint32_t reftable_clusters;
    uint32_t snapshot_count;
    uint64_t snapshots_offset, snapshots_bytes;
    uint8_t *header_tail;                  /* fields beyond those known, header_tail_bytes; kept */
    uint32_t header_tail_bytes;
    /* Its extensions. node.backing_name and .backing_format are the names. */
    char *data_file_name;                  /* NULL: none stored */
    uint64_t crypto_offset, crypto_bytes;  /* 0: no such extension */
    uint32_t bitmap_count;
    uint64_t bitmap_directory_offset, bitmap_directory_bytes;          /* count 0: no such extension */
    bool feature_table;                    /* written when there is room */
    GArray *unknown_extensions;            /* of Qcow2Extension, in their order */
    uint8_t *header_on_disk;               /* the used part as last read or written, for comparing */
    uint32_t header_on_disk_bytes;
    bool header_unsure, header_unsure_told;/* a commit failed: the file may say what memory no longer does */

    /* Derived from it. */
    uint64_t cluster_size;
    uint32_t l2_entry_bytes, l2_bits;      /* 8 or 16; log2 of entries in a table */
    uint32_t slice_bits;                   /* log2 of entries in a cached slice */
    uint32_t subclusters, subcluster_bits; /* 1 or 32 in a cluster; log2 of bytes */
    uint32_t refblock_bits;                /* log2 of refcounts in a block */
    uint64_t refcount_max;
    uint32_t compressed_shift;             /* x of a compressed entry */
    uint64_t compressed_offset_mask, compressed_sectors_mask;
    uint64_t max_l1_entries;               /* of a table of Q2_MAX_L1_BYTES */

    Node *data;                            /* where guest clusters are: node.file, or the child "data-file" */
    bool external;                         /* data != node.file */

    /* Tables that are wholly in memory, host order; dirty: a bit for each 512 bytes, to be written. */
    uint64_t *l1;
    uint32_t l1_allocated;                 /* entries that the array has room for */
    uint64_t *l1_dirty;
    uint64_t *reftable;
    uint64_t reftable_entries;
    uint64_t *reftable_dirty;
    bool l1_is_dirty, reftable_is_dirty, reftable_growing;
    Qcow2Cache l2_cache, refblock_cache;

    CoRwlock gate;
    CoMutex lock;
    CoMutex writing;                       /* one writeback at a time */
    uint64_t syncs_begun, syncs_done;      /* several flushes that wait are served by one */
    uint64_t unstable, stable;             /* writes that must be on disk before the mapping's next: how many were made, are flushed */
    uint64_t mapped, mapped_stable;        /* the same of writes of the mapping */
    bool mapping_in_flight;                /* a picture of the mapping was taken and is not wholly written */

    /* The allocator. */
    uint64_t free_hint;                    /* cluster number: none below is free */
    uint64_t run_hint;                     /* the same for runs of clusters, as far as it was looked */
    uint64_t zero_from;                    /* from here on the file was never written: it reads as zeroes; UINT64_MAX: not known */
    uint64_t file_end;                     /* the file's length; we grow it before we map what lies beyond */
    Preallocation grow_mode;               /* how: OFF but during a preallocation */
    bool file_grown;                       /* by us: close cuts it back to zero_from */
    uint64_t compressed_next;              /* where the next compressed cluster may begin; 0: in a new cluster */
    GArray *freed;                         /* Qcow2Freed: references gone in memory */
    GArray *freed_written;                 /* references gone in the file, not flushed */
    GArray *freed_stable;                  /* references gone on disk; requests that began before may still use the space */
    GArray *freed_grace;                   /* the same, waiting for the requests of the phase before */
    uint64_t freed_bytes, freed_moved;     /* in all four; how many ever left freed_written */
    unsigned phase, phase_requests[2];     /* data requests in flight, by the phase they began in */
    Qcow2Alloc *allocs;
    int sparse;                            /* block_status: 1 data clusters may be holes in the file, 0 not, -1 not looked at */
    Qcow2Regions *regions;
    Qcow2Gather *gather;
    unsigned overlap;                      /* Qcow2Region bits that are checked */

    Qcow2Snapshot *snapshots;              /* snapshot_count */
    Qcow2SnapshotFaults *snapshot_faults;  /* snapshot-table.c: what an opening for check met; NULL */
    Qcow2Crypt *crypt;                     /* NULL: not encrypted, or opened without I/O */
    Qcow2Bitmaps *bitmaps;                 /* NULL: none loaded */
    bool corrupt;                          /* no writes any more */

    /* Options of -blockdev. */
    struct Qcow2Options {
        int lazy_refcounts;                /* OFF, ON, AUTO: as the image says */
        int pass_discard_request;          /* OFF, ON, AUTO: as the node's discard= */
        bool pass_discard_snapshot, pass_discard_other, discard_no_unref;
        Value *overlap_check;
        uint64_t cache_size, l2_cache_size, l2_cache_entry_size, refcount_cache_size;          /* 0: not given */
        uint64_t cache_clean_interval;     /* seconds */
        Value *encrypt;
        Value *data_file;
    } options;
    bool lazy;                             /* in use */
    bool discard_passes[Q2_FREE_OTHER + 1];
    IoTimer clean_timer;
};

#define QCOW2(node_) ((Qcow2 *)(node_))
extern const NodeDriver qcow2_driver;      /* open.c */

static inline void qcow2_order_after_write(Qcow2 *qcow2)
{
    qcow2->unstable++;
}
static inline uint64_t qcow2_l1_index(const Qcow2 *qcow2, uint64_t guest)
{
    return guest >> (qcow2->l2_bits + qcow2->cluster_bits);
}
static inline uint64_t qcow2_l2_entry(const Qcow2 *qcow2, const Qcow2Table *table, uint32_t index)
{
    return load_be64(table->data + (size_t)index * qcow2->l2_entry_bytes);
}
static inline uint64_t qcow2_l2_bitmap(const Qcow2 *qcow2, const Qcow2Table *table, uint32_t index)
{
    return qcow2->l2_entry_bytes == 16 ? load_be64(table->data + (size_t)index * 16 + 8) : 0;
}
static inline uint64_t qcow2_clusters(const Qcow2 *qcow2, uint64_t bytes)              /* rounded up; does not wrap */
{
    return (bytes >> qcow2->cluster_bits) + ((bytes & (qcow2->cluster_size - 1)) != 0);
}
static inline uint64_t qcow2_vm_state_offset(const Qcow2 *qcow2)                       /* where the VM state area begins, as guest offset */
{
    uint64_t span = 1ULL << (qcow2->l2_bits + qcow2->cluster_bits), rest = qcow2->node.length & (span - 1);

    return qcow2->node.length + (rest ? span - rest : 0);
}

/* ---- requests (io.c) ---- */

int qcow2_preadv(Node *node, uint64_t offset, Iov to, RequestFlags flags);
int qcow2_pwritev(Node *node, uint64_t offset, Iov from, RequestFlags flags);
int qcow2_pwrite_zeroes(Node *node, uint64_t offset, uint64_t bytes, RequestFlags flags);
int qcow2_pdiscard(Node *node, uint64_t offset, uint64_t bytes);
int qcow2_flush(Node *node);
int qcow2_block_status(Node *node, bool exact, uint64_t offset, uint64_t bytes, uint64_t *count, uint64_t *map, Node **file);
int qcow2_save_vmstate(Node *node, uint64_t position, Iov from);
int qcow2_load_vmstate(Node *node, uint64_t position, Iov to);
int qcow2_make_empty(Node *node);
/* Inside the gate already. */
int qcow2_read(Qcow2 *qcow2, uint64_t guest, Iov to);
int qcow2_write(Qcow2 *qcow2, uint64_t guest, Iov from, RequestFlags flags);
/* A place in the current phase (see refcount.c), from before the first look-up until the last byte moved; _begin enters the gate. */
unsigned qcow2_request_begin(Qcow2 *qcow2);
void qcow2_request_end(Qcow2 *qcow2, unsigned phase);
/* A range of clusters that an allocating write is about to map; lock held. */
struct Qcow2Alloc { uint64_t first, end; CoQueue waiters; Qcow2Alloc *next; };
void qcow2_alloc_begin(Qcow2 *qcow2, Qcow2Alloc *alloc, uint64_t guest, uint64_t bytes);
void qcow2_alloc_end(Qcow2 *qcow2, Qcow2Alloc *alloc);
/* merge.c: to qcow2->data, maybe as part of a neighbour's request */
int qcow2_data_request(Qcow2 *qcow2, bool write, uint64_t host, Iov iov, RequestFlags flags);
void qcow2_gather_init(Qcow2 *qcow2);
void qcow2_gather_free(Qcow2 *qcow2);
/* compress.c: on worker threads */
int qcow2_read_compressed(Qcow2 *qcow2, uint64_t entry, uint64_t skip, Iov to);
/* The same of a piece of a longer request: it may still run when this returns, until qcow2_reads_end(), which returns the first error. */
typedef struct Qcow2Reads { unsigned running; int ret; CoQueue waiters; } Qcow2Reads;
int qcow2_read_compressed_beside(Qcow2 *qcow2, Qcow2Reads *reads, uint64_t entry, uint64_t skip, Iov to);
int qcow2_reads_end(Qcow2Reads *reads);
int qcow2_write_compressed(Qcow2 *qcow2, uint64_t guest, Iov from);
/* Decompresses exactly one cluster; -EIO where the bytes are none. Does not yield; any thread. */
int qcow2_decompress(unsigned type, const void *in, size_t in_bytes, void *out, size_t out_bytes);
/* resize.c, create.c */
int qcow2_truncate(Node *node, uint64_t size, bool exact, Preallocation preallocation, RequestFlags flags, GError **err);
bool qcow2_create(Node *file, uint64_t size, const Value *options, const NodeOpen *how, GError **err);
extern const Field qcow2_create_options[];
extern const char qcow2_create_order[];
typedef struct Qcow2Create {               /* -o keys, read and held against each other; create, amend and measure */
    char *backing_file, *backing_format, *data_file, *compat, *encrypt_format;
    uint64_t cluster_size, refcount_bits, extent_size_hint;
    bool lazy_refcounts, data_file_raw, extended_l2, encryption, nocow;
    int preallocation, compression_type;
    Value *encrypt;                        /* "encrypt.*" as an object, or NULL */
    unsigned version;                      /* from compat */
} Qcow2Create;
bool qcow2_create_parse(Qcow2Create *out, const Value *options, uint64_t size, GError **err);
void qcow2_create_clear(Qcow2Create *create);

/* ---- written beside the data path: check.c, repair.c, snapshot.c, bitmap.c, crypt.c, amend.c, measure.c, info.c ---- */

int qcow2_check(Node *node, ImageCheck *check, CheckRepair repair);
/* The same inside the gate: open calls it for a dirty image. */
int qcow2_check_inside(Qcow2 *qcow2, ImageCheck *check, CheckRepair repair);
/* Reads and checks the table; open calls it after the L1 table is there. how->checking: what can be kept is kept. */
bool qcow2_snapshots_load(Qcow2 *qcow2, const NodeOpen *how, GError **err);
void qcow2_snapshots_free(Qcow2 *qcow2);
extern const ImageSnapshotOps qcow2_snapshot_ops;
extern const ImageBitmapOps qcow2_bitmap_ops;
bool qcow2_bitmaps_load(Qcow2 *qcow2, GError **err);       /* open, after all else; marks them in use when writable */
int qcow2_bitmaps_store(Qcow2 *qcow2);     /* close and reopen read-only, before the caches go down */
void qcow2_bitmaps_free(Qcow2 *qcow2);
void qcow2_bitmaps_dirty(Qcow2 *qcow2, uint64_t guest, uint64_t bytes);       /* each write, zero and discard, when ->bitmaps. No yield */
bool qcow2_bitmaps_resize(Qcow2 *qcow2, uint64_t size, GError **err);         /* truncate; refuses where QEMU does */
bool qcow2_crypt_open(Qcow2 *qcow2, const NodeOpen *how, GError **err);       /* crypt_method is not 0 */
void qcow2_crypt_close(Qcow2 *qcow2);
/* In place; offsets and bytes in whole sectors. co: large pieces go to worker threads. */
int qcow2_crypt(Qcow2 *qcow2, bool encrypt, uint64_t host, uint64_t guest, void *data, size_t bytes);
/* A new image's encryption header: allocates, writes, sets crypto_offset and crypto_bytes; create writes the qcow2 header. */
bool qcow2_crypt_create(Qcow2 *qcow2, const Qcow2Create *create, GError **err);
bool qcow2_amend(Node *node, const Value *options, bool force, ImageProgress *progress, GError **err);
bool qcow2_measure(const Value *options, Node *source, uint64_t size, ImageMeasure *measure, GError **err);
void qcow2_info(Node *node, ImageInfo *info);
/* How many bytes an image file has with all of size allocated (full), or with none: measure and create. */
uint64_t qcow2_file_bytes(uint64_t size, uint32_t cluster_bits, uint32_t refcount_order, bool extended_l2);
