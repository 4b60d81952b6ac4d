/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * exits.c - what an exit costs: through Roost's accelerator, and through the smallest loop around KVM_RUN
 *
 * Two measurements, each for a byte written to a port and a long word read from a device register:
 *
 *   round trip   the guest really does it, 20000 times; wall and CPU time of the CPU's thread
 *   user space   KVM_RUN is replaced by a function that returns the same exit at once, so that only our own work is left: time per
 *                exit, allocations, and mutexes taken. "roost" minus "minimal" is what we add.
 *
 * Run it on a quiet host; the best of several rounds counts. Ends with status 77 (skipped) where /dev/kvm cannot be used.
 */
#include "accel/kvm/kvm-internal.h"
#include "base/lock.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { EXITS = 20000, FAKE_EXITS = 1000000, ROUNDS = 5, PORT = 0x300, DEVICE = 0xb0000, MEMORY = 0x100000 };
typedef enum { PIO, MMIO, KINDS } Kind;
static const char *const kind_names[KINDS] = { "port write", "register read" };

/* Counting what is allocated and locked ---------------------------------------------------------------------------- */

static __thread bool counting;
static __thread uint64_t allocations, locks;

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
void *malloc(size_t size)
{
    allocations += counting;
    return __libc_malloc(size);
}
void *calloc(size_t count, size_t size)
{
    allocations += counting;
    return __libc_calloc(count, size);
}

typedef int Locker(pthread_mutex_t *mutex);

/* Counted and passed on to the library's own. */
static int count_lock(Locker **real, const char *name, pthread_mutex_t *mutex)
{
    if (__builtin_expect(!*real, 0)) {
        *real = (Locker *)dlsym(RTLD_NEXT, name);
    }
    locks += counting;
    return (*real)(mutex);
}

int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    static Locker *real;
    return count_lock(&real, "pthread_mutex_lock", mutex);
}

int pthread_mutex_trylock(pthread_mutex_t *mutex)
{
    static Locker *real;
    return count_lock(&real, "pthread_mutex_trylock", mutex);
}

/* KVM_RUN, real or made up ----------------------------------------------------------------------------------------- */

static struct kvm_run *fake_run;           /* NULL: the real one */
static Kind fake_kind;
static uint64_t fake_left;

static int fake_exit(void)
{
    if (fake_left == 0) {
        errno = EINTR;
        return -1;
    }
    fake_left--;
    if (fake_kind == PIO) {
        fake_run->exit_reason = KVM_EXIT_IO;
        fake_run->io.direction = KVM_EXIT_IO_OUT;
        fake_run->io.size = 1;
        fake_run->io.port = PORT;
        fake_run->io.count = 1;
        fake_run->io.data_offset = 0x1000;
    } else {
        fake_run->exit_reason = KVM_EXIT_MMIO;
        fake_run->mmio.phys_addr = DEVICE;
        fake_run->mmio.len = 4;
        fake_run->mmio.is_write = 0;
    }
    return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    va_start(args, request);
    void *argument = va_arg(args, void *);
    va_end(args);
    if (request == KVM_RUN && fake_run) {
        return fake_exit();
    }
    return (int)syscall(SYS_ioctl, fd, request, argument);
}

static uint64_t now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

typedef struct Cost { double wall, cpu, allocations, locks; } Cost;      /* per exit; times in ns */
typedef struct Meter { uint64_t wall, cpu, allocations, locks; } Meter;

static Meter meter_start(void)
{
    counting = true;
    return (Meter){ now(CLOCK_MONOTONIC), now(CLOCK_THREAD_CPUTIME_ID), allocations, locks };
}

static void meter_stop(const Meter *m, uint64_t exits, Cost *best)
{
    double n = (double)exits, cpu = (double)(now(CLOCK_THREAD_CPUTIME_ID) - m->cpu) / n, wall = (double)(now(CLOCK_MONOTONIC) - m->wall) / n;
    counting = false;
    if (best->cpu == 0 || cpu < best->cpu) {
        *best = (Cost){ wall, cpu, (double)(allocations - m->allocations) / n, (double)(locks - m->locks) / n };
    }
}

/* Guests: real mode at 8000h, for ever. */
static const uint8_t guests[KINDS][32] = {
    [PIO] = { 0xba, 0x00, 0x03, 0xee, 0xeb, 0xfd },                                /* mov $300h,%dx; 1: out %al,%dx; jmp 1b */
    [MMIO] = { 0xb8, 0x00, 0xb0, 0x8e, 0xd8, 0x66, 0xa1, 0x00, 0x00, 0xeb, 0xfa }, /* mov $b000h,%ax; mov %ax,%ds; 1: mov 0,%eax; jmp 1b */
};

