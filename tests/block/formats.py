#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""formats.py - the images of other hypervisors, both ways between Roost and qemu-img; written in place; damaged in every header"""
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from tap import Skip, case, check, main, roost    # noqa: E402

SHAPES = {
    "vdi": ["", "static=on"],
    "vpc": ["", "subformat=fixed", "force_size=on", "subformat=fixed,force_size=on"],
    "vmdk": ["", "subformat=monolithicFlat", "subformat=twoGbMaxExtentSparse", "subformat=twoGbMaxExtentFlat", "subformat=streamOptimized", "zeroed_grain=on"],
    "vhdx": ["", "subformat=fixed", "block_size=1M", "block_size=16M"],
}
KNOWN = roost("img", "--help").out
FORMATS = [f for f in SHAPES if f in KNOWN.split("Supported formats:")[-1].split()]


def content(seed, size):
    chance, data = random.Random(seed), bytearray(size)
    for _ in range(15):
        at, length = chance.randrange(0, size - 400000) // 512 * 512, chance.choice([512, 4096, 65536, 300032])
        data[at:at + length] = chance.randbytes(length)
    return bytes(data)


def run(*argv):
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    check(done.returncode == 0, f"{argv}: {done.returncode} {done.stdout[-500:]} {done.stderr[-500:]}")
    return done.stdout


def qemu(*args):
    if not shutil.which("qemu-img"):
        raise Skip("no qemu-img")
    return run("qemu-img", *args)


def ours(*args):
    ran = roost("img", *args)
    check(ran.status == 0, ran)
    return ran.out


def same(form, image, raw):
    """To both, and where the image is longer (a geometry) the rest is zeroes."""
    qemu("compare", "-f", "raw", "-F", form, raw, image)
    ours("compare", "-f", "raw", "-F", form, raw, image)
    a = [line for line in qemu("info", "-f", form, image).splitlines() if line.startswith(("virtual size", "cluster_size"))]
    b = [line for line in ours("info", "-f", form, image).splitlines() if line.startswith(("virtual size", "cluster_size"))]
    check(a == b, f"info: {a} {b}")
    if form in ("vdi", "vhdx", "vmdk"):
        qemu("check", "-f", form, image)
    if form == "vdi":
        ours("check", "-f", form, image)


def both_ways(form, shape):
    options = ["-o", shape] if shape else []
    with tempfile.TemporaryDirectory() as top:
        for number, size in enumerate((10 << 20, (3 << 20) + 512, 25600000)):
            raw, theirs, mine = f"{top}/{number}.raw", f"{top}/{number}-theirs.{form}", f"{top}/{number}-ours.{form}"
            open(raw, "wb").write(content(number, size))
            qemu("convert", "-f", "raw", "-O", form, *options, raw, theirs)
            same(form, theirs, raw)
            ours("convert", "-f", "raw", "-O", form, *options, raw, mine)
            same(form, mine, raw)
            sizes = [line for name in (theirs, mine) for line in qemu("info", name).splitlines() if line.startswith("virtual size")]
            check(sizes[0] == sizes[1], sizes)


