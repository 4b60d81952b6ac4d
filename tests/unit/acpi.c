/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * acpi.c - ACPI tables as a guest finds them: by signature, length, checksum and pointer, and as iasl reads them
 *
 * The loader script is run here by an interpreter of this test's own, with the files at addresses of its choice.
 */
#include "hw/machine/acpi.h"
#include "base/bytes.h"
#include <glib/gstdio.h>
#include <string.h>

enum { ENTRY = 128, NAME = 56, HEADER = 36, TABLES_AT = 0x1ff0000, RSDP_AT = 0xf5ac0 };

static void config_init(AcpiConfig *config, uint32_t *apic_ids, unsigned cpus)
{
    for (unsigned i = 0; i < cpus; i++) {
        apic_ids[i] = i;
    }
    *config = (AcpiConfig){
        .apic_ids = apic_ids, .cpu_count = cpus, .cpus_present = cpus, .cpu_hotplug = true, .pci_hotplug = true, .pci_slots = ~3u,
        .pci_window_start = 0xc0000000, .sci_irq = 9, .pm_base = 0x600, .gpe_base = 0xafe0,
        .hpet = true, .s3 = true, .s4 = true, .s4_type = 2, .serial_ports = 1, .keyboard = true,
    };
}

/* A table by its address; NULL with no such place. */
static const uint8_t *table_at(const AcpiTables *tables, uint32_t address)
{
    g_assert_cmpuint(address, >=, TABLES_AT);
    g_assert_cmpuint(address - TABLES_AT + 8, <=, tables->tables->len);
    const uint8_t *table = tables->tables->data + (address - TABLES_AT);
    g_assert_cmpuint(load_le32(table + 4), <=, tables->tables->len - (address - TABLES_AT));
    return table;
}

static uint8_t sum(const uint8_t *data, size_t length)
{
    uint8_t total = 0;

    for (size_t i = 0; i < length; i++) {
        total = (uint8_t)(total + data[i]);
    }
    return total;
}

static const uint8_t *checked_table(const AcpiTables *tables, uint32_t address, const char *signature)
{
    const uint8_t *table = table_at(tables, address);

    g_assert_cmpmem(table, 4, signature, 4);
    g_assert_cmpuint(load_le32(table + 4), >=, HEADER);
    g_assert_cmphex(sum(table, load_le32(table + 4)), ==, 0);
    return table;
}

/* From the root pointer to a table of the RSDT, every table on the way checked. */
static const uint8_t *find(const AcpiTables *tables, const char *signature)
{
    const uint8_t *rsdt = checked_table(tables, load_le32(tables->rsdp->data + 16), "RSDT"), *found = NULL;

    g_assert_cmpuint((load_le32(rsdt + 4) - HEADER) % 4, ==, 0);
    for (uint32_t at = HEADER; at < load_le32(rsdt + 4); at += 4) {
        const uint8_t *table = table_at(tables, load_le32(rsdt + at));
        char name[5] = { 0 };
        memcpy(name, table, 4);
        checked_table(tables, load_le32(rsdt + at), name);
        found = strcmp(name, signature) == 0 ? table : found;
    }
    return found;
}

static void linked(const AcpiConfig *config, AcpiTables *tables)
{
    memset(tables, 0, sizeof *tables);
    acpi_build(config, tables);
    acpi_link(tables, RSDP_AT, TABLES_AT);
}

