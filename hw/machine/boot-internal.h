/* SPDX-License-Identifier: GPL-2.0-or-later */
/* boot-internal.h - shared by boot.c and the loaders of its kinds of kernel */
#pragma once
#include "hw/machine/boot.h"

typedef struct BootLoader {
    const char *kind;                      /* for sentences: "bzImage" */
    bool (*recognize)(const uint8_t *data, size_t length);
    bool (*check)(Boot *boot, GError **err);             /* everything that can be wrong, once */
    void (*place)(Boot *boot, CpuState *cpu);            /* cannot fail: check() saw to it */
} BootLoader;
extern const BootLoader linux_loader, multiboot_loader, pvh_loader;

/* Fixed places below 640 KiB that a kernel started by Roost may find used. */
enum {
    BOOT_GDT = 0x1000, BOOT_PAGE_TABLES = 0x9000, BOOT_PARAMS = 0x10000, BOOT_INFO = 0x11000, BOOT_COMMAND_LINE = 0x20000,
    BOOT_COMMAND_LINE_MOST = 0x10000, BOOT_LOW_END = 0x9fc00,
};

struct Boot {
    Machine *machine;
    const BootLoader *loader;
    MemoryMap map;
    char *kernel_path, *command_line;
    int kernel_fd;                         /* stays open for the next reset */
    uint8_t *kernel, *initrd;              /* kernel: NULL when it was given back, until the next reset */
    size_t kernel_size, initrd_size;
    GPtrArray *module_lines;               /* multiboot: a command line per module */
    GArray *modules;                       /* multiboot: BootModule */
    uint64_t load_address, entry, initrd_address;
    uint64_t image_offset, image_size;     /* bytes of the file that are loaded at load_address (not for ELF: is_elf) */
    uint64_t image_end;                    /* first guest address behind kernel and its bss */
    bool long_mode, is_elf;
};
typedef struct BootModule { uint8_t *data; size_t length; uint64_t address; } BootModule;

/* Guest memory for loaders. The ranges were checked against RAM by boot_in_ram(). */
void boot_write(Boot *boot, uint64_t address, const void *data, uint64_t length);
void boot_zero(Boot *boot, uint64_t address, uint64_t length);    /* after a reset memory is not fresh */
bool boot_in_ram(const Boot *boot, uint64_t address, uint64_t length);
/* The highest page-aligned place of length bytes that ends at or below top and begins at or above bottom; 0 when none. */
uint64_t boot_highest_place(const Boot *boot, uint64_t bottom, uint64_t top, uint64_t length);

/* ELF, for PVH and multiboot. Every header is checked against the file and against RAM; sets entry and image_end. */
bool elf_check(Boot *boot, GError **err);
void elf_place(Boot *boot);
bool elf_is(const uint8_t *data, size_t length);
bool elf_find_pvh_entry(const uint8_t *data, size_t length, uint32_t *entry);

/* The processor as the protocols want it. */
void boot_cpu_flat32(Boot *boot, CpuState *cpu);
void boot_cpu_long(Boot *boot, CpuState *cpu);
