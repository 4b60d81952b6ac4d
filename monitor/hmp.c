/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hmp.c - the monitor's commands for people: their table, how a line is taken apart, and the everyday ones
 *
 * Each does its work by QMP commands; only what QMP has no word for (expressions, memory dumps, the log) looks at the machine itself.
 *
 * Threads  main loop, machine lock held
 * Tests    tests/qmp/hmp.py
 */
#include "monitor/hmp.h"
#include "base/field.h"
#include "base/log.h"
#include "base/option.h"
#include "base/trace.h"
#include "block/blk.h"
#include "hw/objects.h"
#include "monitor/memory.h"
#include <inttypes.h>
#include <string.h>

enum { WORDS_MOST = 16, DUMP_MOST = 64 << 10 };

/* ---- by way of QMP ---- */

Value *hmp_qmp(Session *session, GString *out, const char *command, Value *take_args)
{
    g_autoptr(Value) args = take_args;
    g_autoptr(GError) err = NULL;
    const QmpCommand *found = qmp_command_find(command);
    Value *reply = found ? qmp_call_and_wait(session, found, args, &err) : NULL;

    if (!reply) {
        g_string_append_printf(out, "Error: %s\n", err ? err->message : "this is not supported");
    }
    return reply;
}

void hmp_do(Session *session, GString *out, const char *command, Value *take_args)
{
    value_unref(hmp_qmp(session, out, command, take_args));
}

Value *hmp_args(const char *key, const char *value)
{
    Value *args = value_new_object();

    if (value) {
        value_set(args, key, value_new_string(value));
    }
    return args;
}

#define PLAIN_COMMAND(function, command)                                                            \
    static void function(Session *session, const Words *words, GString *out)                        \
    {                                                                                               \
        (void)words;                                                                                \
        hmp_do(session, out, command, NULL);                                                        \
    }
PLAIN_COMMAND(run_stop, "stop")
PLAIN_COMMAND(run_cont, "cont")
PLAIN_COMMAND(run_reset, "system_reset")
PLAIN_COMMAND(run_powerdown, "system_powerdown")
PLAIN_COMMAND(run_wakeup, "system_wakeup")
PLAIN_COMMAND(run_nmi, "inject-nmi")
PLAIN_COMMAND(run_quit, "quit")

/* ---- help ---- */

static bool is_named(const HmpCommand *command, const char *name)
{
    g_auto(GStrv) names = g_strsplit(command->name, "|", -1);

    return g_strv_contains((const char *const *)names, name);
}

static const HmpCommand *find(const HmpCommand *table, const char *name)
{
    for (; table->name; table++) {
        if (is_named(table, name)) {
            return table;
        }
    }
    return NULL;
}

static void help_line(const char *before, const HmpCommand *command, GString *out)
{
    g_string_append_printf(out, "%s%s %s -- %s\n", before, command->name, command->args ? command->args : "", command->help);
}

static void run_help(Session *session, const Words *words, GString *out)
{
    bool infos = words->count && strcmp(words->items[0], "info") == 0;

    (void)session;
    for (const HmpCommand *command = infos ? hmp_infos : hmp_commands; command->name; command++) {
        if (infos || !words->count || is_named(command, words->items[0])) {
            help_line(infos ? "info " : "", command, out);
        }
    }
}

static void run_info(Session *session, const Words *words, GString *out)
{
    const HmpCommand *info = words->count ? find(hmp_infos, words->items[0]) : NULL;
    const Words rest = { words->items + 1, words->count ? words->count - 1 : 0 };
    static char *const info_word[] = { (char *)"info" };

    if (!words->count) {
        run_help(session, &(const Words){ (char **)info_word, 1 }, out);
    } else if (!info) {
        g_string_append_printf(out, "unknown command: 'info %s'\n", words->items[0]);
    } else {
        info->run(session, &rest, out);
    }
}

/* ---- memory ---- */

typedef struct Format { uint64_t count; char kind; unsigned size; } Format;

/* "/16xw": how many, as what, how wide. */
static bool read_format(const char *text, Format *format, GString *out)
{
    static const char widths[] = "bhwg";

    *format = (Format){ 1, 'x', 4 };
    if (g_ascii_isdigit(*text)) {
        char *end;
        format->count = g_ascii_strtoull(text, &end, 10);
        text = end;
    }
    for (; *text; text++) {
        const char *width = strchr(widths, *text);
        if (strchr("oduxc", *text)) {
            format->kind = *text;
        } else if (width) {
            format->size = 1u << (width - widths);
        } else {
            g_string_append_printf(out, *text == 'i' ? "instructions cannot be shown: there is no disassembler\n" : "invalid char in format: '%c'\n", *text);
            return false;
        }
    }
    return true;
}

