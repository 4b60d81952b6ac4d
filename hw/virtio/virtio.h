/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio.h - a virtio device without its transport: features, status, configuration bytes, queues, saved state, reset
 *
 * A model's struct begins with VirtioPci (pci.h here), which holds a Virtio. The model says by a constant VirtioModel what it is,
 * fills Virtio.offered, queues and configuration bytes in its realize, and answers from then on by the callbacks.
 *
 * Two sides. The registers' side (feature words, status, queue addresses, configuration bytes) is the machine lock's. The queues'
 * side (popping, pushing, what the model keeps of its requests) belongs to the device's loop: io_loop_main(), where it is the
 * machine lock's too, or an I/O thread's (iothread=), where no lock is held and none taken. Callbacks say which side they are on.
 *
 * Life of the queues' side:  started (DRIVER_OK) -> handle()... -> stop() -> [requests in flight end] -> idle -> reset() or start again
 * A reset by the guest clears the registers at once; the modern status register reads non-zero until the device is idle, and a new
 * DRIVER_OK waits for that. Nothing waits on a vCPU thread. A reset of the machine and unplugging wait, on the main thread.
 */
#pragma once
#include "base/io-loop.h"
#include "hw/core/device.h"
#include "hw/virtio/queue.h"

typedef struct Virtio Virtio;
typedef struct IoThread IoThread;

enum { VIRTIO_QUEUES_MOST = 1024, VIRTIO_CONFIG_MOST = 200 };
enum { VIRTIO_NO_VECTOR = 0xffff };

/* Virtio 1.2, 2.1 and 6 */
enum { VIRTIO_ACKNOWLEDGE = 1, VIRTIO_DRIVER = 2, VIRTIO_DRIVER_OK = 4, VIRTIO_FEATURES_OK = 8, VIRTIO_NEEDS_RESET = 0x40,
       VIRTIO_FAILED = 0x80 };
#define VIRTIO_BIT(n) (UINT64_C(1) << (n))
#define VIRTIO_F_NOTIFY_ON_EMPTY VIRTIO_BIT(24)
#define VIRTIO_F_ANY_LAYOUT      VIRTIO_BIT(27)
#define VIRTIO_F_INDIRECT_DESC   VIRTIO_BIT(28)
#define VIRTIO_F_EVENT_IDX       VIRTIO_BIT(29)
#define VIRTIO_F_VERSION_1       VIRTIO_BIT(32)

/* Device ids, Virtio 1.2, 5 */
enum { VIRTIO_ID_NET = 1, VIRTIO_ID_BLOCK = 2, VIRTIO_ID_CONSOLE = 3, VIRTIO_ID_RNG = 4, VIRTIO_ID_BALLOON = 5, VIRTIO_ID_SCSI = 8 };

typedef struct VirtioModel {
    const char *name;                      /* "virtio-blk": for sentences and traces */
    uint16_t id;
    uint16_t legacy_device;                /* PCI device id of a transitional one: 0x1001 */
    uint32_t class_code;                   /* 24 bits */
    size_t element_size;                   /* of the model's request, which begins with QueueElement */

    /* ---- queues' side ---- */
    /* The driver kicked queue `index`, or may have: pop what is there. Called again by itself while a budget of pops ends before
     * the queue does (queue_pop() then says NULL, so a loop over queue_next() ends). */
    void (*handle)(Virtio *virtio, unsigned index);
    /* Takes queues out of service: give back by queue_push() all elements that are held without a request in flight behind them. May be
     * NULL when there are none. */
    void (*stop)(Virtio *virtio);
    /* After a load: this element was handed out when the state was saved. Carry it out again. NULL: it is pushed with nothing. */
    void (*resubmit)(Virtio *virtio, unsigned index, QueueElement *element);

    /* ---- registers' side; each may be NULL ---- */
    void (*features_set)(Virtio *virtio);  /* the driver has chosen: virtio_has() answers */
    void (*config_reading)(Virtio *virtio);                /* before bytes are read: for those that change by themselves */
    void (*config_written)(Virtio *virtio, unsigned offset, unsigned size);    /* after the masks took effect */
    void (*started)(Virtio *virtio);       /* DRIVER_OK, queues set up, before the first handle() */
    void (*reset)(Virtio *virtio);         /* registers are reset: the model's own, too. Requests may still be in flight */
    void (*drain)(Virtio *virtio);         /* main thread: wait until no request is in flight (blk_drain) */
    bool (*after_load)(Virtio *virtio, GError **err);
} VirtioModel;

typedef struct VirtioQueue {
    Virtio *virtio;
    unsigned index;
    uint16_t size_most;                    /* the device's limit */
    /* registers' side */
    uint16_t size, vector;                 /* vector: atomic */
    bool enabled;
    uint64_t descriptors, available, used;
    uint16_t next_available, next_used;    /* where it starts: 0, or loaded */
    /* queues' side */
    Queue *queue;
    int kick;                              /* an eventfd that the loop watches */
    IoWatch *watch;
} VirtioQueue;

/* What the transport does for the device. */
typedef struct VirtioTransport {
    void (*interrupt)(Virtio *virtio, uint16_t vector, bool config);           /* any thread */
    void (*queues_changed)(Virtio *virtio);                /* machine lock: started or stopped: doorbells */
    AddressSpace *(*space)(Virtio *virtio);                /* any thread; NULL: not a bus master now */
} VirtioTransport;

