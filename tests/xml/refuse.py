#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# refuse.py - what is no domain, or asks for what is not there: one line that names file, line, element and a way out.
# Usage: refuse.py ROOST [PART-OF-A-NAME]
from domain import ENVIRONMENT, FOLDER, case, check, domain, main, one_line, roost, write

LAUGHS = "<!DOCTYPE l [<!ENTITY a 'ha'>" + "".join(f"<!ENTITY {b} '{f'&{a};' * 10}'>" for a, b in zip("abcdefgh", "bcdefghi")) + "]>\n<domain>&i;</domain>"
DISK = "<disk type='file'><source file='/x'/><target dev='vda' bus='virtio'/>{}</disk>"

# name, text, line, what the sentence says
TABLE = [
    ("nothing", "", None, "nothing in it"),
    ("only spaces", " \n ", None, "nothing in it"),
    ("only a comment", "<!-- a -->\n", 2, "no"),
    ("no XML", "hello", 1, "not well-formed"),
    ("zero bytes", b"<domain>\0</domain>", None, "zero bytes"),
    ("not UTF-8", b"<domain>\xff\xfe</domain>", 1, "not well-formed"),
    ("another encoding", "<?xml version='1.0' encoding='iso-8859-1'?>\n<domain/>", 1, "UTF-8"),
    ("truncated", domain()[:200], 6, "not well-formed"),
    ("truncated in a tag", "<domain type='kv", 1, "not well-formed"),
    ("crossed tags", "<domain>\n<a>\n</b></domain>", 3, "not well-formed"),
    ("two roots", "<domain/>\n<domain/>", 2, "has ended"),
    ("a billion laughs", LAUGHS, 1, "document type"),
    ("a file by entity", "<!DOCTYPE d [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>\n<domain>&x;</domain>", 1, "document type"),
    ("an unknown entity", "<domain>\n&x;</domain>", 2, "not well-formed"),
    ("a hundred thousand deep", "<domain>" + "<a>" * 100000, 1, "64 deep"),
    ("five megabytes", "<domain>" + "<!-- -->" * 655360 + "</domain>", None, "bytes"),
    ("very many elements", "<domain>" + "<a/>" * 200000 + "</domain>", 1, "100000 elements"),
    ("very many attributes", "<domain " + " ".join(f"a{i}='b'" for i in range(1000)) + "/>", 1, "64 attributes"),
    ("an attribute given twice", "<domain type='kvm'\ntype='qemu'/>", 1, "given twice"),
    ("an element given twice", domain(head="<uuid>12345678-1234-1234-1234-123456789abc</uuid>\n<uuid>12345678-1234-1234-1234-123456789abd</uuid>"), 5, "given twice"),
    ("another root", "<network/>", 1, "not a domain"),
    ("no name", domain().replace("<name>d</name>", ""), 1, "<name> is missing"),
    ("an empty name", domain().replace("<name>d</name>", "<name> </name>"), 2, "empty"),
    ("a name that is a path", domain().replace("<name>d</name>", "<name>../d</name>"), 2, "'/'"),
    ("another hypervisor", domain(kind="xen"), 1, "type='xen'"),
    ("a container", domain().replace(">hvm<", ">exe<"), 5, "hvm"),
    ("another architecture", domain().replace("x86_64", "aarch64"), 5, "aarch64"),
    ("no memory", domain(memory=""), 1, "<memory> is missing"),
    ("no memory at all", domain(memory="<memory>0</memory>"), 3, "needs memory"),
    ("negative memory", domain(memory="<memory>-1</memory>"), 3, "'-1'"),
    ("more than 2^64 bytes", domain(memory="<memory unit='EiB'>16</memory>"), 3, "2^64"),
    ("more than 2^64", domain(memory="<memory>99999999999999999999</memory>"), 3, "not a number"),
    ("memory in words", domain(memory="<memory>lots</memory>"), 3, "'lots'"),
    ("an unknown unit", domain(memory="<memory unit='stone'>1</memory>"), 3, "stone"),
    ("more at the start than in all", domain(head="<currentMemory unit='MiB'>65</currentMemory>"), 4, "above <memory>"),
    ("no processor", domain(head="<vcpu>0</vcpu>"), 4, "a processor"),
    ("half a processor", domain(head="<vcpu>0.5</vcpu>"), 4, "'0.5'"),
    ("more now than ever", domain(head="<vcpu current='3'>2</vcpu>"), 4, "current"),
    ("a topology of another size", domain(head="<vcpu>2</vcpu>\n<cpu><topology sockets='1' cores='3' threads='1'/></cpu>"), 5, "are 3"),
    ("a topology that overflows", domain(head="<vcpu>2</vcpu>\n<cpu><topology sockets='65535' cores='65535' threads='65535'/></cpu>"), 5, "vcpu"),
    ("a model with options in it", domain(head="<cpu><model>qemu64,+svm</model></cpu>"), 4, "letters"),
    ("a feature with options in it", domain(head="<cpu><model>qemu64</model><feature name='a=on,b'/></cpu>"), 4, "letters"),
    ("an unknown policy", domain(head="<cpu><model>qemu64</model><feature name='vmx' policy='hope'/></cpu>"), 4, "hope"),
    ("NUMA", domain(head="<cpu><model>qemu64</model>\n<numa><cell id='0' cpus='0' memory='1'/></numa></cpu>"), 5, "not supported in <cpu>"),
    ("a wrong UUID", domain(head="<uuid>1234</uuid>"), 4, "UUID"),
    ("UEFI", domain(os_more="\n<loader readonly='yes' type='pflash'>/OVMF.fd</loader>"), 6, "pflash"),
    ("boot from nowhere", domain(os_more="\n<boot dev='usb'/>"), 6, "'usb'"),
    ("an unknown element", domain(head="<colour>blue</colour>"), 4, "<colour>: this element is not supported in <domain>"),
    ("an unknown device", domain("<teapot/>"), 9, "<teapot>: this element is not supported in <devices>"),
    ("a device of the host", domain("<hostdev mode='subsystem' type='pci'/>"), 9, "not supported in <devices>"),
    ("an unknown attribute", domain(DISK.format("").replace("dev='vda'", "dev='vda' colour='blue'")), 9, "colour='blue' is not supported"),
    ("text where there is none", domain("stray"), 7, "'stray'"),
    ("an unknown disk format", domain(DISK.format("<driver name='qemu' type='zip'/>")), 9, "zip"),
    ("an unknown kind of disk", domain(DISK.format("").replace("type='file'", "type='file' device='tape'")), 9, "tape"),
    ("a disk without a target", domain("<disk type='file'><source file='/x'/></disk>"), 9, "<target"),
    ("a disk without an image", domain("<disk type='file'><target dev='vda'/></disk>"), 9, "no image"),
    ("SATA", domain(DISK.format("").replace("virtio", "sata")), 9, "sata"),
    ("an IDE disk too many", domain(DISK.format("").replace("vda", "hde").replace("virtio", "ide")), 9, "hda to hdd"),
    ("a floppy on IDE", domain(DISK.format("").replace("type='file'", "type='file' device='floppy'").replace("virtio", "ide")), 9, "not for device='floppy'"),
    ("a place beyond the end of the alphabet", domain(DISK.format("").replace("vda", "vd" + "z" * 100)), 9, "dev="),
    ("iSCSI", domain("<disk type='network'>\n<source protocol='iscsi' name='x'/><target dev='vda'/></disk>"), 10, "iscsi"),
    ("encryption", domain(DISK.format("\n<encryption format='luks'/>")), 10, "not supported in <disk>"),
    ("a second PCI bus", domain(DISK.format("\n<address type='pci' bus='0x01' slot='0x01'/>")), 10, "only PCI bus 0"),
    ("slot 32", domain(DISK.format("\n<address type='pci' bus='0x00' slot='0x20'/>")), 10, "0x1f"),
    ("a negative slot", domain(DISK.format("\n<address type='pci' bus='0x00' slot='-1'/>")), 10, "'-1'"),
    ("the zeroth to boot", domain(DISK.format("\n<boot order='0'/>")), 10, "first one is 1"),
    ("negative limits", domain(DISK.format("<iotune>\n<total_bytes_sec>-5</total_bytes_sec></iotune>")), 10, "'-5'"),
    ("a broken wwn", domain(DISK.format("\n<wwn>xyz</wwn>")), 10, "16 hexadecimal"),
    ("a backing chain without end", domain(DISK.format("<backingStore type='file'><format type='qcow2'/><source file='/b'/>" * 40 + "</backingStore>" * 40)), 9, "backing files"),
    ("a SCSI adapter of another kind", domain("<controller type='scsi' model='lsilogic'/>"), 9, "virtio-scsi"),
    ("PCI Express", domain("<controller type='pci' index='0' model='pcie-root'/>"), 9, "pci-root"),
    ("serial port 9", domain("<serial type='pty'>\n<target port='9'/></serial>"), 10, "'9'"),
    ("an unknown stream", domain("<serial type='pigeon'/>"), 9, "pigeon"),
    ("a file without a name", domain("<serial type='file'/>"), 9, "path="),
    ("an unknown connection", domain("<interface type='vdpa'/>"), 9, "vdpa"),
    ("a broken MAC", domain("<interface type='user'>\n<mac address='52:54:00:zz:00:01'/></interface>"), 10, "52:54"),
    ("a model with options in it (card)", domain("<interface type='user'>\n<model type='e1000,x=y'/></interface>"), 10, "name of a model"),
    ("VNC below its ports", domain("<graphics type='vnc' port='80' autoport='no'/>"), 9, "5900"),
    ("an unknown source of random numbers", domain("<rng model='virtio'>\n<backend model='dice'/></rng>"), 10, "dice"),
    ("an option that is none", domain(more="<qemu:commandline><qemu:arg value='hello'/></qemu:commandline>"), 11, "'hello'"),
    ("an option without its argument", domain(more="<qemu:commandline><qemu:arg value='-trace'/></qemu:commandline>"), 11, "its argument"),
    ("control characters", domain(head="<colour a='&#27;[31m'/>"), None, "not"),
]

