/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * balloon.c - virtio-balloon: memory that the guest lends back to the host
 *
 * Models   Virtio 1.2, 5.5: inflating and deflating in 4 KiB pages, statistics, deflate on out-of-memory, page poison, reporting of free
 *          pages
 * Omits    free page hints (they serve migration)
 * Wires    pages go back by madvise(2); BALLOON_CHANGE tells what the guest has
 * Threads  the main loop
 * Tests    tests/dev/virtio.c
 */
#include "hw/virtio/balloon.h"
#include "accel/memory/ram.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/event.h"
#include "base/iov.h"
#include "base/timer.h"
#include "hw/models.h"
#include "hw/virtio/virtio-pci.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define F_STATS          VIRTIO_BIT(1)
#define F_DEFLATE_ON_OOM VIRTIO_BIT(2)
#define F_PAGE_POISON    VIRTIO_BIT(4)
#define F_REPORTING      VIRTIO_BIT(5)

enum { INFLATE, DEFLATE, STATS, REPORTING };               /* queues; the last one only when it is offered */
enum { AT_WANTED = 0, AT_ACTUAL = 4, AT_POISON = 12, CONFIG_BYTES = 16 };
enum { QUEUE = 128, REPORTING_QUEUE = 32, PAGE = 4096, STAT_BYTES = 10, PAGES_MOST = 65536 };

typedef struct Balloon {
    VirtioPci base;
    bool deflate_on_oom, reporting, hints, page_poison;
    uint32_t wanted, actual;               /* pages in the balloon: as the host wishes, as the guest says */
    uint32_t poison;                       /* what the guest fills free pages with */
    uint32_t polling;                      /* seconds */
    Timer poll;
    QueueElement *stats_element;           /* pushed back, it asks for statistics */
    uint64_t stats[BALLOON_STATS];
    int64_t stats_when;
} Balloon;

const char *const balloon_stat_names[BALLOON_STATS] = {
    [BALLOON_SWAP_IN] = "stat-swap-in", [BALLOON_SWAP_OUT] = "stat-swap-out", [BALLOON_MAJOR_FAULTS] = "stat-major-faults",
    [BALLOON_MINOR_FAULTS] = "stat-minor-faults", [BALLOON_FREE_MEMORY] = "stat-free-memory", [BALLOON_TOTAL_MEMORY] = "stat-total-memory",
    [BALLOON_AVAILABLE_MEMORY] = "stat-available-memory", [BALLOON_DISK_CACHES] = "stat-disk-caches",
    [BALLOON_HTLB_ALLOCATIONS] = "stat-htlb-pgalloc", [BALLOON_HTLB_FAILURES] = "stat-htlb-pgfail",
};

static Balloon *balloon_of(Virtio *virtio)
{
    return (Balloon *)virtio->device;
}

static uint64_t machine_pages(const Balloon *balloon)
{
    return balloon->base.pci.device.machine->ram_size / PAGE;
}

/* ---- pages ---- */

/* Pages that follow each other are given back in one call. */
typedef struct Run { uint64_t first, count; } Run;

static void give_back(Balloon *balloon, Run *run)
{
    AddressSpace *space = balloon->base.pci.device.machine->memory;
    uint64_t address = run->first * PAGE, left = run->count * PAGE;
    DmaMap map;

    run->count = 0;
    while (left && dma_map(space, address, left, true, &map)) {
        size_t length = map.length;
        if (map.ram_offset % PAGE == 0 && length >= PAGE) {
            madvise(map.host, length / PAGE * PAGE, MADV_DONTNEED);
        }
        dma_unmap(&map, length);
        address += length;
        left -= length;
    }
    if (left) {
        guest_fault(&balloon->base.pci.device, "a page at 0x%" G_GINT64_MODIFIER "x, which is no memory, goes into the balloon", address);
    }
}

static void take_page(Balloon *balloon, Run *run, uint64_t page)
{
    if (run->count && page == run->first + run->count) {
        run->count++;
    } else if (run->count && page + 1 == run->first) {
        run->first--;
        run->count++;
    } else {
        if (run->count) {
            give_back(balloon, run);
        }
        *run = (Run){ page, 1 };
    }
}

