/* SPDX-License-Identifier: GPL-2.0-or-later */
/* throttle.c - limits on a computed clock; groups and whose turn it is, without a look at the wall clock */
#include "tests/block/memory.h"
#include "base/timer.h"
#include "block/filter/throttle-group.h"

static ThrottleConfig from_keys(const char *text)
{
    g_autoptr(Value) keys = from_json(text);
    g_autoptr(GError) error = NULL;
    ThrottleConfig config;

    fields_init(throttle_keys, &config);
    fields_set(throttle_keys, &config, "test", keys, NULL, &error);
    g_assert_no_error(error);
    throttle_config_check(&config, &error);
    g_assert_no_error(error);
    return config;
}

/* As many requests as fit into so many seconds, each as soon as it may go. */
static unsigned run(Throttle *throttle, bool write, uint64_t bytes, int64_t *now, int64_t seconds)
{
    int64_t end = *now + seconds * NS_PER_SECOND;
    unsigned count = 0;

    while (*now < end) {
        int64_t wait = throttle_wait_ns(throttle, write, *now);
        *now += wait;
        if (*now < end) {
            g_assert_cmpint(throttle_wait_ns(throttle, write, *now), ==, 0);
            throttle_account(throttle, write, bytes);
            count++;
        }
    }
    return count;
}

static Throttle throttle_of(const char *text, int64_t now)
{
    ThrottleConfig config = from_keys(text);
    Throttle throttle;

    throttle_configure(&throttle, &config, now);
    return throttle;
}

static void rates(void)
{
    int64_t now = 7 * NS_PER_SECOND;
    Throttle throttle = throttle_of("{'iops-total':100}", now);

    g_assert_cmpuint(run(&throttle, false, 1 << 30, &now, 10), >=, 1000);
    unsigned more = run(&throttle, true, 512, &now, 10);
    g_assert_cmpuint(more, >=, 999);
    g_assert_cmpuint(more, <=, 1001);                          /* the tenth of a second at the start is used up */

    throttle = throttle_of("{'bps-write':'1M'}", now);
    g_assert_cmpint(throttle_wait_ns(&throttle, true, now), ==, 0);
    throttle_account(&throttle, true, 10 << 20);               /* large ones go, and those behind pay */
    g_assert_cmpint(throttle_wait_ns(&throttle, true, now), >, 9 * NS_PER_SECOND);
    g_assert_cmpint(throttle_wait_ns(&throttle, false, now), ==, 0);
    now += 10 * NS_PER_SECOND;
    g_assert_cmpint(throttle_wait_ns(&throttle, true, now), ==, 0);

    throttle = throttle_of("{'iops-total':100,'iops-size':4096}", now);
    now += NS_PER_SECOND;
    unsigned large = run(&throttle, false, 40960, &now, 10);
    g_assert_cmpuint(large, >=, 100);
    g_assert_cmpuint(large, <=, 102);
}

static void bursts(void)
{
    int64_t now = 0;
    Throttle throttle = throttle_of("{'iops-total':100,'iops-total-max':2000}", now);
    unsigned first = run(&throttle, false, 512, &now, 1);

    g_assert_cmpuint(first, >=, 2000);
    g_assert_cmpuint(first, <=, 2110);
    unsigned second = run(&throttle, false, 512, &now, 10);
    g_assert_cmpuint(second, <=, 1001);
    now += 60 * NS_PER_SECOND;             /* rest fills it up again */
    g_assert_cmpuint(run(&throttle, false, 512, &now, 1), >=, 2000);

    throttle = throttle_of("{'iops-total':100,'iops-total-max':2000,'iops-total-max-length':5}", now);
    first = run(&throttle, false, 512, &now, 1);
    g_assert_cmpuint(first, >=, 2000);
    g_assert_cmpuint(first, <=, 2210);                         /* the burst has a rate of its own */
    first += run(&throttle, false, 512, &now, 9);
    g_assert_cmpuint(first, <=, 2000 * 5 + 100 * 10 + 10);
}

