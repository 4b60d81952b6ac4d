/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fw_cfg.c - the firmware configuration device: a selector, a data port, and DMA
 *
 * Models   the interface that SeaBIOS, OVMF and Linux's qemu_fw_cfg know: ports 510h (selector, 16 bits), 511h (data, 8 bits),
 *          514h (DMA address, 64 bits big endian, the low half starts the transfer); identity "QEMU", features
 *          traditional and DMA
 * Omits    writable items (there are none): a DMA write answers with the error bit; so does a read of more than 1 MiB beyond
 *          the item's end
 * Layout   DMA descriptor: be32 control (key << 16 | select 8, skip 4, read 2, write 10h; error 1), be32 length, be64 address
 * Threads  any vCPU thread, machine lock held
 * Tests    tests/dev/fw_cfg.c
 */
#include "hw/chipset/fw_cfg.h"
#include "accel/memory/dma.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/open.h"
#include "base/trace.h"
#include "hw/core/machine.h"
#include "hw/models.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { PORT = 0x510, PORTS = 12, NAME_LENGTH = 56, DIRECTORY_ENTRY = 64, KEYS = FW_CFG_FILE_FIRST + FW_CFG_FILE_SLOTS };
enum { DMA_ERROR = 1, DMA_READ = 2, DMA_SKIP = 4, DMA_SELECT = 8, DMA_WRITE = 0x10 };
enum { USER_FILE_LIMIT = 64 << 20, FILL_MOST = 1 << 20 };
static const char dma_signature[8] = { 'Q', 'E', 'M', 'U', ' ', 'C', 'F', 'G' };

typedef struct File {
    char name[NAME_LENGTH];
    GByteArray *data;
} File;

struct FwCfg {
    Device device;
    Region io;
    GByteArray *items[KEYS], *local[KEYS];  /* keys below 8000h, and from there on */
    File files[FW_CFG_FILE_SLOTS];
    unsigned file_count;
    uint16_t key;
    uint32_t offset;                       /* into the selected item */
    uint64_t dma_address;
};

enum { TRACE_SELECT, TRACE_DMA };
static TracePoint fw_cfg_trace[] = {
    [TRACE_SELECT] = { "fw_cfg_select", "the guest selected an item" },
    [TRACE_DMA] = { "fw_cfg_dma", "the guest asked for a transfer" },
};
TRACE_TABLE(fw_cfg_trace)

static void replace(GByteArray **place, const void *data, size_t length)
{
    if (*place) {
        g_byte_array_unref(*place);
    }
    *place = g_byte_array_sized_new((guint)length);
    g_byte_array_append(*place, data, (guint)length);
}

void fw_cfg_add(FwCfg *fw_cfg, uint16_t key, const void *data, size_t length)
{
    unsigned index = key & ~FW_CFG_LOCAL;

    if (index < KEYS) {
        replace(key & FW_CFG_LOCAL ? &fw_cfg->local[index] : &fw_cfg->items[index], data, length);
    }
}

void fw_cfg_add_u16(FwCfg *fw_cfg, uint16_t key, uint16_t value)
{
    uint8_t bytes[2];

    store_le16(bytes, value);
    fw_cfg_add(fw_cfg, key, bytes, sizeof bytes);
}

void fw_cfg_add_u32(FwCfg *fw_cfg, uint16_t key, uint32_t value)
{
    uint8_t bytes[4];

    store_le32(bytes, value);
    fw_cfg_add(fw_cfg, key, bytes, sizeof bytes);
}

void fw_cfg_add_u64(FwCfg *fw_cfg, uint16_t key, uint64_t value)
{
    uint8_t bytes[8];

    store_le64(bytes, value);
    fw_cfg_add(fw_cfg, key, bytes, sizeof bytes);
}

static File *file_find(const FwCfg *fw_cfg, const char *name)
{
    for (unsigned i = 0; i < fw_cfg->file_count; i++) {
        if (strcmp(fw_cfg->files[i].name, name) == 0) {
            return (File *)&fw_cfg->files[i];
        }
    }
    return NULL;
}

/* The directory names each file's key, its place in name order: firmware may rely on neither, people do on both. */
static void rebuild_directory(FwCfg *fw_cfg)
{
    g_autoptr(GByteArray) directory = g_byte_array_new();
    uint8_t entry[DIRECTORY_ENTRY] = { 0 };

    store_be32(entry, fw_cfg->file_count);
    g_byte_array_append(directory, entry, 4);
    for (unsigned i = 0; i < fw_cfg->file_count; i++) {
        const File *file = &fw_cfg->files[i];
        memset(entry, 0, sizeof entry);
        store_be32(entry, file->data->len);
        store_be16(entry + 4, (uint16_t)(FW_CFG_FILE_FIRST + i));
        memcpy(entry + 8, file->name, NAME_LENGTH);
        g_byte_array_append(directory, entry, sizeof entry);
    }
    fw_cfg_add(fw_cfg, FW_CFG_FILE_DIR, directory->data, directory->len);
}