static void pointers_and_sums(void)
{
    uint32_t ids[4];
    AcpiConfig config;
    AcpiTables tables;

    config_init(&config, ids, 4);
    linked(&config, &tables);
    g_assert_cmpmem(tables.rsdp->data, 8, "RSD PTR ", 8);
    g_assert_cmphex(sum(tables.rsdp->data, 20), ==, 0);
    const uint8_t *fadt = find(&tables, "FACP");
    g_assert_nonnull(fadt);
    const uint8_t *facs = table_at(&tables, load_le32(fadt + 36));
    g_assert_cmpmem(facs, 4, "FACS", 4);
    g_assert_cmpuint(load_le32(facs + 4), ==, 64);
    g_assert_cmpuint((uintptr_t)load_le32(fadt + 36) % 64, ==, 0);
    checked_table(&tables, load_le32(fadt + 40), "DSDT");
    g_assert_cmpuint(load_le16(fadt + 46), ==, 9);
    g_assert_cmphex(load_le32(fadt + 56), ==, 0x600);
    g_assert_cmphex(load_le32(fadt + 76), ==, 0x608);
    g_assert_cmpuint(load_le32(fadt + 4), ==, 244);
    g_assert_nonnull(find(&tables, "WAET"));
    const uint8_t *hpet = find(&tables, "HPET");
    g_assert_cmphex(load_le64(hpet + 44), ==, 0xfed00000);
    acpi_tables_clear(&tables);
    config.hpet = false;
    linked(&config, &tables);
    g_assert_null(find(&tables, "HPET"));
    acpi_tables_clear(&tables);
}

/* What a firmware does with the script: files by name, one address each, commands in order. */
typedef struct Files { GByteArray *data[2]; uint64_t address[2]; bool placed[2]; } Files;

static unsigned file_of(const uint8_t *name)
{
    g_assert_nonnull(memchr(name, 0, NAME));
    if (strcmp((const char *)name, "etc/acpi/rsdp") == 0) {
        return 0;
    }
    g_assert_cmpstr((const char *)name, ==, "etc/acpi/tables");
    return 1;
}

static void run_entry(Files *files, const uint8_t *entry)
{
    unsigned file = file_of(entry + 4);
    GByteArray *data = files->data[file];

    switch (load_le32(entry)) {
    case 1:                                /* allocate: alignment, zone */
        g_assert_false(files->placed[file]);
        g_assert_cmpuint(files->address[file] % load_le32(entry + 4 + NAME), ==, 0);
        g_assert_cmpuint(entry[8 + NAME], ==, file == 0 ? 2 : 1);
        files->placed[file] = true;
        break;
    case 2: {                              /* add the source's address to a pointer */
        unsigned source = file_of(entry + 4 + NAME);
        uint32_t offset = load_le32(entry + 4 + 2 * NAME), size = entry[8 + 2 * NAME];
        uint64_t value = 0;
        g_assert_true(files->placed[file] && files->placed[source]);
        g_assert_true(size == 1 || size == 2 || size == 4 || size == 8);
        g_assert_cmpuint(offset + size, <=, data->len);
        memcpy(&value, data->data + offset, size);
        g_assert_cmpuint(value, <, files->data[source]->len);
        value += files->address[source];
        memcpy(data->data + offset, &value, size);
        break;
    }
    case 3: {
        uint32_t offset = load_le32(entry + 4 + NAME), start = load_le32(entry + 8 + NAME), length = load_le32(entry + 12 + NAME);
        g_assert_cmpuint((uint64_t)start + length, <=, data->len);
        g_assert_true(offset >= start && offset < start + length);
        data->data[offset] = (uint8_t)(data->data[offset] - sum(data->data + start, length));
        break;
    }
    default:
        g_error("the script has a command %u", load_le32(entry));
    }
}

/* Firmware that goes through the script in one pass must end where acpi_link() ends. */
static void script_runs_in_order(void)
{
    uint32_t ids[4];
    AcpiConfig config;
    AcpiTables raw = { 0 }, done;

    config_init(&config, ids, 4);
    acpi_build(&config, &raw);
    Files files = { { raw.rsdp, raw.tables }, { RSDP_AT, TABLES_AT }, { false, false } };
    g_assert_cmpuint(raw.loader->len % ENTRY, ==, 0);
    for (guint at = 0; at < raw.loader->len; at += ENTRY) {
        run_entry(&files, raw.loader->data + at);
    }
    linked(&config, &done);
    g_assert_cmpmem(raw.rsdp->data, raw.rsdp->len, done.rsdp->data, done.rsdp->len);
    find(&raw, "FACP");                    /* sums of the script's own work */
    g_assert_cmpmem(raw.tables->data, raw.tables->len, done.tables->data, done.tables->len);
    acpi_tables_clear(&raw);
    acpi_tables_clear(&done);
}

