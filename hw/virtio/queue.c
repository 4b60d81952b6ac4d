/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * queue.c - a split virtqueue: chains of descriptors in, used entries out
 *
 * Models   Virtio 1.2, 2.6 and 2.7: split rings, indirect descriptors, event index; the layout does not differ in legacy devices
 * Omits    packed rings, ordered completion
 * Threads  one at a time, see queue.h; the driver writes the same memory whenever it likes
 * Tests    tests/dev/virtio-queue.c, tests/fuzz/virtio-queue.c
 *
 *   descriptors  size x { address 64, length 32, flags 16, next 16 }
 *   available    flags 16, index 16, head 16 x size, used_event 16
 *   used         flags 16, index 16, { head 32, written 32 } x size, available_event 16
 *
 * Each word of the driver's is read once, into a variable, and checked there; what it becomes later does not matter. The walk of a
 * chain ends after as many steps as its table has entries, whatever the next fields say.
 *
 * Order    x86 keeps loads in order, stores in order, and stores after earlier loads; so for each pair below it is the compiler that
 *          must be held, by acquire and release. Guest processors are x86 too, as host threads under KVM and as generated x86 code
 *          in the software CPU, and drivers use the same pairs.
 *            driver: entry, index (release)        device: index (acquire), entry
 *            device: used entry, index (release)   driver: index (acquire), used entry
 *          A store before a load of another place is what x86 does reorder. It matters twice, with a full fence on both sides:
 *            driver: available index; fence; kick wanted?    device: kick wanted; fence; available index?
 *            device: used index; fence; interrupt wanted?    driver: interrupt wanted; fence; used index?
 *          Without either fence both could read the old value, and nobody would wake the other.
 */
#include "hw/virtio/queue.h"
#include "accel/memory/ram.h"
#include "base/epoch.h"
#include "base/error.h"
#include "base/iov.h"
#include "base/trace.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TRACE_POP, TRACE_PUSH, TRACE_BROKEN };
static TracePoint queue_trace[] = {
    [TRACE_POP] = { "virtio_queue_pop", "a chain is taken from a virtqueue" },
    [TRACE_PUSH] = { "virtio_queue_push", "a chain is given back to the driver" },
    [TRACE_BROKEN] = { "virtio_queue_broken", "a virtqueue cannot be followed any more" },
};
TRACE_TABLE(queue_trace)

enum { DESCRIPTOR_NEXT = 1, DESCRIPTOR_WRITE = 2, DESCRIPTOR_INDIRECT = 4 };
enum { AVAILABLE_NO_INTERRUPT = 1, USED_NO_KICK = 1 };
enum { INLINE_PIECES = 8 };                /* that an element has room for without memory of its own */

typedef struct Descriptor { uint64_t address; uint32_t length; uint16_t flags, next; } Descriptor;
typedef struct Available { uint16_t flags, index, ring[]; } Available;
typedef struct Used { uint16_t flags, index; struct UsedEntry { uint32_t head, written; } ring[]; } Used;

struct Queue {
    QueueSetup setup;
    bool started, broken, detached, kicks_are_off, asked, pushed;
    uint16_t mask;
    uint16_t next_available;               /* the next entry to take */
    uint16_t seen_available;               /* the driver's index when it was last read */
    uint16_t next_used;                    /* our index */
    uint16_t asked_used;                   /* our index when queue_must_interrupt() was last asked; valid when `asked` */
    unsigned in_flight, budget;
    uint64_t generation;                   /* of the memory view that the rings were mapped in */
    DmaMap descriptors_map, available_map, used_map;
    const Descriptor *descriptors;
    const Available *available;
    Used *used;
    uint8_t *elements;                     /* setup.size of them */
    DmaMap *first_maps;                    /* INLINE_PIECES for each */
    struct iovec *first_pieces;
    QueueElement *free;
};

Queue *queue_new(void)
{
    return g_new0(Queue, 1);
}

void queue_free(Queue *queue)
{
    if (queue) {
        queue_stop(queue);
        g_free(queue);
    }
}

bool queue_started(const Queue *queue)
{
    return queue->started;
}

bool queue_broken(const Queue *queue)
{
    return queue->broken;
}

unsigned queue_in_flight(const Queue *queue)
{
    return queue->in_flight;
}