static void contradictions(void)
{
    static const char *const bad[] = {
        "{'iops-total':1,'iops-read':1}", "{'bps-total':1,'bps-write-max':5}", "{'iops-total-max':5}", "{'iops-total':10,'iops-total-max':5}",
        "{'iops-total':10,'iops-total-max-length':5}", "{'iops-total':10,'iops-total-max':20,'iops-total-max-length':0}", "{'iops-size':5}",
        "{'bps-total':1000000000000001}", "{'iops-total':10,'iops-total-max':20,'iops-total-max-length':9223372036854775807}",
        "{'iops':5}", "{'iops-total':'many'}",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(Value) keys = from_json(bad[i]);
        g_autoptr(GError) error = NULL;
        g_assert_false(throttle_group_new("g", keys, &error));
        g_assert_nonnull(strstr(error->message, "'g'"));
        g_assert_false(throttle_group_exists("g"));
    }
}

/* ---- groups ---- */

typedef struct Client { Node *node; unsigned done; bool stop; unsigned *running; } Client;

static void read_on(void *opaque)
{
    Client *client = opaque;
    uint8_t bytes[512];

    while (!client->stop) {
        g_assert_cmpint(node_pread(client->node, 0, bytes, sizeof bytes), ==, 0);
        client->done++;
    }
    --*client->running;
}

static Node *throttled(const char *group)
{
    g_autofree char *text = g_strdup_printf("{'driver':'throttle','throttle-group':'%s','file':{'driver':'null-co','read-zeroes':true}}", group);

    return open_json(text);
}

/* Eight readers of one drive get what the one of the other drive gets. */
static int turns_are_fair(void *opaque)
{
    g_autoptr(Value) keys = from_json("{'x-iops-total':2000}");
    unsigned running = 9;

    (void)opaque;
    g_assert_true(throttle_group_new("g", keys, NULL));
    Client many = { .node = throttled("g"), .running = &running }, one = { .node = throttled("g"), .running = &running };
    for (int i = 0; i < 8; i++) {
        coroutine_enter(coroutine_new(read_on, &many));
    }
    coroutine_enter(coroutine_new(read_on, &one));
    while (many.done + one.done < 500) {
        co_sleep(NS_PER_MS);
    }
    /* 200 go at once, as the bucket was empty; from then on it is one here, one there. */
    g_assert_cmpuint(one.done, >=, 100);
    g_assert_cmpuint(many.done, <=, 400);
    many.stop = one.stop = true;
    while (running) {
        co_sleep(NS_PER_MS);
    }
    g_autoptr(GError) error = NULL;
    g_assert_false(throttle_group_delete("g", &error));
    g_assert_nonnull(strstr(error->message, "in use by 2 drives"));
    node_unref(many.node);
    node_unref(one.node);
    g_assert_true(throttle_group_delete("g", NULL));
    return 0;
}

static void read_once(void *opaque)
{
    Client *client = opaque;
    uint8_t bytes[512];

    g_assert_cmpint(node_pread(client->node, 0, bytes, sizeof bytes), ==, 0);
    client->done++;
}

/* Nobody waits an hour for a drain. */
static int drains_let_go(void *opaque)
{
    g_autoptr(Value) keys = from_json("{'limits':{'iops-total':1,'iops-total-max':1}}");

    (void)opaque;
    g_assert_true(throttle_group_new("slow", keys, NULL));
    Client client = { .node = throttled("slow") };
    for (int i = 0; i < 3600; i++) {
        coroutine_enter(coroutine_new(read_once, &client));
    }
    g_assert_cmpuint(client.done, <, 10);
    node_drain_begin(client.node);
    g_assert_cmpuint(client.done, ==, 3600);
    node_drain_end(client.node);
    node_unref(client.node);
    g_assert_true(throttle_group_delete("slow", NULL));
    return 0;
}

static int groups_of_drives(void *opaque)
{
    g_autoptr(Value) keys = from_json("{'iops-total':7,'group':'shared'}"), none = from_json("{}");

    (void)opaque;
    g_assert_true(throttle_group_configure("shared", keys, NULL));
    Node *a = throttled("shared"), *b = throttled("shared");
    g_assert_true(throttle_group_configure("shared", none, NULL));         /* says nothing: the limits stay */
    g_assert_cmpuint(throttle_group_config("shared")->of[LIMIT_IOPS_TOTAL].average, ==, 7);
    node_unref(a);
    g_assert_true(throttle_group_exists("shared"));
    node_unref(b);
    g_assert_false(throttle_group_exists("shared"));
    return 0;
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/throttle/rates", rates);
    g_test_add_func("/throttle/bursts", bursts);
    g_test_add_func("/throttle/contradictions", contradictions);
    block_test("/throttle/turns", turns_are_fair);
    block_test("/throttle/drains", drains_let_go);
    block_test("/throttle/groups", groups_of_drives);
    return g_test_run();
}
