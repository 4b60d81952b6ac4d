/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fw_cfg.c - the firmware configuration device by its ports and by DMA, and descriptors at every bad place */
#include "base/bytes.h"
#include "base/json.h"
#include "hw/chipset/fw_cfg.h"
#include "tests/rig/rig.h"
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SELECTOR = 0x510, DATA = 0x511, DMA_HIGH = 0x514, DMA_LOW = 0x518, FILE_DIR = 0x19 };
enum { ERROR = 1, READ = 2, SKIP = 4, SELECT = 8, WRITE = 0x10 };
enum { DESCRIPTOR = 0x8000, BUFFER = 0x20000, RAM_END = 16 << 20 };

static Value *files(void)
{
    return json_parse("{'fw_cfg':[{'name':'opt/test/letters','string':'abcdefghijklmnopqrstuvwxyz'},{'name':'opt/test/empty','string':''}]}", NULL);
}

/* A bzImage in memory that has a name: a set-up sector, 2 KiB of code that is all 90h; behind a BIOS. */
static Value *kernel(void)
{
    static char *path;

    if (!path) {
        uint8_t image[1024 + 2048] = { 0 };
        int fd = memfd_create("kernel", MFD_CLOEXEC);
        memset(image + 1024, 0x90, 2048);
        image[0x1f1] = 1;
        store_le32(image + 0x1f4, 2048 / 16);
        store_le16(image + 0x1fe, 0xaa55);
        memcpy(image + 0x202, "HdrS", 4);
        store_le16(image + 0x206, 0x20f);
        image[0x211] = 1;
        store_le32(image + 0x22c, 0x7fffffff);
        store_le32(image + 0x238, 2047);
        check(write(fd, image, sizeof image) == sizeof image);
        path = g_strdup_printf("/proc/self/fd/%d", fd);
    }
    g_autofree char *text = g_strdup_printf("{'boot':{'kernel':'%s','initrd':'%s','append':'quiet','firmware':'bios-256k.bin'}}", path, path);
    return json_parse(text, NULL);
}

static void select_item(Rig *rig, uint16_t key)
{
    rig_outw(rig, SELECTOR, key);
}

static uint32_t read_be32(Rig *rig)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < 4; i++) {
        value = value << 8 | rig_inb(rig, DATA);
    }
    return value;
}

/* The key of a file by the directory, 0 when it is not there; every name ends in zeros, names ascend. */
static uint16_t key_of(Rig *rig, const char *wanted, uint32_t *size)
{
    uint16_t found = 0;
    char before[56] = "";

    select_item(rig, FILE_DIR);
    uint32_t count = read_be32(rig);
    check(count > 0 && count <= 64);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t length = read_be32(rig);
        uint16_t key = (uint16_t)(read_be32(rig) >> 16);
        char name[56];
        for (unsigned j = 0; j < sizeof name; j++) {
            name[j] = (char)rig_inb(rig, DATA);
        }
        check_eq(name[55], 0);
        check(strcmp(before, name) < 0);
        memcpy(before, name, sizeof before);
        if (strcmp(name, wanted) == 0) {
            found = key;
            *size = length;
        }
    }
    check_eq(rig_inb(rig, DATA), 0);         /* behind the end */
    return found;
}

/* Runs a descriptor that stands in memory; what it says afterwards. */
static uint32_t run_at(Rig *rig, uint64_t descriptor, uint32_t control, uint32_t length, uint64_t address)
{
    uint8_t bytes[16];

    store_be32(bytes, control);
    store_be32(bytes + 4, length);
    store_be64(bytes + 8, address);
    rig_write(rig, descriptor, bytes, sizeof bytes);
    rig_outl(rig, DMA_HIGH, GUINT32_SWAP_LE_BE((uint32_t)(descriptor >> 32)));
    rig_checkpoint(rig);
    rig_outl(rig, DMA_LOW, GUINT32_SWAP_LE_BE((uint32_t)descriptor));
    rig_read(rig, descriptor, bytes, 4);
    return load_be32(bytes);
}

static uint32_t run(Rig *rig, uint32_t control, uint32_t length, uint64_t address)
{
    return run_at(rig, DESCRIPTOR, control, length, address);
}

