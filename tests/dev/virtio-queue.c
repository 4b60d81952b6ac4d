/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-queue.c - the split ring alone: what a sane driver sees, and what each insane one gets
 */
#include "accel/memory/ram.h"
#include "base/lock.h"
#include "hw/virtio/queue.h"
#include <string.h>

enum { RAM = 0x100000, RAM_SIZE = 0x400000, IO = 0x800000, ROM = 0x810000, SIZE = 8 };
enum { TABLE = RAM, AVAILABLE = RAM + 0x1000, USED = RAM + 0x2000, INDIRECT_AT = RAM + 0x4000, DATA = RAM + 0x100000 };
enum { NEXT = 1, WRITE = 2, INDIRECT = 4 };

typedef struct Request { QueueElement element; unsigned mark; } Request;
typedef struct Piece { uint64_t address; uint32_t length; uint16_t flags, next; } Piece;
typedef struct Bed {
    Region root, ram, rom, io;
    AddressSpace *space;
    Queue *queue;
    QueueSetup setup;
    uint16_t offered;
    unsigned complaints, pushes, idles;
    char why[200];
} Bed;

static uint64_t device_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque, (void)offset, (void)size;
    g_assert_not_reached();
}

static const RegionOps device_ops = { .read = device_read, .widths = WIDTH_ANY };

static void on_broken(void *opaque, const char *why)
{
    Bed *bed = opaque;

    bed->complaints++;
    g_strlcpy(bed->why, why, sizeof bed->why);
}

static void on_pushed(void *opaque)
{
    ((Bed *)opaque)->pushes++;
}

static void on_idle(void *opaque)
{
    ((Bed *)opaque)->idles++;
}

static const QueueOps ops = { on_broken, on_pushed, on_idle };

static uint8_t *at(Bed *bed, uint64_t address)
{
    g_assert_true(address >= RAM && address < RAM + RAM_SIZE);
    return region_host(&bed->ram) + (address - RAM);
}

static uint16_t *word(Bed *bed, uint64_t address)
{
    return (uint16_t *)(void *)at(bed, address);
}

static void start(Bed *bed)
{
    g_autoptr(GError) err = NULL;

    bed->complaints = bed->pushes = bed->idles = 0;
    bed->offered = bed->setup.next_available;
    g_assert_true(queue_start(bed->queue, &bed->setup, &err));
}

static void bed_up(Bed *bed, gconstpointer data)
{
    (void)data;
    machine_lock();
    region_init_container(&bed->root, "root", UINT64_MAX);
    g_assert_true(region_init_ram(&bed->ram, "ram", RAM_SIZE, NULL));
    g_assert_true(region_init_rom(&bed->rom, "rom", 0x10000, NULL));
    region_init_io(&bed->io, &device_ops, NULL, "io", 0x10000);
    region_add(&bed->root, RAM, &bed->ram, 0);
    region_add(&bed->root, IO, &bed->io, 0);
    region_add(&bed->root, ROM, &bed->rom, 0);
    bed->space = space_new("test", &bed->root);
    bed->queue = queue_new();
    bed->setup = (QueueSetup){ .space = bed->space, .descriptors = TABLE, .available = AVAILABLE, .used = USED, .size = SIZE, .indirect = true,
                               .element_size = sizeof(Request), .ops = &ops, .opaque = bed };
    start(bed);
}

static void bed_down(Bed *bed, gconstpointer data)
{
    (void)data;
    queue_free(bed->queue);
    space_free(bed->space);
    region_destroy(&bed->root);
    region_destroy(&bed->ram);
    region_destroy(&bed->rom);
    region_destroy(&bed->io);
    machine_unlock();
}

static void describe(Bed *bed, uint64_t table, unsigned index, uint64_t address, uint32_t length, uint16_t flags, uint16_t next)
{
    const Piece piece = { address, length, flags, next };

    memcpy(at(bed, table + 16 * index), &piece, sizeof piece);
}

