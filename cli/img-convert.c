/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * img-convert.c - roost img convert: one or more images into a new one of any format
 *
 * Here is what the target is and how it comes to be; the copying is img-copy.c's.
 *
 * Threads  the tool's only one
 * Tests    tests/block/img-convert.py
 */
#include "base/checked.h"
#include "block/driver.h"
#include "cli/img-copy.h"
#include <errno.h>
#include <string.h>

typedef struct Convert {
    Img img;
    const char *target_format, *backing, *backing_format, *snapshot, *sparse_text;
    GPtrArray *options;
    bool compress, offload, existing, out_of_order, salvage, target_image_opts, target_is_zero, bitmaps, skip_broken;
    uint64_t rate, team;
    /* while it runs */
    uint64_t sparse;
    ToolImage *sources, target;
    unsigned source_count;
    const char *target_name;
    Value *target_more;                    /* options that the new image is opened with: backing file and keys as the command line says */
    uint64_t total, backed_bytes;
    bool target_backed, preallocated;
} Convert;

static const ToolOption convert_options[] = {
    IMG_FORMAT,
    OPTION_TEXT('O', NULL, "FORMAT", Convert, target_format, "the new image's format (raw)"),
    OPTION_TEXTS('o', NULL, "KEY=VALUE,...", Convert, options, "the new image's options; 'help' lists them"),
    OPTION_TEXT('B', NULL, "BACKING_FILE", Convert, backing, "the new image's backing file: what the source leaves to its own is left to this"),
    OPTION_TEXT('F', NULL, "FORMAT", Convert, backing_format, "the backing file's format"),
    OPTION_FLAG('c', NULL, Convert, compress, "compress, on all processors"),
    OPTION_FLAG('C', NULL, Convert, offload, "let the kernel copy where it can"),
    OPTION_FLAG('n', NULL, Convert, existing, "the target is there: do not make it"),
    OPTION_TEXT('l', NULL, "SNAPSHOT", Convert, snapshot, "the source is that snapshot inside FILE"),
    OPTION_TEXT('S', NULL, "BYTES", Convert, sparse_text, "leave out so many zeroes in a row (4k); 0 writes everything"),
    OPTION_NUMBER('m', NULL, "COROUTINES", Convert, team, "how many pieces are under way at once (8)", .min = 1, .max = 64),
    OPTION_FLAG('W', NULL, Convert, out_of_order, "write them in any order"),
    OPTION_SIZE('r', NULL, "RATE", Convert, rate, "at most that many bytes a second"),
    OPTION_FLAG(0, "salvage", Convert, salvage, "zeroes for what cannot be read, and on"),
    OPTION_FLAG(0, "bitmaps", Convert, bitmaps, "the bitmaps too"),
    OPTION_FLAG(0, "skip-broken-bitmaps", Convert, skip_broken, "but not those that were in use when their writer died"),
    OPTION_FLAG(0, "target-is-zero", Convert, target_is_zero, "with -n: the target reads as zeroes, whatever it says"),
    OPTION_FLAG(0, "target-image-opts", Convert, target_image_opts, "with -n: the target is KEY=VALUE,..."),
    IMG_CACHE, IMG_SOURCE_CACHE, IMG_PROGRESS, IMG_QUIET, IMG_SHARE, IMG_IMAGE_OPTS, IMG_OBJECT, IMG_TRUST, IMG_HELP, IMG_OPTIONS_END };

static void convert_preset(Img *img)
{
    ((Convert *)img)->team = 8;
}

/* ---- what goes together ------------------------------------------------------------------------------------- */

static bool usage_is_right(Convert *convert, GError **err)
{
    convert->sparse = 4096;
    if (convert->sparse_text && !tool_parse_size(convert->sparse_text, "-S", &convert->sparse, err)) {
        return false;
    }
    if (convert->sparse % 512 || convert->sparse > 1 << 30) {
        return fail(err, EINVAL, "Invalid buffer size for sparse output specified. Valid sizes are multiples of 512 up to 1 GiB. Select 0 to "
                    "disable sparse detection (fully allocates output).");
    }
    if (convert->offload && (convert->compress || convert->sparse_text)) {
        return fail(err, EINVAL, "Cannot enable copy offloading when -%c is used", convert->compress ? 'c' : 'S');
    }
    if (convert->target_is_zero && !convert->existing) {
        return fail(err, EINVAL, "--target-is-zero requires use of -n flag");
    }
    if (convert->target_image_opts && !convert->existing) {
        return fail(err, EINVAL, "--target-image-opts requires use of -n flag");
    }
    if (convert->skip_broken && !convert->bitmaps) {
        return fail(err, EINVAL, "Use of --skip-broken-bitmaps requires --bitmaps");
    }
    if (convert->img.count < 2) {
        return fail(err, EINVAL, "Must specify image file name");
    }
    if (convert->img.count > 2 && (convert->snapshot || convert->bitmaps || convert->backing)) {
        return fail(err, EINVAL, convert->snapshot ? "No support for concatenating multiple snapshot"
                                 : convert->bitmaps ? "Copying bitmaps only possible with single source"
                                                    : "Having a backing file for the target makes no sense when concatenating multiple input images");
    }
    return true;
}

