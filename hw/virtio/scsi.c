/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scsi.c - virtio-scsi: a SCSI host adapter whose commands are chains in shared memory
 *
 * Models   Virtio 1.2, 5.6, with the legacy notes; features and numbers as QEMU 7.2 offers them
 * Omits    protection information (T10_PI), commands with data both ways (INOUT): not offered; asynchronous notifications:
 *          subscribing to them succeeds with none, since there are none
 * Wires    a ScsiBus "ID.0" (hw/scsi), on which scsi-hd and scsi-cd sit; with iothread= their images follow to its loop
 * Threads  queues and requests: the device's loop, no lock. Configuration, hotplug: machine lock; what they have to say to the queues'
 *          side is called there
 * Tests    tests/dev/virtio-scsi.c, tests/fuzz/virtio-scsi.c, tests/guest
 *
 * Queues   0 control, 1 event, 2 and up requests
 * Request  out: lun 8 bytes, tag 64, task attribute, priority, crn 8 each, cdb | data      in: answer | sense | data
 *          answer: sense length 32, residual 32, status qualifier 16, status 8, response 8
 *          lun: 01h, target, then 16 bits of single-level LUN (SAM-5 4.7.7.2), then zeroes
 */
#include "base/bytes.h"
#include "base/error.h"
#include "base/trace.h"
#include "hw/models.h"
#include "hw/scsi/bus.h"
#include "hw/virtio/iothread.h"
#include "hw/virtio/virtio-pci.h"
#include <errno.h>
#include <string.h>

enum { TRACE_REQUEST, TRACE_ANSWER, TRACE_TASK, TRACE_EVENT };
static TracePoint virtio_scsi_trace[] = {
    [TRACE_REQUEST] = { "virtio_scsi_request", "the driver sends a command" },
    [TRACE_ANSWER] = { "virtio_scsi_answer", "a command is answered" },
    [TRACE_TASK] = { "virtio_scsi_task", "the driver sends a task management function" },
    [TRACE_EVENT] = { "virtio_scsi_event", "the driver is told of units that came, went or changed" },
};
TRACE_TABLE(virtio_scsi_trace)

#define F_HOTPLUG VIRTIO_BIT(1)
#define F_CHANGE  VIRTIO_BIT(2)

enum { CONTROL_QUEUE = 0, EVENT_QUEUE = 1, FIXED_QUEUES = 2, AUTO_QUEUES = -1 };
/* Places of the configuration bytes, Virtio 1.2, 5.6.4 */
enum { AT_QUEUES = 0, AT_SEG_MAX = 4, AT_MAX_SECTORS = 8, AT_CMD_PER_LUN = 12, AT_EVENT_SIZE = 16, AT_SENSE_SIZE = 20, AT_CDB_SIZE = 24,
       AT_MAX_CHANNEL = 28, AT_MAX_TARGET = 30, AT_MAX_LUN = 32, CONFIG_BYTES = 36 };
enum { SENSE_SIZE = 96, SENSE_SIZE_MOST = 65535, CDB_SIZE = 32, CDB_SIZE_MOST = 255 };
enum { REQUEST_HEADER = 19, ANSWER = 12, TMF_REQUEST = 24, AN_REQUEST = 16, AN_ANSWER = 5, EVENT_BYTES = 16 };
enum { TYPE_TMF = 0, TYPE_AN_QUERY = 1, TYPE_AN_SUBSCRIBE = 2 };
enum { RESPONSE_OK = 0, RESPONSE_OVERRUN = 1, RESPONSE_ABORTED = 2, RESPONSE_BAD_TARGET = 3, RESPONSE_RESET = 4, RESPONSE_FAILURE = 9,
       RESPONSE_SUCCEEDED = 10, RESPONSE_REJECTED = 11, RESPONSE_INCORRECT_LUN = 12 };
enum { EVENT_NONE = 0, EVENT_TRANSPORT_RESET = 1, EVENT_PARAMETERS = 3, REASON_RESCAN = 1, REASON_REMOVED = 2 };
#define EVENTS_MISSED 0x80000000u

