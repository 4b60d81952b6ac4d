#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# options.py - every option of the table with missing, wrong and absurd values: status 1, one line that names option and
# value, no crash. An option without wrong values here fails the test, so that none is forgotten.
import re
from tap import *

BASE = ["-M", "none", "-accel", "qtest", "-display", "none", "-run-timeout", "5"]

# What is refused, before the machine is built or when it is.
WRONG = {
    "pool": ["", "a", "=a", "a="], "network": ["", "a", "=a", "a="],
    "domain-xml": ["", "text", "<a>", "<a></b>", "<a/><b/>", "<!DOCTYPE a><a/>"],
    "machine": ["", "nosuch", "pc,foo=1", "pc,usb=on", "pc,usb=perhaps", "pc,vmport=on", "pc,accel=xen", "pc,accel=foo", "pc,kernel-irqchip=maybe",
                "pc,memory-backend=pc.ram", "pc,nvdimm=on", "type=", "pc,=x", "pc,word", "pc,max-ram-below-4g=1G", "pc,pit=off", "pc,i8042=off", "pc,smm=on", "pc,pcspk-audiodev=a"],
    "accel": ["", "foo", "xen", "hvf", "tcg,thread=many", "kvm,foo=1", "kvm,kernel-irqchip=2", "kvm:foo", "tcg,tb-size=-1"],
    "cpu": ["", ",avx=on", "qemu64,+", "qemu64,="],
    "smp": ["0", "-1", "foo", "70000", "4,sockets=3", "4,maxcpus=2", "cpus=2,clusters=2", "3,cores=2", "cores=0", "4,cores=2,threads=2,sockets=2",
            "2,foo=1", "99999999999999999999", "cpus=", "2,bar", "65535,sockets=65535,dies=65535,cores=65535,threads=65535"],
    "m": ["", "1x", "-5", "foo", "99999999T", "16777216T", "1.5G,slots=2", "1G,maxmem=512M", "1G,slots=2,maxmem=2G,foo=1", "1G,slots=300,maxmem=8G",
          "1G,maxmem=1G,slots=1", "size=", "1G,maxmem=x", "1k", "0x", "1e3"],
    "boot": ["", "xyz", "aa", "order=zz", "order=c,foo=1", "menu=maybe", "splash-time=99999", "splash-time=-1", "reboot-timeout=-2", "reboot-timeout=x",
             "strict=2", "once=", "C", "splash=x.jpg"],
    "device": ["", "nosuch-model", "isa-debug-exit,id=1x", "isa-debug-exit,id=a b", "{", "{}", "[]", '{"driver":1}', '{"driver":"nosuch-model"}', "driver=",
               '{"driver":"isa-debug-exit","id":7}', "nosuch,help", "isa-debug-exit,=3", '{"driver":"isa-debug-exit"', "x" * 5000],
    "global": ["", "foo", "a.b", ".b=c", "a.=c", "driver=a", "driver=a,property=b", "=", "driver=a,property=b,value=c,d=e"],
    "name": ["foo=1", "guest=a,debug-threads=2", "a,b", "=x"],
    "uuid": ["", "x", "12345678-1234-1234-1234-123456789abg", "12345678-1234-1234-1234-123456789abcd", "{12345678-1234-1234-1234-123456789ab}"],
    "drive": ["", "foo=1", "file=", "file=/x,format=qcow2", "file=/x,if=virtio", "file=/x,if=foo", "file=/x,index=4", "file=/x,index=-1", "file=/x,media=tape",
              "file=/x,readonly=2", "file=/x,id=1", "file=/x,cache=none", "file=/x,snapshot=on", "file=/x,bus=2", "file=/x,index=1,unit=1",
              "media=disk", "file=/x,if=scsi", "file=/x,if=pflash", "file=/x,serial=1", "file=/x,file.driver=nosuch", "file=/x,aio=foo", "file=/x,cache=foo",
              "file=/x,discard=foo", "file=/x,werror=foo", "file=/x,throttling.iops-total=x", "file=/x,if=floppy,index=2", "file=/x,a..b=1", "x"],
    "blockdev": ["", "file", "file,node-name=a", "driver=nosuch,node-name=a", "file,filename=/nonexistent/x,node-name=a", "raw,node-name=a", "{", "{}",
                 '{"driver":"file","node-name":1}', "null-co,node-name=a,foo=1", "null-co,node-name=1a", "raw,node-name=a,file=nosuch", "null-co,node-name=a,size=x"],
    "object": ["", "foo", "foo,id=a", "iothread", "iothread,id=1", "iothread,id=a,foo=1", "secret,id=a", "secret,id=a,file=/nonexistent/x", "memory-backend-ram,id=a",
               "throttle-group,id=a,x-iops-total=x", "rng-random,id=a,filename=/nonexistent/x"],
    "fda": [""], "fdb": [""],
    "cdrom": [""], "hda": [""], "hdb": [""], "hdc": [""], "hdd": [""],
    "display": ["", "gtk", "sdl", "vnc=", "vnc=x", "foo"], "vga": ["", "cirrus", "foo"], "vnc": ["", "foo", "x:y", "unix:", ":0,foo=1", ":0,share=no", ":0,reverse=on", ":0,tls-creds=x", ":70000", ":0,websocket=x", "unix:/x,websocket=on", ":0,password-secret=nosuch"],
    "nic": ["nosuch", "vde", "", "user,model=nosuch", "user,foo=1", "none,x=1"], "net": ["vde", "nosuch", "", "user,foo=1"],
    "netdev": ["", "user", "nosuch,id=a", "vde,id=a", "user,id=", "user,id=1", "user,id=a b", "user,id=a,foo=1", "user,id=a,net=10.0.2.0/30", "user,id=a,net=x",
               "user,id=a,net=10.0.2.0/255.0.255.0", "user,id=a,host=1.2.3.4", "user,id=a,dhcpstart=10.0.2.1", "user,id=a,dns=10.0.2.2", "user,id=a,restrict=maybe",
               "user,id=a,ipv4=off,ipv6=off", "user,id=a,ipv6-net=fec0::/200", "user,id=a,ipv6-host=x", "user,id=a,hostfwd=x", "user,id=a,hostfwd=tcp::1-:0",
               "user,id=a,hostfwd=sctp::1-:1", "user,id=a,hostfwd=tcp:192.0.2.1:1-:1", "user,id=a,guestfwd=x", "user,id=a,guestfwd=tcp:10.0.2.9:80-nosuch",
               "user,id=a,tftp=/nonexistent", "user,id=a,smb=/tmp", "user,id=a,bootfile=" + "x" * 200, "tap,id=a,vhost=on", "tap,id=a,fd=x", "tap,id=a,fd=9999", "tap,id=a,fd=0,ifname=b", "tap,id=a,queues=0", "tap,id=a,sndbuf=1",
               "bridge,id=a,helper=/nonexistent", "socket,id=a", "socket,id=a,listen=x", "socket,id=a,mcast=10.0.0.1:5", "socket,id=a,listen=:1,connect=:2"],
    "smbios": ["", "type=99", "type=foo", "type=1,foo=2", "type=4,max-speed=x", "type=4,max-speed=70000", "type=11,foo=1", "foo=1", "type=0,uefi=2", "type=-1"],
    "chardev": ["", "foo", "null", "foo,id=a", "vc,id=a", "udp,id=a,port=1", "tty,id=a,path=/dev/ttyS0", "null,id=1", "null,id=", "null,id=a b", "null,id=a,foo=1",
                "null,id=a,mux=2", "file,id=a", "pipe,id=a", "file,id=a,path=/nonexistent/x", "pipe,id=a,path=/nonexistent/x", "socket,id=a",
                "socket,id=a,path=/nonexistent/x", "socket,id=a,path=/nonexistent/x,server=on,wait=off", "socket,id=a,fd=123", "socket,id=a,fd=x",
                "socket,id=a,fd=2", "socket,id=a,host=127.0.0.1,port=1", "socket,id=a,host=127.0.0.1,port=70000", "socket,id=a,host=127.0.0.1",
                "socket,id=a,path=/x,port=1", "socket,id=a,path=/x,telnet=on", "socket,id=a,path=/x,server=on,reconnect=1", "socket,id=a,path=" + "x" * 200,
                "ringbuf,id=a,size=100", "ringbuf,id=a,size=0", "ringbuf,id=a,size=1T", "ringbuf,id=a,size=-1", "null,id=a,logfile=/nonexistent/x",
                "stdio,id=a,signal=5", "id=a", "socket,id=a,path=/x,reconnect=99999999", "null,id=" + "a" * 3000 + "!"],
    "bios": ["/nonexistent/bios"], "kernel": ["/nonexistent/kernel"], "append": ["quiet"], "initrd": ["/nonexistent/initrd"],
    "L": [""],
    "fw_cfg": ["", "foo", "name=opt/x", "name=opt/x,file=/x,string=y", "string=x", "name=,string=x", "name=" + "x" * 60 + ",string=y", "opt/x,foo=1", "name=opt/x,gen_id=a"],
    "serial": ["", "foo", "vc", "telnet:localhost:1,server", "udp:1", "unix:", "tcp:", "tcp:foo", "tcp:127.0.0.1:99999", "tcp:127.0.0.1:1", "file:", "pipe:", "chardev:",
               "chardev:nosuch", "mon:foo", "mon:", "unix:/x,foo=1", "unix:/nonexistent/x,server,nowait", "file:/nonexistent/x", "/dev/ttyS0", "COM1", "stdio,x"],
    "parallel": ["", "stdio", "null", "foo"], "monitor": ["", "foo", "vc", "mon:stdio", "chardev:nosuch", "unix:"],
    "qmp": ["", "foo", "vc", "mon:stdio", "chardev:nosuch", "unix:"], "qmp-pretty": ["", "foo"],
    "mon": ["", "nosuch", "mode=control", "chardev=nosuch,mode=foo", "x,pretty=2", "x,pretty=on", "x,foo=1"],
    "add-fd": ["", "fd=0,set=1", "fd=999,set=1", "fd=3", "set=1", "fd=x,set=1", "fd=3,set=-1", "fd=3,set=1,foo=1"],
    "debugcon": ["", "foo", "vc", "chardev:nosuch", "file:/nonexistent/x"], "qtest": ["", "foo", "chardev:nosuch", "unix:"],
    "qtest-log": [],
    "pidfile": ["/nonexistent/x", "/", ""],
    "overcommit": ["", "x", "mem-lock=2", "cpu-pm=on", "foo=on"],
    "d": ["foo", "int,foo", "", ",", "trace:nosuch_point"], "D": ["/nonexistent/x", "/"],
    "action": ["", "foo", "panic=foo", "reboot=pause", "shutdown=reset", "watchdog=1", "foo=bar"],
    "rtc": ["", "foo", "base=foo", "base=2006-13-01", "base=2006-02-30", "base=2006-06-17T25:00:00", "clock=foo", "driftfix=foo", "base="],
    "echr": ["foo", "256", "-1", ""], "readconfig": ["/nonexistent/x", "/", ""],
    "runas": ["", "no-such-user", "x:y", "1:", ":1", "4294967295:0", "-1:-1"],
    "sandbox": ["", "foo", "on,spawn=foo", "on,obsolete=1", "on,foo=deny", "on,elevateprivileges=maybe", "2"],
    "run-with": ["", "foo", "exit-with-parent=2", "exit-with-parent=", "async-teardown=on", "chroot=/tmp"],
    "msg": ["", "foo=1", "timestamp=2", "x"], "trace": ["", "nosuch_point", "enable=", "foo=1", "events=/nonexistent/x"],
    "list-as": [""],
    "run-timeout": ["", "0", "-1", "x", "nan", "inf", "1e300", "5s"],
}
# The sentence speaks of the file that cannot be opened, and need not repeat the option.
VALUE_ONLY = {"bios", "kernel", "initrd", "D", "pidfile", "device", "machine", "append"}
NEEDS_PC = {"bios", "kernel", "initrd"}
WITH = {"initrd": ["-M", "pc"], "append": []}

