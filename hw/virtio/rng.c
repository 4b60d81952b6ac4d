/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rng.c - virtio-rng: random bytes for whoever offers a buffer
 *
 * Models   Virtio 1.2, 5.4: one queue of writable chains; at most max-bytes in each period, as QEMU counts them
 * Omits    leak queues
 * Wires    an rng object (rng-random, rng-builtin), or the host's own random bytes
 * Threads  the main loop
 * Tests    tests/dev/virtio.c
 */
#include "base/error.h"
#include "base/io-loop.h"
#include "base/timer.h"
#include "hw/models.h"
#include "hw/virtio/rng-source.h"
#include "hw/virtio/virtio-pci.h"
#include <errno.h>

enum { RNG_QUEUE = 8, RNG_VECTORS = 2, CHUNK = 4096, ANSWER_MOST = 65536 };    /* a longer buffer gets that much, and may ask again */
#define DRY_NS (20 * NS_PER_MS)            /* how long a source that gave nothing is left alone */

typedef struct VirtioRng {
    VirtioPci base;
    char *rng;                             /* id of the object; NULL: the host's random bytes */
    uint64_t most_bytes;
    uint32_t period_ms;
    RngSource *source;
    Timer refill;                          /* the end of a period; not armed while nobody asks */
    Timer dry;                             /* host time: the source had nothing */
    uint64_t quota;                        /* bytes left in it */
} VirtioRng;

static VirtioRng *rng_of(Virtio *virtio)
{
    return (VirtioRng *)virtio->device;
}

/* Fills the element as far as the quota goes; how many bytes. */
static size_t fill(VirtioRng *rng, QueueElement *element)
{
    uint8_t bytes[CHUNK];
    size_t done = 0, wanted = (size_t)MIN(MIN(element->in_bytes, ANSWER_MOST), rng->quota);

    while (done < wanted) {
        size_t part = rng_source_read(rng->source, bytes, MIN(wanted - done, sizeof bytes));
        if (part == 0) {
            break;
        }
        queue_answer(element, done, bytes, part);
        done += part;
    }
    rng->quota -= done;
    return done;
}

static void rng_handle(Virtio *virtio, unsigned index)
{
    VirtioRng *rng = rng_of(virtio);
    QueueElement *element = NULL;

    while (rng->quota && !timer_armed(&rng->dry) && (element = queue_next(virtio_queue(virtio, index)))) {
        size_t done = fill(rng, element);
        if (done || element->in_bytes == 0) {
            queue_push(element, done);
        } else {
            queue_unpop(element);
            timer_arm(&rng->dry, clock_now(CLOCK_STEADY) + DRY_NS);
        }
    }
    if (!timer_armed(&rng->refill) && rng->quota < rng->most_bytes) {
        timer_arm(&rng->refill, clock_now(CLOCK_GUEST) + rng->period_ms * NS_PER_MS);
    }
}

static void ask_again(void *opaque)
{
    VirtioRng *rng = opaque;

    virtio_kick(&rng->base.virtio, 0);
}

static void refill(void *opaque)
{
    VirtioRng *rng = opaque;
    bool waited = rng->quota == 0;

    rng->quota = rng->most_bytes;
    if (waited) {
        virtio_kick(&rng->base.virtio, 0);
    }
}

static void rng_reset(Virtio *virtio)
{
    VirtioRng *rng = rng_of(virtio);

    if (!timer_armed(&rng->refill)) {      /* a reset brings no new bytes */
        rng->quota = rng->most_bytes;
    }
}

static bool rng_after_load(Virtio *virtio, GError **err)
{
    VirtioRng *rng = rng_of(virtio);

    (void)err;
    rng->quota = MIN(rng->quota, rng->most_bytes);
    return true;
}

static void rng_resubmit(Virtio *virtio, unsigned index, QueueElement *element)
{
    (void)index;
    queue_push(element, fill(rng_of(virtio), element));
}

static const VirtioModel virtio_rng = {
    .name = "virtio-rng",  .id = VIRTIO_ID_RNG,  .legacy_device = 0x1005,  .class_code = 0x00ff00,  .element_size = sizeof(QueueElement),
    .handle = rng_handle,  .resubmit = rng_resubmit,  .reset = rng_reset,  .after_load = rng_after_load,
};

static void rng_unrealize(Device *device)
{
    VirtioRng *rng = (VirtioRng *)device;

    virtio_pci_unrealize(&rng->base);
    timer_cancel(&rng->refill);
    timer_cancel(&rng->dry);
    if (rng->source) {
        rng_source_unref(g_steal_pointer(&rng->source));
    }
}

static bool rng_realize(Device *device, GError **err)
{
    VirtioRng *rng = (VirtioRng *)device;
    Virtio *virtio = &rng->base.virtio;

    timer_init(&rng->refill, CLOCK_GUEST, refill, rng);
    timer_init(&rng->dry, CLOCK_STEADY, ask_again, rng);
    if (rng->period_ms == 0) {
        return fail(err, EINVAL, "device '%s': period=0 is no time for max-bytes to last", device_name(device));
    }
    rng->quota = rng->most_bytes;
    rng->source = rng_source_for_device(rng->rng, device_name(device), err);
    if (!rng->source || !virtio_init(virtio, device, &virtio_rng, NULL, 0, err) || !virtio_add_queue(virtio, RNG_QUEUE, err) ||
        !virtio_pci_realize(&rng->base, RNG_VECTORS, err)) {
        rng_unrealize(device);
        return false;
    }
    return true;
}

static const Field rng_props[] = {
    VIRTIO_PCI_PROPS(VirtioRng, base),
    PROP_STR("rng", VirtioRng, rng, .help = "id of an rng-random or rng-builtin object; default: the host's random bytes"),
    PROP_U64("max-bytes", VirtioRng, most_bytes, INT64_MAX, .min = 1, .max = INT64_MAX, .help = "bytes that a period brings"),
    PROP_U32("period", VirtioRng, period_ms, 65536, .help = "milliseconds that max-bytes must last"),
    FIELD_END };

static const Field rng_saved[] = {
    SAVE_VIRTIO_PCI(VirtioRng, base), SAVE_U64(VirtioRng, quota), SAVE_TIMER(VirtioRng, refill),
    FIELD_END };

const DeviceModel virtio_rng_models[VIRTIO_PCI_KINDS] = VIRTIO_PCI_MODELS("virtio-rng",
    .help = "source of random bytes", .size = sizeof(VirtioRng),
    .props = rng_props, .saved = rng_saved, .saved_version = 1,
    .realize = rng_realize, .reset = virtio_pci_reset, .unrealize = rng_unrealize,
    .before_save = virtio_pci_before_save, .after_load = virtio_pci_after_load);
