#!/bin/sh
# Copies a program and the libraries that it loads beyond the C and C++ runtime, which every Debian has.
#
#   deploy/collect.sh PROGRAM FOLDER      FOLDER/bin/PROGRAM and FOLDER/lib/*
set -eu
program=$1 folder=$2
mkdir -p "$folder/bin" "$folder/lib"
cp "$program" "$folder/bin/"
missing=$(ldd "$program" | grep 'not found' || true)
[ -z "$missing" ] || { printf '%s needs libraries that are not there:\n%s\n' "$program" "$missing" >&2; exit 1; }
ldd "$program" | awk '$2 == "=>" { print $3 }' | while read -r library; do
  case ${library##*/} in
    libc.so.* | libm.so.* | libdl.so.* | libpthread.so.* | librt.so.* | libgcc_s.so.* | libstdc++.so.*) ;;
    *) cp -L "$library" "$folder/lib/" ;;
  esac
done
