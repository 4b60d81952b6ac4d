/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bus.c - SCSI: who is addressed, what his CDB wants moved, in which order things end
 *
 * Models   SAM-5 (tasks, unit attentions, resets), SPC-4 for what a target answers of units that it lacks
 * Threads  bus.h says which
 * Hostile  every byte of a CDB; lengths in it are held against the buffers before a command runs
 * Tests    tests/dev/scsi.c, tests/fuzz/scsi.c
 */
#include "hw/scsi/bus.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/trace.h"
#include "hw/scsi/commands.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { TRACE_COMMAND, TRACE_END, TRACE_CANCEL, TRACE_ATTENTION, TRACE_ENTER, TRACE_LEAVE };
static TracePoint scsi_trace[] = {
    [TRACE_COMMAND] = { "scsi_command", "a command reached a logical unit" },
    [TRACE_END] = { "scsi_end", "a command ended: its status, sense and bytes moved" },
    [TRACE_CANCEL] = { "scsi_cancel", "a command was cancelled by task management, reset or unplug" },
    [TRACE_ATTENTION] = { "scsi_attention", "a unit attention is pending" },
    [TRACE_ENTER] = { "scsi_enter", "a logical unit came to its bus" },
    [TRACE_LEAVE] = { "scsi_leave", "a logical unit left its bus" },
};
TRACE_TABLE(scsi_trace)

/* ---- addresses ---- */

ScsiDevice *scsi_bus_find(const ScsiBus *bus, unsigned target, unsigned lun)
{
    if (target >= bus->targets) {
        return NULL;
    }
    for (ScsiDevice *scsi = bus->target[target]; scsi && scsi->lun <= lun; scsi = scsi->sibling) {
        if (scsi->lun == lun) {
            return scsi;
        }
    }
    return NULL;
}

static bool choose_address(ScsiBus *bus, ScsiDevice *scsi, GError **err)
{
    const char *name = device_name(&scsi->device);

    if (scsi->id == UINT32_MAX) {
        uint32_t lun = scsi->lun == UINT32_MAX ? 0 : scsi->lun, id = 0;
        while (id < bus->targets && scsi_bus_find(bus, id, lun)) {
            id++;
        }
        if (id == bus->targets) {
            return fail(err, ENOSPC, "device '%s': no target of bus '%s' has lun %u free", name, bus->name, lun);
        }
        scsi->id = id;
        scsi->lun = lun;
    } else if (scsi->lun == UINT32_MAX) {
        uint32_t lun = 0;
        while (lun < bus->luns && scsi_bus_find(bus, scsi->id, lun)) {
            lun++;
        }
        if (lun == bus->luns) {
            return fail(err, ENOSPC, "device '%s': target %u of bus '%s' has no lun free", name, scsi->id, bus->name);
        }
        scsi->lun = lun;
    }
    return true;
}

static bool attach(Bus *base, Device *device, GError **err)
{
    ScsiBus *bus = (ScsiBus *)base;
    ScsiDevice *scsi = SCSI_DEVICE(device);
    const char *name = device_name(device);

    if (scsi->channel != 0) {
        return fail(err, EINVAL, "device '%s': channel=%u: bus '%s' has channel 0 only", name, scsi->channel, bus->name);
    }
    if (scsi->id != UINT32_MAX && scsi->id >= bus->targets) {
        return fail(err, EINVAL, "device '%s': scsi-id=%u: bus '%s' has 0 to %u", name, scsi->id, bus->name, bus->targets - 1);
    }
    if (scsi->lun != UINT32_MAX && scsi->lun >= bus->luns) {
        return fail(err, EINVAL, "device '%s': lun=%u: bus '%s' has 0 to %u", name, scsi->lun, bus->name, bus->luns - 1);
    }
    if (!choose_address(bus, scsi, err)) {
        return false;
    }
    const ScsiDevice *other = scsi_bus_find(bus, scsi->id, scsi->lun);
    return !other || fail(err, EEXIST, "device '%s': scsi-id=%u, lun=%u of bus '%s' is taken by '%s'", name, scsi->id, scsi->lun, bus->name,
                          device_name(&other->device));
}

