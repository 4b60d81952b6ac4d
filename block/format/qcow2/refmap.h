/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * refmap.h - how often each cluster of an image file is referred to, as check counts it
 *
 * A sound image refers once to nearly all of its clusters, so pages of counts begin at one bit each and widen where more is counted:
 * 2 MiB for an image of 1 TiB. Clusters that nothing refers to cost nothing, wherever they are.
 */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

enum { REFMAP_PAGE_BITS = 12, REFMAP_PAGE = 1 << REFMAP_PAGE_BITS };   /* clusters */

typedef struct RefMap RefMap;
RefMap *refmap_new(uint64_t limit);        /* bytes of memory that it may take */
void refmap_free(RefMap *map);             /* NULL is ignored */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RefMap, refmap_free)
uint64_t refmap_get(RefMap *map, uint64_t cluster);
bool refmap_set(RefMap *map, uint64_t cluster, uint64_t count);        /* false: beyond the limit */
/* The first page at or after `page` that was ever set; UINT64_MAX: none. Setting in a page not set before makes this slow once. */
uint64_t refmap_next_page(RefMap *map, uint64_t page);
