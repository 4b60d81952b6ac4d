/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lapic.c - local APICs of four processors, through the page, the MSRs and messages */
#include "base/lock.h"
#include "hw/intc/intc.h"
#include "hw/intc/lapic.h"
#include "tests/rig/rig.h"

#define INTC_BOARD .board = "intc", .runs = FRESH | RESTORED
#define CHIP_ONLY .board = "bare", .runs = FRESH

static void as(Rig *rig, unsigned cpu)
{
    intc_look_as(rig_intc(rig), cpu);
}

static void put(Rig *rig, unsigned cpu, unsigned reg, uint32_t value)
{
    as(rig, cpu);
    rig_store(rig, 0xfee00000 + reg * 16, 4, value);
    rig_checkpoint(rig);
}

static uint32_t get(Rig *rig, unsigned cpu, unsigned reg)
{
    as(rig, cpu);
    return rig_load(rig, 0xfee00000 + reg * 16, 4);
}

static int fetch(Rig *rig, unsigned cpu)
{
    CpuIrqSource source = intc_irq_source(rig_intc(rig), cpu);
    int vector = source.acknowledge(source.opaque);

    rig_checkpoint(rig);
    return vector;
}

static void enable_all(Rig *rig)
{
    for (unsigned i = 0; i < RIG_CPUS; i++) {
        put(rig, i, LAPIC_SVR, 0x1ff);
    }
}

static void msi(Rig *rig, uint64_t address, uint32_t data)
{
    intc_send_msi(rig_intc(rig), address, data);
    rig_checkpoint(rig);
}

/* Which processors were interrupted, as bits; takes the vectors and ends them. */
static unsigned takers(Rig *rig, int vector)
{
    unsigned bits = 0;

    for (unsigned i = 0; i < RIG_CPUS; i++) {
        if (rig_cpu(rig, i)->intr) {
            bits |= 1u << i;
            check_eq(fetch(rig, i), vector);
            put(rig, i, LAPIC_EOI, 0);
        }
    }
    return bits;
}

static bool rdmsr(Rig *rig, unsigned cpu, uint32_t msr, uint64_t *value)
{
    CpuIrqSource source = intc_irq_source(rig_intc(rig), cpu);

    return source.read_msr(source.opaque, msr, value);
}

static bool wrmsr(Rig *rig, unsigned cpu, uint32_t msr, uint64_t value)
{
    CpuIrqSource source = intc_irq_source(rig_intc(rig), cpu);
    bool legal = source.write_msr(source.opaque, msr, value);

    rig_checkpoint(rig);
    return legal;
}

static bool set_base(Rig *rig, unsigned cpu, uint64_t value)
{
    CpuIrqSource source = intc_irq_source(rig_intc(rig), cpu);
    bool legal = source.set_base(source.opaque, value);

    rig_checkpoint(rig);
    return legal;
}

static uint64_t base(Rig *rig, unsigned cpu)
{
    CpuIrqSource source = intc_irq_source(rig_intc(rig), cpu);

    return source.get_base(source.opaque);
}

static void power_on_values(Rig *rig)
{
    check_eq(get(rig, 2, LAPIC_ID), 0x02000000);
    check_eq(get(rig, 0, LAPIC_VERSION), 0x00050014);
    check_eq(get(rig, 0, LAPIC_SVR), 0xff);
    check_eq(get(rig, 0, LAPIC_DFR), 0xffffffff);
    check_eq(get(rig, 0, LAPIC_LDR), 0);
    check_eq(get(rig, 0, LAPIC_LVT + LVT_LINT0), 0x700);   /* virtual wire on the boot processor */
    check_eq(get(rig, 1, LAPIC_LVT + LVT_LINT0), 0x10000);
    check_eq(get(rig, 1, LAPIC_LVT + LVT_TIMER), 0x10000);
    check_eq(base(rig, 0), 0xfee00900);
    check_eq(base(rig, 3), 0xfee00800);
    check_eq(rig_load(rig, 0xfee00034, 4), 0);             /* between the registers */
    check_eq(rig_load(rig, 0xfee01030, 4), 0xffffffff);
}

