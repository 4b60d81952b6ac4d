/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * events.c - news of the machine as QMP events: their table, time stamps, rations, and to whom they go
 *
 * A rationed event goes out at once; what comes within a second of it waits, the newer replacing the older, and goes when that second
 * is over. QEMU rations the same ones.
 *
 * Threads  emitted on any thread with the machine lock held; timers on the main loop
 * Tests    tests/qmp/core.py, tests/qmp/events.c
 */
#include "base/event.h"
#include "base/timer.h"
#include "monitor/commands.h"
#include "monitor/session.h"
#include <string.h>

const QmpEvent qmp_events[] = {
    { "ACPI_DEVICE_OST", "info:ACPIOSTInfo", "the guest reports what became of a hotplug request" },
    { "BALLOON_CHANGE", "actual:int", "the guest gave memory back or took it again", .rationed = true },
    { "BLOCK_IMAGE_CORRUPTED", "device:str ?node-name:str msg:str ?offset:int ?size:int fatal:bool", "an image contradicts itself" },
    { "BLOCK_IO_ERROR", "device:str ?node-name:str operation:IoOperationType action:BlockErrorAction ?nospace:bool reason:str",
      "a request to a disk failed" },
    { "BLOCK_WRITE_THRESHOLD", "node-name:str amount-exceeded:int write-threshold:int", "a write to a node went beyond what block-set-write-threshold set" },
    { "DEVICE_DELETED", "?device:str path:str", "a device is gone" },
    { "DEVICE_TRAY_MOVED", "device:str id:str tray-open:bool", "a tray was opened or closed" },
    { "DUMP_COMPLETED", "result:DumpQueryResult ?error:str", "a dump of the guest's memory has ended" },
    { "GUEST_CRASHLOADED", "action:GuestPanicAction ?info:GuestPanicInformation", "the guest crashed and starts its crash kernel" },
    { "GUEST_PANICKED", "action:GuestPanicAction ?info:GuestPanicInformation", "the guest crashed" },
    { "JOB_STATUS_CHANGE", "id:str status:JobStatus", "a job has come further" },
    { "POWERDOWN", NULL, "the power button was pressed" },
    { "RESET", "guest:bool reason:ShutdownCause", "the machine was reset" },
    { "RESUME", NULL, "the machine runs" },
    { "RTC_CHANGE", "offset:int qom-path:str", "the guest set its clock; offset: seconds from what -rtc says", .rationed = true },
    { "SHUTDOWN", "guest:bool reason:ShutdownCause", "the machine was turned off" },
    { "STOP", NULL, "the machine stands" },
    { "SUSPEND", NULL, "the guest sleeps" },
    { "SUSPEND_DISK", NULL, "the guest sleeps with its state on disk" },
    { "VSERPORT_CHANGE", "id:str open:bool", "the guest opened or closed a channel", .rationed = true, .key = "id" },
    { "WAKEUP", NULL, "the guest woke up" },
    { "WATCHDOG", "action:WatchdogAction", "the guest's watchdog ran out", .rationed = true },
    { .name = NULL } };

const QmpType event_types[] = {
    { "ACPISlotType", "enum DIMM CPU" },
    { "ACPIOSTInfo", "struct ?device:str slot:str slot-type:ACPISlotType source:int status:int" },
    { "IoOperationType", "enum read write" },
    { "BlockErrorAction", "enum ignore report stop" },
    { .name = NULL } };

typedef struct Ration {
    const QmpEvent *event;
    char *key;                             /* the value that it is counted by; "" without */
    Timer second;
    Value *waiting;                        /* a whole message; NULL: none came since */
} Ration;

static GPtrArray *rations;                 /* of Ration whose second runs */

static const QmpEvent *find_event(const char *name)
{
    for (const QmpEvent *event = qmp_events; event->name; event++) {
        if (strcmp(event->name, name) == 0) {
            return event;
        }
    }
    return NULL;
}

static void broadcast(const Value *message)
{
    for (Session *session = session_next(NULL); session; session = session_next(session)) {
        if (session_is_negotiated(session)) {
            session_send_event(session, message);
        }
    }
}

static Value *stamped(const char *name, const Value *data)
{
    Value *message = value_new_object(), *stamp = value_new_object();
    int64_t now = clock_now(CLOCK_HOST);

    value_set(stamp, "seconds", value_new_int(now / NS_PER_SECOND));
    value_set(stamp, "microseconds", value_new_int(now % NS_PER_SECOND / NS_PER_US));
    value_set(message, "timestamp", stamp);
    value_set(message, "event", value_new_string(name));
    if (data) {
        value_set(message, "data", value_copy(data));
    }
    return message;
}

static void second_over(void *opaque)
{
    Ration *ration = opaque;

    if (ration->waiting) {
        broadcast(ration->waiting);
        g_clear_pointer(&ration->waiting, value_unref);
        timer_arm(&ration->second, clock_now(CLOCK_STEADY) + NS_PER_SECOND);
        return;
    }
    g_ptr_array_remove_fast(rations, ration);
    g_free(ration->key);
    g_free(ration);
}

static Ration *running_ration(const QmpEvent *event, const char *key)
{
    for (guint i = 0; i < rations->len; i++) {
        Ration *ration = rations->pdata[i];
        if (ration->event == event && strcmp(ration->key, key) == 0) {
            return ration;
        }
    }
    return NULL;
}

/* Takes the message. */
static void send_rationed(const QmpEvent *event, const char *key, Value *message)
{
    Ration *ration = running_ration(event, key);

    if (ration) {
        value_unref(ration->waiting);
        ration->waiting = message;
        return;
    }
    ration = g_new0(Ration, 1);
    ration->event = event;
    ration->key = g_strdup(key);
    timer_init(&ration->second, CLOCK_STEADY, second_over, ration);
    timer_arm(&ration->second, clock_now(CLOCK_STEADY) + NS_PER_SECOND);
    g_ptr_array_add(rations, ration);
    broadcast(message);
    value_unref(message);
}

static void hear(void *opaque, const char *name, const Value *data)
{
    const QmpEvent *event = find_event(name);

    (void)opaque;
    if (!event || !session_next(NULL)) {
        return;
    }
    Value *message = stamped(name, data);
    if (event->rationed) {
        send_rationed(event, event->key ? value_get_string(data, event->key, "") : "", message);
    } else {
        broadcast(message);
        value_unref(message);
    }
}

void qmp_events_listen(void)
{
    rations = g_ptr_array_new();
    event_listen(hear, NULL);
}

void qmp_events_unlisten(void)
{
    event_unlisten(hear, NULL);
    for (guint i = rations ? rations->len : 0; i-- > 0;) {
        Ration *ration = rations->pdata[i];
        timer_cancel(&ration->second);
        value_unref(ration->waiting);
        g_free(ration->key);
        g_free(ration);
    }
    g_clear_pointer(&rations, g_ptr_array_unref);
}
