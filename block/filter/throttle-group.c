/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * throttle-group.c - who goes next when a group is over its limits
 *
 * Reads and writes wait in queues of their own, one per drive. While any wait, one drive has the turn: a timer on its loop, armed for
 * when the limits allow a request. When it fires, one request goes, and the turn passes to the next drive that waits, so that a drive
 * with many requests gets no more than one with few.
 *
 * Threads  drives of one group may live on several loops; the group's mutex guards everything but the timers, which are each loop's
 *          own: a turn is handed to another loop by posting. Nothing is taken under the mutex
 * Tests    tests/block/throttle.c
 */
#include "block/filter/throttle-group.h"
#include "base/error.h"
#include "base/lock.h"
#include "base/timer.h"
#include <errno.h>
#include <string.h>

typedef struct Waiter Waiter;
struct Waiter { Coroutine *coroutine; uint64_t bytes; Waiter *next; };
typedef struct Queue { Waiter *first, **end; } Queue;

typedef struct Turn { ThrottleMember *member; bool write; IoTimer timer; int64_t deadline; } Turn;

struct ThrottleMember {
    ThrottleGroup *group;
    IoLoop *loop;
    Queue waiting[2];
    Turn turn[2];
    bool quiesced;
    unsigned posts;                        /* begin_turn() calls under way */
};

struct ThrottleGroup {
    char *name;
    bool object;                           /* -object: stays without members */
    pthread_mutex_t mutex;
    Throttle throttle;
    GPtrArray *members;
    unsigned pending[2];
    ThrottleMember *turn[2];               /* whose timer is armed; NULL */
    unsigned last[2];                      /* index of who had it last */
};

static GPtrArray *groups;                  /* main thread's */

/* ---- groups by name ---- */

static ThrottleGroup *find_group(const char *name)
{
    for (size_t i = 0; groups && i < groups->len; i++) {
        ThrottleGroup *group = groups->pdata[i];
        if (strcmp(group->name, name) == 0) {
            return group;
        }
    }
    return NULL;
}

static ThrottleGroup *make_group(const char *name)
{
    ThrottleGroup *group = g_new0(ThrottleGroup, 1);
    ThrottleConfig none;

    fields_init(throttle_keys, &none);
    group->name = g_strdup(name);
    group->members = g_ptr_array_new();
    pthread_mutex_init(&group->mutex, NULL);
    throttle_configure(&group->throttle, &none, clock_now(CLOCK_STEADY));
    groups = groups ? groups : g_ptr_array_new();
    g_ptr_array_add(groups, group);
    return group;
}

static void drop_if_unused(ThrottleGroup *group)
{
    if (group->object || group->members->len) {
        return;
    }
    g_ptr_array_remove(groups, group);
    if (groups->len == 0) {
        g_clear_pointer(&groups, g_ptr_array_unref);
    }
    pthread_mutex_destroy(&group->mutex);
    g_ptr_array_free(group->members, TRUE);
    g_free(group->name);
    g_free(group);
}

static bool parse_keys(const char *name, const Value *keys, ThrottleConfig *config, GError **err)
{
    g_autofree char *who = g_strdup_printf("throttle group '%s'", name);
    g_autoptr(Value) plain = value_new_object();
    const Value *limits = value_get(keys, "limits");

    fields_init(throttle_keys, config);
    for (size_t i = 0; i < value_length(keys); i++) {
        const char *key = value_key_at(keys, i);
        if (strcmp(key, "id") != 0 && strcmp(key, "qom-type") != 0 && strcmp(key, "group") != 0 && strcmp(key, "limits") != 0) {
            value_set(plain, g_str_has_prefix(key, "x-") ? key + 2 : key, value_ref(value_member_at(keys, i)));
        }
    }
    g_autoptr(GError) why = NULL;
    if (!fields_set(throttle_keys, config, who, plain, NULL, err) || (limits && !fields_set(throttle_keys, config, who, limits, NULL, err))) {
        return false;
    }
    return throttle_config_check(config, &why) || fail(err, EINVAL, "%s: %s", who, why->message);
}

