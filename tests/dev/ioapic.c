/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ioapic.c - the I/O APIC: its registers, and what its pins send */
#include "hw/intc/intc.h"
#include "hw/intc/ioapic.h"
#include "tests/rig/rig.h"

#define CHIP_ONLY .board = "bare", .runs = FRESH
#define INTC_BOARD .board = "intc", .runs = FRESH | RESTORED

typedef struct Sent { unsigned count; uint64_t address; uint32_t data; } Sent;

static void catch_message(void *opaque, uint64_t address, uint32_t data)
{
    *(Sent *)opaque = (Sent){ ((Sent *)opaque)->count + 1, address, data };
}

static void put(IoApic *apic, unsigned reg, uint32_t value)
{
    ioapic_write(apic, 0x00, reg);
    ioapic_write(apic, 0x10, value);
}

static uint32_t get(IoApic *apic, unsigned reg)
{
    ioapic_write(apic, 0x00, reg);
    return ioapic_read(apic, 0x10);
}

static void start(IoApic *apic, Sent *sent)
{
    *apic = (IoApic){ .version = 0x20, .send = catch_message, .opaque = sent };
    *sent = (Sent){ 0 };
    ioapic_reset(apic);
}

/* What QEMU 7.2's answers for the same writes, as seen over its qtest socket. */
static void registers(Rig *rig)
{
    IoApic apic;
    Sent sent;

    (void)rig;
    start(&apic, &sent);
    check_eq(get(&apic, 1), 0x00170020);
    check_eq(get(&apic, 0x14), 0x00010000);
    put(&apic, 0x14, 0xffffffff);
    check_eq(get(&apic, 0x14), 0x0001afff);
    put(&apic, 0x15, 0xffffffff);
    check_eq(get(&apic, 0x15), 0xff000000);
    put(&apic, 0, 0xffffffff);
    check_eq(get(&apic, 0), 0x0f000000);
    check_eq(get(&apic, 2), 0x0f000000);
    put(&apic, 1, 0);
    check_eq(get(&apic, 1), 0x00170020);
    check_eq(get(&apic, 0x40), 0);
    put(&apic, 0x40, 0xffffffff);
    check_eq(get(&apic, 0xff), 0);
    check_eq(ioapic_read(&apic, 0x00), 0xff);
    check_eq(ioapic_read(&apic, 0x20), 0);
    check_eq(sent.count, 0);
}

static void an_edge_sends_once(Rig *rig)
{
    IoApic apic;
    Sent sent;

    (void)rig;
    start(&apic, &sent);
    put(&apic, 0x11, 0x05000000);
    put(&apic, 0x10, 0x931);                               /* lowest priority, logical */
    ioapic_set_line(&apic, 0, true);
    check_eq(sent.count, 1);
    check_eq(sent.address, 0xfee05004);
    check_eq(sent.data, 0x131);
    ioapic_set_line(&apic, 0, true);
    check_eq(sent.count, 1);
    ioapic_set_line(&apic, 0, false);
    put(&apic, 0x10, 0x10931);
    ioapic_set_line(&apic, 0, true);                       /* masked: lost */
    put(&apic, 0x10, 0x931);
    check_eq(sent.count, 1);
    ioapic_set_line(&apic, 24, true);                      /* there is no such pin */
    check_eq(sent.count, 1);
}

static void a_level_asks_until_it_is_served(Rig *rig)
{
    IoApic apic;
    Sent sent;

    (void)rig;
    start(&apic, &sent);
    ioapic_set_line(&apic, 9, true);
    put(&apic, 0x22, 0xa041);                              /* unmasked while it is high: level, active low */
    check_eq(sent.count, 1);
    check_eq(sent.data, 0xc041);
    check_eq(get(&apic, 0x22), 0xe041);                    /* remote IRR */
    put(&apic, 0x22, 0xa041);
    ioapic_set_line(&apic, 9, false);
    ioapic_set_line(&apic, 9, true);
    check_eq(sent.count, 1);
    ioapic_eoi(&apic, 0x40);
    check_eq(sent.count, 1);
    ioapic_eoi(&apic, 0x41);
    check_eq(sent.count, 2);
    ioapic_set_line(&apic, 9, false);
    ioapic_eoi(&apic, 0x41);
    check_eq(sent.count, 2);
    check_eq(get(&apic, 0x22), 0xa041);
    ioapic_set_line(&apic, 9, true);
    check_eq(sent.count, 3);
    put(&apic, 0x22, 0x12041);                             /* masked edge, and back: how a system ends it by force */
    check_eq(get(&apic, 0x22), 0x12041);
    put(&apic, 0x22, 0xa041);
    check_eq(sent.count, 4);
}

static void the_eoi_register(Rig *rig)
{
    IoApic apic;
    Sent sent;

    (void)rig;
    start(&apic, &sent);
    put(&apic, 0x22, 0x8041);
    ioapic_set_line(&apic, 9, true);
    ioapic_write(&apic, 0x40, 0x41);
    check_eq(sent.count, 2);
    apic.version = 0x11;
    ioapic_write(&apic, 0x40, 0x41);                       /* it has none */
    check_eq(sent.count, 2);
}

