/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * boot-multiboot.c - Multiboot 1 kernels, flat and ELF
 *
 * Follows   Multiboot specification 0.6.96: header in the first 8 KiB; EAX 2BADB002h, EBX the information structure; -initrd
 *           is a comma-separated list of "file arguments", one module each
 * Omits     a video mode (flag bit 2): the kernel is told of none
 * Layout    BOOT_INFO: information (120 bytes), module table (16 each) at +256, memory map (24 each) at +2048;
 *           text (command line, module lines, loader name) from BOOT_COMMAND_LINE on
 * Tests     tests/unit/boot.c, tests/guest
 */
#include "base/bytes.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/open.h"
#include "hw/machine/boot-internal.h"
#include <errno.h>
#include <string.h>

enum { SEARCH = 8192, MAGIC = 0x1badb002, LOADED = 0x2badb002, FLAG_ADDRESSES = 1 << 16, KNOWN_MUST = 0x7, MODULES_MOST = 64, LINES_MOST = 0x10000,
       MODULES_AT = BOOT_INFO + 256, MAP_AT = BOOT_INFO + 2048 };
enum { INFO_MEMORY = 1, INFO_COMMAND_LINE = 4, INFO_MODULES = 8, INFO_MAP = 0x40, INFO_LOADER = 0x200 };

/* Offset of the header, -1 when there is none. */
static int header_offset(const uint8_t *data, size_t length)
{
    for (size_t at = 0; at + 12 <= MIN(length, (size_t)SEARCH); at += 4) {
        if (load_le32(data + at) == MAGIC && load_le32(data + at) + load_le32(data + at + 4) + load_le32(data + at + 8) == 0) {
            return (int)at;
        }
    }
    return -1;
}

static bool multiboot_recognize(const uint8_t *data, size_t length)
{
    return header_offset(data, length) >= 0;
}

/* The header's own addresses say where a flat kernel goes. */
static bool check_flat(Boot *boot, size_t header, GError **err)
{
    const uint8_t *at = boot->kernel + header;

    if (boot->kernel_size < header + 32) {
        return fail(err, EINVAL, "kernel '%s': the file is cut off in its multiboot header", boot->kernel_path);
    }
    uint32_t header_address = load_le32(at + 12), load = load_le32(at + 16), load_end = load_le32(at + 20), bss_end = load_le32(at + 24);
    uint64_t before = (uint64_t)header_address - load;

    if (header_address < load || before > header || (load_end && load_end <= load)) {
        return fail(err, EINVAL, "kernel '%s': the addresses in its multiboot header contradict each other", boot->kernel_path);
    }
    boot->image_offset = header - before;
    boot->image_size = load_end ? load_end - load : boot->kernel_size - boot->image_offset;
    if (!range_within(boot->image_offset, boot->image_size, boot->kernel_size)) {
        return fail(err, EINVAL, "kernel '%s': the file is cut off: %" G_GUINT64_FORMAT " bytes are to be loaded", boot->kernel_path, boot->image_size);
    }
    boot->load_address = load;
    boot->entry = load_le32(at + 28);
    boot->image_end = MAX(load + boot->image_size, (uint64_t)bss_end);
    if (load < BOOT_LOW_END) {
        return fail(err, EINVAL, "kernel '%s': it wants guest memory 0x%x, which -kernel uses itself; link it to 1 MiB or higher",
                    boot->kernel_path, load);
    }
    if (!boot_in_ram(boot, load, boot->image_end - load)) {
        return fail(err, ENOMEM, "kernel '%s': it wants guest memory 0x%x to 0x%" G_GINT64_MODIFIER "x; give more with -m",
                    boot->kernel_path, load, boot->image_end);
    }
    return true;
}

/* The part of "file args,file args" up to the next single comma; doubled commas stand for one, as everywhere on the
 * command line. *at goes behind it, to NULL at the end. */
static char *next_line(const char **at)
{
    GString *line = g_string_new(NULL);
    const char *text = *at;

    for (; *text && (*text != ',' || text[1] == ','); text++) {
        g_string_append_c(line, *text);
        text += *text == ',';
    }
    *at = *text ? text + 1 : NULL;
    return g_string_free(line, FALSE);
}

static bool read_module(Boot *boot, const char *line, uint64_t *bottom, GError **err)
{
    BootModule module = { 0 };
    g_autofree char *path = g_strndup(line, strcspn(line, " "));

    if (!host_read_file("multiboot module", path, UINT32_MAX, &module.data, &module.length, err)) {
        return false;
    }
    module.address = (*bottom + 0xfff) & ~UINT64_C(0xfff);
    if (module.address + module.length > UINT32_MAX || !boot_in_ram(boot, module.address, module.length)) {
        g_free(module.data);
        return fail(err, ENOMEM, "multiboot module '%s': its %zu KiB do not fit in the guest's memory; give more with -m",
                    path, module.length >> 10);
    }
    *bottom = module.address + module.length;
    g_array_append_val(boot->modules, module);
    return true;
}

