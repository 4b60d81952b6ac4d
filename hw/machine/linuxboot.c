/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * linuxboot.c - -kernel through a BIOS: the kernel as fw_cfg items, and the option ROM that fetches them
 *
 * SeaBIOS runs every file below genroms/ as an option ROM, and takes bootorder as its order. Firmware with a loader of its own
 * (OVMF) reads the items and needs no ROM.
 *
 * Follows  Linux x86 boot protocol 2.02 and later, 16-bit entry
 * Tests    tests/guest
 */
#include "hw/machine/linuxboot.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/field.h"
#include <errno.h>
#include <string.h>

enum { VIDEO_MODE = 0x1fa, TYPE_OF_LOADER = 0x210, LOAD_FLAGS = 0x211, RAMDISK_IMAGE = 0x218, RAMDISK_SIZE = 0x21c, HEAP_END_POINTER = 0x224,
       COMMAND_LINE_POINTER = 0x228, LOADER_UNDEFINED = 0xff, CAN_USE_HEAP = 0x80, HEAP_END = 0xde00, SETUP_MOST = 0x8000 };
enum { DMA_READ = 2, DMA_SELECT = 8, DESCRIPTOR = 16, HEADER = 32, HEADER_SUM = 9 };
extern const uint8_t linuxboot_rom[], linuxboot_rom_end[], linuxboot_table[], linuxboot_header[];
static const char rom_file[] = "genroms/linuxboot.bin";
const char linuxboot_order[] = "/rom@genroms/linuxboot.bin";

typedef struct Part {
    uint16_t address_key, size_key, data_key;
    uint32_t address;
    const void *data;
    size_t size;
} Part;

/* "vga=" of the command line is the loader's to read: a mode for the set-up code, the last one that is said. */
static uint16_t video_mode(const char *command_line)
{
    static const struct { const char *name; uint16_t mode; } named[] = { { "normal", 0xffff }, { "ext", 0xfffe }, { "ask", 0xfffd } };
    g_auto(GStrv) words = g_strsplit(command_line, " ", 0);
    uint16_t mode = 0xffff;

    for (char **word = words; *word; word++) {
        const char *value = g_str_has_prefix(*word, "vga=") ? *word + 4 : NULL;
        uint64_t number;
        if (value && parse_uint(value, &number)) {
            mode = (uint16_t)number;
        }
        for (size_t i = 0; value && i < G_N_ELEMENTS(named); i++) {
            mode = strcmp(value, named[i].name) == 0 ? named[i].mode : mode;
        }
    }
    return mode;
}

/* What a boot loader writes into the set-up code's header. */
static uint8_t *patched_setup(const BootItems *items)
{
    uint8_t *setup = g_memdup2(items->setup, items->setup_size);

    store_le16(setup + VIDEO_MODE, video_mode(items->command_line));
    setup[TYPE_OF_LOADER] = LOADER_UNDEFINED;
    setup[LOAD_FLAGS] |= CAN_USE_HEAP;
    store_le16(setup + HEAP_END_POINTER, HEAP_END);
    store_le32(setup + COMMAND_LINE_POINTER, items->command_line_address);
    store_le32(setup + RAMDISK_IMAGE, items->initrd_address);
    store_le32(setup + RAMDISK_SIZE, (uint32_t)items->initrd_size);
    return setup;
}

static uint8_t negative_sum(const uint8_t *data, size_t length)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < length; i++) {
        sum = (uint8_t)(sum + data[i]);
    }
    return (uint8_t)-sum;
}

/* The ROM with a descriptor for each part that is there, and its checksums. */
static bool add_rom(FwCfg *fw_cfg, const Part *parts, size_t count, GError **err)
{
    size_t size = (size_t)(linuxboot_rom_end - linuxboot_rom);
    g_autofree uint8_t *rom = g_memdup2(linuxboot_rom, size);
    uint8_t *descriptor = rom + (linuxboot_table - linuxboot_rom), *header = rom + (linuxboot_header - linuxboot_rom);

    for (size_t i = 0; i < count; i++) {
        if (parts[i].size) {
            store_be32(descriptor, (uint32_t)parts[i].data_key << 16 | DMA_SELECT | DMA_READ);
            store_be32(descriptor + 4, (uint32_t)parts[i].size);
            store_be64(descriptor + 8, parts[i].address);
            descriptor += DESCRIPTOR;
        }
    }
    header[HEADER_SUM] = negative_sum(header, HEADER);
    rom[size - 1] = negative_sum(rom, size - 1);
    return fw_cfg_add_file(fw_cfg, rom_file, rom, size, err);
}

bool linuxboot_add(FwCfg *fw_cfg, const Boot *boot, GError **err)
{
    BootItems items;

    if (!boot_items(boot, &items)) {
        return fail(err, ENOTSUP, "-bios with -kernel takes a bzImage; leave -bios out for other kinds of kernel");
    }
    if (items.setup_size > SETUP_MOST) {
        return fail(err, EINVAL, "kernel: its set-up part has %zu bytes, at most %d fit; leave -bios out", items.setup_size, SETUP_MOST);
    }
    g_autofree uint8_t *setup = patched_setup(&items);
    const Part parts[] = {
        { FW_CFG_SETUP_ADDR, FW_CFG_SETUP_SIZE, FW_CFG_SETUP_DATA, items.setup_address, setup, items.setup_size },
        { FW_CFG_KERNEL_ADDR, FW_CFG_KERNEL_SIZE, FW_CFG_KERNEL_DATA, items.kernel_address, items.kernel, items.kernel_size },
        { FW_CFG_INITRD_ADDR, FW_CFG_INITRD_SIZE, FW_CFG_INITRD_DATA, items.initrd_address, items.initrd, items.initrd_size },
        { FW_CFG_CMDLINE_ADDR, FW_CFG_CMDLINE_SIZE, FW_CFG_CMDLINE_DATA, items.command_line_address, items.command_line,
          strlen(items.command_line) + 1 },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
        fw_cfg_add_u32(fw_cfg, parts[i].address_key, parts[i].address);
        fw_cfg_add_u32(fw_cfg, parts[i].size_key, (uint32_t)parts[i].size);
        fw_cfg_add(fw_cfg, parts[i].data_key, parts[i].data, parts[i].size);
    }
    return add_rom(fw_cfg, parts, G_N_ELEMENTS(parts), err);
}
