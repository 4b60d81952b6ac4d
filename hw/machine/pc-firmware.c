/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pc-firmware.c - what a PC tells its firmware, or does itself where a kernel is started without any
 *
 * Two ways:  SeaBIOS runs (no -kernel, or -bios): its ROM ends at 4 GiB, tables and settings wait in fw_cfg; a kernel is
 *            fetched by an option ROM (linuxboot.c).
 *            -kernel: no firmware; a small ROM below 1 MiB holds the ACPI root pointer and the SMBIOS tables, the ACPI
 *            tables stand at the end of low RAM, and boot.c sets the boot processor at the kernel's entry.
 *
 * Threads  main loop, machine lock held
 * Tests    tests/dev/pc.c, tests/dev/fw_cfg.c, tests/guest
 */
#include "hw/machine/pc-firmware.h"
#include "base/bytes.h"
#include "base/error.h"
#include "hw/chipset/pci-hotplug.h"
#include "hw/chipset/piix4-pm.h"
#include "hw/machine/acpi.h"
#include "hw/machine/direct.h"
#include "hw/machine/firmware.h"
#include "hw/machine/linuxboot.h"
#include "hw/machine/smbios.h"
#include <errno.h>
#include <string.h>

enum { BIOS_UNIT = 0x10000, BIOS_MOST = 0x1000000, LOW_BIOS = 0x20000, LOW_END = 0x9fc00, ONE_MIB = 0x100000, PM_BASE = 0x600,
       TABLES_UNIT = 0x10000 };
enum { DIRECT_ROM = 0xe0000, DIRECT_RSDP = 0xf0000, DIRECT_ANCHOR = 0xf0040, DIRECT_SMBIOS = 0xf0080, DIRECT_SMBIOS_MOST = 0xff00 };
#define FOUR_GIB (UINT64_C(1) << 32)
static const char default_bios[] = "bios-256k.bin";

static bool map_bios(PcFirmware *firmware, const PcLayout *layout, const char *name, GError **err)
{
    g_autofree uint8_t *data = NULL;
    size_t length;

    if (!firmware_read("firmware", name, &data, &length, err)) {
        return false;
    }
    if (length == 0 || length % BIOS_UNIT || length > BIOS_MOST) {
        return fail(err, EINVAL, "firmware '%s': %zu bytes are no BIOS; it takes a multiple of 64 KiB, at most 16 MiB", name, length);
    }
    if (!region_init_rom(&firmware->bios, "pc.bios", length, err)) {
        return false;
    }
    memcpy(region_host(&firmware->bios), data, length);
    uint64_t low = MIN(length, (size_t)LOW_BIOS);
    region_init_alias(&firmware->bios_low, "isa-bios", &firmware->bios, length - low, low);
    region_add(layout->pci_memory, FOUR_GIB - length, &firmware->bios, 0);
    region_add(layout->pci_memory, ONE_MIB - low, &firmware->bios_low, 1);
    firmware->has_bios = true;
    return true;
}

static bool map_direct_rom(PcFirmware *firmware, const PcLayout *layout, GError **err)
{
    if (!region_init_rom(&firmware->bios, "pc.tables", LOW_BIOS, err)) {
        return false;
    }
    region_init_alias(&firmware->bios_low, "isa-tables", &firmware->bios, 0, LOW_BIOS);
    region_add(layout->pci_memory, DIRECT_ROM, &firmware->bios_low, 1);
    firmware->has_bios = true;
    return true;
}

