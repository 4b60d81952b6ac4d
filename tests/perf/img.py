#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""roost img beside qemu-img: img.py ROOST [FOLDER]. Prints tables of medians, in one go.

Each measurement runs alternately with both programs, RUNS times (5), in FOLDER (a temporary one): convert raw to qcow2, convert -c,
create, snapshot, info, and bench with each engine on raw and qcow2. SIZE (MiB, 512) is the source's. The ratio is QEMU's time by ours:
above 1 we are faster."""
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

roost = os.path.abspath(sys.argv[1])
runs = int(os.environ.get("RUNS", "5"))
size = int(os.environ.get("SIZE", "512"))
top = tempfile.mkdtemp(dir=sys.argv[2] if len(sys.argv) > 2 else None)
# No place comes twice: where the image ends, qemu-img 7.2 starts again at the offset's remainder by the image's size, we (as later versions) by
# the size less one request, so a power of two as the greatest common divisor made it write to the same 1024 blocks again and again.
FAR = str((7 << 20) + 4096)
ours, theirs = [roost, "img"], ["qemu-img"]


def at(name):
    return os.path.join(top, name)


def once(command, **more):
    begin = time.perf_counter()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, cwd=top, **more)
    took = time.perf_counter() - begin
    if done.returncode:
        return None, done.stderr.strip().splitlines()[-1:] or [f"status {done.returncode}"]
    return took, done.stdout


def seconds_of_bench(out):
    return float(out.split("Run completed in ")[1].split()[0])


def settle(name):
    """Nothing is left for the host to write when a run begins."""
    if os.path.exists(at(name)):
        fd = os.open(at(name), os.O_RDWR)
        os.fdatasync(fd)
        os.close(fd)


def row(title, args, prepare=None, bench=False):
    times, why = {"ours": [], "theirs": []}, ""
    for turn in range(runs):
        for side, program in (("ours", ours), ("theirs", theirs))[::1 if turn % 2 == 0 else -1]:     # who comes first has colder memory
            if prepare:
                prepare()
            if bench:
                settle(args[-1])
            took, said = once(program + args)
            if took is None:
                why = f"{side}: {said[0] if said else ''}"
                continue
            times[side].append(seconds_of_bench(said) if bench else took)
    if not times["ours"] or not times["theirs"]:
        print(f"| {title} | - | - | {why[:90]} |", flush=True)
        return
    a, b = (statistics.median(times[s]) * 1000 for s in ("ours", "theirs"))
    best = min(times["theirs"]) / max(min(times["ours"]), 1e-9)
    print(f"| {title} | {a:.1f} | {b:.1f} | {b / max(a, 1e-6):.2f} ({best:.2f}) |", flush=True)


def table(heading):
    print(f"\n### {heading}\n\n| what | Roost, ms | qemu-img, ms | ratio of medians (of minima) |\n|---|---|---|---|")


def make_source():
    """A third data that compresses, a third that does not, a third holes."""
    r = random.Random(1)
    text = b" ".join(bytes(r.choices(range(97, 123), k=r.randrange(2, 9))) for _ in range(200000))
    with open(at("src.raw"), "wb") as file:
        for i in range(0, size):
            file.seek(i << 20)
            if i % 3 == 0:
                begin = r.randrange(0, len(text) - 1000)
                file.write((text[begin:] + text)[:1 << 20])
            elif i % 3 == 1:
                file.write(r.randbytes(1 << 20))
        file.truncate(size << 20)


def qcow2(name, *options):
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *options, at(name), "1G"], check=True)


def gone(*names):
    for name in names:
        if os.path.exists(at(name)):
            os.unlink(at(name))


def images():
    table(f"images ({size} MiB source)")
    row("create qcow2 1G", ["create", "-f", "qcow2", "new.qcow2", "1G"], lambda: gone("new.qcow2"))
    row("create qcow2 1G, preallocation=metadata", ["create", "-f", "qcow2", "-o", "preallocation=metadata", "new.qcow2", "1G"], lambda: gone("new.qcow2"))
    row("convert raw to raw", ["convert", "-f", "raw", "-O", "raw", "src.raw", "out.raw"], lambda: gone("out.raw"))
    gone("out.raw")
    row("convert raw to qcow2", ["convert", "-f", "raw", "-O", "qcow2", "src.raw", "out.qcow2"], lambda: gone("out.qcow2"))
    row("convert raw to qcow2 -W", ["convert", "-W", "-f", "raw", "-O", "qcow2", "src.raw", "out.qcow2"], lambda: gone("out.qcow2"))
    row("convert qcow2 to raw", ["convert", "-f", "qcow2", "-O", "raw", "out.qcow2", "back.raw"], lambda: gone("back.raw"))
    row("compare raw with qcow2", ["compare", "-f", "raw", "-F", "qcow2", "src.raw", "out.qcow2"])
    row("check qcow2", ["check", "out.qcow2"])
    row("map --output=json qcow2", ["map", "--output=json", "out.qcow2"])
    row("info qcow2", ["info", "out.qcow2"])
    row("snapshot -c", ["snapshot", "-c", "one", "snap.qcow2"], lambda: shutil.copyfile(at("out.qcow2"), at("snap.qcow2")))
    gone("snap.qcow2", "back.raw")
    chains()
    gone("out.qcow2")
    row("convert -c raw to qcow2", ["convert", "-c", "-f", "raw", "-O", "qcow2", "src.raw", "out.qcow2"], lambda: gone("out.qcow2"))
    row("convert -c zstd", ["convert", "-c", "-o", "compression_type=zstd", "-f", "raw", "-O", "qcow2", "src.raw", "out.qcow2"], lambda: gone("out.qcow2"))
    row("convert compressed to raw", ["convert", "-f", "qcow2", "-O", "raw", "out.qcow2", "back.raw"], lambda: gone("back.raw"))
    gone("out.qcow2", "back.raw", "new.qcow2")


def chains():
    """An overlay of 128 MiB above the source, and a base that differs from it in every seventh MiB."""
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", "out.qcow2", "-F", "qcow2", at("top.qcow2")], check=True)
    subprocess.run(["qemu-img", "bench", "-w", "-c", "128", "-s", "1M", "-S", "2M", "-f", "qcow2", "-t", "unsafe", at("top.qcow2")], check=True,
                   stdout=subprocess.DEVNULL)
    shutil.copyfile(at("out.qcow2"), at("other.qcow2"))
    subprocess.run(["qemu-img", "bench", "-w", "-c", str(size // 7), "-s", "64k", "-S", "7M", "-f", "qcow2", "-t", "unsafe", at("other.qcow2")],
                   check=True, stdout=subprocess.DEVNULL)
    shutil.copyfile(at("top.qcow2"), at("keep.qcow2"))
    fresh = lambda: shutil.copyfile(at("keep.qcow2"), at("top.qcow2"))
    row("rebase to a base that differs", ["rebase", "-b", "other.qcow2", "-F", "qcow2", "top.qcow2"], fresh)
    row("rebase to none", ["rebase", "-b", "", "top.qcow2"], fresh)
    row("convert a chain to qcow2", ["convert", "-O", "qcow2", "top.qcow2", "flat.qcow2"], lambda: (fresh(), gone("flat.qcow2")))
    row("commit 128 MiB", ["commit", "top.qcow2"], fresh)
    gone("top.qcow2", "other.qcow2", "keep.qcow2", "flat.qcow2")


def fill(name, form):
    subprocess.run(["qemu-img", "bench", "-q", "-w", "-c", "1024", "-d", "8", "-s", "1M", "-f", form, "-t", "unsafe", at(name)], check=True,
                   stdout=subprocess.DEVNULL)


def benches():
    with open(at("b.raw"), "wb") as file:
        file.truncate(1 << 30)
    qcow2("b.qcow2")
    fill("b.raw", "raw")
    fill("b.qcow2", "qcow2")
    count = os.environ.get("COUNT", "20000")
    for engine, cache in (("threads", "writeback"), ("threads", "none"), ("native", "none"), ("io_uring", "writeback"), ("io_uring", "none")):
        table(f"bench, aio={engine}, cache={cache}")
        for form in ("raw", "qcow2"):
            common = ["-f", form, "-i", engine, "-t", cache, "b." + form]
            row(f"{form}: 4 KiB reads, 64 at once, far apart", ["bench", "-c", count, "-S", FAR, *common], bench=True)
            row(f"{form}: 4 KiB writes, 64 at once, far apart", ["bench", "-w", "-c", count, "-S", FAR, *common], bench=True)
            row(f"{form}: 4 KiB reads, one at a time", ["bench", "-d", "1", "-c", str(int(count) // 4), "-S", FAR, *common], bench=True)
            row(f"{form}: 64 KiB reads in order", ["bench", "-c", str(int(count) // 4), "-s", "64k", *common], bench=True)
            row(f"{form}: 64 KiB writes in order", ["bench", "-w", "-c", str(int(count) // 4), "-s", "64k", *common], bench=True)
    table("qcow2, first writes (allocating)")
    fresh = lambda: (gone("f.qcow2"), qcow2("f.qcow2"))
    for engine, cache in (("threads", "writeback"), ("io_uring", "none")):
        common = ["-f", "qcow2", "-i", engine, "-t", cache, "f.qcow2"]
        row(f"{engine}, {cache}: 4 KiB in order", ["bench", "-w", "-c", count, *common], fresh, bench=True)
        row(f"{engine}, {cache}: 64 KiB in order", ["bench", "-w", "-c", str(int(count) // 4), "-s", "64k", *common], fresh, bench=True)
        row(f"{engine}, {cache}: 4 KiB far apart", ["bench", "-w", "-c", str(int(count) // 4), "-S", FAR, *common], fresh, bench=True)


try:
    make_source()
    print(f"medians of {runs} alternating runs; {os.cpu_count()} processors")
    what = os.environ.get("ONLY", "images benches").split()
    if "images" in what:
        images()
    if "benches" in what:
        benches()
finally:
    shutil.rmtree(top)
