/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tool.h - what roost img and roost io share: option tables, sentences, numbers, progress, opening
 *
 * An option of a tool is a row: its letter, its long name, its help and where it lands in the struct of the command that
 * takes it. The parser, the help and the manual read the rows.
 */
#pragma once
#include "base/error.h"
#include "block/image.h"
#include <stdio.h>

typedef enum {
    TOOL_END, TOOL_FLAG,                   /* bool */
    TOOL_TEXT,                             /* const char *: the last one counts; points into argv */
    TOOL_TEXTS,                            /* GPtrArray * of const char *, made when needed */
    TOOL_NUMBER,                           /* uint64_t, plain */
    TOOL_SIZE,                             /* uint64_t with suffixes */
    TOOL_CALL,                             /* take() does it all */
} ToolOptionKind;

typedef struct ToolOption {
    char letter;                           /* 0: none */
    const char *name;                      /* long; NULL: none */
    const char *argument;                  /* its name in the help; NULL: it takes none */
    ToolOptionKind kind;
    size_t offset;
    uint64_t min, max;                     /* of numbers; checked when max != 0 */
    bool (*take)(void *into, const char *text, GError **err);
    const char *help;
} ToolOption;

#define TOOL_OPTION_(l, n, a, k, T, m, h, ...) \
    { .letter = l, .name = n, .argument = a, .kind = k, .offset = offsetof(T, m), .help = h, ##__VA_ARGS__ }
#define OPTION_FLAG(l, n, T, m, h) TOOL_OPTION_(l, n, NULL, TOOL_FLAG, T, m, h)
#define OPTION_TEXT(l, n, a, T, m, h) TOOL_OPTION_(l, n, a, TOOL_TEXT, T, m, h)
#define OPTION_TEXTS(l, n, a, T, m, h) TOOL_OPTION_(l, n, a, TOOL_TEXTS, T, m, h)
#define OPTION_NUMBER(l, n, a, T, m, h, ...) TOOL_OPTION_(l, n, a, TOOL_NUMBER, T, m, h, ##__VA_ARGS__)
#define OPTION_SIZE(l, n, a, T, m, h, ...) TOOL_OPTION_(l, n, a, TOOL_SIZE, T, m, h, ##__VA_ARGS__)
#define OPTION_CALL(l, n, a, call, h) { .letter = l, .name = n, .argument = a, .kind = TOOL_CALL, .take = call, .help = h }

/* Reads the options of argv[1..argc), sorts operands behind them unless in_order, where the first operand ends the options.
 * *first is the index of the first operand. */
bool tool_options_read(const ToolOption *table, void *into, int argc, char **argv, bool in_order, int *first, GError **err);
void tool_options_clear(const ToolOption *table, void *into);          /* frees what TOOL_TEXTS made */
void tool_options_help(const ToolOption *table);                       /* a line per row, on standard output */
/* "[-f FORMAT] [--image-opts] ..." */
char *tool_options_synopsis(const ToolOption *table);

/* "roost img", or the name that it was called by: begins every sentence on standard error. */
extern const char *tool_name;
void tool_error(const char *format, ...) G_GNUC_PRINTF(1, 2);
void tool_warning(const char *format, ...) G_GNUC_PRINTF(1, 2);
void tool_complain(const GError *err);

/* As QEMU's tools take sizes: k M G T P E, fractions, hexadecimal; below 8 EiB. what names it. */
bool tool_parse_size(const char *text, const char *what, uint64_t *out, GError **err);
/* "64 MiB", three digits. The caller frees. */
char *tool_size_text(uint64_t size);

/* none, writeback, writethrough, directsync, unsafe. */
bool tool_parse_cache(const char *text, CacheFlags *out, GError **err);
/* What --object brings: secret and other objects that images need. */
bool tool_add_object(void *into, const char *text, GError **err);
/* -T: trace points. */
bool tool_trace(void *into, const char *text, GError **err);

/* ---- progress: "    (12.34/100%)" over itself ---- */

typedef struct ToolProgress {
    bool shown;                            /* -p; else only SIGUSR1 asks */
    double percent, printed, step;         /* printed: -1 nothing yet */
} ToolProgress;
void tool_progress_prepare(void);          /* from now on SIGUSR1 asks */
void tool_progress_begin(ToolProgress *progress, bool shown, double step);
void tool_progress(ToolProgress *progress, uint64_t done, uint64_t total);
void tool_progress_end(ToolProgress *progress);

/* ---- images ---- */

typedef struct ToolImage {
    Node *node;                            /* NULL: none is open */
    NodeUser *user;
    RequestFlags write_flags;              /* REQ_FUA under cache=writethrough */
} ToolImage;

typedef struct ToolOpen {
    const char *name;                      /* as typed; NULL: the options say it all */
    const char *format;                    /* NULL: found out */
    const char *cache;                     /* NULL: writeback */
    const Value *more;                     /* further options of the node; NULL */
    bool image_opts;                       /* name is KEY=VALUE,... */
    bool writable, resizable, share, no_backing, no_io, checking, trust, discard;
    bool exclusive;                        /* nobody else may write meanwhile; what a format does anyway */
    DetectZeroes detect_zeroes;
} ToolOpen;
/* co */
bool tool_open(ToolImage *image, const ToolOpen *how, GError **err);
/* co; image_create() that leaves nothing behind when it fails. */
bool tool_make(const char *name, const char *format, uint64_t size, const Value *options, bool check_backing, bool quiet, const NodeOpen *how,
               GError **err);
/* A relative name means, when it will stand inside an image: from where that is. The caller frees. */
char *tool_beside(const char *image, const char *name);
int tool_close(ToolImage *image);          /* flushes what was written, lets go; 0 or -errno of the flush */
/* The same at the end of work that went well or not: done, unless the flush then fails, which is told with the image's name. */
bool tool_close_written(ToolImage *image, const char *name, bool done, GError **err);
static inline bool tool_is_open(const ToolImage *image) { return image->node != NULL; }

/* co: runs work(opaque) in that many coroutines at once, and waits for all. 0, or the first result below it. */
int tool_team(unsigned count, int (*work)(void *opaque), void *opaque);
/* Memory for requests to both nodes (b may be NULL), to be given back by free(); NULL when there is none. */
void *tool_buffer(const Node *a, const Node *b, size_t bytes);
/* The first 512-byte sector in which the two differ, as an offset; bytes where they do not. */
uint64_t tool_first_difference(const uint8_t *a, const uint8_t *b, uint64_t bytes);
/* The same against zeroes. */
uint64_t tool_first_nonzero(const uint8_t *a, uint64_t bytes);
bool tool_is_zero(const void *buffer, uint64_t bytes);

/* Runs work(opaque) as a coroutine on a loop made for it; its result, or 1 and a sentence when there can be none. */
int tool_run(int (*work)(void *opaque), void *opaque);
