#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# back.py - options to a domain and back: nothing is lost, and after one round nothing changes. Usage: back.py ROOST [PART-OF-A-NAME]
import difflib
import json
import re
import shlex

from domain import ENVIRONMENT, HERE, argv_of, case, check, main, one_line, roost, write
from table import TABLE


def xml_of(argv):
    ran = roost("argv2xml", *argv, env=ENVIRONMENT)
    check(ran.status == 0, ran)
    return ran.out


def options(argv):
    """Options without regard to their order: what an element cannot say comes last."""
    found, at = [], 0
    while at < len(argv):
        alone = at + 1 == len(argv) or (argv[at + 1].startswith("-") and argv[at] not in ("-append", "-domain-xml"))
        found.append(" ".join(argv[at:at + 1 if alone else at + 2]))
        at += 1 if alone else 2
    return sorted(found)


def round_trip(path, *more):
    first, _ = argv_of(path, *more)
    text = xml_of(first)
    second, _ = argv_of(write(text, "back.xml"))
    again = xml_of(second)
    check(text == again, f"{text}\n{again}")
    return first, second, text


# The way back writes these in another manner, which means the same.
OTHERWISE = {"hidden KVM", "I/O threads with numbers", "panics", "options as they are", "a card of no model", "input"}

for row in TABLE:
    @case(f"there and back: {row[0]}")
    def stable(row=row):
        first, second, text = round_trip(write(row[1]))
        check(row[0] in OTHERWISE or options(first) == options(second), f"{options(first)}\n{options(second)}\n{text}")


@case("there and back: the whole domains")
def _():
    for path, more in ((f"{HERE}/domains/server.xml", ("--pool", "images=/srv/images", "--network", "lan=user")), (f"{HERE}/domains/install.xml", ())):
        first, second, text = round_trip(path, *more)
        check(options(first) == options(second), f"{options(first)}\n{options(second)}\n{text}")
        check("qemu:commandline" not in text, text)


