/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tool-team.c - several coroutines at one piece of work, and what they do with buffers
 *
 * Threads  the tool's only one
 * Tests    tests/block/img-commands.py
 */
#include "cli/tool.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct Team {
    int (*work)(void *opaque);
    void *opaque;
    Coroutine *captain;
    unsigned running;
    bool waiting;
    int result;
} Team;

static void member(void *opaque)
{
    Team *team = opaque;
    int result = team->work(team->opaque);

    if (result < 0 && team->result >= 0) {
        team->result = result;
    }
    if (--team->running == 0 && team->waiting) {
        io_loop_wake(io_loop_current(), team->captain);
    }
}

int tool_team(unsigned count, int (*work)(void *opaque), void *opaque)
{
    Team team = { .work = work, .opaque = opaque, .captain = coroutine_self() };

    for (unsigned i = 0; i < count; i++) {
        Coroutine *coroutine = coroutine_new(member, &team);
        if (!coroutine) {
            team.result = team.result < 0 || i ? team.result : -ENOMEM;        /* fewer will do */
            break;
        }
        team.running++;
        coroutine_enter(coroutine);
    }
    if (team.running) {
        team.waiting = true;
        coroutine_yield();
    }
    return team.result;
}

void *tool_buffer(const Node *a, const Node *b, size_t bytes)
{
    size_t alignment = 4096;
    void *buffer;

    alignment = MAX(alignment, node_limits(a)->memory_alignment);
    alignment = MAX(alignment, b ? node_limits(b)->memory_alignment : 1);
    return posix_memalign(&buffer, alignment, bytes ? bytes : 1) == 0 ? buffer : NULL;
}

bool tool_is_zero(const void *buffer, uint64_t bytes)
{
    struct iovec piece = { (void *)buffer, bytes };

    return iov_is_zero(iov_all(&piece, 1));
}

uint64_t tool_first_difference(const uint8_t *a, const uint8_t *b, uint64_t bytes)
{
    if (memcmp(a, b, bytes) == 0) {
        return bytes;
    }
    for (uint64_t at = 0; at < bytes; at += 512) {
        if (memcmp(a + at, b + at, MIN(512, bytes - at)) != 0) {
            return at;
        }
    }
    return bytes;
}

uint64_t tool_first_nonzero(const uint8_t *a, uint64_t bytes)
{
    if (tool_is_zero(a, bytes)) {
        return bytes;
    }
    for (uint64_t at = 0; at < bytes; at += 512) {
        if (!tool_is_zero(a + at, MIN(512, bytes - at))) {
            return at;
        }
    }
    return bytes;
}
