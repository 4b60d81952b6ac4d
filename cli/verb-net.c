/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * verb-net.c - net-list, net-info, net-dumpxml, pool-list, vol-list: networks and pools as libvirt's files define them
 *
 * The user's files (~/.config/libvirt) come before the host's (/etc/libvirt). Nothing here starts a network or a pool: one counts as active when
 * its bridge, or its folder, is there.
 *
 * Tests    tests/verbs/host.py
 */
#include "cli/verb-list.h"
#include "cli/xml-node.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

typedef struct Defined {
    char *name, *uuid, *detail;            /* detail: a network's bridge, a pool's folder; NULL: none */
    char *type;                            /* a pool's */
    char *path;                            /* its file; NULL: --pool named it */
    bool active, autostart;
} Defined;

static void defined_free(void *opaque)
{
    Defined *one = opaque;

    g_free(one->name);
    g_free(one->uuid);
    g_free(one->detail);
    g_free(one->type);
    g_free(one->path);
    g_free(one);
}

static bool is_there(const char *folder, const char *leaf)
{
    g_autofree char *path = folder && leaf && *leaf && !strstr(leaf, "..") ? g_build_filename(folder, leaf, NULL) : NULL;

    return path && access(path, F_OK) == 0;
}

static Defined *defined_read(const char *folder, const char *file, const char *root)
{
    g_autofree char *path = g_build_filename(folder, file, NULL), *starts = g_build_filename(folder, "autostart", NULL);
    g_autoptr(XmlDocument) document = xml_read(path, NULL);
    bool network = strcmp(root, "network") == 0;

    if (!document || strcmp(document->root->name, root) != 0) {
        return NULL;
    }
    const char *name = xml_lookup(document->root, "name", NULL), *uuid = xml_lookup(document->root, "uuid", NULL);
    const char *detail = xml_lookup(document->root, network ? "bridge@name" : "target/path", NULL), *type = xml_attribute(document->root, "type");
    if (!name) {
        return NULL;
    }
    Defined *one = g_new0(Defined, 1);
    *one = (Defined){ g_strdup(name), g_strdup(uuid ? uuid : ""), g_strdup(detail), g_strdup(type), g_steal_pointer(&path),
                      network ? is_there("/sys/class/net", detail) : detail && g_file_test(detail, G_FILE_TEST_IS_DIR), is_there(starts, file) };
    return one;
}

static bool is_known(const GPtrArray *list, const char *name)
{
    for (guint i = 0; i < list->len; i++) {
        if (strcmp(((const Defined *)list->pdata[i])->name, name) == 0) {
            return true;
        }
    }
    return false;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(Defined *const *)a)->name, (*(Defined *const *)b)->name);
}

/* kind: "network" in "qemu/networks", "pool" in "storage". */
static GPtrArray *all_defined(const char *kind)
{
    const char *const homes[] = { g_get_user_config_dir(), "/etc" };
    GPtrArray *list = g_ptr_array_new_with_free_func(defined_free);

    for (size_t i = 0; i < G_N_ELEMENTS(homes); i++) {
        g_autofree char *folder = g_build_filename(homes[i], "libvirt", strcmp(kind, "network") == 0 ? "qemu/networks" : "storage", NULL);
        GDir *names = g_dir_open(folder, 0, NULL);
        const char *name;
        while (names && (name = g_dir_read_name(names))) {
            Defined *one = g_str_has_suffix(name, ".xml") ? defined_read(folder, name, kind) : NULL;
            if (one && is_known(list, one->name)) {
                defined_free(one);
            } else if (one) {
                g_ptr_array_add(list, one);
            }
        }
        if (names) {
            g_dir_close(names);
        }
    }
    g_ptr_array_sort(list, by_name);
    return list;
}

static const Defined *find_defined(const GPtrArray *list, const char *kind, const char *text, GError **err)
{
    for (guint i = 0; i < list->len; i++) {
        const Defined *one = list->pdata[i];
        if (strcmp(one->name, text) == 0 || g_ascii_strcasecmp(one->uuid, text) == 0) {
            return one;
        }
    }
    fail(err, ENOENT, "failed to get %s '%s': there is none of that name in %s/libvirt or /etc/libvirt", kind, text, g_get_user_config_dir());
    return NULL;
}

