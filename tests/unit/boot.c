/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * boot.c - kernels and what comes with them: every kind of bad file is refused by a sentence, good ones stand in memory
 *
 * The loaders are compiled in; the processor is a CpuState of this test's own.
 */
#include "base/bytes.h"
#include "base/lock.h"
#include "hw/machine/boot-internal.h"
#include <elf.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MIB = 1 << 20, LOW_END = 0x9fc00 };
static CpuState processor;
static char *folder;

/* The accelerator's two functions that boot.c calls. */
void cpu_get_state(Cpu *cpu, CpuState *state)
{
    (void)cpu;
    *state = processor;
}

bool cpu_set_state(Cpu *cpu, const CpuState *state, GError **err)
{
    (void)cpu, (void)err;
    processor = *state;
    return true;
}

static unsigned stops;

void machine_request_stop(Machine *machine, RunState state)
{
    (void)machine;
    g_assert_cmpint(state, ==, RUN_INTERNAL_ERROR);
    stops++;
}

typedef struct Bed { Machine machine; MemoryMap map; Region root, ram; } Bed;

/* RAM as a PC maps it; size 0: the test's own default of 16 MiB. */
static void bed_up(Bed *bed, uint64_t size)
{
    size = size ? size : 16 * MIB;
    memset(bed, 0, sizeof *bed);
    memset(&processor, 0, sizeof processor);
    machine_lock();
    region_init_container(&bed->root, "root", UINT64_MAX);
    g_assert_true(region_init_ram(&bed->ram, "ram", size, NULL));
    region_add(&bed->root, 0, &bed->ram, 0);
    bed->machine.memory = space_new("test", &bed->root);
    bed->machine.cpus = g_ptr_array_new();
    g_ptr_array_add(bed->machine.cpus, &processor);
    bed->map.below_4g = size;
    map_add(&bed->map, 0, MIN(size, LOW_END), E820_RAM);
    map_add(&bed->map, MIB, size > MIB ? size - MIB : 0, E820_RAM);
}

static void bed_down(Bed *bed)
{
    space_free(bed->machine.memory);
    region_destroy(&bed->root);
    region_destroy(&bed->ram);
    g_ptr_array_free(bed->machine.cpus, TRUE);
    machine_unlock();
}

static char *write_file(const char *name, const void *data, size_t length)
{
    char *path = g_build_filename(folder, name, NULL);

    g_assert_true(g_file_set_contents(path, data, (gssize)length, NULL));
    return path;
}

static Boot *try_open(Bed *bed, const char *kernel, const char *initrd, const char *append, GError **err)
{
    g_autoptr(Value) config = value_new_object();

    value_set(config, "kernel", value_new_string(kernel));
    if (initrd) {
        value_set(config, "initrd", value_new_string(initrd));
    }
    if (append) {
        value_set(config, "append", value_new_string(append));
    }
    return boot_open(&bed->machine, config, &bed->map, err);
}

/* Refused, in one line that has the words. */
static void refused(Bed *bed, const char *kernel, const char *initrd, const char *append, const char *words)
{
    GError *error = NULL;
    Boot *boot = try_open(bed, kernel, initrd, append, &error);

    if (boot || !error) {
        g_error("'%s' was taken, '%s' was expected", kernel, words);
    }
    if (!strstr(error->message, words) || strchr(error->message, '\n')) {
        g_error("'%s': the sentence is '%s', '%s' was expected", kernel, error->message, words);
    }
    g_error_free(error);
}

static void refused_bytes(Bed *bed, const void *data, size_t length, const char *words)
{
    g_autofree char *path = write_file("kernel", data, length);

    refused(bed, path, NULL, NULL, words);
}

static Boot *taken(Bed *bed, const char *kernel, const char *initrd, const char *append)
{
    GError *error = NULL;
    Boot *boot = try_open(bed, kernel, initrd, append, &error);

    g_assert_no_error(error);
    g_assert_nonnull(boot);
    return boot;
}

static const uint8_t *at(const Bed *bed, uint64_t address)
{
    return region_host(&bed->ram) + address;
}