void queue_break(Queue *queue, const char *why)
{
    if (!queue->broken) {
        queue->broken = true;
        TRACE(&queue_trace[TRACE_BROKEN], "%s", why);
        if (queue->setup.ops->broken) {
            queue->setup.ops->broken(queue->setup.opaque, why);
        }
    }
}

/* Always false, for "return broken(...)". */
static bool G_GNUC_PRINTF(2, 3) broken(Queue *queue, const char *format, ...)
{
    char why[160];
    va_list args;

    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    queue_break(queue, why);
    return false;
}

/* ---- rings ---- */

static void unmap_rings(Queue *queue)
{
    dma_unmap(&queue->descriptors_map, 0);
    dma_unmap(&queue->available_map, 0);
    dma_unmap(&queue->used_map, 0);        /* what was written has been told by dma_written() */
}

static bool map_ring(Queue *queue, const char *name, uint64_t address, size_t bytes, unsigned alignment, bool write, DmaMap *map)
{
    if (address % alignment) {
        return broken(queue, "the %s ring at 0x%" G_GINT64_MODIFIER "x is not aligned to %u bytes", name, address, alignment);
    }
    if (!dma_map(queue->setup.space, address, bytes, write, map) || map->length < bytes || (uintptr_t)map->host % alignment) {
        dma_unmap(map, 0);
        return broken(queue, "the %s ring at 0x%" G_GINT64_MODIFIER "x does not lie in memory", name, address);
    }
    return true;
}

static uint64_t view_generation(const Queue *queue)
{
    epoch_enter();
    uint64_t generation = space_view(queue->setup.space)->generation;
    epoch_leave();
    return generation;
}

/* The generation is read first: a view that comes while we map is noticed the next time. */
static bool map_rings(Queue *queue)
{
    const QueueSetup *setup = &queue->setup;
    size_t event = setup->event_index ? sizeof(uint16_t) : 0;

    queue->generation = view_generation(queue);
    if (!map_ring(queue, "descriptor", setup->descriptors, setup->size * sizeof(Descriptor), 16, false, &queue->descriptors_map) ||
        !map_ring(queue, "available", setup->available, sizeof(Available) + setup->size * sizeof(uint16_t) + event, 2, false,
                  &queue->available_map) ||
        !map_ring(queue, "used", setup->used, sizeof(Used) + setup->size * sizeof(struct UsedEntry) + event, 4, true, &queue->used_map)) {
        unmap_rings(queue);
        return false;
    }
    queue->descriptors = queue->descriptors_map.host;
    queue->available = queue->available_map.host;
    queue->used = queue->used_map.host;
    return true;
}

/* Before each look at the rings: are they still where the guest's memory is? */
static bool usable(Queue *queue)
{
    if (queue->broken || queue->detached || !queue->started) {
        return false;
    }
    if (G_UNLIKELY(view_generation(queue) != queue->generation)) {
        unmap_rings(queue);
        return map_rings(queue);
    }
    return true;
}

static uint16_t available_index(const Queue *queue)
{
    return __atomic_load_n(&queue->available->index, __ATOMIC_ACQUIRE);
}

static uint16_t *available_event(const Queue *queue)
{
    return (uint16_t *)(void *)&queue->used->ring[queue->setup.size];
}

static void used_written(const Queue *queue, const void *at, size_t length)
{
    dma_written(&queue->used_map, (size_t)((const uint8_t *)at - (const uint8_t *)queue->used), length);
}

/* ---- elements ---- */

static QueueElement *element_at(const Queue *queue, unsigned index)
{
    return (QueueElement *)(void *)(queue->elements + index * queue->setup.element_size);
}

static void free_elements(Queue *queue)
{
    for (unsigned i = 0; queue->elements && i < queue->setup.size; i++) {
        QueueElement *element = element_at(queue, i);
        if (element->own_arrays) {
            g_free(element->maps);
            g_free(element->pieces);
        }
    }
    g_clear_pointer(&queue->elements, g_free);
    g_clear_pointer(&queue->first_maps, g_free);
    g_clear_pointer(&queue->first_pieces, g_free);
    queue->free = NULL;
}

static bool make_elements(Queue *queue)
{
    size_t count = queue->setup.size;

    queue->elements = g_try_malloc0(count * queue->setup.element_size);
    queue->first_maps = g_try_new(DmaMap, count * INLINE_PIECES);
    queue->first_pieces = g_try_new(struct iovec, count * INLINE_PIECES);
    if (!queue->elements || !queue->first_maps || !queue->first_pieces) {
        return false;
    }
    for (size_t i = count; i-- > 0;) {
        QueueElement *element = element_at(queue, i);
        element->queue = queue;
        element->maps = queue->first_maps + i * INLINE_PIECES;
        element->pieces = queue->first_pieces + i * INLINE_PIECES;
        element->room = INLINE_PIECES;
        element->next_free = queue->free;
        queue->free = element;
    }
    return true;
}

