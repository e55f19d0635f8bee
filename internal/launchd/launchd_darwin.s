#include "textflag.h"

// What is called, and where the caller finds it.

TEXT activate_trampoline<>(SB),NOSPLIT,$0-0
	JMP	libc_launch_activate_socket(SB)
GLOBL	·activateAddr(SB), RODATA, $8
DATA	·activateAddr(SB)/8, $activate_trampoline<>(SB)

TEXT free_trampoline<>(SB),NOSPLIT,$0-0
	JMP	libc_free(SB)
GLOBL	·freeAddr(SB), RODATA, $8
DATA	·freeAddr(SB)/8, $free_trampoline<>(SB)