ABSURD = ["", "=", ",", ",,", ",,,", "=,=", "x=y,=z", "help=", "?", "no", "\x01\x1b[31m\nsecond line", "%s%n%d%99999999s", "\U0001f989", "\udcff\udcfe", "A" * 100000,
          "-1", "99999999999999999999", "0x", "1e999", "{", "{}", "[]", "null", "[" * 5000, '{"a":' * 2000, "on", "off", "type=", "id=,id=", "a=" * 2000, "../../etc/passwd"]


def table():
    ran = roost("help", "options")
    check(ran.status == 0, ran)
    return [line.split("\t")[:2] for line in ran.out.splitlines()]


TABLE = table()
HAS_PC = "\npc " in roost("-M", "help").out


def names(line, name, value):
    told = value if len(value) < 60 else value[:40]
    whole = f"-{name}" in line and told in line
    # An empty or long value cannot be looked for; keys of the value stand for it.
    pieces = [p for p in re.split(r'[=,{}":\[\]]', told) if p]
    return whole or (name in VALUE_ONLY and (not pieces or any(p in line for p in pieces)))


@case("the table is not empty, and its names are unique")
def _():
    check(len(TABLE) > 50, TABLE)
    check(len({name for name, _ in TABLE}) == len(TABLE), "a name stands twice")


