/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * io.c - roost io: requests to an image, from the command line, a script or a person
 *
 * The language and its answers are qemu-io's, so that test suites written for that run with this, under its name even: a symbolic
 * link qemu-io to the executable.
 *
 * Threads  the tool's only one; lines are read by a worker, so that requests under way go on meanwhile
 * Tests    tests/block/io-commands.py
 */
#include "cli/io.h"
#include "base/option.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct IoMain {
    IoOpen open;
    GPtrArray *commands;
    bool native, direct, misalign, help, version;
    const char *prompt;
} IoMain;

static const ToolOption io_options[] = {
    OPTION_TEXTS('c', "cmd", "COMMAND", IoMain, commands, "run that command, and then no further ones are read"),
    OPTION_TEXT('f', "format", "FORMAT", IoMain, open.format, "the image's format; else its first bytes decide"),
    OPTION_FLAG('r', "read-only", IoMain, open.readonly, "open read-only"),
    OPTION_FLAG('s', "snapshot", IoMain, open.snapshot, "write into a temporary image above it"),
    OPTION_FLAG('n', "nocache", IoMain, direct, "as --cache=none"),
    OPTION_FLAG('C', "copy-on-read", IoMain, open.copy_on_read, "keep in the image what was read from its backing file"),
    OPTION_FLAG('m', "misalign", IoMain, misalign, "use buffers that suit no O_DIRECT"),
    OPTION_FLAG('k', "native-aio", IoMain, native, "as --aio=native"),
    OPTION_TEXT('i', "aio", "ENGINE", IoMain, open.engine, "threads, native or io_uring"),
    OPTION_TEXT('t', "cache", "CACHE", IoMain, open.cache, "cache mode: writeback, none, writethrough, directsync, unsafe"),
    OPTION_TEXT('d', "discard", "MODE", IoMain, open.discard, "ignore (off) or unmap (on)"),
    OPTION_FLAG('U', "force-share", IoMain, open.share, "open read-only without locks while a guest runs on it"),
    OPTION_FLAG(0, "image-opts", IoMain, open.image_opts, "the image is KEY=VALUE,... as of -blockdev, not a file name"),
    OPTION_CALL(0, "object", "OBJECT", tool_add_object, "make an object that the image needs: secret,id=..."),
    OPTION_FLAG(0, "trust", IoMain, open.trust, "follow any file name that an image holds"),
    OPTION_CALL('T', "trace", "PATTERN", tool_trace, "turn trace points on; 'help' lists them"),
    OPTION_FLAG('h', "help", IoMain, help, "this help"),
    OPTION_FLAG('V', "version", IoMain, version, "the version"),
    { .kind = TOOL_END } };

static void print_version(void)
{
    if (strcmp(tool_name, "qemu-io") == 0) {
        printf("qemu-io version 7.2.0 (Roost %s)\n", ROOST_VERSION);
    } else {
        printf("Roost version %s\n", ROOST_VERSION);
    }
}

static void print_help(void)
{
    printf("usage: %s [OPTIONS] [-c COMMAND]... [FILE]\nSends requests to a disk image and shows what comes back.\n\n", tool_name);
    tool_options_help(io_options);
    printf("\n'%s -c help' lists the commands.\n", tool_name);
}

void io_print_manual(void (*term)(const char *bold, const char *argument), void (*text)(const char *line))
{
    for (const ToolOption *option = io_options; option->kind != TOOL_END; option++) {
        g_autofree char *name = option->letter ? g_strdup_printf("-%c%s%s", option->letter, option->name ? ", --" : "",
                                                                 option->name ? option->name : "") : g_strdup_printf("--%s", option->name);
        term(name, option->argument);
        text(option->help);
    }
    for (size_t i = 0; io_tables[i]; i++) {
        for (const IoCommand *command = io_tables[i]; command->name; command++) {
            term(command->name, command->arguments);
            text(command->summary);
        }
    }
}

/* ---- images ------------------------------------------------------------------------------------------------- */

/* A temporary image that goes when it is closed, above the one that is open. */
static bool put_snapshot(IoSession *session, GError **err)
{
    Node *below = session->image.node;
    NodeOpen how = { .writable = true };
    g_autofree char *path = g_strdup_printf("%s/roost-io-XXXXXX", g_get_tmp_dir());
    g_autoptr(Value) create = value_new_object(), options = value_new_object();
    Value *file = value_new_object();
    int fd = mkstemp(path);
    bool made;

    value_set(file, "driver", value_new_string("file"));
    value_set(file, "filename", value_new_string(path));
    value_set(options, "driver", value_new_string("qcow2"));
    value_set(options, "file", file);
    value_set(options, "backing", value_new_string(node_name(below)));
    if (fd < 0) {
        return fail(err, errno, "no temporary image '%s': %s", path, g_strerror(errno));
    }
    close(fd);
    made = image_create(path, "qcow2", node_length(below), create, false, true, &how, err) && node_open(&session->image.node, options, &how, err);
    unlink(path);
    if (made) {
        node_unref(below);                 /* the overlay holds it */
    } else {
        session->image.node = below;
    }
    return made;
}

static bool put_copy_on_read(IoSession *session, const NodeOpen *how, GError **err)
{
    Node *below = session->image.node;
    g_autoptr(Value) options = value_new_object();

    value_set(options, "driver", value_new_string("copy-on-read"));
    value_set(options, "file", value_new_string(node_name(below)));
    if (!node_open(&session->image.node, options, how, err)) {
        session->image.node = below;
        return false;
    }
    node_unref(below);
    return true;
}

