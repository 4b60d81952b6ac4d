/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pic.c - the pair of 8259s on the ISA bus, and their edge/level control registers
 *
 * Models   ports 20h-21h, A0h-A1h, 4D0h-4D1h; the slave on input 2 of the master
 * Omits    nothing that i8259.c does not omit
 * Wires    16 inputs by pic_set_line(); INTR to LINT0 of every local APIC
 * Threads  registers: any vCPU thread, machine lock held; acknowledge: takes that lock
 * Tests    tests/dev/i8259.c
 *
 * With in_kernel the chips are KVM's: no port is mapped, and the state passes through here only to be saved and loaded.
 */
#include "base/error.h"
#include "base/lock.h"
#include "base/trace.h"
#include "hw/intc/internal.h"
#include "hw/models.h"

enum { TRACE_PIC_READ, TRACE_PIC_WRITE, TRACE_PIC_LINE, TRACE_PIC_ACKNOWLEDGE };
static TracePoint pic_trace[] = {
    [TRACE_PIC_READ] = { "pic_read", "the guest read an 8259" },
    [TRACE_PIC_WRITE] = { "pic_write", "the guest wrote an 8259" },
    [TRACE_PIC_LINE] = { "pic_line", "an interrupt line changed" },
    [TRACE_PIC_ACKNOWLEDGE] = { "pic_acknowledge", "a processor fetched a vector" },
};
TRACE_TABLE(pic_trace)

static Pic *PIC(Device *device)
{
    return (Pic *)device;
}

static void pic_update_irq(Pic *pic)
{
    pic->requested = i8259_pair_update(&pic->pair);
    irq_set(pic->intr, pic->requested);
}

void pic_set_line(Pic *pic, unsigned irq, bool high)
{
    if (irq == I8259_CASCADE || irq > 15) {
        return;
    }
    TRACE(&pic_trace[TRACE_PIC_LINE], "irq %u level %d", irq, high);
    i8259_set_line(irq < 8 ? &pic->pair.master : &pic->pair.slave, irq & 7, high);
    pic_update_irq(pic);
}

int pic_acknowledge(Pic *pic)
{
    if (!pic->requested) {
        return -1;
    }
    int vector = i8259_pair_acknowledge(&pic->pair);
    TRACE(&pic_trace[TRACE_PIC_ACKNOWLEDGE], "vector 0x%02x", vector);
    pic_update_irq(pic);
    return vector;
}

/* Two ports per chip: the region's opaque is the chip's number in the pair. */
static uint64_t chip_read(Pic *pic, I8259 *chip, uint64_t offset)
{
    uint8_t value = i8259_read(chip, offset);

    TRACE(&pic_trace[TRACE_PIC_READ], "%s a0 %u value 0x%02x", chip->master ? "master" : "slave", (unsigned)offset, value);
    pic_update_irq(pic);
    return value;
}

static void chip_write(Pic *pic, I8259 *chip, uint64_t offset, uint64_t value)
{
    TRACE(&pic_trace[TRACE_PIC_WRITE], "%s a0 %u value 0x%02x", chip->master ? "master" : "slave", (unsigned)offset, (unsigned)value);
    i8259_write(chip, offset, value);
    pic_update_irq(pic);
}

static uint64_t master_read(void *opaque, uint64_t offset, unsigned size)
{
    Pic *pic = opaque;

    (void)size;
    return chip_read(pic, &pic->pair.master, offset);
}

static void master_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Pic *pic = opaque;

    (void)size;
    chip_write(pic, &pic->pair.master, offset, value);
}

static uint64_t slave_read(void *opaque, uint64_t offset, unsigned size)
{
    Pic *pic = opaque;

    (void)size;
    return chip_read(pic, &pic->pair.slave, offset);
}

static void slave_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Pic *pic = opaque;

    (void)size;
    chip_write(pic, &pic->pair.slave, offset, value);
}

static uint64_t elcr_read(void *opaque, uint64_t offset, unsigned size)
{
    Pic *pic = opaque;

    (void)size;
    return offset ? pic->pair.slave.elcr : pic->pair.master.elcr;
}