static void offer(Bed *bed, uint16_t head)
{
    *word(bed, AVAILABLE + 4 + 2 * (bed->offered % SIZE)) = head;
    *word(bed, AVAILABLE + 2) = ++bed->offered;
}

static uint16_t used_index(Bed *bed)
{
    return *word(bed, USED + 2);
}

/* ---- sane ---- */

static void one_chain(Bed *bed, gconstpointer data)
{
    uint8_t got[64] = { 0 };

    (void)data;
    describe(bed, TABLE, 0, DATA, 16, NEXT, 3);
    describe(bed, TABLE, 3, DATA + 0x100, 32, NEXT, 5);
    describe(bed, TABLE, 5, DATA + 0x200, 512, NEXT | WRITE, 1);
    describe(bed, TABLE, 1, DATA + 0x800, 1, WRITE, 0);
    memset(at(bed, DATA), 1, 16);
    memset(at(bed, DATA + 0x100), 2, 32);
    g_assert_null(queue_pop(bed->queue));
    offer(bed, 0);
    g_assert_true(queue_has_more(bed->queue));
    QueueElement *element = queue_pop(bed->queue);
    g_assert_nonnull(element);
    g_assert_cmpuint(element->out_bytes, ==, 48);
    g_assert_cmpuint(element->in_bytes, ==, 513);
    g_assert_cmpuint(element->out_count, ==, 2);
    g_assert_cmpuint(element->in_count, ==, 2);
    g_assert_true(element->in[0].iov_base == at(bed, DATA + 0x200));
    g_assert_cmpuint(queue_take_out(element, got, 20), ==, 20);
    g_assert_cmpuint(got[15], ==, 1);
    g_assert_cmpuint(got[16], ==, 2);
    g_assert_cmpuint(element->out_bytes, ==, 28);
    queue_cut_in(element, 8, 1);
    g_assert_cmpuint(element->in_bytes, ==, 504);
    g_assert_cmpuint(element->in_count, ==, 1);
    g_assert_cmpuint(queue_answer(element, 511, "\7\11", 2), ==, 2);
    g_assert_cmpuint(queue_answer(element, 512, "\11\11", 2), ==, 1);
    g_assert_cmpuint(queue_answer(element, 513, "\11", 1), ==, 0);
    g_assert_cmpuint(*at(bed, DATA + 0x200 + 511), ==, 7);
    g_assert_cmpuint(*at(bed, DATA + 0x800), ==, 9);
    g_assert_cmpuint(used_index(bed), ==, 0);
    queue_push(element, 513);
    g_assert_cmpuint(used_index(bed), ==, 1);
    g_assert_cmpuint(*word(bed, USED + 4), ==, 0);
    g_assert_cmpuint(*word(bed, USED + 8), ==, 513);
    g_assert_cmpuint(bed->pushes, ==, 1);
    g_assert_true(queue_must_interrupt(bed->queue));
    g_assert_false(queue_must_interrupt(bed->queue));
    g_assert_cmpuint(bed->complaints, ==, 0);
}

static void neighbours_become_one_piece(Bed *bed, gconstpointer data)
{
    (void)data;
    for (unsigned i = 0; i < SIZE; i++) {
        describe(bed, TABLE, i, DATA + 0x1000 * i, 0x1000, WRITE | (i + 1 < SIZE ? NEXT : 0), i + 1);
    }
    offer(bed, 0);
    QueueElement *element = queue_pop(bed->queue);
    g_assert_cmpuint(element->in_count, ==, 1);
    g_assert_cmpuint(element->in_bytes, ==, 0x8000);
    queue_push(element, 0);
}

