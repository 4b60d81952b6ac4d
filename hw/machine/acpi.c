/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * acpi.c - FACS, DSDT, FADT, MADT, HPET, WAET, RSDT, RSDP, and the script that links them
 *
 * Follows  ACPI 6.4 chapter 5; the table loader's commands are those that SeaBIOS and OVMF run
 * Layout   all tables in one blob in this order: FACS (aligned to 64), DSDT, FADT, MADT, HPET, WAET, RSDT;
 *          pointers hold offsets into the blob until they are linked
 * Tests    tests/unit/acpi.c: checksums, pointers after acpi_link(), iasl where it is installed; tests/guest
 */
#include "hw/machine/acpi.h"
#include "base/bytes.h"
#include "hw/machine/acpi-dsdt.h"
#include <string.h>

enum { HEADER = 36, FACS_SIZE = 64, TABLES_MOST = 8, LOADER_ENTRY = 128, NAME_FIELD = 56 };
enum { LOADER_ALLOCATE = 1, LOADER_POINTER = 2, LOADER_CHECKSUM = 3, ZONE_HIGH = 1, ZONE_FSEG = 2 };
static const char rsdp_file[] = "etc/acpi/rsdp", tables_file[] = "etc/acpi/tables";

/* A table being written: the blob, the table's start. */
typedef struct Writer {
    AcpiTables *out;
    guint start;
    guint tables[TABLES_MOST];             /* offsets of what the RSDT lists */
    unsigned count;
} Writer;

static void put8(Writer *w, uint8_t value)
{
    g_byte_array_append(w->out->tables, &value, 1);
}

static void put16(Writer *w, uint16_t value)
{
    uint8_t bytes[2];

    store_le16(bytes, value);
    g_byte_array_append(w->out->tables, bytes, sizeof bytes);
}

static void put32(Writer *w, uint32_t value)
{
    uint8_t bytes[4];

    store_le32(bytes, value);
    g_byte_array_append(w->out->tables, bytes, sizeof bytes);
}

static void put64(Writer *w, uint64_t value)
{
    put32(w, (uint32_t)value);
    put32(w, (uint32_t)(value >> 32));
}

static void put_zeros(Writer *w, unsigned count)
{
    while (count--) {
        put8(w, 0);
    }
}

/* Script entries: command, file names in fields of 56 bytes, numbers (the loader's own layout). */
static void loader_entry(Writer *w, uint8_t entry[LOADER_ENTRY], uint32_t command, const char *file)
{
    store_le32(entry, command);
    memcpy(entry + 4, file, strlen(file));
    g_byte_array_append(w->out->loader, entry, LOADER_ENTRY);
}

static void script_allocate(Writer *w, const char *file, uint32_t align, uint8_t zone)
{
    uint8_t entry[LOADER_ENTRY] = { 0 };

    store_le32(entry + 4 + NAME_FIELD, align);
    entry[8 + NAME_FIELD] = zone;
    loader_entry(w, entry, LOADER_ALLOCATE, file);
}

static void script_pointer(Writer *w, const char *file, uint32_t offset, uint8_t size)
{
    uint8_t entry[LOADER_ENTRY] = { 0 };

    memcpy(entry + 4 + NAME_FIELD, tables_file, sizeof tables_file);
    store_le32(entry + 4 + 2 * NAME_FIELD, offset);
    entry[8 + 2 * NAME_FIELD] = size;
    loader_entry(w, entry, LOADER_POINTER, file);
}

static void script_checksum(Writer *w, const char *file, uint32_t offset, uint32_t start, uint32_t length)
{
    uint8_t entry[LOADER_ENTRY] = { 0 };

    store_le32(entry + 4 + NAME_FIELD, offset);
    store_le32(entry + 8 + NAME_FIELD, start);
    store_le32(entry + 12 + NAME_FIELD, length);
    loader_entry(w, entry, LOADER_CHECKSUM, file);
}

