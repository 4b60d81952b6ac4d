/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * drive.c - blockdevs[] and drives[] of the configuration tree, as nodes and drives
 *
 * A drive is a Blk with a tree of nodes: the image (format on file), above it a temporary overlay where snapshot=on, a throttle
 * where limits are given, copy-on-read where asked for. Keys that are the drive's own are taken out here; what is left belongs to
 * the image's nodes, which refuse what they do not know.
 *
 * Threads  main thread, machine lock held
 * Tests    tests/block/drive.c
 */
#include "block/drive.h"
#include "block/blk-core.h"
#include "block/filter/throttle-group.h"
#include "base/error.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the keys ---- */

typedef struct DriveKeys {
    char *id, *bus_text, *file, *format, *driver, *cache, *aio, *discard, *detect_zeroes, *werror, *rerror, *group;
    int type, media;
    uint32_t index, bus, unit;
    bool snapshot, read_only, auto_read_only, copy_on_read, trust, force_share, account_invalid, account_failed;
    uint64_t number;
    Value *nested;
} DriveKeys;

static const char *const types[] = { "none", "ide", "scsi", "floppy", "pflash", "mtd", "sd", "virtio", "xen", NULL };
static const char *const media_names[] = { "disk", "cdrom", NULL };

#define LIMIT(n, text) PROP_SIZE(n, DriveKeys, number, 0, .help = text)
const Field drive_keys[] = {
    PROP_STR("file", DriveKeys, file, .help = "the image: a path, nbd://HOST/EXPORT, json:{...}"),
    PROP_STR("format", DriveKeys, format, .help = "how the image is written: raw, qcow2, ...; default: what the file's suffix says"),
    PROP_STR("driver", DriveKeys, driver, .help = "the same as format"),
    PROP_STR("id", DriveKeys, id, .help = "its name, for -device drive=ID"),
    PROP_ENUM("if", DriveKeys, type, types, 1, .help = "what it hangs on; none: a -device takes it by its id"),
    PROP_U32("index", DriveKeys, index, 0, .help = "place among the drives of this kind"),
    PROP_U32("bus", DriveKeys, bus, 0, .help = "bus number; with unit another way to say index"),
    PROP_U32("unit", DriveKeys, unit, 0, .help = "place on the bus"),
    PROP_ENUM("media", DriveKeys, media, media_names, 0, .help = "a disk or a CD-ROM drive"),
    PROP_BOOL("snapshot", DriveKeys, snapshot, false, .help = "writes go into a temporary file and are gone at the end"),
    PROP_STR("cache", DriveKeys, cache, .help = "none, writeback, writethrough, directsync or unsafe"),
    PROP_STR("aio", DriveKeys, aio, .help = "threads, native or io_uring"),
    PROP_STR("discard", DriveKeys, discard, .help = "ignore or unmap: whether discarded space is given back"),
    PROP_STR("detect-zeroes", DriveKeys, detect_zeroes, .help = "off, on or unmap: writes of zeroes take no space"),
    PROP_BOOL("read-only", DriveKeys, read_only, false, .help = "the guest cannot write"),
    PROP_BOOL("readonly", DriveKeys, read_only, false, .help = "the same as read-only"),
    PROP_BOOL("auto-read-only", DriveKeys, auto_read_only, true, .help = "read-only where the file cannot be written"),
    PROP_BOOL("force-share", DriveKeys, force_share, false, .help = "no locks; what is read may be stale"),
    PROP_BOOL("trust", DriveKeys, trust, false, .help = "follow backing and data file names out of the image's folder"),
    PROP_BOOL("copy-on-read", DriveKeys, copy_on_read, false, .help = "keep in the image what was read from its backing file"),
    PROP_STR("werror", DriveKeys, werror, .help = "what a failed write does: report, ignore, enospc or stop"),
    PROP_STR("rerror", DriveKeys, rerror, .help = "what a failed read does: report, ignore or stop"),
    PROP_BOOL("stats-account-invalid", DriveKeys, account_invalid, true, .help = "count requests that could not be meant so"),
    PROP_BOOL("stats-account-failed", DriveKeys, account_failed, true, .help = "count failed requests"),
    LIMIT("bps", "bytes per second; throttling.bps-total"), LIMIT("bps_rd", "throttling.bps-read"), LIMIT("bps_wr", "throttling.bps-write"),
    LIMIT("iops", "requests per second; throttling.iops-total"), LIMIT("iops_rd", "throttling.iops-read"),
    LIMIT("iops_wr", "throttling.iops-write"), LIMIT("bps_max", "throttling.bps-total-max"), LIMIT("bps_rd_max", "throttling.bps-read-max"),
    LIMIT("bps_wr_max", "throttling.bps-write-max"), LIMIT("iops_max", "throttling.iops-total-max"),
    LIMIT("iops_rd_max", "throttling.iops-read-max"), LIMIT("iops_wr_max", "throttling.iops-write-max"),
    LIMIT("iops_size", "throttling.iops-size"), PROP_STR("group", DriveKeys, group, .help = "throttling.group"),
    FIELD_END };

