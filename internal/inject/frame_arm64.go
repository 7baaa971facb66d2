// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"encoding/binary"

	"github.com/vmwrite/vmwrite/internal/linux"
	"golang.org/x/sys/unix"
)

// Where struct rt_sigframe has its parts: siginfo_t, which nobody reads, struct
// ucontext of the uapi header asm/ucontext.h with struct sigcontext of
// asm/sigcontext.h.
const (
	frameContext        = 128
	frameLink           = frameContext + 8 // which the kernel does not look at
	frameAlternateFlags = frameContext + 24
	frameMask           = frameContext + 40
	frameRegisters      = frameContext + 184 // x0 to x30 sp pc pstate
	frameRecords        = frameContext + 464 // each with a magic number and its size
	frameHead           = frameRecords

	fpsimdMagic = 0x46508001
	sveMagic    = 0x53564501
	poeMagic    = 0x504f4530
)

// layFrame makes the frame of a thread. It returns false when it can't.
func layFrame(t *thread) ([]byte, bool) {
	var floating [528]byte // struct user_fpsimd_state of asm/ptrace.h: 32 registers of 128 bits, fpsr, fpcr
	n, err := linux.PtraceRegisterSet(t.tid, unix.NT_PRFPREG, floating[:])
	if err != nil || n != len(floating) || hasControlStack(t.tid) {
		return nil, false
	}
	frame := make([]byte, frameRecords, frameSize)
	copy(frame[frameLink:], frameMark[:])
	binary.NativeEndian.PutUint64(frame[frameAlternateFlags:], noAlternate)
	binary.NativeEndian.PutUint64(frame[frameMask:], t.mask)
	r := t.saved
	if t.atSystemCall() {
		r.set(r.abi.number, t.waitedIn())
	}
	copy(frame[frameRegisters:], r.bytes())

	record := func(magic uint32, length int) {
		frame = binary.NativeEndian.AppendUint32(frame, magic)
		frame = binary.NativeEndian.AppendUint32(frame, uint32(length))
	}
	const registers = 512
	record(fpsimdMagic, len(floating))
	frame = append(frame, floating[registers:registers+8]...)
	frame = append(frame, floating[:registers]...)
	if len(t.vectors) > 0 {
		length := binary.NativeEndian.Uint16(t.vectors[sveVectorLength:])
		const z, p, ffr = 32, 16, 1 // registers, of which those of p and ffr have a bit for each byte
		bytes := (int(length)*(8*z+p+ffr)/8 + 15) &^ 15
		if sveHeader+bytes > len(t.vectors) {
			return nil, false
		}
		record(sveMagic, sveHeader+bytes)
		frame = binary.NativeEndian.AppendUint64(frame, uint64(length))
		frame = append(frame, t.vectors[sveHeader:sveHeader+bytes]...)
	}
	overlays := make([]byte, 8)
	if _, err := linux.PtraceRegisterSet(t.tid, unix.NT_ARM_POE, overlays); err == nil {
		record(poeMagic, 8+len(overlays))
		frame = append(frame, overlays...)
	}
	record(0, 0)
	return frame, len(frame) <= frameSize
}

// hasControlStack reports whether the processor checks where the thread returns to:
// NT_ARM_GCS, Linux 6.13.
func hasControlStack(tid int) bool {
	var state [3]uint64 // struct user_gcs of asm/ptrace.h
	text := make([]byte, 8*len(state))
	n, err := linux.PtraceRegisterSet(tid, unix.NT_ARM_GCS, text)
	return err == nil && n >= 8 && binary.NativeEndian.Uint64(text) != 0
}
