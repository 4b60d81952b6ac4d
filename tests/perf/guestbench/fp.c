/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Floating point: scalar SSE2, packed SSE2, x87. */
#include "gb.h"
#include <string.h>
#include <emmintrin.h>

static uint64_t nbody(uint64_t n)
{
    double h = 0;
    while (n--) {
        double p[5][3], v[5][3], m[5];
        for (int i = 0; i < 5; i++) {
            m[i] = 1.0 / (1 + i * i);
            for (int k = 0; k < 3; k++)
                p[i][k] = (i + 1) * (k + 1.5) - k * k * i, v[i][k] = 0.01 * (i - k);
        }
        for (int t = 0; t < 1000; t++) {
            for (int i = 0; i < 5; i++)
                for (int j = i + 1; j < 5; j++) {
                    double d[3], r2 = 0.01;
                    for (int k = 0; k < 3; k++)
                        d[k] = p[i][k] - p[j][k], r2 += d[k] * d[k];
                    double f = 0.001 / (r2 * __builtin_sqrt(r2));
                    for (int k = 0; k < 3; k++)
                        v[i][k] -= d[k] * m[j] * f, v[j][k] += d[k] * m[i] * f;
                }
            for (int i = 0; i < 5; i++)
                for (int k = 0; k < 3; k++)
                    p[i][k] += 0.001 * v[i][k];
        }
        h = p[0][0] + p[4][2];
    }
    uint64_t r;
    memcpy(&r, &h, 8);
    return r;
}

static uint64_t sse2(uint64_t n)
{
    static float a[4096], b[4096];
    uint64_t r[2] = { 0 };
    for (int i = 0; i < 4096; i++)
        a[i] = (float)i, b[i] = 1.0f / (float)(i + 1);
    while (n--) {
        __m128 s = _mm_setzero_ps();
        __m128i x = _mm_setzero_si128();
        for (int i = 0; i < 4096; i += 4) {
            __m128 u = _mm_mul_ps(_mm_load_ps(a + i), _mm_load_ps(b + i));
            s = _mm_add_ps(s, u);
            x = _mm_xor_si128(_mm_add_epi32(x, _mm_castps_si128(u)), _mm_srli_epi32(x, 3));
        }
        x = _mm_xor_si128(x, _mm_castps_si128(s));
        memcpy(r, &x, 16);
    }
    return r[0] ^ r[1];
}

static uint64_t x87(uint64_t n)
{
    uint64_t h = 0;
    while (n--) {
        volatile long double seed = 0.5L;
        long double a = seed, s = 0;
        for (int i = 0; i < 1000; i++) {
            a = a * (1.0L - a) * 3.75L;
            s += a / (1.0L + (long double)i);
        }
        unsigned char raw[16] = { 0 };
        memcpy(raw, &s, 10);
        memcpy(&h, raw, 8);
    }
    return h;
}

const struct bench fp_benches[] = {
    { "nbody", "1000 steps", nbody, 0 },
    { "sse2", "4096 floats", sse2, 0 },
    { "x87", "1000 steps", x87, 0 },
    { 0 }
};
