/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * boot-linux.c - bzImage: the Linux x86 boot protocol's 64-bit and 32-bit entries
 *
 * Follows   Documentation/arch/x86/boot.rst, protocol 2.02 and later; offsets below are into the setup header and
 *           struct boot_params ("zero page")
 * Omits     the 16-bit entry: kernels before 2.02 are refused by name (they boot from a disk through the BIOS)
 * Tests     tests/unit/boot.c, tests/guest
 */
#include "base/bytes.h"
#include "base/error.h"
#include "hw/machine/boot-internal.h"
#include <errno.h>
#include <string.h>

enum {                                     /* in the file and, from SETUP_HEADER on, in boot_params alike */
    E820_COUNT = 0x1e8, SETUP_HEADER = 0x1f1, SETUP_SECTORS = 0x1f1, BOOT_FLAG = 0x1fe, JUMP = 0x200, MAGIC = 0x202, VERSION = 0x206,
    TYPE_OF_LOADER = 0x210, LOAD_FLAGS = 0x211, CODE32_START = 0x214, RAMDISK_IMAGE = 0x218, RAMDISK_SIZE = 0x21c,
    COMMAND_LINE_POINTER = 0x228, INITRD_ADDR_MAX = 0x22c, KERNEL_ALIGNMENT = 0x230, RELOCATABLE = 0x234, XLOAD_FLAGS = 0x236,
    COMMAND_LINE_SIZE = 0x238, INIT_SIZE = 0x260, SETUP_HEADER_MOST = 0x290,
    ACPI_RSDP = 0x070, EXT_RAMDISK_IMAGE = 0x0c0, EXT_RAMDISK_SIZE = 0x0c4, EXT_COMMAND_LINE = 0x0c8, E820_TABLE = 0x2d0,
};
enum { XLF_KERNEL_64 = 1, XLF_ABOVE_4G = 2, LOADED_HIGH = 1, KEEP_SEGMENTS = 0x40, LOADER_UNDEFINED = 0xff, LOAD_AT = 0x100000,
       ENTRY_64 = 0x200, ZERO_PAGE = 4096 };

static bool linux_recognize(const uint8_t *data, size_t length)
{
    return length >= 0x270 && load_le16(data + BOOT_FLAG) == 0xaa55 && memcmp(data + MAGIC, "HdrS", 4) == 0;
}

static unsigned version(const Boot *boot)
{
    return load_le16(boot->kernel + VERSION);
}

static bool check_kernel(Boot *boot, GError **err)
{
    const uint8_t *kernel = boot->kernel;
    unsigned sectors = kernel[SETUP_SECTORS] ? kernel[SETUP_SECTORS] : 4;

    if (version(boot) < 0x202 || !(kernel[LOAD_FLAGS] & LOADED_HIGH)) {
        return fail(err, EINVAL, "kernel '%s': boot protocol %u.%02u is too old for -kernel; boot it from a disk", boot->kernel_path,
                    version(boot) >> 8, version(boot) & 0xff);
    }
    boot->image_offset = (sectors + 1) * 512u;
    if (boot->image_offset >= boot->kernel_size) {
        return fail(err, EINVAL, "kernel '%s': the file is cut off after %zu bytes; its set-up part alone has %" G_GUINT64_FORMAT,
                    boot->kernel_path, boot->kernel_size, boot->image_offset);
    }
    boot->image_size = boot->kernel_size - boot->image_offset;
    if (version(boot) >= 0x204) {          /* syssize, in paragraphs: tells a file that lost its end */
        uint64_t promised = (uint64_t)load_le32(kernel + 0x1f4) * 16;
        if (promised > ((boot->image_size + 15) & ~UINT64_C(15))) {
            return fail(err, EINVAL, "kernel '%s': the file is cut off: %" G_GUINT64_FORMAT " bytes of code are promised, %" G_GUINT64_FORMAT " are there",
                        boot->kernel_path, promised, boot->image_size);
        }
    }
    boot->load_address = LOAD_AT;
    boot->long_mode = version(boot) >= 0x20c && (load_le16(kernel + XLOAD_FLAGS) & XLF_KERNEL_64);
    boot->entry = boot->load_address + (boot->long_mode ? ENTRY_64 : 0);
    uint64_t room = boot->image_size;
    if (version(boot) >= 0x20a) {
        room = MAX(room, load_le32(kernel + INIT_SIZE));
    }
    boot->image_end = boot->load_address + room;
    if (!boot_in_ram(boot, boot->load_address, room)) {
        return fail(err, ENOMEM, "kernel '%s': it needs %" G_GUINT64_FORMAT " MiB of guest memory to start; give more with -m",
                    boot->kernel_path, (boot->image_end >> 20) + 1);
    }
    return true;
}

