/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hmp-line.c - editing a line: cursor, history, completion
 *
 * Keys: arrows, Home, End, Delete, Backspace, Ctrl-A B D E F H K L N P U W, Tab. The line is redrawn from the prompt after a change.
 *
 * Tests    tests/qmp/hmp.py
 */
#include "monitor/hmp.h"
#include <string.h>

enum { LINE_MOST = 4096, HISTORY_MOST = 64 };
static const char prompt[] = "(qemu) ";    /* what scripts wait for */

struct HmpLine {
    GString *text;
    size_t cursor;
    GPtrArray *history;                    /* oldest first */
    guint shown;                           /* of the history; .len: the new line */
    char *unfinished;                      /* the new line while an old one is shown */
    enum { PLAIN, ESCAPE, SEQUENCE } state;
    int number;                            /* of an escape sequence "ESC [ 3 ~" */
};

HmpLine *hmp_line_new(void)
{
    HmpLine *line = g_new0(HmpLine, 1);

    line->text = g_string_new(NULL);
    line->history = g_ptr_array_new_with_free_func(g_free);
    return line;
}

void hmp_line_free(HmpLine *line)
{
    g_string_free(line->text, TRUE);
    g_ptr_array_unref(line->history);
    g_free(line->unfinished);
    g_free(line);
}

void hmp_line_greet(HmpLine *line, GString *echo)
{
    g_string_truncate(line->text, 0);
    line->cursor = 0;
    g_string_append(echo, "Roost " ROOST_VERSION " monitor - type 'help' for more information\r\n");
    hmp_line_prompt(line, echo);
}

void hmp_line_prompt(HmpLine *line, GString *echo)
{
    g_string_append_printf(echo, "%s%s", prompt, line->text->str);
    for (size_t i = line->cursor; i < line->text->len; i++) {
        g_string_append_c(echo, '\b');
    }
}

static void redraw(HmpLine *line, GString *echo)
{
    g_string_append(echo, "\r\033[K");
    hmp_line_prompt(line, echo);
}

static void replace(HmpLine *line, const char *text, GString *echo)
{
    g_string_assign(line->text, text);
    line->cursor = line->text->len;
    redraw(line, echo);
}

static void erase(HmpLine *line, size_t from, size_t to, GString *echo)
{
    g_string_erase(line->text, (gssize)from, (gssize)(to - from));
    line->cursor = from;
    redraw(line, echo);
}

static void insert(HmpLine *line, const char *text, size_t length, GString *echo)
{
    if (line->text->len + length > LINE_MOST) {
        return;
    }
    bool at_end = line->cursor == line->text->len;
    g_string_insert_len(line->text, (gssize)line->cursor, text, (gssize)length);
    line->cursor += length;
    if (at_end) {
        g_string_append_len(echo, text, (gssize)length);
    } else {
        redraw(line, echo);
    }
}

static void browse(HmpLine *line, bool older, GString *echo)
{
    if (older ? line->shown == 0 : line->shown >= line->history->len) {
        return;
    }
    if (line->shown == line->history->len) {
        g_free(line->unfinished);
        line->unfinished = g_strdup(line->text->str);
    }
    line->shown += older ? -1u : 1u;
    replace(line, line->shown < line->history->len ? line->history->pdata[line->shown] : line->unfinished, echo);
}

static size_t common_length(char **names)
{
    size_t length = strlen(names[0]);

    for (char **name = names + 1; *name; name++) {
        size_t same = 0;
        while (same < length && (*name)[same] == names[0][same]) {
            same++;
        }
        length = same;
    }
    return length;
}

/* One candidate is finished; several are listed, as far as they agree they are typed. */
static void complete(HmpLine *line, GString *echo)
{
    size_t begin = 0;
    g_auto(GStrv) names = line->cursor == line->text->len ? hmp_complete(line->text->str, &begin) : NULL;
    size_t typed = line->text->len - begin;

    if (!names || !names[0]) {
        return;
    }
    size_t length = common_length(names);
    if (length > typed) {
        insert(line, names[0] + typed, length - typed, echo);
    }
    if (!names[1]) {
        insert(line, " ", 1, echo);
    } else if (length <= typed) {
        g_autofree char *list = g_strjoinv("  ", names);
        g_string_append_printf(echo, "\r\n%s\r\n", list);
        hmp_line_prompt(line, echo);
    }
}

