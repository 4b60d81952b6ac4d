/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * region.c - the tree of guest address ranges; see region.h
 *
 * Only the tree is kept here. What a change means for readers is worked out at the end of the outermost
 * transaction: spaces_update() renders every space again and publishes those that differ.
 *
 * Threads  machine lock held for everything
 * Tests    tests/unit/memory-tree.c
 */
#include "accel/memory/flat.h"
#include "accel/memory/ram.h"
#include "base/error.h"
#include <string.h>

static unsigned transaction_depth;
static bool changed;

void region_begin(void)
{
    transaction_depth++;
}

void region_commit(void)
{
    g_return_if_fail(transaction_depth > 0);
    if (--transaction_depth == 0 && changed) {
        changed = false;
        spaces_update();
    }
}

/* Every change is a transaction of its own, or a part of the one around it. */
static void note_change(void)
{
    region_begin();
    changed = true;
    region_commit();
}

static void init(Region *region, RegionKind kind, const char *name, uint64_t size)
{
    memset(region, 0, sizeof *region);
    region->kind = kind;
    region->name = name;
    region->size = size;
    region->enabled = true;
}

void region_init_container(Region *region, const char *name, uint64_t size)
{
    init(region, REGION_CONTAINER, name, size);
}

void region_init_io(Region *region, const RegionOps *ops, void *opaque, const char *name, uint64_t size)
{
    init(region, REGION_IO, name, size);
    region->ops = ops;
    region->opaque = opaque;
}

bool region_init_ram(Region *region, const char *name, uint64_t size, GError **err)
{
    init(region, REGION_RAM, name, size);
    region->ram = ram_block_new(name, size, err);
    return region->ram != NULL;
}

bool region_init_rom(Region *region, const char *name, uint64_t size, GError **err)
{
    bool made = region_init_ram(region, name, size, err);
    region->readonly = true;
    return made;
}

void region_init_alias(Region *region, const char *name, Region *target, uint64_t target_offset, uint64_t size)
{
    init(region, REGION_ALIAS, name, size);
    region->target = target;
    region->target_offset = target_offset;
}

void region_destroy(Region *region)
{
    g_return_if_fail(!region->parent);
    while (region->children && region->children->len) {
        region_remove(g_ptr_array_index(region->children, region->children->len - 1));
    }
    g_clear_pointer(&region->children, g_ptr_array_unref);
    g_clear_pointer(&region->ram, ram_block_unref);
}

uint8_t *region_host(const Region *region)
{
    return region->ram ? region->ram->host + region->ram_offset : NULL;
}

void region_add(Region *parent, uint64_t offset, Region *child, int priority)
{
    g_return_if_fail(!child->parent);
    child->parent = parent;
    child->offset = offset;
    child->priority = priority;
    if (!parent->children) {
        parent->children = g_ptr_array_new();
    }
    guint place = 0;
    while (place < parent->children->len &&
           ((Region *)g_ptr_array_index(parent->children, place))->priority > priority) {
        place++;
    }
    g_ptr_array_insert(parent->children, (gint)place, child);
    if (child->enabled) {
        note_change();
    }
}

void region_remove(Region *child)
{
    if (!child->parent) {
        return;
    }
    g_ptr_array_remove(child->parent->children, child);
    child->parent = NULL;
    if (child->enabled) {
        note_change();
    }
}

void region_move(Region *child, uint64_t offset)
{
    if (child->offset != offset) {
        child->offset = offset;
        note_change();
    }
}

void region_set_enabled(Region *region, bool enabled)
{
    if (region->enabled != enabled) {
        region->enabled = enabled;
        note_change();
    }
}

void region_set_readonly(Region *region, bool readonly)
{
    if (region->readonly != readonly) {
        region->readonly = readonly;
        note_change();
    }
}

void region_retarget(Region *alias, Region *target, uint64_t target_offset)
{
    if (alias->target != target || alias->target_offset != target_offset) {
        alias->target = target;
        alias->target_offset = target_offset;
        note_change();
    }
}
