// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// func findAVX2(data *byte, groups int, p *probes) (group int, places uint64)
//
// A group is 64 places. The first two probes decide nearly everywhere, so the others
// wait for them.
TEXT ·findAVX2(SB), NOSPLIT, $0-40
	MOVQ data+0(FP), SI
	MOVQ groups+8(FP), CX
	MOVQ p+16(FP), BX
	MOVQ 0(BX), R8
	MOVQ 8(BX), R9
	MOVQ 16(BX), R10
	MOVQ 24(BX), R11
	ADDQ SI, R8
	ADDQ SI, R9
	ADDQ SI, R10
	ADDQ SI, R11
	VPBROADCASTB 32(BX), Y0
	VPBROADCASTB 33(BX), Y1
	VPBROADCASTB 34(BX), Y2
	VPBROADCASTB 35(BX), Y3
	VPBROADCASTB 36(BX), Y4
	VPBROADCASTB 37(BX), Y5
	VPBROADCASTB 38(BX), Y6
	VPBROADCASTB 39(BX), Y7
	XORQ AX, AX
	XORQ DX, DX
	SHLQ $6, CX

next:
	CMPQ AX, CX
	JGE  done
	VPAND     (R8)(AX*1), Y4, Y8
	VPAND     (R9)(AX*1), Y5, Y9
	VPAND     32(R8)(AX*1), Y4, Y12
	VPAND     32(R9)(AX*1), Y5, Y13
	VPCMPEQB  Y0, Y8, Y8
	VPCMPEQB  Y1, Y9, Y9
	VPCMPEQB  Y0, Y12, Y12
	VPCMPEQB  Y1, Y13, Y13
	VPAND     Y8, Y9, Y8
	VPAND     Y12, Y13, Y12
	VPOR      Y8, Y12, Y14
	ADDQ      $64, AX
	VPTEST    Y14, Y14
	JZ        next

	VPAND     -64(R10)(AX*1), Y6, Y9
	VPAND     -64(R11)(AX*1), Y7, Y10
	VPAND     -32(R10)(AX*1), Y6, Y13
	VPAND     -32(R11)(AX*1), Y7, Y14
	VPCMPEQB  Y2, Y9, Y9
	VPCMPEQB  Y3, Y10, Y10
	VPCMPEQB  Y2, Y13, Y13
	VPCMPEQB  Y3, Y14, Y14
	VPAND     Y9, Y10, Y9
	VPAND     Y13, Y14, Y13
	VPAND     Y8, Y9, Y8
	VPAND     Y12, Y13, Y12
	VPMOVMSKB Y8, DX
	VPMOVMSKB Y12, BX
	SHLQ      $32, BX
	ORQ       BX, DX
	JZ        next
	SUBQ      $64, AX

done:
	SHRQ $6, AX
	MOVQ AX, group+24(FP)
	MOVQ DX, places+32(FP)
	VZEROUPPER
	RET
