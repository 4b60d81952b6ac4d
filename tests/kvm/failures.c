/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * failures.c - KVM refuses: every ioctl in turn, and every way in which KVM_RUN can go wrong
 *
 * ioctl() is this program's own. Whatever fails, there must be a sentence or an internal error, no crash, no hang, no CPU
 * time burnt, and no descriptor left.
 */
#include "bed.h"
#include "accel/kvm/kvm-internal.h"
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fail_at;                        /* the how-manieth ioctl from now fails; 0: none */
static int fail_with;
static int calls;
static int run_error;                      /* KVM_RUN fails with this; 0: the real one */
static uint32_t run_exit;                  /* KVM_RUN gives this exit; UINT32_MAX: the real one */
static struct kvm_run *run_page;
static unsigned runs;

int ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    va_start(args, request);
    void *argument = va_arg(args, void *);
    va_end(args);
    if (request == KVM_RUN) {
        __atomic_fetch_add(&runs, 1, __ATOMIC_SEQ_CST);
        if (run_error) {
            errno = run_error;
            return -1;
        }
        if (run_exit != UINT32_MAX) {
            run_page->exit_reason = run_exit;
            return 0;
        }
    } else if (__atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST) == fail_at) {
        errno = fail_with;
        return -1;
    }
    return (int)syscall(SYS_ioctl, fd, request, argument);
}

static unsigned open_descriptors(void)
{
    unsigned count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (readdir(dir)) {
        count++;
    }
    closedir(dir);
    return count;
}

typedef struct Try { Region memory, ports, ram; AddressSpace *memory_space, *port_space; unsigned errors, faults; char *sentence; } Try;

static void on_error(void *opaque, Cpu *cpu, const char *sentence)
{
    Try *t = opaque;
    (void)cpu;
    g_free(t->sentence);
    t->sentence = g_strdup(sentence);
    __atomic_fetch_add(&t->errors, 1, __ATOMIC_SEQ_CST);
}
static void on_fault(void *opaque, Cpu *cpu)
{
    (void)cpu;
    __atomic_fetch_add(&((Try *)opaque)->faults, 1, __ATOMIC_SEQ_CST);
}

static void try_open(Try *t)
{
    memset(t, 0, sizeof *t);
    machine_lock();
    region_init_container(&t->memory, "memory", UINT64_MAX);
    region_init_container(&t->ports, "ports", 0x10000);
    g_assert_true(region_init_ram(&t->ram, "ram", 0xa0000, NULL));
    region_add(&t->memory, 0, &t->ram, 0);
    t->memory_space = space_new("memory", &t->memory);
    t->port_space = space_new("ports", &t->ports);
}

static void try_close(Try *t, Accel *accel)
{
    accel_free(accel);
    space_free(t->memory_space);
    space_free(t->port_space);
    region_destroy(&t->memory);
    region_destroy(&t->ram);
    g_free(t->sentence);
    machine_unlock();
}

static Accel *try_accel(Try *t, const char *irqchip, GError **err)
{
    g_autoptr(Value) list = value_new_list();
    Value *entry = value_new_object();
    value_set(entry, "name", value_new_string("kvm"));
    value_set(entry, "kernel-irqchip", value_new_string(irqchip));
    value_append(list, entry);
    return accel_new(list, t->memory_space, t->port_space, &(AccelHost){ .opaque = t, .internal_error = on_error, .triple_fault = on_fault }, err);
}

/* Everything from opening to a saved state, with one refusal on the way. Returns whether that refusal was reached. */
static bool one_refusal(const char *irqchip, int which, int error)
{
    Try t;
    GError *err = NULL;
    try_open(&t);
    calls = 0;
    fail_at = which;
    fail_with = error;
    Accel *accel = try_accel(&t, irqchip, &err);
    Cpu *cpu = accel ? cpu_new(accel, NULL, NULL, 0, 0, &err) : NULL;
    if (cpu) {
        g_autofree CpuState *state = g_new0(CpuState, 1);
        g_autoptr(GError) set_error = NULL;
        cpu_get_state(cpu, state);
        cpu_set_state(cpu, state, &set_error);
        ram_dirty_log(t.ram.ram, DIRTY_DISPLAY, true, NULL);
        ram_dirty_sync(t.ram.ram);
        region_move(&t.ram, 0x1000);
        ram_dirty_log(t.ram.ram, DIRTY_DISPLAY, false, NULL);
        accel_resume(accel);
        machine_unlock();
        g_usleep(300);
        machine_lock();
        accel_pause(accel);
    } else {
        g_assert_nonnull(err);
        g_assert_null(strchr(err->message, '\n'));
        g_clear_error(&err);
    }
    bool reached = calls >= which;
    fail_at = 0;
    try_close(&t, accel);
    return reached;
}

