/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stress.c - many kinds of load at once, each of which knows what must come out: stress SECONDS
 *
 * One process for each kind; each repeats its round, checks it, and counts. Ends with "stress: N rounds, M mistakes", and before it a line
 * for each kind. What a software processor may get wrong under load is in here: memory that is mapped, unmapped and protected all the
 * time, code that is written while another thread runs it, locked operations, registers over signals and switches of processes, processes
 * that are killed.
 */
#include <fcntl.h>
#include <immintrin.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 64, THREADS = 3, ADDS = 20000 };

static uint32_t next_random(uint32_t *state)
{
    return *state = *state * 1664525 + 1013904223;
}

static uint32_t sum_of(const void *data, size_t length)
{
    const uint8_t *bytes = data;
    uint32_t sum = 2166136261;

    for (size_t i = 0; i < length; i++) {
        sum = (sum ^ bytes[i]) * 16777619;
    }
    return sum;
}

/* ---- memory: mapped, filled, protected, unmapped, by pages in a changing order ----------------------------------------------------------- */

static sigjmp_buf refused;
static volatile unsigned refusals;

static void refuse(int number)
{
    (void)number;
    refusals++;
    siglongjmp(refused, 1);
}

/* True: the store was refused, as it must be. */
static bool store_is_refused(volatile uint8_t *at)
{
    if (sigsetjmp(refused, 1)) {
        return true;
    }
    *at = 1;
    return false;
}

static bool memory_round(uint32_t seed)
{
    uint32_t state = seed, *words = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool good = words != MAP_FAILED && words[next_random(&state) % (PAGES * PAGE / 4)] == 0;

    if (!good) {
        return false;
    }
    signal(SIGSEGV, refuse);
    for (unsigned i = 0; i < PAGES; i++) {
        words[i * PAGE / 4 + i] = seed + i;
    }
    for (unsigned turn = 0; turn < PAGES; turn++) {
        unsigned page = next_random(&state) >> 8 & (PAGES - 1);
        uint8_t *at = (uint8_t *)words + page * PAGE;

        mprotect(at, PAGE, PROT_READ);
        good &= store_is_refused(at + 100) && words[page * PAGE / 4 + page] == seed + page;
        mprotect(at, PAGE, PROT_READ | PROT_WRITE);
        at[100] = (uint8_t)turn;
        good &= at[100] == (uint8_t)turn;
        madvise(at, PAGE, MADV_DONTNEED);
        good &= words[page * PAGE / 4 + page] == 0;
        words[page * PAGE / 4 + page] = seed + page;
    }
    munmap(words, PAGES * PAGE);
    return good;
}

/* ---- code that changes: under the same thread, and under another one -------------------------------------------------------------------------- */

static struct { uint8_t *code; volatile unsigned wanted, seen; volatile uint32_t result; volatile bool stop; } other;

/* mov $value, %eax; ret */
static void write_function(uint8_t *code, uint32_t value)
{
    code[0] = 0xb8;
    memcpy(code + 1, &value, sizeof value);
    code[5] = 0xc3;
}

static uint32_t call(uint8_t *code)
{
    return ((uint32_t (*)(void))(uintptr_t)code)();
}

static void *run_others_code(void *unused)
{
    (void)unused;
    for (unsigned done = 0; !other.stop;) {
        if (other.wanted == done) {
            sched_yield();
            continue;
        }
        done = other.wanted;
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        __asm__ volatile("cpuid" : : "a"(0), "c"(0) : "rbx", "rdx", "memory");     /* serializes, as the manual asks of who runs new code */
        other.result = call(other.code);
        __atomic_store_n(&other.seen, done, __ATOMIC_SEQ_CST);
    }
    return NULL;
}

static bool code_round(uint32_t seed)
{
    uint8_t *code = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_t thread;
    bool good = true;

    if (code == MAP_FAILED) {
        return false;
    }
    other.code = code + PAGE - 3;          /* over the end of a page */
    other.wanted = other.seen = 0, other.stop = false;
    if (pthread_create(&thread, NULL, run_others_code, NULL)) {
        return false;
    }
    for (unsigned i = 1; i <= 20; i++) {
        write_function(code, seed + i);
        good &= call(code) == seed + i;
        write_function(other.code, seed * 3 + i);
        __atomic_store_n(&other.wanted, i, __ATOMIC_SEQ_CST);
        while (__atomic_load_n(&other.seen, __ATOMIC_SEQ_CST) != i) {
            sched_yield();
        }
        good &= other.result == seed * 3 + i;
    }
    other.stop = true;
    pthread_join(thread, NULL);
    munmap(code, 2 * PAGE);
    return good;
}