void scsi_bus_init(ScsiBus *bus, const char *name, Machine *machine, Device *parent, IoLoop *loop, const ScsiBusOps *ops, void *opaque)
{
    bus->name = g_strdup(name);
    bus->loop = loop;
    bus->targets = SCSI_TARGETS;
    bus->luns = SCSI_LUNS;
    bus->ops = ops;
    bus->opaque = opaque;
    memset(bus->target, 0, sizeof bus->target);
    bus_init(&bus->bus, BUS_SCSI, bus->name, machine, parent);
    bus->bus.attach = attach;
}

void scsi_bus_destroy(ScsiBus *bus)
{
    bus_destroy(&bus->bus);
    g_free(bus->name);
    bus->name = NULL;
}

/* ---- calls to the loop and waiting for it ---- */

typedef struct Call {
    void (*call)(void *opaque);
    void *opaque;
    IoLoop *loop;
    bool done;
} Call;

static void carry_out(void *opaque)
{
    Call *call = opaque;
    IoLoop *loop = call->loop;

    call->call(call->opaque);
    __atomic_store_n(&call->done, true, __ATOMIC_RELEASE);
    io_loop_kick_waiters(loop);            /* the call may be gone: its waiter looks by itself */
}

/* Main thread: carried out at home when this returns. */
static void at_home(ScsiBus *bus, void (*function)(void *opaque), void *opaque)
{
    Call call = { function, opaque, bus->loop, false };

    if (bus->loop == io_loop_main()) {
        function(opaque);
        return;
    }
    io_loop_post(bus->loop, carry_out, &call);
    io_loop_wait(bus->loop, &call.done);
}

typedef struct ScsiWaiter {
    ScsiDevice *scsi;
    bool idle;
} ScsiWaiter;

static void tell_waiter(ScsiDevice *scsi)
{
    IoLoop *loop = scsi_bus_of(scsi)->loop;
    bool *idle = scsi->waiter;

    scsi->waiter = NULL;
    __atomic_store_n(idle, true, __ATOMIC_RELEASE);
    io_loop_kick_waiters(loop);
}

static bool all_kept(const ScsiDevice *scsi)
{
    for (const ScsiRequest *request = scsi->first; request; request = request->next) {
        if (!request->kept) {
            return false;
        }
    }
    return true;
}

static void begin_wait(void *opaque)
{
    ScsiWaiter *waiter = opaque;

    if (all_kept(waiter->scsi)) {
        waiter->idle = true;
    } else {
        waiter->scsi->waiter = &waiter->idle;
    }
}

static void wait_until_idle(ScsiDevice *scsi)
{
    ScsiWaiter waiter = { scsi, false };
    ScsiBus *bus = scsi_bus_of(scsi);

    at_home(bus, begin_wait, &waiter);
    io_loop_wait(bus->loop, &waiter.idle);
}

void scsi_bus_drain(ScsiBus *bus)
{
    for (unsigned i = 0; i < bus->bus.devices->len; i++) {
        wait_until_idle(bus->bus.devices->pdata[i]);
    }
}

/* ---- how a request ends ---- */

static void link_request(ScsiRequest *request)
{
    ScsiDevice *scsi = request->device;

    request->next = NULL;
    request->previous = scsi->last;
    *(scsi->last ? &scsi->last->next : &scsi->first) = request;
    scsi->last = request;
}

static void unlink_request(ScsiRequest *request)
{
    ScsiDevice *scsi = request->device;

    *(request->previous ? &request->previous->next : &scsi->first) = request->next;
    *(request->next ? &request->next->previous : &scsi->last) = request->previous;
}

static void look_at_tasks(ScsiBus *bus);

