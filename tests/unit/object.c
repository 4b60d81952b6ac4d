/* SPDX-License-Identifier: GPL-2.0-or-later */
/* object.c - the tree of objects: names, paths, references */
#include "base/object.h"

static unsigned alive;

static void thing_finalize(Object *object)
{
    alive--;
    g_free(object);
}

static const ObjectType thing_type = { .name = "thing", .finalize = thing_finalize };

static Object *thing_new(void)
{
    Object *object = g_new0(Object, 1);

    object_init(object, &thing_type);
    alive++;
    return object;
}

static Object *add(Object *parent, const char *name)
{
    Object *child = thing_new();
    GError *error = NULL;

    object_add_child(parent, name, child, &error);
    g_assert_no_error(error);
    object_unref(child);
    return child;
}

static void paths(void)
{
    Object *peripheral = object_container("/machine/peripheral"), *disk = add(peripheral, "disk0");
    g_autofree char *path = object_path(disk), *root = object_path(object_root());

    g_assert_cmpstr(path, ==, "/machine/peripheral/disk0");
    g_assert_cmpstr(root, ==, "/");
    g_assert_true(object_container("/machine/peripheral/") == peripheral);
    g_assert_true(object_find("/machine//peripheral/disk0") == disk);
    g_assert_true(object_find("disk0") == disk);
    g_assert_true(object_find("peripheral/disk0") == disk);
    g_assert_true(object_find("/") == object_root());
    g_assert_null(object_find("/machine/disk0"));
    g_assert_null(object_find("disk"));
    g_assert_null(object_find(""));
    add(object_container("/other"), "disk0");
    g_assert_null(object_find("disk0"));   /* two of them now */
    g_assert_true(object_find("peripheral/disk0") == disk);
    object_unparent(object_find("/other"));
    object_unparent(disk);
    g_assert_cmpuint(alive, ==, 0);
}

static void names(void)
{
    static const char *const bad[] = { "", ".", "..", "a/b", "/" };
    Object *parent = object_container("/names"), *child = thing_new();
    GError *error = NULL;

    g_assert_cmpstr(add(parent, "irq[*]")->name, ==, "irq[0]");
    g_assert_cmpstr(add(parent, "irq[*]")->name, ==, "irq[1]");
    object_unparent(object_find("/names/irq[0]"));
    g_assert_cmpstr(add(parent, "irq[*]")->name, ==, "irq[0]");
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_false(object_add_child(parent, bad[i], child, NULL));
    }
    g_assert_false(object_add_child(parent, "irq[1]", child, &error));
    g_assert_cmpstr(error->message, ==, "there is a 'irq[1]' in '/names' already: choose another name");
    g_error_free(error);
    object_unref(child);
    object_unparent(parent);
    g_assert_cmpuint(alive, ==, 0);
}

static void references(void)
{
    Object *parent = add(object_root(), "parent"), *child = add(parent, "child");

    object_ref(child);
    object_unparent(parent);
    g_assert_cmpuint(alive, ==, 1);        /* the child outlives its parent, alone */
    g_assert_null(child->parent);
    object_unref(child);
    object_unref(NULL);
    g_assert_cmpuint(alive, ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/object/paths", paths);
    g_test_add_func("/object/names", names);
    g_test_add_func("/object/references", references);
    return g_test_run();
}