static void indirect_tables(Bed *bed, gconstpointer data)
{
    (void)data;
    for (unsigned i = 0; i < 300; i++) {   /* longer than the queue: what drivers do */
        describe(bed, INDIRECT_AT, i, DATA + 0x2000 * (i % 64), 0x1000, WRITE | (i < 299 ? NEXT : 0), i + 1);
    }
    describe(bed, TABLE, 2, INDIRECT_AT, 300 * 16, INDIRECT, 77);
    for (unsigned round = 0; round < 3 * SIZE; round++) {
        offer(bed, 2);
        QueueElement *element = queue_pop(bed->queue);
        g_assert_nonnull(element);
        g_assert_cmpuint(element->in_count, ==, 300);
        g_assert_cmpuint(element->in_bytes, ==, 300 * 0x1000);
        queue_push(element, 5);
    }
    g_assert_cmpuint(used_index(bed), ==, 3 * SIZE);
    /* Direct ones first, then a table. */
    describe(bed, TABLE, 0, DATA, 16, NEXT, 2);
    describe(bed, INDIRECT_AT, 0, DATA, 4, 0, 0);
    offer(bed, 0);
    QueueElement *element = queue_pop(bed->queue);
    g_assert_cmpuint(element->out_bytes, ==, 20);
    queue_push(element, 0);
}

static void indexes_wrap(Bed *bed, gconstpointer data)
{
    (void)data;
    bed->setup.next_available = bed->setup.next_used = 0xfffd;
    *word(bed, AVAILABLE + 2) = 0xfffd;
    start(bed);
    describe(bed, TABLE, 4, DATA, 16, 0, 0);
    for (unsigned i = 0; i < 2 * SIZE; i++) {
        offer(bed, 4);
        QueueElement *element = queue_pop(bed->queue);
        g_assert_nonnull(element);
        queue_push(element, 0);
        g_assert_cmpuint(used_index(bed), ==, (uint16_t)(0xfffd + i + 1));
    }
    g_assert_cmpuint(bed->complaints, ==, 0);
}

static void empty_descriptors(Bed *bed, gconstpointer data)
{
    (void)data;
    describe(bed, TABLE, 0, 0, 0, NEXT, 1);
    describe(bed, TABLE, 1, DATA, 16, NEXT, 2);
    describe(bed, TABLE, 2, UINT64_MAX, 0, WRITE, 0);
    offer(bed, 0);
    QueueElement *element = queue_pop(bed->queue);
    g_assert_nonnull(element);
    g_assert_cmpuint(element->out_count, ==, 1);
    g_assert_cmpuint(element->in_count, ==, 0);
    g_assert_cmpuint(queue_answer(element, 0, "x", 1), ==, 0);
    queue_push(element, 100);
    g_assert_cmpuint(*word(bed, USED + 8), ==, 0);
}

static void out_of_order(Bed *bed, gconstpointer data)
{
    QueueElement *elements[SIZE];

    (void)data;
    for (unsigned i = 0; i < SIZE; i++) {
        describe(bed, TABLE, i, DATA + 0x100 * i, 16, 0, 0);
        offer(bed, i);
    }
    for (unsigned i = 0; i < SIZE; i++) {
        elements[i] = queue_pop(bed->queue);
        g_assert_nonnull(elements[i]);
        ((Request *)elements[i])->mark = i;
    }
    g_assert_null(queue_pop(bed->queue));
    g_assert_cmpuint(queue_in_flight(bed->queue), ==, SIZE);
    uint16_t heads[SIZE];
    g_assert_cmpuint(queue_heads(bed->queue, heads, SIZE), ==, SIZE);
    for (unsigned i = 0; i < SIZE; i++) {
        queue_push(elements[SIZE - 1 - i], 0);
        g_assert_cmpuint(*word(bed, USED + 4 + 8 * i), ==, SIZE - 1 - i);
    }
    g_assert_cmpuint(queue_in_flight(bed->queue), ==, 0);
    g_assert_cmpuint(bed->complaints, ==, 0);
}

static void flags_say_who_wants_to_know(Bed *bed, gconstpointer data)
{
    (void)data;
    describe(bed, TABLE, 0, DATA, 16, 0, 0);
    offer(bed, 0);
    queue_kicks_off(bed->queue);
    g_assert_cmpuint(*word(bed, USED), ==, 1);
    QueueElement *element = queue_pop(bed->queue);
    g_assert_false(queue_kicks_on(bed->queue));
    g_assert_cmpuint(*word(bed, USED), ==, 0);
    offer(bed, 0);
    g_assert_true(queue_kicks_on(bed->queue));
    *word(bed, AVAILABLE) = 1;
    queue_push(element, 0);
    g_assert_false(queue_must_interrupt(bed->queue));
    *word(bed, AVAILABLE) = 0;
    queue_push(queue_pop(bed->queue), 0);
    g_assert_true(queue_must_interrupt(bed->queue));
}

