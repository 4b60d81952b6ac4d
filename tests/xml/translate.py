#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# translate.py - the elements of table.py become the options that stand there. Usage: translate.py ROOST [PART-OF-A-NAME]
import json

from domain import ENVIRONMENT, HERE, argv_of, case, check, domain, holds, main, roost, write
from table import TABLE, disk

for row in TABLE:
    @case(row[0])
    def translated(row=row):
        argv, ran = argv_of(write(row[1]))
        for expected in row[2:]:
            check(not holds(argv, expected[1:]) if expected.startswith("!") else holds(argv, expected), f"{expected}\n{ran}")


# What has no effect, and is said in a line that names file, line and element.
for name, text, said in [
        ("pinned processors", domain(head="<cputune><vcpupin vcpu='0' cpuset='1'/></cputune>"), ":4: <cputune>: it has no effect"),
        ("huge pages", domain(head="<memoryBacking><hugepages/></memoryBacking>"), ":4: <hugepages>: it has no effect"),
        ("a link that is down", domain("<interface type='user'><link state='down'/></interface>"), ":9: <link>: "),
        ("less memory at the start", domain(head="<currentMemory unit='MiB'>32</currentMemory>"), ":4: <currentMemory>: "),
        ("Hyper-V", domain(features="<acpi/>\n<hyperv mode='custom'><relaxed state='on'/></hyperv>"), ":7: <hyperv>: ")]:
    @case(f"warned of: {name}")
    def warned(text=text, said=said):
        _, ran = argv_of(write(text))
        check(len(ran.lines) == 1 and ran.lines[0].startswith("roost: warning: d.xml" + said), ran)


@case("a server's domain")
def _():
    argv, ran = argv_of(f"{HERE}/domains/server.xml", "--pool", "images=/srv/images", "--network", "lan=user")
    check(ran.err == "", ran)
    for expected in ("-name guest=archive", "-machine pc-i440fx-4.1", "-m 4096M", "-blockdev file,filename=/srv/images/archive-root,node-name=libvirt-1-storage,auto-read-only=on,discard=unmap",
                     "-netdev user,id=hostnet0", "-device virtio-net-pci,id=net0,netdev=hostnet0,mac=52:54:00:7e:11:02", "-domain-xml '<title>Archive &amp; mail</title>'"):
        check(holds(argv, expected), f"{expected}\n{ran}")


@case("an installation's domain")
def _():
    argv, ran = argv_of(f"{HERE}/domains/install.xml")
    check(ran.err == "", ran)
    for expected in ("-m 1024M", "-device ide-hd,id=ide0-0-0,bus=ide.0,unit=0,bootindex=2,drive=libvirt-2-format",
                     "-device ide-cd,id=ide0-0-1,bus=ide.0,unit=1,bootindex=1,drive=libvirt-1-format", "-device e1000,id=net0,netdev=hostnet0"):
        check(holds(argv, expected), f"{expected}\n{ran}")


def tree(*args):
    ran = roost(*args, "--print-config", env=ENVIRONMENT)
    check(ran.status == 0, ran)
    return json.loads(ran.out), ran


@case("the file and its options make the same tree")
def _():
    path = write(domain(disk(more="<boot order='1'/>") + "<serial type='null'/><rng model='virtio'><backend model='builtin'/></rng>", head="<title>t</title><vcpu>2</vcpu>"))
    argv, _ = argv_of(path)
    from_file, ran = tree("run", path)
    from_options, _ = tree(*argv)
    check(from_file == from_options, f"{from_file}\n{from_options}")
    check(ran.err == "", ran)


@case("options beside the file win, wherever they stand")
def _():
    path = write(domain(kind="kvm", head="<vcpu>2</vcpu>"))
    for args in (("-m", "256", "-accel", "tcg", "-smp", "4", path), (path, "-m", "256", "-accel", "tcg", "-smp", "4")):
        made, _ = tree(*args)
        check(made["memory"]["size"] == 256 << 20 and [a["name"] for a in made["accel"]] == ["tcg"] and made["smp"]["cpus"] == 4, made)


@case("what is not there yet is left out, with one warning each")
def _():
    made, ran = tree("run", write(domain("<interface type='user'>\n<model type='rtl8139'/></interface>\n<graphics type='spice'/>\n<watchdog model='i6300esb'/>")))
    check("devices" not in made, made)
    check(made["vncs"][0]["vnc"] == "127.0.0.1:0", made)
    for line, said in zip(ran.lines, ("9: <interface>: it is left out: there is no", "11: <graphics>: there is no SPICE yet", "12: <watchdog>: it is left out: there is no")):
        check(line.startswith(f"roost: warning: d.xml:{said}"), ran)
    check(len(ran.lines) == 3, ran)


@case("every row of the tables is in docs/xml.md")
def _():
    with open(f"{HERE}/../../docs/xml.md", encoding="utf-8") as file:
        page = file.read()
    rows = [line.split("\t") for line in roost("help", "xml").out.splitlines()]
    check(len(rows) > 60, rows)
    for element, path, _, key in rows:
        check(f"`{path}`" in page, f"docs/xml.md lacks {path} of {element} ({key})")


main()
