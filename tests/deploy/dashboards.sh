#!/usr/bin/env bash
# Checks Grafana's dashboards and provisioning by structure: Grafana itself cannot be run in the tests.
set -euo pipefail
shopt -s extglob
cd "$(dirname "$0")/../.."
failed=0
complain() { echo "$*" >&2; failed=1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

deploy/grafana/dashboards.sh "$work"
diff -r "$work" deploy/grafana/dashboards || complain "the dashboards are not what their sources say; deploy/grafana/dashboards.sh writes them"

cat >"$work/check.jq" <<'EOF'
def need(condition; what): if condition then empty else what end;
def whole: .gridPos | .x >= 0 and .y >= 0 and .w > 0 and .h > 0 and .x + .w <= 24;
def overlap($a; $b): $a.x < $b.x + $b.w and $b.x < $a.x + $a.w and $a.y < $b.y + $b.h and $b.y < $a.y + $a.h;
. as $board
| need(.schemaVersion >= 36; "schemaVersion is missing or old"),
  need((.uid | length) > 0 and (.uid | length) <= 40 and (.title | length) > 0; "no uid or title"),
  need((.panels | length) > 0; "no panels"),
  need(([.panels[].id] | length) == ([.panels[].id] | unique | length); "ids of panels are not unique"),
  need([.templating.list[] | select(.type == "datasource" and .name == "datasource")] | length == 1; "no variable for the data source"),
  (.panels[] | . as $panel | "panel '\(.title)': " as $name
   | need(whole; $name + "outside of the grid"),
     ($board.panels[] | select(.id > $panel.id and overlap(.gridPos; $panel.gridPos)) | $name + "overlaps '\(.title)'"),
     (select(.type != "row")
      | need((.description | length) > 20; $name + "no description"),
        need((.fieldConfig.defaults.unit // "") != ""; $name + "no unit"),
        need(.datasource.uid == "${datasource}"; $name + "not the variable's data source"),
        need((.targets | length) > 0; $name + "no query"),
        (.targets[]
         | need((.expr | length) > 0 and (.legendFormat | length) > 0; $name + "a query without expression or legend"),
           (.expr | scan("\\$([a-z]+)") | .[0] as $variable
            | need([$board.templating.list[].name] | index($variable); $name + "unknown variable $" + $variable)))))
EOF
for board in deploy/grafana/dashboards/*.json; do
  jq -r -f "$work/check.jq" "$board" >"$work/findings"
  [ ! -s "$work/findings" ] || complain "$board: $(cat "$work/findings")"
  # Queries are of metrics that there are.
  for name in $(jq -r '.panels[].targets[]?.expr, .templating.list[].query.query?' "$board" | grep -oE '\b(innerloop|process)[a-z0-9_:]+' | sort -u); do
    grep -q "\`${name%_@(bucket|sum|count)}\`\|record: $name$" deploy/METRICS.md deploy/prometheus/rules/recording.yml || complain "$board: no metric $name"
  done
  jq -r '"\(.title): \([.panels[] | select(.type != "row")] | length) panels, \([.panels[].targets[]?] | length) queries"' "$board"
done
[ "$(jq -s '[.[].uid] | length - (unique | length)' deploy/grafana/dashboards/*.json)" = 0 ] || complain "two dashboards have one uid"

for file in deploy/grafana/provisioning/*/*.yml; do
  grep -q '^apiVersion: 1$' "$file" || complain "$file: no apiVersion"
done
grep -q '^ *type: prometheus$' deploy/grafana/provisioning/datasources/innerloop.yml || complain "no data source for Prometheus"
grep -q '^ *path: /' deploy/grafana/provisioning/dashboards/innerloop.yml || complain "no folder of dashboards"
exit $failed
