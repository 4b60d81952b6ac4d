/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio.c - a virtio device without its transport: negotiation, configuration bytes, queues in and out of service
 *
 * Models   Virtio 1.2, chapters 2 and 3, and its legacy notes
 * Omits    packed rings, reset of single queues, shared memory, suspend: not offered
 * Wires    the transport's registers call in (virtio-pci.c); kicks come as eventfds that the device's loop watches
 * Threads  registers' side: machine lock. Queues' side: the device's loop. What passes between them does so by posts:
 *            to the loop    go_live, stop_on_loop
 *            to main        complain (a queue broke), became_idle, the transport's INTx level
 *          Where the loop is the main loop, the machine lock covers both sides, and an idle device stops there and then.
 * Tests    tests/dev/virtio.c, tests/dev/virtio-blk.c
 *
 * Interrupts of a turn's pushes are asked for at the end of the turn (the loop's hook): one for each queue at most.
 */
#include "hw/virtio/virtio.h"
#include "base/bytes.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/trace.h"
#include "hw/core/machine.h"
#include "hw/virtio/iothread.h"
#include "hw/virtio/virtio-internal.h"
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { TRACE_STATUS, TRACE_KICK, TRACE_INTERRUPT, TRACE_START, TRACE_STOP };
static TracePoint virtio_trace[] = {
    [TRACE_STATUS] = { "virtio_status", "a driver wrote the status of a virtio device" },
    [TRACE_KICK] = { "virtio_kick", "the loop of a virtio device serves a queue" },
    [TRACE_INTERRUPT] = { "virtio_interrupt", "a virtio device interrupts its driver" },
    [TRACE_START] = { "virtio_start", "the queues of a virtio device go into service" },
    [TRACE_STOP] = { "virtio_stop", "the queues of a virtio device go out of service" },
};
TRACE_TABLE(virtio_trace)

static bool on_main_loop(const Virtio *virtio)
{
    return virtio->loop == io_loop_main();
}

Queue *virtio_queue(Virtio *virtio, unsigned index)
{
    return virtio->queues[index].queue;
}

/* ---- between the threads ---- */

typedef struct Post { Virtio *virtio; void (*call)(Virtio *virtio); bool done; } Post;

static void run_post(void *opaque)
{
    Post *post = opaque;

    post->call(post->virtio);
    g_free(post);
}

static void post_to(IoLoop *loop, Virtio *virtio, void (*call)(Virtio *virtio))
{
    Post *post = g_new(Post, 1);

    *post = (Post){ virtio, call, false };
    io_loop_post(loop, run_post, post);
}

void virtio_post(Virtio *virtio, void (*call)(Virtio *virtio))
{
    post_to(io_loop_main(), virtio, call);
}

static void run_and_tell(void *opaque)
{
    Post *post = opaque;
    IoLoop *loop = post->virtio->loop;

    post->call(post->virtio);
    __atomic_store_n(&post->done, true, __ATOMIC_RELEASE);
    io_loop_kick_waiters(loop);
}

void virtio_call_on_loop(Virtio *virtio, void (*call)(Virtio *virtio))
{
    Post post = { virtio, call, false };

    if (on_main_loop(virtio)) {
        call(virtio);
        return;
    }
    io_loop_post(virtio->loop, run_and_tell, &post);
    io_loop_wait(virtio->loop, &post.done);
}

static void set_true(void *opaque)
{
    *(bool *)opaque = true;
}

void virtio_settle(Virtio *virtio)
{
    bool done = false;

    virtio_call_on_loop(virtio, virtio_interrupt_now);
    io_loop_post(io_loop_main(), set_true, &done);         /* behind all that the device posted */
    io_loop_wait(io_loop_main(), &done);
}

/* ---- configuration bytes ---- */

void virtio_config_set(Virtio *virtio, unsigned offset, unsigned size, uint64_t value)
{
    for (unsigned i = 0; i < size && offset + i < VIRTIO_CONFIG_MOST; i++) {
        virtio->config[offset + i] = (uint8_t)(value >> (8 * i));
    }
}

uint64_t virtio_config_get(const Virtio *virtio, unsigned offset, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size && offset + i < VIRTIO_CONFIG_MOST; i++) {
        value |= (uint64_t)virtio->config[offset + i] << (8 * i);
    }
    return value;
}

