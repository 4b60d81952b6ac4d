/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd-machine.c - what the machine is: name, boards, memory, threads, streams, input, and what it does not have yet
 *
 * Threads  main loop, machine lock held
 * Tests    tests/qmp/machine.py
 */
#include "base/char/chardev.h"
#include "hw/virtio/iothread.h"
#include "monitor/commands.h"
#include <string.h>

static Value *(*command_line_options)(void);

void qmp_set_options(Value *(*list)(void))
{
    command_line_options = list;
}

QMP_HANDLER(query_name)
{
    const Value *name = value_get(qmp_tree(), "name");
    Value *info = value_new_object();

    if (value_string(name)) {
        value_set(info, "name", value_new_string(value_string(name)));
    }
    return info;
}

QMP_HANDLER(query_uuid)
{
    Value *info = value_new_object();

    value_set(info, "UUID", value_new_string(value_get_string(qmp_tree(), "uuid", "00000000-0000-0000-0000-000000000000")));
    return info;
}

QMP_HANDLER(query_kvm)
{
    const Accel *accel = qmp_machine()->accel;
    Value *info = value_new_object();

    value_set(info, "enabled", value_new_bool(accel && strcmp(accel_name(accel), "kvm") == 0));
    value_set(info, "present", value_new_bool(true));
    return info;
}

/* QEMU's name, text and all: an experimental command whose text is for people. */
QMP_HANDLER(query_jit)
{
    g_autoptr(GString) text = g_string_new(NULL);
    const Machine *machine = qmp_machine();
    Value *info;

    for (guint i = 0; i < machine->cpus->len; i++) {
        g_autofree char *line = cpu_translator(g_ptr_array_index(machine->cpus, i));

        if (line) {
            g_string_append_printf(text, "CPU %u: %s\n", i, line);
        }
    }
    if (!text->len) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "JIT information is only available with accel=tcg");
    }
    info = value_new_object();
    value_set(info, "human-readable-text", value_new_string(text->str));
    return info;
}

QMP_HANDLER(query_target)
{
    Value *info = value_new_object();

    value_set(info, "arch", value_new_string("x86_64"));
    return info;
}

static Value *describe_board(const BoardModel *board, const char *cpu_type)
{
    Value *info = value_new_object();
    bool empty = strcmp(board->name, "none") == 0;

    value_set(info, "name", value_new_string(board->name));
    if (board->alias) {
        value_set(info, "alias", value_new_string(board->alias));
    }
    if (board->alias && strcmp(board->alias, "pc") == 0) {
        value_set(info, "is-default", value_new_bool(true));
    }
    value_set(info, "cpu-max", value_new_int(board->max_cpus));
    value_set(info, "hotpluggable-cpus", value_new_bool(false));
    value_set(info, "numa-mem-supported", value_new_bool(false));
    value_set(info, "deprecated", value_new_bool(board->deprecated != NULL));
    if (!empty) {
        value_set(info, "default-cpu-type", value_new_string(cpu_type));
    }
    return info;
}

QMP_HANDLER(query_machines)
{
    const Accel *accel = qmp_machine()->accel;
    const char *cpu_type = accel && strcmp(accel_name(accel), "kvm") == 0 ? "qemu64-x86_64-cpu" : "max-x86_64-cpu";
    Value *list = value_new_list();

    for (const BoardModel *const *board = board_models; *board; board++) {
        value_append(list, describe_board(*board, cpu_type));
    }
    return list;
}

QMP_HANDLER(query_memory_size_summary)
{
    Value *info = value_new_object();

    value_set(info, "base-memory", value_new_uint(qmp_machine()->ram_size));
    value_set(info, "plugged-memory", value_new_int(0));
    return info;
}

/* For what exists in the protocol and not in this machine. */
QMP_HANDLER(nothing_yet)
{
    return value_new_list();
}

QMP_HANDLER(query_iothreads)
{
    Value *list = value_new_list();

    for (size_t i = 0; iothread_at(i); i++) {
        value_append(list, iothread_describe(iothread_at(i)));
    }
    return list;
}

QMP_HANDLER(query_chardev)
{
    const Object *home = object_container("/chardevs");
    Value *list = value_new_list();

    for (guint i = 0; home->children && i < home->children->len; i++) {
        Chardev *chardev = home->children->pdata[i];
        g_autofree char *filename = chardev_describe(chardev);
        Value *info = value_new_object();
        value_set(info, "frontend-open", value_new_bool(chardev_in_use(chardev) && !chardev_user_away(chardev)));
        value_set(info, "filename", value_new_string(filename));
        value_set(info, "label", value_new_string(((Object *)chardev)->name));
        value_append(list, info);
    }
    return list;
}

QMP_HANDLER(query_chardev_backends)
{
    Value *list = value_new_list();

    for (const char *const *name = chardev_backends; *name; name++) {
        Value *info = value_new_object();
        value_set(info, "name", value_new_string(*name));
        value_append(list, info);
    }
    return list;
}

QMP_HANDLER(query_mice)
{
    const DeviceModel *model = device_model_find("i8042");
    Value *list = value_new_list();

    if (model && machine_find_model(qmp_machine(), model)) {
        Value *mouse = value_new_object();
        value_set(mouse, "name", value_new_string("QEMU PS/2 Mouse"));
        value_set(mouse, "index", value_new_int(0));
        value_set(mouse, "current", value_new_bool(true));
        value_set(mouse, "absolute", value_new_bool(false));
        value_append(list, mouse);
    }
    return list;
}

