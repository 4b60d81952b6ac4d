/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * register.c - a VM that has a name puts itself among the user's running VMs, so that the verbs find it
 *
 * Its entry (cli/runtime.h) is made when the machine stands and removed at the end; after a violent end the next one who looks removes it.
 * Where that fails the VM runs all the same, and a warning says why it is not listed.
 *
 * Threads  main loop, machine lock held; the state is written by whoever changes it, same lock
 * Tests    tests/verbs/verbs.py
 */
#include "base/error.h"
#include "base/event.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/domain-text.h"
#include "cli/register.h"
#include "cli/runtime.h"
#include "monitor/control.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOG_MOST = 1 << 20, STATE_BYTES = 64 };

static struct {
    int folder, entry, pid_fd, state_fd, log_fd;
    unsigned id;
    const Machine *machine;
    bool ran;                              /* the next RESUME is no longer the first */
} own = { -1, -1, -1, -1, -1, 0, NULL, false };

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

const char *register_name(const Value *tree)
{
    const char *as = value_get_string(tree, "list-as", NULL), *name = as ? as : value_get_string(tree, "name", NULL);

    return name && *name && (!as || strcmp(as, "none") != 0) ? name : NULL;
}

/* ---- the log ------------------------------------------------------------------------------------------------ */

static char *time_text(void)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();

    return g_date_time_format(now, "%Y-%m-%dT%H:%M:%S.%fZ");
}

