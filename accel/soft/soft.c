/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * soft.c - the software CPU as an accelerator ("tcg")
 *
 * Models   x86-64 processors as cpuid.c describes them
 * Threads  one for each CPU (thread=single: one runs all of them in turn). Blocks and translation tables are a CPU's own; lines into a
 *          CPU only set bits of its request word; what CPUs tell each other of code is in code-page.c
 * Tests    tests/guest
 */
#include "accel/accel-ops.h"
#include "accel/memory/ram.h"
#include "accel/soft/jit-check.h"
#include "accel/soft/mmu.h"
#include "accel/soft/run.h"
#include "base/epoch.h"
#include "base/error.h"
#include "base/log.h"
#include "base/timer.h"
#include <x86intrin.h>

enum { TURN = 20000, ALONE = 1 << 28 };    /* instructions until another CPU, or the thread's housekeeping, has its turn */

/* Accel.data. The time stamp counter stands where the guest's clock stands: the APIC's deadlines and the guest's own reading are in its
 * terms. All counters move together, by one difference for all: guests compare them. */
typedef struct SoftAccel {
    uint64_t host_tsc;                     /* when all processors came to stand last, or were reset */
    int64_t guest_ns;
    uint64_t shift;                        /* of this resumption */
    bool shift_known;
} SoftAccel;

/* ---- the accelerator ------------------------------------------------------------------------------------------------------------ */

static SoftCpu *context_of(const Cpu *cpu) { return cpu->data; }

static bool soft_usable(char **why)
{
    (void)why;
    return true;
}

/* Of the accelerator, from its command line. */
static struct { bool interpret; unsigned check; size_t code_bytes; } settings;
enum { CODE_MIB = 64, CODE_MIB_MAX = 1024 };

static bool read_code_size(const Value *value, GError **err)
{
    const char *text = value_string(value);
    uint64_t mib = 0;

    if (text ? !g_ascii_string_to_unsigned(text, 10, 0, CODE_MIB_MAX, &mib, NULL) : !value_to_uint(value, &mib) || mib > CODE_MIB_MAX) {
        return fail(err, EINVAL, "accelerator 'tcg': tb-size must be a number of MiB up to %d", CODE_MIB_MAX);
    }
    settings.code_bytes = (size_t)(mib ? mib : CODE_MIB) << 20;
    return true;
}

static bool read_interpret(const Value *value, GError **err)
{
    const char *text = value_string(value);

    if (text && (!strcmp(text, "on") || !strcmp(text, "off"))) {
        settings.interpret = !strcmp(text, "on");
        return true;
    }
    return value_to_bool(value, &settings.interpret) || fail(err, EINVAL, "accelerator 'tcg': interp must be on or off");
}

static bool read_check(const Value *value, GError **err)
{
    static const struct { const char *name; unsigned kinds; } names[] = {
        { "off", 0 }, { "lockstep", CHECK_LOCKSTEP }, { "audit", CHECK_AUDIT }, { "all", CHECK_LOCKSTEP | CHECK_AUDIT },
    };
    const char *text = value_string(value);

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        if (!g_strcmp0(text, names[i].name)) {
            settings.check = names[i].kinds;
            return true;
        }
    }
    return fail(err, EINVAL, "accelerator 'tcg': check is '%s', it must be off, lockstep, audit or all", text ? text : "");
}

/* QEMU's options of tcg, interp and check. */
static bool read_option(Accel *accel, const char *key, const Value *value, GError **err)
{
    if (!strcmp(key, "name") || !strcmp(key, "split-wx")) {
        return true;                       /* code is always writable and executable at two addresses */
    }
    if (!strcmp(key, "tb-size")) {
        return read_code_size(value, err);
    }
    if (!strcmp(key, "interp")) {
        return read_interpret(value, err);
    }
    if (!strcmp(key, "check")) {
        return read_check(value, err);
    }
    if (!strcmp(key, "thread")) {
        const char *text = value_string(value);

        if (text && (!strcmp(text, "single") || !strcmp(text, "multi"))) {
            accel->one_thread = !strcmp(text, "single");
            return true;
        }
        return fail(err, EINVAL, "accelerator 'tcg': thread is '%s', it must be single or multi", text ? text : "");
    }
    return fail(err, EINVAL, "accelerator 'tcg' has no option '%s'; it knows thread, tb-size, split-wx, interp and check", key);
}

/* Pages that a client logs have no write tags; those that have one must lose it. */
static void log_changed(void *opaque, RamBlock *ram, bool logging)
{
    Accel *accel = opaque;

    (void)ram;
    for (guint i = 0; logging && i < accel->cpus->len; i++) {
        Cpu *cpu = g_ptr_array_index(accel->cpus, i);

        if (cpu->data) {
            tlb_flush_request(context_of(cpu));
        }
    }
}

