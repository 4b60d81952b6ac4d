/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * data.c - a drive's data phase: between the host's data port or bus master, the buffer, and the storage
 *
 * Reads    the storage fills the buffer, as much as fits; the host takes it in DRQ blocks (PIO) or through the bus master
 * Writes   the host fills the buffer, as much as the command still has; then the storage takes it. With PIO every block but the first is
 *          announced by an interrupt, the last by the command's end, after the data are where the write cache's setting wants them
 * Errors   werror= and rerror= decide: told to the guest, ignored, or the machine stops and the job is kept until it runs again. A PIO
 *          read that fails is tried again a block at a time, so that the good sectors before the bad one arrive
 * Hostile  a transfer's length is at most 65536 sectors (CD: the disc), handed over in pieces of at most the buffer; results that come
 *          after a reset find no buffer in use
 * Tests    tests/dev/ide.c, tests/dev/atapi.c, tests/dev/ide-errors.c
 */
#include "base/bytes.h"
#include "base/error.h"
#include "base/trace.h"
#include "hw/ide/ata.h"
#include <errno.h>
#include <string.h>

enum { TRACE_STORAGE, TRACE_STORAGE_DONE, TRACE_FORGET };
static TracePoint ata_trace[] = {
    [TRACE_STORAGE] = { "ata_storage", "a drive asks its storage" },
    [TRACE_STORAGE_DONE] = { "ata_storage_done", "the storage has done what a drive asked" },
    [TRACE_FORGET] = { "ata_forget", "a reset while the storage works: its result will be dropped" },
};
TRACE_TABLE(ata_trace)

void ata_complete(Ata *ata)
{
    ata->in_packet = false;
    ata->phase = ATA_IDLE;
    ata->status = ATA_DRDY | ATA_DSC;
    ata->error = 0;
    ata->irq = true;
}

void ata_abort(Ata *ata, uint8_t error)
{
    ata->in_packet = false;
    ata->phase = ATA_IDLE;
    ata->status = ATA_DRDY | ATA_DSC | ATA_ERR;
    ata->error = error;
    ata->irq = true;
}

/* LBA48, LBA28 or CHS, as the command was given. */
void ata_set_sector(Ata *ata, uint64_t sector)
{
    enum { DEVICE_LBA = 0x40 };

    if (!ata->extended && !(ata->device & DEVICE_LBA)) {
        uint64_t track = sector / ata->track_sectors, cylinder = track / ata->heads;
        ata->lba[0] = (uint8_t)(sector % ata->track_sectors + 1);
        ata->lba[1] = (uint8_t)cylinder;
        ata->lba[2] = (uint8_t)(cylinder >> 8);
        ata->device = (uint8_t)((ata->device & 0xf0) | track % ata->heads);
        return;
    }
    for (unsigned i = 0; i < 3; i++) {
        ata->lba[i] = (uint8_t)(sector >> (8 * i));
        ata->previous_lba[i] = ata->extended ? (uint8_t)(sector >> (24 + 8 * i)) : 0;
    }
    if (!ata->extended) {
        ata->device = (uint8_t)((ata->device & 0xf0) | (sector >> 24 & 15));
    }
}

/* ---- towards the host ---- */

/* The next DRQ block of what stands in the buffer: at most block_size bytes; an odd byte limit is only for a packet's last piece. */
static void offer_block(Ata *ata)
{
    uint32_t left = ata->filled - ata->end, most = ata->block_size;

    if (left > most) {
        left = MAX(most & ~1u, 2u);
    }
    ata->position = ata->end;
    ata->end += left;
    if (ata->in_packet) {
        ata->lba[1] = (uint8_t)left;
        ata->lba[2] = (uint8_t)(left >> 8);
        ata->count = 2;                    /* to the host, not a command */
    }
    ata->phase = ATA_PIO_IN;
    ata->status = ATA_DRDY | ATA_DSC | ATA_DRQ;
    ata->irq = true;
}

void ata_reply(Ata *ata, uint32_t length)
{
    ata->filled = length;
    ata->position = ata->end = 0;
    if (ata->transfer == ATA_BY_PIO) {
        offer_block(ata);
        return;
    }
    ata->end = length;
    ata->phase = ATA_DMA_IN;
    ata->status = ATA_DRDY | ATA_DSC | ATA_DRQ;
    if (ata->in_packet) {
        ata->count = 2;
    }
}