static void event_index(Bed *bed, gconstpointer data)
{
    uint16_t *used_event = word(bed, AVAILABLE + 4 + 2 * SIZE), *available_event = word(bed, USED + 4 + 8 * SIZE);

    (void)data;
    bed->setup.event_index = true;
    start(bed);
    describe(bed, TABLE, 0, DATA, 16, 0, 0);
    for (unsigned i = 0; i < 4; i++) {
        offer(bed, 0);
    }
    QueueElement *elements[4];
    for (unsigned i = 0; i < 4; i++) {
        elements[i] = queue_next(bed->queue);
    }
    g_assert_cmpuint(*available_event, ==, 0);
    g_assert_null(queue_next(bed->queue));
    g_assert_cmpuint(*available_event, ==, 4);
    *used_event = 2;
    queue_push(elements[0], 0);
    g_assert_true(queue_must_interrupt(bed->queue));       /* the first time: nobody knows */
    queue_push(elements[1], 0);
    g_assert_false(queue_must_interrupt(bed->queue));
    queue_push(elements[2], 0);
    queue_push(elements[3], 0);
    g_assert_cmpuint(bed->pushes, ==, 3);
    g_assert_true(queue_must_interrupt(bed->queue));
}

static void notify_on_empty(Bed *bed, gconstpointer data)
{
    (void)data;
    bed->setup.notify_on_empty = true;
    start(bed);
    *word(bed, AVAILABLE) = 1;
    describe(bed, TABLE, 0, DATA, 16, 0, 0);
    offer(bed, 0);
    offer(bed, 0);
    QueueElement *first = queue_pop(bed->queue), *second = queue_pop(bed->queue);
    queue_push(first, 0);
    g_assert_false(queue_must_interrupt(bed->queue));
    queue_push(second, 0);
    g_assert_true(queue_must_interrupt(bed->queue));
}

static void a_budget(Bed *bed, gconstpointer data)
{
    (void)data;
    describe(bed, TABLE, 0, DATA, 16, 0, 0);
    offer(bed, 0);
    offer(bed, 0);
    queue_set_budget(bed->queue, 1);
    QueueElement *element = queue_next(bed->queue);
    g_assert_nonnull(element);
    g_assert_null(queue_next(bed->queue));
    g_assert_true(queue_budget_spent(bed->queue));
    g_assert_true(queue_has_more(bed->queue));
    queue_set_budget(bed->queue, 8);
    queue_push(queue_next(bed->queue), 0);
    g_assert_null(queue_next(bed->queue));
    g_assert_false(queue_budget_spent(bed->queue));
    queue_push(element, 0);
}

static void given_back_and_taken_again(Bed *bed, gconstpointer data)
{
    uint16_t next_available, next_used;

    (void)data;
    describe(bed, TABLE, 6, DATA, 16, 0, 0);
    offer(bed, 6);
    queue_unpop(queue_pop(bed->queue));
    QueueElement *element = queue_pop(bed->queue);
    g_assert_nonnull(element);
    queue_indexes(bed->queue, &next_available, &next_used);
    g_assert_cmpuint(next_available, ==, 1);
    g_assert_cmpuint(next_used, ==, 0);
    /* As after a load. */
    bed->setup.next_available = next_available;
    queue_stop(bed->queue);
    start(bed);
    g_assert_null(queue_pop(bed->queue));
    element = queue_take_again(bed->queue, 6);
    g_assert_cmpuint(element->out_bytes, ==, 16);
    queue_push(element, 0);
    g_assert_cmpuint(used_index(bed), ==, 1);
    g_assert_null(queue_take_again(bed->queue, SIZE));
    g_assert_cmpuint(bed->complaints, ==, 1);
}