static void append_number(GString *out, const Format *format, uint64_t value)
{
    unsigned bits = format->size * 8;
    int64_t negative = (int64_t)(value << (64 - bits)) >> (64 - bits);

    switch (format->kind) {
    case 'o': g_string_append_printf(out, "0%" PRIo64, value); break;
    case 'd': g_string_append_printf(out, "%" PRId64, negative); break;
    case 'u': g_string_append_printf(out, "%" PRIu64, value); break;
    case 'c': g_string_append_printf(out, value >= 32 && value < 127 ? "'%c'" : "'\\x%02x'", (unsigned)(value & 255)); break;
    default: g_string_append_printf(out, "0x%0*" PRIx64, (int)format->size * 2, value); break;
    }
}

static void dump(const uint8_t *data, uint64_t address, const Format *format, GString *out)
{
    unsigned in_line = 16 / format->size;

    for (uint64_t i = 0; i < format->count; i++) {
        uint64_t value = 0;
        if (i % in_line == 0) {
            g_string_append_printf(out, i ? "\n%016" PRIx64 ":" : "%016" PRIx64 ":", address + i * format->size);
        }
        memcpy(&value, data + i * format->size, format->size);
        g_string_append_c(out, ' ');
        append_number(out, format, value);
    }
    g_string_append_c(out, '\n');
}

/* "x /FMT EXPRESSION": the first word may be the format. */
static bool memory_words(const Words *words, Format *format, uint64_t *value, GString *out)
{
    const char *expression = words->items[0];

    *format = (Format){ 1, 'x', 4 };
    if (*expression == '/') {
        size_t length = strcspn(expression, " \t");
        g_autofree char *text = g_strndup(expression + 1, length - 1);
        if (!read_format(text, format, out)) {
            return false;
        }
        expression += length;
    }
    return hmp_evaluate(expression, NULL, value, out);
}

static void examine(const Words *words, bool physical, GString *out)
{
    Format format;
    uint64_t address;

    if (!memory_words(words, &format, &address, out)) {
        return;
    }
    if (format.count > DUMP_MOST / format.size) {
        g_string_append_printf(out, "at most %u bytes can be shown at once\n", DUMP_MOST);
        return;
    }
    g_autofree uint8_t *data = g_malloc0(format.count * format.size + 8);
    g_autofree CpuState *state = physical ? NULL : hmp_registers();
    size_t length = format.count * format.size;
    if (!physical && !state) {
        g_string_append(out, "there is no processor; xp shows physical memory\n");
    } else if (physical ? !monitor_read_physical(qmp_machine(), address, data, length)
                        : !monitor_read_virtual(qmp_machine(), state, address, data, length)) {
        g_string_append_printf(out, "%016" PRIx64 ": Cannot access memory\n", address);
    } else {
        dump(data, address, &format, out);
    }
}

static void run_x(Session *session, const Words *words, GString *out)
{
    (void)session;
    examine(words, false, out);
}

static void run_xp(Session *session, const Words *words, GString *out)
{
    (void)session;
    examine(words, true, out);
}

static void run_print(Session *session, const Words *words, GString *out)
{
    Format format;
    uint64_t value;

    (void)session;
    if (memory_words(words, &format, &value, out)) {
        if (format.kind == 'x') {
            g_string_append_printf(out, "0x%" PRIx64, value);
        } else {
            format.size = 8;
            append_number(out, &format, value);
        }
        g_string_append_c(out, '\n');
    }
}

static void run_save(Session *session, const char *command, const Words *words, GString *out)
{
    Value *args = value_new_object();
    uint64_t address, size;

    if (!hmp_evaluate(words->items[0], NULL, &address, out) || !hmp_evaluate(words->items[1], NULL, &size, out)) {
        value_unref(args);
        return;
    }
    value_set(args, "val", value_new_int((int64_t)address));
    value_set(args, "size", value_new_int((int64_t)size));
    value_set(args, "filename", value_new_string(words->items[2]));
    hmp_do(session, out, command, args);
}

static void run_memsave(Session *session, const Words *words, GString *out)
{
    run_save(session, "memsave", words, out);
}