/* A longer chain than ever before in this element: its arrays grow once and stay. */
static bool grow(QueueElement *element)
{
    unsigned room = MIN(element->room * 4, QUEUE_PIECES_MOST);
    DmaMap *maps = g_try_new(DmaMap, room);
    struct iovec *pieces = g_try_new(struct iovec, room);

    if (!maps || !pieces) {
        g_free(maps);
        g_free(pieces);
        return false;
    }
    memcpy(maps, element->maps, element->maps_used * sizeof *maps);
    memcpy(pieces, element->pieces, element->room * sizeof *pieces);
    if (element->in) {
        element->in = pieces + (element->in - element->pieces);
    }
    if (element->own_arrays) {
        g_free(element->maps);
        g_free(element->pieces);
    }
    element->maps = maps;
    element->pieces = element->out = pieces;
    element->room = room;
    element->own_arrays = true;
    return true;
}

static QueueElement *take_element(Queue *queue, uint16_t head)
{
    QueueElement *element = queue->free;

    queue->free = element->next_free;
    queue->in_flight++;
    element->head = head;
    element->busy = true;
    element->out = element->pieces;
    element->in = NULL;
    element->out_count = element->in_count = element->maps_used = element->out_maps = 0;
    element->out_bytes = element->in_bytes = element->in_total = 0;
    return element;
}

/* written: bytes at the start of in that the device has changed. */
static void release_element(Queue *queue, QueueElement *element, size_t written)
{
    for (unsigned i = 0; i < element->maps_used; i++) {
        DmaMap *map = &element->maps[i];
        size_t used = i < element->out_maps ? 0 : MIN(written, map->length);
        dma_unmap(map, used);
        written -= used;
    }
    element->maps_used = 0;
    element->busy = false;
    element->next_free = queue->free;
    queue->free = element;
    queue->in_flight--;
}

/* ---- walking a chain ---- */

typedef struct Walk {
    Queue *queue;
    QueueElement *element;
    const Descriptor *table;               /* mapped entries of the current one */
    uint32_t mapped, entries;
    uint64_t address;                      /* of an indirect table */
    DmaMap map;
    bool indirect, writable_seen;
} Walk;

static bool read_descriptor(const Walk *walk, uint32_t index, Descriptor *descriptor)
{
    if (G_LIKELY(index < walk->mapped)) {
        memcpy(descriptor, &walk->table[index], sizeof *descriptor);
        __atomic_signal_fence(__ATOMIC_SEQ_CST);           /* read once: what is checked is what is used */
        return true;
    }
    return dma_read(walk->queue->setup.space, walk->address + index * sizeof *descriptor, descriptor, sizeof *descriptor) ||
           broken(walk->queue, "an indirect table at 0x%" G_GINT64_MODIFIER "x does not lie in memory", walk->address);
}

static bool add_map(Walk *walk, const DmaMap *map, bool write)
{
    QueueElement *element = walk->element;

    if (element->maps_used == element->room &&
        (element->room == QUEUE_PIECES_MOST ? !broken(walk->queue, "a chain has more than %d pieces", QUEUE_PIECES_MOST)
                                            : !grow(element) && !broken(walk->queue, "the host has no memory for a chain's pieces"))) {
        return false;
    }
    element->maps[element->maps_used++] = *map;
    element->out_maps += !write;
    if (write && !element->in) {
        element->in = element->pieces + element->out_count;
    }
    struct iovec *pieces = write ? element->in : element->out;
    unsigned *count = write ? &element->in_count : &element->out_count;
    if (*count && (uint8_t *)pieces[*count - 1].iov_base + pieces[*count - 1].iov_len == (uint8_t *)map->host) {
        pieces[*count - 1].iov_len += map->length;
    } else {
        pieces[(*count)++] = (struct iovec){ map->host, map->length };
    }
    return true;
}

