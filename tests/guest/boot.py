#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Boots real guests and watches their serial console: boot.py ROOST GUESTS-FOLDER CASE... (no case: their names).

A case is a command line, lines that must come in this order (with what to type when they come), and the exit status. Prints TAP;
on failure the console's end and the command that reproduces it. ROOST_TEST_ACCEL overrides the accelerator."""
import os
import re
import select
import shlex
import signal
import subprocess
import sys
import time

roost, guests = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
LINUX = ["-m", "512", "-nographic", "-no-reboot", "-nodefaults", "-serial", "stdio"]


def linux(kernel, initrd, arguments, *more):
    return [*LINUX, "-kernel", f"{guests}/{kernel}", "-initrd", f"{guests}/{initrd}", "-append", f"console=ttyS0 panic=-1 {arguments}", *more]


def up(machine, cpus):
    return [(rf"ROOST-GUEST up: {machine}, {cpus} CPU\(s\) online", None)]


# name: (needs, accelerator, arguments, [(pattern, answer)], status, seconds)
CASES = {
    "cloud": (["vmlinuz-cloud", "initrd.gz"], "tcg", linux("vmlinuz-cloud", "initrd.gz", "roost.run=poweroff"), up("x86_64", 1), 0, 120),
    "cloud-bios": (["vmlinuz-cloud", "initrd.gz"], "tcg", linux("vmlinuz-cloud", "initrd.gz", "roost.run=poweroff", "-bios", "bios-256k.bin"),
                   up("x86_64", 1), 0, 180),
    "cloud-smp2": (["vmlinuz-cloud", "initrd.gz"], "tcg", linux("vmlinuz-cloud", "initrd.gz", "roost.run=poweroff", "-smp", "2"), up("x86_64", 2), 0, 180),
    "cloud-smp4": (["vmlinuz-cloud", "initrd.gz"], "tcg", linux("vmlinuz-cloud", "initrd.gz", "roost.run=poweroff", "-smp", "4"), up("x86_64", 4), 0, 240),
    "cloud-maxcpus": (["vmlinuz-cloud", "initrd.gz"], "tcg", linux("vmlinuz-cloud", "initrd.gz", "", "-smp", "1,maxcpus=4"),
                      [(r"/ # ", "echo possible=$(cat /sys/devices/system/cpu/possible) errors=$(dmesg | grep -c 'ACPI.*\\(Error\\|Warn\\)') "
                                 "slots=$(ls /sys/bus/pci/slots | wc -l)\n"),
                       (r"\npossible=0-3 errors=0 slots=30\r", "poweroff\n")], 0, 180),
    "cloud-reboot": (["vmlinuz-cloud", "initrd.gz"], "tcg", linux("vmlinuz-cloud", "initrd.gz", "roost.run=reboot"), up("x86_64", 1), 0, 120),
    "cloud-shell": (["vmlinuz-cloud", "initrd.gz"], "tcg", linux("vmlinuz-cloud", "initrd.gz", ""),
                    [(r"/ # ", "echo $((6 * 7)) is the answer\n"), (r"42 is the answer", "poweroff\n")], 0, 120),
    "cloud-panic": (["vmlinuz-cloud", "initrd.gz"], "tcg", linux("vmlinuz-cloud", "initrd.gz", "rdinit=/nothing init=/nothing"),
                    [(r"Kernel panic - not syncing", None)], 0, 120),
    "pvh": (["vmlinux-cloud", "initrd.gz"], "tcg", linux("vmlinux-cloud", "initrd.gz", "roost.run=poweroff"), up("x86_64", 1), 0, 120),
    "pae": (["vmlinuz-686", "initrd-686.gz"], "tcg", linux("vmlinuz-686", "initrd-686.gz", "roost.run=poweroff"), up("i686", 1), 0, 240),
    "memtest": (["memtest64.bin"], "tcg", ["-m", "64", "-nographic", "-nodefaults", "-serial", "stdio", "-kernel", f"{guests}/memtest64.bin",
                                            "-append", "console=ttyS0,115200"],
                [(r"Memtest86\+", None), (r"#4 +\[Moving inversions", None), (r"Errors: 0 ", "signal")], 0, 300),
    "grub": (["grub.iso"], "tcg", ["-m", "128", "-nographic", "-nodefaults", "-serial", "stdio", "-cdrom", f"{guests}/grub.iso", "-boot", "d"],
             [(r"Roost test entry one", "\r"), (r"entry one was chosen", "signal")], 0, 180),
    "seabios": ([], "tcg", ["-m", "32", "-nographic", "-nodefaults", "-serial", "none", "-chardev", "stdio,id=d", "-device",
                             "isa-debugcon,iobase=0x402,chardev=d"], [(r"SeaBIOS \(version", None), (r"No bootable device", "signal")], 0, 60),
}


def run(name):
    needs, accel, arguments, script, status, seconds = CASES[name]
    missing = [n for n in needs if not os.path.exists(f"{guests}/{n}")]
    if missing:
        return "skip", f"{', '.join(missing)} missing: run tests/guests", ""
    command = [roost, "-accel", os.environ.get("ROOST_TEST_ACCEL", accel), *arguments]
    shown = "reproduce: " + shlex.join(command)
    begin = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    console, searched, step, failure = b"", 0, 0, None
    while True:
        left = begin + seconds - time.monotonic()
        if left <= 0:
            failure = f"not done after {seconds} s; waiting for {script[step][0] if step < len(script) else 'the end'}"
            break
        if not select.select([process.stdout], [], [], left)[0]:
            continue
        data = os.read(process.stdout.fileno(), 65536)
        if not data:
            break
        console += data
        while step < len(script):
            found = re.search(script[step][0].encode(), console[searched:], re.S)
            if not found:
                break
            searched += found.end()
            answer = script[step][1]
            step += 1
            if answer == "signal":
                process.send_signal(signal.SIGTERM)
            elif answer:
                time.sleep(0.2)
                process.stdin.write(answer.encode())
                process.stdin.flush()
    if failure:
        process.kill()
    process.wait()
    took = time.monotonic() - begin
    if not failure and step < len(script):
        failure = f"ended (status {process.returncode}) before: {script[step][0]}"
    if not failure and process.returncode != status:
        failure = f"exit status {process.returncode}, expected {status}"
    tail = console.decode(errors="replace").replace("\r", "").splitlines()[-30:]
    return ("fail" if failure else "ok"), failure or f"{took:.1f} s", "\n".join([shown] + tail)


names = sys.argv[3:]
if not names:
    print("\n".join(CASES))
    sys.exit(0)
print("TAP version 13")
print(f"1..{len(names)}")
for number, name in enumerate(names, 1):
    result, note, detail = run(name)
    if result == "skip":
        print(f"ok {number} - {name} # SKIP {note}")
        continue
    print(f"{'ok' if result == 'ok' else 'not ok'} {number} - {name}: {note}")
    if result == "fail":
        for line in detail.splitlines():
            print(f"# {line}")
    sys.stdout.flush()
