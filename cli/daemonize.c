/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * daemonize.c - standard descriptors, the background, the file with the process id, another user
 *
 * The first process waits until the machine is built, so that whoever started it sees errors and a status; it is told
 * by a byte through a pipe.
 *
 * Tests    tests/cli/process.py
 */
#include "base/error.h"
#include "base/open.h"
#include "cli/run.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int ready_pipe = -1;

/* Who starts us with one of the three closed must not find messages in the next file that is opened. */
void standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDWR) < 0) {
            return;                        /* the lowest free number is fd's own */
        }
    }
}

static G_GNUC_NORETURN void wait_for_child(int from)
{
    char byte;
    ssize_t got;

    do {
        got = read(from, &byte, 1);
    } while (got < 0 && errno == EINTR);
    _exit(got == 1 ? 0 : 1);               /* an error was said by the child */
}

bool daemonize_fork(GError **err)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0) {
        return fail(err, errno, "-daemonize: %s", g_strerror(errno));
    }
    fflush(NULL);
    pid_t child = fork();
    if (child < 0) {
        return fail(err, errno, "-daemonize: %s", g_strerror(errno));
    }
    if (child > 0) {
        close(ends[1]);
        wait_for_child(ends[0]);
    }
    close(ends[0]);
    ready_pipe = ends[1];
    setsid();
    child = fork();                        /* no longer a session leader: no terminal can become ours */
    if (child < 0) {
        return fail(err, errno, "-daemonize: %s", g_strerror(errno));
    }
    if (child > 0) {
        _exit(0);
    }
    return true;
}

bool daemonize_done(GError **err)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0) {
        return fail(err, errno, "-daemonize: /dev/null: %s", g_strerror(errno));
    }
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        dup2(null, fd);
    }
    close(null);
    if (chdir("/") != 0 || write(ready_pipe, "", 1) != 1) {
        return fail(err, errno, "-daemonize: %s", g_strerror(errno));
    }
    close(ready_pipe);
    return true;
}

static char pidfile[PATH_MAX];             /* absolute, for an exit from anywhere; empty: none */
static pid_t pidfile_owner;

bool pidfile_write(const char *path, GError **err)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    struct stat ours, named;
    int fd = host_open("-pidfile", path, O_RDWR | O_CREAT | O_CLOEXEC, 0644, err);

    if (fd < 0) {
        return false;
    }
    if (fcntl(fd, F_OFD_SETLK, &lock) != 0) {
        close(fd);
        return fail(err, EBUSY, "-pidfile '%s': another process holds it; give each guest a file of its own", path);
    }
    if (fstat(fd, &ours) != 0 || stat(path, &named) != 0 || ours.st_ino != named.st_ino || ours.st_dev != named.st_dev) {
        close(fd);                         /* its owner removed it in between: a new one can be made */
        return pidfile_write(path, err);
    }
    g_autofree char *text = g_strdup_printf("%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) {
        fail(err, errno, "-pidfile '%s': %s", path, g_strerror(errno));
        close(fd);
        return false;
    }
    if (!realpath(path, pidfile)) {
        pidfile[0] = '\0';
    }
    pidfile_owner = getpid();
    return true;                           /* the descriptor stays open, and with it the lock */
}

/* Also called by signal handlers: async-signal-safe. */
void pidfile_remove(void)
{
    if (pidfile[0] && pidfile_owner == getpid()) {
        unlink(pidfile);
        pidfile[0] = '\0';
    }
}

bool runas_become(const Value *runas, GError **err)
{
    gid_t gid = (gid_t)value_get_uint(runas, "gid", 0);
    uid_t uid = (uid_t)value_get_uint(runas, "uid", 0);
    const char *user = value_get_string(runas, "user", NULL);

    if (!runas) {
        return true;
    }
    bool groups = user ? initgroups(user, gid) == 0 : setgroups(1, &gid) == 0;
    if (!groups || setgid(gid) != 0 || setuid(uid) != 0) {
        return fail(err, errno, "-runas: cannot become user %u, group %u: %s; only root can", uid, gid, g_strerror(errno));
    }
    return uid == 0 || setuid(0) != 0 || fail(err, EPERM, "-runas: privileges came back after they were given up");
}
