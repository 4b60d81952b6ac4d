/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * interrupts.c - interrupt controllers in the kernel, split and outside; several CPUs; refusals at the door
 */
#include "accel/kvm/kvm-internal.h"
#include "bed.h"
#include <errno.h>
#include <linux/kvm.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

/* Real mode: vector 0x0d (IRQ 5 with the BIOS's bases) counts at 0x500, the guest tells when it is ready and halts until it counted enough. */
#define HANDLER(vector) "movw $(5f - 9b), 4*" #vector "; movw %cs, 4*" #vector "+2\n"
#define PIC_SETUP "mov $0x11, %al; out %al, $0x20; mov $8, %al; out %al, $0x21; mov $4, %al; out %al, $0x21; mov $1, %al; out %al, $0x21\n"

GUEST(irq5, "9: xor %ax, %ax; mov %ax, %ds; mov %ax, %ss; mov $0x7000, %sp\n" HANDLER(0x0d) PIC_SETUP
            "mov $0xdf, %al; out %al, $0x21; mov $1, %al; out %al, $0x80; sti\n"
            "1: hlt; cmpw $3, 0x500; jb 1b; mov $33, %al; out %al, $0xf4; 2: hlt; jmp 2b\n"
            "5: push %ax; incw 0x500; mov $0x20, %al; out %al, $0x20; mov 0x500, %al; out %al, $0x80; pop %ax; iret");

static void line_interrupts_wake(void)
{
    if (kvm_missing()) {
        return;
    }
    Bed *bed = bed_new(NULL, 1);
    bed_load(bed, irq5_start, irq5_end);
    bed_start(bed);
    for (unsigned i = 1; i <= 3; i++) {
        g_assert_true(bed_wait(bed, &bed->posts, i));
        kvm_set_gsi(bed->accel, 5, true);
        kvm_set_gsi(bed->accel, 5, false);
    }
    g_assert_true(bed_wait(bed, &bed->ends, 1));
    bed_stop(bed);
    g_assert_cmpuint(bed->end_value, ==, 33);
    bed_free(bed);
}

static void irqfd_wakes(void)
{
    if (kvm_missing()) {
        return;
    }
    Bed *bed = bed_new(NULL, 1);
    int fd = eventfd(0, EFD_NONBLOCK);
    uint64_t one = 1;
    bed_load(bed, irq5_start, irq5_end);
    g_assert_cmpint(kvm_add_irqfd(bed->accel, fd, -1, 5, 0, 0), ==, 5);
    g_assert_cmpint(kvm_add_irqfd(bed->accel, fd, -1, 6, 0, 0), <, 0);       /* one GSI per eventfd */
    bed_start(bed);
    for (unsigned i = 1; i <= 3; i++) {
        g_assert_true(bed_wait(bed, &bed->posts, i));
        g_assert_cmpint(write(fd, &one, 8), ==, 8);
    }
    g_assert_true(bed_wait(bed, &bed->ends, 1));
    bed_stop(bed);
    kvm_remove_irqfd(bed->accel, fd, 5);
    close(fd);
    bed_free(bed);
}

/* The PIT at 1 kHz: twenty ticks through vector 8. */
GUEST(ticks, "9: xor %ax, %ax; mov %ax, %ds; mov %ax, %ss; mov $0x7000, %sp\n" HANDLER(0x08) PIC_SETUP
             "mov $0xfe, %al; out %al, $0x21; mov $0x34, %al; out %al, $0x43; mov $0xa9, %al; out %al, $0x40; mov $4, %al; out %al, $0x40; sti\n"
             "1: hlt; cmpw $20, 0x500; jb 1b; mov $44, %al; out %al, $0xf4; 2: hlt; jmp 2b\n"
             "5: push %ax; incw 0x500; mov $0x20, %al; out %al, $0x20; pop %ax; iret");

static void pit_ticks(void)
{
    if (kvm_missing()) {
        return;
    }
    Bed *bed = bed_new(NULL, 1);
    bed_load(bed, ticks_start, ticks_end);
    int64_t start = g_get_monotonic_time();
    g_assert_cmpuint(bed_run(bed), ==, 44);
    g_assert_cmpint(g_get_monotonic_time() - start, >=, 18000);
    bed_free(bed);
}

