/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blk.c - virtio-blk: a disk whose requests are chains in shared memory
 *
 * Models   Virtio 1.2, 5.2, with the legacy notes; features and numbers as QEMU 7.2 offers them
 * Omits    SCSI passthrough, secure erase, lifetime, zones: answered VIRTIO_BLK_S_UNSUPP; more than one range in a discard
 * Wires    the storage behind BlockConf; its home loop becomes the iothread's when iothread= names one
 * Threads  requests: the device's loop, no lock. Configuration: machine lock
 * Tests    tests/dev/virtio-blk.c, tests/fuzz/virtio-blk.c, tests/guest
 *
 * A request is a QueueElement with a BlkRequest behind it: data goes between image and guest memory without a copy.
 *
 *   out: type 32, priority 32, sector 64 | data of a write, or ranges      in: data of a read | status 8
 */
#include "base/bytes.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/trace.h"
#include "hw/core/block-conf.h"
#include "hw/models.h"
#include "hw/virtio/iothread.h"
#include "hw/virtio/virtio-pci.h"
#include <errno.h>
#include <string.h>

enum { TRACE_REQUEST, TRACE_DONE };
static TracePoint blk_trace[] = {
    [TRACE_REQUEST] = { "virtio_blk_request", "the driver asks a virtio disk for something" },
    [TRACE_DONE] = { "virtio_blk_done", "a virtio disk answers" },
};
TRACE_TABLE(blk_trace)

#define F_SEG_MAX      VIRTIO_BIT(2)
#define F_GEOMETRY     VIRTIO_BIT(4)
#define F_RO           VIRTIO_BIT(5)
#define F_BLK_SIZE     VIRTIO_BIT(6)
#define F_FLUSH        VIRTIO_BIT(9)
#define F_TOPOLOGY     VIRTIO_BIT(10)
#define F_CONFIG_WCE   VIRTIO_BIT(11)
#define F_MQ           VIRTIO_BIT(12)
#define F_DISCARD      VIRTIO_BIT(13)
#define F_WRITE_ZEROES VIRTIO_BIT(14)

enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 };
#define T_BARRIER 0x80000000u              /* a hint of the earliest drivers */
enum { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2 };
enum { SECTOR = 512, HEADER = 16, RANGE = 16, RANGE_UNMAP = 1, ID_BYTES = 20 };
enum { SECTORS_MOST = 0x3fffff, AUTO_QUEUES = 0xffff };

/* Places of the configuration bytes, Virtio 1.2, 5.2.4 */
enum { AT_CAPACITY = 0, AT_SEG_MAX = 12, AT_CYLINDERS = 16, AT_HEADS = 18, AT_SECTORS = 19, AT_BLK_SIZE = 20, AT_PHYSICAL_EXPONENT = 24,
       AT_MIN_IO = 26, AT_OPT_IO = 28, AT_WRITEBACK = 32, AT_QUEUES = 34, AT_DISCARD_SECTORS = 36, AT_DISCARD_RANGES = 40,
       AT_DISCARD_ALIGNMENT = 44, AT_ZEROES_SECTORS = 48, AT_ZEROES_RANGES = 52, AT_ZEROES_MAY_UNMAP = 56, CONFIG_BYTES = 57 };

typedef struct VirtioBlkRequest VirtioBlkRequest;
struct VirtioBlkRequest {
    QueueElement element;
    BlkRequest blk;
    struct VirtioBlk *disk;
    VirtioBlkRequest *next_kept;
};

typedef struct VirtioBlk {
    VirtioPci base;
    BlockConf conf;
    /* properties */
    uint16_t queues, queue_size;
    bool seg_max_adjust, config_wce, discard, write_zeroes, request_merging, scsi, report_discard_granularity;
    uint32_t most_discard, most_zeroes;
    bool write_cache_at_first;
    bool write_cache;                      /* saved state */
    /* the loop's */
    VirtioBlkRequest *kept, **last_kept;   /* failed, and the machine was stopped for it */
} VirtioBlk;

static VirtioBlk *disk_of(Virtio *virtio)
{
    return (VirtioBlk *)virtio->device;
}

/* ---- requests: the device's loop ---- */

static void finish(VirtioBlkRequest *request, uint8_t status)
{
    QueueElement *element = &request->element;

    TRACE(&blk_trace[TRACE_DONE], "%s head %u status %u", device_name(&request->disk->base.pci.device), element->head, status);
    queue_answer(element, element->in_total - 1, &status, 1);
    queue_push(element, element->in_total);
}

