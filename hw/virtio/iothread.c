/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * iothread.c - the threads that serve queues outside of the main loop
 *
 * A loop sleeps in epoll until there is work, and never spins: poll-max-ns and its two companions are taken and checked, and the
 * polling that they tune is not done. aio-max-batch and the limits of the thread pool are taken likewise.
 *
 * Threads  the list is the machine lock's
 * Tests    tests/dev/virtio-blk.c
 */
#include "hw/virtio/iothread.h"
#include "base/error.h"
#include "base/object.h"
#include <errno.h>
#include <string.h>

struct IoThread {
    Object object;
    char *id;
    IoLoop *loop;
    unsigned users;
    int64_t poll_max_ns, poll_grow, poll_shrink, aio_max_batch, thread_pool_min, thread_pool_max;
};

static GPtrArray *threads;                 /* IoThread * */

const Field iothread_keys[] = {
    PROP_STR("id", IoThread, id, .required = true, .help = "the name that devices use: iothread=ID"),
    PROP_I64("poll-max-ns", IoThread, poll_max_ns, 32768, .max = INT64_MAX, .help = "accepted; the thread sleeps instead of polling"),
    PROP_I64("poll-grow", IoThread, poll_grow, 0, .max = INT64_MAX, .help = "accepted, as poll-max-ns"),
    PROP_I64("poll-shrink", IoThread, poll_shrink, 0, .max = INT64_MAX, .help = "accepted, as poll-max-ns"),
    PROP_I64("aio-max-batch", IoThread, aio_max_batch, 0, .max = INT64_MAX, .help = "accepted; each turn's requests are one batch"),
    PROP_I64("thread-pool-min", IoThread, thread_pool_min, 0, .max = INT64_MAX, .help = "accepted; workers are shared and come on demand"),
    PROP_I64("thread-pool-max", IoThread, thread_pool_max, 64, .max = INT64_MAX, .help = "accepted, as thread-pool-min"),
    FIELD_END };

static void iothread_finalize(Object *object)
{
    IoThread *thread = (IoThread *)object;

    if (thread->loop) {
        io_loop_stop_thread(thread->loop);
        io_loop_free(thread->loop);
    }
    fields_clear(iothread_keys, thread);
    g_free(thread);
}

static const ObjectType iothread_type = { .name = "iothread", .finalize = iothread_finalize, .props = iothread_keys };

IoThread *iothread_find(const char *id)
{
    for (guint i = 0; threads && i < threads->len; i++) {
        IoThread *thread = threads->pdata[i];
        if (strcmp(thread->id, id) == 0) {
            return thread;
        }
    }
    return NULL;
}

static bool start(IoThread *thread, GError **err)
{
    if (iothread_find(thread->id)) {
        return fail(err, EEXIST, "object '%s': the id is taken; choose another id=", thread->id);
    }
    g_autofree char *name = g_strdup_printf("io-%s", thread->id);
    thread->loop = io_loop_new(name, err);
    if (!thread->loop) {
        return false;
    }
    if (!io_loop_start_thread(thread->loop, err)) {
        io_loop_free(g_steal_pointer(&thread->loop));
        return false;
    }
    return object_add_child(object_container("/objects"), thread->id, &thread->object, err);
}

bool iothread_add(const Value *options, GError **err)
{
    static const char *const own[] = { "qom-type", "driver", NULL };
    IoThread *thread = g_new0(IoThread, 1);

    object_init(&thread->object, &iothread_type);
    fields_init(iothread_keys, thread);
    if (!fields_set(iothread_keys, thread, "object 'iothread'", options, own, err) || !start(thread, err)) {
        object_unref(&thread->object);
        return false;
    }
    threads = threads ? threads : g_ptr_array_new();
    g_ptr_array_add(threads, thread);
    return true;
}

static void take_away(IoThread *thread)
{
    g_ptr_array_remove(threads, thread);
    object_unparent(&thread->object);
    object_unref(&thread->object);
}

bool iothread_remove(const char *id, GError **err)
{
    IoThread *thread = iothread_find(id);

    if (!thread) {
        return fail(err, ENOENT, "object '%s' not found", id);
    }
    if (thread->users) {
        return fail(err, EBUSY, "object '%s' is in use by %u device%s", id, thread->users, thread->users == 1 ? "" : "s");
    }
    take_away(thread);
    return true;
}

void iothread_remove_all(void)
{
    while (threads && threads->len) {
        take_away(threads->pdata[threads->len - 1]);
    }
}

IoLoop *iothread_loop(const IoThread *thread)
{
    return thread->loop;
}

const char *iothread_id(const IoThread *thread)
{
    return thread->id;
}

IoThread *iothread_at(size_t i)
{
    return threads && i < threads->len ? threads->pdata[i] : NULL;
}

Value *iothread_describe(const IoThread *thread)
{
    Value *info = value_new_object();

    value_set(info, "id", value_new_string(thread->id));
    value_set(info, "thread-id", value_new_int(io_loop_thread_id(thread->loop)));
    value_set(info, "poll-max-ns", value_new_int(thread->poll_max_ns));
    value_set(info, "poll-grow", value_new_int(thread->poll_grow));
    value_set(info, "poll-shrink", value_new_int(thread->poll_shrink));
    value_set(info, "aio-max-batch", value_new_int(thread->aio_max_batch));
    return info;
}

void iothread_use(IoThread *thread, bool use)
{
    thread->users += use ? 1 : -1;
}