# A command line of a person, and what the domain must have.
LINES = [
    ("-m 512 disk.qcow2", ["<memory unit='KiB'>524288</memory>", "/disk.qcow2'/>", "type='qcow2'", "<target dev='hda' bus='ide'/>", "<target dev='hdc' bus='ide'/>"]),
    ("qemu-system-x86_64 -nodefaults -hdb a.img -cdrom b.iso", ["/a.img'/>", "<target dev='hdb' bus='ide'/>", "/b.iso'/>", "<target dev='hdc' bus='ide'/>"]),
    ("-nodefaults -drive file=a,format=raw,if=virtio,cache=none,aio=native", ["<driver name='qemu' type='raw' cache='none' io='native'/>", "<target dev='vda' bus='virtio'/>"]),
    ("-nodefaults -drive file=a,format=raw,if=none,id=d -device virtio-scsi-pci,id=scsi0 -device scsi-hd,drive=d,bus=scsi0.0,lun=3",
     ["<target dev='sdd' bus='scsi'/>", "model='virtio-scsi'"]),
    ("-nodefaults -drive file=a,format=raw,if=none,id=d -device virtio-blk-pci,drive=d,id=mine,bootindex=0", ["<alias name='ua-mine'/>", "<boot order='1'/>"]),
    ("-nodefaults -fda f", ["device='floppy'", "<target dev='fda' bus='fdc'/>"]),
    ("-nodefaults -serial file:/l -serial none -serial unix:/s,server=on,wait=off", ["<serial type='file'>", "<source path='/l'/>", "<serial type='unix'>", "<target type='isa-serial' port='2'>"]),
    ("-nodefaults -smp 4 -cpu Nehalem,+avx,-aes", [">4</vcpu>", "<topology sockets='1' dies='1' cores='4' threads='1'/>", "<feature policy='require' name='avx'/>", "<feature policy='disable' name='aes'/>"]),
    ("-nodefaults -accel tcg,thread=single", ["<domain type='qemu'", "<qemu:arg value='-accel'/>", "<qemu:arg value='tcg,thread=single'/>"]),
    ("-nodefaults -netdev user,id=n,hostfwd=tcp::22-:22 -device e1000,netdev=n", ["<qemu:arg value='user,id=n,hostfwd=tcp::22-:22'/>", "<qemu:arg value='e1000,netdev=n'/>"]),
    ("-nodefaults -netdev tap,id=n,ifname=t,script=no,downscript=no -device virtio-net,netdev=n", ["<interface type='ethernet'>", "<target dev='t'/>", "<model type='virtio'/>"]),
    ("-nodefaults -vnc :3 -device VGA,vgamem_mb=16", ["<graphics type='vnc' port='5903' autoport='no' listen='0.0.0.0'/>", "<model type='vga' vram='16384'/>"]),
    ("-nodefaults -no-reboot -no-shutdown -S", ["<on_reboot>destroy</on_reboot>", "<on_poweroff>preserve</on_poweroff>", "<qemu:arg value='-S'/>"]),
    ("-nodefaults -device isa-debug-exit,iobase=0xf4", ["<qemu:arg value='isa-debug-exit,iobase=0xf4'/>"]),
    ("-nodefaults -snapshot -trace a -gdb tcp::1", ["<qemu:arg value='-snapshot'/>", "<qemu:arg value='-gdb'/>", "<qemu:arg value='tcp::1'/>"]),
    ("-nodefaults -name 'a & <b>' -append \"x 'y' & z\" -kernel /k", ["<name>a &amp; &lt;b&gt;</name>", "<cmdline>x 'y' &amp; z</cmdline>"]),
    ("-nodefaults -device virtio-rng-pci", ["<rng model='virtio'>", "<backend model='builtin'/>"]),
    ("-nodefaults -rtc base=2001-09-09T01:46:40", ["<clock offset='absolute' start='1000000000'/>"]),
]

for line, expected in LINES:
    @case(f"a person's command line: {line}")
    def written(line=line, expected=expected):
        text = xml_of(shlex.split(line))
        for part in expected:
            check(part in text, f"{part}\n{text}")
        again = xml_of(argv_of(write(text, "back.xml"))[0])
        check(text == again, "".join(difflib.unified_diff(text.splitlines(True), again.splitlines(True))))


@case("the tree stays the same")
def _():
    argv = shlex.split("-nodefaults -m 300 -smp 2 -drive file=/x,format=raw,if=ide,index=1 -serial null -device virtio-rng-pci -name n -boot menu=on,strict=on -accel tcg")
    trees = []
    for words in (argv, argv_of(write(xml_of(argv), "back.xml"))[0]):
        ran = roost(*words, "--print-config", env=ENVIRONMENT)
        check(ran.status == 0, ran)
        trees.append(json.loads(ran.out))
    for member in ("memory", "smp", "name", "boot", "accel", "nodefaults"):
        check(trees[0].get(member) == trees[1].get(member), f"{member}: {trees[0].get(member)} {trees[1].get(member)}")


@case("what is wrong is said in one line")
def _():
    for line in ("-m", "-m x", "-nonsense", "-smp 3,cores=2", "-drive file=a,if=scsi -hda b -hda c", "-device help", "-serial chardev:none", "-netdev {"):
        one_line(roost("argv2xml", *shlex.split(line), env=ENVIRONMENT))


@case("texts survive: quotes, ampersands, line breaks, other scripts")
def _():
    for value in ("a'b\"c", "<&>", "tab\there", "línea", "two  spaces", "x" * 3000):
        text = xml_of(["-nodefaults", "-kernel", "/k", "-append", value])
        argv, ran = argv_of(write(text, "back.xml"))
        check(argv[argv.index("-append") + 1] == value, ran)
    check(re.search("<cmdline>.*</cmdline>", text), text)


main()
