/* SPDX-License-Identifier: GPL-2.0-or-later */
/* chardev.c - character streams: every backend, its peers' comings and goings, slow readers, the mux's keys */
#include "base/char/chardev.h"
#include "base/json.h"
#include "base/loop.h"
#include "base/timer.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

typedef struct User {
    GString *got;
    size_t room;
    unsigned events[CHARDEV_WRITABLE + 1];
} User;

static size_t user_can_read(void *opaque)
{
    return ((User *)opaque)->room;
}

static void user_read(void *opaque, const uint8_t *data, size_t length)
{
    User *user = opaque;

    g_assert_cmpuint(length, <=, user->room);
    g_string_append_len(user->got, (const char *)data, (gssize)length);
}

static void user_event(void *opaque, ChardevEvent event)
{
    ((User *)opaque)->events[event]++;
}

static const ChardevUser user_calls = { user_can_read, user_read, user_event };
static char *folder;

static void user_init(User *user, Chardev *chardev)
{
    *user = (User){ .got = g_string_new(NULL), .room = 65536 };
    g_assert_true(chardev_attach(chardev, &user_calls, user, NULL));
}

static void user_clear(User *user)
{
    g_string_free(user->got, TRUE);
}

/* Turns the loop until the condition holds, for five seconds at most. */
static bool out_of_time(gint64 end)
{
    if (g_get_monotonic_time() > end) {
        return true;
    }
    if (!loop_iterate(false)) {
        g_usleep(500);
    }
    return false;
}
#define WAIT_FOR(condition) do { \
        gint64 end_ = g_get_monotonic_time() + 5 * G_USEC_PER_SEC; \
        while (!(condition) && !out_of_time(end_)) { } \
        g_assert_true(condition); \
    } while (0)

static Chardev *open_json(GError **err, const char *format, ...) G_GNUC_PRINTF(2, 3);
static Chardev *open_json(GError **err, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_autoptr(Value) config = json_parse(text, NULL);
    g_assert_nonnull(config);
    return chardev_new(config, err);
}

static void put(Chardev *chardev, const char *text)
{
    g_assert_cmpuint(chardev_write(chardev, (const uint8_t *)text, strlen(text)), ==, strlen(text));
}

/* What has come on a plain descriptor, waiting for as much as is expected. */
static void expect_bytes(int fd, const char *expected)
{
    GString *got = g_string_new(NULL);
    gint64 end = g_get_monotonic_time() + 5 * G_USEC_PER_SEC;
    char buffer[4096];

    while (got->len < strlen(expected) && !out_of_time(end)) {
        ssize_t count = read(fd, buffer, sizeof buffer);
        if (count > 0) {
            g_string_append_len(got, buffer, count);
        }
    }
    g_assert_cmpstr(got->str, ==, expected);
    g_string_free(got, TRUE);
}

static int connect_to(const char *path)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(name.sun_path, path, sizeof name.sun_path);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&name, sizeof name), ==, 0);
    g_assert_true(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    return fd;
}

static int listen_at(const char *path)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(name.sun_path, path, sizeof name.sun_path);
    unlink(path);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&name, sizeof name), ==, 0);
    g_assert_cmpint(listen(fd, 4), ==, 0);
    return fd;
}

static void null_swallows(void)
{
    Chardev *chardev = open_json(NULL, "{'backend':'null','id':'n'}");
    User user;

    g_assert_nonnull(chardev);
    g_assert_true(chardev_find("n") == chardev);
    user_init(&user, chardev);
    g_assert_cmpuint(user.events[CHARDEV_OPENED], ==, 1);
    put(chardev, "abc");
    g_assert_true(chardev_connected(chardev));
    chardev_unref(chardev);
    g_assert_null(chardev_find("n"));
    user_clear(&user);
}

static void one_user(void)
{
    Chardev *chardev = open_json(NULL, "{'backend':'null','id':'n'}");
    g_autoptr(GError) err = NULL;
    User user;

    user_init(&user, chardev);
    g_assert_false(chardev_attach(chardev, &user_calls, &user, &err));
    g_assert_nonnull(strstr(err->message, "'n' is already in use"));
    chardev_detach(chardev);
    g_assert_true(chardev_attach(chardev, &user_calls, &user, NULL));
    chardev_unref(chardev);
    user_clear(&user);
}