static void run_pmemsave(Session *session, const Words *words, GString *out)
{
    run_save(session, "pmemsave", words, out);
}

/* ---- the log ---- */

static void run_log(Session *session, const Words *words, GString *out)
{
    g_autoptr(GError) err = NULL;

    (void)session;
    if (strcmp(words->items[0], "none") == 0) {
        __atomic_store_n(&log_mask, 0, __ATOMIC_RELAXED);
    } else if (!log_set_items(words->items[0], &err)) {
        g_string_append_printf(out, "Error: %s\n", err->message);
    }
}

static void run_trace_event(Session *session, const Words *words, GString *out)
{
    bool on;
    g_autoptr(GError) err = NULL;

    (void)session;
    if (!parse_bool(words->items[1], &on)) {
        g_string_append_printf(out, "Error: '%s' is neither on nor off\n", words->items[1]);
        return;
    }
    g_autofree char *pattern = g_strconcat(on ? "" : "-", words->items[0], NULL);
    if (!trace_enable(pattern, &err)) {
        g_string_append_printf(out, "Error: %s\n", err->message);
    }
}

/* ---- media ---- */

/* A drive's id, or a device's. */
static Value *drive_args(const char *name)
{
    return hmp_args(blk_find(name) ? "device" : "id", name);
}

static void run_eject(Session *session, const Words *words, GString *out)
{
    bool force = words->count > 1 && strcmp(words->items[0], "-f") == 0;
    Value *args = drive_args(words->items[force]);

    if (force) {
        value_set(args, "force", value_new_bool(true));
    }
    hmp_do(session, out, "eject", args);
}

static void run_change(Session *session, const Words *words, GString *out)
{
    Value *args = drive_args(words->items[0]);

    value_set(args, "filename", value_new_string(words->items[1]));
    if (words->count > 2) {
        value_set(args, "format", value_new_string(words->items[2]));
    }
    if (words->count > 3) {
        value_set(args, "read-only-mode", value_new_string(words->items[3]));
    }
    hmp_do(session, out, "blockdev-change-medium", args);
}

static void run_resize(Session *session, const Words *words, GString *out)
{
    Value *args = hmp_args(blk_find(words->items[0]) ? "device" : "node-name", words->items[0]);
    uint64_t size;

    if (!parse_size(words->items[1], 1 << 20, &size) || size > INT64_MAX) {
        g_string_append_printf(out, "Error: '%s' is no size\n", words->items[1]);
        value_unref(args);
        return;
    }
    value_set(args, "size", value_new_uint(size));
    hmp_do(session, out, "block_resize", args);
}

/* ---- devices and objects ---- */

static Value *options_of(const char *who, const char *implied, const char *text, GString *out)
{
    const OptionGrammar grammar = { .who = who, .implied = implied };
    g_autoptr(GError) err = NULL;
    Value *options = option_parse(&grammar, text, &err);

    if (!options) {
        g_string_append_printf(out, "Error: %s\n", err->message);
    }
    return options;
}

static void run_device_add(Session *session, const Words *words, GString *out)
{
    Value *args = options_of("device_add", "driver", words->items[0], out);

    if (args) {
        hmp_do(session, out, "device_add", args);
    }
}

static void run_device_del(Session *session, const Words *words, GString *out)
{
    hmp_do(session, out, "device_del", hmp_args("id", words->items[0]));
}

/* What is a number or a switch in the object's table becomes one. */
static Value *typed(const Value *options)
{
    const ObjectKind *kind = object_kind_find(value_get_string(options, "qom-type", ""), NULL);
    Value *args = value_new_object();

    for (size_t i = 0; i < value_length(options); i++) {
        const char *key = value_key_at(options, i), *text = value_string(value_member_at(options, i));
        const Field *field = kind ? field_find(kind->keys, key) : NULL;
        uint64_t number;
        bool on;
        if (field && text && field->kind == FIELD_BOOL && parse_bool(text, &on)) {
            value_set(args, key, value_new_bool(on));
        } else if (field && text && field->kind != FIELD_STR && field->kind != FIELD_ENUM && parse_size(text, 1, &number)) {
            value_set(args, key, value_new_uint(number));
        } else {
            value_set(args, key, value_ref(value_member_at(options, i)));
        }
    }
    return args;
}

static void run_object_add(Session *session, const Words *words, GString *out)
{
    g_autoptr(Value) options = options_of("object_add", "qom-type", words->items[0], out);

    if (options) {
        hmp_do(session, out, "object-add", typed(options));
    }
}

