/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * keyval.h - the grammar of option arguments: KEY=VALUE,KEY=VALUE with ",," for a comma
 *
 * The first item may be a bare value for the implied key; a later bare word is a switch (server) or, with "no" before a
 * key, its opposite (nowait). A table of Field says which keys there are and of what kind; only .name, .kind, .names,
 * .min, .max, .required and .help of the rows are used, since the values go into the tree and not into a struct.
 */
#pragma once
#include "base/field.h"

#define KEY_(n, k, h, ...) { .name = (n), .kind = (k), .help = (h), ##__VA_ARGS__ }
#define KEY_STR(n, h, ...)        KEY_(n, FIELD_STR, h, ##__VA_ARGS__)
#define KEY_BOOL(n, h)            KEY_(n, FIELD_BOOL, h)
#define KEY_UINT(n, low, high, h) KEY_(n, FIELD_U64, h, .min = (low), .max = (high))
#define KEY_INT(n, h)             KEY_(n, FIELD_I64, h)
#define KEY_SIZE(n, h)            KEY_(n, FIELD_SIZE, h)
#define KEY_ENUM(n, list, h, ...) KEY_(n, FIELD_ENUM, h, .names = (list), ##__VA_ARGS__)
extern const char *const on_off[], *const on_off_auto[];              /* texts that stay texts */

typedef struct KeyVal { char *key, *value; } KeyVal;                  /* value NULL: a bare word */
/* The pairs in order of writing; free with g_ptr_array_unref(). NULL and *err for an empty key. */
GPtrArray *keyval_split(const char *text, const char *implied, GError **err);
/* The switch that a bare word means under these keys: its name, and *on. NULL: none. */
const Field *keyval_switch(const Field *keys, const char *word, bool *on);
/* Sets the members of target that text names. */
bool keyval_apply(Value *target, const Field *keys, const char *text, const char *implied, GError **err);
/* One value, checked and typed by its row. */
Value *keyval_typed(const Field *key, const char *text, GError **err);
bool keyval_asks_help(const char *text);   /* "help" or "?" stands among the items */
void keyval_print_keys(const Field *keys); /* for "help" */
char *keyval_key_names(const Field *keys); /* "a, b, c"; caller frees */
bool name_is_well_formed(const char *id);  /* a letter, then letters, digits and "-._" */