static void end(ScsiRequest *request)
{
    ScsiBus *bus = request->bus;
    ScsiDevice *scsi = request->device;

    if (request->buffer) {
        g_free(request->buffer);
        request->buffer = NULL;
    }
    TRACE(&scsi_trace[TRACE_END], "tag 0x%" PRIx64 " outcome %d status 0x%02x sense %s moved %" PRIu64, request->tag, (int)request->outcome,
          (unsigned)request->status, sense_name(request->sense), request->moved);
    if (scsi) {
        unlink_request(request);
    }
    request->done(request);
    if (bus->tasks) {
        look_at_tasks(bus);
    }
    if (scsi && scsi->waiter && all_kept(scsi)) {
        tell_waiter(scsi);
    }
}

void scsi_finish(ScsiRequest *request)
{
    request->outcome = SCSI_DONE;
    request->status = SCSI_GOOD;
    end(request);
}

void scsi_fail(ScsiRequest *request, ScsiSense sense)
{
    request->outcome = SCSI_DONE;
    request->status = SCSI_CHECK_CONDITION;
    request->sense = sense;
    request->moved = 0;
    end(request);
}

void scsi_end_cancelled(ScsiRequest *request)
{
    request->outcome = request->cancel_outcome;
    request->moved = 0;
    end(request);
}

void scsi_reply(ScsiRequest *request, const void *bytes, size_t length)
{
    size_t wanted = (size_t)MIN(request->expected, length);

    request->moved = iov_scatter(request->in, request->in_count, 0, bytes, wanted);
    scsi_finish(request);
}

size_t scsi_parameters(ScsiRequest *request, void *bytes, size_t room)
{
    size_t length = (size_t)MIN(request->expected, room);

    length = iov_gather(request->out, request->out_count, 0, bytes, length);
    request->moved = request->expected;
    return length;
}

void scsi_keep(ScsiRequest *request)
{
    ScsiDevice *scsi = request->device;

    request->kept = true;
    if (scsi->waiter && all_kept(scsi)) {
        tell_waiter(scsi);
    }
}

/* ---- unit attentions ---- */

static const ScsiSense *const attention_senses[SCSI_ATTENTIONS] = {
    [SCSI_ATTENTION_POWER_ON] = &SENSE_POWER_ON, [SCSI_ATTENTION_NEXUS_LOSS] = &SENSE_NEXUS_LOSS, [SCSI_ATTENTION_LUNS] = &SENSE_LUNS_CHANGED,
    [SCSI_ATTENTION_CAPACITY] = &SENSE_CAPACITY_CHANGED, [SCSI_ATTENTION_MODE] = &SENSE_MODE_CHANGED,
    [SCSI_ATTENTION_MEDIUM_GONE] = &SENSE_MEDIUM_GONE, [SCSI_ATTENTION_MEDIUM_CHANGED] = &SENSE_MEDIUM_CHANGED,
};

void scsi_attention(ScsiDevice *scsi, ScsiAttention attention)
{
    TRACE(&scsi_trace[TRACE_ATTENTION], "%s: %s", device_name(&scsi->device), sense_name(*attention_senses[attention]));
    __atomic_fetch_or(&scsi->attentions, 1u << attention, __ATOMIC_ACQ_REL);
}

void scsi_parameters_changed(ScsiDevice *scsi, ScsiAttention attention)
{
    const ScsiBus *bus = scsi_bus_of(scsi);

    scsi_attention(scsi, attention);
    if (bus->ops && bus->ops->parameters_changed && scsi->entered) {
        bus->ops->parameters_changed(bus->opaque, scsi, *attention_senses[attention]);
    }
}

