/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bed.c - see bed.h */
#include "bed.h"
#include <cpuid.h>
#include <time.h>
#include <unistd.h>

enum { LOW = 0xa0000, HIGH = 0x300000, ROM = 0x10000 };

static void note(Bed *bed, unsigned *counter)
{
    pthread_mutex_lock(&bed->mutex);
    ++*counter;
    pthread_cond_broadcast(&bed->change);
    pthread_mutex_unlock(&bed->mutex);
}

static void print(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)offset, (void)size;
    g_string_append_c(((Bed *)opaque)->printed, (char)value);
}
static void end(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Bed *bed = opaque;
    (void)offset, (void)size;
    bed->end_value = (uint32_t)value;
    note(bed, &bed->ends);
}
static void post(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Bed *bed = opaque;
    (void)offset, (void)size;
    bed->post_value = (uint32_t)value;
    note(bed, &bed->posts);
}
static uint64_t post_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)offset, (void)size;
    return ((Bed *)opaque)->post_value++;
}
static const RegionOps print_ops = { .write = print, .widths = WIDTH_8 };
static const RegionOps end_ops = { .write = end, .widths = WIDTH_8_16_32, .unaligned = true };
static const RegionOps post_ops = { .read = post_read, .write = post, .widths = WIDTH_8_16_32 };

static void on_triple_fault(void *opaque, Cpu *cpu)
{
    Bed *bed = opaque;
    (void)cpu;
    note(bed, &bed->triple_faults);
}
static void on_internal_error(void *opaque, Cpu *cpu, const char *sentence)
{
    Bed *bed = opaque;
    (void)cpu;
    g_free(bed->sentence);
    bed->sentence = g_strdup(sentence);
    note(bed, &bed->internal_errors);
}
static int on_pic_acknowledge(void *opaque)
{
    Bed *bed = opaque;
    int vector = __atomic_exchange_n(&bed->next_vector, -1, __ATOMIC_SEQ_CST);
    cpu_set_intr(bed->cpu[0], false);
    return vector;
}
static void on_ioapic_eoi(void *opaque, uint8_t vector)
{
    __atomic_store_n(&((Bed *)opaque)->eoi_vector, vector, __ATOMIC_SEQ_CST);
}

static Accel *open_kvm(Bed *bed, const char *irqchip)
{
    g_autoptr(Value) list = value_new_list();
    Value *entry = value_new_object();
    GError *err = NULL;
    value_set(entry, "name", value_new_string("kvm"));
    if (irqchip) {
        value_set(entry, "kernel-irqchip", value_new_string(irqchip));
    }
    value_append(list, entry);
    Accel *accel = accel_new(list, bed->memory, bed->ports,
                             &(AccelHost){ .opaque = bed, .triple_fault = on_triple_fault, .internal_error = on_internal_error,
                                           .pic_acknowledge = on_pic_acknowledge, .ioapic_eoi = on_ioapic_eoi }, &err);
    g_assert_no_error(err);
    return accel;
}

