#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# config.py - from command lines as people and managers write them to the configuration tree
import json
import tempfile

from tap import *


def tree(*args):
    ran = roost("--print-config", *args)
    check(ran.status == 0, ran)
    return json.loads(ran.out)


def at(value, path):
    for step in path.split("."):
        value = value[int(step)] if isinstance(value, list) else value.get(step) if value is not None else None
    return value


def expect(name, args, wanted):
    @case(name)
    def _():
        got = tree(*args)
        for path, value in wanted.items():
            check(at(got, path) == value, f"{' '.join(args)}\n{path}: {at(got, path)!r}, not {value!r}")


def topology(text, *numbers, more=()):
    names = ("cpus", "maxcpus", "sockets", "dies", "cores", "threads")
    expect(f"-smp {text} {' '.join(more)}", ["-smp", text, *more], {"smp": dict(zip(names, numbers))})


# QEMU's rules for what is left out: cores first since 6.2, sockets before.
topology("4", 4, 4, 1, 1, 4, 1)
topology("4", 4, 4, 4, 1, 1, 1, more=["-M", "pc-i440fx-6.1"])
topology("4", 4, 4, 1, 1, 4, 1, more=["-M", "pc-i440fx-6.2"])
topology("cpus=2,maxcpus=8,sockets=2", 2, 8, 2, 1, 4, 1)
topology("1,maxcpus=2,sockets=2,cores=1,threads=1", 1, 2, 2, 1, 1, 1)
topology("8,cores=2,threads=2", 8, 8, 2, 1, 2, 2)
topology("cores=3", 3, 3, 1, 1, 3, 1)
topology("sockets=2,dies=2,cores=2,threads=2", 16, 16, 2, 2, 2, 2)
topology("maxcpus=6,threads=2", 6, 6, 1, 1, 3, 2)
topology("4,sockets=1,dies=1,cores=2,threads=2", 4, 4, 1, 1, 2, 2)
topology("4,sockets=2,cores=2", 4, 4, 2, 1, 2, 1)
topology("4,cores=1,sockets=2", 4, 4, 2, 1, 1, 2)

M = 1 << 20
for spelled, size in (("512", 512 * M), ("512M", 512 * M), ("1.5G", 1536 * M), ("2g", 2048 * M), ("size=1048576k,slots=4,maxmem=4194304k", 1024 * M), ("4096B", 4096),
                      ("0x10", 16 * M), ("100001b", 102400)):
    expect(f"-m {spelled}", ["-m", spelled], {"memory.size": size})
expect("-m 0: the machine's own default", ["-m", "0"], {"memory.size": None})
expect("-m with slots", ["-m", "1G,slots=2,maxmem=4G"], {"memory": {"size": 1024 * M, "slots": 2, "maxmem": 4096 * M}})
expect("-m twice: merged", ["-m", "1G", "-m", "slots=1,maxmem=2G"], {"memory": {"size": 1024 * M, "slots": 1, "maxmem": 2048 * M}})

expect("-machine", ["-machine", "pc-i440fx-7.2,usb=off,dump-guest-core=off,accel=kvm:tcg,kernel-irqchip=split"],
       {"machine": {"type": "pc-i440fx-7.2", "usb": "off", "dump-guest-core": "off"},
        "accel": [{"name": "kvm", "kernel-irqchip": "split"}, {"name": "tcg"}]})
expect("-M after -machine: merged", ["-machine", "acpi=off", "-M", "pc"], {"machine": {"acpi": "off", "type": "pc"}})
expect("-machine with a kernel", ["-machine", "pc,kernel=/k,append=a b"], {"boot": {"kernel": "/k", "append": "a b"}})
expect("-accel twice", ["-accel", "kvm", "-accel", "tcg,thread=single"], {"accel": [{"name": "kvm"}, {"name": "tcg", "thread": "single"}]})
expect("-enable-kvm", ["-enable-kvm"], {"accel": [{"name": "kvm"}]})
expect("no accelerator chosen", [], {"accel": None})
expect("-cpu", ["-cpu", "qemu64,+avx,-sse3,pcid=on,vme=off,level=13,enforce"],
       {"cpu": {"model": "qemu64", "features": [{"name": "avx", "on": True}, {"name": "sse3", "on": False}, {"name": "pcid", "on": True},
                                                {"name": "vme", "on": False}, {"name": "level", "value": "13"}, {"name": "enforce", "on": True}]}})
