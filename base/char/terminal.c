/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * terminal.c - the terminal of the process: raw while a guest has it, as it was on every way out
 *
 * Everything a signal handler needs is in static variables set once, and the calls in chardev_restore_terminal() are
 * on POSIX's async-signal-safe list. A process in the background leaves the terminal alone: touching it would stop it.
 *
 * Threads  main loop, and signal handlers as said
 * Tests    tests/unit/chardev.c (pty), tests/cli
 */
#include "base/char/backend.h"
#include <errno.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

static struct termios saved, raw;
static volatile sig_atomic_t claimed;
static int terminal_fd = -1;

bool terminal_in_background(int fd)
{
    pid_t foreground = tcgetpgrp(fd);

    return foreground > 0 && foreground != getpgrp();
}

void terminal_resume(void)
{
    if (claimed && !terminal_in_background(terminal_fd)) {
        tcsetattr(terminal_fd, TCSANOW, &raw);
    }
}

void terminal_claim(int fd, bool signals)
{
    if (claimed || !isatty(fd) || tcgetattr(fd, &saved) != 0) {
        return;
    }
    raw = saved;
    raw.c_iflag &= ~(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    raw.c_oflag |= OPOST;                  /* the guest's line ends pass; messages of ours keep working */
    raw.c_lflag &= ~(ECHO | ECHONL | ICANON | IEXTEN);
    if (!signals) {
        raw.c_lflag &= ~ISIG;
    }
    raw.c_cflag = (raw.c_cflag & ~(CSIZE | PARENB)) | CS8;
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    terminal_fd = fd;
    claimed = 1;
    terminal_resume();
}

void chardev_restore_terminal(void)
{
    int before = errno;

    if (claimed && !terminal_in_background(terminal_fd)) {
        tcsetattr(terminal_fd, TCSANOW, &saved);
    }
    errno = before;
}

void terminal_release(void)
{
    chardev_restore_terminal();
    claimed = 0;
}
