/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * session.c - one client after the other on one stream: JSON in, requests in order, replies and events out; or a person's keys
 *
 * A request runs when its predecessor's reply is out; one that waits (a coroutine) holds up its own session only. What a client does
 * not read stays here: beyond OUT_FULL its further requests are not read, beyond OUT_LOST events for it are dropped, so a client that
 * sleeps costs a bounded amount of memory and never holds up the guest. A client that goes takes its queue, its settings and its
 * descriptors along; the reply to what still runs is dropped.
 *
 * Out-of-band requests are heard on the main I/O loop, too, which turns while a command waits in it for storage (a blockdev-add whose
 * server is mute), so that they run at once then; requests in band stay in the queue until the main loop is its own again.
 *
 * Omits    a thread of its own for out-of-band commands: while the main thread waits for an I/O thread they wait with it
 * Threads  main loop; events from any thread; machine lock held
 * Tests    tests/qmp/core.py, tests/fuzz/qmp.c
 */
#include "monitor/session.h"
#include "base/coroutine.h"
#include "base/error.h"
#include "base/io-loop.h"
#include "base/json.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/trace.h"
#include "monitor/hmp.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { QUEUE_MOST = 8, READ_MOST = 4096, OUT_FULL = 1 << 20, OUT_LOST = 4 << 20, NAMED_FDS_MOST = 256 };

enum { TRACE_QMP_REQUEST, TRACE_QMP_REPLY };
static TracePoint session_trace[] = {
    [TRACE_QMP_REQUEST] = { "qmp_request", "a client asked for a command" },
    [TRACE_QMP_REPLY] = { "qmp_reply", "a client got an answer or an event" } };
TRACE_TABLE(session_trace)

struct Session {
    Session *next;
    Chardev *chardev;                      /* NULL: nobody hears the answers */
    bool control, pretty;
    JsonParser *parser;
    GQueue requests;                       /* of Request, in order */
    bool busy;                             /* one of them runs */
    bool starting;                         /* start_requests() is at work */
    bool negotiated, out_of_band;
    IoWatch *urgent;                       /* a client that may go out of band; NULL: none */
    int urgent_fd;                         /* what it watches: our own copy of the stream's descriptor */
    unsigned client;                       /* counts clients, so that a reply finds its own */
    GString *unsent;
    bool lost;                             /* an event was dropped, and that was said */
    GHashTable *fds;                       /* name -> fd */
    bool visiting;                         /* it and its stream end with its one client */
    void (*left)(void);                    /* ... and then this is called */
    bool leaving;
    HmpLine *line;                         /* of a monitor for people; NULL: QMP */
    bool greeted;
};

typedef struct Request {
    Session *session;
    unsigned client;
    Value *message;                        /* NULL: error is the answer */
    GError *error;
    const QmpCommand *command;
} Request;

static Session *sessions;
static bool listening;                     /* to what the machine tells */

/* ---- out ---- */

static void flush(Session *session)
{
    size_t sent = session->chardev ? chardev_write(session->chardev, (const uint8_t *)session->unsent->str, session->unsent->len)
                                   : session->unsent->len;

    g_string_erase(session->unsent, 0, (gssize)sent);
    if (session->unsent->len == 0 && session->unsent->allocated_len > OUT_FULL) {
        g_string_free(session->unsent, TRUE);          /* a long answer's memory goes back */
        session->unsent = g_string_new(NULL);
    }
}

void session_send(Session *session, const Value *message)
{
    g_autofree char *text = json_print(message, session->pretty);

    TRACE(&session_trace[TRACE_QMP_REPLY], "%.500s", text);
    g_string_append(session->unsent, text);
    g_string_append(session->unsent, "\r\n");
    flush(session);
}

void session_send_event(Session *session, const Value *message)
{
    if (session->unsent->len <= OUT_LOST) {
        session_send(session, message);
    } else if (!session->lost) {
        session->lost = true;
        report_warning("monitor '%s': its client does not read; events for it are dropped until it does", chardev_id(session->chardev));
    }
}

/* The parser counts lines and columns of a session, which help nobody: QEMU's beginning of the sentence, and the reason. */
static const char *without_place(const char *sentence)
{
    const char *colon = g_str_has_prefix(sentence, "JSON parse error at line ") ? strstr(sentence, ": ") : NULL;

    return colon ? colon + 2 : NULL;
}

