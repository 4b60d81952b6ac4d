/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xml-work.h - a translation between a domain and options, while it goes on
 *
 * One direction fills options from elements, the other elements from options; tables of XmlMap serve both. What an element
 * says is added between xml_begin() and xml_end(): where one of its devices does not exist, all of it is left out.
 */
#pragma once
#include "base/value.h"
#include "cli/xml-node.h"
#include "cli/xml.h"

typedef struct XmlWord { const char *xml, *key; } XmlWord;            /* a table ends with NULL */

typedef enum {
    MAP_TEXT,
    MAP_NUMBER,                            /* decimal, at most .most */
    MAP_WORD,                              /* one of .words */
    MAP_SWITCH,                            /* on|off or yes|no: a bool */
    MAP_PRESENT,                           /* the element is there: true */
} XmlMapKind;

typedef struct XmlMap {
    const char *path;                      /* from the element: "driver@io", "serial", "@model" */
    const char *key;                       /* of the option; NULL ends the table */
    XmlMapKind kind;
    const XmlWord *words;
    uint64_t most;                         /* MAP_NUMBER; 0: 2^32 - 1 */
    const char *on, *off;                  /* MAP_SWITCH: how the way back writes it; "on" and "off" when NULL */
} XmlMap;

typedef struct XmlArgument {
    const char *option;                    /* its name */
    char *text;                            /* NULL: it takes none */
    XmlNode *node;                         /* what said it */
} XmlArgument;

typedef struct XmlWork {
    XmlDocument *document;
    const XmlRunOptions *options;
    GArray *arguments;                     /* of XmlArgument */
    GPtrArray *boots;                      /* disks and interfaces in boot order, where <os> says it by kind: XmlNode * */
    guint group;                           /* arguments before xml_begin() */
    char *missing;                         /* what the element being translated cannot have; NULL: nothing */
    unsigned virtio_serial_ports, usb_ports;
} XmlWork;

/* ---- xml-map.c: tables ----- */
bool xml_map_in(const XmlMap *map, XmlNode *node, Value *out, GError **err);
/* Takes the keys that it could say out of the options. */
void xml_map_out(const XmlMap *map, Value *in, XmlNode *node);
char *xml_value_text(const Value *value);  /* as an option's text would have it; NULL for NULL; the caller frees */
bool xml_number(const XmlNode *node, const char *what, const char *text, uint64_t most, uint64_t *out, GError **err);

/* ---- xml-work.c: options that are found ----- */
void xml_say(XmlWork *work, XmlNode *node, const char *option, const char *format, ...) G_GNUC_PRINTF(4, 5);
void xml_say_alone(XmlWork *work, XmlNode *node, const char *option);
void xml_say_keys(XmlWork *work, XmlNode *node, const char *option, const char *implied, Value *take);
void xml_say_device(XmlWork *work, XmlNode *node, Value *take);
void xml_begin(XmlWork *work);
void xml_end(XmlWork *work, XmlNode *node);
/* Each child of devices that has one of these names, kind by kind, between xml_begin() and xml_end(); number counts within a kind. */
typedef struct XmlKind { const char *name; bool (*translate)(XmlWork *work, XmlNode *node, unsigned number, GError **err); } XmlKind;
bool xml_each(XmlWork *work, XmlNode *devices, const XmlKind *kinds, size_t count, GError **err);
void xml_lacks(XmlWork *work, const char *why);                       /* the element cannot run; the first reason counts */
void xml_warn(const XmlNode *node, const char *format, ...) G_GNUC_PRINTF(2, 3);
Value *xml_device(const char *driver, XmlNode *node, const char *format, ...) G_GNUC_PRINTF(3, 4);   /* with its id: the alias of a person, or this */
bool xml_pci_place(XmlNode *node, Value *device, GError **err);       /* <address type='pci'> */
bool xml_boot_place(XmlWork *work, XmlNode *node, Value *device, GError **err);
const char *xml_virtio_suffix(XmlNode *node, const char *path, const char *plain, GError **err);   /* "" or "-transitional"...; NULL and *err */

void xml_ignore(XmlNode *node);            /* it and all in it count as read */
void xml_ignore_child(XmlNode *node, const char *name);

/* ---- the parts of a domain, in the order of the command line ----- */
bool xml_cpu(XmlWork *work, XmlNode *domain, GError **err);           /* xml-cpu.c */
bool xml_smbios(XmlWork *work, XmlNode *domain, GError **err);        /* xml-smbios.c */
bool xml_disks(XmlWork *work, XmlNode *devices, GError **err);        /* xml-disk.c */
bool xml_streams(XmlWork *work, XmlNode *devices, GError **err);      /* xml-chardev.c: serial, console, parallel, channel */
bool xml_stream(XmlWork *work, XmlNode *node, const char *id, GError **err);       /* -chardev ID */
bool xml_interfaces(XmlWork *work, XmlNode *devices, GError **err);   /* xml-interface.c */
bool xml_display(XmlWork *work, XmlNode *devices, GError **err);      /* xml-display.c: input, graphics, video, sound */
bool xml_others(XmlWork *work, XmlNode *devices, GError **err);       /* xml-devices.c: watchdog, balloon, rng, panic */
bool xml_controllers(XmlWork *work, XmlNode *devices, GError **err);  /* xml-devices.c */

/* ---- xml-resolve.c: pools and networks ----- */
char *xml_volume(const XmlWork *work, const XmlNode *node, const char *pool, const char *volume, GError **err);
/* What a card in that network is connected to: the keys of a -netdev but its id; an empty object: to nothing. */
Value *xml_network(const XmlWork *work, const XmlNode *node, const char *name, GError **err);

/* ---- xml-domain.c ----- */
/* Takes the document; xml_work_clear() in any case. */
bool xml_translate(XmlWork *work, XmlDocument *take, const XmlRunOptions *options, GError **err);
void xml_work_clear(XmlWork *work);
GPtrArray *xml_work_argv(const XmlWork *work);             /* the options as xml_to_argv() returns them */

/* ---- xml-sweep.c ----- */
/* What nobody read: kept, warned of, or an error. */
bool xml_sweep(XmlWork *work, GError **err);