typedef struct VirtioScsi VirtioScsi;
typedef struct VirtioScsiRequest {
    QueueElement element;
    ScsiRequest scsi;
    ScsiTask task;
    size_t data_bytes;                     /* in or out, as the driver gave them */
    uint32_t sense_size;                   /* as the request was laid out */
} VirtioScsiRequest;

struct VirtioScsi {
    VirtioPci base;
    ScsiBus bus;
    /* properties */
    int32_t queues;
    uint32_t queue_size, max_sectors, cmd_per_lun;
    bool seg_max_adjust, hotplug, param_change;
    bool bus_made;
    /* registers' side writes, queues' side reads: atomic */
    uint32_t sense_size, cdb_size;
    /* main thread to the queues' side, one at a time */
    struct { uint32_t event, reason; unsigned target, lun; } news;
    /* queues' side */
    bool events_missed;
};

static VirtioScsi *adapter_of(Virtio *virtio)
{
    return (VirtioScsi *)virtio->device;
}

static VirtioScsiRequest *request_of_scsi(ScsiRequest *scsi)
{
    return (VirtioScsiRequest *)(void *)((uint8_t *)scsi - offsetof(VirtioScsiRequest, scsi));
}

/* Flat space addresses (01b) and peripheral ones of bus 0; the levels below must not be there, and are not looked at. */
static bool parse_lun(const uint8_t bytes[8], unsigned *target, unsigned *lun)
{
    if (bytes[0] != 1 || (bytes[2] != 0 && (bytes[2] & 0xc0) != 0x40)) {
        return false;
    }
    *target = bytes[1];
    *lun = load_be16(bytes + 2) & 0x3fffu;
    return true;
}

/* ---- commands: the device's loop ---- */

static void answer(VirtioScsiRequest *request, uint8_t response)
{
    const ScsiRequest *scsi = &request->scsi;
    QueueElement *element = &request->element;
    uint8_t bytes[ANSWER + SENSE_FIXED] = { 0 };
    size_t sense = 0, written = ANSWER + request->sense_size;
    bool done = response == RESPONSE_OK;

    if (done && scsi->status == SCSI_CHECK_CONDITION) {
        sense = MIN(sense_put(bytes + ANSWER, scsi->sense, false), request->sense_size);
    }
    store_le32(bytes, (uint32_t)sense);
    store_le32(bytes + 4, (uint32_t)(request->data_bytes - (done ? scsi->moved : 0)));
    bytes[10] = done ? (uint8_t)scsi->status : 0;
    bytes[11] = response;
    TRACE(&virtio_scsi_trace[TRACE_ANSWER], "head %u response %u status 0x%02x moved %" G_GUINT64_FORMAT, element->head, response, bytes[10],
          done ? scsi->moved : 0);
    queue_answer(element, 0, bytes, ANSWER + sense);
    queue_push(element, written + (done && scsi->in_bytes ? (size_t)scsi->moved : 0));
}

static void command_done(ScsiRequest *scsi)
{
    static const uint8_t responses[] = {
        [SCSI_DONE] = RESPONSE_OK, [SCSI_NO_TARGET] = RESPONSE_BAD_TARGET, [SCSI_OVERRUN] = RESPONSE_OVERRUN, [SCSI_ABORTED] = RESPONSE_ABORTED,
        [SCSI_WAS_RESET] = RESPONSE_RESET,
    };

    answer(request_of_scsi(scsi), responses[scsi->outcome]);
}

