// The page: from the data to curves and tables.
const data = JSON.parse(document.getElementById("data").textContent);
const jobs = data.jobs;
const label = (job) => jobs.filter((other) => other.name === job.name).length > 1 ? `${job.name} (${job.job})` : job.name;
const seedsOf = (group) => new Set(group.jobs.map((job) => jobs[job].spec.seed)).size;
const groups = data.groups.map((group, index) => ({index, jobs: group.jobs.map((job) => jobs[job]),
  name: group.jobs.length === 1 ? label(jobs[group.jobs[0]]) : `${group.name}, ${group.jobs.length} ${seedsOf(group) > 1 ? "seeds" : "runs"}`}));

// A job's curve as points {x, y, low, high}; columns are first and last iteration, mean, minimum, maximum.
const bucketPoints = (buckets) => buckets.map(([first, last, y, low, high]) => ({x: (first + last) / 2, first, last, y, low, high}));

// The mean over the group's jobs, with the standard deviation as band; buckets are as wide as the widest job's.
function groupPoints(curves) {
  if (curves.length === 1) return bucketPoints(curves[0].points);
  const width = Math.max(...curves.map((curve) => curve.width));
  const buckets = new Map();
  for (const curve of curves) {
    const own = new Map();
    for (const [first, last, y] of curve.points) {
      const key = Math.floor(first / width);
      const bucket = own.get(key) || {first, last, values: []};
      bucket.last = last;
      if (y !== null) bucket.values.push(y);
      own.set(key, bucket);
    }
    for (const [key, bucket] of own) buckets.set(key, [...buckets.get(key) || [], bucket]);
  }
  return [...buckets].sort(([a], [b]) => a - b).map(([, own]) => {
    const first = Math.min(...own.map((bucket) => bucket.first)), last = Math.max(...own.map((bucket) => bucket.last));
    const values = own.filter((bucket) => bucket.values.length > 0).map((bucket) => mean(bucket.values));
    const y = values.length === own.length ? mean(values) : null;
    const half = values.length > 1 ? deviation(values) : 0;
    return {x: (first + last) / 2, first, last, y, low: y === null ? null : y - half, high: y === null ? null : y + half, jobs: values.length};
  });
}

// What a group's jobs have at a point together. One has no deviation.
const overSeeds = (point, isFraction) => point.jobs > 1 ? `${spread(point.y, (point.high - point.low) / 2, isFraction)} over ${point.jobs} seeds`
  : `${text(point.y, isFraction)} over 1 seed`;

// By group where there are several, by measure where a chart has several.
function seriesLabel(group, name, title) {
  if (groups.length === 1) return name || title.toLowerCase();
  return name ? `${group.name}: ${name}` : group.name;
}

function trainingSeries(key, name, extra, title) {
  return groups.flatMap((group) => {
    const curves = group.jobs.map((job) => job.curves.find((curve) => curve.key === key)).filter(Boolean);
    if (curves.length === 0) return [];
    const isFraction = curves[0].fraction;
    const many = curves.length > 1;
    return [{label: seriesLabel(group, name, title), colour: colour(group.index), points: groupPoints(curves),
      seeds: many ? curves.map((curve) => bucketPoints(curve.points)) : [],
      what: (point) => (many ? overSeeds(point, isFraction)
        : text(point.y, isFraction) + (point.first < point.last ? ` (${text(point.low, isFraction)} to ${text(point.high, isFraction)})` : "")), ...extra}];
  });
}

// Of the schedule's evaluations, after their last inner step.
function validationSeries(key) {
  return groups.flatMap((group) => {
    const found = group.jobs.flatMap((job) => job.evaluations.filter((evaluation) => evaluation.periodic));
    const measured = found.map((evaluation) => ({x: evaluation.iteration, ...evaluation.steps[evaluation.steps.length - 1]})).filter((measure) => key in measure);
    if (measured.length === 0) return [];
    const points = [...new Set(measured.map((measure) => measure.x))].sort((a, b) => a - b).map((x) => {
      const own = measured.filter((measure) => measure.x === x);
      const y = mean(own.map((measure) => measure[key]));
      const half = own.length > 1 ? deviation(own.map((measure) => measure[key])) : own[0][key + "_ci95"];
      return {x, y: Number.isFinite(y) ? y : null, low: y - half, high: y + half, half};
    });
    const name = `${found[0].split}, after ${measured[0].step} ${measured[0].step === 1 ? "step" : "steps"}`;
    return [{label: seriesLabel(group, name), colour: groups.length > 1 ? colour(group.index) : colour(1), dash: "6 4", marks: true, points,
      what: (point) => spread(point.y, point.half, key === "accuracy")}];
  });
}

function curveChart(key, evaluationKey, title, yName, more) {
  const training = trainingSeries(key, evaluationKey ? "training" : null, {}, title);
  const series = evaluationKey ? [...training, ...validationSeries(evaluationKey)] : training;
  return training.length === 0 ? null : makeChart({title, yName, xName: "iteration", series, smooth: true, ...more});
}

