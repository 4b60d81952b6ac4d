/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lifecycle.c - running, paused, reset, ended: the machine's states and the requests that move it
 *
 * A device or a signal only asks (machine_request_*, any thread with the machine lock); the main loop carries out, since
 * only it may wait for the CPUs. What is done is told upward as events in QMP's names.
 *
 * Threads  requests: any, machine lock held; everything else: main loop, same lock
 * Tests    tests/dev/core.c; tests/guest for the exit statuses
 */
#include "base/event.h"
#include "base/log.h"
#include "base/loop.h"
#include "block/blk.h"
#include "hw/core/exit-status.h"
#include "hw/core/machine.h"
#include <string.h>

static const char *const run_state_names[] = {
    [RUN_PRELAUNCH] = "prelaunch", [RUN_RUNNING] = "running", [RUN_PAUSED] = "paused", [RUN_SHUTDOWN] = "shutdown",
    [RUN_GUEST_PANICKED] = "guest-panicked", [RUN_INTERNAL_ERROR] = "internal-error", [RUN_SUSPENDED] = "suspended",
    [RUN_IO_ERROR] = "io-error", [RUN_WATCHDOG] = "watchdog", [RUN_INMIGRATE] = "inmigrate",
    [RUN_POSTMIGRATE] = "postmigrate", [RUN_SAVE_VM] = "save-vm", [RUN_RESTORE_VM] = "restore-vm",
};
static const char *const cause_names[] = {
    [CAUSE_NONE] = "none", [CAUSE_HOST_ERROR] = "host-error", [CAUSE_HOST_QMP_QUIT] = "host-qmp-quit",
    [CAUSE_HOST_QMP_SYSTEM_RESET] = "host-qmp-system-reset", [CAUSE_HOST_SIGNAL] = "host-signal", [CAUSE_HOST_UI] = "host-ui",
    [CAUSE_GUEST_SHUTDOWN] = "guest-shutdown", [CAUSE_GUEST_RESET] = "guest-reset", [CAUSE_GUEST_PANIC] = "guest-panic",
    [CAUSE_SUBSYSTEM_RESET] = "subsystem-reset", [CAUSE_SNAPSHOT_LOAD] = "snapshot-load",
};

const char *run_state_name(RunState state)
{
    return run_state_names[state];
}

const char *cause_name(Cause cause)
{
    return cause_names[cause];
}

static bool cause_is_guest(Cause cause)
{
    return cause >= CAUSE_GUEST_SHUTDOWN && cause <= CAUSE_GUEST_PANIC;
}

static void emit_cause(const char *event, Cause cause)
{
    Value *data = value_new_object();

    value_set(data, "guest", value_new_bool(cause_is_guest(cause)));
    value_set(data, "reason", value_new_string(cause_name(cause)));
    event_emit(event, data);
}

/* What set-action or -action says of an event, or the fallback. */
static bool action_is(const Machine *machine, const char *event, const char *wanted, const char *fallback)
{
    const char *given = value_get_string(value_get(machine->config, "action"), event, fallback);

    return strcmp(value_get_string(machine->actions, event, given), wanted) == 0;
}

/* The last word counts, also against -no-reboot and -no-shutdown. */
void machine_set_action(Machine *machine, const char *event, const char *action)
{
    if (!machine->actions) {
        machine->actions = value_new_object();
    }
    value_set(machine->actions, event, value_new_string(action));
    machine->no_reboot &= strcmp(event, "reboot") != 0;
    machine->no_shutdown &= strcmp(event, "shutdown") != 0;
}

typedef struct StateListener {
    void (*changed)(void *opaque, bool running);
    void *opaque;
} StateListener;

void machine_on_state_change(Machine *machine, void (*changed)(void *opaque, bool running), void *opaque)
{
    StateListener listener = { changed, opaque };

    g_array_append_val(machine->state_listeners, listener);
}

void machine_off_state_change(Machine *machine, void (*changed)(void *opaque, bool running), void *opaque)
{
    for (guint i = 0; i < machine->state_listeners->len; i++) {
        const StateListener *listener = &g_array_index(machine->state_listeners, StateListener, i);
        if (listener->changed == changed && listener->opaque == opaque) {
            g_array_remove_index(machine->state_listeners, i);
            return;
        }
    }
}

static void tell_state(Machine *machine, bool running)
{
    for (guint i = 0; i < machine->state_listeners->len; i++) {
        StateListener *listener = &g_array_index(machine->state_listeners, StateListener, i);
        listener->changed(listener->opaque, running);
    }
}

