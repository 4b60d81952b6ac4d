/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * verb-define.c - define, undefine, edit, dumpxml: domain files that the user keeps, in ~/.config/roost/domains
 *
 * Tests    tests/verbs/define.py
 */
#include "base/log.h"
#include "cli/domain-text.h"
#include "cli/verb-define.h"
#include "cli/verb-list.h"
#include "cli/xml.h"
#include "cli/xml-node.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the folder ----------------------------------------------------------------------------------------------- */

static char *definitions_folder(void)
{
    return g_build_filename(g_get_user_config_dir(), "roost", "domains", NULL);
}

char *definition_path(const char *name)
{
    g_autofree char *folder = definitions_folder(), *file = runtime_file_name(name), *leaf = g_strconcat(file, ".xml", NULL);

    return g_build_filename(folder, leaf, NULL);
}

static void fill_from_xml(Value *about, const char *path)
{
    g_autoptr(XmlDocument) document = xml_read(path, NULL);
    XmlNode *memory = NULL;
    const char *size = document ? xml_lookup(document->root, "memory", &memory) : NULL, *unit = memory ? xml_attribute(memory, "unit") : NULL;
    const char *vcpus = document ? xml_lookup(document->root, "vcpu", NULL) : NULL, *title = document ? xml_lookup(document->root, "title", NULL) : NULL;
    g_autofree char *scaled = g_strconcat(size ? size : "0", unit ? unit : "KiB", NULL);
    uint64_t bytes = 0;

    verb_scaled_bytes(scaled, &bytes, NULL);
    value_set(about, "memory", value_new_uint(bytes >> 10));
    value_set(about, "vcpus", value_new_uint(vcpus ? strtoul(vcpus, NULL, 10) : 1));
    if (title) {
        value_set(about, "title", value_new_string(title));
    }
}

static VmEntry *definition_read(const char *path)
{
    g_autofree char *name = NULL, *uuid = NULL;

    if (!xml_identify(path, &name, &uuid, NULL) || !name) {
        return NULL;
    }
    VmEntry *vm = g_new0(VmEntry, 1);
    vm->about = value_new_object();
    value_set(vm->about, "name", value_new_string(name));
    value_set(vm->about, "uuid", value_new_string(uuid ? uuid : ""));
    value_set(vm->about, "persistent", value_new_bool(true));
    fill_from_xml(vm->about, path);
    vm->name = value_get_string(vm->about, "name", "");
    vm->uuid = value_get_string(vm->about, "uuid", "");
    vm->state = g_strdup("shut off");
    vm->reason = g_strdup("unknown");
    return vm;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(VmEntry *const *)a)->name, (*(VmEntry *const *)b)->name);
}

/* A VM that runs is the defined one when both name and uuid are the same. */
static bool marks_running(GPtrArray *vms, guint running, const VmEntry *definition)
{
    for (guint i = 0; i < running; i++) {
        VmEntry *vm = vms->pdata[i];
        if (strcmp(vm->name, definition->name) == 0 && g_ascii_strcasecmp(vm->uuid, definition->uuid) == 0) {
            value_set(vm->about, "persistent", value_new_bool(true));
            return true;
        }
    }
    return false;
}

void definitions_add(GPtrArray *vms)
{
    g_autofree char *folder = definitions_folder();
    GDir *names = g_dir_open(folder, 0, NULL);
    g_autoptr(GPtrArray) found = g_ptr_array_new();
    guint running = vms->len;
    const char *name;

    while (names && (name = g_dir_read_name(names))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        VmEntry *vm = g_str_has_suffix(name, ".xml") ? definition_read(path) : NULL;
        if (vm && marks_running(vms, running, vm)) {
            vm_entry_free(vm);
        } else if (vm) {
            g_ptr_array_add(found, vm);
        }
    }
    if (names) {
        g_dir_close(names);
    }
    g_ptr_array_sort(found, by_name);
    for (guint i = 0; i < found->len; i++) {
        g_ptr_array_add(vms, found->pdata[i]);
    }
}

/* ---- define --------------------------------------------------------------------------------------------------- */

/* A domain without a uuid gets one that stays. */
static char *with_uuid(char *take_text, const char *uuid)
{
    g_autofree char *text = take_text;
    const char *name_end = strstr(text, "</name>");

    if (strstr(text, "<uuid>") || !name_end) {
        return g_steal_pointer(&text);
    }
    name_end += strlen("</name>");
    return g_strdup_printf("%.*s\n  <uuid>%s</uuid>%s", (int)(name_end - text), text, uuid, name_end);
}

/* The same name with another uuid, or the other way round, is somebody else. */
static bool is_free(const char *name, const char *uuid, char **kept_uuid, GError **err)
{
    g_autoptr(GPtrArray) vms = verb_all(err);

    for (guint i = 0; vms && i < vms->len; i++) {
        const VmEntry *vm = vms->pdata[i];
        bool same_name = strcmp(vm->name, name) == 0, same_uuid = uuid && g_ascii_strcasecmp(vm->uuid, uuid) == 0;
        if (same_name && (!uuid || same_uuid)) {
            *kept_uuid = g_strdup(vm->uuid);
        } else if (same_name || same_uuid) {
            return fail(err, EEXIST, "operation failed: domain '%s' already exists with uuid %s", vm->name, vm->uuid);
        }
    }
    return vms != NULL;
}

