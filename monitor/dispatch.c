/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dispatch.c - the one list of QMP's commands and types, and how a command is found and called
 *
 * Threads  main loop, machine lock held
 * Tests    tests/qmp
 */
#include "base/error.h"
#include "base/io-loop.h"
#include "monitor/block.h"
#include "monitor/commands.h"
#include <errno.h>
#include <stdarg.h>
#include <string.h>

const QmpCommand *const qmp_command_tables[] = {
    core_commands, fd_commands, run_commands, machine_commands, cpu_commands, pci_commands, memory_commands, hmp_qmp_commands, block_commands,
    media_commands, blockdev_commands, job_commands, device_commands, qom_commands, chardev_commands, input_commands, net_commands, vnc_commands,
    dump_commands, yank_commands, NULL };
const char *(*const qmp_made_types[])(const char *name) = { block_made_type, object_made_type, input_made_type, NULL };
const QmpType *const qmp_type_tables[] = { core_types, fd_types, run_types, machine_types, cpu_types, pci_types, event_types, block_types,
    media_types, blockdev_types, job_types, device_types, qom_types, chardev_types, input_types, net_types, vnc_types, dump_types, yank_types, NULL };

static GHashTable *commands;               /* by name */
static struct { Machine *machine; const Value *tree; } controlled;

G_DEFINE_QUARK(qmp-error-quark, qmp_error)

Value *qmp_fail(GError **err, QmpClass class, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        g_propagate_error(err, g_error_new_valist(QMP_ERROR, (int)class, format, args));
        va_end(args);
    }
    return NULL;
}

const char *qmp_class_name(const GError *err)
{
    static const char *const names[] = { "GenericError", "CommandNotFound", "DeviceNotActive", "DeviceNotFound", "KVMMissingCap" };

    return err && err->domain == QMP_ERROR && (unsigned)err->code < G_N_ELEMENTS(names) ? names[err->code] : names[0];
}

void qmp_control(Machine *machine, const Value *tree)
{
    controlled.machine = machine;
    controlled.tree = tree;
}

Machine *qmp_machine(void)
{
    return controlled.machine;
}

const Value *qmp_tree(void)
{
    return controlled.tree;
}

Value *qmp_done(void)
{
    return value_new_object();
}

const QmpCommand *qmp_command_find(const char *name)
{
    if (!commands) {
        commands = g_hash_table_new(g_str_hash, g_str_equal);
        for (const QmpCommand *const *table = qmp_command_tables; *table; table++) {
            for (const QmpCommand *command = *table; command->name; command++) {
                g_hash_table_insert(commands, (void *)command->name, (void *)command);
            }
        }
    }
    return g_hash_table_lookup(commands, name);
}

Value *qmp_call(Session *session, const QmpCommand *command, const Value *args, GError **err)
{
    g_autoptr(Value) none = args ? NULL : value_new_object();

    args = args ? args : none;
    return qmp_check_args(command, args, err) ? command->run(session, args, err) : NULL;
}

typedef struct Call {
    Session *session;
    const QmpCommand *command;
    const Value *args;
    Value *result;
    GError **err;
} Call;

static int call_inside(void *opaque)
{
    Call *call = opaque;

    call->result = qmp_call(call->session, call->command, call->args, call->err);
    return 0;
}

Value *qmp_call_and_wait(Session *session, const QmpCommand *command, const Value *args, GError **err)
{
    Call call = { session, command, args, NULL, err };

    if (!command->waits) {
        return qmp_call(session, command, args, err);
    }
    if (io_loop_run(io_loop_main(), call_inside, &call) == -ENOMEM && !call.result && err && !*err) {
        fail(err, ENOMEM, "%s: no memory for it to run in", command->name);
    }
    return call.result;
}
