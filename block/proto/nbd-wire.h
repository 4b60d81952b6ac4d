/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nbd-wire.h - the words of the NBD protocol, from the client's side, over any stream
 *
 * All functions co where the stream's own functions yield.
 */
#pragma once
#include "base/iov.h"
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct NbdWire {
    /* More than 0: so many bytes; 0: the peer has closed; or -errno. */
    int64_t (*receive)(void *opaque, const struct iovec *iov, size_t count);
    int (*send)(void *opaque, const struct iovec *iov, size_t count);          /* all of it; 0 or -errno */
    void *opaque;
    size_t at, end;                        /* what was received and not yet looked at */
    uint8_t in[16384];
} NbdWire;

typedef struct NbdExport {
    uint64_t size;
    uint16_t flags;                        /* NBD_FLAG_ */
    uint32_t min_block, preferred_block, max_block;        /* 0: not said */
    bool structured, block_status;
    uint32_t context;                      /* the server's number for base:allocation */
} NbdExport;

enum {
    NBD_FLAG_HAS_FLAGS = 1, NBD_FLAG_READ_ONLY = 2, NBD_FLAG_SEND_FLUSH = 4, NBD_FLAG_SEND_FUA = 8, NBD_FLAG_SEND_TRIM = 0x20,
    NBD_FLAG_SEND_WRITE_ZEROES = 0x40,
};
enum { NBD_CMD_READ, NBD_CMD_WRITE, NBD_CMD_DISC, NBD_CMD_FLUSH, NBD_CMD_TRIM, NBD_CMD_WRITE_ZEROES = 6, NBD_CMD_BLOCK_STATUS };
enum { NBD_CMD_FLAG_FUA = 1, NBD_CMD_FLAG_NO_HOLE = 2, NBD_CMD_FLAG_REQ_ONE = 8 };
enum { NBD_STATE_HOLE = 1, NBD_STATE_ZERO = 2 };
enum { NBD_LENGTH_MOST = 32 << 20, NBD_NAME_MOST = 4096 };

typedef struct NbdRequest {
    uint16_t command, flags;
    uint64_t cookie, offset;
    uint32_t length;
    Iov data;                              /* of a write, or a read's buffer */
    bool sent;                             /* whole: an answer that comes before is a lie */
    /* the answer */
    bool done;
    int result;                            /* 0 or -errno */
    uint64_t received;                     /* bytes of a read that came */
    uint32_t status_length, status_flags;  /* of the first extent */
} NbdRequest;

/* The greeting and the options, until requests may be sent. who is for the sentence. */
bool nbd_negotiate(NbdWire *wire, const char *export_name, NbdExport *out, const char *who, GError **err);
int nbd_send(NbdWire *wire, const NbdRequest *request);
/* One answer, or one chunk of one. find() gives the request of a cookie, or NULL when there is none (any more: it may go while we wait).
 * -errno: the stream is of no further use. */
int nbd_receive(NbdWire *wire, const NbdExport *export_, NbdRequest *(*find)(void *opaque, uint64_t cookie), void *opaque);
