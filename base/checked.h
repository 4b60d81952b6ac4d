/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * checked.h - arithmetic on numbers that a guest, an image or a peer chose
 *
 * Each returns true and stores the result, or returns false where it would wrap.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

static inline bool checked_add(uint64_t a, uint64_t b, uint64_t *sum)
{
    return !__builtin_add_overflow(a, b, sum);
}

static inline bool checked_mul(uint64_t a, uint64_t b, uint64_t *product)
{
    return !__builtin_mul_overflow(a, b, product);
}

/* True when [offset, offset + length) lies inside [0, size); a zero length lies at offset <= size. */
static inline bool range_within(uint64_t offset, uint64_t length, uint64_t size)
{
    return offset <= size && length <= size - offset;
}
