#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# img-convert.py - roost img convert and dd beside qemu-img: the same images come out
from beside import *

# A source with data, zeroes and holes: 10 MiB.
MIXED = """sh 'python3 -c "
import random
r = random.Random(7)
with open(\\"src.raw\\", \\"wb\\") as f:
    f.truncate(10 << 20)
    for i in range(30):
        f.seek(r.randrange(0, 9 << 20) // 512 * 512)
        n = r.choice([512, 4096, 60000, 65536, 300000])
        f.write(r.choice([bytes(n), r.randbytes(n), bytes([i]) * n]))
"'"""
CHAIN = ["img create -f qcow2 base.qcow2 10M", "io -c 'write -P 1 0 3M' base.qcow2", "img create -f qcow2 -b base.qcow2 -F qcow2 top.qcow2",
         "io -c 'write -P 2 1M 1M' -c 'write -z 2M 64k' -c 'write -P 3 9M 100k' top.qcow2"]

sequence("convert: raw to raw and qcow2 and back", MIXED, "img convert -f raw -O raw src.raw a.raw", "img convert -f raw -O qcow2 src.raw b.qcow2",
         "img convert -O raw b.qcow2 c.raw", "img convert -f qcow2 -O qcow2 b.qcow2 d.qcow2", "img convert -O qcow2 -o cluster_size=4k c.raw e.qcow2",
         "img convert -O qcow2 -o extended_l2=on,cluster_size=128k b.qcow2 f.qcow2", "img convert -O qcow2 -o compat=0.10 b.qcow2 g.qcow2")
sequence("convert: compressed", MIXED, "img convert -c -f raw -O qcow2 src.raw a.qcow2", "img convert -c -O qcow2 -o compression_type=zstd a.qcow2 b.qcow2",
         "img convert -O raw a.qcow2 c.raw", "img convert -c -O qcow2 -o cluster_size=512 a.qcow2 d.qcow2",
         "img convert -c -O qcow2 -o cluster_size=2M a.qcow2 e.qcow2", "img convert -c -f raw -O raw c.raw f.raw", "img convert -c -C -O qcow2 c.raw g.qcow2",
         opaque=["f.raw"])
sequence("convert: -S, -m, -W, -C, -p, -q, -t", MIXED, "img convert -S 0 -f raw -O raw src.raw a.raw", "img convert -S 64k -O qcow2 src.raw b.qcow2",
         "img convert -S 512 -O qcow2 src.raw c.qcow2", "img convert -S 1000 -O qcow2 src.raw d.qcow2", "img convert -m 1 -O qcow2 src.raw e.qcow2",
         "img convert -m 16 -W -O qcow2 src.raw f.qcow2", "img convert -m 0 -O qcow2 src.raw g.qcow2", "img convert -C -O raw src.raw h.raw",
         "img convert -p -O qcow2 src.raw i.qcow2", "img convert -p -q -O qcow2 src.raw j.qcow2", "img convert -t none -T writeback -O raw src.raw k.raw",
         "img convert -t foo -O raw src.raw l.raw", "img convert -T foo -O raw src.raw l.raw", "img convert -t writethrough -O qcow2 src.raw m.qcow2",
         opaque=["l.raw"])
sequence("convert: chains and -B", *CHAIN, "img convert -O raw top.qcow2 a.raw", "img convert -O qcow2 top.qcow2 b.qcow2",
         "img convert -O qcow2 -B base.qcow2 -F qcow2 top.qcow2 c.qcow2", "img map --output=json c.qcow2", "img info c.qcow2",
         "img convert -O qcow2 -o backing_file=base.qcow2,backing_fmt=qcow2 top.qcow2 d.qcow2", "img convert -c -O qcow2 -B base.qcow2 -F qcow2 top.qcow2 e.qcow2",
         "img convert -B nope -F raw -O qcow2 top.qcow2 f.qcow2", "img convert -B base.qcow2 -F qcow2 -O qcow2 a.raw b.qcow2 g.qcow2",
         loose=allocation, opaque=["f.qcow2", "g.qcow2"])
sequence("convert: several sources", "sh 'yes one | head -c 1000000 > a.raw; yes two | head -c 512 > b.raw'", "img create -f qcow2 c.qcow2 1M",
         "io -c 'write -P 5 64k 64k' c.qcow2", "img convert -f raw -O raw a.raw b.raw a.raw d.raw", "img convert -O qcow2 a.raw c.qcow2 b.raw e.qcow2",
         "img info e.qcow2", "img convert -f raw -O qcow2 b.raw b.raw b.raw f.qcow2")
