/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pc-chipset.c - host bridge, ISA bridge and power management as firmware and systems use them */
#include "accel/memory/region.h"
#include "hw/chipset/i440fx.h"
#include "hw/chipset/piix3.h"
#include "hw/chipset/piix4-pm.h"
#include "tests/rig/rig.h"
#include <string.h>

enum { HOST = 0x00, ISA = 0x08, PM = 0x0b };                 /* devfn */
enum { PM_BASE = 0x600 };

static void point(Rig *rig, unsigned devfn, unsigned offset)
{
    rig_outl(rig, 0xcf8, 0x80000000 | devfn << 8 | (offset & 0xfc));
}

static uint8_t get8(Rig *rig, unsigned devfn, unsigned offset)
{
    point(rig, devfn, offset);
    return rig_inb(rig, 0xcfc + offset % 4);
}

static void put8(Rig *rig, unsigned devfn, unsigned offset, uint8_t value)
{
    point(rig, devfn, offset);
    rig_outb(rig, 0xcfc + offset % 4, value);
}

static uint32_t get32(Rig *rig, unsigned devfn, unsigned offset)
{
    point(rig, devfn, offset);
    return rig_inl(rig, 0xcfc);
}

static void put32(Rig *rig, unsigned devfn, unsigned offset, uint32_t value)
{
    point(rig, devfn, offset);
    rig_outl(rig, 0xcfc, value);
}

static bool isa_level(Rig *rig, unsigned irq)
{
    return piix3_isa_bus(rig_device(rig, "PIIX3"))->level[irq];
}

static void identities(Rig *rig)
{
    check_eq(get32(rig, HOST, 0), 0x12378086);
    check_eq(get32(rig, HOST, 8), 0x06000002);
    check_eq(get32(rig, ISA, 0), 0x70008086);
    check_eq(get32(rig, ISA, 8), 0x06010000);
    check_eq(get8(rig, ISA, 0x0e), 0x80);
    check_eq(get32(rig, PM, 0), 0x71138086);
    check_eq(get32(rig, PM, 8), 0x06800003);
    check_eq(get32(rig, ISA, 0x60), 0x80808080);
    check_eq(get8(rig, HOST, 0x72), 0x02);
    check_eq(get8(rig, PM, 0x5b), 0x02);
}

/* What is behind PAM is the RAM at the same address: seen through segments that are switched. */
static void pam(Rig *rig)
{
    put8(rig, HOST, 0x5a, 0x33);                             /* C0000h-C7FFFh */
    rig_store(rig, 0xc0000, 4, 0x11223344);
    rig_store(rig, 0xc4000, 4, 0x55667788);
    rig_checkpoint(rig);
    check_eq(rig_load(rig, 0xc0000, 4), 0x11223344);
    put8(rig, HOST, 0x5a, 0x31);                             /* the low half read-only */
    rig_store(rig, 0xc0000, 4, 0);
    rig_store(rig, 0xc4000, 4, 0x99aabbcc);
    rig_checkpoint(rig);
    check_eq(rig_load(rig, 0xc0000, 4), 0x11223344);
    check_eq(rig_load(rig, 0xc4000, 4), 0x99aabbcc);
    put8(rig, HOST, 0x5a, 0x00);
    check(rig_load(rig, 0xc0000, 4) != 0x11223344);
    put8(rig, HOST, 0x5a, 0xff);
    check_eq(get8(rig, HOST, 0x5a), 0x33);
    check_eq(rig_load(rig, 0xc0000, 4), 0x11223344);
    put8(rig, HOST, 0x59, 0x30);
    rig_store(rig, 0xf0000, 4, 0xcafe);
    check_eq(rig_load(rig, 0xf0000, 4), 0xcafe);
    device_reset(rig_device(rig, "i440FX"));
    check(rig_load(rig, 0xf0000, 4) != 0xcafe);
}

static void smram(Rig *rig)
{
    put8(rig, HOST, 0x72, 0x4a);
    check_eq(get8(rig, HOST, 0x72), 0x4a);
    rig_store(rig, 0xa0000, 4, 0x5a5a);
    rig_checkpoint(rig);
    check_eq(rig_load(rig, 0xa0000, 4), 0x5a5a);
    put8(rig, HOST, 0x72, 0x1a);                             /* lock */
    check(rig_load(rig, 0xa0000, 4) != 0x5a5a);
    rig_checkpoint(rig);
    put8(rig, HOST, 0x72, 0x4a);
    check_eq(get8(rig, HOST, 0x72), 0x1a);
    check(rig_load(rig, 0xa0000, 4) != 0x5a5a);
    device_reset(rig_device(rig, "i440FX"));
    put8(rig, HOST, 0x72, 0x4a);
    check_eq(get8(rig, HOST, 0x72), 0x4a);
}

