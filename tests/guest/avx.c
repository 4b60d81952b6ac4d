/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * avx.c - numbers made with AVX2, FMA, F16C and gathers, by four processes that take turns
 *
 * Prints one line of sums, the same on every machine that has them: avx.py compares a guest's with the host's. A register that is lost
 * in a switch of processes, or in a signal, changes a sum. Prints "none" where the processor (or its kernel) lacks one of them.
 */
#include <immintrin.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROCESSES = 4, ROUNDS = 3000, WORDS = 1024 };

static volatile unsigned ticks;

/* Leaves other values in the registers than it found. */
__attribute__((target("avx2"))) static void tick(int number)
{
    __m256i value = _mm256_set1_epi32(number * 77 + (int)ticks++);

    __asm__ volatile("vmovdqa %0, %%ymm3\n\tvmovdqa %0, %%ymm9\n\tvzeroupper" : : "x"(value) : "xmm3", "xmm9");
}

__attribute__((target("avx2,fma,f16c"))) static uint64_t work(unsigned seed)
{
    static uint32_t table[WORDS], copied[WORDS];
    __m256i a = _mm256_setr_epi32((int)seed, 2, 3, 4, 5, 6, 7, 8), sum = _mm256_setzero_si256();
    __m256 f = _mm256_set1_ps(1.0f + (float)seed / 16), g = _mm256_set1_ps(0.0f);
    uint64_t total = 0, lanes[4];

    for (unsigned i = 0; i < WORDS; i++) {
        table[i] = i * 2654435761u + seed;
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        a = _mm256_add_epi32(_mm256_mullo_epi32(a, _mm256_set1_epi32(1664525)), _mm256_set1_epi32(1013904223));
        __m256i index = _mm256_and_si256(_mm256_srlv_epi32(a, _mm256_setr_epi32(3, 4, 5, 6, 7, 8, 9, 10)), _mm256_set1_epi32(WORDS - 1));
        __m256i picked = _mm256_mask_i32gather_epi32(a, (const int *)table, index, a, 4);
        sum = _mm256_xor_si256(_mm256_permutevar8x32_epi32(sum, index), _mm256_add_epi32(picked, _mm256_shuffle_epi8(a, index)));
        g = _mm256_fmadd_ps(f, _mm256_cvtepi32_ps(_mm256_srai_epi32(a, 8)), g);
        g = _mm256_mul_ps(g, _mm256_set1_ps(0.5f));
        sum = _mm256_add_epi64(sum, _mm256_castps_si256(_mm256_blendv_ps(g, f, _mm256_castsi256_ps(a))));
        sum = _mm256_insertf128_si256(sum, _mm_xor_si128(_mm256_castsi256_si128(sum), _mm256_cvtps_ph(_mm256_sqrt_ps(_mm256_mul_ps(g, g)), 0)), 1);
        if (round % 16 == 0) {
            sched_yield();
        }
        if (round % 64 == 0) {
            memcpy(copied, (const char *)table + 4, sizeof copied - 4);
            total += copied[round % (WORDS - 1)];
        }
    }
    _mm256_storeu_si256((__m256i *)lanes, sum);
    for (unsigned i = 0; i < 4; i++) {
        total = total * 31 + lanes[i];
    }
    return total;
}

int main(void)
{
    const struct itimerval often = { { 0, 3000 }, { 0, 3000 } };
    int pipes[PROCESSES][2];

    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("f16c")) {
        puts("none");
        return 0;
    }
    for (unsigned i = 0; i < PROCESSES; i++) {
        if (pipe(pipes[i])) {
            return 1;
        }
        if (fork() == 0) {
            signal(SIGALRM, tick);
            setitimer(ITIMER_REAL, &often, NULL);
            uint64_t sum = work(i + 1);
            return write(pipes[i][1], &sum, sizeof sum) != sizeof sum;
        }
    }
    printf("sums");
    for (unsigned i = 0; i < PROCESSES; i++) {
        uint64_t sum = 0;
        if (read(pipes[i][0], &sum, sizeof sum) != sizeof sum) {
            return 1;
        }
        printf(" %016llx", (unsigned long long)sum);
    }
    putchar('\n');
    while (wait(NULL) > 0) {
    }
    return 0;
}
