/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * boot.c - direct kernel boot: files, guest places, and the boot processor's first state
 *
 * Follows   Linux x86 boot protocol (boot-linux.c), PVH (boot-elf.c), Multiboot 1 (boot-multiboot.c)
 * Hostile   kernels and initrds may be anything: each loader's check() holds every number against file and RAM
 * Tests     tests/unit/boot.c (bad files), tests/guest (real kernels)
 */
#include "base/bytes.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/log.h"
#include "base/open.h"
#include "hw/machine/boot-internal.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { KERNEL_LIMIT = 1 << 30 };
#define INITRD_LIMIT (UINT64_C(3) << 30)
enum { SELECTOR_CODE = 0x10, SELECTOR_DATA = 0x18 };

static const BootLoader *const loaders[] = { &linux_loader, &multiboot_loader, &pvh_loader };

void map_entry_store(const MapEntry *entry, uint8_t *out)
{
    store_le64(out, entry->start);
    store_le64(out + 8, entry->size);
    store_le32(out + 16, entry->type);
}

void map_add(MemoryMap *map, uint64_t start, uint64_t size, uint32_t type)
{
    if (size && map->count < MAP_MOST) {
        map->entries[map->count++] = (MapEntry){ start, size, type };
    }
}

bool boot_in_ram(const Boot *boot, uint64_t address, uint64_t length)
{
    for (unsigned i = 0; i < boot->map.count; i++) {
        const MapEntry *entry = &boot->map.entries[i];
        if (entry->type == E820_RAM && address >= entry->start &&
            range_within(address - entry->start, length, entry->size)) {
            return true;
        }
    }
    return false;
}

uint64_t boot_highest_place(const Boot *boot, uint64_t bottom, uint64_t top, uint64_t length)
{
    for (unsigned i = boot->map.count; i-- > 0;) {
        const MapEntry *entry = &boot->map.entries[i];
        uint64_t end = MIN(entry->start + entry->size, top), start = MAX(entry->start, bottom);
        if (entry->type != E820_RAM || end <= start || end - start < length) {
            continue;
        }
        uint64_t place = (end - length) & ~UINT64_C(0xfff);
        if (place >= start) {
            return place;
        }
    }
    return 0;
}

void boot_write(Boot *boot, uint64_t address, const void *data, uint64_t length)
{
    space_write_rom(boot->machine->memory, address, data, length);
}

void boot_zero(Boot *boot, uint64_t address, uint64_t length)
{
    static const uint8_t zeros[65536];

    for (uint64_t piece; length; address += piece, length -= piece) {
        piece = MIN(length, sizeof zeros);
        boot_write(boot, address, zeros, piece);
    }
}

static CpuSegment flat_segment(uint16_t selector, uint32_t attributes)
{
    return (CpuSegment){ .selector = selector, .attributes = attributes, .limit = UINT32_MAX, .base = 0 };
}

/* The descriptors stand in memory too, for a guest that reloads its segments before it has its own table. */
static void place_segments(Boot *boot, CpuState *cpu, bool long_code)
{
    uint64_t descriptors[4] = { 0, 0, long_code ? UINT64_C(0x00af9b000000ffff) : UINT64_C(0x00cf9b000000ffff),
                                UINT64_C(0x00cf93000000ffff) };
    uint32_t code = 0x0b | ATTR_S | ATTR_P | ATTR_G | (long_code ? ATTR_L : ATTR_DB);
    uint32_t data = 0x03 | ATTR_S | ATTR_P | ATTR_G | ATTR_DB;

    boot_write(boot, BOOT_GDT, descriptors, sizeof descriptors);
    cpu->gdt_base = BOOT_GDT;
    cpu->gdt_limit = sizeof descriptors - 1;
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        cpu->segment[i] = flat_segment(SELECTOR_DATA, data);
    }
    cpu->segment[SEG_CS] = flat_segment(SELECTOR_CODE, code);
    cpu->rflags = 2;
}

void boot_cpu_flat32(Boot *boot, CpuState *cpu)
{
    place_segments(boot, cpu, false);
    cpu->cr0 = (cpu->cr0 & ~UINT64_C(0x60000000)) | 1;
    cpu->rip = boot->entry;
}

/* Identity pages of 2 MiB for the first 4 GiB: one PML4, one directory pointer table, four directories. */
void boot_cpu_long(Boot *boot, CpuState *cpu)
{
    enum { PRESENT_WRITE = 3, LARGE = 0x80, PAGE = 4096, DIRECTORIES = 4 };
    uint64_t table[512] = { BOOT_PAGE_TABLES + PAGE + PRESENT_WRITE };

    boot_write(boot, BOOT_PAGE_TABLES, table, sizeof table);
    memset(table, 0, sizeof table);
    for (unsigned i = 0; i < DIRECTORIES; i++) {
        table[i] = BOOT_PAGE_TABLES + (2 + i) * PAGE + PRESENT_WRITE;
    }
    boot_write(boot, BOOT_PAGE_TABLES + PAGE, table, sizeof table);
    for (unsigned i = 0; i < DIRECTORIES; i++) {
        for (unsigned j = 0; j < 512; j++) {
            table[j] = ((uint64_t)i << 30 | (uint64_t)j << 21) + PRESENT_WRITE + LARGE;
        }
        boot_write(boot, BOOT_PAGE_TABLES + (2 + i) * PAGE, table, sizeof table);
    }
    place_segments(boot, cpu, true);
    cpu->cr3 = BOOT_PAGE_TABLES;
    cpu->cr4 |= 0x20;                      /* PAE */
    cpu->efer |= 0x500;                    /* LME, LMA */
    cpu->cr0 = (cpu->cr0 & ~UINT64_C(0x60000000)) | 0x80000001;
    cpu->rip = boot->entry;
}

