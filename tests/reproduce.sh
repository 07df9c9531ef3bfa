#!/usr/bin/env bash
# Runs the jobs of README's table "Methods" again and rewrites the table from their output.
#
#   tests/reproduce.sh [OPTIONS] [METHOD[=FOLDER]...]      without methods: all of them
#
#   --help             this text
#   --list             the methods
#   --table-only       train and evaluate nothing: rewrite the table from what is there
#   --state DIR        where runs are kept [reproduce]: DIR/METHOD is a method's state folder, and the same call goes on with it
#   --data NAME=FILE   a data set; else deploy/NAME.sh makes it, if there is one, or it lies in $INNERLOOP_DATA
#   --methods FILE     the table of methods [tests/reproduce.txt]
#   --readme FILE      the file whose table is rewritten, between its lines "methods:begin" and "methods:end" [README.md]
#
# METHOD=FOLDER takes the state folder of a run of `innerloop train JOB --state-dir FOLDER` as the method's. With --table-only, DIR must hold the result
# of that run already, from an earlier call without.
#
# A row is about what DIR holds. A method that DIR knows nothing of keeps the row that the table has for the same job and options; without
# one it says "not run". Environment: INNERLOOP_BIN, the folder of the programs [they are built into build/release/bin].
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
state=reproduce
methods_file=$root/tests/reproduce.txt
readme=$root/README.md
bin=${INNERLOOP_BIN:-}
train=yes
list=no
wanted=()
data=()

fail() { printf 'reproduce: %s\n' "$*" >&2; exit 2; }
say() { printf '== %s\n' "$*" >&2; }

while [ $# -gt 0 ]; do
  case $1 in
    --help | -h)
      sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0"
      exit 0 ;;
    --list) list=yes ;;
    --table-only) train=no ;;
    --state | --data | --methods | --readme)
      [ $# -ge 2 ] || fail "$1 needs a value"
      case $1 in
        --state) state=$2 ;;
        --data) data+=("$2") ;;
        --methods) methods_file=$2 ;;
        --readme) readme=$2 ;;
      esac
      shift ;;
    -*) fail "there is no option '$1'; see $0 --help" ;;
    *) wanted+=("$1") ;;
  esac
  shift
done

# ---- The table of methods

trim() { sed 's/^ *//; s/ *$//' <<<"$1"; }

keys=() titles=() papers=() jobs=() train_options=() evaluate_options=() steps=() published=()
while IFS='|' read -r key title paper job training evaluation shown figure; do
  keys+=("$(trim "$key")") titles+=("$(trim "$title")") papers+=("$(trim "$paper")") jobs+=("$(trim "$job")")
  train_options+=("$(trim "$training")") evaluate_options+=("$(trim "$evaluation")") steps+=("$(trim "$shown")") published+=("$(trim "$figure")")
done < <(grep -v -e '^#' -e '^ *$' "$methods_file")
mapfile -t methods < <(printf '%s\n' "${keys[@]}" | awk '!seen[$0]++')

# First row of a method.
row_of() {
  local i
  for i in "${!keys[@]}"; do
    if [ "${keys[$i]}" = "$1" ]; then
      printf '%s' "$i"
      return
    fi
  done
}

for i in "${!keys[@]}"; do
  first=$(row_of "${keys[$i]}")
  [ "${jobs[$i]} ${train_options[$i]}" = "${jobs[$first]} ${train_options[$first]}" ] ||
    fail "$methods_file gives the method '${keys[$i]}' two trainings"
done

if [ $list = yes ]; then
  for method in "${methods[@]}"; do
    i=$(row_of "$method")
    printf '%-28s %s (client/jobs/%s.textproto)\n' "$method" "${titles[$i]}" "${jobs[$i]}"
  done
  exit 0
fi

for word in ${wanted[@]+"${wanted[@]}"}; do
  [ -n "$(row_of "${word%%=*}")" ] || fail "there is no method '${word%%=*}'; the methods are: ${methods[*]}"
done
grep -q '<!-- methods:begin -->' "$readme" && grep -q '<!-- methods:end -->' "$readme" ||
  fail "$readme has no lines '<!-- methods:begin -->' and '<!-- methods:end -->' to put the table between"
command -v jq >/dev/null || fail "jq is missing; deploy/setup.sh installs it"
[ -z "$bin" ] || [ -x "$bin/innerloop" ] || fail "there is no program $bin/innerloop; INNERLOOP_BIN is the folder of the programs"
mkdir -p "$state"
state=$(cd "$state" && pwd)

# ---- Runs

