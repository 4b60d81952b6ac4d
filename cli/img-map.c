/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * img-map.c - roost img map: which layer of the chain decides what is read, and where in its file it lies
 *
 * Threads  the tool's only one
 * Tests    tests/block/img-commands.py
 */
#include "cli/img.h"
#include <errno.h>
#include <string.h>

typedef struct Map {
    Img img;
    const char *start, *length;
} Map;

static const ToolOption map_options[] = {
    IMG_FORMAT, IMG_IMAGE_OPTS, IMG_OBJECT, IMG_OUTPUT, IMG_SHARE, IMG_TRUST,
    OPTION_TEXT('s', "start-offset", "OFFSET", Map, start, "begin there"),
    OPTION_TEXT('l', "max-length", "LENGTH", Map, length, "and go that far"),
    IMG_HELP, IMG_OPTIONS_END };

typedef struct Extent {
    uint64_t start, length, offset;
    unsigned depth;
    int status;
    const char *file;                      /* lent by its node; NULL */
} Extent;

/* One layer after the other is asked, filters left out, until one knows. */
static bool find_extent(Node *top, uint64_t start, uint64_t most, Extent *extent, GError **err)
{
    Node *node = node_skip_filters(top), *file = NULL;
    uint64_t count = most, map = 0;

    *extent = (Extent){ .start = start };
    for (;;) {
        extent->status = node_block_status(node, start, count, &count, &map, &file);
        if (extent->status < 0) {
            return fail(err, -extent->status, "Failed to read image metadata: %s", g_strerror(-extent->status));
        }
        Node *below = node_backing(node);
        if (extent->status & (STATUS_DATA | STATUS_ZERO) || !below) {
            break;
        }
        node = node_skip_filters(below);
        extent->depth++;
    }
    if (!count) {
        return fail(err, EIO, "the image does not say what is at offset %" G_GUINT64_FORMAT, start);
    }
    extent->length = count;
    if (extent->status & STATUS_OFFSET) {
        extent->offset = map;
        extent->file = file ? node_filename(file) : NULL;
    }
    return true;
}

static bool continues(const Extent *a, const Extent *b)
{
    const int same = STATUS_DATA | STATUS_ZERO | STATUS_ALLOCATED | STATUS_OFFSET;

    return (a->status & same) == (b->status & same) && a->depth == b->depth && g_strcmp0(a->file, b->file) == 0 &&
           (!(a->status & STATUS_OFFSET) || a->offset + a->length == b->offset);
}

static const char *word(int truth)
{
    return truth ? "true" : "false";
}

static bool print_extent(const Map *map, const Extent *extent, bool first, GError **err)
{
    if (map->img.json) {
        printf("%s{ \"start\": %" G_GUINT64_FORMAT ", \"length\": %" G_GUINT64_FORMAT ", \"depth\": %u, \"present\": %s, \"zero\": %s, \"data\": %s",
               first ? "" : ",\n", extent->start, extent->length, extent->depth, word(extent->status & STATUS_ALLOCATED),
               word(extent->status & STATUS_ZERO), word(extent->status & STATUS_DATA));
        if (extent->status & STATUS_OFFSET) {
            printf(", \"offset\": %" G_GUINT64_FORMAT, extent->offset);
        }
        putchar('}');
        return true;
    }
    if ((extent->status & (STATUS_DATA | STATUS_ZERO)) != STATUS_DATA) {
        return true;
    }
    if (!(extent->status & STATUS_OFFSET)) {
        return fail(err, ENOTSUP, "File contains external, encrypted or compressed clusters.");
    }
    printf("%#-16" G_GINT64_MODIFIER "x%#-16" G_GINT64_MODIFIER "x%#-16" G_GINT64_MODIFIER "x%s\n", extent->start, extent->length,
           extent->offset, extent->file ? extent->file : "");
    return true;
}

static bool print_map(const Map *map, Node *node, uint64_t start, uint64_t end, GError **err)
{
    Extent gathered = { .start = start }, next;
    bool first = true;

    if (map->img.json) {
        putchar('[');
    } else {
        printf("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to", "File");
    }
    for (uint64_t at = start; at < end; at += next.length) {
        if (!find_extent(node, at, end - at, &next, err)) {
            return false;
        }
        if (gathered.length && continues(&gathered, &next)) {
            gathered.length += next.length;
            continue;
        }
        if (gathered.length) {
            if (!print_extent(map, &gathered, first, err)) {
                return false;
            }
            first = false;
        }
        gathered = next;
    }
    if (!print_extent(map, &gathered, first, err)) {       /* an empty one, where nothing was asked for */
        return false;
    }
    if (map->img.json) {
        puts("]");
    }
    return true;
}

static int map_run(Img *img, GError **err)
{
    const Map *map = (const Map *)img;
    ToolOpen how = img_how(img, img->operands[0]);
    uint64_t start = 0, length = UINT64_MAX, total;
    ToolImage image;
    bool done;

    if ((map->start && !tool_parse_size(map->start, "start offset", &start, err)) ||
        (map->length && !tool_parse_size(map->length, "max length", &length, err)) || !tool_open(&image, &how, err)) {
        return 1;
    }
    total = node_length(image.node);
    done = print_map(map, image.node, start, start >= total ? start : start + MIN(length, total - start), err);
    tool_close(&image);
    return done ? 0 : 1;
}

const ImgCommand img_map = {
    .name = "map", .operands = "FILE", .least = 1, .most = 1, .wanted = "Expecting one image file name", .size = sizeof(Map),
    .help = "Lists the image's pieces: the layer of the chain that holds each, and where it lies there.",
    .options = map_options, .run = map_run,
};
