/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * img-amend.c - roost img amend: other options of an image that is there
 *
 * Threads  the tool's only one
 * Tests    tests/block/img-commands.py
 */
#include "block/driver.h"
#include "cli/img.h"
#include <errno.h>

typedef struct Amend {
    Img img;
    GPtrArray *options;
    bool force;
    ToolProgress bar;
} Amend;

static const ToolOption amend_options[] = {
    OPTION_TEXTS('o', NULL, "KEY=VALUE,...", Amend, options, "what to change; 'help' lists what can be"),
    OPTION_FLAG(0, "force", Amend, force, "also what may make the image unusable, as to erase its last key"),
    IMG_CACHE, IMG_PROGRESS, IMG_QUIET, IMG_FORMAT, IMG_IMAGE_OPTS, IMG_OBJECT, IMG_TRUST, IMG_HELP, IMG_OPTIONS_END };

static void progressed(void *opaque, uint64_t done, uint64_t total)
{
    tool_progress(opaque, done, total);
}

static bool amend_image(Amend *amend, Node *node, GError **err)
{
    const NodeDriver *driver = node_driver(node);
    g_autoptr(Value) options = img_creation_options(amend->options, err);
    ImageProgress progress = { progressed, &amend->bar };

    if (!options) {
        return false;
    }
    if (!driver->amend) {
        return fail(err, ENOTSUP, "Format driver '%s' does not support option amendment", driver->name);
    }
    return driver->amend(node, options, amend->force, &progress, err);
}

static int amend_run(Img *img, GError **err)
{
    Amend *amend = (Amend *)img;
    ToolImage image;
    bool done;

    if (!amend->options) {
        fail(err, EINVAL, "Must specify options (-o)");
        return 1;
    }
    if (img->format && img_wants_creation_help(amend->options)) {
        return img_print_amend_help(img->format, err) ? 0 : 1;
    }
    if (!img->count) {
        fail(err, EINVAL, "Expecting one image file name");
        return 1;
    }
    ToolOpen how = img_how(img, img->operands[0]);
    how.writable = how.resizable = true;
    if (!tool_open(&image, &how, err)) {
        return 1;
    }
    if (img_wants_creation_help(amend->options)) {
        done = img_print_amend_help(node_driver_name(image.node), err);
        tool_close(&image);
        return done ? 0 : 1;
    }
    tool_progress_begin(&amend->bar, img->progress && !img->quiet, 1);
    done = amend_image(amend, image.node, err);
    if (done) {
        tool_progress(&amend->bar, 1, 1);
    }
    tool_progress_end(&amend->bar);
    done = tool_close_written(&image, img->operands[0], done, err);
    return done ? 0 : 1;
}

const ImgCommand img_amend = {
    .name = "amend", .operands = "FILE", .least = 0, .most = 1, .wanted = "Expecting one image file name", .size = sizeof(Amend),
    .help = "Changes options of an image that is there: its format's version, refcount width, keys.",
    .options = amend_options, .run = amend_run,
};
