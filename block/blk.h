/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blk.h - the storage behind a drive, as hw/ sees it: one user's door to a node of the block graph
 *
 * A Blk is made for -drive (with an id) or for a device that names a node (without one); it may be empty (no medium). Requests
 * are structs that the device embeds; each is checked at this door against the medium, cut, counted and carried out by a
 * coroutine on the Blk's home loop. `done` runs on that loop's thread: for io_loop_main() with the machine lock held, for an
 * I/O thread without any lock. blk_submit() may be called on the home loop's thread, or (home loop main) on any thread that holds
 * the machine lock; from there the request is posted. done never runs inside blk_submit().
 *
 * Everything else here: main thread, machine lock held, unless said otherwise.
 */
#pragma once
#include "base/io-loop.h"
#include "base/iov.h"
#include "base/value.h"
#include <stddef.h>

typedef struct Blk Blk;
typedef struct Node Node;

typedef enum { BLK_READ, BLK_WRITE, BLK_WRITE_ZEROES, BLK_DISCARD, BLK_FLUSH, BLK_OPS } BlkOp;
enum { BLK_FUA = 1, BLK_MAY_UNMAP = 2 };   /* of writes; of BLK_WRITE_ZEROES */

typedef struct BlkRequest BlkRequest;
struct BlkRequest {
    BlkOp op;
    unsigned flags;
    uint64_t offset, bytes;                /* bytes of reads and writes: iov's */
    const struct iovec *iov;               /* stays valid until done */
    size_t iov_count;
    void (*done)(BlkRequest *request, int result);         /* 0 or -errno; the request is the caller's again */
    /* the block layer's own */
    Blk *blk;
    int result;
    int64_t began_ns;
    BlkRequest *next;
};

/* ---- for devices ---- */

void blk_submit(Blk *blk, BlkRequest *request);
unsigned blk_in_flight(const Blk *blk);    /* any thread */
/* Waits until nothing is in flight: resets of the whole machine, unplug, close. Main thread only; never from a vCPU. */
void blk_drain(Blk *blk);

const char *blk_id(const Blk *blk);        /* "ide0-hd0", or "" */
const char *blk_name(const Blk *blk);      /* for sentences: id, node name or file */
bool blk_has_medium(const Blk *blk);
uint64_t blk_length(const Blk *blk);       /* bytes; 0 without medium. Home loop's thread too */
bool blk_readonly(const Blk *blk);
bool blk_write_cache(const Blk *blk);      /* off: every write is flushed before it is done (cache=writethrough) */
void blk_set_write_cache(Blk *blk, bool on);               /* a guest's choice: home loop's thread too */
bool blk_discard_wanted(const Blk *blk);   /* discard=unmap reaches the image */

typedef struct BlkLimits {
    uint32_t request_alignment;            /* finer requests work, slowly */
    uint32_t physical_block, optimal_io;   /* bytes; 0 not known */
    uint32_t discard_granularity;          /* bytes; 0 not known */
    uint64_t max_transfer, max_pieces;     /* 0: no limit */
} BlkLimits;
void blk_limits(const Blk *blk, BlkLimits *limits);

/* What a device wants to hear; main thread. Each may be NULL. */
typedef struct BlkDeviceOps {
    void (*resized)(void *opaque);         /* blk_length() changed under a running guest */
    void (*medium_changed)(void *opaque, bool loaded);     /* loaded: a medium came; else it went */
    void (*eject_request)(void *opaque, bool force);       /* the person wants it out, and the guest has locked the tray */
    bool (*tray_open)(void *opaque);
    bool (*medium_locked)(void *opaque);
    void (*retry)(void *opaque);           /* the machine runs again after BLK_STOP: submit what was kept back */
} BlkDeviceOps;
/* One device at a time; EBUSY with a sentence naming the other one. removable: eject and change are allowed. */
bool blk_attach_device(Blk *blk, const char *device, const BlkDeviceOps *ops, void *opaque, bool removable, GError **err);
void blk_detach_device(Blk *blk);
/* What the device will do with it: write (else only read), resize never; share lets other writers be (share-rw). Refused for a
 * read-only image or a locked one. */