static void send_error(Session *session, const Value *id, const GError *error)
{
    g_autoptr(Value) reply = value_new_object();
    Value *what = value_new_object();
    const char *sentence = error ? error->message : "it failed", *reason = without_place(sentence);
    g_autofree char *parse_error = reason ? g_strdup_printf("JSON parse error, %s", reason) : NULL;

    value_set(what, "class", value_new_string(qmp_class_name(error)));
    value_set(what, "desc", value_new_string(parse_error ? parse_error : sentence));
    if (id) {
        value_set(reply, "id", value_copy(id));
    }
    value_set(reply, "error", what);
    session_send(session, reply);
}

static void send_result(Session *session, const Value *id, Value *take)
{
    g_autoptr(Value) reply = value_new_object();

    value_set(reply, "return", take);
    if (id) {
        value_set(reply, "id", value_copy(id));
    }
    session_send(session, reply);
}

static void send_greeting(Session *session)
{
    g_autoptr(Value) greeting = value_new_object();
    Value *inner = value_new_object(), *capabilities = value_new_list();

    value_append(capabilities, value_new_string("oob"));
    value_set(inner, "version", qmp_command_find("query-version")->run(session, NULL, NULL));
    value_set(inner, "capabilities", capabilities);
    value_set(greeting, "QMP", inner);
    session_send(session, greeting);
}

/* ---- requests ---- */

static void request_free(Request *request)
{
    value_unref(request->message);
    g_clear_error(&request->error);
    g_free(request);
}

static bool check_member(Session *session, const char *key, const Value *value, const char **verb, GError **err)
{
    bool in_band = strcmp(key, "execute") == 0;

    if (in_band || (strcmp(key, "exec-oob") == 0 && session->out_of_band)) {
        if (*verb) {
            return fail(err, EINVAL, "QMP input member '%s' clashes with '%s'", key, *verb);
        }
        *verb = key;
        return value_string(value) || fail(err, EINVAL, "QMP input member '%s' must be a string", key);
    }
    if (strcmp(key, "arguments") == 0) {
        return value_kind(value) == VALUE_OBJECT || fail(err, EINVAL, "QMP input member 'arguments' must be an object");
    }
    return strcmp(key, "id") == 0 || fail(err, EINVAL, "QMP input member '%.100s' is unexpected", key);
}

static const QmpCommand *find_command(Session *session, const char *name, GError **err)
{
    bool negotiates = strcmp(name, "qmp_capabilities") == 0;
    const QmpCommand *command = qmp_command_find(name);

    if (!session->negotiated && !negotiates) {
        qmp_fail(err, QMP_COMMAND_NOT_FOUND, "Expecting capabilities negotiation with 'qmp_capabilities'");
        return NULL;
    }
    if (session->negotiated && negotiates) {
        qmp_fail(err, QMP_COMMAND_NOT_FOUND, "Capabilities negotiation is already complete, command ignored");
        return NULL;
    }
    if (!command) {
        qmp_fail(err, QMP_COMMAND_NOT_FOUND, "The command %.200s has not been found", name);
    }
    return command;
}

/* The command that a message asks for; NULL and the sentence when it asks for none. */
static const QmpCommand *check_message(Session *session, const Value *message, bool *out_of_band, GError **err)
{
    const char *verb = NULL;

    if (value_kind(message) != VALUE_OBJECT) {
        fail(err, EINVAL, "QMP input must be a JSON object");
        return NULL;
    }
    for (size_t i = 0; i < value_length(message); i++) {
        if (!check_member(session, value_key_at(message, i), value_member_at(message, i), &verb, err)) {
            return NULL;
        }
    }
    if (!verb) {
        fail(err, EINVAL, "QMP input lacks member 'execute'");
        return NULL;
    }
    const QmpCommand *command = find_command(session, value_get_string(message, verb, ""), err);
    *out_of_band = strcmp(verb, "exec-oob") == 0;
    if (command && *out_of_band && !command->out_of_band) {
        fail(err, EINVAL, "The command %s does not support OOB", command->name);
        return NULL;
    }
    return command;
}