static void no_file_at_all(void)
{
    static const char *const magics[] = { "MZ", "\177ELF", "\177ELF\2\1\1", "\177ELF\1\1\1", "HdrS", "\037\213\010", "#!/bin/sh\n" };
    Bed bed;

    bed_up(&bed, 0);
    refused(&bed, "/nonexistent/vmlinuz", NULL, NULL, "kernel '/nonexistent/vmlinuz': No such file or directory");
    refused(&bed, "", NULL, NULL, "No such file");
    refused(&bed, folder, NULL, NULL, "not a regular file");
    refused(&bed, "/dev/zero", NULL, NULL, "kernel '/dev/zero': it is not a regular file");
    refused_bytes(&bed, "", 0, "nearly empty");
    refused_bytes(&bed, "\177", 1, "nearly empty");
    for (size_t i = 0; i < G_N_ELEMENTS(magics); i++) {
        uint8_t bytes[4096] = { 0 };
        memcpy(bytes, magics[i], strlen(magics[i]));
        refused_bytes(&bed, bytes, strlen(magics[i]), "neither a bzImage");
        refused_bytes(&bed, bytes, sizeof bytes, "neither a bzImage");
    }
    g_autofree char *fifo = g_build_filename(folder, "fifo", NULL);
    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    refused(&bed, fifo, NULL, NULL, "not a regular file");
    g_autofree char *huge = write_file("huge", "MZ", 2);
    g_assert_cmpint(truncate(huge, (off_t)5 << 30), ==, 0);
    refused(&bed, huge, NULL, NULL, "limit");
    g_unlink(huge);
    bed_down(&bed);
}

/* A bzImage of protocol 2.15: one set-up sector, 8 KiB of code that is all 90h. */
enum { IMAGE = 1024 + 8192, SETUP = 1024 };
static uint8_t *make_linux(void)
{
    uint8_t *image = g_malloc0(IMAGE);

    memset(image + SETUP, 0x90, IMAGE - SETUP);
    image[0x1f1] = 1;
    store_le32(image + 0x1f4, (IMAGE - SETUP) / 16);
    store_le16(image + 0x1fe, 0xaa55);
    image[0x200] = 0xeb;
    image[0x201] = 0x66;
    memcpy(image + 0x202, "HdrS", 4);
    store_le16(image + 0x206, 0x20f);
    image[0x211] = 1;
    store_le32(image + 0x214, 0x100000);
    store_le32(image + 0x22c, 0x7fffffff);
    store_le32(image + 0x230, 0x200000);
    image[0x234] = 1;
    store_le16(image + 0x236, 1);
    store_le32(image + 0x238, 2047);
    store_le32(image + 0x260, 0x10000);
    return image;
}

/* A reset reads the file that was opened; what became of it in the meantime is checked. */
static void linux_again(void)
{
    Bed bed;
    g_autofree uint8_t *image = make_linux();
    g_autofree char *kernel = write_file("kernel", image, IMAGE);

    bed_up(&bed, 0);
    Boot *boot = taken(&bed, kernel, NULL, NULL);
    boot_place(boot);
    boot_zero(boot, 0x100000, IMAGE - SETUP);
    boot_place(boot);
    g_assert_cmpmem(at(&bed, 0x100000), IMAGE - SETUP, image + SETUP, IMAGE - SETUP);
    g_assert_cmpuint(stops, ==, 0);
    g_assert_cmpint(truncate(kernel, SETUP), ==, 0);
    boot_place(boot);
    g_assert_cmpuint(stops, ==, 1);
    g_assert_cmpint(truncate(kernel, 3), ==, 0);
    boot_place(boot);
    g_assert_cmpuint(stops, ==, 2);
    boot_free(boot);
    bed_down(&bed);
}