/* A pointer field: the offset now, the address when the script has run. */
static void put_pointer(Writer *w, uint32_t offset_of_target, uint8_t size)
{
    script_pointer(w, tables_file, w->out->tables->len, size);
    if (size == 8) {
        put64(w, offset_of_target);
    } else {
        put32(w, offset_of_target);
    }
}

static void table_begin(Writer *w, const char *signature, uint8_t revision)
{
    w->start = w->out->tables->len;
    g_byte_array_append(w->out->tables, (const uint8_t *)signature, 4);
    put32(w, 0);                           /* length, at the end */
    put8(w, revision);
    put8(w, 0);                            /* checksum, by the script */
    g_byte_array_append(w->out->tables, (const uint8_t *)"ROOST ROOSTPC ", 14);
    put32(w, 1);
    g_byte_array_append(w->out->tables, (const uint8_t *)"RST ", 4);
    put32(w, 1);
}

static void table_end(Writer *w, bool listed)
{
    guint length = w->out->tables->len - w->start;

    store_le32(w->out->tables->data + w->start + 4, length);
    script_checksum(w, tables_file, w->start + 9, w->start, length);
    if (listed) {
        w->tables[w->count++] = w->start;
    }
}

static void write_facs(Writer *w)
{
    g_byte_array_append(w->out->tables, (const uint8_t *)"FACS", 4);
    put32(w, FACS_SIZE);
    put_zeros(w, FACS_SIZE - 8);
}

static guint write_dsdt(Writer *w, const AcpiConfig *config)
{
    Aml aml;

    table_begin(w, "DSDT", 1);
    guint start = w->start;
    aml_init(&aml);
    dsdt_write(&aml, config);
    g_byte_array_append(w->out->tables, aml.bytes->data, aml.bytes->len);
    aml_clear(&aml);
    table_end(w, false);
    return start;
}

/* A generic address: space 1 I/O, width in bits, access size. */
static void put_address(Writer *w, uint8_t space, uint8_t width, uint8_t access, uint64_t address)
{
    put8(w, space);
    put8(w, width);
    put8(w, 0);
    put8(w, access);
    put64(w, address);
}

enum { FADT_WBINVD = 1 << 0, FADT_PROC_C1 = 1 << 2, FADT_SLEEP_BUTTON = 1 << 5, FADT_RTC_S4 = 1 << 7, FADT_RESET = 1 << 10,
       FADT_PLATFORM_CLOCK = 1 << 15, BOOT_LEGACY = 1, BOOT_8042 = 2 };

static void write_fadt(Writer *w, const AcpiConfig *config, uint32_t dsdt)
{
    table_begin(w, "FACP", 3);
    put_pointer(w, 0, 4);                  /* FACS stands first */
    put_pointer(w, dsdt, 4);
    put8(w, 1);                            /* interrupt model, as revision 1 has it */
    put8(w, 0);                            /* preferred profile: unspecified */
    put16(w, config->sci_irq);
    put32(w, 0xb2);                        /* SMI command port, and what enables and disables ACPI */
    put8(w, 0xf1);
    put8(w, 0xf0);
    put8(w, 0);
    put8(w, 0);
    put32(w, config->pm_base);             /* PM1a event, PM1b, PM1a control, PM1b, PM2, timer, GPE0, GPE1 */
    put32(w, 0);
    put32(w, config->pm_base + 4u);
    put32(w, 0);
    put32(w, 0);
    put32(w, config->pm_base + 8u);
    put32(w, config->gpe_base);
    put32(w, 0);
    put8(w, 4);                            /* lengths of the above */
    put8(w, 2);
    put8(w, 0);
    put8(w, 4);
    put8(w, 4);
    put8(w, 0);
    put8(w, 0);
    put8(w, 0);
    put16(w, 0xfff);                       /* no C2, no C3 */
    put16(w, 0xfff);
    put16(w, 0);                           /* flush size, stride, duty */
    put16(w, 0);
    put8(w, 0);
    put8(w, 0);
    put8(w, 0);                            /* no day and month alarm; the century is CMOS byte 32h */
    put8(w, 0);
    put8(w, 0x32);
    put16(w, BOOT_LEGACY | (config->keyboard ? BOOT_8042 : 0));
    put8(w, 0);
    put32(w, FADT_WBINVD | FADT_PROC_C1 | FADT_SLEEP_BUTTON | FADT_RTC_S4 | FADT_RESET | FADT_PLATFORM_CLOCK);
    put_address(w, 1, 8, 1, 0xcf9);
    put8(w, 0x0f);
    put_zeros(w, 3);
    put64(w, 0);                           /* the 64-bit FACS and DSDT: the 32-bit ones serve */
    put64(w, 0);
    put_address(w, 1, 32, 2, config->pm_base);
    put_address(w, 0, 0, 0, 0);
    put_address(w, 1, 16, 2, config->pm_base + 4u);
    put_address(w, 0, 0, 0, 0);
    put_address(w, 0, 0, 0, 0);
    put_address(w, 1, 32, 3, config->pm_base + 8u);
    put_address(w, 1, 32, 1, config->gpe_base);
    put_address(w, 0, 0, 0, 0);
    table_end(w, true);
}

