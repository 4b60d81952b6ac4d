/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * jit-audit.c - a second book of what the flat tables may hold
 *
 * Each fill and each flush gets a number. An entry may stand while no flush that concerns it came later than its fill: that rule, written down
 * here once more and by other means than flat.c's logs, is what the tables are compared with.
 *
 * Models   Intel SDM volume 3, 4.10.4: what INVLPG and loading CR3 invalidate; one INVLPG does for all of a large page
 * Tests    tests/cpu/check.c
 */
#include "accel/soft/jit-check.h"
#include "accel/soft/mmu.h"
#include "accel/soft/walk.h"
#include "base/log.h"
#include <glib.h>
#include <inttypes.h>

enum {
    REPORTS = 16,
    BETWEEN = 4096,                        /* blocks from one look at everything to the next */
    BOOK_LIMIT = 1 << 17,                  /* entries in each table; then everything is flushed and the book begins anew */
};

typedef struct Fill { uint64_t index, number; intptr_t delta; bool global; uint8_t shift; } Fill;

struct JitAudit {
    GHashTable *fills;                     /* by index: Fill, the latest */
    GHashTable *pages;                     /* flushes of single pages: region_key() -> number */
    uint64_t number, all, local;           /* the last of each kind */
    unsigned quiet;
    uint64_t filled, flushed, looked, differences;
};

JitAudit *audit_new(void)
{
    JitAudit *audit = g_new0(JitAudit, 1);

    audit->fills = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    audit->pages = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
    return audit;
}

void audit_free(JitAudit *audit)
{
    g_hash_table_unref(audit->fills);
    g_hash_table_unref(audit->pages);
    g_free(audit);
}

uint64_t audit_differences(const JitAudit *audit) { return audit->differences; }

char *audit_describe(const JitAudit *audit)
{
    return g_strdup_printf("; audit: %" PRIu64 " differences, %" PRIu64 " fills, %" PRIu64 " flushes, %" PRIu64 " entries looked at", audit->differences, audit->filled,
                           audit->flushed, audit->looked);
}

static void differs(JitAudit *audit, const Fill *fill, const char *what)
{
    if (++audit->differences <= REPORTS) {
        report_error("audit: the page at %" PRIx64 " (%s, filled as number %" PRIu64 " of %" PRIu64 "): %s", flat_linear(fill->index), fill->global ? "global" : "not global",
                     fill->number, audit->number, what);
    }
}

/* A page, and the large pages it may be part of. */
static uint64_t region_key(uint64_t linear, unsigned shift) { return linear >> shift << 6 | shift; }

static uint64_t flush_of(const JitAudit *audit, uint64_t linear, unsigned shift)
{
    uint64_t key = region_key(linear, shift), *number = g_hash_table_lookup(audit->pages, &key);

    return number ? *number : 0;
}

static bool may_stand(const JitAudit *audit, const Fill *fill)
{
    uint64_t linear = flat_linear(fill->index);

    return fill->number > audit->all && (fill->global || fill->number > audit->local) && fill->number > flush_of(audit, linear, 12) &&
           (fill->shift == 12 || fill->number > flush_of(audit, linear, fill->shift));
}

/* Entries that are gone early are nobody's loss. */
static void look_at(SoftCpu *cpu, const Fill *fill)
{
    JitAudit *audit = cpu->jit.audit;
    intptr_t read = flat_read_table(cpu)[fill->index], write = flat_write_table(cpu)[fill->index];

    audit->looked++;
    if ((read || write) && !may_stand(audit, fill)) {
        differs(audit, fill, "was flushed and is still there");
    } else if ((read && read != fill->delta) || (write && write != fill->delta)) {
        differs(audit, fill, "leads elsewhere than it did");
    } else if (write && !read) {
        differs(audit, fill, "may be written but not read");
    }
}

/* Those that may not stand any more are looked at once, and forgotten. */
static void look_at_all(SoftCpu *cpu)
{
    JitAudit *audit = cpu->jit.audit;
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, audit->fills);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        look_at(cpu, value);
        if (!may_stand(audit, value)) {
            g_hash_table_iter_remove(&iter);
        }
    }
}

void audit_filled(SoftCpu *cpu, const FlatFill *entry, unsigned shift)
{
    JitAudit *audit = cpu->jit.audit;
    Fill *fill = g_new(Fill, 1);
    Walk walk;

    *fill = (Fill){ .index = flat_index(entry->linear), .number = ++audit->number, .delta = flat_read_table(cpu)[flat_index(entry->linear)],
                    .global = entry->global, .shift = (uint8_t)shift };
    audit->filled++;
    if (!walk_peek(cpu, entry->linear, &walk)) {
        differs(audit, fill, "is not in the guest's tables");
    } else if (entry->write && !walk.writable) {
        differs(audit, fill, "may be written, by the guest's tables it may not");
    } else if (cpu->cpl == 3 && !walk.user) {
        differs(audit, fill, "belongs to the supervisor");
    }
    g_hash_table_replace(audit->fills, &fill->index, fill);
    if (g_hash_table_size(audit->fills) > BOOK_LIMIT) {
        tlb_flush_all(cpu);
    }
}

static void look_at_page(SoftCpu *cpu, uint64_t linear)
{
    uint64_t index = flat_index(linear);
    const Fill *fill = g_hash_table_lookup(cpu->jit.audit->fills, &index);

    if (fill) {
        look_at(cpu, fill);
    }
}

static void note_page(JitAudit *audit, uint64_t linear, unsigned shift)
{
    uint64_t key = region_key(linear, shift);

    g_hash_table_replace(audit->pages, g_memdup2(&key, sizeof key), g_memdup2(&audit->number, sizeof audit->number));
}

void audit_flushed(SoftCpu *cpu, unsigned what, uint64_t linear)
{
    JitAudit *audit = cpu->jit.audit;

    audit->number++;
    audit->flushed++;
    if (what == AUDIT_PAGE) {
        static const unsigned shifts[] = { 12, 21, 22, 30 };

        for (unsigned i = 0; i < G_N_ELEMENTS(shifts); i++) {
            note_page(audit, linear, shifts[i]);
        }
        look_at_page(cpu, linear);         /* there are too many of these to look at everything */
        if (g_hash_table_size(audit->pages) > BOOK_LIMIT) {
            tlb_flush_all(cpu);
        }
        return;
    }
    audit->local = audit->number;
    audit->all = what == AUDIT_ALL ? audit->number : audit->all;
    look_at_all(cpu);
    if (what == AUDIT_ALL) {
        g_hash_table_remove_all(audit->pages);
    }
}

void audit_now_and_then(SoftCpu *cpu)
{
    if (++cpu->jit.audit->quiet >= BETWEEN) {
        cpu->jit.audit->quiet = 0;
        look_at_all(cpu);
    }
}
