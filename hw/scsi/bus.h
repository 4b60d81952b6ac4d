/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bus.h - a SCSI bus: targets with their logical units, and commands on their way
 *
 * A host adapter (hw/virtio/scsi.c) embeds a ScsiBus and ScsiRequests, and hands requests in by scsi_submit(); `done` gives each back
 * once, perhaps inside scsi_submit(). Models of logical units begin with ScsiDevice and name a ScsiModel as class_data.
 *
 * Threads  Requests, tasks and the state of devices belong to the bus's loop ("home"): io_loop_main(), where any thread with the
 *          machine lock may call, or an I/O thread, where no lock is held and none taken. Devices come and go on the main thread,
 *          which has the list changed at home and waits for it. News from the main thread (attentions) are atomic bits.
 */
#pragma once
#include "block/blk.h"
#include "hw/core/device.h"
#include "hw/scsi/sense.h"

typedef struct ScsiBus ScsiBus;
typedef struct ScsiDevice ScsiDevice;
typedef struct ScsiRequest ScsiRequest;

enum { SCSI_CDB = 32, SCSI_TARGETS = 256, SCSI_LUNS = 16384 };

typedef enum { SCSI_NO_DATA, SCSI_TO_HOST, SCSI_TO_DEVICE } ScsiMode;
/* What became of a request; status and sense count only for SCSI_DONE. */
typedef enum { SCSI_DONE, SCSI_NO_TARGET, SCSI_OVERRUN, SCSI_ABORTED, SCSI_WAS_RESET } ScsiOutcome;

struct ScsiRequest {
    /* the host adapter's; in and out are guest memory, which may change at any time, and their pieces are cut while it runs */
    uint8_t cdb[SCSI_CDB];                 /* zero behind its end */
    uint64_t tag;
    struct iovec *in, *out;                /* to the host, to the device */
    unsigned in_count, out_count;
    size_t in_bytes, out_bytes;
    void (*done)(ScsiRequest *request);
    /* the answer */
    ScsiOutcome outcome;
    ScsiStatus status;
    ScsiSense sense;
    uint64_t moved;                        /* bytes of in or out */
    /* the target's own, from scsi_submit() to done */
    ScsiBus *bus;
    unsigned target, lun;
    ScsiDevice *device;                    /* NULL: nobody is at that LUN */
    const struct ScsiCommand *command;
    uint64_t expected;                     /* bytes that the CDB names: allocation, parameter list or transfer length */
    uint64_t sequence;
    bool cancelled, kept;                  /* kept: failed, and to be tried again when the machine goes on */
    ScsiOutcome cancel_outcome;
    ScsiRequest *next, *previous;          /* in the device's list */
    BlkRequest io;
    void (*step)(ScsiRequest *request);    /* what follows the io */
    uint64_t lba, blocks;                  /* of the command, or what is left of it */
    uint8_t *buffer;                       /* g_free()d at the end */
    size_t at, length;                     /* in buffer */
    struct iovec piece;
};

/* ---- what logical units can do ---- */

/* Where a CDB says how many bytes or blocks it moves. */
typedef enum {
    SCSI_COUNT_NONE, SCSI_COUNT_BYTE_4, SCSI_COUNT_BYTE_4_OF_256, /* 0 means 256 */ SCSI_COUNT_16_AT_3, SCSI_COUNT_16_AT_7, SCSI_COUNT_16_AT_8,
    SCSI_COUNT_24_AT_6, SCSI_COUNT_32_AT_6, SCSI_COUNT_32_AT_10, SCSI_COUNT_ONE, SCSI_COUNT_OWN /* command->count */
} ScsiCount;
enum { SCSI_BLOCKS = 1,                    /* counted in blocks */
       SCSI_NO_ATTENTION = 2,              /* works while a unit attention is pending, and leaves it there */
       SCSI_NEEDS_MEDIUM = 4, SCSI_CHANGES_MEDIUM = 8 };

typedef struct ScsiCommand {
    const char *name;                      /* NULL: there is no such command */
    void (*run)(ScsiRequest *request);     /* answers, now or later, by one of the functions below */
    ScsiMode mode;
    ScsiCount at;
    unsigned flags;
    uint64_t (*count)(const ScsiRequest *request, ScsiMode *mode);     /* SCSI_COUNT_OWN: bytes */
} ScsiCommand;

typedef struct ScsiModel {
    uint8_t type;                          /* peripheral device type: 0 disk, 5 CD-ROM */
    const ScsiCommand *commands;           /* 256 of them, by operation code */
    /* Home. May answer the request itself and return false: no medium, not ready. */
    bool (*ready)(ScsiRequest *request);
    void (*reset)(ScsiDevice *device);     /* home: power on, or reset by the initiator */
} ScsiModel;

/* In order of precedence: SAM-5 and what systems expect to hear first. */
typedef enum {
    SCSI_ATTENTION_POWER_ON, SCSI_ATTENTION_NEXUS_LOSS, SCSI_ATTENTION_LUNS, SCSI_ATTENTION_CAPACITY, SCSI_ATTENTION_MODE, SCSI_ATTENTION_MEDIUM_GONE,
    SCSI_ATTENTION_MEDIUM_CHANGED, SCSI_ATTENTIONS
} ScsiAttention;