/* Each processor once, by the structure that its APIC id demands. */
static void check_madt(unsigned cpus, unsigned present)
{
    g_autofree uint32_t *ids = g_new(uint32_t, cpus);
    g_autofree unsigned *seen = g_new0(unsigned, cpus);
    unsigned overrides = 0, ioapics = 0, nmis = 0;
    AcpiConfig config;
    AcpiTables tables;

    config_init(&config, ids, cpus);
    config.cpus_present = present;
    linked(&config, &tables);
    const uint8_t *madt = find(&tables, "APIC");
    g_assert_nonnull(madt);
    uint32_t length = load_le32(madt + 4), at;
    for (at = 44; at < length; at += madt[at + 1]) {
        const uint8_t *entry = madt + at;
        g_assert_cmpuint(entry[1], >=, 2);
        g_assert_cmpuint(at + entry[1], <=, length);
        if (entry[0] == 0) {
            g_assert_cmpuint(entry[1], ==, 8);
            g_assert_cmpuint(entry[3], <, MIN(cpus, 255));
            g_assert_cmpuint(entry[2], ==, entry[3]);
            g_assert_cmpuint(load_le32(entry + 4), ==, entry[3] < present);    /* an absent one may come later */
            seen[entry[3]]++;
        } else if (entry[0] == 9) {
            g_assert_cmpuint(entry[1], ==, 16);
            g_assert_cmpuint(load_le32(entry + 4), >=, 255);
            g_assert_cmpuint(load_le32(entry + 4), <, cpus);
            g_assert_cmpuint(load_le32(entry + 8), ==, load_le32(entry + 4) < present);
            g_assert_cmpuint(load_le32(entry + 12), ==, load_le32(entry + 4));
            seen[load_le32(entry + 4)]++;
        }
        overrides += entry[0] == 2;
        ioapics += entry[0] == 1;
        nmis += entry[0] == (cpus > 255 ? 10 : 4);
    }
    g_assert_cmpuint(at, ==, length);
    for (unsigned i = 0; i < cpus; i++) {
        g_assert_cmpuint(seen[i], ==, 1);
    }
    g_assert_cmpuint(overrides, ==, 5);
    g_assert_cmpuint(ioapics, ==, 1);
    g_assert_cmpuint(nmis, >=, 1);
    acpi_tables_clear(&tables);
}

static void processors(void)
{
    check_madt(1, 1);
    check_madt(4, 4);
    check_madt(4, 1);
    check_madt(255, 255);
    check_madt(255, 2);
    check_madt(300, 300);
    check_madt(300, 280);
}

/* iasl disassembles each table without complaint, and compiles the DSDT's text again. */
static bool iasl(const char *folder, const char *option, const char *file, char **said)
{
    const char *argv[] = { "iasl", option, file, NULL };
    g_autofree char *out = NULL, *err = NULL;
    int status;

    g_assert_true(g_spawn_sync(folder, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &err, &status, NULL));
    *said = g_strconcat(out, err, NULL);
    return status == 0;
}

static void write_table(const char *folder, const char *name, const uint8_t *table)
{
    g_autofree char *path = g_strdup_printf("%s/%s.dat", folder, name);

    g_assert_true(g_file_set_contents(path, (const char *)table, load_le32(table + 4), NULL));
}

