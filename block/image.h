/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * image.h - what can be asked of and done to an image as a whole: info, check, snapshots, bitmaps, creating
 *
 * All functions co (node.h) unless they say otherwise.
 */
#pragma once
#include "block/node.h"

typedef struct ImageProgress {             /* a tool's -p: called now and then, on the home loop */
    void (*report)(void *opaque, uint64_t done, uint64_t total);
    void *opaque;
} ImageProgress;

typedef struct ImageMeasure { uint64_t required, fully_allocated, bitmaps; bool has_bitmaps; } ImageMeasure;

typedef struct ImageInfo {
    uint64_t cluster_size;                 /* 0: none */
    bool dirty, compressed, encrypted;
    uint64_t vm_state_offset;              /* where saved machines' memory begins, behind the disk's own end; 0: none */
    Value *specific;                       /* QMP's ImageInfoSpecific: {"type":"qcow2","data":{...}}; owned; NULL */
} ImageInfo;

typedef enum { REPAIR_LEAKS = 1, REPAIR_ERRORS = 2 } CheckRepair;
typedef struct ImageCheck {
    uint64_t corruptions, leaks, check_errors, corruptions_fixed, leaks_fixed;
    uint64_t total_clusters, allocated_clusters, fragmented_clusters, compressed_clusters;
    uint64_t image_end_offset;             /* 0: unknown */
    void (*tell)(void *opaque, const char *line);          /* each finding, "ERROR ..." or "Leaked ..."; may be NULL */
    void *opaque;
} ImageCheck;

typedef struct ImageSnapshot {
    char *id, *name;                       /* owned */
    uint64_t vm_state_size, disk_size, vm_clock_ns;
    int64_t icount;                        /* -1: none */
    uint32_t date_sec, date_nsec;
} ImageSnapshot;
typedef struct ImageSnapshotOps {
    int (*create)(Node *node, ImageSnapshot *snapshot, GError **err);          /* fills id */
    int (*apply)(Node *node, const char *id, GError **err);
    int (*remove)(Node *node, const char *id, GError **err);
    int (*list)(Node *node, GArray *out);                  /* of ImageSnapshot, with a clear function */
    bool (*load_temporary)(Node *node, const char *id, GError **err);          /* reads come from it; the node must be read-only */
} ImageSnapshotOps;

typedef struct ImageBitmap { char *name; uint32_t granularity; bool enabled, in_use, autoload; uint64_t count; } ImageBitmap;
typedef struct ImageBitmapOps {
    bool (*add)(Node *node, const char *name, uint32_t granularity, bool enabled, GError **err);
    bool (*remove)(Node *node, const char *name, GError **err);
    bool (*clear)(Node *node, const char *name, GError **err);
    bool (*enable)(Node *node, const char *name, bool on, GError **err);
    bool (*merge)(Node *node, const char *name, Node *source, const char *source_name, GError **err);
    int (*list)(Node *node, GArray *out);                  /* of ImageBitmap */
} ImageBitmapOps;

/* QMP's ImageInfo, without what lies below it in the chain; name is its "filename". The caller owns it. */
Value *image_info_value(Node *node, const char *name, GError **err);
/* By name or id, with QEMU's errors for none and for an image without snapshots. */
bool image_snapshot_find(Node *node, const char *name_or_id, ImageSnapshot *out, GError **err);
void image_snapshot_clear(ImageSnapshot *snapshot);
void image_bitmap_clear(ImageBitmap *bitmap);

/* roost img create, blockdev-create, -snapshot: size UINT64_MAX: the backing file's. backing options are in `options` (backing_file,
 * backing_fmt), as all -o keys. quiet: no "Formatting ..." line. */
bool image_create(const char *filename, const char *format, uint64_t size, const Value *options, bool check_backing, bool quiet,
                  const NodeOpen *how, GError **err);
/* Into a node that is open. */
bool image_format(Node *file, const char *format, uint64_t size, const Value *options, const NodeOpen *how, GError **err);
/* Down into the backing image: all that node holds above base (NULL: its direct backing). The caller drops or empties node. */
int image_commit(Node *node, Node *base, uint64_t rate, ImageProgress *progress, GError **err);
