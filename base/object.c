/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * object.c - named objects in one tree
 *
 * Threads  machine lock
 * Tests    tests/unit/object.c
 */
#include "base/object.h"
#include "base/error.h"
#include <errno.h>
#include <string.h>

static void container_finalize(Object *object)
{
    g_free(object);
}

static const ObjectType container_type = { .name = "container", .finalize = container_finalize };

void object_init(Object *object, const ObjectType *type)
{
    object->type = type;
    object->name = NULL;
    object->parent = NULL;
    object->children = NULL;
    object->references = 1;
}

Object *object_ref(Object *object)
{
    object->references++;
    return object;
}

static void orphan(Object *child)
{
    child->parent = NULL;
    g_clear_pointer(&child->name, g_free);
    object_unref(child);
}

void object_unref(Object *object)
{
    if (!object || --object->references > 0) {
        return;
    }
    if (object->children) {
        GPtrArray *children = g_steal_pointer(&object->children);

        for (guint i = 0; i < children->len; i++) {
            orphan(g_ptr_array_index(children, i));
        }
        g_ptr_array_unref(children);
    }
    g_free(object->name);
    if (object->type->finalize) {
        object->type->finalize(object);
    }
}

static Object *child_find(const Object *parent, const char *name, size_t length)
{
    for (guint i = 0; parent->children && i < parent->children->len; i++) {
        Object *child = g_ptr_array_index(parent->children, i);

        if (strncmp(child->name, name, length) == 0 && child->name[length] == '\0') {
            return child;
        }
    }
    return NULL;
}

/* "name[*]" becomes the first free "name[N]". */
static char *free_name(const Object *parent, const char *name)
{
    size_t stem = strlen(name) - strlen("[*]");

    for (unsigned n = 0;; n++) {
        g_autofree char *candidate = g_strdup_printf("%.*s[%u]", (int)stem, name, n);

        if (!child_find(parent, candidate, strlen(candidate))) {
            return g_steal_pointer(&candidate);
        }
    }
}

bool object_add_child(Object *parent, const char *name, Object *child, GError **err)
{
    g_assert(!child->parent);
    if (!*name || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        return fail(err, EINVAL, "'%s' cannot be the name of an object: it is empty, a dot, or has a slash in it", name);
    }
    if (!g_str_has_suffix(name, "[*]") && child_find(parent, name, strlen(name))) {
        g_autofree char *path = object_path(parent);

        return fail(err, EEXIST, "there is a '%s' in '%s' already: choose another name", name, path);
    }
    child->name = g_str_has_suffix(name, "[*]") ? free_name(parent, name) : g_strdup(name);
    child->parent = parent;
    if (!parent->children) {
        parent->children = g_ptr_array_new();
    }
    g_ptr_array_add(parent->children, object_ref(child));
    return true;
}

void object_unparent(Object *object)
{
    if (object->parent) {
        g_ptr_array_remove(object->parent->children, object);
        orphan(object);
    }
}

Object *object_root(void)
{
    static Object *root;

    if (!root) {
        root = g_new0(Object, 1);
        object_init(root, &container_type);
    }
    return root;
}

/* Walks down from `from`; with make, plain containers are added on the way. NULL when a part is not there. */
static Object *walk(Object *from, const char *path, bool make)
{
    while (from && *path) {
        size_t length = strcspn(path, "/");
        Object *next = from;

        if (length > 0) {
            next = child_find(from, path, length);
            if (!next && make) {
                g_autofree char *name = g_strndup(path, length);

                next = g_new0(Object, 1);
                object_init(next, &container_type);
                object_add_child(from, name, next, NULL);
                object_unref(next);        /* the parent's reference keeps it */
            }
        }
        from = next;
        path += length + (path[length] == '/');
    }
    return from;
}

Object *object_container(const char *path)
{
    return walk(object_root(), path, true);
}

/* Counts the objects at or below `from` from which `path` leads somewhere; *found is the last. */
static unsigned find_partial(Object *from, const char *path, Object **found)
{
    Object *hit = walk(from, path, false);
    unsigned hits = 0;

    if (hit) {
        *found = hit;
        hits = 1;
    }
    for (guint i = 0; from->children && i < from->children->len; i++) {
        hits += find_partial(g_ptr_array_index(from->children, i), path, found);
    }
    return hits;
}

Object *object_find(const char *path)
{
    Object *found = NULL;

    if (*path == '/') {
        return walk(object_root(), path, false);
    }
    return *path && find_partial(object_root(), path, &found) == 1 ? found : NULL;
}

char *object_path(const Object *object)
{
    GString *path = g_string_new(NULL);

    for (const Object *at = object; at && at->name; at = at->parent) {
        g_string_prepend(path, at->name);
        g_string_prepend_c(path, '/');
    }
    if (path->len == 0) {
        g_string_append_c(path, '/');
    }
    return g_string_free(path, FALSE);
}