static void build_map(PcFirmware *firmware, const PcLayout *layout)
{
    MemoryMap *map = &firmware->map;
    uint64_t tables = firmware->acpi ? (firmware->acpi->len + TABLES_UNIT - 1) & ~(uint64_t)(TABLES_UNIT - 1) : 0;
    uint64_t end = layout->below_4g > ONE_MIB + tables ? layout->below_4g - tables : layout->below_4g;

    map->below_4g = end;
    map->above_4g = layout->above_4g;
    firmware->acpi_address = end;
    map_add(map, 0, MIN(layout->below_4g, (uint64_t)LOW_END), E820_RAM);
    map_add(map, LOW_END, 0xa0000 - LOW_END, E820_RESERVED);
    map_add(map, 0xf0000, 0x10000, E820_RESERVED);
    map_add(map, ONE_MIB, end > ONE_MIB ? end - ONE_MIB : 0, E820_RAM);
    map_add(map, end, layout->below_4g - end, E820_RESERVED);
    map_add(map, FOUR_GIB, layout->above_4g, E820_RAM);
    map->rsdp = firmware->rsdp ? DIRECT_RSDP : 0;
}

static void build_acpi(PcFirmware *firmware, const PcLayout *layout, AcpiTables *tables)
{
    AcpiConfig config = {
        .apic_ids = layout->apic_ids, .cpu_count = layout->max_cpus, .cpus_present = layout->cpus, .pci_window_start = firmware->window_start,
        .sci_irq = PIIX4_SCI_IRQ, .pm_base = PM_BASE, .gpe_base = PIIX4_GPE0_BASE, .hpet = layout->hpet,
        .serial_ports = layout->serial_ports, .keyboard = true, .pvpanic = layout->pvpanic_port != 0, .pvpanic_port = layout->pvpanic_port,
        .cpu_hotplug = layout->cpu_hotplug,
        .pci_hotplug = layout->pci_hotplug, .pci_slots = layout->pci_hotplug ? pci_hotplug_removable(layout->pci_bus) : 0,
    };

    piix4_pm_sleep_states(layout->pm, &config.s3, &config.s4, &config.s4_type);
    acpi_build(&config, tables);
}

static bool build_smbios(PcFirmware *firmware, const Machine *machine, const PcLayout *layout, GError **err)
{
    const Value *smp = value_get(machine->config, "smp");
    const char *type = value_get_string(value_get(machine->config, "machine"), "type", "pc");
    g_autofree CpuState *cpu = g_new0(CpuState, 1);

    if (machine->cpus->len) {
        cpu_get_state(machine->cpus->pdata[0], cpu);
    }
    const SmbiosConfig config = {
        .machine = strcmp(type, "pc") == 0 ? "pc-i440fx-7.2" : type, .uuid = value_get_string(machine->config, "uuid", NULL),
        .ram_below_4g = layout->below_4g, .ram_above_4g = layout->above_4g,
        .sockets = (unsigned)value_get_uint(smp, "sockets", layout->cpus),
        .cores = (unsigned)(value_get_uint(smp, "cores", 1) * value_get_uint(smp, "dies", 1)),
        .threads = (unsigned)(value_get_uint(smp, "cores", 1) * value_get_uint(smp, "dies", 1) * value_get_uint(smp, "threads", 1)),
        .cpu_signature = (uint32_t)cpu->gpr[GPR_RDX], .cpu_features = 0x078bfbff,
    };
    if (!smbios_build(&config, value_get(machine->config, "smbios"), &firmware->smbios_anchor, &firmware->smbios, err)) {
        return false;
    }
    if (firmware->smbios->len > DIRECT_SMBIOS_MOST) {
        return fail(err, E2BIG, "-smbios: %u bytes of tables, at most %d fit below 1 MiB", firmware->smbios->len, DIRECT_SMBIOS_MOST);
    }
    return true;
}

static bool add_array(FwCfg *fw_cfg, const char *name, const GByteArray *data, GError **err)
{
    return fw_cfg_add_file(fw_cfg, name, data->data, data->len, err);
}

/* RAM as SeaBIOS wants it: whole ranges, from which it takes its own places. */
static bool add_e820(FwCfg *fw_cfg, const PcLayout *layout, GError **err)
{
    uint8_t entries[2 * MAP_ENTRY_BYTES];

    map_entry_store(&(MapEntry){ 0, layout->below_4g, E820_RAM }, entries);
    map_entry_store(&(MapEntry){ FOUR_GIB, layout->above_4g, E820_RAM }, entries + MAP_ENTRY_BYTES);
    return fw_cfg_add_file(fw_cfg, "etc/e820", entries, layout->above_4g ? sizeof entries : MAP_ENTRY_BYTES, err);
}

