/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * run.c - a run in its stages, from the configuration to the exit status
 *
 * Tests    tests/cli/process.py, tests/guest
 */
#include "cli/run.h"
#include "cli/register.h"
#include "accel/memory/ram.h"
#include "base/char/chardev.h"
#include "base/epoch.h"
#include "base/io-loop.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/timer.h"
#include "block/drive.h"
#include "hw/objects.h"
#include "hw/core/exit-status.h"
#include "hw/machine/firmware.h"
#include "monitor/qtest.h"
#include "monitor/session.h"
#include "net/netdev.h"
#include "ui/vnc/vnc.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

enum { SENTENCE_MOST = 1500 };

typedef struct Run {
    const Value *tree;
    Config *config;
    Machine *machine;
    Qtest *qtest;
    Timer timeout;
} Run;

void complain(const GError *err)
{
    report_error("%.*s", SENTENCE_MOST, err ? err->message : "it failed, and nothing said why");
}

/* Messages, log, name: how the process shows itself. */
static bool prepare_process(Run *run, GError **err)
{
    const Value *msg = value_get(run->tree, "msg"), *trace = value_get(run->tree, "trace"), *paths = value_get(run->tree, "firmware-path");
    const char *log_file = value_get_string(run->tree, "log-file", NULL);
    const char *process = value_get_string(value_get(run->tree, "run"), "process", NULL);

    report_style(value_get_bool(msg, "timestamp", false),
                 value_get_bool(msg, "guest-name", false) ? value_get_string(run->tree, "name", NULL) : NULL);
    for (size_t i = 0; i < value_length(trace); i++) {
        log_file = value_get_string(value_at(trace, i), "file", log_file);
    }
    for (size_t i = 0; i < value_length(paths); i++) {
        firmware_add_folder(value_string(value_at(paths, i)));
    }
    if (process) {
        prctl(PR_SET_NAME, process);
    }
    if (value_get_bool(value_get(run->tree, "run-with"), "exit-with-parent", false) && !parent_remember(err)) {
        return false;
    }
    return !log_file || log_set_file(log_file, err);
}

/* What a daemon lacks cannot be a stream. */
static bool go_to_background(Run *run, GError **err)
{
    const Value *chardevs = value_get(run->tree, "chardevs");

    if (!value_get_bool(run->tree, "daemonize", false)) {
        return true;
    }
    for (size_t i = 0; i < value_length(chardevs); i++) {
        const Value *chardev = value_at(chardevs, i);
        if (strcmp(value_get_string(chardev, "backend", ""), "stdio") == 0) {
            return fail(err, EINVAL, "-daemonize: '%s' is on standard input and output, which a process in the background has not; "
                        "use -display none instead of -nographic, and -serial file:PATH, say", value_get_string(chardev, "id", ""));
        }
    }
    return daemonize_fork(err);
}

static bool write_pidfile(Run *run, GError **err)
{
    const char *path = value_get_string(run->tree, "pidfile", NULL);

    return !path || pidfile_write(path, err);
}

static bool begin_log(Run *run, GError **err)
{
    (void)err;
    register_log(run->tree, run->config->arguments);
    return true;
}

static bool begin_loop(Run *run, GError **err)
{
    (void)run;
    (void)err;
    epoch_enter();                         /* its registration with the kernel is cheap while there is one thread */
    epoch_leave();
    loop_init();
    clocks_attach();
    io_loop_attach_main();
    return true;
}

static bool open_chardevs(Run *run, GError **err)
{
    const Value *list = value_get(run->tree, "chardevs");

    for (size_t i = 0; i < value_length(list); i++) {
        const Value *config = value_at(list, i);
        Chardev *chardev = chardev_new(config, err);
        if (!chardev) {
            if (value_origin(config)) {
                g_prefix_error(err, "%s: ", value_origin(config));
            }
            return false;
        }
    }
    signals_block();                       /* from here on the main loop hears them; a wait for a peer could be broken off */
    return true;
}

/* The first processor's record is enough; the whole file takes the kernel long to write on a large host. */
static bool processor_has_virtualization(void)
{
    char line[8192];
    bool found = false;
    FILE *file = fopen("/proc/cpuinfo", "re");

    while (file && !found && fgets(line, sizeof line, file)) {
        if (g_str_has_prefix(line, "flags")) {
            g_auto(GStrv) words = g_strsplit(g_strchomp(line), " ", -1);
            found = g_strv_contains((const char *const *)words, "vmx") || g_strv_contains((const char *const *)words, "svm");
            break;
        }
    }
    if (file) {
        fclose(file);
    }
    return found;
}