static void registers_keep_what_they_should(Rig *rig)
{
    put(rig, 1, LAPIC_ID, 0xffffffff);
    check_eq(get(rig, 1, LAPIC_ID), 0xff000000);
    put(rig, 1, LAPIC_LDR, 0xffffffff);
    check_eq(get(rig, 1, LAPIC_LDR), 0xff000000);
    put(rig, 1, LAPIC_DFR, 0);
    check_eq(get(rig, 1, LAPIC_DFR), 0x0fffffff);
    put(rig, 1, LAPIC_TPR, 0xffffffff);
    check_eq(get(rig, 1, LAPIC_TPR), 0xff);
    check_eq(get(rig, 1, LAPIC_PPR), 0xff);
    put(rig, 1, LAPIC_LVT + LVT_TIMER, 0xffffffff);
    check_eq(get(rig, 1, LAPIC_LVT + LVT_TIMER), 0x700ff); /* masked: the APIC is off by software */
    put(rig, 1, LAPIC_SVR, 0xffffffff);
    check_eq(get(rig, 1, LAPIC_SVR), 0x1ff);
    put(rig, 1, LAPIC_LVT + LVT_ERROR, 0xfe);
    check_eq(get(rig, 1, LAPIC_LVT + LVT_ERROR), 0xfe);
    put(rig, 1, LAPIC_SVR, 0xff);
    check_eq(get(rig, 1, LAPIC_LVT + LVT_ERROR), 0x100fe);
    put(rig, 1, LAPIC_DIVIDE, 0xffffffff);
    check_eq(get(rig, 1, LAPIC_DIVIDE), 0x0b);
    put(rig, 1, LAPIC_ICR_HIGH, 0xffffffff);
    check_eq(get(rig, 1, LAPIC_ICR_HIGH), 0xff000000);
}

static void messages_physical(Rig *rig)
{
    enable_all(rig);
    msi(rig, 0xfee02000, 0x41);
    check_eq(takers(rig, 0x41), 1 << 2);
    msi(rig, 0xfeeff000, 0x42);
    check_eq(takers(rig, 0x42), 0x0f);
    msi(rig, 0xfee07000, 0x43);
    check_eq(takers(rig, 0x43), 0);
    put(rig, 2, LAPIC_ID, 0x07000000);
    msi(rig, 0xfee07000, 0x43);
    check_eq(takers(rig, 0x43), 1 << 2);
    rig_store(rig, 0xfee03000, 4, 0x44);                   /* a processor's own store into the window */
    check_eq(takers(rig, 0x44), 1 << 3);
}

static void messages_logical_flat(Rig *rig)
{
    enable_all(rig);
    for (unsigned i = 0; i < RIG_CPUS; i++) {
        put(rig, i, LAPIC_LDR, 0x01000000u << i);
    }
    msi(rig, 0xfee0a004, 0x51);
    check_eq(takers(rig, 0x51), 0x0a);
    msi(rig, 0xfeeff004, 0x52);
    check_eq(takers(rig, 0x52), 0x0f);
    msi(rig, 0xfeef0004, 0x53);
    check_eq(takers(rig, 0x53), 0);
}

static void messages_logical_clusters(Rig *rig)
{
    enable_all(rig);
    for (unsigned i = 0; i < RIG_CPUS; i++) {
        put(rig, i, LAPIC_DFR, 0x0fffffff);
        put(rig, i, LAPIC_LDR, (i / 2) << 28 | 0x01000000u << (i % 2));
    }
    msi(rig, 0xfee13004, 0x61);                            /* cluster 1, both */
    check_eq(takers(rig, 0x61), 0x0c);
    msi(rig, 0xfee02004, 0x62);
    check_eq(takers(rig, 0x62), 0x02);
    msi(rig, 0xfee23004, 0x63);
    check_eq(takers(rig, 0x63), 0);
}

static void lowest_priority_goes_to_one(Rig *rig)
{
    unsigned all = 0;

    enable_all(rig);
    for (unsigned i = 0; i < RIG_CPUS; i++) {
        put(rig, i, LAPIC_LDR, 0x01000000u << i);
        put(rig, i, LAPIC_TPR, i == 2 ? 0x10 : 0x20);
    }
    msi(rig, 0xfee0f004, 0x171);
    check_eq(takers(rig, 0x71), 1 << 2);
    put(rig, 2, LAPIC_SVR, 0xff);
    for (unsigned i = 0; i < 8; i++) {                     /* equals take turns; who is off by software is no candidate */
        msi(rig, 0xfee0f00c, 0x72);
        unsigned bits = takers(rig, 0x72);
        check_eq(__builtin_popcount(bits), 1);
        all |= bits;
    }
    check_eq(all, 0x0b);
}

