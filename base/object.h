/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * object.h - named objects in one tree: devices, backends, CPUs, the machine
 *
 * The tree is what qom-list shows: /machine/peripheral/ID, /machine/unattached/..., /objects/ID, /chardevs/ID.
 * Locking: machine lock. An object embeds Object as its first member; a parent holds a reference on its children.
 */
#pragma once
#include <glib.h>
#include <stdbool.h>

typedef struct Field Field;
typedef struct Object Object;
typedef struct ObjectType {
    const char *name;                      /* "i8254" */
    const char *parent;                    /* ancestor type for qom-list-types: "isa-device"; NULL for "object" */
    void (*finalize)(Object *object);      /* frees the containing struct */
    const Field *props;                    /* may be NULL */
} ObjectType;
struct Object {
    const ObjectType *type;
    char *name;                            /* under its parent */
    Object *parent;
    GPtrArray *children;
    int references;
};

void object_init(Object *object, const ObjectType *type);            /* one reference, owned by the caller */
Object *object_ref(Object *object);
void object_unref(Object *object);                                    /* NULL is ignored */
/* Adds child under a free name; "name[*]" takes the first free number. The parent takes a reference. */
bool object_add_child(Object *parent, const char *name, Object *child, GError **err);
void object_unparent(Object *object);
Object *object_root(void);                                            /* "/" */
Object *object_container(const char *path);                           /* makes plain containers on the way: "/machine/peripheral" */
Object *object_find(const char *path);                                /* absolute path, or an unambiguous partial one; NULL */
char *object_path(const Object *object);                              /* caller frees */