static bool parse_discard(const char *text, bool *discard, GError **err)
{
    if (strcmp(text, "unmap") == 0 || strcmp(text, "on") == 0) {
        *discard = true;
    } else if (strcmp(text, "ignore") == 0 || strcmp(text, "off") == 0) {
        *discard = false;
    } else {
        return fail(err, EINVAL, "Invalid discard option: %s", text);
    }
    return true;
}

/* Filters above the image need it without a user of its own: they come first, then ours. */
static bool dress(IoSession *session, const IoOpen *how, bool writable, GError **err)
{
    NodeOpen flags = { .writable = writable };

    if (!how->snapshot && !how->copy_on_read) {
        return true;
    }
    node_detach(g_steal_pointer(&session->image.user));
    if ((how->snapshot && !put_snapshot(session, err)) || (how->copy_on_read && !put_copy_on_read(session, &flags, err))) {
        return false;
    }
    session->image.user = node_attach(session->image.node, tool_name, PERM_CONSISTENT_READ | PERM_WRITE | PERM_RESIZE, PERM_ALL, err);
    return session->image.user != NULL;
}

bool io_open(IoSession *session, const IoOpen *how, GError **err)
{
    ToolOpen open = { .name = how->name, .format = how->format, .cache = how->cache, .image_opts = how->image_opts, .share = how->share,
                      .trust = how->trust, .writable = !how->readonly, .resizable = true, .discard = true };
    g_autoptr(Value) more = how->options ? value_copy(how->options) : value_new_object();

    if (tool_is_open(&session->image)) {
        return fail(err, EBUSY, "file open already, try 'help close'");
    }
    if (how->share && !how->readonly) {
        return fail(err, EINVAL, "can't open device %s: force-share=on can only be used with read-only images", how->name ? how->name : "");
    }
    if (how->discard && !parse_discard(how->discard, &open.discard, err)) {
        return false;
    }
    if (how->engine) {
        Value *file = value_get(more, "file");
        if (value_kind(file) != VALUE_OBJECT) {
            file = value_new_object();
            value_set(more, "file", file);
        }
        value_set(file, "aio", value_new_string(how->engine));
    }
    open.more = more;
    if (how->snapshot) {
        open.writable = false;
    }
    if (!tool_open(&session->image, &open, err) || !dress(session, how, !how->readonly, err)) {
        tool_close(&session->image);
        g_prefix_error(err, "can't open%s%s: ", how->name ? " device " : "", how->name ? how->name : "");
        return false;
    }
    session->readonly = how->readonly;
    return true;
}

bool io_close(IoSession *session)
{
    int result;

    io_drain(session);
    result = tool_close(&session->image);
    if (result < 0) {
        tool_error("what was written could not be flushed: %s", g_strerror(-result));
    }
    return result >= 0;
}

/* ---- where lines come from ---------------------------------------------------------------------------------- */

typedef struct Line { char *text; size_t room; ssize_t length; } Line;

static int read_line(void *opaque)
{
    Line *line = opaque;

    line->length = getline(&line->text, &line->room, stdin);
    return line->length < 0 ? -ENODATA : 0;
}

static void run_input(IoSession *session, const IoMain *how)
{
    Line line = { 0 };

    while (!session->quit) {
        printf("%s> ", how->prompt);
        fflush(stdout);
        if (co_work(read_line, &line) < 0) {
            break;
        }
        line.text[strcspn(line.text, "\n")] = '\0';
        io_command_run(session, line.text);
    }
    free(line.text);
}

typedef struct IoJob { IoMain *how; } IoJob;

static int run_session(void *opaque)
{
    IoMain *how = ((IoJob *)opaque)->how;
    IoSession session = { .misalign = how->misalign };
    g_autoptr(GError) err = NULL;

    if (how->open.name && !io_open(&session, &how->open, &err)) {
        tool_complain(err);
        return 1;
    }
    if (how->commands) {
        for (guint i = 0; i < how->commands->len && !session.quit; i++) {
            io_command_run(&session, how->commands->pdata[i]);
        }
    } else {
        run_input(&session, how);
    }
    if (!io_close(&session)) {
        session.failed = true;
    }
    return session.failed;
}

static int start(IoMain *how, int argc, char **argv, GError **err)
{
    IoJob job = { how };
    int first;

    if (!tool_options_read(io_options, how, argc, argv, false, &first, err)) {
        return 1;
    }
    if (how->help || how->version) {
        (how->help ? print_help : print_version)();
        return 0;
    }
    if (argc - first > 1) {
        fail(err, EINVAL, "one image at most: '%s' is one too many", argv[first + 1]);
        return 1;
    }
    if (how->native) {
        how->open.engine = "native";
    }
    if (how->direct) {
        how->open.cache = "none";
    }
    how->open.name = first < argc ? argv[first] : NULL;
    if (how->open.name && how->open.image_opts && how->open.format) {
        fail(err, EINVAL, "--image-opts and -f are mutually exclusive");
        return 1;
    }
    return tool_run(run_session, &job);
}

int io_main(int argc, char **argv, const char *as)
{
    const char *last = strrchr(as, ' ');
    IoMain how = { .prompt = last ? "roost-io" : as };
    g_autoptr(GError) err = NULL;
    int status;

    tool_name = as;
    signal(SIGPIPE, SIG_IGN);
    status = start(&how, argc, argv, &err);
    if (err) {
        tool_complain(err);
        fprintf(stderr, "Try '%s --help' for more information\n", tool_name);
    }
    tool_options_clear(io_options, &how);
    return status;
}