static void ipis_and_shorthands(Rig *rig)
{
    enable_all(rig);
    put(rig, 1, LAPIC_ICR_HIGH, 0x03000000);
    put(rig, 1, LAPIC_ICR, 0x4081);
    check_eq(takers(rig, 0x81), 1 << 3);
    put(rig, 1, LAPIC_ICR, 0x44082);
    check_eq(takers(rig, 0x82), 1 << 1);
    put(rig, 1, LAPIC_ICR, 0x84083);
    check_eq(takers(rig, 0x83), 0x0f);
    put(rig, 1, LAPIC_ICR, 0xc4084);
    check_eq(takers(rig, 0x84), 0x0d);
    put(rig, 1, LAPIC_ICR, 0xc4400);                       /* NMI to the others */
    put(rig, 1, LAPIC_ICR, 0x44400);                       /* NMI to self is not a thing */
    for (unsigned i = 0; i < RIG_CPUS; i++) {
        check_eq(rig_cpu(rig, i)->nmis, i != 1);
    }
    check_eq(get(rig, 1, LAPIC_ICR) & 0x1000, 0);          /* delivery is at once */
}

static void init_and_sipi_start_processors(Rig *rig)
{
    put(rig, 0, LAPIC_ICR, 0xc4500);
    put(rig, 0, LAPIC_ICR, 0xc8500);                       /* de-assert: nothing */
    put(rig, 0, LAPIC_ICR, 0xc4699);
    for (unsigned i = 1; i < RIG_CPUS; i++) {
        check_eq(rig_cpu(rig, i)->inits, 1);
        check_eq(rig_cpu(rig, i)->sipis, 1);
        check_eq(rig_cpu(rig, i)->sipi_vector, 0x99);
    }
    check_eq(rig_cpu(rig, 0)->inits, 0);
    put(rig, 2, LAPIC_ID, 0x09000000);
    put(rig, 2, LAPIC_SVR, 0x1ff);
    put(rig, 2, LAPIC_TPR, 0x55);
    put(rig, 0, LAPIC_ICR_HIGH, 0x09000000);
    put(rig, 0, LAPIC_ICR, 0x4500);
    check_eq(rig_cpu(rig, 2)->inits, 2);
    check_eq(get(rig, 2, LAPIC_SVR), 0xff);                /* as after power-on ... */
    check_eq(get(rig, 2, LAPIC_TPR), 0);
    check_eq(get(rig, 2, LAPIC_ID), 0x09000000);           /* ... but for its id */
    msi(rig, 0xfee01000, 0x600);                           /* a device cannot start a processor */
    check_eq(rig_cpu(rig, 1)->sipis, 1);
}

static void priorities(Rig *rig)
{
    enable_all(rig);
    msi(rig, 0xfee00000, 0x45);
    msi(rig, 0xfee00000, 0x93);
    check_eq(get(rig, 0, LAPIC_IRR + 4), 1 << 19);
    check_eq(fetch(rig, 0), 0x93);
    check_eq(get(rig, 0, LAPIC_ISR + 4), 1 << 19);
    check_eq(get(rig, 0, LAPIC_PPR), 0x90);
    check(!rig_cpu(rig, 0)->intr);
    msi(rig, 0xfee00000, 0x9f);                            /* the same class waits */
    check(!rig_cpu(rig, 0)->intr);
    msi(rig, 0xfee00000, 0xa0);
    check(rig_cpu(rig, 0)->intr);
    check_eq(fetch(rig, 0), 0xa0);
    put(rig, 0, LAPIC_EOI, 0);
    check(!rig_cpu(rig, 0)->intr);
    put(rig, 0, LAPIC_EOI, 0);
    check_eq(fetch(rig, 0), 0x9f);
    put(rig, 0, LAPIC_EOI, 0);
    put(rig, 0, LAPIC_TPR, 0x40);
    check(!rig_cpu(rig, 0)->intr);
    put(rig, 0, LAPIC_TPR, 0x3f);
    check(rig_cpu(rig, 0)->intr);
    CpuIrqSource source = intc_irq_source(rig_intc(rig), 0);
    source.set_cr8(source.opaque, 4);
    check(!rig_cpu(rig, 0)->intr);
    check_eq(get(rig, 0, LAPIC_TPR), 0x40);
    check_eq(fetch(rig, 0), -1);
    source = intc_irq_source(rig_intc(rig), 0);
    source.set_cr8(source.opaque, 3);
    check_eq(source.get_cr8(source.opaque), 3);
    check_eq(fetch(rig, 0), 0x45);
    put(rig, 0, LAPIC_EOI, 0);
    put(rig, 0, LAPIC_EOI, 0);                             /* one too many */
}

