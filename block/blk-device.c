/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blk-device.c - a Blk beside its requests: names and lives, the medium, the device, and what becomes of errors
 *
 * Threads   main thread, machine lock held; sizes, the write cache and error actions also on the home loop
 * Tests     tests/block/blk.c
 */
#include "block/blk-core.h"
#include "base/error.h"
#include "base/event.h"
#include "base/log.h"
#include "base/loop.h"
#include <errno.h>
#include <string.h>

static Blk *first_blk, *last_blk;
static struct { void (*stop)(void *opaque); void *opaque; } machine;

/* ---- lives ---- */

Blk *blk_find(const char *id)
{
    for (Blk *blk = first_blk; id && *id && blk; blk = blk->next) {
        if (strcmp(blk->id, id) == 0) {
            return blk;
        }
    }
    return NULL;
}

Blk *blk_next(const Blk *blk)
{
    return blk ? blk->next : first_blk;
}

Blk *blk_new(const char *id, GError **err)
{
    if (id && blk_find(id)) {
        fail(err, EEXIST, "drive '%s': there is a drive of that id already", id);
        return NULL;
    }
    if (id && node_find(id)) {
        fail(err, EEXIST, "drive '%s': there is a block node of that name already", id);
        return NULL;
    }
    Blk *blk = g_new(Blk, 1);
    *blk = (Blk){ .id = g_strdup(id ? id : ""), .refs = 1, .loop = io_loop_current(), .idle = true, .write_cache = true, .previous = last_blk,
                   .maker = g_thread_self() };
    blk->kept_end = &blk->kept;
    blk->finished_end = &blk->finished;
    *(last_blk ? &last_blk->next : &first_blk) = blk;
    last_blk = blk;
    return blk;
}

Blk *blk_ref(Blk *blk)
{
    __atomic_fetch_add(&blk->refs, 1, __ATOMIC_RELAXED);
    return blk;
}

static void blk_free(void *opaque)
{
    Blk *blk = opaque;

    blk->refs = 1;                         /* callbacks of the drain may take and drop one */
    blk_drain(blk);
    blk_remove(blk);
    if (blk->refs > 1) {
        blk->refs--;                       /* a posted start_kept() holds it: that one's blk_unref() comes back here */
        return;
    }
    *(blk->previous ? &blk->previous->next : &first_blk) = blk->next;
    *(blk->next ? &blk->next->previous : &last_blk) = blk->previous;
    g_free(blk->id);
    g_free(blk->device);
    g_free(blk);
}

void blk_unref(Blk *blk)
{
    if (!blk || __atomic_sub_fetch(&blk->refs, 1, __ATOMIC_ACQ_REL) > 0) {
        return;
    }
    if (g_thread_self() == blk->maker) {
        blk_free(blk);
    } else {
        loop_post(blk_free, blk);          /* dropped on an I/O thread */
    }
}

const char *blk_id(const Blk *blk)
{
    return blk->id;
}

const char *blk_name(const Blk *blk)
{
    return *blk->id ? blk->id : blk->user ? node_who(node_user_node(blk->user)) : blk->device ? blk->device : "empty drive";
}

IoLoop *blk_loop(const Blk *blk)
{
    return __atomic_load_n(&blk->loop, __ATOMIC_ACQUIRE);
}

/* ---- what the graph says to its user ---- */

static bool may_move(void *opaque, IoLoop *loop, GError **err)
{
    Blk *blk = opaque;

    return blk->moving || !blk->device || blk_loop(blk) == loop
           || fail(err, EBUSY, "drive '%s' shares an image with this one, and its device '%s' needs it in the thread '%s'", blk_name(blk),
                   blk->device, io_loop_name(blk_loop(blk)));
}

static void moved(void *opaque, IoLoop *loop)
{
    __atomic_store_n(&((Blk *)opaque)->loop, loop, __ATOMIC_RELEASE);
}

static void tell_resized(void *opaque)
{
    Blk *blk = opaque;

    __atomic_store_n(&blk->resize_told, false, __ATOMIC_SEQ_CST);
    if (blk->ops && blk->ops->resized) {
        blk->ops->resized(blk->opaque);
    }
    blk_unref(blk);
}

static void resized(void *opaque)
{
    Blk *blk = opaque;

    if (!__atomic_exchange_n(&blk->resize_told, true, __ATOMIC_SEQ_CST)) {
        loop_post(tell_resized, blk_ref(blk));
    }
}

static const NodeUserOps user_ops = {
    .resized = resized,  .quiesce = blk_quiesce,  .busy = blk_busy,  .may_move = may_move,  .moved = moved,
};

/* ---- the medium ---- */

Node *blk_node(const Blk *blk)
{
    NodeUser *user = blk_user(blk);

    return user ? node_user_node(user) : NULL;
}

bool blk_has_medium(const Blk *blk)
{
    return blk_user(blk) != NULL;
}

uint64_t blk_length(const Blk *blk)
{
    const Node *node = blk_node(blk);

    return node ? node_length(node) : 0;
}

