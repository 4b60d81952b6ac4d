/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fields-load.c - fuzz target: saved state from a stranger into every kind of field */
#include "base/field.h"
#include "base/timer.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BUFFER_MOST = 40 };
typedef struct Part { bool on; uint16_t n[3]; } Part;
typedef struct All {
    bool b, flags[2], extra;
    uint8_t u8;
    uint16_t u16;
    uint32_t u32, length;
    uint64_t u64, words[2];
    int32_t i32;
    int64_t i64;
    Part part, parts[2];
    uint8_t raw[5], *buffer;
    char *text;
    int shade;
    Timer timer;
} All;

static bool extra_needed(const void *object)
{
    return ((const All *)object)->extra;
}

static const char *const shades[] = { "dark", "light", NULL };
static const Field part_saved[] = { SAVE_BOOL(Part, on), SAVE_U16S(Part, n), FIELD_END };
static const Field all_saved[] = {
    SAVE_BOOL(All, b), SAVE_BOOLS(All, flags), SAVE_BOOL(All, extra), SAVE_U8(All, u8, .needed = extra_needed),
    SAVE_U16(All, u16), SAVE_U32(All, u32), SAVE_U64(All, u64), SAVE_U64S(All, words), SAVE_I32(All, i32), SAVE_I64(All, i64),
    SAVE_STRUCT(All, part, part_saved), SAVE_STRUCTS(All, parts, part_saved), SAVE_BYTES(All, raw),
    SAVE_VARIABLE_BYTES(All, buffer, length, BUFFER_MOST),
    { .name = "text", .kind = FIELD_STR, .offset = offsetof(All, text) },
    { .name = "shade", .kind = FIELD_ENUM, .offset = offsetof(All, shade), .names = shades },
    SAVE_TIMER(All, timer), FIELD_END
};

static void never(void *opaque)
{
    (void)opaque;
}

static bool load(All *all, const uint8_t *data, size_t size, size_t *left)
{
    const uint8_t *at = data;
    GError *error = NULL;
    bool ok;

    memset(all, 0, sizeof *all);
    timer_init(&all->timer, CLOCK_GUEST, never, NULL);
    *left = size;
    ok = fields_load(all_saved, all, "device 'all'", &at, left, &error);
    g_assert_true(ok == !error);
    g_clear_error(&error);
    return ok;
}

static void clear(All *all)
{
    timer_cancel(&all->timer);
    g_free(all->buffer);
    g_free(all->text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GByteArray) seed = g_byte_array_new(), again = g_byte_array_new();
    size_t left;
    All all;

    /* The input itself, and the input as changes (place, byte) to a good state: those get far without a corpus. */
    if (load(&all, data, size, &left)) {
        g_assert_cmpuint(all.length, <=, BUFFER_MOST);
        fields_save(all_saved, &all, again);
        g_assert_cmpmem(data, size - left, again->data, again->len);       /* there is one spelling of a state */
    }
    clear(&all);
    memset(&all, 0, sizeof all);
    all.timer.deadline = -1;
    all.buffer = (uint8_t *)g_strdup("seed");
    all.length = 4;
    all.text = g_strdup("text");
    fields_save(all_saved, &all, seed);
    g_free(all.buffer);
    g_free(all.text);
    for (size_t i = 0; i + 3 <= size; i += 3) {
        seed->data[(data[i] | data[i + 1] << 8) % seed->len] = data[i + 2];
    }
    load(&all, seed->data, size % 7 == 0 ? seed->len - size % seed->len : seed->len, &left);
    clear(&all);
    return 0;
}
