/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * json.c - JSON text to Value, a byte at a time, and Value to JSON text
 *
 * Models   RFC 8259, and single-quoted strings with the escape \' as QMP has them
 * Omits    numbers beyond double's range and tokens of more than NUMBER_LIMIT digits (refused); duplicate keys (refused)
 * Threads  a parser belongs to one thread at a time
 * Tests    tests/unit/json.c, tests/fuzz/json.c
 *
 * Two small machines: the lexer gathers one token's bytes in `token`; the grammar keeps the open containers on a stack
 * of its own and knows what may come next, so the depth of a document costs heap up to a limit and never stack.
 * Printing recurses, on values that the parser's depth limit or our own code bounds.
 */
#include "base/json.h"
#include "base/error.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_DEPTH  1024
#define DEFAULT_BYTES  ((size_t)64 << 20)
#define DEFAULT_TOKENS ((size_t)2 << 20)
#define NUMBER_LIMIT   400
#define TOKEN_KEEP     65536               /* a longer token's buffer is given back */
#define RESET_BYTE     0xff                /* never part of UTF-8: QMP clients send it to get a peer out of any state */

typedef enum { LEX_BETWEEN, LEX_STRING, LEX_ESCAPE, LEX_NUMBER, LEX_WORD, LEX_SKIP } LexState;

/* What the grammar takes next. */
typedef enum {
    WANT_VALUE,                            /* also: nothing at all, at top level */
    WANT_VALUE_OR_END,                     /* after [ */
    WANT_KEY_OR_END,                       /* after { */
    WANT_KEY,                              /* after a comma in an object */
    WANT_COLON,
    WANT_COMMA_OR_END,
} Want;

typedef struct Open {
    Value *container;
    char *key;                             /* read, waiting for its value */
} Open;

struct JsonParser {
    JsonLimits limits;
    LexState lex;
    char quote;
    GString *token;
    Want want;
    GArray *stack;                         /* of Open, outermost first */
    size_t bytes, tokens;                  /* of the document so far */
    unsigned line, column;                 /* of the byte at hand, from 1, counted from the start of the feed */
    GQueue results;                        /* of Result */
};

typedef struct Result {
    Value *value;
    GError *error;
} Result;

JsonParser *json_parser_new(JsonLimits limits)
{
    JsonParser *parser = g_new0(JsonParser, 1);

    parser->limits.depth = limits.depth ? limits.depth : DEFAULT_DEPTH;
    parser->limits.bytes = limits.bytes ? limits.bytes : DEFAULT_BYTES;
    parser->limits.tokens = limits.tokens ? limits.tokens : DEFAULT_TOKENS;
    parser->token = g_string_new(NULL);
    parser->stack = g_array_new(FALSE, FALSE, sizeof(Open));
    parser->line = 1;
    g_queue_init(&parser->results);
    return parser;
}

/* Forgets the document that is under way. */
static void reset(JsonParser *parser)
{
    for (guint i = 0; i < parser->stack->len; i++) {
        Open *open = &g_array_index(parser->stack, Open, i);

        g_free(open->key);
        if (i == 0) {
            value_unref(open->container);  /* inner ones hang in it */
        }
    }
    g_array_set_size(parser->stack, 0);
    if (parser->token->allocated_len > TOKEN_KEEP) {
        g_string_free(parser->token, TRUE);
        parser->token = g_string_new(NULL);
    }
    g_string_truncate(parser->token, 0);
    parser->lex = LEX_BETWEEN;
    parser->want = WANT_VALUE;
    parser->bytes = parser->tokens = 0;
}

void json_parser_free(JsonParser *parser)
{
    Result *result;

    if (!parser) {
        return;
    }
    reset(parser);
    while ((result = g_queue_pop_head(&parser->results))) {
        value_unref(result->value);
        g_clear_error(&result->error);
        g_free(result);
    }
    g_array_free(parser->stack, TRUE);
    g_string_free(parser->token, TRUE);
    g_free(parser);
}

static void push_result(JsonParser *parser, Value *take_value, GError *take_error)
{
    Result *result = g_new(Result, 1);

    *result = (Result){ take_value, take_error };
    g_queue_push_tail(&parser->results, result);
}