expect("-boot with letters", ["-boot", "dc"], {"boot.order": "dc"})
expect("-boot with keys", ["-boot", "order=c,once=d,menu=on,splash-time=1000,reboot-timeout=-1,strict=on"],
       {"boot": {"order": "c", "once": "d", "menu": "on", "splash-time": 1000, "reboot-timeout": -1, "strict": "on"}})
expect("-kernel -initrd -append -bios", ["-kernel", "/k", "-initrd", "/i,,j", "-append", "a=b,c", "-bios", "b.bin"],
       {"boot": {"kernel": "/k", "initrd": "/i,,j", "append": "a=b,c", "firmware": "b.bin"}})

STDIO_MUX = {"id": "serial0", "backend": "stdio", "mux": True, "signal": False}
expect("a plain pc has a serial port that nobody hears", [], {"serials": ["serial0"], "chardevs": [{"id": "serial0", "backend": "null"}], "monitors": None})
expect("-nographic", ["-nographic"], {"machine": {"graphics": "off"}, "serials": ["serial0"], "chardevs": [STDIO_MUX], "monitors": [{"chardev": "serial0", "mode": "readline"}]})
expect("-nographic -monitor none", ["-nographic", "-monitor", "none"], {"chardevs": [{"id": "serial0", "backend": "stdio"}], "monitors": None})
expect("-nographic -serial file", ["-nographic", "-serial", "file:/x"],
       {"chardevs": [{"id": "serial0", "backend": "file", "path": "/x"}, {"id": "compat_monitor0", "backend": "stdio"}],
        "serials": ["serial0"], "monitors": [{"chardev": "compat_monitor0", "mode": "readline"}]})
expect("-nographic -nodefaults", ["-nographic", "-nodefaults"], {"chardevs": None, "serials": None, "monitors": None, "nodefaults": True})
expect("-nodefaults -serial mon:stdio", ["-nodefaults", "-serial", "mon:stdio"], {"chardevs": [STDIO_MUX], "serials": ["serial0"]})
expect("-device isa-serial takes the default's place", ["-chardev", "null,id=c", "-device", "isa-serial,chardev=c"],
       {"serials": None, "chardevs": [{"backend": "null", "id": "c"}]})
expect("four serial ports", ["-serial", "null", "-serial", "none", "-serial", "chardev:x", "-serial", "pty", "-chardev", "null,id=x"],
       {"serials": ["serial0", None, "x", "serial3"]})
expect("-serial unix, short switches", ["-serial", "unix:/a,server,nowait"],
       {"chardevs.0": {"id": "serial0", "backend": "socket", "path": "/a", "server": True, "wait": False}})
expect("-serial tcp", ["-serial", "tcp:127.0.0.1:4555,server=on,wait=off,nodelay"],
       {"chardevs.0": {"id": "serial0", "backend": "socket", "host": "127.0.0.1", "port": "4555", "server": True, "wait": False, "nodelay": True}})
expect("-serial tcp, all addresses", ["-serial", "tcp::4555,server"], {"chardevs.0.host": "", "chardevs.0.port": "4555"})
expect("-serial tcp, IPv6", ["-serial", "tcp:[::1]:4555,reconnect=2"], {"chardevs.0.host": "::1", "chardevs.0.reconnect": 2})
expect("-chardev socket as libvirt passes it", ["-chardev", "socket,id=charmonitor,fd=26,server=on,wait=off"],
       {"chardevs.0": {"backend": "socket", "id": "charmonitor", "fd": "26", "server": True, "wait": False}})
expect("-chardev file", ["-chardev", "file,id=f,path=/a,,b,append=on,logfile=/l,mux=on"],
       {"chardevs.0": {"backend": "file", "id": "f", "path": "/a,b", "append": True, "logfile": "/l", "mux": True}})
