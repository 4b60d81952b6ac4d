/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * io-request.c - roost io's reads, writes, discards and flushes
 *
 * A request is described first (IoRequest), then carried out by perform(), in the session's coroutine or, for aio_*, in one of
 * its own; report() says how it went.
 *
 * Threads  the tool's only one
 * Tests    tests/block/io-commands.py
 */
#include "base/field.h"
#include "base/timer.h"
#include "block/driver.h"
#include "cli/io.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define IO_REQUEST_MOST UINT64_C(2147483136)               /* what one request of QEMU's may be */
enum { READ_FILL = 0xab, WRITE_FILL = 0xcd, MISALIGN = 16, PIECES_MOST = 1024 };

typedef enum { REQUEST_READ, REQUEST_WRITE, REQUEST_ZEROES, REQUEST_DISCARD } RequestKind;

typedef struct IoRequest {
    IoSession *session;
    RequestKind kind;
    RequestFlags flags;
    const char *did, *failed;              /* "wrote", "write failed" */
    uint64_t offset, bytes;
    void *memory;                          /* NULL: none */
    uint8_t *buffer;
    struct iovec *pieces;
    size_t count;
    bool vmstate, report, quiet, verbose, verify;
    int pattern;
    uint64_t verify_skip, verify_bytes;
    int64_t began;
} IoRequest;

static void request_clear(IoRequest *request)
{
    free(request->memory);
    g_free(request->pieces);
}

/* ---- what was asked for ------------------------------------------------------------------------------------- */

static bool parse_pattern(const char *text, int *pattern)
{
    uint64_t number;

    if (!parse_uint(text, &number) || number > 0xff) {
        printf("%s is not a valid pattern byte\n", text);
        return false;
    }
    *pattern = (int)number;
    return true;
}

static bool take_length(const char *text, const char *unless, uint64_t *bytes)
{
    if (!io_number(text, bytes)) {
        return false;
    }
    if (*bytes > IO_REQUEST_MOST) {
        printf("length cannot exceed %" G_GUINT64_FORMAT "%s, given %s\n", IO_REQUEST_MOST, unless, text);
        return false;
    }
    return true;
}

static bool make_buffer(IoRequest *request, int fill)
{
    size_t shift = request->session->misalign ? MISALIGN : 0;

    request->memory = tool_buffer(request->session->image.node, NULL, request->bytes + shift);
    if (!request->memory) {
        printf("no memory for %" G_GUINT64_FORMAT " bytes\n", request->bytes);
        return false;
    }
    request->buffer = (uint8_t *)request->memory + shift;
    memset(request->buffer, fill, request->bytes);
    return true;
}

static bool one_piece(IoRequest *request, int fill)
{
    if (!make_buffer(request, fill)) {
        return false;
    }
    request->pieces = g_new(struct iovec, 1);
    request->pieces[0] = (struct iovec){ request->buffer, request->bytes };
    request->count = 1;
    return true;
}

/* off len [len ...] */
static bool many_pieces(IoRequest *request, char **lengths, int count, int fill)
{
    size_t at = 0;

    if (count > PIECES_MOST) {
        printf("at most %d lengths\n", PIECES_MOST);
        return false;
    }
    request->pieces = g_new0(struct iovec, (size_t)count);
    for (int i = 0; i < count; i++) {
        uint64_t bytes;
        if (!io_number(lengths[i], &bytes)) {
            return false;
        }
        if (bytes > IO_REQUEST_MOST) {
            printf("Argument '%s' exceeds maximum size %" G_GUINT64_FORMAT "\n", lengths[i], IO_REQUEST_MOST);
            return false;
        }
        request->pieces[i].iov_len = bytes;
        request->bytes += bytes;
    }
    if (request->bytes > IO_REQUEST_MOST) {
        printf("The total number of bytes exceed the maximum size %" G_GUINT64_FORMAT "\n", IO_REQUEST_MOST);
        return false;
    }
    if (!make_buffer(request, fill)) {
        return false;
    }
    request->count = (size_t)count;
    for (int i = 0; i < count; i++) {
        request->pieces[i].iov_base = request->buffer + at;
        at += request->pieces[i].iov_len;
    }
    return true;
}