bool fw_cfg_add_file(FwCfg *fw_cfg, const char *name, const void *data, size_t length, GError **err)
{
    File *file = file_find(fw_cfg, name);

    if (strlen(name) >= NAME_LENGTH) {
        return fail(err, ENAMETOOLONG, "fw_cfg file '%s': names have at most %d bytes", name, NAME_LENGTH - 1);
    }
    if (!file && fw_cfg->file_count == FW_CFG_FILE_SLOTS) {
        return fail(err, ENOSPC, "fw_cfg file '%s': there is room for %d files", name, FW_CFG_FILE_SLOTS);
    }
    if (!file) {
        unsigned at = fw_cfg->file_count++;
        for (; at > 0 && strcmp(fw_cfg->files[at - 1].name, name) > 0; at--) {
            fw_cfg->files[at] = fw_cfg->files[at - 1];
        }
        file = &fw_cfg->files[at];
        memset(file, 0, sizeof *file);
        memcpy(file->name, name, strlen(name));
    }
    replace(&file->data, data, length);
    rebuild_directory(fw_cfg);
    return true;
}

const GByteArray *fw_cfg_file(const FwCfg *fw_cfg, const char *name)
{
    const File *file = file_find(fw_cfg, name);

    return file ? file->data : NULL;
}

static bool add_user_file(FwCfg *fw_cfg, const Value *item, GError **err)
{
    const char *name = value_get_string(item, "name", NULL);
    const char *path = value_get_string(item, "file", NULL);
    const char *text = value_get_string(item, "string", NULL);
    g_autofree uint8_t *data = NULL;
    size_t length = 0;

    if (!name || !path == !text) {
        return fail(err, EINVAL, "-fw_cfg takes name=NAME and one of file=PATH, string=TEXT");
    }
    if (text) {
        return fw_cfg_add_file(fw_cfg, name, text, strlen(text), err);
    }
    return host_read_file("-fw_cfg file", path, USER_FILE_LIMIT, &data, &length, err) &&
           fw_cfg_add_file(fw_cfg, name, data, length, err);
}

bool fw_cfg_add_user_files(FwCfg *fw_cfg, const Value *list, GError **err)
{
    for (size_t i = 0; i < value_length(list); i++) {
        if (!add_user_file(fw_cfg, value_at(list, i), err)) {
            return false;
        }
    }
    return true;
}

/* The selected item, NULL when there is none: it then reads as zeros. */
static const GByteArray *selected(const FwCfg *fw_cfg)
{
    unsigned index = fw_cfg->key & 0x3fff;

    if (fw_cfg->key & FW_CFG_LOCAL) {
        return index < KEYS ? fw_cfg->local[index] : NULL;
    }
    if (index >= FW_CFG_FILE_FIRST) {
        return index - FW_CFG_FILE_FIRST < fw_cfg->file_count ? fw_cfg->files[index - FW_CFG_FILE_FIRST].data : NULL;
    }
    return fw_cfg->items[index];
}

static void select_item(FwCfg *fw_cfg, uint16_t key)
{
    TRACE(&fw_cfg_trace[TRACE_SELECT], "key 0x%04x", key);
    fw_cfg->key = key;
    fw_cfg->offset = 0;
}

/* How many bytes of the item lie ahead. */
static uint32_t remaining(const FwCfg *fw_cfg, const GByteArray *item)
{
    return item && fw_cfg->offset < item->len ? item->len - fw_cfg->offset : 0;
}

static uint8_t read_byte(FwCfg *fw_cfg)
{
    const GByteArray *item = selected(fw_cfg);

    return remaining(fw_cfg, item) ? item->data[fw_cfg->offset++] : 0;
}

/* Copies what the item has and fills the rest with zeros; nothing is allocated for the length that the guest named. The
 * machine lock is held meanwhile, so that a fill has a limit: without it a guest could ask for 4 GiB of zeros, again and again. */
static bool transfer(FwCfg *fw_cfg, uint64_t address, uint32_t length)
{
    static const uint8_t zeros[4096];
    const GByteArray *item = selected(fw_cfg);
    uint32_t have = MIN(remaining(fw_cfg, item), length);
    AddressSpace *memory = fw_cfg->device.machine->memory;

    if (length - have > FILL_MOST || (have && !dma_write(memory, address, item->data + fw_cfg->offset, have))) {
        return false;
    }
    fw_cfg->offset += have;
    for (uint32_t done = have, piece; done < length; done += piece) {
        piece = MIN(length - done, (uint32_t)sizeof zeros);
        if (!dma_write(memory, address + done, zeros, piece)) {
            return false;
        }
    }
    return true;
}

