/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd-block.c - what drives and nodes are, hold and have done
 *
 * Threads  main loop, machine lock held; a node is asked in a coroutine on its home loop
 * Tests    tests/qmp/block.py
 */
#include "base/timer.h"
#include "block/filter/throttle-group.h"
#include "block/image.h"
#include "block/node-core.h"
#include "monitor/block.h"
#include "monitor/commands.h"
#include <errno.h>
#include <string.h>

/* ---- images and nodes ---- */

typedef struct InfoJob { Node *node; bool chain; Value *info; GError **err; } InfoJob;

/* Each image of the chain holds the one below it as "backing-image". */
static int tell_image(void *opaque)
{
    InfoJob *job = opaque;
    Value *inner = NULL;

    for (Node *node = job->node; node; node = job->chain ? node_backing(node) : NULL) {
        Value *info = image_info_value(node, node_filename(node), job->err);
        if (!info) {
            g_clear_pointer(&job->info, value_unref);
            return -EIO;
        }
        if (inner) {
            value_set(inner, "backing-image", info);
        } else {
            job->info = info;
        }
        inner = info;
    }
    return 0;
}

static Value *image_of(Node *node, bool chain, GError **err)
{
    InfoJob job = { node, chain, NULL, err };

    if (io_loop_run(node_loop(node), tell_image, &job) < 0 && err && !*err) {
        qmp_fail(err, QMP_GENERIC_ERROR, "'%s' cannot be asked", node_filename(node));
    }
    return job.info;
}

static const char *detect_name(const Node *node)
{
    static const char *const names[] = { "off", "on", "unmap" };

    return names[node->detect_zeroes];
}

static Value *cache_of(const Node *node, bool writeback)
{
    Value *cache = value_new_object();

    value_set(cache, "writeback", value_new_bool(writeback));
    value_set(cache, "direct", value_new_bool(node_cache(node) & CACHE_DIRECT));
    value_set(cache, "no-flush", value_new_bool(node_cache(node) & CACHE_NO_FLUSH));
    return cache;
}

/* The name of the throttle group that a filter above or at this node belongs to; NULL: none. */
static const char *group_of(const Node *top, const Node *node)
{
    for (; top; top = top == node ? NULL : node_backing(top)) {
        if (strcmp(node_driver_name(top), "throttle") == 0) {
            return value_get_string(node_options(top), "throttle-group", NULL);
        }
    }
    return NULL;
}

static void add_limits(Value *info, const char *group)
{
    static const struct { const char *name; LimitKind kind; } names[] = {
        { "bps", LIMIT_BPS_TOTAL }, { "bps_rd", LIMIT_BPS_READ }, { "bps_wr", LIMIT_BPS_WRITE }, { "iops", LIMIT_IOPS_TOTAL },
        { "iops_rd", LIMIT_IOPS_READ }, { "iops_wr", LIMIT_IOPS_WRITE },
    };
    const ThrottleConfig *config = group ? throttle_group_config(group) : NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *most = g_strconcat(names[i].name, "_max", NULL), *length = g_strconcat(most, "_length", NULL);
        value_set(info, names[i].name, value_new_uint(config ? config->of[names[i].kind].average : 0));
        if (config && config->of[names[i].kind].most) {
            value_set(info, most, value_new_uint(config->of[names[i].kind].most));
            value_set(info, length, value_new_uint(config->of[names[i].kind].length));
        }
    }
    if (config) {
        value_set(info, "group", value_new_string(group));
        if (config->iops_size) {
            value_set(info, "iops_size", value_new_uint(config->iops_size));
        }
    }
}

/* BlockDeviceInfo. top: what a drive has on top of it, for limits. */
static Value *node_info(Node *top, Node *node, bool writeback, bool flat, GError **err)
{
    Value *image = image_of(node, !flat, err), *info;
    int64_t depth = 0;

    if (!image) {
        return NULL;
    }
    for (const Node *below = flat ? NULL : node_backing(node); below; below = node_backing(below)) {
        depth++;
    }
    info = value_new_object();
    value_set(info, "file", value_new_string(node_filename(node)));
    value_set(info, "node-name", value_new_string(node_name(node)));
    value_set(info, "ro", value_new_bool(node_readonly(node)));
    value_set(info, "drv", value_new_string(node_driver_name(node)));
    if (node_backing_name(node) && *node_backing_name(node)) {
        value_set(info, "backing_file", value_new_string(node_backing_name(node)));
    }
    value_set(info, "backing_file_depth", value_new_int(depth));
    value_set(info, "encrypted", value_new_bool(node_encrypted(node)));
    value_set(info, "detect_zeroes", value_new_string(detect_name(node)));
    add_limits(info, group_of(top, node));
    value_set(info, "image", image);
    value_set(info, "cache", cache_of(node, writeback));
    value_set(info, "write_threshold", value_new_uint(node_write_threshold(node)));
    return info;
}

