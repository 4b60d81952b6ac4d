#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Boots real guests and watches their serial console: boot.py ROOST GUESTS-FOLDER CASE... (no case: their names).

A case is a command line, lines that must come in this order (with what to type when they come), and the exit status. Prints TAP;
on failure the console's end and the command that reproduces it. ROOST_TEST_ACCEL overrides the accelerator."""
import re
import os
import sys

import console

roost, guests = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
LINUX = ["-m", "512", "-nographic", "-no-reboot", "-nodefaults", "-serial", "stdio"]


def linux(kernel, initrd, arguments, *more):
    return [*LINUX, "-kernel", f"{guests}/{kernel}", "-initrd", f"{guests}/{initrd}", "-append", f"console=ttyS0 panic=-1 {arguments}", *more]


def up(machine, cpus):
    return [(rf"ROOST-GUEST up: {machine}, {cpus} CPU\(s\) online", None)]


# GRUB's menu from a CD, and an entry of it.
GRUB = (["-m", "128", "-nographic", "-nodefaults", "-serial", "stdio", "-cdrom", f"{guests}/grub.iso", "-boot", "d"],
        [(r"Roost test entry one", "\r"), (r"entry one was chosen", "signal")], 0, 180)

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
                       (r"\npossible=0-3 errors=0 slots=30\r", "poweroff -f\n")], 0, 180),
    "cloud-reboot": (["vmlinuz-cloud", "initrd.gz"], "tcg", linux("vmlinuz-cloud", "initrd.gz", "roost.run=reboot"), up("x86_64", 1), 0, 120),
    # A deadline of the local APIC in another time than the processor's counter would interrupt thousands of times a second.
    "cloud-warm": (["vmlinuz-cloud", "initrd.gz"], "tcg", [a for a in linux("vmlinuz-cloud", "initrd.gz", "") if a != "-no-reboot"],
                   [(r"/ # ", "reboot -f\n"), (r"Restarting system", None), *up("x86_64", 1),
                    (r"/ # ", "n() { awk '/LOC:/ { print $2 }' /proc/interrupts; }; a=$(n); sleep 2; echo calm=$(( $(n) - a < 1500 ))\n"),
                    (r"\ncalm=1\r", "poweroff -f\n")], 0, 180),
    "cloud-shell": (["vmlinuz-cloud", "initrd.gz"], "tcg", linux("vmlinuz-cloud", "initrd.gz", ""),
                    [(r"/ # ", "echo $((6 * 7)) is the answer\n"), (r"42 is the answer", "poweroff\n")], 0, 120),
    "cloud-panic": (["vmlinuz-cloud", "initrd.gz"], "tcg", linux("vmlinuz-cloud", "initrd.gz", "rdinit=/nothing init=/nothing"),
                    [(r"Kernel panic - not syncing", None)], 0, 120),
    "pvh": (["vmlinux-cloud", "initrd.gz"], "tcg", linux("vmlinux-cloud", "initrd.gz", "roost.run=poweroff"), up("x86_64", 1), 0, 120),
    "pae": (["vmlinuz-686", "initrd-686.gz"], "tcg", linux("vmlinuz-686", "initrd-686.gz", "roost.run=poweroff"), up("i686", 1), 0, 240),
    "memtest": (["memtest64.bin"], "tcg", ["-m", "64", "-nographic", "-nodefaults", "-serial", "stdio", "-kernel", f"{guests}/memtest64.bin",
                                            "-append", "console=ttyS0,115200"],
                [(r"Memtest86\+", None), (r"Errors: 0 ", None), (r"#([6-9]|10) +\[", "signal")], 0, 300),
    "grub": (["grub.iso"], "tcg", *GRUB),
    # Nightly: where KVM has no hardware under it this takes half a minute of one core.
    "grub-kvm": (["grub.iso"], "kvm", *GRUB),
    "isolinux": (["isolinux.iso"], "tcg", ["-m", "256", "-nographic", "-nodefaults", "-serial", "stdio", "-no-reboot", "-cdrom", f"{guests}/isolinux.iso"],
                 [(r"ISOLINUX", None), (r"boot: ", "\r"), *up("x86_64", 1)], 0, 240),
    "rescue": (["rescue.iso"], "tcg", ["-m", "128", "-nographic", "-nodefaults", "-serial", "stdio", "-cdrom", f"{guests}/rescue.iso"],
               [(r"GNU GRUB +version", "c"), (r"grub>", "ls\r"), (r"\(cd0?\)", "signal")], 0, 180),
    "installer": (["installer.iso"], "tcg", ["-m", "1024", "-nographic", "-nodefaults", "-serial", "stdio", "-cdrom", f"{guests}/installer.iso"],
                  [(r"boot: ", "\r"), (r"Select a language|Choose the language", "signal")], 0, 900),
    "seabios": ([], "tcg", ["-m", "32", "-nographic", "-nodefaults", "-serial", "none", "-chardev", "stdio,id=d", "-device",
                             "isa-debugcon,iobase=0x402,chardev=d"], [(r"SeaBIOS \(version", None), (r"No bootable device", "signal")], 0, 60),
    # Its processors hand a stack to each other by a lock that is open for the length of a PAUSE.
    "seabios-smp2": ([], "tcg", ["-m", "32", "-smp", "2", "-nographic", "-nodefaults", "-serial", "none", "-chardev", "stdio,id=d", "-device",
                                  "isa-debugcon,iobase=0x402,chardev=d"], [(r"Found 2 cpu", None), (r"No bootable device", "signal")], 0, 60),
}


def run(name):
    needs, accel, arguments, script, status, seconds = CASES[name]
    missing = [n for n in needs if not os.path.exists(f"{guests}/{n}")]
    if missing:
        raise console.Skip(f"{', '.join(missing)} missing: run tests/guests")
    if accel == "kvm" and not os.access("/dev/kvm", os.R_OK | os.W_OK):
        raise console.Skip("no /dev/kvm that we may open")
    command = [roost, "-accel", os.environ.get("ROOST_TEST_ACCEL", accel), *arguments]
    outcome = console.follow(command, script, seconds, status)
    found = re.search(r"Errors: +[1-9]", outcome.console) if name == "memtest" else None
    assert not found, f"memtest found errors\n{outcome.tail()}"
    assert not outcome.failure, outcome.failure + "\n" + outcome.tail()
    return f"{outcome.took:.1f} s"


names = sys.argv[3:]
if not names:
    print("\n".join(CASES))
    sys.exit(0)
console.report([(name, lambda name=name: run(name)) for name in names])