static void elcr_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Pic *pic = opaque;

    (void)size;
    i8259_write_elcr(offset ? &pic->pair.slave : &pic->pair.master, value);
    pic_update_irq(pic);
}

static const RegionOps master_io = { .read = master_read, .write = master_write, .widths = WIDTH_8 };
static const RegionOps slave_io = { .read = slave_read, .write = slave_write, .widths = WIDTH_8 };
static const RegionOps elcr_io = { .read = elcr_read, .write = elcr_write, .widths = WIDTH_8 };

static void pic_unrealize(Device *device)
{
    Pic *pic = PIC(device);

    if (!pic->in_kernel) {
        isa_unmap(&pic->io[0]);
        isa_unmap(&pic->io[1]);
        isa_unmap(&pic->elcr);
        region_destroy(&pic->io[0]);
        region_destroy(&pic->io[1]);
        region_destroy(&pic->elcr);
    }
}

static bool pic_realize(Device *device, GError **err)
{
    Pic *pic = PIC(device);

    i8259_init(&pic->pair.master, true);
    i8259_init(&pic->pair.slave, false);
    if (pic->in_kernel) {
        return true;
    }
    region_init_io(&pic->io[0], &master_io, pic, "pic", 2);
    region_init_io(&pic->io[1], &slave_io, pic, "pic", 2);
    region_init_io(&pic->elcr, &elcr_io, pic, "elcr", 2);
    if (!isa_map(device, &pic->io[0], 0x20, err) || !isa_map(device, &pic->io[1], 0xa0, err) ||
        !isa_map(device, &pic->elcr, 0x4d0, err)) {
        pic_unrealize(device);
        return false;
    }
    return true;
}

static void pic_reset(Device *device)
{
    Pic *pic = PIC(device);

    i8259_reset(&pic->pair.master);
    i8259_reset(&pic->pair.slave);
    if (pic->in_kernel) {
        kernel_chips()->give_pic(device->machine, &pic->pair);
    } else {
        pic_update_irq(pic);
    }
}

static void pic_before_save(Device *device)
{
    if (PIC(device)->in_kernel) {
        kernel_chips()->fetch_pic(device->machine, &PIC(device)->pair);
    }
}

static bool chip_valid(const I8259 *chip)
{
    return chip->first < 8 && (chip->expects == 0 || (chip->expects >= 2 && chip->expects <= 4)) &&
           !(chip->elcr & ~chip->elcr_mask) && !(chip->vector_base & 7);
}

static bool pic_after_load(Device *device, GError **err)
{
    Pic *pic = PIC(device);

    if (!chip_valid(&pic->pair.master) || !chip_valid(&pic->pair.slave)) {
        return fail(err, EINVAL, "%s: the saved state is not that of an 8259", device_name(device));
    }
    if (pic->in_kernel) {
        kernel_chips()->give_pic(device->machine, &pic->pair);
        return true;
    }
    pic->requested = i8259_pair_update(&pic->pair);
    irq_set(pic->intr, pic->requested);
    return true;
}

static const Field pic_props[] = {
    PROP_IRQ("intr", Pic, intr, .help = "INTR of the processors"),
    PROP_BOOL("x-in-kernel", Pic, in_kernel, false, .hidden = true, .help = "the chips are KVM's"),
    FIELD_END };

static const Field pair_saved[] = {
    SAVE_STRUCT(I8259Pair, master, i8259_saved), SAVE_STRUCT(I8259Pair, slave, i8259_saved), FIELD_END };

static const Field pic_saved[] = { SAVE_STRUCT(Pic, pair, pair_saved), FIELD_END };

const DeviceModel isa_i8259_model = {
    .name = "isa-i8259",  .bus = BUS_ISA,  .size = sizeof(Pic),  .board_only = true,
    .help = "pair of programmable interrupt controllers (8259A)",
    .props = pic_props,  .saved = pic_saved,  .saved_version = 1,
    .realize = pic_realize,  .reset = pic_reset,  .unrealize = pic_unrealize,
    .before_save = pic_before_save,  .after_load = pic_after_load,
};
