/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * img-compare.c - roost img compare: do two images read the same
 *
 * What both know to be zero is not read. Several coroutines draw pieces in order; the lowest offset at which one found a
 * difference is the answer, and nothing beyond it is begun.
 *
 * Threads  the tool's only one
 * Tests    tests/block/img-commands.py
 */
#include "cli/img.h"
#include <errno.h>
#include <stdlib.h>

enum { COMPARE_DIFFERENT = 1, COMPARE_FAILED = 2, COMPARE_STATUS_FAILED = 3, COMPARE_READ_FAILED = 4 };
enum { COMPARE_PIECE = 1 << 20, COMPARE_TEAM = 4 };

typedef struct Compare {
    Img img;
    const char *second_format;
    bool strict;
    /* while it runs */
    ToolImage images[2];
    CoMutex claim;
    uint64_t next, end, compared;
    uint64_t different, failed_at;         /* offsets; UINT64_MAX: none */
    const char *strictly;                  /* what differs, of a strict comparison */
    int status_failed, read_failed, failed_image;
    ToolProgress bar;
} Compare;

static const ToolOption compare_options[] = {
    OPTION_TEXT('f', NULL, "FORMAT", Img, format, "the first image's format"),
    OPTION_TEXT('F', NULL, "FORMAT", Compare, second_format, "the second image's format"),
    OPTION_FLAG('s', NULL, Compare, strict, "sizes and allocation have to be the same too"),
    IMG_SOURCE_CACHE, IMG_PROGRESS, IMG_QUIET, IMG_SHARE, IMG_IMAGE_OPTS, IMG_OBJECT, IMG_TRUST, IMG_HELP, IMG_OPTIONS_END };

typedef struct Piece {
    uint64_t offset, bytes;
    int status[2];
} Piece;

static int look(Compare *compare, int image, Piece *piece)
{
    Node *node = compare->images[image].node;
    uint64_t count = 0, length = node_length(node), most = piece->bytes;
    int status;

    if (piece->offset >= length) {
        piece->status[image] = STATUS_ZERO;                /* beyond its end, an image reads as zeroes here */
        return 0;
    }
    most = MIN(most, length - piece->offset);
    status = node_block_status_above(node, NULL, piece->offset, most, &count, NULL, NULL, NULL);
    if (status >= 0 && !count) {
        status = -EIO;
    }
    if (status < 0) {
        compare->failed_at = piece->offset;
        compare->failed_image = image;
        return compare->status_failed = status;
    }
    piece->status[image] = status & (STATUS_DATA | STATUS_ZERO | STATUS_ALLOCATED);
    piece->bytes = count;
    return 0;
}

/* The next piece of which both images say one thing. 1, 0 at the end, or -errno. */
static int claim_piece(Compare *compare, Piece *piece)
{
    CO_SCOPE(&compare->claim);

    if (compare->next >= compare->end || compare->next > compare->different || compare->read_failed || compare->status_failed) {
        return 0;
    }
    *piece = (Piece){ .offset = compare->next, .bytes = compare->end - compare->next };
    for (int image = 0; image < 2; image++) {
        int result = look(compare, image, piece);
        if (result < 0) {
            return result;
        }
    }
    if ((piece->status[0] | piece->status[1]) & STATUS_DATA) {
        piece->bytes = MIN(piece->bytes, COMPARE_PIECE);
    }
    compare->next += piece->bytes;
    return 1;
}

static bool reads_zero(int status)
{
    return (status & STATUS_ZERO) || !(status & STATUS_DATA);
}

static int read_piece(Compare *compare, int image, const Piece *piece, void *buffer)
{
    int result = node_pread(compare->images[image].node, piece->offset, buffer, piece->bytes);

    if (result < 0 && !compare->read_failed) {
        compare->failed_at = piece->offset;
        compare->failed_image = image;
        compare->read_failed = result;
    }
    return result;
}

static int compare_piece(Compare *compare, const Piece *piece, uint8_t *a, uint8_t *b)
{
    bool zero[2] = { reads_zero(piece->status[0]), reads_zero(piece->status[1]) };
    uint64_t same = piece->bytes;

    if (compare->strict && piece->status[0] != piece->status[1]) {
        if (piece->offset < compare->different) {
            compare->different = piece->offset;
            compare->strictly = (piece->status[0] ^ piece->status[1]) & STATUS_ALLOCATED ? "allocation" : "block status";
        }
        return 0;
    }
    if (zero[0] && zero[1]) {
        return 0;
    }
    if ((!zero[0] && read_piece(compare, 0, piece, a) < 0) || (!zero[1] && read_piece(compare, 1, piece, b) < 0)) {
        return compare->read_failed;
    }
    same = zero[0] ? tool_first_nonzero(b, piece->bytes) : zero[1] ? tool_first_nonzero(a, piece->bytes)
                                                                  : tool_first_difference(a, b, piece->bytes);
    if (same < piece->bytes && piece->offset + same < compare->different) {
        compare->different = piece->offset + same;
        compare->strictly = NULL;
    }
    return 0;
}

