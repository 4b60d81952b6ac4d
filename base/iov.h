/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * iov.h - bytes that lie in several pieces
 *
 * Offsets and lengths beyond the end are cut, never followed.
 */
#pragma once
#include <stddef.h>
#include <sys/uio.h>

size_t iov_length(const struct iovec *iov, size_t count);              /* SIZE_MAX when the sum would wrap */
/* From the pieces into out, from out into the pieces, and one byte into all of it; how many bytes were there to move. */
size_t iov_gather(const struct iovec *iov, size_t count, size_t offset, void *out, size_t length);
size_t iov_scatter(const struct iovec *iov, size_t count, size_t offset, const void *in, size_t length);
size_t iov_fill(const struct iovec *iov, size_t count, size_t offset, int byte, size_t length);
/* The pieces of [offset, offset + length) into out, which has room for count; returns their number. */
size_t iov_slice(const struct iovec *iov, size_t count, size_t offset, size_t length, struct iovec *out);