static void command(VirtioScsi *adapter, unsigned index, VirtioScsiRequest *request)
{
    QueueElement *element = &request->element;
    ScsiRequest *scsi = &request->scsi;
    uint32_t cdb_size = __atomic_load_n(&adapter->cdb_size, __ATOMIC_RELAXED);
    uint8_t header[REQUEST_HEADER + CDB_SIZE_MOST];
    unsigned target, lun;

    request->sense_size = __atomic_load_n(&adapter->sense_size, __ATOMIC_RELAXED);
    if (queue_take_out(element, header, REQUEST_HEADER + cdb_size) < REQUEST_HEADER + cdb_size ||
        element->in_bytes < ANSWER + request->sense_size) {
        virtio_fault(&adapter->base.virtio, index, "a command's header or the room for its answer is too short");
        queue_push(element, 0);
        return;
    }
    queue_cut_in(element, ANSWER + request->sense_size, 0);
    request->data_bytes = element->in_bytes + element->out_bytes;
    memset(scsi->cdb, 0, sizeof scsi->cdb);
    memcpy(scsi->cdb, header + REQUEST_HEADER, MIN(cdb_size, sizeof scsi->cdb));
    scsi->tag = load_le64(header + 8);
    scsi->in = element->in;
    scsi->out = element->out;
    scsi->in_count = element->in_count;
    scsi->out_count = element->out_count;
    scsi->in_bytes = element->in_bytes;
    scsi->out_bytes = element->out_bytes;
    scsi->done = command_done;
    TRACE(&virtio_scsi_trace[TRACE_REQUEST], "head %u queue %u target %u code 0x%02x out %zu in %zu", element->head, index, header[1],
          scsi->cdb[0], element->out_bytes, element->in_bytes);
    if (!parse_lun(header, &target, &lun)) {
        answer(request, RESPONSE_BAD_TARGET);
    } else if (scsi->in_bytes && scsi->out_bytes) {
        answer(request, RESPONSE_FAILURE);
    } else {
        scsi_submit(&adapter->bus, target, lun, scsi);
    }
}

/* ---- the control queue ---- */

static void answer_control(QueueElement *element, const void *bytes, size_t length)
{
    queue_push(element, queue_answer(element, 0, bytes, length));
}

static void task_done(ScsiTask *task)
{
    static const uint8_t responses[] = {
        [SCSI_TASK_COMPLETE] = RESPONSE_OK, [SCSI_TASK_SUCCEEDED] = RESPONSE_SUCCEEDED, [SCSI_TASK_NO_TARGET] = RESPONSE_BAD_TARGET,
        [SCSI_TASK_NO_LUN] = RESPONSE_INCORRECT_LUN,
    };
    VirtioScsiRequest *request = (VirtioScsiRequest *)(void *)((uint8_t *)task - offsetof(VirtioScsiRequest, task));

    answer_control(&request->element, &responses[task->result], 1);
}

/* tmf: subtype 32, lun 8 bytes, tag 64 */
static void manage_task(VirtioScsi *adapter, VirtioScsiRequest *request, const uint8_t *tmf)
{
    enum { CLEAR_ACA = 2 };
    static const ScsiTaskKind kinds[] = {
        [0] = SCSI_ABORT_TASK, [1] = SCSI_ABORT_TASK_SET, [3] = SCSI_CLEAR_TASK_SET, [4] = SCSI_RESET_NEXUS, [5] = SCSI_RESET_LUN,
        [6] = SCSI_QUERY_TASK, [7] = SCSI_QUERY_TASK_SET,
    };
    uint32_t subtype = load_le32(tmf);
    uint8_t response = RESPONSE_REJECTED;
    unsigned target, lun;

    TRACE(&virtio_scsi_trace[TRACE_TASK], "head %u function %u target %u", request->element.head, subtype, tmf[5]);
    if (subtype >= G_N_ELEMENTS(kinds) || subtype == CLEAR_ACA) {
        answer_control(&request->element, &response, 1);
        return;
    }
    if (!parse_lun(tmf + 4, &target, &lun)) {
        response = RESPONSE_BAD_TARGET;
        answer_control(&request->element, &response, 1);
        return;
    }
    request->task.done = task_done;
    scsi_manage(&adapter->bus, target, lun, kinds[subtype], load_le64(tmf + 12), &request->task);
}

