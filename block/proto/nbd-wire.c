/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nbd-wire.c - the NBD protocol: greeting, options, requests and answers
 *
 * Models   the NBD project's proto.md: fixed newstyle with NBD_OPT_GO, structured replies, base:allocation, FUA, TRIM, WRITE_ZEROES;
 *          NBD_OPT_EXPORT_NAME for servers without GO
 * Omits    the old style without options, TLS: refused by name
 * Trust    none in the server: every magic, length, offset and count is checked; what a sentence quotes is cut and made printable; a
 *          read that does not cover its range, or covers parts of it twice, is an error, and no byte of the buffer stays unset
 * Threads  home loop
 * Tests    tests/block/nbd.py, tests/fuzz/formats.c
 */
#include "block/proto/nbd-wire.h"
#include "base/bytes.h"
#include "base/checked.h"
#include "base/error.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

static const uint64_t MAGIC_SERVER = UINT64_C(0x4e42444d41474943), MAGIC_OPTIONS = UINT64_C(0x49484156454f5054),
                      MAGIC_OLD = UINT64_C(0x00420281861253), MAGIC_OPTION_REPLY = UINT64_C(0x0003e889045565a9);
static const uint32_t MAGIC_REQUEST = 0x25609513, MAGIC_SIMPLE = 0x67446698, MAGIC_STRUCTURED = 0x668e33ef;

enum { GREETING_FIXED = 1, GREETING_NO_ZEROES = 2 };
enum { OPT_EXPORT_NAME = 1, OPT_ABORT = 2, OPT_GO = 7, OPT_STRUCTURED_REPLY = 8, OPT_SET_META_CONTEXT = 10 };
enum { REP_ACK = 1, REP_INFO = 3, REP_META_CONTEXT = 4 };
static const uint32_t REP_ERROR = UINT32_C(1) << 31;
enum { INFO_EXPORT = 0, INFO_BLOCK_SIZE = 3 };
enum { CHUNK_NONE = 0, CHUNK_DATA = 1, CHUNK_HOLE = 2, CHUNK_STATUS = 5, CHUNK_ERROR = 32769, CHUNK_ERROR_OFFSET = 32770, CHUNK_DONE = 1 };
enum { OPTION_REPLIES_MOST = 64, OPTION_LENGTH_MOST = 64 * 1024, TEXT_MOST = 200, STATUS_MOST = 1 << 20, DIRECT = 4096 };

/* ---- bytes ---- */

static int fill(NbdWire *wire)
{
    struct iovec piece = { wire->in, sizeof wire->in };
    int64_t got = wire->receive(wire->opaque, &piece, 1);

    if (got <= 0 || got > (int64_t)sizeof wire->in) {
        return got < 0 ? (int)got : -ECONNRESET;
    }
    wire->at = 0;
    wire->end = (size_t)got;
    return 0;
}

static int take(NbdWire *wire, void *out, size_t bytes)
{
    uint8_t *to = out;

    while (bytes) {
        size_t here = MIN(bytes, wire->end - wire->at);
        if (here == 0) {
            int result = fill(wire);
            if (result < 0) {
                return result;
            }
            continue;
        }
        memcpy(to, wire->in + wire->at, here);
        wire->at += here;
        to += here;
        bytes -= here;
    }
    return 0;
}

static int skip(NbdWire *wire, uint64_t bytes)
{
    while (bytes) {
        size_t here = (size_t)MIN(bytes, wire->end - wire->at);
        int result = here ? 0 : fill(wire);
        if (result < 0) {
            return result;
        }
        wire->at += here;
        bytes -= here;
    }
    return 0;
}

/* Into the request's memory: what is in our buffer by copying, a longer rest straight from the stream. After each wait the request
 * may be gone. */