static int compare_member(void *opaque)
{
    Compare *compare = opaque;
    uint8_t *buffer = tool_buffer(compare->images[0].node, compare->images[1].node, 2 * COMPARE_PIECE);
    int result = buffer ? 1 : -ENOMEM;
    Piece piece;

    while (result > 0 && (result = claim_piece(compare, &piece)) > 0) {
        int done = compare_piece(compare, &piece, buffer, buffer + COMPARE_PIECE);
        compare->compared += piece.bytes;
        tool_progress(&compare->bar, compare->compared, compare->end);
        result = done < 0 ? done : 1;
    }
    free(buffer);
    return result;
}

static int say_failure(Compare *compare, int result, GError **err)
{
    const char *name = compare->img.operands[compare->failed_image];

    if (compare->status_failed) {
        fail(err, -compare->status_failed, "Sector allocation test failed for %s, offset %" G_GUINT64_FORMAT ": %s", name, compare->failed_at,
             g_strerror(-compare->status_failed));
        return COMPARE_STATUS_FAILED;
    }
    if (compare->read_failed) {
        fail(err, -compare->read_failed, "Error while reading offset %" G_GUINT64_FORMAT " of %s: %s", compare->failed_at, name,
             g_strerror(-compare->read_failed));
        return COMPARE_READ_FAILED;
    }
    fail(err, -result, "the images cannot be compared: %s", g_strerror(-result));
    return COMPARE_FAILED;
}

static int compare_all(Compare *compare, GError **err)
{
    uint64_t lengths[2] = { node_length(compare->images[0].node), node_length(compare->images[1].node) };
    int result;

    if (lengths[0] != lengths[1] && compare->strict) {
        img_say(&compare->img, "Strict mode: Image size mismatch!\n");
        return COMPARE_DIFFERENT;
    }
    compare->end = MAX(lengths[0], lengths[1]);
    compare->different = UINT64_MAX;
    result = tool_team(COMPARE_TEAM, compare_member, compare);
    if (compare->different == UINT64_MAX && result < 0) {
        return say_failure(compare, result, err);
    }
    if (compare->different != UINT64_MAX) {
        if (compare->strictly) {
            img_say(&compare->img, "Strict mode: Offset %" G_GUINT64_FORMAT " %s mismatch!\n", compare->different, compare->strictly);
        } else {
            if (compare->different >= MIN(lengths[0], lengths[1])) {
                img_say(&compare->img, "Warning: Image size mismatch!\n");
            }
            img_say(&compare->img, "Content mismatch at offset %" G_GUINT64_FORMAT "!\n", compare->different);
        }
        return COMPARE_DIFFERENT;
    }
    if (lengths[0] != lengths[1]) {
        img_say(&compare->img, "Warning: Image size mismatch!\n");
    }
    tool_progress(&compare->bar, 1, 1);
    img_say(&compare->img, "Images are identical.\n");
    return 0;
}

static int compare_run(Img *img, GError **err)
{
    Compare *compare = (Compare *)img;
    int status = COMPARE_FAILED;

    for (int i = 0; i < 2; i++) {
        ToolOpen how = img_how(img, img->operands[i]);
        how.cache = img->source_cache;
        how.format = i ? compare->second_format : img->format;
        if (!tool_open(&compare->images[i], &how, err)) {
            tool_close(&compare->images[0]);
            return COMPARE_FAILED;
        }
    }
    tool_progress_begin(&compare->bar, img->progress && !img->quiet, 2);
    status = compare_all(compare, err);
    tool_progress_end(&compare->bar);
    tool_close(&compare->images[0]);
    tool_close(&compare->images[1]);
    return status;
}

const ImgCommand img_compare = {
    .name = "compare", .operands = "FILE1 FILE2", .least = 2, .most = 2, .wanted = "Expecting two image file names", .size = sizeof(Compare),
    .help = "Compares what two images read as; the exit status is 0 where they are the same, 1 where they differ, above 1 after an error.",
    .options = compare_options, .run = compare_run,
};
