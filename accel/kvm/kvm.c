/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvm.c - the KVM accelerator: opening it, its VM, its CPUs, and the doors for hw/
 *
 * Everything KVM refuses is answered: at start by a sentence for the person, later by AccelHost.internal_error.
 *
 * Threads  machine lock held, except kvm_inhibit's other side in vcpu.c and the calls that kvm.h marks
 * Tests    tests/kvm
 */
#include "accel/kvm/kvm-internal.h"
#include "base/error.h"
#include "base/lock.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Pages that Intel processors without unrestricted guests need inside the guest's space; QEMU's place, which e820 reserves. */
enum { API_VERSION = 12 };
#define IDENTITY_MAP UINT64_C(0xfeffc000)
#define TSS_ADDRESS  UINT64_C(0xfeffd000)

int kvm_ioctl(int fd, unsigned long request, void *argument)
{
    int result;
    do {
        result = ioctl(fd, request, argument);
    } while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : result;
}

/* Is it there? ------------------------------------------------------------------------------------------------- */

char *kvm_explain_open(const char *path, int error)
{
    switch (error) {
    case ENOENT:
        return g_strdup_printf("%s does not exist: load the kvm_intel or kvm_amd module (or pass the device into this container), or use "
                               "-accel tcg", path);
    case EACCES: case EPERM:
        return g_strdup_printf("no permission for %s: add this user to the group 'kvm' (usermod -aG kvm), or use -accel tcg", path);
    case EBUSY:
        return g_strdup_printf("%s is in use by another hypervisor on this host: end its machines (VirtualBox, VMware), or use -accel tcg", path);
    case ENODEV: case ENXIO: case ENOTTY: case EOPNOTSUPP:
        return g_strdup_printf("%s is there, but offers no virtualization extension: enable VT-x or AMD-V in the host's firmware, or use "
                               "-accel tcg", path);
    default:
        return g_strdup_printf("%s cannot be used: %s; use -accel tcg", path, g_strerror(error));
    }
}

int kvm_open_device(const char *path, char **why)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        *why = kvm_explain_open(path, errno);
        return -1;
    }
    int version = kvm_ioctl(fd, KVM_GET_API_VERSION, NULL);
    if (version == API_VERSION) {
        return fd;
    }
    *why = version < 0 ? kvm_explain_open(path, -version)
                       : g_strdup_printf("%s speaks KVM version %d, not %d: update the host's kernel, or use -accel tcg", path, version, API_VERSION);
    close(fd);
    return -1;
}

static bool usable(char **why)
{
    int fd = kvm_open_device("/dev/kvm", why);
    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0;
}

/* The VM ------------------------------------------------------------------------------------------------------- */

static bool read_options(const Value *options, IrqchipMode *mode, GError **err)
{
    static const char *const modes[] = { "off", "split", "on" };

    *mode = IRQCHIP_KERNEL;
    for (size_t i = 0; options && i < value_length(options); i++) {
        const char *key = value_key_at(options, i);
        const char *text = value_string(value_member_at(options, i));
        bool known = strcmp(key, "name") == 0;
        bool on;
        if (strcmp(key, "kernel-irqchip") == 0) {
            for (int m = IRQCHIP_OFF; text && m <= (int)IRQCHIP_KERNEL; m++) {
                if (strcmp(text, modes[m]) == 0) {
                    *mode = (IrqchipMode)m;
                    known = true;
                }
            }
            if (value_to_bool(value_member_at(options, i), &on)) {
                *mode = on ? IRQCHIP_KERNEL : IRQCHIP_OFF;
                known = true;
            }
            if (!known) {
                return fail(err, EINVAL, "accelerator 'kvm': kernel-irqchip is on, split or off, not '%s'", text ? text : "this");
            }
        }
        if (!known) {
            return fail(err, EINVAL, "accelerator 'kvm' has no option '%s'; it has kernel-irqchip", key);
        }
    }
    return true;
}

static const struct { int capability; const char *what; } needed[] = {
    { KVM_CAP_USER_MEMORY, "memory slots" }, { KVM_CAP_DESTROY_MEMORY_REGION_WORKS, "memory slots that go away" },
    { KVM_CAP_READONLY_MEM, "read-only memory" }, { KVM_CAP_IMMEDIATE_EXIT, "immediate exits" }, { KVM_CAP_MP_STATE, "the CPU's run state" },
    { KVM_CAP_VCPU_EVENTS, "pending events" }, { KVM_CAP_XSAVE, "the XSAVE image" }, { KVM_CAP_EXT_CPUID, "CPUID" },
    { KVM_CAP_SET_TSS_ADDR, "a place for the TSS" },
};

