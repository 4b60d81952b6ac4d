#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# img-commands.py - roost img beside qemu-img: create, info, map, check, resize, snapshot, compare, measure, amend, bitmap, bench
from beside import *

# ---- create ----
sequence("create: formats and sizes", "img create a.raw 10M", "img create -f raw b.raw 1.5G", "img create -f qcow2 a.qcow2 64M",
         "img create -f qcow2 b.qcow2 0", "img create -f qcow2 c.qcow2 513", "img create -f qcow2 d.qcow2 1T", "img create -q -f qcow2 e.qcow2 1k",
         "img create -f qcow2 -o size=2M f.qcow2", "img create -f qcow2 g.qcow2 0x100000")
sequence("create: options", "img create -f qcow2 -o cluster_size=4k,lazy_refcounts=on a.qcow2 10M", "img create -f qcow2 -o compat=0.10 b.qcow2 10M",
         "img create -f qcow2 -o cluster_size=2M -o refcount_bits=1 c.qcow2 100M", "img create -f qcow2 -o compression_type=zstd d.qcow2 10M",
         "img create -f qcow2 -o extended_l2=on e.qcow2 10M", "img create -f qcow2 -o preallocation=metadata f.qcow2 5M",
         "img create -f raw -o preallocation=falloc g.raw 1M", "img create -f raw -o preallocation=full h.raw 1M",
         "img create -f qcow2 -o preallocation=full,cluster_size=512 i.qcow2 1M")
sequence("create: backing files", "img create -f qcow2 base.qcow2 10M", "img create -f qcow2 -b base.qcow2 -F qcow2 a.qcow2",
         "img create -f qcow2 -b base.qcow2 -F qcow2 b.qcow2 20M", "img create -f qcow2 -o backing_file=base.qcow2,backing_fmt=qcow2 c.qcow2 5M",
         "img create -f qcow2 -u -b nope -F raw d.qcow2 5M", "sh 'mkdir sub'", "img create -f qcow2 -b ../base.qcow2 -F qcow2 sub/e.qcow2",
         "img info sub/e.qcow2", "img info d.qcow2", opaque=["d.qcow2"])
sequence("create: refusals", "img create", "img create -f qcow2", "img create -f qcow2 a.qcow2", "img create -f qcow2 a.qcow2 1x",
         "img create -f qcow2 a.qcow2 -1", "img create -f foo a.qcow2 1M", "img create -f qcow2 -o foo=1 a.qcow2 1M",
         "img create -f qcow2 -o size=2M a.qcow2 3M", "img create -f qcow2 -b nope -F raw a.qcow2", "img create a.raw 1k extra",
         "img create -f qcow2 -o ,size=1M a.qcow2", "img create -f qcow2 -u -b nope -F raw a.qcow2", "img create -f qcow2 /nonexistent/x 1M",
         "img create -f qcow2 -o cluster_size=3k a.qcow2 1M", "img create -f qcow2 -o compat=5 a.qcow2 1M",
         "img create -f qcow2 -o refcount_bits=7 a.qcow2 1M", "img create -f qcow2 -b x.raw a.qcow2 1M", opaque=["a.qcow2"])
sequence("create: -o help lists the keys", "img create -f qcow2 -o help", "~img create -f raw -o help", "img create -f raw -o help x.raw 1M",
         "img create -f foo -o help", loose=lambda text: sorted(re.findall(r"^  (\S+=)<", text, re.M)).__repr__() if "options" in text else text)

# ---- what is wrong with a command line ----
sequence("usage", "img", "img foo", "img info", "img info -z", "img info --bla x", "img info -f", "img info nope", "img info --output=xml nope",
         "img map", "img check", "img compare a", "img compare nope nope", "img resize x", "img resize", "img snapshot", "img convert x",
         "img convert", "img rebase", "img rebase x", "img commit", "img measure", "img measure --size 1M x", "img dd", "img dd if=x", "img dd foo=x",
         "img dd if=nope of=x", "img amend x", "img amend", "img bitmap x", "img bitmap x y", "img bench", "img bench nope",
         "img info -f bla nope", "img convert -O bla nope x", "img check --output=xml x")