/* x2APIC by MSRs, since real mode does not reach fee00000; vector 60h counts. */
#define X2APIC_ON "mov $0x1b, %ecx; rdmsr; or $0xc00, %eax; wrmsr; mov $0x80f, %ecx; mov $0x1ff, %eax; xor %edx, %edx; wrmsr\n"
#define EOI "mov $0x80b, %ecx; xor %eax, %eax; xor %edx, %edx; wrmsr\n"
GUEST(message, "9: xor %ax, %ax; mov %ax, %ds; mov %ax, %ss; mov $0x7000, %sp\n" HANDLER(0x60) X2APIC_ON
               "mov $1, %al; out %al, $0x80; sti\n"
               "1: hlt; cmpw $4, 0x500; jb 1b; mov $55, %al; out %al, $0xf4; 2: hlt; jmp 2b\n"
               "5: pushal; incw 0x500; " EOI "mov 0x500, %al; out %al, $0x80; popal; iret");

static void messages(const char *irqchip)
{
    if (kvm_missing()) {
        return;
    }
    Bed *bed = bed_new(irqchip, 1);
    int fd = eventfd(0, EFD_NONBLOCK);
    uint64_t one = 1;
    bed_load(bed, message_start, message_end);
    int gsi = kvm_add_irqfd(bed->accel, fd, -1, 0, 0xfee00000, 0x60);
    g_assert_cmpint(gsi, >=, 24);
    bed_start(bed);
    for (unsigned i = 1; i <= 2; i++) {
        g_assert_true(bed_wait(bed, &bed->posts, i));
        kvm_send_msi(bed->accel, 0xfee00000, 0x60);
    }
    for (unsigned i = 3; i <= 4; i++) {
        g_assert_true(bed_wait(bed, &bed->posts, i));
        g_assert_cmpint(write(fd, &one, 8), ==, 8);
    }
    g_assert_true(bed_wait(bed, &bed->ends, 1));
    bed_stop(bed);
    kvm_remove_irqfd(bed->accel, fd, gsi);
    close(fd);
    bed_free(bed);
}

static void messages_kernel(void) { messages("on"); }
static void messages_split(void) { messages("split"); }

/* An EOI of a level-triggered pin of the userspace IOAPIC comes out. */
static void split_tells_eoi(void)
{
    if (kvm_missing()) {
        return;
    }
    Bed *bed = bed_new("split", 1);
    bed_load(bed, message_start, message_end);
    kvm_set_ioapic_route(bed->accel, 9, 0xfee00000, 0xc060);       /* level, asserted, vector 60h */
    bed_start(bed);
    g_assert_true(bed_wait(bed, &bed->posts, 1));
    kvm_set_gsi(bed->accel, 9, true);
    g_assert_true(bed_wait(bed, &bed->posts, 2));
    for (unsigned i = 0; i < 1000 && __atomic_load_n(&bed->eoi_vector, __ATOMIC_SEQ_CST) < 0; i++) {
        g_usleep(1000);                    /* KVM tells at the next entry, which may come after the post */
    }
    bed_stop(bed);
    g_assert_cmpint(bed->eoi_vector, ==, 0x60);
    kvm_set_ioapic_route(bed->accel, 9, 0, 0);
    kvm_set_ioapic_route(bed->accel, 99, 0, 0);
    bed_free(bed);
}

/* A processor interrupt from outside the kernel: vector 0dh three times, from HLT and while it spins. */
GUEST(outside, "9: xor %ax, %ax; mov %ax, %ds; mov %ax, %ss; mov $0x7000, %sp\n" HANDLER(0x0d) HANDLER(0x02)
               "mov $1, %al; out %al, $0x80; sti; 1: hlt; cmpw $1, 0x500; jb 1b\n"
               "6: cmpw $2, 0x500; jb 6b; cli; mov $9, %al; out %al, $0x80; mov $30000, %cx; 7: loop 7b; cmpw $2, 0x500; jne 8f; sti\n"
               "3: cmpw $3, 0x500; jb 3b; mov $66, %al; out %al, $0xf4; 2: hlt; jmp 2b; 8: mov $1, %al; out %al, $0xf4; jmp 2b\n"
               "5: push %ax; incw 0x500; mov 0x500, %al; out %al, $0x80; pop %ax; iret");

