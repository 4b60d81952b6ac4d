/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * option.h - QEMU's KEY=VALUE,... to a Value and back
 *
 *   e1000,netdev=n0,bus=pci.0       the first item may leave its key out, where one is implied
 *   file=/a,,b,format=raw           a doubled comma is a comma inside a value
 *   server,nowait                   an item without "=": server=on, wait=off
 *   {"driver": "e1000", ...}        a JSON object instead
 */
#pragma once
#include "base/field.h"

typedef struct OptionGrammar {
    const char *who;                       /* begins the sentences and is the result's origin: "-drive" */
    const char *implied;                   /* key of a first item without "="; NULL for none */
    const Field *keys;                     /* their values are checked and typed; NULL: any key, values stay text */
    bool other_keys;                       /* keys beside those are taken, as text */
    const char *const *lists;              /* keys whose repetitions make a list; others: the last one counts */
} OptionGrammar;

/* An object that the caller owns, or NULL and *err. */
Value *option_parse(const OptionGrammar *grammar, const char *text, GError **err);
/* Keys with dots as what they mean: {"file.driver":"nbd","server.0.host":"h"} becomes {"file":{"driver":"nbd"},"server":[{"host":"h"}]};
 * numbers without a gap make a list. merge (may be NULL) names keys that may be text and have parts: the text becomes their
 * "filename". A new object that the caller owns; NULL and *err where a key is both text and object, or too deep. */
Value *option_nest(const Value *flat, const char *who, const char *const *merge, GError **err);
/* Whether an item of the text is a bare "help" or "?". */
bool option_wants_help(const char *text);
/* The same options as text that option_parse() reads with this grammar: KEY=VALUE where that says it all, else JSON.
 * Caller frees. */
char *option_print(const OptionGrammar *grammar, const Value *options);