static int take_data(NbdWire *wire, NbdRequest *(*find)(void *, uint64_t), void *opaque, uint64_t cookie, size_t at, size_t bytes)
{
    while (bytes) {
        NbdRequest *request = find(opaque, cookie);
        size_t here = MIN(bytes, wire->end - wire->at);

        if (!request) {
            return -ECONNRESET;
        }
        if (here) {
            iov_put(iov_part(request->data, at, here), 0, wire->in + wire->at, here);
            wire->at += here;
        } else if (bytes < DIRECT || request->data.count > 64) {
            int result = fill(wire);
            if (result < 0) {
                return result;
            }
        } else {
            struct iovec pieces[64];
            Iov part = iov_part(request->data, at, bytes);
            int64_t got = wire->receive(wire->opaque, pieces, iov_plain(part, pieces));
            if (got <= 0 || (uint64_t)got > bytes) {
                return got < 0 ? (int)got : -ECONNRESET;
            }
            here = (size_t)got;
        }
        at += here;
        bytes -= here;
    }
    return 0;
}

/* ---- options ---- */

typedef struct Talk { NbdWire *wire; const char *who, *export_name; NbdExport *export_; GError **err; } Talk;
typedef struct OptionReply { uint32_t type, length; uint8_t *data; } OptionReply;
static void option_reply_clear(OptionReply *reply) { g_clear_pointer(&reply->data, g_free); }
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(OptionReply, option_reply_clear)

static bool lost(const Talk *talk, int result)
{
    return fail(talk->err, -result, "%s: the server went away during the greeting: %s", talk->who, g_strerror(-result));
}

static bool send_option(const Talk *talk, uint32_t option, const void *data, uint32_t length)
{
    uint8_t head[16];
    struct iovec pieces[] = { { head, sizeof head }, { (void *)data, length } };

    store_be64(head, MAGIC_OPTIONS);
    store_be32(head + 8, option);
    store_be32(head + 12, length);
    int result = talk->wire->send(talk->wire->opaque, pieces, length ? 2 : 1);
    return result == 0 || lost(talk, result);
}

static bool read_option_reply(const Talk *talk, uint32_t option, OptionReply *reply)
{
    uint8_t head[20];
    int result = take(talk->wire, head, sizeof head);

    option_reply_clear(reply);
    if (result < 0) {
        return lost(talk, result);
    }
    reply->type = load_be32(head + 12);
    reply->length = load_be32(head + 16);
    if (load_be64(head) != MAGIC_OPTION_REPLY || load_be32(head + 8) != option || reply->length > OPTION_LENGTH_MOST) {
        return fail(talk->err, EPROTO, "%s: the server's answer to option %u is no answer to it", talk->who, option);
    }
    reply->data = g_try_malloc(reply->length + 1);
    if (!reply->data) {
        return fail(talk->err, ENOMEM, "%s: no memory for the server's answer", talk->who);
    }
    reply->data[reply->length] = 0;
    result = take(talk->wire, reply->data, reply->length);
    return result == 0 || lost(talk, result);
}

static char *printable(const uint8_t *text, size_t length)
{
    char *out = g_strndup((const char *)text, MIN(length, (size_t)TEXT_MOST));

    for (char *at = out; *at; at++) {
        *at = g_ascii_isprint(*at) ? *at : '?';
    }
    return out;
}

static bool refused(const Talk *talk, const OptionReply *reply)
{
    static const char *const reasons[] = { NULL, "it does not know how", "it may not", "it holds the request for invalid", "its platform cannot",
        "it wants TLS, which is not supported", "there is no such export", "it is shutting down", "it wants to be asked for block sizes", "it is too big" };
    uint32_t reason = reply->type & ~REP_ERROR;
    g_autofree char *text = printable(reply->data, reply->length);

    return fail(talk->err, reason == 6 ? ENOENT : EPROTO, "%s: the server refuses the export '%s': %s%s%s", talk->who, talk->export_name,
                reason && reason < G_N_ELEMENTS(reasons) ? reasons[reason] : "for a reason unknown here", *text ? ": " : "", text);
}

static bool ask_structured(const Talk *talk)
{
    g_auto(OptionReply) reply = { 0 };

    if (!send_option(talk, OPT_STRUCTURED_REPLY, NULL, 0) || !read_option_reply(talk, OPT_STRUCTURED_REPLY, &reply)) {
        return false;
    }
    if ((reply.type & REP_ERROR) == 0 && (reply.type != REP_ACK || reply.length)) {
        return fail(talk->err, EPROTO, "%s: the server's answer about structured replies makes no sense", talk->who);
    }
    talk->export_->structured = reply.type == REP_ACK;
    return (reply.type & ~REP_ERROR) != 5 || reply.type == REP_ACK || refused(talk, &reply);
}

