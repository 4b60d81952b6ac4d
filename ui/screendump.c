/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * screendump.c - a picture of a surface in a file: PPM, or PNG by zlib alone
 *
 * Models   Netpbm's P6; PNG (ISO/IEC 15948): IHDR, one IDAT a few rows long after the other, IEND; no filters
 * Threads  main loop
 * Tests    tests/unit/console.c, tests/guest/screen.py
 */
#include "ui/screendump.h"
#include "base/bytes.h"
#include "base/error.h"
#include <errno.h>
#include <unistd.h>
#include <zlib.h>

enum { CHUNK = 65536 };

static bool write_all(int fd, const void *data, size_t length, const char *path, GError **err)
{
    const uint8_t *at = data;

    while (length) {
        ssize_t done = write(fd, at, length);
        if (done < 0 && errno != EINTR) {
            return fail(err, errno, "cannot write '%s': %s", path, g_strerror(errno));
        }
        at += done > 0 ? done : 0;
        length -= done > 0 ? (size_t)done : 0;
    }
    return true;
}

static void row_to_rgb(const Surface *surface, unsigned y, uint8_t *rgb)
{
    const uint32_t *pixel = surface->pixels + (size_t)y * surface->width;

    for (unsigned x = 0; x < surface->width; x++, pixel++) {
        *rgb++ = (uint8_t)(*pixel >> 16);
        *rgb++ = (uint8_t)(*pixel >> 8);
        *rgb++ = (uint8_t)*pixel;
    }
}

bool screendump_ppm(const Surface *surface, int fd, const char *path, GError **err)
{
    g_autofree char *head = g_strdup_printf("P6\n%u %u\n255\n", surface->width, surface->height);
    g_autofree uint8_t *row = g_malloc((size_t)surface->width * 3);

    if (!write_all(fd, head, strlen(head), path, err)) {
        return false;
    }
    for (unsigned y = 0; y < surface->height; y++) {
        row_to_rgb(surface, y, row);
        if (!write_all(fd, row, (size_t)surface->width * 3, path, err)) {
            return false;
        }
    }
    return true;
}

/* Length, name, data, and the sum over the last two. */
static bool write_chunk(int fd, const char *name, const uint8_t *data, size_t length, const char *path, GError **err)
{
    uint8_t head[8], sum[4];

    store_be32(head, (uint32_t)length);
    memcpy(head + 4, name, 4);
    store_be32(sum, (uint32_t)crc32(crc32(0, head + 4, 4), data, (uInt)length));
    return write_all(fd, head, sizeof head, path, err) && write_all(fd, data, length, path, err) && write_all(fd, sum, sizeof sum, path, err);
}

static bool deflate_rows(const Surface *surface, z_stream *stream, int fd, const char *path, GError **err)
{
    g_autofree uint8_t *row = g_malloc((size_t)surface->width * 3 + 1), *out = g_malloc(CHUNK);
    bool good = true;

    row[0] = 0;                            /* no filter */
    stream->next_out = out;
    stream->avail_out = CHUNK;
    for (unsigned y = 0; good && y <= surface->height; y++) {
        bool last = y == surface->height, more;
        if (!last) {
            row_to_rgb(surface, y, row + 1);
        }
        stream->next_in = row;
        stream->avail_in = last ? 0 : surface->width * 3 + 1;
        do {
            int result = deflate(stream, last ? Z_FINISH : Z_NO_FLUSH);
            more = stream->avail_out == 0 || (last && result != Z_STREAM_END);
            if (more || last) {            /* a chunk is full, or it is the end */
                good = write_chunk(fd, "IDAT", out, CHUNK - stream->avail_out, path, err);
                stream->next_out = out;
                stream->avail_out = CHUNK;
            }
        } while (good && more);
    }
    return good;
}

bool screendump_png(const Surface *surface, int fd, const char *path, GError **err)
{
    static const uint8_t signature[8] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n' };
    uint8_t header[13] = { [8] = 8, [9] = 2 };             /* bits of a channel; RGB */
    z_stream stream = { 0 };

    store_be32(header, surface->width);
    store_be32(header + 4, surface->height);
    if (deflateInit(&stream, Z_BEST_SPEED) != Z_OK) {
        return fail(err, ENOMEM, "no memory to compress '%s'", path);
    }
    bool good = write_all(fd, signature, sizeof signature, path, err) && write_chunk(fd, "IHDR", header, sizeof header, path, err) &&
                deflate_rows(surface, &stream, fd, path, err) && write_chunk(fd, "IEND", NULL, 0, path, err);
    deflateEnd(&stream);
    return good;
}
