/* SPDX-License-Identifier: GPL-2.0-or-later */
/* guestbench: small self-checking benchmarks that run natively or as PID 1 of a guest. */
#ifndef GB_H
#define GB_H
#include <stdint.h>
#include <stddef.h>
#define NOINLINE __attribute__((noinline))
/* A benchmark runs `n` units of work and returns a checksum.  Unless `expect` is 0, one unit must
 * return `expect` (so that a wrong emulator is noticed, not just a slow one). */
struct bench {
    const char *name;
    const char *unit;                 /* what one unit of work is */
    uint64_t (*run)(uint64_t n);
    uint64_t expect;
};
extern const struct bench int_benches[], mem_benches[], fp_benches[], sys_benches[];
extern const char *gb_self;           /* path of this program, for exec */
double gb_now(void);
#define MIX(h, v) ((h) = ((h) ^ (uint64_t)(v)) * 0x9E3779B97F4A7C15ull, (h) ^= (h) >> 29)
#endif