/* ---- lists ---------------------------------------------------------------------------------------------------- */

typedef struct NetList {
    Verb common;
    bool inactive, all, persistent, transient, autostart, no_autostart, uuid, name, table, details;
    const char *type, *network, *pool;
    GPtrArray *pools;
} NetList;

static bool wanted(const NetList *list, const Defined *one)
{
    if ((list->transient && !list->persistent) || (list->autostart != list->no_autostart && list->autostart != one->autostart) ||
        (list->type && g_strcmp0(list->type, one->type) != 0)) {
        return false;
    }
    return list->all || one->active != list->inactive;
}

static bool print_plain(const NetList *list, const GPtrArray *found)
{
    for (guint i = 0; (list->name || list->uuid) && i < found->len; i++) {
        const Defined *one = found->pdata[i];
        if (wanted(list, one)) {
            g_autofree char *name = verb_printable(one->name);
            puts(list->uuid ? one->uuid : name);
        }
    }
    return list->name || list->uuid;
}

#define LIST_OPTIONS                                                                                                 \
    OPTION_FLAG(0, "inactive", NetList, inactive, "those that are not active"), OPTION_FLAG(0, "all", NetList, all, "all that are defined"), \
    OPTION_FLAG(0, "persistent", NetList, persistent, "accepted: all are"), OPTION_FLAG(0, "transient", NetList, transient, "none"), \
    OPTION_FLAG(0, "autostart", NetList, autostart, "those that libvirt would start"),                               \
    OPTION_FLAG(0, "no-autostart", NetList, no_autostart, "those that it would not"),                                \
    OPTION_FLAG(0, "uuid", NetList, uuid, "print uuids only"), OPTION_FLAG(0, "name", NetList, name, "print names only")
#define POOL_OPTION OPTION_TEXTS(0, "pool", "NAME=DIRECTORY", NetList, pools, "the pool NAME is this directory, whatever files say")
static const ToolOption net_list_options[] = {
    LIST_OPTIONS, OPTION_FLAG(0, "table", NetList, table, "print a table, as without these"), VERB_HELP, VERB_OPTIONS_END };
static const ToolOption pool_list_options[] = {
    LIST_OPTIONS, OPTION_TEXT(0, "type", "TYPE", NetList, type, "those of this type: dir, logical, ..."),
    OPTION_FLAG(0, "details", NetList, details, "with sizes"), POOL_OPTION, VERB_HELP, VERB_OPTIONS_END };

static int net_list(Verb *verb, GError **err)
{
    static const char *const columns[] = { "Name", "State", "Autostart", "Persistent", NULL };
    const NetList *list = (const NetList *)verb;
    g_autoptr(GPtrArray) found = all_defined("network");

    (void)err;
    if (print_plain(list, found)) {
        return 0;
    }
    VerbTable *table = verb_table_new(columns);
    for (guint i = 0; i < found->len; i++) {
        const Defined *one = found->pdata[i];
        if (wanted(list, one)) {
            verb_table_row(table, (const char *const[]){ one->name, one->active ? "active" : "inactive", one->autostart ? "yes" : "no", "yes" });
        }
    }
    verb_table_print(table);
    return 0;
}

/* ---- one network ---------------------------------------------------------------------------------------------- */

static const ToolOption net_options[] = {
    OPTION_TEXT(0, "network", "NETWORK", NetList, network, "its name or uuid, as the first word says it"),
    OPTION_FLAG(0, "inactive", NetList, inactive, "accepted"), VERB_HELP, VERB_OPTIONS_END };

static const Defined *the_network(const Verb *verb, const GPtrArray *list, GError **err)
{
    const char *given = ((const NetList *)verb)->network, *text = given ? given : verb->count ? verb->operands[0] : NULL;

    if (!text) {
        fail(err, EINVAL, "command '%s' requires <network> option", verb->spec->name);
        return NULL;
    }
    return find_defined(list, "network", text, err);
}

static int net_info(Verb *verb, GError **err)
{
    g_autoptr(GPtrArray) list = all_defined("network");
    const Defined *one = the_network(verb, list, err);

    if (!one) {
        return 1;
    }
    g_autofree char *name = verb_printable(one->name);
    printf("%-15s %s\n%-15s %s\n%-15s %s\n%-15s yes\n%-15s %s\n", "Name:", name, "UUID:", one->uuid, "Active:", one->active ? "yes" : "no", "Persistent:",
           "Autostart:", one->autostart ? "yes" : "no");
    if (one->detail) {
        printf("%-15s %s\n", "Bridge:", one->detail);
    }
    return 0;
}

