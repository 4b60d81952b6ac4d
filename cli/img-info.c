/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * img-info.c - roost img info: what an image says about itself, and so down its chain
 *
 * One document, QMP's ImageInfo, is made first; the text for people is printed from it.
 *
 * Threads  the tool's only one
 * Tests    tests/block/img-commands.py
 */
#include "base/json.h"
#include "base/timer.h"
#include "block/driver.h"
#include "cli/img.h"
#include <errno.h>
#include <string.h>

typedef struct Info {
    Img img;
    bool chain;
} Info;

static const ToolOption info_options[] = {
    IMG_FORMAT, IMG_IMAGE_OPTS, IMG_OBJECT, IMG_OUTPUT, IMG_SHARE, IMG_TRUST,
    OPTION_FLAG(0, "backing-chain", Info, chain, "the backing files too, down to the last"),
    IMG_HELP, IMG_OPTIONS_END };

/* ---- JSON as QEMU orders it --------------------------------------------------------------------------------- */

/* QEMU prints an object's members in an order that only looks like chance: it is the same for the same names in every
 * document. Scripts that compare text rely on it. */
static const char *const order[] = {
    "type", "data",
    "backing-filename-format", "snapshots", "virtual-size", "image-end-offset", "compressed-clusters", "total-clusters", "corruptions-fixed",
    "corruptions", "check-errors", "leaks", "leaks-fixed", "allocated-clusters", "ivgen-alg", "hash-alg", "cipher-alg", "uuid", "ivgen-hash-alg", "filename",
    "cluster-size", "format", "fragmented-clusters", "cipher-mode", "slots", "payload-offset", "master-key-iters", "actual-size",
    "format-specific", "full-backing-filename", "encrypted", "backing-filename", "dirty-flag",
    "compat", "compression-type", "lazy-refcounts", "bitmaps", "refcount-bits", "data-file", "encrypt", "data-file-raw", "corrupt",
    "extended-l2",
    "flags", "icount", "vm-clock-nsec", "name", "granularity", "date-sec", "date-nsec", "vm-clock-sec", "id", "vm-state-size",
    "active", "iters", "key-offset", "stripes",
    "cid", "parent-cid", "create-type", "extents",
    "required", "fully-allocated",
};

static size_t rank(const char *key)
{
    for (size_t i = 0; i < G_N_ELEMENTS(order); i++) {
        if (strcmp(order[i], key) == 0) {
            return i;
        }
    }
    return G_N_ELEMENTS(order);
}

static Value *ordered(const Value *value)
{
    Value *out;

    if (value_kind(value) == VALUE_LIST) {
        out = value_new_list();
        for (size_t i = 0; i < value_length(value); i++) {
            value_append(out, ordered(value_at(value, i)));
        }
        return out;
    }
    if (value_kind(value) != VALUE_OBJECT) {
        return value_copy(value);
    }
    out = value_new_object();
    for (size_t step = 0; step <= G_N_ELEMENTS(order); step++) {
        for (size_t i = 0; i < value_length(value); i++) {
            if (rank(value_key_at(value, i)) == step) {
                value_set(out, value_key_at(value, i), ordered(value_member_at(value, i)));
            }
        }
    }
    return out;
}

static void print_string(const char *text)
{
    g_autoptr(Value) value = value_new_string(text);
    g_autofree char *json = json_print(value, false);

    fputs(json, stdout);
}

/* Four columns a level, and an empty list on two lines. */
static void print_value(const Value *value, int level)
{
    bool list = value_kind(value) == VALUE_LIST;

    if (!list && value_kind(value) != VALUE_OBJECT) {
        g_autofree char *json = json_print(value, false);
        fputs(json, stdout);
        return;
    }
    printf("%c", list ? '[' : '{');
    for (size_t i = 0; i < value_length(value); i++) {
        printf("%s\n%*s", i ? "," : "", 4 * (level + 1), "");
        if (!list) {
            print_string(value_key_at(value, i));
            fputs(": ", stdout);
        }
        print_value(list ? value_at(value, i) : value_member_at(value, i), level + 1);
    }
    printf("\n%*s%c", 4 * level, "", list ? ']' : '}');
}

void img_print_json(const Value *value)
{
    g_autoptr(Value) out = ordered(value);

    print_value(out, 0);
    putchar('\n');
}

/* ---- for people --------------------------------------------------------------------------------------------- */

void img_print_snapshots(GArray *snapshots)
{
    printf("%-10s%-17s%8s%20s%13s%11s\n", "ID", "TAG", "VM SIZE", "DATE", "VM CLOCK", "ICOUNT");
    for (guint i = 0; i < snapshots->len; i++) {
        const ImageSnapshot *snapshot = &g_array_index(snapshots, ImageSnapshot, i);
        g_autofree char *size = tool_size_text(snapshot->vm_state_size);
        g_autoptr(GDateTime) date = g_date_time_new_from_unix_local(snapshot->date_sec);
        g_autofree char *when = date ? g_date_time_format(date, "%Y-%m-%d %H:%M:%S") : g_strdup("");
        uint64_t seconds = snapshot->vm_clock_ns / NS_PER_SECOND;
        g_autofree char *clock = g_strdup_printf("%02u:%02u:%02u.%03u", (unsigned)(seconds / 3600), (unsigned)(seconds / 60 % 60),
                                                 (unsigned)(seconds % 60), (unsigned)(snapshot->vm_clock_ns % NS_PER_SECOND / NS_PER_MS));
        g_autofree char *icount = snapshot->icount >= 0 ? g_strdup_printf("%" G_GINT64_FORMAT, snapshot->icount) : g_strdup("");
        printf("%-9s %-16s %8s%20s%13s%11s\n", snapshot->id, snapshot->name, size, when, clock, icount);
    }
}

