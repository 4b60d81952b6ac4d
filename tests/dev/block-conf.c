/* SPDX-License-Identifier: GPL-2.0-or-later */
/* block-conf.c - what disks take of their properties, what they complete, and what they refuse */
#include "base/json.h"
#include "hw/core/block-conf.h"
#include "tests/rig/rig.h"
#include <string.h>

static Value *drives(void)
{
    return json_parse("{'drives':[{'if':'none','index':0,'id':'a','driver':'null-co','size':10485760},"
                      "{'if':'none','index':1,'id':'empty'},{'if':'none','index':2,'id':'ro','driver':'null-co','size':1048576,'readonly':true}],"
                      "'devices':[{'driver':'virtio-scsi-pci','id':'s'}]}", NULL);
}

/* What becomes of a device with these properties: NULL, or the sentence. The caller frees it. */
static char *refusal(Rig *rig, const char *description)
{
    g_autoptr(Value) config = json_parse(description, NULL);
    g_autoptr(GError) err = NULL;
    Device *device = machine_add_device(rig_machine(rig), config, &err);

    if (device) {
        device_unrealize(device);
        return NULL;
    }
    return g_strdup(err->message);
}

static void check_refused(Rig *rig, const char *description, const char *words)
{
    g_autofree char *sentence = refusal(rig, description);

    if (!sentence || !strstr(sentence, words)) {
        check_failed(__FILE__, __LINE__, "%s: '%s', not '%s'", description, sentence ? sentence : "taken", words);
    }
}

static void sizes(Rig *rig)
{
    check_refused(rig, "{'driver':'scsi-hd','drive':'a','logical_block_size':1000}", "power of two");
    check_refused(rig, "{'driver':'scsi-hd','drive':'a','logical_block_size':256}", "power of two");
    check_refused(rig, "{'driver':'scsi-hd','drive':'a','logical_block_size':4096,'physical_block_size':512}", "larger than");
    check_refused(rig, "{'driver':'scsi-hd','drive':'a','min_io_size':100}", "multiple");
    check_refused(rig, "{'driver':'scsi-hd','drive':'a','opt_io_size':1000}", "multiple");
    check_refused(rig, "{'driver':'scsi-hd','drive':'a','discard_granularity':700}", "multiple");
    g_autofree char *taken = refusal(rig, "{'driver':'scsi-hd','drive':'a','logical_block_size':4096,'physical_block_size':8192}");
    check(taken == NULL);
}

static void storage(Rig *rig)
{
    check_refused(rig, "{'driver':'scsi-hd'}", "drive=");
    check_refused(rig, "{'driver':'scsi-hd','drive':'nosuch'}", "nosuch");
    check_refused(rig, "{'driver':'scsi-hd','drive':'empty'}", "no medium");
    check_refused(rig, "{'driver':'scsi-hd','drive':'a','werror':'maybe'}", "werror");
    g_autofree char *empty_cd = refusal(rig, "{'driver':'scsi-cd','drive':'empty'}"), *read_only = refusal(rig, "{'driver':'scsi-hd','drive':'ro'}");
    check(empty_cd == NULL);
    check(read_only == NULL);
}

/* Each refusal has left everything as it was: the drive is free again. */
static void one_device_each(Rig *rig)
{
    g_autoptr(Value) config = json_parse("{'driver':'scsi-hd','drive':'a','id':'first'}", NULL);
    Device *first = machine_add_device(rig_machine(rig), config, NULL);

    check(first != NULL);
    check_refused(rig, "{'driver':'scsi-hd','drive':'a'}", "first");
    device_unrealize(first);
    g_autofree char *again = refusal(rig, "{'driver':'scsi-hd','drive':'a'}");
    check(again == NULL);
}

#define ON_PC .board = "pc", .runs = FRESH, .settings = drives
const Test block_conf_tests[] = {
    { "sizes", sizes, ON_PC }, { "storage", storage, ON_PC }, { "one device for each drive", one_device_each, ON_PC }, { NULL } };