def in_place(form, shape):
    """Random writes by us into images of both makers, against a copy."""
    options = ["-o", shape] if shape else []
    size = 12 << 20
    with tempfile.TemporaryDirectory() as top:
        for maker in (qemu, ours):
            image, chance, data, commands = f"{top}/a.{form}", random.Random(5), bytearray(size), []
            maker("create", "-f", form, *options, image, str(size))
            for number in range(40):
                at, length = chance.randrange(0, size // 512) * 512, chance.choice([512, 4096, 65536, 1 << 20])
                length = min(length, size - at)
                zero = number % 8 == 7
                data[at:at + length] = bytes([0 if zero else number + 1]) * length
                commands += ["-c", f"write {'-z' if zero else f'-P {number + 1}'} {at} {length}"]
            ran = roost("io", "-f", form, *commands, "-c", "flush", image)
            check(ran.status == 0 and "failed" not in ran.out + ran.err, ran)
            open(f"{top}/a.raw", "wb").write(data)
            same(form, image, f"{top}/a.raw")
            for name in os.listdir(top):
                os.unlink(f"{top}/{name}")


def damaged(form, shape):
    """Every field of the first sectors, and the tables, with odd numbers in them: an error or another disk, never more."""
    options = ["-o", shape] if shape else []
    with tempfile.TemporaryDirectory() as top:
        open(f"{top}/a.raw", "wb").write(content(1, 1 << 20))
        qemu("convert", "-f", "raw", "-O", form, *options, f"{top}/a.raw", f"{top}/a.{form}")
        image, chance = bytearray(open(f"{top}/a.{form}", "rb").read()), random.Random(9)
        ends = {"vdi": 1024, "vpc": 2560, "vmdk": 65536, "vhdx": 4 << 20}[form]
        places = [i for i in range(0, min(len(image), ends), 4) if any(image[i:i + 4])]
        for number in range(40):
            broken = bytearray(image)
            for _ in range(chance.choice([1, 1, 3])):
                at = chance.choice(places)
                broken[at:at + 4] = chance.choice([b"\xff" * 4, bytes(4), b"\0\0\0\x80", b"\x80\0\0\0", b"\xff\xff\xff\x7f", chance.randbytes(4), b"\1\0\0\0"])
            if form == "vpc":
                for at in (0, len(broken) - 512):          # behind the checksum's back
                    if broken[at:at + 8] == b"conectix":
                        broken[at + 64:at + 68] = bytes(4)
                        broken[at + 64:at + 68] = (~sum(broken[at:at + 512]) & 0xffffffff).to_bytes(4, "big")
                broken[512 + 36:512 + 40] = bytes(4)
                broken[512 + 36:512 + 40] = (~sum(broken[512:1536]) & 0xffffffff).to_bytes(4, "big")
            open(f"{top}/b.{form}", "wb").write(broken)
            ran = roost("io", "-f", form, "-c", "read 0 64k", "-c", "read 512k 256k", "-c", "write 64k 128k", "-c", "write 900k 4k", f"{top}/b.{form}", timeout=20)
            check(ran.status in (0, 1), f"{number}: {ran}")
        for cut in (0, 1, 511, 512, 1024, 1536, 4096, 65536, len(image) // 2, len(image) - 1):
            open(f"{top}/b.{form}", "wb").write(image[:cut])
            check(roost("img", "info", "-f", form, f"{top}/b.{form}").status in (0, 1), f"cut at {cut}")


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def vhdx_log():
    """What a machine that lost power leaves: refused for reading, replayed for writing; a log that is not valid is refused."""
    with tempfile.TemporaryDirectory() as top:
        image = f"{top}/a.vhdx"
        ours("create", "-f", "vhdx", "-o", "subformat=fixed,block_size=1M", image, "2M")
        data = bytearray(open(image, "rb").read())
        guid, target = bytes(range(16)), 4 << 20           # the first block of the disk
        payload = bytes([7]) * 4096
        entry = bytearray(8192)
        entry[0:64] = b"loge" + bytes(4) + struct.pack("<IIQII", 8192, 0, 5, 1, 0) + guid + struct.pack("<QQ", len(data), len(data))
        entry[64:96] = b"desc" + payload[-4:] + payload[:8] + struct.pack("<QQ", target, 5)
        entry[4096:8192] = b"data" + bytes(4) + payload[8:-4] + struct.pack("<I", 5)
        entry[4:8] = struct.pack("<I", crc32c(entry))
        data[1 << 20:(1 << 20) + 8192] = entry
        for at in (65536, 131072):
            data[at + 48:at + 64] = guid
            data[at + 4:at + 8] = bytes(4)
            data[at + 4:at + 8] = struct.pack("<I", crc32c(data[at:at + 4096]))
        for name, harm in (("good", None), ("bad", 70), ("worse", 8)):
            broken = bytearray(data)
            if harm:
                broken[(1 << 20) + harm] ^= 0xff
            open(f"{top}/{name}.vhdx", "wb").write(broken)
        ran = roost("img", "info", "-f", "vhdx", f"{top}/good.vhdx")
        check(ran.status == 1 and "replayed" in ran.err, ran)
        ran = roost("io", "-f", "vhdx", "-c", "read -P 7 0 4096", "-c", "read -P 0 4096 4096", f"{top}/good.vhdx")
        check(ran.status == 0 and "failed" not in ran.out, ran)
        qemu("check", "-f", "vhdx", f"{top}/good.vhdx")
        for name in ("bad", "worse"):
            ran = roost("io", "-f", "vhdx", "-c", "read 0 4096", f"{top}/{name}.vhdx")
            check(ran.status == 1 and "nothing valid" in ran.err, ran)


if "vhdx" in FORMATS:
    case("vhdx: the log of a machine that lost power")(vhdx_log)
for form in FORMATS:
    for shape in SHAPES[form]:
        case(f"{form} {shape}: converted both ways")(lambda form=form, shape=shape: both_ways(form, shape))
        if "streamOptimized" not in shape:
            case(f"{form} {shape}: written in place")(lambda form=form, shape=shape: in_place(form, shape))
        if "Flat" not in shape and "Max" not in shape:
            case(f"{form} {shape}: damaged headers")(lambda form=form, shape=shape: damaged(form, shape))
main()