/* Always returns false: the byte or token did not do. */
static bool malformed(JsonParser *parser, const char *format, ...) G_GNUC_PRINTF(2, 3);
static bool malformed(JsonParser *parser, const char *format, ...)
{
    g_autofree char *reason = NULL;
    va_list args;
    GError *error = NULL;

    va_start(args, format);
    reason = g_strdup_vprintf(format, args);
    va_end(args);
    fail(&error, EINVAL, "JSON parse error at line %u, column %u: %s", parser->line, parser->column, reason);
    push_result(parser, NULL, error);
    reset(parser);
    parser->lex = LEX_SKIP;
    return false;
}

/* ---- grammar: tokens to values ---- */

static const char *wanted(const JsonParser *parser)
{
    const Open *open = parser->stack->len ? &g_array_index(parser->stack, Open, parser->stack->len - 1) : NULL;

    switch (parser->want) {
    case WANT_VALUE_OR_END:
        return "a value or ']'";
    case WANT_KEY_OR_END:
        return "a key in quotes or '}'";
    case WANT_KEY:
        return "a key in quotes";
    case WANT_COLON:
        return "':'";
    case WANT_COMMA_OR_END:
        return open && value_kind(open->container) == VALUE_LIST ? "',' or ']'" : "',' or '}'";
    default:
        return "a value";
    }
}

/* Each token of a document is counted before anything is made of it. */
static bool count_token(JsonParser *parser)
{
    return ++parser->tokens <= parser->limits.tokens ||
           malformed(parser, "the document has more than %zu tokens", parser->limits.tokens);
}

static Open *innermost(JsonParser *parser)
{
    return parser->stack->len ? &g_array_index(parser->stack, Open, parser->stack->len - 1) : NULL;
}

/* Hangs a finished or just opened value where it belongs; a top-level one that is not opened is the document. */
static void place(JsonParser *parser, Value *take, bool opened)
{
    Open *open = innermost(parser);

    if (open && open->key) {
        value_set(open->container, open->key, take);
        g_clear_pointer(&open->key, g_free);
    } else if (open) {
        value_append(open->container, take);
    } else if (!opened) {
        push_result(parser, take, NULL);
        reset(parser);
        return;
    }
    parser->want = WANT_COMMA_OR_END;
}

static bool take_value(JsonParser *parser, Value *take)
{
    if (parser->want != WANT_VALUE && parser->want != WANT_VALUE_OR_END) {
        value_unref(take);
        return malformed(parser, "%s is expected here", wanted(parser));
    }
    place(parser, take, false);
    return true;
}

static bool take_string(JsonParser *parser, const char *text)
{
    Open *open = innermost(parser);

    if (parser->want != WANT_KEY && parser->want != WANT_KEY_OR_END) {
        return take_value(parser, value_new_string(text));
    }
    if (value_get(open->container, text)) {
        return malformed(parser, "key '%.100s' is there twice", text);
    }
    open->key = g_strdup(text);
    parser->want = WANT_COLON;
    return true;
}

static bool open_container(JsonParser *parser, bool list)
{
    Open open = { NULL, NULL };

    if (parser->want != WANT_VALUE && parser->want != WANT_VALUE_OR_END) {
        return malformed(parser, "%s is expected here, not '%c'", wanted(parser), list ? '[' : '{');
    }
    if (parser->stack->len >= parser->limits.depth) {
        return malformed(parser, "the document is nested deeper than %zu", parser->limits.depth);
    }
    open.container = list ? value_new_list() : value_new_object();
    place(parser, open.container, true);
    g_array_append_val(parser->stack, open);
    parser->want = list ? WANT_VALUE_OR_END : WANT_KEY_OR_END;
    return true;
}

static bool close_container(JsonParser *parser, bool list)
{
    Open *open = innermost(parser);
    Value *container;
    bool may_end = parser->want == WANT_COMMA_OR_END || parser->want == (list ? WANT_VALUE_OR_END : WANT_KEY_OR_END);

    if (!open || !may_end || (value_kind(open->container) == VALUE_LIST) != list) {
        return malformed(parser, "%s is expected here, not '%c'", wanted(parser), list ? ']' : '}');
    }
    container = open->container;
    g_array_set_size(parser->stack, parser->stack->len - 1);
    parser->want = WANT_COMMA_OR_END;
    if (parser->stack->len == 0) {
        push_result(parser, container, NULL);
        reset(parser);
    }
    return true;
}