static bool ask_context(const Talk *talk)
{
    static const char query[] = "base:allocation";
    size_t name = strlen(talk->export_name), length = 4 + name + 4 + 4 + strlen(query);
    g_autofree uint8_t *data = g_malloc(length);
    g_auto(OptionReply) reply = { 0 };

    store_be32(data, (uint32_t)name);
    memcpy(data + 4, talk->export_name, name);
    store_be32(data + 4 + name, 1);
    store_be32(data + 8 + name, (uint32_t)strlen(query));
    memcpy(data + 12 + name, query, strlen(query));
    if (!send_option(talk, OPT_SET_META_CONTEXT, data, (uint32_t)length)) {
        return false;
    }
    for (int i = 0; i < OPTION_REPLIES_MOST; i++) {
        if (!read_option_reply(talk, OPT_SET_META_CONTEXT, &reply)) {
            return false;
        }
        if (reply.type == REP_ACK || (reply.type & REP_ERROR)) {
            return true;
        }
        if (reply.type != REP_META_CONTEXT || reply.length < 4) {
            break;
        }
        if (strcmp((char *)reply.data + 4, query) == 0 && reply.length == 4 + strlen(query)) {
            talk->export_->block_status = true;
            talk->export_->context = load_be32(reply.data);
        }
    }
    return fail(talk->err, EPROTO, "%s: the server's answer about base:allocation makes no sense", talk->who);
}

static bool power_of_two(uint32_t n)
{
    return n && !(n & (n - 1));
}

static bool take_info(const Talk *talk, const OptionReply *reply, bool *known)
{
    NbdExport *export_ = talk->export_;
    uint16_t kind = reply->length >= 2 ? load_be16(reply->data) : UINT16_MAX;

    if (kind == INFO_EXPORT) {
        if (reply->length != 12) {
            return fail(talk->err, EPROTO, "%s: the server's description of the export has %u bytes instead of 12", talk->who, reply->length);
        }
        export_->size = load_be64(reply->data + 2);
        export_->flags = load_be16(reply->data + 10);
        *known = true;
    } else if (kind == INFO_BLOCK_SIZE) {
        bool whole = reply->length == 14;
        export_->min_block = whole ? load_be32(reply->data + 2) : 0;
        export_->preferred_block = whole ? load_be32(reply->data + 6) : 0;
        export_->max_block = whole ? load_be32(reply->data + 10) : 0;
        if (!power_of_two(export_->min_block) || export_->min_block > 65536 || !power_of_two(export_->preferred_block)
            || export_->preferred_block < export_->min_block || export_->max_block < export_->min_block) {
            return fail(talk->err, EPROTO, "%s: the server's block sizes (%u, %u, %u) make no sense", talk->who, export_->min_block,
                        export_->preferred_block, export_->max_block);
        }
    } else if (kind == UINT16_MAX) {
        return fail(talk->err, EPROTO, "%s: the server's description of the export is cut short", talk->who);
    }
    return true;
}

/* *old: a server that knows no GO. */
static bool ask_go(const Talk *talk, bool *old)
{
    size_t name = strlen(talk->export_name), length = 4 + name + 2 + 2;
    g_autofree uint8_t *data = g_malloc(length);
    g_auto(OptionReply) reply = { 0 };
    bool known = false;

    store_be32(data, (uint32_t)name);
    memcpy(data + 4, talk->export_name, name);
    store_be16(data + 4 + name, 1);
    store_be16(data + 6 + name, INFO_BLOCK_SIZE);
    if (!send_option(talk, OPT_GO, data, (uint32_t)length)) {
        return false;
    }
    for (int i = 0; i < OPTION_REPLIES_MOST; i++) {
        if (!read_option_reply(talk, OPT_GO, &reply)) {
            return false;
        }
        if (reply.type == (REP_ERROR | 1)) {
            *old = true;
            return true;
        }
        if (reply.type & REP_ERROR) {
            return refused(talk, &reply);
        }
        if (reply.type == REP_ACK) {
            return known || fail(talk->err, EPROTO, "%s: the server does not say how large the export is", talk->who);
        }
        if (reply.type != REP_INFO) {
            break;
        }
        if (!take_info(talk, &reply, &known)) {
            return false;
        }
    }
    return fail(talk->err, EPROTO, "%s: the server's answer about the export makes no sense", talk->who);
}

