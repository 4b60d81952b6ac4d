/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd-blockdev.c - nodes made, changed and taken away; images made; overlays over running disks, several at once in a transaction
 *
 * Threads  main loop, machine lock held; what touches a node runs in a coroutine on its home loop
 * Tests    tests/qmp/block.py
 */
#include "base/error.h"
#include "block/image.h"
#include "monitor/block.h"
#include "monitor/commands.h"
#include "monitor/jobs.h"
#include <errno.h>
#include <string.h>

QMP_HANDLER(blockdev_add)
{
    static const NodeOpen how = { .writable = true };

    if (!value_get(args, "node-name")) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "'node-name' must be specified for the root node");
    }
    return node_add(args, &how, err) ? qmp_done() : NULL;
}

QMP_HANDLER(blockdev_del)
{
    const char *name = value_get_string(args, "node-name", "");

    if (!node_find(name)) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "Failed to find node with node-name='%s'", name);
    }
    return node_del(name, err) ? qmp_done() : NULL;
}

typedef struct ReopenJob { Node *node; const Value *options; GError **err; } ReopenJob;

static int reopen(void *opaque)
{
    ReopenJob *job = opaque;

    return node_reopen(job->node, job->options, job->err) ? 0 : -EIO;
}

QMP_HANDLER(blockdev_reopen)
{
    const Value *list = value_get(args, "options");

    for (size_t i = 0; i < value_length(list); i++) {
        const Value *options = value_at(list, i);
        const char *name = value_get_string(options, "node-name", NULL);
        Node *node = name ? node_find(name) : NULL;
        if (!node) {
            return name ? qmp_fail(err, QMP_GENERIC_ERROR, "Failed to find node with node-name='%s'", name)
                        : qmp_fail(err, QMP_GENERIC_ERROR, "node-name not specified");
        }
        ReopenJob job = { node, options, err };
        if (io_loop_run(node_loop(node), reopen, &job) < 0) {
            return NULL;
        }
    }
    return qmp_done();
}

/* ---- images ---- */

static bool create_file(const Value *options, GError **err)
{
    const NodeOpen how = { .loop = io_loop_main(), .writable = true };
    g_autoptr(Value) more = value_new_object();
    Node *made;

    if (value_get(options, "preallocation")) {
        value_set(more, "preallocation", value_ref(value_get(options, "preallocation")));
    }
    if (!node_create_file(&made, value_get_string(options, "filename", ""), value_get_uint(options, "size", 0), more, &how, err)) {
        return false;
    }
    node_unref(made);
    return true;
}

/* QMP's names of qcow2's options to those of roost img create -o. */
static Value *format_options(const Value *options)
{
    static const struct { const char *key, *option; } names[] = {
        { "backing-file", "backing_file" }, { "backing-fmt", "backing_fmt" }, { "cluster-size", "cluster_size" },
        { "preallocation", "preallocation" }, { "lazy-refcounts", "lazy_refcounts" }, { "refcount-bits", "refcount_bits" },
        { "compression-type", "compression_type" }, { "data-file-raw", "data_file_raw" }, { "extended-l2", "extended_l2" }, { "version", "compat" },
    };
    Value *out = value_new_object();

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        Value *value = value_get(options, names[i].key);
        if (value) {
            value_set(out, names[i].option, value_ref(value));
        }
    }
    return out;
}

static bool create_format(const Value *options, GError **err)
{
    const NodeOpen how = { .loop = io_loop_main(), .writable = true };
    g_autoptr(Value) more = format_options(options);
    Node *file;

    if (!node_open(&file, value_get(options, "file"), &how, err)) {
        return false;
    }
    bool good = image_format(file, value_get_string(options, "driver", ""), value_get_uint(options, "size", 0), more, &how, err);
    node_unref(file);
    return good;
}

static bool create(void *opaque, GError **err)
{
    const Value *options = opaque;
    bool file = strcmp(value_get_string(options, "driver", ""), "file") == 0;

    return file ? create_file(options, err) : create_format(options, err);
}

static void free_options(void *opaque)
{
    value_unref(opaque);
}

QMP_HANDLER(blockdev_create)
{
    const Value *options = value_get(args, "options");

    return job_start(value_get_string(args, "job-id", ""), "create", create, free_options, value_copy(options), err) ? qmp_done() : NULL;
}

typedef struct NameJob { Node *node; const char *name; GError **err; } NameJob;