expect("-debugcon", ["-debugcon", "file:/d"], {"debugcon": "debugcon"})
expect("-qtest chooses its accelerator", ["-qtest", "unix:/q,server=on"], {"qtest": "qtest", "accel": [{"name": "qtest"}]})

expect("-device", ["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04,id=x"], {"devices": [{"driver": "isa-debug-exit", "iobase": "0xf4", "iosize": "0x04", "id": "x"}]})
expect("-device in JSON", ["-device", '{"driver":"isa-serial","chardev":"c","index":2,"x":true}'], {"devices": [{"driver": "isa-serial", "chardev": "c", "index": 2, "x": True}]})
expect("-global", ["-global", "PIIX4_PM.disable_s3=1", "-global", "driver=a,property=b.c,value=x=y"],
       {"globals": [{"driver": "PIIX4_PM", "property": "disable_s3", "value": "1"}, {"driver": "a", "property": "b.c", "value": "x=y"}]})
expect("-drive", ["-drive", "file=/d.img,format=raw,if=none,id=d0,readonly=on"],
       {"drives.0": {"file": "/d.img", "format": "raw", "if": "none", "index": 0, "id": "d0", "readonly": True},
        "drives.1": {"if": "ide", "index": 2, "media": "cdrom", "id": "ide1-cd0", "readonly": True}, "drives.2": {"if": "floppy", "index": 0, "id": "floppy0"}})
expect("nodefaults, no drives", ["-nodefaults"], {"drives": None})
expect("-drive if=virtio", ["-drive", "file=/d.img,format=qcow2,if=virtio", "-nodefaults"],
       {"drives": [{"file": "/d.img", "format": "qcow2", "if": "virtio", "index": 0, "id": "virtio0"}], "devices": [{"driver": "virtio-blk-pci", "drive": "virtio0"}]})
expect("-drive, parts of the file", ["-drive", "file=/d.img,file.locking=off,backing.file.filename=/b,l2-cache-size=1M", "-nodefaults"],
       {"drives.0.file": {"filename": "/d.img", "locking": "off"}, "drives.0.backing": {"file": {"filename": "/b"}}, "drives.0.l2-cache-size": "1M"})
expect("-snapshot", ["-snapshot", "-hda", "a", "-cdrom", "b", "-drive", "file=c,snapshot=off"],
       {"drives.0.snapshot": True, "drives.1.snapshot": None, "drives.2.snapshot": False})
expect("-fda -fdb", ["-fda", "a", "-fdb", "b"], {"drives.0.if": "floppy", "drives.0.index": 0, "drives.1.index": 1, "drives.1.id": "floppy1"})
expect("-blockdev", ["-blockdev", "driver=qcow2,node-name=n,file.driver=file,file.filename=/x", "-blockdev", '{"driver":"file","node-name":"m","filename":"/y"}'],
       {"blockdevs": [{"driver": "qcow2", "node-name": "n", "file": {"driver": "file", "filename": "/x"}}, {"driver": "file", "node-name": "m", "filename": "/y"}]})
expect("-object", ["-object", "iothread,id=io", "-object", '{"qom-type":"secret","id":"s","data":"x"}'],
       {"objects": [{"qom-type": "iothread", "id": "io"}, {"qom-type": "secret", "id": "s", "data": "x"}]})
expect("drives find their places", ["a.img", "-cdrom", "c.iso", "-drive", "file=b.img,format=raw", "-hdd", "d.img"],
       {"drives.0.index": 0, "drives.1.index": 2, "drives.1.media": "cdrom", "drives.1.readonly": True, "drives.2.index": 1, "drives.3.index": 3})
expect("-drive bus and unit", ["-drive", "file=x,bus=1,unit=1"], {"drives.0.index": 3})
expect("an empty CD drive", ["-drive", "media=cdrom"], {"drives.0": {"media": "cdrom", "if": "ide", "index": 2, "id": "ide1-cd0", "readonly": True}})

expect("-name", ["-name", "guest=g1,debug-threads=on,process=p"], {"name": "g1", "run.debug-threads": True, "run.process": "p"})
expect("-name, bare", ["-name", "g,,1"], {"name": "g,1"})
expect("-uuid -rtc", ["-uuid", "11111111-2222-3333-4444-555555555555", "-rtc", "base=2026-11-20T21:39:48,driftfix=slew"],
       {"uuid": "11111111-2222-3333-4444-555555555555", "rtc": {"base": "2026-11-20T21:39:48", "driftfix": "slew"}})