for row in TABLE:
    @case(row[0])
    def refused(row=row):
        path = write(row[1])
        for command in (("xml2argv", path), ("run", path, "--print-config")):
            ran = roost(*command, env=ENVIRONMENT, timeout=60)
            wrong = [line for line in ran.lines if not line.startswith("roost: warning: ")]
            check(ran.status == 1 and len(wrong) == 1 and ran.out == "", ran)
            check("d.xml" in wrong[0] and row[3] in wrong[0] and len(wrong[0]) < 2000 and "\x1b" not in wrong[0], f"{row[3]}\n{ran}")
            check(row[2] is None or f"d.xml:{row[2]}:" in wrong[0], f"line {row[2]}\n{ran}")


@case("a file that is not there")
def _():
    for command in ("xml2argv", "run"):
        ran = roost(command, f"{FOLDER.name}/none.xml", env=ENVIRONMENT)
        one_line(ran)
        check("none.xml" in ran.err and "No such file" in ran.err, ran)


@case("a folder")
def _():
    one_line(roost("xml2argv", FOLDER.name, env=ENVIRONMENT))


@case("two files")
def _():
    one_line(roost("run", write(domain()), write(domain(), "e.xml"), env=ENVIRONMENT))
    one_line(roost("xml2argv", write(domain()), write(domain(), "e.xml"), env=ENVIRONMENT))


@case("an option of the file that cannot be carried out names the file and its line")
def _():
    ran = roost("run", write(domain(more="<qemu:commandline>\n<qemu:arg value='-gdb'/>\n<qemu:arg value='tcp::1'/></qemu:commandline>")), "--print-config", env=ENVIRONMENT)
    one_line(ran)
    check("d.xml:13: <qemu:arg>: -gdb is not supported yet" in ran.err, ran)
    ran = roost("run", write(domain(disk_twice := DISK.format("") + "\n" + DISK.format(""))), "--print-config", env=ENVIRONMENT)
    one_line(ran)
    check("d.xml:10: <disk>: " in ran.err and "virtio-disk0" in ran.err, (disk_twice, ran))


main()
