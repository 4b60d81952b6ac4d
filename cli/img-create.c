/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * img-create.c - roost img create, and the -o of everything that makes an image
 *
 * Threads  the tool's only one
 * Tests    tests/block/img-commands.py
 */
#include "base/option.h"
#include "block/driver.h"
#include "cli/img.h"
#include <errno.h>
#include <string.h>

typedef struct Create {
    Img img;
    const char *backing, *backing_format;
    GPtrArray *options;
    bool unsafe, encrypt, old;
} Create;

static const ToolOption create_options[] = {
    OPTION_TEXT('f', NULL, "FORMAT", Img, format, "the new image's format (raw)"),
    OPTION_TEXT('b', NULL, "BACKING_FILE", Create, backing, "what is read where nothing was written yet"),
    OPTION_TEXT('F', NULL, "FORMAT", Create, backing_format, "the backing file's format"),
    OPTION_TEXTS('o', NULL, "KEY=VALUE,...", Create, options, "the format's own options; 'help' lists them"),
    OPTION_FLAG('u', NULL, Create, unsafe, "do not open the backing file: it may be missing; then SIZE is needed"),
    OPTION_FLAG('e', NULL, Create, encrypt, "of old; write -o encrypt.format=luks,encrypt.key-secret=ID"),
    OPTION_FLAG('6', NULL, Create, old, "of old; write -o compat=1.1"),
    IMG_QUIET, IMG_OBJECT, IMG_TRUST, IMG_HELP, IMG_OPTIONS_END };

/* ---- -o ----------------------------------------------------------------------------------------------------- */

/* An item must stand between the commas, lest "-o a -o b" run together otherwise than they were meant. */
static bool is_list(const char *text)
{
    size_t length = strlen(text), commas = 0;

    while (commas < length && text[length - 1 - commas] == ',') {
        commas++;
    }
    return length && text[0] != ',' && commas % 2 == 0;
}

Value *img_creation_options(const GPtrArray *texts, GError **err)
{
    static const OptionGrammar grammar = { .who = "-o" };
    g_autoptr(GString) all = g_string_new(NULL);

    for (guint i = 0; texts && i < texts->len; i++) {
        const char *text = texts->pdata[i];
        if (!is_list(text)) {
            fail(err, EINVAL, "Invalid option list: %s", text);
            return NULL;
        }
        g_string_append_printf(all, "%s%s", i ? "," : "", text);
    }
    return all->len ? option_parse(&grammar, all->str, err) : value_new_object();
}

bool img_wants_creation_help(const GPtrArray *texts)
{
    for (guint i = 0; texts && i < texts->len; i++) {
        if (option_wants_help(texts->pdata[i])) {
            return true;
        }
    }
    return false;
}

static const char *kind_text(const Field *field)
{
    switch (field->kind) {
    case FIELD_BOOL: return "bool (on/off)";
    case FIELD_SIZE: return "size";
    case FIELD_U8: case FIELD_U16: case FIELD_U32: case FIELD_U64: case FIELD_I32: case FIELD_I64: return "num";
    default: return "str";
    }
}

static int by_field(const void *a, const void *b)
{
    return strcmp((*(const Field *const *)a)->name, (*(const Field *const *)b)->name);
}

/* Formats take some keys of the file below them: those are listed with a file only. */
static bool is_of_files(const char *key)
{
    return strcmp(key, "nocow") == 0 || strcmp(key, "extent_size_hint") == 0;
}

static void gather(GPtrArray *into, const Field *table, bool with_file)
{
    for (; table && table->kind != FIELD_LAST; table++) {
        bool known = false;
        for (guint i = 0; i < into->len; i++) {
            known |= strcmp(((const Field *)into->pdata[i])->name, table->name) == 0;
        }
        if (!table->hidden && !known && (with_file || !is_of_files(table->name))) {
            g_ptr_array_add(into, (Field *)table);
        }
    }
}

static void print_fields(const GPtrArray *fields)
{
    qsort(fields->pdata, fields->len, sizeof *fields->pdata, by_field);
    for (guint i = 0; i < fields->len; i++) {
        const Field *field = fields->pdata[i];
        g_autofree char *name = g_strdup_printf("%s=<%s>", field->name, kind_text(field));
        printf("  %-22s - %s\n", name, field->help ? field->help : "");
    }
}

static const Field size_field[] = {
    { .name = "size", .kind = FIELD_SIZE, .help = "Virtual disk size" }, FIELD_END };

static const NodeDriver *driver_to_create(const char *format, GError **err)
{
    const NodeDriver *driver = node_driver_find(format);

    if (!driver) {
        fail(err, EINVAL, "Unknown file format '%s'", format);
    } else if (!driver->create && !driver->create_file) {
        fail(err, ENOTSUP, "Format driver '%s' does not support image creation", format);
        driver = NULL;
    }
    return driver;
}