static void userspace_interrupts(const char *irqchip)
{
    if (kvm_missing()) {
        return;
    }
    Bed *bed = bed_new(irqchip, 1);
    bed_load(bed, outside_start, outside_end);
    /* Split: the PIC comes through LINT0 in ExtINT mode, which a BIOS sets up and the reset state of a boot processor has. */
    bed_start(bed);
    static const unsigned after[3] = { 1, 2, 4 };
    for (unsigned i = 0; i < 3; i++) {
        g_assert_true(bed_wait(bed, &bed->posts, after[i]));
        if (i == 0) {
            g_usleep(20000);               /* let it halt */
        }
        __atomic_store_n(&bed->next_vector, 0x0d, __ATOMIC_SEQ_CST);
        cpu_set_intr(bed->cpu[0], true);
    }
    g_assert_true(bed_wait(bed, &bed->ends, 1));
    bed_stop(bed);
    g_assert_cmpuint(bed->end_value, ==, 66);
    bed_free(bed);
}

static void interrupts_off(void) { userspace_interrupts("off"); }
static void interrupts_split(void) { userspace_interrupts("split"); }

GUEST(nmis, "9: xor %ax, %ax; mov %ax, %ds; mov %ax, %ss; mov $0x7000, %sp\n" HANDLER(0x02)
            "mov $1, %al; out %al, $0x80; 1: hlt; cmpw $1, 0x500; jb 1b; mov $2, %al; out %al, $0x80; 6: cmpw $2, 0x500; jb 6b\n"
            "mov $22, %al; out %al, $0xf4; 2: hlt; jmp 2b; 5: incw 0x500; iret");

static void nmi(const char *irqchip)
{
    if (kvm_missing()) {
        return;
    }
    Bed *bed = bed_new(irqchip, 1);
    bed_load(bed, nmis_start, nmis_end);
    bed_start(bed);
    for (unsigned i = 1; i <= 2; i++) {
        g_assert_true(bed_wait(bed, &bed->posts, i));
        g_usleep(10000);
        cpu_nmi(bed->cpu[0]);
    }
    g_assert_true(bed_wait(bed, &bed->ends, 1));
    bed_stop(bed);
    bed_free(bed);
}

static void nmi_kernel(void) { nmi("on"); }
static void nmi_off(void) { nmi("off"); }

/* A halted guest without an in-kernel LAPIC costs no host time. */
GUEST(idle, "mov $1, %al; out %al, $0x80; sti; 1: hlt; jmp 1b");

