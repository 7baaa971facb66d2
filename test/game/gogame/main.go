// SPDX-License-Identifier: Apache-2.0

// Gogame is the game of testdata/game.c in Go, without a library: it has the same world,
// with the same offsets on 64-bit architectures, and answers the same lines. Its links
// move because it replaces their structures: Go moves nothing on the heap.
package main

import (
	"bufio"
	"fmt"
	"os"
	"time"
)

// Stats are the values that change at each tick.
type Stats struct {
	front   [16]byte
	health  int32 // 0x10
	between [3]byte
	lives   uint8 // 0x17
	beside  [4]byte
	x       float32 // 0x1c
	back    [16]byte
}

// Player is the last link but one.
type Player struct {
	front [0x40]byte
	stats *Stats // 0x40
	back  [16]byte
}

// Level has the players.
type Level struct {
	front   [0x18]byte
	players [4]*Player // 0x18; the one at 0x28 is ours
	back    [16]byte
}

// World is the first link.
type World struct {
	front [0x18]byte
	level *Level // 0x18
	back  [16]byte
}

const us = 2

var world *World

// signpost is what a pattern finds: bytes behind which the address of the root is.
var signpost = struct {
	bytes [16]byte
	root  **World
}{bytes: [16]byte{0x9e, 0x31, 0xc4, 0x5b, 0x07, 0xe8, 0x72, 0xad, 0x16, 0xf3, 0x4c, 0x88, 0xda, 0x25, 0xb1, 0x60}}

// A guard is memory of a structure that nobody else may change. The structures that were
// replaced are looked at, too, and are not freed because their guards are here.
type guard struct {
	name  string
	at    int
	bytes []byte
}

var guards []guard

func pattern(at int) byte { return byte(at*37 + 11) }

// add adds guards of a new structure, which have their places one behind the other, with
// so many bytes between as gaps says.
func add(name string, gaps []int, parts ...[]byte) {
	at := 0
	for i, part := range parts {
		for j := range part {
			part[j] = pattern(at + j)
		}
		guards = append(guards, guard{name, at, part})
		at += len(part)
		if i < len(gaps) {
			at += gaps[i]
		}
	}
}

func newStats(health int32, lives uint8, x float32) *Stats {
	s := &Stats{health: health, lives: lives, x: x}
	add("stats", []int{4, 1, 4}, s.front[:], s.between[:], s.beside[:], s.back[:])
	return s
}

func newPlayer(stats *Stats) *Player {
	p := &Player{stats: stats}
	add("player", []int{8}, p.front[:], p.back[:])
	return p
}

func newLevel(players [4]*Player) *Level {
	l := &Level{players: players}
	add("level", []int{32}, l.front[:], l.back[:])
	return l
}

func newWorld(level *Level) *World {
	w := &World{level: level}
	add("world", []int{8}, w.front[:], w.back[:])
	return w
}

func stats() *Stats { return world.level.players[us].stats }

// move replaces one link.
func move(which int) {
	switch level, player := world.level, world.level.players[us]; which % 4 {
	case 0:
		world = newWorld(level)
	case 1:
		world.level = newLevel(level.players)
	case 2:
		level.players[us] = newPlayer(player.stats)
	case 3:
		player.stats = newStats(player.stats.health, player.stats.lives, player.stats.x)
	}
}

func check() error {
	for _, g := range guards {
		for i, b := range g.bytes {
			if b != pattern(g.at+i) {
				return fmt.Errorf("the byte at %#x of %s is %#x; want %#x", g.at+i, g.name, b, pattern(g.at+i))
			}
		}
	}
	return nil
}

func main() {
	signpost.root = &world
	var players [4]*Player
	for i := range players {
		players[i] = newPlayer(newStats(100, 3, 0))
	}
	world = newWorld(newLevel(players))

	lines := make(chan string)
	go func() {
		for input := bufio.NewScanner(os.Stdin); input.Scan(); {
			lines <- input.Text()
		}
		os.Exit(0)
	}()
	var sought struct {
		health int32
		lives  uint8
		x      float32
		ticks  int
	}
	moves, moving := 0, true
	fmt.Println("ready")
	for ticks := time.Tick(10 * time.Millisecond); ; {
		select {
		case <-ticks:
			s := stats()
			if s.health == sought.health && s.lives == sought.lives && s.x == sought.x {
				sought.ticks++
			}
			s.health--
			s.lives++
			s.x += 0.5
			if moving {
				move(moves)
				moves++
			}
		case line := <-lines:
			s, again := stats(), sought
			switch n, _ := fmt.Sscanf(line, "seen %d %d %g", &again.health, &again.lives, &again.x); {
			case n == 3:
				if again != sought {
					again.ticks = 0
					sought = again
				}
				fmt.Println("ok", sought.ticks)
			case line == "where":
				fmt.Printf("ok %p %p %p\n", &s.health, &s.lives, &s.x)
			case line == "check":
				if err := check(); err != nil {
					fmt.Println("error", err)
				} else {
					fmt.Println("ok")
				}
			case line == "moves":
				fmt.Println("ok", moves)
			case line == "still", line == "on":
				moving = line == "on"
				fmt.Println("ok")
			default:
				fmt.Printf("error no command %q\n", line)
			}
		}
	}
}