QMP_HANDLER(query_named_block_nodes)
{
    bool flat = value_get_bool(args, "flat", false);
    Value *list = value_new_list();

    for (Node *node = node_next(NULL); node; node = node_next(node)) {
        Value *info = node_info(node, node, true, flat, err);
        if (!info) {
            value_unref(list);
            return NULL;
        }
        value_append(list, info);
    }
    return list;
}

static Value *drive_info(Blk *blk, GError **err)
{
    Value *info = value_new_object();
    Node *top = blk_node(blk);
    g_autofree char *qdev = block_qdev(blk);

    value_set(info, "device", value_new_string(blk_id(blk)));
    if (qdev) {
        value_set(info, "qdev", value_new_string(qdev));
    }
    value_set(info, "type", value_new_string("unknown"));
    value_set(info, "removable", value_new_bool(blk_is_removable(blk)));
    value_set(info, "locked", value_new_bool(blk_tray_is_locked(blk)));
    if (blk_has_tray(blk)) {
        value_set(info, "tray_open", value_new_bool(blk_tray_is_open(blk)));
    }
    if (blk_device_name(blk) && (!blk_is_removable(blk) || blk_has_tray(blk))) {
        value_set(info, "io-status", value_new_string("ok"));
    }
    Value *inserted = top ? node_info(top, node_skip_filters(top), blk_write_cache(blk), false, err) : NULL;
    if (inserted) {
        value_set(info, "inserted", inserted);
    }
    return info;
}

QMP_HANDLER(query_block)
{
    Value *list = value_new_list();

    for (Blk *blk = blk_next(NULL); blk; blk = blk_next(blk)) {
        g_autoptr(GError) problem = NULL;
        value_append(list, drive_info(blk, &problem));
    }
    return list;
}

/* ---- statistics ---- */

static Value *stats_value(const BlkStats *stats)
{
    static const struct { const char *name; BlkOp op; bool bytes, merged; } ops[] = {
        { "rd", BLK_READ, true, true }, { "wr", BLK_WRITE, true, true }, { "flush", BLK_FLUSH, false, false }, { "unmap", BLK_DISCARD, true, true },
    };
    Value *value = value_new_object();

    for (size_t i = 0; i < G_N_ELEMENTS(ops); i++) {
        const char *name = ops[i].name;
        const struct { const char *before, *after; bool there; uint64_t number; } members[] = {
            { "", "_bytes", ops[i].bytes, stats->of[ops[i].op].bytes }, { "", "_operations", true, stats->of[ops[i].op].operations },
            { "", "_total_time_ns", true, stats->of[ops[i].op].total_ns }, { "", "_merged", ops[i].merged, stats->of[ops[i].op].merged },
            { "failed_", "_operations", true, stats->of[ops[i].op].failed }, { "invalid_", "_operations", true, stats->of[ops[i].op].invalid },
        };
        for (size_t j = 0; j < G_N_ELEMENTS(members); j++) {
            g_autofree char *key = g_strconcat(members[j].before, name, members[j].after, NULL);
            if (members[j].there) {
                value_set(value, key, value_new_uint(members[j].number));
            }
        }
    }
    value_set(value, "wr_highest_offset", value_new_uint(stats->highest_write));
    if (stats->last_access_ns) {
        value_set(value, "idle_time_ns", value_new_int(MAX(clock_now(CLOCK_STEADY) - stats->last_access_ns, 0)));
    }
    value_set(value, "account_invalid", value_new_bool(true));
    value_set(value, "account_failed", value_new_bool(true));
    value_set(value, "timed_stats", value_new_list());
    return value;
}

/* A node counts nothing itself; the drives on top do. */
static Value *node_stats(const Node *node)
{
    const BlkStats none = { 0 };
    Value *info = value_new_object(), *stats = stats_value(&none);

    value_remove(stats, "idle_time_ns");
    value_set(info, "node-name", value_new_string(node_name(node)));
    value_set(info, "stats", stats);
    if (node->file) {
        value_set(info, "parent", node_stats(node->file));
    }
    if (node->backing) {
        value_set(info, "backing", node_stats(node->backing));
    }
    return info;
}

