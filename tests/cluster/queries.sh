#!/usr/bin/env bash
# Asks a Prometheus what every panel asks, and what every alert and recording rule is made of, and prints the number of series of each; fails when
# one has none. Queries are asked again for a minute, since rates need a while.
#
#   tests/cluster/queries.sh URL
set -euo pipefail
url=$1
dashboards=$(cd "$(dirname "$0")/../../deploy/grafana/dashboards" && pwd)
until=$((SECONDS + 60))

# Fails, and says why, when Prometheus does not take the query.
series() {
  curl -sS --get "$url/api/v1/query" --data-urlencode "query=$1" |
    jq 'if .status == "success" then .data.result | length else error("refused: \(.error)") end'
}
# 0 of a query that is not taken, too.
await_series() {
  local count
  while count=$(series "$1") && [ "$count" -eq 0 ] && [ $SECONDS -lt $until ]; do sleep 1; done
  printf '%d' "${count:-0}"
}
# What an expression selects from has data, whatever the whole has.
check_parts() {
  local selector
  while read -r selector; do
    # A healthy cluster has no failed job: the label is there, with other values.
    selector=${selector/'{state="failed"}'/'{state!=""}'}
    if [ "$(await_series "$selector")" -eq 0 ]; then
      printf 'no data: %s of %s\n' "$selector" "$2" >&2
      failed=1
    fi
  done < <(grep -oE '\b(innerloop_[a-z_]+|up)(\{[^}]*\})?' <<<"$1" | sort -u)
}

failed=0
panels=0
while IFS=$'\t' read -r title expression; do
  # What Grafana would fill in.
  expression=${expression//'$__rate_interval'/30s}
  expression=${expression//'$job'/.*}
  expression=${expression//'$name'/.*}
  count=$(await_series "$expression")
  printf '%4d series  %s\n' "$count" "$title"
  if [ "$count" -eq 0 ]; then
    printf 'no data: %s\n' "$expression" >&2
    failed=1
  fi
  # Such a query has a series in any case.
  [[ $expression != *vector* ]] || check_parts "$expression" "$title"
  panels=$((panels + 1))
done < <(jq -r '.title as $board | .panels[] | .title as $panel | .targets[]? | "\($board) / \($panel)\t\(.expr)"' "$dashboards"/*.json)

# A healthy cluster's alerts have no series; what they select from has.
rules=0
while IFS=$'\t' read -r name health expression; do
  if [ "$health" != ok ]; then
    printf 'the rule %s is %s\n' "$name" "$health" >&2
    failed=1
  fi
  check_parts "$expression" "the rule $name"
  count=$(series "$expression") || { count=0 failed=1; }
  printf '%4d series  rule %s\n' "$count" "$name"
  rules=$((rules + 1))
done < <(curl -fsS "$url/api/v1/rules" | jq -r '.data.groups[].rules[] | "\(.name)\t\(.health)\t\(.query)"')

printf '%d queries of panels and %d rules\n' $panels $rules
[ $panels -gt 0 ] && [ $rules -gt 0 ] && [ $failed -eq 0 ]