/* The smallest loop -------------------------------------------------------------------------------------------------- */

typedef struct Minimal { int system, vm, cpu; struct kvm_run *run; uint8_t *memory; } Minimal;

static volatile uint64_t sink;

static bool minimal_open(Minimal *m, Kind kind)
{
    struct kvm_userspace_memory_region region = { .memory_size = 0xa0000 };
    struct kvm_sregs sregs;
    struct kvm_regs regs = { .rip = 0x8000, .rflags = 2 };

    m->system = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    m->vm = ioctl(m->system, KVM_CREATE_VM, 0);
    ioctl(m->vm, KVM_CREATE_IRQCHIP, 0);   /* like Roost's machine, so that the kernel does the same work */
    ioctl(m->vm, KVM_CREATE_PIT2, &(struct kvm_pit_config){ .flags = KVM_PIT_SPEAKER_DUMMY });
    m->memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    region.userspace_addr = (uintptr_t)m->memory;
    m->cpu = ioctl(m->vm, KVM_CREATE_VCPU, 0);
    m->run = mmap(NULL, (size_t)ioctl(m->system, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE, MAP_SHARED, m->cpu, 0);
    if (m->cpu < 0 || m->run == MAP_FAILED || ioctl(m->vm, KVM_SET_USER_MEMORY_REGION, &region) < 0) {
        return false;
    }
    memcpy(m->memory + 0x8000, guests[kind], sizeof guests[kind]);
    ioctl(m->cpu, KVM_GET_SREGS, &sregs);
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    return ioctl(m->cpu, KVM_SET_SREGS, &sregs) == 0 && ioctl(m->cpu, KVM_SET_REGS, &regs) == 0;
}

static void minimal_close(Minimal *m)
{
    close(m->cpu);
    close(m->vm);
    close(m->system);
    munmap(m->memory, MEMORY);
}

static bool minimal_loop(Minimal *m, uint64_t exits)
{
    while (exits--) {
        if (ioctl(m->cpu, KVM_RUN, 0) < 0) {
            return false;
        }
        switch (m->run->exit_reason) {
        case KVM_EXIT_IO:
            sink = *((uint8_t *)m->run + m->run->io.data_offset);
            break;
        case KVM_EXIT_MMIO:
            memset(m->run->mmio.data, 0x5a, 4);
            break;
        default:
            return false;
        }
    }
    return true;
}

/* Roost's ------------------------------------------------------------------------------------------------------------ */

typedef struct Roost { Region memory_root, port_root, ram, device, port; AddressSpace *memory, *ports; Accel *accel; Cpu *cpu; } Roost;

static uint64_t left;                      /* exits until the device asks the CPU out */
static Cpu *the_cpu;

static inline void count_down(void)
{
    if (--left == 0) {
        cpu_kick(the_cpu);
    }
}
static uint64_t device_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque, (void)offset, (void)size;
    count_down();
    return 0x5a5a5a5a;
}
static void port_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)opaque, (void)offset, (void)size;
    sink = value;
    count_down();
}
static const RegionOps device_ops = { .read = device_read, .widths = WIDTH_32 }, port_ops = { .write = port_write, .widths = WIDTH_8 };

static void roost_open(Roost *r, Kind kind)
{
    g_autoptr(Value) list = value_new_list();
    Value *entry = value_new_object();
    GError *err = NULL;
    g_autofree CpuState *state = g_new0(CpuState, 1);

    region_init_container(&r->memory_root, "memory", UINT64_MAX);
    region_init_container(&r->port_root, "ports", 0x10000);
    if (!region_init_ram(&r->ram, "ram", 0xa0000, &err)) {
        g_error("%s", err->message);
    }
    region_init_io(&r->device, &device_ops, NULL, "device", 0x1000);
    region_init_io(&r->port, &port_ops, NULL, "port", 8);
    region_add(&r->memory_root, 0, &r->ram, 0);
    region_add(&r->memory_root, DEVICE, &r->device, 0);
    region_add(&r->port_root, PORT, &r->port, 0);
    r->memory = space_new("memory", &r->memory_root);
    r->ports = space_new("ports", &r->port_root);
    value_set(entry, "name", value_new_string("kvm"));
    value_append(list, entry);
    r->accel = accel_new(list, r->memory, r->ports, NULL, &err);
    r->cpu = r->accel ? cpu_new(r->accel, NULL, NULL, 0, 0, &err) : NULL;
    if (!r->cpu) {
        g_error("%s", err->message);
    }
    the_cpu = r->cpu;
    memcpy(region_host(&r->ram) + 0x8000, guests[kind], sizeof guests[kind]);
    cpu_get_state(r->cpu, state);
    state->segment[SEG_CS].base = state->segment[SEG_CS].selector = 0;
    state->rip = 0x8000;
    if (!cpu_set_state(r->cpu, state, &err)) {
        g_error("%s", err->message);
    }
    r->accel->ops->resuming(r->cpu);       /* as accel_resume() would: the memory goes to the kernel now */
}

