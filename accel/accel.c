/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * accel.c - the choice of the accelerator, and its CPUs as objects
 *
 * accel_new() walks the wished-for list and takes the first that opens; each that does not gives a sentence. The qtest
 * accelerator is here too: its CPUs exist and never run.
 *
 * Threads  machine lock held, except the lines into a CPU (any thread)
 * Tests    tests/unit/accel.c, tests/kvm
 */
#include "accel/accel-ops.h"
#include "base/error.h"
#include "base/log.h"
#include "base/timer.h"
#include <cpuid.h>
#include <errno.h>
#include <string.h>

static const AccelOps *const accelerators[] = {
#ifdef HAVE_KVM
    &kvm_ops,
#endif
#ifdef HAVE_SOFT_CPU
    &soft_ops,
#endif
    &qtest_ops,
    NULL,
};

static const AccelOps *find_ops(const char *name)
{
    for (unsigned i = 0; accelerators[i]; i++) {
        if (strcmp(accelerators[i]->name, name) == 0) {
            return accelerators[i];
        }
    }
    return NULL;
}

/* Why no accelerator of this name is in this executable. */
static char *why_absent(const char *name)
{
    if (strcmp(name, "kvm") == 0 || strcmp(name, "tcg") == 0) {
        return g_strdup_printf("accelerator '%s' is not in this build of Roost", name);
    }
    g_autoptr(GString) known = g_string_new(NULL);
    for (unsigned i = 0; accelerators[i]; i++) {
        g_string_append_printf(known, "%s%s", i ? ", " : "", accelerators[i]->name);
    }
    return g_strdup_printf("there is no accelerator '%s'; choose from: %s", name, known->str);
}

bool accel_usable(const char *name, char **why)
{
    const AccelOps *ops = find_ops(name);
    if (!ops) {
        *why = why_absent(name);
        return false;
    }
    *why = NULL;
    return !ops->usable || ops->usable(why);
}

/* The host's own processor can run guests: VMX or SVM. A KVM without them emulates, slower than the software CPU. */
static bool host_has_virtualization(void)
{
    unsigned eax, ebx, ecx, edx;
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & (1u << 5))) {
        return true;
    }
    return __get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) && (ecx & (1u << 2));
}

static Accel *try_open(const char *name, const Value *options, Accel *shell, GError **err)
{
    const AccelOps *ops = find_ops(name);
    g_autofree char *why = NULL;

    if (!ops) {
        why = why_absent(name);
        fail(err, ENOENT, "%s", why);
        return NULL;
    }
    if (ops->usable && !ops->usable(&why)) {
        fail(err, ENODEV, "%s", why);
        return NULL;
    }
    shell->ops = ops;
    shell->irqchip = IRQCHIP_OFF;
    return !ops->open || ops->open(shell, options, err) ? shell : NULL;
}

/* Nothing was asked for: KVM where it is quick, else the software CPU. */
static Accel *open_default(Accel *shell, GError **err)
{
    g_autofree char *why = NULL;
    if (!host_has_virtualization()) {
        why = g_strdup("this host's processor offers no virtualization");
    } else if (accel_usable("kvm", &why)) {
        g_autoptr(GError) local = NULL;
        if (try_open("kvm", NULL, shell, &local)) {
            return shell;
        }
        why = g_strdup(local->message);
    }
    if (find_ops("tcg")) {
        report_info("%s; the software CPU runs the guest", why);
        return try_open("tcg", NULL, shell, err);
    }
    return try_open("kvm", NULL, shell, err);
}

static Accel *open_first(const Value *list, Accel *shell, GError **err)
{
    g_autoptr(GString) refusals = g_string_new(NULL);

    for (size_t i = 0; i < value_length(list); i++) {
        const Value *entry = value_at(list, i);
        const char *name = value_get_string(entry, "name", value_string(entry));
        g_autoptr(GError) local = NULL;
        if (name && try_open(name, value_kind(entry) == VALUE_OBJECT ? entry : NULL, shell, &local)) {
            if (refusals->len) {
                report_warning("%s; using '%s' instead", refusals->str, name);
            }
            return shell;
        }
        g_string_append_printf(refusals, "%s%s", refusals->len ? "; " : "", local ? local->message : "an accelerator without a name");
    }
    fail(err, ENODEV, "%s", refusals->str);
    return NULL;
}