expect("-no-reboot -no-shutdown -S -no-acpi -no-hpet", ["-no-reboot", "--no-shutdown", "-S", "-no-acpi", "-no-hpet"],
       {"run": {"no-reboot": True, "no-shutdown": True, "paused": True}, "no-acpi": True, "no-hpet": True})
expect("-action", ["-action", "panic=exit-failure,reboot=shutdown"], {"action": {"panic": "exit-failure", "reboot": "shutdown"}})
expect("-smbios", ["-smbios", "type=1,manufacturer=M,,N,uuid=u", "-smbios", "type=11,value=a,value=b", "-smbios", "file=/f"],
       {"smbios": [{"type": 1, "manufacturer": "M,N", "uuid": "u"}, {"type": 11, "value": "a"}, {"type": 11, "value": "b"}, {"file": "/f"}]})
expect("-fw_cfg", ["-fw_cfg", "opt/a,string=x", "-fw_cfg", "name=opt/b,file=/f"], {"fw_cfg": [{"name": "opt/a", "string": "x"}, {"name": "opt/b", "file": "/f"}]})
expect("-sandbox", ["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"],
       {"sandbox": {"enable": "on", "obsolete": "deny", "elevateprivileges": "deny", "spawn": "deny", "resourcecontrol": "deny"}})
expect("-msg -overcommit", ["-msg", "timestamp=on", "-overcommit", "mem-lock=off,cpu-pm=off"],
       {"msg": {"timestamp": True}, "overcommit": {"mem-lock": False, "cpu-pm": False}})
expect("-runas", ["-runas", "65534:65534"], {"runas": {"uid": 65534, "gid": 65534}})
expect("-run-timeout", ["-run-timeout", "2.5"], {"timeout": 2.5})
expect("what asks for nothing is taken", ["-vga", "none", "-display", "none", "-net", "none", "-nic", "none", "-vnc", "none", "-parallel", "none", "-no-user-config"],
       {"vga": "none"})

# As libvirt 9.0 writes it, without what later issues bring.
expect("libvirt's command line", """-name guest=g1,debug-threads=on -S -machine pc-i440fx-7.2,usb=off,dump-guest-core=off -accel tcg
    -cpu qemu64,hypervisor=on,lahf-lm=on -m 512 -overcommit mem-lock=off -smp 1,maxcpus=2,sockets=2,cores=1,threads=1 -uuid 11111111-2222-3333-4444-555555555555
    -no-user-config -nodefaults -chardev socket,id=charmonitor,fd=26,server=on,wait=off -rtc base=utc,driftfix=slew -global kvm-pit.lost_tick_policy=delay
    -no-hpet -no-shutdown -global PIIX4_PM.disable_s3=1 -global PIIX4_PM.disable_s4=1 -boot strict=on -chardev pty,id=charserial0
    -device {"driver":"isa-serial","chardev":"charserial0","id":"serial0","index":0}
    -sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny -msg timestamp=on""".split(), {
        "name": "g1", "run": {"debug-threads": True, "paused": True, "no-shutdown": True}, "machine.type": "pc-i440fx-7.2", "accel": [{"name": "tcg"}],
        "memory.size": 512 * M, "smp.maxcpus": 2, "smp.sockets": 2, "nodefaults": True, "serials": None, "monitors": None, "boot": {"strict": "on"},
        "chardevs": [{"backend": "socket", "id": "charmonitor", "fd": "26", "server": True, "wait": False}, {"backend": "pty", "id": "charserial0"}],
        "devices": [{"driver": "isa-serial", "chardev": "charserial0", "id": "serial0", "index": 0}], "no-hpet": True})
expect("kvm-unit-tests' command line", """-nodefaults -device pc-testdev -device isa-debug-exit,iobase=0xf4,iosize=0x4 -vnc none -serial stdio -machine accel=kvm -kernel t.flat
    -smp 2 -append x""".split(), {"devices.0": {"driver": "pc-testdev"}, "accel": [{"name": "kvm"}], "chardevs": [{"id": "serial0", "backend": "stdio"}],
                                  "boot": {"kernel": "t.flat", "append": "x"}})