def add(name, argument):
    if not argument:
        return

    @case(f"-{name}: missing argument")
    def missing():
        ran = roost(f"-{name}")
        one_line(ran)
        check(f"-{name}" in ran.lines[0], ran)

    if name == "M":
        return
    if name not in WRONG:
        @case(f"-{name}: has wrong values in this test")
        def forgotten():
            raise AssertionError(f"add wrong values of -{name} to WRONG")
        return
    for value in WRONG[name]:
        @case(f"-{name} {value[:40]!r}: refused")
        def wrong(value=value):
            if name in NEEDS_PC and not HAS_PC:
                raise Skip("this build has no machine pc")
            base = [a if a != "none" or BASE[i - 1] != "-M" else "pc" for i, a in enumerate(BASE)] if name in NEEDS_PC else BASE
            more = ["-kernel", "/proc/self/exe"] if name == "initrd" else []
            ran = roost(*base, *more, f"-{name}", value)
            one_line(ran)
            check(names(ran.lines[0], name, value) or name == "initrd", ran)

    @case(f"-{name}: absurd values")
    def absurd():
        for value in ABSURD:
            for dashes in ("-", "--"):
                try:
                    ran = roost("--print-config", dashes + name, value)
                except ValueError:
                    continue
                check(ran.status in (0, 1), ran)
                check("Sanitizer" not in ran.err and "runtime error" not in ran.err and "CRITICAL" not in ran.err and "WARNING" not in ran.err, ran)
                if ran.status == 1:
                    one_line(ran)
                    check("\x1b" not in ran.err, ran)


