/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * machine.c - a machine from its configuration: address spaces, RAM, accelerator, board, devices
 *
 * Threads  main loop, machine lock held
 * Tests    every rig test builds and frees one
 */
#include "hw/core/machine.h"
#include "base/error.h"
#include "base/log.h"
#include "block/blk.h"
#include "hw/core/exit-status.h"
#include <errno.h>
#include <string.h>

enum { DEFAULT_RAM_MIB = 128 };

static const ObjectType machine_type = { .name = "machine" };

/* What the accelerator tells on vCPU threads. */
static void on_triple_fault(void *opaque, Cpu *cpu)
{
    Machine *machine = opaque;

    machine_lock();
    if (log_enabled(LOG_CPU_RESET)) {
        g_autofree char *registers = cpu_describe(cpu);
        log_line(LOG_CPU_RESET, "triple fault on CPU %u\n%s", cpu_index(cpu), registers);
    }
    machine_triple_fault(machine);
    machine_unlock();
}

/* The processor cannot go on: the machine pauses so that it can be looked at, or ends where nobody would look. */
static void on_internal_error(void *opaque, Cpu *cpu, const char *sentence)
{
    Machine *machine = opaque;

    machine_lock();
    report_error("CPU %u: %s", cpu_index(cpu), sentence);
    const char *action = value_get_string(value_get(machine->config, "action"), "internal-error",
                                          machine->no_shutdown ? "pause" : "exit-failure");
    if (strcmp(action, "pause") == 0) {
        machine_request_stop(machine, RUN_INTERNAL_ERROR);
    } else {
        machine_request_exit(machine, EXIT_STATUS_INTERNAL_ERROR);
    }
    machine_unlock();
}

static int on_pic_acknowledge(void *opaque)
{
    Machine *machine = opaque;

    return machine->pic_acknowledge ? machine->pic_acknowledge(machine->pic) : -1;
}

static void on_ioapic_eoi(void *opaque, uint8_t vector)
{
    Machine *machine = opaque;

    if (machine->ioapic_eoi) {
        machine->ioapic_eoi(machine->ioapic, vector);
    }
}

/* werror=stop and its kin: a person makes room, and the guest goes on. */
static void stop_for_storage(void *opaque)
{
    machine_request_stop(opaque, RUN_IO_ERROR);
}

Machine *machine_new_bare(const Value *config, GError **err)
{
    Machine *machine = g_new0(Machine, 1);

    object_init(&machine->object, &machine_type);
    if (!object_add_child(object_root(), "machine", &machine->object, err)) {
        g_free(machine);
        return NULL;
    }
    machine->config = config;
    machine->state = RUN_PRELAUNCH;
    blk_on_stop(stop_for_storage, machine);
    machine->devices = g_ptr_array_new();
    machine->buses = g_ptr_array_new();
    machine->cpus = g_ptr_array_new();
    machine->state_listeners = g_array_new(FALSE, FALSE, 2 * sizeof(void *));
    machine->no_reboot = value_get_bool(value_get(config, "run"), "no-reboot", false);
    machine->no_shutdown = value_get_bool(value_get(config, "run"), "no-shutdown", false);
    region_init_container(&machine->memory_root, "memory", UINT64_MAX);
    region_init_container(&machine->port_root, "io", 0x10000);
    machine->memory = space_new("memory", &machine->memory_root);
    machine->ports = space_new("io", &machine->port_root);
    return machine;
}

static const BoardModel *board_find(const char *name, GError **err)
{
    for (const BoardModel *const *board = board_models; *board; board++) {
        if (strcmp((*board)->name, name) == 0 || ((*board)->alias && strcmp((*board)->alias, name) == 0)) {
            return *board;
        }
    }
    fail(err, ENOENT, "-machine %s: there is no machine of that name; '-machine help' lists them", name);
    return NULL;
}

static bool build_memory(Machine *machine, GError **err)
{
    machine->ram_size = value_get_uint(value_get(machine->config, "memory"), "size", (uint64_t)DEFAULT_RAM_MIB << 20);
    return region_init_ram(&machine->ram, "pc.ram", machine->ram_size, err);
}

static bool build_accel(Machine *machine, GError **err)
{
    const AccelHost host = {
        .opaque = machine, .triple_fault = on_triple_fault, .internal_error = on_internal_error,
        .pic_acknowledge = on_pic_acknowledge, .ioapic_eoi = on_ioapic_eoi,
    };

    machine->accel = accel_new(value_get(machine->config, "accel"), machine->memory, machine->ports, &host, err);
    return machine->accel != NULL;
}

static bool add_user_devices(Machine *machine, GError **err)
{
    const Value *devices = value_get(machine->config, "devices");

    for (size_t i = 0; i < value_length(devices); i++) {
        if (!machine_add_device(machine, value_at(devices, i), err)) {
            return false;
        }
    }
    return true;
}

Machine *machine_build(const Value *config, GError **err)
{
    const BoardModel *board = board_find(value_get_string(value_get(config, "machine"), "type", "pc"), err);
    Machine *machine = board ? machine_new_bare(config, err) : NULL;

    if (!machine) {
        return NULL;
    }
    machine->board = board;
    region_begin();                        /* one view of memory when all is in place, not one for each device */
    bool built = build_memory(machine, err) && build_accel(machine, err) && board->build(machine, err) && add_user_devices(machine, err) &&
                 (!machine->complete_board || machine->complete_board(machine, err));
    region_commit();
    if (!built) {
        machine_free(machine);
        return NULL;
    }
    machine_reset_now(machine, CAUSE_NONE);
    machine->built = true;
    return machine;
}

/* Devices go in the reverse order of their making; a bus goes with its bridge. */
void machine_free(Machine *machine)
{
    if (machine->accel) {
        accel_pause(machine->accel);
    }
    blk_on_stop(NULL, NULL);
    while (machine->devices->len) {
        device_unrealize(machine->devices->pdata[machine->devices->len - 1]);
    }
    if (machine->free_board) {
        machine->free_board(machine);
    }
    if (machine->accel) {
        accel_free(machine->accel);
    }
    space_free(machine->memory);
    space_free(machine->ports);
    if (machine->ram.ram) {
        region_destroy(&machine->ram);
    }
    region_destroy(&machine->memory_root);
    region_destroy(&machine->port_root);
    g_ptr_array_free(machine->devices, TRUE);
    g_ptr_array_free(machine->buses, TRUE);
    g_ptr_array_free(machine->cpus, TRUE);
    g_array_free(machine->state_listeners, TRUE);
    value_unref(machine->actions);
    object_unparent(&machine->object);
    object_unref(&machine->object);
    g_free(machine);
}

Bus *machine_find_bus(Machine *machine, BusKind kind, const char *name)
{
    for (guint i = 0; i < machine->buses->len; i++) {
        Bus *bus = machine->buses->pdata[i];
        if (bus->kind == kind && (!name || strcmp(bus->name, name) == 0)) {
            return bus;
        }
    }
    return NULL;
}

Device *machine_find_model(Machine *machine, const DeviceModel *model)
{
    for (guint i = 0; i < machine->devices->len; i++) {
        Device *device = machine->devices->pdata[i];
        if (device->model == model) {
            return device;
        }
    }
    return NULL;
}

Device *machine_find_device(Machine *machine, const char *id)
{
    for (guint i = 0; i < machine->devices->len; i++) {
        Device *device = machine->devices->pdata[i];
        if (device->id && strcmp(device->id, id) == 0) {
            return device;
        }
    }
    return NULL;
}