static void answer(Request *request, Value *take, GError *error)
{
    Session *session = request->session;
    const Value *id = value_get(request->message, "id");

    if (request->client != session->client) {
        value_unref(take);                 /* who asked is gone */
    } else if (take) {
        send_result(session, id, take);
    } else {
        send_error(session, id, error);
    }
}

static void run_request(Request *request)
{
    g_autoptr(GError) error = NULL;
    bool out_of_band = false;
    Value *result = NULL;

    if (request->message) {
        request->command = request->command ? request->command : check_message(request->session, request->message, &out_of_band, &error);
        if (request->command) {
            TRACE(&session_trace[TRACE_QMP_REQUEST], "%s", request->command->name);
            result = qmp_call(request->session, request->command, value_get(request->message, "arguments"), &error);
        }
    }
    answer(request, result, request->error ? request->error : error);
}

static void start_requests(Session *session);

static void leave(void *opaque);

static void start_more(void *opaque)
{
    Session *session = opaque;

    if (session->leaving) {
        leave(session);
    } else {
        start_requests(session);
    }
}

/* What comes next may have to run outside of coroutines. */
static void run_waiting(void *opaque)
{
    Request *request = opaque;
    Session *session = request->session;

    run_request(request);
    request_free(request);
    session->busy = false;
    if (!session->starting) {
        loop_post(start_more, session);
    }
}

/* A command that waits gets a coroutine; the check is made first, since most requests need none. */
static void start_request(Session *session, Request *request)
{
    bool out_of_band = false;

    request->command = request->message ? check_message(session, request->message, &out_of_band, &request->error) : NULL;
    Coroutine *coroutine = request->command && request->command->waits ? coroutine_new(run_waiting, request) : NULL;
    if (coroutine) {
        session->busy = true;
        coroutine_enter(coroutine);
        return;
    }
    if (request->command && request->command->waits) {
        fail(&request->error, ENOMEM, "%s: no memory for it to run in", request->command->name);
        request->command = NULL;
    }
    if (request->command) {
        run_request(request);
    } else {
        answer(request, NULL, request->error);
    }
    request_free(request);
}

static void start_requests(Session *session)
{
    if (session->starting) {
        return;
    }
    session->starting = true;
    while (!session->busy && session->unsent->len <= OUT_FULL && !g_queue_is_empty(&session->requests)) {
        start_request(session, g_queue_pop_head(&session->requests));
    }
    session->starting = false;
    if (session->chardev) {
        chardev_accept_input(session->chardev);
    }
    if (session->urgent) {
        io_watch_change(session->urgent, EPOLLIN);
    }
}

/* An out-of-band request is known by its verb; everything about it is checked when it runs, which is now. */
static void take_message(Session *session, Value *message, GError *error)
{
    Request *request = g_new0(Request, 1);
    bool urgent = session->out_of_band && value_get(message, "exec-oob");

    *request = (Request){ .session = session, .client = session->client, .message = message, .error = error };
    if (urgent) {
        run_request(request);
        request_free(request);
    } else {
        g_queue_push_tail(&session->requests, request);
    }
}

void session_feed(Session *session, const char *data, size_t length)
{
    json_parser_feed(session->parser, data, length);
    for (;;) {
        GError *error = NULL;
        Value *message = json_parser_next(session->parser, &error);
        if (!message && !error) {
            break;
        }
        take_message(session, message, error);
    }
    start_requests(session);
}

/* ---- out of band ---- */

static size_t can_read(void *opaque);

/* Perhaps in the middle of a command, of this session or another: nothing in band begins here. */
static void urgent_ready(void *opaque, uint32_t events)
{
    Session *session = opaque;
    bool was_starting = session->starting;

    (void)events;
    if (can_read(session) == 0) {
        io_watch_change(session->urgent, 0);           /* until start_requests() has made room */
        return;
    }
    session->starting = true;
    chardev_read_now(session->chardev);
    session->starting = was_starting;
    if (!was_starting && !g_queue_is_empty(&session->requests)) {
        loop_post(start_more, session);
    }
}

static void forget_urgent(Session *session)
{
    if (session->urgent) {
        io_unwatch(g_steal_pointer(&session->urgent));
        close(session->urgent_fd);
    }
}