bool kvm_has(Accel *accel, int capability)
{
    const Kvm *kvm = accel->data;
    return kvm_ioctl(kvm->vm, KVM_CHECK_EXTENSION, (void *)(intptr_t)capability) > 0;
}

static void ignore_signal(int number)
{
    (void)number;
}

/* The kick: interrupts KVM_RUN, and restarts any other system call that it happens to meet. */
static void install_kick_signal(void)
{
    struct sigaction action = { .sa_handler = ignore_signal, .sa_flags = SA_RESTART };
    sigemptyset(&action.sa_mask);
    sigaction(SIGUSR1, &action, NULL);
}

static bool open_vm(Kvm *kvm, GError **err)
{
    g_autofree char *why = NULL;

    kvm->system = kvm_open_device("/dev/kvm", &why);
    if (kvm->system < 0) {
        return fail(err, ENODEV, "%s", why);
    }
    kvm->vm = kvm_ioctl(kvm->system, KVM_CREATE_VM, NULL);
    if (kvm->vm < 0) {
        int error = -kvm->vm;
        if (error == EBUSY || error == ENODEV || error == EOPNOTSUPP) {
            why = kvm_explain_open("/dev/kvm", error);
            return fail(err, error, "%s", why);
        }
        return fail(err, error, "/dev/kvm: cannot make a virtual machine: %s%s", g_strerror(error),
                    error == ENOMEM ? "; the host is short of memory" : "");
    }
    for (size_t i = 0; i < G_N_ELEMENTS(needed); i++) {
        if (kvm_ioctl(kvm->vm, KVM_CHECK_EXTENSION, (void *)(intptr_t)needed[i].capability) <= 0) {
            return fail(err, ENOTSUP, "/dev/kvm: this host's KVM lacks %s: update the host's kernel, or use -accel tcg", needed[i].what);
        }
    }
    int size = kvm_ioctl(kvm->system, KVM_GET_VCPU_MMAP_SIZE, NULL);
    if (size < (int)sizeof(struct kvm_run)) {
        return fail(err, EIO, "/dev/kvm: the CPU's shared page has %d bytes, at least %zu are needed", size, sizeof(struct kvm_run));
    }
    kvm->run_size = (size_t)size;
    uint64_t identity = IDENTITY_MAP;
    int error = kvm_ioctl(kvm->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity);
    if (error == 0) {
        error = kvm_ioctl(kvm->vm, KVM_SET_TSS_ADDR, (void *)(uintptr_t)TSS_ADDRESS);
    }
    return error >= 0 || fail(err, -error, "/dev/kvm: cannot place the TSS: %s", g_strerror(-error));
}

static void kvm_close(Accel *accel)
{
    Kvm *kvm = accel->data;
    if (!kvm) {
        return;
    }
    kvm_slots_free(kvm->slots);
    kvm_irqchip_close(kvm);
    if (kvm->vm >= 0) {
        close(kvm->vm);
    }
    if (kvm->system >= 0) {
        close(kvm->system);
    }
    pthread_mutex_destroy(&kvm->inhibit_mutex);
    pthread_cond_destroy(&kvm->inhibit_change);
    g_free(kvm);
    accel->data = NULL;
}

static bool kvm_open(Accel *accel, const Value *options, GError **err)
{
    IrqchipMode mode;
    if (!read_options(options, &mode, err)) {
        return false;
    }
    Kvm *kvm = g_new0(Kvm, 1);
    kvm->accel = accel;
    kvm->vm = -1;
    pthread_mutex_init(&kvm->inhibit_mutex, NULL);
    pthread_cond_init(&kvm->inhibit_change, NULL);
    accel->data = kvm;
    install_kick_signal();
    if (!open_vm(kvm, err) || !kvm_irqchip_open(kvm, mode, err) || !kvm_cpuid_probe(kvm, err)) {
        kvm_close(accel);
        return false;
    }
    kvm->has_xcrs = kvm_has(accel, KVM_CAP_XCRS);
    kvm->has_debugregs = kvm_has(accel, KVM_CAP_DEBUGREGS);
    kvm->has_ioeventfd_any_length = kvm_has(accel, KVM_CAP_IOEVENTFD_ANY_LENGTH);
    if (accel->memory) {
        kvm->slots = kvm_slots_new(kvm);
    }
    return true;
}

/* CPUs --------------------------------------------------------------------------------------------------------- */

static void kvm_cpu_close(Cpu *cpu)
{
    KvmCpu *k = cpu->data;
    if (k->run) {
        munmap(k->run, k->kvm->run_size);
    }
    if (k->fd >= 0) {
        close(k->fd);
    }
    g_free(k);
    cpu->data = NULL;
}

