/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * start64.S - the 64-bit half of the questions: entry into long mode, exception stubs, landing pads
 *
 * Lands by ud2 and not by an int, and goes to level 3 by iretq, so that it also runs where a hypervisor emulates only these.
 */
        .section .text
        .code32
        .globl  enter_long, landing, level3, stubs, common
enter_long:
        mov     $0x10, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        mov     $0x80000, %edi          /* page tables: identity, 1 GiB, by one 2 MiB entry each */
        xor     %eax, %eax
        mov     $0x3000, %ecx
        rep stosb
        movl    $0x81007, 0x80000
        movl    $0x82007, 0x81000
        xor     %ecx, %ecx
1:      mov     %ecx, %eax
        shl     $21, %eax
        or      $0x87, %eax
        mov     %eax, 0x82000(,%ecx,8)
        inc     %ecx
        cmp     $512, %ecx
        jne     1b
        mov     $0x20, %eax
        mov     %eax, %cr4
        mov     $0x80000, %eax
        mov     %eax, %cr3
        mov     $0xc0000080, %ecx
        mov     $0x900, %eax
        xor     %edx, %edx
        wrmsr
        mov     %cr0, %eax
        or      $0x80000001, %eax
        mov     %eax, %cr0
        ljmpl   $0x18, $enter_c
        .code64
enter_c:
        mov     $0x10, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %fs
        mov     %eax, %gs
        mov     %eax, %ss
        mov     $0x70000, %rsp
        call    main
        mov     $0xf4, %dx
        mov     $0x10, %al
        out     %al, %dx
1:      hlt
        jmp     1b

        .balign 16
stubs:
        .set    vector, 0
        .rept   32
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
        push    %rax
        mov     $0x10, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %rsp, %rdi
        mov     %ss, %ecx
        mov     %ecx, trap_ss
        mov     $0x10, %ecx
        mov     %ecx, %ss
        mov     $0x68000, %rsp
        call    trapped
        ud2

/* void level3(void (*code)(void)) */
level3:
        push    $0x2b
        push    $0x60000
        push    $0x2
        push    $0x33
        push    %rdi
        iretq

landing:
        ud2

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
        ljmpl   $8, $enter_long
gdt_pointer:
        .word   0x1f
        .long   gdt_flat
        .balign 8
gdt_flat:
        .quad   0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff

        .section .vector, "ax"
        .code16
        .globl  reset
reset:
        .byte   0xea
        .word   start16_offset
        .word   0xf000
        .fill   11, 1, 0
