// The parts of the page below the curves: tables, specifications, what the workers did.
const cell = (content, isNumber) => html("td", {class: isNumber ? "number" : null}, content);
const head = (content, isNumber) => html("th", {scope: "col", class: isNumber ? "number" : null}, content);
const table = (caption, heads, rows) => html("div", {class: "scroll"}, caption ? html("p", {class: "faint"}, caption) : null,
  html("table", {"aria-label": caption}, html("thead", {}, html("tr", {}, heads)), html("tbody", {}, rows)));

function summary(jobs) {
  const stateClass = {SUCCEEDED: "good", FAILED: "error", CANCELLED: "warning"};
  const rows = jobs.map((job) => html("tr", {},
    html("th", {scope: "row"}, job.name, " ", html("code", {}, job.job)), cell(job.method),
    cell(html("span", {class: stateClass[job.state]}, job.state)), cell(String(job.spec.seed || 0), true),
    cell(`${count(job.iteration)} of ${count(job.iterations)}`, true), cell(duration(job.seconds), true),
    cell(job.seconds > 0 ? count(Math.round(job.iteration / job.seconds * 100) / 100) : "", true), cell(count(job.parameters), true),
    cell(job.last_checkpoint ? html("code", {title: job.last_checkpoint.parameters_sha256}, job.last_checkpoint.parameters_sha256.slice(0, 12)) : "")));
  const notes = jobs.flatMap((job) => [
    ...(job.failure ? [html("p", {class: "error"}, `${label(job)} failed: ${job.failure}`)] : []),
    ...job.warnings.map((warning) => html("p", {class: "warning"}, `${label(job)}: ${warning}`)),
    ...(job.skipped_iterations > 0 ? [html("p", {class: "warning"}, `${label(job)}: ${count(job.skipped_iterations)} iterations were skipped, their updates were not finite`)] : []),
    ...(job.spec.note ? [html("p", {}, `${label(job)}: ${job.spec.note}`)] : []),
  ]);
  return html("section", {}, html("h2", {}, jobs.length === 1 ? "Job" : "Jobs"),
    table(null, [head("Job"), head("Method, tasks, model"), head("State"), head("Seed", true), head("Iterations", true), head("Training time", true),
      head("Iterations per second", true), head("Parameters", true), head("SHA-256")], rows), notes);
}

// Of one protocol: what each group reached after each inner step.
function protocolTable(protocol, entries) {
  const fraction = entries.some((entry) => entry.evaluations.some((evaluation) => evaluation.steps.some((step) => "accuracy" in step)));
  const steps = [...new Set(entries.flatMap((entry) => entry.evaluations.flatMap((evaluation) => evaluation.steps.map((step) => step.step))))].sort((a, b) => a - b);
  const published = (step) => [...new Map(entries.flatMap((entry) => entry.final ? entry.group.jobs.flatMap((job) => job.published) : [])
    .filter((result) => result.step === step).map((result) => [JSON.stringify(result), result])).values()]
    .map((result) => `${[..."accuracy" in result ? [percent(result.accuracy)] : [], ..."loss" in result ? [number(result.loss)] : []].join(", ")} (${result.source})`).join("; ");
  const value = (entry, step, key) => {
    const found = entry.evaluations.map((evaluation) => evaluation.steps.find((measure) => measure.step === step)).filter((measure) => measure && key in measure);
    if (found.length === 0) return "";
    const values = found.map((measure) => measure[key]);
    return spread(mean(values), values.length > 1 ? deviation(values) : found[0][key + "_ci95"], key === "accuracy");
  };
  const anyPublished = steps.some((step) => published(step) !== "");
  const rows = steps.map((step) => html("tr", {}, html("th", {scope: "row", class: "number"}, String(step)),
    entries.flatMap((entry) => [...fraction ? [cell(value(entry, step, "accuracy"), true)] : [], cell(value(entry, step, "loss"), true)]),
    anyPublished ? cell(published(step)) : null));
  const several = entries.some((entry) => entry.evaluations.length > 1);
  const caption = `${protocol}. ± is ${several ? "the standard deviation over seeds, and for single jobs the half-width of the 95 % interval over tasks"
    : "the half-width of the 95 % interval over tasks"}.`;
  return table(caption, [head("Inner step", true),
    entries.flatMap((entry) => {
      const of = entries.length > 1 || several ? entry.name + ": " : "";
      return [...fraction ? [head(`${of}accuracy`, true)] : [], head(`${of}loss`, true)];
    }), anyPublished ? head("Published") : null], rows);
}

// The final evaluations, else the latest of the schedule, by protocol.
function latestEvaluations(groups) {
  const protocols = new Map();
  for (const group of groups) {
    for (const final of [true, false]) {
      const found = group.jobs.map((job) => job.evaluations.filter((evaluation) => evaluation.final === final).pop()).filter(Boolean);
      for (const protocol of new Set(found.map((evaluation) => evaluation.protocol))) {
        const entry = {name: group.name, group, final, evaluations: found.filter((evaluation) => evaluation.protocol === protocol)};
        protocols.set(protocol, [...protocols.get(protocol) || [], entry]);
      }
    }
  }
  return protocols;
}

function evaluationTables(groups) {
  const tables = [...latestEvaluations(groups)].map(([protocol, entries]) => protocolTable(protocol, entries));
  return tables.length === 0 ? null : html("section", {}, html("h2", {}, "Evaluations"), html("div", {class: "charts"}, tables));
}