static void keep(VirtioBlk *disk, VirtioBlkRequest *request)
{
    request->next_kept = NULL;
    *disk->last_kept = request;
    disk->last_kept = &request->next_kept;
}

static void done(BlkRequest *blk, int result)
{
    VirtioBlkRequest *request = (VirtioBlkRequest *)(void *)((uint8_t *)blk - offsetof(VirtioBlkRequest, blk));
    VirtioBlk *disk = request->disk;

    if (result < 0 && disk->base.virtio.stopping) {
        finish(request, S_IOERR);          /* its driver is gone: kept back, it would never be given back */
        return;
    }
    if (result < 0) {
        switch (blk_error_action(disk->conf.blk, blk->op != BLK_READ, -result)) {
        case BLK_STOP:
            keep(disk, request);
            return;
        case BLK_REPORT:
            finish(request, S_IOERR);
            return;
        case BLK_IGNORE:
            break;
        }
    }
    finish(request, S_OK);
}

static void submit(VirtioBlkRequest *request, BlkOp op, uint64_t offset, uint64_t bytes, const struct iovec *iov, size_t count)
{
    request->blk = (BlkRequest){ .op = op, .flags = request->blk.flags, .offset = offset, .bytes = bytes, .iov = iov, .iov_count = count,
                                 .done = done };
    blk_submit(request->disk->conf.blk, &request->blk);
}

/* Inside the disk, and in whole logical blocks. */
static bool range_fits(const VirtioBlk *disk, uint64_t sector, uint64_t bytes, uint64_t *offset)
{
    uint64_t block = disk->conf.logical_block;

    return checked_mul(sector, SECTOR, offset) && *offset % block == 0 && bytes % block == 0 &&
           range_within(*offset, bytes, blk_length(disk->conf.blk) / SECTOR * SECTOR);
}

static void transfer(VirtioBlkRequest *request, bool write, uint64_t sector)
{
    const QueueElement *element = &request->element;
    VirtioBlk *disk = request->disk;
    uint64_t bytes = write ? element->out_bytes : element->in_bytes, offset;

    if (!range_fits(disk, sector, bytes, &offset) || (write && blk_readonly(disk->conf.blk))) {
        finish(request, S_IOERR);
    } else if (bytes == 0) {
        finish(request, S_OK);
    } else {
        submit(request, write ? BLK_WRITE : BLK_READ, offset, bytes, write ? element->out : element->in,
               write ? element->out_count : element->in_count);
    }
}

/* Discard and write zeroes: their ranges are told to be one at most. */
static void change_range(VirtioBlkRequest *request, bool zeroes)
{
    VirtioBlk *disk = request->disk;
    uint8_t range[RANGE];
    uint64_t offset;

    if (!virtio_has(&disk->base.virtio, zeroes ? F_WRITE_ZEROES : F_DISCARD) || request->element.out_bytes != RANGE) {
        finish(request, S_UNSUPP);
        return;
    }
    queue_take_out(&request->element, range, sizeof range);
    uint32_t sectors = load_le32(range + 8), flags = load_le32(range + 12);
    uint64_t bytes = (uint64_t)sectors * SECTOR;
    if (flags & ~(zeroes ? RANGE_UNMAP : 0u)) {
        finish(request, S_UNSUPP);
    } else if (sectors > (zeroes ? disk->most_zeroes : disk->most_discard) || !range_fits(disk, load_le64(range), bytes, &offset) ||
               blk_readonly(disk->conf.blk)) {
        finish(request, S_IOERR);
    } else if (sectors == 0) {
        finish(request, S_OK);
    } else {
        request->blk.flags = flags & RANGE_UNMAP ? BLK_MAY_UNMAP : 0;
        submit(request, zeroes ? BLK_WRITE_ZEROES : BLK_DISCARD, offset, bytes, NULL, 0);
    }
}

static void tell_id(VirtioBlkRequest *request)
{
    char id[ID_BYTES] = { 0 };
    const char *serial = request->disk->conf.serial;

    if (serial) {
        memcpy(id, serial, MIN(strlen(serial), sizeof id));
    }
    queue_answer(&request->element, 0, id, MIN(sizeof id, request->element.in_bytes));
    finish(request, S_OK);
}