static void control(VirtioScsi *adapter, VirtioScsiRequest *request)
{
    QueueElement *element = &request->element;
    uint8_t bytes[TMF_REQUEST], none[AN_ANSWER] = { [AN_ANSWER - 1] = RESPONSE_OK };
    size_t length = queue_take_out(element, bytes, sizeof bytes);
    uint32_t type = length >= 4 ? load_le32(bytes) : UINT32_MAX;

    if (type == TYPE_TMF && length >= TMF_REQUEST && element->in_bytes >= 1) {
        manage_task(adapter, request, bytes + 4);
    } else if ((type == TYPE_AN_QUERY || type == TYPE_AN_SUBSCRIBE) && length >= AN_REQUEST && element->in_bytes >= AN_ANSWER) {
        answer_control(element, none, sizeof none);
    } else {
        virtio_fault(&adapter->base.virtio, CONTROL_QUEUE, "a control request is too short, or of no known type");
        queue_push(element, 0);
    }
}

/* ---- the event queue: a buffer is taken when there is something to say ---- */

static void push_event(VirtioScsi *adapter, uint32_t event, unsigned target, unsigned lun, uint32_t reason)
{
    Virtio *virtio = &adapter->base.virtio;
    Queue *queue = virtio_queue(virtio, EVENT_QUEUE);
    uint8_t bytes[EVENT_BYTES] = { 0 };

    if (!virtio->live || !queue_started(queue)) {
        return;
    }
    QueueElement *element = queue_pop(queue);
    if (!element) {
        adapter->events_missed = true;
        return;
    }
    if (element->in_bytes < sizeof bytes) {
        virtio_fault(virtio, EVENT_QUEUE, "the room for an event is too short");
        queue_push(element, 0);
        return;
    }
    store_le32(bytes, event | (adapter->events_missed ? EVENTS_MISSED : 0));
    if (event != EVENT_NONE) {
        bytes[4] = 1;
        bytes[5] = (uint8_t)target;
        store_be16(bytes + 6, (uint16_t)(lun < 256 ? lun : 0x4000 | lun));
    }
    store_le32(bytes + 12, reason);
    adapter->events_missed = false;
    TRACE(&virtio_scsi_trace[TRACE_EVENT], "event 0x%x target %u lun %u reason 0x%x", load_le32(bytes), target, lun, reason);
    queue_push(element, queue_answer(element, 0, bytes, sizeof bytes));
}

static void tell_on_loop(Virtio *virtio)
{
    VirtioScsi *adapter = adapter_of(virtio);

    push_event(adapter, adapter->news.event, adapter->news.target, adapter->news.lun, adapter->news.reason);
}

/* Main thread. */
static void tell(VirtioScsi *adapter, uint32_t event, const ScsiDevice *scsi, uint32_t reason)
{
    adapter->news.event = event;
    adapter->news.reason = reason;
    adapter->news.target = scsi->id;
    adapter->news.lun = scsi->lun;
    virtio_call_on_loop(&adapter->base.virtio, tell_on_loop);
}

/* ---- queues ---- */

static void carry_out(Virtio *virtio, unsigned index, QueueElement *element)
{
    VirtioScsi *adapter = adapter_of(virtio);
    VirtioScsiRequest *request = (VirtioScsiRequest *)element;

    switch (index) {
    case CONTROL_QUEUE: control(adapter, request); break;
    case EVENT_QUEUE: queue_push(element, 0); break;       /* never held: only a damaged state says so */
    default: command(adapter, index, request); break;
    }
}

static void scsi_handle(Virtio *virtio, unsigned index)
{
    VirtioScsi *adapter = adapter_of(virtio);
    QueueElement *element;

    if (index == EVENT_QUEUE) {
        if (adapter->events_missed) {
            push_event(adapter, EVENT_NONE, 0, 0, 0);
        }
        return;
    }
    while ((element = queue_next(virtio_queue(virtio, index)))) {
        carry_out(virtio, index, element);
    }
}

static void scsi_stop(Virtio *virtio)
{
    VirtioScsi *adapter = adapter_of(virtio);

    scsi_bus_cancel(&adapter->bus, SCSI_WAS_RESET);
    adapter->events_missed = false;
}

