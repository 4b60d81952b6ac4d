/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qmp-client.c - a verb's connection to a running VM
 *
 * Tests    tests/verbs/verbs.py
 */
#include "cli/qmp-client.h"
#include "base/error.h"
#include "base/json.h"
#include "base/timer.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHUNK = 16384, AGAIN_US = 20000 };

struct QmpClient {
    int fd;
    char *who;
    double seconds;
    JsonParser *parser;
    GQueue events;                         /* of Value */
    bool ended;
};

int64_t patience_until(double seconds)
{
    return seconds > 0 ? clock_now(CLOCK_STEADY) + (int64_t)(seconds * (double)NS_PER_SECOND) : 0;
}

int patience_ms(int64_t deadline)
{
    int64_t left = deadline - clock_now(CLOCK_STEADY);

    return !deadline ? -1 : left <= 0 ? 0 : (int)MIN(left / NS_PER_MS + 1, INT32_MAX);
}

static bool no_answer(const QmpClient *client, GError **err)
{
    return fail(err, ETIMEDOUT, "%s does not answer within %g s; 'roost destroy' ends it whatever it does", client->who, client->seconds);
}

static bool went_away(QmpClient *client, GError **err)
{
    client->ended = true;
    return fail(err, EPIPE, "%s has ended", client->who);
}

static bool wait_for(QmpClient *client, short events, int64_t deadline, GError **err)
{
    struct pollfd one = { .fd = client->fd, .events = events };
    int found;

    do {
        found = poll(&one, 1, patience_ms(deadline));
    } while (found < 0 && errno == EINTR);
    return found > 0 || no_answer(client, err);
}

static bool send_text(QmpClient *client, const char *text, int64_t deadline, GError **err)
{
    for (size_t length = strlen(text), done = 0; done < length;) {
        ssize_t sent = send(client->fd, text + done, length - done, MSG_NOSIGNAL);
        if (sent > 0) {
            done += (size_t)sent;
        } else if (sent < 0 && errno == EAGAIN) {
            if (!wait_for(client, POLLOUT, deadline, err)) {
                return false;
            }
        } else if (errno != EINTR) {
            return went_away(client, err);
        }
    }
    return true;
}

/* What is here; false at the end of the connection. */
static bool take_bytes(QmpClient *client, bool *some)
{
    char chunk[CHUNK];
    ssize_t got = recv(client->fd, chunk, sizeof chunk, 0);

    *some = got > 0;
    if (got > 0) {
        json_parser_feed(client->parser, chunk, (size_t)got);
    }
    return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}

/* The next message that is no event. */
static Value *next_reply(QmpClient *client, int64_t deadline, GError **err)
{
    for (;;) {
        g_autoptr(GError) malformed = NULL;
        Value *message = json_parser_next(client->parser, &malformed);
        bool some;
        if (message && !value_get(message, "event")) {
            return message;
        }
        if (message) {
            g_queue_push_tail(&client->events, message);
        } else if (malformed) {
            fail(err, EPROTO, "%s answers what is no JSON: %s", client->who, malformed->message);
            return NULL;
        } else if (!wait_for(client, POLLIN, deadline, err)) {
            return NULL;
        } else if (!take_bytes(client, &some)) {
            went_away(client, err);
            return NULL;
        }
    }
}

Value *qmp_client_ask(QmpClient *client, const Value *request, GError **err)
{
    g_autofree char *text = json_print(request, false), *line = g_strconcat(text, "\r\n", NULL);
    int64_t deadline = patience_until(client->seconds);

    return send_text(client, line, deadline, err) ? next_reply(client, deadline, err) : NULL;
}

Value *qmp_client_call(QmpClient *client, const char *command, Value *take_args, GError **err)
{
    g_autoptr(Value) request = value_new_object(), reply = NULL;

    value_set(request, "execute", value_new_string(command));
    if (take_args) {
        value_set(request, "arguments", take_args);
    }
    reply = qmp_client_ask(client, request, err);
    if (!reply) {
        return NULL;
    }
    Value *result = value_get(reply, "return");
    if (!result) {
        fail(err, EREMOTEIO, "%s", value_get_string(value_get(reply, "error"), "desc", "the answer is neither a result nor an error"));
        return NULL;
    }
    return value_ref(result);
}

/* With its queue full a VM that does not run has EAGAIN for us. */
static bool call_vm(QmpClient *client, const VmEntry *vm, int64_t deadline, GError **err)
{
    for (;;) {
        g_autoptr(GError) why = NULL;
        client->fd = runtime_connect(vm, "qmp", &why);
        if (client->fd >= 0) {
            return true;
        }
        if (why->code != EAGAIN) {
            return vm_lives(vm) ? fail(err, why->code, "%s", why->message) : went_away(client, err);
        }
        if (patience_ms(deadline) == 0) {
            return no_answer(client, err);
        }
        g_usleep(AGAIN_US);
    }
}

QmpClient *qmp_client_open(const VmEntry *vm, double seconds, GError **err)
{
    g_autoptr(QmpClient) client = g_new0(QmpClient, 1);
    int64_t deadline = patience_until(seconds);

    client->fd = -1;
    client->seconds = seconds;
    client->who = g_strdup_printf("'%s' (id %u, process %ld)", vm->name, vm->id, (long)vm->pid);
    client->parser = json_parser_new((JsonLimits){ 0 });
    g_queue_init(&client->events);
    if (!call_vm(client, vm, deadline, err)) {
        return NULL;
    }
    g_autoptr(Value) greeting = next_reply(client, deadline, err);
    g_autoptr(Value) negotiated = greeting ? qmp_client_call(client, "qmp_capabilities", NULL, err) : NULL;
    return negotiated ? g_steal_pointer(&client) : NULL;
}

void qmp_client_free(QmpClient *client)
{
    if (!client) {
        return;
    }
    if (client->fd >= 0) {
        close(client->fd);
    }
    g_queue_clear_full(&client->events, (GDestroyNotify)value_unref);
    json_parser_free(client->parser);
    g_free(client->who);
    g_free(client);
}

int qmp_client_fd(const QmpClient *client)
{
    return client->fd;
}

Value *qmp_client_event(QmpClient *client, bool *ended)
{
    bool some = true;

    while (some && !client->ended) {
        client->ended = !take_bytes(client, &some);
    }
    for (;;) {
        Value *message = json_parser_next(client->parser, NULL);
        if (!message) {
            break;
        }
        g_queue_push_tail(&client->events, message);
    }
    Value *event = g_queue_pop_head(&client->events);
    *ended = !event && client->ended;
    return event;
}