static void all_delivery_modes(Rig *rig)
{
    IoApic apic;
    Sent sent;

    (void)rig;
    start(&apic, &sent);
    for (unsigned mode = 0; mode < 8; mode++) {
        put(&apic, 0x10 + 2 * mode, 0x50 | mode << 8);
        ioapic_set_line(&apic, mode, true);
        check_eq(sent.count, mode + 1);
        check_eq(sent.data, 0x50 | mode << 8);
    }
}

/* On the board: pins, and the way to a processor. */

static void rte(Rig *rig, unsigned pin, uint64_t entry)
{
    rig_store(rig, 0xfec00000, 4, 0x11 + 2 * pin);
    rig_store(rig, 0xfec00010, 4, entry >> 32);
    rig_store(rig, 0xfec00000, 4, 0x10 + 2 * pin);
    rig_store(rig, 0xfec00010, 4, entry);
    rig_checkpoint(rig);
}

static int fetch(Rig *rig, unsigned cpu)
{
    CpuIrqSource source = intc_irq_source(rig_intc(rig), cpu);
    int vector = source.acknowledge(source.opaque);

    rig_checkpoint(rig);
    return vector;
}

static void enable(Rig *rig, unsigned cpu)
{
    intc_look_as(rig_intc(rig), cpu);
    rig_store(rig, 0xfee000f0, 4, 0x1ff);
    rig_checkpoint(rig);
}

static void line(Rig *rig, unsigned gsi, bool high)
{
    irq_set(intc_gsi(rig_intc(rig), gsi), high);
    rig_checkpoint(rig);
}

static void gsi_0_is_pin_2(Rig *rig)
{
    enable(rig, 0);
    rig_outb(rig, 0x21, 0xff);                             /* not by the 8259 */
    rte(rig, 2, 0x30);
    line(rig, 0, true);
    check(rig_cpu(rig, 0)->intr);
    check_eq(fetch(rig, 0), 0x30);
    line(rig, 0, false);
    check(!irq_connected(intc_gsi(rig_intc(rig), 24)));
}

static void a_level_goes_all_the_way(Rig *rig)
{
    enable(rig, 1);
    rte(rig, 17, UINT64_C(0x01000000000080b3));
    line(rig, 17, true);
    check(rig_cpu(rig, 1)->intr && !rig_cpu(rig, 0)->intr);
    check_eq(fetch(rig, 1), 0xb3);
    check(!rig_cpu(rig, 1)->intr);
    intc_look_as(rig_intc(rig), 1);
    rig_store(rig, 0xfee000b0, 4, 0);                      /* EOI while it is high: again */
    check(rig_cpu(rig, 1)->intr);
    check_eq(fetch(rig, 1), 0xb3);
    line(rig, 17, false);
    intc_look_as(rig_intc(rig), 1);
    rig_store(rig, 0xfee000b0, 4, 0);
    check(!rig_cpu(rig, 1)->intr);
    line(rig, 17, true);
    check_eq(fetch(rig, 1), 0xb3);
}

static void nmi_and_init_by_pin(Rig *rig)
{
    rte(rig, 5, UINT64_C(0x0200000000000400));
    rte(rig, 6, UINT64_C(0x0300000000000500));
    rte(rig, 7, UINT64_C(0x0300000000000200));             /* SMI: nothing takes it */
    line(rig, 5, true);
    line(rig, 6, true);
    line(rig, 7, true);
    check_eq(rig_cpu(rig, 2)->nmis, 1);
    check_eq(rig_cpu(rig, 3)->inits, 1);
    check_eq(rig_cpu(rig, 3)->nmis, 0);
}

static void extint_by_pin(Rig *rig)
{
    static const uint8_t icw[][2] = { { 0x20, 0x11 }, { 0x21, 0x68 }, { 0x21, 4 }, { 0x21, 1 } };

    for (unsigned i = 0; i < G_N_ELEMENTS(icw); i++) {
        rig_outb(rig, icw[i][0], icw[i][1]);
    }
    intc_look_as(rig_intc(rig), 0);
    rig_store(rig, 0xfee00350, 4, 0x10700);                /* not by LINT0 */
    rte(rig, 3, UINT64_C(0x0100000000000700));
    line(rig, 3, true);
    check(rig_cpu(rig, 1)->intr && !rig_cpu(rig, 0)->intr);
    check_eq(fetch(rig, 1), 0x6b);                         /* the 8259's vector */
    check(!rig_cpu(rig, 1)->intr);
    check_eq(fetch(rig, 1), -1);
}

const Test ioapic_tests[] = {
    { "registers read back as QEMU's", registers, CHIP_ONLY },
    { "an edge sends once", an_edge_sends_once, CHIP_ONLY },
    { "a level asks until it is served", a_level_asks_until_it_is_served, CHIP_ONLY },
    { "the EOI register of version 20h", the_eoi_register, CHIP_ONLY },
    { "all delivery modes", all_delivery_modes, CHIP_ONLY },
    { "GSI 0 is pin 2", gsi_0_is_pin_2, INTC_BOARD },
    { "a level goes all the way", a_level_goes_all_the_way, INTC_BOARD },
    { "NMI and INIT by a pin", nmi_and_init_by_pin, INTC_BOARD },
    { "ExtINT by a pin", extint_by_pin, INTC_BOARD },
    { NULL } };
