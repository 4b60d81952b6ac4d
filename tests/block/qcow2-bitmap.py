#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# qcow2-bitmap.py - persistent bitmaps made, changed and written under by Roost and by QEMU's tools in turns; the bits in the file are held
# against a shadow
import json
import os
import random
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from damage import BITMAPS, Image, run
from tap import ROOST, case, check, main

folder = tempfile.TemporaryDirectory(prefix="roost-bitmap-")
os.chdir(folder.name)
OURS, THEIRS = ([ROOST, "img"], [ROOST, "io"]), (["qemu-img"], ["qemu-io"])
IMAGE = "x.qcow2"


def stored(path):
    """{name: (granularity, flags, set of dirty granules)} as the file has it."""
    image, out = Image(path), {}
    extension = image.extension(BITMAPS)
    if extension is None:
        return out
    at = image.u(extension + 16)
    for _ in range(image.u(extension, 32)):
        table, entries, flags = image.u(at), image.u(at + 8, 32), image.u(at + 12, 32)
        granularity, name_length, extra = image.u(at + 17, 8), image.u(at + 18, 16), image.u(at + 20, 32)
        with open(path, "rb") as file:
            file.seek(at + 24 + extra)
            name = file.read(name_length).decode()
            dirty = set()
            for n in range(entries):
                entry, first = image.u(table + 8 * n), n * image.cluster * 8
                if entry == 1:
                    dirty.update(range(first, first + image.cluster * 8))
                elif entry:
                    file.seek(entry)
                    bits = file.read(image.cluster)
                    dirty.update(first + 8 * i + b for i, byte in enumerate(bits) if byte for b in range(8) if byte >> b & 1)
        size = image.u(24)
        out[name] = (1 << granularity, flags, {g for g in dirty if g << granularity < size})
        at += (24 + extra + name_length + 7) // 8 * 8
    return out