static void software_disable_holds_back(Rig *rig)
{
    put(rig, 0, LAPIC_SVR, 0x1ff);
    msi(rig, 0xfee00000, 0x45);
    put(rig, 0, LAPIC_SVR, 0xff);
    check(!rig_cpu(rig, 0)->intr);
    msi(rig, 0xfee00000, 0x46);                            /* not accepted */
    put(rig, 0, LAPIC_SVR, 0x1ff);
    check_eq(fetch(rig, 0), 0x45);
    put(rig, 0, LAPIC_EOI, 0);
    check_eq(fetch(rig, 0), -1);
}

static void errors(Rig *rig)
{
    enable_all(rig);
    put(rig, 0, LAPIC_LVT + LVT_ERROR, 0xfe);
    put(rig, 0, LAPIC_ICR, 0x44008);                       /* an illegal vector is not sent */
    check_eq(get(rig, 0, LAPIC_ESR), 0);
    put(rig, 0, LAPIC_ESR, 0);
    check_eq(get(rig, 0, LAPIC_ESR), 0x20);
    check_eq(fetch(rig, 0), 0xfe);
    put(rig, 0, LAPIC_EOI, 0);
    msi(rig, 0xfee00000, 0x0f);
    get(rig, 0, 0x04);                                     /* no register */
    put(rig, 0, LAPIC_ESR, 0);
    check_eq(get(rig, 0, LAPIC_ESR), 0xc0);
    put(rig, 0, LAPIC_ESR, 0);
    check_eq(get(rig, 0, LAPIC_ESR), 0);
}

static void the_8259_by_lint0(Rig *rig)
{
    static const uint8_t icw[][2] = { { 0x20, 0x11 }, { 0x21, 0x20 }, { 0x21, 4 }, { 0x21, 1 } };

    for (unsigned i = 0; i < G_N_ELEMENTS(icw); i++) {
        rig_outb(rig, icw[i][0], icw[i][1]);
    }
    irq_set(intc_gsi(rig_intc(rig), 1), true);
    rig_checkpoint(rig);
    check(rig_cpu(rig, 0)->intr);
    check(!rig_cpu(rig, 1)->intr);
    put(rig, 0, LAPIC_TPR, 0xff);                          /* the 8259 does not care */
    check_eq(fetch(rig, 0), 0x21);
    check(!rig_cpu(rig, 0)->intr);
    rig_outb(rig, 0x20, 0x20);
    irq_set(intc_gsi(rig_intc(rig), 1), false);
    put(rig, 0, LAPIC_LVT + LVT_LINT0, 0x10700);
    irq_set(intc_gsi(rig_intc(rig), 1), true);
    check(!rig_cpu(rig, 0)->intr);
    check(set_base(rig, 0, 0xfee00100));                   /* without an APIC the pin is INTR */
    check(rig_cpu(rig, 0)->intr);
    check_eq(fetch(rig, 0), 0x21);
}

