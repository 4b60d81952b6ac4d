/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vcpu.c - the threads that run CPUs: pausing, kicking, sleeping, and work done on a CPU's own thread
 *
 * The protocol is told in accel-ops.h. Orders that it rests on, all sequentially consistent:
 *
 *   pause      sets accel->paused, then cpu->leave, then kicks;  the thread clears leave, then looks at paused, then runs.
 *   wake       the line's request is set, then thread->sleeping is read;  the thread sets sleeping, then asks has_work().
 *
 * accel->mutex is innermost: nothing but has_work() is called under it. Waiting here always drops the machine lock first, since the
 * CPU waited for may be waiting for that.
 *
 * Tests    tests/unit/accel.c (a make-believe accelerator), tests/kvm
 */
#include "accel/accel-ops.h"
#include "base/error.h"
#include "base/lock.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

struct CpuWork {
    void (*call)(Cpu *cpu, void *opaque);
    void *opaque;
    Cpu *cpu;
    bool done;                             /* accel->mutex */
    CpuWork *next;
};

static __thread Cpu *current;
static __thread CpuThread *current_thread;

Cpu *cpu_current(void)
{
    return current;
}

static bool flag(const bool *where)
{
    return __atomic_load_n(where, __ATOMIC_SEQ_CST);
}

static void set_flag(bool *where, bool value)
{
    __atomic_store_n(where, value, __ATOMIC_SEQ_CST);
}

/* Signals wake this thread out of guest code and fault in it; all others are the main thread's. */
static void choose_signals(void)
{
    sigset_t blocked;
    sigfillset(&blocked);
    sigdelset(&blocked, SIGUSR1);
    sigdelset(&blocked, SIGSEGV);
    sigdelset(&blocked, SIGBUS);
    sigdelset(&blocked, SIGFPE);
    sigdelset(&blocked, SIGILL);
    sigdelset(&blocked, SIGTRAP);
    sigdelset(&blocked, SIGSYS);           /* a forbidden system call ends the process wherever it is made */
    pthread_sigmask(SIG_SETMASK, &blocked, NULL);
}

static void call_as(Cpu *cpu, void (*call)(Cpu *cpu, void *opaque), void *opaque)
{
    Cpu *before = current;
    current = cpu;
    call(cpu, opaque);
    current = before;
}

/* accel->mutex held; it is dropped around each piece of work. */
static void do_work(CpuThread *thread)
{
    while (thread->work) {
        CpuWork *work = thread->work;
        thread->work = work->next;
        pthread_mutex_unlock(&thread->accel->mutex);
        call_as(work->cpu, work->call, work->opaque);
        pthread_mutex_lock(&thread->accel->mutex);
        work->done = true;
        pthread_cond_broadcast(&thread->accel->quiet);
    }
}

/* Whose turn it is: the next in the round that can go on. accel->mutex held. */
static Cpu *next_runnable(CpuThread *thread)
{
    guint count = thread->cpus->len;

    for (guint i = 0; i < count; i++) {
        Cpu *cpu = g_ptr_array_index(thread->cpus, (thread->turn + i) % count);
        if (!cpu->stopped && (!cpu->sleeps || thread->accel->ops->has_work(cpu))) {
            thread->turn = (thread->turn + i + 1) % count;
            return cpu;
        }
    }
    return NULL;
}

/* accel->mutex held on entry and return. */
static void run_cpu(CpuThread *thread, Cpu *cpu)
{
    Accel *accel = thread->accel;

    pthread_mutex_unlock(&accel->mutex);
    current = cpu;
    cpu->sleeps = false;
    CpuRunResult result = accel->ops->run(cpu);
    cpu->sleeps = result == CPU_SLEEPS;
    cpu->stopped = result == CPU_STOPPED;
    current = NULL;
    pthread_mutex_lock(&accel->mutex);
}

static void clear_kicks(CpuThread *thread)
{
    for (guint i = 0; i < thread->cpus->len; i++) {
        set_flag(&((Cpu *)g_ptr_array_index(thread->cpus, i))->leave, false);
    }
}

static void wait_for_wake(CpuThread *thread)
{
    thread->in_guest = false;
    pthread_cond_broadcast(&thread->accel->quiet);
    pthread_cond_wait(&thread->wake, &thread->accel->mutex);
}

