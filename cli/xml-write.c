/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xml-write.c - a tree of nodes to XML text, in the order and with the spacing that libvirt uses
 *
 * Tests    tests/xml/translate.py
 */
#include "cli/xml-node.h"
#include <string.h>

XmlDocument *xml_new(const char *root_name)
{
    XmlDocument *document = g_new0(XmlDocument, 1);

    document->file = g_strdup(root_name);
    xml_node_new(document, NULL, root_name);
    return document;
}

XmlNode *xml_make(XmlNode *parent, const char *path)
{
    g_auto(GStrv) steps = g_strsplit(path, "/", -1);

    for (char **step = steps; *step; step++) {
        XmlNode *child = **step ? xml_child(parent, *step) : parent;
        parent = child ? child : xml_node_new(parent->document, parent, *step);
    }
    return parent;
}

void xml_set(XmlNode *node, const char *name, const char *value)
{
    for (guint i = 0; i < node->attributes->len; i++) {
        XmlAttribute *attribute = &g_array_index(node->attributes, XmlAttribute, i);
        if (strcmp(attribute->name, name) == 0) {
            g_free(attribute->value);
            attribute->value = g_strdup(value);
            return;
        }
    }
    XmlAttribute attribute = { g_strdup(name), g_strdup(value), false };
    g_array_append_vals(node->attributes, &attribute, 1);
}

void xml_set_text(XmlNode *node, const char *text)
{
    g_autofree char *stripped = g_strstrip(g_strdup(text));

    g_string_assign(node->text, stripped);
}

void xml_store(XmlNode *node, const char *path, const char *value)
{
    const char *at = strchr(path, '@');
    g_autofree char *elements = at ? g_strndup(path, at - path) : g_strdup(path);
    XmlNode *holder = xml_make(node, elements);

    if (at) {
        xml_set(holder, at + 1, value);
    } else {
        xml_set_text(holder, value);
    }
}

/* White space that XML would take for its own, and what it forbids: neither may change on the way back. */
static void put_escaped(GString *out, const char *text, bool quoted)
{
    for (; *text; text++) {
        switch (*text) {
        case '&': g_string_append(out, "&amp;"); break;
        case '<': g_string_append(out, "&lt;"); break;
        case '>': g_string_append(out, "&gt;"); break;
        case '\'': g_string_append(out, quoted ? "&apos;" : "'"); break;
        case '\n': case '\r': case '\t':
            if (quoted || *text == '\r') {
                g_string_append_printf(out, "&#x%x;", (unsigned)*text);
                break;
            }
            g_string_append_c(out, *text);
            break;
        default:
            if ((unsigned char)*text >= 0x20) {
                g_string_append_c(out, *text);
            }
        }
    }
}

static void put_node(GString *out, const XmlNode *node, int depth)
{
    g_string_append_printf(out, "%*s", 2 * depth, "");
    if (node->verbatim) {
        g_string_append_printf(out, "%s\n", node->verbatim);
        return;
    }
    g_string_append_printf(out, "<%s", node->name);
    for (guint i = 0; i < node->attributes->len; i++) {
        const XmlAttribute *attribute = &g_array_index(node->attributes, XmlAttribute, i);
        g_string_append_printf(out, " %s='", attribute->name);
        put_escaped(out, attribute->value, true);
        g_string_append_c(out, '\'');
    }
    if (node->children->len == 0 && node->text->len == 0) {
        g_string_append(out, "/>\n");
        return;
    }
    g_string_append_c(out, '>');
    put_escaped(out, node->text->str, false);
    if (node->children->len) {
        g_string_append_c(out, '\n');
        for (guint i = 0; i < node->children->len; i++) {
            put_node(out, node->children->pdata[i], depth + 1);
        }
        g_string_append_printf(out, "%*s", 2 * depth, "");
    }
    g_string_append_printf(out, "</%s>\n", node->name);
}

char *xml_print(const XmlDocument *document)
{
    GString *out = g_string_new(NULL);

    put_node(out, document->root, 0);
    return g_string_free(out, FALSE);
}