bool blk_readonly(const Blk *blk)
{
    const Node *node = blk_node(blk);

    return !node || node_readonly(node);
}

bool blk_write_cache(const Blk *blk)
{
    return __atomic_load_n(&blk->write_cache, __ATOMIC_RELAXED);
}

void blk_set_write_cache(Blk *blk, bool on)
{
    __atomic_store_n(&blk->write_cache, on, __ATOMIC_RELAXED);
}

bool blk_discard_wanted(const Blk *blk)
{
    const Node *node = blk_node(blk);

    return node && node->discard;
}

void blk_limits(const Blk *blk, BlkLimits *limits)
{
    const Node *node = blk_node(blk);
    *limits = (BlkLimits){ .request_alignment = 1 };
    if (node) {
        const NodeLimits *of = node_limits(node);
        limits->request_alignment = of->request_alignment;
        limits->physical_block = of->request_alignment > 512 ? of->request_alignment : 0;
        limits->optimal_io = of->optimal_transfer;
        limits->discard_granularity = MAX(of->discard_alignment, node->core->cluster_size);
    }
}

static void wanted_perms(const Blk *blk, NodePerms *perms, NodePerms *shared)
{
    *perms = blk->claimed ? PERM_CONSISTENT_READ | (blk->claimed_write ? PERM_WRITE : 0) : 0;
    *shared = blk->claimed ? PERM_CONSISTENT_READ | PERM_WRITE_UNCHANGED | PERM_RESIZE | (blk->claimed_share ? PERM_WRITE : 0) : PERM_ALL;
}

static char *describe(const Blk *blk)
{
    return *blk->id ? g_strdup_printf("drive '%s'", blk->id) : g_strdup_printf("device '%s'", blk->device ? blk->device : "?");
}

bool blk_attach_node(Blk *blk, Node *node, GError **err)
{
    g_autofree char *who = describe(blk);
    NodePerms perms, shared;

    wanted_perms(blk, &perms, &shared);
    if (node->loop != blk->loop && !node_set_loop(node, blk->loop, err)) {
        return false;
    }
    NodeUser *user = node_attach(node, who, perms, shared, err);
    if (!user) {
        return false;
    }
    node_user_set_ops(user, &user_ops, blk);
    blk->tray = blk->host_tray = (BlkTray){ 0 };
    __atomic_store_n(&blk->user, user, __ATOMIC_RELEASE);
    return true;
}

bool blk_insert(Blk *blk, Node *node, GError **err)
{
    if (blk->user) {
        return fail(err, EBUSY, "drive '%s' has a medium already", blk_name(blk));
    }
    if (!blk_attach_node(blk, node, err)) {
        return false;
    }
    if (blk->ops && blk->ops->medium_changed) {
        blk->ops->medium_changed(blk->opaque, true);
    }
    return true;
}

void blk_remove(Blk *blk)
{
    NodeUser *user = blk->user;

    if (!user) {
        return;
    }
    Node *node = node_ref(node_user_node(user));
    node_drain_begin(node);
    __atomic_store_n(&blk->user, NULL, __ATOMIC_RELEASE);
    blk_quiesce(blk, false);      /* what was kept back meets an empty drive */
    node_detach(user);
    node_drain_end(node);
    node_unref(node);
    if (blk->ops && blk->ops->medium_changed) {
        blk->ops->medium_changed(blk->opaque, false);
    }
}

/* ---- the device ---- */

bool blk_attach_device(Blk *blk, const char *device, const BlkDeviceOps *ops, void *opaque, bool removable, GError **err)
{
    if (blk->device) {
        return fail(err, EBUSY, "drive '%s' is in use by device '%s' already", blk_name(blk), blk->device);
    }
    blk->device = g_strdup(device);
    blk->ops = ops;
    blk->opaque = opaque;
    blk->removable = removable;
    if (blk->user) {
        g_autofree char *who = describe(blk);
        node_user_rename(blk->user, who);
    }
    return true;
}

void blk_detach_device(Blk *blk)
{
    blk->ops = NULL;
    blk->opaque = NULL;
    blk->device_on_read = blk->device_on_write = BLK_ERROR_AUTO;
    blk->claimed = blk->claimed_write = false;
    g_clear_pointer(&blk->device, g_free);
    if (blk->user) {
        node_user_change(blk->user, 0, PERM_ALL, NULL);        /* less is never refused */
    }
}

bool blk_claim(Blk *blk, bool write, bool share, GError **err)
{
    Blk before = { .claimed = blk->claimed, .claimed_write = blk->claimed_write, .claimed_share = blk->claimed_share };
    NodePerms perms, shared;

    if (write && blk->user && blk_readonly(blk)) {
        return fail(err, EACCES, "drive '%s' is read-only, and device '%s' writes", blk_name(blk), blk->device ? blk->device : "?");
    }
    blk->claimed = true;
    blk->claimed_write = write;
    blk->claimed_share = share;
    wanted_perms(blk, &perms, &shared);
    if (blk->user && !node_user_change(blk->user, perms, shared, err)) {
        blk->claimed = before.claimed;
        blk->claimed_write = before.claimed_write;
        blk->claimed_share = before.claimed_share;
        return false;
    }
    return true;
}

