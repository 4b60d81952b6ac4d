/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * irqchip.c - the kernel's interrupt chips and timer in our own state: there and back, and from one accelerator to the other
 */
#include "base/loop.h"
#include "base/lock.h"
#include "hw/intc/internal.h"
#include "hw/intc/kernel-chips.h"
#include "tests/kvm/bed.h"

typedef struct Pc { Value *config; Machine *machine; } Pc;

static Pc pc_new(const char *accel, const char *irqchip)
{
    g_autoptr(GError) err = NULL;
    Pc pc = { .config = value_new_object() };
    Value *options = value_new_object(), *list = value_new_list();

    value_set(options, "name", value_new_string(accel));
    if (irqchip) {
        value_set(options, "kernel-irqchip", value_new_string(irqchip));
    }
    value_append(list, options);
    value_set(pc.config, "accel", list);
    value_path_set(pc.config, "memory.size", value_new_int(32 << 20), NULL);
    value_path_set(pc.config, "rtc.clock", value_new_string("vm"), NULL);
    pc.machine = machine_build(pc.config, &err);
    g_assert_no_error(err);
    return pc;
}

static void pc_free(Pc *pc)
{
    machine_free(pc->machine);
    value_unref(pc->config);
}

static Device *device_of(Pc *pc, const char *model)
{
    for (guint i = 0; i < pc->machine->devices->len; i++) {
        Device *device = pc->machine->devices->pdata[i];
        if (strcmp(device->model->name, model) == 0) {
            return device;
        }
    }
    g_assert_not_reached();
}

/* A chip after a reset, then with every field changed. */
static void scramble_pair(I8259Pair *pair)
{
    i8259_init(&pair->master, true);
    i8259_init(&pair->slave, false);
    for (unsigned i = 0; i < 2; i++) {
        I8259 *pic = i ? &pair->slave : &pair->master;
        const uint8_t icw[][2] = { { 0, 0x11 }, { 1, 0x20 + 8 * i }, { 1, 4 }, { 1, 0x13 }, { 1, 0xa5 }, { 0, 0xc3 }, { 0, 0x6b }, { 0, 0x80 } };
        for (unsigned j = 0; j < G_N_ELEMENTS(icw); j++) {
            i8259_write(pic, icw[j][0], icw[j][1]);
        }
        i8259_write_elcr(pic, 0x20);
        i8259_set_line(pic, 5, true);
        i8259_set_line(pic, 7, true);
        pic->isr = 0x10;
    }
}

static void assert_same(const Field *table, const void *a, const void *b)
{
    g_autoptr(GByteArray) first = g_byte_array_new(), second = g_byte_array_new();

    fields_save(table, a, first);
    fields_save(table, b, second);
    g_assert_cmpmem(first->data, first->len, second->data, second->len);
}

static void pic_there_and_back(void)
{
    I8259Pair given, fetched;

    if (kvm_missing()) {
        return;
    }
    Pc pc = pc_new("kvm", "on");
    scramble_pair(&given);
    i8259_init(&fetched.master, true);
    i8259_init(&fetched.slave, false);
    kernel_chips()->give_pic(pc.machine, &given);
    kernel_chips()->fetch_pic(pc.machine, &fetched);
    assert_same(i8259_saved, &given.master, &fetched.master);
    assert_same(i8259_saved, &given.slave, &fetched.slave);
    for (unsigned expects = 2; expects <= 4; expects++) {          /* in the middle of initialization */
        given.slave.expects = expects;
        kernel_chips()->give_pic(pc.machine, &given);
        kernel_chips()->fetch_pic(pc.machine, &fetched);
        g_assert_cmpuint(fetched.slave.expects, ==, expects);
    }
    pc_free(&pc);
}

static void ioapic_there_and_back(void)
{
    IoApic given = { .version = 0x20 }, fetched = { .version = 0x20 };

    if (kvm_missing()) {
        return;
    }
    Pc pc = pc_new("kvm", "on");
    ioapic_reset(&given);
    given.id = 3;
    given.select = 0x15;
    given.entry[5] = UINT64_C(0x01000000000009a5) | RTE_MASKED;
    given.entry[11] = UINT64_C(0x000000000000a0b1) | RTE_MASKED;
    given.lines = 1 << 11;
    kernel_chips()->give_ioapic(pc.machine, &given);
    kernel_chips()->fetch_ioapic(pc.machine, &fetched);
    assert_same(ioapic_saved, &given, &fetched);
    pc_free(&pc);
}

