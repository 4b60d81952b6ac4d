/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * img.h - roost img: the subcommands' table and what they share
 *
 * A subcommand is a row: its options land in a struct of its own that begins with Img; .run is a coroutine on a loop made for it
 * and returns the exit status, with a sentence in *err where one is due.
 */
#pragma once
#include "cli/tool.h"

typedef struct ImgCommand ImgCommand;

typedef struct Img {
    const ImgCommand *command;
    int count;                             /* operands */
    char **operands;
    const char *format, *cache, *source_cache, *output;
    bool image_opts, share, quiet, progress, trust, help;
    bool json;                             /* from output */
} Img;

struct ImgCommand {
    const char *name;
    const char *operands;                  /* "FILE [SIZE]" */
    int least, most;                       /* of them; most -1: any number */
    const char *wanted;                    /* the sentence of too few: "Expecting one image file name" */
    const char *help;
    const ToolOption *options;
    size_t size;                           /* of the struct that begins with Img */
    bool signed_operand;                   /* the last operand may begin with a minus */
    int (*run)(Img *img, GError **err);
    void (*preset)(Img *img);              /* other values than zero, before the options; NULL */
};

/* Rows that many subcommands have; T begins with Img common. */
#define IMG_OBJECT OPTION_CALL(0, "object", "OBJECT", tool_add_object, "make an object that the image needs: secret,id=...")
#define IMG_IMAGE_OPTS OPTION_FLAG(0, "image-opts", Img, image_opts, "the image is KEY=VALUE,... as of -blockdev, not a file name")
#define IMG_FORMAT OPTION_TEXT('f', NULL, "FORMAT", Img, format, "the image's format; else its first bytes decide")
#define IMG_QUIET OPTION_FLAG('q', NULL, Img, quiet, "print nothing but errors")
#define IMG_PROGRESS OPTION_FLAG('p', NULL, Img, progress, "show how far it is")
#define IMG_CACHE OPTION_TEXT('t', NULL, "CACHE", Img, cache, "cache mode for writing: writeback, none, writethrough, directsync, unsafe")
#define IMG_SOURCE_CACHE OPTION_TEXT('T', NULL, "CACHE", Img, source_cache, "cache mode for reading")
#define IMG_SHARE OPTION_FLAG('U', "force-share", Img, share, "open without locks while a guest runs on it: what is read may be stale")
#define IMG_OUTPUT OPTION_TEXT(0, "output", "human|json", Img, output, "how the result is printed")
#define IMG_TRUST OPTION_FLAG(0, "trust", Img, trust, "follow any file name that an image holds")
#define IMG_HELP OPTION_FLAG('h', "help", Img, help, "this help")
#define IMG_OPTIONS_END { .kind = TOOL_END }

extern const ImgCommand *const img_commands[];             /* NULL-terminated */
extern const ImgCommand img_amend, img_bench, img_bitmap, img_check, img_commit, img_compare, img_convert, img_create, img_dd, img_info,
                        img_map, img_measure, img_rebase, img_resize, img_snapshot;

/* argv[0] is "img"; the exit status. as: what begins its sentences. */
int img_main(int argc, char **argv, const char *as);
void img_print_help(void);
void img_print_manual(void (*term)(const char *bold, const char *argument), void (*text)(const char *line));

/* How this subcommand opens its image: format, cache, -U, --trust as its options say. */
ToolOpen img_how(const Img *img, const char *name);
/* "-q" silences it. */
void img_say(const Img *img, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* -o, which may be given more than once: keys as text; an empty object for none. NULL and *err for what is no list. */
Value *img_creation_options(const GPtrArray *texts, GError **err);
bool img_wants_creation_help(const GPtrArray *texts);
/* -o help: a line per key, of the format and of the protocol that file (may be NULL) is on. */
bool img_print_creation_help(const char *format, const char *file, GError **err);
bool img_print_amend_help(const char *format, GError **err);

/* What qemu-img info says about an image, as QMP's ImageInfo. co; the caller owns it. */
void img_print_specific(const Value *specific);            /* "Format specific information:", where there is any */
void img_print_snapshots(GArray *snapshots);               /* of ImageSnapshot: the table */
/* -l: reads of node come from that snapshot: snapshot.id=ID,snapshot.name=NAME or one of both. co. */
bool img_load_snapshot(Node *node, const char *text, GError **err);
/* A JSON document on standard output, its members in the order in which QEMU prints them. */
void img_print_json(const Value *value);