/* The file's bytes over and over. */
static bool fill_from_file(IoRequest *request, const char *path)
{
    FILE *file = fopen(path, "rb");
    size_t length;

    if (!file) {
        fprintf(stderr, "%s: %s\n", path, g_strerror(errno));
        return false;
    }
    length = fread(request->buffer, 1, request->bytes, file);
    if (ferror(file)) {
        fprintf(stderr, "%s: %s\n", path, g_strerror(errno));
        length = 0;
    } else if (!length) {
        fprintf(stderr, "%s: file is empty\n", path);
    }
    fclose(file);
    for (size_t at = length; length && at < request->bytes; at += length) {
        memcpy(request->buffer + at, request->buffer, MIN(length, request->bytes - at));
    }
    return length > 0;
}

/* ---- doing it ----------------------------------------------------------------------------------------------- */

static int transfer_vmstate(const IoRequest *request, Iov iov)
{
    Node *node = node_skip_filters(request->session->image.node);
    int (*transfer)(Node *, uint64_t, Iov) = request->kind == REQUEST_READ ? node_driver(node)->load_vmstate : node_driver(node)->save_vmstate;

    return transfer ? transfer(node, request->offset, iov) : -ENOTSUP;
}

static int perform(const IoRequest *request)
{
    Node *node = request->session->image.node;
    Iov iov = iov_all(request->pieces, request->count);

    if (request->vmstate) {
        return transfer_vmstate(request, iov);
    }
    switch (request->kind) {
    case REQUEST_READ: return node_preadv(node, request->offset, iov, 0);
    case REQUEST_WRITE: return node_pwritev(node, request->offset, iov, request->flags);
    case REQUEST_ZEROES: return node_pwrite_zeroes(node, request->offset, request->bytes, request->flags);
    case REQUEST_DISCARD: return node_pdiscard(node, request->offset, request->bytes);
    }
    return -EINVAL;
}

static void dump(const IoRequest *request)
{
    for (uint64_t at = 0; at < request->bytes; at += 16) {
        uint64_t count = MIN(16, request->bytes - at);
        printf("%08" G_GINT64_MODIFIER "x:  ", request->offset + at);
        for (uint64_t i = 0; i < count; i++) {
            printf("%02x ", request->buffer[at + i]);
        }
        putchar(' ');
        for (uint64_t i = 0; i < count; i++) {
            uint8_t c = request->buffer[at + i];
            putchar(g_ascii_isalnum(c) ? c : '.');
        }
        putchar('\n');
    }
}

static char *time_text(int64_t took, bool whole)
{
    unsigned long seconds = (unsigned long)(took / NS_PER_SECOND), hundredths = (unsigned long)(took % NS_PER_SECOND / (NS_PER_SECOND / 100));
    unsigned long hours = seconds / 3600, minutes = seconds / 60 % 60;

    if (whole || hours) {
        return g_strdup_printf("%lu:%02lu:%02lu.%02lu", hours, minutes, seconds % 60, hundredths);
    }
    return minutes ? g_strdup_printf("%lu:%02lu.%02lu", minutes, seconds % 60, hundredths)
                   : g_strdup_printf("%02lu.%02lu sec", seconds % 60, hundredths);
}

static void print_statistics(const IoRequest *request, int64_t took)
{
    double seconds = (double)MAX(took, 1) / NS_PER_SECOND;
    g_autofree char *time = time_text(took, request->report);
    g_autofree char *size = io_size_text((double)request->bytes), *rate = io_size_text((double)request->bytes / seconds);

    if (request->report) {                 /* for programs */
        printf("%" G_GUINT64_FORMAT ",1,%s,%.3f,%.3f\n", request->bytes, time, (double)request->bytes / seconds, 1 / seconds);
        return;
    }
    printf("%s %" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT " bytes at offset %" G_GUINT64_FORMAT "\n", request->did, request->bytes,
           request->bytes, request->offset);
    printf("%s, 1 ops; %s (%s/sec and %.4f ops/sec)\n", size, time, rate, 1 / seconds);
}

