/* SPDX-License-Identifier: GPL-2.0-or-later */
/* field-state.c - saved state: there and back, other layouts, and bytes from strangers */
#include "base/field.h"
#include "base/timer.h"
#include <string.h>

typedef struct Counter { uint16_t latch; bool gate; uint8_t modes[2]; } Counter;
typedef struct Chip {
    bool enabled, flags[3], has_extra;
    uint8_t u8;
    uint16_t u16;
    uint32_t u32, words[4];
    uint64_t u64;
    int32_t i32;
    int64_t i64;
    Counter counter[3], last;
    uint8_t fifo[16], *buffer;
    uint32_t buffer_length, extra;
    char *text;
    int shade;
    Timer timer;
} Chip;

static const char *const shades[] = { "dark", "light", NULL };
static const Field counter_saved[] = { SAVE_U16(Counter, latch), SAVE_BOOL(Counter, gate), SAVE_U8S(Counter, modes), FIELD_END };
static bool extra_needed(const void *object)
{
    return ((const Chip *)object)->has_extra;
}
static const Field chip_saved[] = {
    SAVE_BOOL(Chip, enabled), SAVE_BOOLS(Chip, flags), SAVE_U8(Chip, u8), SAVE_U16(Chip, u16), SAVE_U32(Chip, u32),
    SAVE_U32S(Chip, words), SAVE_U64(Chip, u64), SAVE_I32(Chip, i32), SAVE_I64(Chip, i64),
    SAVE_STRUCTS(Chip, counter, counter_saved), SAVE_STRUCT(Chip, last, counter_saved), SAVE_BYTES(Chip, fifo),
    SAVE_VARIABLE_BYTES(Chip, buffer, buffer_length, 64), SAVE_U32(Chip, extra, .needed = extra_needed),
    FIELD_AT_("text", FIELD_STR, Chip, text, ), FIELD_AT_("shade", FIELD_ENUM, Chip, shade, .names = shades),
    SAVE_TIMER(Chip, timer), FIELD_END
};

static void never(void *opaque G_GNUC_UNUSED)
{
    g_assert_not_reached();
}

static void chip_init(Chip *chip)
{
    memset(chip, 0, sizeof *chip);
    timer_init(&chip->timer, CLOCK_GUEST, never, NULL);
}

static void chip_fill(Chip *chip)
{
    chip_init(chip);
    chip->enabled = chip->flags[1] = true;
    chip->u8 = 8, chip->u16 = 1616, chip->u32 = 323232, chip->u64 = UINT64_MAX - 1, chip->i32 = -32, chip->i64 = INT64_MIN;
    chip->words[3] = 0xdeadbeef;
    chip->counter[2] = (Counter){ 0x1234, true, { 5, 6 } };
    chip->last.latch = 9;
    memcpy(chip->fifo, "0123456789abcdef", 16);
    chip->buffer = (uint8_t *)g_strdup("buffer");
    chip->buffer_length = 6;
    chip->text = g_strdup("text");
    chip->shade = 1;
    timer_arm(&chip->timer, 12345);
}

static void chip_clear(Chip *chip)
{
    timer_cancel(&chip->timer);
    g_free(chip->buffer);
    g_free(chip->text);
}

static GByteArray *save_filled(bool extra)
{
    GByteArray *out = g_byte_array_new();
    Chip chip;

    chip_fill(&chip);
    chip.has_extra = extra;
    chip.extra = 77;
    fields_save(chip_saved, &chip, out);
    chip_clear(&chip);
    return out;
}

static bool load(const Field *table, void *object, const uint8_t *data, size_t length, size_t *left, GError **err)
{
    const uint8_t *at = data;

    *left = length;
    return fields_load(table, object, "device 'chip'", &at, left, err);
}