static void set_config(ThrottleGroup *group, const ThrottleConfig *config)
{
    LOCK_SCOPE(&group->mutex);
    throttle_configure(&group->throttle, config, clock_now(CLOCK_STEADY));
}

bool throttle_group_new(const char *name, const Value *keys, GError **err)
{
    ThrottleConfig config;

    if (find_group(name)) {
        return fail(err, EEXIST, "throttle group '%s': there is one of that name already", name);
    }
    if (!parse_keys(name, keys, &config, err)) {
        return false;
    }
    ThrottleGroup *group = make_group(name);
    group->object = true;
    set_config(group, &config);
    return true;
}

bool throttle_group_delete(const char *name, GError **err)
{
    ThrottleGroup *group = find_group(name);

    if (!group || !group->object) {
        return fail(err, ENOENT, "there is no throttle group '%s'", name);
    }
    if (group->members->len) {
        return fail(err, EBUSY, "throttle group '%s' is in use by %u drives", name, group->members->len);
    }
    group->object = false;
    drop_if_unused(group);
    return true;
}

bool throttle_group_configure(const char *name, const Value *keys, GError **err)
{
    ThrottleConfig config;

    if (!parse_keys(name, keys, &config, err)) {
        return false;
    }
    ThrottleGroup *group = find_group(name);
    if (!group || throttle_limits_anything(&config)) {
        set_config(group ? group : make_group(name), &config);
    }
    return true;
}

bool throttle_group_exists(const char *name)
{
    return find_group(name) != NULL;
}

const ThrottleConfig *throttle_group_config(const char *name)
{
    ThrottleGroup *group = find_group(name);

    return group ? &group->throttle.config : NULL;
}

/* ---- turns; all with the group's mutex held ---- */

static void begin_turn(void *opaque)
{
    Turn *turn = opaque;
    ThrottleMember *member = turn->member;
    LOCK_SCOPE(&member->group->mutex);

    member->posts--;
    if (member->group->turn[turn->write] == member) {
        io_timer_arm(&turn->timer, turn->deadline);
    }
}

/* Whoever waits and comes after the last one. */
static void pass_turn(ThrottleGroup *group, bool write, int64_t now)
{
    group->turn[write] = NULL;
    for (unsigned i = 1; group->pending[write] && i <= group->members->len; i++) {
        unsigned index = (group->last[write] + i) % group->members->len;
        ThrottleMember *member = group->members->pdata[index];
        Turn *turn = &member->turn[write];

        if (member->waiting[write].first) {
            group->last[write] = index;
            group->turn[write] = member;
            turn->deadline = now + throttle_wait_ns(&group->throttle, write, now);
            if (member->loop == io_loop_current()) {
                io_timer_arm(&turn->timer, turn->deadline);
            } else {
                member->posts++;
                io_loop_post(member->loop, begin_turn, turn);
            }
            return;
        }
    }
}

/* The first one of a queue goes. */
static void let_go(ThrottleMember *member, bool write)
{
    Queue *queue = &member->waiting[write];
    Waiter *waiter = queue->first;

    throttle_account(&member->group->throttle, write, waiter->bytes);
    queue->first = waiter->next;
    if (!queue->first) {
        queue->end = &queue->first;
    }
    member->group->pending[write]--;
    io_loop_wake(member->loop, waiter->coroutine);
}

static void turn_came(void *opaque)
{
    Turn *turn = opaque;
    ThrottleMember *member = turn->member;
    ThrottleGroup *group = member->group;
    LOCK_SCOPE(&group->mutex);
    int64_t now = clock_now(CLOCK_STEADY), wait;

    if (group->turn[turn->write] != member || !member->waiting[turn->write].first) {
        return;
    }
    wait = throttle_wait_ns(&group->throttle, turn->write, now);
    if (wait > 0) {                        /* the other direction took from a total */
        io_timer_arm(&turn->timer, now + wait);
        return;
    }
    let_go(member, turn->write);
    pass_turn(group, turn->write, now);
}

