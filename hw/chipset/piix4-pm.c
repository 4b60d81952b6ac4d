/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * piix4-pm.c - power management: ACPI fixed registers, PM timer, sleep states, power button, SMBus host
 *
 * Models   Intel 82371AB (order number 290562), function 3: PM1a event and control blocks, 24-bit PM timer, APM ports B2h-B3h,
 *          SMBus host controller without devices; ACPI 4.0 chapter 4.7; the GPE0 block where QEMU's boards have it (AFE0h)
 * Omits    SMM: APM commands set and clear SCI_EN at once, and DEVACTB says that the SMI handler is there already; device
 *          monitors, burst timers, throttling, SMBus interrupts (hosts poll) and the SMBus slave
 * Wires    sci to ISA IRQ 9, cmos-s3 to the RTC; events come in by piix4_pm_gpe(); power button from machine_on_powerdown()
 * Threads  registers: any vCPU thread; timer and button: main loop; machine lock held
 * Tests    tests/dev/pc-chipset.c
 *
 *   base+0  PM1_STS   status, ones clear            base (64 ports) is PCI register 40h while bit 0 of 80h is set;
 *       +2  PM1_EN    which raise the SCI           the SMBus host (16 ports) is at 90h while bit 0 of D2h is set
 *       +4  PM1_CNT   SCI_EN, sleep type, sleep
 *       +8  PM_TMR    3.579545 MHz
 */
#include "hw/chipset/piix4-pm.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/event.h"
#include "base/trace.h"
#include "hw/core/machine.h"
#include "hw/models.h"
#include "hw/pci/pci.h"
#include <errno.h>

enum { PIIX_PMBA = 0x40, PIIX_DEVACTB = 0x58, PIIX_PMREGMISC = 0x80, PIIX_SMBBA = 0x90, PIIX_SMBHSTCFG = 0xd2 };
enum { PM1_STS = 0, PM1_EN = 2, PM1_CNT = 4, PM_TMR = 8, PM_REGISTERS = 16, PM_WINDOW = 64 };
enum {
    STS_TIMER = 0x0001, STS_GLOBAL = 0x0020, STS_POWER = 0x0100, STS_SLEEP = 0x0200, STS_RTC = 0x0400, STS_WAKE = 0x8000,
    STS_ALL = STS_GLOBAL | STS_POWER | STS_SLEEP | STS_RTC | STS_WAKE, EN_ALL = 0x0721,
};
enum { CNT_SCI = 0x0001, CNT_SLEEP_TYPE = 0x1c00, CNT_SLEEP = 0x2000, CNT_KEPT = 0x1c03 };
enum { SLEEP_S5 = 0, SLEEP_S3 = 1 };
enum { APM_ACPI_ENABLE = 0xf1, APM_ACPI_DISABLE = 0xf0 };
enum { SMB_STS = 0, SMB_CNT = 2, SMB_BLOCK = 7, SMB_REGISTERS = 16, SMB_STS_DEVICE_ERROR = 0x04, SMB_STS_CLEARED = 0x1e, SMB_START = 0x40 };
#define PM_TIMER_HZ UINT64_C(3579545)
#define PM_TIMER_MASK UINT32_C(0xffffff)
#define PM_TIMER_HALF UINT64_C(0x800000)   /* TMR_STS is set when bit 23 changes */

typedef struct Piix4Pm {
    PciDevice pci;
    IrqLine sci, cmos_s3;
    uint8_t disable_s3, disable_s4, s4_value;
    uint16_t status, enable, control;      /* STS_TIMER is not kept: timer_status() computes it */
    int64_t overflow_at;                   /* when bit 23 changes next after STS_TIMER was cleared */
    Timer overflow;
    uint16_t gpe_status, gpe_enable;
    uint8_t apm_command, apm_status;
    uint8_t smbus[SMB_REGISTERS];
    Region pm_io, gpe_io, apm_io, smbus_io;
} Piix4Pm;