/* Who hears of a reset asks for everything anew: lesser news of parameters go with it (SAM-5 5.14). */
bool scsi_take_attention(ScsiDevice *scsi, ScsiSense *sense)
{
    static const uint32_t of_reset = 1u << SCSI_ATTENTION_POWER_ON | 1u << SCSI_ATTENTION_NEXUS_LOSS | 1u << SCSI_ATTENTION_LUNS |
                                     1u << SCSI_ATTENTION_CAPACITY | 1u << SCSI_ATTENTION_MODE;
    uint32_t pending = __atomic_load_n(&scsi->attentions, __ATOMIC_ACQUIRE) & ((1u << SCSI_ATTENTIONS) - 1);      /* a state may be refused half loaded */

    if (!pending) {
        return false;
    }
    unsigned first = (unsigned)__builtin_ctz(pending);
    __atomic_fetch_and(&scsi->attentions, ~(first == SCSI_ATTENTION_POWER_ON ? of_reset : 1u << first), __ATOMIC_ACQ_REL);
    *sense = *attention_senses[first];
    return true;
}

/* ---- a command comes ---- */

static uint64_t field_24(const uint8_t *bytes)
{
    return (uint64_t)bytes[0] << 16 | load_be16(bytes + 1);
}

static uint64_t count_of(const ScsiRequest *request, ScsiMode *mode)
{
    const ScsiCommand *command = request->command;
    const uint8_t *cdb = request->cdb;
    uint64_t count = 0;

    *mode = command->mode;
    switch (command->at) {
    case SCSI_COUNT_NONE: *mode = SCSI_NO_DATA; return 0;
    case SCSI_COUNT_BYTE_4: count = cdb[4]; break;
    case SCSI_COUNT_BYTE_4_OF_256: count = cdb[4] ? cdb[4] : 256; break;
    case SCSI_COUNT_16_AT_3: count = load_be16(cdb + 3); break;
    case SCSI_COUNT_16_AT_7: count = load_be16(cdb + 7); break;
    case SCSI_COUNT_16_AT_8: count = load_be16(cdb + 8); break;
    case SCSI_COUNT_24_AT_6: count = field_24(cdb + 6); break;
    case SCSI_COUNT_32_AT_6: count = load_be32(cdb + 6); break;
    case SCSI_COUNT_32_AT_10: count = load_be32(cdb + 10); break;
    case SCSI_COUNT_ONE: count = 1; break;
    case SCSI_COUNT_OWN: return command->count(request, mode);
    }
    return command->flags & SCSI_BLOCKS ? count * request->device->block_size : count;
}

/* SPC-4 6.4.2: nobody is at this LUN. At LUN 0 somebody could be, of a kind that is not known, so that who begins there goes on to ask
 * for the others; what version the target speaks decides how. */
static void inquiry_of_nobody(ScsiRequest *request)
{
    enum { NOT_CONNECTED = 0x3f, NOT_POSSIBLE = 0x7f, SPC_3 = 5, FORMAT = 0x12, SYNC_QUEUED = 0x12 };
    uint8_t out[36] = { request->lun ? NOT_POSSIBLE : NOT_CONNECTED, [2] = SPC_3, [3] = FORMAT, [4] = sizeof out - 5, [7] = SYNC_QUEUED };

    if (request->cdb[1] & 1) {
        scsi_fail(request, SENSE_BAD_FIELD);
        return;
    }
    memset(out + 8, ' ', sizeof out - 8);
    memcpy(out + 8, "QEMU    QEMU TARGET", 19);
    scsi_reply(request, out, sizeof out);
}

static void sense_of_nobody(ScsiRequest *request)
{
    uint8_t out[SENSE_FIXED];

    scsi_reply(request, out, sense_put(out, SENSE_NO_LUN, request->cdb[1] & 1));
}

static const ScsiCommand nobodys_commands[256] = {
    [INQUIRY] = { "INQUIRY", inquiry_of_nobody, SCSI_TO_HOST, SCSI_COUNT_16_AT_3, 0, NULL },
    [REQUEST_SENSE] = { "REQUEST SENSE", sense_of_nobody, SCSI_TO_HOST, SCSI_COUNT_BYTE_4, 0, NULL },
    [REPORT_LUNS] = { "REPORT LUNS", scsi_report_luns, SCSI_TO_HOST, SCSI_COUNT_32_AT_6, 0, NULL },
};