/* QEMU's older names of limits. */
static const struct { const char *old, *name; } limit_names[] = {
    { "bps", "bps-total" }, { "bps_rd", "bps-read" }, { "bps_wr", "bps-write" }, { "iops", "iops-total" }, { "iops_rd", "iops-read" },
    { "iops_wr", "iops-write" }, { "bps_max", "bps-total-max" }, { "bps_rd_max", "bps-read-max" }, { "bps_wr_max", "bps-write-max" },
    { "iops_max", "iops-total-max" }, { "iops_rd_max", "iops-read-max" }, { "iops_wr_max", "iops-write-max" }, { "iops_size", "iops-size" },
    { "group", "group" },
};

bool cache_mode_parse(const char *mode, unsigned *flags)
{
    static const struct { const char *name; unsigned flags; } modes[] = {
        { "none", CACHE_DIRECT }, { "off", CACHE_DIRECT }, { "writeback", 0 }, { "unsafe", CACHE_NO_FLUSH },
        { "directsync", CACHE_DIRECT | CACHE_WRITETHROUGH }, { "writethrough", CACHE_WRITETHROUGH },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
        if (strcmp(mode, modes[i].name) == 0) {
            *flags = modes[i].flags;
            return true;
        }
    }
    return false;
}

/* ---- places and names ---- */

static unsigned units_of(const char *type)
{
    return strcmp(type, "ide") == 0 ? 2 : strcmp(type, "scsi") == 0 ? 7 : 0;
}

void drive_place(const Value *drive, unsigned *bus, unsigned *unit)
{
    unsigned units = units_of(value_get_string(drive, "if", "ide"));
    uint64_t index = value_get_uint(drive, "index", 0);

    if (value_get(drive, "index")) {
        *bus = units ? (unsigned)(index / units) : 0;
        *unit = units ? (unsigned)(index % units) : (unsigned)index;
    } else {
        *bus = (unsigned)value_get_uint(drive, "bus", 0);
        *unit = (unsigned)value_get_uint(drive, "unit", 0);
    }
}

char *drive_id(const Value *drive)
{
    const char *id = value_get_string(drive, "id", NULL), *type = value_get_string(drive, "if", "ide");
    const char *kind = strcmp(value_get_string(drive, "media", "disk"), "cdrom") == 0 ? "-cd" : "-hd";
    unsigned bus, unit;

    if (id) {
        return g_strdup(id);
    }
    drive_place(drive, &bus, &unit);
    if (units_of(type)) {
        return g_strdup_printf("%s%u%s%u", type, bus, kind, unit);
    }
    return g_strdup_printf("%s%s%u", type, strcmp(kind, "-cd") == 0 ? "-cd" : "", unit);
}

/* A drive that names neither index nor unit takes the next free name. */
static char *free_id(const Value *drive)
{
    g_autoptr(Value) trial = value_copy(drive);

    for (unsigned i = 0; ; i++) {
        g_autofree char *id = drive_id(trial);
        if (!blk_find(id) || value_get(drive, "id") || value_get(drive, "index") || value_get(drive, "unit")) {
            return g_steal_pointer(&id);
        }
        value_set(trial, "index", value_new_uint(i + 1));
    }
}

/* ---- one drive ---- */

typedef struct Plan {
    char *id, *filename, *format;
    const char *type;
    Value *more;                           /* for the image's nodes */
    Value *limits;
    NodeOpen how;
    bool write_cache, copy_on_read, snapshot;
    BlkErrorPolicy on_read, on_write;
} Plan;

static void plan_clear(Plan *plan)
{
    g_free(plan->id);
    g_free(plan->filename);
    g_free(plan->format);
    value_unref(plan->more);
    value_unref(plan->limits);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Plan, plan_clear)