static void carry_out(Virtio *virtio, unsigned index, QueueElement *element)
{
    VirtioBlkRequest *request = (VirtioBlkRequest *)element;
    uint8_t header[HEADER];

    request->disk = disk_of(virtio);
    request->blk.flags = 0;
    if (queue_take_out(element, header, sizeof header) < sizeof header || element->in_bytes < 1) {
        virtio_fault(virtio, index, element->in_bytes ? "a request's header is too short" : "a request has no status byte");
        queue_push(element, 0);
        return;
    }
    queue_cut_in(element, 0, 1);           /* the status */
    uint32_t type = load_le32(header) & ~T_BARRIER;
    uint64_t sector = load_le64(header + 8);
    TRACE(&blk_trace[TRACE_REQUEST], "%s head %u type %u sector %" G_GUINT64_FORMAT " out %zu in %zu", device_name(virtio->device),
          element->head, type, sector, element->out_bytes, element->in_bytes);
    switch (type) {
    case T_IN:
    case T_OUT:
        transfer(request, type == T_OUT, sector);
        break;
    case T_FLUSH:
        submit(request, BLK_FLUSH, 0, 0, NULL, 0);
        break;
    case T_GET_ID:
        tell_id(request);
        break;
    case T_DISCARD:
    case T_WRITE_ZEROES:
        change_range(request, type == T_WRITE_ZEROES);
        break;
    default:
        finish(request, S_UNSUPP);
        break;
    }
}

static void blk_handle(Virtio *virtio, unsigned index)
{
    QueueElement *element;

    while ((element = queue_next(virtio_queue(virtio, index)))) {
        carry_out(virtio, index, element);
    }
}

static VirtioBlkRequest *take_kept(VirtioBlk *disk)
{
    VirtioBlkRequest *first = disk->kept;

    disk->kept = NULL;
    disk->last_kept = &disk->kept;
    return first;
}

static void blk_stop(Virtio *virtio)
{
    for (VirtioBlkRequest *request = take_kept(disk_of(virtio)), *next; request; request = next) {
        next = request->next_kept;
        queue_push(&request->element, 0);
    }
}

static void retry_on_loop(Virtio *virtio)
{
    VirtioBlk *disk = disk_of(virtio);

    for (VirtioBlkRequest *request = take_kept(disk), *next; request; request = next) {
        next = request->next_kept;
        blk_submit(disk->conf.blk, &request->blk);
    }
}

/* ---- configuration: machine lock ---- */

static void tell_capacity(VirtioBlk *disk)
{
    virtio_config_set(&disk->base.virtio, AT_CAPACITY, 8, blk_length(disk->conf.blk) / SECTOR);
}

static void blk_features_set(Virtio *virtio)
{
    VirtioBlk *disk = disk_of(virtio);

    /* A driver that could not flush gets a disk that needs no flushes. */
    if (!virtio_has(virtio, F_CONFIG_WCE)) {
        blk_set_write_cache(disk->conf.blk, virtio_has(virtio, F_FLUSH) && disk->write_cache_at_first);
    }
}

static void blk_config_reading(Virtio *virtio)
{
    virtio_config_set(virtio, AT_WRITEBACK, 1, blk_write_cache(disk_of(virtio)->conf.blk));
}

static void blk_config_written(Virtio *virtio, unsigned offset, unsigned size)
{
    if (offset <= AT_WRITEBACK && AT_WRITEBACK < offset + size && virtio_has(virtio, F_CONFIG_WCE)) {
        blk_set_write_cache(disk_of(virtio)->conf.blk, virtio_config_get(virtio, AT_WRITEBACK, 1) & 1);
    }
}

static void blk_reset(Virtio *virtio)
{
    VirtioBlk *disk = disk_of(virtio);

    blk_set_write_cache(disk->conf.blk, disk->write_cache_at_first);
}

static void drain_storage(Virtio *virtio)
{
    blk_drain(disk_of(virtio)->conf.blk);
}

static bool blk_after_load(Virtio *virtio, GError **err)
{
    VirtioBlk *disk = disk_of(virtio);

    (void)err;
    blk_set_write_cache(disk->conf.blk, disk->write_cache);
    return true;
}

static const VirtioModel virtio_blk = {
    .name = "virtio-blk",  .id = VIRTIO_ID_BLOCK,  .legacy_device = 0x1001,  .class_code = 0x010000,
    .element_size = sizeof(VirtioBlkRequest),
    .handle = blk_handle,  .stop = blk_stop,  .resubmit = carry_out,
    .features_set = blk_features_set,  .config_reading = blk_config_reading,  .config_written = blk_config_written,
    .reset = blk_reset,  .drain = drain_storage,  .after_load = blk_after_load,
};

static void resized(void *opaque)
{
    VirtioBlk *disk = opaque;

    tell_capacity(disk);
    virtio_config_changed(&disk->base.virtio);
}

static void retry(void *opaque)
{
    VirtioBlk *disk = opaque;

    virtio_call_on_loop(&disk->base.virtio, retry_on_loop);
}

