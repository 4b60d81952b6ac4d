/* SPDX-License-Identifier: GPL-2.0-or-later */
/* smbios.c - the structures walked as a guest walks them, what -smbios changes, what it refuses, and dmidecode's view */
#include "hw/machine/smbios.h"
#include "base/bytes.h"
#include "base/json.h"
#include <glib/gstdio.h>
#include <string.h>

static const SmbiosConfig plain = {
    .machine = "pc-i440fx-7.2", .ram_below_4g = UINT64_C(3) << 30, .ram_above_4g = UINT64_C(5) << 30, .sockets = 2, .cores = 4, .threads = 8,
    .cpu_signature = 0x663, .cpu_features = 0x078bfbff,
};
static GByteArray *anchor, *tables;
static char *folder;

static uint8_t sum(const uint8_t *data, size_t length)
{
    uint8_t total = 0;

    for (size_t i = 0; i < length; i++) {
        total = (uint8_t)(total + data[i]);
    }
    return total;
}

/* The structure behind this one, by its strings' end. */
static size_t next_of(size_t at)
{
    size_t end = at + tables->data[at + 1];

    while (tables->data[end] || tables->data[end + 1]) {
        end++;
        g_assert_cmpuint(end + 1, <, tables->len);
    }
    return end + 2;
}

/* The n-th structure of a type, NULL when there is none. */
static const uint8_t *find(unsigned type, unsigned n)
{
    for (size_t at = 0; at < tables->len; at = next_of(at)) {
        if (tables->data[at] == type && n-- == 0) {
            return tables->data + at;
        }
    }
    return NULL;
}

static const char *text(const uint8_t *structure, unsigned offset)
{
    unsigned number = structure[offset];
    const char *at = (const char *)structure + structure[1];

    g_assert_cmpuint(offset, <, structure[1]);
    if (number == 0) {
        return NULL;
    }
    while (--number) {
        g_assert_true(*at);
        at += strlen(at) + 1;
    }
    return at;
}

static void clear(void)
{
    g_clear_pointer(&anchor, g_byte_array_unref);
    g_clear_pointer(&tables, g_byte_array_unref);
}

/* user in JSON; walks what comes out: count, longest, sums, handles, the end. */
static void build(const char *user)
{
    g_autoptr(Value) list = user ? json_parse(user, NULL) : NULL;
    g_autoptr(GHashTable) handles = g_hash_table_new(NULL, NULL);
    GError *error = NULL;
    unsigned count = 0, longest = 0;

    g_assert_true(!user || list);
    clear();
    smbios_build(&plain, list, &anchor, &tables, &error);
    g_assert_no_error(error);
    smbios_link(anchor, 0xf5000);
    g_assert_cmpuint(anchor->len, ==, 31);
    g_assert_cmpmem(anchor->data, 4, "_SM_", 4);
    g_assert_cmpmem(anchor->data + 16, 5, "_DMI_", 5);
    g_assert_cmphex(sum(anchor->data, 31), ==, 0);
    g_assert_cmphex(sum(anchor->data + 16, 15), ==, 0);
    g_assert_cmphex(load_le32(anchor->data + 24), ==, 0xf5000);
    g_assert_cmpuint(load_le16(anchor->data + 22), ==, tables->len);
    size_t at = 0;
    for (; at < tables->len; at = next_of(at), count++) {
        g_assert_cmpuint(tables->data[at + 1], >=, 4);
        g_assert_true(g_hash_table_add(handles, GUINT_TO_POINTER(1u + load_le16(tables->data + at + 2))));
        longest = MAX(longest, (unsigned)(next_of(at) - at));
        g_assert_true((tables->data[at] == 127) == (next_of(at) == tables->len));
    }
    g_assert_cmpuint(at, ==, tables->len);
    g_assert_cmpuint(load_le16(anchor->data + 28), ==, count);
    g_assert_cmpuint(load_le16(anchor->data + 8), ==, longest);
}