QMP_HANDLER(query_command_line_options)
{
    const char *wanted = value_get_string(args, "option", NULL);
    g_autoptr(Value) all = command_line_options ? command_line_options() : value_new_list();

    if (!wanted) {
        return g_steal_pointer(&all);
    }
    for (size_t i = 0; i < value_length(all); i++) {
        if (strcmp(value_get_string(value_at(all, i), "option", ""), wanted) == 0) {
            Value *list = value_new_list();
            value_append(list, value_ref(value_at(all, i)));
            return list;
        }
    }
    return qmp_fail(err, QMP_GENERIC_ERROR, "Invalid parameter 'option'");
}

const QmpType machine_types[] = {
    { "NameInfo", "struct ?name:str" },
    { "UuidInfo", "struct UUID:str" },
    { "HumanReadableText", "struct human-readable-text:str" },
    { "KvmInfo", "struct enabled:bool present:bool" },
    { "SysEmuTarget", "enum i386 x86_64" },
    { "TargetInfo", "struct arch:SysEmuTarget" },
    { "MachineInfo", "struct name:str ?alias:str ?is-default:bool cpu-max:int hotpluggable-cpus:bool numa-mem-supported:bool deprecated:bool "
      "?default-cpu-type:str ?default-ram-id:str" },
    { "MemoryInfo", "struct base-memory:int ?plugged-memory:int" },
    { "MemoryDeviceInfoKind", "enum dimm nvdimm virtio-pmem virtio-mem" },
    { "MemoryDeviceInfo", "struct type:MemoryDeviceInfoKind data:any" },
    { "IOThreadInfo", "struct id:str thread-id:int poll-max-ns:int poll-grow:int poll-shrink:int aio-max-batch:int" },
    { "ChardevInfo", "struct label:str filename:str frontend-open:bool" },
    { "ChardevBackendInfo", "struct name:str" },
    { "MouseInfo", "struct name:str index:int current:bool absolute:bool" },
    { "TpmModel", "enum tpm-tis tpm-crb tpm-spapr" },
    { "TpmType", "enum passthrough emulator" },
    { "MigrationCapability", "enum events" },
    { "MigrationCapabilityStatus", "struct capability:MigrationCapability state:bool" },
    { "StatsProvider", "enum kvm" },
    { "StatsTarget", "enum vm vcpu" },
    { "StatsRequest", "struct provider:StatsProvider ?names:[str]" },
    { "StatsVCPUFilter", "struct ?vcpus:[str]" },
    { "StatsFilter", "union target:StatsTarget ?providers:[StatsRequest] ; target ; vcpu:StatsVCPUFilter" },
    { "StatsValue", "alternate scalar:uint boolean:bool list:[uint]" },
    { "Stats", "struct name:str value:StatsValue" },
    { "StatsResult", "struct provider:StatsProvider ?qom-path:str stats:[Stats]" },
    { "StatsType", "enum cumulative instant peak linear-histogram log2-histogram" },
    { "StatsUnit", "enum bytes seconds cycles boolean" },
    { "StatsSchemaValue", "struct name:str type:StatsType ?unit:StatsUnit ?base:int exponent:int ?bucket-size:int" },
    { "StatsSchema", "struct provider:StatsProvider target:StatsTarget stats:[StatsSchemaValue]" },
    { "CommandLineParameterType", "enum string boolean number size" },
    { "CommandLineParameterInfo", "struct name:str type:CommandLineParameterType ?help:str ?default:str" },
    { "CommandLineOptionInfo", "struct option:str parameters:[CommandLineParameterInfo]" },
    { .name = NULL } };

const QmpCommand machine_commands[] = {
    { "query-name", query_name, .returns = "NameInfo", .help = "the guest's name" },
    { "query-uuid", query_uuid, .returns = "UuidInfo", .help = "the guest's UUID" },
    { "query-kvm", query_kvm, .returns = "KvmInfo", .help = "whether KVM runs the guest" },
    { "x-query-jit", query_jit, .returns = "HumanReadableText", .help = "what the translator of the software CPU did; for people, may change" },
    { "query-target", query_target, .returns = "TargetInfo", .help = "the guest's architecture" },
    { "query-machines", query_machines, .returns = "[MachineInfo]", .help = "the boards that -machine takes" },
    { "query-memory-size-summary", query_memory_size_summary, .returns = "MemoryInfo", .help = "how much memory the guest has" },
    { "query-memory-devices", nothing_yet, .returns = "[MemoryDeviceInfo]", .help = "memory devices; there are none yet" },
    { "query-iothreads", query_iothreads, .returns = "[IOThreadInfo]", .help = "the iothread objects" },
    { "query-chardev", query_chardev, .returns = "[ChardevInfo]", .help = "the character streams" },
    { "query-chardev-backends", query_chardev_backends, .returns = "[ChardevBackendInfo]", .help = "the kinds of character stream" },
    { "query-mice", query_mice, .returns = "[MouseInfo]", .help = "the pointing devices" },
    { "query-tpm-models", nothing_yet, .returns = "[TpmModel]", .help = "TPM devices; there are none yet" },
    { "query-tpm-types", nothing_yet, .returns = "[TpmType]", .help = "TPM backends; there are none yet" },
    { "query-migrate-capabilities", nothing_yet, .returns = "[MigrationCapabilityStatus]", .help = "options of migration; there is none yet" },
    { "query-stats", nothing_yet, .args = "StatsFilter", .returns = "[StatsResult]", .help = "statistics of KVM's; none are collected" },
    { "query-stats-schemas", nothing_yet, .args = "?provider:StatsProvider", .returns = "[StatsSchema]", .help = "what query-stats can tell" },
    { "query-command-line-options", query_command_line_options, .args = "?option:str", .returns = "[CommandLineOptionInfo]",
      .help = "options of the command line that have keys, and these keys" },
    { .name = NULL } };
