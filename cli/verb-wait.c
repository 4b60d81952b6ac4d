/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * verb-wait.c - wait: until the guest's console says something, a port answers, an event comes, or the VM has ended
 *
 * Tests    tests/verbs/console.py
 */
#include "cli/verb-list.h"
#include "base/field.h"
#include "base/timer.h"
#include "cli/console-client.h"
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { TIMED_OUT = 124, LAST_LINES = 10, WINDOW = 256 << 10, KEPT = 128 << 10, AGAIN_MS = 100, SILENCE_MS = 1000 };

static const double console_patience = 5;

typedef struct Wait {
    Verb common;
    const char *what;
    bool new_only;

    VmEntry *vm;
    int process;                           /* a pidfd; -1 when it has ended */
    int64_t deadline;                      /* 0: none */
    ConsoleClient *console;
    GString *window;                       /* the end of what the console said */
    GRegex *regex;
    QmpClient *client;
    uint64_t port;
} Wait;

static const ToolOption wait_options[] = {
    VERB_DOMAIN,
    OPTION_TEXT(0, "for", "console:REGEX|port:N|event:NAME|stopped", Wait, what,
                "text on its console (also before now), a TCP port of this host that answers, a QMP event, or its end"),
    OPTION_FLAG(0, "new", Wait, new_only, "console: only what is written from now on"),
    OPTION_CALL(0, "timeout", "SECONDS", verb_take_timeout, "end with status 124, and the console's last lines, when it has not come by then"),
    VERB_HELP, VERB_OPTIONS_END };

typedef enum { CAME, NOT_YET, ENDED } Found;

/* ---- what is waited for ---- */

static Found look_at_console(Wait *wait)
{
    char chunk[16384];
    ssize_t got = read(wait->console->fd, chunk, sizeof chunk);

    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
        return ENDED;
    }
    size_t begin = wait->new_only ? MIN((size_t)MAX(got, 0), wait->console->replay) : 0;
    wait->console->replay -= MIN((size_t)MAX(got, 0), wait->console->replay);
    for (ssize_t i = (ssize_t)begin; i < got; i++) {
        if (chunk[i] != '\r' && chunk[i]) {
            g_string_append_c(wait->window, chunk[i]);
        }
    }
    /* A pattern may reach over many lines, so that all that is kept is looked through again. */
    bool found = g_regex_match_full(wait->regex, wait->window->str, (gssize)wait->window->len, 0, 0, NULL, NULL);
    if (wait->window->len > WINDOW) {
        g_string_erase(wait->window, 0, (gssize)(wait->window->len - KEPT));
    }
    return found ? CAME : NOT_YET;
}

static Found look_at_events(Wait *wait)
{
    bool ended;
    const char *name = wait->what + strlen("event:");
    Value *event;

    while ((event = qmp_client_event(wait->client, &ended))) {
        bool right = g_ascii_strcasecmp(value_get_string(event, "event", ""), name) == 0;
        value_unref(event);
        if (right) {
            return CAME;
        }
    }
    return ended ? ENDED : NOT_YET;
}

/* A forwarder takes the connection before the guest does, and drops it when the guest refuses: what stays, or says something, is there. */
static bool port_answers(const Wait *wait)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)wait->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct pollfd one = { .fd = fd, .events = POLLIN };
    char byte;
    bool answers = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
                   (poll(&one, 1, SILENCE_MS) == 0 || recv(fd, &byte, 1, 0) == 1);

    if (fd >= 0) {
        close(fd);
    }
    return answers;
}

/* ---- waiting ---- */

static Found look(Wait *wait)
{
    if (wait->console) {
        return look_at_console(wait);
    }
    if (wait->client) {
        return look_at_events(wait);
    }
    return wait->port && port_answers(wait) ? CAME : NOT_YET;
}

static Found wait_for_it(Wait *wait)
{
    int fd = wait->console ? wait->console->fd : wait->client ? qmp_client_fd(wait->client) : -1;

    for (;;) {
        struct pollfd ends[] = { { .fd = fd, .events = POLLIN }, { .fd = wait->process, .events = POLLIN } };
        int patience = patience_ms(wait->deadline);
        Found found = look(wait);
        if (found != NOT_YET) {
            return found;
        }
        if (patience == 0) {
            return NOT_YET;
        }
        if (wait->port) {
            patience = patience < 0 ? AGAIN_MS : MIN(patience, AGAIN_MS);
        }
        poll(ends, G_N_ELEMENTS(ends), patience);
        if (ends[1].revents && !ends[0].revents) {
            return ENDED;
        }
    }
}

