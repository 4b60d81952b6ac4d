#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# resolve.py - pools, volumes and networks: from options, and from libvirt's own files. Usage: resolve.py ROOST [PART-OF-A-NAME]
from domain import ENVIRONMENT, argv_of, case, check, domain, holds, main, one_line, roost, write

VOLUME = domain("<disk type='volume'><driver type='raw'/>\n<source pool='{p}' volume='{v}'/><target dev='vda'/></disk>")
CARD = domain("<interface type='network'><mac address='52:54:00:00:00:07'/>\n<source network='{n}'/><model type='virtio'/></interface>")
NAT = """<network><name>{n}</name><forward mode='nat'><nat><port start='1024' end='65535'/></nat></forward><bridge name='rst-none0' stp='on' delay='0'/>
<domain name='lab.example'/><ip address='192.168.77.1' netmask='255.255.255.0'><dhcp><range start='192.168.77.20' end='192.168.77.99'/>{h}</dhcp></ip></network>"""
ISOLATED = "<network><name>alone</name><bridge name='rst-none1'/><ip address='10.9.0.1' prefix='20'><dhcp><range start='10.9.1.2' end='10.9.1.9'/></dhcp></ip></network>"


def storage(path):
    return f"-blockdev file,filename={path},node-name=libvirt-1-storage,auto-read-only=on,discard=unmap"


def pool(name, text):
    return write(text, f"config/libvirt/storage/{name}.xml")


def network(name, text):
    return write(text, f"config/libvirt/qemu/networks/{name}.xml")


def volume(p, v="v"):
    return write(VOLUME.format(p=p, v=v))


def card(n):
    return write(CARD.format(n=n))


@case("a pool by option")
def _():
    argv, ran = argv_of(volume("a"), "--pool", "b=/b", "--pool", "a=/a", "-pool", "a=/second")
    check(holds(argv, storage("/a/v")), ran)


@case("a pool by libvirt's file")
def _():
    pool("mine", "<pool type='dir'><name>mine</name><target><path>/srv/mine</path></target></pool>")
    argv, ran = argv_of(volume("mine"))
    check(holds(argv, storage("/srv/mine/v")), ran)
    argv, ran = argv_of(volume("mine"), "--pool", "mine=/other")
    check(holds(argv, storage("/other/v")), ran)


@case("a pool that is not there names the option")
def _():
    ran = roost("xml2argv", volume("nowhere"), env=ENVIRONMENT)
    one_line(ran)
    check("d.xml:10: <source>: " in ran.err and "--pool nowhere=DIRECTORY" in ran.err, ran)


@case("pools of other kinds, broken files, other documents")
def _():
    for text, said in (("<pool type='rbd'><name>odd</name></pool>", "rbd"), ("<pool type='dir'", "not well-formed"), ("<network/>", "does not describe a pool")):
        pool("odd", text)
        ran = roost("xml2argv", volume("odd"), env=ENVIRONMENT)
        one_line(ran)
        check("d.xml:10: <source>: " in ran.err and said in ran.err, ran)


@case("names that are paths are refused")
def _():
    for p, v in (("../x", "v"), ("a", "../../etc/passwd"), ("a", ".."), ("a", ""), ("", "v")):
        ran = roost("xml2argv", volume(p, v), "--pool", "a=/a", env=ENVIRONMENT)
        one_line(ran)
        check("without '/'" in ran.err, ran)
    one_line(roost("xml2argv", card("../x"), env=ENVIRONMENT))


@case("a volume that is not there, when it is to run")
def _():
    ran = roost("run", volume("a"), "--pool", "a=/nonexistent", env=ENVIRONMENT)
    one_line(ran)
    check("volume 'v' of pool 'a'" in ran.err and "No such file" in ran.err, ran)


@case("networks by option")
def _():
    for choice, expected in (("user", "-netdev user,id=hostnet0"), ("bridge:br9", "-netdev bridge,br=br9,id=hostnet0")):
        argv, ran = argv_of(card("n"), "--network", f"n={choice}")
        check(holds(argv, expected), ran)
    argv, ran = argv_of(card("n"), "--network", "n=none")
    check("-netdev" not in argv and holds(argv, "-device virtio-net-pci,id=net0,mac=52:54:00:00:00:07"), ran)
    ran = roost("xml2argv", card("n"), "--network", "n=magic", env=ENVIRONMENT)
    one_line(ran)
    check("user, none and bridge:INTERFACE" in ran.err, ran)


@case("a NAT network without its bridge is user-mode networking with the same addresses")
def _():
    network("lab", NAT.format(n="lab", h=""))
    argv, ran = argv_of(card("lab"))
    check(holds(argv, "-netdev user,net=192.168.77.0/24,host=192.168.77.1,dhcpstart=192.168.77.20,domainname=lab.example,id=hostnet0"), ran)


@case("an address that the network reserves for the card")
def _():
    network("kept", NAT.format(n="kept", h="<host mac='52:54:00:00:00:07' name='x' ip='192.168.77.44'/>"))
    argv, ran = argv_of(card("kept"))
    check(holds(argv, "-netdev user,net=192.168.77.0/24,host=192.168.77.1,dhcpstart=192.168.77.44,domainname=lab.example,id=hostnet0"), ran)


@case("an isolated network")
def _():
    network("alone", ISOLATED)
    argv, ran = argv_of(card("alone"))
    check(holds(argv, "-netdev user,net=10.9.0.0/20,host=10.9.0.1,dhcpstart=10.9.1.2,restrict=on,id=hostnet0"), ran)


@case("a network whose bridge the host has")
def _():
    network("there", NAT.format(n="there", h="").replace("rst-none0", "lo"))
    argv, ran = argv_of(card("there"))
    check(holds(argv, "-netdev bridge,br=lo,id=hostnet0"), ran)


@case("networks with impossible addresses")
def _():
    for wrong, right in (("192.168.77.1", "300.1.1.1"), ("255.255.255.0", "255.0.255.0"), ("192.168.77.20", "x,hostfwd=tcp::22-:22")):
        network("bad", NAT.format(n="bad", h="").replace(wrong, right))
        ran = roost("xml2argv", card("bad"), env=ENVIRONMENT)
        one_line(ran)
        check("d.xml:10: <source>: network 'bad'" in ran.err and right in ran.err, ran)


@case("a network that is not there names the option")
def _():
    ran = roost("xml2argv", card("nowhere"), env=ENVIRONMENT)
    one_line(ran)
    check("--network nowhere=user" in ran.err, ran)


@case("the options tell about a domain file alone")
def _():
    one_line(roost("-M", "none", "--pool", "a=/a"))
    one_line(roost("xml2argv", volume("a"), "--pool", "a", env=ENVIRONMENT))


main()