static bool take_punctuation(JsonParser *parser, char c)
{
    if (!count_token(parser)) {
        return false;
    }
    switch (c) {
    case '[':
    case '{':
        return open_container(parser, c == '[');
    case ']':
    case '}':
        return close_container(parser, c == ']');
    case ':':
        if (parser->want != WANT_COLON) {
            break;
        }
        parser->want = WANT_VALUE;
        return true;
    default:
        if (parser->want != WANT_COMMA_OR_END || !innermost(parser)) {
            break;
        }
        parser->want = value_kind(innermost(parser)->container) == VALUE_LIST ? WANT_VALUE : WANT_KEY;
        return true;
    }
    return malformed(parser, "%s is expected here, not '%c'", wanted(parser), c);
}

/* ---- tokens ---- */

static const char *skip_digits(const char *p)
{
    while (g_ascii_isdigit(*p)) {
        p++;
    }
    return p;
}

/* RFC 8259's grammar: no leading zeros, no bare dot, no plus sign in front. */
static bool number_is_valid(const char *p, bool *integer)
{
    const char *start;

    p += *p == '-';
    start = p;
    p = skip_digits(p);
    if (p == start || (*start == '0' && p != start + 1)) {
        return false;
    }
    *integer = *p == '\0';
    if (*p == '.') {
        start = ++p;
        p = skip_digits(p);
        if (p == start) {
            return false;
        }
    }
    if (*p == 'e' || *p == 'E') {
        p++;
        p += *p == '+' || *p == '-';
        start = p;
        p = skip_digits(p);
        if (p == start) {
            return false;
        }
    }
    return *p == '\0';
}

static bool finish_number(JsonParser *parser)
{
    const char *text = parser->token->str;
    bool integer;
    double d;

    if (!number_is_valid(text, &integer)) {
        return malformed(parser, "'%.40s' is not a number", text);
    }
    if (integer) {
        int64_t n;
        uint64_t u;

        errno = 0;
        n = g_ascii_strtoll(text, NULL, 10);
        if (!errno) {
            return take_value(parser, value_new_int(n));
        }
        errno = 0;
        u = g_ascii_strtoull(text, NULL, 10);
        if (!errno && *text != '-') {
            return take_value(parser, value_new_uint(u));
        }
    }
    d = g_ascii_strtod(text, NULL);
    if (!isfinite(d)) {
        return malformed(parser, "the number %.40s... is out of range", text);
    }
    return take_value(parser, value_new_double(d));
}

static bool finish_word(JsonParser *parser)
{
    const char *text = parser->token->str;

    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0) {
        return take_value(parser, value_new_bool(*text == 't'));
    }
    if (strcmp(text, "null") == 0) {
        return take_value(parser, value_new_null());
    }
    return malformed(parser, "'%s' is not a JSON word: %s is expected here", text, wanted(parser));
}

static bool read_hex4(const char *p, unsigned *unit)
{
    *unit = 0;
    for (int i = 0; i < 4; i++) {
        if (!g_ascii_isxdigit(p[i])) {     /* also stops at the end of the token */
            return false;
        }
        *unit = *unit << 4 | (unsigned)g_ascii_xdigit_value(p[i]);
    }
    return true;
}

/* *p stands behind "\u"; a surrogate pair takes the next escape too. U+0000 becomes C0 80, which no C string misreads. */
static bool unescape_unicode(const char **p, GString *out)
{
    unsigned high, low;

    if (!read_hex4(*p, &high)) {
        return false;
    }
    *p += 4;
    if (high == 0) {
        g_string_append_len(out, "\xc0\x80", 2);
        return true;
    }
    if (high >= 0xd800 && high < 0xe000) {
        if (high >= 0xdc00 || (*p)[0] != '\\' || (*p)[1] != 'u' || !read_hex4(*p + 2, &low) || low < 0xdc00 ||
            low >= 0xe000) {
            return false;
        }
        *p += 6;
        high = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    }
    g_string_append_unichar(out, high);
    return true;
}

static bool unescape(const char *p, GString *out)
{
    static const char from[] = "\"'\\/bfnrt", to[] = "\"'\\/\b\f\n\r\t";

    while (*p) {
        const char *known;

        if (*p != '\\') {
            g_string_append_c(out, *p++);
            continue;
        }
        p++;
        known = *p ? strchr(from, *p) : NULL;
        if (known) {
            g_string_append_c(out, to[known - from]);
            p++;
        } else if (*p != 'u' || (p++, !unescape_unicode(&p, out))) {
            return false;
        }
    }
    return true;
}

static bool finish_string(JsonParser *parser)
{
    g_autoptr(GString) text = NULL;

    if (!g_utf8_validate_len(parser->token->str, parser->token->len, NULL)) {
        return malformed(parser, "the string is not UTF-8");
    }
    if (!strchr(parser->token->str, '\\')) {
        return take_string(parser, parser->token->str);
    }
    text = g_string_sized_new(parser->token->len);
    if (!unescape(parser->token->str, text)) {
        return malformed(parser, "the string has an escape that JSON does not know");
    }
    return take_string(parser, text->str);
}

