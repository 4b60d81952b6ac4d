/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mappings.c - all that a processor's page tables map, as stretches that are whole in both address spaces
 *
 * Hostile  tables that refer to themselves map the same page a million times: the walk ends after TABLES_MOST tables or MAPPINGS_MOST stretches
 * Threads  main loop, machine lock held
 * Tests    tests/qmp/dump.py
 */
#include "base/error.h"
#include "monitor/memory.h"
#include <errno.h>
#include <string.h>

enum { TABLES_MOST = 1 << 14, TABLE_BYTES = 4096, ENTRY_PRESENT = 1, ENTRY_LARGE = 0x80 };
#define ENTRY_FRAME UINT64_C(0x000ffffffffff000)

typedef struct Walk {
    Machine *machine;
    GArray *out;                           /* of Mapping */
    unsigned tables;
    bool wide;                             /* entries of eight bytes */
    int largest;                           /* level of the largest pages */
    unsigned sign;                         /* the highest bit of an address, which all above repeat; 0: there are none above */
} Walk;

static bool map(Walk *walk, uint64_t linear, uint64_t physical, uint64_t length)
{
    Mapping *last = walk->out->len ? &g_array_index(walk->out, Mapping, walk->out->len - 1) : NULL;

    if (walk->sign && linear >> walk->sign & 1) {
        linear |= UINT64_MAX << walk->sign;
    }
    if (last && last->linear + last->length == linear && last->physical + last->length == physical) {
        last->length += length;
        return true;
    }
    Mapping mapping = { linear, physical, length };
    g_array_append_val(walk->out, mapping);
    return walk->out->len <= MAPPINGS_MOST;
}

/* level 1: a table of pages. count: entries that the table has. */
static bool walk_table(Walk *walk, uint64_t table, int level, uint64_t linear, unsigned count)
{
    uint8_t bytes[TABLE_BYTES];
    unsigned size = walk->wide ? 8 : 4, shift = 12 + (walk->wide ? 9 : 10) * (unsigned)(level - 1);

    if (++walk->tables > TABLES_MOST) {
        return false;
    }
    if (!monitor_read_physical(walk->machine, table, bytes, (size_t)count * size)) {
        return true;                       /* a table where no memory is maps nothing */
    }
    for (unsigned i = 0; i < count; i++) {
        uint64_t entry = 0, at = linear + ((uint64_t)i << shift);
        memcpy(&entry, bytes + i * size, size);
        bool leaf = level == 1 || ((entry & ENTRY_LARGE) && level <= walk->largest);
        uint64_t frame = (walk->wide ? entry & ENTRY_FRAME : entry & 0xfffff000) & (leaf ? ~((UINT64_C(1) << shift) - 1) : UINT64_MAX);
        if (leaf && level == 2 && !walk->wide) {
            frame = (entry & 0xffc00000) | (entry & 0x1fe000) << 19;
        }
        bool goes_on = !(entry & ENTRY_PRESENT) ? true : leaf ? map(walk, at, frame, UINT64_C(1) << shift)
                                                              : walk_table(walk, frame, level - 1, at, TABLE_BYTES / size);
        if (!goes_on) {
            return false;
        }
    }
    return true;
}

bool monitor_mappings(Machine *machine, const CpuState *state, GArray *out, GError **err)
{
    PagingMode mode = monitor_paging(state);
    Walk walk = { .machine = machine, .out = out, .wide = mode != PAGING_32,
                  .largest = mode >= PAGING_4_LEVELS ? 3 : mode == PAGING_PAE || monitor_has_large_pages(state) ? 2 : 1,
                  .sign = mode == PAGING_4_LEVELS ? 47 : mode == PAGING_5_LEVELS ? 56 : 0 };
    bool done = mode == PAGING_OFF         ? true
              : mode == PAGING_32          ? walk_table(&walk, state->cr3 & 0xfffff000, 2, 0, 1024)
              : mode == PAGING_PAE         ? walk_table(&walk, state->cr3 & 0xffffffe0, 3, 0, 4)
                                           : walk_table(&walk, state->cr3 & ENTRY_FRAME, mode == PAGING_5_LEVELS ? 5 : 4, 0, 512);

    return done || fail(err, E2BIG, "dump: the guest's page tables map more than %d stretches, or have more than %d tables; dump with paging=false",
                        MAPPINGS_MOST, TABLES_MOST);
}
