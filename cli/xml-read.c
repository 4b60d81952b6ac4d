/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xml-read.c - XML text to a tree of nodes, within limits
 *
 * GMarkup reads the grammar. It knows no document types and no entities beside XML's five, so that nothing in a file can
 * grow or name other files; what it lets pass is refused here: a document type, an encoding that is not UTF-8, an attribute
 * given twice. It is fed from '<' to '<', which gives each element its line and its place in the source.
 *
 * Tests    tests/xml/refuse.py
 */
#include "base/open.h"
#include "cli/xml-node.h"
#include <errno.h>
#include <stdarg.h>
#include <string.h>

enum { FILE_MOST = 4 << 20, DEPTH_MOST = 64, ELEMENTS_MOST = 100000, ATTRIBUTES_MOST = 64, QUOTED_MOST = 200 };

typedef struct Reader {
    XmlDocument *document;
    XmlNode *open;                         /* the innermost element that has not ended */
    unsigned line;                         /* of the piece that is being fed */
    size_t begin, end;                     /* of that piece */
    unsigned depth, elements;
} Reader;

XmlNode *xml_node_new(XmlDocument *document, XmlNode *parent, const char *name)
{
    XmlNode *node = g_new0(XmlNode, 1);

    node->document = document;
    node->parent = parent;
    node->name = g_strdup(name);
    node->attributes = g_array_new(FALSE, TRUE, sizeof(XmlAttribute));
    node->children = g_ptr_array_new();
    node->text = g_string_new(NULL);
    if (parent) {
        node->index = parent->children->len;
        g_ptr_array_add(parent->children, node);
    } else {
        document->root = node;
    }
    return node;
}

/* As deep as the reader lets a document be. */
static void node_free(XmlNode *node)
{
    for (guint i = 0; i < node->attributes->len; i++) {
        XmlAttribute *attribute = &g_array_index(node->attributes, XmlAttribute, i);
        g_free(attribute->name);
        g_free(attribute->value);
    }
    for (guint i = 0; i < node->children->len; i++) {
        node_free(node->children->pdata[i]);
    }
    g_array_free(node->attributes, TRUE);
    g_ptr_array_free(node->children, TRUE);
    g_string_free(node->text, TRUE);
    g_free(node->name);
    g_free(node->verbatim);
    g_free(node);
}

static void leave_parent(XmlNode *node)
{
    GPtrArray *siblings = node->parent->children;

    g_ptr_array_remove_index(siblings, node->index);
    for (guint i = node->index; i < siblings->len; i++) {
        ((XmlNode *)siblings->pdata[i])->index = i;
    }
}

void xml_drop(XmlNode *node)
{
    leave_parent(node);
    node_free(node);
}

void xml_adopt(XmlNode *parent, XmlNode *node)
{
    leave_parent(node);
    node->parent = parent;
    node->index = parent->children->len;
    g_ptr_array_add(parent->children, node);
}

void xml_free(XmlDocument *document)
{
    if (document) {
        if (document->root) {
            node_free(document->root);
        }
        g_free(document->file);
        g_free(document->source);
        g_free(document);
    }
}

/* ---- GMarkup's calls ------------------------------------------------------------------------------------------ */

