/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bits.c - the small ones: bitmap, iov, bytes, checked arithmetic, random bytes */
#include "base/bitmap.h"
#include "base/bytes.h"
#include "base/checked.h"
#include "base/iov.h"
#include "base/random.h"
#include <glib.h>
#include <string.h>

enum { BITS = 200 };

/* Every range of a short map, against one bool per bit. */
static void bitmap_ranges(void)
{
    for (size_t first = 0; first < BITS; first += 7) {
        for (size_t count = 0; first + count <= BITS; count += 5) {
            uint64_t set[4] = { 0 }, clear[4] = { UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX };

            bitmap_set(set, first, count);
            bitmap_clear(clear, first, count);
            for (size_t bit = 0; bit < 256; bit++) {
                bool inside = bit >= first && bit < first + count;

                g_assert_true(bitmap_test(set, bit) == inside);
                g_assert_true(bitmap_test(clear, bit) != inside);
            }
            g_assert_cmpuint(bitmap_count(set, BITS), ==, count);
            g_assert_cmpuint(bitmap_next_set(set, 0, BITS), ==, count ? first : BITS);
            g_assert_cmpuint(bitmap_next_clear(clear, 0, BITS), ==, count ? first : BITS);
            g_assert_cmpuint(bitmap_next_clear(set, first, BITS), ==, first + count);
            g_assert_cmpuint(bitmap_next_set(clear, first, BITS), ==, first + count);
        }
    }
    g_assert_cmpuint(bitmap_words(0), ==, 0);
    g_assert_cmpuint(bitmap_words(64), ==, 1);
    g_assert_cmpuint(bitmap_words(65), ==, 2);
}

static void iov_walks(void)
{
    char a[3] = "abc", b[1] = "d", c[4] = "efgh";
    struct iovec iov[] = { { a, 3 }, { NULL, 0 }, { b, 1 }, { c, 4 } }, slice[4];
    char out[10];

    g_assert_cmpuint(iov_length(iov, 4), ==, 8);
    for (size_t offset = 0; offset <= 9; offset++) {
        for (size_t length = 0; length <= 10; length++) {
            size_t expected = offset >= 8 ? 0 : MIN(length, 8 - offset);
            size_t pieces;

            memset(out, 'x', sizeof out);
            g_assert_cmpuint(iov_gather(iov, 4, offset, out, length), ==, expected);
            g_assert_true(memcmp(out, &"abcdefgh"[MIN(offset, 8)], expected) == 0);
            pieces = iov_slice(iov, 4, offset, length, slice);
            g_assert_cmpuint(iov_length(slice, pieces), ==, expected);
        }
    }
    g_assert_cmpuint(iov_scatter(iov, 4, 2, "XYZ", 3), ==, 3);
    g_assert_cmpuint(iov_fill(iov, 4, 6, '.', 100), ==, 2);
    g_assert_cmpuint(iov_gather(iov, 4, 0, out, 10), ==, 8);
    g_assert_true(memcmp(out, "abXYZf..", 8) == 0);
}