# ---- info ----
sequence("info", "img create -f qcow2 a.qcow2 64M", "img info a.qcow2", "img info --output=json a.qcow2", 
         "sh 'truncate -s 1000k r.raw'", "img info r.raw", "img info --output json r.raw", "img info --outp=json r.raw",
         "img info --image-opts driver=qcow2,file.filename=a.qcow2", "img info --image-opts driver=raw,file.driver=file,file.filename=r.raw",
         """img info 'json:{"driver":"qcow2","file":{"driver":"file","filename":"a.qcow2"}}'""", "img info -U a.qcow2", "img info file:a.qcow2",
         "img info -f qcow2 r.raw", "img info /dev/zero/x")
sequence("info: chains", "img create -f qcow2 a.qcow2 64M", "img create -f qcow2 -b a.qcow2 -F qcow2 b.qcow2",
         "img create -f qcow2 -b b.qcow2 -F qcow2 c.qcow2 65M", "img info c.qcow2", "img info --backing-chain c.qcow2",
         "img info --backing-chain --output=json c.qcow2", "img info --output=json c.qcow2", "img info --backing-chain --output=json a.qcow2")
sequence("info: what the format tells", "img create -f qcow2 -o extended_l2=on,lazy_refcounts=on,compression_type=zstd a.qcow2 10M",
         "img info a.qcow2", "img create -f qcow2 -o compat=0.10 b.qcow2 10M", "img info b.qcow2", "img info --output=json b.qcow2",
         "img create -f qcow2 -o data_file=c.ext,data_file_raw=on c.qcow2 1M", "img info c.qcow2", "img info --output=json c.qcow2", opaque=["c.ext", "c.qcow2"])
sequence("info: a bad chain", "img create -f qcow2 a.qcow2 1M", "img rebase -u -F qcow2 -b a.qcow2 a.qcow2", "img info a.qcow2",
         "img info --backing-chain a.qcow2", "img create -f qcow2 -u -b nope.qcow2 -F qcow2 b.qcow2 1M", "img info b.qcow2",
         "img info --backing-chain b.qcow2", opaque=["a.qcow2", "b.qcow2"], text=False)

# ---- map, check, compare ----
sequence("map: raw", "sh 'truncate -s 1M a.raw; printf x | dd of=a.raw bs=1 seek=500000 conv=notrunc 2>/dev/null'", "img map -f raw a.raw",
         "img map -f raw --output=json a.raw", "img map -f raw --output=json --start-offset=100k --max-length=65536 a.raw",
         "img map -f raw --start-offset=2M --output=json a.raw", "img map --start-offset=x a.raw", "sh 'truncate -s 0 b.raw'",
         "img map -f raw b.raw")
sequence("map: a chain", "img create -f qcow2 base.qcow2 64M", "io -c 'write -P 1 0 128k' -c 'write -P 2 3M 64k' base.qcow2",
         "img create -f qcow2 -b base.qcow2 -F qcow2 top.qcow2", "io -c 'write -P 3 64k 128k' -c 'write -z 10M 1M' top.qcow2",
         "img map top.qcow2", "img map --output=json top.qcow2", "img map --output=json -s 65536 -l 1M top.qcow2", "img map -U --output=json base.qcow2",
         loose=allocation)
sequence("map: compressed", "sh 'yes | head -c 1M > a.raw'", "img convert -f raw -c -O qcow2 a.raw b.qcow2", "~img map b.qcow2",
         "img map --output=json b.qcow2")
sequence("check", "img create -f qcow2 a.qcow2 64M", "img check a.qcow2", "img check --output=json a.qcow2", "io -c 'write 0 1M' a.qcow2",
         "img check a.qcow2", "img check --output=json a.qcow2", "img check -q a.qcow2", "sh 'truncate -s 1M r.raw'", "img check -f raw r.raw",
         "img check --output=json -f raw r.raw", "img check -r foo a.qcow2", "img check nope", "img check -r all a.qcow2", "img check -U a.qcow2",
         loose=allocation)

BREAK = r"""sh 'python3 -c "
import struct
d = bytearray(open(\"a.qcow2\", \"rb\").read())
table, = struct.unpack(\">Q\", d[48:56])
block, = struct.unpack(\">Q\", d[table:table + 8])
n = len(d) // 65536
struct.pack_into(\">H\", d, block + 2 * (n + 1), 1)
d += bytes(2 * 65536)
open(\"leak.qcow2\", \"wb\").write(d)
l1, = struct.unpack(\">Q\", d[40:48])
struct.pack_into(\">H\", d, block + 2 * (l1 // 65536), 0)
open(\"bad.qcow2\", \"wb\").write(d)
"'"""
sequence("check: leaks and corruption", "img create -f qcow2 a.qcow2 64M", BREAK, "img check leak.qcow2", "img check --output=json leak.qcow2",
         "img check -q leak.qcow2", "img check bad.qcow2", "img check --output=json bad.qcow2", "sh 'cp leak.qcow2 leak2.qcow2'",
         "img check -r leaks leak.qcow2", "img check -r leaks --output=json leak2.qcow2", "img check -r all bad.qcow2", "img check bad.qcow2",
         loose=allocation)
