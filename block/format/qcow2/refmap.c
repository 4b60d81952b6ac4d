/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * refmap.c - sparse counts in pages that widen: 1, 8, 16, 64 bits
 *
 * Tests    tests/block/refmap.c
 */
#include "block/format/qcow2/refmap.h"
#include <stdlib.h>
#include <string.h>

typedef struct Page {
    uint64_t number;
    unsigned width;                        /* bits of a count: 1, 8, 16, 64 */
    uint8_t *counts;
} Page;

struct RefMap {
    GHashTable *pages;                     /* by number */
    Page *last;
    uint64_t limit, used;
    uint64_t *sorted;                      /* numbers; NULL: to be made */
    size_t sorted_count;
};

static void page_free(void *opaque)
{
    Page *page = opaque;

    g_free(page->counts);
    g_free(page);
}

RefMap *refmap_new(uint64_t limit)
{
    RefMap *map = g_new0(RefMap, 1);

    map->limit = limit;
    map->pages = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, page_free);
    return map;
}

void refmap_free(RefMap *map)
{
    if (map) {
        g_hash_table_destroy(map->pages);
        g_free(map->sorted);
        g_free(map);
    }
}

static size_t page_bytes(unsigned width)
{
    return (size_t)REFMAP_PAGE * width / 8;
}

static bool take_memory(RefMap *map, size_t bytes)
{
    if (bytes > map->limit - map->used) {
        return false;
    }
    map->used += bytes;
    return true;
}

static Page *page_find(RefMap *map, uint64_t number, bool make)
{
    Page *page = map->last;

    if (page && page->number == number) {
        return page;
    }
    page = g_hash_table_lookup(map->pages, &number);
    if (!page && make && take_memory(map, page_bytes(1) + 2 * sizeof *page)) {
        uint8_t *counts = g_try_malloc0(page_bytes(1));

        if (!counts) {
            return NULL;
        }
        page = g_new(Page, 1);
        *page = (Page){ number, 1, counts };
        g_hash_table_insert(map->pages, &page->number, page);
        g_clear_pointer(&map->sorted, g_free);
    }
    if (page) {
        map->last = page;
    }
    return page;
}

static uint64_t count_get(const Page *page, unsigned at)
{
    switch (page->width) {
    case 1:
        return page->counts[at / 8] >> at % 8 & 1;
    case 8:
        return page->counts[at];
    case 16:
        return ((const uint16_t *)(const void *)page->counts)[at];
    default:
        return ((const uint64_t *)(const void *)page->counts)[at];
    }
}

static void count_set(Page *page, unsigned at, uint64_t count)
{
    switch (page->width) {
    case 1:
        page->counts[at / 8] = (uint8_t)((page->counts[at / 8] & ~(1u << at % 8)) | (unsigned)count << at % 8);
        break;
    case 8:
        page->counts[at] = (uint8_t)count;
        break;
    case 16:
        ((uint16_t *)(void *)page->counts)[at] = (uint16_t)count;
        break;
    default:
        ((uint64_t *)(void *)page->counts)[at] = count;
    }
}

static bool widen(RefMap *map, Page *page, uint64_t count)
{
    Page wider = { page->number, count < 256 ? 8 : count < 65536 ? 16 : 64, NULL };

    if (!take_memory(map, page_bytes(wider.width) - page_bytes(page->width))) {
        return false;
    }
    wider.counts = g_try_malloc0(page_bytes(wider.width));
    if (!wider.counts) {
        return false;
    }
    for (unsigned i = 0; i < REFMAP_PAGE; i++) {
        count_set(&wider, i, count_get(page, i));
    }
    g_free(page->counts);
    *page = wider;
    return true;
}

uint64_t refmap_get(RefMap *map, uint64_t cluster)
{
    const Page *page = page_find(map, cluster >> REFMAP_PAGE_BITS, false);

    return page ? count_get(page, (unsigned)(cluster & (REFMAP_PAGE - 1))) : 0;
}

bool refmap_set(RefMap *map, uint64_t cluster, uint64_t count)
{
    Page *page = page_find(map, cluster >> REFMAP_PAGE_BITS, count != 0);

    if (!page) {
        return count == 0;
    }
    if (page->width < 64 && count >> page->width && !widen(map, page, count)) {
        return false;
    }
    count_set(page, (unsigned)(cluster & (REFMAP_PAGE - 1)), count);
    return true;
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

uint64_t refmap_next_page(RefMap *map, uint64_t page)
{
    size_t low = 0, high;

    if (!map->sorted) {
        GHashTableIter iter;
        void *number;
        size_t n = 0;

        map->sorted_count = g_hash_table_size(map->pages);
        map->sorted = g_try_new(uint64_t, map->sorted_count + 1);
        if (!map->sorted) {
            return UINT64_MAX;
        }
        g_hash_table_iter_init(&iter, map->pages);
        while (g_hash_table_iter_next(&iter, &number, NULL)) {
            map->sorted[n++] = *(uint64_t *)number;
        }
        qsort(map->sorted, n, sizeof *map->sorted, compare_numbers);
    }
    high = map->sorted_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (map->sorted[middle] < page) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < map->sorted_count ? map->sorted[low] : UINT64_MAX;
}