static bool add_buffer(Walk *walk, const Descriptor *descriptor)
{
    bool write = descriptor->flags & DESCRIPTOR_WRITE;
    QueueElement *element = walk->element;
    uint64_t address = descriptor->address, left = descriptor->length;

    if (!write && walk->writable_seen) {
        return broken(walk->queue, "a readable descriptor follows a writable one");
    }
    walk->writable_seen = write;
    if (left && left - 1 > UINT64_MAX - address) {
        return broken(walk->queue, "a descriptor at 0x%" G_GINT64_MODIFIER "x of %u bytes wraps around", address, descriptor->length);
    }
    if (element->out_bytes + element->in_bytes + left > UINT32_MAX) {
        return broken(walk->queue, "a chain has more than 4 GiB");
    }
    if (write) {
        element->in_bytes += left;
    } else {
        element->out_bytes += left;
    }
    while (left) {
        DmaMap map;
        if (!dma_map(walk->queue->setup.space, address, left, write, &map)) {
            return broken(walk->queue, "a descriptor's 0x%" G_GINT64_MODIFIER "x is not %s memory", address, write ? "writable" : "readable");
        }
        address += map.length;
        left -= map.length;
        if (!add_map(walk, &map, write)) {
            dma_unmap(&map, 0);
            return false;
        }
    }
    return true;
}

/* The rest of the chain stands in a table of its own. */
static bool enter_indirect(Walk *walk, const Descriptor *descriptor)
{
    Queue *queue = walk->queue;

    if (!queue->setup.indirect || walk->indirect) {
        return broken(queue, walk->indirect ? "an indirect descriptor inside an indirect table" : "an indirect descriptor without the feature");
    }
    if (descriptor->flags & DESCRIPTOR_NEXT) {
        return broken(queue, "an indirect descriptor has a next one");
    }
    if (descriptor->length == 0 || descriptor->length % sizeof(Descriptor) ||
        descriptor->length - 1 > UINT64_MAX - descriptor->address) {
        return broken(queue, "an indirect table of %u bytes", descriptor->length);
    }
    walk->indirect = true;
    walk->address = descriptor->address;
    walk->entries = descriptor->length / sizeof(Descriptor);
    if (!dma_map(queue->setup.space, descriptor->address, MIN(walk->entries, QUEUE_PIECES_MOST) * sizeof(Descriptor), false, &walk->map)) {
        return broken(queue, "an indirect table at 0x%" G_GINT64_MODIFIER "x does not lie in memory", descriptor->address);
    }
    walk->table = walk->map.host;
    walk->mapped = walk->map.length / sizeof(Descriptor);
    return true;
}

static bool walk_chain(Walk *walk)
{
    Descriptor descriptor;
    uint32_t index = walk->element->head, steps = 0;

    for (;;) {
        if (!read_descriptor(walk, index, &descriptor)) {
            return false;
        }
        if (descriptor.flags & DESCRIPTOR_INDIRECT) {
            if (!enter_indirect(walk, &descriptor)) {
                return false;
            }
            index = steps = 0;
            continue;
        }
        if (!add_buffer(walk, &descriptor)) {
            return false;
        }
        if (!(descriptor.flags & DESCRIPTOR_NEXT)) {
            return true;
        }
        index = descriptor.next;
        if (index >= walk->entries) {
            return broken(walk->queue, "a descriptor's next is %u in a table of %u", index, walk->entries);
        }
        if (++steps >= MIN(walk->entries, QUEUE_PIECES_MOST)) {
            return broken(walk->queue, "a chain does not end within %u descriptors", MIN(walk->entries, QUEUE_PIECES_MOST));
        }
    }
}

static QueueElement *pop_chain(Queue *queue, uint16_t head)
{
    if (head >= queue->setup.size) {
        broken(queue, "head %u in a queue of %u", head, queue->setup.size);
        return NULL;
    }
    if (!queue->free) {
        broken(queue, "more chains are offered than the queue has entries (%u)", queue->setup.size);
        return NULL;
    }
    QueueElement *element = take_element(queue, head);
    Walk walk = { .queue = queue, .element = element, .table = queue->descriptors, .mapped = queue->setup.size, .entries = queue->setup.size };
    bool ok = walk_chain(&walk);
    dma_unmap(&walk.map, 0);
    if (!ok) {
        release_element(queue, element, 0);
        return NULL;
    }
    element->in = element->in ? element->in : element->pieces + element->out_count;
    element->in_total = element->in_bytes;
    return element;
}

/* ---- popping ---- */

