#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# qcow2-snapshot.py - internal snapshots taken, applied, deleted, read by Roost and by qemu-img in turns, held against a shadow
import json
import os
import random
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from damage import run
from tap import ROOST, case, check, main

folder = tempfile.TemporaryDirectory(prefix="roost-snapshot-")
os.chdir(folder.name)
OURS, THEIRS = ([ROOST, "img"], [ROOST, "io"]), (["qemu-img"], ["qemu-io"])
IMAGE = "x.qcow2"


class Shadow:
    """The disk and its snapshots as bytes; each step by one of the two tools."""

    def __init__(self, seed, options, size):
        self.random = random.Random(seed)
        self.disk = bytearray(size)
        self.snapshots = {}
        self.names = 0
        self.log = []
        self.old = "compat=0.10" in options             # version 2 does not resize beside snapshots
        self.tool("img", "create", "-q", "-f", "qcow2", "-o", options, IMAGE, str(size))

    def tool(self, kind, *args, may_fail=False):
        who = self.random.choice((OURS, THEIRS))
        command = [*who[kind == "io"], *args]
        self.log.append(" ".join(command))
        done = run(*command, ok=None)
        if done.returncode != 0 or (kind == "io" and b"failed" in done.stdout + done.stderr):
            if may_fail:
                return False
            raise AssertionError("\n".join(self.log[-12:]) + f"\nstatus {done.returncode}: {done.stdout!r} {done.stderr!r}")
        return True

    def range(self, unit):
        units = len(self.disk) // unit
        first = self.random.randrange(units)
        return first * unit, min(self.random.randint(1, 40), units - first) * unit

    def write(self):
        at, length = self.range(512)
        byte = self.random.randrange(1, 256)
        self.tool("io", "-f", "qcow2", "-c", f"write -P {byte} {at} {length}", IMAGE)
        self.disk[at:at + length] = bytes([byte]) * length

    def write_compressed(self):
        cluster = self.cluster
        at = self.random.randrange(len(self.disk) // cluster) * cluster
        byte = self.random.randrange(1, 256)
        # where the cluster has a place already, it is refused
        if self.tool("io", "-f", "qcow2", "-c", f"write -c -P {byte} {at} {cluster}", IMAGE, may_fail=True):
            self.disk[at:at + cluster] = bytes([byte]) * cluster

    def zero(self):
        at, length = self.range(4096)
        self.tool("io", "-f", "qcow2", "-c", f"write -z{self.random.choice(('', ' -u'))} {at} {length}", IMAGE)
        self.disk[at:at + length] = bytes(length)

    def take(self):
        if len(self.snapshots) < 5:
            self.names += 1
            self.tool("img", "snapshot", "-c", f"s{self.names}", IMAGE)
            self.snapshots[f"s{self.names}"] = bytes(self.disk)

    def apply(self):
        if self.snapshots:
            name = self.random.choice(sorted(self.snapshots))
            self.tool("img", "snapshot", "-a", name, IMAGE)
            self.disk = bytearray(self.snapshots[name])

    def delete(self):
        if self.snapshots:
            name = self.random.choice(sorted(self.snapshots))
            self.tool("img", "snapshot", "-d", name, IMAGE)
            del self.snapshots[name]

    def grow(self):
        if len(self.disk) < 12 << 20 and not self.old:
            self.tool("img", "resize", "-q", IMAGE, "+1M")
            self.disk += bytes(1 << 20)

    def same(self, expected, *args):
        if os.path.exists("x.raw"):
            os.unlink("x.raw")
        self.tool("img", "convert", *args, "-O", "raw", IMAGE, "x.raw")
        with open("x.raw", "rb") as file:
            found = file.read()
        # qemu-img gives a snapshot the size that the disk has now
        shorter = min(len(found), len(expected))
        first = next((i for i in range(shorter) if found[i] != expected[i]), None) if found[:shorter] != bytes(expected[:shorter]) else None
        check(first is None and not any(found[shorter:]), "\n".join(self.log[-15:]) + f"\ndiffers at {first}, lengths {len(found)} {len(expected)}")

    def verify(self):
        for who in (OURS, THEIRS):
            done = run(*who[0], "check", IMAGE, ok=None)
            check(done.returncode == 0, "\n".join(self.log[-15:]) + "\n" + (done.stdout + done.stderr).decode()[:1500])
        self.same(self.disk)
        for name in sorted(self.snapshots):
            self.same(self.snapshots[name], "-l", f"snapshot.name={name}")

    def run(self, steps):
        for step in range(steps):
            what = self.random.choices((self.write, self.write_compressed, self.zero, self.take, self.apply, self.delete, self.grow),
                                       (12, 2, 3, 5, 3, 3, 1))[0]
            what()
            if step % 10 == 9:
                self.verify()
        self.verify()


FORMS = [("cluster_size=64k", 4 << 20), ("cluster_size=4k", 3 << 20), ("cluster_size=512", 1 << 20), ("compat=0.10,cluster_size=4k", 2 << 20),
         ("cluster_size=16k,extended_l2=on", 4 << 20), ("cluster_size=4k,refcount_bits=8", 2 << 20), ("cluster_size=2M", 10 << 20),
         ("cluster_size=8k,refcount_bits=64,lazy_refcounts=on", 2 << 20)]
for number, (form, size) in enumerate(FORMS):
    def turns(number=number, form=form, size=size):
        shadow = Shadow(1000 + number, form, size)
        shadow.cluster = int(json.loads(run("qemu-img", "info", "--output=json", IMAGE).stdout)["cluster-size"])
        shadow.run(40)
    case(f"in turns: {form}")(turns)


def listed(who):
    return json.loads(run(*who[0], "info", "--output=json", IMAGE).stdout).get("snapshots", [])


@case("the list is the same")
def _():
    run("qemu-img", "create", "-q", "-f", "qcow2", IMAGE, "1M")
    for who in (OURS, THEIRS, OURS, THEIRS):
        run(*who[0], "snapshot", "-c", "same name", IMAGE)
    check(listed(OURS) == listed(THEIRS) and len(listed(OURS)) == 4, f"{listed(OURS)} {listed(THEIRS)}")


@case("a refcount that cannot grow refuses the snapshot, and nothing changed")
def _():
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "refcount_bits=1", IMAGE, "1M")
    run("qemu-io", "-f", "qcow2", "-c", "write -P 3 0 1M", IMAGE)
    done = run(*OURS[0], "snapshot", "-c", "s", IMAGE, ok=(1,))
    check(b"refcount" in done.stderr, done.stderr)
    run("qemu-img", "check", IMAGE)
    check(listed(THEIRS) == [], listed(THEIRS))
    run("qemu-io", "-r", "-f", "qcow2", "-c", "read -P 3 0 1M", IMAGE)


@case("refusals")
def _():
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "data_file=d.raw", IMAGE, "1M")
    run(*OURS[0], "snapshot", "-c", "s", IMAGE, ok=(1,))
    run("qemu-img", "create", "-q", "-f", "qcow2", IMAGE, "1M")
    for what in ("-a", "-d"):
        run(*OURS[0], "snapshot", what, "nobody", IMAGE, ok=(1,))
    run("qemu-img", "check", IMAGE)


main()