void virtio_config_allow(Virtio *virtio, unsigned offset, unsigned size, uint64_t writable)
{
    for (unsigned i = 0; i < size && offset + i < VIRTIO_CONFIG_MOST; i++) {
        virtio->config_writable[offset + i] = (uint8_t)(writable >> (8 * i));
    }
}

uint64_t virtio_config_read(Virtio *virtio, unsigned offset, unsigned size)
{
    if (!range_within(offset, size, virtio->config_size)) {
        return UINT64_MAX;
    }
    if (virtio->model->config_reading) {
        virtio->model->config_reading(virtio);
    }
    return virtio_config_get(virtio, offset, size);
}

void virtio_config_write(Virtio *virtio, unsigned offset, unsigned size, uint64_t value)
{
    if (!range_within(offset, size, virtio->config_size)) {
        guest_fault(virtio->device, "the driver writes %u bytes at %u of %u configuration bytes", size, offset, virtio->config_size);
        return;
    }
    for (unsigned i = 0; i < size; i++) {
        uint8_t mask = virtio->config_writable[offset + i];
        virtio->config[offset + i] = (virtio->config[offset + i] & ~mask) | ((uint8_t)(value >> (8 * i)) & mask);
    }
    if (virtio->model->config_written) {
        virtio->model->config_written(virtio, offset, size);
    }
}

static void interrupt(Virtio *virtio, uint16_t vector, bool config)
{
    TRACE(&virtio_trace[TRACE_INTERRUPT], "%s vector %u%s", device_name(virtio->device), vector, config ? " (configuration)" : "");
    virtio->transport->interrupt(virtio, vector, config);
}

void virtio_config_changed(Virtio *virtio)
{
    virtio->generation++;
    if (virtio->status & VIRTIO_DRIVER_OK) {
        interrupt(virtio, __atomic_load_n(&virtio->config_vector, __ATOMIC_RELAXED), true);
    }
}

uint8_t virtio_take_isr(Virtio *virtio)
{
    return __atomic_exchange_n(&virtio->isr, 0, __ATOMIC_SEQ_CST);
}

/* ---- queues' side ---- */

/* Main loop. A driver of today is told; one of the legacy kind cannot be. */
static void complain(Virtio *virtio)
{
    g_autofree char *why = __atomic_exchange_n(&virtio->complaint, NULL, __ATOMIC_ACQ_REL);

    if (!why) {
        return;
    }
    guest_fault(virtio->device, "%s; the device does nothing more until it is reset", why);
    if (virtio->phase == VIRTIO_LIVE && virtio_has(virtio, VIRTIO_F_VERSION_1)) {
        virtio->status |= VIRTIO_NEEDS_RESET;
        virtio_config_changed(virtio);
    }
}

