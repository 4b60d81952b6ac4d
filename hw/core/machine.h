/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * machine.h - the machine around the devices: address spaces, CPUs, life cycle, state
 *
 * Built by machine_build() from the configuration tree (docs/configuration.md); run states as QMP names them.
 */
#pragma once
#include "accel/accel.h"
#include "base/lock.h"
#include "hw/core/device.h"

typedef enum {
    RUN_PRELAUNCH, RUN_RUNNING, RUN_PAUSED, RUN_SHUTDOWN, RUN_GUEST_PANICKED, RUN_INTERNAL_ERROR,
    RUN_SUSPENDED, RUN_IO_ERROR, RUN_WATCHDOG, RUN_INMIGRATE, RUN_POSTMIGRATE, RUN_SAVE_VM, RUN_RESTORE_VM,
} RunState;

/* Why a reset or shutdown happened: QMP's ShutdownCause, in its order. */
typedef enum {
    CAUSE_NONE, CAUSE_HOST_ERROR, CAUSE_HOST_QMP_QUIT, CAUSE_HOST_QMP_SYSTEM_RESET, CAUSE_HOST_SIGNAL, CAUSE_HOST_UI,
    CAUSE_GUEST_SHUTDOWN, CAUSE_GUEST_RESET, CAUSE_GUEST_PANIC, CAUSE_SUBSYSTEM_RESET, CAUSE_SNAPSHOT_LOAD,
} Cause;

/* A board: a table of pieces, hw/machine/pc.c and none.c. */
typedef struct BoardModel {
    const char *name, *alias, *help;
    const char *deprecated;                /* reason, or NULL */
    unsigned max_cpus;
    bool (*build)(Machine *machine, GError **err);
} BoardModel;
extern const BoardModel *const board_models[];

/* What anyone asked of the main loop. */
typedef struct Requests {
    Cause reset, shutdown;                 /* CAUSE_NONE: not asked for */
    bool powerdown, suspend, wakeup, exit, triple_fault, eject;
    bool stop;                             /* go to stop_state */
    RunState stop_state;
} Requests;

struct Machine {
    Object object;                         /* "/machine" */
    const BoardModel *board;
    const Value *config;                   /* the whole tree, borrowed */
    void *board_data;                      /* the board's own struct (PcBoard) */
    Region memory_root, port_root;
    AddressSpace *memory, *ports;
    Region ram;                            /* the whole of -m, one block; boards alias it into place */
    uint64_t ram_size;
    Accel *accel;
    GPtrArray *cpus;                       /* Cpu * */
    GPtrArray *devices;                    /* Device *, realized, in order of realization: reset and save order */
    GPtrArray *buses;                      /* Bus * */
    RunState state;
    bool built;                            /* by machine_build(): a device that comes now is hot-plugged */
    bool no_reboot, no_shutdown;
    bool reboot_asked;                     /* when the guest has shut down it starts anew */
    Value *actions;                        /* set while it runs, over the configuration's; NULL: none was */
    int exit_status;                       /* of the process: exit-status.h */
    bool (*complete_board)(Machine *machine, GError **err);   /* after the user's devices: tables that tell of them; may be NULL */
    void (*after_reset)(Machine *machine); /* the board's last word: boot loaders place kernels again */
    Requests requests;                     /* asked for, not yet carried out: machine_handle_requests() */
    struct { void (*pressed)(void *opaque); void *opaque; } power_button;
    /* The board hands these to the accelerator's questions (any thread, no machine lock). */
    int (*pic_acknowledge)(void *pic);
    void (*ioapic_eoi)(void *ioapic, uint8_t vector);
    void *pic, *ioapic;
    void (*free_board)(Machine *machine);  /* after all devices are gone */
    GArray *state_listeners;
};

/* Builds everything the tree asks for, paused in RUN_PRELAUNCH. The caller frees with machine_free(). */
Machine *machine_build(const Value *config, GError **err);
/* The same without a board and without accelerator: address spaces and lists only; what the rig starts from. */
Machine *machine_new_bare(const Value *config, GError **err);
void machine_free(Machine *machine);
Bus *machine_find_bus(Machine *machine, BusKind kind, const char *name);    /* name NULL: the first of its kind */
Device *machine_find_device(Machine *machine, const char *id);
Device *machine_find_model(Machine *machine, const DeviceModel *model);     /* the first of its kind; NULL when there is none */

/* Life cycle. The requests may come from any thread with the machine lock held; they are carried out on the main loop. */
void machine_start(Machine *machine);                     /* RUN_RUNNING; RESUME */
void machine_stop(Machine *machine, RunState state);      /* STOP */
void machine_request_reset(Machine *machine, Cause cause);
void machine_request_shutdown(Machine *machine, Cause cause);
void machine_request_powerdown(Machine *machine);         /* the ACPI button; POWERDOWN */
void machine_request_reboot(Machine *machine);            /* the same button; and what shuts down then starts anew */
void machine_request_suspend(Machine *machine);           /* S3 */
void machine_request_wakeup(Machine *machine);
void machine_set_action(Machine *machine, const char *event, const char *action);    /* as -action says them, checked by the caller */
void machine_guest_panicked(Machine *machine, bool crash_loaded);
void machine_request_exit(Machine *machine, int status);  /* isa-debug-exit: end the process with this status, at once */
void machine_request_stop(Machine *machine, RunState state);
void machine_triple_fault(Machine *machine);              /* a reset by the guest, which -no-reboot tells apart */
void machine_request_eject(Machine *machine, Device *device);    /* the guest has let it go: device_delete() soon */
void machine_handle_requests(Machine *machine);           /* main loop, by itself; a rig calls it by hand */
void machine_reset_now(Machine *machine, Cause cause);    /* main loop, CPUs paused by it: devices in order, then CPUs, then after_reset; RESET */
void machine_settle_storage(void);         /* main loop, CPUs paused: waits for every request that devices have made of their disks */
const char *run_state_name(RunState state);
const char *cause_name(Cause cause);

/* Who hears the power button and wakes: the PM device registers itself. */
void machine_on_powerdown(Machine *machine, void (*pressed)(void *opaque), void *opaque);
void machine_on_state_change(Machine *machine, void (*changed)(void *opaque, bool running), void *opaque);
void machine_off_state_change(Machine *machine, void (*changed)(void *opaque, bool running), void *opaque);

/* -device and the tree's devices[]: a model by name with text properties. On failure nothing has changed. */
Device *machine_add_device(Machine *machine, const Value *description, GError **err);
/* device_del: asks the guest to let a device go, or takes it away at once where no guest has a say. DEVICE_DELETED tells the end;
 * asking again while the guest has not answered tells it again. */
bool machine_remove_device(Machine *machine, const char *id, GError **err);

/* Whole-machine state: devices by path, CPUs, RAM left to the caller. */
bool machine_save(Machine *machine, GByteArray *out, GError **err);
bool machine_load(Machine *machine, const uint8_t *data, size_t length, GError **err);
