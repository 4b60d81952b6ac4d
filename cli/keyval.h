/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * keyval.h - tables of keys for the arguments of options, and their help
 *
 * The grammar is base/option.h's. A table is of Field; only .name, .kind, .names, .min, .max, .required and .help of
 * the rows are used, since the values go into the tree and not into a struct.
 */
#pragma once
#include "base/option.h"
#include "cli/options.h"

#define KEY_(n, k, h, ...) { .name = (n), .kind = (k), .help = (h), ##__VA_ARGS__ }
#define KEY_STR(n, h, ...)        KEY_(n, FIELD_STR, h, ##__VA_ARGS__)
#define KEY_BOOL(n, h)            KEY_(n, FIELD_BOOL, h)
#define KEY_UINT(n, low, high, h, ...) KEY_(n, FIELD_U64, h, .min = (low), .max = (high), ##__VA_ARGS__)
#define KEY_INT(n, h)             KEY_(n, FIELD_I64, h)
#define KEY_SIZE(n, h)            KEY_(n, FIELD_SIZE, h)
#define KEY_ENUM(n, list, h, ...) KEY_(n, FIELD_ENUM, h, .names = (list), ##__VA_ARGS__)
extern const char *const on_off[], *const on_off_auto[];              /* texts that stay texts */

/* The argument as an object; keys NULL: any key, text. The caller owns it; NULL and *err. */
Value *keyval_parse(const Config *config, const Field *keys, const char *text, const char *implied, GError **err);
/* The same, laid over target: an option given twice adds to itself. */
bool keyval_apply(const Config *config, Value *target, const Field *keys, const char *text, const char *implied, GError **err);
void keyval_print_keys(const Field *keys); /* for "help" */
char *keyval_choices(const Field *key);    /* what stands behind "KEY=" in help; the caller frees it */
char *keyval_preset(const Field *key);     /* a device property's default as text; NULL: there is none, or the help tells it */
bool name_is_well_formed(const char *id);  /* a letter, then letters, digits and "-._" */
