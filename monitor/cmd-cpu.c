/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd-cpu.c - the processors that are there, could be there, and the models that -cpu takes
 *
 * A model is told by its CPUID features; those of the accelerator's own making (x2apic, hypervisor, ...) are among them.
 *
 * Threads  main loop, machine lock held
 * Tests    tests/qmp/machine.py
 */
#include "accel/x86/cpuid.h"
#include "monitor/commands.h"
#include <errno.h>
#include <string.h>

#define CPU_TYPE_SUFFIX "-x86_64-cpu"

static const char *default_model(void)
{
    const Accel *accel = qmp_machine()->accel;

    return accel && strcmp(accel_name(accel), "kvm") == 0 ? "qemu64" : "max";
}

static char *running_type(void)
{
    const char *model = value_get_string(value_get(qmp_tree(), "cpu"), "model", default_model());

    return g_strconcat(model, CPU_TYPE_SUFFIX, NULL);
}

/* Where processor number i sits: threads count fastest, sockets slowest. */
static Value *place_of(const CpuidTopology *topology, unsigned i)
{
    Value *props = value_new_object();
    unsigned core = i / topology->threads, die = core / topology->cores;

    value_set(props, "socket-id", value_new_int(die / topology->dies));
    if (topology->dies > 1) {
        value_set(props, "die-id", value_new_int(die % topology->dies));
    }
    value_set(props, "core-id", value_new_int(core % topology->cores));
    value_set(props, "thread-id", value_new_int(i % topology->threads));
    return props;
}

static bool topology_of_machine(CpuidTopology *topology)
{
    return cpuid_topology(topology, value_get(qmp_tree(), "smp"), NULL) && topology->threads && topology->cores && topology->dies;
}

QMP_HANDLER(query_cpus_fast)
{
    const Machine *machine = qmp_machine();
    Value *list = value_new_list();
    CpuidTopology topology;
    bool placed = topology_of_machine(&topology);

    for (guint i = 0; i < machine->cpus->len; i++) {
        Cpu *cpu = machine->cpus->pdata[i];
        g_autofree char *path = object_path(cpu_object(cpu));
        Value *info = value_new_object();
        value_set(info, "thread-id", value_new_int(cpu_thread_id(cpu)));
        if (placed) {
            value_set(info, "props", place_of(&topology, cpu_index(cpu)));
        }
        value_set(info, "qom-path", value_new_string(path));
        value_set(info, "cpu-index", value_new_int(cpu_index(cpu)));
        value_set(info, "target", value_new_string("x86_64"));
        value_append(list, info);
    }
    return list;
}

QMP_HANDLER(query_hotpluggable_cpus)
{
    const Machine *machine = qmp_machine();
    CpuidTopology topology;

    if (machine->cpus->len == 0 || !topology_of_machine(&topology)) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "The feature 'query-hotpluggable-cpus' is not enabled");
    }
    unsigned most = (unsigned)value_get_uint(value_get(qmp_tree(), "smp"), "maxcpus", topology.cpus);
    g_autofree char *type = running_type();
    Value *list = value_new_list();
    for (unsigned i = most; i-- > 0;) {
        Value *slot = value_new_object();
        value_set(slot, "props", place_of(&topology, i));
        value_set(slot, "vcpus-count", value_new_int(1));
        if (i < machine->cpus->len) {
            g_autofree char *path = object_path(cpu_object(machine->cpus->pdata[i]));
            value_set(slot, "qom-path", value_new_string(path));
        }
        value_set(slot, "type", value_new_string(type));
        value_append(list, slot);
    }
    return list;
}

static Value *missing_features(size_t model, const CpuidConfig *able)
{
    Value *list = value_new_list();

    for (unsigned word = 0; word < CPUID_WORDS; word++) {
        uint32_t missing = cpuid_model_word(model, word) & ~able->words[word];
        for (unsigned bit = 0; bit < 32; bit++) {
            const char *name = missing >> bit & 1 ? cpuid_feature_name(word, bit) : NULL;
            if (name) {
                value_append(list, value_new_string(name));
            }
        }
    }
    return list;
}

static Value *definition(const char *name, bool steady, Value *take_missing)
{
    Value *info = value_new_object();
    g_autofree char *type = g_strconcat(name, CPU_TYPE_SUFFIX, NULL);

    value_set(info, "name", value_new_string(name));
    value_set(info, "typename", value_new_string(type));
    value_set(info, "unavailable-features", take_missing);
    value_set(info, "static", value_new_bool(false));
    value_set(info, "migration-safe", value_new_bool(steady));
    value_set(info, "deprecated", value_new_bool(false));
    return info;
}

static Value *max_model(void)
{
    Value *model = value_new_object();

    value_set(model, "model", value_new_string("max"));
    return model;
}

QMP_HANDLER(query_cpu_definitions)
{
    Accel *accel = qmp_machine()->accel;
    bool kvm = accel && strcmp(accel_name(accel), "kvm") == 0;
    g_autoptr(Value) max = max_model();
    CpuidConfig able = { 0 };
    Value *list = value_new_list(), *no_kvm = value_new_list();

    bool known = accel && accel_cpu_config(accel, max, &able, NULL);
    value_append(list, definition("max", false, value_new_list()));
    if (!kvm) {
        value_append(no_kvm, value_new_string("kvm"));
    }
    value_append(list, definition("host", false, no_kvm));
    for (size_t i = 0; cpuid_model_name(i); i++) {
        value_append(list, definition(cpuid_model_name(i), true, known ? missing_features(i, &able) : value_new_list()));
    }
    return list;
}

