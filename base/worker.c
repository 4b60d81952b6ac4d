/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * worker.c - a pool of threads for work that blocks
 *
 * Threads  `mutex` guards the queue and the counts; it is not held while work runs. Workers take no signals.
 * Tests    tests/unit/worker.c
 */
#include "base/worker.h"
#include "base/lock.h"
#include "base/loop.h"
#include <errno.h>
#include <signal.h>
#include <time.h>

#define THREADS_MOST 64
#define IDLE_SECONDS 10

typedef struct Work {
    void (*work)(void *opaque);
    void (*done)(void *opaque);
    void *opaque;
} Work;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static GQueue queue = G_QUEUE_INIT;        /* of Work */
static unsigned threads, idle;

/* Mutex held; released while waiting. NULL when the thread has been idle for long enough. */
static Work *next_work(void)
{
    struct timespec until;
    int result = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += IDLE_SECONDS;
    idle++;
    while (g_queue_is_empty(&queue) && result != ETIMEDOUT) {
        result = pthread_cond_timedwait(&wake, &mutex, &until);
    }
    idle--;
    return g_queue_pop_head(&queue);
}

static void run(Work *work)
{
    work->work(work->opaque);
    if (work->done) {
        loop_post(work->done, work->opaque);
    }
    g_free(work);
}

static void *worker_thread(void *opaque G_GNUC_UNUSED)
{
    Work *work;

    pthread_setname_np(pthread_self(), "worker");
    pthread_mutex_lock(&mutex);
    while ((work = next_work())) {
        pthread_mutex_unlock(&mutex);
        run(work);
        pthread_mutex_lock(&mutex);
    }
    threads--;
    pthread_mutex_unlock(&mutex);
    return NULL;
}

/* Mutex held; false when there is nobody who could do the work. A signal is for the main thread: a worker starts with all of them
 * blocked. */
static bool start_thread(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, old;
    int failed;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    failed = pthread_create(&thread, &attributes, worker_thread, NULL);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    threads += !failed;
    return threads > 0;
}

/* On a host that starts no thread at all, the work is done here and now: late, but done. */
void worker_submit(void (*work)(void *opaque), void (*done)(void *opaque), void *opaque)
{
    Work *item = g_new(Work, 1);
    bool nobody = false;

    *item = (Work){ work, done, opaque };
    pthread_mutex_lock(&mutex);
    g_queue_push_tail(&queue, item);
    if (idle < queue.length && threads < THREADS_MOST) {
        nobody = !start_thread();
    }
    if (nobody) {
        g_queue_remove(&queue, item);
    }
    pthread_cond_signal(&wake);
    pthread_mutex_unlock(&mutex);
    if (nobody) {
        run(item);
    }
}
