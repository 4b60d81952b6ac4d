/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fdset.c - sets of file descriptors, by number
 *
 * Threads  any: one mutex, a leaf
 * Tests    tests/unit/news.c, tests/qmp/fds.py
 */
#include "base/fdset.h"
#include "base/error.h"
#include "base/field.h"
#include "base/lock.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

static const char prefix[] = "/dev/fdset/";
enum { SETS_MOST = 4096, MEMBERS_MOST = 256 };

typedef struct Member { int fd; char *opaque; } Member;
typedef struct Set {
    int64_t id;
    GArray *members;                       /* of Member */
} Set;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static GArray *sets;                       /* of Set, by rising id */

static Set *find(int64_t id)
{
    for (guint i = 0; sets && i < sets->len; i++) {
        if (g_array_index(sets, Set, i).id == id) {
            return &g_array_index(sets, Set, i);
        }
    }
    return NULL;
}

/* Where a new set goes: the first gap, or before the first larger id. */
static guint place(int64_t *id)
{
    int64_t free_id = 0;
    guint at = 0;

    while (at < sets->len && (*id < 0 ? g_array_index(sets, Set, at).id == free_id : g_array_index(sets, Set, at).id < *id)) {
        free_id++;
        at++;
    }
    if (*id < 0) {
        *id = free_id;
    }
    return at;
}

int64_t fdset_add(int64_t id, int fd, const char *opaque, GError **err)
{
    LOCK_SCOPE(&mutex);
    Set *set = id >= 0 ? find(id) : NULL;

    if (!sets) {
        sets = g_array_new(FALSE, FALSE, sizeof(Set));
    }
    if ((!set && sets->len >= SETS_MOST) || (set && set->members->len >= MEMBERS_MOST)) {
        fail(err, EMFILE, "fd set: there are %u already", set ? set->members->len : sets->len);
        return -1;
    }
    if (!set) {
        guint at = place(&id);
        Set made = { id, g_array_new(FALSE, FALSE, sizeof(Member)) };
        g_array_insert_val(sets, at, made);
        set = &g_array_index(sets, Set, at);
    }
    Member member = { fd, g_strdup(opaque) };
    g_array_append_val(set->members, member);
    return set->id;
}

static void drop(Set *set, guint at)
{
    Member *member = &g_array_index(set->members, Member, at);

    close(member->fd);
    g_free(member->opaque);
    g_array_remove_index(set->members, at);
}

bool fdset_remove(int64_t id, int64_t fd)
{
    LOCK_SCOPE(&mutex);
    Set *set = find(id);
    bool found = false;

    for (guint i = set ? set->members->len : 0; i-- > 0;) {
        if (fd < 0 || g_array_index(set->members, Member, i).fd == fd) {
            drop(set, i);
            found = true;
        }
    }
    if (set && set->members->len == 0) {
        g_array_free(set->members, TRUE);
        g_array_remove_index(sets, (guint)(set - (Set *)(void *)sets->data));
    }
    return found;
}

Value *fdset_list(void)
{
    LOCK_SCOPE(&mutex);
    Value *list = value_new_list();

    for (guint i = 0; sets && i < sets->len; i++) {
        const Set *set = &g_array_index(sets, Set, i);
        Value *item = value_new_object(), *members = value_new_list();
        for (guint j = 0; j < set->members->len; j++) {
            const Member *member = &g_array_index(set->members, Member, j);
            Value *one = value_new_object();
            value_set(one, "fd", value_new_int(member->fd));
            if (member->opaque) {
                value_set(one, "opaque", value_new_string(member->opaque));
            }
            value_append(members, one);
        }
        value_set(item, "fdset-id", value_new_int(set->id));
        value_set(item, "fds", members);
        value_append(list, item);
    }
    return list;
}

bool fdset_is_name(const char *path)
{
    return strncmp(path, prefix, sizeof prefix - 1) == 0;
}

/* A copy shares its original's place and flags, as one file description does; O_APPEND and O_NONBLOCK are the opener's wish. */
static int copy(int fd, int flags)
{
    int out = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    const int changeable = O_APPEND | O_NONBLOCK | O_DIRECT;

    if (out >= 0 && (flags & changeable) != (fcntl(out, F_GETFL) & changeable)) {
        fcntl(out, F_SETFL, (fcntl(out, F_GETFL) & ~changeable) | (flags & changeable));
    }
    if (out >= 0 && (flags & O_TRUNC) && ftruncate(out, 0) != 0) {
        errno = 0;                         /* a stream has nothing to cut off */
    }
    return out;
}

int fdset_open(const char *path, int flags)
{
    LOCK_SCOPE(&mutex);
    uint64_t id;
    Set *set = parse_uint(path + sizeof prefix - 1, &id) && id <= INT64_MAX ? find((int64_t)id) : NULL;

    for (guint i = 0; set && i < set->members->len; i++) {
        int fd = g_array_index(set->members, Member, i).fd, opened = fcntl(fd, F_GETFL);
        if (opened >= 0 && (opened & O_ACCMODE) == (flags & O_ACCMODE)) {
            return copy(fd, flags);
        }
    }
    errno = set ? EACCES : ENOENT;
    return -1;
}