static void refused(const char *user, const char *uuid, const char *words)
{
    g_autoptr(Value) list = json_parse(user, NULL);
    SmbiosConfig config = plain;
    GError *error = NULL;

    clear();
    config.uuid = uuid;
    g_assert_nonnull(list);
    g_assert_false(smbios_build(&config, list, &anchor, &tables, &error));
    if (!strstr(error->message, words) || strchr(error->message, '\n')) {
        g_error("the sentence is '%s', '%s' was expected", error->message, words);
    }
    g_error_free(error);
}

static void defaults(void)
{
    build(NULL);
    g_assert_cmpstr(text(find(0, 0), 4), ==, "SeaBIOS");
    g_assert_cmpstr(text(find(1, 0), 4), ==, "QEMU");
    g_assert_cmpstr(text(find(1, 0), 5), ==, "Standard PC (i440FX + PIIX, 1996)");
    g_assert_cmpstr(text(find(1, 0), 6), ==, "pc-i440fx-7.2");
    g_assert_null(text(find(1, 0), 7));
    g_assert_null(find(2, 0));
    g_assert_null(find(11, 0));
    g_assert_cmpuint(find(0, 0)[1], ==, 24);
    g_assert_cmpuint(find(1, 0)[1], ==, 27);
    g_assert_cmpuint(find(3, 0)[1], ==, 22);
    g_assert_cmpstr(text(find(4, 0), 4), ==, "CPU 0");
    g_assert_cmpstr(text(find(4, 1), 4), ==, "CPU 1");
    g_assert_null(find(4, 2));
    g_assert_cmpuint(find(4, 0)[1], ==, 48);
    g_assert_cmphex(load_le32(find(4, 0) + 8), ==, 0x663);
    g_assert_cmphex(load_le32(find(4, 0) + 12), ==, 0x078bfbff);
    g_assert_cmpuint(find(4, 0)[0x23], ==, 4);
    g_assert_cmpuint(find(4, 0)[0x25], ==, 8);
    g_assert_cmpuint(load_le32(find(16, 0) + 7), ==, 8 << 20);           /* KiB */
    g_assert_cmpuint(load_le16(find(17, 0) + 12), ==, 8192);             /* MiB */
    g_assert_cmpstr(text(find(17, 0), 16), ==, "DIMM 0");
    g_assert_cmpuint(find(17, 0)[1], ==, 40);
    g_assert_cmpuint(load_le32(find(19, 0) + 8), ==, (3 << 20) - 1);
    g_assert_cmpuint(load_le32(find(19, 1) + 4), ==, 4 << 20);
    g_assert_cmpuint(load_le32(find(19, 1) + 8), ==, (9 << 20) - 1);
}

static void big_memory(void)
{
    SmbiosConfig config = plain;

    config.ram_above_4g = UINT64_C(5) << 40;
    clear();
    g_assert_true(smbios_build(&config, NULL, &anchor, &tables, NULL));
    g_assert_cmphex(load_le32(find(16, 0) + 7), ==, 0x80000000);
    g_assert_cmpuint(load_le64(find(16, 0) + 15), ==, config.ram_above_4g + config.ram_below_4g);
    g_assert_cmphex(load_le16(find(17, 0) + 12), ==, 0x7fff);
    g_assert_cmpuint(load_le32(find(17, 0) + 28), ==, (config.ram_above_4g + config.ram_below_4g) >> 20);
    g_assert_cmphex(load_le32(find(19, 1) + 4), ==, UINT32_MAX);
    g_assert_cmpuint(load_le64(find(19, 1) + 15), ==, UINT64_C(4) << 30);
}

