/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * img-dd.c - roost img dd: a part of an image into a new one, counted in blocks
 *
 * Threads  the tool's only one
 * Tests    tests/block/img-convert.py
 */
#include "block/driver.h"
#include "cli/img-copy.h"
#include <errno.h>
#include <string.h>

typedef struct Dd {
    Img img;
    const char *target_format;
    /* if= of= bs= count= skip= */
    const char *input, *output;
    uint64_t block, count, skip;
    bool counted;
} Dd;

static const ToolOption dd_options[] = {
    IMG_FORMAT, OPTION_TEXT('O', NULL, "FORMAT", Dd, target_format, "the new image's format (raw)"),
    IMG_IMAGE_OPTS, IMG_SHARE, IMG_OBJECT, IMG_TRUST, IMG_HELP, IMG_OPTIONS_END };

static bool take_operand(Dd *dd, const char *text, GError **err)
{
    const char *value = strchr(text, '=');
    size_t length = value ? (size_t)(value - text) : 0;

    if (!value) {
        return fail(err, EINVAL, "unrecognized operand %s", text);
    }
    value++;
    if (strncmp(text, "if=", length + 1) == 0) {
        dd->input = value;
        return true;
    }
    if (strncmp(text, "of=", length + 1) == 0) {
        dd->output = value;
        return true;
    }
    if (strncmp(text, "bs=", length + 1) == 0) {
        return tool_parse_size(value, "bs", &dd->block, err) &&
               ((dd->block && dd->block <= INT32_MAX) || fail(err, EINVAL, "invalid number: '%s'", value));
    }
    if (strncmp(text, "count=", length + 1) == 0) {
        dd->counted = true;
        return tool_parse_size(value, "count", &dd->count, err);
    }
    if (strncmp(text, "skip=", length + 1) == 0) {
        return tool_parse_size(value, "skip", &dd->skip, err);
    }
    return fail(err, EINVAL, "unrecognized operand %s", text);
}

/* The part of the source that is wanted; a block too far ends it, as it ends a file. */
static void find_part(const Dd *dd, uint64_t length, CopySource *source)
{
    unsigned __int128 end = dd->counted ? ((unsigned __int128)dd->count + dd->skip) * dd->block : length;
    unsigned __int128 begin = (unsigned __int128)dd->skip * dd->block;

    source->skip = begin < length ? (uint64_t)begin : length;
    end = MIN(end, length);
    source->bytes = end > source->skip ? (uint64_t)end - source->skip : 0;
    if (begin > length) {
        tool_error("%s: cannot skip to specified offset", dd->input);
    }
}

static bool copy_part(const Dd *dd, const ToolImage *from, GError **err)
{
    const char *format = dd->target_format ? dd->target_format : "raw";
    NodeOpen making = { .writable = true };
    ToolOpen how = { .name = dd->output, .format = format, .writable = true, .resizable = true };
    CopySource source = { .node = from->node, .name = dd->input };
    g_autoptr(Value) options = value_new_object();
    ToolImage target;
    bool done;

    find_part(dd, node_length(from->node), &source);
    if (!tool_make(dd->output, format, source.bytes, options, false, true, &making, err) || !tool_open(&target, &how, err)) {
        return false;
    }
    Copy copy = { .sources = &source, .source_count = 1, .target = target.node, .target_name = dd->output, .write_flags = target.write_flags,
                  .team = 8, .sparse = 4096, .unit = 4096, .unmap = true };
    done = img_copy(&copy, err);
    return tool_close_written(&target, dd->output, done, err);
}

static int dd_run(Img *img, GError **err)
{
    Dd *dd = (Dd *)img;
    ToolImage image;
    bool done;

    dd->block = 512;
    for (int i = 0; i < img->count; i++) {
        if (!take_operand(dd, img->operands[i], err)) {
            return 1;
        }
    }
    if (!dd->input || !dd->output) {
        fail(err, EINVAL, "Must specify both input and output file names");
        return 1;
    }
    ToolOpen how = img_how(img, dd->input);
    how.exclusive = true;                  /* else the output could be the same file, and be emptied first */
    if (!tool_open(&image, &how, err)) {
        return 1;
    }
    done = copy_part(dd, &image, err);
    tool_close(&image);
    return done ? 0 : 1;
}

const ImgCommand img_dd = {
    .name = "dd", .operands = "[bs=BYTES] [count=BLOCKS] [skip=BLOCKS] if=FILE of=FILE", .least = 0, .most = -1,
    .wanted = "Must specify both input and output file names", .size = sizeof(Dd),
    .help = "Copies a part of an image into a new one, counted in blocks of bs bytes (512).",
    .options = dd_options, .run = dd_run,
};
