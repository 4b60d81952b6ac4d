/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * signals.c - what a signal does to the process, its terminal and its guest
 *
 * Until the machine runs, a signal ends the process, terminal restored. From then on SIGINT, SIGTERM and SIGHUP ask
 * the machine to end, on the main loop; a second one ends the process at once, however busy the loop is. SIGTSTP and
 * SIGCONT give the terminal back and take it again.
 *
 * Threads  handlers: any; the rest: main loop, machine lock held
 * Tests    tests/cli/process.py
 */
#include "base/char/chardev.h"
#include "base/error.h"
#include "base/log.h"
#include "base/loop.h"
#include "cli/run.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

static const int ending[] = { SIGINT, SIGTERM, SIGHUP };
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const int fatal[] = { SIGQUIT, SIGABRT };           /* the sanitizer tells about the others */
#else
static const int fatal[] = { SIGQUIT, SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL };
#endif

static int parent_process = -1;            /* a pidfd */
static LoopWatch *parent_watch;

/* Leaves as the signal would have had us leave. */
static void restore_and_die(int number)
{
    chardev_restore_terminal();
    pidfile_remove();
    signal(number, SIG_DFL);
    raise(number);                         /* pending until this handler returns */
}

static void set_handler(int number)
{
    struct sigaction action = { .sa_handler = restore_and_die };

    sigaction(number, NULL, &action);
    if (action.sa_handler == SIG_IGN) {
        return;                            /* nohup, and shells' background jobs */
    }
    action = (struct sigaction){ .sa_handler = restore_and_die };
    sigaction(number, &action, NULL);
}

void signals_early(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(ending); i++) {
        set_handler(ending[i]);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(fatal); i++) {
        set_handler(fatal[i]);
    }
    signal(SIGPIPE, SIG_IGN);              /* a stream's reader that went away shows as EPIPE */
    atexit(chardev_restore_terminal);
    atexit(pidfile_remove);
}

static void loop_signals(sigset_t *set)
{
    struct sigaction action;

    sigemptyset(set);
    sigaddset(set, SIGTSTP);
    sigaddset(set, SIGCONT);
    for (size_t i = 0; i < G_N_ELEMENTS(ending); i++) {
        if (sigaction(ending[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN) {
            sigaddset(set, ending[i]);
        }
    }
}

void signals_block(void)
{
    sigset_t set;

    loop_signals(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void end_at_next(void)
{
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < G_N_ELEMENTS(ending); i++) {
        sigaddset(&set, ending[i]);
    }
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void signal_came(void *opaque, int fd, GIOCondition condition)
{
    Machine *machine = opaque;
    struct signalfd_siginfo info;

    (void)condition;
    if (read(fd, &info, sizeof info) != sizeof info) {
        return;
    }
    switch (info.ssi_signo) {
    case SIGTSTP:
        chardev_restore_terminal();
        raise(SIGSTOP);
        break;
    case SIGCONT:
        chardev_resume_terminal();
        break;
    default:
        report_info("ending: %s%s", strsignal((int)info.ssi_signo), info.ssi_pid ? "" : " from the terminal");
        end_at_next();
        machine_request_shutdown(machine, CAUSE_HOST_SIGNAL);
    }
}

/* Of the process, and not of the one thread of it that started us, as PR_SET_PDEATHSIG would have it. */
static void parent_ended(void *opaque, int fd, GIOCondition condition)
{
    (void)condition;
    report_info("ending: the process that started this one has ended (-run-with exit-with-parent=on)");
    end_at_next();
    machine_request_shutdown(opaque, CAUSE_HOST_SIGNAL);
    loop_unwatch(parent_watch);
    parent_watch = NULL;
    close(fd);
}

bool parent_remember(GError **err)
{
    parent_process = (int)syscall(SYS_pidfd_open, getppid(), 0);
    return parent_process >= 0 || fail(err, errno, "-run-with exit-with-parent=on: %s", g_strerror(errno));
}

static void parent_to_loop(Machine *machine)
{
    if (parent_process >= 0) {
        parent_watch = loop_watch(parent_process, G_IO_IN, parent_ended, machine);
    }
}

bool signals_to_loop(Machine *machine, GError **err)
{
    sigset_t set;

    loop_signals(&set);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0) {
        return fail(err, errno, "signalfd: %s", g_strerror(errno));
    }
    loop_watch(fd, G_IO_IN, signal_came, machine);
    parent_to_loop(machine);
    return true;
}
