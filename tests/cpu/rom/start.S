/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * start.S - a 64 KiB ROM that asks its processor about protected mode: entry, exception stubs, landing pads
 *
 * The image fills F0000h-FFFFFh; the reset vector is at its end. Data lies in RAM from 20000h (rom.ld).
 */
        .section .text
        .code32
        .globl enter_c, resume, level3, landing, pad_ring3, stubs, gdt_flat, stub_size

/* From real mode, by the code at the end: flat segments are loaded. */
enter_c:
        mov     $0x10, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %fs
        mov     %eax, %gs
        mov     %eax, %ss
        mov     $0x70000, %esp
        call    main
        mov     $0xf4, %dx              /* isa-debug-exit, where there is one */
        mov     $0x10, %al
        out     %al, %dx
1:      hlt
        jmp     1b

/* Every stub leaves: error (or a made-up zero), vector; 16 bytes each. */
        .balign 16
stubs:
        .set    vector, 0
        .rept   256
        .balign 16
        .if     vector != 8 && (vector < 10 || vector > 14) && vector != 17
        push    $0
        .endif
        push    $vector
        jmp     common
        .set    vector, vector + 1
        .endr
        .balign 16

common:
        cld
        pusha
        push    %ds
        push    %es
        push    %fs
        push    %gs
        mov     $0x10, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %esp, %eax
        mov     %ss, %ecx
        mov     %ecx, trap_ss
        mov     $0x10, %ecx
        mov     %ecx, %ss
        mov     $0x68000, %esp          /* a stack of our own: the old one may be odd */
        push    %eax
        call    trapped                 /* does not return */
        ud2

/* void level3(void (*code)(void)): to ring 3 with flat segments, interrupts off, IOPL 0. */
level3:
        mov     4(%esp), %eax
        mov     $0x23, %ecx
        mov     %ecx, %ds
        mov     %ecx, %es
        mov     %ecx, %fs
        mov     %ecx, %gs
        push    $0x23
        push    $0x60000
        push    level3_flags
        push    $0x1b
        push    %eax
        iret

/* Where allowed transfers land: vector 80h tells what CS, SS and ESP they brought. */
landing:
        int     $0x80
        ud2

/* Where the tasks of exceptions begin: their stacks hold the error code alone. */
        .globl  task_pad_ts, task_pad_np, task_pad_gp
task_pad_ts:
        push    $10
        jmp     common
task_pad_np:
        push    $11
        jmp     common
task_pad_gp:
        push    $13
        jmp     common

/* 16-bit code: from the reset vector into protected mode. */
        .section .reset16, "ax"
        .code16
        .globl  start16, gdt_pointer
start16:
        cli
        xor     %ax, %ax
        mov     %ax, %ds
        lgdtl   %cs:gdt_pointer_offset
        mov     %cr0, %eax
        or      $1, %al
        mov     %eax, %cr0
        ljmpl   $8, $enter_c
gdt_pointer:
        .word   0x17
        .long   gdt_flat
        .balign 8
gdt_flat:
        .quad   0, 0x00cf9b000000ffff, 0x00cf93000000ffff

        .section .vector, "ax"
        .code16
        .globl  reset
reset:
        .byte   0xea                    /* ljmp f000:start16 */
        .word   start16_offset
        .word   0xf000
        .fill   11, 1, 0
