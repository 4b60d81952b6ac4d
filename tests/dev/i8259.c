/* SPDX-License-Identifier: GPL-2.0-or-later */
/* i8259.c - the interrupt controllers: through their ports, with inputs driven by hand and INTR on probe 16 */
#include "hw/intc/internal.h"
#include "tests/rig/rig.h"

#define PIC_BOARD .board = "isa", .devices = "isa-i8259,intr=@16", .runs = FRESH | RESTORED

enum { INTR = 16, MASTER = 0x20, SLAVE = 0xa0 };

static Pic *pic(Rig *rig)
{
    return (Pic *)rig_device(rig, "isa-i8259");
}

static void line(Rig *rig, unsigned irq, bool high)
{
    pic_set_line(pic(rig), irq, high);
    rig_checkpoint(rig);
}

static void pulse(Rig *rig, unsigned irq)
{
    line(rig, irq, true);
    line(rig, irq, false);
}

static int acknowledge(Rig *rig)
{
    int vector = pic_acknowledge(pic(rig));

    rig_checkpoint(rig);
    return vector;
}

static void start_with(Rig *rig, uint8_t icw4)
{
    const uint8_t words[][2] = { { MASTER, 0x11 }, { MASTER + 1, 0x20 }, { MASTER + 1, 4 }, { MASTER + 1, icw4 },
                                 { SLAVE, 0x11 }, { SLAVE + 1, 0x28 }, { SLAVE + 1, 2 }, { SLAVE + 1, icw4 } };

    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        rig_outb(rig, words[i][0], words[i][1]);
        rig_checkpoint(rig);
    }
}

static uint8_t isr(Rig *rig, uint16_t chip)
{
    rig_outb(rig, chip, 0x0b);
    rig_checkpoint(rig);
    return rig_inb(rig, chip);
}

static uint8_t irr(Rig *rig, uint16_t chip)
{
    rig_outb(rig, chip, 0x0a);
    return rig_inb(rig, chip);
}

static void an_edge_is_served_once(Rig *rig)
{
    start_with(rig, 1);
    line(rig, 4, true);
    check(rig_irq(rig, INTR));
    check_eq(irr(rig, MASTER), 0x10);
    check_eq(acknowledge(rig), 0x24);
    check(!rig_irq(rig, INTR));
    check_eq(isr(rig, MASTER), 0x10);
    check_eq(irr(rig, MASTER), 0);
    rig_outb(rig, MASTER, 0x20);
    check_eq(isr(rig, MASTER), 0);
    check(!rig_irq(rig, INTR));            /* still high, but no new edge */
    line(rig, 4, false);
    line(rig, 4, true);
    check(rig_irq(rig, INTR));
}

static void nothing_before_initialization_ends(Rig *rig)
{
    rig_outb(rig, MASTER, 0x11);
    line(rig, 1, true);
    check(!rig_irq(rig, INTR));
    rig_outb(rig, MASTER + 1, 0x40);
    check(!rig_irq(rig, INTR));
    rig_outb(rig, MASTER + 1, 4);
    check(!rig_irq(rig, INTR));
    rig_outb(rig, MASTER + 1, 1);
    check(rig_irq(rig, INTR));
    check_eq(acknowledge(rig), 0x41);
}

static void icw1_forgets(Rig *rig)
{
    start_with(rig, 3);
    rig_outb(rig, MASTER + 1, 0xfe);
    rig_outb(rig, MASTER, 0xc3);           /* input 3 lowest */
    line(rig, 5, true);
    start_with(rig, 1);
    check_eq(rig_inb(rig, MASTER + 1), 0);
    check_eq(irr(rig, MASTER), 0);         /* the edge is forgotten though the line is high */
    line(rig, 1, true);
    line(rig, 4, true);
    check_eq(acknowledge(rig), 0x21);      /* and so is the rotation */
    check_eq(isr(rig, MASTER), 2);         /* and automatic EOI */
}