static bool is_pattern(const IoRequest *request)
{
    const uint8_t *bytes = request->buffer + request->verify_skip;

    for (uint64_t i = 0; i < request->verify_bytes; i++) {
        if (bytes[i] != request->pattern) {
            return false;
        }
    }
    return true;
}

static bool report(const IoRequest *request, int result)
{
    int64_t took = clock_now(CLOCK_STEADY) - request->began;
    bool right = true;

    if (result < 0) {
        printf("%s failed: %s\n", request->failed, g_strerror(-result));
        return false;
    }
    if (request->verify && !is_pattern(request)) {
        printf("Pattern verification failed at offset %" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT " bytes\n",
               request->offset + request->verify_skip, request->verify_bytes);
        right = false;
    }
    if (!request->quiet) {
        if (request->verbose) {
            dump(request);
        }
        print_statistics(request, took);
    }
    return right;
}

static bool run_request(IoRequest *request)
{
    request->began = clock_now(CLOCK_STEADY);
    return report(request, perform(request));
}

/* ---- aio ---------------------------------------------------------------------------------------------------- */

static void request_member(void *opaque)
{
    IoRequest *request = opaque;
    IoSession *session = request->session;

    run_request(request);
    request_clear(request);
    g_free(request);
    if (--session->in_flight == 0 && session->drainer) {
        io_loop_wake(io_loop_current(), g_steal_pointer(&session->drainer));
    }
}

void io_drain(IoSession *session)
{
    if (session->in_flight) {
        session->drainer = coroutine_self();
        coroutine_yield();
    }
}

static bool start_request(IoRequest *request)
{
    IoRequest *own = g_new(IoRequest, 1);
    Coroutine *coroutine;

    *own = *request;
    *request = (IoRequest){ 0 };
    own->began = clock_now(CLOCK_STEADY);
    coroutine = coroutine_new(request_member, own);
    if (!coroutine) {
        request_clear(own);
        g_free(own);
        printf("no memory for another request\n");
        return false;
    }
    own->session->in_flight++;
    coroutine_enter(coroutine);
    return true;
}

/* ---- read and write ----------------------------------------------------------------------------------------- */

static void take_report(IoRequest *request, const IoArguments *arguments)
{
    request->report = arguments->report;
    request->quiet = arguments->quiet;
    request->verbose = arguments->verbose;
    request->vmstate = arguments->vmstate;
}

static bool usage(const IoArguments *arguments)
{
    io_print_usage(arguments->command);
    return false;
}

static bool whole_sectors(const IoRequest *request)
{
    if (request->offset % 512) {
        printf("%" G_GUINT64_FORMAT " is not a sector-aligned value for 'offset'\n", request->offset);
        return false;
    }
    if (request->bytes % 512) {
        printf("%" G_GUINT64_FORMAT " is not a sector-aligned value for 'count'\n", request->bytes);
        return false;
    }
    return true;
}

/* -P and what of the bytes it is for. */
static bool read_pattern(IoRequest *request, const IoArguments *arguments)
{
    if (arguments->pattern && !parse_pattern(arguments->pattern, &request->pattern)) {
        return false;
    }
    if (arguments->length && !io_number(arguments->length, &request->verify_bytes)) {
        return false;
    }
    if (arguments->skip && !io_number(arguments->skip, &request->verify_skip)) {
        return false;
    }
    if (!arguments->pattern && (arguments->length || arguments->skip)) {
        return usage(arguments);
    }
    return true;
}

static bool read_range(IoRequest *request, const IoArguments *arguments)
{
    request->verify = arguments->pattern != NULL;
    if (!arguments->length && request->verify_skip < request->bytes) {
        request->verify_bytes = request->bytes - request->verify_skip;
    }
    if (request->verify_skip > request->bytes || request->verify_bytes > request->bytes - request->verify_skip) {
        printf("pattern verification range exceeds end of read data\n");
        return false;
    }
    return true;
}

static bool run_read(IoSession *session, IoArguments *arguments)
{
    IoRequest request = { .session = session, .kind = REQUEST_READ, .did = "read", .failed = "read" };
    bool done;

    take_report(&request, arguments);
    if (arguments->count != 2) {
        return usage(arguments);
    }
    if (!read_pattern(&request, arguments) || !io_number(arguments->operands[0], &request.offset) ||
        !take_length(arguments->operands[1], "", &request.bytes) || !read_range(&request, arguments) ||
        (request.vmstate && !whole_sectors(&request))) {
        return false;
    }
    done = one_piece(&request, READ_FILL) && run_request(&request);
    request_clear(&request);
    return done;
}

