/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * manual.c - roost(1): the man page, printed from the tables that the program itself reads
 *
 * Options and their keys come from the one option table, devices from hw/models.c, streams from base/char, the exit
 * status and the examples from the texts that other readers have (docs/exit-status.md, README.md). Here is only what
 * stands nowhere else, and the roff.
 *
 * Tests    tests/style/manual.py
 */
#include "cli/manual.h"
#include "base/char/chardev.h"
#include "block/driver.h"
#include "cli/img.h"
#include "cli/io.h"
#include "cli/keyval.h"
#include "hw/objects.h"
#include "cli/options.h"
#include "cli/verb.h"
#include "hw/core/machine.h"
#include "monitor/qmp.h"
#include <stdio.h>
#include <string.h>

/* ---- roff --------------------------------------------------------------------------------------------------- */

/* A character of running text. A long list without blanks may be broken at its commas, bars and brackets. */
static void put_character(char c, bool breakable)
{
    switch (c) {
    case '\\': fputs("\\e", stdout); break;
    case '-': fputs("\\-", stdout); break;
    case '\'': fputs("\\(aq", stdout); break;
    case '`': fputs("\\(ga", stdout); break;
    case '^': fputs("\\(ha", stdout); break;
    case '~': fputs("\\(ti", stdout); break;
    case '[': fputs(breakable ? "\\:[" : "[", stdout); break;
    case ',': case '|': printf(breakable ? "%c\\:" : "%c", c); break;
    default: putchar(c); break;
    }
}

static void put_plain(const char *text)
{
    for (; *text; text++) {
        put_character(*text, true);
    }
}

/* A line of text: never taken for a request, whatever it begins with. */
static void put_line(const char *text)
{
    fputs("\\&", stdout);
    put_plain(text);
    putchar('\n');
}

static void put_lines(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (char **line = lines; *line; line++) {
        if (line != lines) {
            puts(".br");
        }
        put_line(*line);
    }
}

/* "NAME" in bold, then the rest in italics. */
static void put_term(const char *before, const char *bold, const char *between, const char *italic)
{
    printf(".TP\n\\&\\fB");
    put_plain(before);
    put_plain(bold);
    fputs("\\fR", stdout);
    put_plain(between);
    if (italic) {
        fputs("\\fI", stdout);
        put_plain(italic);
        fputs("\\fR", stdout);
    }
    putchar('\n');
}

/* The little Markdown that the shared texts use: `code`, and \| inside tables. */
static void put_markdown(const char *text)
{
    bool bold = false;

    fputs("\\&", stdout);
    for (size_t i = 0; text[i]; i++) {
        if (text[i] == '`') {
            bold = !bold;
            fputs(bold ? "\\fB" : "\\fR", stdout);
        } else if (text[i] != '\\' || text[i + 1] != '|') {
            put_character(text[i], false);
        }
    }
    fputs(bold ? "\\fR" : "", stdout);
}

/* ---- sections ----------------------------------------------------------------------------------------------- */

static void put_keys(const Field *keys)
{
    puts(".RS\n.PD 0");
    for (const Field *key = keys; key->kind != FIELD_LAST; key++) {
        if (!key->hidden) {
            g_autofree char *choices = keyval_choices(key);
            put_term("", key->name, "=", choices);
            put_line(key->help ? key->help : "");
        }
    }
    puts(".PD\n.RE");
}

static void put_smbios_keys(void)
{
    for (uint64_t type = 0; type < 256; type++) {
        const Field *keys = smbios_keys(type);
        if (keys) {
            printf(".RS\n\\fBtype=%u\\fR\n.RE\n", (unsigned)type);
            put_keys(keys + 1);            /* the first one is the type */
        }
    }
}