static void *thread_main(void *opaque)
{
    CpuThread *thread = opaque;
    Accel *accel = thread->accel;

    current_thread = thread;
    choose_signals();
    if (accel->ops->thread_begin) {
        accel->ops->thread_begin(thread);
    }
    pthread_mutex_lock(&accel->mutex);
    thread->tid = gettid();
    pthread_cond_broadcast(&accel->quiet);
    while (!flag(&accel->ending)) {
        clear_kicks(thread);
        do_work(thread);
        if (flag(&accel->paused)) {
            wait_for_wake(thread);
            continue;
        }
        Cpu *cpu = next_runnable(thread);
        if (!cpu) {
            set_flag(&thread->sleeping, true);
            cpu = next_runnable(thread);
            if (!cpu && !thread->work && !flag(&accel->paused) && !flag(&accel->ending)) {
                wait_for_wake(thread);
            }
            set_flag(&thread->sleeping, false);
            continue;
        }
        thread->in_guest = true;
        run_cpu(thread, cpu);
    }
    do_work(thread);
    thread->in_guest = false;
    thread->ended = true;
    pthread_cond_broadcast(&accel->quiet);
    pthread_mutex_unlock(&accel->mutex);
    if (accel->ops->thread_end) {
        accel->ops->thread_end(thread);
    }
    return NULL;
}

static bool thread_start(CpuThread *thread, unsigned index, GError **err)
{
    Accel *accel = thread->accel;
    sigset_t all, before;
    char name[16];

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);         /* the new thread inherits this until it has chosen */
    int error = pthread_create(&thread->thread, NULL, thread_main, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error) {
        return fail(err, error, "CPU %u: the host gives no thread for it: %s", index, g_strerror(error));
    }
    snprintf(name, sizeof name, "CPU %u/%s", index % 10000, accel->ops->name);
    pthread_setname_np(thread->thread, name);
    pthread_mutex_lock(&accel->mutex);
    while (!thread->tid) {
        pthread_cond_wait(&accel->quiet, &accel->mutex);
    }
    pthread_mutex_unlock(&accel->mutex);
    return true;
}

bool cpu_thread_attach(Cpu *cpu, GError **err)
{
    Accel *accel = cpu->accel;

    if (accel->one_thread && accel->threads->len) {
        CpuThread *shared = g_ptr_array_index(accel->threads, 0);
        pthread_mutex_lock(&accel->mutex);
        g_ptr_array_add(shared->cpus, cpu);
        cpu->thread = shared;
        pthread_mutex_unlock(&accel->mutex);
        return true;
    }
    CpuThread *thread = g_new0(CpuThread, 1);
    thread->accel = accel;
    thread->cpus = g_ptr_array_new();
    pthread_cond_init(&thread->wake, NULL);
    g_ptr_array_add(thread->cpus, cpu);
    cpu->thread = thread;
    if (!thread_start(thread, cpu->index, err)) {
        cpu->thread = NULL;
        pthread_cond_destroy(&thread->wake);
        g_ptr_array_unref(thread->cpus);
        g_free(thread);
        return false;
    }
    g_ptr_array_add(accel->threads, thread);
    return true;
}

/* Makes a thread look at its flags again, wherever it is. */
static void poke(CpuThread *thread)
{
    for (guint i = 0; i < thread->cpus->len; i++) {
        cpu_kick(g_ptr_array_index(thread->cpus, i));
    }
    pthread_mutex_lock(&thread->accel->mutex);
    pthread_cond_broadcast(&thread->wake);
    pthread_cond_broadcast(&thread->accel->quiet);       /* it may be waiting for another CPU in cpu_run_on() */
    pthread_mutex_unlock(&thread->accel->mutex);
}

void cpu_threads_end(Accel *accel)
{
    if (!accel->threads->len) {
        return;
    }
    set_flag(&accel->ending, true);
    for (guint i = 0; i < accel->threads->len; i++) {
        poke(g_ptr_array_index(accel->threads, i));
    }
    bool locked = machine_lock_held();
    if (locked) {
        machine_unlock();
    }
    for (guint i = 0; i < accel->threads->len; i++) {
        CpuThread *thread = g_ptr_array_index(accel->threads, i);
        pthread_join(thread->thread, NULL);
        pthread_cond_destroy(&thread->wake);
        g_ptr_array_unref(thread->cpus);
        g_free(thread);
    }
    g_ptr_array_set_size(accel->threads, 0);
    if (locked) {
        machine_lock();
    }
}

void cpu_kick(Cpu *cpu)
{
    if (cpu->thread) {
        set_flag(&cpu->leave, true);
        cpu->accel->ops->kick(cpu);
    }
}