/* Processors stand. What they asked of their disks has been done afterwards, and may change guest memory until then. */
void machine_settle_storage(void)
{
    for (Blk *blk = blk_next(NULL); blk; blk = blk_next(blk)) {
        blk_drain(blk);
    }
}

void machine_start(Machine *machine)
{
    if (machine->state == RUN_RUNNING) {
        return;
    }
    machine->state = RUN_RUNNING;
    guest_clock_run(true);
    blk_machine_runs();
    tell_state(machine, true);
    event_emit("RESUME", NULL);
    if (machine->accel) {
        accel_resume(machine->accel);
    }
}

void machine_stop(Machine *machine, RunState state)
{
    bool was_running = machine->state == RUN_RUNNING;

    if (was_running && machine->accel) {
        accel_pause(machine->accel);
    }
    machine->state = state;
    if (was_running) {
        guest_clock_run(false);
        tell_state(machine, false);        /* devices that serve queues of their own stop first */
        machine_settle_storage();
        blk_flush_all();
        event_emit("STOP", NULL);
    }
}

static void handle_requests_soon(void *opaque)
{
    machine_handle_requests(opaque);
}

/* No CPU enters the guest again until the main loop has decided. */
static void ask_main_loop(Machine *machine)
{
    if (machine->accel) {
        accel_stop_soon(machine->accel);
    }
    loop_post(handle_requests_soon, machine);
}

void machine_request_reset(Machine *machine, Cause cause)
{
    machine->requests.reset = cause;
    ask_main_loop(machine);
}

void machine_request_shutdown(Machine *machine, Cause cause)
{
    machine->requests.shutdown = cause;
    ask_main_loop(machine);
}

void machine_triple_fault(Machine *machine)
{
    machine->requests.triple_fault = true;
    machine_request_reset(machine, CAUSE_GUEST_RESET);
}

void machine_request_powerdown(Machine *machine)
{
    machine->requests.powerdown = true;
    loop_post(handle_requests_soon, machine);
}

void machine_request_reboot(Machine *machine)
{
    machine->reboot_asked = true;
    machine_request_powerdown(machine);
}

void machine_request_suspend(Machine *machine)
{
    machine->requests.suspend = true;
    ask_main_loop(machine);
}

void machine_request_wakeup(Machine *machine)
{
    if (machine->state == RUN_SUSPENDED) {
        machine->requests.wakeup = true;
        loop_post(handle_requests_soon, machine);
    }
}

void machine_request_stop(Machine *machine, RunState state)
{
    machine->requests.stop = true;
    machine->requests.stop_state = state;
    ask_main_loop(machine);
}

void machine_request_exit(Machine *machine, int status)
{
    if (!machine->requests.exit) {
        machine->requests.exit = true;
        machine->exit_status = status;
        ask_main_loop(machine);
    }
}

/* Panic: -action panic=pause|shutdown|exit-failure|none, QEMU's default being shutdown. */
void machine_guest_panicked(Machine *machine, bool crash_loaded)
{
    Value *data = value_new_object();
    bool goes_on = crash_loaded || action_is(machine, "panic", "none", "shutdown");
    bool pauses = action_is(machine, "panic", "pause", "shutdown");

    value_set(data, "action", value_new_string(goes_on ? "run" : pauses ? "pause" : "poweroff"));
    event_emit(crash_loaded ? "GUEST_CRASHLOADED" : "GUEST_PANICKED", data);
    if (goes_on) {
        return;
    }
    if (pauses) {
        machine_request_stop(machine, RUN_GUEST_PANICKED);
        return;
    }
    if (!action_is(machine, "panic", "shutdown", "exit-failure")) {      /* the status is lost only where that was asked for */
        machine->exit_status = EXIT_STATUS_PANIC;
    }
    machine_request_shutdown(machine, CAUSE_GUEST_PANIC);
}

void machine_request_eject(Machine *machine, Device *device)
{
    device->leaving = true;
    machine->requests.eject = true;
    ask_main_loop(machine);
}

void machine_on_powerdown(Machine *machine, void (*pressed)(void *opaque), void *opaque)
{
    machine->power_button.pressed = pressed;
    machine->power_button.opaque = opaque;
}

void machine_reset_now(Machine *machine, Cause cause)
{
    machine_settle_storage();
    region_begin();
    for (guint i = 0; i < machine->devices->len; i++) {
        device_reset(machine->devices->pdata[i]);
    }
    region_commit();                       /* what the board places now goes where a reset machine has memory */
    for (guint i = 0; i < machine->cpus->len; i++) {
        cpu_reset(machine->cpus->pdata[i]);
    }
    if (machine->after_reset) {
        machine->after_reset(machine);
    }
    if (cause != CAUSE_NONE) {
        emit_cause("RESET", cause);
    }
}