static void put_options(void)
{
    puts(".SH OPTIONS");
    puts("One or two dashes may begin an option. Two commas stand for one inside a value.");
    puts("An option with keys lists them when its argument is \\fBhelp\\fR.");
    for (const Option *option = run_options; option->name || option->help; option++) {
        if (!option->name) {
            printf(".SS ");
            put_plain(option->help);
            putchar('\n');
            continue;
        }
        put_term("-", option->name, option->argument ? " " : "", option->argument);
        put_lines(option->help);
        if (option->keys && strcmp(option->name, "M") != 0) {
            put_keys(option->keys);
        }
        if (strcmp(option->name, "smbios") == 0) {
            put_smbios_keys();
        }
    }
}

static void put_machines(void)
{
    puts(".SH MACHINES");
    for (const BoardModel *const *board = board_models; *board; board++) {
        put_term("", (*board)->name, (*board)->alias ? ", " : "", (*board)->alias);
        put_line((*board)->help);
    }
}

static void put_device(const DeviceModel *model)
{
    g_autoptr(GPtrArray) properties = device_properties(model);

    put_term("", model->name, " ", bus_kind_name(model->bus));
    put_line(model->help);
    puts(".RS\n.PD 0");
    for (guint i = 0; i < properties->len; i++) {
        const Field *property = properties->pdata[i];
        g_autofree char *preset = keyval_preset(property);
        put_term("", property->name, "=", field_kind_name(property->kind));
        g_autofree char *help = g_strdup_printf("%s%s%s%s", property->help ? property->help : "", preset ? " (default: " : "",
                                                preset ? preset : "", preset ? ")" : "");
        put_line(help);
    }
    puts(".PD\n.RE");
}

static void put_devices(bool board_only)
{
    for (const DeviceModel *const *model = device_models; *model; model++) {
        if ((*model)->board_only == board_only) {
            put_device(*model);
        }
    }
}

static void put_streams(void)
{
    puts(".SH CHARACTER STREAMS");
    puts("Backends of \\fB\\-chardev\\fR, and of the short spellings that \\fB\\-serial\\fR lists.");
    for (const char *const *name = chardev_backends; *name; name++) {
        put_term("", *name, "", NULL);
        put_line(chardev_backend_help(*name));
        put_keys(chardev_keys(*name));
    }
    puts(".PP\nAll of them take:");
    put_keys(chardev_common_keys);
}

static void put_tool_term(const char *bold, const char *argument)
{
    put_term("", bold, argument && *argument ? " " : "", argument);
}

static void put_tool_text(const char *line)
{
    put_line(line);
    puts(".br");
}

static void put_tools(void)
{
    puts(".SH ROOST IMG");
    puts("Makes, shows, checks, converts and changes disk images. Options, output and exit status are those of \\fBqemu\\-img\\fR(1); through a");
    puts("symbolic link of that name the executable takes its place. File names inside an image are followed into the image's own");
    puts("folder only, unless \\fB\\-\\-trust\\fR is said.");
    img_print_manual(put_tool_term, put_tool_text);
    puts(".SH ROOST IO");
    puts("Sends requests to a disk image: \\fBroost io\\fR [options] [image]. The commands are those of \\fBqemu\\-io\\fR; \\fBhelp\\fR lists them.");
    io_print_manual(put_tool_term, put_tool_text);
}

static void put_verbs(void)
{
    puts(".SH VERBS\n\\fBroost\\fR VERB [options] DOMAIN ... does something with a running VM, as \\fBvirsh\\fR(1) does, whose options, output and exit status these");
    puts("are, but without a daemon. DOMAIN is a VM's name, the number that \\fBroost list\\fR shows, or its uuid. A VM is listed when it has a \\fB\\-name\\fR; see");
    puts("also \\fB\\-list\\-as\\fR. A verb ends with 0 when it was done and 1 when not. All of them take \\fB\\-\\-help\\fR; those that speak with a VM take");
    puts("\\fB\\-\\-timeout\\fR \\fISECONDS\\fR, after which one that does not answer is given up (30 by itself).");
    verbs_print_manual(put_tool_term, put_tool_text);
}

static void put_block_drivers(void)
{
    puts(".SH BLOCK DRIVERS");
    puts("What \\fB\\-blockdev\\fR, \\fB\\-drive\\fR and \\fBroost img\\fR make disks of. All of them take:");
    put_keys(blockdev_keys);
    for (const NodeDriver *const *driver = node_drivers; *driver; driver++) {
        put_term("", (*driver)->name, "", NULL);
        put_line((*driver)->help);
        if ((*driver)->options) {
            put_keys((*driver)->options);
        }
    }
}