static void halted_sleeps(void)
{
    if (kvm_missing()) {
        return;
    }
    Bed *bed = bed_new("off", 1);
    struct timespec before, after;
    clockid_t clock;
    bed_load(bed, idle_start, idle_end);
    bed_start(bed);
    g_assert_true(bed_wait(bed, &bed->posts, 1));
    g_usleep(10000);
    g_assert_true(cpu_is_halted(bed->cpu[0]));
    g_assert_cmpint(pthread_getcpuclockid(bed->cpu[0]->thread->thread, &clock), ==, 0);
    clock_gettime(clock, &before);
    g_usleep(50000);
    clock_gettime(clock, &after);
    g_assert_cmpint((after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec, <, 5000000);
    bed_stop(bed);
    bed_free(bed);
}

/* Two CPUs: the first wakes the second through the in-kernel LAPICs; the second's code lies at 8000h. */
#define ICR(low) "mov $0x830, %ecx; mov $1, %edx; mov $" #low ", %eax; wrmsr\n"
GUEST(first, X2APIC_ON "xor %ax, %ax; mov %ax, %ds; " ICR(0x4500) "mov $2000, %cx; 3: loop 3b; " ICR(0x4608)
             "1: cmpl $1000, 0x500; jb 1b; mov $88, %al; out %al, $0xf4; 2: hlt; jmp 2b");
GUEST(second, "xor %ax, %ax; mov %ax, %ds; 1: incl 0x500; jmp 1b");

static void second_cpu_starts(void)
{
    if (kvm_missing()) {
        return;
    }
    Bed *bed = bed_new(NULL, 2);
    g_autofree CpuState *state = g_new0(CpuState, 1);
    bed_load(bed, first_start, first_end);
    memcpy(bed_ram(bed, 0x8000), second_start, (size_t)(second_end - second_start));
    cpu_get_state(bed->cpu[1], state);
    g_assert_cmpint(state->activity, ==, CPU_WAIT_SIPI);
    for (unsigned round = 0; round < 2; round++) {
        bed->ends = 0;
        memset(bed_ram(bed, 0x500), 0, 4);
        g_assert_cmpuint(bed_run(bed), ==, 88);
        cpu_get_state(bed->cpu[1], state);
        g_assert_cmpint(state->activity, ==, CPU_RUNNABLE);
        g_assert_cmphex(state->segment[SEG_CS].base, ==, 0x8000);
        for (unsigned i = 0; i < 2; i++) {
            struct kvm_lapic_state lapic = { 0 };
            g_assert_cmpint(kvm_cpu_ioctl(bed->cpu[i], KVM_GET_LAPIC, &lapic), ==, 0);
            cpu_reset(bed->cpu[i]);
        }
    }
    bed_free(bed);
}

/* The same without in-kernel LAPICs: INIT and SIPI come from outside. */
GUEST(waiter, "xor %ax, %ax; mov %ax, %ds; 1: cmpl $1000, 0x500; jb 1b; mov $89, %al; out %al, $0xf4; 2: hlt; jmp 2b");

static void second_cpu_starts_from_outside(void)
{
    if (kvm_missing()) {
        return;
    }
    Bed *bed = bed_new("off", 2);
    g_autofree CpuState *state = g_new0(CpuState, 1);
    bed_load(bed, waiter_start, waiter_end);
    memcpy(bed_ram(bed, 0x8000), second_start, (size_t)(second_end - second_start));
    bed_start(bed);
    cpu_sipi(bed->cpu[0], 0x40);           /* it runs: ignored */
    cpu_init_signal(bed->cpu[1]);
    g_usleep(5000);
    g_assert_cmpuint(bed->ends, ==, 0);
    cpu_sipi(bed->cpu[1], 0x08);
    g_assert_true(bed_wait(bed, &bed->ends, 1));
    cpu_init_signal(bed->cpu[1]);          /* and down again */
    g_usleep(20000);
    bed_stop(bed);
    cpu_get_state(bed->cpu[1], state);
    g_assert_cmpint(state->activity, ==, CPU_WAIT_SIPI);
    g_assert_cmphex(state->rip, ==, 0xfff0);
    bed_free(bed);
}

/* Two CPUs run while the memory between changes: nobody may see the hole. */
static void slots_change_under_two_cpus(void)
{
    if (kvm_missing()) {
        return;
    }
    Bed *bed = bed_new("off", 2);
    Region window;
    region_init_alias(&window, "window", &bed->high, 0, 0x4000);
    region_add(&bed->memory_root, 0x10000, &window, 1);
    bed_load(bed, second_start, second_end);
    memcpy(bed_ram(bed, 0x8000), second_start, (size_t)(second_end - second_start));
    bed_start(bed);
    cpu_init_signal(bed->cpu[1]);
    cpu_sipi(bed->cpu[1], 0x08);
    for (unsigned i = 0; i < 60; i++) {
        machine_lock();
        region_set_enabled(&window, i & 1);
        machine_unlock();
        g_usleep(200);
    }
    bed_stop(bed);
    g_assert_cmpuint(bed->triple_faults + bed->internal_errors, ==, 0);
    g_assert_cmpuint(*(uint32_t *)(void *)bed_ram(bed, 0x500), >, 100);
    region_remove(&window);
    bed_free(bed);
    region_destroy(&window);
}

/* The guest's clock stands while the machine is paused. */
static void clock_stands_in_a_pause(void)
{
    if (kvm_missing()) {
        return;
    }
    Bed *bed = bed_new(NULL, 1);
    struct kvm_clock_data before = { 0 }, after = { 0 };
    bed_load(bed, idle_start, idle_end);
    bed_start(bed);
    g_assert_true(bed_wait(bed, &bed->posts, 1));
    bed_stop(bed);
    g_assert_cmpint(kvm_vm_ioctl(bed->accel, KVM_GET_CLOCK, &before), ==, 0);
    g_usleep(50000);
    bed_start(bed);
    g_usleep(1000);
    bed_stop(bed);
    g_assert_cmpint(kvm_vm_ioctl(bed->accel, KVM_GET_CLOCK, &after), ==, 0);
    g_assert_cmpint((int64_t)(after.clock - before.clock), <, 30000000);
    g_assert_cmpint((int64_t)(after.clock - before.clock), >=, 0);
    after.clock = 5000000000;
    g_assert_cmpint(kvm_vm_ioctl(bed->accel, KVM_SET_CLOCK, &after), ==, 0);
    bed_start(bed);
    bed_stop(bed);
    g_assert_cmpint(kvm_vm_ioctl(bed->accel, KVM_GET_CLOCK, &after), ==, 0);
    g_assert_cmpint((int64_t)after.clock, >=, 5000000000);
    g_assert_cmpint((int64_t)after.clock, <, 6000000000);
    bed_free(bed);
}

/* Refusals ------------------------------------------------------------------------------------------------------- */

static void expect_refusal(const char *key, const char *value, const char *part)
{
    g_autoptr(Value) list = value_new_list();
    Value *entry = value_new_object();
    GError *err = NULL;
    value_set(entry, "name", value_new_string("kvm"));
    value_set(entry, key, value_new_string(value));
    value_append(list, entry);
    g_assert_null(accel_new(list, NULL, NULL, NULL, &err));
    g_assert_nonnull(strstr(err->message, part));
    g_clear_error(&err);
}

static void options_are_checked(void)
{
    if (kvm_missing()) {
        return;
    }
    machine_lock();
    expect_refusal("kernel-irqchip", "maybe", "on, split or off");
    expect_refusal("warp-speed", "9", "warp-speed");
    machine_unlock();
}

static void models_are_made(void)
{
    if (kvm_missing()) {
        return;
    }
    static const char *const names[] = { "host", "max", "qemu64", "kvm64" };
    Bed *bed = bed_new(NULL, 1);
    GError *err = NULL;
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(Value) model = value_new_object();
        value_set(model, "model", value_new_string(names[i]));
        g_assert_nonnull(cpu_new(bed->accel, model, NULL, i + 1, i + 1, &err));
        g_assert_no_error(err);
    }
    g_autoptr(Value) wrong = value_new_object();
    value_set(wrong, "model", value_new_string("z80"));
    g_assert_null(cpu_new(bed->accel, wrong, NULL, 9, 9, &err));
    g_assert_nonnull(strstr(err->message, "z80"));
    g_clear_error(&err);
    g_assert_null(cpu_new(bed->accel, NULL, NULL, 1, 1, &err));          /* its APIC id is taken */
    g_assert_nonnull(strstr(err->message, "CPU 1"));
    g_clear_error(&err);
    bed_free(bed);
}