static void reset_control(Rig *rig)
{
    rig_outb(rig, 0xcf9, 0x02);
    rig_checkpoint(rig);
    check_eq(rig_inb(rig, 0xcf9), 0x02);
    check_eq(rig_resets(rig), 0);
    rig_outb(rig, 0xcf9, 0x06);
    check_eq(rig_resets(rig), 1);
    rig_outl(rig, 0xcf8, 0x80000600);                        /* a configuration address is not a reset */
    check_eq(rig_resets(rig), 0);
}

static void enable_pm(Rig *rig)
{
    put32(rig, PM, 0x40, PM_BASE | 1);
    check_eq(get32(rig, PM, 0x40), PM_BASE | 1);
    put8(rig, PM, 0x80, 1);
}

static void windows(Rig *rig)
{
    check_eq(rig_inw(rig, PM_BASE + 4), 0xffff);
    enable_pm(rig);
    rig_checkpoint(rig);
    check_eq(rig_inw(rig, PM_BASE + 4), 0);
    put32(rig, PM, 0x40, 0xb000);
    check_eq(rig_inw(rig, PM_BASE + 4), 0xffff);
    check_eq(rig_inw(rig, 0xb004), 0);
    put8(rig, PM, 0x80, 0);
    check_eq(rig_inw(rig, 0xb004), 0xffff);
    put32(rig, PM, 0x90, 0x0701);
    check_eq(rig_inb(rig, 0x702), 0x00);
    rig_outb(rig, 0x702, 0x48);                              /* byte data, start */
    rig_checkpoint(rig);
    check_eq(rig_inb(rig, 0x700), 0x04);
    check_eq(rig_inb(rig, 0x702), 0x08);
    rig_outb(rig, 0x700, 0xff);
    check_eq(rig_inb(rig, 0x700), 0x00);
}

static void pm_timer(Rig *rig)
{
    enable_pm(rig);
    uint32_t before = rig_inl(rig, PM_BASE + 8);
    rig_advance(rig, NS_PER_SECOND);
    uint32_t after = rig_inl(rig, PM_BASE + 8);
    uint32_t passed = (after - before) & 0xffffff;
    check(passed >= 3579544 && passed <= 3579546);
    check_eq(rig_inl(rig, PM_BASE + 8) >> 24, 0);
}

static void timer_overflow(Rig *rig)
{
    enable_pm(rig);
    rig_outb(rig, 0xb2, 0xf1);
    check_eq(rig_inw(rig, PM_BASE + 4), 1);
    rig_outw(rig, PM_BASE, 1);
    rig_outw(rig, PM_BASE + 2, 1);
    check(!isa_level(rig, 9));
    rig_advance(rig, 3 * NS_PER_SECOND);                     /* bit 23 changes every 2.34 s */
    check(isa_level(rig, 9));
    rig_checkpoint(rig);
    check(isa_level(rig, 9));
    check_eq(rig_inw(rig, PM_BASE) & 1, 1);
    rig_outw(rig, PM_BASE, 1);
    check(!isa_level(rig, 9));
    rig_advance(rig, 3 * NS_PER_SECOND);
    check(isa_level(rig, 9));
    rig_outw(rig, PM_BASE + 2, 0);
    check(!isa_level(rig, 9));
    rig_outb(rig, 0xb2, 0xf0);
    check_eq(rig_inw(rig, PM_BASE + 4), 0);
}

static void power_button(Rig *rig)
{
    enable_pm(rig);
    rig_outw(rig, PM_BASE + 4, 1);
    machine_request_powerdown(rig_machine(rig));
    machine_handle_requests(rig_machine(rig));
    check_eq(rig_inw(rig, PM_BASE) & 0x100, 0);              /* nobody listened */
    rig_outw(rig, PM_BASE + 2, 0x100);
    machine_request_powerdown(rig_machine(rig));
    machine_handle_requests(rig_machine(rig));
    rig_checkpoint(rig);
    check(isa_level(rig, 9));
    rig_outb(rig, PM_BASE + 1, 0x01);                        /* by bytes, too */
    check(!isa_level(rig, 9));
}