static void user_fields(void)
{
    build("[{'type':0,'vendor':'V','version':'W','date':'01/02/2026','release':'3.14','uefi':true},"
          "{'type':1,'manufacturer':'M','product':'P','version':'','serial':'S','uuid':'8d1bcc12-7cd7-4c85-a3a4-3c0f5d1c3e10','sku':'K','family':'F'},"
          "{'type':1,'serial':'S2'},"
          "{'type':2,'product':'B','asset':'A','location':'L'},{'type':3,'sku':'C'},"
          "{'type':4,'sock_pfx':'Socket','max-speed':4000,'current-speed':3000,'processor-id':81985529216486895,'part':'X'},"
          "{'type':8,'internal_reference':'in','external_reference':'out','connector_type':11,'port_type':31},"
          "{'type':11,'value':'one'},{'type':11,'value':'two'},"
          "{'type':17,'loc_pfx':'Bank','bank':'b','speed':3200,'serial':'123'},"
          "{'type':41,'designation':'nic','kind':'ethernet','instance':2}]");
    const uint8_t *bios = find(0, 0), *system = find(1, 0), *cpu = find(4, 1), *memory = find(17, 0);
    static const uint8_t uuid[] = { 0x12, 0xcc, 0x1b, 0x8d, 0xd7, 0x7c, 0x85, 0x4c, 0xa3, 0xa4, 0x3c, 0x0f, 0x5d, 0x1c, 0x3e, 0x10 };
    g_assert_cmpstr(text(bios, 4), ==, "V");
    g_assert_cmpstr(text(bios, 8), ==, "01/02/2026");
    g_assert_cmpuint(bios[20], ==, 3);
    g_assert_cmpuint(bios[21], ==, 14);
    g_assert_cmphex(bios[19], ==, 0x0c);
    g_assert_cmpstr(text(system, 4), ==, "M");
    g_assert_null(text(system, 6));
    g_assert_cmpstr(text(system, 7), ==, "S2");
    g_assert_cmpmem(system + 8, 16, uuid, 16);
    g_assert_cmpstr(text(find(2, 0), 5), ==, "B");
    g_assert_cmpstr(text(find(2, 0), 8), ==, "A");
    g_assert_cmpstr(text(find(2, 0), 10), ==, "L");
    g_assert_cmpstr(text(find(3, 0), 21), ==, "C");
    g_assert_cmpstr(text(cpu, 4), ==, "Socket 1");
    g_assert_cmpuint(load_le16(cpu + 20), ==, 4000);
    g_assert_cmpuint(load_le16(cpu + 22), ==, 3000);
    g_assert_cmphex(load_le64(cpu + 8), ==, UINT64_C(81985529216486895));
    g_assert_cmpstr(text(cpu, 0x22), ==, "X");
    g_assert_cmpstr(text(find(8, 0), 4), ==, "in");
    g_assert_cmpuint(find(8, 0)[7], ==, 11);
    g_assert_cmpuint(find(8, 0)[8], ==, 31);
    g_assert_cmpuint(find(11, 0)[4], ==, 2);
    g_assert_cmpstr((const char *)find(11, 0) + 5, ==, "one");
    g_assert_cmpstr((const char *)find(11, 0) + 9, ==, "two");
    g_assert_cmpstr(text(memory, 16), ==, "Bank 0");
    g_assert_cmpuint(load_le16(memory + 21), ==, 3200);
    g_assert_cmphex(find(41, 0)[5], ==, 0x85);
    g_assert_cmpuint(find(41, 0)[6], ==, 2);
}

static void uuids(void)
{
    static const char *const bad[] = { "", "x", "8d1bcc12", "8d1bcc127cd74c85a3a43c0f5d1c3e1", "8d1bcc12-7cd7-4c85-a3a4-3c0f5d1c3e1g",
                                       "8d1bcc12-7cd7-4c85-a3a43-c0f5d1c3e10", "8d1bcc12-7cd7-4c85-a3a4-3c0f5d1c3e10x",
                                       "--------8d1bcc127cd74c85a3a43c0f5d1c", "8d1bcc127cd74c85a3a43c0f5d1c3e10-" };
    SmbiosConfig config = plain;

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        refused("[]", bad[i], "it takes 32 hexadecimal digits");
    }
    refused("[{'type':1,'uuid':'zz'}]", NULL, "UUID 'zz'");
    config.uuid = "8d1bcc127cd74c85a3a43c0f5d1c3e10";
    clear();
    g_assert_true(smbios_build(&config, NULL, &anchor, &tables, NULL));
    g_assert_cmphex(find(1, 0)[8], ==, 0x12);
}

