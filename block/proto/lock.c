/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lock.c - locks on image files: open file description locks at the bytes that QEMU's programs use
 *
 *   byte 100 + bit   locked for reading: the holder does this (bits: 0 reads consistently, 1 writes, 2 writes what changes nothing,
 *   byte 200 + bit   the holder allows nobody else to do this                                       3 resizes; NodePerms)
 *
 * All locks are read locks, so they never wait for each other; after its own are in place, each looks (F_OFD_GETLK as if for writing)
 * at the bytes that would contradict. Two that come at once may refuse each other, never both go on.
 *
 * Who holds a lock the kernel does not say for this kind; /proc/PID/fdinfo does, for processes that we may look into.
 *
 * Threads  any, one at a time for each file
 * Tests    tests/block/file.c
 */
#include "block/proto/lock.h"
#include "base/error.h"
#include "base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { USED = 100, KEPT = 200, BITS = 4, CMDLINE_MOST = 64 << 10 };

static const char *const words[BITS] = { "consistent read", "write", "write unchanged", "resize" };

static int lock_byte(int fd, unsigned byte, short type)
{
    struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };
    int result;

    do {
        result = fcntl(fd, F_OFD_SETLK, &lock);
    } while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : 0;
}

/* Does anybody else hold a lock there? A file system that cannot tell counts as no. */
static bool is_held(int fd, unsigned byte)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* ---- who it is ---- */

static char *read_proc(const char *pid, const char *name, size_t *length)
{
    g_autofree char *path = g_strdup_printf("/proc/%s/%s", pid, name);
    FILE *file = fopen(path, "re");
    char *text;

    *length = 0;
    if (!file) {
        return NULL;
    }
    text = g_malloc(CMDLINE_MOST + 1);
    *length = fread(text, 1, CMDLINE_MOST, file);
    text[*length] = '\0';
    fclose(file);
    return text;
}

/* -name X or -name guest=X,... of a command line whose words end in zero bytes; NULL. */
static char *vm_name(const char *words_, size_t length)
{
    const char *end = words_ + length;

    for (const char *word = words_; word < end; word += strlen(word) + 1) {
        const char *value = word + strlen(word) + 1;

        if ((strcmp(word, "-name") == 0 || strcmp(word, "--name") == 0) && value < end) {
            value += g_str_has_prefix(value, "guest=") ? strlen("guest=") : 0;
            return g_strndup(value, strcspn(value, ","));
        }
    }
    return NULL;
}

/* Names come from another process: what would upset a terminal is escaped. */
static char *describe(const char *pid)
{
    size_t length, ignored;
    g_autofree char *line = read_proc(pid, "cmdline", &length), *command = read_proc(pid, "comm", &ignored);
    g_autofree char *base = line && length ? g_path_get_basename(line) : g_strdup(command ? g_strchomp(command) : "?");
    g_autofree char *name = line ? vm_name(line, length) : NULL;
    g_autofree char *safe_base = g_strescape(base, NULL), *safe_name = name ? g_strescape(name, NULL) : NULL;
    const char *us = atoi(pid) == (int)getpid() ? ", this process itself" : "";

    if (safe_name) {
        return g_strdup_printf("pid %s (%s, VM '%s'%s)", pid, safe_base, safe_name, us);
    }
    return g_strdup_printf("pid %s (%s%s)", pid, safe_base, us);
}

/* Has one of the descriptors of this process locked the byte? Their lines: "lock: 1: OFDLCK ADVISORY READ -1 fe:00:123 100 101". */
static bool line_covers(const char *line, unsigned byte)
{
    unsigned long long first, last;
    char to[32] = "";

    if (!strstr(line, "OFDLCK") && !strstr(line, "POSIX")) {
        return false;
    }
    if (sscanf(line, "lock: %*s %*s %*s %*s %*s %*s %llu %31s", &first, to) != 2) {
        return false;
    }
    last = strcmp(to, "EOF") == 0 ? ULLONG_MAX : strtoull(to, NULL, 10);
    return byte >= first && byte <= last;
}

static bool descriptor_covers(const char *pid, const char *fd, unsigned byte)
{
    g_autofree char *name = g_strdup_printf("fdinfo/%s", fd);
    size_t length;
    g_autofree char *text = read_proc(pid, name, &length);
    g_auto(GStrv) lines = text ? g_strsplit(text, "\n", 64) : NULL;

    for (char **line = lines; line && *line; line++) {
        if (g_str_has_prefix(*line, "lock:") && line_covers(*line, byte)) {
            return true;
        }
    }
    return false;
}

static bool process_covers(const char *pid, const struct stat *file, int own_fd, unsigned byte)
{
    g_autofree char *path = g_strdup_printf("/proc/%s/fd", pid);
    GDir *folder = g_dir_open(path, 0, NULL);
    bool found = false;
    const char *fd;

    while (folder && !found && (fd = g_dir_read_name(folder))) {
        g_autofree char *entry = g_strdup_printf("%s/%s", path, fd);
        struct stat info;

        if (atoi(pid) == (int)getpid() && atoi(fd) == own_fd) {
            continue;
        }
        found = stat(entry, &info) == 0 && info.st_dev == file->st_dev && info.st_ino == file->st_ino && descriptor_covers(pid, fd, byte);
    }
    if (folder) {
        g_dir_close(folder);
    }
    return found;
}

