/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * paging.c - page walks against an independent oracle: every combination of entry bits, mode bits and access
 *
 * The oracle is written from the manual's rules for one address at a time and knows nothing of the walker's structure: it is told
 * the entries' bits and answers with the fault, the accessed and the dirty bits that must come of it.
 */
#include "tests/cpu/bare.h"
#include <inttypes.h>

enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80, G = 0x100 };
#define NX (UINT64_C(1) << 63)

/* A way to map LINEAR: entries from the top down at these physical addresses, and which bit is reserved in each. */
typedef struct Shape {
    const char *name;
    bool wide, long_mode, pae;
    unsigned levels;                       /* entries that have rights (a PAE pointer has none) */
    uint64_t reserved[4];                  /* 0: the level has no reserved bit */
    bool large;                            /* the last entry maps a large page */
} Shape;

enum { TOP = 0x10000, STEP = 0x1000, DATA = 0x800000, RAM_BYTES = 16 << 20 };
#define BEYOND (UINT64_C(1) << 46)

static const Shape shapes[] = {
    { "32-bit 4K", false, false, false, 2, { 0, 0 }, false },
    { "32-bit 4M", false, false, false, 1, { 0x200000 }, true },
    { "PAE 4K", true, false, true, 2, { BEYOND, UINT64_C(1) << 52 }, false },
    { "PAE 2M", true, false, true, 1, { 0x2000 }, true },
    { "4-level 4K", true, true, true, 4, { PS, BEYOND, BEYOND << 1, BEYOND }, false },
    { "4-level 2M", true, true, true, 3, { PS, BEYOND, 0x100000 }, true },
    { "4-level 1G", true, true, true, 2, { PS, 0x20000000 }, true },
};

typedef struct Env { bool user, wp, smep, smap, ac, nxe; } Env;
typedef enum { READ, WRITE, FETCH } Kind;

/* What must happen. */
typedef struct Verdict { bool fault; uint32_t error; } Verdict;

static uint64_t linear_of(const Shape *shape)
{
    return shape->long_mode ? UINT64_C(0x0000123456789000) & ~UINT64_C(0x3fffffff) : 0x40000000;
}

/* SDM volume 3, 4.6 and 4.7, by the letter. */
static Verdict oracle(const Shape *shape, const uint64_t *bits, Env env, Kind kind)
{
    uint32_t code = (kind == WRITE ? 2 : 0) | (env.user ? 4 : 0);
    bool user_page = true, write_page = true, no_execute = false, refused = false;

    if (kind == FETCH && (env.smep || (shape->pae && env.nxe))) {
        code |= 16;
    }
    for (unsigned i = 0; i < shape->levels; i++) {
        if (!(bits[i] & P)) {
            return (Verdict){ true, code };
        }
        if ((bits[i] & shape->reserved[i]) || (shape->wide && !env.nxe && bits[i] & NX)) {
            return (Verdict){ true, code | 9 };
        }
        user_page &= (bits[i] & U) != 0;
        write_page &= (bits[i] & W) != 0;
        no_execute |= (bits[i] & NX) != 0;
    }
    switch (kind) {
    case READ:
        refused = env.user ? !user_page : user_page && env.smap && !env.ac;
        break;
    case WRITE:
        refused = env.user ? !user_page || !write_page
                           : (user_page && env.smap && !env.ac) || (!write_page && env.wp);
        break;
    case FETCH:
        refused = no_execute || (env.user ? !user_page : user_page && env.smep);
        break;
    }
    return refused ? (Verdict){ true, code | 1 } : (Verdict){ false, 0 };
}

static void put_entry(Bare *bare, const Shape *shape, uint64_t address, uint64_t entry)
{
    if (shape->wide) {
        bare_put64(bare, address, entry);
    } else {
        bare_put32(bare, address, (uint32_t)entry);
    }
}

static uint64_t get_entry(Bare *bare, const Shape *shape, uint64_t address)
{
    return shape->wide ? bare_get64(bare, address) : bare_get32(bare, address);
}

static uint64_t entry_address(const Shape *shape, unsigned level)
{
    uint64_t linear = linear_of(shape);
    unsigned bits = shape->wide ? 9 : 10, size = shape->wide ? 8 : 4;
    unsigned below = (shape->long_mode ? 4 : 2) - 1 - level;

    return TOP + level * STEP + (linear >> (12 + bits * below) & ((1u << bits) - 1)) * size;
}

static void build(Bare *bare, const Shape *shape, const uint64_t *bits)
{
    for (unsigned i = 0; i < shape->levels; i++) {
        bool last = i == shape->levels - 1;
        uint64_t target = last ? (shape->large ? 0 : DATA) : TOP + (i + 1) * STEP;

        put_entry(bare, shape, entry_address(shape, i), target | bits[i] | (last && shape->large ? PS : 0));
    }
    bare->cpu->cr3 = TOP;
    if (shape->pae && !shape->long_mode) {
        bare->cpu->sys.pdptr[1] = TOP | P;
    }
}

