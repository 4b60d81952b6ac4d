#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest's own disk: 4 KiB random reads and writes, 32 at once, through virtio-blk: guest-disk.py ROOST GUESTS-FOLDER GUEST-READ [SECONDS [ROUNDS]]

Debian's kernel on the software CPU, with qemu-system's TCG beside it where that is installed, in turns; medians of the rounds. The image is
a file in the page cache."""
import os
import re
import shutil
import statistics
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "guest"))
import console

roost, guests, tool = (os.path.abspath(path) for path in sys.argv[1:4])
seconds = int(sys.argv[4]) if len(sys.argv) > 4 else 5
rounds = int(sys.argv[5]) if len(sys.argv) > 5 else 3
MEGABYTE = 1 << 20
PROMPT = r"/ # "
RUNS = [("read, 32 at once", "32", ""), ("read, one at a time", "1", ""), ("write, 32 at once", "32", "write")]
CASES = {"main loop": [], "iothread": ["-object", "iothread,id=io"]}


def make_images(folder):
    shutil.copyfile(f"{guests}/disk.img", f"{folder}/root.img")
    with open(f"{folder}/data.img", "wb") as file:
        file.write(os.urandom(256 * MEGABYTE))
    with open(tool, "rb") as source, open(f"{folder}/tool.img", "wb") as file:
        file.write(source.read())
        file.truncate((file.tell() + MEGABYTE - 1) // MEGABYTE * MEGABYTE)


def measure(program, folder, objects):
    def drive(name):
        return ["-drive", f"if=none,id={name},format=raw,file={folder}/{name}.img"]
    thread = ",iothread=io" if objects else ""
    command = [program, "-accel", "tcg", "-m", "256", "-nographic", "-nodefaults", "-serial", "stdio", "-no-reboot", *objects,
               *drive("root"), "-device", "virtio-blk-pci,drive=root,bootindex=0,addr=5",
               *drive("data"), "-device", f"virtio-blk-pci,drive=data,addr=6{thread}", *drive("tool"), "-device", "virtio-blk-pci,drive=tool,addr=7"]
    script = [(PROMPT, "dd if=/dev/vdc of=/g bs=64k 2>/dev/null; chmod 755 /g\n")]
    for _, depth, write in RUNS:
        script.append((PROMPT, f"/g /dev/vdb {depth} {seconds} {write}\n"))
        script.append((r"guest-read: \d+ requests in \d+ us", None))
    script.append((PROMPT, "poweroff -f\n"))
    outcome = console.follow(command, script, 120 + 3 * seconds * len(RUNS), None)
    if outcome.failure:
        sys.exit(outcome.failure + "\n" + outcome.tail())
    return [int(n) * 1e6 / int(us) for n, us in re.findall(r"guest-read: (\d+) requests in (\d+) us", outcome.console)]


programs = {"roost": roost}
if shutil.which("qemu-system-x86_64"):
    programs["qemu"] = shutil.which("qemu-system-x86_64")
results = {}
with tempfile.TemporaryDirectory() as folder:
    make_images(folder)
    for _ in range(rounds):
        for case, objects in CASES.items():
            for name, program in programs.items():
                results.setdefault((case, name), []).append(measure(program, folder, objects))
print(f"{'requests a second, median of ' + str(rounds):42}" + "".join(f"{name:>10}" for name in programs) + ("     ratio" if len(programs) > 1 else ""))
for case in CASES:
    for number, (what, _, _) in enumerate(RUNS):
        medians = [statistics.median(run[number] for run in results[case, name]) for name in programs]
        ratio = f"{medians[0] / medians[1]:10.2f}" if len(medians) > 1 else ""
        print(f"{case + ': ' + what:42}" + "".join(f"{value:10.0f}" for value in medians) + ratio)
