/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * img-commit.c - roost img commit: what an overlay holds goes down into its backing file
 *
 * The overlay is emptied afterwards when it was committed into its direct backing file, unless -d says no. With a base further
 * down, the files in between keep what they hold, and so does the overlay.
 *
 * Threads  the tool's only one
 * Tests    tests/block/img-chains.py
 */
#include "block/driver.h"
#include "cli/img.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct Commit {
    Img img;
    const char *base;
    uint64_t rate;
    bool keep;
    ToolProgress bar;
} Commit;

static const ToolOption commit_options[] = {
    IMG_FORMAT, IMG_IMAGE_OPTS, IMG_OBJECT, IMG_QUIET, IMG_PROGRESS, IMG_CACHE, IMG_TRUST,
    OPTION_TEXT('b', NULL, "BASE", Commit, base, "down to that file of the chain; else to the next"),
    OPTION_SIZE('r', NULL, "RATE", Commit, rate, "at most that many bytes a second"),
    OPTION_FLAG('d', NULL, Commit, keep, "do not empty the image afterwards"),
    IMG_HELP, IMG_OPTIONS_END };

static void progressed(void *opaque, uint64_t done, uint64_t total)
{
    tool_progress(opaque, done, total);
}

static bool same_file(const char *a, const char *b)
{
    char *real_a = realpath(a, NULL), *real_b = realpath(b, NULL);
    bool same = strcmp(a, b) == 0 || (real_a && real_b && strcmp(real_a, real_b) == 0);

    free(real_a);
    free(real_b);
    return same;
}

/* As the image above writes it, or as it is opened. */
static Node *find_base(Node *top, const char *name, GError **err)
{
    for (Node *above = top, *below; (below = node_backing(above)); above = below) {
        const char *written = node_backing_name(above);
        if ((written && strcmp(written, name) == 0) || same_file(node_filename(below), name)) {
            return below;
        }
    }
    fail(err, ENOENT, "Did not find '%s' in the backing chain of '%s'", name, node_filename(top));
    return NULL;
}

static bool empty_overlay(Node *node, GError **err)
{
    int result = node_driver(node)->make_empty ? node_driver(node)->make_empty(node) : -ENOTSUP;

    return result >= 0 || fail(err, -result, "Could not empty %s: %s", node_filename(node), g_strerror(-result));
}

static bool commit_image(Commit *commit, Node *node, GError **err)
{
    Node *direct = node_backing(node), *base = direct;
    ImageProgress progress = { progressed, &commit->bar };

    if (!direct) {
        return fail(err, EINVAL, "Image does not have a backing file");
    }
    if (commit->base && !(base = find_base(node, commit->base, err))) {
        return false;
    }
    tool_progress_begin(&commit->bar, commit->img.progress && !commit->img.quiet, 1);
    bool done = image_commit(node, base, commit->rate, &progress, err) >= 0;
    if (done) {
        tool_progress(&commit->bar, 1, 1);
    }
    tool_progress_end(&commit->bar);
    return done && (commit->keep || commit->base || empty_overlay(node, err));
}

static int commit_run(Img *img, GError **err)
{
    ToolOpen how = img_how(img, img->operands[0]);
    ToolImage image;
    bool done;

    how.writable = how.resizable = true;
    if (!tool_open(&image, &how, err)) {
        return 1;
    }
    done = commit_image((Commit *)img, image.node, err);
    done = tool_close_written(&image, img->operands[0], done, err);
    if (done) {
        img_say(img, "Image committed.\n");
    }
    return done ? 0 : 1;
}

const ImgCommand img_commit = {
    .name = "commit", .operands = "FILE", .least = 1, .most = 1, .wanted = "Expecting one image file name", .size = sizeof(Commit),
    .help = "Writes what an image holds into its backing file.",
    .options = commit_options, .run = commit_run,
};