static Value *drive_stats(const Blk *blk)
{
    g_autofree char *qdev = block_qdev(blk);
    Node *node = blk_node(blk);
    Value *info = node ? node_stats(node_skip_filters(node)) : value_new_object();
    BlkStats stats;

    blk_stats(blk, &stats);
    value_set(info, "device", value_new_string(blk_id(blk)));
    if (qdev) {
        value_set(info, "qdev", value_new_string(qdev));
    }
    value_set(info, "stats", stats_value(&stats));
    return info;
}

QMP_HANDLER(query_blockstats)
{
    Value *list = value_new_list();

    if (value_get_bool(args, "query-nodes", false)) {
        for (const Node *node = node_next(NULL); node; node = node_next(node)) {
            value_append(list, node_stats(node));
        }
        return list;
    }
    for (const Blk *blk = blk_next(NULL); blk; blk = blk_next(blk)) {
        value_append(list, drive_stats(blk));
    }
    return list;
}

const QmpType block_types[] = {
    { "BlockDeviceIoStatus", "enum ok failed nospace" },
    { "BlockInfo", "struct device:str ?qdev:str type:str removable:bool locked:bool ?inserted:BlockDeviceInfo ?tray_open:bool "
      "?io-status:BlockDeviceIoStatus" },
    { "BlockdevCacheInfo", "struct writeback:bool direct:bool no-flush:bool" },
    { "BlockDeviceInfo", "struct file:str ?node-name:str ro:bool drv:str ?backing_file:str backing_file_depth:int encrypted:bool "
      "detect_zeroes:BlockdevDetectZeroesOptions bps:int bps_rd:int bps_wr:int iops:int iops_rd:int iops_wr:int image:ImageInfo ?bps_max:int "
      "?bps_rd_max:int ?bps_wr_max:int ?iops_max:int ?iops_rd_max:int ?iops_wr_max:int ?bps_max_length:int ?bps_rd_max_length:int "
      "?bps_wr_max_length:int ?iops_max_length:int ?iops_rd_max_length:int ?iops_wr_max_length:int ?iops_size:int ?group:str "
      "cache:BlockdevCacheInfo write_threshold:int" },
    { "SnapshotInfo", "struct id:str name:str vm-state-size:int date-sec:int date-nsec:int vm-clock-sec:int vm-clock-nsec:int ?icount:int" },
    { "ImageInfo", "struct filename:str format:str ?dirty-flag:bool ?actual-size:int virtual-size:int ?cluster-size:int ?encrypted:bool "
      "?compressed:bool ?backing-filename:str ?full-backing-filename:str ?backing-filename-format:str ?snapshots:[SnapshotInfo] "
      "?backing-image:ImageInfo ?format-specific:ImageInfoSpecific" },
    { "ImageInfoSpecificKind", "enum qcow2 vmdk luks" },
    { "ImageInfoSpecific", "struct type:ImageInfoSpecificKind data:any" },
    { "BlockDeviceStats", "struct rd_bytes:int wr_bytes:int unmap_bytes:int rd_operations:int wr_operations:int flush_operations:int "
      "unmap_operations:int rd_total_time_ns:int wr_total_time_ns:int flush_total_time_ns:int unmap_total_time_ns:int wr_highest_offset:int "
      "rd_merged:int wr_merged:int unmap_merged:int ?idle_time_ns:int failed_rd_operations:int failed_wr_operations:int "
      "failed_flush_operations:int failed_unmap_operations:int invalid_rd_operations:int invalid_wr_operations:int "
      "invalid_flush_operations:int invalid_unmap_operations:int account_invalid:bool account_failed:bool timed_stats:[any]" },
    { "BlockStats", "struct ?device:str ?qdev:str ?node-name:str stats:BlockDeviceStats ?parent:BlockStats ?backing:BlockStats" },
    { .name = NULL } };

const QmpCommand block_commands[] = {
    { "query-block", query_block, .returns = "[BlockInfo]", .help = "the drives, and the images in them" },
    { "query-named-block-nodes", query_named_block_nodes, .args = "?flat:bool", .returns = "[BlockDeviceInfo]",
      .help = "the nodes of the block graph; flat leaves out what lies below each image" },
    { "query-blockstats", query_blockstats, .args = "?query-nodes:bool", .returns = "[BlockStats]", .help = "what drives, or nodes, have done" },
    { .name = NULL } };