static int net_dumpxml(Verb *verb, GError **err)
{
    g_autoptr(GPtrArray) list = all_defined("network");
    const Defined *one = the_network(verb, list, err);
    g_autofree char *text = NULL;

    if (!one) {
        return 1;
    }
    if (!g_file_get_contents(one->path, &text, NULL, NULL)) {
        fail(err, EIO, "%s cannot be read", one->path);
        return 1;
    }
    const char *from = strstr(text, "<network");           /* without libvirt's words about not editing it */
    fputs(from ? from : text, stdout);
    return 0;
}

/* ---- pools ---------------------------------------------------------------------------------------------------- */

static bool add_given(GPtrArray *pools, const GPtrArray *given, GError **err)
{
    for (guint i = 0; given && i < given->len; i++) {
        const char *text = given->pdata[i], *equals = strchr(text, '=');
        if (!equals || equals == text || !equals[1]) {
            return fail(err, EINVAL, "--pool %s: NAME=DIRECTORY is needed", text);
        }
        g_autofree char *name = g_strndup(text, (gsize)(equals - text));
        for (guint j = pools->len; j-- > 0;) {
            if (strcmp(((const Defined *)pools->pdata[j])->name, name) == 0) {
                g_ptr_array_remove_index(pools, j);
            }
        }
        Defined *one = g_new0(Defined, 1);
        *one = (Defined){ g_steal_pointer(&name), g_strdup(""), g_strdup(equals + 1), g_strdup("dir"), NULL, g_file_test(equals + 1, G_FILE_TEST_IS_DIR), false };
        g_ptr_array_add(pools, one);
    }
    g_ptr_array_sort(pools, by_name);
    return true;
}

static char *units(uint64_t bytes)
{
    static const char *const names[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    double value = (double)bytes;
    size_t unit = 0;

    for (; value >= 1024 && unit + 1 < G_N_ELEMENTS(names); unit++) {
        value /= 1024;
    }
    return g_strdup_printf("%.2f %s", value, names[unit]);
}

static void detailed_row(VerbTable *table, const Defined *pool)
{
    struct statvfs space;
    bool known = pool->active && statvfs(pool->detail, &space) == 0;
    uint64_t unit = known ? space.f_frsize : 0;
    g_autofree char *capacity = known ? units(space.f_blocks * unit) : g_strdup("-"), *available = known ? units(space.f_bavail * unit) : g_strdup("-");
    g_autofree char *allocation = known ? units((space.f_blocks - space.f_bfree) * unit) : g_strdup("-");

    verb_table_row(table, (const char *const[]){ pool->name, pool->active ? "running" : "inactive", pool->autostart ? "yes" : "no", "yes", capacity, allocation, available });
}

static int pool_list(Verb *verb, GError **err)
{
    static const char *const brief[] = { "Name", "State", "Autostart", NULL };
    static const char *const detailed[] = { "Name", "State", "Autostart", "Persistent", "Capacity", "Allocation", "Available", NULL };
    const NetList *list = (const NetList *)verb;
    g_autoptr(GPtrArray) pools = all_defined("pool");

    if (!add_given(pools, list->pools, err)) {
        return 1;
    }
    if (print_plain(list, pools)) {
        return 0;
    }
    VerbTable *table = verb_table_new(list->details ? detailed : brief);
    for (guint i = 0; i < pools->len; i++) {
        const Defined *pool = pools->pdata[i];
        if (wanted(list, pool) && list->details) {
            detailed_row(table, pool);
        } else if (wanted(list, pool)) {
            verb_table_row(table, (const char *const[]){ pool->name, pool->active ? "active" : "inactive", pool->autostart ? "yes" : "no" });
        }
    }
    verb_table_print(table);
    return 0;
}

/* ---- volumes -------------------------------------------------------------------------------------------------- */

static const ToolOption vol_list_options[] = {
    OPTION_FLAG(0, "details", NetList, details, "with type and sizes"), POOL_OPTION, VERB_HELP, VERB_OPTIONS_END };

typedef struct Volume { const char *path; uint64_t capacity; } Volume;

/* co. What an image's own header says; a file that is none is as large as it is. */
static int look_at_volume(void *opaque)
{
    Volume *volume = opaque;
    const ToolOpen how = { .name = volume->path, .share = true, .no_backing = true, .no_io = true };
    ToolImage image = { NULL };

    if (tool_open(&image, &how, NULL)) {
        volume->capacity = node_length(image.node);
        tool_close(&image);
    }
    return 0;
}

static void volume_row(VerbTable *table, const char *name, const char *path, const struct stat *status, bool details)
{
    Volume volume = { path, (uint64_t)status->st_size };

    if (!details) {
        verb_table_row(table, (const char *const[]){ name, path });
        return;
    }
    if (S_ISREG(status->st_mode)) {
        tool_run(look_at_volume, &volume);
    }
    g_autofree char *capacity = units(volume.capacity), *allocation = units((uint64_t)status->st_blocks * 512);
    verb_table_row(table, (const char *const[]){ name, path, S_ISBLK(status->st_mode) ? "block" : S_ISDIR(status->st_mode) ? "dir" : "file", capacity, allocation });
}

static int text_order(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static GPtrArray *names_in(const char *folder, GError **err)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) why = NULL;
    GDir *open = g_dir_open(folder, 0, &why);
    const char *name;

    if (!open) {
        fail(err, EIO, "%s", why->message);
        g_ptr_array_unref(names);
        return NULL;
    }
    while ((name = g_dir_read_name(open))) {
        if (*name != '.') {
            g_ptr_array_add(names, g_strdup(name));
        }
    }
    g_dir_close(open);
    g_ptr_array_sort(names, text_order);
    return names;
}

