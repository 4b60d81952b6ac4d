/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * accel.c - threads, pausing, kicking and sleeping, on a make-believe processor that counts
 */
#include "accel/accel-ops.h"
#include "base/lock.h"
#include <string.h>

typedef struct Fake { uint64_t counter; bool leave, work, halt, stop; unsigned resets; bool takes_lock; } Fake;

static bool fake_open(Cpu *cpu, const Value *model, const Value *smp, GError **err)
{
    (void)model, (void)smp, (void)err;
    cpu->data = g_new0(Fake, 1);
    return true;
}
static void fake_close(Cpu *cpu) { g_free(cpu->data); }

static bool get(const bool *flag) { return __atomic_load_n(flag, __ATOMIC_SEQ_CST); }
static void set(bool *flag, bool value) { __atomic_store_n(flag, value, __ATOMIC_SEQ_CST); }

static CpuRunResult fake_run(Cpu *cpu)
{
    Fake *fake = cpu->data;
    set(&fake->leave, false);
    set(&fake->work, false);
    for (unsigned i = 0; !cpu_leave_wanted(cpu) && !get(&fake->leave); i++) {
        __atomic_fetch_add(&fake->counter, 1, __ATOMIC_RELAXED);
        if (fake->takes_lock) {
            machine_lock();
            machine_unlock();
        }
        if (get(&fake->halt)) {
            return CPU_SLEEPS;
        }
        if (get(&fake->stop)) {
            return CPU_STOPPED;
        }
        if (cpu->thread->cpus->len > 1 && i > 1000) {
            break;
        }
    }
    return CPU_RAN;
}

static bool fake_has_work(Cpu *cpu) { return get(&((Fake *)cpu->data)->work); }
static void fake_kick(Cpu *cpu) { set(&((Fake *)cpu->data)->leave, true); }
static void fake_intr(Cpu *cpu, bool level) { if (level) { set(&((Fake *)cpu->data)->work, true); } }
static void fake_reset(Cpu *cpu)
{
    ((Fake *)cpu->data)->resets++;
    set(&((Fake *)cpu->data)->stop, false);
}

static const AccelOps fake_ops = {
    .name = "fake", .has_cpus = true, .cpu_open = fake_open, .cpu_close = fake_close, .run = fake_run, .has_work = fake_has_work,
    .kick = fake_kick, .set_intr = fake_intr, .reset = fake_reset,
};

static uint64_t count(Cpu *cpu) { return __atomic_load_n(&((Fake *)cpu->data)->counter, __ATOMIC_RELAXED); }

static void wait_for_progress(Cpu *cpu)
{
    uint64_t before = count(cpu);
    for (unsigned i = 0; count(cpu) == before; i++) {
        g_assert_cmpuint(i, <, 20000);
        g_usleep(500);
    }
}

/* A thread that is still on its way to its first run has not stopped yet. */
static void wait_for_first_run(Cpu *cpu)
{
    for (unsigned i = 0; count(cpu) == 0; i++) {
        g_assert_cmpuint(i, <, 20000);
        g_usleep(500);
    }
}

static void stands(Cpu *cpu)
{
    uint64_t before = count(cpu);
    g_usleep(5000);
    g_assert_cmpuint(count(cpu), ==, before);
}

typedef struct Bed { Accel *accel; Cpu *cpu[3]; } Bed;

static void bed_up(Bed *bed, gconstpointer one_thread)
{
    machine_lock();
    bed->accel = accel_new_with(&fake_ops, NULL, NULL, NULL);
    bed->accel->one_thread = GPOINTER_TO_INT(one_thread);
    for (unsigned i = 0; i < 3; i++) {
        bed->cpu[i] = cpu_new(bed->accel, NULL, NULL, i, i, NULL);
        g_assert_nonnull(bed->cpu[i]);
        g_assert_cmpint(cpu_thread_id(bed->cpu[i]), !=, 0);
    }
    g_assert_true((cpu_thread_id(bed->cpu[0]) == cpu_thread_id(bed->cpu[1])) == bed->accel->one_thread);
}

static void bed_down(Bed *bed, gconstpointer one_thread)
{
    (void)one_thread;
    accel_free(bed->accel);
    machine_unlock();
}

static void runs_and_pauses(Bed *bed, gconstpointer data)
{
    (void)data;
    stands(bed->cpu[0]);
    for (unsigned round = 0; round < 50; round++) {
        accel_resume(bed->accel);
        for (unsigned i = 0; round % 10 == 0 && i < 3; i++) {
            wait_for_progress(bed->cpu[i]);
        }
        accel_pause(bed->accel);
        accel_pause(bed->accel);
        if (round % 10 == 0) {
            stands(bed->cpu[round % 3]);
        }
    }
}

/* The CPUs want the machine lock that the pauser holds: pausing must let go of it. */
static void pause_against_the_lock(Bed *bed, gconstpointer data)
{
    (void)data;
    for (unsigned i = 0; i < 3; i++) {
        ((Fake *)bed->cpu[i]->data)->takes_lock = true;
    }
    for (unsigned round = 0; round < 30; round++) {
        accel_resume(bed->accel);
        machine_unlock();
        g_usleep(300);
        machine_lock();
        accel_pause(bed->accel);
        g_assert_true(machine_lock_held());
    }
}