/* The buffers are as large as the CDB says, at least; a CDB that says less leaves a part of them untouched. */
static bool fits(ScsiRequest *request)
{
    ScsiMode mode;

    request->expected = count_of(request, &mode);
    return mode == SCSI_NO_DATA || request->expected <= (mode == SCSI_TO_HOST ? request->in_bytes : request->out_bytes);
}

static void start(ScsiRequest *request)
{
    const ScsiCommand *command = request->command;
    ScsiDevice *scsi = request->device;
    ScsiSense sense;

    if (!(command->flags & SCSI_NO_ATTENTION) && scsi && __atomic_load_n(&scsi->attentions, __ATOMIC_RELAXED) && scsi_take_attention(scsi, &sense)) {
        scsi_fail(request, sense);
    } else if (!command->name) {
        scsi_fail(request, scsi ? SENSE_BAD_COMMAND : SENSE_NO_LUN);
    } else if (!(command->flags & (SCSI_NEEDS_MEDIUM | SCSI_CHANGES_MEDIUM)) || scsi_model(scsi)->ready(request)) {
        command->run(request);
    }
}

void scsi_submit(ScsiBus *bus, unsigned target, unsigned lun, ScsiRequest *request)
{
    request->bus = bus;
    request->device = NULL;
    request->outcome = SCSI_DONE;
    request->status = SCSI_GOOD;
    request->sense = SENSE_NONE;
    request->moved = 0;
    request->cancelled = request->kept = false;
    request->buffer = NULL;
    if (target >= bus->targets || !bus->target[target]) {
        request->outcome = SCSI_NO_TARGET;
        end(request);
        return;
    }
    ScsiDevice *scsi = scsi_bus_find(bus, target, lun);
    request->target = target;
    request->lun = lun;
    request->command = scsi ? &scsi_model(scsi)->commands[request->cdb[0]] : &nobodys_commands[request->cdb[0]];
    request->device = scsi;
    bool enough = fits(request);
    TRACE(&scsi_trace[TRACE_COMMAND], "target %u lun %u tag 0x%" PRIx64 " code 0x%02x (%s) %" PRIu64 " bytes%s", target, lun, request->tag,
          request->cdb[0], request->command->name ? request->command->name : "?", request->expected, enough ? "" : ", more than there is room for");
    if (!enough) {
        request->outcome = SCSI_OVERRUN;
        request->device = NULL;
        end(request);
        return;
    }
    if (scsi) {
        request->sequence = ++bus->sequence;
        link_request(request);
    }
    start(request);
}

/* SPC-4 6.33: LUN 0 is always told of, since whoever asks begins there. */
void scsi_report_luns(ScsiRequest *request)
{
    const ScsiBus *bus = request->bus;
    const ScsiDevice *first = bus->target[request->target];
    unsigned select = request->cdb[2], count = first->lun != 0;

    if (request->expected < 16 || select > 2) {
        scsi_fail(request, SENSE_BAD_FIELD);
        return;
    }
    for (const ScsiDevice *scsi = first; scsi; scsi = scsi->sibling) {
        count++;
    }
    uint8_t entry[8] = { 0 };
    count = select == 1 ? 0 : count;       /* well-known logical units: none */
    store_be32(entry, count * 8);
    size_t at = iov_scatter(request->in, request->in_count, 0, entry, sizeof entry);
    memset(entry, 0, sizeof entry);
    if (count && first->lun != 0) {
        at += iov_scatter(request->in, request->in_count, at, entry, (size_t)MIN(sizeof entry, request->expected - at));
    }
    for (const ScsiDevice *scsi = first; scsi && count && at < request->expected; scsi = scsi->sibling) {
        store_be16(entry, (uint16_t)(scsi->lun < 256 ? scsi->lun : 0x4000 | scsi->lun));
        at += iov_scatter(request->in, request->in_count, at, entry, (size_t)MIN(sizeof entry, request->expected - at));
    }
    request->moved = at;
    scsi_finish(request);
}

