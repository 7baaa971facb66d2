// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// func syncCode(start, end uintptr)
//
// The lines of the data cache are cleaned and then those of the instruction cache
// invalidated, to the point where both meet, as the Arm Architecture Reference Manual
// has it for code that was written. CTR_EL0 tells how long the lines are: 4 bytes,
// shifted by its bits 16 to 19 and 0 to 3.
TEXT ·syncCode(SB), NOSPLIT, $0-16
	MOVD start+0(FP), R0
	MOVD end+8(FP), R1
	MRS  CTR_EL0, R2
	MOVD $4, R6
	UBFX $16, R2, $4, R3
	LSL  R3, R6, R3
	UBFX $0, R2, $4, R4
	LSL  R4, R6, R4
	SUB  $1, R3, R5
	BIC  R5, R0, R7

data:
	WORD $0xd50b7b27 // dc cvau, x7
	ADD  R3, R7, R7
	CMP  R1, R7
	BLO  data
	WORD $0xd5033b9f // dsb ish
	SUB  $1, R4, R5
	BIC  R5, R0, R7

code:
	WORD $0xd50b7527 // ic ivau, x7
	ADD  R4, R7, R7
	CMP  R1, R7
	BLO  code
	WORD $0xd5033b9f // dsb ish
	WORD $0xd5033fdf // isb
	RET