static int vol_list(Verb *verb, GError **err)
{
    static const char *const brief[] = { "Name", "Path", NULL }, *const detailed[] = { "Name", "Path", "Type", "Capacity", "Allocation", NULL };
    const NetList *list = (const NetList *)verb;
    g_autoptr(GPtrArray) pools = all_defined("pool"), names = NULL;
    const Defined *pool = add_given(pools, list->pools, err) ? find_defined(pools, "pool", verb->operands[0], err) : NULL;

    if (!pool) {
        return 1;
    }
    if (!pool->active) {
        fail(err, ENOENT, "Failed to list volumes: pool '%s' is not active: there is no folder '%s'", pool->name, pool->detail ? pool->detail : "");
        return 1;
    }
    if (!(names = names_in(pool->detail, err))) {
        return 1;
    }
    VerbTable *table = verb_table_new(list->details ? detailed : brief);
    for (guint i = 0; i < names->len; i++) {
        g_autofree char *path = g_build_filename(pool->detail, names->pdata[i], NULL);
        struct stat status;
        if (stat(path, &status) == 0 && (S_ISREG(status.st_mode) || S_ISBLK(status.st_mode) || S_ISDIR(status.st_mode))) {
            volume_row(table, names->pdata[i], path, &status, list->details);
        }
    }
    verb_table_print(table);
    return 0;
}

const VerbSpec verb_net_list = { "net-list", "", 0, 0, VERB_NO_VM, .help = "networks that libvirt's files define and whose bridge is there",
                                 .options = net_list_options, .size = sizeof(NetList), .run = net_list };
const VerbSpec verb_net_info = { "net-info", "[NETWORK]", 0, 1, VERB_NO_VM, .help = "a network's name, uuid and bridge", .options = net_options,
                                 .size = sizeof(NetList), .run = net_info };
const VerbSpec verb_net_dumpxml = { "net-dumpxml", "[NETWORK]", 0, 1, VERB_NO_VM, .help = "a network's file", .options = net_options, .size = sizeof(NetList),
                                    .run = net_dumpxml };
const VerbSpec verb_pool_list = { "pool-list", "", 0, 0, VERB_NO_VM, .help = "storage pools that libvirt's files define and whose folder is there",
                                  .options = pool_list_options, .size = sizeof(NetList), .run = pool_list };
const VerbSpec verb_vol_list = { "vol-list", "POOL", 1, 1, VERB_NO_VM, .help = "the files of a pool", .options = vol_list_options, .size = sizeof(NetList),
                                 .run = vol_list };
