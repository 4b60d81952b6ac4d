/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * img-rebase.c - roost img rebase: another backing file under an image
 *
 * Safe mode keeps what the image reads as: where it holds nothing itself, the old chain and the new one are compared, and what
 * differs is written into the image while the old chain is still below it. Where both chains say that a range lies at the same
 * place of the same file, or is zero in both, nothing is read. The name in the image changes last, after a flush: a power cut
 * before leaves an image on the old chain that reads as before.
 *
 * Threads  the tool's only one
 * Tests    tests/block/img-chains.py
 */
#include "block/driver.h"
#include "cli/img.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { REBASE_PIECE = 1 << 20, REBASE_TEAM = 4 };

typedef struct Rebase {
    Img img;
    const char *backing, *backing_format;
    bool unsafe;
    /* while it runs */
    ToolImage image, fresh;                /* fresh: the new chain; closed when there is none */
    Node *old;                             /* the old chain; NULL */
    CoMutex claim;
    uint64_t next, end, done;
    GError *error;
    ToolProgress bar;
} Rebase;

static const ToolOption rebase_options[] = {
    OPTION_TEXT('b', NULL, "FILE", Rebase, backing, "the new backing file; \"\" for none"),
    OPTION_TEXT('F', NULL, "FORMAT", Rebase, backing_format, "its format"),
    OPTION_FLAG('u', NULL, Rebase, unsafe, "change the name in the image only: the new file reads as the old one did"),
    IMG_CACHE, IMG_SOURCE_CACHE, IMG_PROGRESS, IMG_QUIET, IMG_SHARE, IMG_FORMAT, IMG_IMAGE_OPTS, IMG_OBJECT, IMG_TRUST,
    IMG_HELP, IMG_OPTIONS_END };

typedef struct Place {
    bool zero;
    const char *file;                      /* NULL: not known */
    uint64_t offset;
} Place;

typedef struct Piece {
    uint64_t offset, bytes;
    bool old_zero, new_zero;
} Piece;

/* Where a chain has its bytes; shortens *bytes to how far that holds. */
static bool look(Rebase *rebase, Node *chain, uint64_t offset, uint64_t *bytes, Place *place)
{
    uint64_t length = chain ? node_length(chain) : 0, count = 0, map = 0;
    Node *file = NULL;
    int status;

    *place = (Place){ .zero = true };
    if (offset >= length) {
        return true;
    }
    status = node_block_status_above(chain, NULL, offset, MIN(*bytes, length - offset), &count, &map, &file, NULL);
    if (status >= 0 && !count) {
        status = -EIO;
    }
    if (status < 0) {
        return fail(&rebase->error, -status, "'%s': error while reading image metadata at offset %" G_GUINT64_FORMAT ": %s",
                    node_filename(chain), offset, g_strerror(-status));
    }
    *bytes = count;
    place->zero = (status & STATUS_ZERO) || !(status & STATUS_DATA);
    if ((status & STATUS_OFFSET) && file) {
        place->file = node_filename(file);
        place->offset = map;
    }
    return true;
}

/* What has to be compared next. 1, 0 at the end, or -errno. */
static int claim_piece(Rebase *rebase, Piece *piece)
{
    CO_SCOPE(&rebase->claim);

    while (rebase->next < rebase->end && !rebase->error) {
        Place was, will;
        uint64_t count = 0;
        *piece = (Piece){ .offset = rebase->next, .bytes = rebase->end - rebase->next };
        int held = node_is_allocated_above(rebase->image.node, rebase->old, false, piece->offset, piece->bytes, &count);
        if (held < 0 || !count) {
            fail(&rebase->error, held ? -held : EIO, "'%s': error while reading image metadata at offset %" G_GUINT64_FORMAT ": %s",
                 rebase->img.operands[0], piece->offset, g_strerror(held ? -held : EIO));
            return -EIO;
        }
        piece->bytes = count;
        if (!held) {
            if (!look(rebase, rebase->old, piece->offset, &piece->bytes, &was) ||
                !look(rebase, rebase->fresh.node, piece->offset, &piece->bytes, &will)) {
                return -EIO;
            }
            piece->old_zero = was.zero;
            piece->new_zero = will.zero;
            held = (was.zero && will.zero) || (was.file && will.file && was.offset == will.offset && strcmp(was.file, will.file) == 0);
        }
        if (!held) {
            piece->bytes = MIN(piece->bytes, REBASE_PIECE);
            rebase->next += piece->bytes;
            return 1;
        }
        rebase->next += piece->bytes;
        rebase->done += piece->bytes;
        tool_progress(&rebase->bar, rebase->done, rebase->end);
    }
    return 0;
}

static bool read_from(Rebase *rebase, Node *chain, const Piece *piece, uint8_t *buffer)
{
    uint64_t length = node_length(chain), inside = MIN(piece->bytes, length > piece->offset ? length - piece->offset : 0);
    int result = inside ? node_pread(chain, piece->offset, buffer, inside) : 0;

    memset(buffer + inside, 0, piece->bytes - inside);
    return result >= 0 || fail(&rebase->error, -result, "'%s': error while reading at offset %" G_GUINT64_FORMAT ": %s",
                               node_filename(chain), piece->offset, g_strerror(-result));
}

