// The launch code for arm64. The same as stub-x64.S, which explains the block, the entries and the shared stack.
// Registers for the whole of it: x19 block, x20 entry, x21 entries left.
    .text

// int64 launch(block)
launch:
    stp     x29, x30, [sp, #-48]!
    stp     x19, x20, [sp, #16]
    str     x21, [sp, #32]
    mov     x19, x0
    ldr     x20, [x19, #24]
    ldr     x21, [x19, #32]
    bl      walk
    tbnz    x0, #63, restore
    ldr     x0, [x19]
    mov     x1, #88                 // sizeof(struct clone_args)
    mov     x8, #435                // clone3
    svc     #0
    cbz     x0, child
restore:
    str     x0, [x19, #72]
    ldr     x20, [x19, #40]
    ldr     x21, [x19, #48]
    bl      walk
    ldr     x0, [x19, #72]
    ldr     x21, [sp, #32]
    ldp     x19, x20, [sp, #16]
    ldp     x29, x30, [sp], #48
    ret

// Entry of a program of its own (elf.ts): its block lies at a fixed address. It exits with 127 when an entry failed, else with 0.
program:
    mov     x19, #0x600000
child:
    ldr     x20, [x19, #8]
    ldr     x21, [x19, #16]
    bl      walk
    tbz     x0, #63, leave
    ldr     x0, [x19, #80]
    add     x1, x19, #56
    mov     x2, #16
    mov     x8, #64                 // write
    svc     #0
    mov     x0, #127
    b       exit
leave:
    mov     x0, #0
exit:
    mov     x8, #94                 // exit_group
    svc     #0

// Walks x21 entries from x20. Returns 0, or the negative result of the entry that failed, which the block then names.
walk:
    mov     x0, #0
    cbz     x21, done
next:
    ldr     x8, [x20]
    ldp     x0, x1, [x20, #8]
    ldp     x2, x3, [x20, #24]
    ldp     x4, x5, [x20, #40]
    svc     #0
    ldr     x9, [x20, #56]
    cmn     x0, #4                  // EINTR
    b.ne    keep
    tbnz    x9, #1, next
keep:
    str     x0, [x20, #64]
    ldr     x10, [x20, #72]
    cbz     x10, check
    str     x0, [x10]
check:
    tbnz    x0, #63, failed
    tbz     x9, #2, advance
    mov     x0, #0
    ret
failed:
    tbnz    x9, #0, advance
    str     x20, [x19, #56]
    str     x0, [x19, #64]
    ret
advance:
    add     x20, x20, #80
    subs    x21, x21, #1
    b.ne    next
    mov     x0, #0
done:
    ret
