#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# translate.py - one table: elements of a domain, and the options that they mean. Usage: translate.py ROOST [PART-OF-A-NAME]
import json

from domain import HERE, argv_of, case, check, domain, holds, main, roost, write, ENVIRONMENT

DISK = "<disk type='file'><driver name='qemu' type='raw'{d}/><source file='/x.img'/><target dev='{t}'{b}/>{m}</disk>"


def disk(target="vda", bus="", driver="", more=""):
    return DISK.format(t=target, b=f" bus='{bus}'" if bus else "", d=driver and " " + driver, m=more)


STORAGE = "-blockdev file,filename=/x.img,node-name=libvirt-1-storage,auto-read-only=on,discard=unmap"
FORMAT = "-blockdev raw,node-name=libvirt-1-format,read-only=off,file=libvirt-1-storage"

# name, domain, what the options hold, and what (after "!") they do not
TABLE = [
    ("name and uuid", domain(head="<uuid>12345678-1234-1234-1234-123456789abc</uuid>"), "-name guest=d", "-uuid 12345678-1234-1234-1234-123456789abc"),
    ("a name with a comma", domain().replace("<name>d<", "<name>a,b<"), "-name guest=a,,b"),
    ("machine, accelerators", domain(kind="kvm"), "-machine pc", "-accel kvm -accel tcg", "-nodefaults"),
    ("in software", domain(), "-accel tcg", "!-accel kvm"),
    ("no ACPI", domain(features=""), "-no-acpi"),
    ("ACPI", domain(), "!-no-acpi"),
    ("vmport, dumpCore", domain(features="<acpi/><vmport state='off'/>", memory="<memory unit='MiB' dumpCore='off'>64</memory>"),
     "-machine pc,dump-guest-core=off,vmport=off"),
    ("memory in KiB", domain(memory="<memory>524288</memory>"), "-m 512M"),
    ("memory is rounded up", domain(memory="<memory unit='bytes'>1048577</memory>"), "-m 2M"),
    ("memory in GB", domain(memory="<memory unit='GB'>1</memory>"), "-m 954M"),
    ("memory in GiB", domain(memory="<memory unit='GiB'>2</memory>"), "-m 2048M"),
    ("more memory later", domain(memory="<memory unit='MiB'>64</memory><maxMemory slots='4' unit='GiB'>1</maxMemory>"), "-m 64M,slots=4,maxmem=1024M"),
    ("locked memory", domain(head="<memoryBacking><locked/></memoryBacking>"), "-overcommit mem-lock=on"),
    ("processors", domain(head="<vcpu placement='static'>3</vcpu>"), "-smp cpus=3,sockets=3,cores=1,threads=1"),
    ("processors for later", domain(head="<vcpu current='1'>2</vcpu>"), "-smp cpus=1,maxcpus=2,sockets=2,cores=1,threads=1"),
    ("topology", domain(head="<vcpu>8</vcpu><cpu><topology sockets='1' dies='2' cores='2' threads='2'/></cpu>"),
     "-smp cpus=8,sockets=1,dies=2,cores=2,threads=2", "!-cpu qemu64"),
    ("a processor model", domain(head="<cpu mode='custom' match='exact' check='none'><model fallback='forbid'>Nehalem</model>"
                                      "<feature policy='require' name='vmx'/><feature policy='disable' name='aes'/></cpu>"), "-cpu Nehalem,vmx=on,aes=off"),
    ("the host's processor", domain(kind="kvm", head="<cpu mode='host-passthrough' migratable='on'/>"), "-cpu host,migratable=on"),
    ("the host's model, in software", domain(head="<cpu mode='host-model'/>"), "-cpu max"),
    ("all there is", domain(head="<cpu mode='maximum'/>"), "-cpu max"),
    ("hidden KVM", domain(features="<acpi/><kvm><hidden state='on'/></kvm><pmu state='off'/>"), "-cpu qemu64,pmu=off,kvm=off"),
    ("I/O threads", domain(head="<iothreads>2</iothreads>"), "-object iothread,id=iothread1 -object iothread,id=iothread2"),
    ("I/O threads with numbers", domain(head="<iothreads>2</iothreads><iothreadids><iothread id='7'/></iothreadids>"),
     "-object iothread,id=iothread7 -object iothread,id=iothread2"),
    ("local time", domain(head="<clock offset='localtime'/>"), "-rtc base=localtime"),
    ("a date", domain(head="<clock offset='absolute' start='1000000000'/>"), "-rtc base=2001-09-09T01:46:40"),
    ("timers", domain(head="<clock offset='utc'><timer name='rtc' tickpolicy='catchup' track='guest'/><timer name='pit' tickpolicy='delay'/>"
                           "<timer name='hpet' present='no'/><timer name='kvmclock' present='no'/></clock>"),
     "-rtc base=utc,clock=vm,driftfix=slew", "-no-hpet", "-cpu qemu64,kvmclock=off"),
    ("what follows", domain(head="<on_poweroff>preserve</on_poweroff><on_reboot>destroy</on_reboot><on_crash>preserve</on_crash>"),
     "-action shutdown=pause,reboot=shutdown,panic=pause"),
    ("sleep states", domain(head="<pm><suspend-to-mem enabled='no'/><suspend-to-disk enabled='yes'/></pm>"),
     "-global PIIX4_PM.disable_s3=1 -global PIIX4_PM.disable_s4=0"),
    ("boot menu", domain(os_more="<bootmenu enable='yes' timeout='3000'/><bios rebootTimeout='5000'/>"),
     "-boot menu=on,splash-time=3000,reboot-timeout=5000,strict=on"),
    ("a kernel", domain(os_more="<kernel>/k</kernel><initrd>/i</initrd><cmdline>console=ttyS0,115200 quiet</cmdline>"),
     "-kernel /k", "-initrd /i", "-append 'console=ttyS0,115200 quiet'"),
    ("firmware", domain(os_more="<loader>/bios.bin</loader>"), "-bios /bios.bin"),
    ("SMBIOS", domain(os_more="<smbios mode='sysinfo'/>", head="<sysinfo type='smbios'><bios><entry name='vendor'>A, B</entry></bios>"
                      "<system><entry name='product'>P</entry></system><oemStrings><entry>one</entry></oemStrings></sysinfo>"),
     "-smbios type=0,vendor='A,, B'", "-smbios type=1,product=P", "-smbios type=11,value=one"),
    ("files for the firmware", domain(head="<sysinfo type='fwcfg'><entry name='opt/a'>text</entry><entry name='opt/b' file='/f'/></sysinfo>"),
     "-fw_cfg name=opt/a,string=text", "-fw_cfg name=opt/b,file=/f"),
    ("virtio disk", domain(disk()), f"{STORAGE} {FORMAT} -device virtio-blk-pci,id=virtio-disk0,drive=libvirt-1-format"),
    ("transitional", domain(disk().replace("<disk ", "<disk model='virtio-transitional' ")), "-device virtio-blk-pci-transitional,id=virtio-disk0,drive=libvirt-1-format"),
    ("IDE disk", domain(disk("hdc", "ide")), "-device ide-hd,id=ide0-1-0,bus=ide.1,unit=0,drive=libvirt-1-format"),
    ("IDE disk by address", domain(disk("hda", "ide", more="<address type='drive' controller='0' bus='1' target='0' unit='1'/>")),
     "-device ide-hd,id=ide0-1-1,bus=ide.1,unit=1,drive=libvirt-1-format"),
    ("SCSI disk", domain(disk("sdh", "scsi")), "-device virtio-scsi-pci,id=scsi0",
     "-device scsi-hd,id=scsi0-0-0-8,bus=scsi0.0,channel=0,scsi-id=0,lun=8,device_id=drive-scsi0-0-0-8,drive=libvirt-1-format"),
    ("SCSI by the name alone", domain(disk("sda")), "-device virtio-scsi-pci,id=scsi0"),
    ("SCSI controller", domain("<controller type='scsi' index='0' model='virtio-scsi'><driver queues='2' iothread='1'/></controller>" + disk("sda", "scsi")),
     "-device virtio-scsi-pci,id=scsi0,num_queues=2,iothread=iothread1"),
    ("place on the PCI bus", domain(disk(more="<address type='pci' domain='0x0000' bus='0x00' slot='0x1f' function='0x2' multifunction='on'/>")),
     "-device virtio-blk-pci,id=virtio-disk0,bus=pci.0,addr=0x1f.0x2,multifunction=on,drive=libvirt-1-format"),
    ("no cache", domain(disk(driver="cache='none' io='native'")),
     "-blockdev file,filename=/x.img,aio=native,cache.direct=on,cache.no-flush=off,node-name=libvirt-1-storage,auto-read-only=on,discard=unmap",
     "-device virtio-blk-pci,id=virtio-disk0,write-cache=on,drive=libvirt-1-format"),
    ("discard", domain(disk(driver="discard='unmap' detect_zeroes='unmap'")),
     "-blockdev raw,node-name=libvirt-1-format,read-only=off,discard=unmap,detect-zeroes=unmap,file=libvirt-1-storage"),
    ("error policies", domain(disk(driver="error_policy='enospace' rerror_policy='report'")), "-device virtio-blk-pci,id=virtio-disk0,werror=enospc,rerror=report,drive=libvirt-1-format"),
    ("queues", domain(disk(driver="queues='4' queue_size='128' iothread='2'")),
     "-device virtio-blk-pci,id=virtio-disk0,num-queues=4,queue-size=128,iothread=iothread2,drive=libvirt-1-format"),
    ("serial number, wwn", domain(disk("sda", "scsi", more="<serial>S1</serial><wwn>5000c50015ea71ac</wwn><vendor>V</vendor><product>P</product>")),
     "-device scsi-hd,id=scsi0-0-0-0,bus=scsi0.0,channel=0,scsi-id=0,lun=0,device_id=drive-scsi0-0-0-0,vendor=V,product=P,serial=S1,wwn=0x5000c50015ea71ac,drive=libvirt-1-format"),
    ("block sizes", domain(disk(more="<blockio logical_block_size='512' physical_block_size='4096'/>")),
     "-device virtio-blk-pci,id=virtio-disk0,logical_block_size=512,physical_block_size=4096,drive=libvirt-1-format"),
    ("read-only", domain(disk(more="<readonly/>")), "-blockdev raw,node-name=libvirt-1-format,read-only=on,file=libvirt-1-storage"),
    ("shared", domain(disk(more="<shareable/>")), "-device virtio-blk-pci,id=virtio-disk0,share-rw=on,drive=libvirt-1-format"),
    ("limits", domain(disk(more="<iotune><total_bytes_sec>1000000</total_bytes_sec><read_iops_sec>50</read_iops_sec></iotune>")),
     "-object throttle-group,id=throttle-libvirt-1,bps-total=1000000,iops-read=50",
     "-blockdev throttle,node-name=libvirt-1-filter,throttle-group=throttle-libvirt-1,file=libvirt-1-format",
     "-device virtio-blk-pci,id=virtio-disk0,drive=libvirt-1-filter"),
    ("a block device", domain("<disk type='block'><source dev='/dev/vg/lv'/><target dev='vda'/></disk>"),
     "-blockdev host_device,filename=/dev/vg/lv,node-name=libvirt-1-storage,auto-read-only=on,discard=unmap"),
    ("an NBD server", domain("<disk type='network'><source protocol='nbd' name='e'><host name='h' port='1'/></source><target dev='vda'/></disk>"),
     "-blockdev nbd,server.type=inet,server.host=h,server.port=1,export=e,node-name=libvirt-1-storage,auto-read-only=on,discard=unmap"),
    ("an NBD socket", domain("<disk type='network'><source protocol='nbd'><host transport='unix' socket='/s'/></source><target dev='vda'/></disk>"),
     "-blockdev nbd,server.type=unix,server.path=/s,node-name=libvirt-1-storage,auto-read-only=on,discard=unmap"),
    ("a file's name with a comma", domain(disk().replace("/x.img", "/a,b.img")), "-blockdev file,filename=/a,,b.img,node-name=libvirt-1-storage,auto-read-only=on,discard=unmap"),
    ("an empty CD drive", domain("<disk type='file' device='cdrom'><target dev='hdc' bus='ide'/><readonly/></disk>"), "-device ide-cd,id=ide0-1-0,bus=ide.1,unit=0", "!-blockdev"),
    ("a floppy disk", domain("<disk type='file' device='floppy'><source file='/f'/><target dev='fdb'/></disk>"), "-device floppy,id=fdc0-0-1,unit=1,drive=libvirt-1-format"),
    ("no backing file", domain(disk(more="<backingStore/>").replace("'raw'", "'qcow2'")),
     """-blockdev '{"driver": "qcow2", "node-name": "libvirt-1-format", "read-only": false, "file": "libvirt-1-storage", "backing": null}'"""),
    ("a backing file", domain(disk(more="<backingStore type='file'><format type='qcow2'/><source file='/b'/><backingStore/></backingStore>").replace("'raw'", "'qcow2'")),
     "-blockdev file,filename=/b,node-name=libvirt-1-storage-1,auto-read-only=on",
     """-blockdev '{"driver": "qcow2", "node-name": "libvirt-1-format-1", "read-only": true, "file": "libvirt-1-storage-1", "backing": null}'""",
     "-blockdev qcow2,node-name=libvirt-1-format,read-only=off,file=libvirt-1-storage,backing=libvirt-1-format-1"),
    ("boot by kind", domain(disk("vda") + disk("vdb") + "<disk device='cdrom'><source file='/c'/><target dev='hda'/></disk>", os_more="<boot dev='cdrom'/><boot dev='hd'/>"),
     "-device virtio-blk-pci,id=virtio-disk0,bootindex=2,drive=libvirt-3-format", "-device virtio-blk-pci,id=virtio-disk1,drive=libvirt-2-format",
     "-device ide-cd,id=ide0-0-0,bus=ide.0,unit=0,bootindex=1,drive=libvirt-1-format"),
    ("boot by device", domain(disk(more="<boot order='2'/>")), "-device virtio-blk-pci,id=virtio-disk0,bootindex=2,drive=libvirt-1-format"),
    ("a name of one's own", domain(disk(more="<alias name='ua-mine'/>")), "-device virtio-blk-pci,id=ua-mine,drive=libvirt-1-format"),
    ("serial ports", domain("<serial type='null'/><serial type='file'><source path='/l' append='on'/><target type='isa-serial' port='3'><model name='isa-serial'/></target></serial>"),
     "-chardev null,id=charserial0 -device isa-serial,id=serial0,chardev=charserial0,index=0",
     "-chardev file,path=/l,append=on,id=charserial1 -device isa-serial,id=serial1,chardev=charserial1,index=3"),
    ("a console beside its serial port", domain("<serial type='stdio'/><console type='stdio'><target type='serial' port='0'/></console>"),
     "-chardev stdio,id=charserial0 -device isa-serial,id=serial0,chardev=charserial0,index=0", "!-chardev stdio,id=charconsole0"),
    ("sockets", domain("<serial type='tcp'><source mode='bind' host='127.0.0.1' service='4555'/><protocol type='telnet'/></serial>"
                       "<serial type='unix'><source mode='connect' path='/s'/><log file='/log' append='on'/></serial>"),
     "-chardev socket,host=127.0.0.1,port=4555,telnet=on,server=on,wait=off,id=charserial0", "-chardev socket,path=/s,id=charserial1,logfile=/log,logappend=on"),
    ("a pipe", domain("<serial type='pipe'><source path='/p'/></serial>"), "-chardev pipe,path=/p,id=charserial0"),
    ("a parallel port", domain("<parallel type='pty'><target port='0'/></parallel>"), "-chardev pty,id=charparallel0 -device isa-parallel,id=parallel0,chardev=charparallel0"),
    ("an agent's channel", domain("<channel type='unix'><source mode='bind' path='/a'/><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"),
     "-device virtio-serial-pci,id=virtio-serial0", "-chardev socket,path=/a,server=on,wait=off,id=charchannel0",
     "-device virtserialport,id=channel0,chardev=charchannel0,bus=virtio-serial0.0,nr=1,name=org.qemu.guest_agent.0"),
    ("a virtio console", domain("<console type='pty'><target type='virtio'/></console>"), "-device virtconsole,id=console0,chardev=charconsole0,bus=virtio-serial0.0,nr=1"),
    ("user-mode networking", domain("<interface type='user'><mac address='52:54:00:00:00:01'/><model type='virtio'/><mtu size='1400'/><boot order='1'/></interface>"),
     "-netdev user,id=hostnet0 -device virtio-net-pci,id=net0,netdev=hostnet0,mac=52:54:00:00:00:01,host_mtu=1400,bootindex=1"),
    ("a card of no model", domain("<interface type='user'/>"), "-device rtl8139,id=net0,netdev=hostnet0"),
    ("a bridge", domain("<interface type='bridge'><source bridge='br0'/><model type='e1000'/></interface>"), "-netdev bridge,br=br0,id=hostnet0 -device e1000,id=net0,netdev=hostnet0"),
    ("a tap", domain("<interface type='ethernet'><target dev='tap0' managed='no'/><model type='virtio'/></interface>"),
     "-netdev tap,ifname=tap0,script=no,downscript=no,id=hostnet0"),
    ("input", domain("<input type='tablet' bus='usb'/><input type='keyboard' bus='ps2'/><input type='mouse' bus='virtio'/>"),
     "-device usb-tablet,id=input0,bus=usb.0", "-device virtio-mouse-pci,id=input2"),
    ("VNC", domain("<graphics type='vnc' port='5907' autoport='no' listen='::1'/>"), "-vnc '[::1]:7'"),
    ("VNC where there is room", domain("<graphics type='vnc'/>"), "-vnc 127.0.0.1:0,to=99"),
    ("VNC on a socket", domain("<graphics type='vnc' socket='/v'/>"), "-vnc unix:/v"),
    ("SPICE becomes VNC", domain("<graphics type='spice' port='5901' tlsPort='-1'><image compression='off'/></graphics>"), "-vnc 127.0.0.1:0,to=99"),
    ("display adapters", domain("<video><model type='vga' vram='32768' heads='1' primary='yes'/></video>"), "-device VGA,id=video0,vgamem_mb=32"),
    ("sound", domain("<sound model='ich6'><codec type='duplex'/></sound><audio id='1' type='none'/>"),
     "-device intel-hda,id=sound0 -device hda-duplex,id=sound0-codec0,bus=sound0.0"),
    ("a watchdog", domain("<watchdog model='i6300esb' action='poweroff'/>"), "-device i6300esb,id=watchdog0", "-action watchdog=poweroff"),
    ("a balloon", domain("<memballoon model='virtio' autodeflate='on' freePageReporting='on'><stats period='5'/></memballoon>").replace("<memballoon model='none'/>", ""),
     "-device virtio-balloon-pci,id=balloon0,deflate-on-oom=on,free-page-reporting=on,guest-stats-polling-interval=5"),
    ("a balloon that nobody named", domain().replace("<memballoon model='none'/>", ""), "-device virtio-balloon-pci,id=balloon0"),
    ("random numbers", domain("<rng model='virtio'><rate period='2000' bytes='1234'/><backend model='random'>/dev/urandom</backend></rng><rng model='virtio'><backend model='builtin'/></rng>"),
     "-object rng-random,id=objrng0,filename=/dev/urandom -device virtio-rng-pci,id=rng0,rng=objrng0,max-bytes=1234,period=2000",
     "-object rng-builtin,id=objrng1 -device virtio-rng-pci,id=rng1,rng=objrng1"),
    ("panics", domain("<panic model='isa'><address type='isa' iobase='0x505'/></panic>"), "-device pvpanic,ioport=0x505"),
    ("USB controllers", domain("<controller type='usb' index='0' model='piix3-uhci'/><controller type='pci' index='0' model='pci-root'/>"), "-device piix3-usb-uhci,id=usb"),
    ("USB with companions", domain("<controller type='usb' index='0' model='ich9-ehci1'/><controller type='usb' index='0' model='ich9-uhci2'><master startport='2'/></controller>"),
     "-device ich9-usb-ehci1,id=usb", "-device ich9-usb-uhci2,id=usb-ich9-uhci2,masterbus=usb.0,firstport=2"),
    ("no USB", domain("<controller type='usb' index='0' model='none'/>"), "!-device piix3-usb-uhci,id=usb"),
    ("options as they are", domain(more="<qemu:commandline><qemu:arg value='-snapshot'/><qemu:arg value='--trace'/><qemu:arg value='a*'/></qemu:commandline>"),
     "-snapshot -trace 'a*'"),
    ("kept for dumpxml", domain(head="<title>A &amp; B</title><description>d</description><metadata><x:y xmlns:x='u'/></metadata>", more="<seclabel type='none'/>"),
     "-domain-xml '<title>A &amp; B</title>'", "-domain-xml '<description>d</description>'", "-domain-xml \"<metadata><x:y xmlns:x='u'/></metadata>\"",
     "-domain-xml \"<seclabel type='none'/>\""),
    ("a prefix that the root declares", domain(head="<metadata><app:a/></metadata>").replace("<domain ", "<domain xmlns:app='urn:a' "),
     "-domain-xml '<metadata xmlns:app=\"urn:a\"><app:a/></metadata>'"),
    ("comments, CDATA, line ends", domain(head="<!-- <uuid>no</uuid> -->", os_more="<kernel>/k</kernel><cmdline><![CDATA[a<b & c]]></cmdline>").replace("\n", "\r\n"),
     "-append 'a<b & c'"),
]

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
    made, ran = tree("run", write(domain("<interface type='user'>\n<model type='virtio'/></interface>\n<graphics type='spice'/>\n<watchdog model='i6300esb'/>")))
    check("devices" not in made, made)
    for line, element in zip(ran.lines, ("9: <interface>", "11: <graphics>", "12: <watchdog>")):
        check(line.startswith(f"roost: warning: d.xml:{element}: it is left out: there is no"), ran)
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