static void there_and_back(void)
{
    for (int extra = 0; extra < 2; extra++) {
        g_autoptr(GByteArray) bytes = save_filled(extra), again = g_byte_array_new();
        GError *error = NULL;
        size_t left;
        Chip chip;

        chip_init(&chip);
        chip.has_extra = extra;
        g_byte_array_append(bytes, (const uint8_t *)"rest", 4);
        load(chip_saved, &chip, bytes->data, bytes->len, &left, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(left, ==, 4);
        g_assert_cmpint(chip.timer.deadline, ==, 12345);
        g_assert_cmpstr(chip.text, ==, "text");
        g_assert_cmpuint(chip.extra, ==, extra ? 77 : 0);
        fields_save(chip_saved, &chip, again);
        g_assert_cmpmem(bytes->data, bytes->len - 4, again->data, again->len);
        chip_clear(&chip);
    }
}

static void load_replaces(void)
{
    g_autoptr(GByteArray) empty = g_byte_array_new();
    GError *error = NULL;
    size_t left;
    Chip chip;

    chip_init(&chip);
    fields_save(chip_saved, &chip, empty);
    chip_fill(&chip);                      /* an armed timer, a buffer and a string that have to go */
    load(chip_saved, &chip, empty->data, empty->len, &left, &error);
    g_assert_no_error(error);
    g_assert_false(timer_armed(&chip.timer));
    g_assert_null(chip.buffer);
    g_assert_null(chip.text);
    g_assert_cmpuint(chip.buffer_length, ==, 0);
}

static void truncated(void)
{
    g_autoptr(GByteArray) bytes = save_filled(true);

    for (size_t length = 0; length < bytes->len; length++) {
        g_autofree uint8_t *copy = g_memdup2(bytes->data, length);         /* so that a sanitizer sees one byte too far */
        GError *error = NULL;
        size_t left;
        Chip chip;

        chip_init(&chip);
        g_assert_false(load(chip_saved, &chip, copy, length, &left, &error));
        g_assert_true(g_str_has_prefix(error->message, "device 'chip': saved state: '"));
        g_error_free(error);
        chip_clear(&chip);
    }
}

static void mutated(void)
{
    g_autoptr(GByteArray) bytes = save_filled(true);
    g_autoptr(GRand) rand = g_rand_new_with_seed(20260102);
    gint64 end = g_get_monotonic_time() + G_USEC_PER_SEC / 2;

    while (g_get_monotonic_time() < end) {
        g_autofree uint8_t *copy = g_memdup2(bytes->data, bytes->len);
        size_t length = bytes->len - (g_rand_boolean(rand) ? (size_t)g_rand_int_range(rand, 0, (gint32)bytes->len) : 0), left;
        int changes = g_rand_int_range(rand, 1, 4);
        GError *error = NULL;
        Chip chip;

        for (int i = 0; i < changes; i++) {
            copy[g_rand_int_range(rand, 0, (gint32)bytes->len)] = (uint8_t)g_rand_int(rand);
        }
        chip_init(&chip);
        if (load(chip_saved, &chip, copy, length, &left, &error)) {
            g_assert_cmpuint(chip.buffer_length, <=, 64);
            g_assert_cmpint(chip.shade, <=, 1);
            g_assert_cmpuint(chip.enabled, <=, 1);
        } else {
            g_assert_null(strchr(error->message, '\n'));
        }
        g_clear_error(&error);
        chip_clear(&chip);
    }
}

typedef struct Two { uint8_t a; uint16_t b; uint8_t c[4]; Counter in[2]; } Two;
static const Field in_saved[] = { SAVE_U16(Counter, latch), FIELD_END };
static const Field gate_saved[] = { SAVE_U16(Counter, latch), SAVE_BOOL(Counter, gate), FIELD_END };
#define TWO(...) (const Field[]) { __VA_ARGS__, FIELD_END }

/* Saves with one table, loads with another, and compares the sentence. */
static void check_layouts(const Field *from, const Field *to, const char *sentence)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    GError *error = NULL;
    Two two = { 0 };
    size_t left;

    fields_save(from, &two, bytes);
    g_assert_false(load(to, &two, bytes->data, bytes->len, &left, &error));
    g_assert_cmpstr(error->message, ==, sentence);
    g_error_free(error);
}