enum { TRACE_PM_WRITE, TRACE_PM_SLEEP, TRACE_PM_SCI };
static TracePoint pm_trace[] = {
    [TRACE_PM_WRITE] = { "piix4_pm_write", "the guest wrote a power management register" },
    [TRACE_PM_SLEEP] = { "piix4_pm_sleep", "the guest asked for a sleep state" },
    [TRACE_PM_SCI] = { "piix4_pm_sci", "level of the system control interrupt" },
};
TRACE_TABLE(pm_trace)

static uint64_t timer_ticks(int64_t now)
{
    return (unsigned __int128)now * PM_TIMER_HZ / NS_PER_SECOND;
}

/* The first nanosecond at which timer_ticks() is at least ticks. */
static int64_t timer_time(uint64_t ticks)
{
    return ((unsigned __int128)ticks * NS_PER_SECOND + PM_TIMER_HZ - 1) / PM_TIMER_HZ;
}

static void timer_status_clear(Piix4Pm *pm)
{
    uint64_t ticks = timer_ticks(clock_now(CLOCK_GUEST));

    pm->overflow_at = timer_time((ticks / PM_TIMER_HALF + 1) * PM_TIMER_HALF);
}

static uint16_t pm_status(const Piix4Pm *pm)
{
    return pm->status | (clock_now(CLOCK_GUEST) >= pm->overflow_at ? STS_TIMER : 0);
}

/* The one place where the SCI's level, and the need for a timer, are made from state. */
static void pm_update_sci(Piix4Pm *pm)
{
    uint16_t status = pm_status(pm);
    bool high = pm->control & CNT_SCI && ((status & pm->enable) || (pm->gpe_status & pm->gpe_enable));

    TRACE(&pm_trace[TRACE_PM_SCI], "level %d", high);
    irq_set(pm->sci, high);
    if (pm->enable & STS_TIMER && !(status & STS_TIMER)) {
        if (pm->overflow.deadline != pm->overflow_at) {
            timer_arm(&pm->overflow, pm->overflow_at);
        }
    } else {
        timer_cancel(&pm->overflow);
    }
}

static void pm_overflowed(void *opaque)
{
    pm_update_sci(opaque);
}

void piix4_pm_raise_gpe(Device *device, unsigned event)
{
    Piix4Pm *pm = (Piix4Pm *)device;

    if (event < 16) {
        pm->gpe_status |= 1u << event;
        pm_update_sci(pm);
    }
}

void piix4_pm_sleep_states(const Device *device, bool *s3, bool *s4, uint8_t *s4_type)
{
    const Piix4Pm *pm = (const Piix4Pm *)device;

    *s3 = !pm->disable_s3;
    *s4 = !pm->disable_s4;
    *s4_type = pm->s4_value;
}

static void gpe_input(void *opaque, int event, bool high)
{
    if (high) {
        piix4_pm_raise_gpe(opaque, (unsigned)event);
    }
}

IrqLine piix4_pm_gpe(Device *device, unsigned event)
{
    return (IrqLine){ gpe_input, device, (int)event };
}

static void pm_sleep(Piix4Pm *pm)
{
    Machine *machine = pm->pci.device.machine;
    unsigned type = (pm->control & CNT_SLEEP_TYPE) >> 10;

    TRACE(&pm_trace[TRACE_PM_SLEEP], "type %u", type);
    if (type == SLEEP_S5) {
        machine_request_shutdown(machine, CAUSE_GUEST_SHUTDOWN);
    } else if (type == SLEEP_S3 && !pm->disable_s3) {
        irq_set(pm->cmos_s3, true);
        irq_set(pm->cmos_s3, false);
        machine_request_suspend(machine);
    } else if (type == pm->s4_value && !pm->disable_s4) {
        event_emit("SUSPEND_DISK", NULL);
        machine_request_shutdown(machine, CAUSE_GUEST_SHUTDOWN);
    } else {
        guest_fault(&pm->pci.device, "sleep type %u is not one this board has", type);
    }
}