sequence("compare", "sh 'truncate -s 1M a.raw b.raw; truncate -s 2M c.raw; cp a.raw d.raw; printf x | dd of=d.raw bs=1 seek=70000 conv=notrunc 2>/dev/null'",
         "img compare -f raw -F raw a.raw b.raw", "img compare -f raw -F raw a.raw c.raw", "img compare -f raw -F raw a.raw d.raw",
         "img compare -f raw -F raw -s a.raw c.raw", "img compare -q -f raw -F raw a.raw d.raw", "img compare a.raw nope", "img compare -p a.raw b.raw",
         "sh 'cp c.raw e.raw; printf x | dd of=e.raw bs=1 seek=1500000 conv=notrunc 2>/dev/null'", "img compare -f raw -F raw a.raw e.raw",
         "img compare -f raw -F raw e.raw a.raw", "img convert -f raw -O qcow2 e.raw e.qcow2", "img compare -f raw -F qcow2 e.raw e.qcow2",
         "img compare -f raw -F qcow2 d.raw e.qcow2", "img compare -T foo a.raw b.raw")

# ---- resize, snapshot, measure, amend, bitmap ----
sequence("resize", "img create -f qcow2 a.qcow2 64M", "img resize a.qcow2 +1M", "img info a.qcow2", "img resize a.qcow2 1G", "img resize a.qcow2 10M",
         "img resize --shrink a.qcow2 10M", "img resize --shrink a.qcow2 -1M", "img resize -f qcow2 a.qcow2 -1M", "img resize a.qcow2 +x",
         "img resize --preallocation=foo a.qcow2 +1M", "img resize --preallocation=metadata a.qcow2 +1M", "img resize -q a.qcow2 +0",
         "img resize --preallocation=full --shrink a.qcow2 5M", "img info a.qcow2", "sh 'truncate -s 1M r.raw'", "img resize -f raw r.raw +512k",
         "img resize -f raw --shrink r.raw 100k", "img resize --preallocation=falloc -f raw r.raw 1M", "img resize --shrink -f raw r.raw -- -1M",
         stderr_lines=False)
sequence("snapshot", "img create -f qcow2 a.qcow2 10M", "io -c 'write -P 1 0 1M' a.qcow2", "img snapshot -l a.qcow2", "img snapshot a.qcow2",
         "img snapshot -c one a.qcow2", "img snapshot -c 'a rather long name of a snapshot' a.qcow2", "img snapshot -l a.qcow2",
         "io -c 'write -P 2 0 1M' a.qcow2", "img snapshot -c 2 a.qcow2", "img snapshot -a one a.qcow2", "io -c 'read -P 1 0 1M' a.qcow2",
         "img info a.qcow2", "img info --output=json a.qcow2", "img snapshot -d one a.qcow2", "img snapshot -d nope a.qcow2",
         "img snapshot -a nope a.qcow2", "img snapshot -l a.qcow2", "sh 'truncate -s 1M r.raw'", "img snapshot -l r.raw", "img snapshot -c x -f raw r.raw",
         "img snapshot -l -c x a.qcow2", "img check a.qcow2", loose=allocation)
sequence("measure", "img measure --size 1G", "img measure -O qcow2 --size 1G", "img measure -O qcow2 --output=json --size 1G",
         "img measure -O qcow2 -o cluster_size=4k --size 10G", "img create -f qcow2 a.qcow2 10M", "io -c 'write 0 1M' a.qcow2",
         "img measure -O qcow2 a.qcow2", "img measure -O raw a.qcow2", "img measure -O qcow2 -o preallocation=full a.qcow2",
         "img measure -O qcow2 -o backing_file=x a.qcow2", "img measure --size x", "img measure -O foo --size 1M")