/* ---- cancelling ---- */

static void cancel(ScsiRequest *request, ScsiOutcome outcome)
{
    TRACE(&scsi_trace[TRACE_CANCEL], "tag 0x%" PRIx64, request->tag);
    if (!request->cancelled) {
        request->cancelled = true;
        request->cancel_outcome = outcome;
    }
    if (request->kept) {
        request->kept = false;
        scsi_end_cancelled(request);
    }
}

static void cancel_all(ScsiDevice *scsi, ScsiOutcome outcome)
{
    for (ScsiRequest *request = scsi->first, *next; request; request = next) {
        next = request->next;
        cancel(request, outcome);
    }
}

static void for_all(ScsiBus *bus, void (*each)(ScsiDevice *scsi, ScsiOutcome outcome), ScsiOutcome outcome)
{
    for (unsigned i = 0; i < bus->targets; i++) {
        for (ScsiDevice *scsi = bus->target[i]; scsi; scsi = scsi->sibling) {
            each(scsi, outcome);
        }
    }
}

void scsi_bus_cancel(ScsiBus *bus, ScsiOutcome outcome)
{
    for_all(bus, cancel_all, outcome);
}

static void reset_unit(ScsiDevice *scsi, ScsiOutcome outcome)
{
    cancel_all(scsi, outcome);
    scsi_model(scsi)->reset(scsi);
    scsi_attention(scsi, SCSI_ATTENTION_POWER_ON);
}

void scsi_bus_reset(ScsiBus *bus)
{
    for_all(bus, reset_unit, SCSI_WAS_RESET);
}

/* ---- task management ---- */

static bool in_scope(const ScsiTask *task, const ScsiDevice *scsi)
{
    return task->all_luns || scsi->lun == task->lun;
}

static bool still_running(const ScsiBus *bus, const ScsiTask *task)
{
    for (const ScsiDevice *scsi = bus->target[task->target]; scsi; scsi = scsi->sibling) {
        for (const ScsiRequest *request = in_scope(task, scsi) ? scsi->first : NULL; request; request = request->next) {
            if (request->cancelled && request->sequence <= task->before) {
                return true;
            }
        }
    }
    return false;
}

static void look_at_tasks(ScsiBus *bus)
{
    for (ScsiTask **link = &bus->tasks; *link; ) {
        ScsiTask *task = *link;
        if (still_running(bus, task)) {
            link = &task->next;
        } else {
            *link = task->next;
            task->done(task);
        }
    }
}

static ScsiRequest *find_tag(const ScsiDevice *scsi, uint64_t tag)
{
    ScsiRequest *request = scsi->first;

    while (request && (request->tag != tag || request->cancelled)) {
        request = request->next;
    }
    return request;
}

static void reset_nexus(ScsiBus *bus, unsigned target)
{
    for (ScsiDevice *scsi = bus->target[target]; scsi; scsi = scsi->sibling) {
        reset_unit(scsi, SCSI_WAS_RESET);
        scsi_attention(scsi, SCSI_ATTENTION_NEXUS_LOSS);
    }
}

