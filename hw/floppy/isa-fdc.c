/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isa-fdc.c - "isa-fdc": the floppy controller at its ports, its interrupt and DMA channel, and the storage behind its drives
 *
 * Wires    3F0h-3F5h and 3F7h, IRQ 6, DMA 2; bus floppy-bus.0 with units 0 and 1. 3F6h is the IDE channel's
 * Storage  one request at a time, of one sector, in a buffer of its own. What a reset no longer wants is dropped when it comes; the next request
 *          follows it
 * Threads  registers: any vCPU thread; timer and storage: main loop; machine lock held
 * Tests    tests/dev/floppy.c
 */
#include "base/error.h"
#include "base/timer.h"
#include "base/trace.h"
#include "hw/core/machine.h"
#include "hw/floppy/drive.h"
#include "hw/isa/bus.h"
#include "hw/isa/dma.h"
#include "hw/models.h"
#include <errno.h>
#include <string.h>

enum { LOW_PORTS = 6 };

typedef struct IsaFdc {
    Device device;
    uint32_t iobase, irq_number, dma_channel;
    int types[FLOPPY_UNITS], fallback;
    FloppyBus bus;
    Fdc chip;
    Timer timer;
    IrqLine irq;
    Device *dma;                           /* NULL: without; the chip works by its FIFO then */
    Region low, high;
    bool updating, again;
    /* towards the storage; not saved: the chip still wants what did not come */
    BlkRequest request;
    struct iovec iov;
    Blk *blk;
    bool in_flight, kept;
    uint32_t wish, kept_wish;              /* which of the chip's wishes is under way; which waits for the machine to run */
    uint8_t buffer[FDC_SECTOR];
} IsaFdc;

enum { TRACE_FDC_READ, TRACE_FDC_WRITE, TRACE_FDC_SECTOR, TRACE_FDC_DONE };
static TracePoint fdc_trace[] = {
    [TRACE_FDC_READ] = { "fdc_read", "a guest read a floppy controller register" },
    [TRACE_FDC_WRITE] = { "fdc_write", "a guest wrote a floppy controller register" },
    [TRACE_FDC_SECTOR] = { "fdc_sector", "the floppy controller asks its storage for a sector" },
    [TRACE_FDC_DONE] = { "fdc_done", "the storage has answered the floppy controller" },
};
TRACE_TABLE(fdc_trace)

static void update(IsaFdc *fdc);

static int64_t now(void)
{
    return clock_now(CLOCK_GUEST);
}

/* ---- storage ---- */

static FdcOutcome outcome_of(int result)
{
    return result == 0 ? FDC_DONE : result == -ENOMEDIUM ? FDC_NO_MEDIUM : FDC_UNREADABLE;
}

static void storage_done(BlkRequest *request, int result)
{
    IsaFdc *fdc = (IsaFdc *)((char *)request - offsetof(IsaFdc, request));
    unsigned drive;
    uint32_t sector;
    bool wanted = fdc_wants(&fdc->chip, &drive, &sector) != FDC_NOTHING && fdc->wish == fdc->chip.wish;

    TRACE(&fdc_trace[TRACE_FDC_DONE], "result %d%s", result, wanted ? "" : ", not wanted any more");
    fdc->in_flight = false;
    if (wanted) {
        if (result < 0 && result != -ENOMEDIUM) {
            switch (blk_error_action(fdc->blk, request->op == BLK_WRITE, -result)) {
            case BLK_STOP:
                fdc->kept = true;
                fdc->kept_wish = fdc->wish;
                return;
            case BLK_IGNORE:
                memset(fdc->buffer, 0, sizeof fdc->buffer);
                result = 0;
                break;
            default:
                break;
            }
        }
        fdc_storage_done(&fdc->chip, outcome_of(result), fdc->buffer, now());
    }
    update(fdc);
}

/* What the chip wants, unless the storage is at work; a drive that has gone answers for itself. */
static void ask_storage(IsaFdc *fdc)
{
    unsigned unit;
    uint32_t sector;
    FdcWant want = fdc_wants(&fdc->chip, &unit, &sector);

    if (want == FDC_NOTHING || fdc->in_flight || (fdc->kept && fdc->kept_wish == fdc->chip.wish)) {
        return;
    }
    fdc->kept = false;
    FloppyDrive *drive = unit < FLOPPY_UNITS ? fdc->bus.drives[unit] : NULL;
    if (!drive || !drive->medium.present) {
        fdc_storage_done(&fdc->chip, FDC_NO_MEDIUM, NULL, now());
        fdc->again = true;
        return;
    }
    TRACE(&fdc_trace[TRACE_FDC_SECTOR], "%s unit %u sector %u", want == FDC_READ ? "read" : "write", unit, sector);
    if (want == FDC_WRITE) {
        memcpy(fdc->buffer, fdc->chip.data, FDC_SECTOR);
    }
    fdc->wish = fdc->chip.wish;
    fdc->blk = drive->conf.blk;
    fdc->in_flight = true;
    fdc->iov = (struct iovec){ fdc->buffer, FDC_SECTOR };
    fdc->request = (BlkRequest){ .op = want == FDC_READ ? BLK_READ : BLK_WRITE, .offset = (uint64_t)sector * FDC_SECTOR, .bytes = FDC_SECTOR,
                                 .iov = &fdc->iov, .iov_count = 1, .done = storage_done };
    blk_submit(fdc->blk, &fdc->request);
}