static void print_last_lines(Wait *wait)
{
    g_autoptr(ConsoleClient) again = console_client_open(wait->vm, console_patience, NULL);
    g_autoptr(GString) text = again ? console_client_replay(again, console_patience) : g_steal_pointer(&wait->window);

    if (text && text->len) {
        g_auto(GStrv) lines = g_strsplit(last_lines(text->str, text->len, LAST_LINES), "\n", -1);
        fputs("its last console lines:\n", stderr);
        for (char **line = lines; *line; line++) {
            g_autofree char *shown = verb_printable(g_strchomp(*line));
            fprintf(stderr, "  %s\n", shown);
        }
    }
}

/* ---- the beginning and the end ---- */

static bool understand(Wait *wait, GError **err)
{
    const char *what = wait->what ? wait->what : "";

    if (g_str_has_prefix(what, "console:")) {
        g_autoptr(GError) why = NULL;
        wait->regex = g_regex_new(what + strlen("console:"), G_REGEX_RAW | G_REGEX_MULTILINE | G_REGEX_OPTIMIZE, 0, &why);
        return wait->regex || fail(err, EINVAL, "--for %s: %s", what, why->message);
    }
    if (g_str_has_prefix(what, "port:")) {
        return (parse_uint(what + strlen("port:"), &wait->port) && wait->port > 0 && wait->port < 65536) ||
               fail(err, EINVAL, "--for %s: a port is a number from 1 to 65535", what);
    }
    return strcmp(what, "stopped") == 0 || (g_str_has_prefix(what, "event:") && what[strlen("event:")]) ||
           fail(err, EINVAL, "--for %s: it is console:REGEX, port:N, event:NAME or stopped", what);
}

static bool connect_to(Wait *wait, GError **err)
{
    if (wait->regex) {
        wait->console = console_client_open(wait->vm, wait->common.seconds, err);
        return wait->console != NULL;
    }
    if (g_str_has_prefix(wait->what, "event:")) {
        wait->client = qmp_client_open(wait->vm, wait->common.seconds, err);
        return wait->client != NULL;
    }
    return true;
}

static int tell(Wait *wait, Found found, GError **err)
{
    if (found == CAME || (found == ENDED && strcmp(wait->what, "stopped") == 0)) {
        return 0;
    }
    if (found == ENDED) {
        fail(err, EPIPE, "'%s' has ended, and %s has not come", wait->vm->name, wait->what);
        return 1;
    }
    tool_error("'%s': %s has not come within %g s", wait->vm->name, wait->what, wait->common.seconds);
    print_last_lines(wait);
    return TIMED_OUT;
}

static int wait_verb(Verb *verb, GError **err)
{
    Wait *wait = (Wait *)verb;
    g_autoptr(GError) nobody = NULL;
    int status = 1;

    if (!understand(wait, err)) {
        return 1;
    }
    wait->deadline = patience_until(verb->seconds);
    wait->window = g_string_new(NULL);
    wait->vm = verb_vm(verb, &nobody);
    if (!wait->vm && strcmp(wait->what, "stopped") == 0 && (nobody->code == ENOENT || nobody->code == ESRCH)) {
        status = 0;
    } else if (!wait->vm) {
        g_propagate_error(err, g_steal_pointer(&nobody));
    } else if (connect_to(wait, err)) {
        wait->process = (int)syscall(SYS_pidfd_open, wait->vm->pid, 0);
        Found found = wait->process < 0 || !vm_lives(wait->vm) ? ENDED : wait_for_it(wait);
        status = tell(wait, found, err);
        if (wait->process >= 0) {
            close(wait->process);
        }
    }
    console_client_free(wait->console);
    qmp_client_free(wait->client);
    g_clear_pointer(&wait->regex, g_regex_unref);
    if (wait->window) {
        g_string_free(wait->window, TRUE);
    }
    g_clear_pointer(&wait->vm, vm_entry_free);
    return status;
}

const VerbSpec verb_wait = { "wait", "", 0, 0, VERB_ONE_VM, .raw = true, .patient = true,
                             .help = "wait for something to happen: --for console:REGEX, port:N, event:NAME or stopped", .options = wait_options,
                             .size = sizeof(Wait), .run = wait_verb };