bool blk_claim(Blk *blk, bool write, bool share, GError **err);
/* Moves the whole graph below to another home loop; drained for it. Refused when somebody else holds it elsewhere. */
bool blk_set_loop(Blk *blk, IoLoop *loop, GError **err);
IoLoop *blk_loop(const Blk *blk);          /* any thread */
/* A guest opened or closed the tray: the person is told (DEVICE_TRAY_MOVED). The medium stays in it; a CD-ROM drive of the host moves
 * its own tray, and what it holds when that is in again is a new medium. */
void blk_guest_tray(Blk *blk, bool open);
void blk_guest_lock(Blk *blk, bool locked);                /* a guest locked the tray or let it go: the host's drive does the same */

/* werror=, rerror=: what becomes of a failed request. Emits BLOCK_IO_ERROR and, for STOP, stops the machine; then the device keeps
 * the request and submits it again on .retry. Home loop's thread. */
typedef enum { BLK_REPORT, BLK_IGNORE, BLK_STOP } BlkAction;
typedef enum { BLK_ERROR_AUTO, BLK_ERROR_REPORT, BLK_ERROR_IGNORE, BLK_ERROR_ENOSPC, BLK_ERROR_STOP } BlkErrorPolicy;
BlkAction blk_error_action(Blk *blk, bool write, int error);
void blk_set_error_policy(Blk *blk, BlkErrorPolicy on_read, BlkErrorPolicy on_write);    /* of a -device; AUTO leaves the drive's */
/* Set once by the machine: stops it, on the main loop. */
void blk_on_stop(void (*stop)(void *opaque), void *opaque);
void blk_machine_runs(void);               /* the machine goes on: calls every .retry */

/* ---- for whoever builds and controls the machine ---- */

Blk *blk_new(const char *id, GError **err);                /* empty; id NULL for an anonymous one, else unique. One reference */
Blk *blk_ref(Blk *blk);
void blk_unref(Blk *blk);                  /* the last one drains, flushes and lets the node go; NULL is ignored */
Blk *blk_find(const char *id);             /* NULL; lends */
Blk *blk_next(const Blk *blk);             /* all of them, in order of making; NULL begins */
bool blk_insert(Blk *blk, Node *node, GError **err);       /* takes a reference of its own */
void blk_remove(Blk *blk);                 /* drained; empty afterwards */
Node *blk_node(const Blk *blk);            /* lends; NULL when empty */
/* A device's drive=NAME: the Blk of that id, or a new anonymous one on the node of that name. The caller owns a reference. */
Blk *blk_for_device(const char *name, GError **err);
bool blk_flush_all(void);                  /* every Blk, at the end of a run and at each stop; false and a report when one failed */
void blk_close_all(void);                  /* at the end of the process, after the devices are gone: monitor-owned nodes too */

/* Synchronous, for loaders on the main thread before the machine runs: 0 or -errno. */
int blk_pread(Blk *blk, uint64_t offset, void *buffer, size_t length);

/* What a person or a manager does to a removable medium (blk-medium.c). Sentences are QMP's. Events tell of trays that moved. */
const char *blk_device_name(const Blk *blk);               /* NULL: no device has it */
void *blk_device_opaque(const Blk *blk);   /* what it gave to blk_attach_device() */
bool blk_is_removable(const Blk *blk);     /* an empty drive without a device is */
bool blk_has_tray(const Blk *blk);
bool blk_tray_is_open(const Blk *blk);
bool blk_tray_is_locked(const Blk *blk);
bool blk_open_tray(Blk *blk, const char *who, bool force, GError **err);       /* a locked one: the guest is asked, and that is an error */
bool blk_close_tray(Blk *blk, const char *who, GError **err);
bool blk_take_medium(Blk *blk, const char *who, GError **err);
bool blk_exchange_node(Blk *blk, Node *node, GError **err);            /* the same medium by way of another node: no device is told */
/* overlay, which nobody uses yet, comes between node and the drives that have it; and goes again, with what was written into it. */
bool blk_put_overlay(Node *node, Node *overlay, GError **err);
bool blk_drop_overlay(Node *overlay, GError **err);
bool blk_give_medium(Blk *blk, const char *who, Node *node, GError **err);

typedef struct BlkStats {
    struct { uint64_t operations, bytes, total_ns, failed, invalid, merged; } of[BLK_OPS];
    int64_t last_access_ns;                /* CLOCK_STEADY; 0 never */
    uint64_t highest_write;                /* one past the last byte ever written */
} BlkStats;
void blk_stats(const Blk *blk, BlkStats *stats);