static bool read_kernel(Boot *boot, GError **err)
{
    if (boot->kernel_fd < 0) {
        boot->kernel_fd = host_open("kernel", boot->kernel_path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, err);
    }
    return boot->kernel_fd >= 0 && host_read_opened(boot->kernel_fd, "kernel", boot->kernel_path, KERNEL_LIMIT, &boot->kernel, &boot->kernel_size, err);
}

/* The file may be another one by now: everything is checked anew. */
static bool read_again(Boot *boot)
{
    g_autoptr(GError) error = NULL;

    if (read_kernel(boot, &error)) {
        if (!boot->loader->recognize(boot->kernel, boot->kernel_size)) {
            fail(&error, EINVAL, "kernel '%s': the file has changed and is no %s any more; start the machine anew", boot->kernel_path, boot->loader->kind);
        } else if (boot->loader->check(boot, &error)) {
            return true;
        }
    }
    report_error("%s", error->message);
    g_clear_pointer(&boot->kernel, g_free);
    machine_request_stop(boot->machine, RUN_INTERNAL_ERROR);
    return false;
}

static bool read_files(Boot *boot, const Value *config, GError **err)
{
    const char *initrd = value_get_string(config, "initrd", NULL);

    if (!read_kernel(boot, err)) {
        return false;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(loaders); i++) {
        if (loaders[i]->recognize(boot->kernel, boot->kernel_size)) {
            boot->loader = loaders[i];
            break;
        }
    }
    if (!boot->loader) {
        return fail(err, EINVAL, "kernel '%s': it is neither a bzImage, an ELF file with a PVH note, nor a multiboot kernel%s",
                    boot->kernel_path, boot->kernel_size < 1024 ? " (it is nearly empty)" : "");
    }
    if (!initrd || boot->loader == &multiboot_loader) {
        return true;                       /* multiboot reads a list of modules itself */
    }
    return host_read_file("initrd", initrd, INITRD_LIMIT, &boot->initrd, &boot->initrd_size, err);
}

Boot *boot_open(Machine *machine, const Value *config, const MemoryMap *map, GError **err)
{
    Boot *boot = g_new0(Boot, 1);

    boot->machine = machine;
    boot->map = *map;
    boot->kernel_fd = -1;
    boot->kernel_path = g_strdup(value_get_string(config, "kernel", ""));
    boot->command_line = g_strdup(value_get_string(config, "append", ""));
    boot->module_lines = g_ptr_array_new_with_free_func(g_free);
    boot->modules = g_array_new(FALSE, TRUE, sizeof(BootModule));
    if (strlen(boot->command_line) >= BOOT_COMMAND_LINE_MOST) {
        fail(err, EINVAL, "-append: the command line has %zu bytes, at most %d fit", strlen(boot->command_line), BOOT_COMMAND_LINE_MOST - 1);
        goto bad;
    }
    if (value_get_string(config, "initrd", NULL)) {
        g_ptr_array_add(boot->module_lines, g_strdup(value_get_string(config, "initrd", "")));
    }
    if (!read_files(boot, config, err) || !boot->loader->check(boot, err)) {
        goto bad;
    }
    return boot;
bad:
    boot_free(boot);
    return NULL;
}

/* The BIOS data area's words that kernels look at even without a BIOS: EBDA segment and KiB of low memory. */
static void place_bios_data(Boot *boot)
{
    uint16_t ebda = BOOT_LOW_END >> 4, low_kib = BOOT_LOW_END >> 10;

    boot_write(boot, 0x40e, &ebda, sizeof ebda);
    boot_write(boot, 0x413, &low_kib, sizeof low_kib);
}

void boot_place(Boot *boot)
{
    Cpu *cpu = boot->machine->cpus->pdata[0];
    g_autofree CpuState *state = g_new0(CpuState, 1);

    if (!boot->kernel && !read_again(boot)) {
        return;
    }
    cpu_get_state(cpu, state);
    place_bios_data(boot);
    boot->loader->place(boot, state);
    cpu_set_state(cpu, state, NULL);
    if (boot->loader == &linux_loader) {   /* the guest has it; ten megabytes or more */
        g_clear_pointer(&boot->kernel, g_free);
    }
}

void boot_free(Boot *boot)
{
    if (!boot) {
        return;
    }
    for (guint i = 0; i < boot->modules->len; i++) {
        g_free(g_array_index(boot->modules, BootModule, i).data);
    }
    g_array_free(boot->modules, TRUE);
    g_ptr_array_free(boot->module_lines, TRUE);
    if (boot->kernel_fd >= 0) {
        close(boot->kernel_fd);
    }
    g_free(boot->kernel_path);
    g_free(boot->command_line);
    g_free(boot->kernel);
    g_free(boot->initrd);
    g_free(boot);
}