static void linux_good(void)
{
    Bed bed;
    g_autofree uint8_t *image = make_linux();
    g_autofree char *kernel = write_file("kernel", image, IMAGE), *initrd = write_file("initrd", "abcdefg", 7);
    BootItems items;

    bed_up(&bed, 0);
    Boot *boot = taken(&bed, kernel, initrd, "console=ttyS0");
    g_assert_true(boot_items(boot, &items));
    g_assert_cmpuint(items.setup_size, ==, SETUP);
    g_assert_cmpuint(items.kernel_size, ==, IMAGE - SETUP);
    boot_place(boot);
    g_assert_cmpmem(at(&bed, 0x100000), IMAGE - SETUP, image + SETUP, IMAGE - SETUP);
    const uint8_t *params = at(&bed, processor.gpr[GPR_RSI]);
    uint32_t where = load_le32(params + 0x218);
    g_assert_cmpuint(load_le32(params + 0x21c), ==, 7);
    g_assert_cmpuint(where % 4096, ==, 0);
    g_assert_cmpmem(at(&bed, where), 7, "abcdefg", 7);
    g_assert_cmpstr((const char *)at(&bed, load_le32(params + 0x228)), ==, "console=ttyS0");
    g_assert_cmpuint(params[0x210], ==, 0xff);
    g_assert_cmpuint(params[0x1e8], ==, bed.map.count);
    g_assert_cmpuint(load_le64(params + 0x2d0 + 20), ==, MIB);
    /* 64-bit: paging on by identity tables, CS long */
    g_assert_cmphex(processor.rip, ==, 0x100200);
    g_assert_cmphex(processor.efer & 0x500, ==, 0x500);
    g_assert_cmphex(processor.cr0 & 0x80000001, ==, 0x80000001);
    g_assert_true(processor.segment[SEG_CS].attributes & ATTR_L);
    uint64_t table = load_le64(at(&bed, processor.cr3)) & ~UINT64_C(0xfff);
    uint64_t directory = load_le64(at(&bed, table + 8 * 3)) & ~UINT64_C(0xfff);
    g_assert_cmphex(load_le64(at(&bed, directory + 8 * 5)), ==, (UINT64_C(3) << 30 | 5 << 21) + 0x83);
    boot_free(boot);
    store_le16(image + 0x236, 0);
    g_free(write_file("kernel", image, IMAGE));
    memset(&processor, 0, sizeof processor);                 /* as after a reset */
    boot = taken(&bed, kernel, NULL, NULL);
    boot_place(boot);
    g_assert_cmphex(processor.rip, ==, 0x100000);
    g_assert_false(processor.segment[SEG_CS].attributes & ATTR_L);
    g_assert_cmphex(processor.cr0 & 0x80000001, ==, 1);
    boot_free(boot);
    bed_down(&bed);
}

static void linux_cut_off(void)
{
    Bed bed;
    g_autofree uint8_t *image = make_linux();

    bed_up(&bed, 0);
    for (size_t length = 0; length < IMAGE; length += length < 1040 ? 13 : 251) {
        refused_bytes(&bed, image, length, length < 0x270 ? "neither" : "cut off");
    }
    bed_down(&bed);
}

/* Each number of the header at its absurd values: refused by a sentence, or taken and placed within RAM. */
static void linux_absurd(void)
{
    static const struct { unsigned offset, size; } numbers[] = {
        { 0x1f1, 1 }, { 0x1f4, 4 }, { 0x201, 1 }, { 0x206, 2 }, { 0x210, 1 }, { 0x211, 1 }, { 0x214, 4 }, { 0x218, 4 }, { 0x21c, 4 },
        { 0x224, 2 }, { 0x228, 4 }, { 0x22c, 4 }, { 0x230, 4 }, { 0x234, 1 }, { 0x235, 1 }, { 0x236, 2 }, { 0x238, 4 }, { 0x258, 8 },
        { 0x260, 4 }, { 0x264, 4 },
    };
    static const uint64_t values[] = { 0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x201, 0x202, 0xfff, 0x7fff, 0xffff, 0x100000, 0x7fffffff,
                                       0x80000000, 0xfffff000, UINT32_MAX, UINT64_MAX };
    Bed bed;

    bed_up(&bed, 0);
    g_autofree char *initrd = write_file("initrd", "abcdefg", 7);
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
        for (size_t j = 0; j < G_N_ELEMENTS(values); j++) {
            g_autofree uint8_t *image = make_linux();
            uint8_t bytes[8];
            GError *error = NULL;
            store_le64(bytes, values[j]);
            memcpy(image + numbers[i].offset, bytes, numbers[i].size);
            g_autofree char *kernel = write_file("kernel", image, IMAGE);
            Boot *boot = try_open(&bed, kernel, initrd, "a", &error);
            g_assert_true(!boot == !!error);
            if (boot) {
                g_assert_cmpuint(boot->initrd_address, >=, boot->image_end);
                g_assert_true(boot_in_ram(boot, boot->load_address, boot->image_size));
                boot_place(boot);
                boot_free(boot);
            } else {
                g_assert_null(strchr(error->message, '\n'));
                g_error_free(error);
            }
        }
    }
    bed_down(&bed);
}