static bool keep_bytes(Rebase *rebase, uint64_t offset, uint64_t bytes, uint8_t *from)
{
    struct iovec iov = { from, bytes };
    int result = !from || tool_is_zero(from, bytes)
                     ? node_pwrite_zeroes(rebase->image.node, offset, bytes, rebase->image.write_flags)
                     : node_pwritev(rebase->image.node, offset, iov_all(&iov, 1), rebase->image.write_flags);

    return result >= 0 || fail(&rebase->error, -result, "'%s': error while writing at offset %" G_GUINT64_FORMAT ": %s",
                               rebase->img.operands[0], offset, g_strerror(-result));
}

/* will NULL: zeroes. */
static bool sector_differs(const uint8_t *was, const uint8_t *will, uint64_t bytes)
{
    return will ? memcmp(was, will, bytes) != 0 : !tool_is_zero(was, bytes);
}

/* The sectors that differ, in runs. */
static bool keep_differences(Rebase *rebase, const Piece *piece, uint8_t *was, const uint8_t *will)
{
    for (uint64_t at = 0; at < piece->bytes;) {
        uint64_t left = piece->bytes - at;
        uint64_t begin = at + (will ? tool_first_difference(was + at, will + at, left) : tool_first_nonzero(was + at, left)), end = begin;
        while (end < piece->bytes && sector_differs(was + end, will ? will + end : NULL, MIN(512, piece->bytes - end))) {
            end = MIN(end + 512, piece->bytes);
        }
        if (end > begin && !keep_bytes(rebase, piece->offset + begin, end - begin, was + begin)) {
            return false;
        }
        at = end;
    }
    return true;
}

static bool rebase_piece(Rebase *rebase, const Piece *piece, uint8_t *was, uint8_t *will)
{
    if (piece->old_zero) {
        memset(was, 0, piece->bytes);
    } else if (!read_from(rebase, rebase->old, piece, was)) {
        return false;
    }
    if (!piece->new_zero && !read_from(rebase, rebase->fresh.node, piece, will)) {
        return false;
    }
    return keep_differences(rebase, piece, was, piece->new_zero ? NULL : will);
}

static int rebase_member(void *opaque)
{
    Rebase *rebase = opaque;
    uint8_t *buffer = tool_buffer(rebase->image.node, rebase->fresh.node, 2 * REBASE_PIECE);
    int result = buffer ? 1 : -ENOMEM;
    Piece piece;

    while (result > 0 && (result = claim_piece(rebase, &piece)) > 0) {
        result = rebase_piece(rebase, &piece, buffer, buffer + REBASE_PIECE) ? 1 : -EIO;
        rebase->done += piece.bytes;
        tool_progress(&rebase->bar, rebase->done, rebase->end);
    }
    free(buffer);
    return result;
}

static bool copy_differences(Rebase *rebase, GError **err)
{
    int result;

    rebase->old = node_backing(rebase->image.node);
    rebase->end = node_length(rebase->image.node);
    tool_progress_begin(&rebase->bar, rebase->img.progress && !rebase->img.quiet, 1);
    result = tool_team(REBASE_TEAM, rebase_member, rebase);
    if (result >= 0) {
        tool_progress(&rebase->bar, 1, 1);
    }
    tool_progress_end(&rebase->bar);
    if (rebase->error) {
        g_propagate_error(err, g_steal_pointer(&rebase->error));
        return false;
    }
    return result >= 0 || fail(err, -result, "no memory to compare the chains");
}

static bool open_new_chain(Rebase *rebase, GError **err)
{
    g_autofree char *name = tool_beside(node_filename(rebase->image.node), rebase->backing);
    ToolOpen how = { .name = name, .format = rebase->backing_format, .cache = rebase->img.source_cache, .share = rebase->img.share,
                     .trust = rebase->img.trust };

    if (!tool_open(&rebase->fresh, &how, err)) {
        g_prefix_error(err, "Could not open new backing file '%s': ", name);
        return false;
    }
    return true;
}

static bool rebase_image(Rebase *rebase, GError **err)
{
    Node *node = rebase->image.node;
    bool none = !*rebase->backing;
    int result;

    if (!rebase->unsafe && ((!none && !open_new_chain(rebase, err)) || !copy_differences(rebase, err))) {
        return false;
    }
    if (rebase->backing_format && !node_driver_find(rebase->backing_format)) {
        return fail(err, EINVAL, "Invalid format name: '%s'", rebase->backing_format);
    }
    result = node_flush(node);
    if (result < 0) {
        return fail(err, -result, "'%s' could not be flushed: %s", rebase->img.operands[0], g_strerror(-result));
    }
    if (node_write_backing_name(node, none ? NULL : rebase->backing, none ? NULL : rebase->backing_format, err) < 0) {
        g_prefix_error(err, "Could not change the backing file to '%s': ", rebase->backing);
        return false;
    }
    return true;
}

static int rebase_run(Img *img, GError **err)
{
    Rebase *rebase = (Rebase *)img;
    ToolOpen how = img_how(img, img->operands[0]);
    bool done;

    if (!rebase->backing) {
        fail(err, EINVAL, "-b is missing: it names the new backing file, or \"\" for none");
        return 1;
    }
    how.writable = true;
    how.no_backing = rebase->unsafe;
    if (!tool_open(&rebase->image, &how, err)) {
        return 1;
    }
    done = rebase_image(rebase, err);
    tool_close(&rebase->fresh);
    return tool_close_written(&rebase->image, img->operands[0], done, err) ? 0 : 1;
}

const ImgCommand img_rebase = {
    .name = "rebase", .operands = "FILE", .least = 1, .most = 1, .wanted = "Expecting one image file name", .size = sizeof(Rebase),
    .help = "Puts another backing file under an image, which reads as before: what differs is written into it. With -u nothing is compared.",
    .options = rebase_options, .run = rebase_run,
};