static bool attribute_given_twice(const XmlNode *node, const char *name)
{
    for (guint i = 0; i < node->attributes->len; i++) {
        if (strcmp(g_array_index(node->attributes, XmlAttribute, i).name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void on_start(GMarkupParseContext *context, const char *name, const char **names, const char **values, void *opaque, GError **err)
{
    Reader *reader = opaque;

    (void)context;
    if (++reader->depth > DEPTH_MOST) {
        fail(err, E2BIG, "<%.*s>: elements are nested more than %d deep", QUOTED_MOST, name, DEPTH_MOST);
        return;
    }
    if (reader->document->root && !reader->open) {
        fail(err, EINVAL, "<%.*s>: <%s> has ended, and one element alone stands at the top", QUOTED_MOST, name, reader->document->root->name);
        return;
    }
    if (++reader->elements > ELEMENTS_MOST) {
        fail(err, E2BIG, "there are more than %d elements", ELEMENTS_MOST);
        return;
    }
    XmlNode *node = xml_node_new(reader->document, reader->open, name);
    node->line = reader->line;
    node->begin = reader->begin;
    reader->open = node;
    for (size_t i = 0; names[i]; i++) {
        if (i == ATTRIBUTES_MOST) {
            fail(err, E2BIG, "<%.*s>: there are more than %d attributes", QUOTED_MOST, name, ATTRIBUTES_MOST);
            return;
        }
        if (attribute_given_twice(node, names[i])) {
            fail(err, EINVAL, "<%.*s>: the attribute '%.*s' is given twice; keep one", QUOTED_MOST, name, QUOTED_MOST, names[i]);
            return;
        }
        XmlAttribute attribute = { g_strdup(names[i]), g_strdup(values[i]), false };
        g_array_append_vals(node->attributes, &attribute, 1);
    }
}

static void on_end(GMarkupParseContext *context, const char *name, void *opaque, GError **err)
{
    Reader *reader = opaque;
    const char *source = reader->document->source, *close = memchr(source + reader->begin, '>', reader->end - reader->begin);

    (void)context;
    (void)name;
    (void)err;
    reader->open->end = close ? (size_t)(close - source) + 1 : reader->end;
    reader->open = reader->open->parent;
    reader->depth--;
}

static void on_text(GMarkupParseContext *context, const char *text, size_t length, void *opaque, GError **err)
{
    Reader *reader = opaque;

    (void)context;
    (void)err;
    if (reader->open) {
        g_string_append_len(reader->open->text, text, (gssize)length);
    }
}

/* Comments and processing instructions pass; "<?xml ... encoding='X'?>" must mean UTF-8. */
static void on_other(GMarkupParseContext *context, const char *text, size_t length, void *opaque, GError **err)
{
    g_autofree char *said = g_strndup(text, length), *lower = g_ascii_strdown(said, -1);

    (void)context;
    (void)opaque;
    if (g_str_has_prefix(lower, "<!doctype")) {
        fail(err, ENOTSUP, "a document type is refused: it could name entities and other files; take the <!DOCTYPE ...> out");
    } else if (g_str_has_prefix(lower, "<?xml ") && strstr(lower, "encoding") && !strstr(lower, "utf-8") && !strstr(lower, "us-ascii")) {
        fail(err, ENOTSUP, "%.*s: the file must be UTF-8; 'iconv -t UTF-8' converts it", QUOTED_MOST, said);
    }
}

/* ---- from text to tree ---------------------------------------------------------------------------------------- */

/* GMarkup begins "Error on line 3 char 5: "; the line is said already, and its sentence ends without a fix. */
static const char *without_place(const char *message)
{
    const char *colon = g_str_has_prefix(message, "Error on line ") ? strstr(message, ": ") : NULL;

    return colon ? colon + 2 : message;
}

static void say_where(const Reader *reader, GError *inner, GError **err)
{
    g_autofree char *said = g_strndup(without_place(inner->message), 2 * QUOTED_MOST);

    g_strdelimit(said, "\n\r", ' ');
    if (inner->domain == ROOST_ERROR) {
        fail(err, inner->code, "%s:%u: %s", reader->document->file, reader->line, said);
    } else if (reader->open) {
        fail(err, EINVAL, "%s:%u: this is not well-formed XML: %s (inside <%.*s>, which begins in line %u)", reader->document->file, reader->line,
             said, QUOTED_MOST, reader->open->name, reader->open->line);
    } else {
        fail(err, EINVAL, "%s:%u: this is not well-formed XML: %s", reader->document->file, reader->line, said);
    }
    g_error_free(inner);
}

static bool feed(Reader *reader, const char *text, size_t length, GError **err)
{
    static const GMarkupParser calls = { .start_element = on_start, .end_element = on_end, .text = on_text, .passthrough = on_other };
    GMarkupParseContext *context = g_markup_parse_context_new(&calls, G_MARKUP_TREAT_CDATA_AS_TEXT, reader, NULL);
    GError *inner = NULL;
    bool done = true;

    for (reader->line = 1; done && reader->begin < length; reader->begin = reader->end) {
        const char *next = memchr(text + reader->begin + 1, '<', length - reader->begin - 1);
        reader->end = next ? (size_t)(next - text) : length;
        done = g_markup_parse_context_parse(context, text + reader->begin, (gssize)(reader->end - reader->begin), &inner);
        for (size_t i = reader->begin; done && i < reader->end; i++) {
            reader->line += text[i] == '\n';
        }
    }
    done = done && g_markup_parse_context_end_parse(context, &inner) &&
           (reader->document->root || (fail(&inner, EINVAL, "there is no element in it; a domain begins with <domain type='kvm'>")));
    g_markup_parse_context_free(context);
    if (!done) {
        say_where(reader, inner, err);
    }
    return done;
}

XmlDocument *xml_parse(const char *file, const char *text, size_t length, GError **err)
{
    g_autoptr(XmlDocument) document = g_new0(XmlDocument, 1);
    Reader reader = { .document = document };
    const char *wrong;
    size_t blank;

    document->file = g_strdup(file);
    if (length > FILE_MOST) {
        fail(err, EFBIG, "%s: it has %zu bytes, and a domain has at most %d", file, length, FILE_MOST);
        return NULL;
    }
    if (memchr(text, '\0', length)) {
        fail(err, EINVAL, "%s: it is not a text: there are zero bytes in it", file);
        return NULL;
    }
    if (!g_utf8_validate(text, (gssize)length, &wrong)) {
        unsigned line = 1;
        for (const char *c = text; c < wrong; c++) {
            line += *c == '\n';
        }
        fail(err, EINVAL, "%s:%u: this is not well-formed XML: byte 0x%02x is not UTF-8", file, line, (unsigned char)*wrong);
        return NULL;
    }
    for (blank = 0; blank < length && g_ascii_isspace(text[blank]); blank++) {
    }
    if (blank == length) {
        fail(err, EINVAL, "%s: there is nothing in it", file);
        return NULL;
    }
    document->source = g_strndup(text, length);
    if (!feed(&reader, document->source, length, err)) {
        return NULL;
    }
    return g_steal_pointer(&document);
}

XmlDocument *xml_read(const char *path, GError **err)
{
    g_autofree uint8_t *data = NULL;
    g_autofree char *name = g_path_get_basename(path);
    size_t length = 0;

    if (!host_read_file("domain file", path, FILE_MOST, &data, &length, err)) {
        return NULL;
    }
    return xml_parse(name, (const char *)data, length, err);
}

/* ---- looking things up ----------------------------------------------------------------------------------------- */

const char *xml_attribute(XmlNode *node, const char *name)
{
    for (guint i = 0; node && i < node->attributes->len; i++) {
        XmlAttribute *attribute = &g_array_index(node->attributes, XmlAttribute, i);
        if (strcmp(attribute->name, name) == 0) {
            attribute->read = true;
            return attribute->value;
        }
    }
    return NULL;
}

XmlNode *xml_next(XmlNode *node, const XmlNode *after, const char *name)
{
    for (guint i = after ? after->index + 1 : 0; node && i < node->children->len; i++) {
        XmlNode *child = node->children->pdata[i];
        if (!name || strcmp(child->name, name) == 0) {
            child->read = true;
            return child;
        }
    }
    return NULL;
}

XmlNode *xml_child(XmlNode *node, const char *name)
{
    return xml_next(node, NULL, name);
}

const char *xml_text(XmlNode *node)
{
    if (!node) {
        return NULL;
    }
    node->text_read = true;
    g_strstrip(node->text->str);
    node->text->len = strlen(node->text->str);
    return node->text->str;
}

const char *xml_lookup(XmlNode *node, const char *path, XmlNode **holder)
{
    g_auto(GStrv) steps = g_strsplit_set(path, "/@", -1);
    bool attribute = strchr(path, '@') != NULL;
    guint elements = g_strv_length(steps) - attribute;

    for (guint i = 0; i < elements && node; i++) {
        node = *steps[i] ? xml_child(node, steps[i]) : node;
    }
    if (holder && node) {
        *holder = node;
    }
    return attribute ? xml_attribute(node, steps[elements]) : xml_text(node);
}

char *xml_path(const XmlNode *node)
{
    char *path = g_strdup(node->name);

    for (node = node->parent; node; node = node->parent) {
        char *longer = g_strdup_printf("%s/%s", node->name, path);
        g_free(path);
        path = longer;
    }
    return path;
}

bool (xml_fail)(const XmlNode *node, GError **err, int errnum, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *sentence = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_strdelimit(sentence, "\n\r", ' ');
    if (node->line) {
        fail(err, errnum, "%s:%u: <%.*s>: %s", node->document->file, node->line, QUOTED_MOST, node->name, sentence);
    } else {
        fail(err, errnum, "<%s>: %s", node->name, sentence);
    }
    return false;
}

/* A prefix that the root declares is lost with the root: the copy declares it itself. */
char *xml_verbatim(const XmlNode *node)
{
    const XmlDocument *document = node->document;
    GString *copy = g_string_new_len(document->source + node->begin, (gssize)(node->end - node->begin));
    const GArray *attributes = document->root->attributes;

    for (guint i = 0; i < attributes->len && node != document->root; i++) {
        const XmlAttribute *attribute = &g_array_index(attributes, XmlAttribute, i);
        const char *prefix = g_str_has_prefix(attribute->name, "xmlns:") ? attribute->name + strlen("xmlns:") : NULL;
        g_autofree char *used = g_strdup_printf("%s:", prefix ? prefix : "");
        if (prefix && strstr(copy->str, used) && !strstr(copy->str, attribute->name)) {
            g_autofree char *declared = g_markup_printf_escaped(" %s=\"%s\"", attribute->name, attribute->value);
            g_string_insert(copy, (gssize)strlen(node->name) + 1, declared);
        }
    }
    return g_string_free(copy, FALSE);
}