static void linux_does_not_fit(void)
{
    Bed bed;
    g_autofree uint8_t *image = make_linux(), *big = g_malloc0(4 * MIB);
    g_autofree char *kernel = write_file("kernel", image, IMAGE), *initrd = write_file("initrd", big, 4 * MIB);

    bed_up(&bed, 2 * MIB);
    refused(&bed, kernel, initrd, NULL, "initrd: its 5 MiB do not fit beside the kernel in the guest's memory; give more with -m");
    refused(&bed, kernel, "/nonexistent/initrd", NULL, "initrd '/nonexistent/initrd': No such file");
    refused(&bed, kernel, folder, NULL, "not a regular file");
    g_autofree char *line = g_strnfill(2048, 'x'), *huge = g_strnfill(100000, 'x');
    refused(&bed, kernel, NULL, line, "-append: the command line has 2048 bytes, this kernel takes 2047");
    refused(&bed, kernel, NULL, huge, "-append: the command line has 100000 bytes, at most 65535 fit");
    store_le16(image + 0x206, 0x201);
    refused_bytes(&bed, image, IMAGE, "boot protocol 2.01 is too old");
    store_le16(image + 0x206, 0x20f);
    image[0x211] = 0;
    refused_bytes(&bed, image, IMAGE, "too old");
    bed_down(&bed);
    for (uint64_t size = 4096; size <= MIB; size *= 4) {    /* tiny -m */
        bed_up(&bed, size);
        g_autofree uint8_t *good = make_linux();
        refused_bytes(&bed, good, IMAGE, "give more with -m");
        bed_down(&bed);
    }
    bed_up(&bed, MIB + IMAGE - SETUP);     /* the image fits, its INIT_SIZE does not */
    g_autofree uint8_t *good = make_linux();
    refused_bytes(&bed, good, IMAGE, "give more with -m");
    bed_down(&bed);
}

/* An ELF-64 with two program headers, a segment of 256 bytes at 1 MiB with 4 KiB of memory, and a PVH note. */
enum { ELF_SIZE = 1024, CODE = 512, NOTE = 256, NOTE_SIZE = 20 };
typedef struct Elf64 { Elf64_Ehdr head; Elf64_Phdr load, note; } Elf64;
typedef struct Elf32 { Elf32_Ehdr head; Elf32_Phdr load, note; } Elf32;

static void put_note(uint8_t *file)
{
    store_le32(file + NOTE, 4);
    store_le32(file + NOTE + 4, 4);
    store_le32(file + NOTE + 8, 18);
    memcpy(file + NOTE + 12, "Xen", 4);
    store_le32(file + NOTE + 16, 0x100010);
    memset(file + CODE, 0x90, 256);
}

static uint8_t *make_elf64(void)
{
    uint8_t *file = g_malloc0(ELF_SIZE);
    Elf64 *elf = (Elf64 *)file;

    memcpy(elf->head.e_ident, ELFMAG, SELFMAG);
    elf->head.e_ident[EI_CLASS] = ELFCLASS64;
    elf->head.e_ident[EI_DATA] = ELFDATA2LSB;
    elf->head.e_entry = 0x100000;
    elf->head.e_phoff = sizeof elf->head;
    elf->head.e_phentsize = sizeof(Elf64_Phdr);
    elf->head.e_phnum = 2;
    elf->load = (Elf64_Phdr){ .p_type = PT_LOAD, .p_offset = CODE, .p_paddr = MIB, .p_filesz = 256, .p_memsz = 4096, .p_align = 1 };
    elf->note = (Elf64_Phdr){ .p_type = PT_NOTE, .p_offset = NOTE, .p_filesz = NOTE_SIZE, .p_align = 4 };
    put_note(file);
    return file;
}

static uint8_t *make_elf32(void)
{
    uint8_t *file = g_malloc0(ELF_SIZE);
    Elf32 *elf = (Elf32 *)file;

    memcpy(elf->head.e_ident, ELFMAG, SELFMAG);
    elf->head.e_ident[EI_CLASS] = ELFCLASS32;
    elf->head.e_ident[EI_DATA] = ELFDATA2LSB;
    elf->head.e_entry = 0x100000;
    elf->head.e_phoff = sizeof elf->head;
    elf->head.e_phentsize = sizeof(Elf32_Phdr);
    elf->head.e_phnum = 2;
    elf->load = (Elf32_Phdr){ .p_type = PT_LOAD, .p_offset = CODE, .p_paddr = MIB, .p_filesz = 256, .p_memsz = 4096, .p_align = 1 };
    elf->note = (Elf32_Phdr){ .p_type = PT_NOTE, .p_offset = NOTE, .p_filesz = NOTE_SIZE, .p_align = 4 };
    put_note(file);
    return file;
}