/* All that was in the buffer has gone to the host. */
static void buffer_taken(Ata *ata)
{
    if (ata->in_packet) {
        atapi_reply_done(ata);
    } else if (ata->sectors_left) {
        ata_read_sectors(ata);
    } else if (ata->transfer == ATA_BY_DMA) {
        ata_complete(ata);
    } else {
        ata->phase = ATA_IDLE;             /* the last block's interrupt was its offer */
        ata->status = ATA_DRDY | ATA_DSC;
    }
}

uint16_t ata_read_data(Ata *ata)
{
    if (ata->phase != ATA_PIO_IN || ata->position >= ata->end) {
        return 0xffff;
    }
    uint16_t value = ata->buffer[ata->position];
    if (ata->position + 1 < ata->end) {    /* a reply may have an odd length */
        value |= (uint16_t)(ata->buffer[ata->position + 1] << 8);
    }
    ata->position = MIN(ata->position + 2, ata->end);
    if (ata->position == ata->end) {
        if (ata->end < ata->filled) {
            offer_block(ata);
        } else {
            buffer_taken(ata);
        }
    }
    return value;
}

size_t ata_dma_take(Ata *ata, uint8_t *out, size_t most)
{
    size_t length = MIN(most, (size_t)(ata->end - ata->position));

    memcpy(out, ata->buffer + ata->position, length);
    ata->position += (uint32_t)length;
    if (ata->position == ata->end) {
        buffer_taken(ata);
    }
    return length;
}

/* ---- from the host ---- */

/* Makes room for `length` bytes; the first block of a PIO command comes without an interrupt. */
static void want_data(Ata *ata, uint32_t length, bool first)
{
    ata->filled = length;
    ata->position = 0;
    ata->status = ATA_DRDY | ATA_DSC | ATA_DRQ;
    if (ata->transfer == ATA_BY_DMA) {
        ata->end = length;
        ata->phase = ATA_DMA_OUT;
    } else {
        ata->end = MIN(length, ata->block_size);
        ata->phase = ATA_PIO_OUT;
        ata->irq = ata->irq || !first;
    }
}

void ata_take_parameters(Ata *ata, uint32_t length)
{
    ata->purpose = ATA_FOR_PARAMETERS;
    ata->block_size = length;
    ata->count = 0;                        /* from the host, not a command */
    ata->lba[1] = (uint8_t)length;
    ata->lba[2] = (uint8_t)(length >> 8);
    want_data(ata, length, false);
}

static void want_sectors(Ata *ata, bool first)
{
    want_data(ata, (uint32_t)MIN((uint64_t)ata->sectors_left * ATA_SECTOR, (uint64_t)ATA_BUFFER), first);
}

void ata_write_sectors(Ata *ata)
{
    want_sectors(ata, true);
}

/* DATA SET MANAGEMENT: the buffer holds ranges, a 48-bit place and a 16-bit count each. One request for those that adjoin. */
static void trim_next(Ata *ata)
{
    uint64_t sector = 0, count = 0;

    for (; ata->position < ata->filled; ata->position += 8) {
        uint64_t entry = load_le64(ata->buffer + ata->position), place = entry & 0xffffffffffff, more = entry >> 48;
        if (more == 0) {
            continue;
        }
        if (place >= ata->sectors || ata->sectors - place < more) {
            ata_abort(ata, ATA_IDNF);
            return;
        }
        if (count && place != sector + count) {
            break;
        }
        sector = count ? sector : place;
        count += more;
    }
    if (count) {
        ata_ask_storage(ata, BLK_DISCARD, 0, sector * ATA_SECTOR, count * ATA_SECTOR);
        return;
    }
    ata->sectors_left -= MIN(ata->filled / ATA_SECTOR, ata->sectors_left);
    if (ata->sectors_left) {
        want_sectors(ata, false);
    } else {
        ata_complete(ata);
    }
}

/* All that the buffer was to take has come. */
static void buffer_given(Ata *ata)
{
    switch (ata->purpose) {
    case ATA_FOR_PARAMETERS:
        atapi_parameters(ata);
        break;
    case ATA_FOR_TRIM:
        ata->position = 0;
        trim_next(ata);
        break;
    default:
        ata_ask_storage(ata, BLK_WRITE, ata->fua ? BLK_FUA : 0, ata->next_sector * ATA_SECTOR, ata->filled);
        break;
    }
}

