/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * img-copy.c - images into an image: the engine of convert and dd
 *
 * A team of coroutines. Each claims the next piece (where the source says that there are zeroes, one piece is all of them), reads
 * it, waits until every earlier piece has begun to be written, and begins to write its own: so space in the target is taken in
 * the order of the source, while several reads and writes are under way at once. With -W nobody waits.
 *
 *     claim: what is it? -----> read -----> my turn? -----> write the runs of data, leave out the zeroes
 *       (one at a time)        (all at once)   (in order)       (all at once)
 *
 * Compression happens below, in the format's worker threads; a piece is as many clusters as fit.
 *
 * Threads  the tool's only one
 * Tests    tests/block/img-convert.py
 */
#include "cli/img-copy.h"
#include "base/timer.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { COPY_PIECE = 1 << 20, COPY_OFFLOAD_PIECE = 16 << 20, SALVAGE_PIECE = 512 };

typedef enum { PIECE_DATA, PIECE_ZERO, PIECE_BACKING } PieceKind;

typedef struct Piece {
    uint64_t offset, bytes;                /* in the target */
    const CopySource *source;
    PieceKind kind;
    uint64_t ticket;
} Piece;

static int stop(Copy *copy, int error, const char *format, ...) G_GNUC_PRINTF(3, 4);
static int stop(Copy *copy, int error, const char *format, ...)
{
    va_list args;

    if (!copy->error) {
        va_start(args, format);
        g_autofree char *text = g_strdup_vprintf(format, args);
        va_end(args);
        fail(&copy->error, error, "%s", text);
    }
    co_queue_wake_all(&copy->turns);       /* they see the error */
    return -error;
}

/* ---- claiming ----------------------------------------------------------------------------------------------- */

static PieceKind kind_of(const Copy *copy, int status, uint64_t offset)
{
    if (status & STATUS_ZERO) {            /* beyond its backing file's end the target reads as zeroes by itself */
        return copy->target_backed && offset >= copy->backed_bytes ? PIECE_BACKING : PIECE_ZERO;
    }
    return status & STATUS_DATA || !copy->target_backed ? PIECE_DATA : PIECE_BACKING;
}

/* What the source says of the bytes from here on, remembered as far as it holds. */
static int look(Copy *copy, const CopySource *source, uint64_t offset)
{
    uint64_t from = offset - source->at + source->skip, length = node_length(source->node), end = source->at + source->bytes, count = 0;
    Node *base = copy->target_backed ? node_backing(node_skip_filters(source->node)) : NULL;
    int status;

    if (copy->known.end > offset) {
        return 0;
    }
    if (from >= length) {
        copy->known.end = end;
        copy->known.kind = PIECE_ZERO;
        return 0;
    }
    status = node_block_status_above(source->node, base, from, MIN(end - offset, length - from), &count, NULL, NULL, NULL);
    if (status >= 0 && !count) {
        status = -EIO;
    }
    if (status < 0 && !copy->salvage) {
        return stop(copy, -status, "'%s': error while reading block status at offset %" G_GUINT64_FORMAT ": %s", source->name, from,
                    g_strerror(-status));
    }
    if (status < 0) {
        if (!copy->quiet) {
            tool_warning("'%s': error while reading block status at offset %" G_GUINT64_FORMAT ": %s", source->name, from, g_strerror(-status));
        }
        status = STATUS_DATA | STATUS_ALLOCATED;           /* then reading will tell */
        count = MIN(MIN(end - offset, length - from), COPY_PIECE);
    }
    if (copy->target_backed && offset < copy->backed_bytes) {
        count = MIN(count, copy->backed_bytes - offset);
    }
    copy->known.end = offset + count;
    copy->known.kind = kind_of(copy, status, offset);
    return 0;
}

static uint64_t piece_limit(const Copy *copy)
{
    if (copy->compressed && copy->cluster) {
        return copy->cluster > COPY_PIECE ? copy->cluster : COPY_PIECE / copy->cluster * copy->cluster;
    }
    return copy->offload ? COPY_OFFLOAD_PIECE : COPY_PIECE;
}

