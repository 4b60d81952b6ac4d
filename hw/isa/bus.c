/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isa/bus.c - the ISA bus: who has which ports, and whose interrupt is on which line
 *
 * Models   a bus without DMA channels and without plug and play
 * Omits    16-bit decoding aliases (every 1 KiB) that old boards had
 * Wires    irq[] to the interrupt controllers, set by the board
 * Threads  machine lock held everywhere
 * Tests    tests/dev/isa-ports.c
 */
#include "hw/isa/bus.h"
#include "base/error.h"
#include "hw/core/machine.h"

static void isa_detach(Bus *bus, Device *device);

void isa_bus_init(IsaBus *isa, const char *name, Machine *machine, Device *parent, Region *ports, Region *memory)
{
    bus_init(&isa->bus, BUS_ISA, name, machine, parent);
    isa->bus.detach = isa_detach;
    isa->ports = ports ? ports : &machine->port_root;
    isa->memory = memory ? memory : &machine->memory_root;
}

IsaBus *isa_bus_of(const Device *device)
{
    return (IsaBus *)device->bus;
}

/* The ISA range of the same root that overlaps, or NULL. Ranges mapped at another priority (PCI BARs below, the reset
 * control above) are meant to overlap. */
static const Region *taken_by(const Region *root, uint64_t start, uint64_t size)
{
    for (unsigned i = 0; root->children && i < root->children->len; i++) {
        const Region *other = g_ptr_array_index(root->children, i);

        if (other->priority == 0 && other->enabled && start < other->offset + other->size && other->offset < start + size) {
            return other;
        }
    }
    return NULL;
}

bool isa_map(Device *device, Region *region, uint16_t port, GError **err)
{
    IsaBus *isa = isa_bus_of(device);
    uint64_t last = port + region->size - 1;

    if (region->size == 0 || last > 0xffff) {
        return fail(err, EINVAL, "%s: %" G_GUINT64_FORMAT " ports from 0x%x do not fit below 0x10000; choose a lower port",
                    device_name(device), region->size, port);
    }
    const Region *other = taken_by(isa->ports, port, region->size);
    if (other) {
        return fail(err, EBUSY, "%s: ports 0x%x to 0x%x are in use by %s (at 0x%x); choose another port", device_name(device),
                    port, (unsigned)last, other->name, (unsigned)other->offset);
    }
    region_add(isa->ports, port, region, 0);
    return true;
}

bool isa_map_memory(Device *device, Region *region, uint64_t address, GError **err)
{
    IsaBus *isa = isa_bus_of(device);

    if (region->size == 0 || address > G_MAXUINT32 || region->size > (UINT64_C(1) << 32) - address) {
        return fail(err, EINVAL, "%s: a window of 0x%" G_GINT64_MODIFIER "x bytes at 0x%" G_GINT64_MODIFIER
                    "x does not fit below 4 GiB", device_name(device), region->size, address);
    }
    region_add(isa->memory, address, region, 1);
    return true;
}

void isa_unmap(Region *region)
{
    region_remove(region);
}

/* The one place where a line's level is made from its inputs. */
static void update_line(IsaBus *isa, unsigned irq)
{
    bool high = false;

    for (unsigned i = 0; i < ISA_INPUTS; i++) {
        high |= isa->inputs[i].owner && isa->inputs[i].irq == irq && isa->inputs[i].high;
    }
    if (high != isa->level[irq]) {
        isa->level[irq] = high;
        irq_set(isa->irq[irq], high);
    }
}

static void input_set(void *sink, int pin, bool high)
{
    IsaBus *isa = sink;

    if (isa->inputs[pin].high != high) {
        isa->inputs[pin].high = high;
        update_line(isa, isa->inputs[pin].irq);
    }
}

IrqLine isa_bus_irq(IsaBus *isa, Device *owner, unsigned irq)
{
    if (irq >= ISA_IRQS) {
        return (IrqLine){ 0 };
    }
    for (int i = 0; i < ISA_INPUTS; i++) {
        if (!isa->inputs[i].owner) {
            isa->inputs[i] = (IsaInput){ .owner = owner, .irq = irq };
            return (IrqLine){ .set = input_set, .sink = isa, .pin = i };
        }
    }
    return (IrqLine){ 0 };
}

IrqLine isa_irq(Device *device, unsigned irq)
{
    return isa_bus_irq(isa_bus_of(device), device, irq);
}

bool isa_irq_valid(Device *device, unsigned irq, GError **err)
{
    if (irq >= ISA_IRQS) {
        return fail(err, EINVAL, "%s: irq %u does not exist on the ISA bus; choose one from 0 to 15", device_name(device), irq);
    }
    for (unsigned i = 0; i < ISA_INPUTS; i++) {
        if (!isa_bus_of(device)->inputs[i].owner) {
            return true;
        }
    }
    return fail(err, ENOSPC, "%s: the ISA bus has no room for another interrupt source (limit %d)", device_name(device), ISA_INPUTS);
}

static void isa_detach(Bus *bus, Device *device)
{
    IsaBus *isa = (IsaBus *)bus;

    for (unsigned i = 0; i < ISA_INPUTS; i++) {
        if (isa->inputs[i].owner == device) {
            isa->inputs[i].high = false;
            update_line(isa, isa->inputs[i].irq);
            isa->inputs[i].owner = NULL;
        }
    }
}