static void roost_close(Roost *r)
{
    accel_free(r->accel);
    space_free(r->memory);
    space_free(r->ports);
    region_destroy(&r->memory_root);
    region_destroy(&r->port_root);
    region_destroy(&r->ram);
}

typedef struct Job { uint64_t exits; Cost *best; } Job;

/* On the CPU's own thread, as the loop of accel/vcpu.c would call it. */
static void roost_loop(Cpu *cpu, void *opaque)
{
    const Job *job = opaque;
    left = job->exits;
    Meter meter = meter_start();
    cpu->accel->ops->run(cpu);
    counting = false;
    if (left == 0) {                       /* else KVM gave up on the way, and said so: a row of zeros tells it */
        meter_stop(&meter, job->exits, job->best);
    }
}

/* ------------------------------------------------------------------------------------------------------------------- */

static bool measure_minimal(Kind kind, Cost *minimal, uint64_t exits, bool fake)
{
    Minimal m;
    bool good = minimal_open(&m, kind);

    for (unsigned round = 0; round < ROUNDS && good; round++) {
        fake_left = UINT64_MAX;
        fake_run = fake ? m.run : NULL;
        Meter meter = meter_start();
        good = minimal_loop(&m, exits);
        meter_stop(&meter, exits, minimal);
    }
    fake_run = NULL;
    minimal_close(&m);
    return good;
}

static void measure_roost(Kind kind, Cost *roost, uint64_t exits, bool fake)
{
    Roost r;

    roost_open(&r, kind);
    machine_unlock();
    for (unsigned round = 0; round < ROUNDS; round++) {
        /* The CPU is set up so that only its device ends the run: it leaves by a real KVM_RUN or the made-up end. */
        fake_left = exits;
        fake_run = fake ? ((KvmCpu *)r.cpu->data)->run : NULL;
        __atomic_store_n(&r.cpu->leave, false, __ATOMIC_SEQ_CST);
        cpu_run_on(r.cpu, roost_loop, &(Job){ exits, roost });
    }
    fake_run = NULL;
    machine_lock();
    roost_close(&r);
}

static bool measure(Kind kind, Cost *minimal, Cost *roost, bool fake)
{
    uint64_t exits = fake ? FAKE_EXITS : EXITS;

    fake_kind = kind;
    bool good = measure_minimal(kind, minimal, exits, fake);
    measure_roost(kind, roost, exits, fake);
    return good;
}

int main(void)
{
    char *why = NULL;

    if (!accel_usable("kvm", &why)) {
        printf("skipped: %s\n", why);
        return 77;
    }
    machine_lock();
    printf("| exit | minimal wall | roost wall | minimal CPU | roost CPU | user space: minimal | roost | **added** | allocations | locks |\n"
           "|---|---|---|---|---|---|---|---|---|---|\n");
    for (Kind kind = 0; kind < KINDS; kind++) {
        Cost minimal = { 0 }, roost = { 0 }, fake_minimal = { 0 }, fake_roost = { 0 };
        if (!measure(kind, &minimal, &roost, false) || !measure(kind, &fake_minimal, &fake_roost, true)) {
            printf("the guest for '%s' did not run\n", kind_names[kind]);
            return 1;
        }
        printf("| %s | %.0f ns | %.0f ns | %.0f ns | %.0f ns | %.1f ns | %.1f ns | **%.1f ns** | %.3f | %.3f |\n", kind_names[kind],
               minimal.wall, roost.wall, minimal.cpu, roost.cpu, fake_minimal.cpu, fake_roost.cpu, fake_roost.cpu - fake_minimal.cpu,
               fake_roost.allocations, fake_roost.locks);
    }
    machine_unlock();
    return 0;
}