static uint64_t buffer_bytes(const Copy *copy)
{
    return MAX(copy->compressed ? copy->cluster : 0, COPY_PIECE);
}

/* Pieces of data end at round places, so that the target's clusters are not cut; a compressed cluster is written once, whichever
 * sources it is made of. */
static uint64_t data_bytes(const Copy *copy, uint64_t offset, uint64_t end)
{
    uint64_t limit = piece_limit(copy), unit = copy->compressed && copy->cluster ? copy->cluster : 0, bytes;

    if (unit) {
        end = MIN((end + unit - 1) / unit * unit, copy->total);
    }
    bytes = MIN(end - offset, limit);
    if (!unit && offset + bytes < end && (offset + bytes) % COPY_PIECE && limit == COPY_PIECE) {
        bytes -= MIN((offset + bytes) % COPY_PIECE, bytes - 1);            /* from then on they are aligned */
    }
    return bytes;
}

/* A whole number of clusters of zeroes, or what is left of the target; else they are read together with what follows. */
static bool zeroes_apart(const Copy *copy, uint64_t offset, uint64_t *bytes)
{
    if (!copy->sparse) {
        return false;
    }
    if (copy->compressed && copy->cluster && offset + *bytes < copy->total) {
        *bytes -= *bytes % copy->cluster;
    }
    return *bytes > 0;
}

/* 1, 0 at the end, or -errno. */
static int claim_piece(Copy *copy, Piece *piece)
{
    CO_SCOPE(&copy->claim);

    if (copy->error || copy->next >= copy->total) {
        return 0;
    }
    while (copy->next >= copy->sources[copy->source].at + copy->sources[copy->source].bytes) {
        copy->source++;
    }
    const CopySource *source = &copy->sources[copy->source];
    int result = look(copy, source, copy->next);
    if (result < 0) {
        return result;
    }
    *piece = (Piece){ .offset = copy->next, .bytes = copy->known.end - copy->next, .source = source, .kind = (PieceKind)copy->known.kind };
    if (piece->kind == PIECE_ZERO && !zeroes_apart(copy, piece->offset, &piece->bytes)) {
        piece->kind = PIECE_DATA;
    }
    if (piece->kind == PIECE_DATA) {
        piece->bytes = data_bytes(copy, piece->offset, copy->known.end);
    }
    copy->next += piece->bytes;
    piece->ticket = copy->ticket++;
    return 1;
}

/* ---- turns -------------------------------------------------------------------------------------------------- */

static void wait_turn(Copy *copy, const Piece *piece)
{
    while (!copy->out_of_order && copy->turn != piece->ticket && !copy->error) {
        co_queue_wait(&copy->turns, NULL);
    }
}

static void pass_turn(Copy *copy, const Piece *piece)
{
    if (!copy->out_of_order && copy->turn == piece->ticket) {
        copy->turn++;
        co_queue_wake_all(&copy->turns);
    }
}

/* ---- one piece ---------------------------------------------------------------------------------------------- */

static int write_failed(Copy *copy, uint64_t offset, int result)
{
    if (result == -ENOTSUP && copy->compressed) {
        return stop(copy, ENOTSUP, "'%s': compression is not supported by its format '%s'", copy->target_name, node_driver_name(copy->target));
    }
    return stop(copy, -result, "'%s': error while writing at offset %" G_GUINT64_FORMAT ": %s", copy->target_name, offset, g_strerror(-result));
}

static int write_data(Copy *copy, uint64_t offset, uint8_t *from, uint64_t bytes)
{
    struct iovec iov = { from, bytes };
    int result = node_pwritev(copy->target, offset, iov_all(&iov, 1), copy->write_flags | (copy->compressed ? REQ_COMPRESSED : 0));

    return result < 0 ? write_failed(copy, offset, result) : 0;
}