static char *user_file(const void *data, size_t length)
{
    g_autofree char *path = g_build_filename(folder, "file", NULL);

    g_assert_true(g_file_set_contents(path, data, (gssize)length, NULL));
    return g_strdup_printf("[{'file':'%s'}]", path);
}

static void files(void)
{
    static const uint8_t board[] = { 2, 8, 0, 2, 1, 2, 0, 0, 'a', 0, 'b', 'c', 0, 0 };
    static const uint8_t bare[] = { 200, 4, 0x34, 0x12, 0, 0 };
    static const struct { uint8_t bytes[16]; size_t length; } bad[] = {
        { { 0 }, 0 }, { { 2 }, 1 }, { { 2, 4, 0, 0, 0 }, 5 }, { { 2, 3, 0, 0, 0, 0 }, 6 }, { { 2, 5, 0, 0, 0, 0 }, 6 }, { { 2, 255, 0, 0, 0, 0 }, 6 },
        { { 2, 4, 0, 0, 'a', 0 }, 6 }, { { 2, 4, 0, 0, 0, 0, 0 }, 7 }, { { 2, 4, 0, 0, 'a', 0, 0, 'b', 0, 0 }, 10 }, { { 127, 4, 0, 0, 0, 0 }, 6 },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *user = user_file(bad[i].bytes, bad[i].length);
        refused(user, NULL, "it is not one SMBIOS structure");
    }
    g_autofree char *good = user_file(board, sizeof board);
    build(good);
    g_assert_cmpstr(text(find(2, 0), 4), ==, "a");
    g_assert_cmpstr(text(find(2, 0), 5), ==, "bc");
    g_assert_null(find(2, 1));
    g_free(user_file(bare, sizeof bare));
    build(good);
    g_assert_nonnull(find(200, 0));
    for (unsigned type = 0; type <= 41; type++) {            /* the user's own instead of ours */
        uint8_t bytes[] = { (uint8_t)type, 4, 0xfe, 0xfe, 0, 0 };
        g_free(user_file(bytes, sizeof bytes));
        build(good);
        g_assert_null(find(type, 1));
    }
    g_free(user_file(board, sizeof board));
    good[strlen(good) - 1] = 0;
    g_autofree char *both = g_strconcat(good, ",{'type':2,'product':'x'}]", NULL);
    refused(both, NULL, "type 2 is given by type=2 too; use one of them");
    refused("[{'file':'/nonexistent/structure'}]", NULL, "-smbios file '/nonexistent/structure': No such file");
    refused("[{'file':'/dev/zero'}]", NULL, "not a regular file");
    g_autofree uint8_t *big = g_malloc(70000);
    memset(big, 'x', 70000);
    g_free(user_file(big, 70000));
    good[strlen(good)] = ']';
    refused(good, NULL, "limit");
}

static void strings(void)
{
    g_autofree char *user = user_file("from a file", 11), *path = g_build_filename(folder, "file", NULL);
    g_autofree char *by_path = g_strdup_printf("[{'type':11,'path':'%s'},{'type':11,'value':'last'},{'type':11,'value':''}]", path);
    GString *many = g_string_new("[");

    build(by_path);
    g_assert_cmpuint(find(11, 0)[4], ==, 2);
    g_assert_cmpstr((const char *)find(11, 0) + 5, ==, "from a file");
    g_free(user_file("a\0b", 3));
    refused(by_path, NULL, "no zero bytes");
    g_free(user_file("", 0));
    refused(by_path, NULL, "at least one byte");
    refused("[{'type':11,'path':'/nonexistent/text'}]", NULL, "No such file");
    for (unsigned i = 0; i < 255; i++) {
        g_string_append(many, "{'type':11,'value':'x'},");
    }
    g_autofree char *most = g_strdup_printf("%.*s]", (int)many->len - 1, many->str), *more = g_strconcat(many->str, "{'type':11,'value':'x'}]", NULL);
    build(most);
    g_assert_cmpuint(find(11, 0)[4], ==, 255);
    refused(more, NULL, "at most 255 strings");
    g_autofree char *long_text = g_strnfill(40000, 'x');
    g_autofree char *too_long = g_strdup_printf("[{'type':11,'value':'%s'},{'type':1,'serial':'%s'}]", long_text, long_text);
    refused(too_long, NULL, "at most 65535 fit");
    g_string_free(many, TRUE);
}