static void ring_keeps_the_last(void)
{
    Chardev *chardev = open_json(NULL, "{'backend':'ringbuf','id':'r','size':8}");
    uint8_t out[16];

    put(chardev, "0123456789");
    g_assert_cmpuint(chardev_ringbuf_read(chardev, out, 3), ==, 3);
    g_assert_cmpmem(out, 3, "234", 3);
    put(chardev, "ab");
    g_assert_cmpuint(chardev_ringbuf_read(chardev, out, sizeof out), ==, 7);
    g_assert_cmpmem(out, 7, "56789ab", 7);
    g_assert_cmpuint(chardev_ringbuf_read(chardev, out, sizeof out), ==, 0);
    chardev_unref(chardev);
}

static void file_truncates_or_appends(void)
{
    g_autofree char *path = g_build_filename(folder, "file", NULL), *text = NULL;

    Chardev *chardev = open_json(NULL, "{'backend':'file','id':'f','path':'%s'}", path);
    put(chardev, "one");
    chardev_unref(chardev);
    chardev = open_json(NULL, "{'backend':'file','id':'f','path':'%s','append':'on'}", path);
    put(chardev, "two");
    chardev_unref(chardev);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "onetwo");
    chardev = open_json(NULL, "{'backend':'file','id':'f','path':'%s'}", path);
    chardev_unref(chardev);
    g_clear_pointer(&text, g_free);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "");
}

static void file_gives_input(void)
{
    g_autofree char *in = g_build_filename(folder, "in", NULL), *out = g_build_filename(folder, "out", NULL);
    User user;

    g_assert_true(g_file_set_contents(in, "hello", -1, NULL));
    Chardev *chardev = open_json(NULL, "{'backend':'file','id':'f','path':'%s','input-path':'%s'}", out, in);
    user_init(&user, chardev);
    WAIT_FOR(user.got->len == 5);
    g_assert_cmpstr(user.got->str, ==, "hello");
    chardev_unref(chardev);
    user_clear(&user);
}

static void log_file_copies(void)
{
    g_autofree char *path = g_build_filename(folder, "log", NULL), *text = NULL;
    Chardev *chardev = open_json(NULL, "{'backend':'null','id':'l','logfile':'%s'}", path);

    put(chardev, "line 1\r\nline 2\r\n");
    g_autofree char *last = chardev_last_line(chardev);
    g_assert_cmpstr(last, ==, "line 2");
    chardev_unref(chardev);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "line 1\r\nline 2\r\n");
}

static char *make_fifos(void)
{
    char *path = g_build_filename(folder, "pipe", NULL);
    g_autofree char *in = g_strconcat(path, ".in", NULL), *out = g_strconcat(path, ".out", NULL);

    unlink(in);
    unlink(out);
    g_assert_cmpint(mkfifo(in, 0600), ==, 0);
    g_assert_cmpint(mkfifo(out, 0600), ==, 0);
    return path;
}

static void pipe_late_reader(void)
{
    g_autofree char *path = make_fifos(), *in = g_strconcat(path, ".in", NULL), *out = g_strconcat(path, ".out", NULL);
    Chardev *chardev = open_json(NULL, "{'backend':'pipe','id':'p','path':'%s'}", path);
    User user;

    g_assert_nonnull(chardev);
    user_init(&user, chardev);
    put(chardev, "early");
    int reader = open(out, O_RDONLY | O_NONBLOCK), writer = open(in, O_WRONLY | O_NONBLOCK);
    expect_bytes(reader, "early");
    g_assert_cmpint(write(writer, "typed", 5), ==, 5);
    WAIT_FOR(user.got->len == 5);
    g_assert_cmpstr(user.got->str, ==, "typed");
    close(reader);
    close(writer);
    chardev_unref(chardev);
    user_clear(&user);
}

