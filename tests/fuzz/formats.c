/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * formats.c - fuzz target: vdi, vpc, vmdk and vhdx images in memory (vhdx.c goes deeper), and what an NBD server may say
 *
 * The first byte chooses; the rest is the image, followed by zeroes to 1 MiB, or the server's bytes. An image that opens is read, and written to
 * at both ends.
 */
#include "block/drivers.h"
#include "block/proto/nbd-wire.h"
#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILE_BYTES = 1 << 20, FILE_MOST = 16 << 20 };
static const uint8_t *input;
static size_t input_bytes, taken;

typedef struct Memory { Node node; uint8_t *bytes; } Memory;

static bool memory_open(Node *node, const NodeOpen *how, GError **err)
{
    Memory *memory = (Memory *)node;

    (void)how;
    (void)err;
    memory->bytes = g_malloc0(FILE_MOST);
    memcpy(memory->bytes, input, MIN(input_bytes, FILE_BYTES));
    node->length = FILE_BYTES;
    return true;
}

static void memory_close(Node *node)
{
    g_free(((Memory *)node)->bytes);
}

static int memory_preadv(Node *node, uint64_t offset, Iov to, RequestFlags flags)
{
    (void)flags;
    iov_put(to, 0, ((Memory *)node)->bytes + offset, to.bytes);
    return 0;
}

static int memory_pwritev(Node *node, uint64_t offset, Iov from, RequestFlags flags)
{
    (void)flags;
    iov_get(from, 0, ((Memory *)node)->bytes + offset, from.bytes);
    return 0;
}

static int memory_truncate(Node *node, uint64_t size, bool exact, Preallocation how, RequestFlags flags, GError **err)
{
    (void)exact, (void)how, (void)flags, (void)err;
    node->length = MIN(size, FILE_MOST);
    return size > FILE_MOST ? -ENOSPC : 0;
}

static const NodeDriver memory_driver = {
    .name = "memory",  .help = "the input",  .kind = NODE_PROTOCOL,  .size = sizeof(Memory),  .open = memory_open,  .close = memory_close,
    .preadv = memory_preadv,  .pwritev = memory_pwritev,  .truncate = memory_truncate,
};
const NodeDriver *const node_drivers[] = { &memory_driver, &raw_driver, &vdi_driver, &vpc_driver, &vmdk_driver, &vhdx_driver, NULL };

const NodeDriver *node_driver_find(const char *name)
{
    for (size_t i = 0; name && node_drivers[i]; i++) {
        if (strcmp(node_drivers[i]->name, name) == 0) {
            return node_drivers[i];
        }
    }
    return NULL;
}

static int one_image(void *opaque)
{
    g_autoptr(Value) options = value_new_object();
    Value *file = value_new_object();
    g_autofree uint8_t *bytes = g_malloc0(65536);
    Node *node;

    value_set(file, "driver", value_new_string("memory"));
    value_set(options, "driver", value_new_string(opaque));
    value_set(options, "file", file);
    if (node_open(&node, options, NULL, NULL)) {
        uint64_t length = node_length(node), part = MIN(length, 65536), count;
        node_pread(node, 0, bytes, part);
        node_pread(node, length - part, bytes, part);
        node_block_status(node, 0, length, &count, NULL, NULL);
        node_pwrite(node, 0, bytes, part);
        node_pwrite(node, length - part, bytes, part);
        node_unref(node);
    }
    return 0;
}

static int64_t give(void *opaque, const struct iovec *iov, size_t count)
{
    size_t bytes = MIN(iov_length(iov, count), input_bytes - taken);

    (void)opaque;
    iov_scatter(iov, count, 0, input + taken, bytes);
    taken += bytes;
    return (int64_t)bytes;
}

static int swallow(void *opaque, const struct iovec *iov, size_t count)
{
    (void)opaque, (void)iov, (void)count;
    return 0;
}

static NbdRequest *find(void *opaque, uint64_t cookie)
{
    return cookie < 4 ? (NbdRequest *)opaque + cookie : NULL;
}

static int one_server(void *opaque)
{
    g_autofree NbdWire *wire = g_new0(NbdWire, 1);
    g_autofree uint8_t *bytes = g_malloc(4096);
    struct iovec piece = { bytes, 4096 };
    NbdExport export_;
    NbdRequest requests[4];

    (void)opaque;
    wire->receive = give;
    wire->send = swallow;
    if (!nbd_negotiate(wire, "x", &export_, "server", NULL)) {
        export_ = (NbdExport){ .structured = true, .block_status = true, .context = 1 };
    }
    for (uint64_t i = 0; i < 4; i++) {
        static const uint16_t commands[] = { NBD_CMD_READ, NBD_CMD_WRITE, NBD_CMD_BLOCK_STATUS, NBD_CMD_READ };
        requests[i] = (NbdRequest){ .command = commands[i], .cookie = i, .length = 4096, .data = iov_all(&piece, 1), .sent = true };
    }
    while (nbd_receive(wire, &export_, find, requests) == 0) {
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = { "vdi", "vpc", "vmdk", "vhdx" };

    if (size == 0) {
        return 0;
    }
    input = data + 1;
    input_bytes = size - 1;
    taken = 0;
    unsigned which = data[0] % 5;
    io_loop_run(io_loop_main(), which < 4 ? one_image : one_server, which < 4 ? (void *)names[which] : NULL);
    return 0;
}