static void put_objects(void)
{
    puts(".SH OBJECTS");
    puts("What \\fB\\-object\\fR makes.");
    for (const ObjectKind *kind = object_kinds; kind->name; kind++) {
        put_term("", kind->name, "", NULL);
        put_line(kind->help);
        put_keys(kind->keys);
    }
}

/* Rows of the table in docs/exit-status.md, then the prose below it. */
static void put_exit_status(void)
{
    g_auto(GStrv) lines = g_strsplit(manual_exit_status, "\n", -1);
    bool paragraph = true;

    puts(".SH EXIT STATUS");
    for (char **line = lines; *line; line++) {
        g_auto(GStrv) cells = **line == '|' ? g_strsplit(*line, " | ", -1) : NULL;
        if (cells && g_strv_length(cells) == 3 && !g_str_has_prefix(*line, "| status")) {
            g_strchomp(cells[2])[strcspn(cells[2], "|")] = '\0';
            puts(".TP");
            put_markdown(cells[0] + 2);
            putchar('\n');
            put_markdown(cells[1]);
            if (*g_strchomp(cells[2])) {
                fputs(". One would: ", stdout);
                put_markdown(cells[2]);
            }
            puts(".");
        } else if (**line && **line != '|' && **line != '#') {
            fputs(paragraph ? ".PP\n" : "", stdout);
            put_markdown(*line);
            putchar('\n');
            paragraph = false;
        }
    }
}

/* The indented lines under the README's heading of examples: a comment above each command. */
static void put_examples(void)
{
    const char *heading = strstr(manual_readme, "\n## Examples\n");

    puts(".SH EXAMPLES");
    if (!heading) {
        return;
    }
    g_auto(GStrv) lines = g_strsplit(strchr(heading + 1, '\n') + 1, "\n", -1);
    for (char **line = lines; *line && !g_str_has_prefix(*line, "## "); line++) {
        if (g_str_has_prefix(*line, "    # ")) {
            puts(".PP");
            put_line(*line + 6);
        } else if (g_str_has_prefix(*line, "    ")) {
            puts(".PP\n.RS 4");
            fputs("\\&\\fB", stdout);
            for (const char *c = *line + 4; *c; c++) {
                put_character(*c, false);  /* a command is broken at its blanks only */
            }
            puts("\\fR\n.RE");
        }
    }
}

static const char opening[] =
    ".ad l\n.nh\n"
    ".SH NAME\nroost \\- run a virtual PC\n"
    ".SH SYNOPSIS\n.B roost\n.RB [ run ]\n.RI [ options ]\n.RI [ \"disk image\" \" | \" domain.xml ]\n.br\n.B roost xml2argv\n.I domain.xml ...\n.br\n.B roost argv2xml\n.I options\n.br\n.B roost img\n.I command ...\n.br\n.B roost io\n.RI [ options ]\n.RI [ image ]\n.br\n.B roost\n.I verb\n.RI [ options ]\n.RI [ domain ]\n.br\n.B roost help\n.RI [ topic ]\n"
    ".SH DESCRIPTION\n"
    "Roost runs a guest on a virtual PC, by \\fI/dev/kvm\\fR or on its own software CPU where there is no usable KVM.\n"
    "It takes the command line of QEMU. What is asked for by name and is not supported yet is refused by name.\n"
    "A word that ends in \\fI.xml\\fR is a domain file of libvirt: it is translated to options, and options beside it win.\n"
    "\\fBroost xml2argv\\fR prints the translation, \\fBroost argv2xml\\fR goes the other way. Pools and networks that it names are looked for in libvirt's own files,\n"
    "and told by \\fB\\-pool\\fR and \\fB\\-network\\fR.\n"
    ".PP\n"
    "\\fBroost help\\fR lists the options, \\fBroost help devices\\fR the device models, \\fBroost help manual\\fR prints this page\n"
    "as roff.\n";

