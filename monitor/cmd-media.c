/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd-media.c - trays, media, sizes and limits of drives
 *
 * Threads  main loop, machine lock held
 * Tests    tests/qmp/block.py
 */
#include "base/error.h"
#include "block/blk-core.h"
#include "block/filter/throttle-group.h"
#include "monitor/block.h"
#include "monitor/commands.h"
#include <errno.h>
#include <string.h>

QMP_HANDLER(blockdev_open_tray)
{
    const char *who;
    Blk *blk = block_find_drive(args, &who, err);

    return blk && blk_open_tray(blk, who, value_get_bool(args, "force", false), err) ? qmp_done() : NULL;
}

QMP_HANDLER(blockdev_close_tray)
{
    const char *who;
    Blk *blk = block_find_drive(args, &who, err);

    return blk && blk_close_tray(blk, who, err) ? qmp_done() : NULL;
}

QMP_HANDLER(blockdev_remove_medium)
{
    const char *who;
    Blk *blk = block_find_drive(args, &who, err);

    return blk && blk_take_medium(blk, who, err) ? qmp_done() : NULL;
}

QMP_HANDLER(blockdev_insert_medium)
{
    const char *who, *name = value_get_string(args, "node-name", "");
    Blk *blk = block_find_drive(args, &who, err);
    Node *node = blk ? node_find(name) : NULL;

    if (blk && !node) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "Node '%s' not found", name);
    }
    return blk && blk_give_medium(blk, who, node, err) ? qmp_done() : NULL;
}

static bool open_and_take(Blk *blk, const char *who, bool force, GError **err)
{
    if (blk_is_removable(blk) && !blk_has_tray(blk)) {
        return blk_take_medium(blk, who, err);
    }
    return blk_open_tray(blk, who, force, err) && blk_take_medium(blk, who, err);
}

QMP_HANDLER(eject)
{
    const char *who;
    Blk *blk = block_find_drive(args, &who, err);

    return blk && open_and_take(blk, who, value_get_bool(args, "force", false), err) ? qmp_done() : NULL;
}

typedef struct OpenJob { const char *filename, *format; NodeOpen how; Node *node; GError **err; } OpenJob;

static int open_file(void *opaque)
{
    OpenJob *job = opaque;

    return node_open_file(&job->node, job->filename, job->format, NULL, &job->how, job->err) ? 0 : -EIO;
}

/* The image is opened before the old one goes, so that a wrong name changes nothing. */
QMP_HANDLER(blockdev_change_medium)
{
    const char *who, *mode = value_get_string(args, "read-only-mode", "retain");
    Blk *blk = block_find_drive(args, &who, err);

    if (!blk) {
        return NULL;
    }
    bool writable = strcmp(mode, "retain") == 0 ? blk_has_medium(blk) && !blk_readonly(blk) : strcmp(mode, "read-write") == 0;
    OpenJob job = { value_get_string(args, "filename", ""), value_get_string(args, "format", NULL),
                    { .loop = blk_loop(blk), .writable = writable, .auto_readonly = strcmp(mode, "retain") == 0 }, NULL, err };
    if (!blk_is_removable(blk)) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "Device '%s' is not removable", who);
    }
    io_loop_run(blk_loop(blk), open_file, &job);
    if (!job.node) {
        return NULL;
    }
    bool changed = open_and_take(blk, who, value_get_bool(args, "force", false), err) && blk_give_medium(blk, who, job.node, err) &&
                   blk_close_tray(blk, who, err);
    node_unref(job.node);
    return changed ? qmp_done() : NULL;
}

typedef struct ResizeJob { Node *node; uint64_t size; GError **err; } ResizeJob;

static int resize(void *opaque)
{
    ResizeJob *job = opaque;
    NodeUser *user = node_attach(job->node, "block_resize", PERM_RESIZE, PERM_ALL, job->err);

    if (!user) {
        return -EPERM;
    }
    node_drain_begin(job->node);
    int result = node_truncate(job->node, job->size, true, PREALLOC_OFF, 0, job->err);
    node_drain_end(job->node);
    node_detach(user);
    return result;
}

QMP_HANDLER(block_resize)
{
    int64_t size = value_get_int(args, "size", 0);
    Node *node = block_node_of(args, err);

    if (!node) {
        return NULL;
    }
    if (size < 0) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "Parameter 'size' expects a >0 size");
    }
    ResizeJob job = { node, (uint64_t)size, err };
    int result = io_loop_run(node_loop(node), resize, &job);
    if (result < 0 && err && !*err) {
        fail(err, -result, "'%s' cannot be resized: %s", node_name(node), g_strerror(-result));
    }
    return result < 0 ? NULL : qmp_done();
}

