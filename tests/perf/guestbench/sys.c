/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Kernel work: system calls, processes, faults, signals, pipes, files, self-modifying code. */
#define _GNU_SOURCE
#include "gb.h"
#include <unistd.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <setjmp.h>
#include <fcntl.h>
#include <sched.h>
#include <time.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static uint64_t sys_getppid(uint64_t n)
{
    while (n--)
        for (int i = 0; i < 100; i++)
            syscall(SYS_getppid);
    return 1;
}

static uint64_t clockread(uint64_t n)     /* vDSO: rdtsc or a system call, as the guest decides */
{
    struct timespec t;
    while (n--)
        for (int i = 0; i < 100; i++)
            clock_gettime(CLOCK_MONOTONIC, &t);
    return 1;
}

static uint64_t do_fork(uint64_t n)
{
    uint64_t ok = 1;
    while (n--) {
        pid_t p = fork();
        int st;
        if (!p)
            _exit(0);
        if (waitpid(p, &st, 0) != p || st)
            ok = 2;
    }
    return ok;
}

static uint64_t forkexec(uint64_t n)
{
    uint64_t ok = 1;
    while (n--) {
        pid_t p = fork();
        int st;
        if (!p) {
            execl(gb_self, gb_self, "nop", (char *)0);
            _exit(9);
        }
        if (waitpid(p, &st, 0) != p || st)
            ok = 2;
    }
    return ok;
}

static uint64_t fault(uint64_t n)         /* map, touch and unmap 64 pages */
{
    while (n--) {
        volatile char *p = mmap(0, 64 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        madvise((void *)p, 64 * 4096, MADV_NOHUGEPAGE);
        for (int i = 0; i < 64; i++)
            p[i * 4096] = 1;
        munmap((void *)p, 64 * 4096);
    }
    return 1;
}

static sigjmp_buf env;
static void on_segv(int s) { (void)s; siglongjmp(env, 1); }
static uint64_t segv(uint64_t n)          /* a signal per fault */
{
    char *p = mmap(0, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    signal(SIGSEGV, on_segv);
    while (n--)
        if (!sigsetjmp(env, 1))
            *(volatile char *)p = 1;
    signal(SIGSEGV, SIG_DFL);
    munmap(p, 4096);
    return 1;
}

static uint64_t pipes(uint64_t n)         /* ping-pong between two processes on one CPU */
{
    int a[2], b[2];
    char c = 0;
    cpu_set_t one, old;
    if (pipe(a) || pipe(b))
        return 2;
    sched_getaffinity(0, sizeof old, &old);
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    sched_setaffinity(0, sizeof one, &one);
    pid_t p = fork();
    if (!p) {
        close(a[1]), close(b[0]);
        while (read(a[0], &c, 1) == 1)
            if (write(b[1], &c, 1) != 1)
                break;
        _exit(0);
    }
    close(a[0]), close(b[1]);
    uint64_t ok = 1;
    while (n--)
        if (write(a[1], &c, 1) != 1 || read(b[0], &c, 1) != 1)
            ok = 2;
    close(a[1]), close(b[0]);
    waitpid(p, 0, 0);
    sched_setaffinity(0, sizeof old, &old);
    return ok;
}

static uint64_t files(uint64_t n)         /* create, write, stat, read, unlink in a tmpfs */
{
    char buf[4096], name[] = "/tmp/gb-XXXXXX";
    int fd = mkstemp(name);
    if (fd < 0)
        return 2;
    close(fd);
    unlink(name);
    memset(buf, 'x', sizeof buf);
    uint64_t ok = 1;
    while (n--) {
        struct stat st;
        fd = open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
        if (write(fd, buf, sizeof buf) != sizeof buf || stat(name, &st) || st.st_size != sizeof buf ||
            pread(fd, buf, sizeof buf, 0) != sizeof buf)
            ok = 2;
        close(fd);
        unlink(name);
    }
    return ok;
}

static uint64_t smc(uint64_t n)           /* write a function, call it: what a JIT in the guest does */
{
    uint8_t *p = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t ok = 1;
    if (p == MAP_FAILED)
        return 2;
    for (uint32_t i = 0; n--; i++) {
        uint8_t code[] = { 0xB8, 0, 0, 0, 0, 0xC3 };       /* mov $i, %eax; ret */
        memcpy(code + 1, &i, 4);
        memcpy(p, code, sizeof code);
        __builtin___clear_cache((char *)p, (char *)p + sizeof code);
        if (((uint32_t (*)(void))p)() != i)
            ok = 2;
    }
    munmap(p, 4096);
    return ok;
}

const struct bench sys_benches[] = {
    { "getppid", "100 calls", sys_getppid, 1 },
    { "clock", "100 reads", clockread, 1 },
    { "fork", "fork+wait", do_fork, 1 },
    { "forkexec", "fork+exec+wait", forkexec, 1 },
    { "fault", "64 page faults", fault, 1 },
    { "segv", "signal", segv, 1 },
    { "pipe", "round trip", pipes, 1 },
    { "files", "create/rw/unlink", files, 1 },
    { "smc", "rewrite+call", smc, 1 },
    { 0 }
};