static bool is_feature(const char *name)
{
    for (unsigned i = 0; i < CPUID_WORDS * 32; i++) {
        const char *known = cpuid_feature_name(i / 32, i % 32);
        if (known && strcmp(known, name) == 0) {
            return true;
        }
    }
    return false;
}

/* {"name":N,"props":{"avx":true}} as the tree's "cpu" object. Properties that are no feature ("migratable") do not matter to what is asked. */
static Value *model_of_info(const Value *info, GError **err)
{
    const char *name = value_get_string(info, "name", "");
    const Value *props = value_get(info, "props");
    bool known = strcmp(name, "max") == 0 || strcmp(name, "host") == 0;
    Value *model = value_new_object(), *features = value_new_list();

    for (size_t i = 0; !known && cpuid_model_name(i); i++) {
        known = strcmp(cpuid_model_name(i), name) == 0;
    }
    if (!known) {
        qmp_fail(err, QMP_GENERIC_ERROR, "CPU model '%.100s' not found", name);
    }
    for (size_t i = 0; known && i < value_length(props); i++) {
        const char *key = value_key_at(props, i);
        bool on;
        if (is_feature(key) && value_to_bool(value_member_at(props, i), &on)) {
            Value *feature = value_new_object();
            value_set(feature, "name", value_new_string(key));
            value_set(feature, "on", value_new_bool(on));
            value_append(features, feature);
        } else if (strcmp(key, "migratable") != 0 && strcmp(key, "hv-passthrough") != 0) {
            qmp_fail(err, QMP_GENERIC_ERROR, "Property '%s%s.%.100s' not found", name, CPU_TYPE_SUFFIX, key);
            known = false;
        }
    }
    value_set(model, "model", value_new_string(name));
    value_set(model, "features", features);
    if (!known) {
        value_unref(model);
        return NULL;
    }
    return model;
}

static Value *props_of_config(const CpuidConfig *config)
{
    Value *props = value_new_object();
    uint32_t family = config->signature >> 8 & 15, model = config->signature >> 4 & 15;

    for (unsigned i = 0; i < CPUID_WORDS * 32; i++) {
        const char *name = cpuid_feature_name(i / 32, i % 32);
        if (name && !value_get(props, name)) {
            value_set(props, name, value_new_bool(config->words[i / 32] >> (i % 32) & 1));
        }
    }
    value_set(props, "family", value_new_int(family == 15 ? family + (config->signature >> 20 & 255) : family));
    value_set(props, "model", value_new_int(model | (config->signature >> 12 & 0xf0)));
    value_set(props, "stepping", value_new_int(config->signature & 15));
    value_set(props, "vendor", value_new_string(config->vendor));
    value_set(props, "model-id", value_new_string(config->brand));
    value_set(props, "level", value_new_int(config->level));
    value_set(props, "xlevel", value_new_uint(config->extended_level));
    return props;
}

QMP_HANDLER(query_cpu_model_expansion)
{
    Accel *accel = qmp_machine()->accel;
    const Value *asked = value_get(args, "model");
    bool full = strcmp(value_get_string(args, "type", ""), "full") == 0;
    g_autoptr(Value) model = model_of_info(asked, err);
    CpuidConfig config;

    if (!model) {
        return NULL;
    }
    if (!accel || !accel_cpu_config(accel, model, &config, err)) {
        return accel ? NULL : qmp_fail(err, QMP_GENERIC_ERROR, "this machine has no processors");
    }
    Value *result = value_new_object(), *expanded = value_new_object();
    value_set(expanded, "name", value_new_string(full ? value_get_string(asked, "name", "") : "base"));
    value_set(expanded, "props", props_of_config(&config));
    value_set(result, "model", expanded);
    return result;
}

const QmpType cpu_types[] = {
    { "CpuInstanceProperties", "struct ?node-id:int ?socket-id:int ?die-id:int ?cluster-id:int ?core-id:int ?thread-id:int" },
    { "CpuInfoFast", "struct cpu-index:int qom-path:str thread-id:int ?props:CpuInstanceProperties target:SysEmuTarget" },
    { "HotpluggableCPU", "struct type:str vcpus-count:int props:CpuInstanceProperties ?qom-path:str" },
    { "CpuDefinitionInfo", "struct name:str ?migration-safe:bool static:bool ?unavailable-features:[str] typename:str ?alias-of:str deprecated:bool" },
    { "CpuModelExpansionType", "enum static full" },
    { "CpuModelInfo", "struct name:str ?props:any" },
    { "CpuModelExpansionInfo", "struct model:CpuModelInfo" },
    { .name = NULL } };

const QmpCommand cpu_commands[] = {
    { "query-cpus-fast", query_cpus_fast, .returns = "[CpuInfoFast]", .help = "the processors and their threads" },
    { "query-hotpluggable-cpus", query_hotpluggable_cpus, .returns = "[HotpluggableCPU]", .help = "the places for processors, taken or free" },
    { "query-cpu-definitions", query_cpu_definitions, .returns = "[CpuDefinitionInfo]", .help = "the models that -cpu takes" },
    { "query-cpu-model-expansion", query_cpu_model_expansion, .args = "type:CpuModelExpansionType model:CpuModelInfo",
      .returns = "CpuModelExpansionInfo", .help = "the features that a model has here" },
    { .name = NULL } };