static bool ask_export_name(const Talk *talk, bool zeroes)
{
    uint8_t answer[10];

    if (!send_option(talk, OPT_EXPORT_NAME, talk->export_name, (uint32_t)strlen(talk->export_name))) {
        return false;
    }
    int result = take(talk->wire, answer, sizeof answer);
    if (result == 0 && zeroes) {
        result = skip(talk->wire, 124);
    }
    if (result < 0) {
        return fail(talk->err, -result, "%s: the server has no export '%s', or went away", talk->who, talk->export_name);
    }
    talk->export_->size = load_be64(answer);
    talk->export_->flags = load_be16(answer + 8);
    return true;
}

static bool check_export(const Talk *talk)
{
    const NbdExport *export_ = talk->export_;

    if (!(export_->flags & NBD_FLAG_HAS_FLAGS)) {
        return fail(talk->err, EPROTO, "%s: the server's flags of the export are not valid", talk->who);
    }
    if (export_->size > INT64_MAX) {
        return fail(talk->err, EFBIG, "%s: the export has %" PRIu64 " bytes, more than a disk can have", talk->who, export_->size);
    }
    if (export_->min_block && export_->size % export_->min_block) {
        return fail(talk->err, EPROTO, "%s: the export's %" PRIu64 " bytes are no multiple of its blocks of %u", talk->who, export_->size, export_->min_block);
    }
    return true;
}

bool nbd_negotiate(NbdWire *wire, const char *export_name, NbdExport *out, const char *who, GError **err)
{
    Talk talk = { wire, who, export_name, out, err };
    uint8_t greeting[18], flags[4];
    bool old = false;
    int result = take(wire, greeting, 16);

    *out = (NbdExport){ 0 };
    if (result < 0) {
        return lost(&talk, result);
    }
    if (load_be64(greeting) != MAGIC_SERVER) {
        return fail(err, EPROTO, "%s: what answers there is no NBD server", who);
    }
    if (load_be64(greeting + 8) == MAGIC_OLD) {
        return fail(err, EPROTO, "%s: the server speaks the old style of NBD without options, which is not supported", who);
    }
    if (load_be64(greeting + 8) != MAGIC_OPTIONS) {
        return fail(err, EPROTO, "%s: what answers there is no NBD server", who);
    }
    result = take(wire, greeting + 16, 2);
    if (result < 0) {
        return lost(&talk, result);
    }
    if (!(load_be16(greeting + 16) & GREETING_FIXED)) {
        return fail(err, EPROTO, "%s: the server does not speak the fixed newstyle of NBD", who);
    }
    bool no_zeroes = load_be16(greeting + 16) & GREETING_NO_ZEROES;
    store_be32(flags, (uint32_t)(GREETING_FIXED | (no_zeroes ? GREETING_NO_ZEROES : 0)));
    struct iovec piece = { flags, sizeof flags };
    result = wire->send(wire->opaque, &piece, 1);
    if (result < 0) {
        return lost(&talk, result);
    }
    return ask_structured(&talk) && (!out->structured || ask_context(&talk)) && ask_go(&talk, &old) && (!old || ask_export_name(&talk, !no_zeroes))
           && check_export(&talk);
}

/* ---- requests ---- */

int nbd_send(NbdWire *wire, const NbdRequest *request)
{
    uint8_t head[28];
    bool writes = request->command == NBD_CMD_WRITE;
    struct iovec few[17], *pieces = few;
    g_autofree struct iovec *many = NULL;
    size_t count = 1;

    store_be32(head, MAGIC_REQUEST);
    store_be16(head + 4, request->flags);
    store_be16(head + 6, request->command);
    store_be64(head + 8, request->cookie);
    store_be64(head + 16, request->offset);
    store_be32(head + 24, request->length);
    if (writes && request->data.count >= G_N_ELEMENTS(few)) {
        pieces = many = g_try_new(struct iovec, request->data.count + 1);
        if (!many) {
            return -ENOMEM;
        }
    }
    pieces[0] = (struct iovec){ head, sizeof head };
    if (writes) {
        count += iov_plain(request->data, pieces + 1);
    }
    return wire->send(wire->opaque, pieces, count);
}

