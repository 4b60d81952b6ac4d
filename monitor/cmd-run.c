/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd-run.c - commands that start, stop, reset, wake and end the machine
 *
 * What a command asks of the machine is carried out before it answers, so that the events it causes precede its reply.
 *
 * Threads  main loop, machine lock held
 * Tests    tests/qmp/run.py
 */
#include "block/blk.h"
#include "monitor/commands.h"
#include <string.h>

QMP_HANDLER(query_status)
{
    const Machine *machine = qmp_machine();
    Value *status = value_new_object();

    value_set(status, "running", value_new_bool(machine->state == RUN_RUNNING));
    value_set(status, "singlestep", value_new_bool(false));
    value_set(status, "status", value_new_string(run_state_name(machine->state)));
    return status;
}

/* Only what runs can be stopped; any other state stays what it is. */
QMP_HANDLER(stop)
{
    Machine *machine = qmp_machine();

    if (machine->state == RUN_RUNNING) {
        machine_stop(machine, RUN_PAUSED);
    }
    return qmp_done();
}

QMP_HANDLER(cont)
{
    Machine *machine = qmp_machine();

    if (dump_is_active()) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "There is a dump in process, please wait.");
    }
    if (machine->state == RUN_SHUTDOWN || machine->state == RUN_INTERNAL_ERROR) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "Resetting the Virtual Machine is required");
    }
    if (machine->state != RUN_SUSPENDED) {
        machine_start(machine);
    }
    return qmp_done();
}

QMP_HANDLER(system_reset)
{
    machine_request_reset(qmp_machine(), CAUSE_HOST_QMP_SYSTEM_RESET);
    machine_handle_requests(qmp_machine());
    return qmp_done();
}

QMP_HANDLER(system_powerdown)
{
    machine_request_powerdown(qmp_machine());
    machine_handle_requests(qmp_machine());
    return qmp_done();
}

/* A board that has a power button can sleep. */
static bool can_sleep(const Machine *machine)
{
    return machine->power_button.pressed != NULL;
}

QMP_HANDLER(reboot)
{
    machine_request_reboot(qmp_machine());
    machine_handle_requests(qmp_machine());
    return qmp_done();
}

QMP_HANDLER(system_wakeup)
{
    Machine *machine = qmp_machine();

    if (!can_sleep(machine)) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "wake-up from suspend is not supported by this guest");
    }
    if (machine->state != RUN_SUSPENDED) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "Unable to wake up: guest is not in suspended state");
    }
    machine_request_wakeup(machine);
    machine_handle_requests(machine);
    return qmp_done();
}

QMP_HANDLER(query_current_machine)
{
    Value *info = value_new_object();

    value_set(info, "wakeup-suspend-support", value_new_bool(can_sleep(qmp_machine())));
    return info;
}

QMP_HANDLER(quit)
{
    machine_request_shutdown(qmp_machine(), CAUSE_HOST_QMP_QUIT);
    machine_handle_requests(qmp_machine());
    return qmp_done();
}

QMP_HANDLER(set_action)
{
    for (size_t i = 0; i < value_length(args); i++) {
        machine_set_action(qmp_machine(), value_key_at(args, i), value_string(value_member_at(args, i)));
    }
    return qmp_done();
}

QMP_HANDLER(watchdog_set_action)
{
    machine_set_action(qmp_machine(), "watchdog", value_get_string(args, "action", "reset"));
    return qmp_done();
}

QMP_HANDLER(inject_nmi)
{
    const Machine *machine = qmp_machine();

    if (machine->cpus->len == 0) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "this feature or command is not currently supported");
    }
    for (guint i = 0; i < machine->cpus->len; i++) {
        cpu_nmi(machine->cpus->pdata[i]);
    }
    return qmp_done();
}

const QmpType run_types[] = {
    { "RunState", "enum debug inmigrate internal-error io-error paused postmigrate prelaunch finish-migrate restore-vm running save-vm "
      "shutdown suspended watchdog guest-panicked colo" },
    { "StatusInfo", "struct running:bool singlestep:bool status:RunState" },
    { "ShutdownCause", "enum none host-error host-qmp-quit host-qmp-system-reset host-signal host-ui guest-shutdown guest-reset "
      "guest-panic subsystem-reset snapshot-load" },
    { "RebootAction", "enum reset shutdown" },
    { "ShutdownAction", "enum poweroff pause" },
    { "PanicAction", "enum pause shutdown exit-failure none" },
    { "WatchdogAction", "enum reset shutdown poweroff pause debug none inject-nmi" },
    { "GuestPanicAction", "enum pause poweroff run" },
    { "GuestPanicInformationType", "enum hyper-v s390" },
    { "GuestPanicInformationHyperV", "struct arg1:uint arg2:uint arg3:uint arg4:uint arg5:uint" },
    { "GuestPanicInformation", "union type:GuestPanicInformationType ; type ; hyper-v:GuestPanicInformationHyperV" },
    { "CurrentMachineParams", "struct wakeup-suspend-support:bool" },
    { .name = NULL } };

const QmpCommand run_commands[] = {
    { "query-status", query_status, .returns = "StatusInfo", .help = "whether the guest runs, and if not, why" },
    { "stop", stop, .help = "stops the processors" },
    { "cont", cont, .help = "lets the processors run" },
    { "system_reset", system_reset, .help = "presses the reset button" },
    { "system_powerdown", system_powerdown, .help = "presses the power button; the guest decides what it means" },
    { "x-reboot", reboot, .help = "presses the power button, and when the guest has shut down it starts anew" },
    { "system_wakeup", system_wakeup, .help = "wakes a sleeping guest" },
    { "query-current-machine", query_current_machine, .returns = "CurrentMachineParams", .help = "what this machine can do that others cannot" },
    { "quit", quit, .help = "ends the process; the guest is not asked" },
    { "set-action", set_action, .args = "?reboot:RebootAction ?shutdown:ShutdownAction ?panic:PanicAction ?watchdog:WatchdogAction",
      .help = "what follows when the guest reboots, powers off, panics or lets its watchdog expire" },
    { "watchdog-set-action", watchdog_set_action, .args = "action:WatchdogAction", .help = "what an expired watchdog does" },
    { "inject-nmi", inject_nmi, .help = "a non-maskable interrupt for each processor" },
    { .name = NULL } };
