/* SPDX-License-Identifier: GPL-2.0-or-later */
/* news.c - what is told to others: events, log lines, trace points, sentences; and the files that are read for it */
#include "base/error.h"
#include "base/event.h"
#include "base/log.h"
#include "base/open.h"
#include "base/trace.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *folder;

static char *in_folder(const char *name)
{
    return g_build_filename(folder, name, NULL);
}

/* ---- events ---- */

static GString *heard;

static void hear(void *opaque, const char *name, const Value *data)
{
    g_string_append_printf(heard, "%s:%s:%" G_GINT64_FORMAT " ", (const char *)opaque, name, value_get_int(data, "n", -1));
}

static void hear_once(void *opaque, const char *name, const Value *data)
{
    hear(opaque, name, data);
    event_unlisten(hear_once, opaque);
    event_listen(hear, (void *)"late");
}

static void events(void)
{
    Value *data = value_new_object();

    heard = g_string_new(NULL);
    event_emit("NOBODY", NULL);
    event_listen(hear_once, (void *)"a");
    event_listen(hear, (void *)"b");
    value_set(data, "n", value_new_int(1));
    event_emit("X", data);
    g_assert_cmpstr(heard->str, ==, "a:X:1 b:X:1 ");
    g_string_truncate(heard, 0);
    event_emit("Y", NULL);
    g_assert_cmpstr(heard->str, ==, "b:Y:-1 late:Y:-1 ");
    event_unlisten(hear, (void *)"b");
    event_unlisten(hear, (void *)"late");
    event_unlisten(hear, (void *)"nobody");
    event_emit("Z", NULL);
    g_string_free(heard, TRUE);
}

/* ---- errors and files ---- */

static void errors(void)
{
    GError *error = NULL;

    g_assert_false(fail(NULL, EINVAL, "nobody listens"));
    g_assert_false(fail(&error, ENOMEM, "disk '%s': %d", "x", 5));
    g_assert_error(error, ROOST_ERROR, ENOMEM);
    g_assert_cmpstr(error->message, ==, "disk 'x': 5");
    g_error_free(error);
}

static void check_not_read(const char *path, uint64_t limit, const char *ending)
{
    GError *error = NULL;
    uint8_t *data = NULL;
    size_t length;

    g_assert_false(host_read_file("kernel", path, limit, &data, &length, &error));
    g_assert_true(g_str_has_prefix(error->message, "kernel '"));
    g_assert_true(g_str_has_suffix(error->message, ending));
    g_error_free(error);
}

static void files(void)
{
    g_autofree char *path = in_folder("file"), *fifo = in_folder("fifo"), *missing = in_folder("missing");
    g_autofree uint8_t *data = NULL;
    GError *error = NULL;
    size_t length;

    g_assert_true(g_file_set_contents(path, "12345", 5, NULL));
    g_assert_true(host_read_file("kernel", path, 5, &data, &length, &error));
    g_assert_cmpmem(data, length, "12345", 5);
    check_not_read(path, 4, "its 5 bytes are more than the limit of 4");
    check_not_read(missing, 4, "No such file or directory");
    check_not_read(folder, 1 << 20, "it is not a regular file");
    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    check_not_read(fifo, 1 << 20, "it is not a regular file");             /* and nobody waits for its writer */
    check_not_read("/dev/zero", 1 << 20, "it is not a regular file");
    g_assert_cmpint(host_open(NULL, missing, O_RDONLY, 0, &error), ==, -1);
    g_assert_true(g_str_has_suffix(error->message, "/missing': No such file or directory"));
    g_error_free(error);
    g_unlink(fifo);
    g_unlink(path);
}

/* ---- log ---- */