Bed *bed_new(const char *irqchip, unsigned cpus)
{
    Bed *bed = g_new0(Bed, 1);
    GError *err = NULL;

    alarm(60);                             /* nothing here may hang */
    machine_lock();
    pthread_mutex_init(&bed->mutex, NULL);
    pthread_cond_init(&bed->change, NULL);
    bed->printed = g_string_new(NULL);
    bed->next_vector = -1;
    bed->eoi_vector = -1;
    region_init_container(&bed->memory_root, "memory", UINT64_MAX);
    region_init_container(&bed->port_root, "ports", 0x10000);
    g_assert_true(region_init_ram(&bed->low, "low", LOW, NULL));
    g_assert_true(region_init_ram(&bed->high, "high", HIGH, NULL));
    g_assert_true(region_init_rom(&bed->rom, "rom", ROM, NULL));
    region_init_alias(&bed->rom_top, "rom-top", &bed->rom, 0, ROM);
    region_init_io(&bed->print, &print_ops, bed, "print", 1);
    region_init_io(&bed->end, &end_ops, bed, "end", 4);
    region_init_io(&bed->post, &post_ops, bed, "post", 4);
    region_begin();
    region_add(&bed->memory_root, 0, &bed->low, 0);
    region_add(&bed->memory_root, 0x100000, &bed->high, 0);
    region_add(&bed->memory_root, 0xf0000, &bed->rom, 0);
    region_add(&bed->memory_root, 0xffff0000, &bed->rom_top, 0);
    region_add(&bed->port_root, 0xe9, &bed->print, 0);
    region_add(&bed->port_root, 0xf4, &bed->end, 0);
    region_add(&bed->port_root, 0x80, &bed->post, 0);
    region_commit();
    bed->memory = space_new("memory", &bed->memory_root);
    bed->ports = space_new("ports", &bed->port_root);
    bed->accel = open_kvm(bed, irqchip);
    for (unsigned i = 0; i < cpus; i++) {
        bed->cpu[i] = cpu_new(bed->accel, NULL, NULL, i, i, &err);
        g_assert_no_error(err);
    }
    return bed;
}

void bed_free(Bed *bed)
{
    accel_free(bed->accel);
    space_free(bed->memory);
    space_free(bed->ports);
    region_destroy(&bed->memory_root);
    region_destroy(&bed->port_root);
    region_destroy(&bed->low);
    region_destroy(&bed->high);
    region_destroy(&bed->rom);
    machine_unlock();
    pthread_cond_destroy(&bed->change);
    pthread_mutex_destroy(&bed->mutex);
    g_string_free(bed->printed, TRUE);
    g_free(bed->sentence);
    g_free(bed);
    alarm(0);
}

void bed_load(Bed *bed, const void *start, const void *stop)
{
    static const uint8_t reset_vector[5] = { 0xea, 0, 0, 0, 0xf0 };       /* jmp f000:0000 */
    memcpy(region_host(&bed->rom), start, (size_t)((const uint8_t *)stop - (const uint8_t *)start));
    memcpy(region_host(&bed->rom) + 0xfff0, reset_vector, sizeof reset_vector);
}

void bed_start(Bed *bed)
{
    accel_resume(bed->accel);
    machine_unlock();
}

void bed_stop(Bed *bed)
{
    machine_lock();
    accel_pause(bed->accel);
}

bool bed_wait(Bed *bed, const unsigned *counter, unsigned wanted)
{
    struct timespec until;
    bool reached;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 5;
    pthread_mutex_lock(&bed->mutex);
    while (!(reached = *counter >= wanted) && pthread_cond_timedwait(&bed->change, &bed->mutex, &until) == 0) {
    }
    pthread_mutex_unlock(&bed->mutex);
    return reached;
}

uint32_t bed_run(Bed *bed)
{
    bed_start(bed);
    bool ended = bed_wait(bed, &bed->ends, 1);
    bed_stop(bed);
    if (!ended) {
        g_autofree char *registers = cpu_describe(bed->cpu[0]);
        g_test_message("no end; printed '%s', %u triple faults, %s\n%s", bed->printed->str, bed->triple_faults,
                       bed->sentence ? bed->sentence : "no internal error", registers);
    }
    g_assert_true(ended);
    return bed->end_value;
}

uint8_t *bed_ram(Bed *bed, uint64_t address)
{
    return region_host(&bed->low) + address;
}

bool kvm_missing(void)
{
    char *why = NULL;
    if (accel_usable("kvm", &why)) {
        return false;
    }
    g_test_skip(why);
    g_free(why);
    return true;
}

bool host_runs_all_code(void)
{
    unsigned a, b, c, d;
    return (__get_cpuid(1, &a, &b, &c, &d) && (c & 1u << 5)) || (__get_cpuid(0x80000001, &a, &b, &c, &d) && (c & 4));
}
