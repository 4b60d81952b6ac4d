/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd-dump.c - dump-guest-memory: the guest stands while a worker writes; one dump at a time
 *
 * Threads  main loop, machine lock held; the file is written by a worker
 * Tests    tests/qmp/dump.py
 */
#include "base/coroutine.h"
#include "base/error.h"
#include "base/event.h"
#include "base/io-loop.h"
#include "base/open.h"
#include "monitor/commands.h"
#include "monitor/dump.h"
#include "monitor/session.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

typedef enum { DUMP_NONE, DUMP_ACTIVE, DUMP_COMPLETED, DUMP_FAILED } DumpStatus;
static struct {
    DumpStatus status;
    Dump *dump;                            /* while it is active */
    uint64_t completed, total;             /* of the last one */
    int fd;
    bool resumes;
    GError *error;
} current;

bool dump_is_active(void)
{
    return current.status == DUMP_ACTIVE;
}

static Value *describe(void)
{
    static const char *const names[] = { "none", "active", "completed", "failed" };
    Value *result = value_new_object();

    value_set(result, "status", value_new_string(names[current.status]));
    value_set(result, "completed", value_new_uint(current.dump ? dump_completed(current.dump) : current.completed));
    value_set(result, "total", value_new_uint(current.dump ? dump_total(current.dump) : current.total));
    return result;
}

static void tell_end(void)
{
    Value *data = value_new_object();

    value_set(data, "result", describe());
    if (current.error) {
        value_set(data, "error", value_new_string(current.error->message));
    }
    event_emit("DUMP_COMPLETED", data);
}

static int write_it(void *opaque)
{
    int failed = dump_write(opaque, current.fd);

    return close(current.fd) != 0 && !failed ? -errno : failed;
}

static void run_dump(void *opaque)
{
    int failed = co_work(write_it, current.dump);

    (void)opaque;
    g_clear_error(&current.error);
    if (failed) {
        fail(&current.error, -failed, "dump: failed to save memory: %s", g_strerror(-failed));
    }
    current.completed = dump_completed(current.dump);
    current.total = dump_total(current.dump);
    current.status = failed ? DUMP_FAILED : DUMP_COMPLETED;
    dump_free(g_steal_pointer(&current.dump));
    tell_end();
    if (current.resumes) {
        machine_start(qmp_machine());
    }
}

static bool check_args(const Value *args, GError **err)
{
    const char *format = value_get_string(args, "format", "elf");
    bool kdump = g_str_has_prefix(format, "kdump-"), begin = value_get(args, "begin") != NULL, length = value_get(args, "length") != NULL;

    if (kdump && (value_get_bool(args, "paging", false) || begin || length)) {
        return fail(err, EINVAL, "kdump-compressed format doesn't support paging or filter");
    }
    if (begin != length) {
        return fail(err, EINVAL, "Parameter '%s' is missing", begin ? "length" : "begin");
    }
    if (strcmp(format, "elf") != 0) {
        return fail(err, ENOTSUP, "%s is not available now", format);
    }
    if (begin && (value_get_int(args, "length", 0) <= 0 || value_get_int(args, "begin", 0) < 0)) {
        return fail(err, EINVAL, "Invalid parameter '%s'", value_get_int(args, "length", 0) <= 0 ? "length" : "begin");
    }
    return true;
}

static int open_target(Session *session, const char *protocol, GError **err)
{
    if (g_str_has_prefix(protocol, "fd:")) {
        int fd = session_take_fd(session, protocol + 3);
        if (fd < 0) {
            qmp_fail(err, QMP_GENERIC_ERROR, "File descriptor named '%s' has not been found", protocol + 3);
        }
        return fd;
    }
    if (!g_str_has_prefix(protocol, "file:")) {
        qmp_fail(err, QMP_GENERIC_ERROR, "Invalid parameter 'protocol'");
        return -1;
    }
    return host_open("dump", protocol + 5, O_WRONLY | O_CREAT | O_TRUNC, 0600, err);
}

/* The machine stands from here to the end of the dump. */
static bool begin_dump(const Value *args, GError **err)
{
    Machine *machine = qmp_machine();
    const DumpFilter filter = { .paging = value_get_bool(args, "paging", false), .limited = value_get(args, "begin") != NULL,
                                .begin = value_get_uint(args, "begin", 0), .length = value_get_uint(args, "length", 0) };

    current.resumes = machine->state == RUN_RUNNING;
    if (current.resumes) {
        machine_stop(machine, RUN_SAVE_VM);
    }
    current.dump = dump_new(machine, &filter, err);
    if (!current.dump) {
        current.completed = current.total = 0;
        current.status = DUMP_FAILED;
        if (current.resumes) {
            machine_start(machine);
        }
    }
    return current.dump != NULL;
}

QMP_HANDLER(dump_guest_memory)
{
    if (dump_is_active()) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "There is a dump in process, please wait.");
    }
    current.status = DUMP_ACTIVE;          /* the machine's stop may let another session in */
    current.fd = check_args(args, err) ? open_target(session, value_get_string(args, "protocol", ""), err) : -1;
    if (current.fd < 0) {
        current.status = DUMP_FAILED;
        return NULL;
    }
    if (!begin_dump(args, err)) {
        close(current.fd);
        return NULL;
    }
    Coroutine *apart = value_get_bool(args, "detach", false) ? coroutine_new(run_dump, NULL) : NULL;
    if (apart) {
        coroutine_ready(apart);
        return qmp_done();
    }
    run_dump(NULL);
    if (current.error) {
        g_propagate_error(err, g_error_copy(current.error));
        return NULL;
    }
    return qmp_done();
}

QMP_HANDLER(query_dump)
{
    return describe();
}

QMP_HANDLER(query_dump_guest_memory_capability)
{
    Value *reply = value_new_object(), *formats = value_new_list();

    value_append(formats, value_new_string("elf"));
    value_set(reply, "formats", formats);
    return reply;
}

const QmpType dump_types[] = {
    { "DumpGuestMemoryFormat", "enum elf kdump-zlib kdump-lzo kdump-snappy win-dmp" },
    { "DumpStatus", "enum none active completed failed" },
    { "DumpQueryResult", "struct status:DumpStatus completed:int total:int" },
    { "DumpGuestMemoryCapability", "struct formats:[DumpGuestMemoryFormat]" },
    { .name = NULL } };

const QmpCommand dump_commands[] = {
    { "dump-guest-memory", dump_guest_memory, .args = "paging:bool protocol:str ?detach:bool ?begin:int ?length:int ?format:DumpGuestMemoryFormat", .waits = true,
      .help = "memory and registers into an ELF core file; protocol: file:PATH or fd:NAME; paging: with the mappings of the guest's page tables" },
    { "query-dump", query_dump, .returns = "DumpQueryResult", .help = "how far the dump is" },
    { "query-dump-guest-memory-capability", query_dump_guest_memory_capability, .returns = "DumpGuestMemoryCapability", .help = "the formats of dumps" },
    { .name = NULL } };
