/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvm-irqchip.c - the chips that KVM has in the kernel, in the state of our own
 *
 * Models   translation between linux/kvm.h's structures and I8259, IoApic, Lapic and I8254, both ways
 * Omits    what KVM's chips do not have: a second reload that waits in a PIT counter, a gate that pauses it (written as if
 *          loaded now), the SNGL form of initialization
 * Wires    accel/kvm/kvm.h
 * Threads  machine lock; set_gsi and send_msi on any thread
 * Tests    tests/kvm/irqchip.c
 */
#include "accel/kvm/kvm.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/timer.h"
#include "hw/intc/kernel-chips.h"
#include <linux/kvm.h>
#include <time.h>

/* A kernel that refuses once will refuse again: one line is enough. */
static bool told;

static void refused(const char *what, int result)
{
    if (result < 0 && !told) {
        told = true;
        report_warning("KVM: %s: %s; the guest's interrupts may stop", what, g_strerror(-result));
    }
}

/* 8259. Its struct has the same words: what ICW comes next is init_state 1 to 3. */

static void pic_from_kernel(I8259 *pic, const struct kvm_pic_state *kernel)
{
    pic->lines = kernel->last_irr;
    pic->irr = kernel->irr;
    pic->imr = kernel->imr;
    pic->isr = kernel->isr;
    pic->elcr = kernel->elcr & pic->elcr_mask;
    pic->first = kernel->priority_add & 7;
    pic->vector_base = kernel->irq_base & 0xf8;
    pic->expects = kernel->init_state && kernel->init_state < 4 ? kernel->init_state + 1 : 0;
    pic->wants_icw4 = kernel->init4;
    pic->single = false;
    pic->read_isr = kernel->read_reg_select;
    pic->poll = kernel->poll;
    pic->special_mask = kernel->special_mask;
    pic->auto_eoi = kernel->auto_eoi;
    pic->rotate_on_auto_eoi = kernel->rotate_on_auto_eoi;
    pic->special_fully_nested = kernel->special_fully_nested_mode;
}

static void pic_to_kernel(const I8259 *pic, struct kvm_pic_state *kernel)
{
    *kernel = (struct kvm_pic_state){
        .last_irr = pic->lines, .irr = pic->irr, .imr = pic->imr, .isr = pic->isr, .priority_add = pic->first,
        .irq_base = pic->vector_base, .read_reg_select = pic->read_isr, .poll = pic->poll, .special_mask = pic->special_mask,
        .init_state = pic->expects ? pic->expects - 1 : 0, .auto_eoi = pic->auto_eoi,
        .rotate_on_auto_eoi = pic->rotate_on_auto_eoi, .special_fully_nested_mode = pic->special_fully_nested,
        .init4 = pic->wants_icw4, .elcr = pic->elcr, .elcr_mask = pic->elcr_mask,
    };
}

static void fetch_pic(Machine *machine, I8259Pair *pair)
{
    for (unsigned i = 0; i < 2; i++) {
        struct kvm_irqchip chip = { .chip_id = i ? KVM_IRQCHIP_PIC_SLAVE : KVM_IRQCHIP_PIC_MASTER };
        int result = kvm_vm_ioctl(machine->accel, KVM_GET_IRQCHIP, &chip);
        refused("reading an 8259", result);
        if (result >= 0) {
            pic_from_kernel(i ? &pair->slave : &pair->master, &chip.chip.pic);
        }
    }
}

static void give_pic(Machine *machine, const I8259Pair *pair)
{
    for (unsigned i = 0; i < 2; i++) {
        struct kvm_irqchip chip = { .chip_id = i ? KVM_IRQCHIP_PIC_SLAVE : KVM_IRQCHIP_PIC_MASTER };
        pic_to_kernel(i ? &pair->slave : &pair->master, &chip.chip.pic);
        refused("setting an 8259", kvm_vm_ioctl(machine->accel, KVM_SET_IRQCHIP, &chip));
    }
}

/* I/O APIC. */

static void fetch_ioapic(Machine *machine, IoApic *apic)
{
    struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };
    int result = kvm_vm_ioctl(machine->accel, KVM_GET_IRQCHIP, &chip);

    refused("reading the I/O APIC", result);
    if (result < 0) {
        return;
    }
    apic->id = chip.chip.ioapic.id & 0x0f;
    apic->select = chip.chip.ioapic.ioregsel;
    apic->lines = chip.chip.ioapic.irr;
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        apic->entry[pin] = chip.chip.ioapic.redirtbl[pin].bits;
    }
}

static void give_ioapic(Machine *machine, const IoApic *apic)
{
    struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

    chip.chip.ioapic.base_address = IOAPIC_ADDRESS;
    chip.chip.ioapic.ioregsel = apic->select;
    chip.chip.ioapic.id = apic->id;
    chip.chip.ioapic.irr = apic->lines;
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        chip.chip.ioapic.redirtbl[pin].bits = apic->entry[pin];
    }
    refused("setting the I/O APIC", kvm_vm_ioctl(machine->accel, KVM_SET_IRQCHIP, &chip));
}