/* ---- answers ---- */

static int errno_of(uint32_t error)
{
    static const struct { uint32_t wire; int number; } known[] = { { 1, EPERM }, { 5, EIO }, { 12, ENOMEM }, { 22, EINVAL }, { 28, ENOSPC },
        { 75, EOVERFLOW }, { 95, ENOTSUP }, { 108, EIO } };

    for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
        if (known[i].wire == error) {
            return -known[i].number;
        }
    }
    return -EIO;
}

typedef struct Answer {
    NbdWire *wire;
    const NbdExport *export_;
    NbdRequest *(*find)(void *opaque, uint64_t cookie);
    void *opaque;
    uint64_t cookie;
    uint32_t length;                       /* of a chunk's payload */
} Answer;

/* NULL: the server made it up, or it went away while we waited. */
static NbdRequest *request_of(const Answer *answer)
{
    NbdRequest *request = answer->find(answer->opaque, answer->cookie);

    return request && request->sent && !request->done ? request : NULL;
}

static int finish(NbdRequest *request)
{
    if (request->result == 0 && request->command == NBD_CMD_READ && request->received != request->length) {
        return -EPROTO;                    /* parts of it never came */
    }
    if (request->result == 0 && request->command == NBD_CMD_BLOCK_STATUS && request->status_length == 0) {
        return -EPROTO;
    }
    request->done = true;
    return 0;
}

static int simple_answer(const Answer *answer)
{
    uint8_t rest[12];
    Answer full = *answer;
    int result = take(answer->wire, rest, sizeof rest);

    if (result < 0) {
        return result;
    }
    full.cookie = load_be64(rest + 4);
    uint32_t error = load_be32(rest);
    NbdRequest *request = request_of(&full);
    if (!request || request->received || (answer->export_->structured && !error && (request->command == NBD_CMD_READ
                                                                                  || request->command == NBD_CMD_BLOCK_STATUS))) {
        return -EPROTO;
    }
    if (error) {
        request->result = errno_of(error);
    } else if (request->command == NBD_CMD_READ) {
        result = take_data(answer->wire, answer->find, answer->opaque, full.cookie, 0, request->length);
        request = result < 0 ? NULL : request_of(&full);
        if (!request) {
            return result < 0 ? result : -ECONNRESET;
        }
        request->received = request->length;
    }
    return finish(request);
}

/* The first part of a read that comes in parts: what a lying server leaves out must not be what the memory held before. */
static bool claim_part(NbdRequest *request, uint64_t offset, uint64_t bytes)
{
    uint64_t at = offset - request->offset;

    if (request->command != NBD_CMD_READ || offset < request->offset || bytes == 0 || !range_within(at, bytes, request->length)
        || bytes > request->length - request->received) {
        return false;
    }
    if (request->received == 0 && bytes < request->length) {
        iov_set(request->data, 0, 0, request->length);
    }
    request->received += bytes;
    return true;
}

static int data_chunk(const Answer *answer, NbdRequest *request)
{
    uint8_t offset[8];

    if (answer->length <= 8 || request->command != NBD_CMD_READ || answer->length - 8 > request->length) {
        return -EPROTO;
    }
    int result = take(answer->wire, offset, sizeof offset);
    request = result < 0 ? NULL : request_of(answer);
    if (!request) {
        return result < 0 ? result : -ECONNRESET;
    }
    uint64_t at = load_be64(offset), bytes = answer->length - 8;
    if (!claim_part(request, at, bytes)) {
        return -EPROTO;
    }
    return take_data(answer->wire, answer->find, answer->opaque, answer->cookie, (size_t)(at - request->offset), (size_t)bytes);
}

static int hole_chunk(const Answer *answer)
{
    uint8_t body[12];

    if (answer->length != sizeof body) {
        return -EPROTO;
    }
    int result = take(answer->wire, body, sizeof body);
    NbdRequest *request = result < 0 ? NULL : request_of(answer);
    if (!request) {
        return result < 0 ? result : -ECONNRESET;
    }
    uint64_t at = load_be64(body), bytes = load_be32(body + 8);
    if (!claim_part(request, at, bytes)) {
        return -EPROTO;
    }
    iov_set(request->data, (size_t)(at - request->offset), 0, (size_t)bytes);
    return 0;
}