static void run_dma(FwCfg *fw_cfg)
{
    AddressSpace *memory = fw_cfg->device.machine->memory;
    uint64_t descriptor_at = fw_cfg->dma_address;
    uint8_t descriptor[16];

    fw_cfg->dma_address = 0;
    if (!dma_read(memory, descriptor_at, descriptor, sizeof descriptor)) {
        guest_fault(&fw_cfg->device, "DMA descriptor at 0x%" PRIx64 " is not in memory", descriptor_at);
        return;
    }
    uint32_t control = load_be32(descriptor), length = load_be32(descriptor + 4);
    uint64_t address = load_be64(descriptor + 8);
    bool ok = true;

    TRACE(&fw_cfg_trace[TRACE_DMA], "control 0x%08x length %u address 0x%" PRIx64, control, length, address);
    if (control & DMA_SELECT) {
        select_item(fw_cfg, (uint16_t)(control >> 16));
    }
    if (control & DMA_READ) {
        ok = transfer(fw_cfg, address, length);
    } else if (control & DMA_WRITE) {
        ok = false;
    } else if (control & DMA_SKIP) {
        fw_cfg->offset += MIN(remaining(fw_cfg, selected(fw_cfg)), length);
    }
    store_be32(descriptor, ok ? 0 : DMA_ERROR);
    dma_write(memory, descriptor_at, descriptor, 4);
}

/* Offsets: 0 selector, 1 data, 4..11 DMA address. A two-byte access at 0 is the selector's, so widths stay as written. */
static uint64_t fw_cfg_read(void *opaque, uint64_t offset, unsigned size)
{
    FwCfg *fw_cfg = opaque;
    uint64_t value = 0;

    if (offset == 1 && size == 1) {
        return read_byte(fw_cfg);
    }
    if (offset >= 4 && offset + size <= PORTS) {
        for (unsigned i = 0; i < size; i++) {
            value |= (uint64_t)(uint8_t)dma_signature[offset - 4 + i] << (8 * i);
        }
        return value;
    }
    return size == 8 ? UINT64_MAX : (UINT64_C(1) << (8 * size)) - 1;
}

static void fw_cfg_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    FwCfg *fw_cfg = opaque;

    if (offset == 0 && size == 2) {
        select_item(fw_cfg, (uint16_t)value);
    } else if (offset == 4 && size == 4) {
        fw_cfg->dma_address = (uint64_t)be32toh((uint32_t)value) << 32;
    } else if (offset == 8 && size == 4) {
        fw_cfg->dma_address |= be32toh((uint32_t)value);
        run_dma(fw_cfg);
    } else if (offset == 4 && size == 8) {
        fw_cfg->dma_address = be64toh(value);
        run_dma(fw_cfg);
    }
}

static const RegionOps fw_cfg_io = { .read = fw_cfg_read, .write = fw_cfg_write, .widths = WIDTH_ANY, .unaligned = true };

static bool fw_cfg_realize(Device *device, GError **err)
{
    FwCfg *fw_cfg = (FwCfg *)device;

    (void)err;
    fw_cfg_add(fw_cfg, FW_CFG_SIGNATURE, "QEMU", 4);
    fw_cfg_add_u32(fw_cfg, FW_CFG_ID, 3);
    rebuild_directory(fw_cfg);
    region_init_io(&fw_cfg->io, &fw_cfg_io, fw_cfg, "fwcfg", PORTS);
    region_add(&device->machine->port_root, PORT, &fw_cfg->io, 0);
    return true;
}

static void fw_cfg_unrealize(Device *device)
{
    FwCfg *fw_cfg = (FwCfg *)device;

    region_remove(&fw_cfg->io);
    for (unsigned i = 0; i < KEYS; i++) {
        g_clear_pointer(&fw_cfg->items[i], g_byte_array_unref);
        g_clear_pointer(&fw_cfg->local[i], g_byte_array_unref);
    }
    for (unsigned i = 0; i < fw_cfg->file_count; i++) {
        g_byte_array_unref(fw_cfg->files[i].data);
    }
}

static void fw_cfg_reset(Device *device)
{
    FwCfg *fw_cfg = (FwCfg *)device;

    select_item(fw_cfg, 0);
    fw_cfg->dma_address = 0;
}

static const Field fw_cfg_saved[] = {
    SAVE_U16(FwCfg, key), SAVE_U32(FwCfg, offset), SAVE_U64(FwCfg, dma_address), FIELD_END };

const DeviceModel fw_cfg_model = {
    .name = "fw_cfg_io", .bus = BUS_SYSTEM, .size = sizeof(FwCfg), .board_only = true,
    .help = "firmware configuration: items and files for SeaBIOS and guests",
    .saved = fw_cfg_saved, .saved_version = 1,
    .realize = fw_cfg_realize, .reset = fw_cfg_reset, .unrealize = fw_cfg_unrealize,
};
