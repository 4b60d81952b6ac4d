/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest-read.c - runs inside a guest: random 4 KiB reads of a disk, so many at once: guest-read DEVICE DEPTH SECONDS [write]
 *
 * Prints "guest-read: N requests in M us". Nothing but system calls, so that it is small and links statically. With "write" it writes.
 */
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <linux/fs.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 4096, DEPTH_MOST = 256 };

static uint64_t random_state = 88172645463325252u;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static int64_t now_us(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "guest-read DEVICE DEPTH SECONDS [write]\n");
        return 2;
    }
    int write = argc > 4, fd = open(argv[1], (write ? O_RDWR : O_RDONLY) | O_DIRECT);
    unsigned depth = (unsigned)atoi(argv[2]);
    uint64_t bytes = 0, blocks;
    aio_context_t context = 0;
    struct iocb requests[DEPTH_MOST], *list[DEPTH_MOST];
    struct io_event events[DEPTH_MOST];

    depth = depth < 1 ? 1 : depth > DEPTH_MOST ? DEPTH_MOST : depth;
    if (fd < 0 || ioctl(fd, BLKGETSIZE64, &bytes) < 0 || syscall(SYS_io_setup, depth, &context) < 0) {
        fail(argv[1]);
    }
    blocks = bytes / BLOCK;
    uint8_t *memory = mmap(NULL, (size_t)depth * BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || blocks == 0) {
        fail("memory");
    }
    memset(memory, 1, (size_t)depth * BLOCK);
    for (unsigned i = 0; i < depth; i++) {
        memset(&requests[i], 0, sizeof requests[i]);
        requests[i].aio_lio_opcode = write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD;
        requests[i].aio_fildes = (uint32_t)fd;
        requests[i].aio_buf = (uint64_t)(uintptr_t)(memory + (size_t)i * BLOCK);
        requests[i].aio_nbytes = BLOCK;
        requests[i].aio_offset = (int64_t)(next_random() % blocks * BLOCK);
        list[i] = &requests[i];
    }
    int64_t begin = now_us(), end = begin + atoi(argv[3]) * INT64_C(1000000), done = 0;
    if (syscall(SYS_io_submit, context, (long)depth, list) != (long)depth) {
        fail("io_submit");
    }
    while (now_us() < end) {
        long count = syscall(SYS_io_getevents, context, 1L, (long)depth, events, NULL);
        for (long i = 0; i < count; i++) {
            struct iocb *request = (struct iocb *)(uintptr_t)events[i].obj;
            if (events[i].res != BLOCK) {
                fprintf(stderr, "a request failed: %lld\n", (long long)events[i].res);
                return 1;
            }
            request->aio_offset = (int64_t)(next_random() % blocks * BLOCK);
            list[i] = request;
        }
        done += count;
        if (count < 0 || syscall(SYS_io_submit, context, count, list) != count) {
            fail("io_submit");
        }
    }
    printf("guest-read: %lld requests in %lld us\n", (long long)done, (long long)(now_us() - begin));
    return 0;
}