class Shadow:
    def __init__(self, seed, options, size):
        self.random, self.size, self.log, self.names = random.Random(seed), size, [], 0
        self.bitmaps = {}                  # name: [granularity, enabled, set]
        self.tool("img", "create", "-q", "-f", "qcow2", "-o", options, IMAGE, str(size))

    def tool(self, kind, *args):
        who = self.random.choice((OURS, THEIRS))
        self.log.append(" ".join([*who[kind == "io"], *args]))
        done = run(*who[kind == "io"], *args, ok=None)
        if done.returncode != 0 or (kind == "io" and b"failed" in done.stdout + done.stderr):
            raise AssertionError("\n".join(self.log[-12:]) + f"\nstatus {done.returncode}: {done.stdout!r} {done.stderr!r}")

    def write(self):
        at = self.random.randrange(self.size // 512) * 512
        length = min(self.random.choice((512, 4096, 70000 // 512 * 512, 1 << 20)), self.size - at)
        what = self.random.choice((f"write -P 5 {at} {length}", f"write -z {at} {length}"))
        self.tool("io", "-f", "qcow2", "-c", what, IMAGE)
        for granularity, enabled, dirty in self.bitmaps.values():
            if enabled:
                dirty.update(range(at // granularity, (at + length - 1) // granularity + 1))

    def add(self):
        if len(self.bitmaps) < 5:
            self.names += 1
            granularity, on = self.random.choice((512, 4096, 65536, 1 << 20)), self.random.random() < 0.7
            self.tool("img", "bitmap", "--add", "-g", str(granularity), *([] if on else ["--disable"]), IMAGE, f"b{self.names}")
            self.bitmaps[f"b{self.names}"] = [granularity, on, set()]

    def any(self):
        return self.random.choice(sorted(self.bitmaps)) if self.bitmaps else None

    def remove(self):
        if self.any() and self.random.random() < 0.4:
            name = self.any()
            self.tool("img", "bitmap", "--remove", IMAGE, name)
            del self.bitmaps[name]

    def clear(self):
        if self.any():
            name = self.any()
            self.tool("img", "bitmap", "--clear", IMAGE, name)
            self.bitmaps[name][2].clear()

    def switch(self):
        if self.any():
            name, on = self.any(), self.random.random() < 0.5
            self.tool("img", "bitmap", "--enable" if on else "--disable", IMAGE, name)
            self.bitmaps[name][1] = on

    def merge(self):
        if len(self.bitmaps) > 1:
            a, b = self.random.sample(sorted(self.bitmaps), 2)
            self.tool("img", "bitmap", "--merge", b, IMAGE, a)
            from_size, to_size = self.bitmaps[b][0], self.bitmaps[a][0]
            for granule in self.bitmaps[b][2]:
                last = min((granule + 1) * from_size, self.size) - 1
                self.bitmaps[a][2].update(range(granule * from_size // to_size, last // to_size + 1))

    def resize(self):
        grown = self.size + self.random.choice((65536, 1 << 20, 3 << 20))
        self.tool("img", "resize", "-q", IMAGE, str(grown))
        self.size = grown

    def verify(self):
        found = stored(IMAGE)
        wanted = {name: (granularity, 2 if enabled else 0, dirty) for name, (granularity, enabled, dirty) in self.bitmaps.items()}
        trail = "\n".join(self.log[-12:])
        check(sorted(found) == sorted(wanted), f"{trail}\n{sorted(found)} {sorted(wanted)}")
        for name, (granularity, flags, dirty) in wanted.items():
            check(found[name][:2] == (granularity, flags), f"{trail}\n{name}: {found[name][:2]} instead of {granularity, flags}")
            check(found[name][2] == dirty, f"{trail}\n{name}: {sorted(found[name][2] ^ dirty)[:20]} differ")
        for who in (OURS, THEIRS):
            done = run(*who[0], "check", IMAGE, ok=None)
            check(done.returncode == 0, trail + "\n" + (done.stdout + done.stderr).decode()[:1500])

    def run(self, steps):
        for _ in range(steps):
            self.random.choices((self.write, self.add, self.remove, self.clear, self.switch, self.merge, self.resize),
                                (10, 4, 2, 1, 2, 2, 1))[0]()
            self.verify()


for number, (form, size) in enumerate([("cluster_size=64k", 20 << 20), ("cluster_size=512", 3 << 20), ("cluster_size=4k", (9 << 20) + 512),
                                       ("cluster_size=2M,extended_l2=on", 30 << 20)]):
    case(f"in turns: {form}")(lambda number=number, form=form, size=size: Shadow(50 + number, form, size).run(40))


@case("info is the same, and measure")
def _():
    run("qemu-img", "create", "-q", "-f", "qcow2", IMAGE, "10M")
    run(*OURS[0], "bitmap", "--add", IMAGE, "one")
    run("qemu-img", "bitmap", "--add", "--disable", "-g", "32k", IMAGE, "two")
    a, b = (json.loads(run(*who[0], "info", "--output=json", IMAGE).stdout)["format-specific"] for who in (OURS, THEIRS))
    check(a == b, f"{a}\n{b}")
    a, b = (run(*who[0], "measure", "-O", "qcow2", IMAGE).stdout for who in (OURS, THEIRS))
    check(a == b, f"{a} {b}")


@case("between images: merge and convert --bitmaps")
def _():
    for name in ("x.qcow2", "y.qcow2"):
        run("qemu-img", "create", "-q", "-f", "qcow2", name, "10M")
    run("qemu-img", "bitmap", "--add", "x.qcow2", "b")
    run("qemu-io", "-f", "qcow2", "-c", "write 3M 1M", "x.qcow2")
    run(*OURS[0], "bitmap", "--add", "-g", "4k", "y.qcow2", "c")
    run(*OURS[0], "bitmap", "--merge", "b", "-b", "x.qcow2", "-F", "qcow2", "y.qcow2", "c")
    check(stored("y.qcow2")["c"][2] == set(range(768, 1024)), stored("y.qcow2"))
    run(*OURS[0], "convert", "--bitmaps", "-O", "qcow2", "x.qcow2", "z.qcow2")
    check(stored("z.qcow2") == stored("x.qcow2"), f"{stored('x.qcow2')} {stored('z.qcow2')}")
    run("qemu-img", "check", "z.qcow2")


@case("an inconsistent bitmap is shown, not used, and can be removed")
def _():
    run("qemu-img", "create", "-q", "-f", "qcow2", IMAGE, "10M")
    run("qemu-img", "bitmap", "--add", IMAGE, "b")
    image = Image(IMAGE)
    at = image.u(image.extension(BITMAPS) + 16) + 12
    image.put(at, image.u(at, 32) | 1, 32)
    run(*OURS[1], "-f", "qcow2", "-c", "write 0 64k", IMAGE)
    check(json.loads(run(*OURS[0], "info", "--output=json", IMAGE).stdout)["format-specific"]["data"]["bitmaps"][0]["flags"] == ["in-use", "auto"],
          "flags")
    for what in (["--clear"], ["--enable"], ["--disable"]):
        done = run(*OURS[0], "bitmap", *what, IMAGE, "b", ok=(1,))
        check(b"inconsistent" in done.stderr, done.stderr)
    run(*OURS[0], "resize", IMAGE, "20M", ok=(1,))
    run(*OURS[0], "bitmap", "--remove", IMAGE, "b")
    check(stored(IMAGE) == {}, stored(IMAGE))
    run("qemu-img", "check", IMAGE)


@case("refusals")
def _():
    run("qemu-img", "create", "-q", "-f", "qcow2", IMAGE, "10M")
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "compat=0.10", "old.qcow2", "10M")
    run(*OURS[0], "bitmap", "--add", IMAGE, "b")
    for name, args in ((IMAGE, ["--add", "-g", "3000", "c"]), (IMAGE, ["--add", "-g", "256", "c"]), (IMAGE, ["--add", "b"]),
                       (IMAGE, ["--remove", "nobody"]), (IMAGE, ["--add", "n" * 1024]), ("old.qcow2", ["--add", "b"]),
                       (IMAGE, ["--merge", "nobody", "b"])):
        done = run(*OURS[0], "bitmap", *args[:-1], name, args[-1], ok=(1,))
        check(len(done.stderr.decode().splitlines()) <= 2, done.stderr)
    run("qemu-img", "check", IMAGE)


main()