static void icw4_can_be_left_out(Rig *rig)
{
    start_with(rig, 3);
    rig_outb(rig, MASTER, 0x10);           /* no ICW4: its functions are off */
    rig_outb(rig, MASTER + 1, 0x50);
    rig_outb(rig, MASTER + 1, 4);
    line(rig, 0, true);
    check_eq(acknowledge(rig), 0x50);
    check_eq(isr(rig, MASTER), 1);
    rig_outb(rig, MASTER, 0x12);           /* single: no ICW3 either */
    rig_outb(rig, MASTER + 1, 0x60);
    rig_outb(rig, MASTER + 1, 0xfd);       /* a mask already */
    check_eq(rig_inb(rig, MASTER + 1), 0xfd);
}

static void priorities_nest(Rig *rig)
{
    start_with(rig, 1);
    line(rig, 5, true);
    check_eq(acknowledge(rig), 0x25);
    line(rig, 6, true);
    check(!rig_irq(rig, INTR));
    line(rig, 3, true);
    check(rig_irq(rig, INTR));
    check_eq(acknowledge(rig), 0x23);
    check_eq(isr(rig, MASTER), 0x28);
    rig_outb(rig, MASTER, 0x20);           /* ends the highest: 3 */
    check_eq(isr(rig, MASTER), 0x20);
    check(!rig_irq(rig, INTR));
    rig_outb(rig, MASTER, 0x20);
    check(rig_irq(rig, INTR));
    check_eq(acknowledge(rig), 0x26);
}

static void masks_hold_back(Rig *rig)
{
    start_with(rig, 1);
    rig_outb(rig, MASTER + 1, 0x08);
    line(rig, 3, true);
    check(!rig_irq(rig, INTR));
    check_eq(irr(rig, MASTER), 8);
    rig_outb(rig, MASTER + 1, 0);
    check(rig_irq(rig, INTR));
    rig_outb(rig, MASTER + 1, 0xff);
    check(!rig_irq(rig, INTR));
    check_eq(acknowledge(rig), -1);
}

static void specific_eoi_and_rotation(Rig *rig)
{
    start_with(rig, 1);
    line(rig, 2, true);                    /* the cascade input is no input */
    check(!rig_irq(rig, INTR));
    pulse(rig, 4);
    pulse(rig, 6);
    check_eq(acknowledge(rig), 0x24);
    rig_outb(rig, MASTER, 0xe4);           /* rotate on specific EOI 4: now 5 is the highest */
    check_eq(isr(rig, MASTER), 0);
    pulse(rig, 3);
    check_eq(acknowledge(rig), 0x26);
    rig_outb(rig, MASTER, 0x66);           /* specific EOI 6, no rotation */
    check_eq(acknowledge(rig), 0x23);
    rig_outb(rig, MASTER, 0xa0);           /* rotate on non-specific EOI: 4 is the highest */
    pulse(rig, 3);
    pulse(rig, 4);
    check_eq(acknowledge(rig), 0x24);
    rig_outb(rig, MASTER, 0x20);
    rig_outb(rig, MASTER, 0xc2);           /* set priority: 2 lowest, 3 highest */
    pulse(rig, 7);
    check_eq(acknowledge(rig), 0x23);
}

static void automatic_eoi_rotates_when_told(Rig *rig)
{
    start_with(rig, 3);
    rig_outb(rig, MASTER, 0x80);
    pulse(rig, 0);
    check_eq(acknowledge(rig), 0x20);
    check_eq(isr(rig, MASTER), 0);
    pulse(rig, 0);
    pulse(rig, 1);
    check_eq(acknowledge(rig), 0x21);
    check_eq(acknowledge(rig), 0x20);
    rig_outb(rig, MASTER, 0x00);
    pulse(rig, 0);
    pulse(rig, 1);
    check_eq(acknowledge(rig), 0x21);      /* 0 was served last and stays the lowest */
    pulse(rig, 1);
    check_eq(acknowledge(rig), 0x21);
}

