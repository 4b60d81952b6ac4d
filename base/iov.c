/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * iov.c - one walk over pieces, and what is done at each of them
 *
 * Threads  none of its own
 * Tests    tests/unit/bits.c
 */
#include "base/iov.h"
#include "base/checked.h"
#include <glib.h>
#include <string.h>

size_t iov_length(const struct iovec *iov, size_t count)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < count; i++) {
        if (!checked_add(sum, iov[i].iov_len, &sum)) {
            return SIZE_MAX;
        }
    }
    return sum;
}

/* The part of a piece that lies behind *offset, at most *left bytes of it; moves both on. */
static struct iovec next_part(const struct iovec *piece, size_t *offset, size_t *left)
{
    size_t skip = MIN(*offset, piece->iov_len);
    size_t length = MIN(piece->iov_len - skip, *left);

    *offset -= skip;
    *left -= length;
    return (struct iovec){ length ? (char *)piece->iov_base + skip : NULL, length };
}

size_t iov_gather(const struct iovec *iov, size_t count, size_t offset, void *out, size_t length)
{
    size_t left = length;

    for (size_t i = 0; i < count && left > 0; i++) {
        size_t at = length - left;
        struct iovec part = next_part(&iov[i], &offset, &left);

        if (part.iov_len) {
            memcpy((char *)out + at, part.iov_base, part.iov_len);
        }
    }
    return length - left;
}

size_t iov_scatter(const struct iovec *iov, size_t count, size_t offset, const void *in, size_t length)
{
    size_t left = length;

    for (size_t i = 0; i < count && left > 0; i++) {
        size_t at = length - left;
        struct iovec part = next_part(&iov[i], &offset, &left);

        if (part.iov_len) {
            memcpy(part.iov_base, (const char *)in + at, part.iov_len);
        }
    }
    return length - left;
}

size_t iov_fill(const struct iovec *iov, size_t count, size_t offset, int byte, size_t length)
{
    size_t left = length;

    for (size_t i = 0; i < count && left > 0; i++) {
        struct iovec part = next_part(&iov[i], &offset, &left);

        if (part.iov_len) {
            memset(part.iov_base, byte, part.iov_len);
        }
    }
    return length - left;
}

size_t iov_slice(const struct iovec *iov, size_t count, size_t offset, size_t length, struct iovec *out)
{
    size_t pieces = 0;

    for (size_t i = 0; i < count && length > 0; i++) {
        struct iovec part = next_part(&iov[i], &offset, &length);

        if (part.iov_len) {
            out[pieces++] = part;
        }
    }
    return pieces;
}