static const struct { const char *key, *does; } terminal_keys[] = {
    { "h", "help" }, { "x", "end the guest and Roost, with status 0" }, { "s", "write snapshot disks back to their files; none is supported yet" },
    { "t", "time stamps before each line, on or off" }, { "b", "send a break" }, { "c", "on to the next: console, monitor" },
    { "Ctrl-A", "send Ctrl-A itself" },
};

static void put_terminal_keys(void)
{
    puts(".SH KEYS OF THE TERMINAL");
    puts("Under \\fB\\-nographic\\fR, and on any stream with \\fBmux=on\\fR or written as \\fBmon:\\fR, Ctrl\\-A begins a command;");
    puts("\\fB\\-echr\\fR chooses another key.");
    for (size_t i = 0; i < G_N_ELEMENTS(terminal_keys); i++) {
        put_term("Ctrl-A ", terminal_keys[i].key, "", NULL);
        put_line(terminal_keys[i].does);
    }
}

/* What a command takes, in the notation of monitor/qmp.h made readable. */
static void put_qmp(void)
{
    puts(".SH QMP COMMANDS AND EVENTS\nThe words in italics are members of \\fBarguments\\fR and their types; those with a question mark may be left out.");
    puts(".SS Commands");
    for (const QmpCommand *const *table = qmp_command_tables; *table; table++) {
        for (const QmpCommand *command = *table; command->name; command++) {
            put_term("", command->name, command->args ? " " : "", command->args);
            put_line(command->help);
        }
    }
    puts(".SS Events");
    for (const QmpEvent *event = qmp_events; event->name; event++) {
        put_term("", event->name, event->data ? " " : "", event->data);
        put_line(event->help);
    }
}

static const char ending_files[] =
    ".SH ENVIRONMENT\n\\fBXDG_RUNTIME_DIR\\fR names the folder in which running VMs are found, see below. The libraries that Roost uses have variables of their own:\n"
    "the C library finds the time zone of \\fB\\-rtc base=localtime\\fR by \\fBTZ\\fR.\n"
    ".SH FILES\n"
    ".TP\n.I /dev/kvm\nthe processor's virtualization; it must be readable and writable for \\fB\\-accel kvm\\fR\n"
    ".TP\n.I $XDG_RUNTIME_DIR/roost\nthe user's running VMs and their logs, for the verbs; else \\fI/run/user/UID/roost\\fR, else \\fI/tmp/roost\\-UID\\fR. Only its\n"
    "owner may look into it (mode 0700), or it is not used.\n"
    ".PP\nSeaBIOS and the VGA BIOSes are inside the executable; \\fB\\-L\\fR names folders that are asked first, and\n"
    "\\fB\\-bios\\fR another firmware. No configuration file is read that was not asked for.\n";

static const char ending_see_also[] =
    ".SH SEE ALSO\n.BR qemu\\-system\\-x86_64 (1),\n.BR timeout (1),\n.BR kvm (4)\n"
    ".PP\nThe folder \\fIdocs\\fR of the sources: \\fImap.md\\fR what lives where, \\fIguests.md\\fR which guests are promised to boot,\n"
    "\\fIdevices/\\fR what is modelled, \\fIconfiguration.md\\fR the tree behind all spellings.\n";

void manual_print(void)
{
    printf(".TH ROOST 1 \"\" \"Roost %s\" \"User Commands\"\n", ROOST_VERSION);
    fputs(opening, stdout);
    put_options();
    put_machines();
    puts(".SH DEVICE MODELS\nBeside the name stands the bus that the device sits on.");
    puts(".SS For \\-device");
    put_devices(false);
    puts(".SS Made by the board");
    puts("Their properties can be set by \\fB\\-global\\fR.");
    put_devices(true);
    put_block_drivers();
    put_objects();
    put_streams();
    put_terminal_keys();
    put_qmp();
    put_verbs();
    put_tools();
    put_exit_status();
    fputs(ending_files, stdout);
    put_examples();
    fputs(ending_see_also, stdout);
}
