/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guests.c - ports, memory, faults, pauses and state of firmware-free guests under KVM
 */
#include "bed.h"
#include <linux/kvm.h>
#include <sys/eventfd.h>
#include <unistd.h>

GUEST(hello, "mov $'O', %al; out %al, $0xe9; mov $'K', %al; out %al, $0xe9; mov $42, %al; out %al, $0xf4; 1: hlt; jmp 1b");

static void says_ok(void)
{
    if (kvm_missing()) {
        return;
    }
    Bed *bed = bed_new(NULL, 1);
    bed_load(bed, hello_start, hello_end);
    g_assert_cmpuint(bed_run(bed), ==, 42);
    g_assert_cmpstr(bed->printed->str, ==, "OK");
    bed_free(bed);
}

static void reset_starts_again(void)
{
    if (kvm_missing()) {
        return;
    }
    Bed *bed = bed_new(NULL, 1);
    bed_load(bed, hello_start, hello_end);
    for (unsigned i = 0; i < 3; i++) {
        bed->ends = 0;
        g_assert_cmpuint(bed_run(bed), ==, 42);
        cpu_reset(bed->cpu[0]);
    }
    g_assert_cmpstr(bed->printed->str, ==, "OKOKOK");
    bed_free(bed);
}

/* Byte, word and long ports, string output from the ROM, string input to RAM. */
GUEST(ports, "xor %ax, %ax; mov %ax, %es; mov %cs, %ax; mov %ax, %ds\n"
             "mov $(3f - ports_start), %si; mov $5, %cx; mov $0xe9, %dx; cld; rep outsb\n"
             "mov $0x80, %dx; mov $7, %eax; out %eax, %dx\n"
             "mov $0x500, %di; mov $4, %cx; rep insw\n"
             "mov %es:0x506, %ax; out %ax, $0xf4; 1: hlt; jmp 1b\n"
             "3: .ascii \"hello\"");

static void port_widths(void)
{
    if (kvm_missing()) {
        return;
    }
    Bed *bed = bed_new(NULL, 1);
    bed_load(bed, ports_start, ports_end);
    g_assert_cmpuint(bed_run(bed), ==, 10);
    g_assert_cmpstr(bed->printed->str, ==, "hello");
    g_assert_cmpuint(bed->posts, ==, 1);
    bed_free(bed);
}

/* A device at b0000, writes to ROM, an access across the end of RAM into the device's hole. */
typedef struct Device { Region region; uint64_t last; GString *log; } Device;
static uint64_t device_read(void *opaque, uint64_t offset, unsigned size)
{
    g_string_append_printf(((Device *)opaque)->log, "r%u@%u ", size, (unsigned)offset);
    return 0x8877665544332211 >> (offset * 8);
}
static void device_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    g_string_append_printf(((Device *)opaque)->log, "w%u@%u=%x ", size, (unsigned)offset, (unsigned)value);
}
static const RegionOps device_ops = { .read = device_read, .write = device_write, .widths = WIDTH_8_16_32 };

GUEST(registers, "mov $0xb000, %ax; mov %ax, %ds\n"
                 "movl $0x12345678, 4; movw $0xabcd, 2; movb $0x5a, 1\n"
                 "mov 0, %eax; mov %eax, %ebx; mov 6, %cx; movw 3, %dx\n"
                 "mov $0xf000, %ax; mov %ax, %ds; movl $0, 0; movl 0, %eax\n"     /* into the ROM: dropped */
                 "xor %ax, %ax; mov %ax, %ds; mov %ebx, 0x500; mov %cx, 0x504; mov %dx, 0x506; mov 0x10000-0x10000, %ax\n"
                 "mov $1, %al; out %al, $0xf4; 1: hlt; jmp 1b");

