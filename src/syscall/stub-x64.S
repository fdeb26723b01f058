# The launch code for x86-64. Assembled into stub.ts; a test assembles it again and compares the bytes.
#
# It walks tables of system calls. Position-independent; no data of its own. Everything comes from a block in memory:
#   block:  0 clone_args*  8 child table*  16 its length  24 before*  32 its length  40 after*  48 its length
#          56 failed entry* (out)  64 its result (out)  72 pid or -errno of clone3 (out)  80 descriptor that the two at 56 are written to, or -1
#   entry:  0 number  8..48 six arguments  56 flags (1: failure is ignored, 2: EINTR is tried again, 4: success ends the walk)  64 result (out)
#          72 place that also receives the result, or 0;  80 bytes in all
# Registers for the whole of it: rbx block, r12 entry, r13 entries left.
    .intel_syntax noprefix
    .text

# int64 launch(block): runs `before` in this thread, makes a child that walks its table, runs `after`, returns the pid or -errno.
# The child shares memory and stack with its suspended parent (CLONE_VM | CLONE_VFORK), so it only pushes return addresses
# below the parent's frame.
launch:
    push    rbx
    push    r12
    push    r13
    mov     rbx, rdi
    mov     r12, [rbx + 24]
    mov     r13, [rbx + 32]
    call    walk
    test    rax, rax
    js      restore
    mov     rdi, [rbx]
    mov     esi, 88                 # sizeof(struct clone_args)
    mov     eax, 435                # clone3
    syscall
    test    rax, rax
    jz      child
restore:
    mov     [rbx + 72], rax
    mov     r12, [rbx + 40]
    mov     r13, [rbx + 48]
    call    walk
    mov     rax, [rbx + 72]
    pop     r13
    pop     r12
    pop     rbx
    ret

# Entry of a program of its own (elf.ts): its block lies at a fixed address. It exits with 127 when an entry failed, else with 0.
program:
    mov     ebx, 0x600000
child:
    mov     r12, [rbx + 8]
    mov     r13, [rbx + 16]
    call    walk
    xor     edi, edi
    test    rax, rax
    jns     leave
    mov     rdi, [rbx + 80]
    lea     rsi, [rbx + 56]
    mov     edx, 16
    mov     eax, 1                  # write
    syscall
    mov     edi, 127
leave:
    mov     eax, 231                # exit_group
    syscall

# Walks r13 entries from r12. Returns 0, or the negative result of the entry that failed, which the block then names.
walk:
    xor     eax, eax
    test    r13, r13
    jz      done
next:
    mov     rax, [r12]
    mov     rdi, [r12 + 8]
    mov     rsi, [r12 + 16]
    mov     rdx, [r12 + 24]
    mov     r10, [r12 + 32]
    mov     r8, [r12 + 40]
    mov     r9, [r12 + 48]
    syscall
    cmp     rax, -4                 # EINTR
    jne     keep
    test    byte ptr [r12 + 56], 2
    jnz     next
keep:
    mov     [r12 + 64], rax
    mov     rcx, [r12 + 72]
    test    rcx, rcx
    jz      check
    mov     [rcx], rax
check:
    test    rax, rax
    js      failed
    test    byte ptr [r12 + 56], 4
    jz      advance
    xor     eax, eax
    ret
failed:
    test    byte ptr [r12 + 56], 1
    jnz     advance
    mov     [rbx + 56], r12
    mov     [rbx + 64], rax
    ret
advance:
    add     r12, 80
    dec     r13
    jnz     next
    xor     eax, eax
done:
    ret
