/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vcpu.c - one turn after the other through KVM_RUN, and what to do with each exit
 *
 * Kicks    the kicker sets immediate_exit and, when the CPU is inside KVM_RUN, sends SIGUSR1. Every way out goes through KVM_RUN with
 *          immediate_exit set, since that also completes the port or memory access whose exit came last.
 * Exits    a table by exit reason; nothing is allocated and no lock taken here (a device's access takes the machine lock once)
 * Without  an in-kernel LAPIC: halting, INIT, SIPI and the choice of interrupts are ours (CpuIrqSource); with the split
 *          irqchip only the PIC's interrupts are
 * Tests    tests/kvm
 */
#include "accel/kvm/kvm-internal.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/trace.h"
#include <errno.h>
#include <signal.h>
#include <string.h>

enum { TRACE_EXIT, TRACE_INJECT };
static TracePoint kvm_trace[] = {
    [TRACE_EXIT] = { "kvm_exit", "a virtual CPU left the guest" },
    [TRACE_INJECT] = { "kvm_inject", "an interrupt of a userspace controller was given to KVM" } };
TRACE_TABLE(kvm_trace)

enum { MOST_REFUSALS = 1000 };             /* KVM_RUN answering EAGAIN in a row before we call it broken */

/* What the run loop does next. */
typedef enum { GO_ON, GO_SLEEP, STOP } Next;

static bool wants_userspace_interrupts(const Kvm *kvm)
{
    return kvm->accel->irqchip != IRQCHIP_KERNEL;
}

void kvm_cpu_kick(Cpu *cpu)
{
    KvmCpu *k = cpu->data;

    __atomic_store_n(&k->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&k->in_run, __ATOMIC_SEQ_CST)) {
        pthread_kill(cpu->thread->thread, SIGUSR1);
    }
}

/* In and out of KVM_RUN, so that kvm_inhibit() can wait for us. */
static void wait_while_inhibited(KvmCpu *k)
{
    Kvm *kvm = k->kvm;

    pthread_mutex_lock(&kvm->inhibit_mutex);
    __atomic_store_n(&k->in_run, false, __ATOMIC_SEQ_CST);
    pthread_cond_broadcast(&kvm->inhibit_change);
    while (__atomic_load_n(&kvm->inhibit, __ATOMIC_SEQ_CST)) {
        pthread_cond_wait(&kvm->inhibit_change, &kvm->inhibit_mutex);
    }
    pthread_mutex_unlock(&kvm->inhibit_mutex);
}

static inline void enter_run(KvmCpu *k)
{
    __atomic_store_n(&k->in_run, true, __ATOMIC_SEQ_CST);
    while (__builtin_expect(__atomic_load_n(&k->kvm->inhibit, __ATOMIC_SEQ_CST), 0)) {
        wait_while_inhibited(k);
        __atomic_store_n(&k->in_run, true, __ATOMIC_SEQ_CST);
    }
}

static inline void leave_run(KvmCpu *k)
{
    __atomic_store_n(&k->in_run, false, __ATOMIC_SEQ_CST);
    if (__builtin_expect(__atomic_load_n(&k->kvm->inhibit, __ATOMIC_SEQ_CST), 0)) {
        pthread_mutex_lock(&k->kvm->inhibit_mutex);
        pthread_cond_broadcast(&k->kvm->inhibit_change);
        pthread_mutex_unlock(&k->kvm->inhibit_mutex);
    }
}

/* Errors ------------------------------------------------------------------------------------------------------- */

/* The registers go to the log and the terminal, the sentence to the machine above. */
static Next internal_error(KvmCpu *k, const char *format, ...) G_GNUC_PRINTF(2, 3);
static Next internal_error(KvmCpu *k, const char *format, ...)
{
    const AccelHost *host = &k->kvm->accel->host;
    va_list args;
    va_start(args, format);
    g_autofree char *sentence = g_strdup_vprintf(format, args);
    va_end(args);

    g_autofree char *registers = cpu_describe(k->cpu);
    g_auto(GStrv) lines = g_strsplit(registers, "\n", -1);
    for (unsigned i = 0; lines[i]; i++) {
        report_info("CPU %u: %s", k->cpu->index, lines[i]);
    }
    if (host->internal_error) {
        host->internal_error(host->opaque, k->cpu, sentence);
    } else {
        report_error("CPU %u: %s", k->cpu->index, sentence);
    }
    return STOP;
}

