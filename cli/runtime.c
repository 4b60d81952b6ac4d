/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * runtime.c - the user's folder of running VMs, as both sides see it: VMs that put themselves in, verbs that look
 *
 * Only its owner may look into the folder, and every file is reached from its descriptor and never through a link, so that a
 * shared /tmp gives nobody a way in.
 *
 * Tests    tests/verbs/verbs.py
 */
#include "cli/runtime.h"
#include "base/error.h"
#include "base/json.h"
#include "base/option.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { FILE_MOST = 1 << 20, LOCK_TRIES = 1000, LOCK_PAUSE_US = 5000, BACKLOG = 64, NAME_MOST = 150 };

/* ---- the folder --------------------------------------------------------------------------------------------- */

/* Where others may neither put something in place of our folder nor rename it. */
static bool parent_is_safe(int parent, bool shared)
{
    struct stat status;

    if (fstat(parent, &status) != 0 || !S_ISDIR(status.st_mode)) {
        return false;
    }
    if (shared) {
        return (status.st_uid == 0 || status.st_uid == geteuid()) && ((status.st_mode & S_ISVTX) || !(status.st_mode & 022));
    }
    return status.st_uid == geteuid() && !(status.st_mode & 022);
}

static int open_parent(const char *path, bool shared)
{
    int parent = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (parent >= 0 && !parent_is_safe(parent, shared)) {
        close(parent);
        return -1;
    }
    return parent;
}

/* parent/name, ours and closed to everybody else. */
static int open_own(int parent, const char *path, const char *name, bool make, GError **err)
{
    struct stat status;

    if (make && mkdirat(parent, name, 0700) != 0 && errno != EEXIST) {
        fail(err, errno, "runtime folder '%s/%s': %s", path, name, g_strerror(errno));
        return -1;
    }
    int folder = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0) {
        fail(err, errno, "runtime folder '%s/%s': %s", path, name, errno == ENOTDIR || errno == ELOOP ? "it is no folder; remove it" : g_strerror(errno));
        return -1;
    }
    if (fstat(folder, &status) != 0 || status.st_uid != geteuid() || (status.st_mode & 077)) {
        fail(err, EPERM, "runtime folder '%s/%s': it belongs to user %u and has mode %04o, where user %u and 0700 are needed; remove it, or set XDG_RUNTIME_DIR",
             path, name, (unsigned)status.st_uid, (unsigned)status.st_mode & 07777, (unsigned)geteuid());
        close(folder);
        return -1;
    }
    return folder;
}

int runtime_open(bool make, GError **err)
{
    const char *given = getenv("XDG_RUNTIME_DIR");
    g_autofree char *usual = g_strdup_printf("/run/user/%u", (unsigned)geteuid()), *last = g_strdup_printf("roost-%u", (unsigned)geteuid());
    const struct { const char *parent, *name; bool shared; } places[] = {
        { given && *given == '/' ? given : NULL, "roost", false }, { usual, "roost", false }, { "/tmp", last, true } };

    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        int parent = places[i].parent ? open_parent(places[i].parent, places[i].shared) : -1;
        if (parent >= 0) {
            int folder = open_own(parent, places[i].parent, places[i].name, make, err);
            close(parent);
            return folder;
        }
    }
    fail(err, EPERM, "there is no place for the runtime folder: /tmp is not safe, and neither is /run/user/%u there; set XDG_RUNTIME_DIR to a folder of yours",
         (unsigned)geteuid());
    return -1;
}

/* Held for the time of a few system calls; a holder that was stopped meanwhile is waited for, but not for ever. */
int runtime_lock(int folder, GError **err)
{
    int fd = openat(folder, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0) {
        fail(err, errno, "runtime folder: lock: %s", g_strerror(errno));
        return -1;
    }
    for (unsigned tries = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; tries++) {
        if (errno != EWOULDBLOCK || tries == LOCK_TRIES) {
            fail(err, errno, "runtime folder: another process has held its lock for long; end that process");
            close(fd);
            return -1;
        }
        usleep(LOCK_PAUSE_US);
    }
    return fd;
}

