/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * readconfig.c - -readconfig: options in a file
 *
 * The grammar: '#' begins a comment line; [group] or [group "id"] begins a section; KEY = "VALUE" lines follow. A section
 * is the option of that group, so it goes through the same table.
 *
 * Tests    tests/cli/config.py
 */
#include "base/open.h"
#include "cli/options.h"
#include <errno.h>
#include <string.h>

enum { FILE_MOST = 1 << 20 };

static const struct { const char *group, *option; } groups[] = {
    { "drive", "drive" }, { "device", "device" }, { "chardev", "chardev" }, { "machine", "machine" }, { "accel", "accel" },
    { "global", "global" }, { "smp-opts", "smp" }, { "memory", "m" }, { "boot-opts", "boot" }, { "rtc", "rtc" }, { "name", "name" },
    { "sandbox", "sandbox" }, { "msg", "msg" }, { "overcommit", "overcommit" }, { "action", "action" }, { "fw_cfg", "fw_cfg" },
    { "smbios", "smbios" }, { "trace", "trace" },
};

typedef struct Section {
    const Option *option;                  /* NULL: none yet */
    GString *text;                         /* as the command line would say it */
    unsigned line;
} Section;

static void add_key(Section *section, const char *key, const char *value)
{
    g_string_append_printf(section->text, "%s%s=", section->text->len ? "," : "", key);
    for (; *value; value++) {
        g_string_append(section->text, *value == ',' ? ",," : (char[]){ *value, '\0' });
    }
}

static bool end_section(Config *config, Section *section, GError **err)
{
    bool done = true;

    if (section->option) {
        done = option_apply(config, section->option, section->text->str, err);
    }
    section->option = NULL;
    g_string_truncate(section->text, 0);
    return done;
}

static bool begin_section(Section *section, const char *line, GError **err)
{
    const char *end = strchr(line, ']');
    g_autofree char *head = end ? g_strndup(line + 1, end - line - 1) : NULL;

    if (!end || end[1]) {
        return fail(err, EINVAL, "'%s': a section begins with [GROUP] or [GROUP \"ID\"]", line);
    }
    char *id = strpbrk(head, " \t");
    if (id) {
        *id++ = '\0';
        id = g_strstrip(id);
        size_t length = strlen(id);
        if (length < 2 || id[0] != '"' || id[length - 1] != '"') {
            return fail(err, EINVAL, "'%s': the id stands in double quotes", line);
        }
        id[length - 1] = '\0';
        add_key(section, "id", id + 1);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(groups); i++) {
        if (strcmp(groups[i].group, head) == 0) {
            section->option = option_find(groups[i].option);
            return true;
        }
    }
    return fail(err, ENOTSUP, "[%s] is not a group that is supported", head);
}

static bool read_key(Section *section, char *line, GError **err)
{
    char *equals = strchr(line, '=');

    if (!section->option) {
        return fail(err, EINVAL, "'%s' stands before the first [GROUP]", line);
    }
    if (!equals) {
        return fail(err, EINVAL, "'%s': KEY = \"VALUE\" is needed", line);
    }
    *equals = '\0';
    char *key = g_strstrip(line), *value = g_strstrip(equals + 1);
    size_t length = strlen(value);
    if (!*key || length < 2 || value[0] != '"' || value[length - 1] != '"') {
        return fail(err, EINVAL, "'%s = %s': KEY = \"VALUE\" is needed", key, value);
    }
    value[length - 1] = '\0';
    add_key(section, key, value + 1);
    return true;
}

static bool read_line(Config *config, Section *section, char *line, unsigned number, GError **err)
{
    line = g_strstrip(line);
    if (*line == '\0' || *line == '#') {
        return true;
    }
    if (*line != '[') {
        return read_key(section, line, err);
    }
    if (!end_section(config, section, err)) {
        return false;
    }
    section->line = number;
    return begin_section(section, line, err);
}

bool opt_readconfig(Config *config, const Option *option, const char *text, GError **err)
{
    g_autofree uint8_t *data = NULL;
    size_t length = 0;
    Section section = { .text = g_string_new(NULL) };
    unsigned number = 0;
    bool done = host_read_file("configuration file", text, FILE_MOST, &data, &length, err);

    (void)option;
    if (!done) {
        g_string_free(section.text, TRUE);
        return false;
    }
    g_autofree char *contents = g_strndup((const char *)data, length);
    g_auto(GStrv) lines = g_strsplit(contents, "\n", -1);
    for (char **line = lines; *line && done; line++) {
        done = read_line(config, &section, *line, ++number, err);
    }
    done = done && end_section(config, &section, err);
    if (!done) {
        g_prefix_error(err, "line %u: ", section.line ? section.line : number);
    }
    g_string_free(section.text, TRUE);
    return done;
}