static void pvh_good(void)
{
    Bed bed;
    uint8_t *(*const makers[])(void) = { make_elf64, make_elf32 };
    g_autofree char *initrd = write_file("initrd", "abcdefg", 7);

    for (size_t i = 0; i < G_N_ELEMENTS(makers); i++) {
        bed_up(&bed, 0);
        g_autofree uint8_t *file = makers[i]();
        g_autofree char *kernel = write_file("kernel", file, ELF_SIZE);
        memset(region_host(&bed.ram) + MIB, 0xcc, 8192);
        Boot *boot = taken(&bed, kernel, initrd, "quiet");
        BootItems items;
        g_assert_false(boot_items(boot, &items));
        boot_place(boot);
        g_assert_cmpmem(at(&bed, MIB), 256, file + CODE, 256);
        g_assert_cmphex(*at(&bed, MIB + 256), ==, 0);            /* its bss */
        g_assert_cmphex(*at(&bed, MIB + 4095), ==, 0);
        g_assert_cmphex(*at(&bed, MIB + 4096), ==, 0xcc);
        g_assert_cmphex(processor.rip, ==, 0x100010);
        const uint8_t *info = at(&bed, processor.gpr[GPR_RBX]);
        g_assert_cmphex(load_le32(info), ==, 0x336ec578);
        g_assert_cmpstr((const char *)at(&bed, load_le64(info + 24)), ==, "quiet");
        g_assert_cmpuint(load_le32(info + 12), ==, 1);
        const uint8_t *module = at(&bed, load_le64(info + 16));
        g_assert_cmpmem(at(&bed, load_le64(module)), 7, "abcdefg", 7);
        g_assert_cmpuint(load_le32(info + 48), ==, 2);
        g_assert_cmpuint(load_le64(at(&bed, load_le64(info + 40)) + 24), ==, MIB);
        boot_free(boot);
        bed_down(&bed);
    }
}

typedef struct BadSegment {
    uint64_t offset, physical, file_size, memory_size;
    const char *words;
} BadSegment;

static void elf_bad_segments(void)
{
    static const BadSegment bad[] = {
        { CODE, MIB, 256, 255, "outside the file" },
        { CODE, MIB, 513, 4096, "outside the file" },
        { ELF_SIZE, MIB, 1, 1, "outside the file" },
        { UINT64_MAX, MIB, 1, 1, "outside the file" },
        { UINT64_MAX, MIB, UINT64_MAX, UINT64_MAX, "outside the file" },
        { CODE, MIB, UINT64_MAX, UINT64_MAX, "outside the file" },
        { CODE, 0, 256, 4096, "link it to 1 MiB" },
        { CODE, 0x9f000, 256, 4096, "link it to 1 MiB" },
        { CODE, 0xa0000, 256, 4096, "give more with -m" },
        { CODE, 16 * MIB - 4095, 256, 4096, "give more with -m" },
        { CODE, 16 * MIB, 256, 4096, "give more with -m" },
        { CODE, UINT32_MAX, 256, 4096, "give more with -m" },
        { CODE, UINT64_MAX - 10, 256, 4096, "give more with -m" },
        { CODE, MIB, 256, UINT64_MAX - MIB, "give more with -m" },
        { CODE, MIB, 256, UINT32_MAX, "give more with -m" },
        { CODE, MIB, 0, 0, "nothing to load" },
    };
    Bed bed;

    bed_up(&bed, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree uint8_t *file = make_elf64(), *small = make_elf32();
        ((Elf64 *)file)->load.p_offset = bad[i].offset;
        ((Elf64 *)file)->load.p_paddr = bad[i].physical;
        ((Elf64 *)file)->load.p_filesz = bad[i].file_size;
        ((Elf64 *)file)->load.p_memsz = bad[i].memory_size;
        refused_bytes(&bed, file, ELF_SIZE, bad[i].words);
        if (MAX(MAX(bad[i].physical, bad[i].offset), MAX(bad[i].memory_size, bad[i].file_size)) <= UINT32_MAX) {
            ((Elf32 *)small)->load.p_offset = (uint32_t)bad[i].offset;
            ((Elf32 *)small)->load.p_paddr = (uint32_t)bad[i].physical;
            ((Elf32 *)small)->load.p_filesz = (uint32_t)bad[i].file_size;
            ((Elf32 *)small)->load.p_memsz = (uint32_t)bad[i].memory_size;
            refused_bytes(&bed, small, ELF_SIZE, bad[i].words);
        }
    }
    /* Overlapping segments only overwrite each other. */
    g_autofree uint8_t *file = make_elf64();
    Elf64 *elf = (Elf64 *)file;
    elf->head.e_phnum = 3;
    (&elf->note)[1] = elf->load;
    (&elf->note)[1].p_paddr += 100;
    g_autofree char *kernel = write_file("kernel", file, ELF_SIZE);
    Boot *boot = taken(&bed, kernel, NULL, NULL);
    boot_place(boot);
    boot_free(boot);
    bed_down(&bed);
}

