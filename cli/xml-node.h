/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xml-node.h - an XML document as a tree that knows its lines, and what of it was understood
 *
 * Reading marks: an attribute, a text or an element that somebody asked for is "read". What nobody asked for is found at
 * the end (xml-sweep.c), so that nothing in a file is passed over in silence.
 *
 * Ownership: the document owns its nodes and all texts; getters lend.
 */
#pragma once
#include "base/error.h"
#include <stddef.h>

typedef struct XmlDocument XmlDocument;

typedef struct XmlAttribute {
    char *name, *value;
    bool read;
} XmlAttribute;

typedef struct XmlNode {
    XmlDocument *document;
    struct XmlNode *parent;
    char *name;
    GArray *attributes;                    /* of XmlAttribute */
    GPtrArray *children;
    guint index;                           /* among its parent's */
    GString *text;                         /* what stands between its children, too */
    unsigned line;                         /* of its tag's beginning; 0 in a document that is being written */
    size_t begin, end;                     /* its bytes in the source */
    char *verbatim;                        /* written: the whole element as it is, instead of all the rest */
    bool read, text_read;
} XmlNode;

struct XmlDocument {
    char *file;                            /* as messages call it */
    char *source;                          /* NULL in one that is being written */
    XmlNode *root;
    bool quiet;                            /* warnings are not said */
};

/* xml-read.c: a document of at most 4 MiB, 64 deep, 100000 elements; no document type, no entities but the five of XML and
 * characters by number. NULL and *err: "FILE:LINE: ...". */
XmlDocument *xml_parse(const char *file, const char *text, size_t length, GError **err);
XmlDocument *xml_read(const char *path, GError **err);
void xml_free(XmlDocument *document);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(XmlDocument, xml_free)

XmlNode *xml_node_new(XmlDocument *document, XmlNode *parent, const char *name);       /* the last child of its parent, or the root */
void xml_drop(XmlNode *node);              /* which has a parent, and is freed */
void xml_adopt(XmlNode *parent, XmlNode *node);                       /* it moves there, to the end */
/* Each marks what it returns. NULL when there is none. A node of NULL has nothing. */
const char *xml_attribute(XmlNode *node, const char *name);
XmlNode *xml_child(XmlNode *node, const char *name);                  /* the first of that name */
XmlNode *xml_next(XmlNode *node, const XmlNode *after, const char *name);      /* the first, or the one after; name NULL: any */
const char *xml_text(XmlNode *node);                                  /* without white space around it */
/* "driver@name", "os/type", "@type": an attribute or an element's text, and the node that it stands in (may be NULL). */
const char *xml_lookup(XmlNode *node, const char *path, XmlNode **holder);

/* "FILE:LINE: <disk>: " and the sentence; false. */
bool xml_fail(const XmlNode *node, GError **err, int errnum, const char *format, ...) G_GNUC_PRINTF(4, 5);
#define xml_fail(node, err, errnum, ...) __extension__({ (xml_fail)((node), (err), (errnum), __VA_ARGS__); false; })
char *xml_path(const XmlNode *node);       /* "domain/devices/disk"; the caller frees */
char *xml_verbatim(const XmlNode *node);   /* its source, with the prefixes that the root declares; the caller frees */

/* xml-write.c */
XmlDocument *xml_new(const char *root_name);
XmlNode *xml_make(XmlNode *parent, const char *path);                 /* the element there, made where it is missing */
void xml_set(XmlNode *node, const char *name, const char *value);     /* an attribute; replaces */
void xml_set_text(XmlNode *node, const char *text);                   /* without white space around it, which xml_text() would not give back */
void xml_store(XmlNode *node, const char *path, const char *value);   /* the opposite of xml_lookup() */
char *xml_print(const XmlDocument *document);                         /* indented by two; the caller frees */