static void pm_power_button(void *opaque)
{
    Piix4Pm *pm = opaque;
    Machine *machine = pm->pci.device.machine;

    if (machine->state == RUN_SUSPENDED) {
        machine_request_wakeup(machine);
    } else if (pm->enable & STS_POWER) {   /* nobody looks: do not surprise a guest that looks later */
        pm->status |= STS_POWER;
        pm_update_sci(pm);
    }
}

static uint64_t pm_read(void *opaque, uint64_t offset, unsigned size)
{
    const Piix4Pm *pm = opaque;
    uint8_t registers[PM_REGISTERS] = { 0 };
    uint64_t value = 0;

    if (offset + size > PM_REGISTERS) {
        return 0;
    }
    store_le16(registers + PM1_STS, pm_status(pm));
    store_le16(registers + PM1_EN, pm->enable);
    store_le16(registers + PM1_CNT, pm->control);
    store_le32(registers + PM_TMR, timer_ticks(clock_now(CLOCK_GUEST)) & PM_TIMER_MASK);
    memcpy(&value, registers + offset, size);
    return value;
}

static uint16_t byte_into(uint16_t old, unsigned which, uint8_t byte)
{
    return which ? (old & 0x00ff) | byte << 8 : (old & 0xff00) | byte;
}

static void status_clear(Piix4Pm *pm, uint16_t ones)
{
    pm->status &= ~ones;
    if (ones & STS_TIMER && pm_status(pm) & STS_TIMER) {
        timer_status_clear(pm);
    }
}

/* Byte by byte, so that every width means the same. */
static void pm_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Piix4Pm *pm = opaque;
    uint16_t control = pm->control;

    TRACE(&pm_trace[TRACE_PM_WRITE], "reg 0x%02x:%u value 0x%x", (unsigned)offset, size, (unsigned)value);
    for (unsigned i = 0; i < size; i++) {
        uint8_t byte = value >> (8 * i);
        unsigned at = offset + i, high = at & 1;
        if (at / 2 == PM1_STS / 2) {
            status_clear(pm, byte << (8 * high));
        } else if (at / 2 == PM1_EN / 2) {
            pm->enable = byte_into(pm->enable, high, byte) & EN_ALL;
        } else if (at / 2 == PM1_CNT / 2) {
            control = byte_into(control, high, byte);
        }
    }
    pm->control = control & CNT_KEPT;      /* SLP_EN and GBL_RLS are write-only */
    pm_update_sci(pm);
    if (control & CNT_SLEEP) {
        pm_sleep(pm);
    }
}

static uint64_t gpe_read(void *opaque, uint64_t offset, unsigned size)
{
    const Piix4Pm *pm = opaque;

    (void)size;
    return (offset < 2 ? pm->gpe_status : pm->gpe_enable) >> (offset & 1 ? 8 : 0) & 0xff;
}

static void gpe_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Piix4Pm *pm = opaque;

    (void)size;
    if (offset < 2) {
        pm->gpe_status &= ~(value << 8 * offset);
    } else {
        pm->gpe_enable = byte_into(pm->gpe_enable, offset & 1, value);
    }
    pm_update_sci(pm);
}

static uint64_t apm_read(void *opaque, uint64_t offset, unsigned size)
{
    const Piix4Pm *pm = opaque;

    (void)size;
    return offset ? pm->apm_status : pm->apm_command;
}

static void apm_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Piix4Pm *pm = opaque;

    (void)size;
    if (offset) {
        pm->apm_status = value;
        return;
    }
    pm->apm_command = value;
    if (value == APM_ACPI_ENABLE) {
        pm->control |= CNT_SCI;
    } else if (value == APM_ACPI_DISABLE) {
        pm->control &= ~CNT_SCI;
    }
    pm_update_sci(pm);
}

static uint64_t smbus_read(void *opaque, uint64_t offset, unsigned size)
{
    const Piix4Pm *pm = opaque;

    (void)size;
    return pm->smbus[offset];
}