static const NodeDriver *protocol_of(const char *file, GError **err)
{
    g_autoptr(Value) options = node_parse_filename(file, err);

    return options ? node_driver_find(value_get_string(options, "driver", "file")) : NULL;
}

bool img_print_creation_help(const char *format, const char *file, GError **err)
{
    const NodeDriver *driver = driver_to_create(format, err), *protocol = NULL;
    g_autoptr(GPtrArray) fields = g_ptr_array_new();

    if (!driver || (file && !(protocol = protocol_of(file, err)))) {
        return false;
    }
    gather(fields, driver->create_options, file != NULL);
    gather(fields, size_field, false);
    if (protocol && protocol != driver) {
        gather(fields, protocol->create_options, true);
    }
    if (file) {
        printf("Supported options:\n");
        print_fields(fields);
        return true;
    }
    printf("Supported %s options:\n", format);
    print_fields(fields);
    printf("\nThe protocol level may support further options.\nSpecify the target filename to include those options.\n");
    return true;
}

bool img_print_amend_help(const char *format, GError **err)
{
    const NodeDriver *driver = node_driver_find(format);
    g_autoptr(GPtrArray) fields = g_ptr_array_new();

    if (!driver) {
        return fail(err, EINVAL, "Unknown file format '%s'", format);
    }
    if (!driver->amend) {
        return fail(err, ENOTSUP, "Format driver '%s' does not support option amendment", format);
    }
    gather(fields, driver->amend_options ? driver->amend_options : driver->create_options, false);
    gather(fields, size_field, false);
    printf("Amend options for '%s':\n", format);
    print_fields(fields);
    return true;
}

/* ---- create ------------------------------------------------------------------------------------------------- */

static bool read_size(const Create *create, Value *options, uint64_t *size, GError **err)
{
    const char *text = create->img.count > 1 ? create->img.operands[1] : NULL;
    const char *option = value_get_string(options, "size", NULL);

    if (text && option) {
        return fail(err, EINVAL, "%s: The image size must be specified only once", create->img.operands[0]);
    }
    *size = UINT64_MAX;
    if (text || option) {
        if (!tool_parse_size(text ? text : option, "image size", size, err)) {
            return false;
        }
    }
    value_remove(options, "size");
    return true;
}

static bool set_backing(const Create *create, Value *options, GError **err)
{
    if (create->backing) {
        if (value_get(options, "backing_file")) {
            return fail(err, EINVAL, "%s: the backing file is named twice, by -b and by -o backing_file", create->img.operands[0]);
        }
        value_set(options, "backing_file", value_new_string(create->backing));
    }
    if (create->backing_format) {
        if (value_get(options, "backing_fmt")) {
            return fail(err, EINVAL, "%s: the backing file's format is named twice, by -F and by -o backing_fmt", create->img.operands[0]);
        }
        value_set(options, "backing_fmt", value_new_string(create->backing_format));
    }
    return true;
}

static int create_run(Img *img, GError **err)
{
    Create *create = (Create *)img;
    const char *format = img->format ? img->format : "raw", *file = img->count ? img->operands[0] : NULL;
    NodeOpen how = { .writable = true, .trust = img->trust, .probe = true };
    g_autoptr(Value) options = NULL;
    uint64_t size;

    if (create->encrypt || create->old) {
        fail(err, EINVAL, create->encrypt ? "option -e is of old: write -o encrypt.format=luks,encrypt.key-secret=ID"
                                          : "option -6 is of old: write -o compat=1.1");
        return 1;
    }
    if (img_wants_creation_help(create->options)) {
        return img_print_creation_help(format, file, err) ? 0 : 1;
    }
    if (!file) {
        fail(err, EINVAL, "Expecting image file name");
        return 1;
    }
    options = img_creation_options(create->options, err);
    if (!options || !driver_to_create(format, err)) {
        g_prefix_error(err, "%s: ", file);
        return 1;
    }
    if (!set_backing(create, options, err) || !read_size(create, options, &size, err)) {
        return 1;
    }
    if (!tool_make(file, format, size, options, !create->unsafe, img->quiet, &how, err)) {
        g_prefix_error(err, "%s: ", file);
        return 1;
    }
    return 0;
}

const ImgCommand img_create = {
    .name = "create", .operands = "FILE [SIZE]", .least = 0, .most = 2, .wanted = "Expecting image file name", .size = sizeof(Create),
    .help = "Makes a new image of SIZE bytes, or as large as its backing file.",
    .options = create_options, .run = create_run,
};
