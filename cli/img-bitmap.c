/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * img-bitmap.c - roost img bitmap: the bitmaps that an image keeps for incremental backups
 *
 * The actions of one command line are done in the order in which they were written.
 *
 * Threads  the tool's only one
 * Tests    tests/block/img-commands.py
 */
#include "block/driver.h"
#include "cli/img.h"
#include <errno.h>

typedef enum { BITMAP_ADD, BITMAP_REMOVE, BITMAP_CLEAR, BITMAP_ENABLE, BITMAP_DISABLE, BITMAP_MERGE } BitmapAction;
enum { BITMAP_ACTIONS_MOST = 1000 };

typedef struct BitmapStep { BitmapAction action; const char *source; } BitmapStep;

typedef struct Bitmap {
    Img img;
    const char *source_file, *source_format;
    uint64_t granularity;
    unsigned count;
    BitmapStep steps[BITMAP_ACTIONS_MOST];
} Bitmap;

static bool add_step(Bitmap *bitmap, BitmapAction action, const char *source, GError **err)
{
    if (bitmap->count == BITMAP_ACTIONS_MOST) {
        return fail(err, E2BIG, "more than %d actions in one command line", BITMAP_ACTIONS_MOST);
    }
    bitmap->steps[bitmap->count++] = (BitmapStep){ action, source };
    return true;
}

static bool take_add(void *into, const char *text, GError **err)
{
    return add_step(into, BITMAP_ADD, text, err);
}

static bool take_remove(void *into, const char *text, GError **err)
{
    return add_step(into, BITMAP_REMOVE, text, err);
}

static bool take_clear(void *into, const char *text, GError **err)
{
    return add_step(into, BITMAP_CLEAR, text, err);
}

static bool take_enable(void *into, const char *text, GError **err)
{
    return add_step(into, BITMAP_ENABLE, text, err);
}

static bool take_disable(void *into, const char *text, GError **err)
{
    return add_step(into, BITMAP_DISABLE, text, err);
}

static bool take_merge(void *into, const char *text, GError **err)
{
    return add_step(into, BITMAP_MERGE, text, err);
}

static const ToolOption bitmap_options[] = {
    OPTION_CALL(0, "add", NULL, take_add, "make the bitmap"),
    OPTION_CALL(0, "remove", NULL, take_remove, "delete it"),
    OPTION_CALL(0, "clear", NULL, take_clear, "forget all that it marks"),
    OPTION_CALL(0, "enable", NULL, take_enable, "let it mark what is written from now on"),
    OPTION_CALL(0, "disable", NULL, take_disable, "let it mark nothing more"),
    OPTION_CALL(0, "merge", "SOURCE", take_merge, "mark all that the bitmap SOURCE marks"),
    OPTION_TEXT('b', NULL, "FILE", Bitmap, source_file, "where --merge finds its source; else in the image itself"),
    OPTION_TEXT('F', NULL, "FORMAT", Bitmap, source_format, "the format of -b"),
    OPTION_SIZE('g', NULL, "BYTES", Bitmap, granularity, "how much one bit of --add stands for"),
    IMG_FORMAT, IMG_IMAGE_OPTS, IMG_OBJECT, IMG_TRUST, IMG_HELP, IMG_OPTIONS_END };

static bool do_step(const Bitmap *bitmap, const BitmapStep *step, Node *node, Node *source, GError **err)
{
    const ImageBitmapOps *ops = node_driver(node)->bitmaps;
    const char *name = bitmap->img.operands[1];

    if (!ops) {
        return fail(err, ENOTSUP, "format '%s' keeps no bitmaps", node_driver_name(node));
    }
    switch (step->action) {
    case BITMAP_ADD: return ops->add(node, name, (uint32_t)bitmap->granularity, true, err);
    case BITMAP_REMOVE: return ops->remove(node, name, err);
    case BITMAP_CLEAR: return ops->clear(node, name, err);
    case BITMAP_ENABLE: return ops->enable(node, name, true, err);
    case BITMAP_DISABLE: return ops->enable(node, name, false, err);
    case BITMAP_MERGE: return ops->merge(node, name, source ? source : node, step->source, err);
    }
    return true;
}

static bool do_steps(const Bitmap *bitmap, Node *node, Node *source, GError **err)
{
    static const char *const verbs[] = { "add", "remove", "clear", "enable", "disable", "merge" };

    for (unsigned i = 0; i < bitmap->count; i++) {
        if (!do_step(bitmap, &bitmap->steps[i], node, source, err)) {
            g_prefix_error(err, "Operation %s on bitmap %s failed: ", verbs[bitmap->steps[i].action], bitmap->img.operands[1]);
            return false;
        }
    }
    return true;
}

static bool usage_is_right(const Bitmap *bitmap, GError **err)
{
    bool add = false, merge = false;

    for (unsigned i = 0; i < bitmap->count; i++) {
        add |= bitmap->steps[i].action == BITMAP_ADD;
        merge |= bitmap->steps[i].action == BITMAP_MERGE;
    }
    if (!bitmap->count) {
        return fail(err, EINVAL, "Need at least one of --add, --remove, --clear, --enable, --disable, or --merge");
    }
    if (bitmap->granularity && !add) {
        return fail(err, EINVAL, "granularity only supported with --add");
    }
    if (bitmap->granularity > UINT32_MAX) {
        return fail(err, EINVAL, "granularity %" G_GUINT64_FORMAT " is too large: at most 2 GiB", bitmap->granularity);
    }
    if (bitmap->source_file && !merge) {
        return fail(err, EINVAL, "-b only supported with --merge");
    }
    return !bitmap->source_format || bitmap->source_file || fail(err, EINVAL, "-F only supported with -b");
}

static int bitmap_run(Img *img, GError **err)
{
    const Bitmap *bitmap = (const Bitmap *)img;
    ToolOpen how = img_how(img, img->operands[0]);
    ToolImage image, source = { 0 };
    bool done;

    how.writable = how.resizable = true;
    if (!usage_is_right(bitmap, err) || !tool_open(&image, &how, err)) {
        return 1;
    }
    if (bitmap->source_file) {
        ToolOpen from = { .name = bitmap->source_file, .format = bitmap->source_format, .trust = img->trust };
        if (!tool_open(&source, &from, err)) {
            tool_close(&image);
            return 1;
        }
    }
    done = do_steps(bitmap, image.node, source.node, err);
    tool_close(&source);
    done = tool_close_written(&image, img->operands[0], done, err);
    return done ? 0 : 1;
}

const ImgCommand img_bitmap = {
    .name = "bitmap", .operands = "FILE BITMAP", .least = 2, .most = 2, .wanted = "Expecting filename and bitmap name", .size = sizeof(Bitmap),
    .help = "Makes, merges, switches and deletes the bitmaps inside an image that mark what was written.",
    .options = bitmap_options, .run = bitmap_run,
};