/* ---- locked operations --------------------------------------------------------------------------------------------------------------------------- */

static struct { uint64_t added, exchanged, guarded; uint16_t narrow; uint8_t wide[32] __attribute__((aligned(16))); pthread_mutex_t lock; } counters;

static void *count_up(void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < ADDS; i++) {
        __atomic_fetch_add(&counters.added, 3, __ATOMIC_SEQ_CST);
        __atomic_fetch_sub(&counters.narrow, 1, __ATOMIC_SEQ_CST);
        for (uint64_t old = counters.exchanged; !__atomic_compare_exchange_n(&counters.exchanged, &old, old + 5, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);) {
        }
        if (i % 16 == 0) {
            pthread_mutex_lock(&counters.lock);
            counters.guarded += 7;
            pthread_mutex_unlock(&counters.lock);
        }
    }
    return NULL;
}

static bool locked_round(uint32_t seed)
{
    pthread_t threads[THREADS];

    (void)seed;
    memset(&counters, 0, sizeof counters);
    pthread_mutex_init(&counters.lock, NULL);
    for (unsigned i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, count_up, NULL)) {
            return false;
        }
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    return counters.added == 3ull * THREADS * ADDS && counters.exchanged == 5ull * THREADS * ADDS && counters.guarded == 7ull * THREADS * (ADDS / 16) &&
           counters.narrow == (uint16_t)-(THREADS * ADDS);
}

/* ---- registers over signals ------------------------------------------------------------------------------------------------------------------- */

static volatile unsigned ticks;

/* Leaves other values in the registers than it found; the kernel gives the old ones back. */
static void tick(int number)
{
    double x = number + ticks++;

    __asm__ volatile("movq %0, %%xmm5\n\tmovq %0, %%xmm11\n\tfldpi\n\tfldl %1\n\tfaddp\n\tfstp %%st(0)\n\tstd\n\tcld" : : "r"(x), "m"(*(double *)&x) : "xmm5", "xmm11", "st");
}

static long double long_sum(unsigned count)
{
    long double sum = 0, factor = 1;

    for (unsigned i = 1; i <= count; i++) {
        factor = -factor;
        sum += factor / (2 * i - 1);
    }
    return sum;
}

static double vector_sum(uint32_t seed, unsigned count)
{
    __m128d a = _mm_set_pd(seed % 100, 1), b = _mm_set1_pd(1.0000001), sum = _mm_setzero_pd();
    double lanes[2];

    for (unsigned i = 0; i < count; i++) {
        a = _mm_mul_pd(a, b);
        sum = _mm_add_pd(sum, _mm_sqrt_pd(a));
    }
    _mm_storeu_pd(lanes, sum);
    return lanes[0] + lanes[1];
}

/* Twice the same, in other pieces of time. */
static bool signal_round(uint32_t seed)
{
    const struct itimerval often = { { 0, 2000 }, { 0, 2000 } };

    signal(SIGALRM, tick);
    setitimer(ITIMER_REAL, &often, NULL);
    long double first = long_sum(40000), second = long_sum(40000);
    double third = vector_sum(seed, 40000), fourth = vector_sum(seed, 40000);
    return first == second && third == fourth;
}

/* ---- processes: forked, fed by pipes, killed -------------------------------------------------------------------------------------------------- */

static void child_of(int in, int out)
{
    uint8_t block[2000];
    uint32_t sum = 0;
    ssize_t got;

    while ((got = read(in, block, sizeof block)) > 0) {
        for (ssize_t i = 0; i < got; i++) {
            sum = sum * 31 + block[i];
        }
    }
    _exit(write(out, &sum, sizeof sum) != sizeof sum);
}

