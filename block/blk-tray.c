/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blk-tray.c - a CD-ROM drive of the host below a Blk: its tray and its lock follow the guest's
 *
 * What the guest does counts at once in its own drive. The host's drive, whose tray takes seconds, follows on a worker thread, one
 * movement at a time, to where the guest's stands by then. What lies in it when the tray is in again is a new medium.
 *
 * Omits     the button of the host's drive, and a disc that is changed while the guest's tray is closed
 * Threads   main thread, machine lock held; the movement on a worker, the new length on the home loop
 * Tests     tests/block/blk.c
 */
#include "block/blk-core.h"
#include "base/event.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/trace.h"
#include "base/worker.h"
#include <string.h>

enum { TRACE_MOVE };
static TracePoint tray_trace[] = { [TRACE_MOVE] = { "blk_tray", "the host's CD-ROM drive is told of the guest's tray and lock" } };
TRACE_TABLE(tray_trace)

typedef struct Move {
    Blk *blk;
    Node *drive;
    BlkTray from, to;
    int result;
} Move;

static Node *host_drive(const Blk *blk)
{
    Node *node = blk_node(blk);

    while (node && !node->driver->medium_eject) {
        node = node->file;
    }
    return node;
}

static void end(Move *move)
{
    node_unref(move->drive);
    blk_unref(move->blk);
    g_free(move);
}

static void tell_medium(void *opaque)
{
    Move *move = opaque;
    Blk *blk = move->blk;

    if (host_drive(blk) == move->drive && !blk->tray.open && blk->ops && blk->ops->medium_changed) {
        blk->ops->medium_changed(blk->opaque, true);
    }
    end(move);
}

static void look(void *opaque)
{
    Move *move = opaque;

    node_refresh_length(move->drive);
    loop_post(tell_medium, move);
}

static void look_at_home(void *opaque)
{
    coroutine_enter(coroutine_new(look, opaque));
}

/* A locked tray does not open: the lock goes first, and comes last. */
static void move_it(void *opaque)
{
    Move *move = opaque;
    Node *drive = move->drive;

    if (move->from.locked && !move->to.locked) {
        move->result = drive->driver->medium_lock(drive, false);
    }
    if (move->result == 0 && move->from.open != move->to.open) {
        move->result = drive->driver->medium_eject(drive, move->to.open);
    }
    if (move->result == 0 && !move->from.locked && move->to.locked) {
        move->result = drive->driver->medium_lock(drive, true);
    }
}

static void follow(Blk *blk);

static void moved(void *opaque)
{
    Move *move = opaque;
    Blk *blk = move->blk;

    blk->tray_moves = false;
    TRACE(&tray_trace[TRACE_MOVE], "drive %s open %d locked %d result %d", blk_name(blk), move->to.open, move->to.locked, move->result);
    if (move->result < 0) {
        report_warning("drive '%s': the host's CD-ROM drive cannot follow the guest's tray: %s", blk_name(blk), strerror(-move->result));
    }
    if (host_drive(blk) == move->drive) {
        blk->host_tray = move->to;         /* also where it failed: it is tried again at the guest's next change */
        follow(blk);
    }
    if (move->from.open && !move->to.open && move->result == 0) {
        io_loop_post(blk_loop(blk), look_at_home, move);
    } else {
        end(move);
    }
}

static void follow(Blk *blk)
{
    Node *drive = host_drive(blk);
    Move *move;

    if (blk->tray_moves || !drive || (blk->tray.open == blk->host_tray.open && blk->tray.locked == blk->host_tray.locked)) {
        return;
    }
    move = g_new0(Move, 1);
    *move = (Move){ .blk = blk_ref(blk), .drive = node_ref(drive), .from = blk->host_tray, .to = blk->tray };
    blk->tray_moves = true;
    worker_submit(move_it, moved, move);
}

void blk_guest_tray(Blk *blk, bool open)
{
    Value *data = value_new_object();

    value_set(data, "device", value_new_string(blk->id));
    value_set(data, "id", value_new_string(blk->device ? blk->device : ""));
    value_set(data, "tray-open", value_new_bool(open));
    event_emit("DEVICE_TRAY_MOVED", data);
    blk->tray.open = open;
    follow(blk);
}

void blk_guest_lock(Blk *blk, bool locked)
{
    blk->tray.locked = locked;
    follow(blk);
}