static void sleeps_and_wakes(Bed *bed, gconstpointer data)
{
    (void)data;
    Fake *fake = bed->cpu[1]->data;
    set(&fake->halt, true);
    accel_resume(bed->accel);
    wait_for_progress(bed->cpu[0]);
    wait_for_first_run(bed->cpu[1]);
    for (unsigned round = 0; round < 100; round++) {
        uint64_t before = count(bed->cpu[1]);
        cpu_set_intr(bed->cpu[1], true);
        for (unsigned i = 0; count(bed->cpu[1]) == before; i++) {
            g_assert_cmpuint(i, <, 20000);
            g_usleep(50);
        }
    }
    stands(bed->cpu[1]);
    accel_pause(bed->accel);
    accel_resume(bed->accel);
    g_usleep(2000);
    stands(bed->cpu[1]);                   /* a pause is no reason to wake */
}

static void stops_until_reset(Bed *bed, gconstpointer data)
{
    (void)data;
    Fake *fake = bed->cpu[2]->data;
    set(&fake->stop, true);
    accel_resume(bed->accel);
    wait_for_progress(bed->cpu[0]);
    wait_for_first_run(bed->cpu[2]);
    accel_pause(bed->accel);
    accel_resume(bed->accel);
    wait_for_progress(bed->cpu[0]);
    stands(bed->cpu[2]);
    accel_pause(bed->accel);
    unsigned resets = fake->resets;
    cpu_reset(bed->cpu[2]);
    g_assert_cmpuint(fake->resets, ==, resets + 1);
    accel_resume(bed->accel);
    wait_for_progress(bed->cpu[2]);
}

static void note_thread(Cpu *cpu, void *opaque)
{
    g_assert_true(cpu_current() == cpu || machine_lock_held());
    *(int *)opaque = cpu_current() ? cpu_thread_id(cpu) : 0;
}

static void ask_the_other(Cpu *cpu, void *opaque)
{
    Bed *bed = opaque;
    int tid = -1;
    cpu_run_on(bed->cpu[cpu == bed->cpu[0]], note_thread, &tid);
    g_assert_cmpint(tid, !=, -1);
}

typedef struct Asker { Bed *bed; unsigned which; } Asker;
static void *asker(void *opaque)
{
    Asker *asker = opaque;
    for (unsigned i = 0; i < 100; i++) {
        cpu_run_on(asker->bed->cpu[asker->which], ask_the_other, asker->bed);
    }
    return NULL;
}

static void work_on_threads(Bed *bed, gconstpointer data)
{
    (void)data;
    int tid = -1;
    cpu_run_on(bed->cpu[0], note_thread, &tid);
    g_assert_cmpint(tid, ==, 0);           /* paused: done here */
    accel_resume(bed->accel);
    cpu_run_on(bed->cpu[1], note_thread, &tid);
    g_assert_cmpint(tid, ==, cpu_thread_id(bed->cpu[1]));
    g_autofree char *text = cpu_describe(bed->cpu[2]);
    g_assert_nonnull(strstr(text, "RIP="));
    Asker askers[2] = { { bed, 0 }, { bed, 1 } };
    GThread *threads[2] = { g_thread_new("ask", asker, &askers[0]), g_thread_new("ask", asker, &askers[1]) };
    machine_unlock();
    g_thread_join(threads[0]);
    g_thread_join(threads[1]);
    machine_lock();
}

static void choices(void)
{
    g_autoptr(Value) list = value_new_list();
    GError *err = NULL;
    Value *entry = value_new_object();
    value_set(entry, "name", value_new_string("xen"));
    value_append(list, entry);
    g_assert_null(accel_new(list, NULL, NULL, NULL, &err));
    g_assert_nonnull(strstr(err->message, "xen"));
    g_clear_error(&err);
    char *why = NULL;
    g_assert_false(accel_usable("hvf", &why));
    g_assert_nonnull(why);
    g_free(why);
    g_assert_true(accel_usable("qtest", &why));
    g_assert_null(why);

    entry = value_new_object();
    value_set(entry, "name", value_new_string("qtest"));
    g_autoptr(Value) good = value_new_list();
    value_append(good, entry);
    machine_lock();
    Accel *accel = accel_new(good, NULL, NULL, NULL, &err);
    g_assert_no_error(err);
    g_assert_false(accel_has_cpus(accel));
    Cpu *cpu = cpu_new(accel, NULL, NULL, 0, 0, &err);
    g_assert_nonnull(cpu);
    accel_resume(accel);
    cpu_kick(cpu);
    cpu_set_intr(cpu, true);
    cpu_nmi(cpu);
    cpu_reset(cpu);
    accel_pause(accel);
    g_autofree CpuState *state = g_new0(CpuState, 1);
    cpu_get_state(cpu, state);
    g_autofree char *text = cpu_describe(cpu);
    accel_free(accel);
    value_set(entry, "threads", value_new_string("3"));
    g_assert_null(accel_new(good, NULL, NULL, NULL, &err));
    g_assert_nonnull(strstr(err->message, "threads"));
    g_clear_error(&err);
    machine_unlock();
}

#define CASES(name, function)                                                                                       \
    g_test_add("/accel/" name ", a thread each", Bed, GINT_TO_POINTER(0), bed_up, function, bed_down);          \
    g_test_add("/accel/" name ", one thread", Bed, GINT_TO_POINTER(1), bed_up, function, bed_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    CASES("runs and pauses", runs_and_pauses);
    CASES("a pause lets go of the machine lock", pause_against_the_lock);
    CASES("a halted CPU sleeps and wakes", sleeps_and_wakes);
    CASES("a stopped CPU waits for a reset", stops_until_reset);
    CASES("work runs on the CPU's thread", work_on_threads);
    g_test_add_func("/accel/choices and their refusals", choices);
    return g_test_run();
}