/* ---- files -------------------------------------------------------------------------------------------------- */

static char *read_file(int folder, const char *name, bool tail)
{
    int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat status;

    if (fd < 0) {
        return NULL;
    }
    bool right = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && (tail || status.st_size <= FILE_MOST);
    size_t length = right ? (size_t)MIN(status.st_size, FILE_MOST) : 0;
    char *text = right ? g_malloc0(length + 1) : NULL;
    if (text && pread(fd, text, length, status.st_size - (off_t)length) < 0) {
        g_clear_pointer(&text, g_free);
    }
    close(fd);
    return text;
}

char *runtime_read(int folder, const char *name)
{
    return read_file(folder, name, false);
}

char *runtime_read_tail(int folder, const char *name)
{
    return read_file(folder, name, true);
}

bool runtime_write(int folder, const char *name, const char *text, GError **err)
{
    int fd = openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    size_t length = strlen(text);
    bool done = fd >= 0 && write(fd, text, length) == (ssize_t)length;

    if (!done) {
        fail(err, errno, "runtime folder: %s: %s", name, g_strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    return done;
}

/* sun_path has 108 bytes, a path may have 4096: by way of the folder's descriptor it is short. */
static void address_of(int entry, const char *name, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/%s", entry, name);
}

int runtime_listen(int entry, const char *name, GError **err)
{
    struct sockaddr_un address;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    address_of(entry, name, &address);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, BACKLOG) != 0) {
        fail(err, errno, "runtime folder: socket %s: %s", name, g_strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    return fd;
}

int runtime_entry(int folder, unsigned id)
{
    g_autofree char *name = g_strdup_printf("%u", id);

    return openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int runtime_connect(const VmEntry *vm, const char *name, GError **err)
{
    struct sockaddr_un address;
    int folder = runtime_open(false, err), entry = folder >= 0 ? runtime_entry(folder, vm->id) : -1, fd = -1;

    if (entry >= 0) {
        address_of(entry, name, &address);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    }
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        if (err && !*err) {
            fail(err, errno, "%s of '%s': %s", name, vm->name, errno == ENOENT ? "there is none" : g_strerror(errno));
        }
        if (fd >= 0) {
            close(fd);
        }
        fd = -1;
    }
    if (entry >= 0) {
        close(entry);
    }
    if (folder >= 0) {
        close(folder);
    }
    return fd;
}

/* Letters, digits and what a shell leaves alone stay; the rest as %XX. A long name keeps its beginning, and a sum of the whole. */
char *runtime_file_name(const char *vm)
{
    GString *name = g_string_new(NULL);

    for (const char *c = vm; *c && name->len < NAME_MOST; c++) {
        bool plain = g_ascii_isalnum(*c) || *c == '-' || *c == '_' || (*c == '.' && c != vm);
        g_string_append_printf(name, plain ? "%c" : "%%%02X", (unsigned char)*c);
    }
    if (name->len >= NAME_MOST) {
        g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, vm, -1);
        g_string_append_printf(name, "-%.16s", sum);
    }
    return g_string_free(name, FALSE);
}

char *runtime_log_name(const char *vm)
{
    g_autofree char *name = runtime_file_name(vm);

    return g_strdup_printf("log/%s.log", name);
}

/* ---- entries ------------------------------------------------------------------------------------------------ */

void runtime_remove_entry(int folder, unsigned id)
{
    int entry = runtime_entry(folder, id);
    DIR *files = entry >= 0 ? fdopendir(entry) : NULL;
    g_autofree char *name = g_strdup_printf("%u", id);
    const struct dirent *file;

    while (files && (file = readdir(files))) {
        unlinkat(entry, file->d_name, 0);  /* but for "." and "..", which stay */
    }
    if (files) {
        closedir(files);
    }
    unlinkat(folder, name, AT_REMOVEDIR);
}

/* Its VM holds the lock until its last breath. */
static bool is_locked(int entry)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    int fd = openat(entry, "pid", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    bool locked = fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;

    if (fd >= 0) {
        close(fd);
    }
    return locked;
}

void vm_entry_free(VmEntry *vm)
{
    value_unref(vm->about);
    g_free(vm->state);
    g_free(vm->reason);
    g_free(vm);
}

static void split_state(VmEntry *vm, const char *text)
{
    g_auto(GStrv) words = g_strsplit(text ? text : "", ";", 3);

    vm->state = g_strdup(words[0] ? words[0] : "no state");
    vm->reason = g_strdup(words[0] && words[1] ? words[1] : "unknown");
}

static VmEntry *read_entry(int entry, unsigned id)
{
    g_autofree char *pid = runtime_read(entry, "pid"), *about = runtime_read(entry, "about"), *state = runtime_read(entry, "state");
    Value *tree = pid && about ? json_parse(about, NULL) : NULL;

    if (!value_get_string(tree, "name", NULL)) {
        value_unref(tree);
        return NULL;                       /* on its way out */
    }
    VmEntry *vm = g_new0(VmEntry, 1);
    vm->id = id;
    vm->pid = (pid_t)strtol(pid, NULL, 10);
    vm->about = tree;
    vm->name = value_get_string(tree, "name", "");
    vm->uuid = value_get_string(tree, "uuid", "");
    split_state(vm, state);
    return vm;
}

/* Whoever died without removing its entry. Under the lock nobody is making one. */
static void remove_stale(int folder, const GArray *ids)
{
    int lock = ids->len ? runtime_lock(folder, NULL) : -1;

    for (guint i = 0; lock >= 0 && i < ids->len; i++) {
        unsigned id = g_array_index(ids, unsigned, i);
        int entry = runtime_entry(folder, id);
        if (entry >= 0 && !is_locked(entry)) {
            runtime_remove_entry(folder, id);
        }
        if (entry >= 0) {
            close(entry);
        }
    }
    if (lock >= 0) {
        close(lock);
    }
}

static int by_id(const void *a, const void *b)
{
    const VmEntry *first = *(VmEntry *const *)a, *second = *(VmEntry *const *)b;

    return first->id < second->id ? -1 : first->id > second->id;
}

static void look_at(int folder, unsigned id, GPtrArray *vms, GArray *stale)
{
    int entry = runtime_entry(folder, id);

    if (entry < 0) {
        return;
    }
    VmEntry *vm = is_locked(entry) ? read_entry(entry, id) : NULL;
    if (vm) {
        g_ptr_array_add(vms, vm);
    } else if (!is_locked(entry)) {
        g_array_append_val(stale, id);
    }
    close(entry);
}

GPtrArray *vm_entries(GError **err)
{
    g_autoptr(GError) why = NULL;
    int folder = runtime_open(false, &why);
    GPtrArray *vms = g_ptr_array_new_with_free_func((GDestroyNotify)vm_entry_free);
    g_autoptr(GArray) stale = g_array_new(FALSE, FALSE, sizeof(unsigned));

    if (folder < 0) {
        if (why->code == ENOENT) {
            return vms;
        }
        g_ptr_array_unref(vms);
        g_propagate_error(err, g_steal_pointer(&why));
        return NULL;
    }
    DIR *names = fdopendir(dup(folder));
    const struct dirent *name;
    while (names && (name = readdir(names))) {
        uint64_t id;
        if (g_ascii_isdigit(name->d_name[0]) && parse_uint(name->d_name, &id) && id > 0 && id <= INT32_MAX) {
            look_at(folder, (unsigned)id, vms, stale);
        }
    }
    if (names) {
        closedir(names);
    }
    remove_stale(folder, stale);
    close(folder);
    g_ptr_array_sort(vms, by_id);
    return vms;
}

bool vm_lives(const VmEntry *vm)
{
    int folder = runtime_open(false, NULL), entry = folder >= 0 ? runtime_entry(folder, vm->id) : -1;
    bool lives = entry >= 0 && is_locked(entry);

    if (entry >= 0) {
        close(entry);
    }
    if (folder >= 0) {
        close(folder);
    }
    return lives;
}