/* Nobody chose: say in one line what runs the guest, and why not something faster. */
static bool choose_accel(Run *run, GError **err)
{
    g_autofree char *why = NULL;
    bool empty_machine = strcmp(value_get_string(value_get(run->tree, "machine"), "type", "pc"), "none") == 0;

    (void)err;
    if (value_length(value_get(run->tree, "accel"))) {
        return true;
    }
    bool virtualization = processor_has_virtualization();
    bool kvm = virtualization && accel_usable("kvm", &why);
    Value *item = value_new_object(), *machine = value_get(run->tree, "machine"), *irqchip = value_get(machine, "kernel-irqchip");
    value_set(item, "name", value_new_string(kvm ? "kvm" : "tcg"));
    if (irqchip) {
        if (kvm) {
            value_set(item, "kernel-irqchip", value_ref(irqchip));
        }
        value_remove(machine, "kernel-irqchip");
    }
    value_append(config_list(run->config, "accel"), item);
    if (!empty_machine) {
        report_info(kvm ? "KVM runs the guest%s%s" : "the software CPU runs the guest: %s%s", kvm ? "" : why ? why :
                    "the processor has neither vmx nor svm", kvm ? "" : "; -accel kvm or -accel tcg chooses");
    }
    return true;
}

/* A guest whose output goes nowhere looks as if it hung. */
static bool mention_silence(Run *run, GError **err)
{
    (void)err;
    if (!run->config->nographic && !run->config->display_given && !run->config->serial_given && !value_get(run->tree, "devices") &&
        !value_get_bool(run->tree, "nodefaults", false) && !value_get(run->tree, "qtest") && !value_get(run->tree, "debugcon")) {
        report_info("nothing shows what the guest says: %s", register_name(run->tree) ?
                    "'roost console' with its name does" : "-nographic brings its serial console here, -vnc :0 shows its screen");
    }
    return true;
}

static bool lock_memory(Run *run, GError **err)
{
    if (value_get_bool(value_get(run->tree, "overcommit"), "mem-lock", false) && mlockall(MCL_CURRENT | MCL_FUTURE) != 0) {
        return fail(err, errno, "-overcommit mem-lock=on: %s; raise the limit (ulimit -l)", g_strerror(errno));
    }
    return true;
}

static bool open_monitors(Run *run, GError **err)
{
    return monitors_open(value_get(run->tree, "monitors"), err);
}

/* A default for a model that is not here changes nothing: said once each, since it may be a typing mistake. */
static void mention_idle_globals(const Value *tree)
{
    const Value *globals = value_get(tree, "globals");

    for (size_t i = 0; i < value_length(globals); i++) {
        const Value *global = value_at(globals, i);
        const char *driver = value_get_string(global, "driver", "");
        if (!device_model_find(driver)) {
            report_warning("-global %s.%s: there is no device model '%s', so this changes nothing", driver,
                           value_get_string(global, "property", ""), driver);
        }
    }
}

/* mem-merge lets the host share equal pages; a core dump leaves the guest's memory out where that was asked for. */
static void advise_memory(void *opaque, RamBlock *ram)
{
    const Value *machine = value_get(opaque, "machine");

    if (value_get_flag(machine, "mem-merge", false)) {
        madvise(ram->host, ram->size, MADV_MERGEABLE);
    }
    if (!value_get_flag(machine, "dump-guest-core", true)) {
        madvise(ram->host, ram->size, MADV_DONTDUMP);
    }
}

static bool make_backends(Run *run, GError **err)
{
    return objects_add(value_get(run->tree, "objects"), err) && drives_open(run->tree, err);
}

static bool open_networks(Run *run, GError **err)
{
    const Value *list = value_get(run->tree, "netdevs");

    for (size_t i = 0; i < value_length(list); i++) {
        const Value *config = value_at(list, i);
        if (!netdev_new(config, err)) {
            if (value_origin(config)) {
                g_prefix_error(err, "%s: ", value_origin(config));
            }
            return false;
        }
    }
    return true;
}

static bool open_screens(Run *run, GError **err)
{
#ifdef HAVE_VNC
    const Value *list = value_get(run->tree, "vncs");

    for (size_t i = 0; i < value_length(list); i++) {
        if (!vnc_start(value_at(list, i), err)) {
            if (value_origin(value_at(list, i))) {
                g_prefix_error(err, "%s: ", value_origin(value_at(list, i)));
            }
            return false;
        }
    }
#endif
    return true;
}

static bool build_machine(Run *run, GError **err)
{
    run->machine = machine_build(run->tree, err);
    if (run->machine) {
        monitors_control(run->machine, run->tree, options_describe);
        mention_idle_globals(run->tree);
        ram_for_each(advise_memory, run->config->tree);
    }
    return run->machine != NULL;
}