static void pipe_never_stalls(void)
{
    static uint8_t block[32768];
    g_autofree char *path = make_fifos(), *out = g_strconcat(path, ".out", NULL);
    Chardev *chardev = open_json(NULL, "{'backend':'pipe','id':'p','path':'%s'}", path);
    User user;

    user_init(&user, chardev);
    for (int i = 0; i < 8; i++) {          /* nobody reads: all is taken */
        g_assert_cmpuint(chardev_write(chardev, block, sizeof block), ==, sizeof block);
    }
    int reader = open(out, O_RDONLY | O_NONBLOCK);
    size_t taken = sizeof block;
    for (int i = 0; i < 8 && taken == sizeof block; i++) {
        taken = chardev_write(chardev, block, sizeof block);
    }
    g_assert_cmpuint(taken, <, sizeof block);                  /* a slow reader is waited for */
    g_assert_cmpuint(user.events[CHARDEV_WRITABLE], ==, 0);
    for (int i = 0; i < 8; i++) {
        g_assert_cmpint(read(reader, block, sizeof block), !=, 0);
    }
    WAIT_FOR(user.events[CHARDEV_WRITABLE] == 1);
    close(reader);
    chardev_unref(chardev);
    user_clear(&user);
}

static void server_takes_peers_in_turn(void)
{
    g_autofree char *path = g_build_filename(folder, "sock", NULL);
    Chardev *chardev = open_json(NULL, "{'backend':'socket','id':'s','path':'%s','server':true,'wait':false}", path);
    User user;

    g_assert_nonnull(chardev);
    user_init(&user, chardev);
    g_assert_false(chardev_connected(chardev));
    put(chardev, "into nothing");
    int first = connect_to(path);
    WAIT_FOR(user.events[CHARDEV_OPENED] == 1);
    int second = connect_to(path);
    put(chardev, "to first");
    expect_bytes(first, "to first");
    g_assert_cmpint(write(first, "hello", 5), ==, 5);
    WAIT_FOR(user.got->len == 5);
    g_assert_cmpuint(user.events[CHARDEV_OPENED], ==, 1);
    close(first);
    WAIT_FOR(user.events[CHARDEV_CLOSED] == 1);
    WAIT_FOR(user.events[CHARDEV_OPENED] == 2);
    put(chardev, "to second");
    expect_bytes(second, "to second");
    close(second);
    WAIT_FOR(user.events[CHARDEV_CLOSED] == 2);
    chardev_unref(chardev);
    g_assert_cmpint(access(path, F_OK), !=, 0);
    user_clear(&user);
}

static void server_flow_control(void)
{
    static uint8_t block[65536];
    g_autofree char *path = g_build_filename(folder, "flow", NULL);
    Chardev *chardev = open_json(NULL, "{'backend':'socket','id':'s','path':'%s','server':true,'wait':false}", path);
    User user;

    user_init(&user, chardev);
    user.room = 0;
    int peer = connect_to(path);
    g_assert_cmpint(write(peer, "kept", 4), ==, 4);
    WAIT_FOR(user.events[CHARDEV_OPENED] == 1);
    for (int i = 0; i < 50; i++) {
        loop_iterate(false);
    }
    g_assert_cmpuint(user.got->len, ==, 0);
    user.room = 2;
    chardev_accept_input(chardev);
    WAIT_FOR(user.got->len == 4);
    size_t taken = sizeof block;
    for (int i = 0; i < 64 && taken == sizeof block; i++) {
        taken = chardev_write(chardev, block, sizeof block);
    }
    g_assert_cmpuint(taken, <, sizeof block);
    close(peer);                           /* a peer that goes away frees who waited for it */
    WAIT_FOR(user.events[CHARDEV_WRITABLE] == 1 && user.events[CHARDEV_CLOSED] == 1);
    g_assert_cmpuint(chardev_write(chardev, block, sizeof block), ==, sizeof block);
    chardev_unref(chardev);
    user_clear(&user);
}