static bool place_initrd(Boot *boot, GError **err)
{
    uint64_t top = version(boot) >= 0x203 ? load_le32(boot->kernel + INITRD_ADDR_MAX) + UINT64_C(1) : UINT64_C(0x38000000);

    if (!boot->initrd_size) {
        return true;
    }
    boot->initrd_address = boot_highest_place(boot, boot->image_end, MIN(top, boot->map.below_4g), boot->initrd_size);
    if (!boot->initrd_address && boot->long_mode && (load_le16(boot->kernel + XLOAD_FLAGS) & XLF_ABOVE_4G)) {
        boot->initrd_address = boot_highest_place(boot, boot->image_end, UINT64_MAX, boot->initrd_size);
    }
    if (!boot->initrd_address) {
        return fail(err, ENOMEM, "initrd: its %zu MiB do not fit beside the kernel in the guest's memory; give more with -m",
                    (boot->initrd_size >> 20) + 1);
    }
    return true;
}

static bool linux_check(Boot *boot, GError **err)
{
    if (!check_kernel(boot, err)) {
        return false;
    }
    size_t most = version(boot) >= 0x206 ? load_le32(boot->kernel + COMMAND_LINE_SIZE) : 255;
    if (strlen(boot->command_line) > most) {
        return fail(err, EINVAL, "-append: the command line has %zu bytes, this kernel takes %zu", strlen(boot->command_line), most);
    }
    return place_initrd(boot, err);
}

static void place_e820(const Boot *boot, uint8_t *params)
{
    params[E820_COUNT] = (uint8_t)boot->map.count;
    for (unsigned i = 0; i < boot->map.count; i++) {
        map_entry_store(&boot->map.entries[i], params + E820_TABLE + i * MAP_ENTRY_BYTES);
    }
}

static void linux_place(Boot *boot, CpuState *cpu)
{
    uint8_t params[ZERO_PAGE] = { 0 };
    size_t header_end = MIN(0x202u + boot->kernel[0x201], (size_t)SETUP_HEADER_MOST);

    memcpy(params + SETUP_HEADER, boot->kernel + SETUP_HEADER, header_end - SETUP_HEADER);
    params[TYPE_OF_LOADER] = LOADER_UNDEFINED;
    params[LOAD_FLAGS] &= (uint8_t)~KEEP_SEGMENTS;
    store_le32(params + CODE32_START, (uint32_t)boot->load_address);
    store_le32(params + RAMDISK_IMAGE, (uint32_t)boot->initrd_address);
    store_le32(params + EXT_RAMDISK_IMAGE, (uint32_t)(boot->initrd_address >> 32));
    store_le32(params + RAMDISK_SIZE, (uint32_t)boot->initrd_size);
    store_le32(params + EXT_RAMDISK_SIZE, (uint32_t)((uint64_t)boot->initrd_size >> 32));
    store_le32(params + COMMAND_LINE_POINTER, BOOT_COMMAND_LINE);
    store_le64(params + ACPI_RSDP, boot->map.rsdp);
    place_e820(boot, params);
    boot_write(boot, BOOT_PARAMS, params, sizeof params);
    boot_write(boot, BOOT_COMMAND_LINE, boot->command_line, strlen(boot->command_line) + 1);
    boot_write(boot, boot->load_address, boot->kernel + boot->image_offset, boot->image_size);
    if (boot->initrd_size) {
        boot_write(boot, boot->initrd_address, boot->initrd, boot->initrd_size);
    }
    if (boot->long_mode) {
        boot_cpu_long(boot, cpu);
    } else {
        boot_cpu_flat32(boot, cpu);
    }
    cpu->gpr[GPR_RSI] = BOOT_PARAMS;
    cpu->gpr[GPR_RSP] = BOOT_PARAMS;       /* something to push on until the kernel has its own */
}

bool boot_items(const Boot *boot, BootItems *items)
{
    if (boot->loader != &linux_loader || boot->initrd_address + boot->initrd_size > UINT32_MAX) {
        return false;
    }
    *items = (BootItems){
        .setup = boot->kernel, .setup_size = boot->image_offset, .setup_address = BOOT_PARAMS,
        .kernel = boot->kernel + boot->image_offset, .kernel_size = boot->image_size, .kernel_address = LOAD_AT,
        .initrd = boot->initrd, .initrd_size = boot->initrd_size, .initrd_address = (uint32_t)boot->initrd_address,
        .command_line = boot->command_line, .command_line_address = BOOT_COMMAND_LINE,
    };
    return true;
}

const BootLoader linux_loader = {
    .kind = "bzImage", .recognize = linux_recognize, .check = linux_check, .place = linux_place,
};
