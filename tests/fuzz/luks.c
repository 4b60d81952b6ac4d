/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * luks.c - fuzz target: any bytes as a LUKS image: its header, and opening without a key
 *
 * Holds    what loads is within the limits, and is written as it was read
 */
#include "block/crypto/luks.h"
#include "tests/fuzz/disk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Input { const uint8_t *data; size_t size; uint8_t written[LUKS_HEADER_BYTES]; } Input;

static int input_read(void *opaque, uint64_t offset, void *out, size_t bytes)
{
    const Input *input = opaque;

    g_assert_true(offset + bytes <= input->size);
    memcpy(out, input->data + offset, bytes);
    return 0;
}

static int input_write(void *opaque, uint64_t offset, const void *from, size_t bytes)
{
    Input *input = opaque;

    g_assert_true(offset + bytes <= sizeof input->written);
    memcpy(input->written + offset, from, bytes);
    return 0;
}

static int input_flush(void *opaque)
{
    (void)opaque;
    return 0;
}

static void header(Input *input)
{
    LuksStore store = { input_read, input_write, input_flush, input, input->size, "input" }, copy;
    Luks luks, again;
    Input second;

    if (!luks_load(&luks, &store, NULL)) {
        return;
    }
    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        g_assert_true(!luks.slots[i].active || luks.slots[i].iterations <= LUKS_MAX_ITERATIONS);
        g_assert_true(!luks.slots[i].active || (uint64_t)luks.slots[i].sectors_at * 512 < input->size);
    }
    value_unref(luks_info(&luks, NULL));
    g_assert_true(luks_store(&luks, &store, NULL));
    second = (Input){ .data = input->written, .size = sizeof input->written };
    copy = (LuksStore){ input_read, input_write, input_flush, &second, input->size, "copy" };
    g_assert_true(luks_load(&again, &copy, NULL));
    g_assert_cmpmem(&luks.slots, sizeof luks.slots, &again.slots, sizeof again.slots);
}

static int run(void *opaque)
{
    Input *input = opaque;
    Node *disk = disk_new(input->data, MIN(input->size, (size_t)DISK_MOST)), *node;
    g_autoptr(Value) options = value_new_object();
    NodeOpen how = { .no_io = true };

    header(input);
    value_set(options, "driver", value_new_string("luks"));
    value_set(options, "file", value_new_string(node_name(disk)));
    if (node_open(&node, options, &how, NULL)) {
        uint8_t byte;

        g_assert_true(node_length(node) == 0 || node_pread(node, 0, &byte, 1) < 0);
        node_unref(node);
    }
    node_unref(disk);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Input input = { .data = data, .size = size };

    if (size > 1) {
        io_loop_run(io_loop_main(), run, &input);
    }
    return 0;
}
