/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bytes.h - unaligned loads and stores in a stated byte order */
#pragma once
#include <endian.h>
#include <stdint.h>
#include <string.h>

#define BYTES_ACCESS(bits, order)                                            \
    static inline uint##bits##_t load_##order##bits(const void *p)           \
    {                                                                        \
        uint##bits##_t v;                                                    \
        memcpy(&v, p, sizeof v);                                             \
        return order##bits##toh(v);                                          \
    }                                                                        \
    static inline void store_##order##bits(void *p, uint##bits##_t v)        \
    {                                                                        \
        v = hto##order##bits(v);                                             \
        memcpy(p, &v, sizeof v);                                             \
    }
BYTES_ACCESS(16, le) BYTES_ACCESS(32, le) BYTES_ACCESS(64, le)
BYTES_ACCESS(16, be) BYTES_ACCESS(32, be) BYTES_ACCESS(64, be)
#undef BYTES_ACCESS
