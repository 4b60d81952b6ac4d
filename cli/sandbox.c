/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sandbox.c - -sandbox: system calls that a running guest never needs end the process, by name
 *
 * The filter is loaded when the machine is built and its threads exist; it covers all of them. A call that it
 * catches raises SIGSYS, whose handler says which call it was and ends with status 108.
 *
 * Omits    children of elevateprivileges=children get PR_SET_NO_NEW_PRIVS, which any filter sets anyway
 * Threads  entering: main loop; the handler: the thread that made the call
 * Tests    tests/unit/sandbox.c, tests/cli/process.py
 */
#include "base/char/chardev.h"
#include "base/error.h"
#include "cli/run.h"
#include "hw/core/exit-status.h"
#include <errno.h>
#include <linux/audit.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Which key lets a call pass; ALWAYS: none does. */
typedef enum { ALWAYS, OBSOLETE, ELEVATE, SPAWN, RESOURCE, KEYS } Key;
static const struct { const char *name, *preset; } keys[KEYS] = {
    [ALWAYS] = { "", "deny" }, [OBSOLETE] = { "obsolete", "deny" }, [ELEVATE] = { "elevateprivileges", "allow" },
    [SPAWN] = { "spawn", "allow" }, [RESOURCE] = { "resourcecontrol", "allow" },
};

#define CALL(name, key) { SCMP_SYS(name), #name, key }
static const struct { int number; const char *name; Key key; } denied[] = {
    CALL(ptrace, ALWAYS), CALL(process_vm_readv, ALWAYS), CALL(process_vm_writev, ALWAYS), CALL(kcmp, ALWAYS), CALL(pidfd_getfd, ALWAYS),
    CALL(mount, ALWAYS), CALL(umount2, ALWAYS), CALL(pivot_root, ALWAYS), CALL(chroot, ALWAYS), CALL(open_tree, ALWAYS), CALL(move_mount, ALWAYS),
    CALL(fsopen, ALWAYS), CALL(fsconfig, ALWAYS), CALL(fsmount, ALWAYS), CALL(fspick, ALWAYS), CALL(mount_setattr, ALWAYS),
    CALL(init_module, ALWAYS), CALL(finit_module, ALWAYS), CALL(delete_module, ALWAYS),
    CALL(unshare, ALWAYS), CALL(setns, ALWAYS), CALL(kexec_load, ALWAYS), CALL(kexec_file_load, ALWAYS), CALL(reboot, ALWAYS), CALL(bpf, ALWAYS),
    CALL(perf_event_open, ALWAYS), CALL(add_key, ALWAYS), CALL(request_key, ALWAYS), CALL(keyctl, ALWAYS), CALL(open_by_handle_at, ALWAYS),
    CALL(quotactl, ALWAYS), CALL(quotactl_fd, ALWAYS), CALL(acct, ALWAYS), CALL(swapon, ALWAYS), CALL(swapoff, ALWAYS), CALL(syslog, ALWAYS),
    CALL(settimeofday, ALWAYS), CALL(clock_settime, ALWAYS), CALL(adjtimex, ALWAYS), CALL(clock_adjtime, ALWAYS),
    CALL(sethostname, ALWAYS), CALL(setdomainname, ALWAYS), CALL(iopl, ALWAYS), CALL(ioperm, ALWAYS), CALL(vhangup, ALWAYS), CALL(personality, ALWAYS),
    CALL(lookup_dcookie, ALWAYS), CALL(nfsservctl, ALWAYS), CALL(vserver, ALWAYS), CALL(tuxcall, ALWAYS), CALL(security, ALWAYS),
    CALL(getpmsg, ALWAYS), CALL(putpmsg, ALWAYS), CALL(afs_syscall, ALWAYS),
    CALL(uselib, OBSOLETE), CALL(sysfs, OBSOLETE), CALL(_sysctl, OBSOLETE), CALL(ustat, OBSOLETE), CALL(create_module, OBSOLETE),
    CALL(get_kernel_syms, OBSOLETE), CALL(query_module, OBSOLETE),
    CALL(setuid, ELEVATE), CALL(setgid, ELEVATE), CALL(setreuid, ELEVATE), CALL(setregid, ELEVATE), CALL(setresuid, ELEVATE), CALL(setresgid, ELEVATE),
    CALL(setfsuid, ELEVATE), CALL(setfsgid, ELEVATE), CALL(setgroups, ELEVATE), CALL(setpgid, ELEVATE), CALL(setsid, ELEVATE), CALL(capset, ELEVATE),
    CALL(fork, SPAWN), CALL(vfork, SPAWN), CALL(execve, SPAWN), CALL(execveat, SPAWN),
    CALL(setpriority, RESOURCE), CALL(sched_setparam, RESOURCE), CALL(sched_setscheduler, RESOURCE), CALL(sched_setaffinity, RESOURCE),
    CALL(sched_setattr, RESOURCE), CALL(setrlimit, RESOURCE), CALL(ioprio_set, RESOURCE), CALL(set_mempolicy, RESOURCE), CALL(migrate_pages, RESOURCE),
};

