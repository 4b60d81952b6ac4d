#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""block.py - `roost img bench` beside `qemu-img bench`: requests through each engine, cache mode and format

    block.py ROOST [FOLDER [ROUNDS [ROWS]]]

The two take turns, ROUNDS times (5), on the same file in FOLDER (where the images of 1 GiB go; a real disk, not a tmpfs). A row is
microseconds a request: least of all rounds, (median), and processor time in [ ]; ratios above 1 are ours. ROWS: only rows in whose
name it stands, as "raw none io_uring"."""
import os
import re
import resource
import statistics
import subprocess
import sys

ROOST, FOLDER = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "."
ROUNDS = int(sys.argv[3]) if len(sys.argv) > 3 else 5
ROWS = sys.argv[4] if len(sys.argv) > 4 else ""
SIZE = 1 << 30
KINDS = [("4 KiB random read", 4096, 8192000, False), ("4 KiB random write", 4096, 8192000, True),
         ("64 KiB sequential read", 65536, 65536, False), ("64 KiB sequential write", 65536, 65536, True)]
WAYS = [("writeback", "threads"), ("writeback", "io_uring"), ("none", "threads"), ("none", "native"), ("none", "io_uring")]


def run(tool, image, form, cache, engine, kind):
    """Microseconds of wall and processor time for a request."""
    name, size, step, write = kind
    count = 50000 if cache == "writeback" and size == 4096 else 20000 if size == 4096 else 8000
    command = [*tool, "bench", "-f", form, "-t", cache, "-i", engine, "-c", str(count), "-d", "64", "-s", str(size), "-S", str(step)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([*command, *(["-w"] if write else []), image], capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = re.search(r"Run completed in ([\d.]+) seconds", done.stdout)
    if not found:
        return None, (done.stderr.strip().splitlines() or ["?"])[-1]
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return float(found.group(1)) * 1e6 / count, cpu * 1e6 / count


def settle(image):
    fd = os.open(image, os.O_RDWR)
    os.fdatasync(fd)
    os.close(fd)


def make(form):
    """An image all of whose clusters are there."""
    image = os.path.join(FOLDER, f"bench.{form}")
    if form == "raw":
        with open(image, "wb") as file:
            for _ in range(SIZE >> 20):
                file.write(b"Z" * (1 << 20))
    else:
        subprocess.run(["qemu-img", "convert", "-O", form, os.path.join(FOLDER, "bench.raw"), image], check=True)
    settle(image)
    return image


def show(numbers):
    walls = [wall for wall, _ in numbers]
    return f"{min(walls):7.2f} ({statistics.median(walls):7.2f}) [{min(cpu for _, cpu in numbers):6.2f}]"


def row(image, form, cache, engine, kind):
    ours, theirs = [], []
    for _ in range(ROUNDS):
        for tool, numbers in (([ROOST, "img"], ours), (["qemu-img"], theirs)):
            settle(image)
            wall, cpu = run(tool, image, form, cache, engine, kind)
            if wall is None:
                print(f"  {tool[0]}: {cpu}")
                return
            numbers.append((wall, cpu))
    least = min(wall for wall, _ in theirs) / min(wall for wall, _ in ours)
    middle = statistics.median(wall for wall, _ in theirs) / statistics.median(wall for wall, _ in ours)
    print(f"{kind[0]:24} {form:6} {cache:10} {engine:9} {show(ours):28} {show(theirs):28} {least:6.2f} {middle:6.2f}", flush=True)


def main():
    print(f"{'':24} {'format':6} {'cache':10} {'engine':9} {'roost img':28} {'qemu-img':28} {'least':>6} {'median':>6}")
    for form in ("raw", "qcow2"):
        image = make(form)
        for cache, engine in WAYS:
            for kind in KINDS:
                if ROWS in f"{form} {cache} {engine} {kind[0]}":
                    row(image, form, cache, engine, kind)
    for form in ("raw", "qcow2"):
        os.unlink(os.path.join(FOLDER, f"bench.{form}"))


main()
