/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * null.c - the stream that takes everything and says nothing
 *
 * Tests    tests/unit/chardev.c
 */
#include "base/char/backend.h"

static bool null_open(Chardev *chardev, GError **err)
{
    (void)err;
    chardev->open = true;
    return true;
}

static size_t null_write(Chardev *chardev, const uint8_t *data, size_t length)
{
    (void)chardev;
    (void)data;
    return length;
}

static const Field null_keys[] = { FIELD_END };

const ChardevBackend null_backend = {
    .name = "null", .help = "takes everything, says nothing", .size = sizeof(Chardev), .keys = null_keys,
    .open = null_open, .write = null_write,
};