sequence("amend", "img create -f qcow2 a.qcow2 10M", "io -c 'write 0 1M' a.qcow2", "img amend -o lazy_refcounts=on a.qcow2", "img info a.qcow2",
         "img amend -o compat=0.10 a.qcow2", "img info a.qcow2", "img amend -p -o compat=1.1,refcount_bits=64 a.qcow2", "img info a.qcow2",
         "img amend -o cluster_size=4k a.qcow2", "img amend -o foo=1 a.qcow2", "img amend -f raw -o x=1 a.qcow2", "img amend a.qcow2")
sequence("bitmap", "img create -f qcow2 a.qcow2 10M", "img bitmap --add a.qcow2 one", "img bitmap --add -g 4k --disable a.qcow2 two", "img info a.qcow2",
         "io -c 'write 1M 64k' a.qcow2", "img info --output=json a.qcow2", "img bitmap --merge one a.qcow2 two", "img bitmap --clear a.qcow2 one",
         "img bitmap --disable a.qcow2 one", "img bitmap --enable a.qcow2 two", "img info a.qcow2", "img bitmap --remove a.qcow2 one",
         "img bitmap --remove a.qcow2 nope", "img bitmap --add a.qcow2 two", "img bitmap -g 4k --clear a.qcow2 two", "img info a.qcow2",
         "img bitmap --add -g 3000 a.qcow2 x", "img measure -O qcow2 a.qcow2", loose=allocation)
sequence("bench", "sh 'truncate -s 10M r.raw'", "img bench -f raw -c 100 r.raw", "img bench -f raw -c 100 -q -w r.raw",
         "img bench -f raw -c 100 -w --pattern=7 -s 8k -S 16k -o 4096 r.raw", "img bench -f raw -c 200 -w --flush-interval=100 r.raw",
         "img bench -f raw -c 200 -w --flush-interval=10 r.raw", "img bench -f raw -c 200 --flush-interval=100 r.raw",
         "img bench -f raw -c 200 -w --flush-interval=100 --no-drain r.raw", "img bench -f raw -c 50 -i threads -d 4 r.raw",
         "img bench -f raw -c 50 -i foo r.raw", "img bench -f raw -c x r.raw", "img create -f qcow2 a.qcow2 10M", "img bench -w -c 300 --pattern=1 a.qcow2")

# ---- encryption, and what else needs objects or words before the command ----
SECRET = "--object secret,id=s0,data=hunter2"
LUKS = "encrypt.format=luks,encrypt.key-secret=s0,encrypt.iter-time=10"
OPEN = "--image-opts driver=qcow2,file.filename=a.qcow2,encrypt.key-secret=s0"
sequence("encryption", f"~img create {SECRET} -f qcow2 -o {LUKS} a.qcow2 10M", "img info a.qcow2", "img info --output=json a.qcow2",
         f"io {SECRET} -c 'write -P 7 1M 64k' -c 'read -P 7 1M 64k' {OPEN}", "sh 'yes | head -c 3M > r.raw'",
         f"img convert {SECRET} -n --target-image-opts -f raw r.raw driver=qcow2,file.filename=a.qcow2,encrypt.key-secret=s0",
         f"img convert {SECRET} {OPEN} b.raw", f"~img convert {SECRET} -O qcow2 -o {LUKS} r.raw c.qcow2", "img check a.qcow2", "img map --output=json a.qcow2",
         f"img convert --object secret,id=s0,data=wrong {OPEN} d.raw", "img convert -O raw a.qcow2 d.raw", f"img measure {SECRET} -O qcow2 -o {LUKS} --size 10M",
         f"img amend {SECRET} --object secret,id=s1,data=new -o encrypt.state=active,encrypt.new-secret=s1,encrypt.iter-time=10 {OPEN}",
         "io --object secret,id=s0,data=new -c 'read -P 121 0 1' " + OPEN, "img info a.qcow2", f"img create --object secret,id=s0 -f qcow2 -o {LUKS} e.qcow2 1M",
         "img create --object foo,id=s0 e.qcow2 1M", loose=allocation, opaque=["a.qcow2", "c.qcow2", "d.raw", "e.qcow2"])
sequence("trace", "sh 'truncate -s 1M a.raw'", "img -T nosuch_point info -f raw a.raw", "img -T enable=nosuch,file=t.log info -f raw a.raw", "img -T events=nope info a.raw",
         "io -T nosuch -c length -f raw a.raw", stderr_lines=False)
if __name__ == "__main__":
    main()
