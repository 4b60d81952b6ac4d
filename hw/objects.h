/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * objects.h - what -object (and later object-add) can make
 *
 * Main thread, machine lock held.
 */
#pragma once
#include "base/field.h"

typedef struct ObjectKind {
    const char *name;                      /* its qom-type */
    const char *help;
    const Field *keys;                     /* beside qom-type and id */
    bool (*add)(const Value *object, GError **err);
    bool (*remove)(const char *id, GError **err);
} ObjectKind;

extern const ObjectKind object_kinds[];    /* ends with .name NULL */
const ObjectKind *object_kind_find(const char *name, GError **err);    /* NULL and a sentence */
bool objects_add(const Value *list, GError **err);         /* objects[] of the configuration, in order of writing */
void objects_remove_all(void);             /* at the end, after devices and drives */