static void run_object_del(Session *session, const Words *words, GString *out)
{
    hmp_do(session, out, "object-del", hmp_args("id", words->items[0]));
}

static void run_chardev_remove(Session *session, const Words *words, GString *out)
{
    hmp_do(session, out, "chardev-remove", hmp_args("id", words->items[0]));
}

static void run_balloon(Session *session, const Words *words, GString *out)
{
    Value *args = value_new_object();
    uint64_t bytes;

    if (!parse_size(words->items[0], 1 << 20, &bytes) || bytes > INT64_MAX) {
        g_string_append_printf(out, "Error: '%s' is no size\n", words->items[0]);
        value_unref(args);
        return;
    }
    value_set(args, "value", value_new_uint(bytes));
    hmp_do(session, out, "balloon", args);
}

/* "[-p] [-d] filename [begin length]". */
static void run_dump(Session *session, const Words *words, GString *out)
{
    static const char *const keys[] = { NULL, "begin", "length" };
    Value *args = value_new_object();
    unsigned place = 0;

    value_set(args, "paging", value_new_bool(false));
    for (unsigned i = 0; i < words->count; i++) {
        const char *word = words->items[i];
        uint64_t number;
        if (strcmp(word, "-p") == 0 || strcmp(word, "-d") == 0) {
            value_set(args, word[1] == 'p' ? "paging" : "detach", value_new_bool(true));
        } else if (place == 0) {
            g_autofree char *protocol = g_strconcat("file:", word, NULL);
            value_set(args, "protocol", value_new_string(protocol));
            place++;
        } else if (place >= G_N_ELEMENTS(keys) || !hmp_evaluate(word, NULL, &number, out)) {
            value_unref(args);
            return;
        } else {
            value_set(args, keys[place++], value_new_int((int64_t)number));
        }
    }
    hmp_do(session, out, "dump-guest-memory", args);
}

const HmpCommand hmp_commands[] = {
    { "balloon", "size", "how much memory the guest shall keep; a bare number is in MiB", run_balloon, .least = 1 },
    { "block_resize", "device size", "another size for a disk; a bare number is in MiB", run_resize, .least = 2 },
    { "change", "device filename [format [read-only-mode]]", "another image into a drive", run_change, .least = 2 },
    { "chardev-add", "backend,id=name[,key=value...]", "makes a character stream, as -chardev does", hmp_chardev_add, .least = 1 },
    { "chardev-change", "id backend[,key=value...]", "puts another stream in the place of one", hmp_chardev_change, .least = 2 },
    { "chardev-remove", "id", "closes a character stream that nothing uses", run_chardev_remove, .least = 1 },
    { "cont|c", NULL, "lets the processors run", run_cont },
    { "device_add", "driver[,property=value...]", "adds a device, as -device does", run_device_add, .least = 1 },
    { "device_del", "id", "asks the guest to let a device go", run_device_del, .least = 1 },
    { "dump-guest-memory", "[-p] [-d] filename [begin length]", "memory and registers into an ELF core file; -p: with mappings, -d: in the background",
      run_dump, .least = 1 },
    { "eject", "[-f] device", "opens the tray and takes the medium out; -f: although the guest has locked it", run_eject, .least = 1 },
    { "help|?", "[command]", "this list, or a line of it", run_help },
    { "hostfwd_add", "[id] [tcp|udp]:[address]:port-[address]:port", "a port of the host leads to one of the guest", hmp_hostfwd_add, .least = 1 },
    { "hostfwd_remove", "[id] [tcp|udp]:[address]:port", "ends that", hmp_hostfwd_remove, .least = 1 },
    { "info", "[subject]", "tells about a subject; alone it lists them", run_info },
    { "log", "item1[,...]", "what to log; none switches it off", run_log, .least = 1 },
    { "memsave", "addr size file", "virtual memory into a file", run_memsave, .least = 3 },
    { "mouse_button", "state", "buttons held: 1 left, 2 middle, 4 right, or a sum", hmp_mouse_button, .least = 1 },
    { "mouse_move", "dx dy [dz]", "moves the mouse; dz turns its wheel", hmp_mouse_move, .least = 2 },
    { "mouse_set", "index", "which mouse takes the events", hmp_mouse_set, .least = 1 },
    { "netdev_add", "type,id=name[,key=value...]", "makes a network backend, as -netdev does", hmp_netdev_add, .least = 1 },
    { "netdev_del", "id", "takes a network backend away", hmp_netdev_del, .least = 1 },
    { "nmi", NULL, "a non-maskable interrupt", run_nmi },
    { "object_add", "type,id=name[,property=value...]", "makes an object, as -object does", run_object_add, .least = 1 },
    { "object_del", "id", "takes away an object that nothing uses", run_object_del, .least = 1 },
    { "pmemsave", "addr size file", "physical memory into a file", run_pmemsave, .least = 3 },
    { "print|p", "/fmt expr", "computes: numbers, $registers, + - * / % & | ^ ~ ( )", run_print, .least = 1, .rest = true },
    { "quit|q", NULL, "ends the process; the guest is not asked", run_quit },
    { "screendump", "filename [device [head]]", "a picture of the screen into a file", hmp_screendump, .least = 1 },
    { "sendkey", "keys [hold_ms]", "presses keys: ctrl-alt-delete, 0x1e", hmp_sendkey, .least = 1 },
    { "set_link", "name on|off", "plugs a card's cable in or out", hmp_set_link, .least = 2 },
    { "stop|s", NULL, "stops the processors", run_stop },
    { "system_powerdown", NULL, "presses the power button", run_powerdown },
    { "system_reset", NULL, "presses the reset button", run_reset },
    { "system_wakeup", NULL, "wakes a sleeping guest", run_wakeup },
    { "trace-event", "name on|off", "switches trace points", run_trace_event, .least = 2 },
    { "x", "/fmt addr", "virtual memory: /COUNT, x d u o c, b h w g", run_x, .least = 1, .rest = true },
    { "xp", "/fmt addr", "physical memory, in the same formats", run_xp, .least = 1, .rest = true },
    { .name = NULL } };