static const uint64_t namespaces[] = { CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWCGROUP };

static const char *call_name(int number)
{
    for (size_t i = 0; i < G_N_ELEMENTS(denied); i++) {
        if (denied[i].number == number) {
            return denied[i].name;
        }
    }
    return number == SCMP_SYS(clone) ? "clone" : number == SCMP_SYS(prlimit64) ? "prlimit64" : "of the x32 kind";
}

/* The handler may use only write() and the like. */
static void append(char *line, size_t *at, size_t room, const char *text)
{
    while (*text && *at < room) {
        line[(*at)++] = *text++;
    }
}

static void append_number(char *line, size_t *at, size_t room, unsigned number)
{
    char digits[12];
    int i = sizeof digits - 1;

    digits[i] = '\0';
    do {
        digits[--i] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    append(line, at, room, digits + i);
}

static void call_caught(int number, siginfo_t *info, void *context)
{
    char line[256];
    size_t at = 0;

    (void)number;
    (void)context;
    append(line, &at, sizeof line, "roost: sandbox: system call ");
    append(line, &at, sizeof line, info->si_arch == AUDIT_ARCH_X86_64 ? call_name(info->si_syscall) : "of another architecture");
    append(line, &at, sizeof line, " (");
    append_number(line, &at, sizeof line, (unsigned)info->si_syscall);
    append(line, &at, sizeof line, ") is not allowed by -sandbox; the process ends\n");
    chardev_restore_terminal();
    ssize_t written = write(STDERR_FILENO, line, at);
    (void)written;
    pidfile_remove();
    _exit(EXIT_STATUS_SANDBOX);
}

static bool denies(const Value *config, Key key)
{
    return strcmp(value_get_string(config, keys[key].name, keys[key].preset), "allow") != 0;
}

/* 0 or a negative errno value, from the first rule that fails; a call that this kernel's headers do not know is passed over. */
static int add_table(scmp_filter_ctx filter, const Value *config)
{
    for (size_t i = 0; i < G_N_ELEMENTS(denied); i++) {
        if (denied[i].number >= 0 && denies(config, denied[i].key)) {
            int result = seccomp_rule_add(filter, SCMP_ACT_TRAP, denied[i].number, 0);
            if (result < 0) {
                return result;
            }
        }
    }
    return 0;
}

/* Threads are made by clone(); processes and namespaces too, with other flags. clone3() hides its flags in memory, where
 * a filter cannot look: it is said not to exist, and the C library falls back on clone(). */
static int add_clone(scmp_filter_ctx filter, const Value *config)
{
    int result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);

    for (size_t i = 0; result == 0 && i < G_N_ELEMENTS(namespaces); i++) {
        result = seccomp_rule_add(filter, SCMP_ACT_TRAP, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, namespaces[i], namespaces[i]));
    }
    if (result == 0 && denies(config, SPAWN)) {
        result = seccomp_rule_add(filter, SCMP_ACT_TRAP, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    }
    if (result == 0 && denies(config, RESOURCE)) {     /* asking for a limit stays possible */
        result = seccomp_rule_add(filter, SCMP_ACT_TRAP, SCMP_SYS(prlimit64), 1, SCMP_A2(SCMP_CMP_NE, 0));
    }
    return result;
}

static int load(const Value *config)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int result = filter ? 0 : -ENOMEM;

    if (result == 0) {
        result = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    }
    if (result == 0) {
        result = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_TRAP);
    }
    if (result == 0) {
        result = add_table(filter, config);
    }
    if (result == 0) {
        result = add_clone(filter, config);
    }
    if (result == 0) {
        result = seccomp_load(filter);
    }
    seccomp_release(filter);
    return result;
}

bool sandbox_enter(const Value *config, GError **err)
{
    struct sigaction action = { .sa_sigaction = call_caught, .sa_flags = SA_SIGINFO };

    if (strcmp(value_get_string(config, "enable", "off"), "on") != 0) {
        return true;
    }
    sigaction(SIGSYS, &action, NULL);
    int result = load(config);
    return result == 0 || fail(err, -result, "-sandbox: the filter cannot be loaded: %s; without it the guest does not start", g_strerror(-result));
}