def refused(name, args, *words):
    @case(name)
    def _():
        ran = roost("--print-config", *args)
        one_line(ran)
        for word in words:
            check(word in ran.lines[0], ran)


refused("-accel and accel=", ["-accel", "tcg", "-machine", "pc,accel=kvm"], "-accel")
refused("-append without -kernel", ["-append", "x"], "-append", "-kernel")
refused("-initrd without -kernel", ["-initrd", "x"], "-initrd", "-kernel")
refused("five serial ports", ["-serial", "null"] * 5, "-serial null", "four" if False else "4")
refused("a chardev twice", ["-chardev", "null,id=a", "-chardev", "null,id=a"], "'a'")
refused("a device id twice", ["-device", "isa-serial,id=a", "-device", "isa-serial,id=a"], "'a'")
refused("two drives in one place", ["-hda", "a", "-drive", "file=b,index=0"], "index=0")
refused("five IDE drives", ["-hda", "a", "-hdb", "b", "-hdc", "c", "-hdd", "d", "-drive", "file=e"], "all 4 places")
refused("a SCSI drive", ["-drive", "file=e,if=scsi"], "virtio-scsi-pci")
refused("a serial number of a drive", ["-drive", "file=e,serial=1"], "belongs to the device")
refused("two nodes of one name", ["-blockdev", "file,node-name=a", "-blockdev", "file,node-name=a"], "taken")
refused("a node without a name", ["-blockdev", "file,filename=x"], "node-name")
refused("two objects of one id", ["-object", "iothread,id=a", "-object", "iothread,id=a"], "taken")
refused("-debugcon twice", ["-debugcon", "null", "-debugcon", "null"], "twice")


def with_file(text, *args):
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(text)
        file.flush()
        return roost("--print-config", "-readconfig", file.name, *args)


@case("-readconfig")
def _():
    ran = with_file('''# comment
[drive "d0"]
  file = "/a,b.img"
  format = "raw"
  if = "none"

[device "x"]
  driver = "isa-debug-exit"
  iobase = "0xf4"
[chardev "c"]
  backend = "null"
[machine]
  type = "pc"
  accel = "tcg"
[memory]
  size = "256"
[smp-opts]
  cpus = "2"
[boot-opts]
  menu = "on"
[global]
  driver = "a"
  property = "b"
  value = "c"
''', "-m", "slots=0")
    check(ran.status == 0, ran)
    got = json.loads(ran.out)
    check(got["drives"][0] == {"id": "d0", "file": "/a,b.img", "format": "raw", "if": "none", "index": 0}, got["drives"])
    check(got["devices"] == [{"driver": "isa-debug-exit", "id": "x", "iobase": "0xf4"}] or got["devices"][0]["iobase"] == "0xf4", got["devices"])
    check(got["memory"]["size"] == 256 * M and got["smp"]["cpus"] == 2 and got["accel"] == [{"name": "tcg"}], got)
    check(got["boot"]["menu"] == "on" and got["globals"][0]["value"] == "c", got)


@case("-readconfig, wrong files")
def _():
    for text in ("x", "x = y", "[", "[]", "[nosuch]", "[netdev]", '[drive "d]', "[drive]\nfoo", '[drive]\nfile = x', '[drive]\n= "x"', '[drive]\nfoo = "1"\n', "\x00", "[drive] x",
                 "[device]\n", "A" * 100000, "[drive\n" * 1000):
        ran = with_file(text)
        if ran.status or text != "\x00":
            one_line(ran)
            check("-readconfig" in ran.lines[0], ran)


@case("what --print-config prints, a Value tree takes back")
def _():
    for args in ([], ["-nographic", "-smp", "2"], ["-device", '{"driver":"a","big":18446744073709551615,"small":-9223372036854775808}']):
        got = tree(*args)
        check(isinstance(got, dict), got)
    check(tree("-device", '{"driver":"a","big":18446744073709551615}')["devices"][0]["big"] == 2 ** 64 - 1, "a large number changed")


main()
