/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-state.c - a virtio device's saved state: what was negotiated, where the queues are, and what was handed out
 *
 * What stands in flight when a state is saved are the requests that the model keeps back (an image ran full, werror=stop): all others
 * have been waited for. They are saved as the heads of their chains; the chains still lie in the guest's memory, and are walked
 * and checked again.
 *
 * Threads  main loop, machine lock held
 * Tests    tests/dev/virtio.c (RESTORED), tests/dev/models.c for hostile states
 */
#include "base/bytes.h"
#include "base/error.h"
#include "hw/core/machine.h"
#include "hw/virtio/virtio-internal.h"
#include <errno.h>
#include <string.h>

/* A queue in the stream: size, vector, next_available, next_used 16 each; enabled 8; three addresses 64 each. */
enum { QUEUE_STATE = 33, QUEUE_ADDRESSES = 9, IN_FLIGHT_MOST = 4 << 20 };

static void save_queue(const VirtioQueue *vq, uint8_t *out)
{
    uint16_t next_available = vq->next_available, next_used = vq->next_used;

    if (queue_started(vq->queue)) {
        queue_indexes(vq->queue, &next_available, &next_used);
    }
    store_le16(out, vq->size);
    store_le16(out + 2, vq->vector);
    store_le16(out + 4, next_available);
    store_le16(out + 6, next_used);
    out[8] = vq->enabled;
    store_le64(out + QUEUE_ADDRESSES, vq->descriptors);
    store_le64(out + QUEUE_ADDRESSES + 8, vq->available);
    store_le64(out + QUEUE_ADDRESSES + 16, vq->used);
}

static void save_in_flight(Virtio *virtio)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    uint16_t heads[QUEUE_SIZE_MOST];

    for (unsigned i = 0; virtio->phase == VIRTIO_LIVE && i < virtio->queue_count; i++) {
        unsigned count = queue_heads(virtio->queues[i].queue, heads, QUEUE_SIZE_MOST);
        for (unsigned k = 0; k < count; k++) {
            uint8_t entry[4];
            store_le16(entry, (uint16_t)i);
            store_le16(entry + 2, heads[k]);
            g_byte_array_append(out, entry, sizeof entry);
        }
    }
    if (out->len || virtio->in_flight_bytes == 0) {        /* else they were loaded, and the machine has not run since */
        g_free(virtio->in_flight);
        virtio->in_flight_bytes = out->len;
        virtio->in_flight = g_byte_array_free(g_steal_pointer(&out), FALSE);
    }
}

void virtio_before_save(Virtio *virtio)
{
    if (!virtio->watched) {
        return;
    }
    virtio_pause(virtio);
    virtio->was_live = virtio->phase == VIRTIO_LIVE || virtio->start_again;
    virtio->queue_state_bytes = virtio->queue_count * QUEUE_STATE;
    g_free(virtio->queue_state);
    virtio->queue_state = g_malloc0(virtio->queue_state_bytes);
    for (unsigned i = 0; i < virtio->queue_count; i++) {
        save_queue(&virtio->queues[i], virtio->queue_state + i * QUEUE_STATE);
    }
    save_in_flight(virtio);
}

static bool load_queue(VirtioQueue *vq, const uint8_t *in, GError **err)
{
    uint16_t size = load_le16(in);

    if (size == 0 || size & (size - 1) || size > vq->size_most || in[8] > 1) {
        return fail(err, EINVAL, "%s: the saved state has a virtqueue %u with %u entries, this device takes up to %u",
                    device_name(vq->virtio->device), vq->index, size, vq->size_most);
    }
    vq->size = size;
    vq->vector = load_le16(in + 2);
    vq->next_available = load_le16(in + 4);
    vq->next_used = load_le16(in + 6);
    vq->enabled = in[8];
    vq->descriptors = load_le64(in + QUEUE_ADDRESSES);
    vq->available = load_le64(in + QUEUE_ADDRESSES + 8);
    vq->used = load_le64(in + QUEUE_ADDRESSES + 16);
    return true;
}

static bool load_queues(Virtio *virtio, GError **err)
{
    if (virtio->queue_state_bytes != virtio->queue_count * QUEUE_STATE) {
        return fail(err, EINVAL, "%s: the saved state has another number of virtqueues than this device (%u)", device_name(virtio->device),
                    virtio->queue_count);
    }
    for (unsigned i = 0; i < virtio->queue_count; i++) {
        if (!load_queue(&virtio->queues[i], virtio->queue_state + i * QUEUE_STATE, err)) {
            return false;
        }
    }
    return true;
}

static bool check_in_flight(const Virtio *virtio)
{
    for (uint32_t at = 0; at < virtio->in_flight_bytes; at += 4) {
        if (load_le16(virtio->in_flight + at) >= virtio->queue_count) {
            return false;
        }
    }
    return virtio->in_flight_bytes % 4 == 0;
}

static bool check_loaded(Virtio *virtio, GError **err)
{
    if (virtio->accepted & ~virtio->offered) {
        return fail(err, EINVAL, "%s: the saved state has features 0x%" G_GINT64_MODIFIER "x that this device does not offer",
                    device_name(virtio->device), virtio->accepted & ~virtio->offered);
    }
    if (!check_in_flight(virtio)) {
        return fail(err, EINVAL, "%s: the saved state's list of requests is damaged", device_name(virtio->device));
    }
    return load_queues(virtio, err) && (!virtio->model->after_load || virtio->model->after_load(virtio, err));
}

/* A device that was in use until now (a machine goes back to a snapshot) stops first; the registers are the loaded ones already. */
bool virtio_after_load(Virtio *virtio, GError **err)
{
    const Machine *machine = virtio->device->machine;

    virtio_stop(virtio);
    virtio_wait_idle(virtio);
    if (!check_loaded(virtio, err)) {
        virtio->in_flight_bytes = 0;
        virtio_reset(virtio);
        return false;
    }
    if (virtio->model->features_set && virtio->status & (VIRTIO_FEATURES_OK | VIRTIO_DRIVER_OK)) {
        virtio->model->features_set(virtio);
    }
    virtio->paused = machine->state != RUN_RUNNING && machine->state != RUN_PRELAUNCH;     /* the loop does not look: not live */
    if (virtio->was_live) {
        virtio_start(virtio);
    }
    return true;
}

const Field virtio_saved[] = {
    SAVE_U8(Virtio, status), SAVE_U8(Virtio, generation), SAVE_U8(Virtio, isr), SAVE_U64(Virtio, accepted), SAVE_BOOL(Virtio, legacy),
    SAVE_U16(Virtio, config_vector), SAVE_BOOL(Virtio, was_live),
    SAVE_VARIABLE_BYTES(Virtio, queue_state, queue_state_bytes, VIRTIO_QUEUES_MOST * QUEUE_STATE),
    SAVE_VARIABLE_BYTES(Virtio, in_flight, in_flight_bytes, IN_FLIGHT_MOST),
    FIELD_END };