static void inflate(Balloon *balloon, const QueueElement *element)
{
    uint8_t numbers[1024];
    Run run = { 0, 0 };
    size_t end = MIN(element->out_bytes / 4, PAGES_MOST) * 4;

    if (element->out_bytes / 4 > PAGES_MOST) {
        guest_fault(&balloon->base.pci.device, "%zu pages in one request; %d are looked at", element->out_bytes / 4, PAGES_MOST);
    }
    for (size_t at = 0; at < end; at += sizeof numbers) {
        size_t length = iov_gather(element->out, element->out_count, at, numbers, MIN(sizeof numbers, end - at));
        for (size_t i = 0; i + 4 <= length; i += 4) {
            take_page(balloon, &run, load_le32(numbers + i));
        }
    }
    if (run.count) {
        give_back(balloon, &run);
    }
}

/* A deflated page is touched by the guest when it needs it: nothing to do. */
static void handle_pages(Virtio *virtio, unsigned index)
{
    QueueElement *element;

    while ((element = queue_next(virtio_queue(virtio, index)))) {
        if (index == INFLATE) {
            inflate(balloon_of(virtio), element);
        }
        queue_push(element, 0);
    }
}

/* Free pages that the guest would like to find poisoned must keep what they hold. */
static void handle_reports(Virtio *virtio, unsigned index)
{
    bool poisoned = virtio_has(virtio, F_PAGE_POISON) && balloon_of(virtio)->poison != 0;
    QueueElement *element;

    while ((element = queue_next(virtio_queue(virtio, index)))) {
        for (unsigned i = 0; !poisoned && i < element->in_count; i++) {
            uintptr_t start = ((uintptr_t)element->in[i].iov_base + PAGE - 1) / PAGE * PAGE;
            uintptr_t end = ((uintptr_t)element->in[i].iov_base + element->in[i].iov_len) / PAGE * PAGE;
            if (start < end) {
                madvise((void *)start, end - start, MADV_DONTNEED);
            }
        }
        queue_push(element, 0);
    }
}

/* ---- statistics ---- */

static void forget_stats(Balloon *balloon)
{
    for (unsigned i = 0; i < BALLOON_STATS; i++) {
        balloon->stats[i] = UINT64_MAX;
    }
}

static void note_stats(Balloon *balloon, const QueueElement *element)
{
    uint8_t entry[STAT_BYTES];

    forget_stats(balloon);
    for (size_t at = 0; at < 64 * STAT_BYTES && iov_gather(element->out, element->out_count, at, entry, STAT_BYTES) == STAT_BYTES;
         at += STAT_BYTES) {
        if (load_le16(entry) < BALLOON_STATS) {
            balloon->stats[load_le16(entry)] = load_le64(entry + 2);
        }
    }
    balloon->stats_when = clock_now(CLOCK_HOST) / NS_PER_SECOND;
}

static void poll_again(Balloon *balloon)
{
    if (balloon->polling) {
        timer_arm(&balloon->poll, clock_now(CLOCK_GUEST) + balloon->polling * NS_PER_SECOND);
    } else {
        timer_cancel(&balloon->poll);
    }
}

/* The driver has one buffer here: it brings statistics, and lies with us until we want the next. */
static void hold_stats(Virtio *virtio, unsigned index, QueueElement *element)
{
    Balloon *balloon = balloon_of(virtio);

    (void)index;
    if (balloon->stats_element) {
        queue_push(balloon->stats_element, 0);
    }
    balloon->stats_element = element;
}

static void handle_stats(Virtio *virtio, unsigned index)
{
    QueueElement *element;

    while ((element = queue_next(virtio_queue(virtio, index)))) {
        note_stats(balloon_of(virtio), element);
        hold_stats(virtio, index, element);
        poll_again(balloon_of(virtio));
    }
}

static void poll_stats(void *opaque)
{
    Balloon *balloon = opaque;

    if (balloon->stats_element) {
        queue_push(g_steal_pointer(&balloon->stats_element), 0);
    } else {
        poll_again(balloon);
    }
}

/* ---- the device ---- */

static void balloon_handle(Virtio *virtio, unsigned index)
{
    switch (index) {
    case INFLATE:
    case DEFLATE:
        handle_pages(virtio, index);
        break;
    case STATS:
        handle_stats(virtio, index);
        break;
    default:
        handle_reports(virtio, index);
        break;
    }
}