static void lint0_as_an_ordinary_interrupt(Rig *rig)
{
    static const uint8_t icw[][2] = { { 0x20, 0x11 }, { 0x21, 0x20 }, { 0x21, 4 }, { 0x21, 1 } };

    enable_all(rig);
    put(rig, 0, LAPIC_LVT + LVT_LINT0, 0x10000);
    for (unsigned i = 0; i < G_N_ELEMENTS(icw); i++) {
        rig_outb(rig, icw[i][0], icw[i][1]);
    }
    put(rig, 0, LAPIC_LVT + LVT_LINT0, 0x70);
    put(rig, 3, LAPIC_LVT + LVT_LINT0, 0x400);
    irq_set(intc_gsi(rig_intc(rig), 1), true);
    rig_checkpoint(rig);
    check_eq(fetch(rig, 0), 0x70);
    check_eq(rig_cpu(rig, 3)->nmis, 1);
    put(rig, 0, LAPIC_EOI, 0);
    check(!rig_cpu(rig, 0)->intr);
    put(rig, 0, LAPIC_LVT + LVT_LINT0, 0x8070);            /* a level, and it is high */
    check_eq(fetch(rig, 0), 0x70);
    check_eq(get(rig, 0, LAPIC_LVT + LVT_LINT0), 0xc070);
    put(rig, 0, LAPIC_EOI, 0);
    check(rig_cpu(rig, 0)->intr);
}

static void timer_one_shot(Rig *rig)
{
    put(rig, 0, LAPIC_SVR, 0x1ff);
    put(rig, 0, LAPIC_DIVIDE, 0x3);                        /* by 16 */
    put(rig, 0, LAPIC_LVT + LVT_TIMER, 0x31);
    put(rig, 0, LAPIC_INITIAL_COUNT, 1000000);
    rig_advance(rig, 8000000);
    check_eq(get(rig, 0, LAPIC_CURRENT_COUNT), 500000);
    put(rig, 0, LAPIC_DIVIDE, 0xb);                        /* by 1: the rest is faster */
    rig_advance(rig, 499999);
    check(!rig_cpu(rig, 0)->intr);
    check_eq(get(rig, 0, LAPIC_CURRENT_COUNT), 1);
    rig_advance(rig, 1);
    check_eq(fetch(rig, 0), 0x31);
    put(rig, 0, LAPIC_EOI, 0);
    check_eq(get(rig, 0, LAPIC_CURRENT_COUNT), 0);
    rig_advance(rig, 100 * NS_PER_MS);
    check(!rig_cpu(rig, 0)->intr);
    put(rig, 0, LAPIC_INITIAL_COUNT, 1000);
    put(rig, 0, LAPIC_INITIAL_COUNT, 0);                   /* stops it */
    rig_advance(rig, 100 * NS_PER_MS);
    check(!rig_cpu(rig, 0)->intr);
    put(rig, 0, LAPIC_LVT + LVT_TIMER, 0x10031);
    put(rig, 0, LAPIC_INITIAL_COUNT, 1000);                /* masked: it runs out unheard */
    rig_advance(rig, 100 * NS_PER_MS);
    check(!rig_cpu(rig, 0)->intr);
}

static void timer_periodic(Rig *rig)
{
    unsigned count = 0;

    put(rig, 0, LAPIC_SVR, 0x1ff);
    put(rig, 0, LAPIC_DIVIDE, 0xb);
    put(rig, 0, LAPIC_LVT + LVT_TIMER, 0x20031);
    put(rig, 0, LAPIC_INITIAL_COUNT, 1000000);
    for (unsigned i = 0; i < 200; i++) {
        rig_advance(rig, 100000);
        if (rig_cpu(rig, 0)->intr) {
            check_eq(fetch(rig, 0), 0x31);
            put(rig, 0, LAPIC_EOI, 0);
            count++;
        }
    }
    check_eq(count, 20);
    put(rig, 0, LAPIC_INITIAL_COUNT, 1);                   /* a nanosecond: merged, not endless */
    rig_advance(rig, 100 * NS_PER_MS);
    check_eq(fetch(rig, 0), 0x31);
}

