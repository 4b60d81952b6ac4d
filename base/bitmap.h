/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bitmap.h - many bits in an array of 64-bit words, bit n in word n / 64
 *
 * Not atomic: the caller's lock guards the words.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline size_t bitmap_words(size_t bits) { return bits / 64 + (bits % 64 != 0); }
static inline bool bitmap_test(const uint64_t *words, size_t bit) { return words[bit / 64] >> (bit % 64) & 1; }

void bitmap_set(uint64_t *words, size_t first, size_t count);
void bitmap_clear(uint64_t *words, size_t first, size_t count);
/* The first set (clear) bit at or after from; size when there is none. */
size_t bitmap_next_set(const uint64_t *words, size_t from, size_t size);
size_t bitmap_next_clear(const uint64_t *words, size_t from, size_t size);
size_t bitmap_count(const uint64_t *words, size_t size);   /* set bits in [0, size) */