// What single inner steps do: the final evaluations, with what papers report.
function adaptationCharts() {
  const charts = [];
  for (const [protocol, entries] of latestEvaluations(groups)) {
    const isFraction = entries.some((entry) => entry.evaluations.some((evaluation) => evaluation.steps.some((step) => "accuracy" in step)));
    const [key, title] = isFraction ? ["accuracy", "Accuracy by inner step"] : ["loss", "Loss by inner step"];
    const series = entries.flatMap((entry) => {
      const steps = entry.evaluations[0].steps.filter((step) => key in step).map((step) => step.step);
      if (steps.length < 2) return [];
      const points = steps.map((x) => {
        const own = entry.evaluations.map((evaluation) => evaluation.steps.find((step) => step.step === x)).filter(Boolean);
        const y = mean(own.map((step) => step[key]));
        const half = own.length > 1 ? deviation(own.map((step) => step[key])) : own[0][key + "_ci95"];
        return {x, y: Number.isFinite(y) ? y : null, low: y - half, high: y + half, half};
      });
      const papers = entry.final ? entry.group.jobs[0].published.filter((result) => key in result) : [];
      const own = {label: entries.length > 1 ? entry.name : "measured", colour: colour(entry.group.index), marks: true, points,
        what: (point) => spread(point.y, point.half, isFraction)};
      const paper = {label: entries.length > 1 ? `${entry.name}: published` : "published", colour: colour(entry.group.index + 1), marks: true, hollow: true, only: true,
        points: papers.map((result) => ({x: result.step, y: result[key], source: result.source})), what: (point) => `${text(point.y, isFraction)} (${point.source})`};
      return papers.length > 0 ? [own, paper] : [own];
    });
    if (series.length > 0) {
      charts.push(makeChart({title, yName: isFraction ? "accuracy, %" : "query loss", xName: "inner step", percent: isFraction, series, note: `${protocol}.`}));
    }
  }
  return charts;
}

function section(title, charts) {
  const drawn = charts.filter(Boolean);
  return drawn.length === 0 ? null : html("section", {}, html("h2", {}, title), html("div", {class: "charts"}, drawn));
}

function build() {
  const names = groups.map((group) => group.name).join(", ");
  document.title = `Innerloop report: ${names}`;
  document.getElementById("subtitle").textContent = `${names}. Made ${data.made}.`;
  const training = "Training: mean over the tasks of each iteration.";
  const validation = " Evaluations: mean over their tasks; whiskers are 95 % intervals, over several seeds standard deviations.";
  document.getElementById("main").replaceChildren(...[
    summary(jobs),
    section("Curves", [
      curveChart("meta_loss", "loss", "Meta-loss", "loss", {note: training + validation}),
      curveChart("meta_accuracy", "accuracy", "Accuracy", "accuracy, %", {percent: true, note: training + validation}),
    ]),
    section("Adaptation", adaptationCharts()),
    evaluationTables(groups),
    section("More about the training", [
      beforeAndAfter(),
      curveChart("update_norm", null, "Update norm", "Euclidean norm", {note: "Of the mean update, before clipping."}),
      curveChart("iteration_seconds", null, "Time per iteration", "seconds", {}),
      curveChart("learning_rate", null, "Learning rate", "outer learning rate", {}),
    ]),
    specification(jobs),
    timeline(jobs),
  ].filter(Boolean));
}

function beforeAndAfter() {
  const dashes = {support_loss_before: "2 3", support_loss_after: null, query_loss_before: "8 4"};
  const series = Object.keys(dashes).flatMap((key, i) => trainingSeries(key, key.replaceAll("_", " "),
    {dash: dashes[key], ...groups.length > 1 ? {} : {colour: colour(i)}}));
  return series.length === 0 ? null : makeChart({title: "Before and after adaptation", yName: "loss", xName: "iteration", series, smooth: true,
    note: "Measured on every 16th iteration."});
}

function control() {
  const smoothing = document.getElementById("smoothing"), bands = document.getElementById("bands"), seeds = document.getElementById("seeds");
  smoothing.addEventListener("input", () => {
    document.getElementById("smoothing-value").textContent = Number(smoothing.value).toFixed(2);
    set("smoothing", Number(smoothing.value));
  });
  bands.addEventListener("change", () => set("bands", bands.checked));
  seeds.addEventListener("change", () => set("seeds", seeds.checked));
  document.getElementById("seeds-label").hidden = groups.every((group) => group.jobs.length === 1);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const theme = (name) => { document.documentElement.dataset.theme = name; };
  theme(dark.matches ? "dark" : "light");
  dark.addEventListener("change", () => theme(dark.matches ? "dark" : "light"));
  document.getElementById("theme").addEventListener("click", () => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
}

build();
control();
