/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memory-tree.c - the region tree and the view rendered from it
 *
 * The last case builds random trees and paints them, byte by byte and by the book, into an array: every byte of the
 * rendered view must agree. Views are also swapped under readers on other threads (for the thread sanitizer).
 */
#include "accel/memory/ram.h"
#include "accel/memory/region.h"
#include "accel/memory/space.h"
#include "base/epoch.h"
#include "base/lock.h"
#include <string.h>

static uint64_t read_id(void *opaque, uint64_t offset, unsigned size)
{
    (void)size;
    return ((uintptr_t)opaque << 4 | (offset & 0xf)) & 0xff;
}
static const RegionOps id_ops = { .read = read_id, .widths = WIDTH_8 };

/* "name start-last+offset[r]" for every range. */
static char *shape(AddressSpace *space)
{
    GString *text = g_string_new(NULL);
    const FlatView *view = space_view(space);
    for (size_t i = 0; i < view->count; i++) {
        const FlatRange *r = &view->ranges[i];
        g_string_append_printf(text, "%s%s %" G_GINT64_MODIFIER "x-%" G_GINT64_MODIFIER "x+%" G_GINT64_MODIFIER "x%s", i ? ", " : "",
                               r->region->name, r->start, r->start + r->size - 1, r->offset, r->readonly ? "r" : "");
    }
    return g_string_free(text, FALSE);
}

#define assert_shape(space, text) \
    do { g_autofree char *shape_ = shape(space); g_assert_cmpstr(shape_, ==, text); } while (0)

typedef struct Bed { Region root, a, b, c; AddressSpace *space; } Bed;

static void bed_up(Bed *bed, gconstpointer data)
{
    (void)data;
    machine_lock();
    region_init_container(&bed->root, "root", UINT64_MAX);
    region_init_io(&bed->a, &id_ops, (void *)1, "a", 0x100);
    region_init_io(&bed->b, &id_ops, (void *)2, "b", 0x40);
    region_init_io(&bed->c, &id_ops, (void *)3, "c", 0x10);
    bed->space = space_new("test", &bed->root);
}

static void bed_down(Bed *bed, gconstpointer data)
{
    (void)data;
    space_free(bed->space);
    region_destroy(&bed->root);
    region_destroy(&bed->a);
    region_destroy(&bed->b);
    region_destroy(&bed->c);
    machine_unlock();
}

static void empty(Bed *bed, gconstpointer data)
{
    (void)data;
    assert_shape(bed->space, "");
    g_assert_null(flat_find(space_view(bed->space), 0));
    g_assert_null(flat_find(space_view(bed->space), UINT64_MAX));
}

static void higher_priority_wins(Bed *bed, gconstpointer data)
{
    (void)data;
    region_add(&bed->root, 0x1000, &bed->a, 0);
    region_add(&bed->root, 0x1040, &bed->b, 1);
    assert_shape(bed->space, "a 1000-103f+0, b 1040-107f+0, a 1080-10ff+80");
    region_remove(&bed->b);
    region_add(&bed->root, 0x1040, &bed->b, -1);
    assert_shape(bed->space, "a 1000-10ff+0");
}

static void last_added_wins(Bed *bed, gconstpointer data)
{
    (void)data;
    region_add(&bed->root, 0x1000, &bed->b, 0);
    region_add(&bed->root, 0x1030, &bed->a, 0);
    assert_shape(bed->space, "b 1000-102f+0, a 1030-112f+0");
    region_remove(&bed->b);
    region_add(&bed->root, 0x1000, &bed->b, 0);
    assert_shape(bed->space, "b 1000-103f+0, a 1040-112f+10");
}