static void device_registers(void)
{
    if (kvm_missing()) {
        return;
    }
    Bed *bed = bed_new(NULL, 1);
    Device device = { .log = g_string_new(NULL) };
    region_init_io(&device.region, &device_ops, &device, "device", 0x1000);
    region_add(&bed->memory_root, 0xb0000, &device.region, 0);
    bed_load(bed, registers_start, registers_end);
    uint32_t before;
    memcpy(&before, region_host(&bed->rom), 4);
    g_assert_cmpuint(bed_run(bed), ==, 1);
    g_assert_cmpmem(region_host(&bed->rom), 4, &before, 4);
    g_assert_cmpstr(device.log->str, ==, "w4@4=12345678 w2@2=abcd w1@1=5a r4@0 r2@6 r1@3 r1@4 ");
    uint32_t values[2];
    memcpy(values, bed_ram(bed, 0x500), 8);
    g_assert_cmphex(values[0], ==, 0x44332211);
    g_assert_cmphex(values[1], ==, 0x55448877);
    region_remove(&device.region);
    bed_free(bed);
    region_destroy(&device.region);
    g_string_free(device.log, TRUE);
}

/* Counts in RAM for ever. */
GUEST(spin, "xor %ax, %ax; mov %ax, %ds; 1: incl 0x500; jmp 1b");

static uint32_t counter(Bed *bed)
{
    return __atomic_load_n((uint32_t *)bed_ram(bed, 0x500), __ATOMIC_RELAXED);
}

static void wait_for_count(Bed *bed, uint32_t above)
{
    for (unsigned i = 0; counter(bed) <= above; i++) {
        g_assert_cmpuint(i, <, 5000);
        g_usleep(1000);
    }
}

static void pause_and_resume(void)
{
    if (kvm_missing()) {
        return;
    }
    Bed *bed = bed_new(NULL, 1);
    bed_load(bed, spin_start, spin_end);
    for (unsigned round = 0; round < 20; round++) {
        uint32_t before = counter(bed);
        bed_start(bed);
        wait_for_count(bed, before);
        bed_stop(bed);
        before = counter(bed);
        g_usleep(2000);
        g_assert_cmpuint(counter(bed), ==, before);
    }
    bed_free(bed);
}

static void kick_of_a_spinning_guest(void)
{
    if (kvm_missing()) {
        return;
    }
    Bed *bed = bed_new(NULL, 1);
    bed_load(bed, spin_start, spin_end);
    bed_start(bed);
    wait_for_count(bed, 0);
    int64_t worst = 0, sum = 0;
    for (unsigned i = 0; i < 200; i++) {
        g_autofree CpuState *state = g_new0(CpuState, 1);
        int64_t start = g_get_monotonic_time();
        g_autofree char *text = cpu_describe(bed->cpu[0]);
        int64_t took = g_get_monotonic_time() - start;
        worst = MAX(worst, took);
        sum += took;
        g_assert_nonnull(strstr(text, "CS =f000"));
    }
    g_test_message("registers of a spinning guest: mean %d us, worst %d us", (int)(sum / 200), (int)worst);
    uint32_t before = counter(bed);
    wait_for_count(bed, before);           /* it goes on */
    g_assert_cmpint(sum / 200, <, 20000);
    bed_stop(bed);
    bed_free(bed);
}

/* Protected mode and a division by zero, with an interrupt table of no entries. */
GUEST(fault, "mov %cs, %ax; mov %ax, %ds; lidt 3f - fault_start; mov %cr0, %eax; or $1, %al; mov %eax, %cr0; xor %cx, %cx; div %cx; 1: hlt; jmp 1b; 3: .word 0; .long 0");

static void triple_fault(void)
{
    if (kvm_missing()) {
        return;
    }
    Bed *bed = bed_new(NULL, 1);
    bed_load(bed, fault_start, fault_end);
    bed_start(bed);
    g_assert_true(bed_wait(bed, &bed->triple_faults, 1));
    bed_stop(bed);
    bed_start(bed);                        /* it stays down until a reset, and tells only once */
    g_usleep(20000);
    bed_stop(bed);
    g_assert_cmpuint(bed->triple_faults, ==, 1);
    bed_load(bed, hello_start, hello_end);
    cpu_reset(bed->cpu[0]);
    g_assert_cmpuint(bed_run(bed), ==, 42);
    bed_free(bed);
}

/* PXOR is what a KVM without hardware cannot emulate at CPL 0. */
GUEST(media, "mov %cr0, %eax; and $~6, %eax; mov %eax, %cr0; mov %cr4, %eax; or $0x200, %eax; mov %eax, %cr4\n"
             "pxor %xmm1, %xmm0; mov $3, %al; out %al, $0xf4; 1: hlt; jmp 1b");