static void drain(Virtio *virtio)
{
    scsi_bus_drain(&adapter_of(virtio)->bus);
}

static void reset_bus(void *opaque)
{
    scsi_bus_reset(&((VirtioScsi *)opaque)->bus);
}

static void default_sizes(VirtioScsi *adapter)
{
    Virtio *virtio = &adapter->base.virtio;

    __atomic_store_n(&adapter->sense_size, SENSE_SIZE, __ATOMIC_RELAXED);
    __atomic_store_n(&adapter->cdb_size, CDB_SIZE, __ATOMIC_RELAXED);
    virtio_config_set(virtio, AT_SENSE_SIZE, 4, SENSE_SIZE);
    virtio_config_set(virtio, AT_CDB_SIZE, 4, CDB_SIZE);
}

/* Where the loop is another thread's, the bus is reset there, behind the stop that is on its way. */
static void scsi_reset(Virtio *virtio)
{
    VirtioScsi *adapter = adapter_of(virtio);

    default_sizes(adapter);
    if (virtio->loop == io_loop_main()) {
        reset_bus(adapter);
    } else {
        io_loop_post(virtio->loop, reset_bus, adapter);
    }
}

static bool sizes_are_good(uint64_t sense_size, uint64_t cdb_size)
{
    return sense_size <= SENSE_SIZE_MOST && cdb_size <= CDB_SIZE_MOST;
}

static void scsi_config_written(Virtio *virtio, unsigned offset, unsigned size)
{
    VirtioScsi *adapter = adapter_of(virtio);
    uint64_t sense_size = virtio_config_get(virtio, AT_SENSE_SIZE, 4), cdb_size = virtio_config_get(virtio, AT_CDB_SIZE, 4);

    (void)offset;
    (void)size;
    if (sizes_are_good(sense_size, cdb_size)) {
        __atomic_store_n(&adapter->sense_size, (uint32_t)sense_size, __ATOMIC_RELAXED);
        __atomic_store_n(&adapter->cdb_size, (uint32_t)cdb_size, __ATOMIC_RELAXED);
        return;
    }
    guest_fault(virtio->device, "the driver asks for sense data of %" G_GUINT64_FORMAT " and CDBs of %" G_GUINT64_FORMAT " bytes; the most is %d and %d",
                sense_size, cdb_size, SENSE_SIZE_MOST, CDB_SIZE_MOST);
    virtio_config_set(virtio, AT_SENSE_SIZE, 4, adapter->sense_size);
    virtio_config_set(virtio, AT_CDB_SIZE, 4, adapter->cdb_size);
}

static bool scsi_after_load(Virtio *virtio, GError **err)
{
    VirtioScsi *adapter = adapter_of(virtio);

    if (!sizes_are_good(adapter->sense_size, adapter->cdb_size)) {
        return fail(err, EINVAL, "%s: the saved state has sense data of %u and CDBs of %u bytes; the most is %d and %d",
                    device_name(virtio->device), adapter->sense_size, adapter->cdb_size, SENSE_SIZE_MOST, CDB_SIZE_MOST);
    }
    virtio_config_set(virtio, AT_SENSE_SIZE, 4, adapter->sense_size);
    virtio_config_set(virtio, AT_CDB_SIZE, 4, adapter->cdb_size);
    return true;
}

static const VirtioModel virtio_scsi = {
    .name = "virtio-scsi",  .id = VIRTIO_ID_SCSI,  .legacy_device = 0x1004,  .class_code = 0x010000,
    .element_size = sizeof(VirtioScsiRequest),
    .handle = scsi_handle,  .stop = scsi_stop,  .resubmit = carry_out,
    .config_written = scsi_config_written,  .reset = scsi_reset,  .drain = drain,  .after_load = scsi_after_load,
};

/* ---- the bus ---- */

