/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * io.h - roost io: a session with one open image, and the table of its commands
 */
#pragma once
#include "cli/tool.h"

typedef struct IoSession {
    ToolImage image;
    bool readonly;                         /* what the next image is opened as */
    bool misalign, json_names;
    bool quit;
    bool failed;                           /* a command failed: the exit status */
    unsigned in_flight;                    /* requests of aio_read and aio_write */
    Coroutine *drainer;                    /* waits until there are none */
} IoSession;

typedef struct IoCommand IoCommand;
typedef struct IoArguments {               /* what a command's options filled in */
    bool report, quiet, verbose, vmstate, compressed, fua, strict, unmap, zero, invalid, ignored;
    bool readonly, writable, snapshot, copy_on_read, direct, share, native;
    const char *pattern, *skip, *length, *file, *cache, *engine, *discard, *preallocation;
    GPtrArray *options;
    int count;                             /* operands */
    char **operands;
    const IoCommand *command;
} IoArguments;

struct IoCommand {
    const char *name, *alias;              /* alias may be NULL */
    const char *arguments;                 /* for the help: "[-q] off len" */
    const char *summary;
    const char *details;                   /* lines; may be NULL */
    int least, most;                       /* operands and options; most -1: any number */
    bool without_image;                    /* makes sense when none is open */
    bool needs_write;
    const ToolOption *options;
    bool (*run)(IoSession *session, IoArguments *arguments);    /* false: it failed, and has said so */
};

extern const IoCommand *const io_tables[];                 /* each ends with .name NULL; the list ends with NULL */
extern const IoCommand io_session_commands[], io_request_commands[], io_look_commands[];

const IoCommand *io_command_find(const char *name);
/* co; one line of the language */
void io_command_run(IoSession *session, const char *line);
void io_print_usage(const IoCommand *command);             /* its one line */
void io_drain(IoSession *session);         /* co; waits for aio_* */

/* How the command line, or open, wants an image. */
typedef struct IoOpen {
    const char *name, *format, *cache, *engine, *discard;
    const Value *options;
    bool image_opts, readonly, snapshot, copy_on_read, share, trust;
} IoOpen;
bool io_open(IoSession *session, const IoOpen *how, GError **err);     /* co */
bool io_close(IoSession *session);         /* co; false: what was written could not be flushed, and it says so */

/* Numbers as the commands take them; what is wrong is said on standard output, as qemu-io does. */
bool io_number(const char *text, uint64_t *out);
char *io_size_text(double value);          /* "9.766 KiB", "40 bytes"; the caller frees */

/* argv[0] is "io" */
int io_main(int argc, char **argv, const char *as);
void io_print_manual(void (*term)(const char *bold, const char *argument), void (*text)(const char *line));