static bool make_vcpu(KvmCpu *k, GError **err)
{
    Kvm *kvm = k->kvm;

    k->fd = kvm_ioctl(kvm->vm, KVM_CREATE_VCPU, (void *)(uintptr_t)k->cpu->apic_id);
    if (k->fd < 0) {
        int most = kvm_ioctl(kvm->vm, KVM_CHECK_EXTENSION, (void *)(intptr_t)KVM_CAP_MAX_VCPUS);
        return fail(err, -k->fd, "CPU %u: KVM does not make it: %s; this host allows %d in a machine", k->cpu->index, g_strerror(-k->fd), most);
    }
    void *run = mmap(NULL, kvm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, k->fd, 0);
    if (run == MAP_FAILED) {
        return fail(err, errno, "CPU %u: cannot map its shared page: %s", k->cpu->index, g_strerror(errno));
    }
    k->run = run;
    return true;
}

static bool kvm_cpu_open(Cpu *cpu, const Value *model, const Value *smp, GError **err)
{
    KvmCpu *k = g_new0(KvmCpu, 1);
    k->cpu = cpu;
    k->kvm = cpu->accel->data;
    cpu->data = k;
    if (!make_vcpu(k, err) || !kvm_cpuid_set(k, model, smp, err)) {
        kvm_cpu_close(cpu);
        return false;
    }
    return true;
}

/* Lines -------------------------------------------------------------------------------------------------------- */

/* Another thread has set a request: the CPU must look at it before it goes on. Its own thread looks anyway. */
static void request(KvmCpu *k, uint32_t bit)
{
    __atomic_fetch_or(&k->requests, bit, __ATOMIC_SEQ_CST);
    if (k->cpu != cpu_current()) {
        kvm_cpu_kick(k->cpu);
    }
}

static void kvm_set_intr(Cpu *cpu, bool level)
{
    KvmCpu *k = cpu->data;
    if (__atomic_exchange_n(&k->intr, level, __ATOMIC_SEQ_CST) != level && level && cpu != cpu_current()) {
        kvm_cpu_kick(cpu);
    }
}

static void kvm_nmi(Cpu *cpu)
{
    request(cpu->data, REQUEST_NMI);
}

/* With the LAPIC in the kernel, INIT and SIPI are messages to it: delivery modes 5 and 6. */
static void send_to(Cpu *cpu, uint32_t data)
{
    kvm_send_msi(cpu->accel, 0xfee00000 | (uint64_t)(cpu->apic_id & 0xff) << 12, data);
}

static void kvm_init_signal(Cpu *cpu)
{
    KvmCpu *k = cpu->data;
    if (kvm_lapic_in_kernel(k->kvm)) {
        send_to(cpu, 0x4500);
    } else {
        request(k, REQUEST_INIT);
    }
}

static void kvm_sipi(Cpu *cpu, uint8_t vector)
{
    KvmCpu *k = cpu->data;
    if (kvm_lapic_in_kernel(k->kvm)) {
        send_to(cpu, 0x4600 | vector);
    } else {
        __atomic_store_n(&k->sipi_vector, vector, __ATOMIC_SEQ_CST);
        request(k, REQUEST_SIPI);
    }
}

/* The guest's clock -------------------------------------------------------------------------------------------- */

/* kvmclock counts host time. It is read when the machine pauses and put back when it goes on, so that a guest does not see
 * the pause; KVMCLOCK_CTRL then tells its watchdogs. */
static void kvm_paused(Accel *accel)
{
    Kvm *kvm = accel->data;
    struct kvm_clock_data clock = { 0 };

    kvm->clock_held = kvm_ioctl(kvm->vm, KVM_GET_CLOCK, &clock) == 0;
    kvm->clock = clock.clock;
}

static void kvm_resuming(Cpu *cpu)
{
    KvmCpu *k = cpu->data;
    Kvm *kvm = k->kvm;

    kvm_slots_sync(kvm->slots);
    if (kvm->clock_held) {
        struct kvm_clock_data clock = { .clock = kvm->clock };
        kvm->clock_held = false;
        kvm_ioctl(kvm->vm, KVM_SET_CLOCK, &clock);      /* it was given by this kernel: nothing in it can be refused */
    }
    kvm_ioctl(k->fd, KVM_KVMCLOCK_CTRL, NULL);          /* EINVAL: the guest does not use the clock */
}

