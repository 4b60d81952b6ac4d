/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * img-measure.c - roost img measure: how much room a new image will need
 *
 * Threads  the tool's only one
 * Tests    tests/block/img-commands.py
 */
#include "block/driver.h"
#include "cli/img.h"
#include <errno.h>

typedef struct Measure {
    Img img;
    const char *target_format, *snapshot;
    GPtrArray *options;
    uint64_t size;                         /* UINT64_MAX: not given */
} Measure;

static const ToolOption measure_options[] = {
    OPTION_TEXT('O', NULL, "FORMAT", Measure, target_format, "the new image's format (raw)"),
    OPTION_TEXTS('o', NULL, "KEY=VALUE,...", Measure, options, "the new image's options; 'help' lists them"),
    OPTION_SIZE(0, "size", "SIZE", Measure, size, "of an empty image; else FILE is what will be converted"),
    OPTION_TEXT('l', NULL, "SNAPSHOT", Measure, snapshot, "the source is that snapshot inside FILE"),
    IMG_FORMAT, IMG_IMAGE_OPTS, IMG_OBJECT, IMG_OUTPUT, IMG_SHARE, IMG_TRUST, IMG_HELP, IMG_OPTIONS_END };

static void measure_preset(Img *img)
{
    ((Measure *)img)->size = UINT64_MAX;
}

static void print_measure(const Measure *measure, const ImageMeasure *result)
{
    if (measure->img.json) {
        g_autoptr(Value) object = value_new_object();
        if (result->has_bitmaps) {
            value_set(object, "bitmaps", value_new_uint(result->bitmaps));
        }
        value_set(object, "required", value_new_uint(result->required));
        value_set(object, "fully-allocated", value_new_uint(result->fully_allocated));
        img_print_json(object);
        return;
    }
    printf("required size: %" G_GUINT64_FORMAT "\nfully allocated size: %" G_GUINT64_FORMAT "\n", result->required, result->fully_allocated);
    if (result->has_bitmaps) {
        printf("bitmaps size: %" G_GUINT64_FORMAT "\n", result->bitmaps);
    }
}

static bool measure_image(const Measure *measure, const NodeDriver *driver, Node *source, GError **err)
{
    g_autoptr(Value) options = img_creation_options(measure->options, err);
    ImageMeasure result = { 0 };

    if (!options || (source && measure->snapshot && !img_load_snapshot(source, measure->snapshot, err))) {
        return false;
    }
    if (!driver->measure(options, source, source ? node_length(source) : measure->size, &result, err)) {
        return false;
    }
    print_measure(measure, &result);
    return true;
}

static bool usage_is_right(const Measure *measure, GError **err)
{
    const Img *img = &measure->img;

    if (measure->size != UINT64_MAX && (img->count || img->image_opts || img->format || measure->snapshot)) {
        return fail(err, EINVAL, "--size N cannot be used together with a filename.");
    }
    if (measure->size == UINT64_MAX && !img->count) {
        return fail(err, EINVAL, "Either --size N or one filename must be specified.");
    }
    return true;
}

static int measure_run(Img *img, GError **err)
{
    const Measure *measure = (const Measure *)img;
    const char *format = measure->target_format ? measure->target_format : "raw";
    const NodeDriver *driver = node_driver_find(format);
    ToolImage image = { 0 };
    bool done;

    if (img_wants_creation_help(measure->options)) {
        return img_print_creation_help(format, NULL, err) ? 0 : 1;
    }
    if (!driver || !driver->measure) {
        fail(err, EINVAL, driver ? "Format driver '%s' does not support size measurement" : "Unknown file format '%s'", format);
        return 1;
    }
    if (!usage_is_right(measure, err)) {
        return 1;
    }
    if (img->count) {
        ToolOpen how = img_how(img, img->operands[0]);
        if (!tool_open(&image, &how, err)) {
            return 1;
        }
    }
    done = measure_image(measure, driver, image.node, err);
    tool_close(&image);
    return done ? 0 : 1;
}

const ImgCommand img_measure = {
    .name = "measure", .operands = "[FILE]", .least = 0, .most = 1, .wanted = "At most one filename argument is allowed.",
    .size = sizeof(Measure), .preset = measure_preset,
    .help = "Tells how many bytes a new image of SIZE, or with FILE's contents, will take: at first, and when all of it is written.",
    .options = measure_options, .run = measure_run,
};
