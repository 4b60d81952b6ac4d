/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory: streams, string instructions, dependent loads, atomics, compression. */
#include "gb.h"
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define BIG (32u << 20)
static uint8_t *src, *dst;
static void buffers(void)
{
    if (src)
        return;
    src = aligned_alloc(4096, BIG);
    dst = aligned_alloc(4096, BIG);
    for (unsigned i = 0; i < BIG; i++)
        src[i] = (uint8_t)(i * 131 >> 5);
    memset(dst, 0, BIG);
}

static uint64_t copy(uint64_t n)          /* the C library's memcpy: SSE2 or AVX */
{
    buffers();
    while (n--)
        memcpy(dst, src, BIG);
    return dst[12345] + 1;
}

static uint64_t repmovs(uint64_t n)       /* rep movsb over 4 KiB pieces */
{
    buffers();
    while (n--)
        for (unsigned o = 0; o < BIG / 8; o += 4096) {
            void *d = dst + o, *s = src + o;
            size_t c = 4096;
            __asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(c) : : "memory");
        }
    return dst[4321] + 1;
}

static uint64_t stream(uint64_t n)        /* scalar 64-bit a = b + 3 * c, no vectors */
{
    buffers();
    uint64_t *a = (uint64_t *)dst, *b = (uint64_t *)src, s = 0;
    while (n--) {
        for (unsigned i = 0; i < BIG / 16; i++) {
            a[i] = b[i] + 3 * b[i + BIG / 16];
            __asm__ volatile("" : : : "memory");
        }
        s = a[777];
    }
    return s;
}

#define CHASE (64u << 20)
static uint64_t chase(uint64_t n)         /* dependent loads, one per 64-byte line, random order */
{
    static uint32_t *next;
    const uint32_t lines = CHASE / 64;
    static uint32_t at;
    if (!next) {
        next = aligned_alloc(4096, CHASE);
        uint32_t *perm = malloc(lines * 4);
        uint64_t x = 88172645463325252ull;
        for (uint32_t i = 0; i < lines; i++)
            perm[i] = i;
        for (uint32_t i = lines - 1; i; i--) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            uint32_t j = (uint32_t)(x % (i + 1)), t = perm[i];
            perm[i] = perm[j];
            perm[j] = t;
        }
        for (uint32_t i = 0; i < lines; i++)
            next[perm[i] * 16] = perm[(i + 1) % lines] * 16;
        free(perm);
    }
    while (n--)
        for (int i = 0; i < 10000; i++)
            at = next[at];
    return 1;
}

static uint64_t chase_l1(uint64_t n)      /* the same in 16 KiB: load latency in the first-level cache */
{
    static uint32_t ring[4096];
    uint32_t p = 0;
    for (unsigned i = 0; i < 4096; i++)
        ring[i] = (i * 1021 + 7) & 4095;
    while (n--)
        for (int i = 0; i < 10000; i++)
            p = ring[p];
    return p + 1;
}

static uint64_t atomic(uint64_t n)
{
    static volatile uint64_t v;
    while (n--)
        for (int i = 0; i < 1000; i++)
            __atomic_fetch_add(&v, 3, __ATOMIC_SEQ_CST);
    return 1;
}

static uint64_t gzip(uint64_t n)
{
    static uint8_t in[65536], out[80000];
    uint32_t x = 1;
    uint64_t r = 0;
    for (unsigned i = 0; i < sizeof in; i++) {
        x = x * 1664525 + 1013904223;
        in[i] = (x >> 28) < 9 && i > 300 ? in[i - 1 - (x >> 20 & 255)] : (uint8_t)('a' + (x >> 16 & 15));
    }
    while (n--) {
        uLongf len = sizeof out;
        compress2(out, &len, in, sizeof in, 6);
        r = crc32(0, out, (uInt)len) + ((uint64_t)len << 32);
    }
    return r;
}

const struct bench mem_benches[] = {
    { "memcpy", "32 MiB", copy, 0 },
    { "repmovs", "4 MiB", repmovs, 0 },
    { "stream", "2M words", stream, 0 },
    { "chase64M", "10000 loads", chase, 1 },
    { "chaseL1", "10000 loads", chase_l1, 0 },
    { "atomic", "1000 xadd", atomic, 1 },
    { "gzip", "64 KiB", gzip, 0 },
    { 0 }
};