static void special_mask_mode(Rig *rig)
{
    start_with(rig, 1);
    pulse(rig, 1);
    check_eq(acknowledge(rig), 0x21);
    rig_outb(rig, MASTER, 0x68);
    rig_outb(rig, MASTER + 1, 0x02);
    pulse(rig, 6);
    check(rig_irq(rig, INTR));             /* lower than what is in service, but that one is masked */
    check_eq(acknowledge(rig), 0x26);
    rig_outb(rig, MASTER, 0x20);           /* non-specific: passes over the masked one */
    check_eq(isr(rig, MASTER), 0x02);
    rig_outb(rig, MASTER, 0x48);
    pulse(rig, 6);
    check(!rig_irq(rig, INTR));
    rig_outb(rig, MASTER, 0x61);
    check(rig_irq(rig, INTR));
}

static void the_slave_goes_through_input_2(Rig *rig)
{
    start_with(rig, 1);
    line(rig, 12, true);
    check_eq(irr(rig, MASTER), 4);
    check_eq(irr(rig, SLAVE), 0x10);
    check_eq(acknowledge(rig), 0x2c);
    check_eq(isr(rig, MASTER), 4);
    check_eq(isr(rig, SLAVE), 0x10);
    line(rig, 9, true);                    /* higher on the slave, but the master does not nest it */
    check(!rig_irq(rig, INTR));
    rig_outb(rig, MASTER, 0x20);
    check(rig_irq(rig, INTR));
    check_eq(acknowledge(rig), 0x29);
    rig_outb(rig, SLAVE, 0x20);
    rig_outb(rig, MASTER, 0x20);
    check_eq(isr(rig, SLAVE), 0x10);
    rig_outb(rig, SLAVE, 0x20);
    check_eq(isr(rig, SLAVE), 0);
}

static void special_fully_nested_mode(Rig *rig)
{
    start_with(rig, 0x11);
    line(rig, 12, true);
    check_eq(acknowledge(rig), 0x2c);
    line(rig, 5, true);
    check(!rig_irq(rig, INTR));            /* only the slave gets through */
    line(rig, 9, true);
    check(rig_irq(rig, INTR));
    check_eq(acknowledge(rig), 0x29);
}

static void the_slave_in_automatic_eoi_loses_nothing(Rig *rig)
{
    start_with(rig, 3);
    line(rig, 9, true);
    line(rig, 10, true);
    line(rig, 15, true);
    check_eq(acknowledge(rig), 0x29);
    check_eq(acknowledge(rig), 0x2a);
    check_eq(acknowledge(rig), 0x2f);
    check_eq(acknowledge(rig), -1);
}

static void polling(Rig *rig)
{
    start_with(rig, 1);
    rig_outb(rig, MASTER, 0x0c);
    check_eq(rig_inb(rig, MASTER), 0);
    line(rig, 6, true);
    rig_outb(rig, MASTER, 0x0c);
    rig_checkpoint(rig);
    check_eq(rig_inb(rig, MASTER), 0x86);
    check_eq(isr(rig, MASTER), 0x40);
    check(!rig_irq(rig, INTR));
    check_eq(rig_inb(rig, MASTER), 0x40);  /* one read only */
}