static void elf_bad_headers(void)
{
    static const uint64_t tables[] = { ELF_SIZE - 55, ELF_SIZE, UINT32_MAX, UINT64_MAX, UINT64_MAX - 55, INT64_MAX };
    Bed bed;

    bed_up(&bed, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(tables); i++) {
        g_autofree uint8_t *file = make_elf64();
        ((Elf64 *)file)->head.e_phoff = tables[i];
        refused_bytes(&bed, file, ELF_SIZE, "neither");
    }
    static const struct { uint16_t count; const char *words; } counts[] = {
        { 0, "neither" }, { 65, "at most 64" }, { UINT16_MAX, "at most 64" }, { 40, "cut off before program header" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
        g_autofree uint8_t *file = make_elf64();
        ((Elf64 *)file)->head.e_phnum = counts[i].count;
        refused_bytes(&bed, file, ELF_SIZE, counts[i].words);
    }
    g_autofree uint8_t *file = make_elf64(), *small = make_elf32();
    for (size_t length = 0; length < CODE + 256; length += 7) {
        GError *error = NULL;
        g_autofree char *kernel = write_file("kernel", file, length);
        g_assert_null(try_open(&bed, kernel, NULL, NULL, &error));
        g_clear_error(&error);
        g_free(write_file("kernel", small, length));
        g_assert_null(try_open(&bed, kernel, NULL, NULL, &error));
        g_clear_error(&error);
    }
    file[EI_DATA] = ELFDATA2MSB;
    refused_bytes(&bed, file, ELF_SIZE, "neither");
    small[EI_CLASS] = 3;
    refused_bytes(&bed, small, ELF_SIZE, "neither");
    bed_down(&bed);
}

static void elf_notes(void)
{
    static const struct { unsigned offset; uint32_t value; } bad[] = {
        { NOTE, 0 }, { NOTE, 3 }, { NOTE, 5 }, { NOTE, UINT32_MAX }, { NOTE, 0x80000000 }, { NOTE, UINT32_MAX - 11 }, { NOTE + 4, 0 },
        { NOTE + 4, 3 }, { NOTE + 4, 5 }, { NOTE + 4, UINT32_MAX }, { NOTE + 4, UINT32_MAX - 2 }, { NOTE + 8, 17 }, { NOTE + 12, 0 },
    };
    uint32_t entry;

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree uint8_t *file = make_elf64();
        store_le32(file + bad[i].offset, bad[i].value);
        g_assert_false(elf_find_pvh_entry(file, ELF_SIZE, &entry));
    }
    for (unsigned i = 0; i < 3; i++) {     /* a notes segment that is not in the file, or too short */
        static const struct { uint64_t offset, size; } places[] = { { ELF_SIZE - 8, 20 }, { UINT64_MAX - 4, 20 }, { NOTE, 19 } };
        g_autofree uint8_t *file = make_elf64();
        ((Elf64 *)file)->note.p_offset = places[i].offset;
        ((Elf64 *)file)->note.p_filesz = places[i].size;
        g_assert_false(elf_find_pvh_entry(file, ELF_SIZE, &entry));
    }
    /* Behind another note, which is padded to 4 or to 8 bytes. */
    for (uint64_t align = 4; align <= 8; align += 4) {
        g_autofree uint8_t *file = make_elf64();
        size_t second = NOTE + 16 + (align == 8 ? 8 : 4);
        store_le32(file + NOTE + 4, 1);
        store_le32(file + NOTE + 8, 1);
        memcpy(file + NOTE + 12, "GNU", 4);
        store_le32(file + second, 4);
        store_le32(file + second + 4, 8);
        store_le32(file + second + 8, 18);
        memcpy(file + second + 12, "Xen", 4);
        store_le32(file + second + 16, 0x123456);
        ((Elf64 *)file)->note.p_align = align;
        ((Elf64 *)file)->note.p_filesz = second + 24 - NOTE;
        g_assert_true(elf_find_pvh_entry(file, ELF_SIZE, &entry));
        g_assert_cmphex(entry, ==, 0x123456);
    }
}