static void parameters_changed(void *opaque, ScsiDevice *scsi, ScsiSense sense)
{
    VirtioScsi *adapter = opaque;

    if (virtio_has(&adapter->base.virtio, F_CHANGE)) {
        tell(adapter, EVENT_PARAMETERS, scsi, sense.code | (uint32_t)sense.qualifier << 8);
    }
}

static const ScsiBusOps bus_ops = { .parameters_changed = parameters_changed };

static void plugged(void *opaque, Device *device)
{
    VirtioScsi *adapter = opaque;
    const ScsiDevice *scsi = SCSI_DEVICE(device);

    for (guint i = 0; i < adapter->bus.bus.devices->len; i++) {
        ScsiDevice *other = adapter->bus.bus.devices->pdata[i];
        if (other->id == scsi->id) {
            scsi_attention(other, SCSI_ATTENTION_LUNS);
        }
    }
    if (virtio_has(&adapter->base.virtio, F_HOTPLUG)) {
        tell(adapter, EVENT_TRANSPORT_RESET, scsi, REASON_RESCAN);
    }
}

/* The driver is told, and asked for nothing: a unit that is gone answers no more. */
static void unplug_request(void *opaque, Device *device)
{
    VirtioScsi *adapter = opaque;

    if (virtio_has(&adapter->base.virtio, F_HOTPLUG)) {
        tell(adapter, EVENT_TRANSPORT_RESET, SCSI_DEVICE(device), REASON_REMOVED);
    }
    machine_request_eject(device->machine, device);
}

static const HotplugOps hotplug_ops = { .plugged = plugged, .unplug_request = unplug_request };

/* "ID.0", or "scsi.N" with the first number that is free. */
static void make_bus(VirtioScsi *adapter)
{
    Device *device = &adapter->base.pci.device;
    g_autofree char *name = device->id ? g_strdup_printf("%s.0", device->id) : NULL;

    for (unsigned n = 0; !name; n++) {
        name = g_strdup_printf("scsi.%u", n);
        if (machine_find_bus(device->machine, BUS_SCSI, name)) {
            g_clear_pointer(&name, g_free);
        }
    }
    scsi_bus_init(&adapter->bus, name, device->machine, device, adapter->base.virtio.loop, &bus_ops, adapter);
    adapter->bus.bus.accepts_hotplug = true;
    adapter->bus.bus.hotplug = &hotplug_ops;
    adapter->bus.bus.hotplug_opaque = adapter;
    adapter->bus_made = true;
}

/* ---- life ---- */

static bool check_properties(VirtioScsi *adapter, GError **err)
{
    const Device *device = &adapter->base.pci.device;
    int most = VIRTIO_QUEUES_MOST - FIXED_QUEUES;

    if (adapter->queues == AUTO_QUEUES) {
        adapter->queues = (int)CLAMP(device->machine->cpus->len, 1u, (unsigned)most);
    }
    if (adapter->queues < 1 || adapter->queues > most) {
        return fail(err, EINVAL, "device '%s': num_queues=%d is not from 1 to %d", device_name(device), adapter->queues, most);
    }
    if (adapter->queue_size <= 2 || adapter->queue_size > QUEUE_SIZE_MOST || adapter->queue_size & (adapter->queue_size - 1)) {
        return fail(err, EINVAL, "device '%s': virtqueue_size=%u is not a power of two from 4 to %d", device_name(device), adapter->queue_size,
                    QUEUE_SIZE_MOST);
    }
    return true;
}

static void fill_config(VirtioScsi *adapter)
{
    Virtio *virtio = &adapter->base.virtio;

    virtio_config_set(virtio, AT_QUEUES, 4, (uint64_t)adapter->queues);
    virtio_config_set(virtio, AT_SEG_MAX, 4, (adapter->seg_max_adjust ? adapter->queue_size : 128u) - 2);
    virtio_config_set(virtio, AT_MAX_SECTORS, 4, adapter->max_sectors);
    virtio_config_set(virtio, AT_CMD_PER_LUN, 4, adapter->cmd_per_lun);
    virtio_config_set(virtio, AT_EVENT_SIZE, 4, EVENT_BYTES);
    virtio_config_set(virtio, AT_MAX_TARGET, 2, SCSI_TARGETS - 1);
    virtio_config_set(virtio, AT_MAX_LUN, 4, SCSI_LUNS - 1);
    virtio_config_allow(virtio, AT_SENSE_SIZE, 4, UINT32_MAX);
    virtio_config_allow(virtio, AT_CDB_SIZE, 4, UINT32_MAX);
    default_sizes(adapter);
}