static void selector_and_data(Rig *rig)
{
    select_item(rig, 0);
    check_eq(read_be32(rig), 0x51454d55);    /* "QEMU" */
    check_eq(rig_inb(rig, DATA), 0);
    select_item(rig, 1);
    check_eq(rig_inb(rig, DATA), 3);         /* traditional and DMA */
    select_item(rig, 3);
    rig_inb(rig, DATA);
    rig_inb(rig, DATA);
    rig_inb(rig, DATA);
    rig_checkpoint(rig);
    check_eq(rig_inb(rig, DATA), RAM_END >> 24);             /* the fourth byte of le64 */
    static const uint16_t none[] = { 0x1f, 0x3fff, 0x4000 | 0x3f, 0x5f, 0x60, 0x7fff, 0x8000, 0xbfff, 0xffff };
    for (unsigned i = 0; i < G_N_ELEMENTS(none); i++) {
        select_item(rig, none[i]);
        check_eq(read_be32(rig), 0);
    }
    rig_outb(rig, DATA, 0xff);               /* nothing is writable */
    select_item(rig, 0);
    rig_outb(rig, DATA, 0xff);
    check_eq(rig_inb(rig, DATA), 'Q');
    check_eq(rig_inl(rig, DMA_HIGH), 0x554d4551);
    check_eq(rig_inl(rig, DMA_LOW), 0x47464320);
}

static void directory(Rig *rig)
{
    uint32_t size = 0;
    uint16_t key = key_of(rig, "opt/test/letters", &size);

    check(key >= 0x20);
    check_eq(size, 26);
    select_item(rig, key);
    for (unsigned i = 0; i < 26; i++) {
        check_eq(rig_inb(rig, DATA), 'a' + i);
        if (i == 12) {
            rig_checkpoint(rig);
        }
    }
    check_eq(rig_inb(rig, DATA), 0);
    check(key_of(rig, "opt/test/empty", &size) >= 0x20);
    check_eq(size, 0);
    check_eq(key_of(rig, "opt/test/none", &size), 0);
    check(key_of(rig, "etc/acpi/tables", &size) && size > 1000);
    check(key_of(rig, "etc/smbios/smbios-anchor", &size) && size == 31);
    check(key_of(rig, "etc/e820", &size) && size == 20);
}

static void dma_reads(Rig *rig)
{
    uint32_t size, key = key_of(rig, "opt/test/letters", &size);
    char text[40];

    rig_store(rig, BUFFER + 24, 8, UINT64_MAX);
    rig_store(rig, BUFFER + 32, 8, UINT64_MAX);
    check_eq(run(rig, key << 16 | SELECT | READ, 30, BUFFER), 0);
    rig_read(rig, BUFFER, text, sizeof text);
    check(memcmp(text, "abcdefghijklmnopqrstuvwxyz\0\0\0\0\xff\xff", 32) == 0);
    check_eq(run(rig, key << 16 | SELECT | SKIP, 10, 0), 0);
    check_eq(run(rig, READ, 3, BUFFER), 0);
    rig_read(rig, BUFFER, text, 4);
    check(memcmp(text, "klmd", 4) == 0);
    check_eq(rig_inb(rig, DATA), 'n');       /* one offset for both ways */
    check_eq(run(rig, SKIP, UINT32_MAX, 0), 0);
    check_eq(run(rig, SKIP, UINT32_MAX, 0), 0);
    check_eq(run(rig, READ, 2, BUFFER), 0);
    check_eq(rig_load(rig, BUFFER, 2), 0);
    check_eq(run(rig, key << 16 | SELECT, 0, 0), 0);
    check_eq(run(rig, 0, 100, BUFFER), 0);   /* no command */
    check_eq(rig_inb(rig, DATA), 'a');
    check_eq(run(rig, 0x1fu << 16 | SELECT | READ, 4, BUFFER), 0);         /* no such item: zeros */
    check_eq(rig_load(rig, BUFFER, 4), 0);
    check_eq(run(rig, key << 16 | SELECT | WRITE, 4, BUFFER), ERROR);
    check_eq(run(rig, key << 16 | SELECT | READ | SKIP | WRITE, 1, BUFFER), 0);        /* read goes first */
    check_eq(rig_load(rig, BUFFER, 1), 'a');
    check_eq(run(rig, key << 16 | SELECT | READ, 26, DESCRIPTOR), 0);      /* over its own descriptor */
    check_eq(rig_load(rig, DESCRIPTOR + 4, 1), 'e');
    rig_store(rig, DESCRIPTOR + 0x100, 8, 0);
    check_eq(run_at(rig, RAM_END - 16, key << 16 | SELECT | READ, 1, BUFFER), 0);      /* the last place there is */
}