static void iasl_reads(void)
{
    static const char *const names[] = { "FACP", "APIC", "HPET", "WAET" };
    g_autofree char *program = g_find_program_in_path("iasl"), *folder = NULL;
    uint32_t ids[300];
    AcpiConfig config;
    AcpiTables tables;

    if (!program) {
        g_test_skip("iasl is not installed (package acpica-tools)");
        return;
    }
    folder = g_dir_make_tmp("roost-acpi-XXXXXX", NULL);
    config_init(&config, ids, 300);
    config.serial_ports = 15;
    config.pvpanic = true;
    config.pvpanic_port = 0x505;
    linked(&config, &tables);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        write_table(folder, names[i], find(&tables, names[i]));
    }
    write_table(folder, "RSDT", checked_table(&tables, load_le32(tables.rsdp->data + 16), "RSDT"));
    write_table(folder, "FACS", table_at(&tables, load_le32(find(&tables, "FACP") + 36)));
    write_table(folder, "DSDT", checked_table(&tables, load_le32(find(&tables, "FACP") + 40), "DSDT"));
    static const char *const all[] = { "FACP", "APIC", "HPET", "WAET", "RSDT", "FACS", "DSDT" };
    for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
        g_autofree char *file = g_strdup_printf("%s.dat", all[i]), *text = g_strdup_printf("%s.dsl", all[i]), *said = NULL;
        bool ok = iasl(folder, "-d", file, &said);
        if (!ok || strstr(said, "Invalid") || strstr(said, "Unknown") || strstr(said, "Incorrect") || strstr(said, "xceeds")) {
            g_error("iasl -d %s: %s", all[i], said);
        }
        g_free(said);
        ok = iasl(folder, "-tc", text, &said);
        if (!ok || !strstr(said, " 0 Errors") || !strstr(said, " 0 Warnings")) {
            g_error("iasl -tc %s: %s", all[i], said);
        }
    }
    acpi_tables_clear(&tables);
    GDir *dir = g_dir_open(folder, 0, NULL);
    for (const char *name; (name = g_dir_read_name(dir));) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        g_unlink(path);
    }
    g_dir_close(dir);
    g_rmdir(folder);
}

/* Names of four letters in the DSDT. */
static bool dsdt_has(const AcpiTables *tables, const char *name)
{
    const uint8_t *dsdt = checked_table(tables, load_le32(find(tables, "FACP") + 40), "DSDT");

    return memmem(dsdt, load_le32(dsdt + 4), name, 4) != NULL;
}

/* Slots that cannot change have no device; a board without the registers has no methods for them. */
static void hotplug(void)
{
    uint32_t ids[4];
    AcpiConfig config;
    AcpiTables tables;

    config_init(&config, ids, 4);
    config.cpus_present = 1;
    config.pci_slots = 1u << 3 | 1u << 31;
    linked(&config, &tables);
    g_assert_true(dsdt_has(&tables, "S18_") && dsdt_has(&tables, "SF8_") && dsdt_has(&tables, "_E01"));
    g_assert_false(dsdt_has(&tables, "S00_") || dsdt_has(&tables, "S08_") || dsdt_has(&tables, "S10_"));
    g_assert_true(dsdt_has(&tables, "C000") && dsdt_has(&tables, "C003") && dsdt_has(&tables, "_E02"));
    g_assert_false(dsdt_has(&tables, "C004"));
    acpi_tables_clear(&tables);
    config.cpu_hotplug = config.pci_hotplug = false;
    linked(&config, &tables);
    g_assert_false(dsdt_has(&tables, "S18_") || dsdt_has(&tables, "_E01") || dsdt_has(&tables, "C000") || dsdt_has(&tables, "_E02"));
    acpi_tables_clear(&tables);
}

/* The largest machine must leave firmware room: SeaBIOS keeps 256 KiB for tables. */
static void size_of_the_largest(void)
{
    uint32_t ids[255];
    AcpiConfig config;
    AcpiTables tables;

    config_init(&config, ids, 255);
    config.serial_ports = 15;
    config.pvpanic = true;
    linked(&config, &tables);
    g_test_message("tables of 255 processors: %u bytes, script: %u", tables.tables->len, tables.loader->len);
    g_assert_cmpuint(tables.tables->len, <, 64 << 10);
    acpi_tables_clear(&tables);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/acpi/pointers-and-sums", pointers_and_sums);
    g_test_add_func("/acpi/script-runs-in-order", script_runs_in_order);
    g_test_add_func("/acpi/processors", processors);
    g_test_add_func("/acpi/hotplug", hotplug);
    g_test_add_func("/acpi/size-of-the-largest", size_of_the_largest);
    g_test_add_func("/acpi/iasl-reads", iasl_reads);
    return g_test_run();
}
