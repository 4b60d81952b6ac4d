/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * state.c - the machine's saved state: the guest clock, every device by its path, every CPU
 *
 * Layout   magic "ROOST1\n\0", guest clock (le64), then records: kind (le8: D device, C cpu, E end),
 *          name length (le8), name, version (le32), body length (le32), body as base/field.h writes it
 * Hostile  a stream may come from a peer: every length is checked, a missing, unknown or doubled device is refused by
 *          name before anything runs, and each device's after_load() checks its own indexes
 * Tests    every device test that runs RESTORED; tests/dev/core.c for bad streams
 */
#include "base/bytes.h"
#include "base/checked.h"
#include "base/error.h"
#include "hw/core/machine.h"
#include <errno.h>
#include <string.h>

static const char magic[8] = "ROOST1\n";

static void put_record(GByteArray *out, char kind, const char *name, uint32_t version, const GByteArray *body)
{
    uint8_t number[4];
    uint8_t length = (uint8_t)MIN(strlen(name), UINT8_MAX);

    g_byte_array_append(out, (const uint8_t *)&kind, 1);
    g_byte_array_append(out, &length, 1);
    g_byte_array_append(out, (const uint8_t *)name, length);
    store_le32(number, version);
    g_byte_array_append(out, number, sizeof number);
    store_le32(number, body ? body->len : 0);
    g_byte_array_append(out, number, sizeof number);
    if (body) {
        g_byte_array_append(out, body->data, body->len);
    }
}

static void save_device(Device *device, GByteArray *out)
{
    if (!device->model->saved) {
        return;
    }
    if (device->model->before_save) {
        device->model->before_save(device);
    }
    g_autoptr(GByteArray) body = g_byte_array_new();
    g_autofree char *path = object_path(&device->object);
    fields_save(device->model->saved, device, body);
    put_record(out, 'D', path, device->model->saved_version, body);
}

static void save_cpu(Cpu *cpu, GByteArray *out)
{
    g_autofree CpuState *state = g_new0(CpuState, 1);
    g_autoptr(GByteArray) body = g_byte_array_new();
    char name[16];

    cpu_get_state(cpu, state);
    fields_save(cpu_state_saved, state, body);
    g_snprintf(name, sizeof name, "cpu%u", cpu_index(cpu));
    put_record(out, 'C', name, 1, body);
}

bool machine_save(Machine *machine, GByteArray *out, GError **err)
{
    uint8_t clock[8];

    (void)err;
    machine_settle_storage();
    g_byte_array_append(out, (const uint8_t *)magic, sizeof magic);
    store_le64(clock, (uint64_t)clock_now(CLOCK_GUEST));
    g_byte_array_append(out, clock, sizeof clock);
    for (guint i = 0; i < machine->devices->len; i++) {
        save_device(machine->devices->pdata[i], out);
    }
    for (guint i = 0; i < machine->cpus->len; i++) {
        save_cpu(machine->cpus->pdata[i], out);
    }
    put_record(out, 'E', "", 0, NULL);
    return true;
}

typedef struct Record {
    char kind;
    char name[UINT8_MAX + 1];
    uint32_t version;
    const uint8_t *body;
    size_t length;
} Record;

static bool get_record(const uint8_t **at, size_t *left, Record *record, GError **err)
{
    uint8_t length = *left >= 2 ? (*at)[1] : 0;

    if (*left < 10u + length) {
        return fail(err, EINVAL, "saved state: cut off in the head of a record");
    }
    record->kind = (char)(*at)[0];
    memcpy(record->name, *at + 2, length);
    record->name[length] = 0;
    for (const char *c = record->name; *c; c++) {
        if (g_ascii_iscntrl(*c)) {         /* names are told to people, on terminals */
            return fail(err, EINVAL, "saved state: a record's name has control characters in it");
        }
    }
    record->version = load_le32(*at + 2 + length);
    record->length = load_le32(*at + 6 + length);
    record->body = *at + 10 + length;
    *at += 10u + length;
    *left -= 10u + length;
    if (record->length > *left) {
        return fail(err, EINVAL, "saved state: record '%s' is cut off", record->name);
    }
    *at += record->length;
    *left -= record->length;
    return true;
}

