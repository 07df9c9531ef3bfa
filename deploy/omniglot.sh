#!/usr/bin/env bash
# Makes the data set "omniglot" (1,623 characters of 50 alphabets, 28x28, ink = 1; Lake et al. 2015, MIT licence) and prints its path, or says
# on standard error how to get it and exits with 3.
#
#   deploy/omniglot.sh BIN_DIR
#
# Takes $INNERLOOP_DATA/omniglot.safetensors, else imports $INNERLOOP_DATA/omniglot/images_{background,evaluation}.zip, else downloads those two
# archives from the data set's public repository at a pinned commit and checks them against pinned sums.
set -euo pipefail
bin=$1
cache=${INNERLOOP_CACHE:-${HOME:-/root}/.cache/innerloop}/data
data=${INNERLOOP_DATA:-}
say() { printf 'omniglot: %s\n' "$*" >&2; }

if [ -n "$data" ] && [ -e "$data/omniglot.safetensors" ]; then
  printf '%s\n' "$data/omniglot.safetensors"
  exit 0
fi
made=$cache/omniglot.safetensors
if [ -e "$made" ]; then
  printf '%s\n' "$made"
  exit 0
fi

mkdir -p "$cache"
archives=()
if [ -n "$data" ] && [ -e "$data/omniglot/images_background.zip" ] && [ -e "$data/omniglot/images_evaluation.zip" ]; then
  archives=("$data/omniglot/images_background.zip" "$data/omniglot/images_evaluation.zip")
else
  base=https://raw.githubusercontent.com/brendenlake/omniglot/ceffff1ba059df9c19f12021b738dd1e0d8dd650/python
  sums=(68d2efa1b9178cc56df9314c21c6e718 6b91aef0f799c5bb55b94e3f2daec811)
  names=(images_background.zip images_evaluation.zip)
  for i in 0 1; do
    file=$cache/${names[$i]}
    if ! [ -e "$file" ]; then
      if ! curl -fsSL --connect-timeout 10 --max-time 300 -o "$file.part" "$base/${names[$i]}"; then
        rm -f "$file.part"
        say "could not download ${names[$i]}; put images_background.zip and images_evaluation.zip from"
        say "https://github.com/brendenlake/omniglot (folder python) into a folder D/omniglot and set INNERLOOP_DATA=D"
        exit 3
      fi
      if ! printf '%s  %s\n' "${sums[$i]}" "$file.part" | md5sum --quiet --check - >/dev/null 2>&1; then
        rm -f "$file.part"
        say "${names[$i]} as downloaded is not the file that was expected (its MD5 differs from ${sums[$i]}); it was thrown away"
        exit 3
      fi
      mv "$file.part" "$file"
    fi
    archives+=("$file")
  done
fi
"$bin/innerloop" dataset import images "${archives[@]}" --size 28 --grayscale --invert --out "$made" >&2
printf '%s\n' "$made"