static void balloon_resubmit(Virtio *virtio, unsigned index, QueueElement *element)
{
    if (index == STATS) {
        hold_stats(virtio, index, element);
    } else {
        queue_push(element, 0);
    }
}

static void balloon_stop(Virtio *virtio)
{
    Balloon *balloon = balloon_of(virtio);

    if (balloon->stats_element) {
        queue_push(g_steal_pointer(&balloon->stats_element), 0);
    }
}

static void balloon_config_written(Virtio *virtio, unsigned offset, unsigned size)
{
    Balloon *balloon = balloon_of(virtio);
    uint32_t actual = (uint32_t)virtio_config_get(virtio, AT_ACTUAL, 4);

    (void)offset;
    (void)size;
    balloon->poison = (uint32_t)virtio_config_get(virtio, AT_POISON, 4);
    if (actual != balloon->actual) {
        balloon->actual = actual;
        Value *data = value_new_object();
        value_set(data, "actual", value_new_uint(balloon_actual(virtio->device)));
        event_emit("BALLOON_CHANGE", data);
    }
}

static void balloon_reset(Virtio *virtio)
{
    Balloon *balloon = balloon_of(virtio);

    balloon->poison = 0;
    virtio_config_set(virtio, AT_POISON, 4, 0);
    forget_stats(balloon);
    balloon->stats_when = 0;
}

static bool balloon_after_load(Virtio *virtio, GError **err)
{
    const Balloon *balloon = balloon_of(virtio);

    (void)err;
    virtio_config_set(virtio, AT_WANTED, 4, balloon->wanted);
    virtio_config_set(virtio, AT_ACTUAL, 4, balloon->actual);
    virtio_config_set(virtio, AT_POISON, 4, balloon->poison);
    return true;
}

static const VirtioModel virtio_balloon = {
    .name = "virtio-balloon",  .id = VIRTIO_ID_BALLOON,  .legacy_device = 0x1002,  .class_code = 0x00ff00,
    .element_size = sizeof(QueueElement),
    .handle = balloon_handle,  .stop = balloon_stop,  .resubmit = balloon_resubmit,
    .config_written = balloon_config_written,  .reset = balloon_reset,  .after_load = balloon_after_load,
};

/* ---- for monitors ---- */

bool balloon_set_target(Device *device, uint64_t bytes, GError **err)
{
    Balloon *balloon = (Balloon *)device;

    if (bytes == 0) {
        return fail(err, EINVAL, "balloon '%s': a target of 0 bytes leaves the guest nothing", device_name(device));
    }
    balloon->wanted = (uint32_t)MIN(machine_pages(balloon) - MIN(bytes / PAGE, machine_pages(balloon)), UINT32_MAX);
    virtio_config_set(&balloon->base.virtio, AT_WANTED, 4, balloon->wanted);
    virtio_config_changed(&balloon->base.virtio);
    return true;
}

uint64_t balloon_actual(const Device *device)
{
    const Balloon *balloon = (const Balloon *)device;
    uint64_t pages = machine_pages(balloon);

    return (pages - MIN(balloon->actual, pages)) * PAGE;
}

void balloon_set_polling(Device *device, uint32_t seconds)
{
    Balloon *balloon = (Balloon *)device;

    balloon->polling = seconds;
    poll_again(balloon);
}

void balloon_stats(const Device *device, uint64_t stats[BALLOON_STATS], int64_t *when)
{
    const Balloon *balloon = (const Balloon *)device;

    memcpy(stats, balloon->stats, sizeof balloon->stats);
    *when = balloon->stats_when;
}

/* ---- life ---- */

static bool get_polling(void *object, Value **out, GError **err)
{
    (void)err;
    *out = value_new_uint(((const Balloon *)object)->polling);
    return true;
}

static bool set_polling(void *object, const Value *value, GError **err)
{
    Balloon *balloon = object;
    uint64_t seconds;
    const char *text = value_string(value);

    if (!(text ? parse_uint(text, &seconds) : value_to_uint(value, &seconds)) || seconds > UINT32_MAX) {
        return fail(err, EINVAL, "device '%s': guest-stats-polling-interval takes seconds from 0 to %u", device_name(object), UINT32_MAX);
    }
    if (balloon->base.pci.device.realized) {
        balloon_set_polling(object, (uint32_t)seconds);
    } else {
        balloon->polling = (uint32_t)seconds;
    }
    return true;
}