static void dma_bad_places(Rig *rig)
{
    static const uint64_t targets[] = { RAM_END, RAM_END - 10, 0xfec00000, 0xfee00000, 0xa0000, UINT32_MAX, UINT64_C(1) << 32, UINT64_MAX, UINT64_MAX - 12,
                                        INT64_MAX };
    static const uint64_t descriptors[] = { RAM_END, RAM_END - 15, 0xfec00000, 0xfee00300, UINT32_MAX, UINT64_MAX, UINT64_MAX - 15, UINT64_C(1) << 63 };
    uint32_t size, key = key_of(rig, "opt/test/letters", &size);

    for (unsigned i = 0; i < G_N_ELEMENTS(targets); i++) {
        check_eq(run(rig, key << 16 | SELECT | READ, 26, targets[i]), ERROR);
        check_eq(run(rig, 0x1fu << 16 | SELECT | READ, 26, targets[i]), ERROR);
    }
    check_eq(run(rig, key << 16 | SELECT | READ, UINT32_MAX, BUFFER), ERROR);          /* runs out of RAM */
    check_eq(run(rig, key << 16 | SELECT | READ, 0, UINT64_MAX), 0);       /* nothing to nowhere */
    for (unsigned i = 0; i < G_N_ELEMENTS(descriptors); i++) {
        rig_outl(rig, DMA_HIGH, GUINT32_SWAP_LE_BE((uint32_t)(descriptors[i] >> 32)));
        rig_outl(rig, DMA_LOW, GUINT32_SWAP_LE_BE((uint32_t)descriptors[i]));
    }
    check(rig_device(rig, "fw_cfg_io")->guest_faults >= G_N_ELEMENTS(descriptors));
    check_eq(run(rig, key << 16 | SELECT | READ, 1, BUFFER), 0);           /* the high half was forgotten after each */
    rig_outl(rig, DMA_LOW, GUINT32_SWAP_LE_BE((uint32_t)DESCRIPTOR));
    check_eq(rig_load(rig, BUFFER, 1), 'a');
}

static void dma_fills_so_much(Rig *rig)
{
    enum { MOST = 1 << 20, HIGH = 2 << 20 };      /* above what lies below 1 MiB */
    uint32_t size, key = key_of(rig, "opt/test/letters", &size);

    rig_store(rig, HIGH + MOST, 4, UINT32_MAX);
    check_eq(run(rig, key << 16 | SELECT | READ, size + MOST + 1, HIGH), ERROR);
    check_eq(rig_load(rig, HIGH + MOST, 4), UINT32_MAX);
    check_eq(run(rig, key << 16 | SELECT | READ, size + MOST, HIGH), 0);
    check_eq(rig_load(rig, HIGH, 1), 'a');
    check_eq(rig_load(rig, HIGH + MOST, 4), 0);
}

static void odd_accesses(Rig *rig)
{
    for (unsigned port = SELECTOR; port < SELECTOR + 12; port++) {
        for (uint32_t value = 0; value < 256; value += 15) {
            rig_outb(rig, port, (uint8_t)value);
            rig_outw(rig, port, (uint16_t)(value << 8 | value));
            rig_outl(rig, port, value << 24 | 0xffff00);
            rig_inb(rig, port);
            rig_inw(rig, port);
            rig_inl(rig, port);
        }
    }
    rig_checkpoint(rig);
    select_item(rig, 0);
    check_eq(rig_inb(rig, DATA), 'Q');
}