Blk *blk_for_device(const char *name, GError **err)
{
    Blk *blk = blk_find(name);
    Node *node = node_find(name);

    if (blk) {
        return blk_ref(blk);
    }
    if (!node) {
        fail(err, ENOENT, "there is no drive and no block node '%s'", name);
        return NULL;
    }
    blk = blk_new(NULL, err);
    if (blk && !blk_insert(blk, node, err)) {
        g_clear_pointer(&blk, blk_unref);
    }
    if (blk) {
        blk->write_cache = !(node->cache & CACHE_WRITETHROUGH);
    }
    return blk;
}

bool blk_set_loop(Blk *blk, IoLoop *loop, GError **err)
{
    bool good = true;

    blk_drain(blk);
    if (blk->user) {
        blk->moving = true;
        good = node_set_loop(node_user_node(blk->user), loop, err);
        blk->moving = false;
    } else {
        __atomic_store_n(&blk->loop, loop, __ATOMIC_RELEASE);
    }
    return good;
}

/* ---- errors ---- */

void blk_set_error_policy(Blk *blk, BlkErrorPolicy on_read, BlkErrorPolicy on_write)
{
    blk->device_on_read = on_read;
    blk->device_on_write = on_write;
}

static BlkAction decide(BlkErrorPolicy policy, bool write, int error)
{
    switch (policy) {
    case BLK_ERROR_IGNORE:
        return BLK_IGNORE;
    case BLK_ERROR_STOP:
        return BLK_STOP;
    case BLK_ERROR_AUTO:
        return write && error == ENOSPC ? BLK_STOP : BLK_REPORT;
    case BLK_ERROR_ENOSPC:
        return error == ENOSPC ? BLK_STOP : BLK_REPORT;
    default:
        return BLK_REPORT;
    }
}

typedef struct ErrorNews { Value *data; bool stop; } ErrorNews;

static void tell_error(void *opaque)
{
    ErrorNews *news = opaque;

    event_emit("BLOCK_IO_ERROR", news->data);
    if (news->stop && machine.stop) {
        machine.stop(machine.opaque);
    }
    g_free(news);
}

BlkAction blk_error_action(Blk *blk, bool write, int error)
{
    static const char *const words[] = { [BLK_REPORT] = "report", [BLK_IGNORE] = "ignore", [BLK_STOP] = "stop" };
    BlkErrorPolicy own = write ? blk->device_on_write : blk->device_on_read, drive = write ? blk->on_write : blk->on_read;
    Node *node = blk_node(blk);

    error = error < 0 ? -error : error;
    BlkAction action = decide(own != BLK_ERROR_AUTO ? own : drive, write, error);
    if (action == BLK_STOP && !machine.stop) {
        action = BLK_REPORT;               /* nothing could go on later */
    }
    ErrorNews *news = g_new0(ErrorNews, 1);
    news->data = value_new_object();
    news->stop = action == BLK_STOP;
    value_set(news->data, "device", value_new_string(blk->id));
    if (node) {
        value_set(news->data, "node-name", value_new_string(node_name(node)));
    }
    value_set(news->data, "operation", value_new_string(write ? "write" : "read"));
    value_set(news->data, "action", value_new_string(words[action]));
    value_set(news->data, "nospace", value_new_bool(error == ENOSPC));
    value_set(news->data, "reason", value_new_string(strerror(error)));
    loop_post(tell_error, news);
    return action;
}

void blk_on_stop(void (*stop)(void *opaque), void *opaque)
{
    machine.stop = stop;
    machine.opaque = opaque;
}

void blk_machine_runs(void)
{
    for (Blk *blk = first_blk, *next; blk; blk = next) {
        blk_ref(blk);
        if (blk->ops && blk->ops->retry) {
            blk->ops->retry(blk->opaque);
        }
        next = blk->next;
        blk_unref(blk);
    }
}

/* ---- all of them ---- */

typedef struct FlushJob { Node *node; int result; } FlushJob;

static int flush_now(void *opaque)
{
    FlushJob *job = opaque;

    return job->result = node_flush(job->node);
}

bool blk_flush_all(void)
{
    bool good = true;

    for (Blk *blk = first_blk; blk; blk = blk->next) {
        FlushJob job = { blk_node(blk), -ENOMEM };
        if (!job.node) {
            continue;
        }
        blk_drain(blk);
        node_run_on(blk_loop(blk), flush_now, &job);
        if (job.result < 0) {
            report_error("drive '%s': what was written last may not be on the disk: %s", blk_name(blk), strerror(-job.result));
            good = false;
        }
    }
    return good;
}

void blk_close_all(void)
{
    while (first_blk) {
        Blk *blk = first_blk;

        blk->refs = 1;                     /* whoever holds more forgot it, at the end of the process */
        blk_unref(blk);
        while (first_blk == blk) {
            io_loop_turn(io_loop_current(), true);             /* its last posts */
        }
    }
    node_close_all();
}
