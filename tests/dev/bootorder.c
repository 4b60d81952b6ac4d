/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bootorder.c - devices with a bootindex, as the firmware's file names them */
#include "base/json.h"
#include "hw/chipset/fw_cfg.h"
#include "tests/rig/rig.h"
#include <string.h>

static Value *tree(const char *text)
{
    return json_parse(text, NULL);
}

#define DISK(name) "{'if':'none','index':0,'id':'" name "','driver':'null-co','size':1048576}"

static Value *four(void)
{
    return tree("{'drives':[" DISK("a") "," DISK("b") "," DISK("c") "," DISK("d") "],'devices':["
                "{'driver':'ide-hd','drive':'a','bus':'ide.1','unit':1,'bootindex':3},"
                "{'driver':'virtio-blk-pci','drive':'b','addr':'5','bootindex':0},"
                "{'driver':'virtio-scsi-pci','id':'s','addr':'6.1'},"
                "{'driver':'scsi-hd','bus':'s.0','drive':'c','scsi-id':2,'lun':1,'bootindex':7},"
                "{'driver':'virtio-blk-pci','drive':'d','addr':'7'}],'boot':{'strict':'on'}}");
}

static Value *none(void)
{
    return tree("{'drives':[" DISK("a") "],'devices':[{'driver':'virtio-blk-pci','drive':'a'}],'boot':{'strict':'on'}}");
}

static const char *order(Rig *rig)
{
    const GByteArray *file = fw_cfg_file((FwCfg *)rig_device(rig, "fw_cfg_io"), "bootorder");

    return file ? (const char *)file->data : NULL;
}

static void sorted_and_spelled(Rig *rig)
{
    const char *text = order(rig);

    check(text && strcmp(text, "/pci@i0cf8/scsi@5/disk@0,0\n/pci@i0cf8/ide@1,1/drive@1/disk@1\n/pci@i0cf8/scsi@6,1/channel@0/disk@2,1\nHALT") == 0);
}

static void nothing_has_one(Rig *rig)
{
    check(order(rig) == NULL);
}

const Test bootorder_tests[] = {
    { "in order, as SeaBIOS spells them, and nothing else", sorted_and_spelled, .board = "pc", .runs = FRESH, .settings = four },
    { "no file where nothing has an index", nothing_has_one, .board = "pc", .runs = FRESH, .settings = none },
    { NULL } };
