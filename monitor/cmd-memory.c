/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd-memory.c - guest memory into files
 *
 * Threads  main loop, machine lock held
 * Tests    tests/qmp/memory.py
 */
#include "base/error.h"
#include "base/open.h"
#include "monitor/commands.h"
#include "monitor/memory.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

enum { CHUNK = 64 << 10 };

static bool write_all(int fd, const uint8_t *data, size_t length)
{
    while (length) {
        ssize_t put = write(fd, data, length);
        if (put < 0 && errno != EINTR) {
            return false;
        }
        data += MAX(put, 0);
        length -= (size_t)MAX(put, 0);
    }
    return true;
}

/* state NULL: addresses are physical. */
static bool save(const CpuState *state, uint64_t address, uint64_t size, int fd, GError **err)
{
    g_autofree uint8_t *chunk = g_malloc(CHUNK);
    uint64_t at = address, left = size;

    while (left) {
        size_t part = MIN(left, CHUNK - (at & 4095));
        bool read = state ? monitor_read_virtual(qmp_machine(), state, at, chunk, part) : monitor_read_physical(qmp_machine(), at, chunk, part);
        if (!read && state) {
            return fail(err, EFAULT, "Invalid addr 0x%016" PRIx64 "/size %" PRId64 " specified", address, (int64_t)size);
        }
        if (!write_all(fd, chunk, part)) {
            return fail(err, errno, "An IO error has occurred");
        }
        at += part;
        left -= part;
    }
    return true;
}

static Value *save_to_file(const CpuState *state, const Value *args, GError **err)
{
    int64_t size = value_get_int(args, "size", 0);
    int fd = host_open("memory file", value_get_string(args, "filename", ""), O_WRONLY | O_CREAT | O_TRUNC, 0666, err);

    if (fd < 0) {
        return NULL;
    }
    bool saved = save(state, (uint64_t)value_get_int(args, "val", 0), (uint64_t)MAX(size, 0), fd, err);
    if (close(fd) != 0 && saved) {
        saved = fail(err, errno, "An IO error has occurred");
    }
    return saved ? qmp_done() : NULL;
}

QMP_HANDLER(pmemsave)
{
    return save_to_file(NULL, args, err);
}

QMP_HANDLER(memsave)
{
    Machine *machine = qmp_machine();
    int64_t index = value_get_int(args, "cpu-index", 0);
    CpuState state;

    if (index < 0 || index >= machine->cpus->len) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "Parameter 'cpu-index' expects a CPU number");
    }
    monitor_registers(machine, machine->cpus->pdata[index], &state);
    return save_to_file(&state, args, err);
}

const QmpCommand memory_commands[] = {
    { "memsave", memsave, .args = "val:int size:int filename:str ?cpu-index:int", .help = "bytes at a processor's virtual address into a file" },
    { "pmemsave", pmemsave, .args = "val:int size:int filename:str", .help = "bytes at a physical address into a file" },
    { .name = NULL } };