static void enable_and_move(Bed *bed, gconstpointer data)
{
    (void)data;
    region_add(&bed->root, 0x1000, &bed->a, 0);
    region_add(&bed->root, 0x1010, &bed->c, 1);
    region_set_enabled(&bed->c, false);
    assert_shape(bed->space, "a 1000-10ff+0");
    region_set_enabled(&bed->c, true);
    region_move(&bed->c, 0x10f8);
    assert_shape(bed->space, "a 1000-10f7+0, c 10f8-1107+0");
    region_set_enabled(&bed->root, false);
    assert_shape(bed->space, "");
}

static void children_are_clipped(Bed *bed, gconstpointer data)
{
    (void)data;
    Region box;
    region_init_container(&box, "box", 0x20);
    region_add(&box, 0x18, &bed->c, 0);
    region_add(&bed->root, 0x2000, &box, 0);
    assert_shape(bed->space, "c 2018-201f+0");
    region_destroy(&bed->root);
    g_assert_null(box.parent);
    region_destroy(&box);
}

static void aliases(Bed *bed, gconstpointer data)
{
    (void)data;
    Region alias;
    region_add(&bed->root, 0x1000, &bed->a, 0);
    region_init_alias(&alias, "alias", &bed->a, 0x20, 0x30);
    region_add(&bed->root, 0x8000, &alias, 0);
    assert_shape(bed->space, "a 1000-10ff+0, a 8000-802f+20");
    region_retarget(&alias, &bed->a, 0xf0);          /* past the end of its target: only what is there */
    assert_shape(bed->space, "a 1000-10ff+0, a 8000-800f+f0");
    region_set_readonly(&alias, true);               /* says nothing about devices */
    assert_shape(bed->space, "a 1000-10ff+0, a 8000-800f+f0");
    region_remove(&alias);
    region_destroy(&alias);
}

static void alias_loop_ends(Bed *bed, gconstpointer data)
{
    (void)data;
    Region alias;
    region_init_alias(&alias, "loop", &bed->root, 0, 0x1000);
    region_add(&bed->root, 0, &alias, 0);
    assert_shape(bed->space, "");
    region_remove(&alias);
    region_destroy(&alias);
}

static void transaction_publishes_once(Bed *bed, gconstpointer data)
{
    (void)data;
    uint64_t before = space_view(bed->space)->generation;
    region_begin();
    region_add(&bed->root, 0, &bed->a, 0);
    region_begin();
    region_add(&bed->root, 0x1000, &bed->b, 0);
    region_commit();
    assert_shape(bed->space, "");
    region_commit();
    assert_shape(bed->space, "a 0-ff+0, b 1000-103f+0");
    g_assert_cmpuint(space_view(bed->space)->generation, ==, before + 1);
    region_begin();
    region_set_enabled(&bed->a, false);
    region_set_enabled(&bed->a, true);
    region_commit();                                  /* nothing changed after all */
    g_assert_cmpuint(space_view(bed->space)->generation, ==, before + 1);
}

static void rom_and_pam(Bed *bed, gconstpointer data)
{
    (void)data;
    Region ram, shadow;
    g_assert_true(region_init_ram(&ram, "ram", 0x10000, NULL));
    region_add(&bed->root, 0, &ram, 0);
    region_init_alias(&shadow, "shadow", &ram, 0x4000, 0x1000);
    region_add(&bed->root, 0x4000, &shadow, 1);
    assert_shape(bed->space, "ram 0-ffff+0");         /* continues itself: one range */
    region_set_readonly(&shadow, true);
    assert_shape(bed->space, "ram 0-3fff+0, ram 4000-4fff+4000r, ram 5000-ffff+5000");
    region_remove(&shadow);
    region_remove(&ram);
    region_destroy(&shadow);
    region_destroy(&ram);
}

static void top_of_the_world(Bed *bed, gconstpointer data)
{
    (void)data;
    region_add(&bed->root, UINT64_MAX - 0xf, &bed->a, 0);
    const FlatRange *last = flat_find(space_view(bed->space), UINT64_MAX);
    g_assert_nonnull(last);
    g_assert_cmphex(last->start, ==, UINT64_MAX - 0xf);
    g_assert_cmpuint(last->size, ==, 16);
    g_assert_null(flat_find(space_view(bed->space), 0));
}

