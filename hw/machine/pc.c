/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pc.c - the board "pc": every chip and every wire on one page
 *
 * Models   a PC of 1996: 82441FX, PIIX3, PIIX4 power management, two 8259s, I/O APIC, 8254, HPET, MC146818, i8042, 16550As
 * Wires    ISA IRQ n goes to 8259 input n and I/O APIC pin n (0 to pin 2); PIRQA-D through the PIIX3; the SCI is IRQ 9; events 1 and 2 are
 *          hotplug of PCI slots and processors
 * Threads  main loop, machine lock held
 * Tests    tests/dev/pc.c and others on the rig's board "pc", tests/guest
 */
#include "accel/x86/cpuid.h"
#include "base/error.h"
#include "hw/chipset/cpu-hotplug.h"
#include "hw/chipset/fw_cfg.h"
#include "hw/chipset/i440fx.h"
#include "hw/chipset/pci-hotplug.h"
#include "hw/chipset/piix3.h"
#include "hw/chipset/piix4-pm.h"
#include "hw/floppy/drive.h"
#include "hw/ide/piix-ide.h"
#include "hw/intc/intc.h"
#include "hw/isa/port92.h"
#include "hw/machine/bootorder.h"
#include "hw/machine/linuxboot.h"
#include "hw/machine/pc-firmware.h"
#include "hw/models.h"
#include "hw/timer/timers.h"
#include <errno.h>
#include <string.h>

enum { PC_CPUS_MOST = 255, SERIAL_PORTS = 4, DRIVES_MOST = 4 };

typedef struct PcBoard {
    Machine *machine;
    Device *pcihost, *piix3, *ide, *fdc, *pm, *pci_hotplug, *cpu_hotplug, *port92, *i8042, *rtc, *pit, *hpet;
    PciBus *pci;
    IsaBus *isa;
    Intc *intc;
    FwCfg *fw_cfg;
    PcFirmware firmware;
    uint32_t apic_ids[PC_CPUS_MOST];
    unsigned cpus, max_cpus, serial_ports;
    bool has_hpet, has_acpi;
    GPtrArray *unfinished;                 /* Device *, made and not yet realized: ours to drop when something fails */
} PcBoard;

/* A chip of the board: made, and brought to life with what has been set. NULL and *err on failure. */
static Device *make(PcBoard *pc, const DeviceModel *model, Bus *bus, GError **err)
{
    Device *device = device_new(pc->machine, model, bus, NULL, err);

    if (device) {
        g_ptr_array_add(pc->unfinished, device);
    }
    return device;
}

static bool finish(Device *device, GError **err)
{
    PcBoard *pc = device->machine->board_data;

    g_ptr_array_remove_fast(pc->unfinished, device);
    if (device_realize(device, err)) {
        return true;
    }
    object_unref(&device->object);
    return false;
}

static bool set_text(Device *device, const char *property, const char *text, GError **err)
{
    g_autoptr(Value) value = value_new_string(text);

    return device_set(device, property, value, err);
}

/* Host bridge, PCI bus, ISA bridge and what else is in the PIIX chips. */
static bool make_chipset(PcBoard *pc, GError **err)
{
    Device *i440fx;

    if (!(pc->pcihost = make(pc, &i440fx_pcihost_model, NULL, err)) || !finish(pc->pcihost, err)) {
        return false;
    }
    pc->pci = i440fx_bus(pc->pcihost);
    if (!(i440fx = make(pc, &i440fx_model, &pc->pci->bus, err)) || !set_text(i440fx, "addr", "00.0", err) || !finish(i440fx, err)) {
        return false;
    }
    if (!(pc->piix3 = make(pc, &piix3_model, &pc->pci->bus, err)) || !set_text(pc->piix3, "addr", "01.0", err) ||
        !set_text(pc->piix3, "multifunction", "on", err) || !finish(pc->piix3, err)) {
        return false;
    }
    pc->isa = piix3_isa_bus(pc->piix3);
    return true;
}