static void other_layouts(void)
{
    check_layouts(TWO(SAVE_U8(Two, a)), TWO(SAVE_U8(Two, a), SAVE_U16(Two, b)),
                  "device 'chip': saved state: 'b' is missing: the state is of another layout");
    check_layouts(TWO(SAVE_U8(Two, a), SAVE_U16(Two, b)), TWO(SAVE_U8(Two, a)),
                  "device 'chip': saved state: 'the end' is missing: 'b' stands in its place");
    check_layouts(TWO(SAVE_U16(Two, b), SAVE_U8(Two, a)), TWO(SAVE_U8(Two, a), SAVE_U16(Two, b)),
                  "device 'chip': saved state: 'a' is missing: 'b' stands in its place");
    check_layouts(TWO(SAVE_U16(Two, b)), TWO({ .name = "b", .kind = FIELD_U32, .offset = 0 }),
                  "device 'chip': saved state: 'b' is of another kind there than uint32");
    check_layouts(TWO(SAVE_U8S(Two, c)), TWO({ .name = "c", .kind = FIELD_ARRAY, .size = 1, .count = 3, .element = FIELD_U8 }),
                  "device 'chip': saved state: 'c' has 4 elements there and 3 here");
    check_layouts(TWO(SAVE_U8S(Two, c)), TWO(SAVE_BOOLS(Two, c)),
                  "device 'chip': saved state: 'c' has elements of another kind there than bool");
    check_layouts(TWO(SAVE_BYTES(Two, c)), TWO({ .name = "c", .kind = FIELD_BYTES, .size = 2 }),
                  "device 'chip': saved state: 'c' is 4 bytes long there and 2 here");
    check_layouts(TWO(SAVE_STRUCTS(Two, in, in_saved)), TWO(SAVE_STRUCTS(Two, in, gate_saved)),
                  "device 'chip': saved state: 'in[0].gate' is missing: the state is of another layout");
}

static void bad_values(void)
{
    static const Field bool_table[] = { SAVE_BOOL(Chip, enabled), FIELD_END };
    static const Field timer_table[] = { SAVE_TIMER(Chip, timer), FIELD_END };
    static const Field buffer_table[] = { SAVE_VARIABLE_BYTES(Chip, buffer, buffer_length, 64), FIELD_END };
    static const struct { const Field *table; const char *bytes; size_t length; const char *reason; } cases[] = {
        { bool_table, "b\7enabled\2\0", 11, "'enabled' is 2, which is neither true nor false" },
        { timer_table, "T\5timer\0\0\0\0\0\0\0\x80\0", 16, "'timer' has a deadline before all time" },
        { buffer_table, "V\6buffer\x41\0\0\0", 12, "'buffer' is 65 bytes long, more than the limit of 64" },
        { buffer_table, "V\6buffer\x40\0\0\0x", 13, "'buffer' needs 64 bytes, and 1 are left" },
        { buffer_table, "V\6buffer\xff\xff\xff\xff", 12, "'buffer' is 4294967295 bytes long, more than the limit of 64" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *sentence = g_strdup_printf("device 'chip': saved state: %s", cases[i].reason);
        GError *error = NULL;
        size_t left;
        Chip chip;

        chip_init(&chip);
        g_assert_false(load(cases[i].table, &chip, (const uint8_t *)cases[i].bytes, cases[i].length, &left, &error));
        g_assert_cmpstr(error->message, ==, sentence);
        g_error_free(error);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    guest_clock_manual();
    g_test_add_func("/field-state/there-and-back", there_and_back);
    g_test_add_func("/field-state/load-replaces", load_replaces);
    g_test_add_func("/field-state/truncated", truncated);
    g_test_add_func("/field-state/mutated", mutated);
    g_test_add_func("/field-state/other-layouts", other_layouts);
    g_test_add_func("/field-state/bad-values", bad_values);
    return g_test_run();
}
