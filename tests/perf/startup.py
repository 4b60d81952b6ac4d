#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Start-up time, memory and boot times, QEMU beside them where it is installed: startup.py ROOST [GUESTS-FOLDER]. Prints tables.

Start-up: from fork and exec to the end of a ROM guest whose first instructions write isa-debug-exit, so an upper bound for "first guest
instruction". Memory: what the process holds beyond guest RAM while a ROM guest loops (Pss of all mappings that are not the guest's).
Runs alternate between the programs; medians and minima of N runs count, for the machine may be shared."""
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

roost = os.path.abspath(sys.argv[1])
guests = os.path.abspath(sys.argv[2]) if len(sys.argv) > 2 else None
runs = int(os.environ.get("RUNS", "15"))
qemu = shutil.which("qemu-system-x86_64")


def rom(code):
    """64 KiB whose reset vector jumps to its start: code runs in real mode at F000:0000."""
    image = bytearray(b"\xf4" * 65536)
    image[:len(code)] = code
    image[0xFFF0:0xFFF5] = bytes([0xEA, 0x00, 0x00, 0x00, 0xF0])
    return bytes(image)


HELLO = b"".join(bytes([0xBA, 0xF8, 0x03, 0xB0, c, 0xEE]) for c in b"OK\n")     # mov dx,3f8h; mov al,c; out dx,al
EXIT = bytes([0xBA, 0xF4, 0x00, 0xB0, 0x00, 0xEE])                               # mov dx,0f4h; mov al,0; out dx,al
LOOP = bytes([0xEB, 0xFE])

folder = tempfile.mkdtemp()
exit_rom, loop_rom = f"{folder}/exit.bin", f"{folder}/loop.bin"
open(exit_rom, "wb").write(rom(HELLO + EXIT + LOOP))
open(loop_rom, "wb").write(rom(HELLO + b"\xFA\xF4" + LOOP))


def programs(accel):
    found = [("roost", [roost, "-accel", accel])]
    if qemu:
        found.append(("qemu", [qemu, "-accel", accel]))
    return found


def once(command):
    begin = time.perf_counter()
    status = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60).returncode
    return (time.perf_counter() - begin) * 1000, status


def startup(accel):
    common = ["-m", "16", "-nodefaults", "-display", "none", "-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-bios", exit_rom]
    times = {name: [] for name, _ in programs(accel)}
    for _ in range(runs):
        for name, command in programs(accel):
            took, status = once(command + common)
            if status == 1:
                times[name].append(took)
    for name, values in times.items():
        if values:
            print(f"| {accel} | {name} | {min(values):.1f} | {statistics.median(values):.1f} | {max(values):.1f} |")
        else:
            print(f"| {accel} | {name} | - | - | - |")


def memory(accel):
    common = ["-m", "64", "-nodefaults", "-display", "none", "-serial", "null", "-bios", loop_rom]
    for name, command in programs(accel):
        process = subprocess.Popen(command + common, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(1.0)
        try:
            smaps = open(f"/proc/{process.pid}/smaps").read()
        except OSError:
            smaps = ""
        process.terminate()
        process.wait()
        total = private = 0
        for block in re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", smaps):
            size, resident = re.search(r"^Size:\s+(\d+)", block, re.M), re.search(r"^Rss:\s+(\d+)", block, re.M)
            if not size or 65536 <= int(size[1]) <= 65536 + 4096:
                continue                                # the guest's RAM
            total += int(resident[1])
            private += sum(int(n) for n in re.findall(r"^Private_\w+:\s+(\d+)", block, re.M))
        print(f"| {accel} | {name} | {total / 1024:.1f} | {private / 1024:.1f} |" if total else f"| {accel} | {name} | - | - |")


def boot(accel):
    if not guests or not os.path.exists(f"{guests}/vmlinuz-cloud"):
        return
    print("\n| boot of Debian's cloud kernel to user space and power-off (tcg) | min s | median s |\n|---|---|---|")
    common = ["-m", "512", "-nographic", "-no-reboot", "-nodefaults", "-serial", "null", "-kernel", f"{guests}/vmlinuz-cloud", "-initrd",
              f"{guests}/initrd.gz", "-append", "console=ttyS0 panic=-1 quiet roost.run=poweroff"]
    times = {name: [] for name, _ in programs(accel)}
    for _ in range(max(3, runs // 5)):
        for name, command in programs(accel):
            begin = time.perf_counter()
            subprocess.run(command + common, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300)
            times[name].append(time.perf_counter() - begin)
    for name, values in times.items():
        print(f"| {name} | {min(values):.2f} | {statistics.median(values):.2f} |")


accels = os.environ.get("ACCELS", "tcg kvm" if os.access("/dev/kvm", os.R_OK | os.W_OK) else "tcg").split()
print(f"| accelerator | program | start-up ms, min | median | max |  ({runs} runs each, alternating)\n|---|---|---|---|---|")
for accel in accels:
    startup(accel)
print("\n| accelerator | program | resident MiB beyond guest RAM | of it private |\n|---|---|---|---|")
for accel in accels:
    memory(accel)
boot("tcg")
shutil.rmtree(folder)