static void add_uuid(FwCfg *fw_cfg, const char *text)
{
    uint8_t uuid[16] = { 0 };

    if (text) {
        parse_uuid(text, uuid);
    }
    fw_cfg_add(fw_cfg, FW_CFG_UUID, uuid, sizeof uuid);
}

/* What -boot says beyond the order, which is in CMOS. */
static bool add_boot_settings(FwCfg *fw_cfg, const Machine *machine, GError **err)
{
    const Value *boot = value_get(machine->config, "boot");
    uint64_t splash_time = value_get_uint(boot, "splash-time", UINT64_MAX);
    uint64_t reboot_timeout = value_get_uint(boot, "reboot-timeout", UINT64_MAX);
    uint8_t number[4];

    fw_cfg_add_u16(fw_cfg, FW_CFG_BOOT_MENU, value_get_flag(boot, "menu", false));
    if (splash_time <= UINT16_MAX) {
        store_le16(number, (uint16_t)splash_time);
        if (!fw_cfg_add_file(fw_cfg, "etc/boot-menu-wait", number, 2, err)) {
            return false;
        }
    }
    store_le32(number, reboot_timeout <= UINT16_MAX ? (uint32_t)reboot_timeout : UINT32_MAX);
    return fw_cfg_add_file(fw_cfg, "etc/boot-fail-wait", number, 4, err);
}

static bool add_items(PcFirmware *firmware, Machine *machine, const PcLayout *layout, const AcpiTables *tables, GError **err)
{
    FwCfg *fw_cfg = layout->fw_cfg;
    bool graphics = value_get_flag(value_get(machine->config, "machine"), "graphics", true);
    const uint8_t irq0_override = 1;
    uint8_t console_port[2];

    fw_cfg_add_u64(fw_cfg, FW_CFG_RAM_SIZE, machine->ram_size);
    fw_cfg_add_u16(fw_cfg, FW_CFG_NOGRAPHIC, !graphics);
    fw_cfg_add_u16(fw_cfg, FW_CFG_NB_CPUS, (uint16_t)layout->cpus);
    fw_cfg_add_u16(fw_cfg, FW_CFG_MAX_CPUS, (uint16_t)layout->max_cpus);
    fw_cfg_add(fw_cfg, FW_CFG_IRQ0_OVERRIDE, &irq0_override, 1);
    add_uuid(fw_cfg, value_get_string(machine->config, "uuid", NULL));
    store_le16(console_port, 0x3f8);
    if (!graphics && (layout->serial_ports & 1) && !fw_cfg_add_file(fw_cfg, "etc/sercon-port", console_port, 2, err)) {
        return false;
    }
    if (layout->acpi && (!add_array(fw_cfg, "etc/acpi/rsdp", tables->rsdp, err) || !add_array(fw_cfg, "etc/acpi/tables", tables->tables, err) ||
                         !add_array(fw_cfg, "etc/table-loader", tables->loader, err))) {
        return false;
    }
    return add_e820(fw_cfg, layout, err) && add_array(fw_cfg, "etc/smbios/smbios-anchor", firmware->smbios_anchor, err) &&
           add_array(fw_cfg, "etc/smbios/smbios-tables", firmware->smbios, err) && add_boot_settings(fw_cfg, machine, err) &&
           fw_cfg_add_user_files(fw_cfg, value_get(machine->config, "fw_cfg"), err);
}