/* A flat multiboot kernel: header at 16, loaded from the file's start at 1 MiB, bss to 1 MiB + 8 KiB. */
enum { FLAT_SIZE = 512, HEADER = 16 };
static void put_multiboot(uint8_t *header, uint32_t flags)
{
    store_le32(header, 0x1badb002);
    store_le32(header + 4, flags);
    store_le32(header + 8, -(0x1badb002 + flags));
}

static uint8_t *make_flat(void)
{
    uint8_t *file = g_malloc0(FLAT_SIZE), *header = file + HEADER;

    put_multiboot(header, 0x10003);
    store_le32(header + 12, MIB + HEADER);
    store_le32(header + 16, MIB);
    store_le32(header + 20, MIB + FLAT_SIZE);
    store_le32(header + 24, MIB + 8192);
    store_le32(header + 28, MIB + 64);
    memset(file + 64, 0x90, FLAT_SIZE - 64);
    return file;
}

static void multiboot_good(void)
{
    Bed bed;
    g_autofree uint8_t *file = make_flat();
    g_autofree char *kernel = write_file("kernel", file, FLAT_SIZE), *one = write_file("one", "first", 5), *two = write_file("t,w", "second", 6);
    g_autofree char *quoted = g_strdup_printf("%s with=args,%s/t,,w", one, folder), *second = g_strdup_printf("%s/t,w", folder);
    g_autofree char *line = g_strdup_printf("%s verbose", kernel), *first = g_strdup_printf("%s with=args", one);

    bed_up(&bed, 0);
    memset(region_host(&bed.ram) + MIB, 0xcc, 16384);
    Boot *boot = taken(&bed, kernel, quoted, "verbose");
    boot_place(boot);
    g_assert_cmpmem(at(&bed, MIB), FLAT_SIZE, file, FLAT_SIZE);
    g_assert_cmphex(*at(&bed, MIB + FLAT_SIZE), ==, 0);
    g_assert_cmphex(*at(&bed, MIB + 8191), ==, 0);
    g_assert_cmphex(processor.rip, ==, MIB + 64);
    g_assert_cmphex(processor.gpr[GPR_RAX], ==, 0x2badb002);
    const uint8_t *info = at(&bed, processor.gpr[GPR_RBX]);
    g_assert_cmpuint(load_le32(info + 8), ==, 15 * 1024);
    g_assert_cmpstr((const char *)at(&bed, load_le32(info + 16)), ==, line);
    g_assert_cmpuint(load_le32(info + 20), ==, 2);
    const uint8_t *modules = at(&bed, load_le32(info + 24));
    g_assert_cmpmem(at(&bed, load_le32(modules)), load_le32(modules + 4) - load_le32(modules), "first", 5);
    g_assert_cmpmem(at(&bed, load_le32(modules + 16)), load_le32(modules + 20) - load_le32(modules + 16), "second", 6);
    g_assert_cmpstr((const char *)at(&bed, load_le32(modules + 8)), ==, first);
    g_assert_cmpstr((const char *)at(&bed, load_le32(modules + 24)), ==, second);
    g_assert_cmpuint(load_le32(modules), >=, MIB + 8192);
    g_assert_cmpuint(load_le32(info + 44), ==, bed.map.count * 24);
    boot_free(boot);
    g_autofree uint8_t *elf = make_elf32();
    put_multiboot(elf + 128, 1);
    g_free(write_file("kernel", elf, ELF_SIZE));
    boot = taken(&bed, kernel, NULL, NULL);
    boot_place(boot);
    g_assert_cmphex(processor.rip, ==, MIB);
    g_assert_cmpmem(at(&bed, MIB), 256, elf + CODE, 256);
    boot_free(boot);
    bed_down(&bed);
}