static void print_members(const Value *value, int level);

static void print_member(const char *key, const Value *value, int level)
{
    bool boolean;

    printf("%*s", 4 * level, "");
    for (; *key; key++) {
        putchar(*key == '-' ? ' ' : *key);
    }
    if (value_kind(value) == VALUE_OBJECT || value_kind(value) == VALUE_LIST) {
        puts(":");
        print_members(value, level + 1);
    } else if (value_string(value)) {
        printf(": %s\n", value_string(value));
    } else if (value_kind(value) == VALUE_BOOL && value_to_bool(value, &boolean)) {
        printf(": %s\n", boolean ? "true" : "false");
    } else {
        g_autofree char *text = json_print(value, false);
        printf(": %s\n", text);
    }
}

static void print_members(const Value *value, int level)
{
    for (size_t i = 0; i < value_length(value); i++) {
        if (value_kind(value) == VALUE_LIST) {
            g_autofree char *key = g_strdup_printf("[%zu]", i);
            print_member(key, value_at(value, i), level);
        } else {
            print_member(value_key_at(value, i), value_member_at(value, i), level);
        }
    }
}

void img_print_specific(const Value *specific)
{
    g_autoptr(Value) data = specific ? ordered(value_get(specific, "data")) : NULL;

    if (value_length(data)) {
        printf("Format specific information:\n");
        print_members(data, 1);
    }
}

static void print_backing(const Value *info)
{
    const char *name = value_get_string(info, "backing-filename", NULL), *full = value_get_string(info, "full-backing-filename", NULL);

    if (!name) {
        return;
    }
    printf("backing file: %s", name);
    if (!full) {
        printf(" (cannot determine actual path)");
    } else if (strcmp(name, full) != 0) {
        printf(" (actual path: %s)", full);
    }
    putchar('\n');
    if (value_get(info, "backing-filename-format")) {
        printf("backing file format: %s\n", value_get_string(info, "backing-filename-format", ""));
    }
}

static void print_info(const Value *info, GArray *snapshots)
{
    uint64_t virtual_size = value_get_uint(info, "virtual-size", 0), actual;
    g_autofree char *size = tool_size_text(virtual_size);
    g_autofree char *disk = value_to_uint(value_get(info, "actual-size"), &actual) ? tool_size_text(actual) : g_strdup("unavailable");

    printf("image: %s\nfile format: %s\nvirtual size: %s (%" G_GUINT64_FORMAT " bytes)\ndisk size: %s\n",
           value_get_string(info, "filename", ""), value_get_string(info, "format", ""), size, virtual_size, disk);
    if (value_get(info, "encrypted")) {
        printf("encrypted: yes\n");
    }
    if (value_get(info, "cluster-size")) {
        printf("cluster_size: %" G_GUINT64_FORMAT "\n", value_get_uint(info, "cluster-size", 0));
    }
    if (value_get_bool(info, "dirty-flag", false)) {
        printf("cleanly shut down: no\n");
    }
    print_backing(info);
    if (snapshots->len) {
        printf("Snapshot list:\n");
        img_print_snapshots(snapshots);
    }
    img_print_specific(value_get(info, "format-specific"));
}

static bool show_node(const Info *how, Node *node, Value *list, bool first, GError **err)
{
    g_autoptr(Value) info = image_info_value(node, node_filename(node), err);
    g_autoptr(GArray) snapshots = g_array_new(FALSE, FALSE, sizeof(ImageSnapshot));
    const ImageSnapshotOps *ops = node_driver(node)->snapshots;

    if (!info) {
        return false;
    }
    if (how->img.json) {
        value_append(list, g_steal_pointer(&info));
        return true;
    }
    if (ops && ops->list) {
        ops->list(node, snapshots);
    }
    if (!first) {
        putchar('\n');
    }
    print_info(info, snapshots);
    for (guint i = 0; i < snapshots->len; i++) {
        image_snapshot_clear(&g_array_index(snapshots, ImageSnapshot, i));
    }
    return true;
}

static bool show(const Info *how, Node *top, GError **err)
{
    g_autoptr(Value) list = value_new_list();

    for (Node *node = top; node; node = how->chain ? node_backing(node) : NULL) {
        if (!show_node(how, node, list, node == top, err)) {
            return false;
        }
    }
    if (how->img.json) {
        img_print_json(how->chain ? list : value_at(list, 0));
    }
    return true;
}

static int info_run(Img *img, GError **err)
{
    ToolOpen how = img_how(img, img->operands[0]);
    ToolImage image;
    bool done;

    how.no_io = true;
    how.no_backing = !((Info *)img)->chain;
    if (!tool_open(&image, &how, err)) {
        return 1;
    }
    done = show((Info *)img, image.node, err);
    tool_close(&image);
    return done ? 0 : 1;
}

const ImgCommand img_info = {
    .name = "info", .operands = "FILE", .least = 1, .most = 1, .wanted = "Expecting one image file name", .size = sizeof(Info),
    .help = "Shows an image's format, sizes, backing file, snapshots and what else its format knows.",
    .options = info_options, .run = info_run,
};
