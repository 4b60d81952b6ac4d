/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * verb-table.c - tables as virsh prints them: a blank, columns three blanks apart, a line of dashes below their names
 *
 * Tests    tests/verbs/forms.py
 */
#include "cli/verb.h"
#include <stdio.h>
#include <string.h>

enum { GAP = 3 };

struct VerbTable { guint columns; GPtrArray *cells; };     /* row by row, the names first */

char *verb_printable(const char *text)
{
    GString *out = g_string_new(NULL);
    bool utf8 = g_utf8_validate(text, -1, NULL);

    for (const char *c = text; *c; c++) {
        unsigned char byte = (unsigned char)*c;
        if (byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !utf8)) {
            g_string_append_printf(out, "\\x%02x", byte);
        } else {
            g_string_append_c(out, *c);
        }
    }
    return g_string_free(out, FALSE);
}

VerbTable *verb_table_new(const char *const *columns)
{
    VerbTable *table = g_new0(VerbTable, 1);

    table->columns = g_strv_length((char **)columns);
    table->cells = g_ptr_array_new_with_free_func(g_free);
    verb_table_row(table, columns);
    return table;
}

void verb_table_row(VerbTable *table, const char *const *cells)
{
    for (guint i = 0; i < table->columns; i++) {
        g_ptr_array_add(table->cells, verb_printable(cells[i] ? cells[i] : ""));
    }
}

static size_t width(const char *text)
{
    size_t cells = 0;

    for (const char *c = text; *c; c = g_utf8_next_char(c)) {
        gunichar letter = g_utf8_get_char(c);
        cells += g_unichar_iszerowidth(letter) ? 0 : g_unichar_iswide(letter) ? 2 : 1;
    }
    return cells;
}

static void print_row(const VerbTable *table, guint row, const size_t *widths)
{
    for (guint i = 0; i < table->columns; i++) {
        const char *cell = table->cells->pdata[row * table->columns + i];
        bool last = i + 1 == table->columns;
        printf("%s%s%*s", i ? "" : " ", cell, last ? 0 : (int)(widths[i] - width(cell) + GAP), "");
    }
    putchar('\n');
}

void verb_table_print(VerbTable *table)
{
    g_autofree size_t *widths = g_new0(size_t, table->columns);
    size_t all = 0;

    for (guint i = 0; i < table->cells->len; i++) {
        widths[i % table->columns] = MAX(widths[i % table->columns], width(table->cells->pdata[i]));
    }
    for (guint i = 0; i < table->columns; i++) {
        all += widths[i] + GAP;
    }
    print_row(table, 0, widths);
    g_autofree char *dashes = g_strnfill(all, '-');
    puts(dashes);
    for (guint row = 1; row < table->cells->len / table->columns; row++) {
        print_row(table, row, widths);
    }
    g_ptr_array_unref(table->cells);
    g_free(table);
}