static void listen_for_urgent(Session *session)
{
    int fd = session->chardev ? chardev_input_fd(session->chardev) : -1;

    session->urgent_fd = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1;
    if (session->urgent_fd >= 0) {
        session->urgent = io_watch(io_loop_main(), session->urgent_fd, EPOLLIN, urgent_ready, session);
        if (!session->urgent) {
            close(session->urgent_fd);
        }
    }
}

/* ---- the client ---- */

static void forget_client(Session *session)
{
    session->client++;
    forget_urgent(session);
    session->negotiated = session->out_of_band = session->lost = false;
    g_queue_clear_full(&session->requests, (GDestroyNotify)request_free);
    g_string_truncate(session->unsent, 0);
    g_hash_table_remove_all(session->fds);
    json_parser_free(session->parser);
    session->parser = json_parser_new((JsonLimits){ 0 });
}

/* ---- people ---- */

static void say(Session *session, const GString *text)
{
    g_string_append_len(session->unsent, text->str, (gssize)text->len);
    flush(session);
}

/* What a terminal shows begins each line at its left edge. */
static void obey(Session *session, const char *line)
{
    g_autoptr(GString) said = g_string_new(NULL);

    hmp_execute(session, line, said);
    g_string_replace(said, "\n", "\r\n", 0);
    hmp_line_prompt(session->line, said);
    say(session, said);
}

static void hear_people(Session *session, const uint8_t *data, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        g_autoptr(GString) echo = g_string_new(NULL);
        g_autofree char *line = hmp_line_key(session->line, data[i], echo);
        say(session, echo);
        if (line) {
            obey(session, line);
        }
    }
}

static void greet_people(Session *session)
{
    g_autoptr(GString) text = g_string_new(NULL);

    if (session->greeted) {
        hmp_line_prompt(session->line, text);
    } else {
        hmp_line_greet(session->line, text);
    }
    session->greeted = true;
    say(session, text);
}

/* On a shared terminal the monitor is silent until somebody asks for it. */
static void people_event(Session *session, ChardevEvent event)
{
    bool shared = chardev_is_shared(session->chardev);

    if (event == CHARDEV_CLOSED || event == CHARDEV_OPENED) {
        session->greeted = false;
        g_string_truncate(session->unsent, 0);
    }
    if (event == CHARDEV_OPENED ? !shared : event == CHARDEV_FOCUS_IN && chardev_focus_asked(session->chardev)) {
        greet_people(session);
    }
    if (event == CHARDEV_WRITABLE) {
        flush(session);
        chardev_accept_input(session->chardev);
    }
}

/* ---- the stream ---- */

static size_t can_read(void *opaque)
{
    const Session *session = opaque;
    bool full = session->unsent->len > OUT_FULL || session->requests.length >= QUEUE_MOST;

    return full || (session->busy && !session->out_of_band) ? 0 : READ_MOST;
}

static void receive(void *opaque, const uint8_t *data, size_t length)
{
    Session *session = opaque;

    if (session->line) {
        hear_people(session, data, length);
    } else {
        session_feed(session, (const char *)data, length);
    }
}

static void stream_event(void *opaque, ChardevEvent event)
{
    Session *session = opaque;

    if (session->line) {
        people_event(session, event);
    } else if (event == CHARDEV_OPENED) {
        forget_client(session);
        send_greeting(session);
    } else if (event == CHARDEV_CLOSED) {
        forget_client(session);
        if (session->visiting && !session->leaving) {
            session->leaving = true;
            loop_post(leave, session);
        }
    } else if (event == CHARDEV_WRITABLE) {
        flush(session);
        if (session->unsent->len <= OUT_FULL) {
            session->lost = false;
            start_requests(session);
        }
    }
}

static const ChardevUser session_user = { .can_read = can_read, .read = receive, .event = stream_event, .monitor = true };

bool session_is_negotiated(const Session *session)
{
    return session->control && session->negotiated;
}

void session_negotiate(Session *session, bool out_of_band)
{
    session->negotiated = true;
    session->out_of_band = out_of_band;
    if (out_of_band) {
        listen_for_urgent(session);
    }
}

/* ---- descriptors ---- */

