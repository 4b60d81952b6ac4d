/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * img-snapshot.c - roost img snapshot: the snapshots inside an image
 *
 * Threads  the tool's only one
 * Tests    tests/block/img-commands.py
 */
#include "base/option.h"
#include "base/timer.h"
#include "block/driver.h"
#include "cli/img.h"
#include <errno.h>
#include <string.h>

typedef struct Snapshot {
    Img img;
    char action;                           /* 'a', 'c', 'd', 'l'; 0: none was named */
    const char *name;
} Snapshot;

static bool take_action(Snapshot *snapshot, char action, const char *name, GError **err)
{
    if (snapshot->action) {
        return fail(err, EINVAL, "Cannot mix '-l', '-a', '-c', '-d'");
    }
    snapshot->action = action;
    snapshot->name = name;
    return true;
}

static bool take_list(void *into, const char *text, GError **err)
{
    return take_action(into, 'l', text, err);
}

static bool take_apply(void *into, const char *text, GError **err)
{
    return take_action(into, 'a', text, err);
}

static bool take_create(void *into, const char *text, GError **err)
{
    return take_action(into, 'c', text, err);
}

static bool take_delete(void *into, const char *text, GError **err)
{
    return take_action(into, 'd', text, err);
}

static const ToolOption snapshot_options[] = {
    IMG_FORMAT, IMG_IMAGE_OPTS, IMG_OBJECT, IMG_QUIET, IMG_SHARE, IMG_TRUST,
    OPTION_CALL('l', NULL, NULL, take_list, "list them; what is done without an action"),
    OPTION_CALL('a', NULL, "SNAPSHOT", take_apply, "go back to that state; what was written since is lost"),
    OPTION_CALL('c', NULL, "SNAPSHOT", take_create, "make one of that name"),
    OPTION_CALL('d', NULL, "SNAPSHOT", take_delete, "delete it, by name or id"),
    IMG_HELP, IMG_OPTIONS_END };

static bool list_snapshots(Node *node, GError **err)
{
    const ImageSnapshotOps *ops = node_driver(node)->snapshots;
    g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(ImageSnapshot));
    int result = ops && ops->list ? ops->list(node, list) : 0;

    if (result < 0 && result != -ENOTSUP) {
        return fail(err, -result, "'%s': its snapshots cannot be read: %s", node_filename(node), g_strerror(-result));
    }
    if (list->len) {
        printf("Snapshot list:\n");
        img_print_snapshots(list);
    }
    for (guint i = 0; i < list->len; i++) {
        image_snapshot_clear(&g_array_index(list, ImageSnapshot, i));
    }
    return true;
}

static bool create_snapshot(Node *node, const char *name, GError **err)
{
    const ImageSnapshotOps *ops = node_driver(node)->snapshots;
    int64_t now = clock_now(CLOCK_HOST);
    ImageSnapshot snapshot = { .name = g_strdup(name), .date_sec = (uint32_t)(now / NS_PER_SECOND),
                               .date_nsec = (uint32_t)(now % NS_PER_SECOND), .disk_size = node_length(node) };
    int result = ops && ops->create ? ops->create(node, &snapshot, err) : -ENOTSUP;

    image_snapshot_clear(&snapshot);
    if (result < 0 && err && !*err) {
        return fail(err, -result, "Could not create snapshot '%s': %s", name, g_strerror(-result));
    }
    g_prefix_error(err, "Could not create snapshot '%s': ", name);
    return result >= 0;
}

static bool change_snapshot(Node *node, char action, const char *name, GError **err)
{
    const ImageSnapshotOps *ops = node_driver(node)->snapshots;
    int (*change)(Node *, const char *, GError **) = !ops ? NULL : action == 'a' ? ops->apply : ops->remove;
    const char *verb = action == 'a' ? "apply" : "delete";
    ImageSnapshot found = { 0 };
    int result = -ENOTSUP;

    if (!image_snapshot_find(node, name, &found, err)) {
        g_prefix_error(err, "Could not %s snapshot '%s': ", verb, name);
        return false;
    }
    if (change) {
        result = change(node, found.id, err);
    }
    image_snapshot_clear(&found);
    if (result < 0 && err && !*err) {
        return fail(err, -result, "Could not %s snapshot '%s': %s", verb, name, g_strerror(-result));
    }
    g_prefix_error(err, "Could not %s snapshot '%s': ", verb, name);
    return result >= 0;
}

/* Both an id and a name may be asked for: they must be of one snapshot. */
static bool find_exactly(Node *node, const char *id, const char *name, ImageSnapshot *found, GError **err)
{
    if (!image_snapshot_find(node, id ? id : name, found, err)) {
        return false;
    }
    if ((id && strcmp(found->id, id) != 0) || (name && strcmp(found->name, name) != 0)) {
        image_snapshot_clear(found);
        return fail(err, ENOENT, "'%s' has no snapshot of id '%s' and name '%s'", node_filename(node), id ? id : "any", name ? name : "any");
    }
    return true;
}

bool img_load_snapshot(Node *node, const char *text, GError **err)
{
    static const Field keys[] = { { .name = "snapshot.id", .kind = FIELD_STR }, { .name = "snapshot.name", .kind = FIELD_STR }, FIELD_END };
    static const OptionGrammar grammar = { .who = "-l", .keys = keys };
    const ImageSnapshotOps *ops = node_driver(node)->snapshots;
    ImageSnapshot found = { 0 };
    bool loaded;

    if (!ops || !ops->load_temporary) {
        return fail(err, ENOTSUP, "'%s': its format '%s' has no snapshots inside", node_filename(node), node_driver_name(node));
    }
    if (g_str_has_prefix(text, "snapshot.")) {
        g_autoptr(Value) options = option_parse(&grammar, text, err);
        if (!options || !find_exactly(node, value_get_string(options, "snapshot.id", NULL), value_get_string(options, "snapshot.name", NULL),
                                      &found, err)) {
            return false;
        }
    } else if (!image_snapshot_find(node, text, &found, err)) {
        return false;
    }
    loaded = ops->load_temporary(node, found.id, err);
    image_snapshot_clear(&found);
    return loaded;
}

static int snapshot_run(Img *img, GError **err)
{
    const Snapshot *snapshot = (const Snapshot *)img;
    ToolOpen how = img_how(img, img->operands[0]);
    bool list = !snapshot->action || snapshot->action == 'l', done;
    ToolImage image;

    how.writable = how.resizable = !list;
    if (!tool_open(&image, &how, err)) {
        return 1;
    }
    done = list ? list_snapshots(image.node, err)
           : snapshot->action == 'c' ? create_snapshot(image.node, snapshot->name, err)
                                     : change_snapshot(image.node, snapshot->action, snapshot->name, err);
    done = tool_close_written(&image, img->operands[0], done, err);
    return done ? 0 : 1;
}

const ImgCommand img_snapshot = {
    .name = "snapshot", .operands = "FILE", .least = 1, .most = 1, .wanted = "Expecting one image file name", .size = sizeof(Snapshot),
    .help = "Lists, makes, applies and deletes the snapshots inside an image.",
    .options = snapshot_options, .run = snapshot_run,
};