static void detached(Bed *bed, gconstpointer data)
{
    (void)data;
    describe(bed, TABLE, 0, DATA, 16, WRITE, 0);
    offer(bed, 0);
    offer(bed, 0);
    offer(bed, 0);
    QueueElement *first = queue_pop(bed->queue), *second = queue_pop(bed->queue);
    queue_detach(bed->queue);
    g_assert_null(queue_pop(bed->queue));
    queue_push(first, 16);
    g_assert_cmpuint(bed->idles, ==, 0);
    queue_push(second, 16);
    g_assert_cmpuint(bed->idles, ==, 1);
    g_assert_cmpuint(used_index(bed), ==, 0);
    g_assert_false(queue_must_interrupt(bed->queue));
    queue_stop(bed->queue);
    g_assert_false(queue_started(bed->queue));
}

static void writes_are_told(Bed *bed, gconstpointer data)
{
    RamBlock *ram = bed->ram.ram;

    (void)data;
    describe(bed, TABLE, 0, DATA, 0x3000, WRITE, 0);
    offer(bed, 0);
    g_assert_true(ram_dirty_log(ram, DIRTY_MIGRATION, true, NULL));
    QueueElement *element = queue_pop(bed->queue);
    ram_dirty_test_and_clear(ram, DIRTY_MIGRATION, 0, RAM_SIZE);
    queue_answer(element, 0x2fff, "x", 1);
    g_assert_false(ram_dirty_test_and_clear(ram, DIRTY_MIGRATION, DATA - RAM, 0x2000));
    g_assert_true(ram_dirty_test_and_clear(ram, DIRTY_MIGRATION, DATA - RAM + 0x2000, 0x1000));
    queue_push(element, 0x1001);
    g_assert_true(ram_dirty_test_and_clear(ram, DIRTY_MIGRATION, DATA - RAM + 0x1000, 0x1000));
    g_assert_false(ram_dirty_test_and_clear(ram, DIRTY_MIGRATION, DATA - RAM + 0x2000, 0x1000));
    g_assert_true(ram_dirty_test_and_clear(ram, DIRTY_MIGRATION, USED - RAM, 0x1000));
}

static void memory_moves(Bed *bed, gconstpointer data)
{
    (void)data;
    describe(bed, TABLE, 0, DATA, 16, WRITE, 0);
    offer(bed, 0);
    offer(bed, 0);
    QueueElement *element = queue_pop(bed->queue);
    region_remove(&bed->rom);              /* another view: the rings are where they were */
    queue_push(element, 16);
    g_assert_cmpuint(used_index(bed), ==, 1);
    element = queue_pop(bed->queue);
    region_move(&bed->ram, 0x2000000);     /* and away under it */
    memset(element->in[0].iov_base, 9, 16);
    queue_push(element, 16);
    g_assert_cmpuint(used_index(bed), ==, 1);
    g_assert_true(queue_broken(bed->queue));
    g_assert_cmpuint(bed->complaints, ==, 1);
    g_assert_cmpuint(queue_in_flight(bed->queue), ==, 0);
}

/* ---- insane: each breaks the queue with one complaint, and no more ---- */

static void must_break(Bed *bed, const char *part)
{
    g_assert_null(queue_pop(bed->queue));
    g_assert_null(queue_next(bed->queue));
    g_assert_true(queue_broken(bed->queue));
    g_assert_cmpuint(bed->complaints, ==, 1);
    if (!strstr(bed->why, part)) {
        g_test_message("'%s' does not speak of '%s'", bed->why, part);
        g_test_fail();
    }
    g_assert_cmpuint(queue_in_flight(bed->queue), ==, 0);
    g_assert_cmpuint(used_index(bed), ==, 0);
}

typedef struct Bad {
    const char *name, *complaint;
    Piece table[4];                        /* entries 0 to 3 of the ring's table; head is 0 */
    Piece indirect[4];
    bool no_indirect;
    uint16_t head;
} Bad;