static bool write_goes_together(const IoArguments *arguments)
{
    if (arguments->vmstate && arguments->zero) {
        printf("-b and -z cannot be specified at the same time\n");
        return false;
    }
    if (arguments->fua && (arguments->vmstate || arguments->compressed)) {
        printf("-f and -b or -c cannot be specified at the same time\n");
        return false;
    }
    if (arguments->strict && !arguments->zero) {
        printf("-n requires -z to be specified\n");
        return false;
    }
    if (arguments->unmap && !arguments->zero) {
        printf("-u requires -z to be specified\n");
        return false;
    }
    if (!!arguments->zero + !!arguments->pattern + !!arguments->file > 1) {
        printf("Only one of -z, -P, and -s can be specified at the same time\n");
        return false;
    }
    return true;
}

static void take_write_flags(IoRequest *request, const IoArguments *arguments)
{
    request->kind = arguments->zero ? REQUEST_ZEROES : REQUEST_WRITE;
    request->pattern = WRITE_FILL;
    request->flags = request->session->image.write_flags | (arguments->fua ? REQ_FUA : 0) | (arguments->compressed ? REQ_COMPRESSED : 0) |
                     (arguments->unmap ? REQ_MAY_UNMAP : 0) | (arguments->strict ? REQ_NO_FALLBACK : 0);
}

static bool run_write(IoSession *session, IoArguments *arguments)
{
    IoRequest request = { .session = session, .did = "wrote", .failed = "write" };
    bool done;

    take_report(&request, arguments);
    take_write_flags(&request, arguments);
    if (arguments->count != 2) {
        return usage(arguments);
    }
    if (!write_goes_together(arguments) || (arguments->pattern && !parse_pattern(arguments->pattern, &request.pattern)) ||
        !io_number(arguments->operands[0], &request.offset)) {
        return false;
    }
    if (arguments->zero && arguments->strict ? !io_number(arguments->operands[1], &request.bytes)
                                             : !take_length(arguments->operands[1], " without -n", &request.bytes)) {
        return false;
    }
    if ((request.vmstate || request.flags & REQ_COMPRESSED) && !whole_sectors(&request)) {
        return false;
    }
    done = arguments->zero || (one_piece(&request, request.pattern) && (!arguments->file || fill_from_file(&request, arguments->file)));
    done = done && run_request(&request);
    request_clear(&request);
    return done;
}

/* off len [len..] of readv, writev, aio_read and aio_write */
static bool vector(IoRequest *request, const IoArguments *arguments, int fill)
{
    return (arguments->count >= 2 || usage(arguments)) && io_number(arguments->operands[0], &request->offset) &&
           many_pieces(request, arguments->operands + 1, arguments->count - 1, fill);
}

static bool read_vector(IoRequest *request, const IoArguments *arguments)
{
    take_report(request, arguments);
    if (arguments->pattern && !parse_pattern(arguments->pattern, &request->pattern)) {
        return false;
    }
    if (!vector(request, arguments, READ_FILL)) {
        return false;
    }
    request->verify = arguments->pattern != NULL;
    request->verify_bytes = request->bytes;
    return true;
}

static bool run_readv(IoSession *session, IoArguments *arguments)
{
    IoRequest request = { .session = session, .kind = REQUEST_READ, .did = "read", .failed = "readv" };
    bool done = read_vector(&request, arguments) && run_request(&request);

    request_clear(&request);
    return done;
}

static bool run_writev(IoSession *session, IoArguments *arguments)
{
    IoRequest request = { .session = session, .did = "wrote", .failed = "writev" };
    bool done;

    take_report(&request, arguments);
    take_write_flags(&request, arguments);
    done = (!arguments->pattern || parse_pattern(arguments->pattern, &request.pattern)) && vector(&request, arguments, request.pattern) &&
           run_request(&request);
    request_clear(&request);
    return done;
}