/* The token in hand is complete. */
static bool finish_token(JsonParser *parser)
{
    LexState kind = parser->lex;
    bool ok;

    parser->lex = LEX_BETWEEN;
    if (kind == LEX_BETWEEN) {
        return true;
    }
    if (!count_token(parser)) {
        return false;
    }
    ok = kind == LEX_NUMBER ? finish_number(parser) : kind == LEX_WORD ? finish_word(parser) : finish_string(parser);
    g_string_truncate(parser->token, 0);
    return ok;
}

/* ---- lexer: bytes to tokens ---- */

static bool begin_token(JsonParser *parser, char c)
{
    if (c == '"' || c == '\'') {
        parser->lex = LEX_STRING;
        parser->quote = c;
        return true;
    }
    if (c == '-' || g_ascii_isdigit(c)) {
        parser->lex = LEX_NUMBER;
    } else if (g_ascii_isalpha(c)) {
        parser->lex = LEX_WORD;
    } else if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
        return true;
    } else if (c && strchr("[]{}:,", c)) {
        return take_punctuation(parser, c);
    } else {
        return malformed(parser, g_ascii_isprint(c) ? "stray '%c'" : "stray byte 0x%02x", (unsigned char)c);
    }
    g_string_append_c(parser->token, c);
    return true;
}

static bool string_byte(JsonParser *parser, char c)
{
    if ((unsigned char)c < 0x20) {
        return malformed(parser, "byte 0x%02x inside a string: write it as an escape", (unsigned char)c);
    }
    if (parser->lex == LEX_STRING && c == parser->quote) {
        return finish_token(parser);
    }
    parser->lex = parser->lex == LEX_STRING && c == '\\' ? LEX_ESCAPE : LEX_STRING;
    g_string_append_c(parser->token, c);
    return true;
}

static bool belongs_to_number(char c)
{
    return g_ascii_isalnum(c) || c == '.' || c == '+' || c == '-';
}

static void feed_byte(JsonParser *parser, char c)
{
    if (parser->lex == LEX_SKIP) {
        if (c == '\n' || (unsigned char)c == RESET_BYTE) {
            reset(parser);
        }
        return;
    }
    if ((unsigned char)c == RESET_BYTE) {
        malformed(parser, "stray byte 0xff, taken as a reset");
        reset(parser);
        return;
    }
    if (++parser->bytes > parser->limits.bytes) {
        malformed(parser, "the document is longer than %zu bytes", parser->limits.bytes);
        return;
    }
    switch (parser->lex) {
    case LEX_STRING:
    case LEX_ESCAPE:
        if (string_byte(parser, c) || c != '\n') {
            return;
        }
        reset(parser);                     /* the newline that is not allowed there ends the skipping, too */
        return;
    case LEX_NUMBER:
    case LEX_WORD:
        if (parser->lex == LEX_NUMBER ? belongs_to_number(c) : g_ascii_isalnum(c)) {
            if (parser->token->len >= NUMBER_LIMIT) {
                malformed(parser, "a number or word of more than %d characters", NUMBER_LIMIT);
                return;
            }
            g_string_append_c(parser->token, c);
            return;
        }
        if (!finish_token(parser)) {
            break;
        }
        begin_token(parser, c);
        return;
    default:
        begin_token(parser, c);
        if (parser->stack->len == 0 && parser->lex == LEX_BETWEEN) {
            parser->bytes = 0;             /* blanks between documents belong to none */
        }
        return;
    }
    if (c == '\n') {
        reset(parser);
    }
}

void json_parser_feed(JsonParser *parser, const char *data, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        parser->column++;
        feed_byte(parser, data[i]);
        if (data[i] == '\n') {
            parser->line++;
            parser->column = 0;
        }
    }
}

Value *json_parser_next(JsonParser *parser, GError **err)
{
    Result *result = g_queue_pop_head(&parser->results);
    Value *value;

    if (!result) {
        return NULL;
    }
    value = result->value;
    if (result->error) {
        g_propagate_error(err, result->error);
    }
    g_free(result);
    return value;
}

