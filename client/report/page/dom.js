// Elements, numbers and settings. All text goes in as text nodes: names of jobs are anybody's input.
const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}
const html = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

const count = (value) => Number(value).toLocaleString("en-US");
function number(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "not finite";
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-3 || size >= 1e5) ? value.toExponential(2) : value.toFixed(size >= 100 ? 1 : 4);
}
const percent = (fraction) => (100 * fraction).toFixed(2) + " %";
const text = (value, isFraction) => isFraction ? percent(value) : number(value);
function spread(value, half, isFraction) {
  if (half === null || half === undefined || !Number.isFinite(half)) return text(value, isFraction);
  return isFraction ? `${(100 * value).toFixed(2)} ± ${(100 * half).toFixed(2)} %` : `${number(value)} ± ${number(half)}`;
}
function duration(seconds) {
  if (seconds < 60) return seconds.toFixed(1) + " s";
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${Math.floor(seconds % 60)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

const mean = (values) => values.reduce((sum, value) => sum + (value === null ? NaN : value), 0) / values.length;
// Of a sample; not a number for a single value.
function deviation(values) {
  const centre = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (values.length - 1));
}

const colour = (index) => `var(--c${index % 8})`;

// At first, too.
function onNewWidth(element, draw) {
  let width = 0;
  new ResizeObserver(() => requestAnimationFrame(() => {
    if (element.clientWidth !== width) {
      width = element.clientWidth;
      draw();
    }
  })).observe(element);
}

// What the controls say; charts are told of changes.
const settings = {smoothing: 0.6, bands: true, seeds: false, listeners: []};
function set(name, value) {
  settings[name] = value;
  settings.listeners.forEach((listener) => listener());
}
