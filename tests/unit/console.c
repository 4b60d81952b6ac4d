/* SPDX-License-Identifier: GPL-2.0-or-later */
/* console.c - screens and who looks at them; pictures in files */
#include "base/bytes.h"
#include "ui/screendump.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

typedef struct Adapter {
    Console *console;
    unsigned updates;
    bool all;
} Adapter;

static void update(void *opaque)
{
    Adapter *adapter = opaque;

    adapter->updates++;
    if (adapter->all) {
        adapter->all = false;
        console_resize(adapter->console, 3, 2);
        for (unsigned i = 0; i < 6; i++) {
            console_surface(adapter->console)->pixels[i] = 0x010203 * (i + 1);
        }
        console_changed(adapter->console, 0, 0, 3, 2);
    }
}

static void invalidate(void *opaque)
{
    ((Adapter *)opaque)->all = true;
}

static const ConsoleOps ops = { .update = update, .invalidate = invalidate };

typedef struct Viewer { unsigned resized, changed, x, y, width, height, cursors; } Viewer;

static void resized(void *opaque, const Surface *surface)
{
    ((Viewer *)opaque)->resized++;
    g_assert_nonnull(surface->pixels);
}

static void changed(void *opaque, unsigned x, unsigned y, unsigned width, unsigned height)
{
    Viewer *viewer = opaque;

    viewer->changed++;
    viewer->x = x;
    viewer->y = y;
    viewer->width = width;
    viewer->height = height;
}

static void cursor(void *opaque, const Cursor *shape)
{
    ((Viewer *)opaque)->cursors += shape ? 1 : 100;
}

static const ConsoleViewer viewer_ops = { .resized = resized, .changed = changed, .cursor = cursor };

static void viewers(void)
{
    Adapter adapter = { 0 };
    Viewer viewer = { 0 };
    Cursor *shape = g_malloc0(sizeof *shape + 4 * sizeof(uint32_t));
    int device, other;

    g_assert_null(console_first());
    adapter.console = console_new(&ops, &adapter, &device, 1);
    g_assert_true(console_first() == adapter.console && console_of(&device, 1) == adapter.console && !console_of(&device, 0) && !console_of(&other, 1));
    g_assert_true(console_has_head(&device) && !console_has_head(&other));
    console_watch(adapter.console, &viewer_ops, &viewer);      /* the first look draws */
    g_assert_cmpuint(adapter.updates, ==, 1);
    g_assert_cmpuint(viewer.width, ==, 3);
    console_changed(adapter.console, 2, 1, 100, 100);          /* cut at the edges */
    g_assert_true(viewer.x == 2 && viewer.y == 1 && viewer.width == 1 && viewer.height == 1);
    unsigned count = viewer.changed;
    console_changed(adapter.console, 3, 0, 1, 1);
    g_assert_cmpuint(viewer.changed, ==, count);
    g_assert_false(console_resize(adapter.console, 0, 5));
    g_assert_false(console_resize(adapter.console, CONSOLE_WIDTH_MOST + 1, 5));
    g_assert_cmpuint(console_surface(adapter.console)->width, ==, 3);
    shape->width = shape->height = 2;
    console_set_cursor(adapter.console, shape);
    shape->width = 60000;
    console_set_cursor(adapter.console, shape);                /* too large: none */
    g_assert_cmpuint(viewer.cursors, ==, 101);
    console_unwatch(adapter.console, &viewer);
    console_changed(adapter.console, 0, 0, 1, 1);
    g_assert_cmpuint(viewer.changed, ==, count);
    g_free(shape);
    console_free(adapter.console);
    g_assert_null(console_first());
}

static uint8_t *file_of(bool (*dump)(const Surface *, int, const char *, GError **), const Surface *surface, gsize *length)
{
    g_autofree char *path = NULL;
    char *data;
    int fd = g_file_open_tmp("roost-XXXXXX", &path, NULL);

    g_assert_true(dump(surface, fd, path, NULL));
    close(fd);
    g_assert_true(g_file_get_contents(path, &data, length, NULL));
    unlink(path);
    return (uint8_t *)data;
}

static void pictures(void)
{
    uint32_t pixels[6] = { 0xff0000, 0x00ff00, 0x0000ff, 0x123456, 0, 0xffffff };
    const Surface surface = { 3, 2, pixels };
    static const uint8_t rgb[] = { 255, 0, 0, 0, 255, 0, 0, 0, 255, 0x12, 0x34, 0x56, 0, 0, 0, 255, 255, 255 };
    gsize length;
    g_autofree uint8_t *ppm = file_of(screendump_ppm, &surface, &length);

    g_assert_cmpmem(ppm, length, "P6\n3 2\n255\n\xff\0\0\0\xff\0\0\0\xff\x12\x34\x56\0\0\0\xff\xff\xff", 11 + sizeof rgb);
    g_autofree uint8_t *png = file_of(screendump_png, &surface, &length);
    g_assert_cmpmem(png, 16, "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", 16);
    g_assert_cmpuint(load_be32(png + 16), ==, 3);
    g_assert_cmpuint(load_be32(png + 20), ==, 2);
    uint32_t bytes = load_be32(png + 33);
    g_assert_cmpmem(png + 37, 4, "IDAT", 4);
    g_assert_cmphex(load_be32(png + 41 + bytes), ==, crc32(0, png + 37, bytes + 4));
    uint8_t rows[20];
    uLongf room = sizeof rows;
    g_assert_cmpint(uncompress(rows, &room, png + 41, bytes), ==, Z_OK);
    g_assert_cmpuint(room, ==, 20);
    g_assert_true(rows[0] == 0 && memcmp(rows + 1, rgb, 9) == 0 && rows[10] == 0 && memcmp(rows + 11, rgb + 9, 9) == 0);
    g_assert_cmpmem(png + length - 8, 4, "IEND", 4);
    int full = open("/dev/full", O_WRONLY);
    g_autoptr(GError) err = NULL;
    g_assert_false(screendump_png(&surface, full, "x.png", &err));
    g_assert_nonnull(strstr(err->message, "cannot write 'x.png'"));
    close(full);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/console/an adapter and a viewer", viewers);
    g_test_add_func("/console/pictures in files", pictures);
    return g_test_run();
}
