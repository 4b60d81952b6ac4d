#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# img-own.py - what roost img and roost io do in their own way: help, names, trust, locks, a full disk, signals
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from tap import ROOST, Skip, case, check, main, roost      # noqa: E402

COMMANDS = ["amend", "bench", "bitmap", "check", "commit", "compare", "convert", "create", "dd", "info", "map", "measure", "rebase", "resize",
            "snapshot"]


def in_folder(name):
    """The case runs in an empty folder of its own, which is its argument."""
    def add(function):
        def run():
            with tempfile.TemporaryDirectory() as folder:
                function(folder)
        case(name)(run)
        return function
    return add


def ok(ran):
    check(ran.status == 0, ran)
    return ran


def refused(ran, *words):
    check(ran.status == 1 and len(ran.lines) == 1, ran)
    for word in words:
        check(word in ran.err, f"'{word}' is not in: {ran}")


@case("help of every command, with a line about each option")
def _():
    top = ok(roost("img", "--help")).out
    for name in COMMANDS:
        check(re.search(rf"^  {name} \[", top, re.M), f"{name} is not in the help")
        out = ok(roost("img", name, "--help")).out
        rows = re.findall(r"^  (-\S.*)$", out, re.M)
        check(len(rows) > 3 and all(re.search(r"\s{1,}\w", row) for row in rows), out)
    check(re.search(r"^Supported formats: .*\bqcow2\b.*\braw\b", top, re.M), top)
    check(ok(roost("img", "help")).out == top, "help and --help differ")
    check(re.match(r"Roost version \d", ok(roost("img", "-V")).out), "no version")
    ok(roost("io", "--help"))
    ok(roost("img", "-T", "help", "--help"))


@in_folder("called qemu-img and qemu-io through symbolic links")
def _(folder):
    for name in ("qemu-img", "qemu-io"):
        os.symlink(ROOST, f"{folder}/{name}")
        done = subprocess.run([f"{folder}/{name}", "--version"], capture_output=True, text=True)
        check(re.match(rf"{name} version \d+\.\d+\.\d+", done.stdout), done)
    done = subprocess.run([f"{folder}/qemu-img", "info", f"{folder}/none"], capture_output=True, text=True)
    check(done.returncode == 1 and done.stderr.startswith("qemu-img: "), done)
    done = subprocess.run([f"{folder}/qemu-img", "create", f"{folder}/a.raw", "1M"], capture_output=True, text=True)
    check(done.returncode == 0 and done.stdout.startswith("Formatting"), done)


@in_folder("names inside an image: beside it yes, elsewhere with --trust only")
def _(folder):
    os.mkdir(f"{folder}/sub")
    ok(roost("img", "create", "-f", "qcow2", "base.qcow2", "1M", cwd=folder))
    ok(roost("img", "create", "-f", "qcow2", "-b", "../base.qcow2", "-F", "qcow2", "sub/out.qcow2", cwd=folder))
    refused(roost("img", "create", "-f", "qcow2", "-b", "sub/out.qcow2", "-F", "qcow2", "in.qcow2", cwd=folder), "base.qcow2")
    ok(roost("img", "create", "--trust", "-f", "qcow2", "-b", "sub/out.qcow2", "-F", "qcow2", "in.qcow2", cwd=folder))
    ok(roost("img", "info", "sub/out.qcow2", cwd=folder))
    for command in (["info", "--backing-chain"], ["map"], ["convert", "-O", "raw"], ["compare"], ["commit"]):
        more = {"convert": ["x.raw"], "compare": ["base.qcow2"]}.get(command[0], [])
        ran = roost("img", *command, "sub/out.qcow2", *more, cwd=folder)
        check(ran.status in (1, 2) and len(ran.lines) == 1 and "base.qcow2" in ran.err, ran)
        ok(roost("img", *command, "--trust", "sub/out.qcow2", *more, cwd=folder))
    refused(roost("io", "-c", "read 0 1", "sub/out.qcow2", cwd=folder), "base.qcow2")
    ok(roost("io", "--trust", "-c", "read 0 1", "sub/out.qcow2", cwd=folder))