/* What cannot be translated could not be started; a pool that is named only then may still be missing. */
static bool check_domain(const char *file, bool strict, GError **err)
{
    static const XmlRunOptions none = { NULL };
    g_autoptr(GError) why = NULL;
    g_autoptr(GPtrArray) words = xml_to_argv(file, &none, &why);

    if (!words && strict) {
        g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    if (!words) {
        report_warning("%s", why->message);
    }
    return true;
}

static bool store(const char *file, const char *name, const char *uuid, GError **err)
{
    g_autofree char *folder = definitions_folder(), *path = definition_path(name), *text = NULL, *whole = NULL;
    g_autoptr(GError) why = NULL;

    if (g_mkdir_with_parents(folder, 0700) != 0) {
        return fail(err, errno, "%s: %s", folder, g_strerror(errno));
    }
    if (!g_file_get_contents(file, &text, NULL, &why)) {
        return fail(err, EIO, "%s", why->message);
    }
    whole = with_uuid(g_steal_pointer(&text), uuid);
    return g_file_set_contents_full(path, whole, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, &why) || fail(err, EIO, "%s", why->message);
}

static bool define_file(const char *file, bool strict, char **name, GError **err)
{
    g_autofree char *uuid = NULL, *kept = NULL, *made = g_uuid_string_random();

    if (!xml_identify(file, name, &uuid, err) || !check_domain(file, strict, err)) {
        return false;
    }
    if (!*name) {
        return fail(err, EINVAL, "%s: <domain>: a <name> is missing", file);
    }
    return is_free(*name, uuid, &kept, err) && store(file, *name, uuid ? uuid : kept ? kept : made, err);
}

typedef struct Define {
    Verb common;
    bool validate, managed_save, keep, storage;
} Define;
static const ToolOption define_options[] = {
    OPTION_FLAG(0, "validate", Define, validate, "refuse a domain that could not be started as it is"), VERB_HELP, VERB_OPTIONS_END };

static int define(Verb *verb, GError **err)
{
    const char *file = verb->operands[0];
    g_autofree char *name = NULL;

    if (!define_file(file, ((const Define *)verb)->validate, &name, err)) {
        g_prefix_error(err, "Failed to define domain from %s: ", file);
        return 1;
    }
    g_autofree char *shown = verb_printable(name);
    printf("Domain '%s' defined from %s\n", shown, file);
    return 0;
}

static const ToolOption undefine_options[] = {
    VERB_DOMAIN, OPTION_FLAG(0, "managed-save", Define, managed_save, "accepted: nothing is saved"),
    OPTION_FLAG(0, "snapshots-metadata", Define, managed_save, "accepted"), OPTION_FLAG(0, "nvram", Define, managed_save, "accepted"),
    OPTION_FLAG(0, "keep-nvram", Define, keep, "accepted"),
    OPTION_FLAG(0, "remove-all-storage", Define, storage, "refused: disks are removed by hand"), VERB_HELP, VERB_OPTIONS_END };

static int undefine(Verb *verb, GError **err)
{
    g_autoptr(VmEntry) vm = verb_any(verb, err);

    if (!vm) {
        return 1;
    }
    if (((const Define *)verb)->storage) {
        fail(err, ENOTSUP, "--remove-all-storage: disks are removed by hand; roost domblklist shows them");
        return 1;
    }
    g_autofree char *path = definition_path(vm->name), *shown = verb_printable(verb->domain);
    if (!value_get_bool(vm->about, "persistent", false) || g_unlink(path) != 0) {
        fail(err, ENOENT, "Failed to undefine domain '%s': it is not defined", vm->name);
        return 1;
    }
    printf("Domain '%s' has been undefined\n", shown);
    return 0;
}

/* ---- dumpxml -------------------------------------------------------------------------------------------------- */

typedef struct Dump {
    Verb common;
    bool inactive, accepted;
} Dump;
static const ToolOption dump_options[] = {
    VERB_DOMAIN, OPTION_FLAG(0, "inactive", Dump, inactive, "as it is defined, also when it runs"),
    OPTION_FLAG(0, "security-info", Dump, accepted, "accepted"), OPTION_FLAG(0, "update-cpu", Dump, accepted, "accepted"),
    OPTION_FLAG(0, "migratable", Dump, accepted, "accepted"), VERB_HELP, VERB_OPTIONS_END };

/* As it was when it started, where a domain file had a part in that; else what its command line means. */
static char *running_xml(const VmEntry *vm, GError **err)
{
    int folder = runtime_open(false, err), entry = folder >= 0 ? runtime_entry(folder, vm->id) : -1;
    char *text = entry >= 0 ? runtime_read(entry, "domain.xml") : NULL;

    if (entry >= 0) {
        close(entry);
    }
    if (folder >= 0) {
        close(folder);
    }
    return text || folder < 0 ? text : domain_text(value_get(vm->about, "arguments"), NULL, err);
}

static char *with_id(char *take_text, unsigned id)
{
    g_autofree char *text = take_text;
    const char *tag = strstr(text, "<domain ");

    if (!tag) {
        return g_steal_pointer(&text);
    }
    tag += strlen("<domain ");
    return g_strdup_printf("%.*sid='%u' %s", (int)(tag - text), text, id, tag);
}

static char *definition_text(const VmEntry *vm, GError **err)
{
    g_autofree char *path = definition_path(vm->name);
    g_autoptr(GError) why = NULL;
    char *text = NULL;

    if (!g_file_get_contents(path, &text, NULL, &why)) {
        fail(err, ENOENT, "'%s' is not defined: %s", vm->name, why->message);
    }
    return text;
}

static int dumpxml(Verb *verb, GError **err)
{
    g_autoptr(VmEntry) vm = verb_any(verb, err);
    g_autofree char *text = NULL;

    if (!vm) {
        return 1;
    }
    if (!vm->pid || (((const Dump *)verb)->inactive && value_get_bool(vm->about, "persistent", false))) {
        text = definition_text(vm, err);
    } else if ((text = running_xml(vm, err))) {
        text = with_id(with_uuid(text, vm->uuid), vm->id);
    }
    if (text) {
        fputs(text, stdout);
    }
    return text ? 0 : 1;
}

/* ---- edit ----------------------------------------------------------------------------------------------------- */

static const ToolOption edit_options[] = {
    VERB_DOMAIN, OPTION_FLAG(0, "skip-validate", Define, keep, "accepted"), VERB_HELP, VERB_OPTIONS_END };

static bool run_editor(const char *path, GError **err)
{
    const char *visual = g_getenv("VISUAL"), *editor = visual && *visual ? visual : g_getenv("EDITOR");
    g_autofree char *quoted = g_shell_quote(path), *command = g_strdup_printf("%s %s", editor && *editor ? editor : "vi", quoted);
    int status = system(command);          /* EDITOR is a command line of the user's own */

    return status == 0 || fail(err, EIO, "'%s' ended with status %d; nothing is changed", command, WIFEXITED(status) ? WEXITSTATUS(status) : 128);
}

static bool keeps_name(const char *path, const char *name, GError **err)
{
    g_autofree char *now = NULL, *uuid = NULL;

    return xml_identify(path, &now, &uuid, err) && (strcmp(now, name) == 0 || fail(err, EINVAL, "the name cannot be changed; define a VM of the new name"));
}

/* What cannot be taken is kept for another try. */
static bool edit_text(const VmEntry *vm, const char *text, bool *changed, GError **err)
{
    g_autofree char *path = NULL, *now = NULL, *name = NULL;
    g_autoptr(GError) why = NULL;
    int fd = g_file_open_tmp("roost-XXXXXX.xml", &path, &why);
    bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0) {
        close(fd);
    }
    if (!written) {
        return fail(err, EIO, "%s", why ? why->message : g_strerror(errno));
    }
    bool done = run_editor(path, err);
    *changed = done && g_file_get_contents(path, &now, NULL, NULL) && strcmp(now, text) != 0;
    if (*changed) {
        done = keeps_name(path, vm->name, err) && define_file(path, false, &name, err);
        if (!done) {
            g_prefix_error(err, "%s is kept: ", path);
            return false;
        }
    }
    g_unlink(path);
    return done;
}

