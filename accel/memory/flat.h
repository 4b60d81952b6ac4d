/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * flat.h - inside accel/memory: from the tree of regions to a flat view
 *
 * Machine lock held for rendering; flat_free() may run on any thread.
 */
#pragma once
#include "accel/memory/space.h"

/* A new view that holds a reference on every RAM block in it. */
FlatView *flat_render(const Region *root, uint64_t generation);
FlatView *flat_new_empty(void);
void flat_free(void *view);
bool flat_equal(const FlatView *a, const FlatView *b);    /* generations aside */

/* region.c tells space.c: the tree changed, outside any transaction. */
void spaces_update(void);