/* How many are waiting, as far as is known; looks again when nothing is. */
static bool something_available(Queue *queue)
{
    if (queue->next_available == queue->seen_available) {
        queue->seen_available = available_index(queue);
    }
    return queue->next_available != queue->seen_available;
}

bool queue_has_more(Queue *queue)
{
    return usable(queue) && something_available(queue);
}

QueueElement *queue_pop(Queue *queue)
{
    if (!usable(queue) || queue->budget == 0 || !something_available(queue)) {
        return NULL;
    }
    if ((uint16_t)(queue->seen_available - queue->next_available) > queue->setup.size) {
        broken(queue, "the available index jumped from %u to %u in a queue of %u", queue->next_available, queue->seen_available,
               queue->setup.size);
        return NULL;
    }
    uint16_t head = __atomic_load_n(&queue->available->ring[queue->next_available & queue->mask], __ATOMIC_RELAXED);
    QueueElement *element = pop_chain(queue, head);
    if (element) {
        queue->next_available++;
        queue->budget -= queue->budget != UINT_MAX;
        TRACE(&queue_trace[TRACE_POP], "head %u out %zu in %zu", head, element->out_bytes, element->in_bytes);
    }
    return element;
}

QueueElement *queue_take_again(Queue *queue, uint16_t head)
{
    return usable(queue) ? pop_chain(queue, head) : NULL;
}

void queue_unpop(QueueElement *element)
{
    Queue *queue = element->queue;

    release_element(queue, element, 0);
    queue->next_available--;
}

void queue_set_budget(Queue *queue, unsigned pops)
{
    queue->budget = pops;
}

bool queue_budget_spent(const Queue *queue)
{
    return queue->budget == 0;
}

void queue_kicks_off(Queue *queue)
{
    if (queue->kicks_are_off || !usable(queue)) {
        return;
    }
    queue->kicks_are_off = true;
    if (!queue->setup.event_index) {       /* with it, the event lies behind already */
        __atomic_store_n(&queue->used->flags, USED_NO_KICK, __ATOMIC_RELAXED);
        used_written(queue, &queue->used->flags, sizeof(uint16_t));
    }
}

bool queue_kicks_on(Queue *queue)
{
    uint16_t *at;

    if (!usable(queue)) {
        return false;
    }
    queue->kicks_are_off = false;
    if (queue->setup.event_index) {
        at = available_event(queue);
        __atomic_store_n(at, queue->next_available, __ATOMIC_RELAXED);
    } else {
        at = &queue->used->flags;
        __atomic_store_n(at, 0, __ATOMIC_RELAXED);
    }
    used_written(queue, at, sizeof *at);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);               /* what the driver offered before it saw that, we see now */
    queue->seen_available = available_index(queue);
    return queue->seen_available != queue->next_available;
}

QueueElement *queue_next(Queue *queue)
{
    do {
        queue_kicks_off(queue);
        QueueElement *element = queue_pop(queue);
        if (element || queue->budget == 0) {
            return element;
        }
    } while (queue_kicks_on(queue));
    return NULL;
}

/* ---- pushing ---- */

void queue_fill(QueueElement *element, size_t written)
{
    Queue *queue = element->queue;
    uint16_t head = element->head;

    TRACE(&queue_trace[TRACE_PUSH], "head %u written %zu", head, written);
    written = MIN(written, element->in_total);
    release_element(queue, element, written);
    if (usable(queue)) {
        struct UsedEntry *entry = &queue->used->ring[queue->next_used++ & queue->mask];
        entry->head = head;
        entry->written = (uint32_t)written;
        used_written(queue, entry, sizeof *entry);
    }
    if (queue->detached && queue->in_flight == 0 && queue->setup.ops->idle) {
        queue->setup.ops->idle(queue->setup.opaque);
    }
}

void queue_publish(Queue *queue)
{
    if (!usable(queue)) {
        return;
    }
    __atomic_store_n(&queue->used->index, queue->next_used, __ATOMIC_RELEASE);
    used_written(queue, &queue->used->index, sizeof(uint16_t));
    if (!queue->pushed) {
        queue->pushed = true;
        queue->setup.ops->pushed(queue->setup.opaque);
    }
}

void queue_push(QueueElement *element, size_t written)
{
    Queue *queue = element->queue;

    queue_fill(element, written);
    queue_publish(queue);
}