/* A request that a device would have refused: QEMU counts it, we have nothing to count. */
static bool invalid(const char *kind)
{
    printf("injecting invalid %s request\n", kind);
    return true;
}

static bool run_aio_read(IoSession *session, IoArguments *arguments)
{
    IoRequest request = { .session = session, .kind = REQUEST_READ, .did = "read", .failed = "readv" };
    bool done = arguments->invalid ? invalid("read") : read_vector(&request, arguments) && start_request(&request);

    request_clear(&request);
    return done;
}

static bool zero_request(IoRequest *request, const IoArguments *arguments)
{
    if (arguments->count != 2) {
        printf("-z supports only a single length parameter\n");
        return false;
    }
    return io_number(arguments->operands[0], &request->offset) && io_number(arguments->operands[1], &request->bytes);
}

static bool run_aio_write(IoSession *session, IoArguments *arguments)
{
    IoRequest request = { .session = session, .did = "wrote", .failed = "aio_write" };
    bool done;

    take_report(&request, arguments);
    take_write_flags(&request, arguments);
    if (arguments->unmap && !arguments->zero) {
        printf("-u requires -z to be specified\n");
        return false;
    }
    if (arguments->invalid) {
        return invalid("write");
    }
    done = (!arguments->pattern || parse_pattern(arguments->pattern, &request.pattern)) &&
           (arguments->zero ? zero_request(&request, arguments) : vector(&request, arguments, request.pattern)) && start_request(&request);
    request_clear(&request);
    return done;
}

static bool run_aio_flush(IoSession *session, IoArguments *arguments)
{
    (void)arguments;
    io_drain(session);
    return true;
}

/* ---- discard and flush -------------------------------------------------------------------------------------- */

static bool run_discard(IoSession *session, IoArguments *arguments)
{
    IoRequest request = { .session = session, .kind = REQUEST_DISCARD, .did = "discard", .failed = "discard" };

    take_report(&request, arguments);
    if (arguments->count != 2) {
        return usage(arguments);
    }
    return io_number(arguments->operands[0], &request.offset) && take_length(arguments->operands[1], "", &request.bytes) && run_request(&request);
}

static bool run_flush(IoSession *session, IoArguments *arguments)
{
    int result = node_flush(session->image.node);

    (void)arguments;
    if (result < 0) {
        printf("flush failed: %s\n", g_strerror(-result));
    }
    return result >= 0;
}

/* ---- the table ---------------------------------------------------------------------------------------------- */

#define ROW_REPORT OPTION_FLAG('C', NULL, IoArguments, report, "report statistics in a machine parsable format")
#define ROW_QUIET OPTION_FLAG('q', NULL, IoArguments, quiet, "quiet mode, do not show I/O statistics")
#define ROW_VERBOSE OPTION_FLAG('v', NULL, IoArguments, verbose, "dump buffer to standard output")
#define ROW_VERIFY OPTION_TEXT('P', NULL, "PATTERN", IoArguments, pattern, "use a pattern to verify read data")
#define ROW_FILL OPTION_TEXT('P', NULL, "PATTERN", IoArguments, pattern, "use different pattern to fill file")
#define ROW_FUA OPTION_FLAG('f', NULL, IoArguments, fua, "use Force Unit Access semantics")
#define ROW_ZERO OPTION_FLAG('z', NULL, IoArguments, zero, "write zeroes without sending them")
#define ROW_UNMAP OPTION_FLAG('u', NULL, IoArguments, unmap, "with -z, allow unmapping")
#define ROW_INVALID OPTION_FLAG('i', NULL, IoArguments, invalid, "treat request as invalid: it is not sent")
#define ROW_IGNORED OPTION_FLAG('p', NULL, IoArguments, ignored, "ignored for backwards compatibility")
#define ROWS_END { .kind = TOOL_END }

static const ToolOption read_options[] = {
    OPTION_FLAG('b', NULL, IoArguments, vmstate, "read from the VM state rather than the virtual disk"), ROW_REPORT,
    OPTION_TEXT('l', NULL, "LENGTH", IoArguments, length, "length for pattern verification (only with -P)"), ROW_IGNORED, ROW_VERIFY, ROW_QUIET,
    OPTION_TEXT('s', NULL, "OFFSET", IoArguments, skip, "start offset for pattern verification (only with -P)"), ROW_VERBOSE, ROWS_END };