static void set_env(Bare *bare, const Shape *shape, Env env)
{
    uint64_t cr4 = CR4_PSE | (shape->pae ? CR4_PAE : 0) | (env.smep ? CR4_SMEP : 0) | (env.smap ? CR4_SMAP : 0);
    uint64_t efer = (env.nxe ? EFER_NXE : 0) | (shape->long_mode ? EFER_LME | EFER_LMA : 0);

    bare->cpu->rflags = env.ac ? FLAG_AC : 0;
    bare->cpu->segment[SEG_CS].attributes = shape->long_mode ? 0xa09b : 0xc09b;
    bare_set_mode(bare, CR0_PE | CR0_PG | (env.wp ? CR0_WP : 0), cr4, efer, env.user ? 3 : 0);
}

static bool attempt(Bare *bare, uint64_t linear, Kind kind)
{
    const uint8_t *host;

    switch (kind) {
    case READ: return BARE_RAISES(bare, mmu_load32(bare->cpu, NULL, linear));
    case WRITE: return BARE_RAISES(bare, mmu_store32(bare->cpu, NULL, linear, 0x12345678));
    default: return BARE_RAISES(bare, mmu_fetch_page(bare->cpu, linear, &host));
    }
}

/* One case: fault or not, error code, CR2, accessed and dirty bits, and the same answer when asked again through a filled table. */
static void check_case(Bare *bare, const Shape *shape, const uint64_t *bits, Env env, Kind kind)
{
    Verdict want = oracle(shape, bits, env, kind);
    uint64_t linear = linear_of(shape) + 0x10;
    bool raised;

    build(bare, shape, bits);
    bare->cpu->cr2 = 0;
    raised = attempt(bare, linear, kind);
    if (raised != want.fault || (raised && (bare->cpu->sys.raised_error != want.error || bare->cpu->cr2 != linear ||
                                            bare->cpu->sys.raised_vector != EXC_PF))) {
        g_error("%s %s, entries %" PRIx64 " %" PRIx64 " %" PRIx64 " %" PRIx64 ", user %d wp %d smep %d smap %d ac %d nxe %d: fault %d error %x, "
                "want %d %x", shape->name, kind == READ ? "read" : kind == WRITE ? "write" : "fetch", bits[0], bits[1], bits[2], bits[3],
                env.user, env.wp, env.smep, env.smap, env.ac, env.nxe, raised, bare->cpu->sys.raised_error, want.fault, want.error);
    }
    for (unsigned i = 0; i < shape->levels; i++) {
        uint64_t now = get_entry(bare, shape, entry_address(shape, i));
        bool last = i == shape->levels - 1;

        g_assert_cmpint(!!(now & A), ==, !want.fault);
        g_assert_cmpint(!!(now & D), ==, !want.fault && last && kind == WRITE);
    }
    /* A read fills the table; a write right after must find the dirty bit unset and set it, or fault. */
    for (Kind again = READ; again <= WRITE && !raised; again++) {
        Verdict verdict = oracle(shape, bits, env, again);

        g_assert_cmpint(attempt(bare, linear, again), ==, verdict.fault);
        if (!verdict.fault && again == WRITE) {
            g_assert_true(get_entry(bare, shape, entry_address(shape, shape->levels - 1)) & D);
        }
    }
    tlb_flush_all(bare->cpu);
}

static void all_envs(Bare *bare, const Shape *shape, const uint64_t *bits)
{
    for (unsigned e = 0; e < 64; e++) {
        Env env = { e & 1, e >> 1 & 1, e >> 2 & 1, e >> 3 & 1, e >> 4 & 1, e >> 5 & 1 };

        set_env(bare, shape, env);
        for (Kind kind = READ; kind <= FETCH; kind++) {
            check_case(bare, shape, bits, env, kind);
        }
    }
}

/* Each level takes every combination of P W U NX reserved, while the others allow everything; then the last two together. */
static void truth_table(const void *data)
{
    const Shape *shape = data;
    Bare *bare = bare_new(RAM_BYTES);

    for (unsigned level = 0; level < shape->levels; level++) {
        for (unsigned other = 0; other < (level ? 4u : 1u); other++) {
            for (unsigned c = 0; c < 32; c++) {
                uint64_t bits[4] = { P | W | U, P | W | U, P | W | U, P | W | U };

                bits[level] = (c & 7) | (c & 8 && shape->wide ? NX : 0) | (c & 16 ? shape->reserved[level] : 0);
                if (level) {
                    bits[level - 1] &= ~(uint64_t)(other << 1);
                }
                all_envs(bare, shape, bits);
            }
        }
    }
    bare_free(bare);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(shapes); i++) {
        g_autofree char *path = g_strdup_printf("/cpu/paging/%s", shapes[i].name);

        g_test_add_data_func(path, &shapes[i], truth_table);
    }
    return g_test_run();
}