static void timer_deadline(Rig *rig)
{
    uint64_t value;

    put(rig, 0, LAPIC_SVR, 0x1ff);
    check(rdmsr(rig, 0, 0x6e0, &value));
    check(wrmsr(rig, 0, 0x6e0, 5000));                     /* another mode: ignored */
    check(rdmsr(rig, 0, 0x6e0, &value));
    check_eq(value, 0);
    put(rig, 0, LAPIC_LVT + LVT_TIMER, 0x40031);
    check(wrmsr(rig, 0, 0x6e0, 5000000));
    put(rig, 0, LAPIC_INITIAL_COUNT, 100);                 /* ignored in this mode */
    rig_advance(rig, 4999990);
    check(!rig_cpu(rig, 0)->intr);
    rig_advance(rig, 20);
    check_eq(fetch(rig, 0), 0x31);
    put(rig, 0, LAPIC_EOI, 0);
    check(rdmsr(rig, 0, 0x6e0, &value));
    check_eq(value, 0);
    check(wrmsr(rig, 0, 0x6e0, 1));                        /* long past: at once */
    rig_advance(rig, 1);
    check_eq(fetch(rig, 0), 0x31);
    put(rig, 0, LAPIC_EOI, 0);
    check(wrmsr(rig, 0, 0x6e0, UINT64_MAX));
    rig_advance(rig, NS_PER_SECOND);
    check(!rig_cpu(rig, 0)->intr);
    check(wrmsr(rig, 0, 0x6e0, 2000000000));
    check(wrmsr(rig, 0, 0x6e0, 0));
    rig_advance(rig, 10 * NS_PER_SECOND);
    check(!rig_cpu(rig, 0)->intr);
}

static void ways_between_the_modes(Rig *rig)
{
    check(!set_base(rig, 1, 0xfee00400));                  /* x2APIC without enable */
    check(!set_base(rig, 1, 0xfee00801));                  /* reserved */
    check(!set_base(rig, 1, UINT64_C(0x10000000fee00800)));
    put(rig, 1, LAPIC_TPR, 0x20);
    put(rig, 1, LAPIC_ID, 0x44000000);
    check(set_base(rig, 1, 0xfee00c00));
    check_eq(base(rig, 1), 0xfee00c00);
    check_eq(get(rig, 1, LAPIC_TPR), 0xffffffff);          /* the page is gone */
    check(!set_base(rig, 1, 0xfee00800));                  /* not back to xAPIC */
    check(set_base(rig, 1, 0xfee00000));
    check(!set_base(rig, 1, 0xfee00c00));                  /* and not from off to x2APIC */
    check(set_base(rig, 1, 0xfee00800));
    check_eq(get(rig, 1, LAPIC_TPR), 0);
    check(set_base(rig, 1, 0xfee00900));                   /* it does not become the boot processor */
    check_eq(base(rig, 1), 0xfee00800);
}

static void x2apic(Rig *rig)
{
    uint64_t value;

    check(!rdmsr(rig, 1, 0x802, &value));
    for (unsigned i = 0; i < RIG_CPUS; i++) {
        put(rig, i, LAPIC_SVR, 0x1ff);
        check(set_base(rig, i, i ? 0xfee00c00 : 0xfee00d00));
    }
    check(rdmsr(rig, 3, 0x802, &value));
    check_eq(value, 3);
    check(rdmsr(rig, 3, 0x80d, &value));
    check_eq(value, 8);
    check(!wrmsr(rig, 3, 0x802, 1));
    check(!wrmsr(rig, 3, 0x80b, 1));
    check(!wrmsr(rig, 3, 0x808, 0x100));
    check(!wrmsr(rig, 3, 0x80e, 0));
    check(!rdmsr(rig, 3, 0x80e, &value));
    check(!rdmsr(rig, 3, 0x831, &value));
    check(!rdmsr(rig, 3, 0x83f, &value));
    check(!wrmsr(rig, 3, 0x8ff, 0));
    check(wrmsr(rig, 1, 0x830, UINT64_C(0x0000000200000041)));
    check(rig_cpu(rig, 2)->intr);
    check_eq(fetch(rig, 2), 0x41);
    check(wrmsr(rig, 2, 0x80b, 0));
    check(wrmsr(rig, 1, 0x830, UINT64_C(0x0000000a00000842)));     /* logical: processors 1 and 3 */
    check(!rig_cpu(rig, 0)->intr && rig_cpu(rig, 1)->intr && !rig_cpu(rig, 2)->intr && rig_cpu(rig, 3)->intr);
    check_eq(fetch(rig, 3), 0x42);
    check_eq(fetch(rig, 1), 0x42);
    check(wrmsr(rig, 0, 0x83f, 0x43));
    check_eq(fetch(rig, 0), 0x43);
    check(wrmsr(rig, 0, 0x830, UINT64_C(0xffffffff00000444)));
    check_eq(rig_cpu(rig, 0)->nmis, 1);
    check_eq(rig_cpu(rig, 3)->nmis, 1);
    msi(rig, 0xfee02000, 0x55);
    check_eq(fetch(rig, 2), 0x55);
    msi(rig, 0xfeeff000, 0x56);
    check(rig_cpu(rig, 0)->intr && rig_cpu(rig, 1)->intr);
    check(rdmsr(rig, 1, 0x830, &value));
    check_eq(value, 0xa00000842);
}

