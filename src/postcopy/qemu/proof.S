/* A guest that is nothing but a proof: the last bytes of a BIOS image, from reset to long mode.
 *
 * It writes to PAGES pages over and over, and checks before each write that a page holds what was
 * written last. For each round it writes '.' to port 0xe9, for a page that is wrong '!'. After
 * ROUNDS rounds, 0 being never, it has the machine ended (port 0xf4).
 *
 *   gcc -nostdlib -Wl,--oformat=binary,-Ttext=0xfe00 -static -o proof.bin proof.S
 *
 * makes the 512 bytes of `postcopy.qemu.proof.PROGRAM`, which has both numbers filled in.
 */
        .globl _start
        .set LOW, 0xf0000            /* where the image is seen below 1 MiB */
        .set TABLES, 0x1000
        .set MEMORY, 0x200000

        .code16
_start:
pages:  .long 0
rounds: .long 0
start:  cli
        lgdtl %cs:gdt_pointer
        movl %cr0, %eax
        orb $1, %al
        movl %eax, %cr0
        ljmpl $8, $LOW + protected

        .code32
protected:
        movw $16, %ax
        movw %ax, %ds
        movw %ax, %es
        movl $TABLES, %edi           /* three tables: one entry, one entry, 512 pages of 2 MiB */
        xorl %eax, %eax
        movl $3072, %ecx
        cld
        rep stosl
        movl $TABLES + 0x1003, TABLES
        movl $TABLES + 0x2003, TABLES + 0x1000
        movl $TABLES + 0x2000, %edi
        movl $0x83, %eax
        movl $512, %ecx
1:      movl %eax, (%edi)
        addl $0x200000, %eax
        addl $8, %edi
        loop 1b
        movl $TABLES, %eax
        movl %eax, %cr3
        movl $0x20, %eax             /* PAE */
        movl %eax, %cr4
        movl $0xc0000080, %ecx       /* EFER.LME */
        rdmsr
        orl $0x100, %eax
        wrmsr
        movl %cr0, %eax
        orl $0x80000000, %eax        /* PG */
        movl %eax, %cr0
        ljmpl $24, $LOW + long_mode

        .code64
long_mode:
        xorl %r8d, %r8d              /* the round */
        movl LOW + pages, %r9d
        movl LOW + rounds, %r10d
round:  incq %r8
        movl $MEMORY, %edi
        movl %r9d, %ecx
page:   cmpl $1, %r8d                /* nothing was written before the first round */
        je write
        leaq -1(%r8, %rdi), %rax
        cmpq %rax, (%rdi)
        jne wrong
        cmpq %rax, 0xff8(%rdi)
        jne wrong
write:  leaq (%r8, %rdi), %rax
        movq %rax, (%rdi)
        movq %rax, 0xff8(%rdi)
        addq $0x1000, %rdi
        loop page
        movb $'.', %al
        outb %al, $0xe9
        cmpl %r8d, %r10d
        jne round
        movb $0x31, %al
        outb %al, $0xf4
1:      hlt
        jmp 1b
wrong:  movb $'!', %al
        outb %al, $0xe9
        jmp write

        .balign 8
gdt:    .quad 0
        .quad 0x00cf9a000000ffff     /* 32-bit code */
        .quad 0x00cf92000000ffff     /* data */
        .quad 0x00af9a000000ffff     /* 64-bit code */
gdt_pointer:
        .word . - gdt - 1
        .long LOW + gdt

        .code16
        .org 0x1f0                   /* what runs first: the reset vector */
        jmp start
        .org 0x200