bool queue_must_interrupt(Queue *queue)
{
    uint16_t before = queue->asked_used, now = queue->next_used;
    bool first = !queue->asked;

    if (!queue->pushed || !usable(queue)) {
        return false;
    }
    queue->pushed = false;
    queue->asked = true;
    queue->asked_used = now;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);               /* the driver looks at the used index after it asked for interrupts */
    if (queue->setup.notify_on_empty && queue->in_flight == 0 && available_index(queue) == queue->next_available) {
        return true;
    }
    if (!queue->setup.event_index) {
        return !(__atomic_load_n(&queue->available->flags, __ATOMIC_RELAXED) & AVAILABLE_NO_INTERRUPT);
    }
    uint16_t event = __atomic_load_n(&queue->available->ring[queue->setup.size], __ATOMIC_RELAXED);
    return first || (uint16_t)(now - event - 1) < (uint16_t)(now - before);
}

/* ---- life ---- */

bool queue_start(Queue *queue, const QueueSetup *setup, GError **err)
{
    queue_stop(queue);
    *queue = (Queue){ .setup = *setup, .started = true, .mask = setup->size - 1, .budget = UINT_MAX, .next_available = setup->next_available,
                      .seen_available = setup->next_available, .next_used = setup->next_used };
    if (!make_elements(queue)) {
        free_elements(queue);
        queue->started = false;
        return fail(err, ENOMEM, "the host has no memory for a virtqueue of %u entries", setup->size);
    }
    map_rings(queue);
    return true;
}

void queue_detach(Queue *queue)
{
    queue->detached = true;
}

void queue_stop(Queue *queue)
{
    if (!queue->started) {
        return;
    }
    for (unsigned i = 0; i < queue->setup.size; i++) {     /* none, when its owner kept the rules */
        if (element_at(queue, i)->busy) {
            release_element(queue, element_at(queue, i), 0);
        }
    }
    unmap_rings(queue);
    free_elements(queue);
    queue->started = false;
}

void queue_indexes(const Queue *queue, uint16_t *next_available, uint16_t *next_used)
{
    *next_available = queue->next_available;
    *next_used = queue->next_used;
}

unsigned queue_heads(const Queue *queue, uint16_t *heads, unsigned most)
{
    unsigned count = 0;

    for (unsigned i = 0; queue->started && i < queue->setup.size && count < most; i++) {
        if (element_at(queue, i)->busy) {
            heads[count++] = element_at(queue, i)->head;
        }
    }
    return count;
}

/* ---- an element's bytes ---- */

/* Removes bytes from the front of pieces, in place. */
static void cut_front(struct iovec **pieces, unsigned *count, size_t length)
{
    while (length && *count) {
        size_t part = MIN(length, (*pieces)->iov_len);
        (*pieces)->iov_base = (uint8_t *)(*pieces)->iov_base + part;
        (*pieces)->iov_len -= part;
        length -= part;
        if ((*pieces)->iov_len == 0) {
            (*pieces)++;
            (*count)--;
        }
    }
}

size_t queue_take_out(QueueElement *element, void *bytes, size_t length)
{
    size_t taken = iov_gather(element->out, element->out_count, 0, bytes, length);

    cut_front(&element->out, &element->out_count, taken);
    element->out_bytes -= taken;
    return taken;
}

void queue_cut_in(QueueElement *element, size_t front, size_t back)
{
    front = MIN(front, element->in_bytes);
    cut_front(&element->in, &element->in_count, front);
    element->in_bytes -= front;
    back = MIN(back, element->in_bytes);
    element->in_bytes -= back;
    while (back) {
        struct iovec *last = &element->in[element->in_count - 1];
        size_t part = MIN(back, last->iov_len);
        last->iov_len -= part;
        back -= part;
        element->in_count -= last->iov_len == 0;
    }
}

size_t queue_answer(QueueElement *element, size_t offset, const void *bytes, size_t length)
{
    size_t done = 0, start = element->in_total;

    if (offset >= element->in_total) {
        return 0;
    }
    length = MIN(length, element->in_total - offset);
    /* From the end: a status stands there. */
    for (unsigned i = element->maps_used; i-- > element->out_maps && done < length;) {
        DmaMap *map = &element->maps[i];
        start -= map->length;
        size_t from = MAX(offset, start), to = MIN(offset + length, start + map->length);
        if (from < to) {
            memcpy((uint8_t *)map->host + (from - start), (const uint8_t *)bytes + (from - offset), to - from);
            dma_written(map, from - start, to - from);
            done += to - from;
        }
    }
    return done;
}
