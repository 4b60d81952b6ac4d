/* SPDX-License-Identifier: GPL-2.0-or-later */
/* secret.c - where secrets come from, encrypted ones, refusals */
#include "base/json.h"
#include "base/secret.h"
#include <glib/gstdio.h>
#include <string.h>

static bool add(const char *json, GError **err)
{
    g_autoptr(Value) object = json_parse(json, NULL);

    g_assert_nonnull(object);
    return secret_add(object, err);
}

static void refused(const char *json, const char *words)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(add(json, &error));
    g_assert_nonnull(error);
    g_assert_nonnull(strstr(error->message, words));
}

static void holds(const char *id, const char *bytes, size_t length)
{
    g_autoptr(GError) error = NULL;
    g_auto(Secret) secret = { 0 };

    g_assert_true(secret_get(id, &secret, &error));
    g_assert_cmpmem(secret.bytes, secret.length, bytes, length);
    g_assert_cmpuint(secret.bytes[secret.length], ==, 0);
}

static void data_and_file(void)
{
    g_autofree char *path = NULL, *json = NULL;
    int fd = g_file_open_tmp("roost-secret-XXXXXX", &path, NULL);

    g_close(fd, NULL);
    g_assert_true(g_file_set_contents(path, "from a file\n", -1, NULL));
    json = g_strdup_printf("{'qom-type':'secret','id':'file','file':'%s'}", path);
    g_assert_true(add(json, NULL));
    g_assert_true(add("{'qom-type':'secret','id':'plain','data':'letmein'}", NULL));
    g_assert_true(add("{'qom-type':'secret','id':'coded','data':'bGV0bWVpbg==','format':'base64'}", NULL));
    holds("file", "from a file\n", 12);    /* as QEMU: the newline belongs to it */
    holds("plain", "letmein", 7);
    holds("coded", "letmein", 7);
    g_assert_true(secret_exists("plain") && secret_remove("plain", NULL) && !secret_exists("plain"));
    g_assert_false(secret_remove("plain", NULL));
    g_unlink(path);
}

/* Made with: openssl enc -aes-256-cbc -K 00..1f -iv 00..0f */
static void encrypted(void)
{
    g_auto(Secret) secret = { 0 };

    g_assert_true(add("{'qom-type':'secret','id':'master','data':'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=','format':'base64'}", NULL));
#ifdef HAVE_NETTLE
    g_assert_true(add("{'qom-type':'secret','id':'locked','data':'1vJUQFt+OiGcuozgUfoUY4VNbnfy54iHZ1TzllwT51Y=','format':'base64','keyid':'master',"
                      "'iv':'AAECAwQFBgcICQoLDA0ODw=='}", NULL));
    holds("locked", "correct horse battery staple", 28);
    refused("{'qom-type':'secret','id':'x','data':'AAECAwQFBgcICQoLDA0ODw==','format':'base64','keyid':'master',"
            "'iv':'AAECAwQFBgcICQoLDA0ODw=='}", "padding");
    refused("{'qom-type':'secret','id':'x','data':'AAECAwQ=','format':'base64','keyid':'master','iv':'AAECAwQFBgcICQoLDA0ODw=='}",
            "multiple of 16");
    refused("{'qom-type':'secret','id':'x','data':'AAECAwQFBgcICQoLDA0ODw==','format':'base64','keyid':'coded',"
            "'iv':'AAECAwQFBgcICQoLDA0ODw=='}", "AES-256 wants 32");
#endif
    refused("{'qom-type':'secret','id':'x','data':'AAEC','keyid':'master'}", "iv");
    g_assert_false(secret_get_text("none", &secret, NULL));
}

static void refusals(void)
{
    static const struct { const char *json, *words; } rows[] = {
        { "{'qom-type':'secret','id':'x'}", "must provide" },
        { "{'qom-type':'secret','id':'x','data':'a','file':'/b'}", "mutually exclusive" },
        { "{'qom-type':'secret','id':'x','file':'/does/not/exist'}", "/does/not/exist" },
        { "{'qom-type':'secret','id':'x','file':'/dev/zero'}", "limit" },
        { "{'qom-type':'secret','id':'x','data':'a!','format':'base64'}", "base64" },
        { "{'qom-type':'secret','id':'x','data':'abc','format':'base64'}", "base64" },
        { "{'qom-type':'secret','id':'x','data':'a','format':'hex'}", "format" },
        { "{'qom-type':'secret','id':'x','data':'a','colour':'red'}", "colour" },
        { "{'qom-type':'secret','id':'x','data':'a','iv':'AAAA'}", "keyid" },
        { "{'qom-type':'secret','id':'x','data':'a','keyid':'nobody','iv':'AAAA'}", "nobody" },
        { "{'qom-type':'secret','data':'a'}", "id" },
        { "{'qom-type':'secret','id':'coded','data':'a'}", "taken" },
    };
    g_autoptr(GError) error = NULL;
    g_auto(Secret) secret = { 0 };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        refused(rows[i].json, rows[i].words);
    }
    g_assert_true(add("{'qom-type':'secret','id':'binary','data':'//8=','format':'base64'}", NULL));
    g_assert_false(secret_get_text("binary", &secret, &error));
    g_assert_nonnull(strstr(error->message, "UTF-8"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/secret/data-and-file", data_and_file);
    g_test_add_func("/secret/encrypted", encrypted);
    g_test_add_func("/secret/refusals", refusals);
    return g_test_run();
}