@in_folder("a locked image: the holder is named, -U reads it and says that it may be stale")
def _(folder):
    ok(roost("img", "create", "-f", "qcow2", "a.qcow2", "1M", cwd=folder))
    holder = subprocess.Popen([ROOST, "io", "a.qcow2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder)
    try:
        holder.stdin.write(b"write 0 1k\n")
        holder.stdin.flush()
        while b"ops/sec" not in holder.stdout.readline():
            pass
        for command in (["info"], ["check"], ["resize"], ["snapshot", "-c", "x"]):
            ran = roost("img", *command, "a.qcow2", *(["+1M"] if command[0] == "resize" else []), cwd=folder)
            check(ran.status == 1 and len(ran.lines) == 1 and str(holder.pid) in ran.err, ran)
        for command in (["info"], ["map"], ["check"], ["measure", "-O", "raw"], ["convert", "-O", "raw"]):
            ran = ok(roost("img", *command, "-U", "a.qcow2", *(["b.raw"] if command[0] == "convert" else []), cwd=folder))
            check("stale" in ran.err and str(holder.pid) in ran.err, ran)
    finally:
        holder.stdin.close()
        check(holder.wait(20) == 0, "the holder failed")
    check(not ok(roost("img", "info", "-U", "a.qcow2", cwd=folder)).err, "nobody holds it any more")


@in_folder("dd: count is of the blocks behind skip")
def _(folder):
    source = os.urandom(1 << 20)
    with open(f"{folder}/a.raw", "wb") as file:
        file.write(source)
    for block, skip, count in ((65536, 5, 7), (512, 3, 1000), (100000, 9, 7), (3000, 1, 5)):
        ok(roost("img", "dd", f"bs={block}", f"skip={skip}", f"count={count}", "if=a.raw", "of=b.raw", cwd=folder))
        check(open(f"{folder}/b.raw", "rb").read().rstrip(b"\0") == source[skip * block:(skip + count) * block].rstrip(b"\0"), (block, skip, count))


@in_folder("an image into itself is refused before anything is lost")
def _(folder):
    with open(f"{folder}/a.raw", "wb") as file:
        file.write(b"x" * 100000)
    for form in ("raw", "qcow2"):
        refused(roost("img", "convert", "-f", "raw", "-O", form, "a.raw", "a.raw", cwd=folder), "a.raw")
        refused(roost("img", "dd", "-f", "raw", "-O", form, "if=a.raw", "of=a.raw", cwd=folder), "a.raw")
    check(os.path.getsize(f"{folder}/a.raw") == 100000, "it was emptied")


@in_folder("no room: one line and status 1")
def _(folder):
    with open(f"{folder}/src.raw", "wb") as file:
        file.write(os.urandom(8 << 20))
    for form in ("raw", "qcow2"):
        done = subprocess.run(["sh", "-c", f"ulimit -f 4096; trap '' XFSZ; exec '{ROOST}' img convert -f raw -O {form} src.raw out.{form}"],
                              cwd=folder, capture_output=True, text=True, timeout=60)
        lines = done.stderr.splitlines()
        check(done.returncode == 1 and len(lines) == 1 and f"out.{form}" in lines[0], done)


@in_folder("SIGINT ends it at once, and the source is whole")
def _(folder):
    with open(f"{folder}/src.raw", "wb") as file:
        file.truncate(1 << 30)
        file.write(os.urandom(1 << 20))
    ran = subprocess.Popen([ROOST, "img", "convert", "-r", "1M", "-S", "0", "-f", "raw", "-O", "raw", "src.raw", "out.raw"], cwd=folder,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not os.path.exists(f"{folder}/out.raw"):
        time.sleep(0.02)
    time.sleep(0.2)
    begin = time.monotonic()
    ran.send_signal(signal.SIGINT)
    out, err = ran.communicate(timeout=20)
    check(ran.returncode == -signal.SIGINT and time.monotonic() - begin < 5, (ran.returncode, out, err))
    check(os.path.exists(f"{folder}/src.raw") and os.path.exists(f"{folder}/out.raw"), "a file is gone")


@in_folder("SIGUSR1 tells how far it is")
def _(folder):
    with open(f"{folder}/src.raw", "wb") as file:
        file.write(b"x" * (4 << 20))
    ran = subprocess.Popen([ROOST, "img", "convert", "-r", "4M", "-m", "1", "-f", "raw", "-O", "raw", "src.raw", "out.raw"], cwd=folder,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not os.path.exists(f"{folder}/out.raw"):
        time.sleep(0.02)
    for _ in range(4):
        time.sleep(0.15)
        ran.send_signal(signal.SIGUSR1)
    out, err = ran.communicate(timeout=20)
    check(ran.returncode == 0 and not out and re.search(r"^    \(\d+\.\d\d/100%\)$", err, re.M), (ran.returncode, out, err))


@in_folder("salvage: what cannot be read becomes zeroes")
def _(folder):
    with open(f"{folder}/src.raw", "wb") as file:
        file.write(b"x" * (1 << 20))
    ok(roost("img", "convert", "--salvage", "-f", "raw", "-O", "raw", "src.raw", "out.raw", cwd=folder))
    check(open(f"{folder}/out.raw", "rb").read() == b"x" * (1 << 20), "not the same")


@in_folder("names that hurt: blanks, commas, colons, newlines")
def _(folder):
    for name in ("a b.raw", "a,b=c.raw", "file:with:colons.raw", "new\nline.raw"):
        spelled = f"./{name}"
        ok(roost("img", "create", spelled, "1M", cwd=folder))
        check(os.path.exists(f"{folder}/{name}"), f"{name!r} was not made")
        ok(roost("img", "info", spelled, cwd=folder))
    ran = roost("img", "info", "none\x1b[31m\nhere", cwd=folder)
    refused(ran)
    check("\x1b" not in ran.err, ran)


@in_folder("convert -c: what can be compressed is, what cannot be is not tried for long")
def _(folder):
    chance, cluster = random.Random(3), 65536
    block = chance.randbytes(2048)
    parts = [("random", chance.randbytes(cluster), False), ("text", b"what was said twice " * (cluster // 20 + 1), True),
             ("two halves of different bytes", bytes(chance.randrange(128) for _ in range(cluster // 2)) + bytes(chance.randrange(128, 256) for _ in range(cluster // 2)), True),
             ("a random block again and again", block * 32, True), ("random, but for the end", chance.randbytes(cluster - 8192) + b"7" * 8192, True),
             ("random, but for the begin", b"7" * 8192 + chance.randbytes(cluster - 8192), True)]
    with open(f"{folder}/src.raw", "wb") as file:
        file.write(b"".join(data[:cluster] for _, data, _ in parts))
    ok(roost("img", "convert", "-c", "-f", "raw", "-O", "qcow2", "src.raw", "out.qcow2", cwd=folder))
    ok(roost("img", "compare", "-f", "raw", "-F", "qcow2", "src.raw", "out.qcow2", cwd=folder))
    runs = json.loads(ok(roost("img", "map", "--output=json", "out.qcow2", cwd=folder)).out)
    for number, (name, _, wanted) in enumerate(parts):
        run = next(run for run in runs if run["start"] <= number * cluster < run["start"] + run["length"])
        check(("offset" not in run) == wanted, f"{name}: {run}")       # compressed bytes lie at none that a block could be read from


if __name__ == "__main__":
    main()
