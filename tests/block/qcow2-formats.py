#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# qcow2-formats.py - every combination of -o keys in turns with qemu-img: made by one, written by both, compared and checked by the other
import itertools
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from tap import Skip, case, check, main, roost  # noqa: E402

FOLDER = tempfile.mkdtemp(prefix="roost-qcow2-")
HAVE_QEMU = shutil.which("qemu-img") and shutil.which("qemu-io")
SIZE = 6 << 20


def path(name):
    return os.path.join(FOLDER, name)


def ours(*args):
    ran = roost(*args, timeout=60)
    check(ran.status == 0, ran)
    return ran


def qemu(*args, status=(0,)):
    done = subprocess.run(args, capture_output=True, timeout=60)
    check(done.returncode in status, f"{' '.join(args)}: {done.returncode} {done.stdout.decode()} {done.stderr.decode()}")
    return done.stdout.decode()


def requests(seed, count, zeroes=True, compressed=True, cluster=65536):
    """Commands for qemu-io and roost io alike."""
    chance = random.Random(seed)
    commands, touched = [], set()
    for i in range(count):
        at, length = chance.randrange(SIZE), chance.choice([512, 1000, 4096, 30000, 65536, 200000])
        length = min(length, SIZE - at)
        kind = chance.randrange(8)
        whole = at // cluster * cluster
        if kind == 0 and zeroes:
            commands.append(f"write -z{' -u' if chance.randrange(2) else ''} {at} {length}")
        elif kind == 1 and zeroes:
            commands.append(f"discard {whole} {min(2 * cluster, SIZE - whole)}")
        elif kind <= 3 and compressed and whole // cluster not in touched:         # qemu compresses into what is not there only
            at, length = whole, min(cluster, SIZE - whole)
            commands.append(f"write -c -P {i % 200 + 20} {whole} {min(cluster, SIZE - whole)}")
        else:
            commands.append(f"write -P {i % 250 + 1} {at} {length}")
        touched |= set(range(at // cluster, (max(at + length, whole + 2 * cluster) - 1) // cluster + 1))
    return commands


def io(tool, image, commands):
    args = sum((["-c", command] for command in commands), [])
    if tool == "roost":
        ran = ours("io", "-f", "qcow2", "-d", "unmap", *args, image)
        check("failed" not in ran.out and "error" not in ran.out.lower(), ran)
    else:
        out = qemu("qemu-io", "-f", "qcow2", "-d", "unmap", *args, image)
        check("failed" not in out, out)


def same(one, other):
    qemu("qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", one, other)
    ours("img", "compare", "-f", "qcow2", "-F", "qcow2", one, other)


def clean(image):
    qemu("qemu-img", "check", "-q", "-f", "qcow2", image)
    ours("img", "check", "-q", "-f", "qcow2", image)


# The keys that change how clusters are kept; each row with and without a backing file where it can have one.
LAYOUTS = [f"cluster_size={size}" for size in ("512", "1k", "4k", "64k", "2M")]
LAYOUTS += [f"refcount_bits={bits},cluster_size={size}" for bits, size in ((1, "512"), (2, "8k"), (4, "4k"), (8, "1k"), (32, "2k"), (64, "512"))]
LAYOUTS += ["compat=v2", "compat=0.10,cluster_size=1k", "lazy_refcounts=on", "compression_type=zstd", "compression_type=zstd,cluster_size=4k"]
LAYOUTS += ["extended_l2=on", "extended_l2=on,cluster_size=16k", "extended_l2=on,cluster_size=2M", "extended_l2=on,compression_type=zstd,lazy_refcounts=on"]
LAYOUTS += [f"preallocation={mode},{more}" for mode in ("metadata", "falloc", "full") for more in ("cluster_size=64k", "cluster_size=4k", "extended_l2=on")]
LAYOUTS += [f"data_file=@data,{more}" for more in ("cluster_size=64k", "data_file_raw=on", "extended_l2=on", "preallocation=metadata", "preallocation=full")]


def cluster_of(options):
    for option in options.split(","):
        if option.startswith("cluster_size="):
            text = option[13:]
            return int(text[:-1]) * {"k": 1024, "M": 1 << 20}[text[-1]] if text[-1] in "kM" else int(text)
    return 65536


def turns(options, backing):
    if not HAVE_QEMU:
        raise Skip("no qemu-img")
    images = {tool: path(f"{tool}.qcow2") for tool in ("roost", "qemu")}
    more = []
    if backing:
        base = path("base.qcow2")
        ours("img", "create", "-q", "-f", "qcow2", base, str(SIZE - 70000 // 512 * 512))
        io("roost", base, ["write -P 77 0 1M", "write -P 78 3M 2M"])
        more = ["-b", "base.qcow2", "-F", "qcow2"]
    for tool, image in images.items():
        mine = options.replace("@data", path(f"{tool}.raw"))
        for name in (image, path(f"{tool}.raw")):
            if os.path.exists(name):
                os.unlink(name)
        if tool == "roost":
            ours("img", "create", "-q", "-f", "qcow2", "-o", mine, *more, image, str(SIZE))
        else:
            qemu("qemu-img", "create", "-q", "-f", "qcow2", "-o", mine, *more, image, str(SIZE))
    same(images["roost"], images["qemu"])
    for round_ in range(1 if backing else 2):
        v2 = "compat=" in options
        commands = requests(round_ * 100 + len(options), 14, zeroes=not (v2 and backing), compressed="data_file" not in options and "preallocation" not in options and round_ == 0,
                            cluster=cluster_of(options))
        first, second = (("roost", "qemu"), ("qemu", "roost"))[round_ % 2]
        io(first, images["roost"], commands)
        io(second, images["qemu"], commands)
        same(images["roost"], images["qemu"])
        clean(images["roost"])
        clean(images["qemu"])
    if "data_file_raw" in options:
        qemu("qemu-img", "compare", "-f", "raw", "-F", "qcow2", path("roost.raw"), images["roost"])


for options, backing in itertools.product(LAYOUTS, (False, True)):
    if backing and ("preallocation" in options and "extended_l2" not in options or "data_file" in options):
        continue
    case(f"in turns: {options}{' over a backing file' if backing else ''}")(lambda options=options, backing=backing: turns(options, backing))


# Bytes of new images: equal wherever the format leaves no choice.
for options in ("", "cluster_size=512", "cluster_size=8k", "cluster_size=2M", "compat=v2", "refcount_bits=64", "extended_l2=on,lazy_refcounts=on",
                "compression_type=zstd", "backing_file=base.raw,backing_fmt=raw", "preallocation=metadata", "data_file=@data,data_file_raw=on"):
    def equal(options=options):
        if not HAVE_QEMU:
            raise Skip("no qemu-img")
        open(path("base.raw"), "wb").write(bytes(1 << 20))
        for size in ("1M", "100M", "10G"):
            if size == "10G" and ("preallocation" in options or "=512" in options):
                continue                   # where refcount blocks lie among many clusters is each one's choice
            found = []
            for tool in ("roost", "qemu-img"):
                image = path("new.qcow2")
                for name in (image, path("new.raw")):
                    if os.path.exists(name):
                        os.unlink(name)
                args = ["create", "-q", "-f", "qcow2", *(["-o", options.replace("@data", path("new.raw"))] if options else []), image, size]
                ours("img", *args) if tool == "roost" else qemu("qemu-img", *args)
                found.append(open(image, "rb").read())
            check(found[0] == found[1], f"{size}: the images differ, {len(found[0])} and {len(found[1])} bytes")
    case(f"new images are equal byte for byte: {options or 'no options'}")(equal)


# What is refused, with qemu-img's words behind the name.
REFUSED = ["cluster_size=100", "cluster_size=256", "cluster_size=4M", "cluster_size=0", "refcount_bits=3", "refcount_bits=128", "refcount_bits=0",
           "compat=v2,refcount_bits=1", "compat=v2,lazy_refcounts=on", "compat=foo", "extended_l2=on,cluster_size=8k", "compat=v2,extended_l2=on",
           "data_file_raw=on", "compat=v2,data_file=@data", "compat=v2,compression_type=zstd", "backing_file=base.raw,backing_fmt=raw,preallocation=full",
           "data_file=@data,data_file_raw=on,backing_file=base.raw,backing_fmt=raw", "backing_fmt=raw"]
for options in REFUSED:
    def refused(options=options):
        if not HAVE_QEMU:
            raise Skip("no qemu-img")
        open(path("base.raw"), "wb").write(bytes(1 << 20))
        args = ["create", "-q", "-f", "qcow2", "-o", options.replace("@data", path("no.raw")), path("no.qcow2"), "1M"]
        ran = roost("img", *args)
        done = subprocess.run(["qemu-img", *args], capture_output=True)
        words = done.stderr.decode().split(": ", 2)[-1].strip()
        check(ran.status == done.returncode == 1 and words in ran.err, f"{ran}\nqemu-img: {words}")
    case("create refuses: " + options)(refused)


# ---- sizes ----

def shadow_io(image, shadow, commands):
    """write -P byte at length, on the image and on bytes."""
    for command in commands:
        _, _, byte, at, length = command.split()
        shadow[int(at):int(at) + int(length)] = bytes([int(byte)]) * int(length)
    io("roost", image, commands)


for options in ("cluster_size=512", "cluster_size=64k", "extended_l2=on", "compat=v2,cluster_size=4k", "cluster_size=4k,refcount_bits=1",
                "data_file=@data,cluster_size=4k"):
    def resizes(options=options):
        image, shadow, chance = path("size.qcow2"), bytearray(1 << 20), random.Random(len(options))
        ours("img", "create", "-q", "-f", "qcow2", "-o", options.replace("@data", path("size.raw")), image, str(len(shadow)))
        for turn in range(6):
            shadow_io(image, shadow, [f"write -P {turn + 1} {at} {min(30000, len(shadow) - at)}" for at in
                                      (chance.randrange(0, len(shadow) - 512) for _ in range(6))] + [f"write -P 99 {len(shadow) - 512} 512"])
            size = chance.randrange(1, 6 << 20) // 512 * 512 + 512
            mode = chance.choice(["off", "metadata", "falloc", "full"]) if size > len(shadow) else "off"
            ours("img", "resize", "-q", "--shrink", f"--preallocation={mode}", image, str(size))
            shadow = shadow[:size] + bytes(max(size - len(shadow), 0))
            if HAVE_QEMU:
                clean(image)
            open(path("shadow.raw"), "wb").write(shadow)
            ours("img", "compare", "-f", "qcow2", "-F", "raw", image, path("shadow.raw"))
    case("resized both ways: " + options)(resizes)


@case("what a longer backing file has does not come to light by growing")
def long_backing():
    ours("img", "create", "-q", "-f", "qcow2", path("long.qcow2"), "2M")
    io("roost", path("long.qcow2"), ["write -P 5 0 2M"])
    for options in ("cluster_size=4k", "cluster_size=64k,compat=v2", "extended_l2=on"):
        image = path("grow.qcow2")
        ours("img", "create", "-q", "-f", "qcow2", "-o", options, "-b", "long.qcow2", "-F", "qcow2", image, "700k")
        ours("img", "resize", "-q", image, "3M")
        ran = ours("io", "-c", "read -P 5 0 700k", "-c", "read -P 0 700k 2372k", image)
        check("verification failed" not in ran.out, ran)
        if HAVE_QEMU:
            clean(image)


@case("version 2 with snapshots keeps its size; preallocation is for growing")
def refused_sizes():
    image = path("old.qcow2")
    ours("img", "create", "-q", "-f", "qcow2", "-o", "compat=v2", image, "1M")
    ours("img", "snapshot", "-c", "a", image)
    ran = roost("img", "resize", image, "2M")
    check(ran.status == 1 and "Can't resize a v2 image which has snapshots" in ran.err, ran)
    ran = roost("img", "resize", "--shrink", "--preallocation=full", image, "512k")
    check(ran.status == 1, ran)


# ---- encryption, options ----

@case("encrypted images are read by each other")
def encrypted():
    if not HAVE_QEMU:
        raise Skip("no qemu-img")
    secret = ["--object", "secret,id=s,data=word"]
    for tool, options in itertools.product(("roost", "qemu"), ("cluster_size=64k", "cluster_size=4k", "extended_l2=on")):
        image = path("secret.qcow2")
        create = ["create", "-q", *secret, "-f", "qcow2", "-o", f"encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10,{options}", image, "4M"]
        if tool == "roost":
            ours("img", *create)
        elif "CPU usage" in qemu("sh", "-c", 'qemu-img "$@" 2>&1', "qemu-img", *create, status=(0, 1)):
            continue                       # a busy machine: qemu-img could not measure the key's time
        opened = json.dumps({"driver": "qcow2", "encrypt": {"format": "luks", "key-secret": "s"}, "file": {"driver": "file", "filename": image}})
        ours("io", *secret, "-c", "write -P 7 1000 300000", "-c", "write -z 64k 64k", "-c", "write -P 8 3M 100", "json:" + opened)
        flat = f"driver=qcow2,encrypt.key-secret=s,file.filename={image}"
        out = qemu("qemu-io", *secret, "--image-opts", "-c", "read -P 7 1000 60000", "-c", "read -P 0 64k 64k", "-c", "read -P 7 128k 100k",
                   "-c", "read -P 8 3145728 100", "-c", "read -P 0 3145828 1000", "-c", "write -P 9 2M 70000", flat)
        check("verification failed" not in out, out)
        ran = ours("io", *secret, "-c", "read -P 9 2M 70000", "-c", "read -P 0 2200000 1000", "json:" + opened)
        check("verification failed" not in ran.out, ran)
        qemu("qemu-img", "check", *secret, "--image-opts", flat)
        check(bytes([7]) * 64 not in open(image, "rb").read(), "plain text in the file")


@case("a dirty image of lazy refcounts is mended when it is opened")
def dirty():
    if not HAVE_QEMU:
        raise Skip("no qemu-img")
    image = path("dirty.qcow2")
    ours("img", "create", "-q", "-f", "qcow2", "-o", "lazy_refcounts=on", image, "4M")
    done = subprocess.run(["qemu-io", "-c", "write -P 3 0 1M", "-c", "flush", "-c", "sigraise 9", image], capture_output=True)
    check(done.returncode != 0 and open(image, "rb").read(80)[79] & 1, "qemu-io left it clean")
    ran = ours("io", "-c", "read -P 3 0 1M", "-c", "write -P 4 2M 64k", image)
    check("verification failed" not in ran.out, ran)
    check(not open(image, "rb").read(80)[79] & 1, "still dirty")
    clean(image)


@case("small caches, many tables")
def small():
    image = path("small.qcow2")
    ours("img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=512", image, "32M")
    commands = [f"write -P {i % 250 + 1} {i * 777777 % (31 << 20)} 3000" for i in range(150)]
    shadow = bytearray(32 << 20)
    for command in commands:
        _, _, byte, at, length = command.split()
        shadow[int(at):int(at) + int(length)] = bytes([int(byte)]) * int(length)
    text = json.dumps({"driver": "qcow2", "l2-cache-size": 2048, "refcount-cache-size": 2048, "cache-clean-interval": 1,
                       "file": {"driver": "file", "filename": image}})
    ours("io", *sum((["-c", c] for c in commands), []), "json:" + text)
    open(path("shadow.raw"), "wb").write(shadow)
    ours("img", "compare", "-f", "qcow2", "-F", "raw", image, path("shadow.raw"))
    if HAVE_QEMU:
        clean(image)


@case("a data file that is named by the image, or given")
def data_files():
    image, data = path("named.qcow2"), path("named.raw")
    ours("img", "create", "-q", "-f", "qcow2", "-o", f"data_file={data}", image, "2M")
    ours("io", "-c", "write -P 6 64k 64k", image)
    check(open(data, "rb").read()[65536:131072] == bytes([6]) * 65536, "not where the guest has it")
    os.rename(data, path("moved.raw"))
    ran = roost("io", "-c", "read 0 1", image)
    check(ran.status == 1 and "named.raw" in ran.err, ran)
    text = json.dumps({"driver": "qcow2", "file": {"driver": "file", "filename": image}, "data-file": {"driver": "file", "filename": path("moved.raw")}})
    ran = ours("io", "-c", "read -P 6 64k 64k", "json:" + text)
    check("verification failed" not in ran.out, ran)
    check(struct.unpack(">Q", open(image, "rb").read(80)[72:])[0] & 4, "no external data file bit")


if __name__ == "__main__":
    try:
        main()
    finally:
        shutil.rmtree(FOLDER, ignore_errors=True)