/* The controllers, and the lines from the ISA bus into them. */
static bool make_interrupts(PcBoard *pc, GError **err)
{
    pc->intc = intc_new(pc->machine, pc->isa, err);
    if (!pc->intc) {
        return false;
    }
    for (unsigned irq = 0; irq < ISA_IRQS; irq++) {
        pc->isa->irq[irq] = intc_gsi(pc->intc, irq);
    }
    pc->pci->msi = (MsiSink){ intc_send_msi, pc->intc };
    return true;
}

static bool make_cpus(PcBoard *pc, GError **err)
{
    const Value *model = value_get(pc->machine->config, "cpu"), *smp = value_get(pc->machine->config, "smp");
    CpuidTopology topology;

    if (!cpuid_topology(&topology, smp, err)) {
        return false;
    }
    pc->cpus = topology.cpus;
    pc->max_cpus = (unsigned)value_get_uint(smp, "maxcpus", topology.cpus);
    if (pc->max_cpus > PC_CPUS_MOST) {
        return fail(err, EINVAL, "-smp: %u CPUs are more than this machine takes (%d)", pc->max_cpus, PC_CPUS_MOST);
    }
    for (unsigned i = 0; i < pc->max_cpus; i++) {
        pc->apic_ids[i] = cpuid_apic_id(&topology, i);
    }
    for (unsigned i = 0; i < pc->cpus; i++) {
        Cpu *cpu = accel_has_cpus(pc->machine->accel) ? cpu_new(pc->machine->accel, model, smp, i, pc->apic_ids[i], err) : NULL;
        if (!cpu && accel_has_cpus(pc->machine->accel)) {
            return false;
        }
        if (cpu) {
            g_ptr_array_add(pc->machine->cpus, cpu);
            object_add_child(object_container("/machine/unattached"), "cpu[*]", cpu_object(cpu), NULL);
        }
        const IntcCpu chip = {
            .cpu = cpu, .apic_id = pc->apic_ids[i], .boot_processor = i == 0,
            .has_x2apic = !cpu || cpu_has_feature(cpu, FEATURE_X2APIC),
            .has_tsc_deadline = !cpu || cpu_has_feature(cpu, FEATURE_TSC_DEADLINE),
        };
        if (!intc_add_cpu(pc->intc, &chip, err)) {
            return false;
        }
    }
    return true;
}

/* The PIT and the RTC reach their lines through the HPET, which can take them over; KVM may have a PIT of its own. */
static bool make_timers(PcBoard *pc, GError **err)
{
    if (!(pc->pit = make(pc, &isa_pit_model, &pc->isa->bus, err))) {
        return false;
    }
    g_autoptr(Value) in_kernel = value_new_bool(intc_in_kernel(pc->intc));
    if (!device_set(pc->pit, "x-in-kernel", in_kernel, err)) {
        return false;
    }
    if (pc->has_hpet) {
        if (!(pc->hpet = make(pc, &hpet_model, NULL, err))) {
            return false;
        }
        device_set_line(pc->hpet, "timer", isa_bus_irq(pc->isa, pc->hpet, 0));
        device_set_line(pc->hpet, "rtc", isa_bus_irq(pc->isa, pc->hpet, 8));
        device_set_line(pc->hpet, "gsi2", intc_gsi(pc->intc, 2));
        if (intc_in_kernel(pc->intc)) {
            device_set_link(pc->hpet, "pit", pc->pit);
        }
        if (!finish(pc->hpet, err)) {
            return false;
        }
    }
    device_set_line(pc->pit, "irq", pc->hpet ? hpet_legacy_input(pc->hpet, HPET_INPUT_TIMER) : isa_bus_irq(pc->isa, pc->pit, 0));
    if (!finish(pc->pit, err) || !(pc->rtc = make(pc, &mc146818rtc_model, &pc->isa->bus, err))) {
        return false;
    }
    device_set_line(pc->rtc, "irq", pc->hpet ? hpet_legacy_input(pc->hpet, HPET_INPUT_RTC) : isa_bus_irq(pc->isa, pc->rtc, 8));
    return finish(pc->rtc, err);
}