/* ---- sources ------------------------------------------------------------------------------------------------ */

/* Disks have whole sectors: what a file lacks of its last one is zeroes. */
static uint64_t disk_length(const Node *node)
{
    return (node_length(node) + 511) / 512 * 512;
}

static bool open_sources(Convert *convert, GError **err)
{
    convert->source_count = (unsigned)convert->img.count - 1;
    convert->sources = g_new0(ToolImage, convert->source_count);
    for (unsigned i = 0; i < convert->source_count; i++) {
        ToolOpen how = img_how(&convert->img, convert->img.operands[i]);
        how.cache = convert->img.source_cache;
        how.exclusive = true;              /* else the target could be one of them, and be emptied first */
        if (!tool_open(&convert->sources[i], &how, err)) {
            return false;
        }
        if (convert->snapshot && !img_load_snapshot(convert->sources[i].node, convert->snapshot, err)) {
            g_prefix_error(err, "Failed to load snapshot: ");
            return false;
        }
        if (!checked_add(convert->total, disk_length(convert->sources[i].node), &convert->total)) {
            return fail(err, EFBIG, "all sources together are too large");
        }
    }
    return true;
}

/* ---- target ------------------------------------------------------------------------------------------------- */

static bool set_option(Value *options, const char *key, const char *text, char letter, GError **err)
{
    if (!text) {
        return true;
    }
    if (value_get(options, key)) {
        return fail(err, EINVAL, "-%c and -o %s exclude each other", letter, key);
    }
    value_set(options, key, value_new_string(text));
    return true;
}

/* What the command line names is opened because of that, and not because the new image names it. */
static bool remember_backing(Convert *convert, const char *name, const char *format, GError **err)
{
    g_autofree char *full = tool_beside(convert->target_name, name);
    Value *file = node_parse_filename(full, err), *backing;

    if (!file) {
        return false;
    }
    if (!format) {
        value_unref(file);
        return fail(err, EINVAL, "'%s': the backing file's format is missing: -F FORMAT", name);
    }
    backing = value_new_object();
    value_set(backing, "driver", value_new_string(format));
    value_set(backing, "file", file);
    value_set(convert->target_more, "backing", backing);
    return true;
}

/* The key that the image was made with opens it, too. */
static void remember_key(Convert *convert, const Value *options)
{
    const char *inner = value_get_string(options, "encrypt.key-secret", NULL), *format = value_get_string(options, "encrypt.format", NULL);
    const char *outer = value_get_string(options, "key-secret", NULL);

    if (inner) {
        Value *encrypt = value_new_object();
        value_set(encrypt, "key-secret", value_new_string(inner));
        if (format) {
            value_set(encrypt, "format", value_new_string(format));
        }
        value_set(convert->target_more, "encrypt", encrypt);
    }
    if (outer) {
        value_set(convert->target_more, "key-secret", value_new_string(outer));
    }
}

static bool make_target(Convert *convert, GError **err)
{
    const char *format = convert->target_format ? convert->target_format : "raw", *backing, *mode;
    NodeOpen how = { .writable = true, .trust = convert->img.trust, .probe = true };
    g_autoptr(Value) options = img_creation_options(convert->options, err);

    if (!options || !set_option(options, "backing_file", convert->backing, 'B', err) ||
        !set_option(options, "backing_fmt", convert->backing_format, 'F', err)) {
        return false;
    }
    if (value_get(options, "size")) {
        uint64_t size;
        if (!tool_parse_size(value_get_string(options, "size", ""), "size", &size, err)) {
            return false;
        }
        if (size < convert->total) {
            return fail(err, ENOSPC, "size=%" G_GUINT64_FORMAT " is smaller than the sources' %" G_GUINT64_FORMAT " bytes", size, convert->total);
        }
        convert->total = size;
        value_remove(options, "size");
    }
    convert->target_more = value_new_object();
    backing = value_get_string(options, "backing_file", NULL);
    convert->target_backed = backing && *backing;
    if (convert->target_backed && convert->source_count > 1) {
        return fail(err, EINVAL, "Having a backing file for the target makes no sense when concatenating multiple input images");
    }
    if (convert->target_backed && !remember_backing(convert, backing, value_get_string(options, "backing_fmt", NULL), err)) {
        return false;
    }
    remember_key(convert, options);
    mode = value_get_string(options, "preallocation", "off");
    convert->preallocated = strcmp(mode, "off") != 0;
    if (convert->compress && convert->preallocated) {
        return fail(err, EINVAL, "Compression and preallocation not supported at the same time");
    }
    return tool_make(convert->target_name, format, convert->total, options, convert->target_backed, true, &how, err);
}

