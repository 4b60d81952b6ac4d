/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * piix3.c - PCI to ISA bridge: the ISA bus, the PCI interrupt router, the reset control register
 *
 * Models   Intel 82371SB (order number 290550), function 0: PIRQRC[A:D] 60h-63h, RCR at port CF9h
 * Omits    DMA controllers, positive decoding windows, serialized interrupts; their registers are plain bytes. The edge/level
 *          registers 4D0h-4D1h are the i8259's
 * Wires    in: the bus's four PIRQ lines (taken at realize); out: ISA IRQ lines, each the OR of the PIRQs routed to it
 * Threads  any vCPU thread, machine lock held
 * Tests    tests/dev/pc-chipset.c
 */
#include "hw/chipset/piix3.h"
#include "base/error.h"
#include "base/trace.h"
#include "hw/core/machine.h"
#include "hw/models.h"
#include "hw/pci/host.h"
#include <errno.h>

enum { PIIX_PIRQRC = 0x60, PIRQRC_OFF = 0x80, PIRQRC_IRQ = 0x0f };
enum { RCR_PORT_OFFSET = 1, RCR_HARD = 0x02, RCR_RESET = 0x04 };
#define ROUTABLE_IRQS 0xdef8               /* 3 to 7, 9 to 12, 14, 15 */

typedef struct Piix3 {
    PciDevice pci;
    IsaBus isa;
    IrqLine irq[ISA_IRQS];                 /* our inputs to the ISA lines */
    bool pirq[PCI_PINS];                   /* levels of the PCI wires */
    uint8_t reset_control;
} Piix3;

enum { TRACE_PIIX3_PIRQ, TRACE_PIIX3_RESET };
static TracePoint piix3_trace[] = {
    [TRACE_PIIX3_PIRQ] = { "piix3_pirq", "a PCI interrupt wire changed" },
    [TRACE_PIIX3_RESET] = { "piix3_reset_control", "the guest wrote port 0xcf9" },
};
TRACE_TABLE(piix3_trace)

IsaBus *piix3_isa_bus(Device *piix3)
{
    return &((Piix3 *)piix3)->isa;
}

int piix3_pirq_route(const Device *piix3, unsigned pirq)
{
    const Piix3 *piix = (const Piix3 *)piix3;
    uint8_t control = piix->pci.config[PIIX_PIRQRC + pirq % PCI_PINS];
    unsigned irq = control & PIRQRC_IRQ;

    return control & PIRQRC_OFF || !(ROUTABLE_IRQS >> irq & 1) ? -1 : (int)irq;
}

static void piix3_update_irqs(Piix3 *piix)
{
    uint16_t high = 0;

    for (unsigned pirq = 0; pirq < PCI_PINS; pirq++) {
        int irq = piix3_pirq_route(&piix->pci.device, pirq);
        if (irq >= 0 && piix->pirq[pirq]) {
            high |= 1 << irq;
        }
    }
    for (unsigned irq = 0; irq < ISA_IRQS; irq++) {
        irq_set(piix->irq[irq], high >> irq & 1);
    }
}

static void piix3_set_pirq(void *sink, int pin, bool high)
{
    Piix3 *piix = sink;

    TRACE(&piix3_trace[TRACE_PIIX3_PIRQ], "pirq %c level %d", 'A' + pin, high);
    piix->pirq[pin] = high;
    piix3_update_irqs(piix);
}

static void piix3_config_written(PciDevice *pci, unsigned offset, unsigned size)
{
    if (offset < PIIX_PIRQRC + PCI_PINS && PIIX_PIRQRC < offset + size) {
        piix3_update_irqs((Piix3 *)pci);
    }
}

static uint64_t reset_control_read(void *opaque, uint64_t offset, unsigned size)
{
    const Piix3 *piix = opaque;

    (void)size;
    return offset == RCR_PORT_OFFSET ? piix->reset_control : 0xff;
}

static void reset_control_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Piix3 *piix = opaque;

    (void)size;
    if (offset != RCR_PORT_OFFSET) {
        return;
    }
    TRACE(&piix3_trace[TRACE_PIIX3_RESET], "value 0x%02x", (unsigned)value);
    piix->reset_control = value & RCR_HARD;
    if (value & RCR_RESET) {
        machine_request_reset(piix->pci.device.machine, CAUSE_GUEST_RESET);
    }
}

