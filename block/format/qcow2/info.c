/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * info.c - what roost img info and query-block say about a qcow2 image: QMP's ImageInfoSpecificQCow2
 *
 * Members stand in the order in which QEMU 7.2 prints them.
 *
 * Tests    tests/block/img-commands.py, qcow2-bitmap.py, qcow2-crypt.py
 */
#include "block/format/qcow2/parts.h"

static void set_string(Value *object, const char *key, const char *text)
{
    value_set(object, key, value_new_string(text));
}

static void set_bool(Value *object, const char *key, bool on)
{
    value_set(object, key, value_new_bool(on));
}

void qcow2_info(Node *node, ImageInfo *info)
{
    Qcow2 *qcow2 = QCOW2(node);
    Value *data = value_new_object(), *bitmaps = qcow2_bitmaps_info(qcow2), *encrypt = qcow2_crypt_info(qcow2);
    bool v3 = qcow2->version >= 3;

    set_string(data, "compat", v3 ? "1.1" : "0.10");
    set_string(data, "compression-type", qcow2->compression_type == Q2_ZSTD ? "zstd" : "zlib");
    if (v3) {
        set_bool(data, "lazy-refcounts", qcow2->compatible & Q2_COMPAT_LAZY);
    }
    if (bitmaps) {
        value_set(data, "bitmaps", bitmaps);
    }
    value_set(data, "refcount-bits", value_new_uint(1u << qcow2->refcount_order));
    if (qcow2->incompatible & Q2_INCOMPAT_DATA_FILE) {
        if (qcow2->data_file_name) {
            set_string(data, "data-file", qcow2->data_file_name);
        }
        set_bool(data, "data-file-raw", qcow2->autoclear & Q2_AUTOCLEAR_DATA_RAW);
    }
    if (encrypt) {
        value_set(data, "encrypt", encrypt);
    }
    if (v3) {
        set_bool(data, "corrupt", qcow2->incompatible & Q2_INCOMPAT_CORRUPT);
        set_bool(data, "extended-l2", qcow2->l2_entry_bytes == 16);
    }
    info->cluster_size = qcow2->cluster_size;
    info->vm_state_offset = qcow2_vm_state_offset(qcow2);
    info->dirty = qcow2->incompatible & Q2_INCOMPAT_DIRTY;
    info->encrypted = qcow2->crypt_method != Q2_CRYPT_NONE;
    info->specific = value_new_object();
    set_string(info->specific, "type", "qcow2");
    value_set(info->specific, "data", data);
}
