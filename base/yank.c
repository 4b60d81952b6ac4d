/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * yank.c - the list of connections that can be cut; see yank.h
 *
 * Threads  any; one lock, a leaf, which also keeps a descriptor from being closed and used again while it is shut down
 * Tests    tests/qmp/oob.py
 */
#include "base/yank.h"
#include <glib.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

struct Yankable {
    Yankable *next;
    char *kind, *name;
    int fd;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static Yankable *known;                    /* the newest first */

Yankable *yank_register(const char *kind, const char *name)
{
    Yankable *yankable = g_new0(Yankable, 1);

    *yankable = (Yankable){ .kind = g_strdup(kind), .name = g_strdup(name), .fd = -1 };
    pthread_mutex_lock(&mutex);
    yankable->next = known;
    known = yankable;
    pthread_mutex_unlock(&mutex);
    return yankable;
}

void yank_unregister(Yankable *yankable)
{
    if (!yankable) {
        return;
    }
    pthread_mutex_lock(&mutex);
    Yankable **at = &known;
    while (*at != yankable) {
        at = &(*at)->next;
    }
    *at = yankable->next;
    pthread_mutex_unlock(&mutex);
    g_free(yankable->kind);
    g_free(yankable->name);
    g_free(yankable);
}

void yank_set_fd(Yankable *yankable, int fd)
{
    pthread_mutex_lock(&mutex);
    yankable->fd = fd;
    pthread_mutex_unlock(&mutex);
}

static bool is_it(const Yankable *yankable, const char *kind, const char *name)
{
    return strcmp(yankable->kind, kind) == 0 && strcmp(yankable->name, name) == 0;
}

bool yank_knows(const char *kind, const char *name)
{
    bool found = false;

    pthread_mutex_lock(&mutex);
    for (const Yankable *at = known; at && !found; at = at->next) {
        found = is_it(at, kind, name);
    }
    pthread_mutex_unlock(&mutex);
    return found;
}

void yank_cut(const char *kind, const char *name)
{
    pthread_mutex_lock(&mutex);
    for (const Yankable *at = known; at; at = at->next) {
        if (at->fd >= 0 && is_it(at, kind, name)) {
            shutdown(at->fd, SHUT_RDWR);
        }
    }
    pthread_mutex_unlock(&mutex);
}

void yank_for_each(void (*each)(void *opaque, const char *kind, const char *name), void *opaque)
{
    pthread_mutex_lock(&mutex);
    for (const Yankable *at = known; at; at = at->next) {
        each(opaque, at->kind, at->name);
    }
    pthread_mutex_unlock(&mutex);
}