/* ---- everything that follows from the chip's state ---- */

static void update(IsaFdc *fdc)
{
    fdc->again = true;
    if (fdc->updating) {                   /* the DMA controller asks from within */
        return;
    }
    fdc->updating = true;
    while (fdc->again) {
        fdc->again = false;
        if (fdc->dma) {
            isa_dma_request(fdc->dma, fdc->dma_channel, fdc_drq(&fdc->chip));
        }
        ask_storage(fdc);
    }
    fdc->updating = false;
    irq_set(fdc->irq, fdc_irq(&fdc->chip));
    int64_t deadline = fdc_deadline(&fdc->chip);
    if (deadline < 0) {
        timer_cancel(&fdc->timer);
    } else {
        timer_arm(&fdc->timer, deadline);
    }
}

static void timer_fired(void *opaque)
{
    IsaFdc *fdc = opaque;

    fdc_tick(&fdc->chip, now());
    update(fdc);
}

static size_t move(void *opaque, uint8_t *data, size_t length, bool to_memory, bool terminal)
{
    IsaFdc *fdc = opaque;
    size_t moved = fdc_move(&fdc->chip, data, length, to_memory, terminal, now());

    isa_dma_request(fdc->dma, fdc->dma_channel, fdc_drq(&fdc->chip));
    update(fdc);
    return moved;
}

/* ---- registers ---- */

static uint64_t read_register(IsaFdc *fdc, unsigned reg)
{
    uint8_t value = fdc_read(&fdc->chip, reg, now());

    TRACE(&fdc_trace[TRACE_FDC_READ], "register %u value 0x%02x", reg, value);
    if (reg == FDC_FIFO) {
        update(fdc);
    }
    return value;
}

static void write_register(IsaFdc *fdc, unsigned reg, uint8_t value)
{
    TRACE(&fdc_trace[TRACE_FDC_WRITE], "register %u value 0x%02x", reg, value);
    fdc_write(&fdc->chip, reg, value, now());
    update(fdc);
}

static uint64_t low_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)size;
    return read_register(opaque, (unsigned)offset);
}

static void low_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)size;
    write_register(opaque, (unsigned)offset, (uint8_t)value);
}

static uint64_t high_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)offset, (void)size;
    return read_register(opaque, FDC_DIR);
}

static void high_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)offset, (void)size;
    write_register(opaque, FDC_CCR, (uint8_t)value);
}

static const RegionOps low_ops = { .read = low_read, .write = low_write, .widths = WIDTH_8 };
static const RegionOps high_ops = { .read = high_read, .write = high_write, .widths = WIDTH_8 };

/* ---- drives ---- */

static void medium_changed(void *opaque, FloppyDrive *drive)
{
    IsaFdc *fdc = opaque;

    fdc_set_medium(&fdc->chip, drive->unit, &drive->medium);
    update(fdc);
}

static void retry(void *opaque)
{
    IsaFdc *fdc = opaque;

    fdc->kept = false;
    update(fdc);
}

static bool floppy_attach(Bus *bus, Device *device, GError **err)
{
    FloppyBus *floppies = (FloppyBus *)bus;
    FloppyDrive *drive = (FloppyDrive *)device;
    uint32_t unit = drive->unit;

    if (unit == FLOPPY_UNIT_ANY) {
        unit = floppies->drives[0] ? 1 : 0;
    }
    if (unit >= FLOPPY_UNITS) {
        return fail(err, EINVAL, "device '%s': unit=%u: a floppy controller has units 0 and 1", device_name(device), unit);
    }
    if (floppies->drives[unit]) {
        return fail(err, EBUSY, "device '%s': unit %u of bus %s is taken", device_name(device), unit, bus->name);
    }
    IsaFdc *fdc = floppies->host.opaque;
    drive->unit = unit;
    drive->host = &floppies->host;
    floppies->drives[unit] = drive;
    floppies->default_type = fdc->types[unit];
    fdc->chip.drives[unit].present = true;
    return true;
}

static void floppy_detach(Bus *bus, Device *device)
{
    FloppyBus *floppies = (FloppyBus *)bus;

    for (unsigned i = 0; i < FLOPPY_UNITS; i++) {
        if (floppies->drives[i] == (FloppyDrive *)device) {
            IsaFdc *fdc = floppies->host.opaque;
            floppies->drives[i] = NULL;
            fdc->chip.drives[i].present = false;
            fdc->chip.drives[i].medium = (FdcMedium){ 0 };
        }
    }
}