static void sleep_states(Rig *rig)
{
    Machine *machine = rig_machine(rig);

    enable_pm(rig);
    rig_outw(rig, PM_BASE + 4, 7 << 10 | 0x2001);
    check_eq(machine->requests.shutdown, CAUSE_NONE);
    check_eq(rig_device(rig, "PIIX4_PM")->guest_faults, 1);
    rig_outw(rig, PM_BASE + 4, 0 << 10 | 0x2001);
    check_eq(machine->requests.shutdown, CAUSE_GUEST_SHUTDOWN);
    check_eq(rig_inw(rig, PM_BASE + 4), 1);
    machine->requests.shutdown = CAUSE_NONE;
    rig_outw(rig, PM_BASE + 4, 2 << 10 | 0x2001);
    check_eq(machine->requests.shutdown, CAUSE_GUEST_SHUTDOWN);
    machine->requests.shutdown = CAUSE_NONE;
    check(!machine->requests.suspend);
    rig_outb(rig, PM_BASE + 5, 0x24);                        /* S3, by the high byte alone */
    check(machine->requests.suspend);
    machine->requests.suspend = false;
    RunState state = machine->state;
    machine->state = RUN_SUSPENDED;
    device_reset(rig_device(rig, "PIIX4_PM"));               /* what waking up is */
    machine->state = state;
    enable_pm(rig);
    check_eq(rig_inw(rig, PM_BASE), 0x8100);
    device_reset(rig_device(rig, "PIIX4_PM"));
    enable_pm(rig);
    check_eq(rig_inw(rig, PM_BASE), 0);
}

static void general_events(Rig *rig)
{
    enable_pm(rig);
    rig_outw(rig, PM_BASE + 4, 1);
    rig_outb(rig, 0xafe2, 0x02);
    piix4_pm_raise_gpe(rig_device(rig, "PIIX4_PM"), 1);
    piix4_pm_raise_gpe(rig_device(rig, "PIIX4_PM"), 10);
    piix4_pm_raise_gpe(rig_device(rig, "PIIX4_PM"), 1000);
    rig_checkpoint(rig);
    check(isa_level(rig, 9));
    check_eq(rig_inw(rig, 0xafe0), 0x0402);
    rig_outb(rig, 0xafe0, 0x02);
    check(!isa_level(rig, 9));
    rig_outb(rig, 0xafe3, 0x04);
    check(isa_level(rig, 9));
    rig_outb(rig, 0xafe1, 0x04);
    check_eq(rig_inl(rig, 0xafe0), 0x04020000);
    check(!isa_level(rig, 9));
}

static void random_pokes(Rig *rig)
{
    static const uint16_t bases[] = { 0xcf8, 0xcfc, 0xafe0, 0xb2, 0x600, 0xb100, 0x700 };
    g_autoptr(GRand) random = g_rand_new_with_seed(440);

    for (int i = 0; i < 30000; i++) {
        uint32_t r = g_rand_int(random), value = g_rand_int(random);
        uint16_t port = bases[r % G_N_ELEMENTS(bases)] + (r >> 8) % 16;
        static const uint8_t functions[] = { HOST, ISA, PM, PM };
        switch (r >> 29) {
        case 0: rig_outb(rig, port, value); break;
        case 1: rig_outw(rig, port, value); break;
        case 2: rig_outl(rig, port, value); break;
        case 3: put32(rig, functions[r % 4], r >> 8, value); break;
        case 4: put8(rig, functions[r % 4], r >> 8, value); break;
        case 5: rig_inl(rig, port); break;
        case 6: rig_store(rig, 0xa0000 + value % 0x60000, 4, value); break;
        default: rig_load(rig, 0xa0000 + value % 0x60000, 4); break;
        }
        if (i % 10000 == 0) {
            rig_checkpoint(rig);
        }
    }
    memset(&rig_machine(rig)->requests, 0, sizeof rig_machine(rig)->requests);
}

const Test pc_chipset_tests[] = {
    { "who they are", identities, "chipset", NULL, FRESH | RESTORED },
    { "PAM switches between ROM and RAM", pam, "chipset", NULL, FRESH | RESTORED },
    { "the SMRAM window opens, closes and locks", smram, "chipset", NULL, FRESH | RESTORED },
    { "reset control", reset_control, "chipset", NULL, FRESH | RESTORED },
    { "power management and SMBus windows move", windows, "chipset", NULL, FRESH | RESTORED },
    { "the PM timer", pm_timer, "chipset", NULL, FRESH | RESTORED },
    { "the PM timer's overflow", timer_overflow, "chipset", NULL, FRESH | RESTORED },
    { "the power button", power_button, "chipset", NULL, FRESH | RESTORED },
    { "sleep states", sleep_states, "chipset", NULL, FRESH },
    { "general purpose events", general_events, "chipset", NULL, FRESH | RESTORED },
    { "random accesses", random_pokes, "chipset", NULL, FRESH | RESTORED },
    { NULL } };
