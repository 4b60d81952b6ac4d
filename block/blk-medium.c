/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blk-medium.c - a medium changed by hand: tray out, medium out, another one in, tray in
 *
 * A drive with a tray (a CD-ROM drive) sees a medium only when its tray is in; one without (a floppy drive) at once. What the
 * guest has locked stays shut: it is told that somebody pressed the button.
 *
 * Threads   main thread, machine lock held
 * Tests     tests/qmp/block.py
 */
#include "block/blk-core.h"
#include "base/error.h"
#include <errno.h>

const char *blk_device_name(const Blk *blk)
{
    return blk->device;
}

void *blk_device_opaque(const Blk *blk)
{
    return blk->opaque;
}

bool blk_is_removable(const Blk *blk)
{
    return !blk->device || blk->removable;
}

bool blk_has_tray(const Blk *blk)
{
    return blk->ops && blk->ops->tray_open;
}

bool blk_tray_is_open(const Blk *blk)
{
    return blk_has_tray(blk) && blk->ops->tray_open(blk->opaque);
}

bool blk_tray_is_locked(const Blk *blk)
{
    return blk->ops && blk->ops->medium_locked && blk->ops->medium_locked(blk->opaque);
}

static bool check_removable(const Blk *blk, const char *who, GError **err)
{
    return blk_is_removable(blk) || fail(err, EINVAL, "Device '%s' is not removable", who);
}

bool blk_open_tray(Blk *blk, const char *who, bool force, GError **err)
{
    bool locked = blk_tray_is_locked(blk);

    if (!check_removable(blk, who, err)) {
        return false;
    }
    if (!blk_has_tray(blk)) {
        return fail(err, ENOSYS, "Device '%s' does not have a tray", who);
    }
    if (blk_tray_is_open(blk)) {
        return true;
    }
    if (locked && blk->ops->eject_request) {
        blk->ops->eject_request(blk->opaque, force);
    }
    if (locked && !force) {
        return fail(err, EINPROGRESS, "Device '%s' is locked and force was not specified, wait for tray to open and try again", who);
    }
    blk_drain(blk);
    blk->ops->medium_changed(blk->opaque, false);
    blk_guest_tray(blk, true);
    return true;
}

bool blk_close_tray(Blk *blk, const char *who, GError **err)
{
    if (!check_removable(blk, who, err)) {
        return false;
    }
    if (!blk_has_tray(blk) || !blk_tray_is_open(blk)) {
        return true;
    }
    blk->ops->medium_changed(blk->opaque, true);
    blk_guest_tray(blk, false);
    return true;
}

bool blk_take_medium(Blk *blk, const char *who, GError **err)
{
    if (!check_removable(blk, who, err)) {
        return false;
    }
    if (blk_has_tray(blk) && !blk_tray_is_open(blk)) {
        return fail(err, EINVAL, "Tray of device '%s' is not open", who);
    }
    blk_remove(blk);
    return true;
}

bool blk_give_medium(Blk *blk, const char *who, Node *node, GError **err)
{
    if (!check_removable(blk, who, err)) {
        return false;
    }
    if (blk_has_tray(blk) && !blk_tray_is_open(blk)) {
        return fail(err, EINVAL, "Tray of device '%s' is not open", who);
    }
    if (blk->user) {
        return fail(err, EBUSY, "There already is a medium in device '%s'", who);
    }
    return blk_has_tray(blk) ? blk_attach_node(blk, node, err) : blk_insert(blk, node, err);
}

/* ---- another node under a running device ---- */

/* Nothing runs, and the graph stands still until give_back(). */
static Node *take_node(Blk *blk)
{
    NodeUser *user = blk->user;
    Node *node = user ? node_ref(node_user_node(user)) : NULL;

    if (node) {
        node_drain_begin(node);
        __atomic_store_n(&blk->user, NULL, __ATOMIC_RELEASE);
        node_detach(user);
    }
    return node;
}