static void log_beginning(int fd, char *const *arguments)
{
    g_autoptr(GString) line = g_string_new(NULL);
    g_autofree char *time = time_text();

    g_string_printf(line, "%s starting, process %ld: roost", time, (long)getpid());
    for (; arguments && *arguments; arguments++) {
        g_autofree char *quoted = g_shell_quote(*arguments);
        bool plain = **arguments && strspn(*arguments, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=,./:+%@") == strlen(*arguments);
        g_string_append_printf(line, " %s", plain ? *arguments : quoted);
    }
    g_strdelimit(line->str, "\n\r", ' ');
    g_string_append_c(line, '\n');
    if (write(fd, line->str, line->len) < 0) {
        report_keep(-1);                   /* the disk is full, say */
    }
}

static int open_log(int folder, const char *name)
{
    g_autofree char *file = runtime_log_name(name), *older = g_strconcat(file, ".0", NULL);
    struct stat status;

    mkdirat(folder, "log", 0700);
    if (fstatat(folder, file, &status, AT_SYMLINK_NOFOLLOW) == 0 && status.st_size > LOG_MOST) {
        renameat(folder, file, folder, older);
    }
    return openat(folder, file, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
}

void register_log(const Value *tree, char *const *arguments)
{
    const char *name = register_name(tree);
    g_autoptr(GError) err = NULL;

    if (!name) {
        return;
    }
    own.folder = runtime_open(true, &err);
    if (own.folder < 0) {
        report_warning("'%.200s' will not be listed: %s", name, err->message);
        return;
    }
    own.log_fd = open_log(own.folder, name);
    if (own.log_fd >= 0) {
        log_beginning(own.log_fd, arguments);
        report_keep(own.log_fd);
    }
}

/* ---- the entry ---------------------------------------------------------------------------------------------- */

static bool take_number(int lock, GError **err)
{
    char text[16] = "";
    ssize_t got = pread(lock, text, sizeof text - 1, 0);
    unsigned long last = got > 0 ? strtoul(text, NULL, 10) : 0;

    for (unsigned tries = 0; tries < 10000; tries++) {
        last = last >= INT32_MAX ? 1 : last + 1;
        g_autofree char *name = g_strdup_printf("%lu", last);
        if (mkdirat(own.folder, name, 0700) == 0) {
            own.id = (unsigned)last;
            ssize_t put = pwrite(lock, name, strlen(name) + 1, 0);
            return put > 0 || fail(err, errno, "runtime folder: lock: %s", g_strerror(errno));
        }
        if (errno != EEXIST) {
            return fail(err, errno, "runtime folder: %s: %s", name, g_strerror(errno));
        }
    }
    return fail(err, EEXIST, "runtime folder: no number is free");
}

static bool lock_pid(GError **err)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    g_autofree char *text = g_strdup_printf("%ld\n", (long)getpid());

    own.entry = runtime_entry(own.folder, own.id);
    own.pid_fd = own.entry < 0 ? -1 : openat(own.entry, "pid", O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (own.pid_fd < 0 || fcntl(own.pid_fd, F_OFD_SETLK, &lock) != 0 || write(own.pid_fd, text, strlen(text)) != (ssize_t)strlen(text)) {
        return fail(err, errno, "runtime folder: pid: %s", g_strerror(errno));
    }
    return true;
}

/* Under the lock, so that nobody takes what is half made for a leftover. */
static bool make_entry(GError **err)
{
    int lock = runtime_lock(own.folder, err);
    bool made = lock >= 0 && take_number(lock, err) && lock_pid(err);

    close_fd(&lock);
    return made;
}

/* Cards whose netdev= names a -netdev, in libvirt's words. */
static Value *interfaces_of(const Value *tree)
{
    const Value *devices = value_get(tree, "devices"), *netdevs = value_get(tree, "netdevs");
    Value *cards = value_new_list();

    for (size_t i = 0; i < value_length(devices); i++) {
        const Value *device = value_at(devices, i), *netdev = NULL;
        const char *id = value_get_string(device, "netdev", NULL), *driver = value_get_string(device, "driver", "");
        for (size_t j = 0; id && j < value_length(netdevs) && !netdev; j++) {
            netdev = strcmp(value_get_string(value_at(netdevs, j), "id", ""), id) == 0 ? value_at(netdevs, j) : NULL;
        }
        if (netdev) {
            const char *type = value_get_string(netdev, "type", "-"), *bridge = value_get_string(netdev, "br", NULL);
            Value *card = value_new_object();
            value_set(card, "name", value_new_string(value_get_string(netdev, "ifname", "-")));
            value_set(card, "type", value_new_string(strcmp(type, "tap") == 0 ? (bridge ? "bridge" : "ethernet") : type));
            value_set(card, "source", value_new_string(bridge ? bridge : "-"));
            value_set(card, "model", value_new_string(g_str_has_prefix(driver, "virtio-net") ? "virtio" : driver));
            value_set(card, "mac", value_new_string(value_get_string(device, "mac", "-")));
            value_append(cards, card);
        }
    }
    return cards;
}

/* The file may change while the VM runs; without one the command line tells dumpxml all. */
static void keep_domain(const Value *words)
{
    bool from_file = false;

    for (size_t i = 0; i < value_length(words); i++) {
        from_file |= g_str_has_suffix(value_string(value_at(words, i)), ".xml");
    }
    g_autofree char *text = from_file ? domain_text(words, &from_file, NULL) : NULL;
    if (text && from_file) {
        runtime_write(own.entry, "domain.xml", text, NULL);
    }
}

static bool describe(const Value *tree, char *const *arguments, GError **err)
{
    g_autoptr(Value) about = value_new_object();
    g_autofree char *uuid = value_get(tree, "uuid") ? g_strdup(value_get_string(tree, "uuid", "")) : g_uuid_string_random();
    Value *words = value_new_list();

    value_set(about, "name", value_new_string(register_name(tree)));
    value_set(about, "uuid", value_new_string(uuid));
    value_set(about, "memory", value_new_uint(own.machine->ram_size >> 10));
    value_set(about, "vcpus", value_new_uint(own.machine->cpus->len));
    value_set(about, "board", value_new_string(own.machine->board ? own.machine->board->name : "none"));
    for (; arguments && *arguments; arguments++) {
        value_append(words, value_new_string(*arguments));
    }
    value_set(about, "arguments", words);
    value_set(about, "interfaces", interfaces_of(tree));
    keep_domain(words);
    g_autofree char *text = json_print(about, false);
    return runtime_write(own.entry, "about", text, err);
}

/* ---- the state ---------------------------------------------------------------------------------------------- */

static void write_state(const char *state, const char *reason)
{
    char text[STATE_BYTES];

    memset(text, ' ', sizeof text);
    int length = snprintf(text, sizeof text, "%s;%s;", state, reason);
    text[length] = ' ';
    if (own.state_fd >= 0 && pwrite(own.state_fd, text, STATE_BYTES, 0) < 0) {
        close_fd(&own.state_fd);           /* a full disk; what was said last stays */
    }
}

static void tell_state(const char *event)
{
    bool woke = strcmp(event, "WAKEUP") == 0;

    switch (own.machine->state) {
    case RUN_RUNNING:
        if (strcmp(event, "RESET") != 0) {
            write_state("running", woke ? "event wakeup" : own.ran ? "unpaused" : "booted");
        }
        own.ran = true;
        break;
    case RUN_PRELAUNCH: write_state("paused", "starting up"); break;
    case RUN_PAUSED: write_state("paused", "user"); break;
    case RUN_IO_ERROR: write_state("paused", "I/O error"); break;
    case RUN_WATCHDOG: write_state("paused", "watchdog"); break;
    case RUN_SHUTDOWN: write_state("in shutdown", "user"); break;
    case RUN_GUEST_PANICKED: write_state("crashed", "panicked"); break;
    case RUN_SUSPENDED: write_state("pmsuspended", "unknown"); break;
    case RUN_INMIGRATE: case RUN_POSTMIGRATE: write_state("paused", "migrating"); break;
    case RUN_SAVE_VM: case RUN_RESTORE_VM: write_state("paused", "saving"); break;
    case RUN_INTERNAL_ERROR: write_state("paused", "unknown"); break;
    }
}

static void hear(void *opaque, const char *name, const Value *data)
{
    static const char *const telling[] = { "RESUME", "STOP", "RESET", "SUSPEND", "WAKEUP", "GUEST_PANICKED", "SHUTDOWN", NULL };

    (void)opaque;
    (void)data;
    if (g_strv_contains(telling, name)) {
        tell_state(name);
    }
}

/* ---- what verbs connect to ---------------------------------------------------------------------------------- */

/* COM1's stream, or the first console that a device brings. */
static Chardev *find_console(const Value *tree)
{
    const Value *serials = value_get(tree, "serials"), *devices = value_get(tree, "devices");

    for (size_t i = 0; i < value_length(serials); i++) {
        const char *id = value_string(value_at(serials, i));
        Chardev *stream = id ? chardev_of_device(id) : NULL;
        if (stream) {
            return stream;
        }
    }
    for (size_t i = 0; i < value_length(devices); i++) {
        const Value *device = value_at(devices, i);
        const char *driver = value_get_string(device, "driver", ""), *id = value_get_string(device, "chardev", NULL);
        bool console = strcmp(driver, "isa-serial") == 0 || strcmp(driver, "virtconsole") == 0;
        Chardev *stream = console && id ? chardev_of_device(id) : NULL;
        if (stream) {
            return stream;
        }
    }
    return NULL;
}

static bool open_doors(const Value *tree, GError **err)
{
    Chardev *stream = find_console(tree);
    int qmp = runtime_listen(own.entry, "qmp", err), console = qmp >= 0 && stream ? runtime_listen(own.entry, "console", err) : -1;

    if (qmp < 0 || (stream && console < 0)) {
        close_fd(&qmp);
        return false;
    }
    control_serve(qmp);
    if (stream) {
        console_serve(console, stream);
    }
    return true;
}

static bool enter(const Value *tree, char *const *arguments, GError **err)
{
    if (!make_entry(err)) {
        return false;
    }
    own.state_fd = openat(own.entry, "state", O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    tell_state("");
    event_listen(hear, NULL);
    return describe(tree, arguments, err) && open_doors(tree, err);
}

void register_vm(const Machine *machine, const Value *tree, char *const *arguments)
{
    g_autoptr(GError) err = NULL;

    if (own.folder < 0) {
        return;                            /* no name, or no folder, which was said */
    }
    own.machine = machine;
    if (!enter(tree, arguments, &err)) {
        report_warning("'%.200s' will not be listed: %s", register_name(tree), err->message);
        register_end();
    }
}

void register_end(void)
{
    event_unlisten(hear, NULL);
    control_close();
    console_close();
    if (own.id) {
        runtime_remove_entry(own.folder, own.id);
        own.id = 0;
    }
    close_fd(&own.entry);
    close_fd(&own.state_fd);
    close_fd(&own.pid_fd);                 /* and with it the lock */
    close_fd(&own.folder);
}

void register_log_end(int status)
{
    report_keep(-1);
    if (own.log_fd >= 0) {
        g_autofree char *time = time_text();
        dprintf(own.log_fd, "%s ended with status %d\n", time, status);
    }
    close_fd(&own.log_fd);
}