static void internal_error(void)
{
    if (kvm_missing()) {
        return;
    }
    if (host_runs_all_code()) {
        g_test_skip("this host's KVM runs every instruction");
        return;
    }
    Bed *bed = bed_new(NULL, 1);
    bed_load(bed, media_start, media_end);
    bed_start(bed);
    g_assert_true(bed_wait(bed, &bed->internal_errors, 1));
    bed_stop(bed);
    g_test_message("%s", bed->sentence);
    g_assert_nonnull(strstr(bed->sentence, "66 0f ef c1"));
    bed_start(bed);                        /* does not spin on it */
    g_usleep(20000);
    bed_stop(bed);
    g_assert_cmpuint(bed->internal_errors, ==, 1);
    bed_free(bed);
}

/* Writes one byte to each of the pages 20h to 2fh, and twice to the first. */
GUEST(writer, "2: mov $0x2000, %ax; mov $16, %cx; 1: mov %ax, %ds; movb $1, 8; add $0x100, %ax; loop 1b\n"
              "mov $5, %al; out %al, $0xf4; hlt; jmp 2b");

static void dirty_log(void)
{
    if (kvm_missing()) {
        return;
    }
    Bed *bed = bed_new(NULL, 1);
    RamBlock *ram = bed->low.ram;
    bed_load(bed, writer_start, writer_end);
    g_assert_true(ram_dirty_log(ram, DIRTY_MIGRATION, true, NULL));
    for (unsigned round = 0; round < 2; round++) {
        bed->ends = 0;
        g_assert_cmpuint(bed_run(bed), ==, 5);
        ram_dirty_sync(ram);
        for (uint64_t page = 0; page < 0xa0; page++) {
            g_assert_true(ram_dirty_test_and_clear(ram, DIRTY_MIGRATION, page << 12, 4096) == (page >= 0x20 && page < 0x30));
        }
        cpu_reset(bed->cpu[0]);
    }
    /* A slot that goes away gives its log first. */
    bed->ends = 0;
    g_assert_cmpuint(bed_run(bed), ==, 5);
    region_set_enabled(&bed->low, false);
    bed_start(bed);
    bed_stop(bed);
    g_assert_true(ram_dirty_test_and_clear(ram, DIRTY_MIGRATION, 0x2f000, 4096));
    g_assert_true(ram_dirty_log(ram, DIRTY_MIGRATION, false, NULL));
    bed_free(bed);
}

/* Registers hold what the second machine must find; the value comes out after the move. */
GUEST(mover, "xor %ax, %ax; mov %ax, %ds; mov $0x11223344, %ebx; mov $0x55667788, %esi; mov $0x7000, %sp; push %bx\n"
             "fninit; mov $9, %al; out %al, $0x80; 1: cmpb $0, 0x600; je 1b\n"
             "pop %cx; cmp $0x3344, %cx; jne 2f; cmp $0x11223344, %ebx; jne 2f; cmp $0x55667788, %esi; jne 2f\n"
             "mov $77, %al; out %al, $0xf4; 2: hlt; jmp 2b");