static void bad_words(void)
{
    refused("[{'type':0,'release':'1'}]", NULL, "release=1 takes two numbers");
    refused("[{'type':0,'release':'1.256'}]", NULL, "takes two numbers up to 255");
    refused("[{'type':0,'release':'99999999999999.0'}]", NULL, "takes two numbers up to 255");
    refused("[{'type':41,'kind':'toaster'}]", NULL, "kind=toaster takes other,");
    refused("[{'type':41,'pcidev':'nic0'}]", NULL, "pcidev= is not supported yet; leave it out");
}

/* A dump as dmidecode makes them: the anchor, and the table where the anchor says. */
static void dmidecode_reads(void)
{
    g_autofree char *program = g_find_program_in_path("dmidecode"), *out = NULL, *err = NULL;
    const char *argv[] = { program, "--from-dump", "file", NULL };
    int status;

    if (!program) {                        /* Debian keeps it where only root looks */
        argv[0] = "/usr/sbin/dmidecode";
    }
    if (!program && !g_file_test(argv[0], G_FILE_TEST_IS_EXECUTABLE)) {
        g_test_skip("dmidecode is not installed (package dmidecode)");
        return;
    }
    build("[{'type':1,'serial':'Roost-4711'},{'type':2,'product':'Board'},{'type':8,'external_reference':'COM 1'},{'type':11,'value':'hello'},"
          "{'type':41,'designation':'nic','kind':'ethernet'}]");
    smbios_link(anchor, 32);
    g_byte_array_append(anchor, (const uint8_t *)"", 1);
    g_byte_array_append(anchor, tables->data, tables->len);
    g_free(user_file(anchor->data, anchor->len));
    g_assert_true(g_spawn_sync(folder, (char **)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &out, &err, &status, NULL));
    static const char *const words[] = { "SMBIOS 2.8 present", "Serial Number: Roost-4711", "Product Name: Board", "String 1: hello", "COM 1",
                                         "Size: 8 GB", "Reference Designation: nic", "Type: Ethernet", "Socket Designation: CPU 1" };
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        if (!strstr(out, words[i])) {
            g_error("dmidecode does not say '%s': %s%s", words[i], out, err);
        }
    }
    g_assert_null(strstr(out, "Wrong"));
    g_assert_null(strstr(out, "BAD INDEX"));
    g_assert_null(strstr(out, "OUT OF SPEC"));
    g_assert_cmpint(status, ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    folder = g_dir_make_tmp("roost-smbios-XXXXXX", NULL);
    g_test_add_func("/smbios/defaults", defaults);
    g_test_add_func("/smbios/big-memory", big_memory);
    g_test_add_func("/smbios/user-fields", user_fields);
    g_test_add_func("/smbios/uuids", uuids);
    g_test_add_func("/smbios/files", files);
    g_test_add_func("/smbios/strings", strings);
    g_test_add_func("/smbios/bad-words", bad_words);
    g_test_add_func("/smbios/dmidecode-reads", dmidecode_reads);
    int status = g_test_run();
    g_autofree char *path = g_build_filename(folder, "file", NULL);
    g_unlink(path);
    g_rmdir(folder);
    g_free(folder);
    clear();
    return status;
}