static void close_named(void *fd)
{
    close(GPOINTER_TO_INT(fd));
}

bool session_keep_fd(Session *session, const char *name, int fd)
{
    if (!g_hash_table_contains(session->fds, name) && g_hash_table_size(session->fds) >= NAMED_FDS_MOST) {
        return false;
    }
    g_hash_table_replace(session->fds, g_strdup(name), GINT_TO_POINTER(fd));
    return true;
}

int session_take_fd(Session *session, const char *name)
{
    char *key;
    void *fd;

    if (!g_hash_table_steal_extended(session->fds, name, (void **)&key, &fd)) {
        return -1;
    }
    g_free(key);
    return GPOINTER_TO_INT(fd);
}

int session_receive_fd(Session *session)
{
    return session->chardev ? chardev_take_fd(session->chardev) : -1;
}

/* ---- all of them ---- */

Session *session_new(bool control, bool pretty)
{
    Session *session = g_new0(Session, 1);

    session->control = control;
    session->line = control ? NULL : hmp_line_new();
    session->pretty = pretty;
    session->unsent = g_string_new(NULL);
    session->fds = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, close_named);
    g_queue_init(&session->requests);
    session->parser = json_parser_new((JsonLimits){ 0 });
    return session;
}

void session_free(Session *session)
{
    forget_urgent(session);
    if (session->chardev) {
        chardev_detach(session->chardev);
        if (session->visiting) {
            chardev_unref(session->chardev);
        }
        session->chardev = NULL;
    }
    if (session->busy) {                   /* at the end of the process; what still runs holds it */
        forget_client(session);
        return;
    }
    g_queue_clear_full(&session->requests, (GDestroyNotify)request_free);
    json_parser_free(session->parser);
    g_string_free(session->unsent, TRUE);
    g_hash_table_unref(session->fds);
    if (session->line) {
        hmp_line_free(session->line);
    }
    g_free(session);
}

Session *session_next(const Session *session)
{
    return session ? session->next : sessions;
}

static bool session_open(const Value *config, Session **out, GError **err)
{
    const char *id = value_get_string(config, "chardev", "");
    Chardev *chardev = chardev_find(id);
    bool control = strcmp(value_get_string(config, "mode", "readline"), "control") == 0;

    if (!chardev) {
        return fail(err, ENOENT, "monitor: there is no chardev '%s'", id);
    }
    Session *session = session_new(control, value_get_bool(config, "pretty", false));
    session->chardev = chardev;
    if (!chardev_attach(chardev, &session_user, session, err)) {
        session->chardev = NULL;
        session_free(session);
        return false;
    }
    *out = session;
    return true;
}

static void listen_to_events(void)
{
    if (!listening) {
        listening = true;
        qmp_events_listen();
    }
}

/* Its client went: not in the middle of the stream's own call. A request that still runs ends first. */
static void leave(void *opaque)
{
    for (Session **at = &sessions; *at; at = &(*at)->next) {
        Session *session = *at;
        if (session == opaque && !session->busy) {
            void (*left)(void) = session->left;
            *at = session->next;
            session_free(session);
            left();
            return;
        }
    }
}

bool monitors_receive(Chardev *take, void (*left)(void), GError **err)
{
    Session *session = session_new(true, false);

    session->chardev = take;
    session->visiting = true;
    session->left = left;
    session->next = sessions;
    sessions = session;
    listen_to_events();
    return chardev_attach(take, &session_user, session, err);
}

bool monitors_open(const Value *monitors, GError **err)
{
    Session **end = &sessions;

    if (value_length(monitors)) {
        listen_to_events();
    }
    for (size_t i = 0; i < value_length(monitors); i++) {
        if (!session_open(value_at(monitors, i), end, err)) {
            return false;
        }
        end = &(*end)->next;
    }
    return true;
}

void monitors_control(Machine *machine, const Value *tree, Value *(*describe_options)(void))
{
    qmp_control(machine, tree);
    qmp_set_options(describe_options);
}

void monitors_close(void)
{
    if (listening) {
        listening = false;
        qmp_events_unlisten();
    }
    while (sessions) {
        Session *session = sessions;
        sessions = session->next;
        session_free(session);
    }
}