# Whether DIR has a method's result, and of the run in the folder. Of several seeds each has a checkpoint there.
check_result() {
  local path
  [ -e "$state/$1.json" ] ||
    fail "$state has no result of '$1' yet: leave --table-only out, and the ended run in $2 gives it in a moment"
  jq -e '.evaluation.steps' "$state/$1.json" >/dev/null || fail "the result of '$1' in $state has no final evaluation"
  while read -r path; do
    case $(realpath -m "$path") in
      "$(realpath "$2")"/*) ;;
      *) fail "the result of '$1' in $state is of another run, $path, not of $2: leave --table-only out" ;;
    esac
  done < <(jq -r '.checkpoint // (.runs[]? | .checkpoint) // empty' "$state/$1.json")
}

for word in ${wanted[@]+"${wanted[@]}"}; do
  case $word in
    *=*)
      folder=$state/${word%%=*}
      [ -d "${word#*=}" ] || fail "there is no folder '${word#*=}' to take as the state of '${word%%=*}'"
      if [ -e "$folder" ] && ! [ -L "$folder" ]; then
        fail "$folder is there already, so the state of '${word%%=*}' cannot be ${word#*=}"
      fi
      ln -sfn "$(cd "${word#*=}" && pwd)" "$folder"
      [ $train = yes ] || check_result "${word%%=*}" "${word#*=}" ;;
  esac
done

# Options that give a job its data set.
data_options() {
  local name file given
  name=$(sed -n 's/.*dataset: *"\([^"]*\)".*/\1/p' "$1" | head -n 1)
  [ -n "$name" ] || return 0
  for given in ${data[@]+"${data[@]}"}; do
    if [ "${given%%=*}" = "$name" ]; then
      printf '%s\n' --data "$given"
      return
    fi
  done
  if [ -x "$root/deploy/$name.sh" ]; then
    file=$("$root/deploy/$name.sh" "$bin") || return 1
    printf '%s\n' --data "$name=$file"
  fi
}

# Where the evaluation of a row is kept: of the training itself, or of `evaluate` with the row's options.
result_of() {
  if [ -z "${evaluate_options[$1]}" ]; then
    printf '%s' "$state/${keys[$1]}.json"
  else
    printf '%s' "$state/${keys[$1]}.$(md5sum <<<"${evaluate_options[$1]}" | cut -c1-8).json"
  fi
}

run_method() {
  local method=$1 first result checkpoint parameters file i with_data=() options=()
  first=$(row_of "$method")
  result=$state/$method.json
  file=$root/client/jobs/${jobs[$first]}.textproto
  options=$(data_options "$file") || return 1
  [ -z "$options" ] || mapfile -t with_data <<<"$options"
  read -r -a options <<<"${train_options[$first]}"
  say "$method: training in $state/$method"
  "$bin/innerloop" train "$file" --state-dir "$state/$method" --format=json ${options[@]+"${options[@]}"} \
    ${with_data[@]+"${with_data[@]}"} >"$result.part" || return 1
  mv "$result.part" "$result"
  for i in "${!keys[@]}"; do
    [ "${keys[$i]}" = "$method" ] && [ -n "${evaluate_options[$i]}" ] || continue
    checkpoint=$(jq -r '.checkpoint // empty' "$result")
    parameters=$(jq -r '.parameters_sha256 // empty' "$result")
    if [ -z "$checkpoint" ]; then
      printf 'reproduce: %s has no single checkpoint to evaluate with %s\n' "$method" "${evaluate_options[$i]}" >&2
      return 1
    fi
    result=$(result_of "$i")
    if [ -e "$result" ] && [ "$(jq -r .parameters_sha256 "$result")" = "$parameters" ]; then
      continue
    fi
    read -r -a options <<<"${evaluate_options[$i]}"
    say "$method: evaluating with ${evaluate_options[$i]}"
    "$bin/innerloop" evaluate "$checkpoint" --format=json "${options[@]}" ${with_data[@]+"${with_data[@]}"} >"$result.part" || return 1
    jq --slurpfile trained "$state/$method.json" '{iterations: $trained[0].iterations, seconds: $trained[0].seconds,
      parameters_sha256: $trained[0].parameters_sha256, evaluation: .}' "$result.part" >"$result.whole" || return 1
    rm -f "$result.part"
    mv "$result.whole" "$result"
    result=$state/$method.json
  done
}

