/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * jobs.c - the list of jobs, their states, and the commands about them
 *
 * created -> running -> waiting -> pending -> concluded, or aborting -> concluded; then null, when it is dismissed.
 *
 * Threads  main loop, machine lock held
 * Tests    tests/qmp/block.py
 */
#include "monitor/jobs.h"
#include "base/coroutine.h"
#include "base/error.h"
#include "base/event.h"
#include "base/io-loop.h"
#include "monitor/commands.h"
#include <errno.h>
#include <string.h>

enum { JOBS_MOST = 256 };

struct Job {
    char *id;
    const char *type, *status;
    bool (*work)(void *opaque, GError **err);
    void (*free_opaque)(void *opaque);
    void *opaque;
    char *error;                           /* NULL: none */
    bool done;
};

static GPtrArray *jobs;                    /* Job *, oldest first */

static void set_status(Job *job, const char *status)
{
    Value *data = value_new_object();

    job->status = status;
    value_set(data, "id", value_new_string(job->id));
    value_set(data, "status", value_new_string(status));
    event_emit("JOB_STATUS_CHANGE", data);
}

static Job *find_job(const char *id)
{
    for (guint i = 0; jobs && i < jobs->len; i++) {
        Job *job = jobs->pdata[i];
        if (strcmp(job->id, id) == 0) {
            return job;
        }
    }
    return NULL;
}

static void run(void *opaque)
{
    Job *job = opaque;
    g_autoptr(GError) err = NULL;

    if (job->work(job->opaque, &err)) {
        set_status(job, "waiting");
        set_status(job, "pending");
    } else {
        job->error = g_strdup(err ? err->message : "it failed");
        set_status(job, "aborting");
    }
    job->free_opaque(job->opaque);
    job->done = true;
    set_status(job, "concluded");
}

static void start_soon(void *opaque)
{
    coroutine_enter(opaque);
}

bool job_start(const char *id, const char *type, bool (*work)(void *opaque, GError **err), void (*free_opaque)(void *opaque), void *opaque, GError **err)
{
    Coroutine *coroutine = NULL;

    jobs = jobs ? jobs : g_ptr_array_new();
    if (!g_ascii_isalpha(*id)) {
        fail(err, EINVAL, "Invalid job ID '%s'", id);
    } else if (find_job(id)) {
        fail(err, EEXIST, "Job ID '%s' already in use", id);
    } else if (jobs->len >= JOBS_MOST) {
        fail(err, EMFILE, "There are %d jobs already; job-dismiss forgets those that are done", JOBS_MOST);
    } else {
        Job *job = g_new0(Job, 1);
        *job = (Job){ .id = g_strdup(id), .type = type, .work = work, .free_opaque = free_opaque, .opaque = opaque };
        coroutine = coroutine_new(run, job);
        if (!coroutine) {
            g_free(job->id);
            g_free(job);
            fail(err, ENOMEM, "Job '%s': no memory for it to run in", id);
        } else {
            g_ptr_array_add(jobs, job);
            set_status(job, "created");
            set_status(job, "running");
            io_loop_post(io_loop_main(), start_soon, coroutine);
        }
    }
    if (!coroutine) {
        free_opaque(opaque);
    }
    return coroutine != NULL;
}

QMP_HANDLER(query_jobs)
{
    Value *list = value_new_list();

    for (guint i = 0; jobs && i < jobs->len; i++) {
        const Job *job = jobs->pdata[i];
        Value *info = value_new_object();
        value_set(info, "id", value_new_string(job->id));
        value_set(info, "type", value_new_string(job->type));
        value_set(info, "status", value_new_string(job->status));
        value_set(info, "current-progress", value_new_int(job->done && !job->error));
        value_set(info, "total-progress", value_new_int(1));
        if (job->error) {
            value_set(info, "error", value_new_string(job->error));
        }
        value_append(list, info);
    }
    return list;
}

QMP_HANDLER(job_dismiss)
{
    Job *job = find_job(value_get_string(args, "id", ""));

    if (!job) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "Job not found");
    }
    if (!job->done) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "Job '%s' in state '%s' cannot accept command verb 'dismiss'", job->id, job->status);
    }
    set_status(job, "null");
    g_ptr_array_remove(jobs, job);
    g_free(job->id);
    g_free(job->error);
    g_free(job);
    return qmp_done();
}

const QmpType job_types[] = {
    { "JobType", "enum commit stream mirror backup create amend snapshot-load snapshot-save snapshot-delete" },
    { "JobStatus", "enum undefined created running paused ready standby waiting pending aborting concluded null" },
    { "JobInfo", "struct id:str type:JobType status:JobStatus current-progress:int total-progress:int ?error:str" },
    { .name = NULL } };

const QmpCommand job_commands[] = {
    { "query-jobs", query_jobs, .returns = "[JobInfo]", .help = "the jobs that run or were not dismissed yet" },
    { "job-dismiss", job_dismiss, .args = "id:str", .help = "forgets a job that has concluded" },
    { .name = NULL } };
