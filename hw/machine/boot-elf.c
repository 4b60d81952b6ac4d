/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * boot-elf.c - ELF kernels: checked loading, and the PVH entry
 *
 * Follows   ELF-32 and ELF-64 program headers; Xen's PVH start-up ABI (start info version 1, entry note type 18):
 *           32-bit flat, paging off, EBX holds the guest address of hvm_start_info
 * Layout    BOOT_INFO: start info (56 bytes), one module entry (32) at +64, memory map (24 each) at +128
 * Tests     tests/unit/boot.c, tests/guest
 */
#include "base/bytes.h"
#include "base/checked.h"
#include "base/error.h"
#include "hw/machine/boot-internal.h"
#include <elf.h>
#include <errno.h>
#include <string.h>

enum { PVH_NOTE = 18, SEGMENTS_MOST = 64, NOTES_MOST = 1 << 20, START_INFO_MAGIC = 0x336ec578, MODULES_AT = BOOT_INFO + 64, MAP_AT = BOOT_INFO + 128 };

/* One program header, whatever the class. */
typedef struct Segment {
    uint32_t type;
    uint64_t offset, physical, file_size, memory_size, align;
} Segment;

bool elf_is(const uint8_t *data, size_t length)
{
    return length >= sizeof(Elf32_Ehdr) && memcmp(data, ELFMAG, SELFMAG) == 0 &&
           (data[EI_CLASS] == ELFCLASS32 || (data[EI_CLASS] == ELFCLASS64 && length >= sizeof(Elf64_Ehdr))) &&
           data[EI_DATA] == ELFDATA2LSB;
}

static bool is_64(const uint8_t *data)
{
    return data[EI_CLASS] == ELFCLASS64;
}

static unsigned segment_count(const uint8_t *data)
{
    return is_64(data) ? ((const Elf64_Ehdr *)data)->e_phnum : ((const Elf32_Ehdr *)data)->e_phnum;
}

/* Program header i, or false where it is not in the file. */
static bool segment_at(const uint8_t *data, size_t length, unsigned i, Segment *segment)
{
    uint64_t table = is_64(data) ? ((const Elf64_Ehdr *)data)->e_phoff : ((const Elf32_Ehdr *)data)->e_phoff;
    uint64_t size = is_64(data) ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr), at;

    if (!checked_add(table, i * size, &at) || !range_within(at, size, length)) {
        return false;
    }
    if (is_64(data)) {
        Elf64_Phdr header;
        memcpy(&header, data + at, sizeof header);
        *segment = (Segment){ header.p_type, header.p_offset, header.p_paddr, header.p_filesz, header.p_memsz, header.p_align };
    } else {
        Elf32_Phdr header;
        memcpy(&header, data + at, sizeof header);
        *segment = (Segment){ header.p_type, header.p_offset, header.p_paddr, header.p_filesz, header.p_memsz, header.p_align };
    }
    return true;
}

/* Walks the notes of one segment for Xen's entry note. Names and bodies begin at multiples of the segment's alignment,
 * counted from the note's own start; offsets only grow, so the walk ends. */
static bool note_entry(const uint8_t *notes, uint64_t length, uint64_t align, uint32_t *entry)
{
    uint64_t pad = align == 8 ? 7 : 3, at = 0;

    while (range_within(at, sizeof(Elf32_Nhdr), length)) {
        Elf32_Nhdr note;
        memcpy(&note, notes + at, sizeof note);
        uint64_t name = at + sizeof note, body = at + ((sizeof note + note.n_namesz + pad) & ~pad);
        if (!range_within(name, note.n_namesz, length) || !range_within(body, note.n_descsz, length)) {
            return false;
        }
        if (note.n_type == PVH_NOTE && note.n_namesz == 4 && memcmp(notes + name, "Xen", 4) == 0 && note.n_descsz >= 4) {
            *entry = load_le32(notes + body);
            return true;
        }
        at = body + ((note.n_descsz + pad) & ~pad);
    }
    return false;
}

bool elf_find_pvh_entry(const uint8_t *data, size_t length, uint32_t *entry)
{
    Segment segment;

    for (unsigned i = 0; elf_is(data, length) && i < MIN(segment_count(data), (unsigned)SEGMENTS_MOST) &&
                         segment_at(data, length, i, &segment); i++) {
        if (segment.type == PT_NOTE && range_within(segment.offset, segment.file_size, length) &&
            note_entry(data + segment.offset, MIN(segment.file_size, (uint64_t)NOTES_MOST), segment.align, entry)) {
            return true;
        }
    }
    return false;
}