static const ToolOption write_options[] = {
    OPTION_FLAG('b', NULL, IoArguments, vmstate, "write to the VM state rather than the virtual disk"),
    OPTION_FLAG('c', NULL, IoArguments, compressed, "write compressed data"), ROW_FUA,
    OPTION_FLAG('n', NULL, IoArguments, strict, "with -z, don't allow slow fallback"), ROW_IGNORED, ROW_FILL,
    OPTION_TEXT('s', NULL, "FILE", IoArguments, file, "use a pattern file to fill the write buffer"), ROW_REPORT, ROW_QUIET, ROW_UNMAP,
    ROW_ZERO, ROWS_END };
static const ToolOption readv_options[] = { ROW_REPORT, ROW_VERIFY, ROW_VERBOSE, ROW_QUIET, ROWS_END };
static const ToolOption writev_options[] = { ROW_FILL, ROW_REPORT, ROW_FUA, ROW_QUIET, ROWS_END };
static const ToolOption aio_read_options[] = { ROW_REPORT, ROW_VERIFY, ROW_INVALID, ROW_VERBOSE, ROW_QUIET, ROWS_END };
static const ToolOption aio_write_options[] = { ROW_FILL, ROW_REPORT, ROW_FUA, ROW_INVALID, ROW_QUIET, ROW_UNMAP, ROW_ZERO, ROWS_END };
static const ToolOption discard_options[] = { ROW_REPORT, ROW_QUIET, ROWS_END };

const IoCommand io_request_commands[] = {
    { .name = "read", .alias = "r", .arguments = "[-abCqv] [-P pattern [-s off] [-l len]] off len",
      .summary = "reads a number of bytes at a specified offset",
      .details = " 'read -v 512 1k' dumps 1 KiB of the image from offset 512 on.\n", .least = 2, .most = -1, .options = read_options,
      .run = run_read },
    { .name = "readv", .arguments = "[-Cqv] [-P pattern] off len [len..]",
      .summary = "reads a number of bytes at a specified offset",
      .details = " 'readv 512 1k 1k' reads 2 KiB into two buffers.\n", .least = 2, .most = -1, .options = readv_options, .run = run_readv },
    { .name = "write", .alias = "w", .arguments = "[-bcCfnquz] [-P pattern | -s source_file] off len",
      .summary = "writes a number of bytes at a specified offset",
      .details = " Writes bytes 0xcd unless -P, -s or -z says otherwise.\n", .least = 2, .most = -1, .needs_write = true,
      .options = write_options, .run = run_write },
    { .name = "writev", .arguments = "[-Cfq] [-P pattern] off len [len..]",
      .summary = "writes a number of bytes at a specified offset", .details = " 'writev 512 1k 1k' writes 2 KiB out of two buffers.\n",
      .least = 2, .most = -1, .needs_write = true, .options = writev_options, .run = run_writev },
    { .name = "aio_read", .arguments = "[-Ciqv] [-P pattern] off len [len..]", .summary = "asynchronously reads a number of bytes",
      .details = " The command is done when the request was sent; aio_flush waits for it. Its outcome is not the command's.\n", .least = 2,
      .most = -1, .options = aio_read_options, .run = run_aio_read },
    { .name = "aio_write", .arguments = "[-Cfiquz] [-P pattern] off len [len..]", .summary = "asynchronously writes a number of bytes",
      .details = " The command is done when the request was sent; aio_flush waits for it. Its outcome is not the command's.\n", .least = 2,
      .most = -1, .needs_write = true, .options = aio_write_options, .run = run_aio_write },
    { .name = "aio_flush", .summary = "completes all outstanding aio requests", .run = run_aio_flush },
    { .name = "flush", .alias = "f", .summary = "flush all in-core file state to disk", .run = run_flush },
    { .name = "discard", .alias = "d", .arguments = "[-Cq] off len", .summary = "discards a number of bytes at a specified offset",
      .least = 2, .most = -1, .needs_write = true, .options = discard_options, .run = run_discard },
    { 0 } };