static bool build_direct(PcFirmware *firmware, Machine *machine, const PcLayout *layout, AcpiTables *tables, const Value *boot, GError **err)
{
    if (layout->acpi) {
        firmware->rsdp = g_byte_array_ref(tables->rsdp);
        firmware->acpi = g_byte_array_ref(tables->tables);
    }
    build_map(firmware, layout);
    if (layout->acpi) {
        acpi_link(tables, DIRECT_RSDP, firmware->acpi_address);
    }
    smbios_link(firmware->smbios_anchor, DIRECT_SMBIOS);
    firmware->boot = boot_open(machine, boot, &firmware->map, err);
    return firmware->boot && map_direct_rom(firmware, layout, err);
}

/* A kernel that firmware starts: it must leave the firmware what that takes for itself at the end of low RAM. */
static bool add_kernel(const PcLayout *layout, Machine *machine, const Value *config, GError **err)
{
    uint64_t end = layout->below_4g > 2 * ONE_MIB ? layout->below_4g - ONE_MIB : layout->below_4g;
    MemoryMap map = { .below_4g = end };

    map_add(&map, 0, MIN(end, (uint64_t)LOW_END), E820_RAM);
    map_add(&map, ONE_MIB, end > ONE_MIB ? end - ONE_MIB : 0, E820_RAM);
    Boot *boot = boot_open(machine, config, &map, err);
    bool ok = boot && linuxboot_add(layout->fw_cfg, boot, err);
    boot_free(boot);
    return ok;
}

bool pc_firmware_build(PcFirmware *firmware, Machine *machine, const PcLayout *layout, GError **err)
{
    const Value *boot = value_get(machine->config, "boot");
    const char *bios = value_get_string(boot, "firmware", NULL), *kernel = value_get_string(boot, "kernel", NULL);
    AcpiTables tables = { 0 };
    bool ok;

    bios = !bios && kernel && layout->vga ? default_bios : bios;
    firmware->pci_bus = layout->pci_bus;
    firmware->window_start = MAX((uint32_t)layout->below_4g, 0xc0000000u);
    if (!kernel && value_get_string(boot, "initrd", NULL)) {
        return fail(err, EINVAL, "-initrd needs -kernel");
    }
    if (!kernel && value_get_string(boot, "append", NULL)) {
        return fail(err, EINVAL, "-append needs -kernel");
    }
    build_acpi(firmware, layout, &tables);
    ok = build_smbios(firmware, machine, layout, err) && add_items(firmware, machine, layout, &tables, err) &&
         (kernel && !bios ? build_direct(firmware, machine, layout, &tables, boot, err)
                          : map_bios(firmware, layout, bios ? bios : default_bios, err)) &&
         (!kernel || !bios || add_kernel(layout, machine, boot, err));
    acpi_tables_clear(&tables);
    return ok;
}

void pc_firmware_reset(PcFirmware *firmware, Machine *machine)
{
    if (!firmware->boot) {
        return;
    }
    direct_set_up(firmware->pci_bus, PM_BASE, firmware->window_start);
    if (firmware->rsdp) {
        space_write_rom(machine->memory, DIRECT_RSDP, firmware->rsdp->data, firmware->rsdp->len);
        space_write_rom(machine->memory, firmware->acpi_address, firmware->acpi->data, firmware->acpi->len);
    }
    space_write_rom(machine->memory, DIRECT_ANCHOR, firmware->smbios_anchor->data, firmware->smbios_anchor->len);
    space_write_rom(machine->memory, DIRECT_SMBIOS, firmware->smbios->data, firmware->smbios->len);
    boot_place(firmware->boot);
}

void pc_firmware_free(PcFirmware *firmware)
{
    boot_free(firmware->boot);
    g_clear_pointer(&firmware->rsdp, g_byte_array_unref);
    g_clear_pointer(&firmware->acpi, g_byte_array_unref);
    g_clear_pointer(&firmware->smbios_anchor, g_byte_array_unref);
    g_clear_pointer(&firmware->smbios, g_byte_array_unref);
    if (firmware->has_bios) {
        region_remove(&firmware->bios_low);
        region_remove(&firmware->bios);
        region_destroy(&firmware->bios_low);
        region_destroy(&firmware->bios);
    }
}