Accel *accel_new_with(const AccelOps *ops, AddressSpace *memory, AddressSpace *ports, const AccelHost *host)
{
    Accel *accel = g_new0(Accel, 1);
    accel->ops = ops;
    accel->memory = memory;
    accel->ports = ports;
    if (host) {
        accel->host = *host;
    }
    accel->paused = accel->settled = true;
    accel->cpus = g_ptr_array_new();
    accel->threads = g_ptr_array_new();
    pthread_mutex_init(&accel->mutex, NULL);
    pthread_cond_init(&accel->quiet, NULL);
    return accel;
}

Accel *accel_new(const Value *config, AddressSpace *memory, AddressSpace *ports, const AccelHost *host, GError **err)
{
    Accel *accel = accel_new_with(NULL, memory, ports, host);
    if (value_length(config) ? open_first(config, accel, err) : open_default(accel, err)) {
        return accel;
    }
    accel->ops = NULL;
    accel_free(accel);
    return NULL;
}

void accel_free(Accel *accel)
{
    if (!accel) {
        return;
    }
    cpu_threads_end(accel);
    for (guint i = 0; i < accel->cpus->len; i++) {
        Cpu *cpu = g_ptr_array_index(accel->cpus, i);
        if (accel->ops->cpu_close) {
            accel->ops->cpu_close(cpu);
        }
        cpu->accel = NULL;
        object_unparent(&cpu->object);
        object_unref(&cpu->object);
    }
    if (accel->ops && accel->ops->close) {
        accel->ops->close(accel);
    }
    g_ptr_array_unref(accel->cpus);
    g_ptr_array_unref(accel->threads);
    pthread_cond_destroy(&accel->quiet);
    pthread_mutex_destroy(&accel->mutex);
    g_free(accel);
}

const char *accel_name(const Accel *accel)
{
    return accel->ops->name;
}

bool accel_has_cpus(const Accel *accel)
{
    return accel->ops->has_cpus;
}

IrqchipMode accel_irqchip(const Accel *accel)
{
    return accel->irqchip;
}

/* CPUs --------------------------------------------------------------------------------------------------------- */

static void cpu_finalize(Object *object)
{
    g_free((Cpu *)object);
}

static const ObjectType cpu_type = { .name = "x86_64-cpu", .parent = "cpu", .finalize = cpu_finalize };

Cpu *cpu_new(Accel *accel, const Value *model, const Value *smp, unsigned index, uint32_t apic_id, GError **err)
{
    Cpu *cpu = g_new0(Cpu, 1);
    object_init(&cpu->object, &cpu_type);
    cpu->accel = accel;
    cpu->index = index;
    cpu->apic_id = apic_id;
    if (accel->ops->cpu_open && !accel->ops->cpu_open(cpu, model, smp, err)) {
        object_unref(&cpu->object);
        return NULL;
    }
    if (accel->ops->has_cpus) {
        accel->ops->reset(cpu);
        if (!cpu_thread_attach(cpu, err)) {
            accel->ops->cpu_close(cpu);
            object_unref(&cpu->object);
            return NULL;
        }
    }
    g_ptr_array_add(accel->cpus, cpu);
    return cpu;
}

bool accel_cpu_config(Accel *accel, const Value *model, CpuidConfig *out, GError **err)
{
    return accel->ops->cpu_config ? accel->ops->cpu_config(accel, model, out, err)
                                  : fail(err, ENOTSUP, "accelerator '%s' has no processors", accel->ops->name);
}

unsigned cpu_index(const Cpu *cpu)
{
    return cpu->index;
}

int cpu_thread_id(const Cpu *cpu)
{
    return cpu->thread ? cpu->thread->tid : 0;
}

Object *cpu_object(Cpu *cpu)
{
    return &cpu->object;
}

void cpu_set_irq_source(Cpu *cpu, const CpuIrqSource *source)
{
    cpu->source = *source;
}

void cpu_set_intr(Cpu *cpu, bool level)
{
    if (cpu->accel->ops->set_intr) {
        cpu->accel->ops->set_intr(cpu, level);
        if (level) {
            cpu_wake(cpu);
        }
    }
}

void cpu_nmi(Cpu *cpu)
{
    if (cpu->accel->ops->nmi) {
        cpu->accel->ops->nmi(cpu);
        cpu_wake(cpu);
    }
}