static bool give_node(Blk *blk, Node *node, GError **err)
{
    BlkTray tray = blk->tray, host_tray = blk->host_tray;
    bool good = blk_attach_node(blk, node, err);

    blk->tray = tray;
    blk->host_tray = host_tray;
    return good;
}

static void go_on(Blk *blk, Node *taken)
{
    if (taken) {
        node_drain_end(taken);
        node_unref(taken);
    }
    if (__atomic_load_n(&blk->quiesced, __ATOMIC_SEQ_CST)) {
        blk_quiesce(blk, false);           /* what was kept back for the node that it no longer has */
    }
}

bool blk_exchange_node(Blk *blk, Node *node, GError **err)
{
    Node *old = take_node(blk);
    bool good = give_node(blk, node, err);

    if (!good && old) {
        give_node(blk, old, NULL);
    }
    go_on(blk, old);
    return good;
}

typedef struct BackingJob { Node *node, *backing; GError **err; } BackingJob;

static int change_backing(void *opaque)
{
    BackingJob *job = opaque;

    return node_change_backing(job->node, job->backing, job->err);
}

static GPtrArray *drives_of(const Node *node)
{
    GPtrArray *drives = g_ptr_array_new();

    for (Blk *blk = blk_next(NULL); blk; blk = blk_next(blk)) {
        if (blk_node(blk) == node) {
            g_ptr_array_add(drives, blk);
        }
    }
    return drives;
}

/* The drives let go of the one, the edge is changed, and they take the other; or all is as before. */
static bool move_drives(GPtrArray *drives, Node *from, Node *to, BackingJob *job, Node *old_backing)
{
    bool good;

    node_ref(from);                        /* the drives' may be the only references */
    node_ref(to);
    node_drain_begin(from);
    for (guint i = 0; i < drives->len; i++) {
        node_unref(take_node(drives->pdata[i]));
    }
    good = io_loop_run(node_loop(from), change_backing, job) == 0;
    guint moved = 0;
    while (good && moved < drives->len) {
        good = give_node(drives->pdata[moved], to, job->err);
        moved += good;
    }
    if (!good) {
        BackingJob undo = { job->node, old_backing, NULL };
        while (moved-- > 0) {
            Node *taken = take_node(drives->pdata[moved]);
            node_drain_end(taken);
            node_unref(taken);
        }
        io_loop_run(node_loop(from), change_backing, &undo);
        for (guint i = 0; i < drives->len; i++) {
            give_node(drives->pdata[i], from, NULL);
        }
    }
    for (guint i = 0; i < drives->len; i++) {
        node_drain_end(from);              /* of take_node() */
    }
    node_drain_end(from);
    for (guint i = 0; i < drives->len; i++) {
        go_on(drives->pdata[i], NULL);
    }
    node_unref(from);
    node_unref(to);
    return good;
}

bool blk_put_overlay(Node *node, Node *overlay, GError **err)
{
    g_autoptr(GPtrArray) drives = drives_of(node);
    BackingJob job = { overlay, node, err };

    if (overlay->core->users->len || overlay->core->parents->len) {
        return fail(err, EBUSY, "The overlay is already in use");
    }
    if (overlay->backing) {
        return fail(err, EINVAL, "The overlay already has a backing image");
    }
    if (!overlay->driver->backing_child) {
        return fail(err, EINVAL, "The overlay does not support backing images");
    }
    if (node->core->parents->len) {
        return fail(err, EBUSY, "Node '%s' is below node '%s'; only what a drive has directly can get an overlay", node->name,
                    ((Child *)node->core->parents->pdata[0])->parent->name);
    }
    if (overlay->length != node->length) {
        return fail(err, EINVAL, "The overlay's size differs from that of node '%s'", node->name);
    }
    return move_drives(drives, node, overlay, &job, NULL);
}

bool blk_drop_overlay(Node *overlay, GError **err)
{
    g_autoptr(GPtrArray) drives = drives_of(overlay);
    Node *node = overlay->backing;
    BackingJob job = { overlay, NULL, err };

    return move_drives(drives, overlay, node, &job, node);
}
