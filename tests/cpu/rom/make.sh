#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# make.sh COMPILER BITS START.S ROM.C ROM.LD OUTPUT DIRECTORY: the 64 KiB image
set -e
bits=$2
mkdir -p "$7"
"$1" "-m$bits" -ffreestanding -fno-pic -fno-pie -no-pie -nostdlib -static -O1 -mgeneral-regs-only -mno-red-zone -fcf-protection=none \
    -fno-stack-protector -fno-asynchronous-unwind-tables -fno-builtin -fno-omit-frame-pointer -Wl,--build-id=none -Wl,-z,noexecstack \
    -Wl,--no-warn-rwx-segments -Wl,-T,"$5" "$3" "$4" -o "$7/rom$bits.elf"
objcopy -O binary --gap-fill=0 -j .text -j .reset16 -j .vector "$7/rom$bits.elf" "$6"