static void route_ioapic(Machine *machine, const IoApic *apic, unsigned pin)
{
    uint64_t address;
    uint32_t data;
    bool active = ioapic_message(apic, pin, &address, &data);

    kvm_set_ioapic_route(machine->accel, (int)pin, address, active ? data : 0);
}

/* Local APIC: the kernel's form is the xAPIC page, also in x2APIC mode (with the id in bits 31:24). */

static uint32_t page_get(const struct kvm_lapic_state *page, unsigned reg)
{
    return load_le32(page->regs + reg * 16);
}

static void page_set(struct kvm_lapic_state *page, unsigned reg, uint32_t value)
{
    store_le32(page->regs + reg * 16, value);
}

static uint64_t get_msr(Cpu *cpu, uint32_t index)
{
    struct { struct kvm_msrs head; struct kvm_msr_entry entry; } msrs = { .head = { .nmsrs = 1 }, .entry = { .index = index } };

    return kvm_cpu_ioctl(cpu, KVM_GET_MSRS, &msrs) == 1 ? msrs.entry.data : 0;
}

static void set_msr(Cpu *cpu, uint32_t index, uint64_t value)
{
    struct { struct kvm_msrs head; struct kvm_msr_entry entry; } msrs = {
        .head = { .nmsrs = 1 }, .entry = { .index = index, .data = value } };

    kvm_cpu_ioctl(cpu, KVM_SET_MSRS, &msrs);           /* a host without the MSR has no such timer either */
}

enum { MSR_APIC_BASE = 0x1b, MSR_TSC_DEADLINE = 0x6e0 };

static void fetch_lapic(Cpu *cpu, Lapic *apic)
{
    struct kvm_lapic_state page;
    int result = kvm_cpu_ioctl(cpu, KVM_GET_LAPIC, &page);

    refused("reading a local APIC", result);
    if (result < 0) {
        return;
    }
    apic->base = get_msr(cpu, MSR_APIC_BASE);
    apic->id = page_get(&page, LAPIC_ID);
    apic->tpr = page_get(&page, LAPIC_TPR) & 0xff;
    apic->ldr = page_get(&page, LAPIC_LDR);
    apic->dfr = page_get(&page, LAPIC_DFR);
    apic->svr = page_get(&page, LAPIC_SVR);
    apic->esr = page_get(&page, LAPIC_ESR);
    apic->divide = page_get(&page, LAPIC_DIVIDE);
    apic->icr = page_get(&page, LAPIC_ICR) | (uint64_t)page_get(&page, LAPIC_ICR_HIGH) << 32;
    for (unsigned i = 0; i < LVT_COUNT; i++) {
        apic->lvt[i] = page_get(&page, LAPIC_LVT + i);
    }
    for (unsigned i = 0; i < 8; i++) {
        apic->isr[i] = page_get(&page, LAPIC_ISR + i);
        apic->tmr[i] = page_get(&page, LAPIC_TMR + i);
        apic->irr[i] = page_get(&page, LAPIC_IRR + i);
    }
    apic->initial_count = page_get(&page, LAPIC_INITIAL_COUNT);
    apic->count_from = page_get(&page, LAPIC_CURRENT_COUNT);
    apic->count_start = apic->fired_at = clock_now(CLOCK_GUEST);
    apic->tsc_deadline = get_msr(cpu, MSR_TSC_DEADLINE);
}

static void give_lapic(Cpu *cpu, const Lapic *apic)
{
    const LapicTime time = { .now = clock_now(CLOCK_GUEST) };
    struct kvm_lapic_state page = { { 0 } };
    Lapic copy = *apic;

    page_set(&page, LAPIC_ID, lapic_is_x2(apic) ? apic->apic_id << 24 : apic->id);
    page_set(&page, LAPIC_VERSION, lapic_read(&copy, LAPIC_VERSION, &time));
    page_set(&page, LAPIC_TPR, apic->tpr);
    page_set(&page, LAPIC_LDR, apic->ldr);
    page_set(&page, LAPIC_DFR, apic->dfr);
    page_set(&page, LAPIC_SVR, apic->svr);
    page_set(&page, LAPIC_ESR, apic->esr);
    page_set(&page, LAPIC_DIVIDE, apic->divide);
    page_set(&page, LAPIC_ICR, (uint32_t)apic->icr);
    page_set(&page, LAPIC_ICR_HIGH, (uint32_t)(apic->icr >> 32));
    for (unsigned i = 0; i < LVT_COUNT; i++) {
        page_set(&page, LAPIC_LVT + i, apic->lvt[i]);
    }
    for (unsigned i = 0; i < 8; i++) {
        page_set(&page, LAPIC_ISR + i, apic->isr[i]);
        page_set(&page, LAPIC_TMR + i, apic->tmr[i]);
        page_set(&page, LAPIC_IRR + i, apic->irr[i]);
    }
    page_set(&page, LAPIC_INITIAL_COUNT, apic->initial_count);
    page_set(&page, LAPIC_CURRENT_COUNT, lapic_read(&copy, LAPIC_CURRENT_COUNT, &time));
    set_msr(cpu, MSR_APIC_BASE, apic->base);
    refused("setting a local APIC", kvm_cpu_ioctl(cpu, KVM_SET_LAPIC, &page));
    if (apic->tsc_deadline) {
        set_msr(cpu, MSR_TSC_DEADLINE, apic->tsc_deadline);
    }
}