enum { MADT_LAPIC = 0, MADT_IOAPIC = 1, MADT_OVERRIDE = 2, MADT_LAPIC_NMI = 4, MADT_X2APIC = 9, MADT_X2APIC_NMI = 10,
       ACTIVE_HIGH_LEVEL = 0x0d, PCAT_COMPATIBLE = 1 };

static void write_override(Writer *w, uint8_t irq, uint32_t gsi, uint16_t flags)
{
    put8(w, MADT_OVERRIDE);
    put8(w, 10);
    put8(w, 0);
    put8(w, irq);
    put32(w, gsi);
    put16(w, flags);
}

static void write_processor(Writer *w, unsigned uid, uint32_t apic_id, bool enabled)
{
    if (apic_id < 255) {
        put8(w, MADT_LAPIC);
        put8(w, 8);
        put8(w, (uint8_t)uid);
        put8(w, (uint8_t)apic_id);
        put32(w, enabled);
        return;
    }
    put8(w, MADT_X2APIC);
    put8(w, 16);
    put16(w, 0);
    put32(w, apic_id);
    put32(w, enabled);
    put32(w, uid);
}

static void write_madt(Writer *w, const AcpiConfig *config)
{
    static const uint8_t pci_irqs[] = { 5, 9, 10, 11 };
    bool big = false;

    table_begin(w, "APIC", 1);
    put32(w, 0xfee00000);
    put32(w, PCAT_COMPATIBLE);
    for (unsigned i = 0; i < config->cpu_count; i++) {
        write_processor(w, i, config->apic_ids[i], i < config->cpus_present);
        big |= config->apic_ids[i] >= 255;
    }
    put8(w, MADT_IOAPIC);
    put8(w, 12);
    put8(w, 0);
    put8(w, 0);
    put32(w, 0xfec00000);
    put32(w, 0);
    write_override(w, 0, 2, 0);            /* the timer comes in at pin 2 */
    for (unsigned i = 0; i < G_N_ELEMENTS(pci_irqs); i++) {
        write_override(w, pci_irqs[i], pci_irqs[i], ACTIVE_HIGH_LEVEL);
    }
    if (big) {
        put8(w, MADT_X2APIC_NMI);
        put8(w, 12);
        put16(w, 0);
        put32(w, UINT32_MAX);
        put8(w, 1);
        put_zeros(w, 3);
    } else {
        put8(w, MADT_LAPIC_NMI);
        put8(w, 6);
        put8(w, 0xff);
        put16(w, 0);
        put8(w, 1);
    }
    table_end(w, true);
}