static bool get_stats(void *object, Value **out, GError **err)
{
    const Balloon *balloon = object;
    Value *stats = value_new_object();

    (void)err;
    for (unsigned i = 0; i < BALLOON_STATS; i++) {
        value_set(stats, balloon_stat_names[i], value_new_uint(balloon->stats[i]));
    }
    *out = value_new_object();
    value_set(*out, "stats", stats);
    value_set(*out, "last-update", value_new_int(balloon->stats_when));
    return true;
}

static void balloon_unrealize(Device *device)
{
    Balloon *balloon = (Balloon *)device;

    virtio_pci_unrealize(&balloon->base);
    timer_cancel(&balloon->poll);
}

static bool make(Balloon *balloon, GError **err)
{
    Device *device = &balloon->base.pci.device;
    Virtio *virtio = &balloon->base.virtio;

    if (balloon->hints) {
        return fail(err, ENOTSUP, "device '%s': free-page-hint=on is not supported; free-page-reporting=on is", device_name(device));
    }
    if (balloon_find(device->machine)) {
        return fail(err, EEXIST, "device '%s': the machine has a balloon already", device_name(device));
    }
    if (!virtio_init(virtio, device, &virtio_balloon, NULL, CONFIG_BYTES, err) || !virtio_add_queue(virtio, QUEUE, err) ||
        !virtio_add_queue(virtio, QUEUE, err) || !virtio_add_queue(virtio, QUEUE, err) ||
        (balloon->reporting && !virtio_add_queue(virtio, REPORTING_QUEUE, err))) {
        return false;
    }
    virtio->offered = F_STATS | (balloon->deflate_on_oom ? F_DEFLATE_ON_OOM : 0) | (balloon->page_poison ? F_PAGE_POISON : 0) |
                      (balloon->reporting ? F_REPORTING : 0);
    virtio_config_allow(virtio, AT_ACTUAL, 4, 0xffffffff);
    virtio_config_allow(virtio, AT_POISON, 4, 0xffffffff);
    return virtio_pci_realize(&balloon->base, 0, err);
}

static bool balloon_realize(Device *device, GError **err)
{
    Balloon *balloon = (Balloon *)device;

    timer_init(&balloon->poll, CLOCK_GUEST, poll_stats, balloon);
    forget_stats(balloon);
    if (!make(balloon, err)) {
        balloon_unrealize(device);
        return false;
    }
    poll_again(balloon);
    return true;
}

static const Field balloon_props[] = {
    VIRTIO_PCI_PROPS(Balloon, base),
    PROP_BOOL("deflate-on-oom", Balloon, deflate_on_oom, false, .help = "the guest may take pages back when it runs out of memory"),
    PROP_BOOL("free-page-reporting", Balloon, reporting, false, .help = "the guest tells of free pages by itself, and the host takes them"),
    PROP_BOOL("free-page-hint", Balloon, hints, false, .help = "hints for migration; not supported"),
    PROP_BOOL("page-poison", Balloon, page_poison, true, .help = "offer that feature"),
    PROP_CALL("guest-stats-polling-interval", get_polling, set_polling, .help = "seconds between two asks for statistics; 0: never"),
    PROP_CALL("guest-stats", get_stats, NULL, .help = "the statistics that came last"),
    FIELD_END };

static const Field balloon_saved[] = {
    SAVE_VIRTIO_PCI(Balloon, base), SAVE_U32(Balloon, wanted), SAVE_U32(Balloon, actual), SAVE_U32(Balloon, poison), SAVE_TIMER(Balloon, poll),
    FIELD_END };

const DeviceModel virtio_balloon_models[VIRTIO_PCI_KINDS] = VIRTIO_PCI_MODELS("virtio-balloon",
    .help = "takes memory back from the guest", .size = sizeof(Balloon),
    .props = balloon_props, .saved = balloon_saved, .saved_version = 1,
    .realize = balloon_realize, .reset = virtio_pci_reset, .unrealize = balloon_unrealize,
    .before_save = virtio_pci_before_save, .after_load = virtio_pci_after_load);

Device *balloon_find(Machine *machine)
{
    for (unsigned i = 0; i < VIRTIO_PCI_KINDS; i++) {
        Device *device = machine_find_model(machine, &virtio_balloon_models[i]);
        if (device) {
            return device;
        }
    }
    return NULL;
}
