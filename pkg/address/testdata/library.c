// SPDX-License-Identifier: Apache-2.0

// A library with symbols of each sort.

int player[4] = {1, 2, 3, 4};
int zeroes[4096]; // in .bss
static int hidden = 5;
__thread int per_thread = 6; // its value is no address

// What a C++ and a Rust compiler make of Player::hit(int), Player::hit(long) and
// game::run.
int hit_int(int n) __asm__("_ZN6Player3hitEi");
int hit_long(long n) __asm__("_ZN6Player3hitEl");
int run(void) __asm__("_ZN4game3run17h0123456789abcdefE");

int hit_int(int n) { return n; }
int hit_long(long n) { return (int)n + per_thread; }
int run(void) { return player[0]; }

int *hidden_place(void) { return &hidden; }