/* Units go with their adapter. */
static void scsi_unrealize(Device *device)
{
    VirtioScsi *adapter = (VirtioScsi *)device;

    virtio_pci_unrealize(&adapter->base);
    if (adapter->bus_made) {
        GPtrArray *units = adapter->bus.bus.devices;
        while (units->len) {
            device_unrealize(units->pdata[units->len - 1]);
        }
        scsi_bus_destroy(&adapter->bus);
        adapter->bus_made = false;
    }
}

static bool make(VirtioScsi *adapter, GError **err)
{
    Virtio *virtio = &adapter->base.virtio;
    IoThread *iothread;

    if (!check_properties(adapter, err) || !virtio_pci_iothread(&adapter->base, &iothread, err) ||
        !virtio_init(virtio, &adapter->base.pci.device, &virtio_scsi, iothread, CONFIG_BYTES, err)) {
        return false;
    }
    for (int i = 0; i < FIXED_QUEUES + adapter->queues; i++) {
        if (!virtio_add_queue(virtio, adapter->queue_size, err)) {
            return false;
        }
    }
    virtio->offered = (adapter->hotplug ? F_HOTPLUG : 0) | (adapter->param_change ? F_CHANGE : 0);
    make_bus(adapter);
    fill_config(adapter);
    return virtio_pci_realize(&adapter->base, FIXED_QUEUES + (unsigned)adapter->queues + 1, err);
}

static bool scsi_realize(Device *device, GError **err)
{
    if (!make((VirtioScsi *)device, err)) {
        scsi_unrealize(device);
        return false;
    }
    return true;
}

static const Field scsi_props[] = {
    VIRTIO_PCI_PROPS(VirtioScsi, base),
    VIRTIO_PCI_IOTHREAD_PROP(VirtioScsi, base),
    PROP_I32("num_queues", VirtioScsi, queues, AUTO_QUEUES, .help = "request queues; default: one for each processor"),
    PROP_U32("virtqueue_size", VirtioScsi, queue_size, 256, .help = "entries of each queue, a power of two"),
    PROP_BOOL("seg_max_adjust", VirtioScsi, seg_max_adjust, true, .help = "pieces of a request follow from virtqueue_size, else 126"),
    PROP_U32("max_sectors", VirtioScsi, max_sectors, 0xffff, .help = "most 512-byte sectors of a command, as told to the driver"),
    PROP_U32("cmd_per_lun", VirtioScsi, cmd_per_lun, 128, .help = "commands for a unit at a time, as told to the driver"),
    PROP_BOOL("hotplug", VirtioScsi, hotplug, true, .help = "offer to tell of units that come and go"),
    PROP_BOOL("param_change", VirtioScsi, param_change, true, .help = "offer to tell of units whose size changes"),
    FIELD_END };

static const Field scsi_saved[] = {
    SAVE_VIRTIO_PCI(VirtioScsi, base), SAVE_U32(VirtioScsi, sense_size), SAVE_U32(VirtioScsi, cdb_size), SAVE_BOOL(VirtioScsi, events_missed),
    FIELD_END };

const DeviceModel virtio_scsi_models[VIRTIO_PCI_KINDS] = VIRTIO_PCI_MODELS("virtio-scsi",
    .help = "virtio SCSI host adapter", .size = sizeof(VirtioScsi),
    .props = scsi_props, .saved = scsi_saved, .saved_version = 1,
    .realize = scsi_realize, .reset = virtio_pci_reset, .unrealize = scsi_unrealize,
    .before_save = virtio_pci_before_save, .after_load = virtio_pci_after_load);
