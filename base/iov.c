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

/* ---- windows ---- */

Iov iov_part(Iov window, size_t offset, size_t bytes)
{
    offset = MIN(offset, window.bytes);
    window.bytes = MIN(bytes, window.bytes - offset);
    window.skip += offset;                 /* both lie in the pieces, whose sum does not wrap */
    while (window.count > 0 && window.skip >= window.iov->iov_len) {
        window.skip -= window.iov->iov_len;
        window.iov++;
        window.count--;
    }
    return window;
}

size_t iov_get(Iov window, size_t offset, void *out, size_t length)
{
    window = iov_part(window, offset, length);
    return iov_gather(window.iov, window.count, window.skip, out, window.bytes);
}

size_t iov_put(Iov window, size_t offset, const void *in, size_t length)
{
    window = iov_part(window, offset, length);
    return iov_scatter(window.iov, window.count, window.skip, in, window.bytes);
}

size_t iov_set(Iov window, size_t offset, int byte, size_t length)
{
    window = iov_part(window, offset, length);
    return iov_fill(window.iov, window.count, window.skip, byte, window.bytes);
}

size_t iov_plain(Iov window, struct iovec *out)
{
    return iov_slice(window.iov, window.count, window.skip, window.bytes, out);
}

bool memory_is_zero(const void *memory, size_t length)
{
    const char *at = memory;
    uint64_t words[8];

    while (length >= sizeof words) {
        uint64_t any = 0;

        memcpy(words, at, sizeof words);
        for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
            any |= words[i];
        }
        if (any) {
            return false;
        }
        at += sizeof words;
        length -= sizeof words;
    }
    while (length > 0 && *at == 0) {
        at++;
        length--;
    }
    return length == 0;
}

bool iov_is_zero(Iov window)
{
    size_t offset = window.skip, left = window.bytes;

    for (size_t i = 0; i < window.count && left > 0; i++) {
        struct iovec part = next_part(&window.iov[i], &offset, &left);

        if (!memory_is_zero(part.iov_base, part.iov_len)) {
            return false;
        }
    }
    return true;
}