static void state_moves_to_another_machine(void)
{
    if (kvm_missing()) {
        return;
    }
    Bed *bed = bed_new(NULL, 1);
    g_autofree CpuState *state = g_new0(CpuState, 1);
    g_autofree CpuState *copy = g_new0(CpuState, 1);
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    GError *err = NULL;

    bed_load(bed, mover_start, mover_end);
    bed_start(bed);
    g_assert_true(bed_wait(bed, &bed->posts, 1));
    bed_stop(bed);
    cpu_get_state(bed->cpu[0], state);
    g_assert_cmphex(state->gpr[GPR_RSI], ==, 0x55667788);
    g_assert_cmphex(state->segment[SEG_CS].base, ==, 0xf0000);
    fields_save(cpu_state_saved, state, bytes);
    g_autofree uint8_t *ram = g_memdup2(bed_ram(bed, 0), 0xa0000);
    bed_free(bed);

    bed = bed_new(NULL, 1);
    bed_load(bed, mover_start, mover_end);
    memcpy(bed_ram(bed, 0), ram, 0xa0000);
    const uint8_t *at = bytes->data;
    size_t left = bytes->len;
    g_assert_true(fields_load(cpu_state_saved, copy, "cpu", &at, &left, &err));
    g_assert_true(cpu_set_state(bed->cpu[0], copy, &err));
    g_assert_no_error(err);
    cpu_get_state(bed->cpu[0], state);
    state->tsc = copy->tsc;                /* goes on */
    g_assert_cmpmem(state->gpr, sizeof state->gpr, copy->gpr, sizeof copy->gpr);
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        g_assert_cmphex(state->segment[i].selector, ==, copy->segment[i].selector);
        g_assert_cmphex(state->segment[i].base, ==, copy->segment[i].base);
        g_assert_cmphex(state->segment[i].limit, ==, copy->segment[i].limit);
        g_assert_cmphex(state->segment[i].attributes, ==, copy->segment[i].attributes);
    }
    g_assert_cmpmem(state->xsave, 416, copy->xsave, 416);
    g_assert_cmphex(state->pat, ==, copy->pat);
    g_assert_cmphex(state->dr6, ==, copy->dr6);
    *bed_ram(bed, 0x600) = 1;
    g_assert_cmpuint(bed_run(bed), ==, 77);
    bed_free(bed);
}

/* What CpuState can hold goes in and comes out. */
static void state_round_trip(void)
{
    if (kvm_missing()) {
        return;
    }
    Bed *bed = bed_new(NULL, 1);
    g_autofree CpuState *in = g_new0(CpuState, 1);
    g_autofree CpuState *out = g_new0(CpuState, 1);
    GError *err = NULL;

    cpu_get_state(bed->cpu[0], in);
    g_assert_cmphex(in->rip, ==, 0xfff0);
    g_assert_cmphex(in->segment[SEG_CS].base, ==, 0xffff0000);
    g_assert_cmphex(in->gpr[GPR_RDX], ==, 0x60fb1);
    g_assert_cmpint(in->activity, ==, CPU_RUNNABLE);
    for (unsigned i = 0; i < 16; i++) {
        in->gpr[i] = 0x0101010101010101 * (i + 1);
    }
    in->rflags = 0x246;
    in->segment[SEG_FS].base = 0x12345;
    in->dr[2] = 0x4321;
    in->star = 0x23001000000000;
    in->sysenter_eip = 0xc0ffee;
    in->pat = 0x0007010600070106;
    in->mtrr_def_type = 0xc06;
    in->mtrr_fixed[3] = 0x0606060606060606;
    in->nmi_masked = true;
    in->interrupt_shadow = true;
    in->activity = CPU_HALTED;
    memset(in->xsave + 160, 0x5a, 128);    /* XMM0 to XMM7 */
    in->xsave[512] = 3;
    g_assert_true(cpu_set_state(bed->cpu[0], in, &err));
    g_assert_no_error(err);
    cpu_get_state(bed->cpu[0], out);
    g_assert_cmpmem(in->gpr, sizeof in->gpr, out->gpr, sizeof out->gpr);
    g_assert_cmphex(out->rflags, ==, 0x246);
    g_assert_cmphex(out->segment[SEG_FS].base, ==, 0x12345);
    g_assert_cmphex(out->dr[2], ==, 0x4321);
    g_assert_cmphex(out->star, ==, in->star);
    g_assert_cmphex(out->sysenter_eip, ==, 0xc0ffee);
    g_assert_cmphex(out->pat, ==, in->pat);
    g_assert_cmphex(out->mtrr_def_type, ==, 0xc06);
    g_assert_cmphex(out->mtrr_fixed[3], ==, in->mtrr_fixed[3]);
    g_assert_true(out->nmi_masked && out->interrupt_shadow);
    g_assert_cmpint(out->activity, ==, CPU_HALTED);
    g_assert_true(cpu_is_halted(bed->cpu[0]));
    g_assert_cmpmem(in->xsave + 160, 128, out->xsave + 160, 128);
    g_assert_cmpuint(cpu_tsc_khz(bed->cpu[0]), >, 100000);
    in->cr0 = 0x80000000;                  /* paging without protection: no processor has this */
    g_assert_false(cpu_set_state(bed->cpu[0], in, &err));
    g_assert_nonnull(strstr(err->message, "special registers"));
    g_clear_error(&err);
    bed_free(bed);
}