static char *log_contents(const char *path)
{
    char *text;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

static void log_items(void)
{
    GError *error = NULL;

    g_assert_true(log_set_items("guest_errors,int", NULL));
    g_assert_true(log_enabled(LOG_GUEST_ERRORS) && log_enabled(LOG_INTERRUPTS) && !log_enabled(LOG_CPU));
    g_assert_false(log_set_items("int,nonsense", &error));
    g_assert_cmpstr(error->message, ==, "log item 'nonsense' is not known: '-d help' lists them");
    g_error_free(error);
    g_assert_true(log_set_items("all", NULL));
    g_assert_true(log_enabled(LOG_CPU));
    g_assert_true(log_set_items("none", NULL));
    g_assert_cmpuint(log_mask, ==, 0);
}

enum { LOGGERS = 4, LINES = 500 };

static void *log_many(void *opaque)
{
    for (int i = 0; i < LINES; i++) {
        log_line(LOG_GUEST_ERRORS, "thread %s line %d %s", (const char *)opaque, i, "padding padding padding padding");
    }
    return NULL;
}

static void log_lines_stay_whole(void)
{
    static const char *const names[LOGGERS] = { "0", "1", "2", "3" };
    g_autofree char *path = in_folder("log"), *text = NULL;
    g_auto(GStrv) lines = NULL;
    pthread_t threads[LOGGERS];

    g_assert_true(log_set_file(path, NULL));
    log_line(LOG_GUEST_ERRORS, "not asked for");
    g_assert_true(log_set_items("guest_errors", NULL));
    for (int i = 0; i < LOGGERS; i++) {
        pthread_create(&threads[i], NULL, log_many, (void *)names[i]);
    }
    for (int i = 0; i < LOGGERS; i++) {
        pthread_join(threads[i], NULL);
    }
    log_line(LOG_GUEST_ERRORS, "escape \x1b[2J and\nnewline");
    text = log_contents(path);
    lines = g_strsplit(text, "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, LOGGERS * LINES + 2);       /* the last is what follows the last newline */
    for (int i = 0; i < LOGGERS * LINES; i++) {
        g_assert_true(g_str_has_prefix(lines[i], "thread ") && g_str_has_suffix(lines[i], " padding"));
    }
    g_assert_cmpstr(lines[LOGGERS * LINES], ==, "escape ?[2J and newline");
    log_set_items("none", NULL);
    g_unlink(path);
}

/* A line without end is cut, and the next one is whole again. */
static void long_lines_are_cut(void)
{
    g_autofree char *path = in_folder("log"), *text = NULL, *huge = g_strnfill(100000, 'x');
    g_auto(GStrv) lines = NULL;

    g_assert_true(log_set_file(path, NULL) && log_set_items("int", NULL));
    log_line(LOG_INTERRUPTS, "%s", huge);
    log_line(LOG_INTERRUPTS, "next");
    text = log_contents(path);
    lines = g_strsplit(text, "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, 3);
    g_assert_cmpuint(strlen(lines[0]), >, 4000);
    g_assert_cmpuint(strlen(lines[0]), <, 4096);
    g_assert_cmpstr(lines[1], ==, "next");
    log_set_items("none", NULL);
    g_unlink(path);
}

static void log_file_names(void)
{
    g_autofree char *pattern = in_folder("log-%d"), *name = g_strdup_printf("log-%d", (int)getpid());
    g_autofree char *path = in_folder(name), *nowhere = in_folder("no/such");
    GError *error = NULL;

    g_assert_true(log_set_file(pattern, NULL));
    g_assert_cmpint(g_unlink(path), ==, 0);
    g_assert_false(log_set_file(nowhere, &error));
    g_assert_true(g_str_has_prefix(error->message, "log file '"));
    g_error_free(error);
}

static void reports(void)
{
    if (g_test_subprocess()) {
        report_error("disk '%s': no", "x");
        report_style(false, "guest1");
        report_warning("two\nlines");
        report_style(true, NULL);
        report_info("timed");
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("roost: disk 'x': no\nguest1 roost: warning: two lines\n20*T*Z roost: info: timed\n");
}

/* ---- trace ---- */

enum { TRACE_ONE, TRACE_TWO };
static TracePoint news_trace[] = {
    [TRACE_ONE] = { "news_one", "the first point of this test", false },
    [TRACE_TWO] = { "news_two", "the second point of this test", false },
};
TRACE_TABLE(news_trace)

static void trace(void)
{
    g_autofree char *path = in_folder("trace"), *events_path = in_folder("events"), *text = NULL;
    GError *error = NULL;

    g_assert_true(log_set_file(path, NULL));
    TRACE(&news_trace[TRACE_ONE], "not yet %d", 1);
    g_assert_true(trace_enable("news_*", &error));
    TRACE(&news_trace[TRACE_ONE], "value 0x%02x", 0x2a);
    g_assert_true(trace_enable("-news_one", &error));
    TRACE(&news_trace[TRACE_ONE], "not any more %d", 1);
    TRACE(&news_trace[TRACE_TWO], "still %d", 2);
    g_assert_false(trace_enable("nothing_like_it", &error));
    g_assert_cmpstr(error->message, ==, "no trace point matches 'nothing_like_it': '-trace help' lists them");
    g_clear_error(&error);
    g_assert_true(g_file_set_contents(events_path, "# comment\n\n  news_one \n-news_two\n", -1, NULL));
    g_assert_true(trace_enable_file(events_path, &error));
    g_assert_true(news_trace[TRACE_ONE].on && !news_trace[TRACE_TWO].on);
    g_assert_true(g_file_set_contents(events_path, "news_one\nbogus*\n", -1, NULL));
    g_assert_false(trace_enable_file(events_path, &error));
    g_assert_true(strstr(error->message, "events:2: no trace point matches 'bogus*'") != NULL);
    g_error_free(error);
    text = log_contents(path);
    g_assert_cmpstr(text, ==, "news_one value 0x2a\nnews_two still 2\n");
    log_set_items("none", NULL);
    g_unlink(path);
    g_unlink(events_path);
}

int main(int argc, char **argv)
{
    int result;

    g_test_init(&argc, &argv, NULL);
    folder = g_dir_make_tmp("roost-news-XXXXXX", NULL);
    g_test_add_func("/news/events", events);
    g_test_add_func("/news/errors", errors);
    g_test_add_func("/news/files", files);
    g_test_add_func("/news/log-items", log_items);
    g_test_add_func("/news/log-lines-stay-whole", log_lines_stay_whole);
    g_test_add_func("/news/long-lines-are-cut", long_lines_are_cut);
    g_test_add_func("/news/log-file-names", log_file_names);
    g_test_add_func("/news/reports", reports);
    g_test_add_func("/news/trace", trace);
    result = g_test_run();
    g_rmdir(folder);
    g_free(folder);
    return result;
}