static bool take_flag(Value *keys, const char *key, bool *out, GError **err)
{
    const Value *value = value_get(keys, key);

    if (value && !value_to_bool(value, out) && !(value_string(value) && parse_bool(value_string(value), out))) {
        return fail(err, EINVAL, "%s= takes on or off", key);
    }
    value_remove(keys, key);
    return true;
}

static char *take_text(Value *keys, const char *key)
{
    char *text = g_strdup(value_get_string(keys, key, NULL));

    if (text) {
        value_remove(keys, key);
    }
    return text;
}

static bool take_cache(Plan *plan, GError **err)
{
    g_autofree char *mode = take_text(plan->more, "cache");
    Value *parts = value_get(plan->more, "cache");
    unsigned flags = 0;

    if (mode && !cache_mode_parse(mode, &flags)) {
        return fail(err, EINVAL, "cache=%s: there are none, writeback, writethrough, directsync and unsafe", mode);
    }
    plan->how.cache = (CacheFlags)flags;
    plan->write_cache = !(flags & CACHE_WRITETHROUGH);
    return !parts || take_flag(parts, "writeback", &plan->write_cache, err);
}

static bool policy_of(const char *key, const char *word, bool write, BlkErrorPolicy *out, GError **err)
{
    if (!word) {
        *out = write ? BLK_ERROR_ENOSPC : BLK_ERROR_REPORT;
    } else if (strcmp(word, "report") == 0) {
        *out = BLK_ERROR_REPORT;
    } else if (strcmp(word, "ignore") == 0) {
        *out = BLK_ERROR_IGNORE;
    } else if (strcmp(word, "stop") == 0) {
        *out = BLK_ERROR_STOP;
    } else if (write && strcmp(word, "enospc") == 0) {
        *out = BLK_ERROR_ENOSPC;
    } else {
        return fail(err, EINVAL, "%s=%s: there are report, ignore%s and stop", key, word, write ? ", enospc" : "");
    }
    return true;
}

static bool take_policies(Plan *plan, GError **err)
{
    g_autofree char *on_read = take_text(plan->more, "rerror"), *on_write = take_text(plan->more, "werror");

    if ((on_read || on_write) && strcmp(plan->type, "floppy") == 0) {
        return fail(err, ENOTSUP, "%s= is not supported with if=%s", on_read ? "rerror" : "werror", plan->type);
    }
    return policy_of("rerror", on_read, false, &plan->on_read, err) && policy_of("werror", on_write, true, &plan->on_write, err);
}

static bool take_limits(Plan *plan, GError **err)
{
    const Value *nested = value_get(plan->more, "throttling");

    plan->limits = nested ? value_copy(nested) : value_new_object();
    value_remove(plan->more, "throttling");
    for (size_t i = 0; i < G_N_ELEMENTS(limit_names); i++) {
        Value *value = value_get(plan->more, limit_names[i].old);
        if (value && value_get(plan->limits, limit_names[i].name)) {
            return fail(err, EINVAL, "%s= and throttling.%s= say the same; use one of them", limit_names[i].old, limit_names[i].name);
        }
        if (value) {
            value_set(plan->limits, limit_names[i].name, value_ref(value));
            value_remove(plan->more, limit_names[i].old);
        }
    }
    return true;
}

static bool take_access(Plan *plan, bool cd, GError **err)
{
    bool readonly = cd, old = false;

    if (value_get(plan->more, "readonly") && value_get(plan->more, "read-only")) {
        return fail(err, EINVAL, "readonly= and read-only= say the same; use one of them");
    }
    plan->how.auto_readonly = true;
    if (!take_flag(plan->more, "read-only", &readonly, err) || !take_flag(plan->more, "readonly", &old, err) ||
        !take_flag(plan->more, "auto-read-only", &plan->how.auto_readonly, err) ||
        !take_flag(plan->more, "snapshot", &plan->snapshot, err) || !take_flag(plan->more, "trust", &plan->how.trust, err) ||
        !take_flag(plan->more, "copy-on-read", &plan->copy_on_read, err) || !take_flag(plan->more, "force-share", &plan->how.share, err)) {
        return false;
    }
    readonly |= old;
    if (readonly && plan->copy_on_read) {
        return fail(err, EINVAL, "copy-on-read=on writes to the image, and the drive is read-only");
    }
    plan->how.writable = !readonly && !plan->snapshot && !plan->how.share;
    plan->snapshot &= !readonly;
    return true;
}