static void levels_by_elcr(Rig *rig)
{
    start_with(rig, 1);
    rig_outb(rig, 0x4d0, 0xff);
    rig_outb(rig, 0x4d1, 0xff);
    check_eq(rig_inb(rig, 0x4d0), 0xf8);   /* 0, 1, 2, 8 and 13 are always edges */
    check_eq(rig_inb(rig, 0x4d1), 0xde);
    line(rig, 11, true);
    check_eq(acknowledge(rig), 0x2b);
    rig_outb(rig, SLAVE, 0x20);
    rig_outb(rig, MASTER, 0x20);
    check(rig_irq(rig, INTR));             /* still high: again */
    line(rig, 11, false);
    check(!rig_irq(rig, INTR) || irr(rig, SLAVE) == 0);
    line(rig, 5, true);
    line(rig, 5, false);
    check_eq(irr(rig, MASTER) & 0x20, 0);  /* a level that fell asks for nothing */
    rig_outb(rig, 0x4d0, 0);
    line(rig, 5, true);
    check_eq(irr(rig, MASTER) & 0x20, 0x20);
}

static void spurious_15(Rig *rig)
{
    start_with(rig, 1);
    rig_outb(rig, 0x4d1, 0x08);
    line(rig, 11, true);
    line(rig, 11, false);                  /* the master has seen the slave's edge already */
    check(rig_irq(rig, INTR));
    check_eq(acknowledge(rig), 0x2f);
    check_eq(isr(rig, SLAVE), 0);
    check_eq(isr(rig, MASTER), 4);
}

static void spurious_7_of_the_chip_alone(Rig *rig)
{
    I8259 chip;

    (void)rig;
    i8259_init(&chip, true);
    i8259_write(&chip, 0, 0x11);
    i8259_write(&chip, 1, 0x78);
    i8259_write(&chip, 1, 4);
    i8259_write(&chip, 1, 1);
    check_eq(i8259_acknowledge(&chip), 7);
    check_eq(chip.isr, 0);
}

static void random_traffic_is_survived(Rig *rig)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(8259);

    for (unsigned i = 0; i < 20000; i++) {
        static const uint16_t ports[] = { 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1 };
        uint32_t r = g_rand_int(random);
        uint16_t port = ports[r % 6];
        switch (r >> 28 & 7) {
        case 0: rig_inb(rig, port); break;
        case 1: case 2: case 3: rig_outb(rig, port, r >> 8); break;
        case 4: acknowledge(rig); break;
        default: pic_set_line(pic(rig), r >> 8, r >> 16 & 1);
        }
        /* INTR is a function of the state. */
        I8259Pair copy = pic(rig)->pair;
        check_eq(rig_irq(rig, INTR), i8259_pair_update(&copy));
    }
}

const Test i8259_tests[] = {
    { "an edge is served once", an_edge_is_served_once, PIC_BOARD },
    { "nothing is requested before initialization ends", nothing_before_initialization_ends, PIC_BOARD },
    { "ICW1 forgets masks, edges, rotation and modes", icw1_forgets, PIC_BOARD },
    { "ICW3 and ICW4 can be left out", icw4_can_be_left_out, PIC_BOARD },
    { "priorities nest", priorities_nest, PIC_BOARD },
    { "masks hold back", masks_hold_back, PIC_BOARD },
    { "specific EOI, rotation, set priority", specific_eoi_and_rotation, PIC_BOARD },
    { "automatic EOI rotates when told", automatic_eoi_rotates_when_told, PIC_BOARD },
    { "special mask mode", special_mask_mode, PIC_BOARD },
    { "the slave goes through input 2", the_slave_goes_through_input_2, PIC_BOARD },
    { "special fully nested mode", special_fully_nested_mode, PIC_BOARD },
    { "a slave in automatic EOI loses nothing", the_slave_in_automatic_eoi_loses_nothing, PIC_BOARD },
    { "polling acknowledges", polling, PIC_BOARD },
    { "levels by ELCR", levels_by_elcr, PIC_BOARD },
    { "IRQ 15 is spurious when the slave's request is gone", spurious_15, PIC_BOARD },
    { "IRQ 7 is spurious when the master's request is gone", spurious_7_of_the_chip_alone, .board = "bare", .runs = FRESH },
    { "random traffic is survived", random_traffic_is_survived, .board = "isa", .devices = "isa-i8259,intr=@16", .runs = FRESH },
    { NULL } };