typedef enum { VIRTIO_IDLE, VIRTIO_LIVE, VIRTIO_STOPPING } VirtioPhase;

struct Virtio {
    Device *device;                        /* whom guest_fault() counts */
    const VirtioModel *model;
    const VirtioTransport *transport;
    IoLoop *loop;                          /* io_loop_main() or the iothread's */
    IoThread *iothread;                    /* NULL: none */
    bool event_index, indirect, notify_on_empty, any_layout;                   /* properties */
    /* registers' side */
    uint64_t offered, accepted;            /* feature bits; the transport masks VERSION_1 for legacy drivers */
    uint8_t status;
    uint8_t generation;                    /* of the configuration bytes */
    bool legacy;                           /* the driver came through the legacy registers */
    uint16_t config_vector;                /* atomic */
    uint8_t isr;                           /* atomic */
    unsigned config_size;
    uint8_t config[VIRTIO_CONFIG_MOST], config_writable[VIRTIO_CONFIG_MOST];
    unsigned queue_count;
    VirtioQueue *queues;
    VirtioPhase phase;
    bool idle;                             /* phase is VIRTIO_IDLE: what a reset waits for */
    bool wanted;                           /* atomic: phase is VIRTIO_LIVE, for the queues' side */
    bool start_again;                      /* DRIVER_OK came while stopping */
    uint8_t held_status;                   /* what the status register shows until idle */
    bool watched;                          /* between virtio_realized() and virtio_unrealize() */
    /* saved state, filled by before_save */
    bool was_live;
    uint8_t *queue_state, *in_flight;      /* of each queue; queue and head, 16 bits each, of each element that is handed out */
    uint32_t queue_state_bytes, in_flight_bytes;
    /* queues' side */
    bool live;                             /* handle() may be called */
    bool paused;                           /* the machine stands still */
    bool stopping, in_stop;
    bool interrupts_due;
    IoHook hook;
    char *complaint;                       /* atomic: why a queue is broken, on its way to the main loop */
};

/* ---- for models ---- */

/* In realize, before the transport's: makes `count` queues of at most `size` entries (a power of two). virtio->model, device and
 * loop are set. queue_count may differ from device to device. *err when the host lacks descriptors. */
bool virtio_init(Virtio *virtio, Device *device, const VirtioModel *model, IoThread *iothread, unsigned config_size, GError **err);
bool virtio_add_queue(Virtio *virtio, unsigned size, GError **err);            /* the next index */
Queue *virtio_queue(Virtio *virtio, unsigned index);
static inline bool virtio_has(const Virtio *virtio, uint64_t bit) { return (virtio->accepted & bit) != 0; }
/* The device's configuration bytes, little endian; writable: which bits a driver may change. */
void virtio_config_set(Virtio *virtio, unsigned offset, unsigned size, uint64_t value);
uint64_t virtio_config_get(const Virtio *virtio, unsigned offset, unsigned size);
void virtio_config_allow(Virtio *virtio, unsigned offset, unsigned size, uint64_t writable);
/* They changed under a running driver: generation, and its interrupt. Machine lock. */
void virtio_config_changed(Virtio *virtio);
/* A request that no sane driver makes; the queue is broken, the device needs a reset. Queues' side. */
void virtio_fault(Virtio *virtio, unsigned index, const char *why);
/* Any thread. Calls handle() for that queue in a turn of the loop. */
void virtio_kick(Virtio *virtio, unsigned index);
/* Any thread: call(virtio) on the main loop, machine lock held, while the device is still there. */
void virtio_post(Virtio *virtio, void (*call)(Virtio *virtio));
/* Main thread: call(virtio) on the device's loop, and waits for it. */
void virtio_call_on_loop(Virtio *virtio, void (*call)(Virtio *virtio));

/* ---- for transports: machine lock held ---- */

bool virtio_realized(Virtio *virtio, const VirtioTransport *transport, GError **err);      /* main thread: queues are watched */
void virtio_unrealize(Virtio *virtio);     /* main thread; waits for requests; harmless when repeated, and without virtio_init() */
uint8_t virtio_status(Virtio *virtio);     /* as the modern register shows it */
void virtio_set_status(Virtio *virtio, uint8_t status);
bool virtio_set_features(Virtio *virtio, uint64_t features, uint64_t mask);    /* mask: which bits are written; false: too late, guest_fault() */
uint64_t virtio_config_read(Virtio *virtio, unsigned offset, unsigned size);   /* beyond the end: ones */
void virtio_config_write(Virtio *virtio, unsigned offset, unsigned size, uint64_t value);
bool virtio_queue_size(Virtio *virtio, unsigned index, uint16_t size);         /* each: false and guest_fault() when it cannot be */
bool virtio_queue_place(Virtio *virtio, unsigned index, uint64_t descriptors, uint64_t available, uint64_t used);
bool virtio_queue_enable(Virtio *virtio, unsigned index);
void virtio_notify(Virtio *virtio, unsigned index);        /* the register write of a driver's kick */
uint8_t virtio_take_isr(Virtio *virtio);   /* reading clears; any thread */
void virtio_reset(Virtio *virtio);         /* the guest's: returns at once */
void virtio_reset_now(Virtio *virtio);     /* the machine's: main thread, waits */
void virtio_before_save(Virtio *virtio);   /* main thread */
bool virtio_after_load(Virtio *virtio, GError **err);      /* main thread */

extern const Field virtio_saved[];
#define SAVE_VIRTIO(T, m) SAVE_STRUCT(T, m, virtio_saved)