void ata_write_data(Ata *ata, uint16_t value)
{
    if (ata->phase == ATA_PACKET_OUT && ata->position + 2 <= ATAPI_PACKET) {
        store_le16(ata->packet + ata->position, value);
        ata->position += 2;
        if (ata->position == ATAPI_PACKET) {
            atapi_packet(ata);
        }
        return;
    }
    if (ata->phase != ATA_PIO_OUT || ata->position + 2 > ata->end) {
        return;
    }
    store_le16(ata->buffer + ata->position, value);
    ata->position += 2;
    if (ata->position < ata->end) {
        return;
    }
    if (ata->end < ata->filled) {
        ata->end += MIN(ata->filled - ata->end, ata->block_size);
        ata->irq = true;
    } else {
        buffer_given(ata);
    }
}

size_t ata_dma_give(Ata *ata, const uint8_t *in, size_t most)
{
    size_t length = MIN(most, (size_t)(ata->end - ata->position));

    memcpy(ata->buffer + ata->position, in, length);
    ata->position += (uint32_t)length;
    if (ata->position == ata->end) {
        buffer_given(ata);
    }
    return length;
}

void ata_dma_failed(Ata *ata)
{
    if (ata->phase == ATA_DMA_IN || ata->phase == ATA_DMA_OUT) {
        ata->sectors_left = 0;
        ata_abort(ata, ATA_ABRT);
    }
}

/* ---- towards the storage ---- */

static void storage_done(BlkRequest *request, int result);

static void submit(Ata *ata)
{
    const AtaJob *job = &ata->job;
    bool data = job->op == BLK_READ || job->op == BLK_WRITE;

    if (ata->in_flight) {                  /* a forgotten one: this one follows it */
        return;
    }
    TRACE(&ata_trace[TRACE_STORAGE], "op %u offset 0x%" G_GINT64_MODIFIER "x bytes %" G_GUINT64_FORMAT, job->op, job->offset, job->bytes);
    ata->in_flight = true;
    ata->iov = (struct iovec){ ata->buffer, (size_t)job->bytes };
    ata->request = (BlkRequest){ .op = (BlkOp)job->op, .flags = job->flags, .offset = job->offset, .bytes = job->bytes,
                                 .iov = data ? &ata->iov : NULL, .iov_count = data, .done = storage_done };
    blk_submit(ata->blk, &ata->request);
}

void ata_ask_storage(Ata *ata, BlkOp op, unsigned flags, uint64_t offset, uint64_t bytes)
{
    ata->job = (AtaJob){ .wanted = true, .op = (uint8_t)op, .flags = (uint8_t)flags, .offset = offset, .bytes = bytes };
    ata->phase = ATA_STORAGE;
    ata->status = ATA_BSY;
    submit(ata);
}

void ata_read_sectors(Ata *ata)
{
    uint64_t bytes = MIN((uint64_t)ata->sectors_left * ATA_SECTOR, (uint64_t)ATA_BUFFER);

    ata_ask_storage(ata, BLK_READ, 0, ata->next_sector * ATA_SECTOR, ata->one_block ? MIN(bytes, (uint64_t)ata->block_size) : bytes);
}

void ata_flush(Ata *ata)
{
    ata->purpose = ATA_FOR_FLUSH;
    ata_ask_storage(ata, BLK_FLUSH, 0, 0, 0);
}

/* A disk's request failed for good. */
static void storage_failed(Ata *ata, const AtaJob *job)
{
    if (ata->purpose == ATA_FOR_READ && ata->transfer == ATA_BY_PIO && job->bytes > ata->block_size) {
        ata->one_block = true;
        ata_read_sectors(ata);
        return;
    }
    ata->sectors_left = 0;
    switch (ata->purpose) {
    case ATA_FOR_READ: case ATA_FOR_VERIFY:
        ata_set_sector(ata, ata->next_sector);
        ata_abort(ata, ATA_UNC);
        break;
    case ATA_FOR_WRITE:
        ata_set_sector(ata, ata->next_sector);
        ata_abort(ata, ATA_ABRT);
        ata->status |= ATA_DF;
        break;
    default:
        ata_abort(ata, ATA_ABRT);
        ata->status |= ATA_DF;
        break;
    }
}

