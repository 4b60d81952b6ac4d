/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-queue.c - fuzz target: a split ring alone, on 64 KiB of RAM with a device's registers behind them
 *
 * Input    byte 0: log2 of the size, bytes 1: features; then four bytes an action: what, where, and a 16-bit value. Besides words written
 *          anywhere there are whole descriptors, offers, pops, pushes, restarts and changes of the memory view.
 * Holds    never more elements out than the ring has entries; pieces lie in RAM, and as many bytes as they say; what is given back leaves
 *          nothing behind; a device's registers are never touched
 */
#include "accel/memory/ram.h"
#include "base/bytes.h"
#include "base/iov.h"
#include "base/lock.h"
#include "hw/virtio/queue.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RAM_SIZE = 0x10000, IO = 0x10000, TABLE = 0, AVAILABLE = 0x4000, USED = 0x5000, ACTIONS_MOST = 2048, OUT_MOST = 64 };

typedef struct Request { QueueElement element; uint64_t mark; } Request;
static Region root, ram, io, window;
static AddressSpace *space;
static Queue *queue;
static uint8_t *memory;
static unsigned complaints, idles;
static Request *out[OUT_MOST];
static unsigned out_count;

static uint64_t never_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque, (void)offset, (void)size;
    g_assert_not_reached();
}

static void never_written(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)opaque, (void)offset, (void)value, (void)size;
    g_assert_not_reached();
}

static const RegionOps io_ops = { .read = never_read, .write = never_written, .widths = WIDTH_ANY };

static void on_broken(void *opaque, const char *why)
{
    (void)opaque;
    g_assert_true(*why);
    complaints++;
}

static void on_pushed(void *opaque)
{
    (void)opaque;
}

static void on_idle(void *opaque)
{
    (void)opaque;
    idles++;
}

static const QueueOps ops = { on_broken, on_pushed, on_idle };

static void prepare(void)
{
    machine_lock();
    region_init_container(&root, "root", UINT64_MAX);
    g_assert_true(region_init_ram(&ram, "ram", RAM_SIZE, NULL));
    region_init_io(&io, &io_ops, NULL, "io", 0x1000);
    region_init_alias(&window, "window", &ram, 0x8000, 0x1000);
    region_add(&root, 0, &ram, 0);
    region_add(&root, IO, &io, 0);
    region_add(&root, IO + 0x3000, &window, 0);
    space = space_new("fuzz", &root);
    queue = queue_new();
    memory = region_host(&ram);
}

static void check_pieces(const struct iovec *pieces, unsigned count, size_t bytes)
{
    size_t sum = 0;

    for (unsigned i = 0; i < count; i++) {
        const uint8_t *start = pieces[i].iov_base;
        g_assert_true(pieces[i].iov_len && start >= memory && start < memory + RAM_SIZE &&
                      pieces[i].iov_len <= (size_t)(memory + RAM_SIZE - start));
        sum += pieces[i].iov_len;
    }
    g_assert_cmpuint(sum, ==, bytes);
}

static void took(QueueElement *element, unsigned ring_size)
{
    if (!element) {
        return;
    }
    g_assert_cmpuint(queue_in_flight(queue), <=, ring_size);
    g_assert_true(out_count < OUT_MOST);
    check_pieces(element->out, element->out_count, element->out_bytes);
    check_pieces(element->in, element->in_count, element->in_bytes);
    out[out_count++] = (Request *)element;
}

static void give_back(unsigned which, size_t written)
{
    uint8_t header[16];

    if (out_count == 0) {
        return;
    }
    which %= out_count;
    QueueElement *element = &out[which]->element;
    out[which] = out[--out_count];
    queue_take_out(element, header, sizeof header);
    queue_cut_in(element, written % 7, written % 3);
    check_pieces(element->out, element->out_count, element->out_bytes);
    check_pieces(element->in, element->in_count, element->in_bytes);
    queue_answer(element, element->in_total - 1, "\1", 1);
    queue_answer(element, written, header, sizeof header);
    queue_push(element, written);
}

static void give_all_back(void)
{
    while (out_count) {
        give_back(0, 1);
    }
    g_assert_cmpuint(queue_in_flight(queue), ==, 0);
}

static void descriptor(uint8_t where, uint16_t value)
{
    uint8_t *at = memory + TABLE + 16 * (where % 64);
    static const uint64_t places[] = { 0x8000, 0xfff0, IO, IO - 8, UINT64_MAX - 15, 0x6000, IO + 0x3000, 0x4000 };

    store_le64(at, places[value & 7] + (value >> 3 & 0x1f) * 16);
    store_le32(at + 8, value >> 8 & 0x40 ? 0xfffffff0u : (value >> 8 & 0x3f) * 16);
    store_le16(at + 12, value >> 13);
    store_le16(at + 14, (where + 1) % 64);
}

static void act(const uint8_t *action, QueueSetup *setup)
{
    uint16_t value = load_le16(action + 2);
    uint8_t *index = memory + AVAILABLE + 2;

    switch (action[0] % 14) {
    case 0: case 1: descriptor(action[1], value); break;
    case 2: case 3:
        store_le16(memory + AVAILABLE + 4 + 2 * (load_le16(index) % setup->size), action[1] % setup->size);
        store_le16(index, load_le16(index) + 1);
        break;
    case 4: case 5: took(queue_pop(queue), setup->size); break;
    case 6: took(queue_next(queue), setup->size); break;
    case 7: case 8: give_back(action[1], value); break;
    case 9: store_le16(memory + (value & 0xfffe), action[1]); break;
    case 10: queue_must_interrupt(queue); break;
    case 11: (void)(action[1] & 1 ? queue_kicks_on(queue) : queue_has_more(queue)); break;
    case 12: took(queue_take_again(queue, action[1]), setup->size); break;
    default:
        if (action[1] & 1) {
            region_set_enabled(&window, !window.enabled);
            break;
        }
        queue_detach(queue);
        give_all_back();
        setup->next_available = load_le16(index);
        setup->next_used = value;
        g_assert_true(queue_start(queue, setup, NULL));
        complaints = 0;
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!space) {
        prepare();
    }
    if (size < 2) {
        return 0;
    }
    QueueSetup setup = { .space = space, .descriptors = TABLE, .available = AVAILABLE, .used = USED, .size = 1u << data[0] % 7,
                         .event_index = data[1] & 1, .indirect = data[1] & 2, .notify_on_empty = data[1] & 4,
                         .element_size = sizeof(Request), .ops = &ops };
    if (data[1] & 8) {
        setup.used = TABLE + 16 * (data[1] >> 4);          /* on top of each other */
    }
    memset(memory, 0, RAM_SIZE);
    complaints = idles = 0;
    g_assert_true(queue_start(queue, &setup, NULL));
    for (size_t i = 2; i + 4 <= size && i < 4 * ACTIONS_MOST; i += 4) {
        act(data + i, &setup);
        g_assert_cmpuint(complaints, ==, queue_broken(queue));
    }
    queue_detach(queue);
    give_all_back();
    queue_stop(queue);
    return 0;
}