/* discard= and detect-zeroes= stay among the nodes' keys, which know their words; this is where they are not given. */
static void set_defaults(Plan *plan)
{
    plan->how.discard = strcmp(plan->type, "ide") != 0 && strcmp(plan->type, "floppy") != 0;
}

static bool take_file(Plan *plan, GError **err)
{
    g_autofree char *driver = take_text(plan->more, "driver");
    Value *file = value_get(plan->more, "file");

    plan->format = take_text(plan->more, "format");
    if (driver && plan->format) {
        return fail(err, EINVAL, "format= and driver= say the same; use one of them");
    }
    plan->format = plan->format ? plan->format : g_steal_pointer(&driver);
    plan->filename = take_text(plan->more, "file");
    if (!plan->filename && value_kind(file) == VALUE_OBJECT && !value_get(file, "driver")) {
        plan->filename = g_strdup(value_get_string(file, "filename", NULL));
    }
    if (plan->filename && !*plan->filename) {
        g_clear_pointer(&plan->filename, g_free);
    }
    return true;
}

/* aio= goes where the bytes are; what has no such choice is served by its own means. */
static void pass_aio(Plan *plan)
{
    g_autofree char *aio = take_text(plan->more, "aio");
    g_autoptr(Value) parsed = plan->filename ? node_parse_filename(plan->filename, NULL) : NULL;
    const Value *file = parsed ? parsed : value_get(plan->more, "file");
    const NodeDriver *driver = node_driver_find(value_get_string(file, "driver", NULL));

    if (!aio || !driver || !driver->options || !field_find(driver->options, "aio")) {
        return;
    }
    if (value_kind(value_get(plan->more, "file")) != VALUE_OBJECT) {
        value_set(plan->more, "file", value_new_object());
    }
    value_set(value_get(plan->more, "file"), "aio", value_new_string(aio));
}

static bool make_plan(Plan *plan, const Value *drive, GError **err)
{
    static const char *const taken[] = { "id", "if", "index", "bus", "unit", "media", "stats-account-invalid", "stats-account-failed", NULL };
    bool cd = strcmp(value_get_string(drive, "media", "disk"), "cdrom") == 0;

    plan->id = free_id(drive);
    plan->type = value_get_string(drive, "if", "ide");
    plan->more = value_copy(drive);
    for (size_t i = 0; taken[i]; i++) {
        value_remove(plan->more, taken[i]);
    }
    if (!take_file(plan, err) || !take_cache(plan, err) || !take_policies(plan, err) || !take_limits(plan, err) || !take_access(plan, cd, err)) {
        return false;
    }
    set_defaults(plan);
    pass_aio(plan);
    return true;
}

/* ---- its nodes ---- */

/* A file that only this process can reach: its name is gone before anything is in it. */
static bool open_temporary(Node **out, const Node *base, const Plan *plan, GError **err)
{
    const char *folder = g_getenv("TMPDIR");
    g_autofree char *path = g_build_filename(folder && *folder ? folder : "/var/tmp", "roost-XXXXXX", NULL);
    int fd = mkstemp(path);
    NodeOpen how = { .loop = base->loop, .writable = true, .discard = true, .cache = CACHE_NO_FLUSH };
    Node *file = NULL;

    if (fd < 0) {
        return fail(err, errno, "snapshot=on: no temporary file '%s': %s", path, strerror(errno));
    }
    close(fd);
    g_autoptr(Value) protocol = node_parse_filename(path, err);
    bool good = protocol && node_open(&file, protocol, &how, err);
    unlink(path);
    g_autoptr(Value) none = value_new_object(), options = value_new_object();
    good = good && image_format(file, "qcow2", node_length(base), none, &how, err);
    if (good) {
        value_set(options, "driver", value_new_string("qcow2"));
        value_set(options, "file", value_new_string(node_name(file)));
        value_set(options, "backing", value_new_string(node_name(base)));
        how.detect_zeroes = plan->how.detect_zeroes;
        good = node_open(out, options, &how, err);
    }
    node_unref(file);
    return good;
}

/* Puts something above *top, which it takes over. */
static bool put_above(Node **top, Node *above)
{
    node_unref(*top);
    *top = above;
    return true;
}