static void random_traffic_is_survived(Rig *rig)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(0x14);

    for (unsigned i = 0; i < 60000; i++) {
        uint32_t r = g_rand_int(random), value = g_rand_boolean(random) ? g_rand_int(random) : g_rand_int(random) & 0xfffff;
        unsigned cpu = r & 3, reg = r >> 2 & 0x3f;
        uint64_t out;
        as(rig, cpu);
        switch (r >> 28) {
        case 0: case 1: case 2: case 3: rig_store(rig, 0xfee00000 + reg * 16, 4, value); break;
        case 4: rig_load(rig, 0xfee00000 + reg * 16 + (r >> 8 & 15), 1 << (r >> 12 & 3)); break;
        case 5: intc_send_msi(rig_intc(rig), 0xfee00000 | (value & 0xff00c), value >> 8); break;
        case 6: intc_irq_source(rig_intc(rig), cpu).acknowledge(intc_irq_source(rig_intc(rig), cpu).opaque); break;
        case 7: wrmsr(rig, cpu, 0x800 + reg, value); break;
        case 8: rdmsr(rig, cpu, 0x800 + reg, &out); break;
        case 9: set_base(rig, cpu, 0xfee00000 | (value & 0xf00)); break;
        case 10: wrmsr(rig, cpu, 0x6e0, (uint64_t)value << (r >> 8 & 31)); break;
        case 11: irq_set(intc_gsi(rig_intc(rig), value % INTC_GSIS), value >> 8 & 1); break;
        case 12: rig_store(rig, 0xfec00000 + (value & 0x50), 4, value >> 8); break;
        case 13: rig_outb(rig, (value & 0x81) | 0x20, value >> 8); break;
        default: rig_advance(rig, value);
        }
    }
}

typedef struct Crowd { Intc *intc; int stop; } Crowd;
typedef struct Member { Crowd *crowd; unsigned cpu; GThread *thread; } Member;

static bool goes_on(Crowd *crowd)
{
    return !__atomic_load_n(&crowd->stop, __ATOMIC_RELAXED);
}

/* A processor: takes interrupts, ends them, sends some, sets its timer. */
static gpointer processor(gpointer opaque)
{
    Member *member = opaque;
    CpuIrqSource source = intc_irq_source(member->crowd->intc, member->cpu);

    for (unsigned i = 0; goes_on(member->crowd); i++) {
        if (source.acknowledge(source.opaque) >= 0) {
            source.write_msr(source.opaque, 0x80b, 0);
        }
        if (i % 8 == 0) {
            source.write_msr(source.opaque, 0x830, UINT64_C(0xffffffff00000050) + i % 64);
            source.write_msr(source.opaque, 0x838, 30000);
            source.set_cr8(source.opaque, i % 16);
        }
    }
    return NULL;
}

static gpointer device(gpointer opaque)
{
    Member *member = opaque;

    for (unsigned i = 0; goes_on(member->crowd); i++) {
        intc_send_msi(member->crowd->intc, 0xfee0f00c | (i % 16) << 12, 0x40 + i % 128);
    }
    return NULL;
}