static bool open_target(Convert *convert, GError **err)
{
    ToolOpen how = { .name = convert->target_name, .cache = convert->img.cache ? convert->img.cache : "unsafe", .writable = true,
                     .resizable = true, .trust = convert->img.trust, .discard = true, .more = convert->target_more,
                     .image_opts = convert->target_image_opts, .format = convert->target_image_opts ? NULL : convert->target_format };

    if (!how.format && !how.image_opts) {
        how.format = "raw";
    }
    if (!tool_open(&convert->target, &how, err)) {
        return false;
    }
    Node *node = convert->target.node, *below = node_backing(node_skip_filters(node));
    uint64_t length = node_length(node);
    if (convert->existing && length < convert->total) {
        return fail(err, ENOSPC, "The output file '%s' is smaller than the input file: %" G_GUINT64_FORMAT " bytes and %" G_GUINT64_FORMAT,
                    convert->target_name, length, convert->total);
    }
    if (convert->existing && below) {
        convert->target_backed = true;
    }
    if (convert->target_is_zero && convert->target_backed) {
        return fail(err, EINVAL, "Cannot use --target-is-zero when the destination image has a backing file");
    }
    convert->backed_bytes = below ? node_length(below) : 0;
    return true;
}

/* A new image is asked whether all of it reads as zeroes: a disk behind it may not, and a preallocated one may not know. */
static bool all_zero(Node *node)
{
    uint64_t length = node_length(node), count = 0;

    for (uint64_t at = 0; at < length; at += count) {
        int status = node_block_status_above(node, NULL, at, length - at, &count, NULL, NULL, NULL);
        if (status < 0 || !count || !(status & STATUS_ZERO)) {
            return false;
        }
    }
    return true;
}

static uint64_t cluster_of(Node *node)
{
    ImageInfo info = { 0 };

    if (node_driver(node)->info) {
        node_driver(node)->info(node, &info);
        value_unref(info.specific);
    }
    return info.cluster_size;
}

/* ---- bitmaps ------------------------------------------------------------------------------------------------ */

static bool copy_bitmap(const Convert *convert, const ImageBitmap *bitmap, GError **err)
{
    Node *from = convert->sources[0].node, *to = convert->target.node;
    const ImageBitmapOps *ops = node_driver(to)->bitmaps;

    if (bitmap->in_use) {
        if (convert->skip_broken) {
            tool_warning("Skipping inconsistent bitmap '%s'", bitmap->name);
            return true;
        }
        return fail(err, EINVAL, "Cannot copy inconsistent bitmap '%s'; --skip-broken-bitmaps leaves it out, 'bitmap --remove' deletes it",
                    bitmap->name);
    }
    if (!ops->add(to, bitmap->name, bitmap->granularity, bitmap->enabled, err) || !ops->merge(to, bitmap->name, from, bitmap->name, err)) {
        g_prefix_error(err, "Failed to copy bitmap '%s': ", bitmap->name);
        return false;
    }
    return true;
}

static bool copy_bitmaps(const Convert *convert, GError **err)
{
    Node *from = convert->sources[0].node;
    g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(ImageBitmap));
    bool done = true;
    int result;

    result = node_driver(from)->bitmaps->list(from, list);
    if (result < 0) {
        return fail(err, -result, "'%s': its bitmaps cannot be read: %s", convert->img.operands[0], g_strerror(-result));
    }
    for (guint i = 0; i < list->len; i++) {
        ImageBitmap *bitmap = &g_array_index(list, ImageBitmap, i);
        done = done && copy_bitmap(convert, bitmap, err);
        image_bitmap_clear(bitmap);
    }
    return done;
}

