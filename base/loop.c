/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loop.c - the main thread's event loop on the default GMainContext
 *
 * The machine lock is held from loop_init() on, and dropped around poll, by a poll function of ours. Posted calls wait
 * in a queue with a mutex of its own; a source with a ready time carries the news to the loop, and the mutex, not
 * GLib, orders the poster's stores before the call.
 *
 * Threads  main, but loop_quit() and loop_post() from any; watches are changed with the machine lock held
 * Tests    tests/unit/loop.c
 */
#include "base/loop.h"
#include "base/lock.h"
#include <errno.h>
#include <poll.h>

typedef struct Post {
    void (*call)(void *opaque);
    void *opaque;
} Post;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static GArray *posts, *spare;              /* of Post; two arrays take turns, so that posting seldom allocates */
static GSource *post_source;
static bool quit;

static gint poll_unlocked(GPollFD *fds, guint count, gint timeout)
{
    bool held = machine_lock_held();
    int saved, ready;

    if (held) {
        machine_unlock();
    }
    ready = poll((struct pollfd *)fds, count, timeout);    /* GPollFD is laid out as struct pollfd, as GLib promises */
    saved = errno;
    if (held) {
        machine_lock();
    }
    errno = saved;
    return ready;
}

static gboolean post_dispatch(GSource *source, GSourceFunc callback G_GNUC_UNUSED, gpointer opaque G_GNUC_UNUSED)
{
    GArray *batch;

    pthread_mutex_lock(&mutex);
    g_source_set_ready_time(source, -1);
    batch = posts;
    posts = spare ? spare : g_array_new(FALSE, FALSE, sizeof(Post));
    spare = NULL;
    pthread_mutex_unlock(&mutex);
    /* What a call posts runs in the next turn: a call that posts itself does not hang the loop. */
    for (guint i = 0; i < batch->len; i++) {
        Post post = g_array_index(batch, Post, i);

        post.call(post.opaque);
    }
    g_array_set_size(batch, 0);
    pthread_mutex_lock(&mutex);
    if (!spare) {
        spare = g_steal_pointer(&batch);
    }
    pthread_mutex_unlock(&mutex);
    if (batch) {
        g_array_free(batch, TRUE);
    }
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs post_functions = { .dispatch = post_dispatch };

void loop_init(void)
{
    GSource *source = g_source_new(&post_functions, sizeof(GSource));

    g_source_set_name(source, "posts");
    g_source_attach(source, NULL);
    g_main_context_set_poll_func(NULL, poll_unlocked);
    machine_lock();
    pthread_mutex_lock(&mutex);
    post_source = source;
    g_source_set_ready_time(source, posts && posts->len ? 0 : -1);
    pthread_mutex_unlock(&mutex);
}

bool loop_iterate(bool may_block)
{
    return g_main_context_iteration(NULL, may_block);
}

void loop_run(void)
{
    while (!__atomic_exchange_n(&quit, false, __ATOMIC_ACQ_REL)) {
        loop_iterate(true);
    }
}

void loop_quit(void)
{
    __atomic_store_n(&quit, true, __ATOMIC_RELEASE);
    g_main_context_wakeup(NULL);
}

void loop_post(void (*call)(void *opaque), void *opaque)
{
    LOCK_SCOPE(&mutex);

    if (!posts) {
        posts = g_array_new(FALSE, FALSE, sizeof(Post));
    }
    g_array_append_val(posts, ((Post){ call, opaque }));
    if (posts->len == 1 && post_source) {
        g_source_set_ready_time(post_source, 0);
    }
}

/* ---- watches ---- */

struct LoopWatch {
    GSource source;
    int fd;
    gpointer tag;                          /* NULL while paused: poll would report a hang-up even with no events asked */
    LoopReady *ready;
    void *opaque;
};

static gboolean watch_dispatch(GSource *source, GSourceFunc callback G_GNUC_UNUSED, gpointer opaque G_GNUC_UNUSED)
{
    LoopWatch *watch = (LoopWatch *)source;
    GIOCondition condition = watch->tag ? g_source_query_unix_fd(source, watch->tag) : 0;

    if (condition) {
        watch->ready(watch->opaque, watch->fd, condition);
    }
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs watch_functions = { .dispatch = watch_dispatch };

LoopWatch *loop_watch(int fd, GIOCondition condition, LoopReady *ready, void *opaque)
{
    LoopWatch *watch = (LoopWatch *)g_source_new(&watch_functions, sizeof(LoopWatch));

    watch->fd = fd;
    watch->ready = ready;
    watch->opaque = opaque;
    loop_watch_change(watch, condition);
    g_source_attach(&watch->source, NULL);
    return watch;
}

void loop_watch_change(LoopWatch *watch, GIOCondition condition)
{
    if (!condition && watch->tag) {
        g_source_remove_unix_fd(&watch->source, watch->tag);
        watch->tag = NULL;
    } else if (condition && watch->tag) {
        g_source_modify_unix_fd(&watch->source, watch->tag, condition);
    } else if (condition) {
        watch->tag = g_source_add_unix_fd(&watch->source, watch->fd, condition);
    }
}

void loop_unwatch(LoopWatch *watch)
{
    if (watch) {
        g_source_destroy(&watch->source);  /* a dispatch under way keeps a reference of its own */
        g_source_unref(&watch->source);
    }
}