static void a_crowd(Rig *rig)
{
    Crowd crowd = { .intc = rig_intc(rig) };
    Member members[RIG_CPUS + 2];

    for (unsigned i = 0; i < RIG_CPUS; i++) {
        put(rig, i, LAPIC_SVR, 0x1ff);
        put(rig, i, LAPIC_LVT + LVT_TIMER, 0x20031);
        check(set_base(rig, i, i ? 0xfee00c00 : 0xfee00d00));
    }
    rig_store(rig, 0xfec00000, 4, 0x21);                   /* pin 8: a level to processor 2 */
    rig_store(rig, 0xfec00010, 4, 0x02000000);
    rig_store(rig, 0xfec00000, 4, 0x20);
    rig_store(rig, 0xfec00010, 4, 0x80c0);
    for (unsigned i = 0; i < G_N_ELEMENTS(members); i++) {
        members[i] = (Member){ &crowd, i, NULL };
        members[i].thread = g_thread_new("crowd", i < RIG_CPUS ? processor : device, &members[i]);
    }
    for (unsigned i = 0; i < 200; i++) {                   /* the main loop: time, and lines */
        rig_advance(rig, 10000);
        irq_set(intc_gsi(crowd.intc, 8), i & 1);
        irq_set(intc_gsi(crowd.intc, 0), i & 1);
        machine_unlock();
        g_usleep(500);
        machine_lock();
    }
    __atomic_store_n(&crowd.stop, 1, __ATOMIC_RELAXED);
    machine_unlock();                                      /* who waits for it gets it */
    for (unsigned i = 0; i < G_N_ELEMENTS(members); i++) {
        g_thread_join(members[i].thread);
    }
    machine_lock();
}

static void lapic_values_from_afar(Rig *rig)
{
    Lapic apic = { .boot_processor = true, .has_deadline = true };
    LapicTime time = { .now = INT64_MAX / 5, .tsc = UINT64_MAX - 5, .tsc_khz = 1 };

    (void)rig;
    lapic_reset(&apic);
    lapic_write(&apic, LAPIC_SVR, 0x1ff, &time);
    lapic_write(&apic, LAPIC_DIVIDE, 0xa, &time);          /* by 128 */
    lapic_write(&apic, LAPIC_LVT, 0x20030, &time);
    lapic_write(&apic, LAPIC_INITIAL_COUNT, 0xffffffff, &time);
    check_eq(lapic_deadline(&apic, &time) - time.now, 0xffffffffLL * 128);
    lapic_write(&apic, LAPIC_LVT, 0x40030, &time);
    LapicEffect effect;
    check(lapic_write_msr(&apic, 0x6e0, UINT64_MAX, &time, &effect));
    check(lapic_deadline(&apic, &time) > time.now);
    time.tsc_khz = 0;
    check_eq(lapic_deadline(&apic, &time), -1);
}

const Test lapic_tests[] = {
    { "values at power-on", power_on_values, INTC_BOARD },
    { "registers keep what they should", registers_keep_what_they_should, INTC_BOARD },
    { "messages to physical destinations", messages_physical, INTC_BOARD },
    { "messages to logical destinations, flat", messages_logical_flat, INTC_BOARD },
    { "messages to logical destinations, clusters", messages_logical_clusters, INTC_BOARD },
    { "lowest priority goes to one", lowest_priority_goes_to_one, .board = "intc", .runs = FRESH },
    { "interprocessor interrupts and shorthands", ipis_and_shorthands, INTC_BOARD },
    { "INIT and SIPI start processors", init_and_sipi_start_processors, INTC_BOARD },
    { "priorities, TPR and CR8", priorities, INTC_BOARD },
    { "software disable holds back", software_disable_holds_back, INTC_BOARD },
    { "errors", errors, INTC_BOARD },
    { "the 8259 by LINT0", the_8259_by_lint0, INTC_BOARD },
    { "LINT0 as an ordinary interrupt", lint0_as_an_ordinary_interrupt, INTC_BOARD },
    { "timer: one shot", timer_one_shot, INTC_BOARD },
    { "timer: periodic", timer_periodic, INTC_BOARD },
    { "timer: TSC deadline", timer_deadline, INTC_BOARD },
    { "ways between the modes", ways_between_the_modes, INTC_BOARD },
    { "x2APIC", x2apic, INTC_BOARD },
    { "random traffic is survived", random_traffic_is_survived, .board = "intc", .runs = FRESH },
    { "processors, devices and the clock at once", a_crowd, .board = "intc", .runs = FRESH },
    { "values from afar", lapic_values_from_afar, CHIP_ONLY },
    { NULL } };