/* ---- lines ---- */

/* Words by blanks, or in quotes with \" and \\ inside. The memory is the line's, which is changed. */
static bool next_word(char **at, char **word)
{
    char *from = *at + strspn(*at, " \t"), *to;
    bool quoted = *from == '"';

    if (!*from) {
        return false;
    }
    from += quoted;
    *word = to = from;
    while (*from && (quoted ? *from != '"' : *from != ' ' && *from != '\t')) {
        from += quoted && *from == '\\' && from[1];
        *to++ = *from++;
    }
    *at = *from ? from + 1 : from;
    *to = '\0';
    return true;
}

void hmp_execute(Session *session, const char *line, GString *out)
{
    g_autofree char *copy = g_strdup(line);
    char *at = copy, *name, *items[WORDS_MOST];
    Words words = { items, 0 };

    /* "p/x 1" and "x/4x 0": the format may stick to the name. */
    char *slash = copy + strspn(copy, " \t") + strspn(copy + strspn(copy, " \t"), "abcdefghijklmnopqrstuvwxyz");
    g_autofree char *spaced = *slash == '/' ? g_strdup_printf("%.*s %s", (int)(slash - copy), copy, slash) : NULL;
    at = spaced ? spaced : copy;
    if (!next_word(&at, &name) || *name == '#') {
        return;
    }
    const HmpCommand *command = find(hmp_commands, name);
    if (!command) {
        g_string_append_printf(out, "unknown command: '%s'\n", name);
        return;
    }
    if (command->rest) {
        at += strspn(at, " \t");
        words.count = *at != '\0';
        items[0] = g_strchomp(at);
    }
    while (!command->rest && words.count < WORDS_MOST && next_word(&at, &items[words.count])) {
        words.count++;
    }
    if (words.count < command->least) {
        g_string_append_printf(out, "%s: %s\n", command->name, command->args);
        return;
    }
    command->run(session, &words, out);
}

char **hmp_complete(const char *line, size_t *word_begin)
{
    const char *blank = strrchr(line, ' '), *word = blank ? blank + 1 : line;
    bool first = strspn(line, " ") == (size_t)(word - line);
    const HmpCommand *table = first ? hmp_commands : g_str_has_prefix(line, "info ") ? hmp_infos : NULL;
    GPtrArray *names = g_ptr_array_new();

    *word_begin = (size_t)(word - line);
    for (; table && table->name; table++) {
        g_auto(GStrv) all = g_strsplit(table->name, "|", -1);
        for (char **name = all; *name; name++) {
            if (g_str_has_prefix(*name, word)) {
                g_ptr_array_add(names, g_strdup(*name));
            }
        }
    }
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(names, FALSE);
}