static void lapic_there_and_back(void)
{
    const LapicTime time = { .now = clock_now(CLOCK_GUEST) };
    Lapic given = { .boot_processor = true, .has_x2apic = true, .has_deadline = true }, fetched;

    if (kvm_missing()) {
        return;
    }
    Pc pc = pc_new("kvm", "on");
    Cpu *cpu = pc.machine->cpus->pdata[0];
    lapic_reset(&given);
    lapic_write(&given, LAPIC_SVR, 0x1ef, &time);
    lapic_write(&given, LAPIC_TPR, 0x35, &time);
    lapic_write(&given, LAPIC_LDR, 0x02000000, &time);
    lapic_write(&given, LAPIC_DFR, 0x0fffffff, &time);
    lapic_write(&given, LAPIC_DIVIDE, 0x0b, &time);
    lapic_write(&given, LAPIC_LVT + LVT_ERROR, 0xfe, &time);
    lapic_write(&given, LAPIC_LVT + LVT_TIMER, 0x200ec, &time);
    lapic_accept(&given, MODE_FIXED, 0x71, true);
    lapic_accept(&given, MODE_FIXED, 0x91, false);
    g_assert_cmpint(lapic_acknowledge(&given), ==, 0x91);
    given.icr = UINT64_C(0x0200000000004431);
    fetched = given;
    memset(fetched.irr, 0, sizeof fetched.irr);
    memset(fetched.isr, 0, sizeof fetched.isr);
    fetched.svr = fetched.tpr = fetched.ldr = fetched.dfr = 0;
    fetched.icr = 0;
    kernel_chips()->give_lapic(cpu, &given);
    kernel_chips()->fetch_lapic(cpu, &fetched);
    fetched.count_start = given.count_start;                       /* nothing counts: the time of the look does not matter */
    fetched.fired_at = given.fired_at;
    assert_same(lapic_saved, &given, &fetched);
    pc_free(&pc);
}

static void pit_there_and_back(void)
{
    I8254 given, fetched;

    if (kvm_missing()) {
        return;
    }
    Pc pc = pc_new("kvm", "on");
    int64_t now = clock_now(CLOCK_GUEST);
    i8254_reset(&given);
    i8254_write(&given, 3, 0x34, now);
    i8254_write(&given, 0, 0xa9, now);
    i8254_write(&given, 0, 0x04, now);
    i8254_write(&given, 3, 0xb1, now);
    i8254_write(&given, 2, 0x12, now);                             /* half a count, in BCD */
    i8254_write(&given, 3, 0x00, now);
    kernel_chips()->give_pit(pc.machine, &given, false);
    kernel_chips()->fetch_pit(pc.machine, &fetched);
    g_assert_cmpuint(fetched.counter[0].control, ==, 0x34);
    g_assert_cmpuint(fetched.counter[0].reload, ==, 0x4a9);
    g_assert_true(fetched.counter[0].loaded);
    g_assert_cmpint(ABS(fetched.counter[0].start - given.counter[0].start), <, 1200);      /* a millisecond of host time between the looks */
    g_assert_cmpuint(fetched.counter[0].latched, ==, 2);
    g_assert_cmpuint(fetched.counter[0].latched_count, ==, given.counter[0].latched_count);
    g_assert_cmpuint(fetched.counter[2].control, ==, 0x31);
    g_assert_true(fetched.counter[2].half_written);
    g_assert_cmpuint(fetched.counter[2].low_byte, ==, 0x12);
    g_assert_true(i8254_valid(&fetched));
    pc_free(&pc);
}

static GByteArray *save(Pc *pc)
{
    g_autoptr(GError) err = NULL;
    GByteArray *stream = g_byte_array_new();

    machine_save(pc->machine, stream, &err);
    g_assert_no_error(err);
    pc_free(pc);
    return stream;
}

static Pc load(const char *accel, const char *irqchip, GByteArray *stream)
{
    g_autoptr(GError) err = NULL;
    Pc pc = pc_new(accel, irqchip);

    machine_load(pc.machine, stream->data, stream->len, &err);
    g_assert_no_error(err);
    g_byte_array_unref(stream);
    return pc;
}

/* All but the lines and what they requested: the machine around the chip has lines of its own. */
static void assert_same_mode(const I8259 *a, const I8259 *b)
{
    I8259 left = *a, right = *b;

    left.lines = left.irr = right.lines = right.irr = 0;
    assert_same(i8259_saved, &left, &right);
}

/* One machine's state through all homes that the chips may have, and back. */
static void a_state_moves_between_accelerators(void)
{
    static const struct { const char *accel, *irqchip; } homes[] = {
        { "tcg", NULL }, { "kvm", "split" }, { "kvm", "off" }, { "kvm", "on" }, { "tcg", NULL } };
    I8259Pair fetched, *pair;

    if (kvm_missing()) {
        return;
    }
    Pc pc = pc_new("kvm", "on");
    scramble_pair(&fetched);
    kernel_chips()->give_pic(pc.machine, &fetched);
    for (unsigned i = 0; i < G_N_ELEMENTS(homes); i++) {
        pc = load(homes[i].accel, homes[i].irqchip, save(&pc));
        pair = &((Pic *)device_of(&pc, "isa-i8259"))->pair;
        if (g_strcmp0(homes[i].irqchip, "on") == 0) {
            kernel_chips()->fetch_pic(pc.machine, pair);
        }
        assert_same_mode(&fetched.master, &pair->master);
        assert_same_mode(&fetched.slave, &pair->slave);
        Lapic *lapic = &((Apic *)device_of(&pc, "apic"))->chip;
        g_assert_cmphex(lapic->base, ==, 0xfee00900);
        g_assert_cmphex(lapic->lvt[LVT_LINT0], ==, 0x700);
    }
    pc_free(&pc);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    loop_init();
    g_test_add_func("/irqchip/pic there and back", pic_there_and_back);
    g_test_add_func("/irqchip/ioapic there and back", ioapic_there_and_back);
    g_test_add_func("/irqchip/lapic there and back", lapic_there_and_back);
    g_test_add_func("/irqchip/pit there and back", pit_there_and_back);
    g_test_add_func("/irqchip/a state moves between accelerators", a_state_moves_between_accelerators);
    return g_test_run();
}