Value *json_parse(const char *text, GError **err)
{
    g_autoptr(JsonParser) parser = json_parser_new((JsonLimits){ 0 });
    g_autoptr(Value) value = NULL;
    GError *error = NULL;
    bool idle;

    json_parser_feed(parser, text, strlen(text));
    json_parser_feed(parser, "\n", 1);     /* ends a number or word */
    idle = parser->stack->len == 0 && parser->lex == LEX_BETWEEN;
    value = json_parser_next(parser, &error);
    if (error) {
        g_propagate_error(err, error);
        return NULL;
    }
    if (!value || !idle) {
        fail(err, EINVAL, "JSON parse error: the text ends where %s is expected", wanted(parser));
        return NULL;
    }
    if (!g_queue_is_empty(&parser->results)) {
        fail(err, EINVAL, "JSON parse error: there is more text behind the document");
        return NULL;
    }
    return g_steal_pointer(&value);
}

/* ---- printing ---- */

static void print_string(const char *text, GString *out)
{
    g_string_append_c(out, '"');
    for (const char *p = text; *p;) {
        static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
        const char *known = strchr(from, *p);
        gunichar c;

        if (known) {
            g_string_append_c(out, '\\');
            g_string_append_c(out, to[known - from]);
            p++;
            continue;
        }
        if ((unsigned char)p[0] == 0xc0 && (unsigned char)p[1] == 0x80) {
            g_string_append(out, "\\u0000");
            p += 2;
            continue;
        }
        c = g_utf8_get_char_validated(p, -1);
        if (c == (gunichar)-1 || c == (gunichar)-2) {
            c = 0xfffd;                    /* a file name of the host need not be UTF-8 */
            p++;
        } else {
            p = g_utf8_next_char(p);
        }
        if (c > 0xffff) {
            g_string_append_printf(out, "\\u%04X\\u%04X", 0xd800 + ((c - 0x10000) >> 10), 0xdc00 + (c & 0x3ff));
        } else if (c < 0x20 || c >= 0x7f) {
            g_string_append_printf(out, "\\u%04X", c);
        } else {
            g_string_append_c(out, (char)c);
        }
    }
    g_string_append_c(out, '"');
}

/* The shortest text that reads back as the same double, and as a double. */
static void print_double(double d, GString *out)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];

    if (!isfinite(d)) {
        g_string_append(out, "null");      /* JSON has no word for it */
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        char format[8];

        g_snprintf(format, sizeof format, "%%.%dg", digits);
        g_ascii_formatd(text, sizeof text, format, d);
        if (g_ascii_strtod(text, NULL) == d) {
            break;
        }
    }
    g_string_append(out, text);
    if (!strpbrk(text, ".e")) {
        g_string_append(out, ".0");
    }
}

static void print_break(GString *out, bool pretty, unsigned indent)
{
    if (pretty) {
        g_string_append_printf(out, "\n%*s", (int)(4 * indent), "");
    }
}

static void print(const Value *value, bool pretty, unsigned indent, GString *out)
{
    ValueKind kind = value_kind(value);
    uint64_t u = 0;
    int64_t n = 0;
    double d = 0;
    bool b = false;

    switch (kind) {
    case VALUE_NULL:
        g_string_append(out, "null");
        break;
    case VALUE_BOOL:
        value_to_bool(value, &b);
        g_string_append(out, b ? "true" : "false");
        break;
    case VALUE_INT:
        value_to_int(value, &n);
        g_string_append_printf(out, "%" PRId64, n);
        break;
    case VALUE_UINT:
        value_to_uint(value, &u);
        g_string_append_printf(out, "%" PRIu64, u);
        break;
    case VALUE_DOUBLE:
        value_to_double(value, &d);
        print_double(d, out);
        break;
    case VALUE_STRING:
        print_string(value_string(value), out);
        break;
    default:
        g_string_append_c(out, kind == VALUE_LIST ? '[' : '{');
        for (size_t i = 0; i < value_length(value); i++) {
            g_string_append(out, i == 0 ? "" : pretty ? "," : ", ");
            print_break(out, pretty, indent + 1);
            if (kind == VALUE_OBJECT) {
                print_string(value_key_at(value, i), out);
                g_string_append(out, ": ");
            }
            print(kind == VALUE_LIST ? value_at(value, i) : value_member_at(value, i), pretty, indent + 1, out);
        }
        print_break(out, pretty, indent);
        g_string_append_c(out, kind == VALUE_LIST ? ']' : '}');
        break;
    }
}

char *json_print(const Value *value, bool pretty)
{
    GString *out = g_string_new(NULL);

    print(value, pretty, 0, out);
    return g_string_free(out, FALSE);
}
