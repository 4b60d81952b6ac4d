/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * img-copy.h - images into an image, by a team of coroutines (img-copy.c)
 *
 * Fill in what is above the line, run img_copy(), read the error.
 */
#pragma once
#include "cli/img.h"

typedef struct CopySource {
    Node *node;
    const char *name;                      /* for sentences */
    uint64_t skip, bytes;                  /* the part of it that is copied; beyond its end it reads as zeroes */
    uint64_t at;                           /* where it begins in the target: img_copy() computes it */
} CopySource;

typedef struct Copy {
    CopySource *sources;                   /* concatenated */
    unsigned source_count;
    Node *target;
    const char *target_name;
    RequestFlags write_flags;
    unsigned team;                         /* coroutines */
    uint64_t sparse;                       /* that many zeroes in a row are left out; 0: everything is written */
    uint64_t unit;                         /* looked for at multiples of this */
    uint64_t cluster;                      /* of the target, for compression; 0 */
    uint64_t rate;                         /* bytes a second; 0: no limit */
    bool compressed, out_of_order, offload, salvage, quiet;
    bool target_zero;                      /* all of the target reads as zeroes: it is new */
    bool target_backed;                    /* it has a backing file: what no source holds itself is left to that */
    uint64_t backed_bytes;                 /* as long as that */
    bool unmap;                            /* zeroes may become holes */
    ToolProgress *bar;
    /* ---- img_copy()'s own ---- */
    CoMutex claim;
    CoQueue turns;
    uint64_t next, total, done, ticket, turn;
    unsigned source;
    struct { uint64_t end; int kind; } known;
    int64_t began_ns;
    GError *error;
} Copy;

/* co */
bool img_copy(Copy *copy, GError **err);
