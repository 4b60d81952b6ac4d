/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * img-check.c - roost img check: is the image consistent, and -r makes it so
 *
 * The exit status: 0 nothing found, 1 the check itself failed, 2 the image is corrupt, 3 space is lost and nothing else, 63 the
 * format cannot be checked.
 *
 * Threads  the tool's only one
 * Tests    tests/block/img-commands.py
 */
#include "block/driver.h"
#include "cli/img.h"
#include <errno.h>
#include <string.h>

enum { CHECK_FAILED = 1, CHECK_CORRUPT = 2, CHECK_LEAKS = 3, CHECK_UNSUPPORTED = 63 };

typedef struct Check {
    Img img;
    int repair;                            /* CheckRepair's bits */
} Check;

static bool take_repair(void *into, const char *text, GError **err)
{
    Check *check = into;

    if (strcmp(text, "leaks") == 0) {
        check->repair = REPAIR_LEAKS;
    } else if (strcmp(text, "all") == 0) {
        check->repair = REPAIR_LEAKS | REPAIR_ERRORS;
    } else {
        return fail(err, EINVAL, "Unknown option value for -r (expecting 'leaks' or 'all'): %s", text);
    }
    return true;
}

static const ToolOption check_options[] = {
    IMG_FORMAT, IMG_IMAGE_OPTS, IMG_OBJECT, IMG_OUTPUT, IMG_QUIET, IMG_SHARE, IMG_TRUST,
    OPTION_CALL('r', "repair", "leaks|all", take_repair, "repair what was found: lost space only, or everything"),
    OPTION_TEXT('T', NULL, "CACHE", Img, source_cache, "cache mode"),
    IMG_HELP, IMG_OPTIONS_END };

static void tell(void *opaque, const char *line)
{
    (void)opaque;
    fflush(stdout);
    fprintf(stderr, "%s\n", line);
}

static void print_human(const ImageCheck *check)
{
    if (!check->corruptions && !check->leaks && !check->check_errors) {
        printf("No errors were found on the image.\n");
    }
    if (check->corruptions) {
        printf("\n%" G_GUINT64_FORMAT " errors were found on the image.\n"
               "Data may be corrupted, or further writes to the image may corrupt it.\n", check->corruptions);
    }
    if (check->leaks) {
        printf("\n%" G_GUINT64_FORMAT " leaked clusters were found on the image.\n"
               "This means waste of disk space, but no harm to data.\n", check->leaks);
    }
    if (check->check_errors) {
        printf("\n%" G_GUINT64_FORMAT " internal errors have occurred during the check.\n", check->check_errors);
    }
    if (check->total_clusters && check->allocated_clusters) {
        printf("%" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT " = %0.2f%% allocated, %0.2f%% fragmented, %0.2f%% compressed clusters\n",
               check->allocated_clusters, check->total_clusters, (double)check->allocated_clusters * 100.0 / (double)check->total_clusters,
               (double)check->fragmented_clusters * 100.0 / (double)check->allocated_clusters,
               (double)check->compressed_clusters * 100.0 / (double)check->allocated_clusters);
    }
    if (check->image_end_offset) {
        printf("Image end offset: %" G_GUINT64_FORMAT "\n", check->image_end_offset);
    }
}

static void print_json(const ImageCheck *check, const char *name, const char *format)
{
    const struct { const char *key; uint64_t number; bool always; } numbers[] = {
        { "check-errors", check->check_errors, true }, { "image-end-offset", check->image_end_offset, false },
        { "corruptions", check->corruptions, false }, { "leaks", check->leaks, false },
        { "corruptions-fixed", check->corruptions_fixed, false }, { "leaks-fixed", check->leaks_fixed, false },
        { "total-clusters", check->total_clusters, false }, { "allocated-clusters", check->allocated_clusters, false },
        { "fragmented-clusters", check->fragmented_clusters, false }, { "compressed-clusters", check->compressed_clusters, false },
    };
    g_autoptr(Value) object = value_new_object();

    value_set(object, "filename", value_new_string(name));
    value_set(object, "format", value_new_string(format));
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
        if (numbers[i].number || numbers[i].always) {
            value_set(object, numbers[i].key, value_new_uint(numbers[i].number));
        }
    }
    img_print_json(object);
}

static int check_once(Node *node, ImageCheck *check, int repair, GError **err)
{
    const NodeDriver *driver = node_driver(node);
    int result;

    if (!driver->check) {
        fail(err, ENOTSUP, "This image format does not support checks");
        return CHECK_UNSUPPORTED;
    }
    *check = (ImageCheck){ .tell = tell };
    result = driver->check(node, check, (CheckRepair)repair);
    if (result == -ENOTSUP) {
        fail(err, ENOTSUP, "This image format does not support checks");
        return CHECK_UNSUPPORTED;
    }
    if (result < 0) {
        fail(err, -result, "Check failed: %s", g_strerror(-result));
        return CHECK_FAILED;
    }
    return 0;
}

static int verdict(const ImageCheck *check)
{
    return check->check_errors ? CHECK_FAILED : check->corruptions ? CHECK_CORRUPT : check->leaks ? CHECK_LEAKS : 0;
}

/* What -r mended is looked at again, since a mended table can bring more to light. */
static int check_image(const Check *how, Node *node, GError **err)
{
    ImageCheck check;
    int status = check_once(node, &check, how->repair, err);

    if (!status && (check.leaks_fixed || check.corruptions_fixed)) {
        uint64_t leaks = check.leaks_fixed, corruptions = check.corruptions_fixed;
        if (!how->img.json) {
            img_say(&how->img, "The following inconsistencies were found and repaired:\n\n    %" G_GUINT64_FORMAT " leaked clusters\n    %"
                    G_GUINT64_FORMAT " corruptions\n\nDouble checking the fixed image now...\n", leaks, corruptions);
        }
        status = check_once(node, &check, 0, err);
        check.leaks_fixed = leaks;
        check.corruptions_fixed = corruptions;
    }
    if (status) {
        return status;
    }
    if (how->img.json) {
        print_json(&check, how->img.operands[0], node_driver_name(node));
    } else if (!how->img.quiet) {
        print_human(&check);
    }
    return verdict(&check);
}

static int check_run(Img *img, GError **err)
{
    const Check *check = (const Check *)img;
    ToolOpen how = img_how(img, img->operands[0]);
    ToolImage image;
    bool good;
    int status;

    how.cache = img->source_cache;
    how.writable = check->repair != 0;
    how.resizable = how.checking = true;
    if (!tool_open(&image, &how, err)) {
        return CHECK_FAILED;
    }
    status = check_image(check, image.node, err);
    good = status != CHECK_FAILED && status != CHECK_UNSUPPORTED;
    return tool_close_written(&image, img->operands[0], good, err) || !good ? status : CHECK_FAILED;
}

const ImgCommand img_check = {
    .name = "check", .operands = "FILE", .least = 1, .most = 1, .wanted = "Expecting one image file name", .size = sizeof(Check),
    .help = "Checks an image for consistency; the exit status is 0 for a good one, 2 for a corrupt one, 3 for lost space, 63 where the "
            "format has nothing to check.",
    .options = check_options, .run = check_run,
};