static void quit_key(void *opaque)
{
    machine_request_shutdown(opaque, CAUSE_HOST_UI);
}

static bool speaks_qmp(const Run *run, const char *id)
{
    const Value *monitors = value_get(run->tree, "monitors");

    for (size_t i = 0; i < value_length(monitors); i++) {
        const Value *monitor = value_at(monitors, i);
        if (strcmp(value_get_string(monitor, "chardev", ""), id) == 0 && strcmp(value_get_string(monitor, "mode", ""), "control") == 0) {
            return true;
        }
    }
    return false;
}

/* Of the first stream that a guest wrote to: COM1's, as a rule. */
static char *last_console_line(const Run *run)
{
    const char *test_session = value_get_string(run->tree, "qtest", "");
    const Object *home = object_container("/chardevs");

    for (guint i = 0; home->children && i < home->children->len; i++) {
        const Chardev *chardev = home->children->pdata[i];
        g_autofree char *line = chardev_last_line(chardev);
        if (*line && strcmp(chardev_id(chardev), test_session) != 0 && !speaks_qmp(run, chardev_id(chardev))) {
            return g_steal_pointer(&line);
        }
    }
    return g_strdup("");
}

static void time_is_up(void *opaque)
{
    Run *run = opaque;
    g_autofree char *line = last_console_line(run);
    double seconds = 0;

    value_to_double(value_get(run->tree, "timeout"), &seconds);
    report_error("the guest still runs after %g s (-run-timeout)%s%s", seconds, *line ? "; its last console line: " : "", line);
    machine_request_exit(run->machine, EXIT_STATUS_TIMEOUT);
}

static bool listen_to_people(Run *run, GError **err)
{
    double seconds = 0;

    chardev_on_quit(quit_key, run->machine);
    if (value_to_double(value_get(run->tree, "timeout"), &seconds)) {
        timer_arm(&run->timeout, clock_now(CLOCK_STEADY) + (int64_t)(seconds * (double)NS_PER_SECOND));
    }
    return signals_to_loop(run->machine, err);
}

static bool be_listed(Run *run, GError **err)
{
    (void)err;
    register_vm(run->machine, run->tree, run->config->arguments);
    return true;
}

static bool open_test_session(Run *run, GError **err)
{
    const char *id = value_get_string(run->tree, "qtest", NULL);
    Chardev *chardev = id ? chardev_find(id) : NULL;

    if (chardev) {
        run->qtest = qtest_start(run->machine, chardev, value_get_string(run->tree, "qtest-log", NULL), err);
    }
    return !chardev || run->qtest;
}

static bool give_up_privileges(Run *run, GError **err)
{
    return runas_become(value_get(run->tree, "runas"), err) && sandbox_enter(value_get(run->tree, "sandbox"), err);
}

static bool tell_parent(Run *run, GError **err)
{
    return !value_get_bool(run->tree, "daemonize", false) || daemonize_done(err);
}

static bool start(Run *run, GError **err)
{
    (void)err;
    if (!value_get_bool(value_get(run->tree, "run"), "paused", false)) {
        machine_start(run->machine);
    }
    return true;
}

/* What must go right before the loop runs, in order. */
static bool (*const stages[])(Run *run, GError **err) = {
    prepare_process, go_to_background, write_pidfile, begin_log, begin_loop, open_chardevs, mention_silence, choose_accel, lock_memory, open_monitors,
    make_backends, open_networks, build_machine, open_screens, listen_to_people, be_listed, open_test_session, give_up_privileges, start, tell_parent,
};

static void clean_up(Run *run)
{
    timer_cancel(&run->timeout);
    qtest_stop(run->qtest);
    register_end();
    monitors_close();
#ifdef HAVE_VNC
    vnc_stop_all();
#endif
    if (run->machine) {
        machine_free(run->machine);
    }
    blk_close_all();
    netdev_remove_all();
    objects_remove_all();
    chardev_remove_all();
    pidfile_remove();
}

int run(Config *config)
{
    Run this = { .tree = config->tree, .config = config };

    timer_init(&this.timeout, CLOCK_STEADY, time_is_up, &this);
    g_autoptr(GError) err = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(stages); i++) {
        if (!stages[i](&this, &err)) {
            complain(err);
            clean_up(&this);
            register_log_end(EXIT_STATUS_USAGE);
            return EXIT_STATUS_USAGE;
        }
    }
    loop_run();
    int status = this.machine->exit_status;
    clean_up(&this);
    register_log_end(status);
    return status;
}