static void unread_bytes_survive_hang_up(void)
{
    g_autofree char *path = g_build_filename(folder, "hup", NULL);
    Chardev *chardev = open_json(NULL, "{'backend':'socket','id':'s','path':'%s','server':true,'wait':false}", path);
    User user;

    user_init(&user, chardev);
    user.room = 0;
    int peer = connect_to(path);
    WAIT_FOR(user.events[CHARDEV_OPENED] == 1);
    g_assert_cmpint(write(peer, "last words", 10), ==, 10);
    close(peer);
    for (int i = 0; i < 50; i++) {
        loop_iterate(false);
    }
    user.room = 100;
    chardev_accept_input(chardev);
    WAIT_FOR(user.events[CHARDEV_CLOSED] == 1);
    g_assert_cmpstr(user.got->str, ==, "last words");
    chardev_unref(chardev);
    user_clear(&user);
}

static void client_calls_again(void)
{
    g_autofree char *path = g_build_filename(folder, "call", NULL);
    Chardev *chardev = open_json(NULL, "{'backend':'socket','id':'c','path':'%s','reconnect':1}", path);
    User user;

    g_assert_nonnull(chardev);             /* nobody listens yet */
    user_init(&user, chardev);
    int listener = listen_at(path);
    WAIT_FOR(user.events[CHARDEV_OPENED] == 1);
    int peer = accept(listener, NULL, NULL);
    put(chardev, "hello");
    g_assert_true(fcntl(peer, F_SETFL, O_NONBLOCK) == 0);
    expect_bytes(peer, "hello");
    close(peer);
    WAIT_FOR(user.events[CHARDEV_CLOSED] == 1);
    WAIT_FOR(user.events[CHARDEV_OPENED] == 2);
    close(listener);
    chardev_unref(chardev);
    user_clear(&user);
}

static void client_without_server(void)
{
    g_autofree char *path = g_build_filename(folder, "nobody", NULL);
    g_autoptr(GError) err = NULL;

    g_assert_null(open_json(&err, "{'backend':'socket','id':'c','path':'%s'}", path));
    g_assert_nonnull(strstr(err->message, "cannot connect to"));
    g_assert_null(chardev_find("c"));
}

static void inherited_descriptors(void)
{
    g_autofree char *path = g_build_filename(folder, "given", NULL);
    int pair[2], listener = listen_at(path);
    User user, other;
    g_autoptr(GError) err = NULL;

    Chardev *server = open_json(&err, "{'backend':'socket','id':'s','fd':'%d','server':true,'wait':false}", listener);
    g_assert_no_error(err);
    g_assert_nonnull(server);
    user_init(&user, server);
    int peer = connect_to(path);
    WAIT_FOR(user.events[CHARDEV_OPENED] == 1);
    put(server, "x");
    expect_bytes(peer, "x");
    chardev_unref(server);
    g_assert_cmpint(access(path, F_OK), ==, 0);                /* whoever made it removes it */
    close(peer);

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
    Chardev *connected = open_json(NULL, "{'backend':'socket','id':'s','fd':'%d'}", pair[0]);
    g_assert_nonnull(connected);
    user_init(&other, connected);
    g_assert_cmpint(write(pair[1], "y", 1), ==, 1);
    WAIT_FOR(other.got->len == 1);
    chardev_unref(connected);
    close(pair[1]);

    listener = listen_at(path);
    g_assert_null(open_json(&err, "{'backend':'socket','id':'s','fd':'%d'}", listener));
    g_assert_nonnull(strstr(err->message, "server=on"));
    close(listener);
    user_clear(&user);
    user_clear(&other);
}