static int status_chunk(const Answer *answer)
{
    uint8_t body[12];

    if (answer->length < sizeof body || (answer->length - 4) % 8 || answer->length > STATUS_MOST || !answer->export_->block_status) {
        return -EPROTO;
    }
    int result = take(answer->wire, body, sizeof body);
    if (result == 0) {
        result = skip(answer->wire, answer->length - sizeof body);             /* we asked for one extent; a server may say more */
    }
    NbdRequest *request = result < 0 ? NULL : request_of(answer);
    if (!request) {
        return result < 0 ? result : -ECONNRESET;
    }
    if (request->command != NBD_CMD_BLOCK_STATUS || load_be32(body) != answer->export_->context || load_be32(body + 4) == 0 || request->status_length) {
        return -EPROTO;
    }
    request->status_length = MIN(load_be32(body + 4), request->length);
    request->status_flags = load_be32(body + 8);
    return 0;
}

static int error_chunk(const Answer *answer, bool with_offset)
{
    uint8_t body[6];
    uint32_t tail = with_offset ? 8 : 0;

    if (answer->length < sizeof body + tail || answer->length > OPTION_LENGTH_MOST) {
        return -EPROTO;
    }
    int result = take(answer->wire, body, sizeof body);
    if (result == 0 && load_be16(body + 4) != answer->length - sizeof body - tail) {
        return -EPROTO;
    }
    if (result == 0) {
        result = skip(answer->wire, answer->length - sizeof body);
    }
    NbdRequest *request = result < 0 ? NULL : request_of(answer);
    if (!request) {
        return result < 0 ? result : -ECONNRESET;
    }
    if (load_be32(body) == 0) {
        return -EPROTO;
    }
    request->result = request->result ? request->result : errno_of(load_be32(body));
    return 0;
}

static int chunk_body(const Answer *answer, uint16_t type, NbdRequest *request)
{
    switch (type) {
    case CHUNK_NONE:
        return answer->length ? -EPROTO : 0;
    case CHUNK_DATA:
        return data_chunk(answer, request);
    case CHUNK_HOLE:
        return hole_chunk(answer);
    case CHUNK_STATUS:
        return status_chunk(answer);
    case CHUNK_ERROR:
    case CHUNK_ERROR_OFFSET:
        return error_chunk(answer, type == CHUNK_ERROR_OFFSET);
    default:                               /* an error of a kind that came later is one all the same */
        if (!(type & 0x8000) || answer->length > OPTION_LENGTH_MOST) {
            return -EPROTO;
        }
        request->result = request->result ? request->result : -EIO;
        return skip(answer->wire, answer->length);
    }
}

static int chunk(const Answer *answer)
{
    uint8_t head[16];
    Answer full = *answer;
    int result = take(answer->wire, head, sizeof head);

    if (result < 0) {
        return result;
    }
    uint16_t flags = load_be16(head), type = load_be16(head + 2);
    full.cookie = load_be64(head + 4);
    full.length = load_be32(head + 12);
    NbdRequest *request = request_of(&full);
    if (!request || !answer->export_->structured || (type == CHUNK_NONE && !(flags & CHUNK_DONE))) {
        return -EPROTO;
    }
    result = chunk_body(&full, type, request);
    if (result < 0 || !(flags & CHUNK_DONE)) {
        return result;
    }
    request = request_of(&full);
    return request ? finish(request) : -ECONNRESET;
}

int nbd_receive(NbdWire *wire, const NbdExport *export_, NbdRequest *(*find)(void *opaque, uint64_t cookie), void *opaque)
{
    Answer answer = { .wire = wire, .export_ = export_, .find = find, .opaque = opaque };
    uint8_t magic[4];
    int result = take(wire, magic, sizeof magic);

    if (result < 0) {
        return result;
    }
    return load_be32(magic) == MAGIC_SIMPLE ? simple_answer(&answer) : load_be32(magic) == MAGIC_STRUCTURED ? chunk(&answer) : -EPROTO;
}