sequence("convert: into what is there", MIXED, "sh 'yes | head -c 12M > a.raw'", "img convert -n -f raw -O raw src.raw a.raw", "img create -f qcow2 b.qcow2 10M",
         "io -c 'write -P 9 0 10M' b.qcow2", "img convert -n -O qcow2 src.raw b.qcow2", "img create -f qcow2 c.qcow2 3M", "img convert -n -O qcow2 src.raw c.qcow2",
         "img create -f qcow2 d.qcow2 10M", "img convert -n --target-is-zero -O qcow2 src.raw d.qcow2", "img convert --target-is-zero -O qcow2 src.raw e.qcow2",
         "img create -f qcow2 g.qcow2 10M", "img convert -n --target-image-opts src.raw driver=qcow2,file.filename=g.qcow2",
         "img convert --target-image-opts src.raw driver=qcow2,file.filename=g.qcow2", "img convert -n -O raw src.raw nope",
         "img create -f qcow2 -o preallocation=metadata h.qcow2 10M", "img convert -n -O qcow2 src.raw h.qcow2")
sequence("convert: preallocated", MIXED, "img convert -O qcow2 -o preallocation=metadata src.raw a.qcow2", "img convert -O qcow2 -o preallocation=full src.raw b.qcow2",
         "img convert -O raw -o preallocation=full src.raw c.raw", "img convert -O qcow2 -o preallocation=falloc src.raw d.qcow2",
         "img convert -c -O qcow2 -o preallocation=full src.raw e.qcow2")
sequence("convert: snapshots", "img create -f qcow2 a.qcow2 10M", "io -c 'write -P 1 0 1M' a.qcow2", "img snapshot -c one a.qcow2", "io -c 'write -P 2 0 2M' a.qcow2",
         "img snapshot -c two a.qcow2", "io -c 'write -P 3 0 3M' a.qcow2", "img convert -l one -O raw a.qcow2 b.raw", "img convert -l 2 -O qcow2 a.qcow2 c.qcow2",
         "img convert -l snapshot.name=two -O raw a.qcow2 d.raw", "img convert -l snapshot.id=1,snapshot.name=one -O raw a.qcow2 e.raw",
         "img convert -l nope -O raw a.qcow2 f.raw", "img convert -l one -O raw a.qcow2 a.qcow2 g.raw")
sequence("convert: bitmaps", "img create -f qcow2 a.qcow2 10M", "img bitmap --add a.qcow2 one", "img bitmap --add --disable a.qcow2 two", "io -c 'write 1M 1M' a.qcow2",
         "img convert --bitmaps -O qcow2 a.qcow2 b.qcow2", "img info b.qcow2", "img convert --bitmaps -O raw a.qcow2 c.raw",
         "img convert --skip-broken-bitmaps -O qcow2 a.qcow2 d.qcow2", "img convert -O qcow2 a.qcow2 e.qcow2", "img info e.qcow2", opaque=["c.raw", "d.qcow2"])
sequence("convert: odd lengths", "sh 'yes | head -c 100001 > a.raw'", "img convert -f raw -O qcow2 a.raw b.qcow2", "img convert -f raw -O raw a.raw c.raw",
         "img convert -c -f raw -O qcow2 a.raw d.qcow2", "img convert -c -f raw -O qcow2 a.raw a.raw e.qcow2", "sh 'stat -c %s c.raw'", "img convert -f raw -O raw a.raw a.raw f.raw")
sequence("dd", MIXED, "img dd if=src.raw of=a.raw", "img dd -f raw -O qcow2 bs=1M if=src.raw of=b.qcow2", "img dd bs=1M count=3 if=src.raw of=c.raw",
         "img dd bs=64k skip=5 if=src.raw of=d.raw", "img dd bs=1M skip=9 if=src.raw of=e.raw", "img dd bs=1M skip=10 if=src.raw of=f.raw",
         "img dd bs=1M count=0 if=src.raw of=g.raw", "img dd -O qcow2 bs=3000 count=5 if=src.raw of=h.qcow2", "img dd bs=0 if=src.raw of=i.raw",
         "img dd bs=x if=src.raw of=i.raw", "img dd count=-1 if=src.raw of=i.raw", "img dd --image-opts if=driver=raw,file.filename=src.raw of=j.raw")
if __name__ == "__main__":
    main()