static void tcp_takes_the_next_port(void)
{
    Chardev *one = NULL, *two = NULL;
    unsigned port;

    for (port = 23456; !one && port < 23556; port++) {
        one = open_json(NULL, "{'backend':'socket','id':'a','host':'127.0.0.1','port':'%u','server':true,'wait':false}", port);
    }
    g_assert_nonnull(one);
    port--;
    two = open_json(NULL, "{'backend':'socket','id':'b','host':'127.0.0.1','port':'%u','to':%u,'server':true,'wait':false,'nodelay':true}", port, port + 50);
    g_assert_nonnull(two);
    Chardev *client = open_json(NULL, "{'backend':'socket','id':'c','host':'127.0.0.1','port':'%u'}", port);
    g_assert_nonnull(client);
    User user, other;
    user_init(&user, one);
    user_init(&other, client);
    WAIT_FOR(user.events[CHARDEV_OPENED] == 1);
    put(client, "over tcp");
    WAIT_FOR(user.got->len == 8);
    chardev_unref(client);
    WAIT_FOR(user.events[CHARDEV_CLOSED] == 1);
    chardev_unref(one);
    chardev_unref(two);
    user_clear(&user);
    user_clear(&other);
}

static void abstract_name(void)
{
    g_autofree char *name = g_strdup_printf("roost-test-%d", (int)getpid());
    Chardev *server = open_json(NULL, "{'backend':'socket','id':'s','path':'%s','abstract':true,'server':true,'wait':false}", name);
    Chardev *client = open_json(NULL, "{'backend':'socket','id':'c','path':'%s','abstract':'on'}", name);
    User user;

    g_assert_nonnull(server);
    g_assert_nonnull(client);
    user_init(&user, server);
    put(client, "z");
    WAIT_FOR(user.got->len == 1);
    chardev_unref(client);
    chardev_unref(server);
    user_clear(&user);
}

/* What a pty says goes to standard output, which here belongs to the test protocol. */
static Chardev *open_pty(char **said)
{
    g_autofree char *path = g_build_filename(folder, "said", NULL);
    int out = dup(STDOUT_FILENO), file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    fflush(stdout);
    dup2(file, STDOUT_FILENO);
    Chardev *chardev = open_json(NULL, "{'backend':'pty','id':'t'}");
    fflush(stdout);
    dup2(out, STDOUT_FILENO);
    close(out);
    close(file);
    g_assert_true(g_file_get_contents(path, said, NULL, NULL));
    return chardev;
}

static void pty_comes_and_goes(void)
{
    g_autofree char *said = NULL;
    Chardev *chardev = open_pty(&said);
    User user;

    g_assert_nonnull(chardev);
    g_autofree char *wanted = g_strdup_printf("char device redirected to %s (label t)\n", chardev_pty_name(chardev));
    g_assert_cmpstr(said, ==, wanted);
    user_init(&user, chardev);
    put(chardev, "nobody hears");
    g_assert_false(chardev_connected(chardev));
    for (int i = 1; i <= 2; i++) {
        int slave = open(chardev_pty_name(chardev), O_RDWR | O_NOCTTY | O_NONBLOCK);
        g_assert_cmpint(slave, >=, 0);
        WAIT_FOR(user.events[CHARDEV_OPENED] == (unsigned)i);
        put(chardev, "a\nb\x03");          /* raw: as they are */
        expect_bytes(slave, "a\nb\x03");
        g_assert_cmpint(write(slave, "\x03in", 3), ==, 3);
        WAIT_FOR(user.got->len == 3 * (size_t)i);
        close(slave);
        WAIT_FOR(user.events[CHARDEV_CLOSED] == (unsigned)i);
    }
    chardev_unref(chardev);
    user_clear(&user);
}

/* A mux on one end of a socket pair; the other end is the person's. */
static Chardev *open_mux(int *person)
{
    int pair[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), ==, 0);
    *person = pair[1];
    Chardev *mux = open_json(NULL, "{'backend':'socket','id':'m','fd':'%d','mux':true}", pair[0]);
    g_assert_nonnull(mux);
    return mux;
}

