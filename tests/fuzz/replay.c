/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replay.c - a main() for a fuzz target where there is no libFuzzer: replays inputs, or makes random ones
 *
 *   TARGET FILE-OR-FOLDER...        runs each file once
 *   TARGET [-seed N] [-runs N] [-seconds S] [-max BYTES] [FOLDER]
 *
 * Random inputs are mutations of the folder's files (or of nothing), by a generator whose seed is printed, so that a
 * failure is repeated by the command that it prints. The input at hand is kept in a file while it runs only under
 * -save, since writing it costs more than most targets.
 */
#include <glib.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

typedef struct Settings {
    guint32 seed;
    gint64 runs;
    double seconds;
    size_t max;
    const char *save;
} Settings;

static void run_bytes(const Settings *settings, const uint8_t *data, size_t size)
{
    g_autofree uint8_t *copy = g_malloc(size ? size : 1);  /* of exact size, so that a sanitizer sees one byte too far */

    if (size) {
        memcpy(copy, data, size);
    }
    if (settings->save) {
        g_file_set_contents(settings->save, (const char *)data, (gssize)size, NULL);
    }
    LLVMFuzzerTestOneInput(copy, size);
}

static void add_file(GPtrArray *corpus, const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;
    char *data;
    gsize size;

    if (!dir) {
        if (!g_file_get_contents(path, &data, &size, NULL)) {
            fprintf(stderr, "cannot read '%s'\n", path);
            exit(2);
        }
        g_ptr_array_add(corpus, g_bytes_new_take(data, size));
        return;
    }
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *inner = g_build_filename(path, name, NULL);

        add_file(corpus, inner);
    }
}

static void mutate(GRand *rand, GByteArray *input, size_t max)
{
    static const uint8_t interesting[] = { 0, 1, 0x7f, 0x80, 0xff, 0xfe, ',', '=', '"', '\'', '{', '}', '[', ']', ':', '\\' };
    guint at = input->len ? (guint)g_rand_int_range(rand, 0, (gint32)input->len) : 0;
    uint8_t byte = g_rand_boolean(rand) ? (uint8_t)g_rand_int(rand)
                                        : interesting[g_rand_int_range(rand, 0, G_N_ELEMENTS(interesting))];

    switch (g_rand_int_range(rand, 0, 6)) {
    case 0:                                                /* cut */
        g_byte_array_set_size(input, at);
        break;
    case 1:                                                /* leave one out */
        if (input->len) {
            g_byte_array_remove_index(input, at);
        }
        break;
    case 2:                                                /* put one in */
        if (input->len < max) {
            g_byte_array_append(input, &byte, 1);
            memmove(input->data + at + 1, input->data + at, input->len - 1 - at);
            input->data[at] = byte;
        }
        break;
    case 3:                                                /* some noise behind */
        for (int i = g_rand_int_range(rand, 1, 32); i > 0 && input->len < max; i--) {
            byte = (uint8_t)g_rand_int(rand);
            g_byte_array_append(input, &byte, 1);
        }
        break;
    default:                                               /* change one */
        if (input->len) {
            input->data[at] = g_rand_boolean(rand) ? byte : (uint8_t)(input->data[at] ^ 1 << g_rand_int_range(rand, 0, 8));
        }
        break;
    }
}

static void run_random(const Settings *settings, const GPtrArray *corpus)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(settings->seed);
    g_autoptr(GByteArray) input = g_byte_array_new();
    gint64 end = g_get_monotonic_time() + (gint64)(settings->seconds * G_USEC_PER_SEC), run;

    for (run = 0; run < settings->runs && g_get_monotonic_time() < end; run++) {
        /* Mutations pile up on one input for a while. */
        if (run % 8 == 0) {
            gsize size = 0;
            const uint8_t *seed = corpus->len
                ? g_bytes_get_data(g_ptr_array_index(corpus, g_rand_int_range(rand, 0, (gint32)corpus->len)), &size) : NULL;

            g_byte_array_set_size(input, 0);
            g_byte_array_append(input, seed, (guint)MIN(size, settings->max));
        }
        for (int changes = g_rand_int_range(rand, 1, 5); changes > 0; changes--) {
            mutate(rand, input, settings->max);
        }
        run_bytes(settings, input->data, input->len);
    }
    printf("%" G_GINT64_FORMAT " random inputs, seed %u\n", run, settings->seed);
}

int main(int argc, char **argv)
{
    Settings settings = { .seed = 1, .runs = 0, .seconds = 0, .max = 4096 };
    g_autoptr(GPtrArray) corpus = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);

    if (LLVMFuzzerInitialize) {
        LLVMFuzzerInitialize(&argc, &argv);
    }
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-') {
            add_file(corpus, argv[i]);
        } else if (i + 1 == argc) {
            fprintf(stderr, "%s: '%s' needs a value\n", argv[0], argv[i]);
            return 2;
        } else if (strcmp(argv[i], "-seed") == 0) {
            settings.seed = (guint32)strtoul(argv[++i], NULL, 0);
        } else if (strcmp(argv[i], "-runs") == 0) {
            settings.runs = strtoll(argv[++i], NULL, 0);
        } else if (strcmp(argv[i], "-seconds") == 0) {
            settings.seconds = g_ascii_strtod(argv[++i], NULL);
        } else if (strcmp(argv[i], "-max") == 0) {
            settings.max = strtoul(argv[++i], NULL, 0);
        } else if (strcmp(argv[i], "-save") == 0) {
            settings.save = argv[++i];
        } else {
            fprintf(stderr, "%s: there is no option '%s'\n", argv[0], argv[i]);
            return 2;
        }
    }
    settings.runs = settings.runs || settings.seconds <= 0 ? settings.runs : G_MAXINT64;
    settings.seconds = settings.seconds > 0 ? settings.seconds : 1e9;
    run_bytes(&settings, NULL, 0);
    for (guint i = 0; i < corpus->len; i++) {
        gsize size;
        const uint8_t *data = g_bytes_get_data(g_ptr_array_index(corpus, i), &size);

        run_bytes(&settings, data, size);
    }
    printf("%u files\n", corpus->len);
    if (settings.runs) {
        /* Said before it happens: a crash says nothing any more. */
        printf("%s -seed %u -runs %" G_GINT64_FORMAT " and the same files repeat what follows\n", argv[0], settings.seed,
               settings.runs);
        fflush(stdout);
        run_random(&settings, corpus);
    }
    return 0;
}