/* A disk's request is done: what comes next. */
static void storage_succeeded(Ata *ata, const AtaJob *job)
{
    uint32_t sectors = (uint32_t)(job->bytes / ATA_SECTOR);

    if (ata->purpose == ATA_FOR_READ || ata->purpose == ATA_FOR_WRITE || ata->purpose == ATA_FOR_VERIFY) {
        ata->next_sector += sectors;
        ata->sectors_left -= MIN(sectors, ata->sectors_left);
    }
    switch (ata->purpose) {
    case ATA_FOR_READ:
        ata_reply(ata, (uint32_t)job->bytes);
        break;
    case ATA_FOR_WRITE:
        if (ata->sectors_left) {
            want_sectors(ata, false);
        } else {
            ata_complete(ata);
        }
        break;
    case ATA_FOR_VERIFY:
        if (ata->sectors_left) {
            ata_read_sectors(ata);
        } else {
            ata_complete(ata);
        }
        break;
    case ATA_FOR_TRIM:
        trim_next(ata);
        break;
    default:
        ata_complete(ata);
        break;
    }
}

/* Under rerror= and werror=: true when the machine stops and the job waits for it. */
static bool kept_back(Ata *ata, int *result)
{
    bool write = ata->job.op != BLK_READ;

    if (ata->job.op == BLK_DISCARD && *result == -ENOTSUP) {
        *result = 0;                       /* trimming is advice */
    }
    if (*result == 0 || *result == -ENOMEDIUM) {           /* a disc that was taken out is no failure of its drive */
        return false;
    }
    if (ata->purpose == ATA_FOR_READ && ata->transfer == ATA_BY_PIO && !ata->one_block && ata->job.bytes > ata->block_size) {
        return false;                      /* not the last word yet */
    }
    switch (blk_error_action(ata->blk, write, -*result)) {
    case BLK_STOP:
        ata->kept = true;
        return true;
    case BLK_IGNORE:
        if (!write) {
            memset(ata->buffer, 0, (size_t)ata->job.bytes);
        }
        *result = 0;
        return false;
    default:
        return false;
    }
}

static void storage_done(BlkRequest *request, int result)
{
    Ata *ata = (Ata *)((char *)request - offsetof(Ata, request));

    TRACE(&ata_trace[TRACE_STORAGE_DONE], "result %d%s", result, ata->forgotten ? ", forgotten" : "");
    ata->in_flight = false;
    if (ata->forgotten) {
        ata->forgotten = false;
        if (ata->job.wanted && !ata->kept) {
            submit(ata);
        }
        return;
    }
    if (kept_back(ata, &result)) {
        return;
    }
    const AtaJob job = ata->job;
    ata->job.wanted = false;
    if (ata->cd && ata->in_packet) {
        atapi_sectors_read(ata, result);
    } else if (result < 0) {
        storage_failed(ata, &job);
    } else {
        storage_succeeded(ata, &job);
    }
    if (ata->changed) {
        ata->changed(ata->opaque);
    }
}

void ata_retry(Ata *ata)
{
    if (ata->kept) {
        ata->kept = false;
        submit(ata);
    }
}

void ata_release_buffer(Ata *ata)
{
    if (ata->in_flight && !ata->forgotten) {
        uint8_t *theirs = ata->buffer;
        TRACE(&ata_trace[TRACE_FORGET], "op %u", ata->request.op);
        ata->forgotten = true;
        ata->buffer = ata->spare;
        ata->spare = theirs;
    }
}

void ata_forget(Ata *ata)
{
    ata->job.wanted = ata->kept = false;
    ata->phase = ATA_IDLE;
    ata->in_packet = false;
    ata->position = ata->end = ata->filled = ata->sectors_left = 0;
    ata_release_buffer(ata);
}

bool ata_init(Ata *ata)
{
    ata->buffer = g_try_malloc0(ATA_BUFFER);
    ata->spare = g_try_malloc0(ATA_BUFFER);
    return ata->buffer && ata->spare;
}

void ata_destroy(Ata *ata)
{
    g_clear_pointer(&ata->buffer, g_free);
    g_clear_pointer(&ata->spare, g_free);
    g_clear_pointer(&ata->saved_data, g_free);
}
