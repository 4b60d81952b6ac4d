/* SPDX-License-Identifier: GPL-2.0-or-later */
/* events.c - what reaches a session of an event that comes often: the first at once, the last at the end of each second */
#include "base/event.h"
#include "base/loop.h"
#include "base/timer.h"
#include "monitor/session.h"
#include <string.h>

static void turn_for(int64_t ns)
{
    int64_t end = clock_now(CLOCK_STEADY) + ns;

    while (clock_now(CLOCK_STEADY) < end) {
        loop_iterate(false);
    }
}

static void tell(int64_t actual)
{
    Value *data = value_new_object();

    value_set(data, "actual", value_new_int(actual));
    event_emit("BALLOON_CHANGE", data);
}

static char *heard(Chardev *chardev)
{
    uint8_t text[65536];
    size_t length = chardev_ringbuf_read(chardev, text, sizeof text - 1);

    text[length] = 0;
    return g_strdup((const char *)text);
}

static unsigned count(const char *text, const char *part)
{
    unsigned n = 0;

    for (; (text = strstr(text, part)); text++) {
        n++;
    }
    return n;
}

static Chardev *open_session(void)
{
    g_autoptr(Value) config = value_new_object(), monitors = value_new_list();
    Value *monitor = value_new_object();

    value_set(config, "backend", value_new_string("ringbuf"));
    value_set(config, "id", value_new_string("r"));
    Chardev *chardev = chardev_new(config, NULL);
    value_set(monitor, "chardev", value_new_string("r"));
    value_set(monitor, "mode", value_new_string("control"));
    value_append(monitors, monitor);
    g_assert_true(monitors_open(monitors, NULL));
    return chardev;
}

static void a_stream_of_changes(void)
{
    Chardev *chardev = open_session();

    tell(1);
    g_autofree char *early = heard(chardev);
    g_assert_cmpuint(count(early, "BALLOON_CHANGE"), ==, 0);       /* nobody negotiated yet */
    turn_for(NS_PER_SECOND * 11 / 10);
    session_feed(session_next(NULL), "{'execute':'qmp_capabilities'}", 30);
    for (int i = 2; i < 100; i++) {
        tell(i);
    }
    g_autofree char *first = heard(chardev);
    g_assert_cmpuint(count(first, "BALLOON_CHANGE"), ==, 1);
    g_assert_nonnull(strstr(first, "\"actual\": 2}"));
    turn_for(NS_PER_SECOND * 11 / 10);
    g_autofree char *last = heard(chardev);
    g_assert_cmpuint(count(last, "BALLOON_CHANGE"), ==, 1);
    g_assert_nonnull(strstr(last, "\"actual\": 99}"));
    turn_for(NS_PER_SECOND * 11 / 10);
    g_autofree char *nothing = heard(chardev);
    g_assert_cmpstr(nothing, ==, "");
    for (int i = 0; i < 5; i++) {
        event_emit("POWERDOWN", NULL);
    }
    g_autofree char *each = heard(chardev);
    g_assert_cmpuint(count(each, "POWERDOWN"), ==, 5);
    event_emit("NO_SUCH_EVENT", NULL);
    g_autofree char *unknown = heard(chardev);
    g_assert_cmpstr(unknown, ==, "");
    tell(100);
    tell(101);
    monitors_close();                      /* with one waiting */
    chardev_unref(chardev);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    loop_init();
    clocks_attach();
    g_test_add_func("/qmp/events/rations", a_stream_of_changes);
    return g_test_run();
}