static void multiboot_bad(void)
{
    static const struct { unsigned offset; uint32_t value; const char *words; } bad[] = {
        { HEADER + 12, MIB - 1, "contradict" }, { HEADER + 12, MIB + HEADER + 1, "contradict" }, { HEADER + 12, UINT32_MAX, "contradict" },
        { HEADER + 20, MIB - 1, "contradict" }, { HEADER + 20, MIB, "contradict" }, { HEADER + 20, MIB + FLAT_SIZE + 1, "cut off" },
        { HEADER + 20, UINT32_MAX, "cut off" }, { HEADER + 24, 16 * MIB + 1, "give more with -m" }, { HEADER + 24, UINT32_MAX, "give more with -m" },
    };
    Bed bed;

    bed_up(&bed, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree uint8_t *file = make_flat();
        store_le32(file + bad[i].offset, bad[i].value);
        refused_bytes(&bed, file, FLAT_SIZE, bad[i].words);
    }
    g_autofree uint8_t *file = make_flat();
    refused_bytes(&bed, file, HEADER + 31, "cut off in its multiboot header");
    store_le32(file + HEADER + 12, HEADER);
    store_le32(file + HEADER + 16, 0);
    store_le32(file + HEADER + 20, FLAT_SIZE);
    refused_bytes(&bed, file, FLAT_SIZE, "link it to 1 MiB");
    put_multiboot(file + HEADER, 0x10008);
    refused_bytes(&bed, file, FLAT_SIZE, "of which 0x8 are not known");
    put_multiboot(file + HEADER, 0);
    refused_bytes(&bed, file, FLAT_SIZE, "must be an ELF file");
    g_autofree uint8_t *elf = make_elf64();
    put_multiboot(elf + 200, 0);
    ((Elf64 *)elf)->head.e_entry = UINT64_C(1) << 32;
    refused_bytes(&bed, elf, ELF_SIZE, "above 4 GiB");
    bed_down(&bed);
}

static void multiboot_modules(void)
{
    Bed bed;
    g_autofree uint8_t *file = make_flat(), *big = g_malloc0(16 * MIB);
    g_autofree char *kernel = write_file("kernel", file, FLAT_SIZE), *one = write_file("one", "first", 5), *all = write_file("big", big, 16 * MIB);
    g_autofree char *pair = g_strdup_printf("%s,%s", one, all), *missing = g_strdup_printf("%s,/nonexistent/module args", one);
    g_autofree char *hole = g_strdup_printf("%s,", one), *quoted = g_strnfill(100000, 'a');
    GString *many = g_string_new(one);

    bed_up(&bed, 0);
    refused(&bed, kernel, missing, NULL, "multiboot module '/nonexistent/module': No such file");
    refused(&bed, kernel, hole, NULL, "multiboot module ''");
    refused(&bed, kernel, pair, NULL, "do not fit in the guest's memory; give more with -m");
    for (unsigned i = 0; i < 64; i++) {
        g_string_append_printf(many, ",%s", one);
    }
    refused(&bed, kernel, many->str, NULL, "more than 64 multiboot modules");
    refused(&bed, kernel, quoted, NULL, "module lines");
    g_string_free(many, TRUE);
    bed_down(&bed);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    folder = g_dir_make_tmp("roost-boot-XXXXXX", NULL);
    g_test_add_func("/boot/no-file-at-all", no_file_at_all);
    g_test_add_func("/boot/linux-good", linux_good);
    g_test_add_func("/boot/linux-again", linux_again);
    g_test_add_func("/boot/linux-cut-off", linux_cut_off);
    g_test_add_func("/boot/linux-absurd", linux_absurd);
    g_test_add_func("/boot/linux-does-not-fit", linux_does_not_fit);
    g_test_add_func("/boot/pvh-good", pvh_good);
    g_test_add_func("/boot/elf-bad-segments", elf_bad_segments);
    g_test_add_func("/boot/elf-bad-headers", elf_bad_headers);
    g_test_add_func("/boot/elf-notes", elf_notes);
    g_test_add_func("/boot/multiboot-good", multiboot_good);
    g_test_add_func("/boot/multiboot-bad", multiboot_bad);
    g_test_add_func("/boot/multiboot-modules", multiboot_modules);
    int status = g_test_run();
    static const char *const names[] = { "kernel", "initrd", "fifo", "huge", "one", "t,w", "big" };
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(folder, names[i], NULL);
        g_unlink(path);
    }
    g_rmdir(folder);
    g_free(folder);
    return status;
}