/* Windows inside windows, against plain text. */
static void iov_windows(void)
{
    char a[3] = "abc", b[1] = "d", c[4] = "efgh";
    struct iovec iov[] = { { a, 3 }, { NULL, 0 }, { b, 1 }, { c, 4 } }, plain[4];
    char out[10];

    for (size_t first = 0; first <= 9; first++) {
        for (size_t bytes = 0; bytes <= 9; bytes++) {
            for (size_t second = 0; second <= 4; second++) {
                Iov outer = iov_part(iov_all(iov, 4), first, bytes);
                Iov window = iov_part(outer, second, 3);
                size_t outer_bytes = first >= 8 ? 0 : MIN(bytes, 8 - first);
                size_t expected = second >= outer_bytes ? 0 : MIN(3, outer_bytes - second);

                g_assert_cmpuint(outer.bytes, ==, outer_bytes);
                g_assert_cmpuint(window.bytes, ==, expected);
                g_assert_cmpuint(iov_get(window, 0, out, sizeof out), ==, expected);
                g_assert_true(memcmp(out, &"abcdefgh"[MIN(first + second, 8)], expected) == 0);
                g_assert_cmpuint(iov_length(plain, iov_plain(window, plain)), ==, expected);
            }
        }
    }
    g_assert_cmpuint(iov_put(iov_part(iov_all(iov, 4), 1, 5), 1, "XYZ", 3), ==, 3);
    g_assert_cmpuint(iov_set(iov_part(iov_all(iov, 4), 4, 2), 1, '.', 100), ==, 1);
    g_assert_cmpuint(iov_get(iov_all(iov, 4), 0, out, 8), ==, 8);
    g_assert_true(memcmp(out, "abXYZ.gh", 8) == 0);
}

static void zeroes_are_seen(void)
{
    static char zeroes[300];
    struct iovec iov[] = { { zeroes, 100 }, { zeroes + 100, 200 } };

    g_assert_true(iov_is_zero(iov_all(iov, 2)));
    for (size_t i = 0; i < sizeof zeroes; i++) {
        zeroes[i] = 1;
        g_assert_false(iov_is_zero(iov_all(iov, 2)));
        g_assert_true(iov_is_zero(iov_part(iov_all(iov, 2), 0, i)));
        g_assert_true(iov_is_zero(iov_part(iov_all(iov, 2), i + 1, 300)));
        zeroes[i] = 0;
    }
}

static void iov_length_does_not_wrap(void)
{
    struct iovec iov[] = { { NULL, SIZE_MAX }, { NULL, 2 } };

    g_assert_cmpuint(iov_length(iov, 2), ==, SIZE_MAX);
}

static void byte_orders(void)
{
    uint8_t bytes[9] = { 0 };

    store_le32(bytes + 1, 0x11223344);
    g_assert_cmpuint(bytes[1], ==, 0x44);
    g_assert_cmphex(load_be32(bytes + 1), ==, 0x44332211);
    store_be64(bytes + 1, 0x0102030405060708);
    g_assert_cmpuint(bytes[1], ==, 1);
    g_assert_cmphex(load_le16(bytes + 1), ==, 0x0201);
}

static void checked(void)
{
    uint64_t n;

    g_assert_true(checked_add(UINT64_MAX - 1, 1, &n) && n == UINT64_MAX);
    g_assert_false(checked_add(UINT64_MAX, 1, &n));
    g_assert_true(checked_mul(UINT32_MAX, UINT32_MAX, &n));
    g_assert_false(checked_mul(UINT64_C(1) << 32, UINT64_C(1) << 32, &n));
    g_assert_true(range_within(0, 0, 0));
    g_assert_true(range_within(10, 0, 10));
    g_assert_false(range_within(11, 0, 10));
    g_assert_true(range_within(4, 6, 10));
    g_assert_false(range_within(4, UINT64_MAX, 10));
}

static void random_differs(void)
{
    uint8_t bytes[1000] = { 0 };
    size_t zeros = 0;

    random_bytes(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        zeros += bytes[i] == 0;
    }
    g_assert_cmpuint(zeros, <, 100);
    g_assert_true(random_u64() != random_u64());
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bits/bitmap-ranges", bitmap_ranges);
    g_test_add_func("/bits/iov-walks", iov_walks);
    g_test_add_func("/bits/iov-windows", iov_windows);
    g_test_add_func("/bits/zeroes-are-seen", zeroes_are_seen);
    g_test_add_func("/bits/iov-length-does-not-wrap", iov_length_does_not_wrap);
    g_test_add_func("/bits/byte-orders", byte_orders);
    g_test_add_func("/bits/checked", checked);
    g_test_add_func("/bits/random-differs", random_differs);
    return g_test_run();
}
