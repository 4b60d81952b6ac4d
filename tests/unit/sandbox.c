/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sandbox.c - which system calls the filter ends the process for, under which keys; each in a child of its own */
#include "base/char/chardev.h"
#include "base/json.h"
#include "cli/run.h"
#include "hw/core/exit-status.h"
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

void pidfile_remove(void)
{
}

#define ALL "{'enable':'on','obsolete':'deny','elevateprivileges':'deny','spawn':'deny','resourcecontrol':'deny'}"
#define ON "{'enable':'on'}"

/* The child's exit status; *said gets its standard error. */
static int run_child(const char *keys, void (*call)(void), char **said)
{
    int ends[2], status;
    char buffer[1024] = { 0 };

    g_assert_cmpint(pipe(ends), ==, 0);
    pid_t child = fork();
    if (child == 0) {
        g_autoptr(Value) config = json_parse(keys, NULL);
        dup2(ends[1], STDERR_FILENO);
        if (!sandbox_enter(config, NULL)) {
            _exit(3);
        }
        call();
        _exit(0);
    }
    close(ends[1]);
    g_assert_cmpint(read(ends[0], buffer, sizeof buffer - 1), >=, 0);
    close(ends[0]);
    *said = g_strdup(buffer);
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* A kernel without the 32-bit interface answers its gate with a signal, and no filter hears of it. */
static bool has_32bit_calls(void)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        __asm__ volatile("int $0x80" :: "a"(20) : "memory");
        _exit(0);
    }
    return waitpid(child, &status, 0) == child && WIFEXITED(status);
}

static char cases_mark[1];

static void *thread_body(void *opaque)
{
    return opaque;
}

static void call_thread(void)
{
    pthread_t thread;
    void *result = NULL;

    if (pthread_create(&thread, NULL, thread_body, cases_mark) != 0 || pthread_join(thread, &result) != 0 || result != cases_mark) {
        _exit(4);
    }
}

static void *thread_ptrace(void *opaque)
{
    syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0);
    return opaque;
}

static void call_in_thread(void)
{
    pthread_t thread;

    pthread_create(&thread, NULL, thread_ptrace, NULL);
    pthread_join(thread, NULL);
}

static void call_ptrace(void) { syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0); }
static void call_mount(void) { syscall(SYS_mount, "a", "b", "c", 0, NULL); }
static void call_unshare(void) { syscall(SYS_unshare, 0); }
static void call_setns(void) { syscall(SYS_setns, -1, 0); }
static void call_module(void) { syscall(SYS_init_module, NULL, 0, NULL); }
static void call_pivot(void) { syscall(SYS_pivot_root, "a", "b"); }
static void call_bpf(void) { syscall(SYS_bpf, 0, NULL, 0); }
static void call_kexec(void) { syscall(SYS_kexec_load, 0, 0, NULL, 0); }
static void call_namespace(void) { if (syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0) == 0) { _exit(0); } }
static void call_exec(void) { execl("/bin/true", "true", (char *)NULL); }
static void call_fork(void) { if (fork() == 0) { _exit(0); } }
static void call_setuid(void) { syscall(SYS_setuid, getuid()); }
static void call_priority(void) { syscall(SYS_setpriority, PRIO_PROCESS, 0, 0); }
static void call_affinity(void) { cpu_set_t set; CPU_ZERO(&set); syscall(SYS_sched_setaffinity, 0, sizeof set, &set); }
static void call_ask_limit(void) { struct rlimit limit; if (getrlimit(RLIMIT_NOFILE, &limit) != 0) { _exit(5); } }
static void call_set_limit(void) { struct rlimit limit = { 100, 100 }; setrlimit(RLIMIT_CORE, &limit); }
static void call_sysfs(void) { syscall(SYS_sysfs, 3); }
static void call_i386(void) { __asm__ volatile("int $0x80" :: "a"(20) : "memory"); }

static const struct { const char *title, *keys; void (*call)(void); const char *caught; } cases[] = {
    { "ptrace", ON, call_ptrace, "ptrace" }, { "mount", ON, call_mount, "mount" }, { "unshare", ON, call_unshare, "unshare" },
    { "setns", ON, call_setns, "setns" }, { "module", ON, call_module, "init_module" }, { "pivot_root", ON, call_pivot, "pivot_root" },
    { "bpf", ON, call_bpf, "bpf" }, { "kexec", ON, call_kexec, "kexec_load" }, { "a new namespace", ON, call_namespace, "clone" },
    { "from another thread", ALL, call_in_thread, "ptrace" }, { "32-bit calls", ON, call_i386, "of another architecture" },
    { "exec, spawn=deny", ALL, call_exec, "execve" }, { "exec", ON, call_exec, NULL },
    { "fork, spawn=deny", ALL, call_fork, "clone" }, { "fork", ON, call_fork, NULL },
    { "threads under all keys", ALL, call_thread, NULL }, { "asking for a limit under all keys", ALL, call_ask_limit, NULL },
    { "setuid, elevateprivileges=deny", ALL, call_setuid, "setuid" }, { "setuid", ON, call_setuid, NULL },
    { "setuid, elevateprivileges=children", "{'enable':'on','elevateprivileges':'children'}", call_setuid, "setuid" },
    { "priority, resourcecontrol=deny", ALL, call_priority, "setpriority" }, { "priority", ON, call_priority, NULL },
    { "affinity, resourcecontrol=deny", ALL, call_affinity, "sched_setaffinity" }, { "limit, resourcecontrol=deny", ALL, call_set_limit, "prlimit64" },
    { "obsolete", ON, call_sysfs, "sysfs" }, { "obsolete=allow", "{'enable':'on','obsolete':'allow'}", call_sysfs, NULL },
    { "off", "{'enable':'off','spawn':'deny'}", call_unshare, NULL },
};

static void run_case(gconstpointer opaque)
{
    size_t i = GPOINTER_TO_SIZE(opaque);
    g_autofree char *said = NULL;

    if (cases[i].call == call_i386 && !has_32bit_calls()) {
        g_test_skip("this kernel has no 32-bit system calls");
        return;
    }
    int status = run_child(cases[i].keys, cases[i].call, &said);

    if (!cases[i].caught) {
        g_assert_cmpstr(said, ==, "");
        g_assert_cmpint(status, ==, 0);
        return;
    }
    g_autofree char *words = g_strdup_printf("roost: sandbox: system call %s (", cases[i].caught);
    g_assert_true(g_str_has_prefix(said, words));
    g_assert_true(g_str_has_suffix(said, "\n"));
    g_assert_cmpint(status, ==, EXIT_STATUS_SANDBOX);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strconcat("/sandbox/", cases[i].title, NULL);
        g_test_add_data_func(path, GSIZE_TO_POINTER(i), run_case);
    }
    return g_test_run();
}