static void set_a20(void *opaque, int pin, bool high)
{
    PcBoard *pc = opaque;

    (void)pin;
    cpu_set_a20(pc->machine->accel, high);
}

static bool make_keyboard(PcBoard *pc, GError **err)
{
    Device *post;

    if (!(pc->port92 = make(pc, &port92_model, &pc->isa->bus, err))) {
        return false;
    }
    device_set_line(pc->port92, "a20", (IrqLine){ set_a20, pc, 0 });
    if (!finish(pc->port92, err) || !(pc->i8042 = make(pc, &i8042_model, &pc->isa->bus, err))) {
        return false;
    }
    device_set_line(pc->i8042, "a20", port92_a20_input(pc->port92));
    return finish(pc->i8042, err) && (post = make(pc, &post_port_model, &pc->isa->bus, err)) && finish(post, err);
}

/* COM1 to COM4, as the serials[] of the configuration says; null is no port. */
static bool make_serials(PcBoard *pc, GError **err)
{
    const Value *serials = value_get(pc->machine->config, "serials");

    for (unsigned i = 0; i < MIN(value_length(serials), (size_t)SERIAL_PORTS); i++) {
        const char *id = value_string(value_at(serials, i));
        if (!id) {
            continue;
        }
        g_autoptr(Value) index = value_new_uint(i);
        Device *serial = make(pc, &isa_serial_model, &pc->isa->bus, err);
        if (!serial || !device_set(serial, "index", index, err) || !set_text(serial, "chardev", id, err) || !finish(serial, err)) {
            return false;
        }
        pc->serial_ports |= 1u << i;
    }
    return true;
}

static bool make_debug_port(PcBoard *pc, GError **err)
{
    const char *id = value_get_string(pc->machine->config, "debugcon", NULL);
    Device *port;

    return !id || ((port = make(pc, &isa_debugcon_model, &pc->isa->bus, err)) && set_text(port, "chardev", id, err) && finish(port, err));
}

/* On the way to S3 the board leaves firmware the mark of a resume. */
static void note_s3(void *opaque, int pin, bool high)
{
    enum { SHUTDOWN_STATUS = 0x0f, RESUME = 0xfe };
    PcBoard *pc = opaque;

    (void)pin;
    if (high) {
        rtc_set_cmos(pc->rtc, SHUTDOWN_STATUS, RESUME);
    }
}

/* Functions 1 and 3 of the PIIX. */
static bool make_piix_functions(PcBoard *pc, GError **err)
{
    if (!(pc->ide = make(pc, &piix_ide_model, &pc->pci->bus, err)) || !set_text(pc->ide, "addr", "01.1", err)) {
        return false;
    }
    device_set_line(pc->ide, "irq14", isa_bus_irq(pc->isa, pc->ide, 14));
    device_set_line(pc->ide, "irq15", isa_bus_irq(pc->isa, pc->ide, 15));
    if (!finish(pc->ide, err) || !(pc->pm = make(pc, &piix4_pm_model, &pc->pci->bus, err)) || !set_text(pc->pm, "addr", "01.3", err)) {
        return false;
    }
    device_set_line(pc->pm, "sci", isa_bus_irq(pc->isa, pc->pm, PIIX4_SCI_IRQ));
    device_set_line(pc->pm, "cmos-s3", (IrqLine){ note_s3, pc, 0 });
    return finish(pc->pm, err);
}

/* The display adapter that vga= asks for; -device makes others. */
static bool make_display(PcBoard *pc, GError **err)
{
    Device *card;

    return strcmp(value_get_string(pc->machine->config, "vga", "none"), "std") != 0 ||
           ((card = make(pc, &stdvga_model, &pc->pci->bus, err)) && set_text(card, "addr", "02.0", err) && finish(card, err));
}