static const Bad bads[] = {
    { "head beyond the queue", "head 8", .head = SIZE },
    { "head 65535", "head 65535", .head = 0xffff },
    { "next beyond the table", "next is 8", { { DATA, 16, NEXT, SIZE } } },
    { "next 65535", "next is 65535", { { DATA, 16, NEXT, 0xffff } } },
    { "descriptor loop", "does not end", { { DATA, 16, NEXT, 1 }, { DATA, 16, NEXT, 0 } } },
    { "loop to itself", "does not end", { { DATA, 16, NEXT, 0 } } },
    { "loop of empty ones", "does not end", { { 0, 0, NEXT, 1 }, { 0, 0, NEXT, 0 } } },
    { "readable after writable", "readable descriptor follows", { { DATA, 16, NEXT | WRITE, 1 }, { DATA, 16, 0, 0 } } },
    { "readable after empty writable", "readable descriptor follows", { { DATA, 0, NEXT | WRITE, 1 }, { DATA, 16, 0, 0 } } },
    { "wrapping length", "wraps", { { UINT64_MAX - 4, 16, 0, 0 } } },
    { "end of the address space", "not readable memory", { { UINT64_MAX - 15, 16, 0, 0 } } },
    { "4 GiB at nowhere", "not writable memory", { { UINT64_C(1) << 40, UINT32_MAX, WRITE, 0 } } },
    { "in a device's registers", "not writable memory", { { IO, 16, WRITE, 0 } } },
    { "reading a device's registers", "not readable memory", { { IO, 16, 0, 0 } } },
    { "into the registers", "not readable memory", { { RAM + RAM_SIZE - 8, 16, 0, 0 } } },
    { "writing to ROM", "not writable memory", { { ROM, 16, WRITE, 0 } } },
    { "chain over 4 GiB", "more than 4 GiB", { { 0, 0, NEXT, 1 }, { DATA, 16, NEXT, 2 }, { DATA, UINT32_MAX, WRITE, 0 } } },
    { "indirect without the feature", "without the feature", { { INDIRECT_AT, 16, INDIRECT, 0 } }, .no_indirect = true },
    { "indirect and next", "has a next", { { INDIRECT_AT, 16, INDIRECT | NEXT, 1 } } },
    { "indirect in indirect", "inside an indirect", { { INDIRECT_AT, 64, INDIRECT, 0 } }, { { INDIRECT_AT, 16, INDIRECT, 0 } } },
    { "indirect table of 0 bytes", "table of 0", { { INDIRECT_AT, 0, INDIRECT, 0 } } },
    { "indirect table of 24 bytes", "table of 24", { { INDIRECT_AT, 24, INDIRECT, 0 } } },
    { "indirect table wraps", "table of", { { UINT64_MAX - 15, 64, INDIRECT, 0 } } },
    { "indirect table in registers", "table at", { { IO, 64, INDIRECT, 0 } } },
    { "indirect table leaves memory", "table at", { { RAM + RAM_SIZE - 16, 64, INDIRECT, 0 } } },
    { "indirect next beyond", "next is 4", { { INDIRECT_AT, 64, INDIRECT, 0 } }, { { DATA, 16, NEXT, 4 } } },
    { "indirect loop", "does not end", { { INDIRECT_AT, 64, INDIRECT, 0 } }, { { DATA, 16, NEXT, 1 }, { DATA, 16, NEXT, 0 } } },
};

static void bad_chain(Bed *bed, gconstpointer data)
{
    const Bad *bad = data;

    bed->setup.indirect = !bad->no_indirect;
    start(bed);
    memcpy(at(bed, TABLE), bad->table, sizeof bad->table);
    memcpy(at(bed, INDIRECT_AT), bad->indirect, sizeof bad->indirect);
    memset(at(bed, RAM + RAM_SIZE - 16), 0, 16);
    *word(bed, RAM + RAM_SIZE - 4) = NEXT; /* of a table's last entry that is still memory */
    *word(bed, RAM + RAM_SIZE - 2) = 1;
    offer(bed, bad->head);
    offer(bed, 0);
    must_break(bed, bad->complaint);
}

