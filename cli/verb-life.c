/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * verb-life.c - suspend, resume, shutdown, reboot, reset, destroy
 *
 * Tests    tests/verbs/verbs.py
 */
#include "cli/verb-list.h"
#include "base/timer.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static const double term_patience = 10, kill_patience = 20;

static const ToolOption plain_options[] = { VERB_DOMAIN, VERB_TIMEOUT, VERB_HELP, VERB_OPTIONS_END };

static int say_done(const Verb *verb, const char *done)
{
    g_autofree char *name = verb_printable(verb->domain);

    printf("Domain '%s' %s\n", name, done);
    return 0;
}

static bool is_paused(const VmEntry *vm)
{
    return strcmp(vm->state, "paused") == 0;
}

static int suspend(Verb *verb, GError **err)
{
    g_autoptr(VmEntry) vm = verb_vm(verb, err);

    if (vm && !is_paused(vm) && strcmp(vm->state, "running") != 0) {
        fail(err, EINVAL, "Failed to suspend domain '%s': it is not running (%s)", vm->name, vm->state);
        return 1;
    }
    return vm && verb_command(verb, "suspend", "stop", err) ? say_done(verb, "suspended") : 1;
}

/* One that sleeps (S3) is woken, as virsh's dompmwakeup would. */
static int resume(Verb *verb, GError **err)
{
    g_autoptr(VmEntry) vm = verb_vm(verb, err);

    if (vm && strcmp(vm->state, "running") == 0) {
        fail(err, EINVAL, "Failed to resume domain '%s': it is not paused", vm->name);
        return 1;
    }
    return vm && verb_command(verb, "resume", strcmp(vm->state, "pmsuspended") == 0 ? "system_wakeup" : "cont", err) ? say_done(verb, "resumed") : 1;
}

typedef struct Shutdown {
    Verb common;
    const char *mode;
} Shutdown;
static const ToolOption shutdown_options[] = {
    VERB_DOMAIN, OPTION_TEXT(0, "mode", "acpi", Shutdown, mode, "how it is asked: acpi, the power button, is the one there is"),
    VERB_TIMEOUT, VERB_HELP, VERB_OPTIONS_END };

static bool check_mode(const Verb *verb, GError **err)
{
    const char *mode = ((const Shutdown *)verb)->mode;

    return !mode || strcmp(mode, "acpi") == 0 ||
           fail(err, ENOTSUP, "--mode %s: it is not supported yet; acpi, the power button, is", mode);
}

static int shut_down(Verb *verb, GError **err)
{
    return check_mode(verb, err) && verb_command(verb, "shutdown", "system_powerdown", err) ? say_done(verb, "is being shutdown") : 1;
}

/* A PC has no button that asks for a reboot: the guest shuts down, and at that moment it is reset instead. */
static int reboot(Verb *verb, GError **err)
{
    return check_mode(verb, err) && verb_command(verb, "reboot", "x-reboot", err) ? say_done(verb, "is being rebooted") : 1;
}

static int reset(Verb *verb, GError **err)
{
    return verb_command(verb, "reset", "system_reset", err) ? say_done(verb, "was reset") : 1;
}

/* ---- destroy ------------------------------------------------------------------------------------------------ */

typedef struct Destroy {
    Verb common;
    bool graceful, remove_logs;
} Destroy;
static const ToolOption destroy_options[] = {
    VERB_DOMAIN, OPTION_FLAG(0, "graceful", Destroy, graceful, "fail rather than end it by force"),
    OPTION_FLAG(0, "remove-logs", Destroy, remove_logs, "remove its log too"), VERB_HELP, VERB_OPTIONS_END };

static bool ends_within(int process, double seconds)
{
    struct pollfd one = { .fd = process, .events = POLLIN };
    int64_t deadline = patience_until(seconds);
    int found;

    do {
        found = poll(&one, 1, patience_ms(deadline));
    } while (found < 0 && errno == EINTR);
    return found > 0;
}

/* It may have ended between two of them. */
static bool end_by(int process, int number, double seconds)
{
    syscall(SYS_pidfd_send_signal, process, number, NULL, 0);
    syscall(SYS_pidfd_send_signal, process, SIGCONT, NULL, 0);         /* it may be stopped */
    return ends_within(process, seconds);
}

/* The process id is the VM's for certain: while the entry is locked, the descriptor cannot be that of somebody who came after it. */
static bool end_process(const VmEntry *vm, bool graceful, GError **err)
{
    int process = (int)syscall(SYS_pidfd_open, vm->pid, 0);
    bool ended = process < 0 || !vm_lives(vm);

    if (!ended) {
        ended = end_by(process, SIGTERM, term_patience) || (!graceful && end_by(process, SIGKILL, kill_patience));
    }
    if (!ended) {
        fail(err, EBUSY, "Failed to destroy domain '%s': process %ld does not end%s", vm->name, (long)vm->pid,
             graceful ? "; without --graceful it is ended by force" : "");
    }
    if (process >= 0) {
        close(process);
    }
    return ended;
}

static void remove_log(const VmEntry *vm)
{
    g_autofree char *name = runtime_log_name(vm->name);
    int folder = runtime_open(false, NULL);

    if (folder >= 0) {
        unlinkat(folder, name, 0);
        close(folder);
    }
}

static int destroy(Verb *verb, GError **err)
{
    const Destroy *options = (const Destroy *)verb;
    g_autoptr(VmEntry) vm = verb_vm(verb, err);

    if (!vm || !end_process(vm, options->graceful, err)) {
        return 1;
    }
    g_autoptr(GPtrArray) left = vm_entries(NULL);          /* one that could not clean up is cleaned up after */
    if (options->remove_logs) {
        remove_log(vm);
    }
    return say_done(verb, "destroyed");
}

const VerbSpec verb_suspend = { "suspend", "", 0, 0, VERB_ONE_VM, .help = "stop a VM's processors", .options = plain_options,
                                .size = sizeof(Verb), .run = suspend };
const VerbSpec verb_resume = { "resume", "", 0, 0, VERB_ONE_VM, .help = "let them run again; wake a VM that sleeps", .options = plain_options,
                               .size = sizeof(Verb), .run = resume };
const VerbSpec verb_shutdown = { "shutdown", "", 0, 0, VERB_ONE_VM, .help = "press the power button: the guest shuts itself down",
                                 .options = shutdown_options, .size = sizeof(Shutdown), .run = shut_down };
const VerbSpec verb_reboot = { "reboot", "", 0, 0, VERB_ONE_VM, .help = "start a guest anew", .options = shutdown_options,
                               .size = sizeof(Shutdown), .run = reboot };
const VerbSpec verb_reset = { "reset", "", 0, 0, VERB_ONE_VM, .help = "press the reset button", .options = plain_options,
                              .size = sizeof(Verb), .run = reset };
const VerbSpec verb_destroy = { "destroy", "", 0, 0, VERB_ONE_VM, .help = "end a VM at once; its disks' caches are written",
                                .options = destroy_options, .size = sizeof(Destroy), .run = destroy };