/* What ACPI needs so that PCI devices and processors can come and go. */
static bool make_hotplug(PcBoard *pc, GError **err)
{
    g_autoptr(Value) cpus = value_new_uint(pc->cpus), max_cpus = value_new_uint(pc->max_cpus);

    if (!pc->has_acpi) {
        return true;
    }
    if (!(pc->pci_hotplug = make(pc, &pci_hotplug_model, NULL, err))) {
        return false;
    }
    device_set_line(pc->pci_hotplug, "gpe", piix4_pm_gpe(pc->pm, PCI_HOTPLUG_GPE));
    if (!finish(pc->pci_hotplug, err) || !(pc->cpu_hotplug = make(pc, &cpu_hotplug_model, NULL, err)) ||
        !device_set(pc->cpu_hotplug, "cpus", cpus, err) || !device_set(pc->cpu_hotplug, "max-cpus", max_cpus, err)) {
        return false;
    }
    device_set_line(pc->cpu_hotplug, "gpe", piix4_pm_gpe(pc->pm, CPU_HOTPLUG_GPE));
    cpu_hotplug_set_apic_ids(pc->cpu_hotplug, pc->apic_ids, pc->max_cpus);
    return finish(pc->cpu_hotplug, err);
}

/* DMA controllers, and the floppy controller that needs them. */
static bool make_floppy_controller(PcBoard *pc, GError **err)
{
    Device *dma = make(pc, &i8257_model, &pc->isa->bus, err);

    return dma && finish(dma, err) && (pc->fdc = make(pc, &isa_fdc_model, &pc->isa->bus, err)) && finish(pc->fdc, err);
}

static bool make_floppy(PcBoard *pc, const Value *config, GError **err)
{
    g_autoptr(Value) unit = value_new_uint(value_get_uint(config, "index", 0)), id = value_new_string(value_get_string(config, "id", ""));
    Device *drive = make(pc, &floppy_model, isa_fdc_bus(pc->fdc), err);

    return drive && device_set(drive, "unit", unit, err) && device_set(drive, "drive", id, err) && finish(drive, err);
}

/* The device that a drive of the configuration stands for: index 0 and 1 are on ide.0, 2 and 3 on ide.1. if=virtio and if=none are named
 * by devices[]. */
static bool make_drive(PcBoard *pc, const Value *config, GError **err)
{
    bool cd = strcmp(value_get_string(config, "media", "disk"), "cdrom") == 0;
    uint64_t index = value_get_uint(config, "index", 0);
    Device *drive = make(pc, cd ? &ide_cd_model : &ide_hd_model, machine_find_bus(pc->machine, BUS_IDE, index < 2 ? "ide.0" : "ide.1"), err);
    g_autoptr(Value) unit = value_new_uint(index % 2), id = value_new_string(value_get_string(config, "id", ""));

    return drive && device_set(drive, "unit", unit, err) && device_set(drive, "drive", id, err) && finish(drive, err);
}

static bool make_drives(PcBoard *pc, GError **err)
{
    const Value *drives = value_get(pc->machine->config, "drives");

    for (size_t i = 0; i < value_length(drives); i++) {
        const char *interface = value_get_string(value_at(drives, i), "if", "ide");
        if ((strcmp(interface, "ide") == 0 && !make_drive(pc, value_at(drives, i), err)) ||
            (strcmp(interface, "floppy") == 0 && !make_floppy(pc, value_at(drives, i), err))) {
            return false;
        }
    }
    return true;
}