struct ScsiDevice {
    Device device;
    uint32_t channel, id, lun;             /* properties; UINT32_MAX: the first that is free */
    uint32_t block_size;                   /* set by the model's realize; home afterwards */
    uint32_t attentions;                   /* atomic: bits of ScsiAttention */
    ScsiDevice *sibling;                   /* home: the target's next logical unit, by lun */
    ScsiRequest *first, *last;             /* home: in flight */
    bool *waiter;                          /* home: set true when nothing is in flight but what is kept */
    int posts;                             /* atomic: on their way to the main loop */
    bool entered;                          /* main thread: it is in the bus's list */
};
static inline ScsiDevice *SCSI_DEVICE(Device *device) { return (ScsiDevice *)device; }
static inline const ScsiModel *scsi_model(const ScsiDevice *scsi) { return scsi->device.model->class_data; }
static inline ScsiBus *scsi_bus_of(const ScsiDevice *scsi) { return (ScsiBus *)scsi->device.bus; }

extern const Field scsi_device_props[];    /* the models' bus_props */
extern const Field scsi_device_saved[];
#define SAVE_SCSI(T, m) SAVE_STRUCT(T, m, scsi_device_saved)

/* For a model's realize (last) and unrealize (first; harmless when repeated): takes part, and leaves: what is in flight is
 * cancelled and waited for. Main thread. */
void scsi_device_enter(ScsiDevice *scsi);
void scsi_device_leave(ScsiDevice *scsi);
/* A model's .reset: cancels what is in flight and waits for it. Main thread. */
void scsi_device_reset(Device *device);
/* Any thread. */
void scsi_attention(ScsiDevice *scsi, ScsiAttention attention);
/* Main thread, machine lock: the same, and the host adapter is told (ScsiBusOps.parameters_changed). */
void scsi_parameters_changed(ScsiDevice *scsi, ScsiAttention attention);
/* The most urgent one, taken away; false when there is none. */
bool scsi_take_attention(ScsiDevice *scsi, ScsiSense *sense);
/* Main thread: kept requests are tried again. */
void scsi_retry(ScsiDevice *scsi);

/* Answers. Each ends the request, and `request` is not looked at afterwards. */
void scsi_finish(ScsiRequest *request);                    /* GOOD */
void scsi_fail(ScsiRequest *request, ScsiSense sense);
void scsi_reply(ScsiRequest *request, const void *bytes, size_t length);       /* GOOD, with data cut to what was asked for */
/* Copies what the CDB names of the parameter list, at most room; how much. */
size_t scsi_parameters(ScsiRequest *request, void *bytes, size_t room);

/* ---- for host adapters ---- */

typedef struct ScsiBusOps {
    void (*parameters_changed)(void *opaque, ScsiDevice *scsi, ScsiSense sense);       /* machine lock, any of its threads */
} ScsiBusOps;

struct ScsiBus {
    Bus bus;
    char *name;
    IoLoop *loop;
    unsigned targets, luns;                /* limits: ids below, luns below */
    const ScsiBusOps *ops;
    void *opaque;
    /* home */
    ScsiDevice *target[SCSI_TARGETS];      /* its first logical unit */
    uint64_t sequence;
    struct ScsiTask *tasks;
};

void scsi_bus_init(ScsiBus *bus, const char *name, Machine *machine, Device *parent, IoLoop *loop, const ScsiBusOps *ops, void *opaque);
void scsi_bus_destroy(ScsiBus *bus);       /* no devices on it */
/* Home. NULL when there is none. */
ScsiDevice *scsi_bus_find(const ScsiBus *bus, unsigned target, unsigned lun);

void scsi_submit(ScsiBus *bus, unsigned target, unsigned lun, ScsiRequest *request);
/* Cancels all requests of all devices; they end as their I/O does. Home. */
void scsi_bus_cancel(ScsiBus *bus, ScsiOutcome outcome);
/* As a reset of the adapter: scsi_bus_cancel() and power-on states. Home. */
void scsi_bus_reset(ScsiBus *bus);
void scsi_bus_drain(ScsiBus *bus);         /* main thread: waits until nothing is in flight but what is kept */

/* Task management, SAM-5 7. Home. done is called when every task that it ends is ended, perhaps at once. */
typedef enum { SCSI_ABORT_TASK, SCSI_ABORT_TASK_SET, SCSI_CLEAR_TASK_SET, SCSI_RESET_LUN, SCSI_RESET_NEXUS, SCSI_QUERY_TASK, SCSI_QUERY_TASK_SET }
    ScsiTaskKind;
typedef enum { SCSI_TASK_COMPLETE, SCSI_TASK_SUCCEEDED, SCSI_TASK_NO_TARGET, SCSI_TASK_NO_LUN } ScsiTaskResult;
typedef struct ScsiTask {
    void (*done)(struct ScsiTask *task);
    ScsiTaskResult result;
    /* own */
    unsigned target, lun;
    bool all_luns;
    uint64_t before;
    struct ScsiTask *next;
} ScsiTask;
void scsi_manage(ScsiBus *bus, unsigned target, unsigned lun, ScsiTaskKind kind, uint64_t tag, ScsiTask *task);