static char *finish(HmpLine *line, GString *echo)
{
    char *text = g_strdup(line->text->str);
    const char *last = line->history->len ? line->history->pdata[line->history->len - 1] : "";

    g_string_append(echo, "\r\n");
    if (*text && strcmp(text, last) != 0) {
        if (line->history->len == HISTORY_MOST) {
            g_ptr_array_remove_index(line->history, 0);
        }
        g_ptr_array_add(line->history, g_strdup(text));
    }
    line->shown = line->history->len;
    g_string_truncate(line->text, 0);
    line->cursor = 0;
    return text;
}

static void erase_word(HmpLine *line, GString *echo)
{
    size_t from = line->cursor;

    while (from && line->text->str[from - 1] == ' ') {
        from--;
    }
    while (from && line->text->str[from - 1] != ' ') {
        from--;
    }
    erase(line, from, line->cursor, echo);
}

static void move(HmpLine *line, size_t to, GString *echo)
{
    line->cursor = MIN(to, line->text->len);
    redraw(line, echo);
}

/* The keys of Emacs that are one byte, and what the arrows come down to. */
static void command(HmpLine *line, uint8_t key, GString *echo)
{
    size_t at = line->cursor, length = line->text->len;

    switch (key) {
    case 'A' - 64: move(line, 0, echo); break;
    case 'B' - 64: move(line, at ? at - 1 : 0, echo); break;
    case 'D' - 64: erase(line, at, MIN(at + 1, length), echo); break;
    case 'E' - 64: move(line, length, echo); break;
    case 'F' - 64: move(line, at + 1, echo); break;
    case 'H' - 64: case 127: erase(line, at ? at - 1 : 0, at, echo); break;
    case 'I' - 64: complete(line, echo); break;
    case 'K' - 64: erase(line, at, length, echo); break;
    case 'L' - 64: g_string_append(echo, "\033[H\033[2J"); redraw(line, echo); break;
    case 'N' - 64: browse(line, false, echo); break;
    case 'P' - 64: browse(line, true, echo); break;
    case 'U' - 64: erase(line, 0, at, echo); break;
    case 'W' - 64: erase_word(line, echo); break;
    default: break;
    }
}

/* Behind "ESC [" or "ESC O". */
static void sequence(HmpLine *line, uint8_t key, GString *echo)
{
    static const char letters[] = "ABCDHF", meanings[] = { 'P' - 64, 'N' - 64, 'F' - 64, 'B' - 64, 'A' - 64, 'E' - 64 };
    static const uint8_t numbers[] = { 0, 'A' - 64, 0, 'D' - 64, 'E' - 64, 0, 0, 'A' - 64, 'E' - 64 };
    const char *letter = key ? strchr(letters, key) : NULL;

    if (g_ascii_isdigit(key) && line->number < 100) {
        line->number = line->number * 10 + (key - '0');
        return;
    }
    line->state = PLAIN;
    if (letter) {
        command(line, (uint8_t)meanings[letter - letters], echo);
    } else if (key == '~' && line->number < (int)sizeof numbers) {
        command(line, numbers[line->number], echo);
    }
}

char *hmp_line_key(HmpLine *line, uint8_t key, GString *echo)
{
    if (line->state == SEQUENCE) {
        sequence(line, key, echo);
        return NULL;
    }
    if (line->state == ESCAPE) {
        line->state = key == '[' || key == 'O' ? SEQUENCE : PLAIN;
        line->number = 0;
        return NULL;
    }
    if (key == '\r' || key == '\n') {
        return finish(line, echo);
    }
    if (key == 27) {
        line->state = ESCAPE;
    } else if (key < 32 || key == 127) {
        command(line, key, echo);
    } else {
        insert(line, (const char *)&key, 1, echo);
    }
    return NULL;
}
