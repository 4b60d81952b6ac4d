#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# qcow2-check.py - roost img check beside qemu-img check on images with one thing broken (damage.py): verdicts, counters, findings; what each
# repairs, as the other sees it, and that the disk reads the same afterwards
import json
import os
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from damage import DAMAGE, base, run
from tap import ROOST, case, check, main

folder = tempfile.TemporaryDirectory(prefix="roost-check-")
os.chdir(folder.name)
OURS, THEIRS = [ROOST, "img"], ["qemu-img"]

# Where the two differ, and why that is meant: what our check without and with -r all says, as (status, corruptions left).
MEANT = {
    # qemu-img opens no image with such bitmaps, not even to check it
    "bitmap directory beyond the end": (1, 1), "bitmap table entry with reserved bits": (2, 2), "bitmap directory entry broken": (2, 2),
    # an L1 entry of nothing but the COPIED flag is no table at offset 0, where the header is
    "L1 entry points to the header": (2, 2),
    # both of the two blocks are named
    "refcount table twice the same block": (2, 0),
    # qemu-img gives up in the repair, or repairs less
    "refcount table entry not aligned": (1, 0), "refcount table entry reserved bits": (2, 0), "snapshot's L1 too large": (2, 2),
    # the table was the refcount table, which is not written over: the next repair mends the rest
    "L1 entry points to the refcount table": (2, 2),
    # qemu-img -r loses the snapshots here: it writes a header before it has read their table
    "nothing, with snapshot, bitmap, compressed clusters": (0, 0),
    # qemu-img's repair marks the bitmaps in use, frees them, and leaves no bitmap
    "bitmap table beyond the end": (2, 2), "bitmap table entry points to data": (2, 0),
}
# The repair makes the file grow to where the block would have been, or writes a new table where ours mends the blocks that are there.
COUNTERS_DIFFER = {"refcount table entry beyond the end", "second refcount block beyond the end", "refcount table at zero"}
IGNORED = ("filename", "format", "image-end-offset")


def examine(who, path, *options):
    done = run(*who, "check", "--output=json", *options, path, ok=None)
    text = done.stdout.decode()
    found = json.loads(text[:text.rindex("}") + 1]) if "}" in text else {}
    findings = done.stderr.decode(errors="replace").replace("qemu-img: ERROR", "ERROR").replace("to fix.Leaked", "to fix.\nLeaked")
    lines = sorted(line for line in findings.splitlines() if line.startswith(("ERROR", "Leaked", "Can't")))
    return done.returncode, {k: v for k, v in found.items() if k not in IGNORED}, lines


def contents(path):
    if os.path.exists("out.raw"):
        os.unlink("out.raw")
    done = run("qemu-img", "convert", "-O", "raw", path, "out.raw", ok=None)
    if done.returncode:
        return None
    with open("out.raw", "rb") as file:
        return file.read()


def one(name, options, breaks):
    image = base("sound.qcow2", **options)
    breaks(image)
    for side in ("ours.qcow2", "theirs.qcow2"):
        shutil.copy("sound.qcow2", side)
    a, b = examine(OURS, "ours.qcow2"), examine(THEIRS, "theirs.qcow2")
    if name in MEANT:
        check(a[0] == MEANT[name][0], f"{a}\n{b}")
    else:
        check(a[:2] == b[:2] and (a[2] == b[2] or name == "snapshot table not aligned"), f"ours   {a}\ntheirs {b}")
    before = contents("ours.qcow2")
    a, b = examine(OURS, "ours.qcow2", "-r", "all"), examine(THEIRS, "theirs.qcow2", "-r", "all")
    after = examine(THEIRS, "ours.qcow2")
    if name in MEANT:
        check(a[0] == MEANT[name][1], f"repair: {a}\n{b}")
    else:
        check(a[0] == b[0] and (name in COUNTERS_DIFFER or a[1] == b[1]), f"repair: ours   {a}\ntheirs {b}")
        check(after[:2] == examine(THEIRS, "theirs.qcow2")[:2], f"after the repair: {after}")
    check(examine(OURS, "ours.qcow2")[0] == after[0] or "bitmap" in name, f"after: {examine(OURS, 'ours.qcow2')} {after}")
    if before is not None and a[0] == 0 and "to the L2 table" not in name:
        check(contents("ours.qcow2") == before, "the repaired disk reads other bytes")


for row in DAMAGE:
    case(row[0])(lambda row=row: one(*row))


@case("-r leaks mends leaks, and flags where all else is sound")
def _():
    for name, options, breaks in DAMAGE:
        if name in ("leaked cluster inside the file: L2 entry cleared", "refcount too high", "L2 entry without COPIED", "snapshot count zero",
                    "two L2 entries, one cluster", "L1 entry zero: all clusters leak", "compressed cluster, refcount too high"):
            breaks(base("sound.qcow2", **options))
            for side in ("ours.qcow2", "theirs.qcow2"):
                shutil.copy("sound.qcow2", side)
            a, b = examine(OURS, "ours.qcow2", "-r", "leaks"), examine(THEIRS, "theirs.qcow2", "-r", "leaks")
            check(a == b, f"{name}: {a} {b}")


@case("a large image costs what it holds")
def _():
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=512", "big.qcow2", "100G")
    run("qemu-io", "-f", "qcow2", "-c", "write 0 1M", "-c", "write 99G 1M", "big.qcow2")
    check(examine(OURS, "big.qcow2") == examine(THEIRS, "big.qcow2"), "differs")


main()