/* QEMU's old names of limits to those of throttle groups. */
static Value *limits_of(const Value *args)
{
    static const struct { const char *old, *name; } names[] = {
        { "bps", "bps-total" }, { "bps_rd", "bps-read" }, { "bps_wr", "bps-write" }, { "iops", "iops-total" }, { "iops_rd", "iops-read" },
        { "iops_wr", "iops-write" },
    };
    Value *limits = value_new_object();

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        static const char *const parts[][2] = { { "", "" }, { "_max", "-max" }, { "_max_length", "-max-length" } };
        for (size_t j = 0; j < G_N_ELEMENTS(parts); j++) {
            g_autofree char *old = g_strconcat(names[i].old, parts[j][0], NULL), *name = g_strconcat(names[i].name, parts[j][1], NULL);
            if (value_get(args, old)) {
                value_set(limits, name, value_ref(value_get(args, old)));
            }
        }
    }
    if (value_get(args, "iops_size")) {
        value_set(limits, "iops-size", value_ref(value_get(args, "iops_size")));
    }
    return limits;
}

typedef struct FilterJob { Blk *blk; Value *options; Node *filter; GError **err; } FilterJob;

static int open_filter(void *opaque)
{
    FilterJob *job = opaque;
    Node *node = blk_node(job->blk);
    const NodeOpen how = { .loop = blk_loop(job->blk), .writable = !node_readonly(node), .cache = node_cache(node), .discard = node->discard };

    return node_open(&job->filter, job->options, &how, job->err) ? 0 : -EIO;
}

/* A throttle node between the drive and what it has; the guest sees the same medium. */
static bool put_throttle(Blk *blk, const char *group, GError **err)
{
    g_autoptr(Value) options = value_new_object();
    Node *below = node_ref(blk_node(blk));
    FilterJob job = { blk, options, NULL, err };

    value_set(options, "driver", value_new_string("throttle"));
    value_set(options, "throttle-group", value_new_string(group));
    value_set(options, "file", value_new_string(node_name(below)));
    bool good = io_loop_run(blk_loop(blk), open_filter, &job) == 0 && blk_exchange_node(blk, job.filter, err);
    node_unref(job.filter);
    node_unref(below);
    return good;
}

QMP_HANDLER(block_set_io_throttle)
{
    const char *who;
    Blk *blk = block_find_drive(args, &who, err);
    Node *top = blk ? blk_node(blk) : NULL;
    g_autoptr(Value) limits = limits_of(args);

    if (!blk) {
        return NULL;
    }
    if (!top) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "Device '%s' has no medium", who);
    }
    bool there = strcmp(node_driver_name(top), "throttle") == 0;
    const char *old = there ? value_get_string(node_options(top), "throttle-group", "") : NULL;
    const char *group = value_get_string(args, "group", there ? old : who);
    if (there && strcmp(old, group) != 0) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "Device '%s' is in the throttle group '%s'; a drive cannot go to another one", who, old);
    }
    return throttle_group_configure(group, limits, err) && (there || put_throttle(blk, group, err)) ? qmp_done() : NULL;
}

#define THROTTLE_ARGS "?device:str ?id:str bps:int bps_rd:int bps_wr:int iops:int iops_rd:int iops_wr:int ?bps_max:int ?bps_rd_max:int " \
    "?bps_wr_max:int ?iops_max:int ?iops_rd_max:int ?iops_wr_max:int ?bps_max_length:int ?bps_rd_max_length:int ?bps_wr_max_length:int " \
    "?iops_max_length:int ?iops_rd_max_length:int ?iops_wr_max_length:int ?iops_size:int ?group:str"

const QmpType media_types[] = {
    { "BlockdevChangeReadOnlyMode", "enum retain read-only read-write" },
    { .name = NULL } };

const QmpCommand media_commands[] = {
    { "blockdev-open-tray", blockdev_open_tray, .args = "?device:str ?id:str ?force:bool", .help = "opens a tray; one that the guest has locked by force only" },
    { "blockdev-close-tray", blockdev_close_tray, .args = "?device:str ?id:str", .help = "closes a tray; the guest then sees what lies in it" },
    { "blockdev-remove-medium", blockdev_remove_medium, .args = "id:str", .help = "takes the medium out of an open tray" },
    { "blockdev-insert-medium", blockdev_insert_medium, .args = "id:str node-name:str", .help = "lays a node into an open tray" },
    { "blockdev-change-medium", blockdev_change_medium, .args = "?device:str ?id:str filename:str ?format:str ?force:bool "
      "?read-only-mode:BlockdevChangeReadOnlyMode", .help = "another image into a drive: tray out, change, tray in" },
    { "eject", eject, .args = "?device:str ?id:str ?force:bool", .help = "opens the tray and takes the medium out" },
    { "block_resize", block_resize, .args = "?device:str ?node-name:str size:int", .help = "another size for a disk; the guest is told" },
    { "block_set_io_throttle", block_set_io_throttle, .args = THROTTLE_ARGS, .help = "limits of throughput for a drive; 0 is no limit" },
    { .name = NULL } };