/* Where the target reads as zeroes already, nothing has to be done; a backing file could change what it reads as later. */
static int write_zeroes(Copy *copy, uint64_t offset, uint64_t bytes)
{
    while (bytes && !copy->target_zero) {
        uint64_t count = 0;
        int status = copy->target_backed ? 0 : node_block_status_above(copy->target, NULL, offset, bytes, &count, NULL, NULL, NULL);
        if (status < 0 || !count || copy->target_backed) {
            count = bytes;
            status = 0;
        }
        if (!(status & STATUS_ZERO)) {
            int result = node_pwrite_zeroes(copy->target, offset, count, copy->write_flags | (copy->unmap ? REQ_MAY_UNMAP : 0));
            if (result < 0) {
                return write_failed(copy, offset, result);
            }
        }
        offset += count;
        bytes -= count;
    }
    return 0;
}

/* Sector by sector, around what cannot be read. */
static int salvage(Copy *copy, const CopySource *source, uint64_t from, uint8_t *buffer, uint64_t bytes)
{
    for (uint64_t at = 0; at < bytes; at += SALVAGE_PIECE) {
        uint64_t count = MIN(bytes - at, SALVAGE_PIECE);
        int result = node_pread(source->node, from + at, buffer + at, count);
        if (result < 0) {
            if (!copy->quiet) {
                tool_warning("'%s': error while reading offset %" G_GUINT64_FORMAT ": %s", source->name, from + at, g_strerror(-result));
            }
            memset(buffer + at, 0, count);
        }
    }
    return 0;
}

static int read_source(Copy *copy, const CopySource *source, uint64_t offset, uint8_t *buffer, uint64_t bytes)
{
    uint64_t from = offset - source->at + source->skip, length = node_length(source->node);
    uint64_t inside = from < length ? MIN(bytes, length - from) : 0;
    int result = inside ? node_pread(source->node, from, buffer, inside) : 0;

    if (result < 0 && copy->salvage) {
        result = salvage(copy, source, from, buffer, inside);
    }
    memset(buffer + inside, 0, bytes - inside);
    return result < 0 ? stop(copy, -result, "'%s': error while reading at offset %" G_GUINT64_FORMAT ": %s", source->name, from,
                             g_strerror(-result)) : 0;
}

static int read_data(Copy *copy, const Piece *piece, uint8_t *buffer)
{
    const CopySource *source = piece->source;
    int result = 0;

    for (uint64_t at = 0, bytes; at < piece->bytes && result >= 0; at += bytes) {
        while (piece->offset + at >= source->at + source->bytes) {
            source++;                      /* a compressed cluster may be made of several */
        }
        bytes = MIN(piece->bytes - at, source->at + source->bytes - (piece->offset + at));
        result = read_source(copy, source, piece->offset + at, buffer + at, bytes);
    }
    return result;
}

/* The length of the run of data, or of at least `sparse` zeroes, that begins at `at`. */
static uint64_t run_length(const Copy *copy, uint64_t offset, const uint8_t *buffer, uint64_t at, uint64_t bytes, bool *zero)
{
    uint64_t unit = copy->unit, end = at, zeroes = 0;

    *zero = false;
    if (!copy->sparse) {
        return bytes - at;
    }
    while (end < bytes) {
        uint64_t count = MIN(unit - (offset + end) % unit, bytes - end);
        if (tool_is_zero(buffer + end, count)) {
            zeroes += count;
        } else {
            if (zeroes >= copy->sparse) {
                break;
            }
            zeroes = 0;
        }
        end += count;
    }
    if (zeroes < copy->sparse) {
        return end - at;
    }
    *zero = end - zeroes == at;
    return *zero ? zeroes : end - zeroes - at;
}

static int write_runs(Copy *copy, const Piece *piece, uint8_t *buffer)
{
    for (uint64_t at = 0, bytes; at < piece->bytes; at += bytes) {
        bool zero;
        int result;
        bytes = run_length(copy, piece->offset, buffer, at, piece->bytes, &zero);
        if (at + bytes >= piece->bytes) {
            pass_turn(copy, piece);        /* the next one runs when this last write waits */
        }
        result = zero ? write_zeroes(copy, piece->offset + at, bytes) : write_data(copy, piece->offset + at, buffer + at, bytes);
        if (result < 0) {
            return result;
        }
    }
    return 0;
}