static int edit(Verb *verb, GError **err)
{
    g_autoptr(VmEntry) vm = verb_any(verb, err);
    g_autofree char *text = vm ? definition_text(vm, err) : NULL, *shown = vm ? verb_printable(vm->name) : NULL;
    bool changed;

    if (!text || !edit_text(vm, text, &changed, err)) {
        return 1;
    }
    printf("Domain '%s' XML configuration %s.\n", shown, changed ? "edited" : "not changed");
    return 0;
}

const VerbSpec verb_define = { "define", "FILE", 1, 1, VERB_NO_VM, .help = "keep a domain file, so that its VM can be started by name", .options = define_options,
                               .size = sizeof(Define), .run = define, .completes = "file" };
const VerbSpec verb_undefine = { "undefine", "", 0, 0, VERB_ONE_VM, .help = "forget a domain file", .options = undefine_options, .size = sizeof(Define),
                                 .run = undefine };
const VerbSpec verb_dumpxml = { "dumpxml", "", 0, 0, VERB_ONE_VM, .help = "a VM as a domain file", .options = dump_options, .size = sizeof(Dump),
                                .run = dumpxml };
const VerbSpec verb_edit = { "edit", "", 0, 0, VERB_ONE_VM, .help = "change the domain file of a defined VM by VISUAL, EDITOR or vi", .options = edit_options,
                             .size = sizeof(Define), .run = edit };