/* One broken queue takes the whole device out of service. */
static void queue_broke(void *opaque, const char *why)
{
    VirtioQueue *vq = opaque;
    Virtio *virtio = vq->virtio;
    char *text = g_strdup_printf("virtqueue %u: %s", vq->index, why), *none = NULL;

    virtio->live = false;
    if (__atomic_compare_exchange_n(&virtio->complaint, &none, text, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
        virtio_post(virtio, complain);
    } else {
        g_free(text);                      /* the first one is not told yet */
    }
}

void virtio_fault(Virtio *virtio, unsigned index, const char *why)
{
    queue_break(virtio->queues[index].queue, why);
}

static void queue_pushed(void *opaque)
{
    VirtioQueue *vq = opaque;

    vq->virtio->interrupts_due = true;
}

void virtio_interrupt_now(Virtio *virtio)
{
    if (!virtio->interrupts_due) {
        return;
    }
    virtio->interrupts_due = false;
    for (unsigned i = 0; i < virtio->queue_count; i++) {
        VirtioQueue *vq = &virtio->queues[i];
        if (queue_started(vq->queue) && queue_must_interrupt(vq->queue)) {
            interrupt(virtio, __atomic_load_n(&vq->vector, __ATOMIC_RELAXED), false);
        }
    }
}

static void end_of_turn(void *opaque)
{
    virtio_interrupt_now(opaque);
}

static void serve(VirtioQueue *vq)
{
    Virtio *virtio = vq->virtio;

    if (!virtio->live || virtio->paused || !__atomic_load_n(&virtio->wanted, __ATOMIC_ACQUIRE) || !queue_started(vq->queue) ||
        !virtio->transport->space(virtio)) {
        return;
    }
    TRACE(&virtio_trace[TRACE_KICK], "%s queue %u", device_name(virtio->device), vq->index);
    queue_set_budget(vq->queue, vq->size_most);
    virtio->model->handle(virtio, vq->index);
    if (queue_budget_spent(vq->queue) && queue_has_more(vq->queue)) {
        virtio_kick(virtio, vq->index);
    }
}

static void kicked(void *opaque, uint32_t events)
{
    VirtioQueue *vq = opaque;
    uint64_t kicks;

    (void)events;
    if (read(vq->kick, &kicks, sizeof kicks) == sizeof kicks) {
        serve(vq);
    }
}

void virtio_kick(Virtio *virtio, unsigned index)
{
    uint64_t one = 1;

    if (index < virtio->queue_count) {
        ssize_t written = write(virtio->queues[index].kick, &one, sizeof one);
        (void)written;                     /* a counter at its limit has been kicked, too */
    }
}

static void kick_all(Virtio *virtio)
{
    for (unsigned i = 0; i < virtio->queue_count; i++) {
        virtio_kick(virtio, i);
    }
}

/* What was handed out when the state was saved is carried out again, before anything new. */
static void take_again(Virtio *virtio)
{
    uint32_t bytes = virtio->in_flight_bytes;

    virtio->in_flight_bytes = 0;
    for (uint32_t at = 0; at + 4 <= bytes; at += 4) {
        unsigned index = load_le16(virtio->in_flight + at);
        QueueElement *element = queue_take_again(virtio_queue(virtio, index), load_le16(virtio->in_flight + at + 2));
        if (element && virtio->model->resubmit) {
            virtio->model->resubmit(virtio, index, element);
        } else if (element) {
            queue_push(element, 0);
        }
    }
}

static void pause_on_loop(Virtio *virtio)
{
    virtio->paused = true;
}

void virtio_resume_on_loop(Virtio *virtio)
{
    virtio->paused = false;
    if (virtio->live) {
        take_again(virtio);
        kick_all(virtio);
    }
}

void virtio_pause(Virtio *virtio)
{
    virtio_call_on_loop(virtio, pause_on_loop);
    if (virtio->model->drain) {
        virtio->model->drain(virtio);
    }
    virtio_settle(virtio);
}

static void machine_changed(void *opaque, bool running)
{
    if (running) {
        virtio_call_on_loop(opaque, virtio_resume_on_loop);
    } else {
        virtio_pause(opaque);
    }
}

/* ---- into and out of service ---- */

static unsigned in_flight(const Virtio *virtio)
{
    unsigned count = 0;

    for (unsigned i = 0; i < virtio->queue_count; i++) {
        count += queue_in_flight(virtio->queues[i].queue);
    }
    return count;
}

static void became_idle(Virtio *virtio)
{
    if (virtio->phase != VIRTIO_STOPPING) {
        return;
    }
    for (unsigned i = 0; i < virtio->queue_count; i++) {
        queue_stop(virtio->queues[i].queue);
    }
    virtio->phase = VIRTIO_IDLE;
    virtio->idle = true;
    virtio->held_status = 0;
    g_free(__atomic_exchange_n(&virtio->complaint, NULL, __ATOMIC_ACQ_REL));   /* of the queues that were */
    if (virtio->start_again) {
        virtio->start_again = false;
        virtio_start(virtio);
    }
}

/* From inside queue_push(), so the queue is stopped later. */
static void queue_idle(void *opaque)
{
    Virtio *virtio = ((VirtioQueue *)opaque)->virtio;

    if (virtio->stopping && !virtio->in_stop && in_flight(virtio) == 0) {
        virtio->stopping = false;
        virtio_post(virtio, became_idle);
    }
}

static void stop_on_loop(Virtio *virtio)
{
    virtio->live = false;
    virtio->stopping = virtio->in_stop = true;
    virtio->interrupts_due = false;
    for (unsigned i = 0; i < virtio->queue_count; i++) {
        queue_detach(virtio->queues[i].queue);
    }
    if (virtio->model->stop) {
        virtio->model->stop(virtio);
    }
    virtio->in_stop = false;
    if (in_flight(virtio) > 0) {
        return;
    }
    virtio->stopping = false;
    if (on_main_loop(virtio)) {
        became_idle(virtio);
    } else {
        virtio_post(virtio, became_idle);
    }
}

static void go_live(Virtio *virtio)
{
    virtio->live = true;
    if (!virtio->paused) {
        take_again(virtio);
        kick_all(virtio);                  /* what was offered before the doorbells were there */
    }
}

static void do_on_loop(Virtio *virtio, void (*call)(Virtio *virtio))
{
    if (on_main_loop(virtio)) {
        call(virtio);
    } else {
        post_to(virtio->loop, virtio, call);
    }
}

static const QueueOps queue_ops = { .broken = queue_broke, .pushed = queue_pushed, .idle = queue_idle };

static void start_queue(Virtio *virtio, VirtioQueue *vq)
{
    g_autoptr(GError) err = NULL;
    const QueueSetup setup = {
        .space = virtio->device->machine->memory, .size = vq->size,
        .descriptors = vq->descriptors, .available = vq->available, .used = vq->used,
        .event_index = virtio_has(virtio, VIRTIO_F_EVENT_IDX), .indirect = virtio_has(virtio, VIRTIO_F_INDIRECT_DESC),
        .notify_on_empty = virtio_has(virtio, VIRTIO_F_NOTIFY_ON_EMPTY),
        .next_available = vq->next_available, .next_used = vq->next_used,
        .element_size = virtio->model->element_size, .ops = &queue_ops, .opaque = vq,
    };

    if (vq->enabled && !queue_start(vq->queue, &setup, &err)) {
        queue_broke(vq, err->message);
    }
    vq->next_available = vq->next_used = 0;
}

void virtio_start(Virtio *virtio)
{
    if (virtio->phase == VIRTIO_STOPPING) {
        virtio->start_again = true;
        return;
    }
    if (virtio->phase == VIRTIO_LIVE) {
        return;
    }
    TRACE(&virtio_trace[TRACE_START], "%s features 0x%" G_GINT64_MODIFIER "x", device_name(virtio->device), virtio->accepted);
    virtio->phase = VIRTIO_LIVE;
    virtio->idle = false;
    __atomic_store_n(&virtio->wanted, true, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < virtio->queue_count; i++) {
        start_queue(virtio, &virtio->queues[i]);
    }
    if (virtio->model->started) {
        virtio->model->started(virtio);
    }
    virtio->transport->queues_changed(virtio);
    if (!__atomic_load_n(&virtio->complaint, __ATOMIC_ACQUIRE)) {
        do_on_loop(virtio, go_live);
    }
}

void virtio_stop(Virtio *virtio)
{
    virtio->start_again = false;
    if (virtio->phase != VIRTIO_LIVE) {
        return;
    }
    TRACE(&virtio_trace[TRACE_STOP], "%s", device_name(virtio->device));
    virtio->phase = VIRTIO_STOPPING;
    __atomic_store_n(&virtio->wanted, false, __ATOMIC_RELEASE);                /* a driver of old may lay out its rings anew already */
    virtio->transport->queues_changed(virtio);
    do_on_loop(virtio, stop_on_loop);
}

/* ---- registers' side ---- */

uint8_t virtio_status(Virtio *virtio)
{
    return virtio->status ? virtio->status : virtio->phase == VIRTIO_STOPPING ? virtio->held_status : 0;
}

void virtio_reset(Virtio *virtio)
{
    uint8_t before = virtio->status;

    virtio_stop(virtio);
    if (virtio->phase == VIRTIO_STOPPING && before) {
        virtio->held_status = before;
    }
    virtio->status = 0;
    virtio->accepted = 0;
    virtio->legacy = false;
    virtio->config_vector = VIRTIO_NO_VECTOR;
    virtio_take_isr(virtio);
    for (unsigned i = 0; i < virtio->queue_count; i++) {
        VirtioQueue *vq = &virtio->queues[i];
        vq->size = (uint16_t)vq->size_most;
        __atomic_store_n(&vq->vector, VIRTIO_NO_VECTOR, __ATOMIC_RELAXED);
        vq->enabled = false;
        vq->descriptors = vq->available = vq->used = 0;
        vq->next_available = vq->next_used = 0;
    }
    if (virtio->model->reset) {
        virtio->model->reset(virtio);
    }
}

void virtio_wait_idle(Virtio *virtio)
{
    if (virtio->phase == VIRTIO_STOPPING) {
        if (virtio->model->drain) {
            virtio->model->drain(virtio);
        }
        io_loop_wait(io_loop_main(), &virtio->idle);
    }
}

void virtio_reset_now(Virtio *virtio)
{
    virtio_reset(virtio);
    virtio_wait_idle(virtio);
}

static bool accept_features(Virtio *virtio)
{
    if (!virtio->legacy && !virtio_has(virtio, VIRTIO_F_VERSION_1)) {
        guest_fault(virtio->device, "a driver of the modern registers does not accept VIRTIO_F_VERSION_1");
        return false;
    }
    if (virtio->model->features_set) {
        virtio->model->features_set(virtio);
    }
    return true;
}

void virtio_set_status(Virtio *virtio, uint8_t status)
{
    uint8_t before = virtio->status;

    TRACE(&virtio_trace[TRACE_STATUS], "%s 0x%02x after 0x%02x", device_name(virtio->device), status, before);
    if (status == 0) {
        virtio_reset(virtio);
        return;
    }
    if (before & VIRTIO_DRIVER_OK && !(status & VIRTIO_DRIVER_OK)) {
        guest_fault(virtio->device, "the driver takes DRIVER_OK back without a reset");
        status |= VIRTIO_DRIVER_OK;
    }
    if (status & ~before & VIRTIO_FEATURES_OK && !accept_features(virtio)) {
        status &= ~VIRTIO_FEATURES_OK;
    }
    status |= before & (VIRTIO_NEEDS_RESET | VIRTIO_FEATURES_OK);
    if (status & ~before & VIRTIO_DRIVER_OK) {
        if (virtio->legacy) {
            accept_features(virtio);
        } else if (!(status & VIRTIO_FEATURES_OK)) {
            guest_fault(virtio->device, "DRIVER_OK without FEATURES_OK");
            status &= ~VIRTIO_DRIVER_OK;
        }
    }
    virtio->status = status;
    if (status & ~before & VIRTIO_DRIVER_OK) {
        virtio_start(virtio);
    }
}

bool virtio_set_features(Virtio *virtio, uint64_t features, uint64_t mask)
{
    if (virtio->status & (VIRTIO_FEATURES_OK | VIRTIO_DRIVER_OK) || virtio->phase == VIRTIO_LIVE) {
        guest_fault(virtio->device, "features written after they were agreed on");
        return false;
    }
    virtio->accepted = (virtio->accepted & ~mask) | (features & mask & virtio->offered);
    return true;
}

static VirtioQueue *changeable_queue(Virtio *virtio, unsigned index)
{
    if (index >= virtio->queue_count) {
        guest_fault(virtio->device, "virtqueue %u of %u is set up", index, virtio->queue_count);
        return NULL;
    }
    if (virtio->queues[index].enabled || virtio->status & VIRTIO_DRIVER_OK || virtio->phase == VIRTIO_LIVE) {
        guest_fault(virtio->device, "virtqueue %u is set up while it is in service", index);
        return NULL;
    }
    return &virtio->queues[index];
}

bool virtio_queue_size(Virtio *virtio, unsigned index, uint16_t size)
{
    VirtioQueue *vq = changeable_queue(virtio, index);

    if (!vq) {
        return false;
    }
    if (size == 0 || size & (size - 1) || size > vq->size_most) {
        guest_fault(virtio->device, "virtqueue %u with %u entries: not a power of two up to %u", index, size, vq->size_most);
        return false;
    }
    vq->size = size;
    return true;
}

bool virtio_queue_place(Virtio *virtio, unsigned index, uint64_t descriptors, uint64_t available, uint64_t used)
{
    VirtioQueue *vq = changeable_queue(virtio, index);

    if (!vq) {
        return false;
    }
    vq->descriptors = descriptors;
    vq->available = available;
    vq->used = used;
    return true;
}

bool virtio_queue_enable(Virtio *virtio, unsigned index)
{
    VirtioQueue *vq = changeable_queue(virtio, index);

    if (vq) {
        vq->enabled = true;
    }
    return vq != NULL;
}

void virtio_notify(Virtio *virtio, unsigned index)
{
    if (index >= virtio->queue_count) {
        guest_fault(virtio->device, "virtqueue %u of %u is kicked", index, virtio->queue_count);
        return;
    }
    /* Legacy drivers of old used their queues before they said that they were ready. */
    if (virtio->phase == VIRTIO_IDLE && virtio->legacy && virtio->status & VIRTIO_DRIVER && virtio->queues[index].enabled) {
        accept_features(virtio);
        virtio_start(virtio);
    }
    virtio_kick(virtio, index);
}

/* ---- life ---- */

bool virtio_init(Virtio *virtio, Device *device, const VirtioModel *model, IoThread *iothread, unsigned config_size, GError **err)
{
    virtio->device = device;
    virtio->model = model;
    virtio->iothread = iothread;
    virtio->loop = iothread ? iothread_loop(iothread) : io_loop_main();
    virtio->config_size = config_size;
    virtio->queue_count = 0;
    virtio->phase = VIRTIO_IDLE;
    virtio->idle = true;
    virtio->config_vector = VIRTIO_NO_VECTOR;
    return config_size <= VIRTIO_CONFIG_MOST || fail(err, EINVAL, "%s: %u configuration bytes are more than %d", device_name(device),
                                                     config_size, VIRTIO_CONFIG_MOST);
}

bool virtio_add_queue(Virtio *virtio, unsigned size, GError **err)
{
    unsigned index = virtio->queue_count;

    if (index >= VIRTIO_QUEUES_MOST || size < 1 || size > QUEUE_SIZE_MOST || size & (size - 1)) {
        return fail(err, EINVAL, "%s: a virtqueue has 2^n entries up to %d, and a device up to %d queues", device_name(virtio->device),
                    QUEUE_SIZE_MOST, VIRTIO_QUEUES_MOST);
    }
    int kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (kick < 0) {
        return fail(err, errno, "%s: no eventfd for virtqueue %u: %s", device_name(virtio->device), index, g_strerror(errno));
    }
    virtio->queues = g_renew(VirtioQueue, virtio->queues, index + 1);
    virtio->queues[index] = (VirtioQueue){ .virtio = virtio, .index = index, .size_most = (uint16_t)size, .size = (uint16_t)size,
                                           .vector = VIRTIO_NO_VECTOR, .queue = queue_new(), .kick = kick };
    virtio->queue_count++;
    return true;
}

static void watch_queues(Virtio *virtio)
{
    for (unsigned i = 0; i < virtio->queue_count; i++) {
        virtio->queues[i].watch = io_watch(virtio->loop, virtio->queues[i].kick, EPOLLIN, kicked, &virtio->queues[i]);
    }
    virtio->hook = (IoHook){ .submit = end_of_turn, .opaque = virtio };
    io_loop_add_hook(virtio->loop, &virtio->hook);
}

static void unwatch_queues(Virtio *virtio)
{
    for (unsigned i = 0; i < virtio->queue_count; i++) {
        io_unwatch(g_steal_pointer(&virtio->queues[i].watch));
    }
    io_loop_remove_hook(virtio->loop, &virtio->hook);
}

bool virtio_realized(Virtio *virtio, const VirtioTransport *transport, GError **err)
{
    (void)err;
    virtio->transport = transport;
    virtio->offered |= (virtio->event_index ? VIRTIO_F_EVENT_IDX : 0) | (virtio->indirect ? VIRTIO_F_INDIRECT_DESC : 0);
    virtio->watched = true;
    if (virtio->iothread) {
        iothread_use(virtio->iothread, true);
    }
    virtio_call_on_loop(virtio, watch_queues);
    machine_on_state_change(virtio->device->machine, machine_changed, virtio);
    return true;
}

void virtio_unrealize(Virtio *virtio)
{
    if (virtio->watched) {
        virtio->watched = false;
        machine_off_state_change(virtio->device->machine, machine_changed, virtio);
        virtio_reset_now(virtio);
        virtio_call_on_loop(virtio, unwatch_queues);
        virtio_settle(virtio);
        if (virtio->iothread) {
            iothread_use(virtio->iothread, false);
        }
    }
    for (unsigned i = 0; i < virtio->queue_count; i++) {
        queue_free(virtio->queues[i].queue);
        close(virtio->queues[i].kick);
    }
    virtio->queue_count = 0;
    virtio->offered = 0;
    g_clear_pointer(&virtio->queues, g_free);
    g_clear_pointer(&virtio->queue_state, g_free);
    g_clear_pointer(&virtio->in_flight, g_free);
    g_clear_pointer(&virtio->complaint, g_free);
}