/* In the kernel where that can; from the first refusal on by buffers. */
static int offload_piece(Copy *copy, const Piece *piece, bool *copied)
{
    const CopySource *source = piece->source;
    int result;

    *copied = false;
    if (!copy->offload || piece->offset - source->at + source->skip + piece->bytes > node_length(source->node)) {
        return 0;
    }
    wait_turn(copy, piece);
    result = node_copy_range(source->node, piece->offset - source->at + source->skip, copy->target, piece->offset, piece->bytes, copy->write_flags);
    *copied = result >= 0;
    if (result == -ENOTSUP) {
        copy->offload = false;
    } else if (result < 0 && result != -EINVAL) {
        return write_failed(copy, piece->offset, result);
    }
    return 0;
}

/* A claimed piece of an offload that did not work is longer than a buffer. */
static int copy_data(Copy *copy, const Piece *piece, uint8_t *buffer)
{
    uint64_t limit = buffer_bytes(copy);
    bool copied;
    int result = offload_piece(copy, piece, &copied);

    for (uint64_t at = 0; !copied && result >= 0 && at < piece->bytes; at += limit) {
        Piece part = *piece;
        part.offset += at;
        part.bytes = MIN(piece->bytes - at, limit);
        result = read_data(copy, &part, buffer);
        wait_turn(copy, piece);
        if (result >= 0 && !copy->error) {
            if (at + limit < piece->bytes) {
                part.ticket = UINT64_MAX;  /* the turn stays until the last part */
            }
            result = write_runs(copy, &part, buffer);
        }
    }
    pass_turn(copy, piece);
    return result;
}

static int copy_piece(Copy *copy, const Piece *piece, uint8_t *buffer)
{
    int result = 0;

    if (piece->kind == PIECE_DATA) {
        return copy_data(copy, piece, buffer);
    }
    wait_turn(copy, piece);
    pass_turn(copy, piece);
    if (piece->kind == PIECE_ZERO && !copy->error) {
        result = write_zeroes(copy, piece->offset, piece->bytes);
    }
    return result;
}

/* Sleeps until so much may have been copied. */
static void keep_rate(const Copy *copy)
{
    int64_t due = copy->rate ? copy->began_ns + (int64_t)((double)copy->done / (double)copy->rate * (double)NS_PER_SECOND) : 0;
    int64_t now = copy->rate ? clock_now(CLOCK_STEADY) : 0;

    if (due > now) {
        co_sleep(due - now);
    }
}

static int copy_member(void *opaque)
{
    Copy *copy = opaque;
    uint8_t *buffer = tool_buffer(copy->target, copy->sources[0].node, buffer_bytes(copy));
    int result = buffer ? 1 : stop(copy, ENOMEM, "no memory for copying");
    Piece piece;

    while (result > 0 && (result = claim_piece(copy, &piece)) > 0) {
        int copied = copy_piece(copy, &piece, buffer);
        if (copied < 0) {
            result = copied;
        } else {
            copy->done += piece.bytes;
            if (copy->bar) {
                tool_progress(copy->bar, copy->done, copy->total);
            }
            keep_rate(copy);
        }
    }
    free(buffer);
    return result;
}

bool img_copy(Copy *copy, GError **err)
{
    for (unsigned i = 0; i < copy->source_count; i++) {
        copy->sources[i].at = copy->total;
        copy->total += copy->sources[i].bytes;
    }
    copy->unit = MAX(copy->unit, 512);
    copy->began_ns = clock_now(CLOCK_STEADY);
    tool_team(MAX(copy->team, 1), copy_member, copy);
    if (copy->error) {
        g_propagate_error(err, g_steal_pointer(&copy->error));
        return false;
    }
    return true;
}