/* The bytes at RIP, as far as they can be read; for the report only. Returns how many. */
static unsigned bytes_at_rip(KvmCpu *k, uint64_t *rip, uint8_t bytes[15])
{
    struct kvm_regs regs;
    struct kvm_sregs sregs;

    if (kvm_ioctl(k->fd, KVM_GET_REGS, &regs) < 0 || kvm_ioctl(k->fd, KVM_GET_SREGS, &sregs) < 0) {
        *rip = 0;
        return 0;
    }
    *rip = regs.rip;
    struct kvm_translation where = { .linear_address = regs.rip + (sregs.efer & 0x400 ? 0 : sregs.cs.base) };
    if (kvm_ioctl(k->fd, KVM_TRANSLATE, &where) < 0 || !where.valid) {
        return 0;
    }
    unsigned length = (unsigned)MIN(15, 0x1000 - (where.physical_address & 0xfff));
    return space_read(k->kvm->accel->memory, where.physical_address, bytes, length) == MEM_OK ? length : 0;
}

static Next on_internal_error(KvmCpu *k)
{
    const struct kvm_run *run = k->run;
    uint8_t bytes[15];
    uint64_t rip;
    unsigned length = bytes_at_rip(k, &rip, bytes);
    g_autoptr(GString) text = g_string_new(NULL);

    if (run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION) {
        if (run->internal.ndata >= 3 && (run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES)) {
            length = MIN(run->emulation_failure.insn_size, 15);
            memcpy(bytes, run->emulation_failure.insn_bytes, length);
        }
        for (unsigned i = 0; i < length; i++) {
            g_string_append_printf(text, " %02x", bytes[i]);
        }
        return internal_error(k, "KVM internal error: cannot emulate the instruction at 0x%" G_GINT64_MODIFIER "x, bytes%s; try -accel tcg", rip,
                              length ? text->str : " unreadable");
    }
    for (unsigned i = 0; i < MIN(run->internal.ndata, 16); i++) {
        g_string_append_printf(text, " 0x%" G_GINT64_MODIFIER "x", (uint64_t)run->internal.data[i]);
    }
    return internal_error(k, "KVM internal error %u at 0x%" G_GINT64_MODIFIER "x, data%s", run->internal.suberror, rip,
                          text->len ? text->str : " none");
}

/* Exits -------------------------------------------------------------------------------------------------------- */

static Next on_io(KvmCpu *k)
{
    struct kvm_run *run = k->run;
    AddressSpace *ports = k->kvm->accel->ports;
    uint8_t *data = (uint8_t *)run + run->io.data_offset;
    unsigned size = run->io.size;
    uint32_t count = run->io.count;
    bool many = count > 1 && !machine_lock_held();

    if (many) {
        machine_lock();                    /* once for a string of accesses, not once for each */
    }
    for (; count; count--, data += size) {
        uint64_t value = 0;
        if (run->io.direction == KVM_EXIT_IO_OUT) {
            memcpy(&value, data, size);
            space_store(ports, run->io.port, size, value);
        } else {
            space_load(ports, run->io.port, size, &value);
            memcpy(data, &value, size);
        }
    }
    if (many) {
        machine_unlock();
    }
    return GO_ON;
}

static Next on_mmio(KvmCpu *k)
{
    struct kvm_run *run = k->run;
    AddressSpace *memory = k->kvm->accel->memory;
    unsigned length = MIN(run->mmio.len, 8);
    uint64_t value = 0;

    if (run->mmio.is_write) {
        memcpy(&value, run->mmio.data, length);
        space_store(memory, run->mmio.phys_addr, length, value);
    } else {
        space_load(memory, run->mmio.phys_addr, length, &value);
        memcpy(run->mmio.data, &value, length);
    }
    return GO_ON;
}

static Next on_shutdown(KvmCpu *k)
{
    const AccelHost *host = &k->kvm->accel->host;
    kvm_set_activity(k, CPU_SHUTDOWN);
    if (host->triple_fault) {
        host->triple_fault(host->opaque, k->cpu);
    }
    return STOP;
}

/* Only without an in-kernel LAPIC. An interrupt that came meanwhile is injected at the next turn. */
static Next on_halt(KvmCpu *k)
{
    kvm_set_activity(k, CPU_HALTED);
    return kvm_cpu_has_work(k->cpu) ? GO_ON : GO_SLEEP;
}

static Next on_nothing(KvmCpu *k)
{
    (void)k;
    return GO_ON;
}

static Next on_ioapic_eoi(KvmCpu *k)
{
    const AccelHost *host = &k->kvm->accel->host;
    if (host->ioapic_eoi) {
        host->ioapic_eoi(host->opaque, k->run->eoi.vector);
    }
    return GO_ON;
}

static Next on_debug(KvmCpu *k)
{
    const AccelHost *host = &k->kvm->accel->host;
    if (!host->breakpoint) {
        return GO_ON;
    }
    host->breakpoint(host->opaque, k->cpu);
    return GO_ON;
}

