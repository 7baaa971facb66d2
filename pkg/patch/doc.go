// SPDX-License-Identifier: Apache-2.0

// Package patch changes many places of a running program at once: all of them or none.
//
// [Patch.Resolve] finds the places in a process, and compares what is there with what the
// patch expects. [Plan.Apply] changes them in one stop of the process in which no thread
// runs the code in question or will return into the middle of it, and [Plan.Undo] puts back
// what was there. A [Journal] keeps that, so that another program can undo the patch, and
// [Journal.Recover] what was left by one that died. The process is whatever fulfils
// [Process]: [Of] a task, or a byte slice.
//
// # The file
//
// A patch is a file of YAML that a person reads, reviews and keeps. [Parse] reads it,
// and [Patch.Marshal] writes it.
//
//	version: 1                  # of this format
//	name: unlimited ammo        # one line
//	description: any text       # optional
//	executable: game            # optional: the last part of the path of the program
//	modules:                    # optional: what the modules of the process must be
//	  game: {build-id: 3f2a91c04d}
//	  "libc-2.31.so": {sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}
//	changes:
//	- at: game+0x1234           # a place: an expression of package address
//	  old: 29 45 f8 ?? 0?       # what must be there
//	  new: 90 90 90 90 90       # what is to be there
//	  unprotect: true           # optional: where the process itself may not write
//	  comment: any text         # optional
//	- find: {pattern: "8b 45 ?? 29 d0", in: game, offset: 3}
//	  new: {i32: 100}
//
// A place is an expression of package address, or what a pattern of package search leads
// to, which must match just once in its module; the offset is added to it. Old and new
// bytes are as many. Without old bytes, or with wildcards alone, the file must have a
// condition on a module, so that the patch can't be put into another program.
//
// Bytes are in hex as they are written, whatever YAML takes them for: 90, 0x90, 1e53 and
// "90 90" are. In old bytes ? stands for a digit that may be any, and ?? or ? alone for
// a byte; a text that begins with "? " needs quotes. Or they are values of a type:
//
//	{i32: -1}  {u64: 0x10}  {f32: 1.5}        i8 to i64, u8 to u64, f32, f64
//	{i32: [1, 2, 3]}                          several, one behind the other
//	{str: text}  {cstr: text}  {utf16: text}  in UTF-8, with a NUL at its end, in UTF-16
//	{bytes: 90 90}                            in hex
//
// Numbers are in the byte order of this machine. A leading 0 alone makes none octal.
//
// The reader is strict. Keys that it does not know, keys that are there twice, anchors,
// aliases, merging by <<, tags, and a second document are errors, and so is a number or a
// date where a text should stand: it needs quotes. The names of modules have no quotes of
// an expression. The file may have 64 MiB, 100,000 changes, and 1,500,000 keys, values and
// lines, where what a comma ends counts twice.
package patch