static void index_jumps(Bed *bed, gconstpointer data)
{
    (void)data;
    describe(bed, TABLE, 0, DATA, 16, 0, 0);
    *word(bed, AVAILABLE + 2) = SIZE + 1;
    must_break(bed, "jumped from 0 to 9");
    start(bed);
    *word(bed, AVAILABLE + 2) = 0xffff;
    must_break(bed, "jumped");
    start(bed);
    *word(bed, AVAILABLE + 2) = 0;
    g_assert_null(queue_pop(bed->queue));
    *word(bed, AVAILABLE + 2) = 0x8000;
    g_assert_true(queue_kicks_on(bed->queue));
    must_break(bed, "jumped");
}

static void more_than_there_are(Bed *bed, gconstpointer data)
{
    QueueElement *elements[SIZE];

    (void)data;
    describe(bed, TABLE, 0, DATA, 16, 0, 0);
    for (unsigned i = 0; i < SIZE; i++) {  /* one chain, over and over: nobody checks names, but there are SIZE at most */
        offer(bed, 0);
        elements[i] = queue_pop(bed->queue);
        g_assert_nonnull(elements[i]);
    }
    offer(bed, 0);
    g_assert_null(queue_pop(bed->queue));
    g_assert_cmpuint(bed->complaints, ==, 1);
    for (unsigned i = 0; i < SIZE; i++) {
        queue_push(elements[i], 0);
    }
    g_assert_cmpuint(used_index(bed), ==, 0);
    g_assert_cmpuint(queue_in_flight(bed->queue), ==, 0);
}

static void long_tables(Bed *bed, gconstpointer data)
{
    const uint64_t table = RAM + 0x10000;

    (void)data;
    for (unsigned i = 0; i < 2048; i++) {
        describe(bed, table, i, DATA + 0x20 * i, 16, i < 2047 ? NEXT : 0, i + 1);
    }
    describe(bed, TABLE, 0, table, 2048 * 16, INDIRECT, 0);
    offer(bed, 0);
    must_break(bed, "does not end within 1024");
    start(bed);
    *word(bed, AVAILABLE + 2) = 0;
    describe(bed, table, 1023, DATA, 16, 0, 0);            /* so long is fine, whatever the table's size */
    offer(bed, 0);
    QueueElement *element = queue_pop(bed->queue);
    g_assert_nonnull(element);
    g_assert_cmpuint(element->out_count, ==, 1024);
    queue_push(element, 0);
}

static void pieces_in_many_ranges(Bed *bed, gconstpointer data)
{
    static Region holes[800];

    (void)data;
    region_begin();
    for (unsigned i = 0; i < G_N_ELEMENTS(holes); i++) {   /* RAM that is another's every other page */
        g_assert_true(region_init_ram(&holes[i], "hole", 4096, NULL));
        region_add(&bed->root, DATA + 0x2000 * i, &holes[i], 1);
    }
    region_commit();
    describe(bed, TABLE, 0, DATA, 0x2000 * 300, WRITE, 0);
    offer(bed, 0);
    QueueElement *element = queue_pop(bed->queue);
    g_assert_nonnull(element);
    g_assert_cmpuint(element->in_count, ==, 600);
    queue_push(element, element->in_bytes);
    describe(bed, TABLE, 0, RAM, 0x300000, 0, 0);
    offer(bed, 0);
    element = queue_pop(bed->queue);
    g_assert_nonnull(element);
    queue_push(element, 0);
    describe(bed, TABLE, 0, RAM, 0x300000, NEXT, 1);
    describe(bed, TABLE, 1, RAM, 0x300000, 0, 1);
    offer(bed, 0);
    g_assert_null(queue_pop(bed->queue));
    g_assert_nonnull(strstr(bed->why, "more than 1024 pieces"));
    region_begin();
    for (unsigned i = 0; i < G_N_ELEMENTS(holes); i++) {
        region_remove(&holes[i]);
        region_destroy(&holes[i]);
    }
    region_commit();
}