failed=()
if [ $train = yes ]; then
  if [ -z "$bin" ]; then
    bin=$root/build/release/bin
    (
      cd "$root"
      export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1
      deploy/setup.sh
      cmake --preset release >/dev/null
      cmake --build --preset release --target innerloop innerloop-coordinator innerloop-worker
    ) >&2
  fi
  [ ${#wanted[@]} -gt 0 ] || wanted=("${methods[@]}")
  for word in "${wanted[@]}"; do
    run_method "${word%%=*}" || failed+=("${word%%=*}")
  done
fi

# ---- The table

# "98.4 ± 0.3 % after 3 steps; ...; 8,000 iterations, 27 min": figures, protocol, effort. Of several seeds the deviation over them.
measured() {
  jq -r --arg steps "$2" '
    .evaluation as $e
    | (if $steps == "" then [$e.steps[-1].step] else ($steps | split(",") | map(tonumber)) end) as $wanted
    | (if .runs then {iterations: .runs[0].iterations, seconds: ([.runs[].seconds] | max)} else {iterations, seconds} end) as $effort
    | ([$wanted[] as $w | $e.steps[] | select(.step == $w)
        | [if .accuracy then "%" else "loss" end, (.accuracy // .loss | tostring),
           (.accuracy_ci95 // .accuracy_deviation // .loss_ci95 // .loss_deviation | tostring)] | join(" ")] | join(";")),
      ($wanted | map(tostring) | join(" / ")),
      ($e.protocol + (if .runs then "; mean and standard deviation over the seeds " + (.seeds | map(tostring) | join(", ")) else "" end)),
      ($effort.iterations | tostring), ($effort.seconds | tostring)' "$1" |
    awk '
      function count(n, text) { text = sprintf("%d", n); while (text ~ /[0-9][0-9][0-9][0-9]($|,)/) { sub(/[0-9][0-9][0-9]($|,)/, ",&", text) }; return text }
      function figure(kind, value, width) {
        if (value !~ /^[-0-9.eE+]+$/) { return "not finite" }
        width = width ~ /^[-0-9.eE+]+$/ ? width : 0
        return kind == "%" ? sprintf("%.1f ± %.1f %%", 100 * value, 100 * width) : sprintf("%.3f ± %.3f", value, width)
      }
      NR == 1 { n = split($0, parts, ";"); for (i = 1; i <= n; ++i) { split(parts[i], f, " "); text = text (i > 1 ? " / " : "") figure(f[1], f[2], f[3]) } }
      NR == 2 { steps = $0 }
      NR == 3 { protocol = $0 }
      NR == 4 { iterations = $0 }
      NR == 5 {
        time = $0 < 90 ? sprintf("%.0f s", $0) : sprintf("%.0f min", $0 / 60)
        printf "%s after %s %s; %s; %s iterations, %s", text, steps, steps == "1" ? "step" : "steps", protocol, count(iterations), time
      }'
}

code() { [ -z "$1" ] || printf '`%s`' "$1"; }

# The cells that say which run a row is about.
identity() {
  local options
  options=$(code "${train_options[$1]}")
  if [ -n "${evaluate_options[$1]}" ]; then
    options="$options${options:+; }evaluated with $(code "${evaluate_options[$1]}")"
  fi
  printf '| %s | %s | [%s](client/jobs/%s.textproto) | %s |' "${titles[$1]}" "${papers[$1]}" "${jobs[$1]}" "${jobs[$1]}" "$options"
}

table() {
  local i result old row
  printf '| method | paper | job | options | measured | published | command |\n|---|---|---|---|---|---|---|\n'
  for i in "${!keys[@]}"; do
    result=$(result_of "$i")
    row=$(identity "$i")
    if [ -e "$result" ] && jq -e '.evaluation.steps' "$result" >/dev/null; then
      printf '%s %s | %s | `tests/reproduce.sh %s` |\n' "$row" "$(measured "$result" "${steps[$i]}")" "${published[$i]}" "${keys[$i]}"
    elif old=$(grep -F -m 1 -- "$row" "$readme"); then
      printf '%s\n' "$old"
    else
      printf '%s not run | %s | `tests/reproduce.sh %s` |\n' "$row" "${published[$i]}" "${keys[$i]}"
    fi
  done
}

table >"$state/table.md"
awk -v table="$state/table.md" '
  /<!-- methods:end -->/ { inside = 0 }
  !inside { print }
  /<!-- methods:begin -->/ { inside = 1; while ((getline line < table) > 0) { print line } }' "$readme" >"$state/readme.part"
cat "$state/readme.part" >"$readme"
rm -f "$state/readme.part"

if [ ${#failed[@]} -gt 0 ]; then
  printf 'reproduce: these methods failed: %s\n' "${failed[*]}" >&2
  exit 1
fi