static bool load_device(Machine *machine, const Record *record, GHashTable *seen, GError **err)
{
    Device *device = (Device *)object_find(record->name);

    if (!device || !g_ptr_array_find(machine->devices, device, NULL)) {
        return fail(err, ENOENT, "saved state: it has a device '%s' that this machine lacks; start with the same options", record->name);
    }
    const DeviceModel *model = device->model;
    if (!model->saved || record->version > model->saved_version || record->version < model->saved_minimum_version) {
        return fail(err, EINVAL, "saved state: device '%s' has version %u, this Roost reads %u to %u", record->name,
                    record->version, model->saved_minimum_version, model->saved_version);
    }
    if (!g_hash_table_add(seen, device)) {
        return fail(err, EINVAL, "saved state: device '%s' comes twice", record->name);
    }
    const uint8_t *at = record->body;
    size_t left = record->length;
    if (!fields_load(model->saved, device, record->name, &at, &left, err)) {
        return false;
    }
    if (left) {
        return fail(err, EINVAL, "saved state: device '%s' has %zu bytes too many", record->name, left);
    }
    return true;
}

static bool load_cpu(Machine *machine, const Record *record, GHashTable *seen, GError **err)
{
    g_autofree CpuState *state = g_new0(CpuState, 1);
    const uint8_t *at = record->body;
    size_t left = record->length;

    for (guint i = 0; i < machine->cpus->len; i++) {
        Cpu *cpu = machine->cpus->pdata[i];
        char name[16];
        g_snprintf(name, sizeof name, "cpu%u", cpu_index(cpu));
        if (strcmp(name, record->name) == 0) {
            if (!g_hash_table_add(seen, cpu)) {
                return fail(err, EINVAL, "saved state: processor '%s' comes twice", name);
            }
            return fields_load(cpu_state_saved, state, name, &at, &left, err) && cpu_set_state(cpu, state, err);
        }
    }
    return fail(err, ENOENT, "saved state: it has a processor '%s' that this machine lacks; use the same -smp", record->name);
}

static bool all_cpus_seen(const Machine *machine, GHashTable *seen, GError **err)
{
    for (guint i = 0; i < machine->cpus->len; i++) {
        if (!g_hash_table_contains(seen, machine->cpus->pdata[i])) {
            return fail(err, EINVAL, "saved state: processor 'cpu%u' is missing from it; use the same -smp", cpu_index(machine->cpus->pdata[i]));
        }
    }
    return true;
}

/* All devices hold their registers before any restates a level: a line goes to a controller that is already loaded. */
static bool finish_load(Machine *machine, GHashTable *seen, GError **err)
{
    for (guint i = 0; i < machine->devices->len; i++) {
        Device *device = machine->devices->pdata[i];
        if (!device->model->saved) {
            continue;
        }
        if (!g_hash_table_contains(seen, device)) {
            return fail(err, EINVAL, "saved state: device '%s' is missing from it; start with the same options", device_name(device));
        }
        if (device->model->after_load && !device->model->after_load(device, err)) {
            return false;
        }
    }
    return true;
}

bool machine_load(Machine *machine, const uint8_t *data, size_t length, GError **err)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
    const uint8_t *at = data;
    size_t left = length;
    Record record;

    if (left < 16 || memcmp(at, magic, sizeof magic)) {
        return fail(err, EINVAL, "saved state: it does not begin with Roost's mark");
    }
    uint64_t clock = load_le64(at + 8);
    if (clock > INT64_MAX / 2) {
        return fail(err, EINVAL, "saved state: its clock reads %" G_GUINT64_FORMAT " ns, more than a century", clock);
    }
    guest_clock_set((int64_t)clock);
    at += 16;
    left -= 16;
    for (;;) {
        if (!get_record(&at, &left, &record, err)) {
            return false;
        }
        switch (record.kind) {
        case 'D':
            if (!load_device(machine, &record, seen, err)) {
                return false;
            }
            break;
        case 'C':
            if (!load_cpu(machine, &record, seen, err)) {
                return false;
            }
            break;
        case 'E':
            return all_cpus_seen(machine, seen, err) && finish_load(machine, seen, err);
        default:
            return fail(err, EINVAL, "saved state: a record of unknown kind 0x%02x", (unsigned char)record.kind);
        }
    }
}
