/* SPDX-License-Identifier: GPL-2.0-or-later */
/* refmap.c - sparse counts against an array; pages that widen; the limit */
#include "block/format/qcow2/refmap.h"

static void against_an_array(void)
{
    enum { CLUSTERS = 5 * REFMAP_PAGE };
    g_autoptr(RefMap) map = refmap_new(1 << 20);
    g_autofree uint64_t *array = g_new0(uint64_t, CLUSTERS);
    g_autoptr(GRand) random = g_rand_new_with_seed(7);

    for (int i = 0; i < 100000; i++) {
        uint64_t cluster = (uint64_t)g_rand_int_range(random, 0, CLUSTERS);
        uint64_t count = g_rand_int(random) >> g_rand_int_range(random, 0, 32);

        count = g_rand_int_range(random, 0, 1000) ? count & 1 : count * 3;
        g_assert_true(refmap_set(map, cluster, count));
        array[cluster] = count;
    }
    for (uint64_t i = 0; i < CLUSTERS; i++) {
        g_assert_cmpuint(refmap_get(map, i), ==, array[i]);
    }
}

static void far_apart(void)
{
    g_autoptr(RefMap) map = refmap_new(1 << 20);

    g_assert_true(refmap_set(map, UINT64_MAX / 2, 1) && refmap_set(map, 3, 70000) && refmap_set(map, 1ULL << 40, UINT64_MAX));
    g_assert_cmpuint(refmap_get(map, UINT64_MAX / 2), ==, 1);
    g_assert_cmpuint(refmap_get(map, UINT64_MAX / 2 - 1), ==, 0);
    g_assert_cmpuint(refmap_get(map, 3), ==, 70000);
    g_assert_cmpuint(refmap_get(map, 1ULL << 40), ==, UINT64_MAX);
    g_assert_cmpuint(refmap_next_page(map, 0), ==, 0);
    g_assert_cmpuint(refmap_next_page(map, 1), ==, 1ULL << 40 >> REFMAP_PAGE_BITS);
    g_assert_cmpuint(refmap_next_page(map, UINT64_MAX / 2), ==, UINT64_MAX);
}

static void limit(void)
{
    g_autoptr(RefMap) map = refmap_new(4096);
    unsigned pages = 0;

    while (refmap_set(map, (uint64_t)pages << REFMAP_PAGE_BITS, 1)) {
        pages++;
        g_assert_cmpuint(pages, <, 100);
    }
    g_assert_cmpuint(pages, >, 1);
    g_assert_false(refmap_set(map, 0, 1000));
    g_assert_cmpuint(refmap_get(map, 0), ==, 1);
    g_assert_true(refmap_set(map, (uint64_t)1000 << REFMAP_PAGE_BITS, 0));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/refmap/array", against_an_array);
    g_test_add_func("/refmap/far-apart", far_apart);
    g_test_add_func("/refmap/limit", limit);
    return g_test_run();
}
