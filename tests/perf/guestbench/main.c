/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE
#include "gb.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/reboot.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

const char *gb_self = "/init";

double gb_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static double min_time = 0.4;

/* Doubles the amount of work until a run takes min_time; prints the cost of one unit in ns. */
static int run_one(const struct bench *b)
{
    uint64_t sum = b->run(1);
    if (b->expect && sum != b->expect) {
        printf("GB fail %s got %#llx want %#llx\n", b->name,
               (unsigned long long)sum, (unsigned long long)b->expect);
        return 1;
    }
    if (!b->expect)                   /* run.sh compares it with the native run's */
        printf("GB sum %s %#llx\n", b->name, (unsigned long long)sum);
    uint64_t n = 1;
    double dt;
    for (;;) {
        double t0 = gb_now();
        b->run(n);
        dt = gb_now() - t0;
        if (dt >= min_time || n >= (1ull << 40))
            break;
        if (dt < min_time / 16)
            n *= 8;
        else
            n = (uint64_t)(n * (min_time * 1.1 / dt)) + 1;
    }
    printf("GB res %s %.1f ns per %s\n", b->name, dt * 1e9 / n, b->unit);
    return 0;
}

/* Each benchmark has a process of its own, so that one's memory does not weigh on another's fork. */
static int run_child(const struct bench *b)
{
    int st = 1;
    pid_t p = fork();
    if (!p)
        { int r = run_one(b); fflush(stdout); _exit(r); }
    if (p < 0 || waitpid(p, &st, 0) != p)
        st = 1;
    if (st && !(WIFEXITED(st) && WEXITSTATUS(st) == 1))
        printf("GB fail %s status %#x\n", b->name, st);
    return st != 0;
}

static int selected(const char *name, const char *list)
{
    if (!list || !*list)
        return 1;
    size_t len = strlen(name);
    for (const char *p = list; (p = strstr(p, name)); p += len)
        if ((p == list || p[-1] == ',') && (p[len] == 0 || p[len] == ','))
            return 1;
    return 0;
}

int main(int argc, char **argv)
{
    int guest = getpid() == 1;
    const char *only = NULL;
    if (argc > 1 && !strcmp(argv[1], "nop"))
        return 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (guest) {
        struct timespec up;
        mkdir("/proc", 0755);
        mkdir("/tmp", 0755);
        mkdir("/dev", 0755);
        mount("proc", "/proc", "proc", 0, NULL);
        mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
        mount("tmpfs", "/tmp", "tmpfs", 0, NULL);
        int fd = open("/dev/console", O_RDWR);
        if (fd >= 0) {
            dup2(fd, 0), dup2(fd, 1), dup2(fd, 2);
            if (fd > 2)
                close(fd);
        }
        clock_gettime(CLOCK_BOOTTIME, &up);
        printf("\nGB boot %ld.%03ld\n", (long)up.tv_sec, up.tv_nsec / 1000000);
        char c[64] = "";
        int cs = open("/sys/devices/system/clocksource/clocksource0/current_clocksource", O_RDONLY);
        if (cs < 0) {
            mkdir("/sys", 0755);
            mount("sysfs", "/sys", "sysfs", 0, NULL);
            cs = open("/sys/devices/system/clocksource/clocksource0/current_clocksource", O_RDONLY);
        }
        if (cs >= 0 && read(cs, c, sizeof c - 1) > 0)
            printf("GB clocksource %s", c);
        /* The kernel passes unknown name=value words to init as environment. */
        only = getenv("gb_only");
    } else {
        static char self[4096];
        ssize_t r = readlink("/proc/self/exe", self, sizeof self - 1);
        if (r > 0)
            gb_self = self;
        only = argc > 1 ? argv[1] : NULL;
    }
    if (getenv("gb_time"))
        min_time = atof(getenv("gb_time"));
    const struct bench *groups[] = { int_benches, mem_benches, fp_benches, sys_benches };
    int bad = 0;
    for (unsigned g = 0; g < 4; g++)
        for (const struct bench *b = groups[g]; b->name; b++)
            if (selected(b->name, only))
                bad += run_child(b);
    printf("GB end %d\n", bad);
    if (guest) {
        sync();
        reboot(RB_AUTOBOOT);
        for (;;)
            pause();
    }
    return bad != 0;
}