static const BlkDeviceOps blk_ops = { .resized = resized, .retry = retry };

/* ---- life ---- */

static void offer(VirtioBlk *disk)
{
    Virtio *virtio = &disk->base.virtio;

    virtio->offered = F_SEG_MAX | F_GEOMETRY | F_BLK_SIZE | F_TOPOLOGY;
    virtio->offered |= disk->config_wce ? F_CONFIG_WCE : 0;
    virtio->offered |= disk->config_wce || disk->write_cache_at_first ? F_FLUSH : 0;
    virtio->offered |= disk->queues > 1 ? F_MQ : 0;
    virtio->offered |= disk->discard ? F_DISCARD : 0;
    virtio->offered |= disk->write_zeroes ? F_WRITE_ZEROES : 0;
    virtio->offered |= blk_readonly(disk->conf.blk) ? F_RO : 0;
}

static unsigned config_bytes(const VirtioBlk *disk)
{
    return disk->write_zeroes ? CONFIG_BYTES : disk->discard ? AT_ZEROES_SECTORS : AT_DISCARD_SECTORS;
}

static void fill_config(VirtioBlk *disk)
{
    Virtio *virtio = &disk->base.virtio;
    const BlockConf *conf = &disk->conf;
    uint64_t exponent = 0;

    while (conf->logical_block << exponent < conf->physical_block) {
        exponent++;
    }
    tell_capacity(disk);
    virtio_config_set(virtio, AT_SEG_MAX, 4, (disk->seg_max_adjust ? disk->queue_size : 128u) - 2);
    virtio_config_set(virtio, AT_CYLINDERS, 2, conf->cylinders);
    virtio_config_set(virtio, AT_HEADS, 1, conf->heads);
    virtio_config_set(virtio, AT_SECTORS, 1, conf->sectors & ~(conf->logical_block / SECTOR - 1));
    virtio_config_set(virtio, AT_BLK_SIZE, 4, conf->logical_block);
    virtio_config_set(virtio, AT_PHYSICAL_EXPONENT, 1, exponent);
    virtio_config_set(virtio, AT_MIN_IO, 2, conf->min_io / conf->logical_block);
    virtio_config_set(virtio, AT_OPT_IO, 4, conf->opt_io / conf->logical_block);
    virtio_config_allow(virtio, AT_WRITEBACK, 1, disk->config_wce ? 1 : 0);
    virtio_config_set(virtio, AT_QUEUES, 2, disk->queues);
    uint64_t granularity = disk->report_discard_granularity ? conf->discard_granularity : conf->logical_block;
    virtio_config_set(virtio, AT_DISCARD_SECTORS, 4, disk->most_discard);
    virtio_config_set(virtio, AT_DISCARD_RANGES, 4, 1);
    virtio_config_set(virtio, AT_DISCARD_ALIGNMENT, 4, MAX(granularity, conf->logical_block) / SECTOR);
    virtio_config_set(virtio, AT_ZEROES_SECTORS, 4, disk->most_zeroes);
    virtio_config_set(virtio, AT_ZEROES_RANGES, 4, 1);
    virtio_config_set(virtio, AT_ZEROES_MAY_UNMAP, 1, 1);
}

static bool check_properties(VirtioBlk *disk, GError **err)
{
    const Device *device = &disk->base.pci.device;

    if (disk->queues == AUTO_QUEUES) {
        disk->queues = (uint16_t)CLAMP(device->machine->cpus->len, 1, VIRTIO_QUEUES_MOST - 1);
    }
    if (disk->scsi) {
        return fail(err, ENOTSUP, "device '%s': scsi=on (passthrough) is not supported; use a virtio-scsi controller", device_name(device));
    }
    if (disk->queues < 1 || disk->queues > VIRTIO_QUEUES_MOST - 1) {
        return fail(err, EINVAL, "device '%s': num-queues=%u is not from 1 to %d", device_name(device), disk->queues, VIRTIO_QUEUES_MOST - 1);
    }
    if (disk->queue_size <= 2 || disk->queue_size > QUEUE_SIZE_MOST || disk->queue_size & (disk->queue_size - 1)) {
        return fail(err, EINVAL, "device '%s': queue-size=%u is not a power of two from 4 to %d", device_name(device), disk->queue_size,
                    QUEUE_SIZE_MOST);
    }
    if ((disk->discard && (disk->most_discard < 1 || disk->most_discard > SECTORS_MOST)) ||
        (disk->write_zeroes && (disk->most_zeroes < 1 || disk->most_zeroes > SECTORS_MOST))) {
        return fail(err, EINVAL, "device '%s': max-discard-sectors and max-write-zeroes-sectors go from 1 to %d", device_name(device),
                    SECTORS_MOST);
    }
    return true;
}

