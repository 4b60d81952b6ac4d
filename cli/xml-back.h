/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xml-back.h - the way back: from the configuration tree to a domain
 *
 * Options fill a tree that nothing runs. What an element can say is taken out of it; what is left becomes options again,
 * in <qemu:commandline>, so that nothing is lost.
 */
#pragma once
#include "cli/xml-work.h"

typedef struct XmlBack {
    Config config;                         /* .tree: "netdevs[]" and "vncs[]" beside what options fill */
    XmlDocument *document;
    XmlDocument *aside;                    /* where devices and raw grow until their place in the domain comes */
    XmlNode *root, *devices, *raw;         /* raw: <qemu:commandline>, made when needed */
    GPtrArray *pending;                    /* members of lists that the element being made uses up */
    unsigned boot_shift;                   /* bootindex counts from 0, order from 1 */
} XmlBack;

/* ---- xml-back.c ----- */
Value *xml_back_find(const XmlBack *back, const char *list, const char *key, const char *name);      /* lent; NULL */
Value *xml_back_flat(const Value *object); /* {"cache":{"direct":true}} as {"cache.direct":true}; a new object */
/* Id (the canonical one goes without saying), place on the PCI bus, place in the boot order: taken out of the device. */
void xml_back_common(XmlBack *back, Value *device, XmlNode *node, const char *canonical);

/* ---- xml-back-options.c ----- */
bool xml_back_options(XmlBack *back, int argc, char **argv, GError **err);        /* the program's name and "run" may stand first */
void xml_back_raw(XmlBack *back, const char *option, const char *text);           /* one that stays: <qemu:commandline> */

/* ---- xml-back-disk.c, xml-back-devices.c: true when all of the device is said; else the node is dropped ----- */
typedef bool XmlBackConvert(XmlBack *back, Value *device, XmlNode *node, unsigned number);
XmlBackConvert xml_back_disk;
void xml_back_drives(XmlBack *back);       /* drives that no device names */
void xml_back_devices(XmlBack *back);
/* Makes an element of the devices, by convert; true when it stays, and then what it used is gone from the tree. */
bool xml_back_try(XmlBack *back, const char *element, const Value *device, XmlBackConvert *convert, unsigned number);