/* The option ROM's sums, its table of transfers, and what the transfers bring, done here in its place. */
static void kernel_by_option_rom(Rig *rig)
{
    uint32_t size = 0, key = key_of(rig, "genroms/linuxboot.bin", &size);
    uint8_t rom[2048], sum = 0;

    check(size > 0 && size <= sizeof rom && size % 512 == 0);
    check_eq(run(rig, key << 16 | SELECT | READ, size, BUFFER), 0);
    rig_read(rig, BUFFER, rom, size);
    for (uint32_t i = 0; i < size; i++) {
        sum = (uint8_t)(sum + rom[i]);
    }
    check_eq(sum, 0);
    check_eq(load_le16(rom), 0xaa55);
    check_eq(rom[2], size / 512);
    const uint8_t *header = rom + load_le16(rom + 0x1a);
    check(memcmp(header, "$PnP", 4) == 0);
    check(load_le16(header + 26) > 0 && load_le16(header + 26) < size);
    static const uint8_t first[] = { 0x00, 0x18, 0x00, 0x0a };   /* the set-up code's item, select and read */
    const uint8_t *table = memmem(rom, size, first, sizeof first);
    check(table != NULL);
    unsigned parts = 0;
    for (; table && load_be32(table); table += 16, parts++) {
        rig_write(rig, DESCRIPTOR, table, 16);
        rig_outl(rig, DMA_LOW, GUINT32_SWAP_LE_BE((uint32_t)DESCRIPTOR));
        check_eq(rig_load(rig, DESCRIPTOR, 4), 0);
    }
    check_eq(parts, 4);
    check_eq(rig_load(rig, 0x10202, 4), 0x53726448);         /* "HdrS" */
    check_eq(rig_load(rig, 0x10211, 1), 0x81);
    check_eq(rig_load(rig, 0x10228, 4), 0x20000);
    check_eq(rig_load(rig, 0x20000, 6), 0x7465697571);       /* "quiet" */
    check_eq(rig_load(rig, 0x100000, 4), 0x90909090);
    check_eq(rig_load(rig, 0x1007fc, 4), 0x90909090);
    uint32_t initrd = (uint32_t)rig_load(rig, 0x10218, 4);
    check_eq(rig_load(rig, 0x1021c, 4), 1024 + 2048);
    check(initrd > 0x100800 && initrd < RAM_END - 0x100000);
    check_eq(rig_load(rig, initrd + 0x202, 4), 0x53726448);
    check(key_of(rig, "bootorder", &size) && size == 26 + 1);
}

/* Names at and beyond the limit, a full directory, replacement. */
static void adding(Rig *rig)
{
    FwCfg *fw_cfg = (FwCfg *)rig_device(rig, "fw_cfg_io");
    g_autofree char *longest = g_strnfill(55, 'n'), *longer = g_strnfill(56, 'n');
    g_autoptr(GError) err = NULL;
    uint32_t size = 0;

    check(fw_cfg_add_file(fw_cfg, longest, "x", 1, NULL));
    check(key_of(rig, longest, &size) && size == 1);
    check(fw_cfg_add_file(fw_cfg, longest, "xyz", 3, NULL));
    check(key_of(rig, longest, &size) && size == 3);
    check(!fw_cfg_add_file(fw_cfg, longer, "x", 1, &err));
    check(err && strstr(err->message, "at most 55 bytes"));
    g_clear_error(&err);
    for (unsigned i = 0; i < 100 && !err; i++) {
        g_autofree char *name = g_strdup_printf("opt/filler/%u", i);
        fw_cfg_add_file(fw_cfg, name, "x", 1, &err);
    }
    check(err && strstr(err->message, "there is room for 64 files"));
    check(key_of(rig, "opt/filler/0", &size) && size == 1);
    static const char *const bad[] = { "[{}]", "[{'name':'a'}]", "[{'name':'a','string':'b','file':'c'}]", "[{'string':'b'}]", "[{'name':'a','file':'/nonexistent'}]",
                                       "[{'name':'a','file':'/dev/zero'}]" };
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(Value) list = json_parse(bad[i], NULL);
        g_clear_error(&err);
        check(!fw_cfg_add_user_files(fw_cfg, list, &err));
        check(err && strstr(err->message, "-fw_cfg") && !strchr(err->message, '\n'));
    }
}

#define ON_PC .board = "pc", .runs = FRESH | RESTORED, .settings = files
const Test fw_cfg_tests[] = {
    { "selector and data", selector_and_data, ON_PC },
    { "the directory of files", directory, ON_PC },
    { "DMA reads and skips", dma_reads, ON_PC },
    { "DMA at bad places", dma_bad_places, ON_PC },
    { "DMA fills with zeros up to a limit", dma_fills_so_much, ON_PC },
    { "accesses of every width at every port", odd_accesses, ON_PC },
    { "a kernel behind a BIOS", kernel_by_option_rom, .board = "pc", .runs = FRESH, .settings = kernel },
    { "adding files", adding, .board = "pc", .runs = FRESH, .settings = files },
    { NULL }
};
