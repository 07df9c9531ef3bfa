# What dashboards are made of. Panels are given in reading order with a width; ids and places follow.

def source: { type: "prometheus", uid: "${datasource}" };

# A PromQL query and the legend of its series.
def query(expr; legend): { expr: expr, legendFormat: legend };
# For queries that keep the label `job`: the job's name joins it, and both make the legend, with `more` behind them. `jobs` are left, e.g.
# "{name=\"a\"}"; "": all.
def by_job(expr; more; jobs):
  query("(" + expr + ") * on (instance, job) group_left (name) innerloop_job_info" + jobs; ("{{name}} {{job}} " + more) | rtrimstr(" "));

def row(title): { type: "row", title: title, collapsed: false, panels: [], width: 24, height: 1 };

def panel(type; title; unit; width; description; queries):
  { type: type, title: title, description: description, width: width, height: 8, datasource: source,
    fieldConfig: { defaults: { unit: unit }, overrides: [] },
    targets: [ queries | to_entries[] | .value + { refId: ("ABCDEFGH"[.key:.key + 1]), datasource: source } ] };

# Lines over time; `style` is added to Grafana's custom field options.
def lines(title; unit; width; description; queries; style):
  panel("timeseries"; title; unit; width; description; queries)
  | .fieldConfig.defaults.custom = { lineWidth: 1, fillOpacity: 0, showPoints: "never", spanNulls: false } + style
  | .options = { legend: { displayMode: "table", placement: "bottom", calcs: ["lastNotNull"] }, tooltip: { mode: "multi", sort: "desc" } };
def lines(title; unit; width; description; queries): lines(title; unit; width; description; queries; {});
def stacked(title; unit; width; description; queries):
  lines(title; unit; width; description; queries; { fillOpacity: 30, stacking: { mode: "normal", group: "A" } });
def log_lines(title; unit; width; description; queries):
  lines(title; unit; width; description; queries; { scaleDistribution: { type: "log", base: 10 } });

def latest: { reduceOptions: { values: false, calcs: ["lastNotNull"], fields: "" } };
# The latest value of each series, as a number, or a share as a bar.
def numbers(title; unit; width; description; queries):
  panel("stat"; title; unit; width; description; queries) | .height = 5 | .targets[].instant = true
  | .options = latest + { colorMode: "none", graphMode: "none", textMode: "value_and_name", orientation: "auto" };
def bars(title; width; description; queries):
  panel("bargauge"; title; "percentunit"; width; description; queries) | .height = 5 | .targets[].instant = true
  | .fieldConfig.defaults += { min: 0, max: 1 }
  | .options = latest + { displayMode: "basic", orientation: "horizontal", showUnfilled: true };

# Left to right, then down; a row of panels is as high as its highest.
def placed:
  reduce .[] as $panel ({ x: 0, y: 0, high: 0, done: [] };
    (if .x + $panel.width > 24 then .y += .high | .x = 0 | .high = 0 else . end)
    | .done += [ ($panel | del(.width, .height)) + { id: ((.done | length) + 1), gridPos: { x: .x, y: .y, w: $panel.width, h: $panel.height } } ]
    | .x += $panel.width | .high = ([.high, $panel.height] | max))
  | .done;

def choice(name; shown; expr):
  { name: name, label: shown, type: "query", datasource: source, query: { query: expr, refId: name }, refresh: 2, sort: 1,
    multi: true, includeAll: true, allValue: ".*", current: { text: ["All"], value: ["$__all"] } };

def board(uid; title; description; choices; panels):
  { uid: uid, title: title, description: description, tags: ["innerloop"], schemaVersion: 38, version: 1, editable: false, graphTooltip: 1,
    refresh: "5s", time: { from: "now-1h", to: "now" }, timezone: "browser", annotations: { list: [] },
    links: [ { type: "dashboards", title: "Innerloop", tags: ["innerloop"], asDropdown: false, includeVars: true, keepTime: true } ],
    templating: { list: ([ { name: "datasource", label: "Data source", type: "datasource", query: "prometheus", current: {} } ] + choices) },
    panels: (panels | placed) };