Bus *isa_fdc_bus(Device *controller)
{
    return &((IsaFdc *)controller)->bus.bus;
}

uint8_t isa_fdc_cmos_type(Device *controller, unsigned unit)
{
    static const uint8_t codes[FLOPPY_TYPES] = { [FLOPPY_144] = 4, [FLOPPY_288] = 5, [FLOPPY_120] = 2 };
    const FloppyDrive *drive = unit < FLOPPY_UNITS ? ((IsaFdc *)controller)->bus.drives[unit] : NULL;

    return drive ? codes[drive->type] : 0;
}

/* ---- life ---- */

static void undo(IsaFdc *fdc)
{
    timer_cancel(&fdc->timer);
    if (fdc->dma) {
        isa_dma_release(fdc->dma, fdc->dma_channel);
        fdc->dma = NULL;
    }
    isa_unmap(&fdc->low);
    isa_unmap(&fdc->high);
    region_destroy(&fdc->low);
    region_destroy(&fdc->high);
    bus_destroy(&fdc->bus.bus);
}

static bool isa_fdc_realize(Device *device, GError **err)
{
    IsaFdc *fdc = (IsaFdc *)device;
    const IsaDmaClient client = { move, fdc };

    if (fdc->iobase > 0xfff8) {
        return fail(err, EINVAL, "device '%s': iobase=0x%x: eight ports do not fit there", device_name(device), fdc->iobase);
    }
    if (!isa_irq_valid(device, fdc->irq_number, err)) {
        return false;
    }
    Device *dma = isa_dma_find(device->machine);
    if (dma && !isa_dma_take(dma, fdc->dma_channel, &client, device, err)) {
        return false;
    }
    fdc->dma = dma;
    fdc->irq = isa_irq(device, fdc->irq_number);
    timer_init(&fdc->timer, CLOCK_GUEST, timer_fired, fdc);
    region_init_io(&fdc->low, &low_ops, fdc, "fdc", LOW_PORTS);
    region_init_io(&fdc->high, &high_ops, fdc, "fdc-dir", 1);
    bus_init(&fdc->bus.bus, BUS_FLOPPY, "floppy-bus.0", device->machine, device);
    fdc->bus.bus.attach = floppy_attach;
    fdc->bus.bus.detach = floppy_detach;
    fdc->bus.host = (FloppyHost){ medium_changed, retry, fdc };
    fdc->bus.fallback = fdc->fallback;
    if (!isa_map(device, &fdc->low, (uint16_t)fdc->iobase, err) || !isa_map(device, &fdc->high, (uint16_t)(fdc->iobase + FDC_DIR), err)) {
        undo(fdc);
        return false;
    }
    return true;
}

static void isa_fdc_unrealize(Device *device)
{
    undo((IsaFdc *)device);
}

static void isa_fdc_reset(Device *device)
{
    IsaFdc *fdc = (IsaFdc *)device;

    fdc->kept = false;
    fdc_power_on(&fdc->chip);
    update(fdc);
}

static bool isa_fdc_after_load(Device *device, GError **err)
{
    IsaFdc *fdc = (IsaFdc *)device;
    bool good = fdc_after_load(&fdc->chip, err);

    fdc->chip.wish++;                      /* nothing that is under way was asked for by this state */
    fdc->kept = good && fdc->chip.want != FDC_NOTHING;     /* until the machine runs */
    fdc->kept_wish = fdc->chip.wish;
    update(fdc);
    return good;
}

static const Field isa_fdc_props[] = {
    PROP_U32("iobase", IsaFdc, iobase, 0x3f0, .help = "first I/O port"),
    PROP_U32("irq", IsaFdc, irq_number, 6, .help = "ISA interrupt"),
    PROP_U32("dma", IsaFdc, dma_channel, 2, .help = "ISA DMA channel"),
    PROP_ENUM("fdtypeA", IsaFdc, types[0], floppy_types, FLOPPY_AUTO, .help = "type of drive A where the drive does not say it"),
    PROP_ENUM("fdtypeB", IsaFdc, types[1], floppy_types, FLOPPY_AUTO, .help = "type of drive B where the drive does not say it"),
    PROP_ENUM("fallback", IsaFdc, fallback, floppy_types, FLOPPY_288, .help = "type of a drive whose image does not tell it"),
    PROP_BOOL("check_media_rate", IsaFdc, chip.check_rate, true, .help = "a disk is read at its own data rate only"),
    FIELD_END };

static const Field isa_fdc_saved[] = { SAVE_STRUCT(IsaFdc, chip, fdc_saved), FIELD_END };

const DeviceModel isa_fdc_model = {
    .name = "isa-fdc",  .bus = BUS_ISA,  .size = sizeof(IsaFdc),
    .help = "virtual floppy controller",
    .props = isa_fdc_props,  .saved = isa_fdc_saved,  .saved_version = 1,
    .realize = isa_fdc_realize,  .reset = isa_fdc_reset,  .unrealize = isa_fdc_unrealize,  .after_load = isa_fdc_after_load,
};