typedef struct Heard { unsigned calls; uint64_t old_count, new_count; } Heard;
static void hear(void *opaque, const FlatView *old_view, const FlatView *new_view)
{
    Heard *heard = opaque;
    heard->calls++;
    heard->old_count = old_view->count;
    heard->new_count = new_view->count;
}

static void listeners_hear(Bed *bed, gconstpointer data)
{
    (void)data;
    Heard heard = { 0 };
    SpaceListener listener = { hear, &heard };
    region_add(&bed->root, 0, &bed->a, 0);
    space_listen(bed->space, &listener);
    g_assert_cmpuint(heard.calls, ==, 1);
    g_assert_cmpuint(heard.old_count, ==, 0);
    g_assert_cmpuint(heard.new_count, ==, 1);
    region_add(&bed->root, 0x1000, &bed->b, 0);
    g_assert_cmpuint(heard.calls, ==, 2);
    g_assert_cmpuint(heard.old_count, ==, 1);
    g_assert_cmpuint(heard.new_count, ==, 2);
    space_unlisten(bed->space, &listener);
    region_remove(&bed->b);
    g_assert_cmpuint(heard.calls, ==, 2);
}

/* Random trees against paint ------------------------------------------------------------------------------------- */

enum { WORLD = 512, NODES = 14 };
typedef struct Painted { const Region *region; uint64_t offset; } Painted;

/* By the book: a byte belongs to the first that claims it, in the order of winning. */
static bool claim(const Region *region, int64_t at, Painted *out, unsigned depth)
{
    if (!region->enabled || depth > 16 || at < 0 || (uint64_t)at >= region->size) {
        return false;
    }
    for (guint i = 0; region->children && i < region->children->len; i++) {
        const Region *child = g_ptr_array_index(region->children, i);
        if (claim(child, at - (int64_t)child->offset, out, depth + 1)) {
            return true;
        }
    }
    if (region->kind == REGION_ALIAS) {
        return claim(region->target, at + (int64_t)region->target_offset, out, depth + 1);
    }
    if (region->kind == REGION_CONTAINER) {
        return false;
    }
    *out = (Painted){ region, (uint64_t)at };
    return true;
}

static void compare_world(AddressSpace *space, const Region *root)
{
    const FlatView *view = space_view(space);
    uint64_t end = 0;
    for (size_t i = 0; i < view->count; i++) {
        g_assert_cmpuint(view->ranges[i].start, >=, end);
        g_assert_cmpuint(view->ranges[i].size, >, 0);
        end = view->ranges[i].start + view->ranges[i].size;
    }
    for (unsigned at = 0; at < WORLD; at++) {
        Painted wanted = { 0 };
        const FlatRange *range = flat_find(view, at);
        bool claimed = claim(root, at, &wanted, 0);
        g_assert_true(claimed == (range != NULL));
        if (claimed) {
            g_assert_true(range->region == wanted.region);
            g_assert_cmpuint(range->offset + (at - range->start), ==, wanted.offset);
        }
    }
}