/* Floppy types, and the geometry of the two disks on the first cable, with how to fold it (a pair of bits each). */
static void write_cmos_drives(PcBoard *pc)
{
    enum { FLOPPIES = 0x10, DISKS = 0x12, DISK_TYPES = 0x19, FIRST_DISK = 0x1b, DISK_BYTES = 9, TRANSLATION = 0x39, USER_TYPE = 47 };
    uint8_t disks = 0, translation = 0;

    rtc_set_cmos(pc->rtc, FLOPPIES, (uint8_t)(isa_fdc_cmos_type(pc->fdc, 0) << 4 | isa_fdc_cmos_type(pc->fdc, 1)));
    for (unsigned i = 0; i < 4; i++) {
        IdeGeometry disk = { 0 };
        bool there = piix_ide_geometry(pc->ide, i / 2, i % 2, &disk);
        const uint8_t bytes[DISK_BYTES] = { (uint8_t)disk.cylinders, (uint8_t)(disk.cylinders >> 8), (uint8_t)disk.heads, 0xff, 0xff,
                                            (uint8_t)(0xc0 | (disk.heads > 8 ? 8 : 0)), (uint8_t)disk.cylinders, (uint8_t)(disk.cylinders >> 8),
                                            (uint8_t)disk.sectors };
        if (there) {
            translation = (uint8_t)(translation | (unsigned)(disk.translation - CHS_NONE) << 2 * i);
        }
        if (i >= 2) {
            continue;
        }
        disks = (uint8_t)(disks | (there ? i ? 0x0f : 0xf0 : 0));
        rtc_set_cmos(pc->rtc, (uint8_t)(DISK_TYPES + i), there ? USER_TYPE : 0);
        for (unsigned j = 0; j < DISK_BYTES; j++) {
            rtc_set_cmos(pc->rtc, (uint8_t)(FIRST_DISK + i * DISK_BYTES + j), there ? bytes[j] : 0);
        }
    }
    rtc_set_cmos(pc->rtc, DISKS, disks);
    rtc_set_cmos(pc->rtc, TRANSLATION, translation);
}

static uint8_t equipment(PcBoard *pc)
{
    enum { FLOPPY = 0x01, FPU = 0x02, MOUSE = 0x04 };
    unsigned floppies = (isa_fdc_cmos_type(pc->fdc, 0) != 0) + (isa_fdc_cmos_type(pc->fdc, 1) != 0);

    return (uint8_t)(FPU | MOUSE | (floppies ? FLOPPY | (floppies - 1) << 6 : 0));
}

/* CMOS bytes that BIOSes read: memory sizes, equipment, processors, and the boot order in codes of a nibble. */
static void write_cmos(PcBoard *pc, const char *order)
{
    enum { EQUIPMENT = 0x14, BOOT_FLAGS = 0x38, BOOT_ORDER = 0x3d, CPUS = 0x5f };
    uint8_t codes[3] = { 0 };

    for (unsigned i = 0; i < sizeof codes && order[i]; i++) {
        codes[i] = order[i] == 'a' || order[i] == 'b' ? 1 : order[i] == 'c' ? 2 : order[i] == 'd' ? 3 : order[i] == 'n' ? 4 : 0;
    }
    rtc_set_memory_size(pc->rtc, i440fx_ram_below_4g(pc->pcihost), i440fx_ram_above_4g(pc->pcihost));
    rtc_set_cmos(pc->rtc, EQUIPMENT, equipment(pc));
    write_cmos_drives(pc);
    rtc_set_cmos(pc->rtc, CPUS, (uint8_t)(pc->cpus - 1));
    rtc_set_cmos(pc->rtc, BOOT_FLAGS, (uint8_t)(codes[2] << 4));
    rtc_set_cmos(pc->rtc, BOOT_ORDER, (uint8_t)(codes[1] << 4 | codes[0]));
}

static bool make_fw_cfg(PcBoard *pc, GError **err)
{
    Device *device = make(pc, &fw_cfg_model, NULL, err);

    pc->fw_cfg = (FwCfg *)device;
    return device && finish(device, err);
}

/* A display adapter, which shows nothing until its BIOS has run. */
static bool has_vga(const PciBus *bus)
{
    enum { CLASS_VGA = 0x0300 };

    for (unsigned devfn = 0; devfn < PCI_DEVFNS; devfn++) {
        const PciDevice *pci = pci_bus_function(bus, devfn);
        if (pci && pci_config_get16(pci, PCI_CLASS_DEVICE) == CLASS_VGA) {
            return true;
        }
    }
    return false;
}