/* Every transaction ends at once with "no device answered". */
static void smbus_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Piix4Pm *pm = opaque;

    (void)size;
    if (offset == SMB_STS) {
        pm->smbus[SMB_STS] &= ~(value & SMB_STS_CLEARED);
        return;
    }
    pm->smbus[offset] = offset == SMB_CNT ? value & ~SMB_START : value;
    if (offset == SMB_CNT && value & SMB_START) {
        pm->smbus[SMB_STS] |= SMB_STS_DEVICE_ERROR;
    }
}

static const RegionOps pm_ops = { .read = pm_read, .write = pm_write, .widths = WIDTH_8_16_32 };
static const RegionOps gpe_ops = { .read = gpe_read, .write = gpe_write, .widths = WIDTH_8 };
static const RegionOps apm_ops = { .read = apm_read, .write = apm_write, .widths = WIDTH_8 };
static const RegionOps smbus_ops = { .read = smbus_read, .write = smbus_write, .widths = WIDTH_8 };

static void place_window(Region *region, uint16_t base, bool enabled)
{
    if (base && region->offset != base) {
        region_move(region, base);
    }
    region_set_enabled(region, enabled && base);
}

static void pm_update_windows(Piix4Pm *pm)
{
    const uint8_t *config = pm->pci.config;

    region_begin();
    place_window(&pm->pm_io, load_le16(config + PIIX_PMBA) & 0xffc0, config[PIIX_PMREGMISC] & 1);
    place_window(&pm->smbus_io, load_le16(config + PIIX_SMBBA) & 0xfff0, config[PIIX_SMBHSTCFG] & 1);
    region_commit();
}

static void pm_config_written(PciDevice *pci, unsigned offset, unsigned size)
{
    (void)offset, (void)size;
    pm_update_windows((Piix4Pm *)pci);
}

static bool pm_realize(Device *device, GError **err)
{
    Piix4Pm *pm = (Piix4Pm *)device;
    Region *io = pci_bus_of(&pm->pci)->io;

    (void)err;
    memset(pm->pci.writable + 0x44, 0xff, 0xd8 - 0x44);
    pci_config_writable(&pm->pci, PIIX_PMBA, 4, 0xffc0);
    pci_config_writable(&pm->pci, PIIX_PMREGMISC, 1, 0x01);
    pci_config_writable(&pm->pci, PIIX_SMBBA, 4, 0xfff0);
    pci_config_writable(&pm->pci, PIIX_SMBHSTCFG, 1, 0x0f);
    timer_init(&pm->overflow, CLOCK_GUEST, pm_overflowed, pm);
    region_init_io(&pm->pm_io, &pm_ops, pm, "piix4-pm", PM_WINDOW);
    region_init_io(&pm->gpe_io, &gpe_ops, pm, "acpi-gpe0", PIIX4_GPE0_LENGTH);
    region_init_io(&pm->apm_io, &apm_ops, pm, "apm-io", 2);
    region_init_io(&pm->smbus_io, &smbus_ops, pm, "pm-smbus", SMB_REGISTERS);
    pm->pm_io.enabled = pm->smbus_io.enabled = false;
    region_begin();
    region_add(io, 0, &pm->pm_io, 0);
    region_add(io, 0, &pm->smbus_io, 0);
    region_add(io, PIIX4_GPE0_BASE, &pm->gpe_io, 0);
    region_add(io, 0xb2, &pm->apm_io, 0);
    region_commit();
    machine_on_powerdown(device->machine, pm_power_button, pm);
    return true;
}

static void pm_unrealize(Device *device)
{
    Piix4Pm *pm = (Piix4Pm *)device;
    Region *regions[] = { &pm->pm_io, &pm->smbus_io, &pm->gpe_io, &pm->apm_io };

    pci_unrealize(&pm->pci);
    machine_on_powerdown(device->machine, NULL, NULL);
    timer_cancel(&pm->overflow);
    for (size_t i = 0; i < G_N_ELEMENTS(regions); i++) {
        region_remove(regions[i]);
        region_destroy(regions[i]);
    }
}

