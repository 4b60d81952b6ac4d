#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# qcow2-amend.py - roost img amend beside qemu-img amend: what changed, what is refused, and that the disk reads the same
import json
import os
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from damage import run
from tap import ROOST, case, check, main

folder = tempfile.TemporaryDirectory(prefix="roost-amend-")
os.chdir(folder.name)
OURS, THEIRS = [ROOST, "img"], ["qemu-img"]


def fill(path, compressed=True):
    run("qemu-io", "-f", "qcow2", "-c", "write -P 1 0 300k", "-c", "write -P 2 5M 70k", "-c", "write -z 100k 100k", "-c", "write -z 7M 200k", path)
    if compressed:
        run("qemu-io", "-f", "qcow2", "-c", "write -c -P 5 2M 64k", path)


def contents(path, *options):
    if os.path.exists("out.raw"):
        os.unlink("out.raw")
    run("qemu-img", "convert", *options, "-O", "raw", path, "out.raw")
    with open("out.raw", "rb") as file:
        return file.read()


def info(path):
    found = json.loads(run("qemu-img", "info", "--output=json", path).stdout)
    found.pop("actual-size")
    found.pop("filename")
    for snapshot in found.get("snapshots", []):
        snapshot.pop("date-sec")
        snapshot.pop("date-nsec")
    return found


def both(make, *steps, snapshots=0):
    """The same amends of the same image by each; afterwards the same image in all that can be seen of it."""
    for name in ("x.qcow2", "base.qcow2"):
        if os.path.exists(name):
            os.unlink(name)
    make()
    for n in range(snapshots):
        run("qemu-img", "snapshot", "-c", f"s{n}", "x.qcow2")
        run("qemu-io", "-f", "qcow2", "-c", f"write -P {n + 20} {n * 40}k 100k", "-c", f"write -z {n}M 64k", "x.qcow2")
    for step in steps:
        for who, name in ((OURS, "ours.qcow2"), (THEIRS, "theirs.qcow2")):
            shutil.copy("x.qcow2", name)
        done = [run(*who, "amend", "-f", "qcow2", "-o", step, name, ok=None) for who, name in ((OURS, "ours.qcow2"), (THEIRS, "theirs.qcow2"))]
        check(done[0].returncode == done[1].returncode, f"{step}: {done[0].stderr} {done[1].stderr}")
        if done[0].returncode:
            a, b = (d.stderr.decode().split(": ", 1)[1].splitlines()[0] for d in done)
            check(b in a, f"{step}: {a} instead of {b}")
        check(info("ours.qcow2") == info("theirs.qcow2"), f"{step}: {info('ours.qcow2')} {info('theirs.qcow2')}")
        run("qemu-img", "check", "ours.qcow2")
        run(*OURS, "check", "ours.qcow2")
        check(contents("ours.qcow2") == contents("theirs.qcow2"), f"{step}: other bytes")
        for n in range(snapshots):
            options = ("-l", f"snapshot.name=s{n}")
            check(contents("ours.qcow2", *options) == contents("theirs.qcow2", *options), f"{step}: snapshot s{n} has other bytes")
        shutil.copy("ours.qcow2", "x.qcow2")


def made(options, size="10M", backing=False):
    def make():
        extra = []
        if backing:
            run("qemu-img", "create", "-q", "-f", "qcow2", "base.qcow2", size)
            run("qemu-io", "-f", "qcow2", "-c", f"write -P 99 0 {size}", "base.qcow2")
            extra = ["-b", "base.qcow2", "-F", "qcow2"]
        run("qemu-img", "create", "-q", "-f", "qcow2", "-o", options, *extra, "x.qcow2", size)
        fill("x.qcow2", "data_file" not in options and "2M" not in options)
    return make


SEQUENCES = [
    ("versions down and up", made("cluster_size=64k"), ["compat=0.10", "compat=1.1", "compat=v2", "compat=v3"], 0),
    ("versions with snapshots", made("cluster_size=4k"), ["compat=0.10", "compat=1.1"], 2),
    ("down, zero clusters over a backing file", made("cluster_size=4k", backing=True), ["compat=0.10", "compat=1.1"], 0),
    ("down, zero clusters over a backing file, with snapshots", made("cluster_size=16k", backing=True), ["compat=0.10"], 2),
    ("refcount widths", made("cluster_size=4k"), ["refcount_bits=1", "refcount_bits=64", "refcount_bits=8", "refcount_bits=2", "refcount_bits=32",
                                                   "refcount_bits=16"], 0),
    ("refcount widths with snapshots", made("cluster_size=512"), ["refcount_bits=1", "refcount_bits=64", "refcount_bits=4"], 2),
    ("lazy refcounts", made("cluster_size=64k"), ["lazy_refcounts=on", "lazy_refcounts=off", "lazy_refcounts=on", "compat=0.10,lazy_refcounts=off"], 0),
    ("size", made("cluster_size=64k"), ["size=20M", "size=12M"], 0),
    ("several at once", made("compat=0.10"), ["compat=1.1,refcount_bits=32,lazy_refcounts=on", "compat=0.10,refcount_bits=16,lazy_refcounts=off"], 1),
    ("refusals", made("cluster_size=64k"), ["compat=9", "cluster_size=4k", "refcount_bits=7", "refcount_bits=128", "compat=0.10,refcount_bits=8",
        "compat=0.10,lazy_refcounts=on", "backing_file=/x", "data_file=x", "data_file_raw=on", "data_file_raw=off", "encrypt.state=active",
        "preallocation=full", "compression_type=zstd", "extended_l2=on", "encryption=on", "encrypt.format=luks"], 0),
    ("no way down: refcount width", made("refcount_bits=8"), ["compat=0.10"], 0),
    ("no way down: extended L2", made("extended_l2=on"), ["compat=0.10"], 0),
    ("no way down: zstd", made("compression_type=zstd"), ["refcount_bits=8"], 0),
    ("data file", made("data_file=d.raw,data_file_raw=on"), ["compat=0.10", "data_file_raw=off", "data_file_raw=on", "refcount_bits=64"], 0),
]
for row in SEQUENCES:
    case(row[0])(lambda row=row: both(row[1], *row[2], snapshots=row[3]))


@case("refcount width of large clusters")
def _():
    made("cluster_size=2M")()              # not beside qemu-img, which is busy with it for minutes
    before = contents("x.qcow2")
    for bits in (64, 1, 16):
        run(*OURS, "amend", "-o", f"refcount_bits={bits}", "x.qcow2")
        run("qemu-img", "check", "x.qcow2")
        check(info("x.qcow2")["format-specific"]["data"]["refcount-bits"] == bits and contents("x.qcow2") == before, bits)


@case("bitmaps are not left behind by version 2")
def _():
    made("cluster_size=64k")()
    run("qemu-img", "bitmap", "--add", "x.qcow2", "b")
    done = run(*OURS, "amend", "-o", "compat=0.10", "x.qcow2", ok=(1,))
    check(b"bitmaps" in done.stderr, done.stderr)


@case("a snapshot of a disk of another size")
def _():
    made("cluster_size=64k")()
    run("qemu-img", "snapshot", "-c", "s", "x.qcow2")
    run("qemu-img", "resize", "-q", "x.qcow2", "20M")
    done = run(*OURS, "amend", "-o", "compat=0.10", "x.qcow2", ok=(1,))
    check(b"Internal snapshots prevent downgrade of image" in done.stderr, done.stderr)


main()
