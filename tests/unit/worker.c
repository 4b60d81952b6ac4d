/* SPDX-License-Identifier: GPL-2.0-or-later */
/* worker.c - work on other threads, and its completion on the main loop */
#include "base/lock.h"
#include "base/loop.h"
#include "base/worker.h"
#include <glib.h>
#include <signal.h>

enum { JOBS = 500 };

typedef struct Job {
    pthread_t thread;
    bool worked, blocked_signals;
    unsigned *left;
} Job;

static void work(void *opaque)
{
    Job *job = opaque;
    sigset_t mask;

    g_assert_false(machine_lock_held());
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    job->blocked_signals = sigismember(&mask, SIGINT) == 1;
    job->thread = pthread_self();
    job->worked = true;
}

static void done(void *opaque)
{
    Job *job = opaque;

    g_assert_true(machine_lock_held());
    g_assert_true(job->worked);
    if (--*job->left == 0) {
        loop_quit();
    }
}

static void many_jobs(void)
{
    g_autofree Job *jobs = g_new0(Job, JOBS);
    unsigned left = JOBS;

    for (int i = 0; i < JOBS; i++) {
        jobs[i].left = &left;
        worker_submit(work, done, &jobs[i]);
    }
    loop_run();
    for (int i = 0; i < JOBS; i++) {
        g_assert_true(jobs[i].blocked_signals);
        g_assert_false(pthread_equal(jobs[i].thread, pthread_self()));
    }
}

typedef struct Meeting {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    unsigned arrived, left;
} Meeting;

enum { PARTY = 8 };

/* Returns only when all are there: the pool must run them at the same time. */
static void meet(void *opaque)
{
    Meeting *meeting = opaque;
    LOCK_SCOPE(&meeting->mutex);

    meeting->arrived++;
    pthread_cond_broadcast(&meeting->cond);
    while (meeting->arrived < PARTY) {
        pthread_cond_wait(&meeting->cond, &meeting->mutex);
    }
}

static void met(void *opaque)
{
    Meeting *meeting = opaque;

    if (--meeting->left == 0) {
        loop_quit();
    }
}

static void blocked_jobs_do_not_block_others(void)
{
    Meeting meeting = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, PARTY };

    for (int i = 0; i < PARTY; i++) {
        worker_submit(meet, met, &meeting);
    }
    loop_run();
}

static void post_quit_done(void *opaque G_GNUC_UNUSED)
{
    loop_quit();
}

static void post_quit(void *opaque)
{
    loop_post(post_quit_done, opaque);
}

static void without_done(void)
{
    worker_submit(post_quit, NULL, NULL);
    loop_run();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    loop_init();
    g_test_add_func("/worker/many-jobs", many_jobs);
    g_test_add_func("/worker/blocked-jobs-do-not-block-others", blocked_jobs_do_not_block_others);
    g_test_add_func("/worker/without-done", without_done);
    return g_test_run();
}