for option_name, option_argument in TABLE:
    add(option_name.lstrip("-"), option_argument)


@case("options without argument stand alone")
def _():
    for name, argument in TABLE:
        if not argument:
            ran = roost("--print-config", name)
            check(ran.status == 0, ran)
            ran = roost("--print-config", "-" + name)
            check(ran.status == 0, ran)


@case("what others have and this one has not yet is told apart from a typing mistake")
def _():
    for name in ("gdb", "s", "numa", "usb", "incoming", "loadvm", "pflash", "tpmdev", "virtfs", "watchdog"):
        ran = roost(f"-{name}", "x")
        one_line(ran)
        check(ran.lines[0].startswith(f"roost: -{name} is not supported yet"), ran)
    for wrong, right in (("kernl", "kernel"), ("nographics", "nographic"), ("seriall", "serial"), ("devise", "device"), ("no_reboot", "no-reboot")):
        ran = roost("-" + wrong)
        one_line(ran)
        check(f"-{wrong} is not an option; did you mean -{right}?" in ran.lines[0], ran)
    ran = roost("-xyzzy")
    one_line(ran)
    check("-help" in ran.lines[0], ran)


@case("every option that QEMU's help lists is known")
def _():
    import shutil
    import re
    qemu = shutil.which("qemu-system-x86_64")
    if not qemu:
        raise Skip("qemu-system-x86_64 is not installed")
    text = subprocess.run([qemu, "-help"], capture_output=True, text=True).stdout
    for name in sorted(set(re.findall(r"^-{1,2}([A-Za-z][A-Za-z0-9_-]*)", text, re.M))):
        ran = roost("--print-config", f"-{name}")
        check("is not an option" not in ran.err, ran)


@case("odd command lines")
def _():
    for args in (["-"], [""], ["--"], ["---m", "1"], ["-m=1"], ["a.img", "b.img"], ["-" + "x" * 5000], ["-\x1b[31m"], ["help", "nosuch"], ["run", "-foo"]):
        ran = roost("--print-config", *args) if args[0] not in ("help", "run") else roost(*args)
        check(ran.status in (0, 1), ran)
        if ran.status:
            one_line(ran)
            check("\x1b" not in ran.err, ran)


@case("help and lists end with status 0 and say nothing on standard error")
def _():
    topics = [["-h"], ["-help"], ["--help"], ["-version"], ["-M", "help"], ["-machine", "pc,help"], ["-accel", "help"], ["-cpu", "help"], ["-device", "help"],
              ["-device", "isa-debug-exit,help"], ["-chardev", "help"], ["-chardev", "socket,help"], ["-d", "help"], ["-trace", "help"], ["-L", "help"], ["-smp", "help"],
              ["-drive", "help"], ["help"], ["help", "options"], ["help", "devices"], ["help", "machines"], ["help", "chardevs"], ["help", "cpus"], ["help", "boot"], ["help", "manual"],
              ["-name", "help"], ["-fw_cfg", "help"], ["-global", "help"], ["-accel", "kvm,help"], ["-vga", "help"], ["-display", "help"]]
    for args in topics:
        ran = roost(*args)
        check(ran.status == 0 and ran.out and not ran.err, ran)


@case("lists that scripts read keep QEMU's form")
def _():
    check(roost("-accel", "help").out.splitlines()[1:] == ["tcg", "kvm"], roost("-accel", "help"))
    check("\nx86 qemu64 " in roost("-cpu", "help").out, roost("-cpu", "help"))
    check('\nname "isa-debug-exit", bus ISA, desc "' in roost("-device", "help").out, roost("-device", "help"))
    ran = roost("-device", "isa-debug-exit,help")
    check(ran.out.startswith("isa-debug-exit options:\n  iobase=<uint32>        - ") and "(default: 1281)\n" in ran.out, ran)


@case("the help lists every option")
def _():
    text = roost("-help").out
    for name, _ in TABLE:
        check(f"\n{name} " in text or f"\n{name}\n" in text or name in ("-hdb",), name)


main()