static void mux_shares(void)
{
    int person;
    Chardev *mux = open_mux(&person), *first = chardev_find("m");
    User console, monitor;

    user_init(&monitor, first);
    Chardev *second = chardev_find("m");
    g_assert_true(second != first);
    user_init(&console, second);
    g_assert_cmpuint(console.events[CHARDEV_FOCUS_IN], ==, 1);
    g_assert_cmpuint(monitor.events[CHARDEV_FOCUS_OUT], ==, 1);
    put(first, "both ");
    put(second, "write");
    expect_bytes(person, "both write");
    g_assert_cmpint(write(person, "ab\x01" "cde\x01\x01", 8), ==, 8);
    WAIT_FOR(monitor.got->len == 3);
    g_assert_cmpstr(console.got->str, ==, "ab");
    g_assert_cmpstr(monitor.got->str, ==, "de\x01");
    g_assert_cmpint(write(person, "\x01" "b", 2), ==, 2);
    WAIT_FOR(monitor.events[CHARDEV_BREAK] == 1);
    g_assert_cmpuint(console.events[CHARDEV_BREAK], ==, 0);
    chardev_detach(first);                 /* the keyboard goes to who is left */
    g_assert_cmpint(write(person, "x", 1), ==, 1);
    WAIT_FOR(console.got->len == 3);
    chardev_unref(mux);
    close(person);
    user_clear(&console);
    user_clear(&monitor);
}

static unsigned quits;

static void quit_pressed(void *opaque)
{
    (void)opaque;
    quits++;
}

static void mux_commands(void)
{
    int person;
    Chardev *mux = open_mux(&person), *port = chardev_find("m");
    User console;
    char buffer[1024];

    user_init(&console, port);
    console.room = 0;                      /* a guest that does not read cannot lock the person out */
    chardev_on_quit(quit_pressed, NULL);
    g_assert_cmpint(write(person, "typed ahead\x01h\x01x\x01s\x01?", 19), ==, 19);
    WAIT_FOR(quits == 1);
    g_assert_cmpint(read(person, buffer, sizeof buffer), >, 100);
    console.room = 3;
    chardev_accept_input(port);
    WAIT_FOR(console.got->len == 11);
    g_assert_cmpstr(console.got->str, ==, "typed ahead");
    g_assert_cmpint(write(person, "\x01t", 2), ==, 2);
    for (int i = 0; i < 20; i++) {
        loop_iterate(false);
    }
    while (read(person, buffer, sizeof buffer) > 0) {
    }
    put(port, "a\nb\n");
    ssize_t count = read(person, buffer, sizeof buffer);
    g_assert_cmpint(count, ==, 4 + (ssize_t)strlen("[00:00:00.000] "));
    chardev_set_escape(20);
    g_assert_cmpint(write(person, "\x14x\x01", 3), ==, 3);
    WAIT_FOR(quits == 2 && console.got->len == 12);
    chardev_set_escape(1);
    chardev_unref(mux);
    close(person);
    user_clear(&console);
}

static void mux_has_four_ports(void)
{
    int person;
    Chardev *mux = open_mux(&person);
    User users[4];
    g_autoptr(GError) err = NULL;

    for (int i = 0; i < 4; i++) {
        user_init(&users[i], chardev_find("m"));
    }
    g_assert_false(chardev_attach(chardev_find("m"), &user_calls, &users[0], &err));
    chardev_unref(mux);
    close(person);
    for (int i = 0; i < 4; i++) {
        user_clear(&users[i]);
    }
}