/* Doorbells ring without an exit. */
GUEST(bells, "mov $0xb000, %ax; mov %ax, %ds; mov $100, %cx; mov $0x300, %dx; 1: out %al, %dx; movw $7, 0x10; movw $8, 0x10; loop 1b\n"
             "mov $6, %al; out %al, $0xf4; 2: hlt; jmp 2b");

static void ioeventfd_rings(void)
{
    if (kvm_missing()) {
        return;
    }
    Bed *bed = bed_new(NULL, 1);
    int port_bell = eventfd(0, EFD_NONBLOCK), memory_bell = eventfd(0, EFD_NONBLOCK);
    GError *err = NULL;
    uint64_t count = 0;

    g_assert_true(accel_add_doorbell(bed->accel, bed->ports, 0x300, 0, false, 0, port_bell, &err));
    g_assert_true(accel_add_doorbell(bed->accel, bed->memory, 0xb0010, 2, true, 7, memory_bell, &err));
    g_assert_false(accel_add_doorbell(bed->accel, bed->memory, 0xb0010, 3, true, 7, memory_bell, &err));
    g_clear_error(&err);
    bed_load(bed, bells_start, bells_end);
    g_assert_cmpuint(bed_run(bed), ==, 6);
    g_assert_cmpint(read(port_bell, &count, 8), ==, 8);
    g_assert_cmpuint(count, ==, 100);
    g_assert_cmpint(read(memory_bell, &count, 8), ==, 8);
    g_assert_cmpuint(count, ==, 100);
    accel_remove_doorbell(bed->accel, bed->ports, 0x300, 0, false, 0, port_bell);
    accel_remove_doorbell(bed->accel, bed->memory, 0xb0010, 2, true, 7, memory_bell);
    cpu_reset(bed->cpu[0]);
    bed->ends = 0;
    g_assert_cmpuint(bed_run(bed), ==, 6);
    g_assert_cmpint(read(port_bell, &count, 8), ==, -1);
    bed_free(bed);
    close(port_bell);
    close(memory_bell);
}

/* Native code at CPL 3 in long mode: page tables and descriptors are made here, the guest does ports and vectors there. */
GUEST64(user, "mov $0x1122334455667788, %rbx; mov $1000000, %ecx; 1: add %rbx, %rax; dec %ecx; jnz 1b\n"
              "movq %rbx, %xmm3; movq %xmm3, %r9; cmp %rbx, %r9; jne 2f\n"
              "movl $0x77, 0xb0000; mov 0xb0004, %edx; mov $0x80, %dx; in %dx, %al\n"
              "mov $99, %al; out %al, $0xf4; 2: jmp 2b");

static void native_code_at_cpl3(void)
{
    if (kvm_missing()) {
        return;
    }
    Bed *bed = bed_new(NULL, 1);
    Device device = { .log = g_string_new(NULL) };
    g_autofree CpuState *state = g_new0(CpuState, 1);
    GError *err = NULL;

    region_init_io(&device.region, &device_ops, &device, "device", 0x1000);
    region_add(&bed->memory_root, 0xb0000, &device.region, 0);
    memcpy(bed_ram(bed, 0x8000), user_start, (size_t)(user_end - user_start));
    uint64_t *tables = (uint64_t *)bed_ram(bed, 0x1000);
    tables[0] = 0x2007, tables[512] = 0x3007, tables[1024] = 0x87;      /* PML4, PDPT, one 2 MiB page: present, writable, user */
    cpu_get_state(bed->cpu[0], state);
    state->cr0 = 0x80000011, state->cr4 = 0x220, state->cr3 = 0x1000, state->efer = 0x501;
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        state->segment[i] = (CpuSegment){ .selector = 0x23, .attributes = ATTR_G | ATTR_DB | ATTR_P | ATTR_S | 0x60 | 3, .limit = UINT32_MAX };
    }
    state->segment[SEG_CS] = (CpuSegment){ .selector = 0x2b, .attributes = ATTR_G | ATTR_L | ATTR_P | ATTR_S | 0x60 | 0xb, .limit = UINT32_MAX };
    state->rip = 0x8000, state->gpr[GPR_RSP] = 0x7000, state->rflags = 0x3002;       /* IOPL 3 */
    g_assert_true(cpu_set_state(bed->cpu[0], state, &err));
    g_assert_no_error(err);
    g_assert_cmpuint(bed_run(bed), ==, 99);
    g_assert_cmpstr(device.log->str, ==, "w4@0=77 r4@4 ");
    region_remove(&device.region);
    bed_free(bed);
    region_destroy(&device.region);
    g_string_free(device.log, TRUE);
}