static bool add_filter(Node **top, const char *driver, const Value *keys, const Plan *plan, GError **err)
{
    g_autoptr(Value) options = keys ? value_copy(keys) : value_new_object();
    NodeOpen how = plan->how;
    Node *filter;

    how.writable = (*top)->writable;
    how.detect_zeroes = DETECT_ZEROES_OFF;
    how.discard = (*top)->discard;
    value_set(options, "driver", value_new_string(driver));
    value_set(options, "file", value_new_string(node_name(*top)));
    return node_open(&filter, options, &how, err) && put_above(top, filter);
}

static bool add_throttle(Node **top, const Plan *plan, GError **err)
{
    const char *group = value_get_string(plan->limits, "group", plan->id);
    g_autoptr(Value) keys = value_new_object();

    value_set(keys, "throttle-group", value_new_string(group));
    return throttle_group_configure(group, plan->limits, err) && add_filter(top, "throttle", keys, plan, err);
}

static bool open_image(Node **top, const Plan *plan, GError **err)
{
    if (plan->filename) {
        return node_open_file(top, plan->filename, plan->format, plan->more, &plan->how, err);
    }
    g_autoptr(Value) options = value_copy(plan->more);
    if (plan->format) {
        value_set(options, "driver", value_new_string(plan->format));
    }
    if (!plan->format && value_kind(value_get(options, "file")) == VALUE_OBJECT) {
        return node_open_protocol(top, value_get(options, "file"), options, &plan->how, err);
    }
    return node_open(top, options, &plan->how, err);
}

static bool open_tree(Node **top, const Plan *plan, GError **err)
{
    Node *overlay;

    if (!open_image(top, plan, err)) {
        return false;
    }
    if ((!plan->snapshot || (open_temporary(&overlay, *top, plan, err) && put_above(top, overlay))) &&
        (!value_length(plan->limits) || add_throttle(top, plan, err)) &&
        (!plan->copy_on_read || add_filter(top, "copy-on-read", NULL, plan, err))) {
        return true;
    }
    node_unref(*top);
    return false;
}

/* ---- doors ---- */

typedef struct DriveJob { Plan *plan; Blk *blk; GError **err; bool good; } DriveJob;

static int open_in_coroutine(void *opaque)
{
    DriveJob *job = opaque;
    Node *top;

    if (!open_tree(&top, job->plan, job->err)) {
        return -1;
    }
    job->good = blk_insert(job->blk, top, job->err);
    node_unref(top);
    return 0;
}

static bool has_image(const Plan *plan)
{
    return plan->filename || plan->format || value_get(plan->more, "file");
}

Blk *drive_open(const Value *drive, GError **err)
{
    g_auto(Plan) plan = { 0 };

    if (!make_plan(&plan, drive, err)) {
        g_prefix_error(err, "drive '%s': ", plan.id);
        return NULL;
    }
    Blk *blk = blk_new(plan.id, err);
    if (!blk) {
        return NULL;
    }
    blk->write_cache = plan.write_cache;
    blk->on_read = plan.on_read;
    blk->on_write = plan.on_write;
    if (!has_image(&plan)) {
        return blk;
    }
    DriveJob job = { &plan, blk, err, false };
    plan.how.loop = blk->loop;
    node_run_on(blk->loop, open_in_coroutine, &job);
    if (!job.good) {
        g_prefix_error(err, "drive '%s': ", plan.id);
        blk_unref(blk);
        return NULL;
    }
    return blk;
}

/* Which option of the command line it was. */
static bool told(const Value *config, bool ok, GError **err)
{
    if (!ok && value_origin(config)) {
        g_prefix_error(err, "%s: ", value_origin(config));
    }
    return ok;
}

bool drives_open(const Value *tree, GError **err)
{
    static const NodeOpen how = { .writable = true, .discard = true };
    const Value *blockdevs = value_get(tree, "blockdevs"), *drives = value_get(tree, "drives");

    for (size_t i = 0; i < value_length(blockdevs); i++) {
        const Value *config = value_at(blockdevs, i);
        if (!told(config, node_add(config, &how, err), err)) {
            return false;
        }
    }
    for (size_t i = 0; i < value_length(drives); i++) {
        const Value *config = value_at(drives, i);
        if (!told(config, drive_open(config, err) != NULL, err)) {
            return false;
        }
    }
    return true;
}