static void refusals(void)
{
    static const struct { const char *config, *sentence; } cases[] = {
        { "{'backend':'vc','id':'x'}", "no display" },
        { "{'backend':'udp','id':'x'}", "not supported yet" },
        { "{'backend':'foo','id':'x'}", "no backend 'foo'" },
        { "{'backend':'null'}", "needs id" },
        { "{'backend':'null','id':'x','colour':'red'}", "colour" },
        { "{'backend':'ringbuf','id':'x','size':100}", "power of two" },
        { "{'backend':'ringbuf','id':'x','size':0}", "power of two" },
        { "{'backend':'ringbuf','id':'x','size':'1T'}", "power of two" },
        { "{'backend':'file','id':'x'}", "path" },
        { "{'backend':'file','id':'x','path':'/nonexistent/y'}", "/nonexistent/y" },
        { "{'backend':'file','id':'x','path':'/'}", "'/'" },
        { "{'backend':'pipe','id':'x','path':'/nonexistent/y'}", "/nonexistent/y" },
        { "{'backend':'socket','id':'x'}", "needs one of" },
        { "{'backend':'socket','id':'x','path':'/x','port':'1'}", "more than one" },
        { "{'backend':'socket','id':'x','host':'127.0.0.1'}", "port" },
        { "{'backend':'socket','id':'x','host':'127.0.0.1','port':'99999'}", "99999" },
        { "{'backend':'socket','id':'x','path':'/x','telnet':true}", "telnet" },
        { "{'backend':'socket','id':'x','path':'/x','websocket':true}", "websocket" },
        { "{'backend':'socket','id':'x','path':'/x','tls-creds':'t'}", "tls-creds" },
        { "{'backend':'socket','id':'x','path':'/x','server':true,'reconnect':1}", "reconnect" },
        { "{'backend':'socket','id':'x','fd':'12345'}", "12345" },
        { "{'backend':'socket','id':'x','fd':'foo'}", "foo" },
        { "{'backend':'socket','id':'x','fd':'1'}", "fd=1" },
        { "{'backend':'socket','id':'x','path':'/nonexistent/y','server':true,'wait':false}", "/nonexistent/y" },
        { "{'backend':'null','id':'x','logfile':'/nonexistent/y'}", "/nonexistent/y" },
        { "{'backend':'null','id':'x','mux':'perhaps'}", "mux" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) err = NULL;
        g_assert_null(open_json(&err, "%s", cases[i].config));
        g_assert_nonnull(err);
        g_test_message("%s", err->message);
        g_assert_nonnull(strstr(err->message, cases[i].sentence));
        g_assert_null(strchr(err->message, '\n'));
        g_assert_null(chardev_find("x"));
    }
    g_autofree char *longest = g_strnfill(200, 'p');
    g_autoptr(GError) err = NULL;
    g_assert_null(open_json(&err, "{'backend':'socket','id':'x','path':'%s'}", longest));
    g_assert_nonnull(strstr(err->message, "107 bytes"));
}

static void remove_folder(void)
{
    GDir *dir = g_dir_open(folder, 0, NULL);
    const char *name;

    while ((name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        g_unlink(path);
    }
    g_dir_close(dir);
    g_rmdir(folder);
    g_free(folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN);
    folder = g_dir_make_tmp("roost-chardev-XXXXXX", NULL);
    loop_init();
    clocks_attach();
    g_test_add_func("/chardev/null/swallows", null_swallows);
    g_test_add_func("/chardev/one user", one_user);
    g_test_add_func("/chardev/ringbuf/keeps the last bytes", ring_keeps_the_last);
    g_test_add_func("/chardev/file/truncates or appends", file_truncates_or_appends);
    g_test_add_func("/chardev/file/gives input", file_gives_input);
    g_test_add_func("/chardev/log file and last line", log_file_copies);
    g_test_add_func("/chardev/pipe/late reader", pipe_late_reader);
    g_test_add_func("/chardev/pipe/never stalls", pipe_never_stalls);
    g_test_add_func("/chardev/socket/server takes peers in turn", server_takes_peers_in_turn);
    g_test_add_func("/chardev/socket/flow control", server_flow_control);
    g_test_add_func("/chardev/socket/unread bytes survive a hang-up", unread_bytes_survive_hang_up);
    g_test_add_func("/chardev/socket/client calls again", client_calls_again);
    g_test_add_func("/chardev/socket/client without server", client_without_server);
    g_test_add_func("/chardev/socket/inherited descriptors", inherited_descriptors);
    g_test_add_func("/chardev/socket/tcp takes the next port", tcp_takes_the_next_port);
    g_test_add_func("/chardev/socket/abstract name", abstract_name);
    g_test_add_func("/chardev/pty/comes and goes", pty_comes_and_goes);
    g_test_add_func("/chardev/mux/shares", mux_shares);
    g_test_add_func("/chardev/mux/commands", mux_commands);
    g_test_add_func("/chardev/mux/four ports", mux_has_four_ports);
    g_test_add_func("/chardev/refusals", refusals);
    int result = g_test_run();
    remove_folder();
    return result;
}