char *file_lock_holder(int fd, unsigned byte)
{
    GDir *folder = g_dir_open("/proc", 0, NULL);
    char *holder = NULL;
    struct stat file;
    const char *pid;

    while (folder && !holder && fstat(fd, &file) == 0 && (pid = g_dir_read_name(folder))) {
        if (g_ascii_isdigit(pid[0]) && process_covers(pid, &file, fd, byte)) {
            holder = describe(pid);
        }
    }
    if (folder) {
        g_dir_close(folder);
    }
    return holder ? holder : g_strdup("another process (one that is just ending, or runs on another host, or whose files this user may not see)");
}

/* ---- taking and letting go ---- */

static void unlock_bits(int fd, unsigned base, unsigned bits)
{
    for (unsigned i = 0; i < BITS; i++) {
        if (bits & 1u << i) {
            lock_byte(fd, base + i, F_UNLCK);
        }
    }
}

/* 0; -EAGAIN and *byte where somebody holds a write lock of another program; or the file system's refusal. */
static int lock_bits(int fd, unsigned base, unsigned bits, unsigned *byte)
{
    for (unsigned i = 0; i < BITS; i++) {
        int result = bits & 1u << i ? lock_byte(fd, base + i, F_RDLCK) : 0;

        if (result < 0) {
            unlock_bits(fd, base, bits & ((1u << i) - 1));
            *byte = base + i;
            return result == -EACCES ? -EAGAIN : result;
        }
    }
    return 0;
}

static bool refuse(int fd, const char *filename, unsigned byte, bool shared, unsigned bit, GError **err)
{
    g_autofree char *holder = file_lock_holder(fd, byte);

    return fail(err, EAGAIN, "Failed to get %s\"%s\" lock: '%s' is in use by %s; stop it first, or only look at the image, which "
                "may be stale then, with force-share=on (-U)", shared ? "shared " : "", words[bit], filename, holder);
}

/* The bytes of others that contradict what we do (KEPT by them) and what we do not allow (USED by them). */
static bool no_conflict(int fd, const char *filename, unsigned used, unsigned kept, GError **err)
{
    for (unsigned i = 0; i < BITS; i++) {
        if (used & 1u << i && is_held(fd, KEPT + i)) {
            return refuse(fd, filename, KEPT + i, false, i, err);
        }
        if (kept & 1u << i && is_held(fd, USED + i)) {
            return refuse(fd, filename, USED + i, true, i, err);
        }
    }
    return true;
}

static bool no_locks(FileLock *lock, const char *filename, int error, GError **err)
{
    if (lock->mandatory) {
        return fail(err, error, "locking=on: the file system of '%s' refuses locks: %s; use locking=auto or off", filename,
                    g_strerror(error));
    }
    lock->wanted = false;
    return true;
}

bool file_lock_prepare(FileLock *lock, int fd, const char *filename, NodePerms used, NodePerms shared, GError **err)
{
    unsigned kept = ~(unsigned)shared & PERM_ALL, new_used = used & ~(unsigned)lock->used, new_kept = kept & ~(unsigned)lock->kept, byte = 0;
    int result;

    lock->next_used = used;
    lock->next_kept = kept;
    if (!lock->wanted) {
        return true;
    }
    result = lock_bits(fd, USED, new_used, &byte);
    if (result == 0) {
        result = lock_bits(fd, KEPT, new_kept, &byte);
        if (result < 0) {
            unlock_bits(fd, USED, new_used);
        }
    }
    if (result == -EAGAIN) {
        return refuse(fd, filename, byte, byte >= KEPT, byte % 100, err);
    }
    if (result < 0) {
        return no_locks(lock, filename, -result, err);
    }
    if (!no_conflict(fd, filename, used, kept, err)) {
        unlock_bits(fd, USED, new_used);
        unlock_bits(fd, KEPT, new_kept);
        return false;
    }
    return true;
}

void file_lock_commit(FileLock *lock, int fd)
{
    if (lock->wanted) {
        unlock_bits(fd, USED, lock->used & ~(unsigned)lock->next_used);
        unlock_bits(fd, KEPT, lock->kept & ~(unsigned)lock->next_kept);
    }
    lock->used = lock->next_used;
    lock->kept = lock->next_kept;
}

void file_lock_abort(FileLock *lock, int fd)
{
    if (lock->wanted) {
        unlock_bits(fd, USED, lock->next_used & ~(unsigned)lock->used);
        unlock_bits(fd, KEPT, lock->next_kept & ~(unsigned)lock->kept);
    }
    lock->next_used = lock->used;
    lock->next_kept = lock->kept;
}

bool file_lock_move(FileLock *lock, int new_fd)
{
    unsigned byte;

    return !lock->wanted || (lock_bits(new_fd, USED, lock->used, &byte) == 0 && lock_bits(new_fd, KEPT, lock->kept, &byte) == 0);
}

void file_lock_warn_stale(int fd, const char *filename)
{
    static bool said;
    unsigned byte = USED + 1;

    if (!is_held(fd, byte) || __atomic_exchange_n(&said, true, __ATOMIC_RELAXED)) {
        return;
    }
    g_autofree char *holder = file_lock_holder(fd, byte);
    report_warning("'%s' is being written by %s: what is read without locks may be stale", filename, holder);
}