static const RegionOps reset_control_ops = { .read = reset_control_read, .write = reset_control_write, .widths = WIDTH_8 };

static bool piix3_realize(Device *device, GError **err)
{
    Piix3 *piix = (Piix3 *)device;
    PciBus *bus = pci_bus_of(&piix->pci);

    (void)err;
    for (unsigned i = 0x4c; i < 0xb0; i++) {
        piix->pci.writable[i] = 0xff;
    }
    pci_config_writable(&piix->pci, PIIX_PIRQRC, 4, 0x8f8f8f8f);
    isa_bus_init(&piix->isa, "isa.0", device->machine, device, bus->io, bus->memory);
    for (unsigned irq = 0; irq < ISA_IRQS; irq++) {
        piix->irq[irq] = isa_bus_irq(&piix->isa, device, irq);
    }
    for (int pin = 0; pin < PCI_PINS; pin++) {
        bus->pirq[pin] = (IrqLine){ .set = piix3_set_pirq, .sink = piix, .pin = pin };
    }
    pci_host_set_byte_port(bus, &reset_control_ops, piix);
    return true;
}

static void piix3_reset(Device *device)
{
    Piix3 *piix = (Piix3 *)device;
    uint8_t *config = piix->pci.config;

    pci_reset(&piix->pci);
    memset(config + 0x40, 0, 0xc0);
    pci_config_set16(&piix->pci, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    pci_config_set16(&piix->pci, PCI_STATUS, PCI_STATUS_DEVSEL_MEDIUM);
    pci_config_set32(&piix->pci, 0x4c, 0x0003004d);                  /* I/O recovery, X-bus chip select */
    pci_config_set32(&piix->pci, PIIX_PIRQRC, 0x80808080);
    pci_config_set32(&piix->pci, 0x68, 0x00000200);                  /* top of memory */
    pci_config_set32(&piix->pci, 0x70, 0x00000080);                  /* motherboard IRQ routing: off */
    pci_config_set32(&piix->pci, 0x74, 0x0c0c0000);                  /* motherboard DMA: off */
    pci_config_set32(&piix->pci, 0x78, 0x00000002);                  /* chip select */
    pci_config_set32(&piix->pci, 0xa0, 0x00000008);                  /* SMI control, enable, timers */
    pci_config_set32(&piix->pci, 0xa8, 0x0000000f);
    piix->reset_control = 0;
    piix3_update_irqs(piix);
}

static void piix3_unrealize(Device *device)
{
    Piix3 *piix = (Piix3 *)device;
    PciBus *bus = pci_bus_of(&piix->pci);

    pci_unrealize(&piix->pci);
    pci_host_set_byte_port(bus, NULL, NULL);
    memset(bus->pirq, 0, sizeof bus->pirq);
    bus_destroy(&piix->isa.bus);
}

static bool piix3_after_load(Device *device, GError **err)
{
    Piix3 *piix = (Piix3 *)device;

    if (!pci_after_load(&piix->pci, err)) {
        return false;
    }
    piix->reset_control &= RCR_HARD;
    piix3_update_irqs(piix);               /* the wires themselves are restated by the functions that pull them */
    return true;
}

static const Field piix3_saved[] = { SAVE_PCI(Piix3, pci), SAVE_U8(Piix3, reset_control), FIELD_END };

static const PciModel piix3_pci = {
    .vendor = 0x8086, .device = 0x7000, .class_code = 0x060100, .config_written = piix3_config_written,
};

const DeviceModel piix3_model = {
    .name = "PIIX3",  .bus = BUS_PCI,  .size = sizeof(Piix3),  .board_only = true,
    .help = "PCI to ISA bridge (82371SB)",
    .bus_props = pci_props,  .class_data = &piix3_pci,
    .saved = piix3_saved,  .saved_version = 1,
    .realize = piix3_realize,  .reset = piix3_reset,  .unrealize = piix3_unrealize,  .after_load = piix3_after_load,
};
