# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Pieces of a model file, which print what the file holds; pad and grow lengthen the file $model.

u32() { printf "\\x$(printf %02x $(($1 & 255)))\\x$(printf %02x $(($1 >> 8 & 255)))\\x$(printf %02x $(($1 >> 16 & 255)))\\x$(printf %02x $(($1 >> 24 & 255)))"; }
u64() { u32 $(($1 & 4294967295)); u32 $(($1 >> 32)); }
text() { u64 ${#1}; printf %s "$1"; }
header() { printf GGUF; u32 3; u64 "$1"; u64 "$2"; }
kv_text() { text "$1"; u32 8; text "$2"; }
kv_u16() { text "$1"; u32 2; u32 "$2" | head -c 2; }
kv_u32() { text "$1"; u32 4; u32 "$2"; }
tensor() { text "$1"; u32 1; u64 "$2"; u32 0; u64 "$3"; } # name, elements of f32, offset
pad() { truncate -s %32 "$model"; }
grow() { truncate -s +"$1" "$model"; }
