#!/bin/bash
# Builds the benchmarks and runs them one after the other; prints a line for each. With arguments: only those programs, e.g.
# tests/benchmarks/run.sh sinusoid_benchmark. Times mean little on a machine that is doing something else.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

programs=("$@")
if [ ${#programs[@]} -eq 0 ]; then
  programs=(sinusoid_benchmark conv4_benchmark memory_benchmark service_benchmark adaptation_benchmark)
fi

deploy/setup.sh
log=$(mktemp)
trap 'rm -f "$log"' EXIT
{ cmake --preset release -DINNERLOOP_BUILD_BENCHMARKS=ON && cmake --build --preset release --target "${programs[@]}"; } >"$log" 2>&1 ||
  { tail -n 40 "$log" >&2; exit 1; }

# Of what is repeated, the median over the repetitions.
table='
  function field(name) { return (name in column) ? $(column[name]) : "" }
  /^name,/ { for (i = 1; i <= NF; i++) { gsub(/"/, "", $i); column[$i] = i } next }
  NF > 1 {
    name = field("name"); gsub(/"/, "", name)
    if (field("error_occurred") == "true") { printf "%-52s %s\n", name, field("error_message"); failed = 1; next }
    if (name ~ /_(mean|stddev|cv)$/) next
    sub(/\/iterations:.*/, "", name)
    rate = field("GB/s"); memory = field("MiB"); percent = field("percent")
    printf "%-52s %10.3f %s%s%s%s\n", name, field("real_time"), field("time_unit"), rate == "" ? "" : sprintf("   %.3f GB/s", rate),
      memory == "" ? "" : sprintf("   %.1f MiB of tensors, %.1f MiB resident", memory, field("ResidentMiB")),
      percent == "" ? "" : sprintf("   %+.1f %% beside a job without it", percent)
  }
  END { exit failed }'
status=0
for program in "${programs[@]}"; do
  "build/release/bin/$program" --benchmark_format=csv 2>"$log" | awk -F, "$table" || { status=1; cat "$log" >&2; }
done
exit $status