static Next on_rdmsr(KvmCpu *k)
{
    const CpuIrqSource *source = &k->cpu->source;
    uint64_t value = 0;
    k->run->msr.error = !(source->read_msr && source->read_msr(source->opaque, k->run->msr.index, &value));
    k->run->msr.data = value;
    return GO_ON;
}

static Next on_wrmsr(KvmCpu *k)
{
    const CpuIrqSource *source = &k->cpu->source;
    k->run->msr.error = !(source->write_msr && source->write_msr(source->opaque, k->run->msr.index, k->run->msr.data));
    return GO_ON;
}

static Next on_hypercall(KvmCpu *k)
{
    k->run->hypercall.ret = (uint64_t)-ENOSYS;
    return GO_ON;
}

static Next on_fail_entry(KvmCpu *k)
{
    return internal_error(k, "KVM: the host's processor refuses to enter the guest, reason 0x%" G_GINT64_MODIFIER "x: its state is not a legal one",
                          (uint64_t)k->run->fail_entry.hardware_entry_failure_reason);
}

static Next on_unknown(KvmCpu *k)
{
    return internal_error(k, "KVM: an exit that the host's kernel does not know, reason 0x%" G_GINT64_MODIFIER "x",
                          (uint64_t)k->run->hw.hardware_exit_reason);
}

static Next on_system_event(KvmCpu *k)
{
    return k->run->system_event.type == KVM_SYSTEM_EVENT_CRASH
        ? internal_error(k, "KVM: the guest reports a crash through the hypervisor interface")
        : on_shutdown(k);
}

static Next (*const exits[])(KvmCpu *k) = {
    [KVM_EXIT_UNKNOWN] = on_unknown,       [KVM_EXIT_IO] = on_io,                 [KVM_EXIT_HYPERCALL] = on_hypercall,
    [KVM_EXIT_DEBUG] = on_debug,           [KVM_EXIT_HLT] = on_halt,              [KVM_EXIT_MMIO] = on_mmio,
    [KVM_EXIT_IRQ_WINDOW_OPEN] = on_nothing, [KVM_EXIT_SHUTDOWN] = on_shutdown,   [KVM_EXIT_FAIL_ENTRY] = on_fail_entry,
    [KVM_EXIT_INTR] = on_nothing,          [KVM_EXIT_SET_TPR] = on_nothing,       [KVM_EXIT_TPR_ACCESS] = on_nothing,
    [KVM_EXIT_NMI] = on_nothing,           [KVM_EXIT_INTERNAL_ERROR] = on_internal_error,
    [KVM_EXIT_SYSTEM_EVENT] = on_system_event, [KVM_EXIT_IOAPIC_EOI] = on_ioapic_eoi,
    [KVM_EXIT_X86_RDMSR] = on_rdmsr,       [KVM_EXIT_X86_WRMSR] = on_wrmsr,
};

static inline Next dispatch(KvmCpu *k)
{
    uint32_t reason = k->run->exit_reason;

    TRACE(&kvm_trace[TRACE_EXIT], "cpu %u reason %u", k->cpu->index, reason);
    if (reason < G_N_ELEMENTS(exits) && exits[reason]) {
        return exits[reason](k);
    }
    return internal_error(k, "KVM: exit %u is unknown to Roost", reason);
}

/* Userspace interrupt controllers ------------------------------------------------------------------------------ */

bool kvm_cpu_has_work(Cpu *cpu)
{
    const KvmCpu *k = cpu->data;
    uint32_t requests = __atomic_load_n(&k->requests, __ATOMIC_SEQ_CST);

    if (kvm_lapic_in_kernel(k->kvm)) {
        return true;                       /* it sleeps in the kernel, never here */
    }
    if (kvm_activity(k) == CPU_WAIT_SIPI) {
        return (requests & (REQUEST_INIT | REQUEST_SIPI)) != 0;
    }
    return kvm_activity(k) == CPU_RUNNABLE || (requests & (REQUEST_NMI | REQUEST_INIT)) ||
           (kvm_activity(k) == CPU_HALTED && __atomic_load_n(&k->intr, __ATOMIC_SEQ_CST) && k->run->if_flag);
}

static int acknowledge(KvmCpu *k)
{
    const CpuIrqSource *source = &k->cpu->source;
    const AccelHost *host = &k->kvm->accel->host;

    if (source->acknowledge) {
        return source->acknowledge(source->opaque);
    }
    return host->pic_acknowledge ? host->pic_acknowledge(host->opaque) : -1;
}