static void pm_reset(Device *device)
{
    Piix4Pm *pm = (Piix4Pm *)device;
    uint8_t *config = pm->pci.config;

    pci_reset(&pm->pci);
    memset(config + PCI_HEADER_SIZE, 0, PCI_CONVENTIONAL_SIZE - PCI_HEADER_SIZE);
    pci_config_set16(&pm->pci, PCI_STATUS, PCI_STATUS_DEVSEL_MEDIUM | PCI_STATUS_FAST_BACK);
    pci_config_set32(&pm->pci, PIIX_PMBA, 0x0001);
    config[PIIX_DEVACTB + 3] = 0x02;       /* APMC_EN: firmware takes it as "SMI handler installed", and there is no SMM */
    config[0x5f] = 0x10;                   /* device resources: as QEMU's board describes itself */
    config[0x63] = 0x60;
    pci_config_set32(&pm->pci, PIIX_SMBBA, 0xb101);
    config[PIIX_SMBHSTCFG] = 0x09;
    pm->enable = pm->control = 0;
    /* Waking from S3 is a reset that the guest learns of here; as if somebody had pressed the button. */
    pm->status = device->machine->state == RUN_SUSPENDED ? STS_WAKE | STS_POWER : 0;
    pm->gpe_status = pm->gpe_enable = 0;
    pm->apm_command = pm->apm_status = 0;
    memset(pm->smbus, 0, sizeof pm->smbus);
    timer_status_clear(pm);
    pm_update_windows(pm);
    pm_update_sci(pm);
}

static bool pm_after_load(Device *device, GError **err)
{
    Piix4Pm *pm = (Piix4Pm *)device;

    if (!pci_after_load(&pm->pci, err)) {
        return false;
    }
    if (pm->overflow_at < 0) {
        return fail(err, EINVAL, "%s: the saved PM timer overflow lies before the start of time", device_name(device));
    }
    pm->status &= STS_ALL;
    pm->enable &= EN_ALL;
    pm->control &= CNT_KEPT;
    pm_update_windows(pm);
    pm_update_sci(pm);
    return true;
}

static const Field pm_props[] = {
    PROP_U8("disable_s3", Piix4Pm, disable_s3, 0, .help = "1: no suspend to RAM"),
    PROP_U8("disable_s4", Piix4Pm, disable_s4, 0, .help = "1: no suspend to disk"),
    PROP_U8("s4_val", Piix4Pm, s4_value, 2, .help = "sleep type of suspend to disk", .min = 0, .max = 7),
    PROP_IRQ("sci", Piix4Pm, sci, .help = "system control interrupt, to ISA IRQ 9"),
    PROP_IRQ("cmos-s3", Piix4Pm, cmos_s3, .help = "raised on the way to S3: the RTC notes it for firmware"),
    FIELD_END };

static const Field pm_saved[] = {
    SAVE_PCI(Piix4Pm, pci), SAVE_U16(Piix4Pm, status), SAVE_U16(Piix4Pm, enable), SAVE_U16(Piix4Pm, control),
    SAVE_I64(Piix4Pm, overflow_at), SAVE_U16(Piix4Pm, gpe_status), SAVE_U16(Piix4Pm, gpe_enable),
    SAVE_U8(Piix4Pm, apm_command), SAVE_U8(Piix4Pm, apm_status), SAVE_BYTES(Piix4Pm, smbus), FIELD_END };

static const PciModel pm_pci = {
    .vendor = 0x8086, .device = 0x7113, .revision = 3, .class_code = 0x068000, .interrupt_pin = 1,
    .config_written = pm_config_written,
};

const DeviceModel piix4_pm_model = {
    .name = "PIIX4_PM",  .bus = BUS_PCI,  .size = sizeof(Piix4Pm),  .board_only = true,
    .help = "power management (82371AB): ACPI registers, PM timer, power button",
    .props = pm_props,  .bus_props = pci_props,  .class_data = &pm_pci,
    .saved = pm_saved,  .saved_version = 1,
    .realize = pm_realize,  .reset = pm_reset,  .unrealize = pm_unrealize,  .after_load = pm_after_load,
};
