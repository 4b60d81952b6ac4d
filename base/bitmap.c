/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bitmap.c - ranges of bits, a word at a time
 *
 * Threads  none of its own
 * Tests    tests/unit/bits.c
 */
#include "base/bitmap.h"
#include <glib.h>

/* The bits of one word that lie in [first, end), where first lies in the word. */
static uint64_t mask_in_word(size_t first, size_t end)
{
    size_t low = first % 64, count = MIN(end - first, 64 - low);

    return (count == 64 ? UINT64_MAX : (UINT64_C(1) << count) - 1) << low;
}

void bitmap_set(uint64_t *words, size_t first, size_t count)
{
    for (size_t at = first, end = first + count; at < end; at = (at / 64 + 1) * 64) {
        words[at / 64] |= mask_in_word(at, end);
    }
}

void bitmap_clear(uint64_t *words, size_t first, size_t count)
{
    for (size_t at = first, end = first + count; at < end; at = (at / 64 + 1) * 64) {
        words[at / 64] &= ~mask_in_word(at, end);
    }
}

/* invert: UINT64_MAX looks for clear bits, 0 for set ones. */
static size_t next(const uint64_t *words, size_t from, size_t size, uint64_t invert)
{
    for (size_t at = from; at < size; at = (at / 64 + 1) * 64) {
        uint64_t word = (words[at / 64] ^ invert) & mask_in_word(at, size);

        if (word) {
            return at / 64 * 64 + (size_t)__builtin_ctzll(word);
        }
    }
    return size;
}

size_t bitmap_next_set(const uint64_t *words, size_t from, size_t size)
{
    return next(words, from, size, 0);
}

size_t bitmap_next_clear(const uint64_t *words, size_t from, size_t size)
{
    return next(words, from, size, UINT64_MAX);
}

size_t bitmap_count(const uint64_t *words, size_t size)
{
    size_t count = 0;

    for (size_t at = 0; at < size; at += 64) {
        count += (size_t)__builtin_popcountll(words[at / 64] & mask_in_word(at, size));
    }
    return count;
}