static void carry_out_shutdown(Machine *machine, Cause cause)
{
    emit_cause("SHUTDOWN", cause);
    bool stays = machine->no_shutdown || action_is(machine, "shutdown", "pause", "poweroff");
    if (stays && cause != CAUSE_HOST_SIGNAL && cause != CAUSE_HOST_QMP_QUIT) {
        machine_stop(machine, RUN_SHUTDOWN);
        return;
    }
    loop_quit();
}

/* Returns false when the reset turned into the end of the process. */
static bool carry_out_reset(Machine *machine, Cause cause, bool triple_fault)
{
    bool ends = machine->no_reboot || action_is(machine, "reboot", "shutdown", "reset");

    if (ends && cause_is_guest(cause)) {
        if (triple_fault) {
            report_error("the guest shut its processor down by a triple fault; -d int,cpu_reset shows the way there");
            machine->exit_status = EXIT_STATUS_TRIPLE_FAULT;
        }
        carry_out_shutdown(machine, cause);
        return false;
    }
    machine->reboot_asked = false;
    bool resumes = machine->state == RUN_RUNNING || machine->state == RUN_SUSPENDED;
    if (machine->accel) {
        accel_pause(machine->accel);
    }
    machine_reset_now(machine, cause);
    if (machine->state == RUN_SUSPENDED) {
        machine->state = RUN_PAUSED;
        machine_start(machine);
    } else if (!resumes) {
        machine->state = RUN_PRELAUNCH;    /* as before its first start, whatever had stopped it */
    } else if (machine->accel) {
        accel_resume(machine->accel);
    }
    return true;
}

static void carry_out_suspend(Machine *machine)
{
    if (machine->state == RUN_RUNNING) {
        if (machine->accel) {
            accel_pause(machine->accel);
        }
        machine->state = RUN_SUSPENDED;
        event_emit("SUSPEND", NULL);
    }
}

/* S3 ends as hardware does it: the processors restart at the firmware, memory and clock as they were. */
static void carry_out_wakeup(Machine *machine)
{
    if (machine->state != RUN_SUSPENDED) {
        return;
    }
    machine_reset_now(machine, CAUSE_NONE);
    machine->state = RUN_RUNNING;
    event_emit("WAKEUP", NULL);
    if (machine->accel) {
        accel_resume(machine->accel);
    }
}

/* No CPU may stand in an access to a device that goes. The CPUs go on at the end of machine_handle_requests(). */
static void carry_out_ejects(Machine *machine)
{
    machine->requests.eject = false;
    if (machine->accel) {
        accel_pause(machine->accel);
    }
    for (guint i = machine->devices->len; i > 0; i--) {
        Device *device = i <= machine->devices->len ? machine->devices->pdata[i - 1] : NULL;
        if (device && device->leaving) {
            device_delete(device);
        }
    }
}

void machine_handle_requests(Machine *machine)
{
    Requests asked = machine->requests;

    memset(&machine->requests, 0, sizeof machine->requests);
    if (asked.exit) {
        loop_quit();
        return;
    }
    if (asked.eject) {
        carry_out_ejects(machine);
    }
    if (asked.shutdown == CAUSE_GUEST_SHUTDOWN && machine->reboot_asked) {
        asked.shutdown = CAUSE_NONE;
        asked.reset = CAUSE_HOST_QMP_SYSTEM_RESET;
    }
    if (asked.shutdown != CAUSE_NONE) {
        carry_out_shutdown(machine, asked.shutdown);
        return;
    }
    if (asked.reset != CAUSE_NONE && !carry_out_reset(machine, asked.reset, asked.triple_fault)) {
        return;
    }
    if (machine->requests.eject) {         /* a reset is an answer to what was still asked of the guest */
        carry_out_ejects(machine);
    }
    if (asked.suspend) {
        carry_out_suspend(machine);
    }
    if (asked.wakeup) {
        carry_out_wakeup(machine);
    }
    if (asked.powerdown) {
        event_emit("POWERDOWN", NULL);
        if (machine->power_button.pressed) {
            machine->power_button.pressed(machine->power_button.opaque);
        }
    }
    if (asked.stop) {
        machine_stop(machine, asked.stop_state);
    } else if (machine->state == RUN_RUNNING && machine->accel) {
        accel_resume(machine->accel);      /* after accel_stop_soon(), when nothing above ended or paused it */
    }
}