/* Before anything is made. */
static bool check_bitmaps(const Convert *convert, GError **err)
{
    const NodeDriver *target = node_driver_find(convert->target_format ? convert->target_format : "raw");

    if (!convert->bitmaps) {
        return true;
    }
    if (!node_driver(convert->sources[0].node)->bitmaps) {
        return fail(err, ENOTSUP, "'%s': its format keeps no bitmaps", convert->img.operands[0]);
    }
    return (target && target->bitmaps) || convert->target_image_opts ||
           fail(err, ENOTSUP, "Format driver '%s' does not support bitmaps", target ? target->name : "unknown");
}

/* Every piece is compressed by as many workers as there are processors, up to eight: a few pieces at once keep all of them busy, and more
 * would only wait for each other. */
static unsigned team_of(const Convert *convert)
{
    unsigned processors = g_get_num_processors();

    return (unsigned)(convert->compress ? MIN(convert->team, MAX(4, 1 + (processors + 7) / 8)) : convert->team);
}

/* ---- all together ------------------------------------------------------------------------------------------- */

static bool copy_all(Convert *convert, GError **err)
{
    Node *target = convert->target.node;
    uint64_t cluster = cluster_of(target);
    g_autofree CopySource *sources = g_new0(CopySource, convert->source_count);
    ToolProgress bar;
    Copy copy = {
        .sources = sources, .source_count = convert->source_count, .target = target, .target_name = convert->target_name,
        .write_flags = convert->target.write_flags, .team = team_of(convert), .sparse = convert->sparse, .cluster = cluster,
        .rate = convert->rate, .compressed = convert->compress, .out_of_order = convert->out_of_order, .offload = convert->offload,
        .salvage = convert->salvage, .quiet = convert->img.quiet, .target_backed = convert->target_backed,
        .backed_bytes = convert->backed_bytes, .unmap = convert->sparse && !convert->preallocated, .bar = &bar,
    };

    for (unsigned i = 0; i < convert->source_count; i++) {
        sources[i] = (CopySource){ .node = convert->sources[i].node, .name = convert->img.operands[i],
                                   .bytes = disk_length(convert->sources[i].node) };
    }
    copy.target_zero = !copy.target_backed && (convert->target_is_zero || (!convert->existing && all_zero(target)));
    /* A hole smaller than a cluster saves nothing and costs a request: only who asks for it by -S gets it. */
    copy.unit = convert->sparse_text ? MIN(convert->sparse, 4096) : MAX(4096, MIN(cluster, 65536));
    copy.unit = MAX(copy.unit, convert->compress ? cluster : node_limits(target)->request_alignment);
    copy.sparse = copy.sparse ? MAX(copy.sparse, copy.unit) : 0;
    tool_progress_begin(&bar, convert->img.progress && !convert->img.quiet, 1);
    bool done = img_copy(&copy, err);
    if (done) {
        tool_progress(&bar, 1, 1);
    }
    tool_progress_end(&bar);
    return done;
}

static bool convert_images(Convert *convert, GError **err)
{
    if (!usage_is_right(convert, err)) {
        return false;
    }
    convert->target_name = convert->img.operands[convert->img.count - 1];
    if (!open_sources(convert, err) || !check_bitmaps(convert, err)) {
        return false;
    }
    if (convert->existing && convert->options) {
        tool_warning("-o has no effect when skipping image creation");
    }
    if ((!convert->existing && !make_target(convert, err)) || !open_target(convert, err) || !copy_all(convert, err)) {
        return false;
    }
    return !convert->bitmaps || copy_bitmaps(convert, err);
}

static int convert_run(Img *img, GError **err)
{
    Convert *convert = (Convert *)img;
    bool done;

    if (img_wants_creation_help(convert->options)) {
        return img_print_creation_help(convert->target_format ? convert->target_format : "raw",
                                       img->count > 1 ? img->operands[img->count - 1] : NULL, err) ? 0 : 1;
    }
    done = convert_images(convert, err);
    for (unsigned i = 0; convert->sources && i < convert->source_count; i++) {
        tool_close(&convert->sources[i]);
    }
    g_free(convert->sources);
    value_unref(convert->target_more);
    return tool_close_written(&convert->target, convert->target_name, done, err) ? 0 : 1;
}

const ImgCommand img_convert = {
    .name = "convert", .operands = "FILE [FILE2 ...] TARGET", .least = 0, .most = -1, .wanted = "Must specify image file name",
    .size = sizeof(Convert), .preset = convert_preset,
    .help = "Copies an image, or several one behind the other, into a new image of any format and options.",
    .options = convert_options, .run = convert_run,
};