/* ---- members ---- */

ThrottleMember *throttle_member_new(const char *name, IoLoop *loop, GError **err)
{
    ThrottleGroup *group = find_group(name);

    if (!group) {
        fail(err, ENOENT, "there is no throttle group '%s'; -object throttle-group,id=%s makes one", name, name);
        return NULL;
    }
    ThrottleMember *member = g_new0(ThrottleMember, 1);
    member->group = group;
    for (int write = 0; write < 2; write++) {
        member->waiting[write].end = &member->waiting[write].first;
        member->turn[write].member = member;
        member->turn[write].write = write;
    }
    throttle_member_attach_loop(member, loop);
    LOCK_SCOPE(&group->mutex);
    g_ptr_array_add(group->members, member);
    return member;
}

static void leave_turns(ThrottleMember *member)
{
    LOCK_SCOPE(&member->group->mutex);
    for (int write = 0; write < 2; write++) {
        if (member->group->turn[write] == member) {
            pass_turn(member->group, write, clock_now(CLOCK_STEADY));
        }
    }
}

/* On its loop, or that loop does not turn any more. */
void throttle_member_free(ThrottleMember *member)
{
    ThrottleGroup *group = member->group;

    throttle_member_detach_loop(member);
    pthread_mutex_lock(&group->mutex);
    g_ptr_array_remove(group->members, member);
    group->last[0] = group->last[1] = 0;
    pthread_mutex_unlock(&group->mutex);
    g_free(member);
    drop_if_unused(group);
}

void throttle_member_detach_loop(ThrottleMember *member)
{
    leave_turns(member);
    for (;;) {
        pthread_mutex_lock(&member->group->mutex);
        unsigned posts = member->posts;
        pthread_mutex_unlock(&member->group->mutex);
        if (!posts) {
            break;
        }
        co_yield_turn();                   /* a turn that another loop handed over is on its way */
    }
    io_timer_cancel(&member->turn[0].timer);
    io_timer_cancel(&member->turn[1].timer);
}

void throttle_member_attach_loop(ThrottleMember *member, IoLoop *loop)
{
    member->loop = loop;
    for (int write = 0; write < 2; write++) {
        io_timer_init(&member->turn[write].timer, loop, turn_came, &member->turn[write]);
    }
}

static bool must_wait(ThrottleMember *member, bool write, Waiter *waiter)
{
    ThrottleGroup *group = member->group;
    int64_t now = clock_now(CLOCK_STEADY);
    LOCK_SCOPE(&group->mutex);

    if (member->quiesced || (group->pending[write] == 0 && throttle_wait_ns(&group->throttle, write, now) == 0)) {
        throttle_account(&group->throttle, write, waiter->bytes);
        return false;
    }
    *member->waiting[write].end = waiter;
    member->waiting[write].end = &waiter->next;
    group->pending[write]++;
    if (!group->turn[write]) {
        pass_turn(group, write, now);
    }
    return true;
}

void throttle_member_wait(ThrottleMember *member, bool write, uint64_t bytes)
{
    Waiter waiter = { coroutine_self(), bytes, NULL };

    if (must_wait(member, write, &waiter)) {
        coroutine_yield();
    }
}

void throttle_member_quiesce(ThrottleMember *member, bool on)
{
    LOCK_SCOPE(&member->group->mutex);
    member->quiesced = on;
    for (int write = 0; on && write < 2; write++) {
        while (member->waiting[write].first) {
            let_go(member, write);
        }
        if (member->group->turn[write] == member) {
            pass_turn(member->group, write, clock_now(CLOCK_STEADY));
        }
    }
}