static bool kvm_is_halted(Cpu *cpu)
{
    KvmCpu *k = cpu->data;
    struct kvm_mp_state state;

    if (!kvm_lapic_in_kernel(k->kvm)) {
        return kvm_activity(k) == CPU_HALTED;
    }
    /* Asking a running vCPU would wait for it. */
    return __atomic_load_n(&cpu->accel->paused, __ATOMIC_SEQ_CST) && kvm_ioctl(k->fd, KVM_GET_MP_STATE, &state) == 0 &&
           state.mp_state == KVM_MP_STATE_HALTED;
}

static bool kvm_cpu_config(Accel *accel, const Value *model, CpuidConfig *out, GError **err)
{
    const Kvm *kvm = accel->data;

    return cpuid_config(out, model, NULL, "qemu64", &kvm->able, err);
}

static bool kvm_has_feature(const Cpu *cpu, unsigned feature)
{
    const KvmCpu *k = cpu->data;
    return cpuid_has(k->config.words, feature);
}

static uint64_t kvm_tsc_khz(const Cpu *cpu)
{
    const KvmCpu *k = cpu->data;
    int khz = kvm_ioctl(k->fd, KVM_GET_TSC_KHZ, NULL);
    return khz > 0 ? (uint64_t)khz : 0;
}

/* Slots change: everybody out ------------------------------------------------------------------------------------ */

void kvm_inhibit(Kvm *kvm)
{
    const GPtrArray *cpus = kvm->accel->cpus;

    __atomic_store_n(&kvm->inhibit, true, __ATOMIC_SEQ_CST);
    for (guint i = 0; i < cpus->len; i++) {
        kvm_cpu_kick(g_ptr_array_index(cpus, i));
    }
    pthread_mutex_lock(&kvm->inhibit_mutex);
    for (guint i = 0; i < cpus->len; i++) {
        KvmCpu *k = ((Cpu *)g_ptr_array_index(cpus, i))->data;
        while (__atomic_load_n(&k->in_run, __ATOMIC_SEQ_CST)) {
            pthread_cond_wait(&kvm->inhibit_change, &kvm->inhibit_mutex);
        }
    }
    pthread_mutex_unlock(&kvm->inhibit_mutex);
}

void kvm_uninhibit(Kvm *kvm)
{
    pthread_mutex_lock(&kvm->inhibit_mutex);
    __atomic_store_n(&kvm->inhibit, false, __ATOMIC_SEQ_CST);
    pthread_cond_broadcast(&kvm->inhibit_change);
    pthread_mutex_unlock(&kvm->inhibit_mutex);
}

/* Doors for hw/ ------------------------------------------------------------------------------------------------ */

int kvm_vm_ioctl(Accel *accel, unsigned long request_number, void *argument)
{
    Kvm *kvm = accel->data;

    if (kvm->clock_held && request_number == KVM_GET_CLOCK) {           /* it stands: see kvm_paused() */
        *(struct kvm_clock_data *)argument = (struct kvm_clock_data){ .clock = kvm->clock };
        return 0;
    }
    if (kvm->clock_held && request_number == KVM_SET_CLOCK) {
        kvm->clock = ((struct kvm_clock_data *)argument)->clock;
        return 0;
    }
    return kvm_ioctl(kvm->vm, request_number, argument);
}

typedef struct CpuIoctl { unsigned long request; void *argument; int result; } CpuIoctl;

static void do_cpu_ioctl(Cpu *cpu, void *opaque)
{
    CpuIoctl *call = opaque;
    call->result = kvm_ioctl(((KvmCpu *)cpu->data)->fd, call->request, call->argument);
}

int kvm_cpu_ioctl(Cpu *cpu, unsigned long request_number, void *argument)
{
    CpuIoctl call = { .request = request_number, .argument = argument };
    cpu_run_on(cpu, do_cpu_ioctl, &call);
    return call.result;
}

const AccelOps kvm_ops = {
    .name = "kvm", .help = "the host's processor, by /dev/kvm", .has_cpus = true,
    .usable = usable, .open = kvm_open, .close = kvm_close,
    .cpu_open = kvm_cpu_open, .cpu_close = kvm_cpu_close,
    .run = kvm_cpu_run, .has_work = kvm_cpu_has_work, .kick = kvm_cpu_kick,
    .set_intr = kvm_set_intr, .nmi = kvm_nmi, .init_signal = kvm_init_signal, .sipi = kvm_sipi,
    .resuming = kvm_resuming, .paused = kvm_paused, .reset = kvm_cpu_reset, .get_state = kvm_cpu_get_state, .set_state = kvm_cpu_set_state,
    .is_halted = kvm_is_halted, .has_feature = kvm_has_feature, .cpu_config = kvm_cpu_config, .tsc_khz = kvm_tsc_khz,
    .add_doorbell = kvm_doorbell_add, .remove_doorbell = kvm_doorbell_remove,
};
