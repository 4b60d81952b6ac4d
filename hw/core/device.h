/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * device.h - what a device model is, and the life of one device
 *
 * A model is a constant DeviceModel at the end of its file, named in hw/models.c. A device is a struct whose first
 * member is Device, allocated zeroed by device_new(), with its properties' defaults filled in.
 *
 *   device_new -> property setting -> device_realize (maps ranges, connects) -> reset -> ... -> device_unrealize -> free
 *
 * Locking: machine lock for everything here; a model's callbacks are called with it held.
 */
#pragma once
#include "base/field.h"
#include "base/object.h"
#include "base/timer.h"
#include "hw/core/irq.h"

typedef struct Bus Bus;
typedef struct Device Device;
typedef struct Machine Machine;
typedef struct HotplugOps HotplugOps;

typedef enum { BUS_NONE, BUS_SYSTEM, BUS_ISA, BUS_PCI, BUS_IDE, BUS_SCSI, BUS_VIRTIO, BUS_USB, BUS_FLOPPY, BUS_VIRTIO_SERIAL,
               BUS_KINDS } BusKind;

typedef struct DeviceModel {
    const char *name;                      /* QEMU's: "isa-serial" */
    const char *const *aliases;            /* NULL-terminated, may be NULL */
    const char *help;                      /* never empty */
    BusKind bus;
    size_t size;                           /* of the struct that begins with Device */
    const Field *props, *saved;
    const Field *bus_props;                /* set by the bus core (PCI: addr, multifunction, romfile); may be NULL */
    uint32_t saved_version, saved_minimum_version;
    bool board_only;                       /* made by the board, not by -device */
    bool hotpluggable;
    const void *class_data;                /* the bus's own part: a PciModel, ... */
    bool (*realize)(Device *device, GError **err);
    void (*reset)(Device *device);
    void (*unrealize)(Device *device);
    void (*unplug_request)(Device *device);
    void (*before_save)(Device *device);
    bool (*after_load)(Device *device, GError **err);      /* checks every index and length; restates levels without an edge */
} DeviceModel;

struct Device {
    Object object;
    const DeviceModel *model;
    Machine *machine;
    Bus *bus;                              /* that it sits on; NULL for BUS_NONE */
    char *id;                              /* -device id=, NULL without */
    bool from_user;                        /* asked for by -device or device_add: lives under /machine/peripheral(-anon) */
    bool realized;
    bool hotplugged;                       /* it came after the machine was built: device_plug() */
    bool leaving;                          /* the guest let it go; the main loop takes it away */
    ObjectType type;                       /* what object.type points at, made from the model */
    uint64_t guest_faults;                 /* counted by guest_fault() */
};
#define DEVICE(pointer) (&(pointer)->device)

/* A bus owns nothing but its list; the concrete bus struct (IsaBus, PciBus) begins with it. */
struct Bus {
    Object object;
    BusKind kind;
    const char *name;                      /* "isa.0" */
    Machine *machine;
    Device *parent;                        /* the bridge or controller, NULL for the root */
    GPtrArray *devices;
    bool (*attach)(Bus *bus, Device *device, GError **err);   /* before realize: finds the slot */
    void (*detach)(Bus *bus, Device *device);
    bool (*full)(const Bus *bus);          /* a device that names no bus goes to another one; NULL: there is always room */
    bool accepts_hotplug;
    const HotplugOps *hotplug;             /* who tells the guest of comings and goings; NULL: nobody needs to */
    void *hotplug_opaque;
};
/* Set by the controller that has the bus in its care, with accepts_hotplug; taken back before it goes. */
struct HotplugOps {
    void (*plugged)(void *opaque, Device *device);
    void (*unplug_request)(void *opaque, Device *device);  /* the guest answers with machine_request_eject() when it is ready */
};
void bus_init(Bus *bus, BusKind kind, const char *name, Machine *machine, Device *parent);
void bus_destroy(Bus *bus);

/* hw/models.c: the one list, NULL-terminated. */
extern const DeviceModel *const device_models[];
const DeviceModel *device_model_find(const char *name);    /* by name or alias */
const char *bus_kind_name(BusKind kind);                   /* "PCI", "ISA", "System": as -device help says it */

/* machine, bus: where it will live; bus may be NULL (found by kind, the first that is not full). */
Device *device_new(Machine *machine, const DeviceModel *model, Bus *bus, const char *id, GError **err);
/* From text or a typed value; wires and links by the functions below. */
bool device_set(Device *device, const char *property, const Value *value, GError **err);
/* What a property that is a number holds; the fallback where there is no such property. */
uint64_t device_get_uint(const Device *device, const char *property, uint64_t fallback);
void device_set_line(Device *device, const char *property, IrqLine line);
void device_set_link(Device *device, const char *property, void *target);
/* On failure the device is as before; *err names it. Names it under /machine/peripheral or /machine/unattached. */
bool device_realize(Device *device, GError **err);
void device_unrealize(Device *device);                     /* and drops the tree's reference: the device is gone */
void device_reset(Device *device);
/* What device_add does once the properties are set: device_realize, and on a machine that is built the guest is told. Refused
 * then unless model and bus take part in hotplug. */
bool device_plug(Device *device, GError **err);
/* Main loop, CPUs paused: DEVICE_DELETED and device_unrealize. */
void device_delete(Device *device);
const char *device_name(const Device *device);             /* id, or model name: for sentences */

/* The guest did what no sane guest does: counted, logged under -d guest_errors, never fatal. */
void guest_fault(Device *device, const char *format, ...) G_GNUC_PRINTF(2, 3);