/* PIT. The kernel counts from a time on the host's monotonic clock. */

static int64_t host_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

static void counter_from_kernel(I8254Counter *counter, const struct kvm_pit_channel_state *kernel, int64_t shift)
{
    uint32_t count = kernel->count && kernel->count <= 0x10000 ? kernel->count : 0x10000;

    *counter = (I8254Counter){
        .control = (kernel->rw_mode & 3) << 4 | (kernel->mode & 7) << 1 | (kernel->bcd & 1), .gate = kernel->gate,
        .loaded = kernel->count_load_time > 0, .triggered = kernel->count_load_time > 0, .reload = count, .period = count,
        .start = (int64_t)((__int128)(kernel->count_load_time + shift) * (int64_t)I8254_HZ / NS_PER_SECOND),
        .half_written = kernel->write_state == 4, .high_next = kernel->read_state == 4, .low_byte = kernel->write_latch,
        .latched = kernel->count_latched ? (kernel->count_latched >= 3 ? 2 : 1) : 0, .latched_count = kernel->latched_count,
        .status_latched = kernel->status_latched, .status = kernel->status,
    };
}

static void counter_to_kernel(const I8254Counter *counter, struct kvm_pit_channel_state *kernel, int64_t shift)
{
    enum { STATE_LOW = 1, STATE_HIGH, STATE_WORD_LOW, STATE_WORD_HIGH };
    unsigned access = counter->control >> 4 & 3;
    int64_t start = (int64_t)((__int128)counter->start * NS_PER_SECOND / (int64_t)I8254_HZ);

    *kernel = (struct kvm_pit_channel_state){
        .count = counter->reload, .rw_mode = access, .mode = counter->control >> 1 & 7, .bcd = counter->control & 1,
        .gate = counter->gate, .write_latch = counter->low_byte, .latched_count = counter->latched_count,
        .count_latched = !counter->latched ? 0 : access == 3 ? (counter->latched == 2 ? STATE_WORD_LOW : STATE_HIGH) : access,
        .status_latched = counter->status_latched, .status = counter->status,
        .write_state = access == 3 ? (counter->half_written ? STATE_WORD_HIGH : STATE_WORD_LOW) : access,
        .read_state = access == 3 ? (counter->high_next ? STATE_WORD_HIGH : STATE_WORD_LOW) : access,
        .count_load_time = counter->loaded ? MAX(start - shift, 1) : 0,
    };
}

static void fetch_pit(Machine *machine, I8254 *pit)
{
    struct kvm_pit_state2 kernel;
    int64_t shift = clock_now(CLOCK_GUEST) - host_now();
    int result = kvm_vm_ioctl(machine->accel, KVM_GET_PIT2, &kernel);

    refused("reading the timer", result);
    for (unsigned i = 0; result >= 0 && i < I8254_COUNTERS; i++) {
        counter_from_kernel(&pit->counter[i], &kernel.channels[i], shift);
    }
}

static void give_pit(Machine *machine, const I8254 *pit, bool silent)
{
    struct kvm_pit_state2 kernel = { .flags = silent ? KVM_PIT_FLAGS_HPET_LEGACY : 0 };
    int64_t shift = clock_now(CLOCK_GUEST) - host_now();

    for (unsigned i = 0; i < I8254_COUNTERS; i++) {
        counter_to_kernel(&pit->counter[i], &kernel.channels[i], shift);
    }
    refused("setting the timer", kvm_vm_ioctl(machine->accel, KVM_SET_PIT2, &kernel));
}

static void set_gsi(Machine *machine, int gsi, bool high)
{
    kvm_set_gsi(machine->accel, gsi, high);
}

static void send_msi(Machine *machine, uint64_t address, uint32_t data)
{
    kvm_send_msi(machine->accel, address, data);
}

const KernelChips *kernel_chips(void)
{
    static const KernelChips chips = {
        .fetch_pic = fetch_pic, .give_pic = give_pic, .fetch_ioapic = fetch_ioapic, .give_ioapic = give_ioapic,
        .route_ioapic = route_ioapic, .fetch_lapic = fetch_lapic, .give_lapic = give_lapic, .fetch_pit = fetch_pit,
        .give_pit = give_pit, .set_gsi = set_gsi, .send_msi = send_msi,
    };

    return &chips;
}
