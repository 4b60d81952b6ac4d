/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * img-resize.c - roost img resize: another size for an image that no guest runs on
 *
 * Threads  the tool's only one
 * Tests    tests/block/img-commands.py
 */
#include "cli/img.h"
#include <errno.h>
#include <string.h>

typedef struct Resize {
    Img img;
    const char *preallocation;
    bool shrink;
} Resize;

static const ToolOption resize_options[] = {
    IMG_FORMAT, IMG_IMAGE_OPTS, IMG_OBJECT, IMG_QUIET, IMG_TRUST,
    OPTION_TEXT(0, "preallocation", "MODE", Resize, preallocation, "off, metadata, falloc or full for what is new"),
    OPTION_FLAG(0, "shrink", Resize, shrink, "allow to lose what lies beyond the new end"),
    IMG_HELP, IMG_OPTIONS_END };

static bool parse_preallocation(const char *text, Preallocation *out, GError **err)
{
    for (int i = 0; preallocation_names[i]; i++) {
        if (strcmp(preallocation_names[i], text) == 0) {
            *out = (Preallocation)i;
            return true;
        }
    }
    return fail(err, EINVAL, "Invalid preallocation mode '%s'", text);
}

/* "64G", "+1G", "-512M" to the new size. */
static bool new_size(const char *text, uint64_t now, uint64_t *size, GError **err)
{
    char sign = *text == '+' || *text == '-' ? *text : 0;
    uint64_t number;

    if (!tool_parse_size(text + (sign != 0), "size", &number, err)) {
        return false;
    }
    if (sign == '-' && number >= now) {
        return fail(err, EINVAL, "New image size must be positive");
    }
    *size = sign == '+' ? now + number : sign == '-' ? now - number : number;
    if (*size > INT64_MAX) {
        return fail(err, EFBIG, "size '%s' is too large: sizes are below 8 EiB", text);
    }
    return *size > 0 || fail(err, EINVAL, "New image size must be positive");
}

static bool resize(const Resize *how, const ToolImage *image, const char *text, GError **err)
{
    uint64_t now = node_length(image->node), size;
    Preallocation preallocation = PREALLOC_OFF;

    if ((how->preallocation && !parse_preallocation(how->preallocation, &preallocation, err)) || !new_size(text, now, &size, err)) {
        return false;
    }
    if (size <= now && preallocation != PREALLOC_OFF) {
        return fail(err, EINVAL, "Preallocation can only be used for growing images");
    }
    if (size < now && !how->shrink) {
        return fail(err, EINVAL, "Use the --shrink option to perform a shrink operation: from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT
                    " bytes; all data beyond the new end will be lost", now, size);
    }
    if (node_truncate(image->node, size, true, preallocation, 0, err) < 0) {
        return false;
    }
    return true;
}

static int resize_run(Img *img, GError **err)
{
    ToolOpen how = img_how(img, img->operands[0]);
    ToolImage image;
    bool done;

    how.writable = how.resizable = true;
    if (!tool_open(&image, &how, err)) {
        return 1;
    }
    done = resize((const Resize *)img, &image, img->operands[1], err);
    done = tool_close_written(&image, img->operands[0], done, err);
    if (done) {
        img_say(img, "Image resized.\n");
    }
    return done ? 0 : 1;
}

const ImgCommand img_resize = {
    .name = "resize", .operands = "FILE [+|-]SIZE", .least = 2, .most = 2, .wanted = "Expecting image file name and size",
    .size = sizeof(Resize), .signed_operand = true,
    .help = "Gives an image another size. The partitions and file systems inside are the guest's to grow, afterwards, or to shrink, before.",
    .options = resize_options, .run = resize_run,
};