static void random_trees(void)
{
    machine_lock();
    for (unsigned round = 0; round < 300; round++) {
        Region nodes[NODES];
        Region root;
        region_init_container(&root, "root", WORLD);
        AddressSpace *space = space_new("random", &root);
        for (unsigned i = 0; i < NODES; i++) {
            uint64_t size = (uint64_t)g_test_rand_int_range(1, WORLD / 2);
            switch (g_test_rand_int_range(0, 3)) {
            case 0: region_init_container(&nodes[i], "container", size); break;
            case 1: region_init_io(&nodes[i], &id_ops, NULL, "io", size); break;
            default:
                if (i == 0) {
                    region_init_io(&nodes[i], &id_ops, NULL, "io", size);
                } else {
                    Region *target = &nodes[g_test_rand_int_range(0, (int)i)];
                    region_init_alias(&nodes[i], "alias", target, (uint64_t)g_test_rand_int_range(0, 40), size);
                }
            }
            /* Under the root or an earlier container; aliases under the root only, so that there is no loop. */
            Region *parent = i ? &nodes[g_test_rand_int_range(0, (int)i)] : &root;
            if (parent->kind != REGION_CONTAINER || nodes[i].kind == REGION_ALIAS || g_test_rand_int_range(0, 2)) {
                parent = &root;
            }
            region_add(parent, (uint64_t)g_test_rand_int_range(0, WORLD), &nodes[i], g_test_rand_int_range(-2, 3));
        }
        compare_world(space, &root);
        for (unsigned change = 0; change < 10; change++) {
            Region *node = &nodes[g_test_rand_int_range(0, NODES)];
            if (g_test_rand_int_range(0, 2)) {
                region_set_enabled(node, !node->enabled);
            } else {
                region_move(node, (uint64_t)g_test_rand_int_range(0, WORLD));
            }
            compare_world(space, &root);
        }
        space_free(space);
        for (unsigned i = 0; i < NODES; i++) {
            region_remove(&nodes[i]);
        }
        for (unsigned i = 0; i < NODES; i++) {
            region_destroy(&nodes[i]);
        }
        region_destroy(&root);
    }
    machine_unlock();
}

/* Readers against swaps -------------------------------------------------------------------------------------------- */

typedef struct Race { AddressSpace *space; int stop; } Race;

static void *race_reader(void *opaque)
{
    Race *race = opaque;
    uint64_t reads = 0;
    while (!__atomic_load_n(&race->stop, __ATOMIC_ACQUIRE)) {
        uint64_t value = 0;
        space_load(race->space, 0x1010, 1, &value);
        g_assert_true(value == 0x30 || value == 0x10 || value == 0xff);
        uint8_t bytes[64];
        space_read(race->space, 0x0ff8, bytes, sizeof bytes);
        reads++;
    }
    return (void *)(uintptr_t)reads;
}

static void views_swap_under_readers(void)
{
    Bed bed;
    bed_up(&bed, NULL);
    region_add(&bed.root, 0x1000, &bed.a, 0);
    region_add(&bed.root, 0x1010, &bed.c, 1);
    Race race = { bed.space, 0 };
    GThread *threads[3];
    for (unsigned i = 0; i < 3; i++) {
        threads[i] = g_thread_new("reader", race_reader, &race);
    }
    for (unsigned i = 0; i < 2000; i++) {
        region_set_enabled(&bed.c, i & 1);
        if (i % 16 == 0) {
            machine_unlock();
            g_thread_yield();
            machine_lock();
        }
    }
    __atomic_store_n(&race.stop, 1, __ATOMIC_RELEASE);
    machine_unlock();
    for (unsigned i = 0; i < 3; i++) {
        g_thread_join(threads[i]);
    }
    machine_lock();
    bed_down(&bed, NULL);
}

#define CASE(name, function) g_test_add("/memory/tree/" name, Bed, NULL, bed_up, function, bed_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    CASE("an empty space has nothing", empty);
    CASE("the higher priority wins", higher_priority_wins);
    CASE("among equals the last added wins", last_added_wins);
    CASE("enable, disable, move", enable_and_move);
    CASE("children are clipped to their container", children_are_clipped);
    CASE("aliases show a window of their target", aliases);
    CASE("an alias of its own parent ends", alias_loop_ends);
    CASE("a transaction publishes one view", transaction_publishes_once);
    CASE("a read-only alias splits RAM", rom_and_pam);
    CASE("the last byte of the address space", top_of_the_world);
    CASE("listeners hear old and new", listeners_hear);
    g_test_add_func("/memory/tree/random trees agree with paint", random_trees);
    g_test_add_func("/memory/tree/views swap under readers", views_swap_under_readers);
    return g_test_run();
}
