#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# make.sh COMPILER START.S ROM.C ROM.LD OUTPUT DIRECTORY: the 64 KiB image
set -e
mkdir -p "$6"
"$1" -m32 -march=i686 -ffreestanding -fno-pic -fno-pie -no-pie -nostdlib -static -O1 -mgeneral-regs-only -fcf-protection=none \
    -fno-stack-protector -fno-asynchronous-unwind-tables -fno-builtin -fno-omit-frame-pointer -Wl,--build-id=none -Wl,-z,noexecstack \
    -Wl,--no-warn-rwx-segments -Wl,-T,"$4" "$2" "$3" -o "$6/rom.elf"
objcopy -O binary --gap-fill=0 -j .text -j .reset16 -j .vector "$6/rom.elf" "$5"
