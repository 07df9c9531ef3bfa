#!/usr/bin/env bash
# Installs what a build of Innerloop needs on Debian 12: packages (root, or sudo) and LibTorch (a folder in the cache, no root).
# Idempotent: what is there already is left alone, and a second run takes a second.
#
#   deploy/setup.sh
#
# Environment:
#   INNERLOOP_CACHE    where LibTorch is unpacked (default: ~/.cache/innerloop)
#   CMAKE_PREFIX_PATH  a LibTorch of your own (a folder with include/torch and lib/libtorch_cpu.so); nothing is downloaded then
#   PIP_CERT           a company's certificate authority, as pip takes it
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

cache=${INNERLOOP_CACHE:-${HOME:-/root}/.cache/innerloop}

# --- Debian packages ---------------------------------------------------------------------------------------------------------
mapfile -t wanted < <(grep -vE '^(#|$)' deploy/packages.txt)
missing=()
for package in "${wanted[@]}"; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  command -v apt-get >/dev/null || die "this script installs Debian packages and found no apt-get; install by hand: ${missing[*]}"
  as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "needs root to install packages: run it as root, install sudo, or install by hand: ${missing[*]}"
    as_root=(sudo)
  fi
  say "installing ${#missing[@]} Debian packages: ${missing[*]}"
  log=$(mktemp)
  export DEBIAN_FRONTEND=noninteractive
  # Tests start Prometheus themselves, on a free port: its package must not start a service, now or at the next boot.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e $policy ]; then
    trap '"${as_root[@]}" rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" install -m 755 /dev/stdin $policy
  fi
  if ! { "${as_root[@]}" apt-get update -qq && "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    rm -f "$log"
    die "apt-get failed (its last lines are above)"
  fi
  rm -f "$log"
  if [ -n "$(trap -p EXIT)" ]; then
    "${as_root[@]}" rm -f $policy
    trap - EXIT
  fi
  if [[ " ${missing[*]} " == *" prometheus "* ]] && command -v systemctl >/dev/null; then
    "${as_root[@]}" systemctl --quiet disable prometheus
  fi
else
  say "all ${#wanted[@]} Debian packages are installed"
fi

# --- LibTorch ----------------------------------------------------------------------------------------------------------------
for prefix in $(printf '%s' "${CMAKE_PREFIX_PATH:-}" | tr ';:' '  '); do
  if [ -e "$prefix/lib/libtorch_cpu.so" ]; then
    say "using the LibTorch in $prefix (from CMAKE_PREFIX_PATH)"
    exit 0
  fi
done

[ "$(uname -m)" = x86_64 ] || die "the pinned LibTorch is for x86-64; on $(uname -m) unpack one of your own and name it in CMAKE_PREFIX_PATH"

# The folder's name carries the checksum of the list of wheels: another list is another folder.
libtorch=$cache/libtorch-2.11.0-$(grep -v '^#' deploy/libtorch.txt | sha256sum | cut -c1-12)
if [ ! -e "$libtorch/.complete" ]; then
  say "fetching LibTorch 2.11.0 into $libtorch (540 MB to download, 0.5 GB unpacked)"
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/unpacking.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  platforms=()
  for tag in manylinux_2_28 manylinux_2_25 manylinux_2_17 manylinux2014; do platforms+=(--platform "${tag}_x86_64"); done
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
    --python-version 3.11 --implementation cp "${platforms[@]}" --dest "$work/wheels" --requirement deploy/libtorch.txt \
    || die "could not download LibTorch; check the network, or name a LibTorch of your own in CMAKE_PREFIX_PATH"
  say "unpacking"
  unzip -q "$work"/wheels/torch-*.whl 'torch/include/*' torch/lib/libtorch_cpu.so torch/lib/libc10.so 'torch/lib/libgomp*' -d "$work/tree"
  for wheel in "$work"/wheels/nvidia_*.whl; do unzip -q "$wheel" 'nvidia/*/lib/*' -d "$work/tree"; done
  # The wheel ships protobuf 3.13 headers, which would shadow Debian's.
  rm -rf "$work/tree/torch/include/google" "$work/wheels"
  [ -e "$work/tree/torch/lib/libtorch_cpu.so" ] || die "the torch wheel holds no libtorch_cpu.so; deploy/libtorch.txt does not fit this script"
  touch "$work/tree/.complete"
  rm -rf "$libtorch"
  mv "$work/tree" "$libtorch"
  say "LibTorch is in $libtorch"
else
  say "LibTorch 2.11.0 is in $libtorch"
fi
