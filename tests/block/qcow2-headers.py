#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# qcow2-headers.py - bad qcow2 images: each field out of its limits is refused by a sentence, or the image is marked corrupt before harm is done
import json
import os
import shutil
import struct
import sys
import tempfile
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tap import case, main, roost  # noqa: E402
from damage import Image  # noqa: E402

FOLDER = tempfile.mkdtemp(prefix="roost-qcow2-")
M64 = (1 << 64) - 1


def path(name):
    return os.path.join(FOLDER, name)


def make(name="image.qcow2", options="", size="64M"):
    target = path(name)
    made = roost("img", "create", "-q", "-f", "qcow2", *(["-o", options] if options else []), target, size)
    assert made.status == 0, made
    ran = roost("io", "-c", "write -P 1 0 256k", "-c", "write -P 2 1M 64k", target)
    assert ran.status == 0, ran
    return Image(target)


def extension(image, kind, data, at=112):
    with open(image.path, "r+b") as file:
        file.seek(at)
        file.write(struct.pack(">II", kind, len(data)) + data + bytes(-len(data) % 8) + bytes(8))


# What is changed, and a word of the sentence.
FIELDS = [
    ("magic", lambda i: i.put(0, 0x514649fc, 32), "not in qcow2 format"),
    ("version 1", lambda i: i.put(4, 1, 32), "Unsupported qcow2 version 1"),
    ("version 4", lambda i: i.put(4, 4, 32), "Unsupported qcow2 version 4"),
    ("cluster_bits 0", lambda i: i.put(20, 0, 32), "Unsupported cluster size: 2^0"),
    ("cluster_bits 8", lambda i: i.put(20, 8, 32), "Unsupported cluster size: 2^8"),
    ("cluster_bits 22", lambda i: i.put(20, 22, 32), "Unsupported cluster size: 2^22"),
    ("cluster_bits 63", lambda i: i.put(20, 63, 32), "Unsupported cluster size: 2^63"),
    ("size 2^63", lambda i: i.put(24, 1 << 63), "too big"),
    ("size 2^64 - 1", lambda i: i.put(24, M64), "too big"),
    ("size beyond the L1 table", lambda i: i.put(24, 1 << 40), "L1 table is too small"),
    ("encryption method 3", lambda i: i.put(32, 3, 32), "Unsupported encryption method 3"),
    ("L1 table of 2^32 - 1 entries", lambda i: i.put(36, 0xffffffff, 32), "L1 table too large"),
    ("L1 table of 32 MiB and one entry", lambda i: i.put(36, (32 << 20) // 8 + 1, 32), "L1 table too large"),
    ("L1 table of no entries", lambda i: i.put(36, 0, 32), "L1 table is too small"),
    ("L1 table unaligned", lambda i: i.put(40, i.l1 + 8), "L1 table offset invalid"),
    ("L1 table at 2^63", lambda i: i.put(40, 1 << 63), "L1 table offset invalid"),
    ("L1 table at 2^64 - 512", lambda i: i.put(40, M64 & ~0xffff), "L1 table offset invalid"),
    ("refcount table unaligned", lambda i: i.put(48, 0x10008), "Reference count table offset invalid"),
    ("refcount table at 0", lambda i: i.put(48, 0), "not contain a reference count table"),
    ("refcount table at 2^63", lambda i: i.put(48, 1 << 63), "Reference count table offset invalid"),
    ("refcount table of no clusters", lambda i: i.put(56, 0, 32), "not contain a reference count table"),
    ("refcount table of 2^31 clusters", lambda i: i.put(56, 1 << 31, 32), "Reference count table too large"),
    ("65537 snapshots", lambda i: (i.put(60, 65537, 32), i.put(64, 0x50000)), "Snapshot table too large"),
    ("2^32 - 1 snapshots", lambda i: i.put(60, 0xffffffff, 32), "Snapshot table too large"),
    ("snapshot table unaligned", lambda i: (i.put(60, 1, 32), i.put(64, 0x50008)), "Snapshot table offset invalid"),
    ("snapshot table at 2^63", lambda i: (i.put(60, 1, 32), i.put(64, 1 << 63)), "Snapshot table offset invalid"),
    ("backing name inside the header", lambda i: (i.put(8, 50), i.put(16, 4, 32)), "Invalid backing file offset"),
    ("backing name beyond the cluster", lambda i: (i.put(8, 65537), i.put(16, 4, 32)), "Invalid backing file offset"),
    ("backing name of 1024 bytes", lambda i: (i.put(8, 1024), i.put(16, 1024, 32)), "Backing file name too long"),
    ("backing name over the cluster's end", lambda i: (i.put(8, 65530), i.put(16, 20, 32)), "Backing file name too long"),
    ("backing name of 2^32 - 1 bytes", lambda i: (i.put(8, 1024), i.put(16, 0xffffffff, 32)), "Backing file name too long"),
    ("incompatible bit 5", lambda i: i.put(72, 1 << 5), "Unknown incompatible feature: 20"),
    ("incompatible bit 63", lambda i: i.put(72, 1 << 63), "Unknown incompatible feature: 8000000000000000"),
    ("a feature that the table names", lambda i: (i.put(72, 1 << 40), extension(i, 0x6803f857, bytes([0, 40]) + b"teleportation".ljust(46, b"\0"))),
     "teleportation"),
    ("external data file without a name", lambda i: i.put(72, 4), "data-file"),
    ("refcount_order 7", lambda i: i.put(96, 7, 32), "may not exceed 64 bits"),
    ("header of 80 bytes", lambda i: i.put(100, 80, 32), "header too short"),
    ("header longer than a cluster", lambda i: i.put(100, 65544, 32), "header exceeds cluster size"),
    ("compression type without its bit", lambda i: i.put(104, 1, 8), "compression type"),
    ("compression type 2", lambda i: (i.put(72, 8), i.put(104, 2, 8)), "compression type"),
    ("compression bit with type 0", lambda i: i.put(72, 8), "compression type"),
    ("an extension longer than the cluster", lambda i: i.put(116, 0xfffffff0, 32), "extension"),
    ("a backing format of 16 bytes", lambda i: extension(i, 0xe2792aca, b"x" * 16), "format name too long"),
    ("an encryption header without encryption", lambda i: extension(i, 0x0537be77, bytes(16)), "CRYPTO header extension"),
    ("a bitmaps extension of 8 bytes", lambda i: extension(i, 0x23852875, bytes(8)), "bitmaps_ext"),
]

for name, change, word in FIELDS:
    def refused(change=change, word=word):
        image = make()
        change(image)
        for command in (["img", "info", "-f", "qcow2", image.path], ["io", "-f", "qcow2", "-c", "read 0 64k", image.path],
                        ["img", "resize", "-f", "qcow2", image.path, "128M"]):
            ran = roost(*command)
            if command[1] == "info" and "data-file" in word:
                continue                   # metadata can be looked at without the data
            assert ran.status == 1, ran
            assert len(ran.lines) == 1 and word in ran.err, ran
    case("refused: " + name)(refused)


@case("extended L2 entries with clusters of 8K")
def extended():
    image = make(options="cluster_size=8k")
    image.put(72, 16)
    ran = roost("img", "info", image.path)
    assert ran.status == 1 and "16384" in ran.err, ran


@case("cut short at each place")
def short():
    image = make()
    whole = open(image.path, "rb").read()
    for length in (0, 3, 8, 71, 72, 103, 104, 111, 112, 200, 65535, 65536, 131072, 196608, 196616, 262144):
        with open(image.path, "wb") as file:
            file.write(whole[:length])
        for command in (["img", "info", "-f", "qcow2", image.path], ["io", "-f", "qcow2", "-r", "-c", "read 0 2M", image.path]):
            ran = roost(*command)
            assert ran.status in (0, 1), ran


@case("unknown extensions and fields stay, byte for byte")
def kept():
    image = make(options="cluster_size=4k")
    blob = bytes(range(1, 22))
    with open(image.path, "r+b") as file:
        head = bytearray(file.read(112))
        head[100:104] = struct.pack(">I", 120)
        file.seek(0)
        file.write(bytes(head) + b"FUTURE!!" + struct.pack(">II", 0x12345678, len(blob)) + blob + bytes(3) +
                   struct.pack(">II", 0x0badcafe, 4) + b"last" + bytes(4) + bytes(8))
    assert roost("img", "create", "-q", "-f", "raw", path("base.raw"), "1M").status == 0
    ran = roost("img", "rebase", "-u", "-F", "raw", "-b", "base.raw", image.path)
    assert ran.status == 0, ran
    data = open(image.path, "rb").read(4096)
    assert b"FUTURE!!" == data[112:120], data[100:130]
    first, last = struct.pack(">II", 0x12345678, len(blob)) + blob + bytes(3), struct.pack(">II", 0x0badcafe, 4) + b"last" + bytes(4)
    assert first + last in data and b"base.raw" in data
    assert "raw" in roost("img", "info", image.path).out


# Tables that lie: what would be destroyed, how, and what is written.
LIES = [
    ("an L2 entry points to the header", lambda i: i.put_entry(0, 1 << 63), None, 0),
    ("an L2 entry points to the L1 table", lambda i: i.put_entry(0, 1 << 63 | i.l1), "active L1 table", 0),
    ("an L2 entry points to its L2 table", lambda i: i.put_entry(0, 1 << 63 | i.l2()), "active L2 table", 0),
    ("an L2 entry points to the refcount table", lambda i: i.put_entry(0, 1 << 63 | i.reftable), "refcount table", 0),
    ("an L2 entry points to a refcount block", lambda i: i.put_entry(0, 1 << 63 | i.refblock()), "refcount block", 0),
    ("an L2 entry points beyond the end", lambda i: i.put_entry(0, 1 << 63 | 1 << 40), "beyond the end", 0),
    ("an L2 entry is unaligned", lambda i: i.put_entry(0, (1 << 63 | i.entry(0)) + 512), "unaligned", 0),
    ("an L1 entry is unaligned", lambda i: i.put(i.l1, (1 << 63 | i.l2()) + 512), "unaligned", 0),
    ("a refcount block is unaligned", lambda i: i.put(i.reftable, i.refblock() + 512), "unaligned", 10),
    ("refcounts of zero everywhere", lambda i: [i.put_ref(c, 0) for c in range(12)], "Preventing invalid write", 10),
    ("the L1 table's refcount is zero", lambda i: i.put_ref(i.l1 // i.cluster, 0), "active L1 table", 10),
    ("the L2 table's refcount is zero", lambda i: i.put_ref(i.l2() // i.cluster, 0), "active L2 table", 10),
]

for name, change, word, megabyte in LIES:
    def stopped(name=name, change=change, word=word, megabyte=megabyte):
        image = make()
        change(image)
        before = open(image.path, "rb").read()
        if word is None:                   # offset 0 is no place: the cluster is unallocated, and is given one
            ran = roost("io", "-c", f"write -P 9 {megabyte}M 64k", "-c", f"read -P 9 {megabyte}M 64k", image.path)
            assert ran.status == 0, ran
            return
        ran = roost("io", "-c", f"write -P 9 {megabyte}M 64k", "-c", "write -P 9 5M 64k", image.path)
        assert word in ran.err and "corrupt" in ran.err, ran
        assert "wrote" not in ran.out, ran
        after = open(image.path, "rb").read()
        assert after[79] & 2, "the corrupt bit is not set"
        assert before[112:len(before)] == after[112:len(before)], "something was written over"
        again = roost("io", "-c", "write 0 64k", image.path)
        assert again.status == 1 and "Image is corrupt; cannot be opened read/write" in again.err, again
        assert roost("io", "-r", "-c", "read 1M 64k", image.path).status == (1 if "L1 entry" in name else 0)
    case("stopped: " + name)(stopped)


@case("version 2 has no corrupt bit, and is stopped too")
def old():
    image = make(options="compat=v2")
    image.put_entry(0, 1 << 63 | image.l1)
    before = open(image.path, "rb").read()
    ran = roost("io", "-c", "write 0 64k", image.path)
    assert "overlaps with active L1 table" in ran.err, ran
    assert before == open(image.path, "rb").read()[:len(before)]


@case("overlap-check=none writes where it is told")
def unchecked():
    image = make()
    image.put_entry(0, 1 << 63 | image.entry(1) & 0x00fffffffffffe00)
    options = json.dumps({"driver": "qcow2", "overlap-check": "none", "file": {"driver": "file", "filename": image.path}})
    assert roost("io", "-c", "write -P 9 0 64k", "-c", "read -P 9 64k 64k", "json:" + options).status == 0
    options = options.replace('"none"', '"some"')
    ran = roost("io", "-c", "read 0 1", "json:" + options)
    assert ran.status == 1 and "Allowed are any of the following: none, constant, cached, all" in ran.err, ran


def compressed_image(kind="zlib"):
    image = make(options=f"compression_type={kind}")
    assert roost("io", "-c", "write -c -P 5 2M 64k", "-c", "write -c -P 6 3M 64k", image.path).status == 0
    return image


for kind in ("zlib", "zstd"):
    def garbled(kind=kind):
        image = compressed_image(kind)
        at = image.entry(32) & (1 << 54) - 1
        good = open(image.path, "rb").read()
        for change in (lambda d: d.__setitem__(slice(at, at + 16), b"\xff" * 16), lambda d: d.__setitem__(slice(at + 3, at + 4), b"\x80"),
                       lambda d: d.__setitem__(slice(at, at + 20), bytes(20))):
            data = bytearray(good)
            change(data)
            open(image.path, "wb").write(data)
            ran = roost("io", "-r", "-c", "read 2M 64k", "-c", "read -P 6 3M 64k", image.path)
            assert "read failed: Input/output error" in ran.err + ran.out and "Pattern verification" not in ran.out, ran
            assert "read 65536/65536 bytes at offset 3145728" in ran.out, ran
    case(f"garbled {kind} clusters are read errors, and others stay readable")(garbled)


@case("a compressed cluster beyond the end of the file")
def far():
    image = compressed_image()
    image.put_entry(32, 1 << 62 | 1 << 50)
    ran = roost("io", "-r", "-c", "read 2M 64k", image.path)
    assert ran.status == 1 and "beyond the end" in ran.err, ran


@case("a compressed cluster of more sectors than a cluster has")
def bomb():
    image = compressed_image()
    image.put_entry(32, image.entry(32) | 0xff << 54)
    ran = roost("io", "-r", "-c", "read -P 5 2M 64k", image.path)
    assert ran.status == 0 and "verification failed" not in ran.out, ran


# Options of -blockdev, with QEMU's words.
OPTIONS = [
    ({"l2-cache-entry-size": 1000}, "L2 cache entry size must be a power of two between 512 and the cluster size (65536)"),
    ({"l2-cache-entry-size": 256}, "L2 cache entry size must be a power of two"),
    ({"l2-cache-entry-size": 131072}, "L2 cache entry size must be a power of two"),
    ({"cache-size": "1M", "l2-cache-size": "2M"}, "l2-cache-size may not exceed cache-size"),
    ({"cache-size": "1M", "refcount-cache-size": "2M"}, "refcount-cache-size may not exceed cache-size"),
    ({"cache-size": "1M", "refcount-cache-size": "128k", "l2-cache-size": "128k"}, "may not be set at the same time"),
    ({"overlap-check": {"template": "x"}}, "Unsupported value 'x' for qcow2 option 'overlap-check'"),
    ({"data-file": {"driver": "file", "filename": "/dev/null"}}, "'data-file' can only be set for images with an external data file"),
    ({"cache-clean-interval": 1 << 33}, "Cache clean interval too big"),
]
for options, word in OPTIONS:
    def option(options=options, word=word):
        image = make()
        text = json.dumps({"driver": "qcow2", "file": {"driver": "file", "filename": image.path}, **options})
        ran = roost("io", "-c", "read 0 1", "json:" + text)
        assert ran.status == 1 and word in ran.err, ran
    case("option: " + json.dumps(options))(option)


@case("lazy refcounts and version 2")
def lazy():
    image = make(options="compat=v2")
    text = json.dumps({"driver": "qcow2", "lazy-refcounts": True, "file": {"driver": "file", "filename": image.path}})
    ran = roost("io", "-c", "read 0 1", "json:" + text)
    assert ran.status == 1 and "Lazy refcounts require" in ran.err, ran


if __name__ == "__main__":
    try:
        main()
    finally:
        shutil.rmtree(FOLDER, ignore_errors=True)
