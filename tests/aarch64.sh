#!/usr/bin/env bash
# The demo on aarch64, emulated on an x86-64 machine: its dataset must be the one that README.md shows, which comes of it everywhere.
# Needs root on Debian with QEMU 10 or newer (13, or 12 with its backports). Compiling takes a quarter of an hour on two cores, running
# it one and a half minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
target=aarch64-unknown-linux-gnu
handlers=/proc/sys/fs/binfmt_misc

if ! command -v qemu-aarch64 aarch64-linux-gnu-gcc >/dev/null || ! [ -e /lib/ld-linux-aarch64.so.1 ]; then
    dpkg --add-architecture arm64
    apt-get update --quiet=2
    apt-get install --quiet=2 --yes gcc-aarch64-linux-gnu libc6-dev-arm64-cross libc6:arm64 libgcc-s1:arm64 qemu-user
fi
version=$(qemu-aarch64 --version | grep -oE '[0-9]+' | head -n 1)
if ((version < 10)); then
    echo "error: QEMU $version cannot reserve the address space of the instances; install qemu-user 10 or newer, which backports has" >&2
    exit 1
fi
# `oast` starts itself to compile components, so it is the kernel that must know the emulator.
[ -e "$handlers/register" ] || mount -t binfmt_misc none "$handlers"
if ! grep -qs 'magic 7f454c4602.*b700$' "$handlers"/*; then
    magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
    mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
    printf '%s' ":oast-aarch64:M::$magic:$mask:$(command -v qemu-aarch64):F" >"$handlers/register"
fi

rustup target add "$target"
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
cargo build --locked --release --bin oast --target "$target"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && "${CARGO_TARGET_DIR:-$root/target}/$target/release/oast" demo) | tee "$work/told"
expected=$(grep -oE '  dataset +[0-9a-f]{64}' README.md)
if ! grep -qF "$expected" "$work/told"; then
    echo "error: on aarch64 the dataset is another than README.md's:$expected" >&2
    exit 1
fi
echo "on aarch64, too, it is the dataset that README.md shows"