static void stand(Accel *accel)
{
    SoftAccel *soft = accel->data;

    soft->host_tsc = __rdtsc();
    soft->guest_ns = clock_now(CLOCK_GUEST);
    soft->shift_known = false;
}

static bool soft_open(Accel *accel, const Value *options, GError **err)
{
    accel->one_thread = false;
    settings.interpret = false;
    settings.check = 0;
    settings.code_bytes = (size_t)CODE_MIB << 20;
    for (size_t i = 0; options && i < value_length(options); i++) {
        if (!read_option(accel, value_key_at(options, i), value_member_at(options, i), err)) {
            return false;
        }
    }
    if (settings.interpret && settings.check) {
        return fail(err, EINVAL, "accelerator 'tcg': check= looks at translated code, of which interp=on has none; leave one of them out");
    }
    accel->irqchip = IRQCHIP_OFF;
    accel->data = g_new0(SoftAccel, 1);
    stand(accel);
    ram_set_logger(&(RamLogger){ .changed = log_changed, .opaque = accel });
    return true;
}

static void soft_close(Accel *accel)
{
    g_clear_pointer(&accel->data, g_free);
    ram_set_logger(NULL);
}

static bool soft_cpu_open(Cpu *cpu, const Value *model, const Value *smp, GError **err)
{
    CpuidConfig config;
    SoftCpu *context;
    const char *why;

    if (!soft_cpuid_config(&config, model, smp, err)) {
        return false;
    }
    if (settings.check & CHECK_LOCKSTEP && cpu->index) {
        return fail(err, EINVAL, "accelerator 'tcg': check=lockstep compares one processor; give -smp 1, or check=audit");
    }
    context = soft_context_new(cpu->accel->memory, cpu->accel->ports);
    if (!context) {
        return fail(err, ENOMEM, "CPU %u: no memory for its context of %zu KiB", cpu->index, sizeof *context / 1024);
    }
    context->cpu = cpu;
    context->code.wake = cpu_wake;
    soft_cpuid_set(context, &config);
    if (!soft_context_attach(context)) {
        soft_context_free(context);
        return fail(err, ENOMEM, "CPU %u: no memory for its decoded code", cpu->index);
    }
    if (!settings.interpret && !jit_open(context, settings.code_bytes, &why)) {
        log_line(LOG_ACCEL, "tcg: CPU %u interprets all code: %s", cpu->index, why);
    }
    if (settings.check) {
        jit_check_open(context, settings.check);
    }
    cpu->data = context;
    return true;
}

static void soft_cpu_close(Cpu *cpu)
{
    soft_context_free(context_of(cpu));
    cpu->data = NULL;
}

static CpuRunResult soft_run_cpu(Cpu *cpu)
{
    SoftCpu *context = context_of(cpu);
    Accel *accel = cpu->accel;
    RunStop stop;

    __atomic_fetch_and(&context->request, ~(uint32_t)REQUEST_EXIT, __ATOMIC_SEQ_CST);
    if (cpu_leave_wanted(cpu)) {
        return CPU_RAN;
    }
    context->source = cpu->source;
    context->shares = accel->one_thread && accel->cpus->len > 1;
    epoch_enter();
    mmu_begin(context);
    stop = soft_loop(context, context->shares ? TURN : ALONE);
    epoch_leave();
    if (stop == RUN_DEAD) {
        accel->host.triple_fault(accel->host.opaque, cpu);
        return CPU_STOPPED;
    }
    return stop == RUN_HALTED ? CPU_SLEEPS : CPU_RAN;
}

static bool soft_cpu_has_work(Cpu *cpu) { return soft_has_work(context_of(cpu)); }

static void request(Cpu *cpu, uint32_t bits) { soft_request(context_of(cpu), bits); }

static void soft_kick(Cpu *cpu) { request(cpu, REQUEST_EXIT); }

static void soft_set_intr(Cpu *cpu, bool level)
{
    if (level) {
        request(cpu, REQUEST_INTR);
    } else {
        __atomic_fetch_and(&context_of(cpu)->request, ~(uint32_t)REQUEST_INTR, __ATOMIC_SEQ_CST);
    }
}

static void soft_nmi(Cpu *cpu) { request(cpu, REQUEST_NMI); }

static void soft_init_line(Cpu *cpu)
{
    __atomic_fetch_and(&context_of(cpu)->request, ~(uint32_t)REQUEST_SIPI, __ATOMIC_SEQ_CST);
    request(cpu, REQUEST_INIT);
}

static void soft_sipi(Cpu *cpu, uint8_t vector)
{
    __atomic_store_n(&context_of(cpu)->sipi_vector, vector, __ATOMIC_SEQ_CST);
    request(cpu, REQUEST_SIPI);
}