static int write_backing_name(void *opaque)
{
    NameJob *job = opaque;
    g_autofree char *format = g_strdup(node_backing_format(job->node));        /* the node's own is freed on the way */

    return node_write_backing_name(job->node, job->name, format, job->err);
}

QMP_HANDLER(change_backing_file)
{
    const char *name = value_get_string(args, "image-node-name", "");
    Node *image = node_find(name);

    if (!block_node_of(args, err)) {
        return NULL;
    }
    if (!image) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "Cannot find node-name='%s'", name);
    }
    NameJob job = { image, value_get_string(args, "backing-file", ""), err };
    return io_loop_run(node_loop(image), write_backing_name, &job) == 0 ? qmp_done() : NULL;
}

/* ---- overlays ---- */

/* What a finished action has put on top. */
typedef struct Overlay { Node *node; } Overlay;

static bool snapshot(const Value *args, Overlay *done, GError **err)
{
    Node *node = block_find_node(value_get_string(args, "node", ""), err);
    Node *overlay = node ? block_find_node(value_get_string(args, "overlay", ""), err) : NULL;

    done->node = overlay;
    return overlay && blk_put_overlay(node, overlay, err);
}

typedef struct SyncJob { Node *node; const Value *args; Node *overlay; GError **err; } SyncJob;

static int make_overlay(void *opaque)
{
    SyncJob *job = opaque;
    const char *file = value_get_string(job->args, "snapshot-file", ""), *format = value_get_string(job->args, "format", "qcow2");
    const char *name = value_get_string(job->args, "snapshot-node-name", NULL);
    const NodeOpen how = { .loop = node_loop(job->node), .writable = true, .cache = node_cache(job->node) };
    g_autoptr(Value) options = value_new_object(), more = value_new_object();

    value_set(options, "backing_file", value_new_string(node_filename(job->node)));
    value_set(options, "backing_fmt", value_new_string(node_driver_name(job->node)));
    if (strcmp(value_get_string(job->args, "mode", "absolute-paths"), "existing") != 0 &&
        !image_create(file, format, node_length(job->node), options, false, true, &how, job->err)) {
        return -EIO;
    }
    value_set(more, "backing", value_new_null());
    if (name) {
        value_set(more, "node-name", value_new_string(name));
    }
    return node_open_file(&job->overlay, file, format, more, &how, job->err) ? 0 : -EIO;
}

static bool snapshot_sync(const Value *args, Overlay *done, GError **err)
{
    Node *node = block_node_of(args, err);
    SyncJob job = { node, args, NULL, err };

    if (!node) {
        return false;
    }
    node = job.node = node_skip_filters(node);
    io_loop_run(node_loop(node), make_overlay, &job);
    bool good = job.overlay && blk_put_overlay(node, job.overlay, err);
    done->node = job.overlay;
    node_unref(job.overlay);               /* the drives hold it */
    return good;
}

QMP_HANDLER(blockdev_snapshot)
{
    Overlay done;

    return snapshot(args, &done, err) ? qmp_done() : NULL;
}

QMP_HANDLER(blockdev_snapshot_sync)
{
    Overlay done;

    return snapshot_sync(args, &done, err) ? qmp_done() : NULL;
}

static bool act(const Value *action, Overlay *done, GError **err)
{
    const char *type = value_get_string(action, "type", "");
    const Value *data = value_get(action, "data");

    if (strcmp(type, "abort") == 0) {
        return fail(err, ECANCELED, "Transaction aborted using Abort action");
    }
    return strcmp(type, "blockdev-snapshot") == 0 ? snapshot(data, done, err) : snapshot_sync(data, done, err);
}

/* The machine stands still for the main loop meanwhile, so that all happens at one moment of the guest's; or nothing. */
QMP_HANDLER(transaction)
{
    Machine *machine = qmp_machine();
    const Value *actions = value_get(args, "actions");
    size_t count = value_length(actions), done = 0;
    g_autofree Overlay *overlays = g_new0(Overlay, count + 1);
    bool pauses = machine->accel && machine->state == RUN_RUNNING;

    if (pauses) {
        accel_pause(machine->accel);
    }
    while (done < count && act(value_at(actions, done), &overlays[done], err)) {
        done++;
    }
    bool good = done == count;
    while (!good && done-- > 0) {
        blk_drop_overlay(overlays[done].node, NULL);
    }
    if (pauses) {
        accel_resume(machine->accel);
    }
    return good ? qmp_done() : NULL;
}