static void write_hpet(Writer *w)
{
    table_begin(w, "HPET", 1);
    put32(w, 0x8086a201);
    put_address(w, 0, 0, 0, 0xfed00000);
    put8(w, 0);
    put16(w, 0);
    put8(w, 0);
    table_end(w, true);
}

/* Tells Windows that reading the RTC's register C once, and the PM timer without checking, is enough. */
static void write_waet(Writer *w)
{
    table_begin(w, "WAET", 1);
    put32(w, 2);
    table_end(w, true);
}

static guint write_rsdt(Writer *w)
{
    table_begin(w, "RSDT", 1);
    guint start = w->start;
    for (unsigned i = 0; i < w->count; i++) {
        put_pointer(w, w->tables[i], 4);
    }
    table_end(w, false);
    return start;
}

static void write_rsdp(Writer *w, uint32_t rsdt)
{
    uint8_t rsdp[20] = "RSD PTR ";

    memcpy(rsdp + 9, "ROOST ", 6);
    store_le32(rsdp + 16, rsdt);
    g_byte_array_append(w->out->rsdp, rsdp, sizeof rsdp);
    script_pointer(w, rsdp_file, 16, 4);
    script_checksum(w, rsdp_file, 8, 0, sizeof rsdp);
}

void acpi_build(const AcpiConfig *config, AcpiTables *out)
{
    Writer w = { .out = out };

    out->rsdp = g_byte_array_new();
    out->tables = g_byte_array_new();
    out->loader = g_byte_array_new();
    script_allocate(&w, rsdp_file, 16, ZONE_FSEG);
    script_allocate(&w, tables_file, 64, ZONE_HIGH);
    write_facs(&w);
    guint dsdt = write_dsdt(&w, config);
    write_fadt(&w, config, dsdt);
    write_madt(&w, config);
    if (config->hpet) {
        write_hpet(&w);
    }
    write_waet(&w);
    write_rsdp(&w, write_rsdt(&w));
}

void acpi_tables_clear(AcpiTables *tables)
{
    g_clear_pointer(&tables->rsdp, g_byte_array_unref);
    g_clear_pointer(&tables->tables, g_byte_array_unref);
    g_clear_pointer(&tables->loader, g_byte_array_unref);
}

static void link_pointer(GByteArray *file, uint32_t offset, uint8_t size, uint64_t base)
{
    uint8_t *at = file->data + offset;

    if (size == 8) {
        store_le64(at, load_le64(at) + base);
    } else {
        store_le32(at, load_le32(at) + (uint32_t)base);
    }
}

static void link_checksum(GByteArray *file, uint32_t offset, uint32_t start, uint32_t length)
{
    uint8_t sum = 0;

    file->data[offset] = 0;
    for (uint32_t i = 0; i < length; i++) {
        sum = (uint8_t)(sum + file->data[start + i]);
    }
    file->data[offset] = (uint8_t)-sum;
}

/* The script has been written before its checksums are due: pointers first, then sums, whatever the order in it. */
void acpi_link(AcpiTables *tables, uint64_t rsdp_address, uint64_t tables_address)
{
    (void)rsdp_address;                    /* nothing points at the root pointer */
    for (unsigned pass = 0; pass < 2; pass++) {
        for (guint at = 0; at + LOADER_ENTRY <= tables->loader->len; at += LOADER_ENTRY) {
            const uint8_t *entry = tables->loader->data + at;
            GByteArray *file = strcmp((const char *)entry + 4, rsdp_file) == 0 ? tables->rsdp : tables->tables;
            uint32_t command = load_le32(entry);
            if (pass == 0 && command == LOADER_POINTER) {
                link_pointer(file, load_le32(entry + 4 + 2 * NAME_FIELD), entry[8 + 2 * NAME_FIELD], tables_address);
            } else if (pass == 1 && command == LOADER_CHECKSUM) {
                link_checksum(file, load_le32(entry + 4 + NAME_FIELD), load_le32(entry + 8 + NAME_FIELD),
                              load_le32(entry + 12 + NAME_FIELD));
            }
        }
    }
}
