// A chart of series over one axis: curves with bands, or points with whiskers. It can be read off with the pointer and with the arrow keys.
//
// A series: {label, colour, dash, marks, points: [{x, y, low, high, from, to}], what, seeds: [[{x, y}]]}; y is null where there is no finite value.
function makeChart(options) {
  const shown = options.series.map(() => true);
  const values = options.series.flatMap((series) => series.points.map((point) => point.y)).filter((value) => value !== null);
  const positive = values.length > 0 && values.every((value) => value > 0);
  const state = {log: positive && values.reduce((a, b) => Math.max(a, b)) > 20 * values.reduce((a, b) => Math.min(a, b)), cursor: null};
  const drawing = svg("svg", {class: "plot", tabindex: 0, role: "img", "aria-label": `${options.title}: ${options.yName} over ${options.xName}. Arrow keys read values off.`});
  const readout = html("div", {class: "readout", "aria-live": "polite"});
  let plot = null;

  const legend = html("div", {class: "legend", role: "group", "aria-label": "Curves shown"}, options.series.map((series, i) =>
    html("button", {type: "button", "aria-pressed": "true", click: (event) => {
      shown[i] = !shown[i];
      event.currentTarget.setAttribute("aria-pressed", String(shown[i]));
      draw();
    }}, swatch(series), series.label)));
  const logBox = html("input", {type: "checkbox", checked: state.log, change: (event) => { state.log = event.target.checked; draw(); }});
  const figure = html("figure", {},
    html("div", {class: "head"}, html("h3", {}, options.title), html("label", {}, logBox, " Log scale")),
    legend, drawing, readout, options.note ? html("figcaption", {}, options.note) : null);

  function swatch(series) {
    return svg("svg", {class: "swatch", viewBox: "0 0 24 10", "aria-hidden": "true"}, series.only ? mark(12, 5, series) :
      svg("line", {x1: 0, x2: 24, y1: 5, y2: 5, style: `stroke:${series.colour};stroke-width:2.5;stroke-dasharray:${series.dash || "none"}`}),
      series.marks && !series.only ? mark(12, 5, series) : null);
  }

  function mark(x, y, series) {
    const style = `fill:${series.hollow ? "var(--panel)" : series.colour};stroke:${series.colour};stroke-width:1.6`;
    return series.hollow ? svg("path", {d: `M${x} ${y - 5}L${x + 5} ${y}L${x} ${y + 5}L${x - 5} ${y}Z`, style}) : svg("circle", {cx: x, cy: y, r: 3.2, style});
  }

  // Exponential moving average that starts without a bias; gaps stay. Of curves: marks stand where they were measured.
  function smooth(points) {
    const weight = options.smooth ? settings.smoothing : 0;
    let sum = 0, norm = 0;
    return points.map((point) => {
      if (point.y === null) return point;
      sum = weight * sum + (1 - weight) * point.y;
      norm = weight * norm + (1 - weight);
      return {...point, y: sum / norm};
    });
  }

  const usable = (value) => value !== null && value !== undefined && Number.isFinite(value) && (!state.log || value > 0);

  function path(points, x, y, key) {
    let drawn = "", down = false;
    for (const point of points) {
      if (!usable(point[key])) { down = false; continue; }
      drawn += `${down ? "L" : "M"}${x(point.x).toFixed(1)} ${y(point[key]).toFixed(1)}`;
      down = true;
    }
    return drawn;
  }

  // Stretches without gaps, there along the upper and back along the lower edge.
  function area(points, x, y, lowest, highest) {
    const clamp = (value) => y(Math.min(Math.max(state.log && value <= 0 ? lowest : value, lowest), highest)).toFixed(1);
    let drawn = "", stretch = [];
    const close = () => {
      if (stretch.length > 1) {
        drawn += "M" + stretch.map((p) => `${x(p.x).toFixed(1)} ${clamp(p.high)}`).join("L") + "L" +
          stretch.slice().reverse().map((p) => `${x(p.x).toFixed(1)} ${clamp(p.low)}`).join("L") + "Z";
      }
      stretch = [];
    };
    for (const point of points) {
      if (point.y !== null && Number.isFinite(point.low) && Number.isFinite(point.high)) stretch.push(point); else close();
    }
    close();
    return drawn;
  }

  function draw() {
    const width = Math.max(260, drawing.clientWidth || 560);
    const height = width < 420 ? 240 : 300;
    drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
    drawing.style.height = height + "px";
    const visible = options.series.map((series, i) => ({...series, drawn: series.marks ? series.points : smooth(series.points), shown: shown[i]}))
      .filter((series) => series.shown);
    const xs = visible.flatMap((series) => series.drawn.map((point) => point.x));
    const ys = visible.flatMap((series) => series.drawn.flatMap((point) => series.marks ? [point.y, point.low, point.high] : [point.y])).filter(usable);
    drawing.replaceChildren();
    if (ys.length === 0) {
      drawing.append(svg("text", {x: width / 2, y: height / 2, "text-anchor": "middle"}, state.log ? "nothing above 0 is shown" : "nothing is shown"));
      plot = null;
      return read();
    }
    const reduce = (values, of) => values.reduce((a, b) => of(a, b));
    let [x0, x1, y0, y1] = [reduce(xs, Math.min), reduce(xs, Math.max), reduce(ys, Math.min), reduce(ys, Math.max)];
    if (x0 > 0 && x0 < 0.05 * x1) x0 = 0;
    if (x0 === x1) { x0 -= 0.5; x1 += 0.5; }
    // Smoothing a constant rounds.
    if (y1 - y0 < 1e-9 * Math.abs(y1)) y1 = y0;
    if (state.log) {
      const room = y0 === y1 ? 1.5 : (y1 / y0) ** 0.04;
      y0 /= room; y1 *= room;
    } else {
      const room = y0 === y1 ? Math.abs(y0) * 0.1 || 0.5 : (y1 - y0) * 0.04;
      y0 -= room; y1 += room;
    }
    const yTicks = state.log ? logTicks(y0, y1) : linearTicks(y0, y1, 6);
    const yTexts = yTicks.map((tick) => tickText(tick, yTicks, options.percent, state.log));
    const edge = {left: 32 + 7.5 * Math.max(...yTexts.map((tick) => tick.length)), right: 14, top: 10, bottom: 46};
    const x = makeScale(x0, x1, edge.left, width - edge.right, false);
    const y = makeScale(y0, y1, height - edge.bottom, edge.top, state.log);

    yTicks.forEach((tick, i) => {
      drawing.append(svg("line", {class: "grid", x1: edge.left, x2: width - edge.right, y1: y(tick), y2: y(tick)}),
        svg("text", {x: edge.left - 6, y: y(tick) + 4, "text-anchor": "end"}, yTexts[i]));
    });
    const xTicks = linearTicks(x0, x1, Math.max(2, Math.floor(width / 110)), true);
    for (const tick of xTicks) {
      drawing.append(svg("line", {class: "axis", x1: x(tick), x2: x(tick), y1: height - edge.bottom, y2: height - edge.bottom + 5}),
        svg("text", {x: x(tick), y: height - edge.bottom + 19, "text-anchor": x(tick) > width - 40 ? "end" : "middle"}, count(tick)));
    }
    drawing.append(svg("path", {class: "axis", fill: "none", d: `M${edge.left} ${edge.top}V${height - edge.bottom}H${width - edge.right}`}),
      svg("text", {x: (edge.left + width - edge.right) / 2, y: height - 6, "text-anchor": "middle"}, options.xName),
      svg("text", {x: 13, y: (edge.top + height - edge.bottom) / 2, "text-anchor": "middle",
        transform: `rotate(-90 13 ${(edge.top + height - edge.bottom) / 2})`}, options.yName));

    for (const series of visible) {
      if (settings.bands && !series.marks) drawing.append(svg("path", {class: "band", d: area(series.drawn, x, y, y0, y1), style: `fill:${series.colour}`}));
      if (settings.seeds) {
        for (const seed of series.seeds || []) drawing.append(svg("path", {class: "seed", d: path(smooth(seed), x, y, "y"), style: `stroke:${series.colour}`}));
      }
      if (!series.only) {
        drawing.append(svg("path", {class: "curve", d: path(series.drawn, x, y, "y"), style: `stroke:${series.colour};stroke-dasharray:${series.dash || "none"}`}));
      }
      if (series.marks) {
        for (const point of series.drawn.filter((p) => usable(p.y))) {
          if (settings.bands && usable(point.low) && usable(point.high)) {
            drawing.append(svg("line", {x1: x(point.x), x2: x(point.x), y1: y(point.low), y2: y(point.high), style: `stroke:${series.colour}`}));
          }
          if (series.drawn.length <= 60) drawing.append(mark(x(point.x), y(point.y), series));
        }
      }
    }
    const cursor = svg("line", {class: "cursor", y1: edge.top, y2: height - edge.bottom, visibility: "hidden"});
    drawing.append(cursor);
    plot = {x, x0, x1, edge, width, visible, cursor};
    read();
  }

  const nearest = (points, at) => points.reduce((best, point) => best === null || Math.abs(point.x - at) < Math.abs(best.x - at) ? point : best, null);

  function read() {
    if (plot === null || state.cursor === null) {
      readout.replaceChildren(html("span", {class: "faint"}, "Point at the chart, or use the arrow keys, to read values off."));
      if (plot !== null) plot.cursor.setAttribute("visibility", "hidden");
      return;
    }
    const all = plot.visible.flatMap((series) => series.drawn);
    const at = nearest(all, state.cursor).x;
    plot.cursor.setAttribute("visibility", "visible");
    plot.cursor.setAttribute("x1", plot.x(at));
    plot.cursor.setAttribute("x2", plot.x(at));
    const rows = plot.visible.map((series) => {
      const i = series.drawn.indexOf(nearest(series.drawn, at));
      const exact = series.points[i];
      // Marks are read off where they are, curves as far as they go.
      if (series.marks ? exact.x !== at : Math.abs(exact.x - at) > (plot.x1 - plot.x0) / 50) return null;
      return html("tr", {}, html("td", {}, swatch(series), " ", series.label),
        html("td", {}, exact.y === null ? "not finite" : series.what(exact)));
    });
    readout.replaceChildren(html("strong", {}, `${options.xName} ${count(Math.round(at))}`), html("table", {}, rows));
  }

  function point(event) {
    if (plot === null) return;
    const box = drawing.getBoundingClientRect();
    const share = ((event.clientX - box.left) * plot.width / box.width - plot.edge.left) / (plot.width - plot.edge.left - plot.edge.right);
    state.cursor = plot.x0 + Math.min(1, Math.max(0, share)) * (plot.x1 - plot.x0);
    read();
  }
  function key(event) {
    const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (plot === null || (step === undefined && event.key !== "Escape")) return;
    event.preventDefault();
    const stride = Math.max((plot.x1 - plot.x0) / (event.shiftKey ? 10 : 100), options.xName === "iteration" ? 0 : 1);
    const from = state.cursor === null ? (step > 0 ? plot.x0 - stride : plot.x1 + stride) : state.cursor;
    state.cursor = step === undefined ? null : Math.min(plot.x1, Math.max(plot.x0, from + step * stride));
    read();
  }
  drawing.addEventListener("pointermove", point);
  drawing.addEventListener("pointerdown", point);
  drawing.addEventListener("pointerleave", () => { state.cursor = null; read(); });
  drawing.addEventListener("keydown", key);
  settings.listeners.push(draw);
  onNewWidth(figure, draw);
  return figure;
}
