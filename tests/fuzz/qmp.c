/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qmp.c - fuzz target: a client's bytes into a QMP session of a PC, in pieces
 *
 * Files that commands write land in a folder of their own and stay small. A session that negotiated lives until its input ends.
 */
#include "monitor/qmp.h"
#include "monitor/session.h"
#include "tests/rig/run.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const Test machine = { .name = "qmp", .board = "pc", .devices = "isa-serial pvpanic virtio-rng-pci" };

static void fence(void)
{
    static char folder[] = "/tmp/fuzz-qmp-XXXXXX";
    static bool done;
    const struct rlimit small = { 1 << 16, 1 << 16 };

    if (!done) {
        done = true;
        rig_prepare();
        setrlimit(RLIMIT_FSIZE, &small);
        signal(SIGXFSZ, SIG_IGN);
        if (mkdtemp(folder) && chdir(folder) != 0) {
            _exit(2);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fence();
    Rig *rig = rig_new(&machine, FRESH);
    g_autoptr(Value) tree = value_new_object();
    Session *session = session_new(true, false);
    size_t step = size ? data[0] % 64 + 1u : 1;

    qmp_control(rig_machine(rig), tree);
    session_negotiate(session, size && data[0] & 1);
    for (size_t at = size ? 1 : 0; at < size; at += step) {
        session_feed(session, (const char *)data + at, MIN(step, size - at));
    }
    session_free(session);
    qmp_control(NULL, NULL);
    rig_free(rig);
    return 0;
}
