/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scsi.c - fuzz target: a disk, a removable disk and a CD-ROM drive on a SCSI bus, by any sequence of commands
 *
 * Input    40 bytes a step: what (a command, task management, a medium that comes or goes, an image that fails or holds back), room for
 *          data, 16 bytes of CDB, 19 of data that are repeated
 * Holds    each command ends once, within its buffers, and says GOOD or why not; at the end nothing is in flight
 */
#include "base/bytes.h"
#include "hw/models.h"
#include "hw/scsi/bus.h"
#include "tests/rig/memory-disk.h"
#include "tests/rig/rig.h"
#include "tests/rig/run.h"
#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEP = 40, STEPS_MOST = 200, BUFFER = 64 << 10, DISK = 256 << 10, TURNS_MOST = 2000 };

typedef struct Command {
    ScsiRequest request;
    struct iovec in[2], out[2];
    unsigned ends;
} Command;

static Rig *rig;
static ScsiBus bus;
static MemoryDisk *disk, *removable, *disc;
static Blk *cd;
static Device *devices[3];
static uint8_t in[BUFFER], out[BUFFER];
static unsigned running;

static void stop_machine(void *opaque)
{
    (void)opaque;
}

static Device *add(const DeviceModel *model, const char *drive, const char *policy)
{
    Device *device = device_new(rig_machine(rig), model, &bus.bus, NULL, NULL);
    g_autoptr(Value) name = value_new_string(drive);
    g_autoptr(Value) action = value_new_string(policy);
    g_autoptr(Value) on = value_new_bool(true);

    g_assert_true(device_set(device, "drive", name, NULL) && device_set(device, "werror", action, NULL));
    if (model == &scsi_hd_model && strcmp(drive, "removable") == 0) {
        g_assert_true(device_set(device, "removable", on, NULL));
    }
    g_assert_true(device_realize(device, NULL));
    return device;
}

static void prepare(void)
{
    static const Test test = { .name = "scsi", .board = "bare" };

    rig_prepare();
    rig = rig_new(&test, FRESH);
    blk_on_stop(stop_machine, NULL);
    disk = memory_disk_new("disk", DISK);
    removable = memory_disk_new("removable", DISK);
    disc = memory_disk_new("disc", DISK);
    cd = blk_new("cd", NULL);
    g_assert_true(blk_insert(cd, &disc->node, NULL));
    scsi_bus_init(&bus, "scsi0.0", rig_machine(rig), NULL, io_loop_main(), NULL, NULL);
    devices[0] = add(&scsi_hd_model, "disk", "report");
    devices[1] = add(&scsi_hd_model, "removable", "stop");
    devices[2] = add(&scsi_cd_model, "cd", "report");
}

static void command_done(ScsiRequest *request)
{
    Command *command = (Command *)request;

    g_assert_cmpuint(command->ends, ==, 0);
    g_assert_cmpuint(request->moved, <=, BUFFER);
    if (request->outcome == SCSI_DONE) {
        g_assert_true(request->status == SCSI_GOOD || request->status == SCSI_CHECK_CONDITION);
        g_assert_cmpint(request->status == SCSI_CHECK_CONDITION, ==, request->sense.key != 0);
    }
    command->ends = 1;
    running--;
}

static void start_command(Command *command, const uint8_t *step)
{
    ScsiRequest *request = &command->request;
    size_t in_room = load_le16(step + 1), out_room = load_le16(step + 3), split = step[0] & 0x70;

    memset(command, 0, sizeof *command);
    memcpy(request->cdb, step + 5, 16);
    for (size_t i = 0; i < out_room && i < 4096; i++) {
        out[i] = step[21 + i % 19];
    }
    command->in[0] = (struct iovec){ in, MIN(split, in_room) };
    command->in[1] = (struct iovec){ in + MIN(split, in_room), in_room - MIN(split, in_room) };
    command->out[0] = (struct iovec){ out, MIN(split, out_room) };
    command->out[1] = (struct iovec){ out + MIN(split, out_room), out_room - MIN(split, out_room) };
    request->in = command->in;
    request->out = command->out;
    request->in_count = request->out_count = 2;
    request->in_bytes = in_room;
    request->out_bytes = out_room;
    request->tag = step[39] & 7;
    request->done = command_done;
    running++;
    scsi_submit(&bus, step[20] & 3, step[20] >> 7, request);
}

typedef struct Tmf { ScsiTask task; bool done; } Tmf;

static void task_done(ScsiTask *task)
{
    g_assert_false(((Tmf *)task)->done);
    ((Tmf *)task)->done = true;
}

static void let_go(void)
{
    MemoryDisk *disks[] = { disk, removable, disc };

    for (unsigned i = 0; i < G_N_ELEMENTS(disks); i++) {
        disks[i]->hold = false;
        disks[i]->failures = 0;
        co_queue_wake_all(&disks[i]->held);
    }
}

static void turn(unsigned times)
{
    for (unsigned i = 0; i < times && running; i++) {
        io_loop_turn(io_loop_main(), false);
    }
}

static void one_step(const uint8_t *step, Command *command, Tmf *tmf)
{
    MemoryDisk *chosen = step[1] & 1 ? disk : step[1] & 2 ? removable : disc;

    switch (step[0] & 15) {
    case 10:
        tmf->task.done = task_done;
        scsi_manage(&bus, step[20] & 3, step[20] >> 7, step[1] % 8 % 7, step[39] & 7, &tmf->task);
        return;
    case 11:
        if (blk_has_medium(cd)) {
            blk_remove(cd);
        } else {
            g_assert_true(blk_insert(cd, &disc->node, NULL));
        }
        return;
    case 12:
        chosen->hold = true;
        return;
    case 13:
        chosen->failures = step[2] & 3;
        chosen->fail_with = step[3] & 1 ? ENOSPC : EIO;
        return;
    case 14:
        let_go();
        blk_machine_runs();
        turn(4);
        return;
    case 15:
        if (step[1] == 0) {
            scsi_bus_reset(&bus);
        }
        return;
    default:
        start_command(command, step);
        turn(step[0] >> 7 ? 40 : 1);
        return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static Command commands[STEPS_MOST];
    static Tmf tasks[STEPS_MOST];
    unsigned steps = 0;

    if (!rig) {
        prepare();
    }
    memset(commands, 0, sizeof commands);
    memset(tasks, 0, sizeof tasks);
    for (; (steps + 1) * STEP <= size && steps < STEPS_MOST; steps++) {
        one_step(data + (size_t)steps * STEP, &commands[steps], &tasks[steps]);
    }
    let_go();
    scsi_bus_cancel(&bus, SCSI_WAS_RESET);
    turn(TURNS_MOST);
    g_assert_cmpuint(running, ==, 0);
    for (unsigned i = 0; i < steps; i++) {
        g_assert_true(!tasks[i].task.done || tasks[i].done);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(devices); i++) {
        device_reset(devices[i]);
    }
    memory_disk_settle();
    return 0;
}