/* Last of all, since the tables tell of the user's devices too. */
static bool pc_complete(Machine *machine, GError **err)
{
    PcBoard *pc = machine->board_data;
    const Device *pvpanic = machine_find_model(machine, &pvpanic_model);
    const PcLayout layout = {
        .pci_memory = i440fx_pci_memory(pc->pcihost), .pci_bus = pc->pci, .fw_cfg = pc->fw_cfg,
        .below_4g = i440fx_ram_below_4g(pc->pcihost), .above_4g = i440fx_ram_above_4g(pc->pcihost),
        .apic_ids = pc->apic_ids, .cpus = pc->cpus, .max_cpus = pc->max_cpus, .serial_ports = pc->serial_ports,
        .hpet = pc->hpet != NULL, .acpi = pc->has_acpi, .pm = pc->pm,
        .pvpanic_port = pvpanic ? (uint16_t)device_get_uint(pvpanic, "ioport", 0) : 0,
        .vga = has_vga(pc->pci),  .cpu_hotplug = pc->cpu_hotplug != NULL, .pci_hotplug = pc->pci_hotplug != NULL,
    };

    const Value *boot = value_get(machine->config, "boot");
    bool rom_first = value_get(boot, "kernel") && (value_get(boot, "firmware") || layout.vga);

    return pc_firmware_build(&pc->firmware, pc->machine, &layout, err) &&
           (fw_cfg_file(pc->fw_cfg, "bootorder") || bootorder_add(pc->fw_cfg, machine, rom_first ? linuxboot_order : "", err));
}

static void pc_after_reset(Machine *machine)
{
    PcBoard *pc = machine->board_data;
    const Value *boot = value_get(machine->config, "boot");
    const char *order = value_get_string(boot, "order", "cad"), *once = value_get_string(boot, "once", NULL);

    write_cmos(pc, once && machine->state == RUN_PRELAUNCH ? once : order);
    pc_firmware_reset(&pc->firmware, machine);
}

static void pc_free(Machine *machine)
{
    PcBoard *pc = machine->board_data;

    pc_firmware_free(&pc->firmware);
    if (pc->intc) {
        intc_free(pc->intc);
    }
    for (guint i = 0; i < pc->unfinished->len; i++) {
        object_unref(pc->unfinished->pdata[i]);
    }
    g_ptr_array_free(pc->unfinished, TRUE);
    g_free(pc);
}

static bool pc_build(Machine *machine, GError **err)
{
    const Value *options = value_get(machine->config, "machine");
    PcBoard *pc = g_new0(PcBoard, 1);

    pc->machine = machine;
    pc->unfinished = g_ptr_array_new();
    machine->board_data = pc;
    machine->free_board = pc_free;
    machine->complete_board = pc_complete;
    machine->after_reset = pc_after_reset;
    pc->has_acpi = value_get_flag(options, "acpi", true) && !value_get_bool(machine->config, "no-acpi", false);
    pc->has_hpet = value_get_flag(options, "hpet", true) && !value_get_bool(machine->config, "no-hpet", false);
    return make_chipset(pc, err) && make_interrupts(pc, err) && make_cpus(pc, err) && make_timers(pc, err) && make_keyboard(pc, err) &&
           make_serials(pc, err) && make_debug_port(pc, err) && make_floppy_controller(pc, err) && make_piix_functions(pc, err) && make_display(pc, err) && make_hotplug(pc, err) &&
           make_fw_cfg(pc, err) && make_drives(pc, err);
}

#define PC_BOARD(version, more)                                                                                    \
    { .name = "pc-i440fx-" version, .help = "Standard PC (i440FX + PIIX, 1996)", .max_cpus = PC_CPUS_MOST, .build = pc_build, more }

/* The names of QEMU's versions are accepted; they are one machine here. */
const BoardModel pc_boards[PC_BOARDS] = {
    PC_BOARD("7.2", .alias = "pc"), PC_BOARD("7.1", .alias = NULL), PC_BOARD("7.0", .alias = NULL), PC_BOARD("6.2", .alias = NULL),
    PC_BOARD("6.1", .alias = NULL), PC_BOARD("6.0", .alias = NULL), PC_BOARD("5.2", .alias = NULL), PC_BOARD("5.1", .alias = NULL),
    PC_BOARD("5.0", .alias = NULL), PC_BOARD("4.2", .alias = NULL), PC_BOARD("4.1", .alias = NULL),
};