void cpu_wake(Cpu *cpu)
{
    CpuThread *thread = cpu->thread;

    if (thread && flag(&thread->sleeping)) {
        pthread_mutex_lock(&thread->accel->mutex);
        pthread_cond_broadcast(&thread->wake);
        pthread_mutex_unlock(&thread->accel->mutex);
    }
}

/* accel->mutex held. A thread that asks for the pause itself is out of guest code by asking. */
static bool all_quiet(const Accel *accel)
{
    for (guint i = 0; i < accel->threads->len; i++) {
        const CpuThread *thread = g_ptr_array_index(accel->threads, i);
        if (thread->in_guest && thread != current_thread) {
            return false;
        }
    }
    return true;
}

void accel_stop_soon(Accel *accel)
{
    set_flag(&accel->paused, true);
    for (guint i = 0; i < accel->threads->len; i++) {
        poke(g_ptr_array_index(accel->threads, i));
    }
}

static void wait_until_quiet(Accel *accel)
{
    pthread_mutex_lock(&accel->mutex);
    bool quiet = all_quiet(accel);
    pthread_mutex_unlock(&accel->mutex);
    if (quiet) {
        return;
    }
    bool locked = machine_lock_held();
    if (locked) {
        machine_unlock();
    }
    pthread_mutex_lock(&accel->mutex);
    while (!all_quiet(accel)) {
        pthread_cond_wait(&accel->quiet, &accel->mutex);
    }
    pthread_mutex_unlock(&accel->mutex);
    if (locked) {
        machine_lock();
    }
}

void accel_pause(Accel *accel)
{
    accel_stop_soon(accel);
    wait_until_quiet(accel);
    if (!accel->settled) {
        accel->settled = true;
        if (accel->ops->paused) {
            accel->ops->paused(accel);
        }
    }
}

void accel_resume(Accel *accel)
{
    if (!flag(&accel->paused)) {
        return;
    }
    accel_pause(accel);                    /* after accel_stop_soon() some may still be on their way out */
    accel->settled = false;
    for (guint i = 0; accel->ops->resuming && i < accel->cpus->len; i++) {
        accel->ops->resuming(g_ptr_array_index(accel->cpus, i));
    }
    pthread_mutex_lock(&accel->mutex);
    set_flag(&accel->paused, false);
    for (guint i = 0; i < accel->threads->len; i++) {
        pthread_cond_broadcast(&((CpuThread *)g_ptr_array_index(accel->threads, i))->wake);
    }
    pthread_mutex_unlock(&accel->mutex);
}

/* The CPU stands still and cannot start under us: only the holder of the machine lock resumes. */
static bool stands_still(Cpu *cpu)
{
    Accel *accel = cpu->accel;
    if (!machine_lock_held() || !flag(&accel->paused)) {
        return false;
    }
    pthread_mutex_lock(&accel->mutex);
    bool still = !cpu->thread->in_guest && !cpu->thread->work;
    pthread_mutex_unlock(&accel->mutex);
    return still;
}

void cpu_run_on(Cpu *cpu, void (*call)(Cpu *cpu, void *opaque), void *opaque)
{
    Accel *accel = cpu->accel;

    if (cpu->thread && cpu->thread == current_thread) {
        call_as(cpu, call, opaque);
        return;
    }
    if (!cpu->thread || stands_still(cpu)) {
        call(cpu, opaque);
        return;
    }
    CpuWork work = { .call = call, .opaque = opaque, .cpu = cpu };
    pthread_mutex_lock(&accel->mutex);
    if (cpu->thread->ended) {
        pthread_mutex_unlock(&accel->mutex);
        call(cpu, opaque);
        return;
    }
    CpuWork **tail = &cpu->thread->work;
    while (*tail) {
        tail = &(*tail)->next;
    }
    *tail = &work;
    pthread_mutex_unlock(&accel->mutex);
    poke(cpu->thread);

    bool locked = machine_lock_held();
    if (locked) {
        machine_unlock();
    }
    pthread_mutex_lock(&accel->mutex);
    while (!work.done) {
        if (current_thread && current_thread->work) {
            do_work(current_thread);       /* two CPUs may ask each other */
        } else {
            pthread_cond_wait(&accel->quiet, &accel->mutex);
        }
    }
    pthread_mutex_unlock(&accel->mutex);
    if (locked) {
        machine_lock();
    }
}