/* Gives KVM the pending interrupt when it can take one, else asks to be told when it can. */
static void offer_interrupt(KvmCpu *k)
{
    struct kvm_run *run = k->run;

    if (__atomic_load_n(&k->intr, __ATOMIC_SEQ_CST) && run->ready_for_interrupt_injection) {
        int vector = acknowledge(k);
        if (vector >= 0) {
            struct kvm_interrupt interrupt = { .irq = (uint32_t)vector };
            TRACE(&kvm_trace[TRACE_INJECT], "cpu %u vector %d", k->cpu->index, vector);
            if (kvm_ioctl(k->fd, KVM_INTERRUPT, &interrupt) == 0) {
                run->ready_for_interrupt_injection = 0;
                kvm_set_activity(k, CPU_RUNNABLE);
            }
        }
    }
    run->request_interrupt_window = __atomic_load_n(&k->intr, __ATOMIC_SEQ_CST);
}

static void take_requests(KvmCpu *k)
{
    uint32_t requests = __atomic_exchange_n(&k->requests, 0, __ATOMIC_SEQ_CST);

    if (requests & REQUEST_INIT) {
        kvm_cpu_init(k->cpu, k->cpu->index == 0);
    }
    if ((requests & REQUEST_SIPI) && kvm_activity(k) == CPU_WAIT_SIPI) {
        kvm_cpu_start_at(k->cpu, __atomic_load_n(&k->sipi_vector, __ATOMIC_SEQ_CST));
    }
    if (requests & REQUEST_NMI) {
        kvm_ioctl(k->fd, KVM_NMI, NULL);
        if (kvm_activity(k) == CPU_HALTED) {
            kvm_set_activity(k, CPU_RUNNABLE);
        }
    }
}

static void before_run(KvmCpu *k)
{
    const CpuIrqSource *source = &k->cpu->source;

    if (__atomic_load_n(&k->requests, __ATOMIC_RELAXED)) {
        take_requests(k);
    }
    if (!wants_userspace_interrupts(k->kvm)) {
        return;
    }
    offer_interrupt(k);
    if (!kvm_lapic_in_kernel(k->kvm) && source->get_cr8) {
        k->cr8 = k->run->cr8 = source->get_cr8(source->opaque);
    }
}

static void after_run(KvmCpu *k)
{
    const CpuIrqSource *source = &k->cpu->source;

    if (kvm_lapic_in_kernel(k->kvm)) {
        return;
    }
    if (source->set_cr8 && k->run->cr8 != k->cr8) {
        source->set_cr8(source->opaque, (uint8_t)k->run->cr8);
    }
    if (source->get_base && source->set_base && source->get_base(source->opaque) != k->run->apic_base) {
        source->set_base(source->opaque, k->run->apic_base);
    }
}

/* The loop ----------------------------------------------------------------------------------------------------- */

/* KVM_RUN failed. GO_ON: nothing but a signal, or it wants to be asked again. */
static Next answer_failure(KvmCpu *k, int error)
{
    if (error == EINTR) {
        return GO_ON;
    }
    if (error == EAGAIN && ++k->refusals < MOST_REFUSALS) {
        return GO_ON;
    }
    if (k->run->exit_reason == KVM_EXIT_INTERNAL_ERROR && error == EFAULT) {
        return on_internal_error(k);
    }
    return internal_error(k, "KVM_RUN failed: %s", g_strerror(error));
}

CpuRunResult kvm_cpu_run(Cpu *cpu)
{
    KvmCpu *k = cpu->data;

    /* In this order, so that a kick that came before is seen and one that comes now is not wiped out. */
    __atomic_store_n(&k->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
    if (cpu_leave_wanted(cpu)) {
        return CPU_RAN;
    }
    for (;;) {
        before_run(k);
        if (kvm_activity(k) != CPU_RUNNABLE && !kvm_lapic_in_kernel(k->kvm) && !kvm_cpu_has_work(cpu)) {
            return CPU_SLEEPS;
        }
        enter_run(k);
        int result = ioctl(k->fd, KVM_RUN, 0);
        int error = errno;
        leave_run(k);
        if (!kvm_lapic_in_kernel(k->kvm)) {
            after_run(k);
        }
        Next next;
        if (__builtin_expect(result < 0, 0)) {
            next = answer_failure(k, error);
            __atomic_store_n(&k->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
            if (next == GO_ON && cpu_leave_wanted(cpu)) {
                return CPU_RAN;
            }
        } else {
            k->refusals = 0;
            next = dispatch(k);
        }
        if (next != GO_ON) {
            return next == GO_SLEEP ? CPU_SLEEPS : CPU_STOPPED;
        }
    }
}