static void the_four_sentences(void)
{
    static const struct { int error; const char *part; } cases[] = {
        { ENOENT, "does not exist" }, { EACCES, "group 'kvm'" }, { EBUSY, "another hypervisor" }, { ENODEV, "no virtualization extension" },
        { EIO, "cannot be used" },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = kvm_explain_open("/dev/kvm", cases[i].error);
        g_assert_nonnull(strstr(text, cases[i].part));
        g_assert_null(strchr(text, '\n'));
    }
    char *why = NULL;
    g_assert_cmpint(kvm_open_device("/nonexistent/kvm", &why), ==, -1);
    g_assert_nonnull(strstr(why, "/nonexistent/kvm does not exist"));
    g_clear_pointer(&why, g_free);
    g_assert_cmpint(kvm_open_device("/dev/null", &why), ==, -1);
    g_assert_nonnull(strstr(why, "no virtualization extension"));
    g_clear_pointer(&why, g_free);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/kvm/the four sentences", the_four_sentences);
    g_test_add_func("/kvm/options are checked", options_are_checked);
    g_test_add_func("/kvm/CPU models are made", models_are_made);
    g_test_add_func("/kvm/line interrupts wake", line_interrupts_wake);
    g_test_add_func("/kvm/irqfd wakes", irqfd_wakes);
    g_test_add_func("/kvm/PIT ticks", pit_ticks);
    g_test_add_func("/kvm/messages, irqchip in the kernel", messages_kernel);
    g_test_add_func("/kvm/messages, split irqchip", messages_split);
    g_test_add_func("/kvm/split irqchip tells EOI", split_tells_eoi);
    g_test_add_func("/kvm/interrupts from outside, irqchip off", interrupts_off);
    g_test_add_func("/kvm/interrupts from outside, split irqchip", interrupts_split);
    g_test_add_func("/kvm/NMI, irqchip in the kernel", nmi_kernel);
    g_test_add_func("/kvm/NMI, irqchip off", nmi_off);
    g_test_add_func("/kvm/a halted guest sleeps", halted_sleeps);
    g_test_add_func("/kvm/a second CPU starts", second_cpu_starts);
    g_test_add_func("/kvm/a second CPU starts from outside", second_cpu_starts_from_outside);
    g_test_add_func("/kvm/slots change under two CPUs", slots_change_under_two_cpus);
    g_test_add_func("/kvm/the guest's clock stands in a pause", clock_stands_in_a_pause);
    return g_test_run();
}