function flatten(value, path, into) {
  if (value !== null && typeof value === "object" && !(Array.isArray(value) && value.every((item) => typeof item !== "object"))) {
    for (const [key, child] of Object.entries(value)) flatten(child, path === "" ? key : `${path}.${key}`, into);
  } else {
    const shown = Array.isArray(value) ? value.join(", ") : String(value);
    into.set(path, shown.length > 200 ? `${shown.slice(0, 200)}… (${count(shown.length)} characters)` : shown);
  }
  return into;
}

function specification(jobs) {
  if (jobs.length === 1) {
    return html("section", {}, html("h2", {}, "Specification"), html("pre", {tabindex: 0, "aria-label": "Job specification"}, jobs[0].spec_text));
  }
  const specs = jobs.map((job) => flatten(job.spec, "", new Map()));
  const paths = [...new Set(specs.flatMap((spec) => [...spec.keys()]))];
  const row = (path) => {
    const values = specs.map((spec) => spec.get(path));
    const differs = new Set(values).size > 1;
    return {differs, element: html("tr", {class: differs ? "differs" : null}, html("th", {scope: "row"}, html("code", {}, path)),
      values.map((value) => cell(value === undefined ? "–" : value)))};
  };
  const rows = paths.map(row);
  return html("section", {}, html("h2", {}, "Specifications"),
    table("Fields in which the jobs differ", [head("Field"), jobs.map((job) => head(label(job)))], rows.filter((r) => r.differs).map((r) => r.element)),
    html("details", {}, html("summary", {}, "Fields that all have alike"),
      table(null, [head("Field"), head("Value")], rows.filter((r) => !r.differs).map((r) => {
        [...r.element.children].slice(2).forEach((extra) => extra.remove());
        return r.element;
      }))));
}

// A lane for the coordinator and each worker, with what the job's log says of them.
function timeline(jobs) {
  const entries = jobs.flatMap((job) => job.log.map((entry) => ({...entry, job, at: Date.parse(entry.time)}))).sort((a, b) => a.at - b.at);
  if (entries.length === 0) return null;
  const sources = [...new Set(entries.map((entry) => entry.source))].sort((a, b) => (b === "coordinator") - (a === "coordinator") || a.localeCompare(b));
  const lane = 26, top = 8, bottom = 44;
  const drawing = svg("svg", {role: "img", "aria-label": "Events of the coordinator and the workers over time; the table below lists them."});
  const style = {WARNING: "warning", ERROR: "error"};
  const draw = () => {
    const width = Math.max(300, drawing.clientWidth || 700);
    const left = Math.min(190, width * 0.32), height = top + lane * sources.length + bottom;
    const first = entries[0].at, last = Math.max(entries[entries.length - 1].at, first + 1000);
    const [unit, milliseconds] = [["hours", 3.6e6], ["minutes", 6e4], ["seconds", 1e3]].find(([, size]) => last - first >= 3 * size || size === 1e3);
    const x = makeScale(0, (last - first) / milliseconds, left + 8, width - 12, false);
    drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
    drawing.style.height = height + "px";
    drawing.replaceChildren();
    sources.forEach((source, i) => {
      const y = top + lane * (i + 0.5);
      const own = entries.filter((entry) => entry.source === source);
      const most = Math.floor(left / 7.4);
      drawing.append(svg("text", {x: left - 4, y: y + 4, "text-anchor": "end"}, svg("title", {}, source), source.length > most ? "…" + source.slice(1 - most) : source),
        svg("line", {class: "grid", x1: left + 8, x2: width - 12, y1: y, y2: y}));
      for (const entry of own) {
        const at = x((entry.at - first) / milliseconds), kind = style[entry.severity];
        const look = `fill:var(--${kind || "c0"});stroke:var(--panel)`;
        const shape = kind === "error" ? svg("rect", {x: at - 5, y: y - 5, width: 10, height: 10, style: look}) :
          kind === "warning" ? svg("path", {d: `M${at} ${y - 6}L${at + 6} ${y + 5}H${at - 6}Z`, style: look}) : svg("circle", {cx: at, cy: y, r: 4, style: look});
        shape.append(svg("title", {}, `${entry.time} ${entry.message}`));
        drawing.append(shape);
      }
    });
    const ticks = linearTicks(0, (last - first) / milliseconds, Math.max(2, Math.floor(width / 130)));
    for (const tick of ticks) {
      drawing.append(svg("text", {x: x(tick), y: height - bottom + 18, "text-anchor": "middle"}, tickText(tick, ticks, false)));
    }
    drawing.append(svg("text", {x: (left + width) / 2, y: height - 6, "text-anchor": "middle"}, `${unit} since ${entries[0].time}`));
  };
  const rows = entries.slice(-500).map((entry) => html("tr", {}, cell(entry.time), cell(html("span", {class: style[entry.severity]}, entry.severity)),
    cell(entry.source), jobs.length > 1 ? cell(label(entry.job)) : null, cell("iteration" in entry ? count(entry.iteration) : "", true), cell(entry.message)));
  const figure = html("figure", {}, drawing, html("figcaption", {}, "What the job's log says: circles inform, triangles warn, squares are errors."));
  settings.listeners.push(draw);
  onNewWidth(figure, draw);
  return html("section", {}, html("h2", {}, "Workers over time"), figure, html("details", {},
    html("summary", {}, entries.length > 500 ? `The last 500 of ${count(entries.length)} events` : `All ${count(entries.length)} events`),
    table(null, [head("Time"), head("Severity"), head("From"), jobs.length > 1 ? head("Job") : null, head("Iteration", true), head("What")], rows)));
}
