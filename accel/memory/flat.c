/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * flat.c - renders the tree of regions into a flat, immutable view
 *
 * Regions are visited from the one that wins to the one that loses (children before their parent, higher priority
 * first, last added first); each fills only the gaps that are still open. Positions are kept in 128 bits, since an
 * alias may put the start of its target below address zero.
 *
 *     tree                                 view
 *     container 0..4G
 *       ROM alias  e0000-fffff  prio 1     0-9ffff RAM | a0000-bffff IO | c0000-dffff RAM | e0000-fffff ROM | 100000- RAM
 *       VGA        a0000-bffff  prio 1
 *       RAM        0-7ffffff    prio 0
 *
 * Threads  rendering: machine lock held; a finished view is never changed
 * Tests    tests/unit/memory-tree.c (random trees against a byte array)
 */
#include "accel/memory/flat.h"
#include "accel/memory/ram.h"

typedef __int128 Wide;
enum { DEEPEST = 32 };                     /* nested containers and aliases; a loop of aliases ends here */
#define LAST_ADDRESS ((Wide)UINT64_MAX)

/* What is being rendered: inclusive bounds, so that 2^64 needs no special case. */
typedef struct Span { Wide first, last; } Span;

static void insert(GArray *ranges, guint at, const Region *region, Wide base, Span span, bool readonly)
{
    FlatRange range = {
        .start = (uint64_t)span.first,
        .size = (uint64_t)MIN(span.last - span.first + 1, LAST_ADDRESS),
        .region = (Region *)region,
        .offset = (uint64_t)(span.first - base),
        .readonly = region->kind == REGION_RAM && readonly,
    };
    if (region->kind == REGION_RAM) {
        range.ram = region->ram;
        range.ram_offset = region->ram_offset + range.offset;
        range.host = region->ram->host + range.ram_offset;
    }
    g_array_insert_val(ranges, at, range);
}

/* Adds the parts of span that nobody claimed before. */
static void fill_gaps(GArray *ranges, const Region *region, Wide base, Span span, bool readonly)
{
    for (guint i = 0; i < ranges->len && span.first <= span.last; i++) {
        const FlatRange *claimed = &g_array_index(ranges, FlatRange, i);
        Wide claimed_first = claimed->start, claimed_last = claimed_first + (claimed->size - 1);
        if (claimed_last < span.first) {
            continue;
        }
        if (claimed_first > span.last) {
            insert(ranges, i, region, base, span, readonly);
            return;
        }
        if (claimed_first > span.first) {
            insert(ranges, i, region, base, (Span){ span.first, claimed_first - 1 }, readonly);
            i++;
        }
        span.first = claimed_last + 1;
    }
    if (span.first <= span.last) {
        insert(ranges, ranges->len, region, base, span, readonly);
    }
}

static void render(GArray *ranges, const Region *region, Wide base, Span clip, bool readonly, unsigned depth)
{
    if (!region || !region->enabled || region->size == 0 || depth > DEEPEST) {
        return;
    }
    Wide last = base + (region->size == UINT64_MAX ? LAST_ADDRESS : (Wide)region->size - 1);
    Span span = { MAX(base, clip.first), MIN(last, clip.last) };
    if (span.first > span.last) {
        return;
    }
    readonly |= region->readonly;
    for (guint i = 0; region->children && i < region->children->len; i++) {
        const Region *child = g_ptr_array_index(region->children, i);
        render(ranges, child, base + child->offset, span, readonly, depth + 1);
    }
    if (region->kind == REGION_ALIAS) {
        render(ranges, region->target, base - (Wide)region->target_offset, span, readonly, depth + 1);
    } else if (region->kind != REGION_CONTAINER) {
        fill_gaps(ranges, region, base, span, readonly);
    }
}

static bool continues(const FlatRange *a, const FlatRange *b)
{
    return a->region == b->region && a->start + a->size == b->start && a->offset + a->size == b->offset &&
           a->readonly == b->readonly;
}

FlatView *flat_render(const Region *root, uint64_t generation)
{
    g_autoptr(GArray) ranges = g_array_new(FALSE, FALSE, sizeof(FlatRange));
    render(ranges, root, 0, (Span){ 0, LAST_ADDRESS }, false, 0);

    FlatView *view = g_malloc(sizeof *view + ranges->len * sizeof(FlatRange));
    view->count = 0;
    view->generation = generation;
    for (guint i = 0; i < ranges->len; i++) {
        const FlatRange *range = &g_array_index(ranges, FlatRange, i);
        if (view->count && continues(&view->ranges[view->count - 1], range)) {
            view->ranges[view->count - 1].size += range->size;
        } else {
            view->ranges[view->count++] = *range;
        }
    }
    for (size_t i = 0; i < view->count; i++) {
        if (view->ranges[i].ram) {
            ram_block_ref(view->ranges[i].ram);
        }
    }
    return view;
}

FlatView *flat_new_empty(void)
{
    return g_new0(FlatView, 1);
}

void flat_free(void *opaque)
{
    FlatView *view = opaque;
    for (size_t i = 0; i < view->count; i++) {
        g_clear_pointer(&view->ranges[i].ram, ram_block_unref);
    }
    g_free(view);
}

bool flat_equal(const FlatView *a, const FlatView *b)
{
    if (a->count != b->count) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        const FlatRange *one = &a->ranges[i], *two = &b->ranges[i];
        if (one->start != two->start || one->size != two->size || one->region != two->region || one->offset != two->offset ||
            one->readonly != two->readonly || one->host != two->host) {
            return false;
        }
    }
    return true;
}

const FlatRange *flat_find(const FlatView *view, uint64_t address)
{
    size_t low = 0, high = view->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (view->ranges[middle].start <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == 0 || address - view->ranges[low - 1].start >= view->ranges[low - 1].size) {
        return NULL;
    }
    return &view->ranges[low - 1];
}