void scsi_manage(ScsiBus *bus, unsigned target, unsigned lun, ScsiTaskKind kind, uint64_t tag, ScsiTask *task)
{
    ScsiDevice *scsi = scsi_bus_find(bus, target, lun);
    ScsiRequest *request = scsi ? find_tag(scsi, tag) : NULL;

    task->target = target;
    task->lun = lun;
    task->all_luns = kind == SCSI_RESET_NEXUS;
    task->before = bus->sequence;
    task->result = SCSI_TASK_COMPLETE;
    if (target >= bus->targets || !bus->target[target]) {
        task->result = SCSI_TASK_NO_TARGET;
        task->done(task);
        return;
    }
    if (!scsi && kind != SCSI_RESET_NEXUS) {
        task->result = SCSI_TASK_NO_LUN;
        task->done(task);
        return;
    }
    switch (kind) {
    case SCSI_ABORT_TASK:
        if (request) {
            cancel(request, SCSI_ABORTED);
        }
        break;
    case SCSI_ABORT_TASK_SET: case SCSI_CLEAR_TASK_SET: cancel_all(scsi, SCSI_ABORTED); break;
    case SCSI_RESET_LUN: reset_unit(scsi, SCSI_WAS_RESET); break;
    case SCSI_RESET_NEXUS: reset_nexus(bus, target); break;
    case SCSI_QUERY_TASK: task->result = request ? SCSI_TASK_SUCCEEDED : SCSI_TASK_COMPLETE; break;
    case SCSI_QUERY_TASK_SET: task->result = scsi->first ? SCSI_TASK_SUCCEEDED : SCSI_TASK_COMPLETE; break;
    }
    if (kind == SCSI_QUERY_TASK || kind == SCSI_QUERY_TASK_SET || !still_running(bus, task)) {
        task->done(task);
        return;
    }
    task->next = bus->tasks;
    bus->tasks = task;
}

/* ---- devices come and go ---- */

static void insert(void *opaque)
{
    ScsiDevice *scsi = opaque;
    ScsiDevice **link = &scsi_bus_of(scsi)->target[scsi->id];

    while (*link && (*link)->lun < scsi->lun) {
        link = &(*link)->sibling;
    }
    scsi->sibling = *link;
    *link = scsi;
}

static void take_out(void *opaque)
{
    ScsiDevice *scsi = opaque;
    ScsiDevice **link = &scsi_bus_of(scsi)->target[scsi->id];

    while (*link != scsi) {
        link = &(*link)->sibling;
    }
    *link = scsi->sibling;
    scsi->sibling = NULL;
    cancel_all(scsi, SCSI_ABORTED);
}

void scsi_device_enter(ScsiDevice *scsi)
{
    TRACE(&scsi_trace[TRACE_ENTER], "%s: target %u lun %u", device_name(&scsi->device), scsi->id, scsi->lun);
    at_home(scsi_bus_of(scsi), insert, scsi);
    scsi->entered = true;
}

void scsi_device_leave(ScsiDevice *scsi)
{
    if (!scsi->entered) {
        return;
    }
    TRACE(&scsi_trace[TRACE_LEAVE], "%s: target %u lun %u", device_name(&scsi->device), scsi->id, scsi->lun);
    scsi->entered = false;
    at_home(scsi_bus_of(scsi), take_out, scsi);
    wait_until_idle(scsi);
    while (__atomic_load_n(&scsi->posts, __ATOMIC_ACQUIRE)) {
        io_loop_turn(io_loop_main(), true);
    }
}

static void reset_at_home(void *opaque)
{
    reset_unit(opaque, SCSI_WAS_RESET);
}

void scsi_device_reset(Device *device)
{
    ScsiDevice *scsi = SCSI_DEVICE(device);

    at_home(scsi_bus_of(scsi), reset_at_home, scsi);
    wait_until_idle(scsi);
}

static void retry_at_home(void *opaque)
{
    ScsiDevice *scsi = opaque;

    for (ScsiRequest *request = scsi->first, *next; request; request = next) {
        next = request->next;
        if (request->kept) {
            request->kept = false;
            scsi_io_again(request);
        }
    }
}

void scsi_retry(ScsiDevice *scsi)
{
    at_home(scsi_bus_of(scsi), retry_at_home, scsi);
}

const Field scsi_device_props[] = {
    PROP_U32("channel", ScsiDevice, channel, 0, .help = "channel of the bus"),
    PROP_U32("scsi-id", ScsiDevice, id, UINT32_MAX, .help = "target on the bus; default: the first that has the lun free"),
    PROP_U32("lun", ScsiDevice, lun, UINT32_MAX, .help = "logical unit of the target; default: 0, or the first that is free"),
    FIELD_END };

const Field scsi_device_saved[] = { SAVE_U32(ScsiDevice, attentions), FIELD_END };
