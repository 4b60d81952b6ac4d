/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * json.h - JSON text to Value and back
 *
 * The parser is incremental (a socket feeds it what arrives), bounded in depth, size and tokens,
 * and takes single-quoted strings, as QMP does. It never recurses on the peer's nesting.
 */
#pragma once
#include "base/value.h"

typedef struct JsonParser JsonParser;
typedef struct JsonLimits {
    size_t depth, bytes, tokens;           /* 0 means the default: 1024, 64 MiB, 2 Mi */
} JsonLimits;

JsonParser *json_parser_new(JsonLimits limits);
void json_parser_free(JsonParser *parser);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(JsonParser, json_parser_free)
/* Feeds bytes. After an error the parser has skipped to the next line or 0xFF byte (QMP's reset). */
void json_parser_feed(JsonParser *parser, const char *data, size_t length);
/* Next complete document (caller owns it), or NULL: with *err set for a malformed one, without for "feed me more". */
Value *json_parser_next(JsonParser *parser, GError **err);

Value *json_parse(const char *text, GError **err);     /* a whole document; NULL and *err when it is not one */
char *json_print(const Value *value, bool pretty);     /* caller frees; pretty indents by four as QMP does */
