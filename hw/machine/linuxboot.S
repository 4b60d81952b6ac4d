/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * linuxboot.S - an option ROM that starts -kernel from a BIOS: a boot entry of its own, which has the firmware configuration
 * device put the kernel's parts into memory and enters its 16-bit code
 *
 * Follows  BIOS Boot Specification 1.01 and Plug and Play BIOS 1.0A (expansion header, boot entry vector); Linux x86 boot
 *          protocol, "Running the Kernel"
 * Layout   the table holds DMA descriptors of fw_cfg.c, ready-made by linuxboot.c, and ends with a zero; each is copied to
 *          7000h, since the device answers in it and a ROM cannot be written. The set-up code stands at 1000:0000.
 * Tests    tests/guest
 */
    .set DESCRIPTOR, 0x7000
    .set DESCRIPTOR_SWAPPED, 0x00700000    /* as the device's register wants it: big endian */
    .set DMA_HIGH, 0x514
    .set DMA_LOW, 0x518
    .set DMA_FAILED, 0x01000000            /* bit 0 of a big endian word */
    .set SETUP_SEGMENT, 0x1000
    .set HEAP_END, 0xe000

    .section .rodata.linuxboot, "a"
    .global linuxboot_rom, linuxboot_rom_end, linuxboot_table, linuxboot_header
    .hidden linuxboot_rom, linuxboot_rom_end, linuxboot_table, linuxboot_header
    .balign 16
    .code16
linuxboot_rom:
    .word 0xaa55
    .byte (linuxboot_rom_end - linuxboot_rom) / 512
    jmp initialize
    .org linuxboot_rom + 0x18
    .word 0                                /* no PCI data */
    .word linuxboot_header - linuxboot_rom
    .balign 16
linuxboot_header:
    .ascii "$PnP"
    .byte 1, 2                             /* version, length in paragraphs */
    .word 0                                /* no next header */
    .byte 0, 0                             /* reserved, checksum */
    .long 0
    .word manufacturer - linuxboot_rom, product - linuxboot_rom
    .byte 0, 0, 0                          /* device type */
    .byte 0x04                             /* a device to boot from */
    .word 0, 0, boot_entry - linuxboot_rom
    .word 0, 0
manufacturer:
    .asciz "Roost"
product:
    .asciz "Linux kernel by -kernel"
sentence:
    .asciz "\r\nlinuxboot: the kernel cannot be loaded: its place is no memory\r\n"

initialize:                                /* nothing to set up: the header says all */
    xorw %ax, %ax
    lretw

boot_entry:
    cli
    cld
    xorw %ax, %ax
    movw %ax, %es
    movw %ax, %ss
    movl $DESCRIPTOR, %esp
    movw %cs, %ax
    movw %ax, %ds
    movw $(linuxboot_table - linuxboot_rom), %si
next_part:
    cmpl $0, (%si)
    je enter_kernel
    movw $DESCRIPTOR, %di
    movw $8, %cx
    rep movsw
    movw $DMA_HIGH, %dx
    xorl %eax, %eax
    outl %eax, %dx
    movw $DMA_LOW, %dx
    movl $DESCRIPTOR_SWAPPED, %eax
    outl %eax, %dx
wait:
    movl %es:DESCRIPTOR, %eax
    testl $DMA_FAILED, %eax
    jnz failed
    testl %eax, %eax
    jnz wait
    jmp next_part

enter_kernel:
    movw $SETUP_SEGMENT, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %fs
    movw %ax, %gs
    movw %ax, %ss
    movl $HEAP_END, %esp
    ljmp $(SETUP_SEGMENT + 0x20), $0

failed:
    sti
    movw $(sentence - linuxboot_rom), %si
next_letter:
    lodsb
    testb %al, %al
    jz give_up
    movb $0x0e, %ah
    movw $7, %bx
    int $0x10
    jmp next_letter
give_up:
    int $0x18                              /* the BIOS tries its next entry */
    hlt
    jmp give_up

    .balign 16
linuxboot_table:
    .fill 5 * 16
    .fill 1                                /* room for the checksum, which is the last byte */
    .balign 512
linuxboot_rom_end:
    .section .note.GNU-stack, "", @progbits