QMP_HANDLER(block_set_write_threshold)
{
    const char *name = value_get_string(args, "node-name", "");
    Node *node = node_find(name);

    if (!node) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "Device '%s' not found", name);
    }
    node_set_write_threshold(node, value_get_uint(args, "write-threshold", 0));
    return qmp_done();
}

const QmpType blockdev_types[] = {
    { "OnOffAuto", "enum auto on off" },
    { "BlockdevDiscardOptions", "enum ignore unmap" },
    { "BlockdevDetectZeroesOptions", "enum off on unmap" },
    { "BlockdevCacheOptions", "struct ?direct:bool ?no-flush:bool" },
    { "BlockdevRef", "alternate definition:BlockdevOptions reference:str" },
    { "BlockdevRefOrNull", "alternate definition:BlockdevOptions reference:str none:null" },
    { "SocketAddressType", "enum inet unix" },
    { "InetSocketAddress", "struct host:str port:str ?numeric:bool ?to:int ?ipv4:bool ?ipv6:bool ?keep-alive:bool" },
    { "UnixSocketAddress", "struct path:str ?abstract:bool ?tight:bool" },
    { "SocketAddress", "union type:SocketAddressType ; type ; inet:InetSocketAddress unix:UnixSocketAddress" },
    { "PreallocMode", "enum off metadata falloc full" },
    { "BlockdevQcow2Version", "enum v2 v3" },
    { "Qcow2CompressionType", "enum zlib zstd" },
    { "BlockdevCreateOptions", "union driver:BlockdevDriver ; driver ; file:BlockdevCreateOptionsFile qcow2:BlockdevCreateOptionsQcow2" },
    { "BlockdevCreateOptionsFile", "struct filename:str size:uint ?preallocation:PreallocMode" },
    { "BlockdevCreateOptionsQcow2", "struct file:BlockdevRef ?data-file-raw:bool ?extended-l2:bool size:uint ?version:BlockdevQcow2Version "
      "?backing-file:str ?backing-fmt:BlockdevDriver ?cluster-size:uint ?preallocation:PreallocMode ?lazy-refcounts:bool ?refcount-bits:int "
      "?compression-type:Qcow2CompressionType" },
    { "NewImageMode", "enum existing absolute-paths" },
    { "BlockdevSnapshot", "struct node:str overlay:str" },
    { "BlockdevSnapshotSync", "struct ?device:str ?node-name:str snapshot-file:str ?snapshot-node-name:str ?format:str ?mode:NewImageMode" },
    { "Abort", "struct" },
    { "AbortWrapper", "struct data:Abort" },
    { "BlockdevSnapshotWrapper", "struct data:BlockdevSnapshot" },
    { "BlockdevSnapshotSyncWrapper", "struct data:BlockdevSnapshotSync" },
    { "TransactionActionKind", "enum abort blockdev-snapshot blockdev-snapshot-sync" },
    { "TransactionAction", "union type:TransactionActionKind ; type ; abort:AbortWrapper blockdev-snapshot:BlockdevSnapshotWrapper "
      "blockdev-snapshot-sync:BlockdevSnapshotSyncWrapper" },
    { .name = NULL } };

const QmpCommand blockdev_commands[] = {
    { "blockdev-add", blockdev_add, .args = "BlockdevOptions", .help = "opens a node of the block graph" },
    { "blockdev-del", blockdev_del, .args = "node-name:str", .help = "closes a node that nothing uses" },
    { "blockdev-reopen", blockdev_reopen, .args = "options:[BlockdevOptions]", .help = "other options for nodes that are open" },
    { "block-set-write-threshold", block_set_write_threshold, .args = "node-name:str write-threshold:uint",
      .help = "tells once, by BLOCK_WRITE_THRESHOLD, that a write went beyond that many bytes; 0: no longer" },
    { "blockdev-create", blockdev_create, .args = "job-id:str options:BlockdevCreateOptions", .help = "makes an image, as a job" },
    { "change-backing-file", change_backing_file, .args = "device:str image-node-name:str backing-file:str",
      .help = "another name of the backing file into an image; what is open stays" },
    { "blockdev-snapshot", blockdev_snapshot, .args = "BlockdevSnapshot", .help = "an overlay over a node that drives have", .features = "allow-write-only-overlay" },
    { "blockdev-snapshot-sync", blockdev_snapshot_sync, .args = "BlockdevSnapshotSync", .help = "makes an image and lays it over a node that drives have" },
    { "transaction", transaction, .args = "actions:[TransactionAction]", .help = "several snapshots at one moment, or none of them" },
    { .name = NULL } };
