/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * iov.h - bytes that lie in several pieces
 *
 * Offsets and lengths beyond the end are cut, never followed.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

size_t iov_length(const struct iovec *iov, size_t count);              /* SIZE_MAX when the sum would wrap */
/* From the pieces into out, from out into the pieces, and one byte into all of it; how many bytes were there to move. */
size_t iov_gather(const struct iovec *iov, size_t count, size_t offset, void *out, size_t length);
size_t iov_scatter(const struct iovec *iov, size_t count, size_t offset, const void *in, size_t length);
size_t iov_fill(const struct iovec *iov, size_t count, size_t offset, int byte, size_t length);
/* The pieces of [offset, offset + length) into out, which has room for count; returns their number. */
size_t iov_slice(const struct iovec *iov, size_t count, size_t offset, size_t length, struct iovec *out);

/* A window on such pieces, passed by value: `bytes` bytes that begin `skip` bytes into iov. The pieces stay the caller's. */
typedef struct Iov {
    const struct iovec *iov;
    size_t count;
    size_t skip;
    size_t bytes;
} Iov;
/* All of the pieces. Their sum must not wrap (iov_length() says SIZE_MAX then: refuse before). */
static inline Iov iov_all(const struct iovec *iov, size_t count) { return (Iov){ iov, count, 0, iov_length(iov, count) }; }
/* The part [offset, offset + bytes) of a window, cut at its end. */
Iov iov_part(Iov window, size_t offset, size_t bytes);
size_t iov_get(Iov window, size_t offset, void *out, size_t length);
size_t iov_put(Iov window, size_t offset, const void *in, size_t length);
size_t iov_set(Iov window, size_t offset, int byte, size_t length);
/* The pieces without the skip, for a system call: out has room for window.count; returns their number. */
size_t iov_plain(Iov window, struct iovec *out);
bool iov_is_zero(Iov window);
bool memory_is_zero(const void *memory, size_t length);