bool elf_check(Boot *boot, GError **err)
{
    const uint8_t *data = boot->kernel;
    unsigned count = segment_count(data), loaded = 0;
    Segment segment;

    if (count > SEGMENTS_MOST) {
        return fail(err, EINVAL, "kernel '%s': %u program headers, at most %d are taken", boot->kernel_path, count, SEGMENTS_MOST);
    }
    for (unsigned i = 0; i < count; i++) {
        if (!segment_at(data, boot->kernel_size, i, &segment)) {
            return fail(err, EINVAL, "kernel '%s': the file is cut off before program header %u", boot->kernel_path, i);
        }
        if (segment.type != PT_LOAD || segment.memory_size == 0) {
            continue;
        }
        if (segment.file_size > segment.memory_size || !range_within(segment.offset, segment.file_size, boot->kernel_size)) {
            return fail(err, EINVAL, "kernel '%s': segment %u lies outside the file (cut off?)", boot->kernel_path, i);
        }
        if (segment.physical < BOOT_LOW_END) {
            return fail(err, EINVAL, "kernel '%s': segment %u wants guest memory 0x%" G_GINT64_MODIFIER "x, which -kernel uses itself; link "
                        "it to 1 MiB or higher", boot->kernel_path, i, segment.physical);
        }
        if (!boot_in_ram(boot, segment.physical, segment.memory_size)) {
            return fail(err, ENOMEM, "kernel '%s': segment %u wants guest memory 0x%" G_GINT64_MODIFIER "x to 0x%" G_GINT64_MODIFIER
                        "x; give more with -m", boot->kernel_path, i, segment.physical, segment.physical + segment.memory_size);
        }
        boot->image_end = MAX(boot->image_end, segment.physical + segment.memory_size);
        loaded++;
    }
    if (!loaded) {
        return fail(err, EINVAL, "kernel '%s': the ELF file has nothing to load", boot->kernel_path);
    }
    boot->entry = is_64(data) ? ((const Elf64_Ehdr *)data)->e_entry : ((const Elf32_Ehdr *)data)->e_entry;
    boot->is_elf = true;
    return true;
}

void elf_place(Boot *boot)
{
    Segment segment;

    for (unsigned i = 0; i < segment_count(boot->kernel); i++) {
        if (segment_at(boot->kernel, boot->kernel_size, i, &segment) && segment.type == PT_LOAD && segment.memory_size) {
            boot_write(boot, segment.physical, boot->kernel + segment.offset, segment.file_size);
            boot_zero(boot, segment.physical + segment.file_size, segment.memory_size - segment.file_size);
        }
    }
}

static bool pvh_recognize(const uint8_t *data, size_t length)
{
    uint32_t entry;

    return elf_find_pvh_entry(data, length, &entry);
}

static bool pvh_check(Boot *boot, GError **err)
{
    uint32_t entry;

    if (!elf_check(boot, err)) {
        return false;
    }
    elf_find_pvh_entry(boot->kernel, boot->kernel_size, &entry);
    boot->entry = entry;
    if (boot->initrd_size) {
        boot->initrd_address = boot_highest_place(boot, boot->image_end, boot->map.below_4g, boot->initrd_size);
        if (!boot->initrd_address) {
            return fail(err, ENOMEM, "initrd: its %zu MiB do not fit beside the kernel in the guest's memory; give more with -m",
                        (boot->initrd_size >> 20) + 1);
        }
    }
    return true;
}

static void place_map(Boot *boot)
{
    uint8_t entry[24] = { 0 };

    for (unsigned i = 0; i < boot->map.count; i++) {
        map_entry_store(&boot->map.entries[i], entry);
        boot_write(boot, MAP_AT + i * sizeof entry, entry, sizeof entry);
    }
}

static void pvh_place(Boot *boot, CpuState *cpu)
{
    uint8_t info[56] = { 0 }, module[32] = { 0 };

    elf_place(boot);
    store_le32(info, START_INFO_MAGIC);
    store_le32(info + 4, 1);                                        /* version */
    store_le32(info + 12, boot->initrd_size ? 1 : 0);               /* modules */
    store_le64(info + 16, MODULES_AT);
    store_le64(info + 24, BOOT_COMMAND_LINE);
    store_le64(info + 32, boot->map.rsdp);
    store_le64(info + 40, MAP_AT);
    store_le32(info + 48, boot->map.count);
    store_le64(module, boot->initrd_address);
    store_le64(module + 8, boot->initrd_size);
    boot_write(boot, BOOT_INFO, info, sizeof info);
    boot_write(boot, MODULES_AT, module, sizeof module);
    place_map(boot);
    boot_write(boot, BOOT_COMMAND_LINE, boot->command_line, strlen(boot->command_line) + 1);
    if (boot->initrd_size) {
        boot_write(boot, boot->initrd_address, boot->initrd, boot->initrd_size);
    }
    boot_cpu_flat32(boot, cpu);
    cpu->gpr[GPR_RBX] = BOOT_INFO;
}

const BootLoader pvh_loader = { .kind = "PVH", .recognize = pvh_recognize, .check = pvh_check, .place = pvh_place };