/* Each finds out by itself: one that asks from inside a device access cannot wait for the others. */
static void soft_set_a20(Accel *accel, bool enabled)
{
    for (guint i = 0; i < accel->cpus->len; i++) {
        mmu_set_a20(context_of(g_ptr_array_index(accel->cpus, i)), enabled);
    }
}

/* While all stand their counters do, whatever the host's says: a state that is read, kept for a while and set again is the same. */
static bool stands(const Accel *accel)
{
    return __atomic_load_n(&accel->paused, __ATOMIC_SEQ_CST) && accel->settled;
}

static void set_tsc_offset(SoftCpu *context, uint64_t offset)
{
    soft_tsc_shift(context, offset - context->tsc_offset);
}

/* All counters start together, also that of a processor which is added later. */
static void soft_cpu_reset(Cpu *cpu)
{
    const SoftAccel *soft = cpu->accel->data;
    SoftCpu *context = context_of(cpu);

    soft_reset(context, cpu->index == 0);
    if (cpu->index && cpu->accel->cpus->len) {
        set_tsc_offset(context, context_of(g_ptr_array_index(cpu->accel->cpus, 0))->tsc_offset);
    } else if (stands(cpu->accel)) {
        set_tsc_offset(context, -soft->host_tsc);
    }
}

static void soft_get_state(Cpu *cpu, CpuState *state)
{
    const SoftAccel *soft = cpu->accel->data;
    SoftCpu *context = context_of(cpu);

    context->source = cpu->source;
    soft_state_get(context, state);
    if (stands(cpu->accel)) {
        state->tsc = soft->host_tsc + context->tsc_offset;
    }
}

static bool soft_set_state(Cpu *cpu, const CpuState *state, GError **err)
{
    (void)err;
    const SoftAccel *soft = cpu->accel->data;
    SoftCpu *context = context_of(cpu);

    context->source = cpu->source;
    soft_state_set(context, state);
    if (stands(cpu->accel)) {
        set_tsc_offset(context, state->tsc - soft->host_tsc);
    }
    if (context->source.set_base) {
        context->source.set_base(context->source.opaque, state->apic_base);
        context->source.set_cr8(context->source.opaque, (uint8_t)(state->cr8 & 15));
    }
    return true;
}

static bool soft_is_halted(Cpu *cpu) { return context_of(cpu)->activity != CPU_RUNNABLE; }
static bool soft_cpu_config(Accel *accel, const Value *model, CpuidConfig *out, GError **err)
{
    (void)accel;
    return soft_cpuid_config(out, model, NULL, err);
}

static bool soft_has_feature(const Cpu *cpu, unsigned feature) { return cpuid_has(context_of(cpu)->features, feature); }
static char *soft_translator(const Cpu *cpu) { return jit_describe(context_of(cpu)); }
static uint64_t soft_tsc_khz(const Cpu *cpu) { (void)cpu; return soft_host_tsc_khz(); }
static uint64_t soft_tsc_of(const Cpu *cpu) { return soft_tsc(context_of(cpu)); }

static void soft_paused(Accel *accel)
{
    stand(accel);
}

static void soft_resuming(Cpu *cpu)
{
    SoftAccel *soft = cpu->accel->data;

    if (!soft->shift_known) {
        uint64_t host_ticks = __rdtsc() - soft->host_tsc;
        uint64_t guest_ticks = (uint64_t)((__int128)(clock_now(CLOCK_GUEST) - soft->guest_ns) * soft_host_tsc_khz() / 1000000);

        soft->shift = guest_ticks - host_ticks;
        soft->shift_known = true;
    }
    soft_tsc_shift(context_of(cpu), soft->shift);
}

const AccelOps soft_ops = {
    .name = "tcg",  .help = "the software CPU: runs everywhere",  .has_cpus = true,
    .usable = soft_usable,  .open = soft_open,  .close = soft_close,  .cpu_open = soft_cpu_open,  .cpu_close = soft_cpu_close,
    .run = soft_run_cpu,  .has_work = soft_cpu_has_work,  .kick = soft_kick,
    .set_intr = soft_set_intr,  .nmi = soft_nmi,  .init_signal = soft_init_line,  .sipi = soft_sipi,  .set_a20 = soft_set_a20,
    .reset = soft_cpu_reset,  .get_state = soft_get_state,  .set_state = soft_set_state,
    .is_halted = soft_is_halted,  .has_feature = soft_has_feature,  .translator = soft_translator,  .cpu_config = soft_cpu_config,  .tsc_khz = soft_tsc_khz,
    .tsc = soft_tsc_of,  .paused = soft_paused,  .resuming = soft_resuming,
};