/* Reads and writes RAM in the range next to the one that changes all the time. */
GUEST(walker, "mov $0x1000, %ax; mov %ax, %ds; 1: incl 0x10; mov 0x10, %eax; cmp 0x10, %eax; jne 2f; jmp 1b\n"
              "2: mov $1, %al; out %al, $0xf4; 3: hlt; jmp 3b");

static void slots_change_under_running_cpus(void)
{
    if (kvm_missing()) {
        return;
    }
    Bed *bed = bed_new(NULL, 1);
    Region window;
    region_init_alias(&window, "window", &bed->high, 0, 0x4000);
    region_add(&bed->memory_root, 0x8000, &window, 1);       /* splits the slot that the guest uses */
    bed_load(bed, walker_start, walker_end);
    bed_start(bed);
    for (unsigned i = 0; i < 100; i++) {
        machine_lock();
        region_set_enabled(&window, i & 1);
        if (i % 3 == 0) {
            region_set_readonly(&window, !window.readonly);
        }
        machine_unlock();
    }
    uint32_t before;
    memcpy(&before, bed_ram(bed, 0x10010), 4);
    for (unsigned i = 0; i < 5000; i++) {
        uint32_t now = __atomic_load_n((uint32_t *)bed_ram(bed, 0x10010), __ATOMIC_RELAXED);
        if (now > before) {
            break;
        }
        g_assert_cmpuint(i, <, 4999);
        g_usleep(1000);
    }
    bed_stop(bed);
    g_assert_cmpuint(bed->ends + bed->triple_faults + bed->internal_errors, ==, 0);
    region_remove(&window);
    bed_free(bed);
    region_destroy(&window);
}

/* Code in a range that KVM gives no slot, since it is not aligned to pages, is reached as data all the same. */
static void odd_ranges_are_reached_slowly(void)
{
    if (kvm_missing()) {
        return;
    }
    Bed *bed = bed_new(NULL, 1);
    Region odd;
    g_assert_true(region_init_ram(&odd, "odd", 0x1000, NULL));
    odd.size = 0x800;
    region_add(&bed->memory_root, 0xb0000, &odd, 0);
    bed_load(bed, registers_start, registers_end);
    g_assert_cmpuint(bed_run(bed), ==, 1);
    g_assert_cmphex(*(uint32_t *)(void *)(region_host(&odd) + 4), ==, 0x12345678);
    region_remove(&odd);
    bed_free(bed);
    region_destroy(&odd);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/kvm/guest says OK and ends", says_ok);
    g_test_add_func("/kvm/reset starts again", reset_starts_again);
    g_test_add_func("/kvm/ports of all widths and strings", port_widths);
    g_test_add_func("/kvm/device registers and read-only slot", device_registers);
    g_test_add_func("/kvm/pause and resume", pause_and_resume);
    g_test_add_func("/kvm/kick of a spinning guest", kick_of_a_spinning_guest);
    g_test_add_func("/kvm/triple fault is told once", triple_fault);
    g_test_add_func("/kvm/internal error names the bytes", internal_error);
    g_test_add_func("/kvm/dirty log", dirty_log);
    g_test_add_func("/kvm/state moves to another machine", state_moves_to_another_machine);
    g_test_add_func("/kvm/state goes in and comes out", state_round_trip);
    g_test_add_func("/kvm/ioeventfd rings", ioeventfd_rings);
    g_test_add_func("/kvm/native code at CPL 3", native_code_at_cpl3);
    g_test_add_func("/kvm/slots change under running CPUs", slots_change_under_running_cpus);
    g_test_add_func("/kvm/odd ranges are reached slowly", odd_ranges_are_reached_slowly);
    return g_test_run();
}