static void every_ioctl(const char *irqchip, int error)
{
    if (kvm_missing()) {
        return;
    }
    one_refusal(irqchip, 1000000, error);
    unsigned before = open_descriptors();
    int which = 1;
    while (one_refusal(irqchip, which, error)) {
        g_assert_cmpint(++which, <, 2000);
    }
    g_test_message("%d calls refused in turn", which - 1);
    g_assert_cmpint(which, >, 30);
    g_assert_cmpuint(open_descriptors(), ==, before);
}

static void every_ioctl_on(void) { every_ioctl("on", EINVAL); }
static void every_ioctl_off(void) { every_ioctl("off", ENOMEM); }
static void every_ioctl_split(void) { every_ioctl("split", EFAULT); }

/* KVM_RUN goes wrong for good: one report, then silence. */
static void bad_run(int error, uint32_t reason, bool is_fault, const char *part)
{
    Try t;
    GError *err = NULL;
    try_open(&t);
    Accel *accel = try_accel(&t, "on", &err);
    g_assert_no_error(err);
    Cpu *cpu = cpu_new(accel, NULL, NULL, 0, 0, &err);
    g_assert_no_error(err);
    run_page = ((KvmCpu *)cpu->data)->run;
    run_error = error;
    run_exit = reason;
    runs = 0;
    accel_resume(accel);
    machine_unlock();
    const unsigned *wanted = is_fault ? &t.faults : &t.errors;
    for (unsigned i = 0; i < 5000 && !__atomic_load_n(wanted, __ATOMIC_SEQ_CST); i++) {
        g_usleep(1000);
    }
    unsigned seen = __atomic_load_n(&runs, __ATOMIC_SEQ_CST);
    g_usleep(10000);
    g_assert_cmpuint(__atomic_load_n(&runs, __ATOMIC_SEQ_CST), ==, seen);
    g_assert_cmpuint(__atomic_load_n(wanted, __ATOMIC_SEQ_CST), ==, 1);
    machine_lock();
    accel_pause(accel);
    if (part) {
        g_assert_nonnull(strstr(t.sentence, part));
    }
    run_error = 0;
    run_exit = UINT32_MAX;
    try_close(&t, accel);
}

static void runs_that_fail(void)
{
    if (kvm_missing()) {
        return;
    }
    bad_run(EFAULT, UINT32_MAX, false, "KVM_RUN failed");
    bad_run(EAGAIN, UINT32_MAX, false, "KVM_RUN failed");
    bad_run(ENOMEM, UINT32_MAX, false, "KVM_RUN failed");
    bad_run(0, KVM_EXIT_UNKNOWN, false, "does not know");
    bad_run(0, KVM_EXIT_FAIL_ENTRY, false, "refuses to enter");
    bad_run(0, KVM_EXIT_EXCEPTION, false, "exit 1");
    bad_run(0, 77, false, "exit 77");
    bad_run(0, 0x7fffffff, false, "unknown");
    bad_run(0, KVM_EXIT_INTERNAL_ERROR, false, "internal error");
    bad_run(0, KVM_EXIT_SHUTDOWN, true, NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    run_exit = UINT32_MAX;
    g_log_set_always_fatal(G_LOG_LEVEL_CRITICAL);
    g_test_add_func("/kvm/every ioctl refused in turn, irqchip in the kernel", every_ioctl_on);
    g_test_add_func("/kvm/every ioctl refused in turn, irqchip off", every_ioctl_off);
    g_test_add_func("/kvm/every ioctl refused in turn, split irqchip", every_ioctl_split);
    g_test_add_func("/kvm/KVM_RUN fails", runs_that_fail);
    return g_test_run();
}
