/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ringbuf.c - keeps the last bytes in memory, for whoever asks over QMP
 *
 * Tests    tests/unit/chardev.c
 */
#include "base/char/backend.h"
#include "base/error.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { RINGBUF_PRESET = 64 * 1024, RINGBUF_MOST = 64 * 1024 * 1024 };

typedef struct Ringbuf {
    Chardev chardev;
    uint64_t size;
    uint8_t *bytes;
    uint64_t produced, consumed;           /* positions since the start; produced - consumed <= size */
} Ringbuf;

static bool ringbuf_open(Chardev *chardev, GError **err)
{
    Ringbuf *ring = (Ringbuf *)chardev;

    if (ring->size == 0 || (ring->size & (ring->size - 1)) || ring->size > RINGBUF_MOST) {
        return fail(err, EINVAL, "chardev '%s': size=%" PRIu64 ": a ringbuf's size is a power of two up to 64M",
                    chardev->id, ring->size);
    }
    ring->bytes = g_try_malloc(ring->size);
    if (!ring->bytes) {
        return fail(err, ENOMEM, "chardev '%s': no memory for a ring of %" PRIu64 " bytes", chardev->id, ring->size);
    }
    chardev->open = true;
    return true;
}

static void ringbuf_close(Chardev *chardev)
{
    g_free(((Ringbuf *)chardev)->bytes);
}

static size_t ringbuf_write(Chardev *chardev, const uint8_t *data, size_t length)
{
    Ringbuf *ring = (Ringbuf *)chardev;

    for (size_t i = 0; i < length; i++) {
        ring->bytes[ring->produced++ & (ring->size - 1)] = data[i];
    }
    if (ring->produced - ring->consumed > ring->size) {
        ring->consumed = ring->produced - ring->size;
    }
    return length;
}

size_t chardev_ringbuf_read(Chardev *chardev, uint8_t *out, size_t length)
{
    Ringbuf *ring = (Ringbuf *)chardev;
    size_t done = 0;

    if (chardev->backend != &ringbuf_backend) {
        return 0;
    }
    while (done < length && ring->consumed < ring->produced) {
        out[done++] = ring->bytes[ring->consumed++ & (ring->size - 1)];
    }
    return done;
}

static const Field ringbuf_keys[] = {
    PROP_SIZE("size", Ringbuf, size, RINGBUF_PRESET, .help = "bytes kept, a power of two"),
    FIELD_END };

const ChardevBackend ringbuf_backend = {
    .name = "ringbuf", .help = "keeps the last bytes in memory", .size = sizeof(Ringbuf), .keys = ringbuf_keys,
    .open = ringbuf_open, .close = ringbuf_close, .write = ringbuf_write,
};
