/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * verb-console.c - console: a person's terminal becomes the guest's, until Ctrl-]
 *
 * Any number may watch and type at once, so --force has nobody to disconnect. Without a terminal it is a filter: standard input is typed, and
 * what the guest writes goes to standard output until the VM ends.
 *
 * Tests    tests/verbs/console.py
 */
#include "cli/verb-list.h"
#include "base/field.h"
#include "cli/console-client.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

enum { ESCAPE = 0x1d, TYPED_MOST = 4096, LINES_BEFORE = 24 };

typedef struct Console {
    Verb common;
    const char *devname;
    bool force, safe;
    uint64_t replay;

    ConsoleClient *client;
    bool terminal, typing, done;           /* typing: standard input has not ended */
    struct termios before;
    int signals;
    char typed[TYPED_MOST];                /* not yet taken */
    size_t typed_length;
} Console;

static bool take_replay(void *into, const char *text, GError **err)
{
    uint64_t lines;

    if (!parse_uint(text, &lines) || lines > 1000000) {
        return fail(err, EINVAL, "--replay '%s': a number of lines is needed", text);
    }
    ((Console *)into)->replay = lines + 1;
    return true;
}

static const ToolOption console_options[] = {
    VERB_DOMAIN, OPTION_TEXT(0, "devname", "NAME", Console, devname, "which console: serial0, the first one, is the one there is"),
    OPTION_FLAG(0, "force", Console, force, "accepted: a console has room for all"),
    OPTION_FLAG(0, "safe", Console, safe, "accepted: two of them do not harm each other"),
    OPTION_CALL(0, "replay", "LINES", take_replay, "how much of what was written before to show first (default: 24)"),
    VERB_TIMEOUT, VERB_HELP, VERB_OPTIONS_END };

/* ---- the terminal ---- */

static void take_terminal(Console *console)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGCONT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    console->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    console->terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &console->before) == 0;
    if (console->terminal) {
        struct termios raw = console->before;
        cfmakeraw(&raw);
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
    }
}

static void leave_terminal(Console *console)
{
    if (console->terminal) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &console->before);
    }
    close(console->signals);
}

static void hear_signal(Console *console)
{
    struct signalfd_siginfo info;

    while (read(console->signals, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo != SIGCONT) {
            console->done = true;
        } else if (console->terminal) {
            struct termios raw = console->before;
            cfmakeraw(&raw);
            tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
        }
    }
}

/* ---- both directions ---- */

static bool put(const char *data, size_t length)
{
    while (length) {
        ssize_t done = write(STDOUT_FILENO, data, length);
        if (done < 0 && errno != EINTR) {
            return false;
        }
        data += done > 0 ? done : 0;
        length -= done > 0 ? (size_t)done : 0;
    }
    return true;
}

static void hear_guest(Console *console)
{
    char chunk[16384];
    ssize_t got = read(console->client->fd, chunk, sizeof chunk);

    if (got > 0) {
        console->done = !put(chunk, (size_t)got);
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        console->done = true;
    }
}

/* Ctrl-] is looked for even when the guest takes nothing more. */
static void hear_keys(Console *console)
{
    char keys[TYPED_MOST];
    size_t room = TYPED_MOST - console->typed_length;
    ssize_t got = read(STDIN_FILENO, keys, console->terminal ? sizeof keys : room);

    if (got <= 0) {
        console->typing = got < 0 && (errno == EINTR || errno == EAGAIN);
        console->done |= !console->typing && console->terminal;
        return;
    }
    const char *escape = console->terminal ? memchr(keys, ESCAPE, (size_t)got) : NULL;
    size_t length = MIN(escape ? (size_t)(escape - keys) : (size_t)got, room);
    memcpy(console->typed + console->typed_length, keys, length);
    console->typed_length += length;
    console->done |= escape != NULL;
}

static void type(Console *console)
{
    ssize_t done = console->typed_length ? write(console->client->fd, console->typed, console->typed_length) : 0;

    if (done > 0) {
        console->typed_length -= (size_t)done;
        memmove(console->typed, console->typed + done, console->typed_length);
    }
}

static void carry(Console *console)
{
    while (!console->done) {
        bool room = console->terminal || console->typed_length < TYPED_MOST;
        struct pollfd ends[] = {
            { .fd = console->client->fd, .events = (short)(POLLIN | (console->typed_length ? POLLOUT : 0)) },
            { .fd = console->typing && room ? STDIN_FILENO : -1, .events = POLLIN },
            { .fd = console->signals, .events = POLLIN } };
        if (poll(ends, G_N_ELEMENTS(ends), -1) < 0 && errno != EINTR) {
            return;
        }
        if (ends[2].revents) {
            hear_signal(console);
        }
        if (ends[1].revents) {
            hear_keys(console);
        }
        type(console);
        if (ends[0].revents & (POLLIN | POLLHUP | POLLERR)) {
            hear_guest(console);
        }
    }
    type(console);
}

static bool show_replay(Console *console, GError **err)
{
    g_autoptr(GString) before = console_client_replay(console->client, console->common.seconds);
    unsigned lines = console->replay ? (unsigned)console->replay - 1 : LINES_BEFORE;

    if (!before) {
        return fail(err, ETIMEDOUT, "'%s': its console does not answer", console->common.domain);
    }
    const char *from = lines ? last_lines(before->str, before->len, lines) : before->str + before->len;
    return put(from, before->len - (size_t)(from - before->str));
}

static int run_console(Verb *verb, GError **err)
{
    Console *console = (Console *)verb;
    g_autoptr(VmEntry) vm = verb_vm(verb, err);
    const char *name = console->devname;

    if (vm && name && strcmp(name, "serial0") != 0 && strcmp(name, "console0") != 0) {
        fail(err, ENOENT, "cannot find character device '%s'", name);
        return 1;
    }
    g_autoptr(ConsoleClient) client = vm ? console_client_open(vm, verb->seconds, err) : NULL;
    if (!client) {
        return 1;
    }
    console->client = client;
    console->typing = true;
    if (isatty(STDIN_FILENO)) {
        g_autofree char *shown = verb_printable(vm->name);
        printf("Connected to domain '%s'\nEscape character is ^] (Ctrl + ])\n", shown);
        fflush(stdout);
    }
    take_terminal(console);
    bool shown = show_replay(console, err);
    if (shown) {
        carry(console);
    }
    leave_terminal(console);
    if (console->terminal) {
        putchar('\n');
    }
    return shown ? 0 : 1;
}

const VerbSpec verb_console = { "console", "", 0, 0, VERB_ONE_VM, .raw = true, .help = "the guest's console on this terminal; Ctrl-] ends it",
                                .options = console_options, .size = sizeof(Console), .run = run_console };