static void blk_unrealize(Device *device)
{
    VirtioBlk *disk = (VirtioBlk *)device;

    virtio_pci_unrealize(&disk->base);
    if (disk->conf.blk && blk_loop(disk->conf.blk) != io_loop_main()) {
        blk_set_loop(disk->conf.blk, io_loop_main(), NULL);
    }
    block_conf_unrealize(&disk->conf);
}

static bool make(VirtioBlk *disk, GError **err)
{
    Device *device = &disk->base.pci.device;
    Virtio *virtio = &disk->base.virtio;
    IoThread *iothread;

    disk->kept = NULL;
    disk->last_kept = &disk->kept;
    if (!check_properties(disk, err) || !virtio_pci_iothread(&disk->base, &iothread, err) ||
        !block_conf_realize(&disk->conf, device, &blk_ops, disk, false, false, err)) {
        return false;
    }
    block_conf_geometry(&disk->conf, 65535, 255, 255);
    disk->write_cache_at_first = disk->write_cache = blk_write_cache(disk->conf.blk);
    if ((iothread && !blk_set_loop(disk->conf.blk, iothread_loop(iothread), err)) ||
        !virtio_init(virtio, device, &virtio_blk, iothread, config_bytes(disk), err)) {
        return false;
    }
    for (unsigned i = 0; i < disk->queues; i++) {
        if (!virtio_add_queue(virtio, disk->queue_size, err)) {
            return false;
        }
    }
    offer(disk);
    fill_config(disk);
    return virtio_pci_realize(&disk->base, disk->queues + 1u, err);
}

static bool blk_realize(Device *device, GError **err)
{
    if (!make((VirtioBlk *)device, err)) {
        blk_unrealize(device);
        return false;
    }
    return true;
}

static void blk_before_save(Device *device)
{
    VirtioBlk *disk = (VirtioBlk *)device;

    disk->write_cache = blk_write_cache(disk->conf.blk);
    virtio_pci_before_save(device);
}

static const Field blk_props[] = {
    BLOCK_PROPS(VirtioBlk, conf),
    VIRTIO_PCI_PROPS(VirtioBlk, base),
    VIRTIO_PCI_IOTHREAD_PROP(VirtioBlk, base),
    PROP_U16("num-queues", VirtioBlk, queues, AUTO_QUEUES, .help = "request queues; default: one for each processor"),
    PROP_U16("queue-size", VirtioBlk, queue_size, 256, .help = "entries of each queue, a power of two"),
    PROP_BOOL("seg-max-adjust", VirtioBlk, seg_max_adjust, true, .help = "pieces of a request follow from queue-size, else 126"),
    PROP_BOOL("config-wce", VirtioBlk, config_wce, true, .help = "the driver may switch the write cache"),
    PROP_BOOL("discard", VirtioBlk, discard, true, .help = "offer discard requests"),
    PROP_BOOL("write-zeroes", VirtioBlk, write_zeroes, true, .help = "offer write zeroes requests"),
    PROP_U32("max-discard-sectors", VirtioBlk, most_discard, SECTORS_MOST, .help = "512-byte sectors of one discard"),
    PROP_U32("max-write-zeroes-sectors", VirtioBlk, most_zeroes, SECTORS_MOST, .help = "512-byte sectors of one write zeroes"),
    PROP_BOOL("report-discard-granularity", VirtioBlk, report_discard_granularity, true, .help = "tell the driver discard_granularity"),
    PROP_BOOL("request-merging", VirtioBlk, request_merging, true, .help = "accepted; each request goes to the image as it came"),
    PROP_BOOL("scsi", VirtioBlk, scsi, false, .help = "SCSI passthrough; not supported"),
    FIELD_END };

static const Field blk_saved[] = {
    SAVE_VIRTIO_PCI(VirtioBlk, base), SAVE_BOOL(VirtioBlk, write_cache),
    FIELD_END };

const DeviceModel virtio_blk_models[VIRTIO_PCI_KINDS] = VIRTIO_PCI_MODELS("virtio-blk",
    .help = "virtio disk", .size = sizeof(VirtioBlk),
    .props = blk_props, .saved = blk_saved, .saved_version = 1,
    .realize = blk_realize, .reset = virtio_pci_reset, .unrealize = blk_unrealize,
    .before_save = blk_before_save, .after_load = virtio_pci_after_load);