static bool feed(int to, uint32_t seed, unsigned bytes, uint32_t *sum)
{
    uint8_t block[777];

    for (unsigned done = 0; done < bytes; done += sizeof block) {
        for (unsigned i = 0; i < sizeof block; i++) {
            block[i] = (uint8_t)(next_random(&seed) >> 16);
            *sum = *sum * 31 + block[i];
        }
        if (write(to, block, sizeof block) != sizeof block) {
            return false;
        }
    }
    return true;
}

static bool process_round(uint32_t seed)
{
    int in[2], out[2], status;
    uint32_t expected = 0, sum = 1;

    if (pipe(in) || pipe(out)) {
        return false;
    }
    pid_t child = fork();
    if (child == 0) {
        close(in[1]);
        child_of(in[0], out[1]);
    }
    close(in[0]);
    close(out[1]);
    bool killed = seed % 4 == 0, fed = feed(in[1], seed, killed ? 3000 : 40000, &expected);
    if (killed) {
        kill(child, SIGKILL);
    }
    close(in[1]);
    bool answered = read(out[0], &sum, sizeof sum) == sizeof sum;
    close(out[0]);
    return waitpid(child, &status, 0) == child && fed && (killed ? WIFSIGNALED(status) && !answered : answered && status == 0 && sum == expected);
}

/* ---- files ------------------------------------------------------------------------------------------------------------------------------------ */

static bool file_round(uint32_t seed)
{
    char from[64], to[64];
    static uint8_t data[50000], back[50000];

    snprintf(from, sizeof from, "/stress-%d.a", (int)getpid());
    snprintf(to, sizeof to, "/stress-%d.b", (int)getpid());
    for (unsigned i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)(next_random(&seed) >> 16);
    }
    int fd = open(from, O_RDWR | O_CREAT | O_TRUNC, 0600);
    bool good = fd >= 0 && write(fd, data, sizeof data) == sizeof data && pwrite(fd, data + 100, 1000, 4000) == 1000;
    memcpy(data + 4000, data + 100, 1000);
    const uint8_t *view = good ? mmap(NULL, sizeof data, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    good = view != MAP_FAILED && sum_of(view, sizeof data) == sum_of(data, sizeof data) && rename(from, to) == 0 && pread(fd, back, sizeof back, 0) == sizeof back &&
           memcmp(back, data, sizeof data) == 0;
    if (view != MAP_FAILED) {
        munmap((void *)(uintptr_t)view, sizeof data);
    }
    if (fd >= 0) {
        close(fd);
    }
    unlink(from);
    unlink(to);
    return good;
}

/* ---- all of them -------------------------------------------------------------------------------------------------------------------------------- */

static const struct { const char *name; bool (*round)(uint32_t seed); } kinds[] = {
    { "memory", memory_round }, { "code", code_round }, { "locks", locked_round }, { "signals", signal_round }, { "signals again", signal_round },
    { "processes", process_round }, { "files", file_round },
};
enum { KINDS = sizeof kinds / sizeof *kinds };
typedef struct Count { uint64_t rounds, mistakes; } Count;

static void repeat(unsigned kind, time_t end, volatile Count *count)
{
    for (uint32_t seed = kind * 1000; time(NULL) < end; seed++) {
        if (!kinds[kind].round(seed)) {
            count->mistakes++;
        }
        count->rounds++;
    }
    _exit(0);
}

int main(int argc, char **argv)
{
    time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 10);
    Count *counts = mmap(NULL, KINDS * sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), all = { 0, 0 };
    pid_t children[KINDS];

    for (unsigned kind = 0; kind < KINDS; kind++) {
        children[kind] = fork();
        if (children[kind] == 0) {
            repeat(kind, end, &counts[kind]);
        }
    }
    for (unsigned kind = 0; kind < KINDS; kind++) {
        int status;

        if (waitpid(children[kind], &status, 0) != children[kind] || status || !counts[kind].rounds) {
            counts[kind].mistakes++;
            printf("stress: %s ended with %x\n", kinds[kind].name, status);
        }
        printf("stress: %s: %llu rounds, %llu mistakes\n", kinds[kind].name, (unsigned long long)counts[kind].rounds, (unsigned long long)counts[kind].mistakes);
        all.rounds += counts[kind].rounds;
        all.mistakes += counts[kind].mistakes;
    }
    printf("stress: %llu rounds in all, %llu mistakes\n", (unsigned long long)all.rounds, (unsigned long long)all.mistakes);
    return all.mistakes != 0;
}