static bool read_modules(Boot *boot, GError **err)
{
    uint64_t bottom = boot->image_end;

    if (!boot->module_lines->len) {
        return true;
    }
    g_autofree char *all = g_ptr_array_steal_index(boot->module_lines, 0);
    if (strlen(all) > LINES_MOST) {
        return fail(err, E2BIG, "-initrd: %zu bytes of module lines, at most %d fit", strlen(all), LINES_MOST);
    }
    for (const char *at = all; at;) {
        char *line = next_line(&at);
        g_ptr_array_add(boot->module_lines, line);
        if (boot->modules->len == MODULES_MOST) {
            return fail(err, E2BIG, "-initrd: more than %d multiboot modules; give fewer", MODULES_MOST);
        }
        if (!read_module(boot, line, &bottom, err)) {
            return false;
        }
    }
    return true;
}

static bool multiboot_check(Boot *boot, GError **err)
{
    int header = header_offset(boot->kernel, boot->kernel_size);
    uint32_t flags = load_le32(boot->kernel + header + 4);

    if (flags & 0xffff & ~KNOWN_MUST) {
        return fail(err, EINVAL, "kernel '%s': it demands multiboot features 0x%x, of which 0x%x are not known", boot->kernel_path,
                    flags & 0xffff, flags & 0xffff & ~KNOWN_MUST);
    }
    bool ok = flags & FLAG_ADDRESSES ? check_flat(boot, (size_t)header, err)
            : elf_is(boot->kernel, boot->kernel_size) ? elf_check(boot, err)
            : fail(err, EINVAL, "kernel '%s': a multiboot kernel without addresses must be an ELF file", boot->kernel_path);
    if (ok && boot->entry > UINT32_MAX) {
        return fail(err, EINVAL, "kernel '%s': its entry 0x%" G_GINT64_MODIFIER "x lies above 4 GiB, where no multiboot kernel starts",
                    boot->kernel_path, boot->entry);
    }
    return ok && read_modules(boot, err);
}

/* Text for the guest, one string after the other; returns where it went. */
static uint32_t place_text(Boot *boot, uint32_t *at, const char *text)
{
    uint32_t place = *at;

    boot_write(boot, place, text, strlen(text) + 1);
    *at += (uint32_t)strlen(text) + 1;
    return place;
}

static void place_modules(Boot *boot, uint32_t *text)
{
    for (guint i = 0; i < boot->modules->len; i++) {
        const BootModule *module = &g_array_index(boot->modules, BootModule, i);
        uint8_t entry[16] = { 0 };
        boot_write(boot, module->address, module->data, module->length);
        store_le32(entry, (uint32_t)module->address);
        store_le32(entry + 4, (uint32_t)(module->address + module->length));
        store_le32(entry + 8, place_text(boot, text, boot->module_lines->pdata[i]));
        boot_write(boot, MODULES_AT + i * sizeof entry, entry, sizeof entry);
    }
}

static void place_map(Boot *boot)
{
    uint8_t entry[24] = { 0 };

    for (unsigned i = 0; i < boot->map.count; i++) {
        store_le32(entry, MAP_ENTRY_BYTES);
        map_entry_store(&boot->map.entries[i], entry + 4);
        boot_write(boot, MAP_AT + i * sizeof entry, entry, sizeof entry);
    }
}

static void multiboot_place(Boot *boot, CpuState *cpu)
{
    uint8_t info[120] = { 0 };
    uint32_t text = BOOT_COMMAND_LINE;
    g_autofree char *line = g_strdup_printf("%s%s%s", boot->kernel_path, *boot->command_line ? " " : "", boot->command_line);

    if (!boot->is_elf) {
        boot_write(boot, boot->load_address, boot->kernel + boot->image_offset, boot->image_size);
        boot_zero(boot, boot->load_address + boot->image_size, boot->image_end - boot->load_address - boot->image_size);
    } else {
        elf_place(boot);
    }
    store_le32(info, INFO_MEMORY | INFO_COMMAND_LINE | INFO_MODULES | INFO_MAP | INFO_LOADER);
    store_le32(info + 4, BOOT_LOW_END >> 10);
    store_le32(info + 8, (uint32_t)((boot->map.below_4g >> 10) - 1024));
    store_le32(info + 16, place_text(boot, &text, line));
    store_le32(info + 20, boot->modules->len);
    store_le32(info + 24, MODULES_AT);
    place_modules(boot, &text);
    store_le32(info + 44, boot->map.count * 24);
    store_le32(info + 48, MAP_AT);
    place_map(boot);
    store_le32(info + 64, place_text(boot, &text, "roost"));
    boot_write(boot, BOOT_INFO, info, sizeof info);
    boot_cpu_flat32(boot, cpu);
    cpu->gpr[GPR_RAX] = LOADED;
    cpu->gpr[GPR_RBX] = BOOT_INFO;
}

const BootLoader multiboot_loader = {
    .kind = "multiboot", .recognize = multiboot_recognize, .check = multiboot_check, .place = multiboot_place,
};