typedef struct BadRing { const char *name, *complaint; uint64_t descriptors, available, used; } BadRing;
static const BadRing bad_rings[] = {
    { "descriptors in registers", "descriptor ring", IO, AVAILABLE, USED },
    { "available in registers", "available ring", TABLE, IO, USED },
    { "used in registers", "used ring", TABLE, AVAILABLE, IO },
    { "used in ROM", "used ring", TABLE, AVAILABLE, ROM },
    { "nowhere", "descriptor ring", UINT64_C(1) << 50, AVAILABLE, USED },
    { "at zero", "descriptor ring", 0, 0, 0 },
    { "descriptors unaligned", "aligned to 16", TABLE + 8, AVAILABLE, USED },
    { "available unaligned", "aligned to 2", TABLE, AVAILABLE + 1, USED },
    { "used unaligned", "aligned to 4", TABLE, AVAILABLE, USED + 2 },
    { "descriptors leave memory", "descriptor ring", RAM + RAM_SIZE - 16, AVAILABLE, USED },
    { "used leaves memory", "used ring", TABLE, AVAILABLE, RAM + RAM_SIZE - 16 },
    { "wrapping", "available ring", TABLE, UINT64_MAX - 1, USED },
};

static void bad_ring(Bed *bed, gconstpointer data)
{
    const BadRing *bad = data;

    bed->setup.descriptors = bad->descriptors;
    bed->setup.available = bad->available;
    bed->setup.used = bad->used;
    start(bed);
    offer(bed, 0);
    must_break(bed, bad->complaint);
    queue_kicks_off(bed->queue);
    g_assert_false(queue_kicks_on(bed->queue));
    g_assert_false(queue_must_interrupt(bed->queue));
    g_assert_false(queue_has_more(bed->queue));
}

/* The rings lie on top of each other and of the data: strange, and safe. */
static void rings_overlap(Bed *bed, gconstpointer data)
{
    (void)data;
    bed->setup.used = bed->setup.available = TABLE;
    start(bed);
    memset(at(bed, TABLE), 0, 4096);
    *word(bed, TABLE + 2) = 3;
    for (unsigned i = 0; i < 100 && !queue_broken(bed->queue); i++) {
        QueueElement *element = queue_next(bed->queue);
        if (element) {
            queue_push(element, 1);
        }
    }
    queue_detach(bed->queue);
    g_assert_cmpuint(queue_in_flight(bed->queue), ==, 0);
}

#define ADD(path, body) g_test_add("/virtio-queue/" path, Bed, NULL, bed_up, body, bed_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("one chain", one_chain);
    ADD("neighbours become one piece", neighbours_become_one_piece);
    ADD("indirect tables", indirect_tables);
    ADD("indexes wrap", indexes_wrap);
    ADD("empty descriptors", empty_descriptors);
    ADD("out of order", out_of_order);
    ADD("flags", flags_say_who_wants_to_know);
    ADD("event index", event_index);
    ADD("notify on empty", notify_on_empty);
    ADD("budget", a_budget);
    ADD("given back and taken again", given_back_and_taken_again);
    ADD("detached", detached);
    ADD("writes are told", writes_are_told);
    ADD("memory moves", memory_moves);
    ADD("index jumps", index_jumps);
    ADD("more than there are", more_than_there_are);
    ADD("long tables", long_tables);
    ADD("pieces in many ranges", pieces_in_many_ranges);
    ADD("rings overlap", rings_overlap);
    for (unsigned i = 0; i < G_N_ELEMENTS(bads); i++) {
        g_autofree char *path = g_strdup_printf("/virtio-queue/bad chain/%s", bads[i].name);
        g_test_add(path, Bed, &bads[i], bed_up, bad_chain, bed_down);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(bad_rings); i++) {
        g_autofree char *path = g_strdup_printf("/virtio-queue/bad ring/%s", bad_rings[i].name);
        g_test_add(path, Bed, &bad_rings[i], bed_up, bad_ring, bed_down);
    }
    return g_test_run();
}