void cpu_init_signal(Cpu *cpu)
{
    if (cpu->accel->ops->init_signal) {
        cpu->accel->ops->init_signal(cpu);
        cpu_wake(cpu);
    }
}

void cpu_sipi(Cpu *cpu, uint8_t vector)
{
    if (cpu->accel->ops->sipi) {
        cpu->accel->ops->sipi(cpu, vector);
        cpu_wake(cpu);
    }
}

void cpu_set_a20(Accel *accel, bool enabled)
{
    if (accel->ops->set_a20) {
        accel->ops->set_a20(accel, enabled);
    }
}

void cpu_reset(Cpu *cpu)
{
    if (cpu->accel->ops->has_cpus) {
        cpu->accel->ops->reset(cpu);
        cpu->sleeps = cpu->stopped = false;
    }
}

void cpu_get_state(Cpu *cpu, CpuState *state)
{
    memset(state, 0, sizeof *state);
    if (cpu->accel->ops->get_state) {
        cpu->accel->ops->get_state(cpu, state);
    }
}

bool cpu_set_state(Cpu *cpu, const CpuState *state, GError **err)
{
    if (cpu->accel->ops->set_state && !cpu->accel->ops->set_state(cpu, state, err)) {
        return false;
    }
    cpu->sleeps = cpu->stopped = false;
    return true;
}

uint64_t cpu_tsc_khz(const Cpu *cpu)
{
    return cpu->accel->ops->tsc_khz ? cpu->accel->ops->tsc_khz(cpu) : 0;
}

uint64_t cpu_tsc(const Cpu *cpu)
{
    if (cpu->accel->ops->tsc) {
        return cpu->accel->ops->tsc(cpu);
    }
    return (uint64_t)((unsigned __int128)clock_now(CLOCK_GUEST) * cpu_tsc_khz(cpu) / 1000000);
}

char *cpu_translator(const Cpu *cpu)
{
    return cpu->accel->ops->translator ? cpu->accel->ops->translator(cpu) : NULL;
}

bool cpu_has_feature(const Cpu *cpu, unsigned feature)
{
    return cpu->accel->ops->has_feature && cpu->accel->ops->has_feature(cpu, feature);
}

bool cpu_is_halted(Cpu *cpu)
{
    return cpu->accel->ops->is_halted ? cpu->accel->ops->is_halted(cpu) : true;
}

static void fetch_state(Cpu *cpu, void *opaque)
{
    cpu_get_state(cpu, opaque);
}

char *cpu_describe(Cpu *cpu)
{
    g_autofree CpuState *state = g_new0(CpuState, 1);
    if (cpu->accel->ops->has_cpus) {
        cpu_run_on(cpu, fetch_state, state);
    }
    return cpu_state_describe(state);
}

/* Doorbells ---------------------------------------------------------------------------------------------------- */

bool accel_add_doorbell(Accel *accel, AddressSpace *space, uint64_t address, unsigned size, bool match, uint64_t value, int fd, GError **err)
{
    if (size != 0 && size != 1 && size != 2 && size != 4 && size != 8) {
        return fail(err, EINVAL, "doorbell at 0x%" G_GINT64_MODIFIER "x: %u bytes is not the size of an access", address, size);
    }
    if (!accel->ops->add_doorbell || !accel->ops->add_doorbell(accel, space, address, size, match, value, fd)) {
        space_add_doorbell(space, &(Doorbell){ address, value, size, match, fd });
    }
    return true;
}

void accel_remove_doorbell(Accel *accel, AddressSpace *space, uint64_t address, unsigned size, bool match, uint64_t value, int fd)
{
    if (!space_remove_doorbell(space, &(Doorbell){ address, value, size, match, fd }) && accel->ops->remove_doorbell) {
        accel->ops->remove_doorbell(accel, space, address, size, match, value, fd);
    }
}

/* The accelerator of tests: no processor runs, a socket or the rig plays its part. */
static bool qtest_open(Accel *accel, const Value *options, GError **err)
{
    (void)accel;
    for (size_t i = 0; options && i < value_length(options); i++) {
        const char *key = value_key_at(options, i);
        if (strcmp(key, "name") != 0) {
            return fail(err, EINVAL, "accelerator 'qtest' has no option '%s'", key);
        }
    }
    return true;
}

const AccelOps qtest_ops = { .name = "qtest", .help = "no processor: for device tests over a socket", .open = qtest_open };
