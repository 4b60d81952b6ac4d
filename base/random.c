/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * random.c - random bytes from the host's kernel
 *
 * Threads  any
 * Tests    tests/unit/bits.c
 */
#include "base/random.h"
#include <errno.h>
#include <glib.h>
#include <sys/random.h>

void random_bytes(void *out, size_t length)
{
    uint8_t *at = out;

    while (length > 0) {
        ssize_t got = getrandom(at, length, 0);

        if (got < 0 && errno != EINTR) {
            g_error("the host gives no random bytes: %s", g_strerror(errno));
        }
        if (got > 0) {
            at += got;
            length -= (size_t)got;
        }
    }
}

uint64_t random_u64(void)
{
    uint64_t n;

    random_bytes(&n, sizeof n);
    return n;
}
