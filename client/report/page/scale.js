// From values to pixels, and where the ticks are.
function niceStep(span, most) {
  const rough = span / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
}

function linearTicks(low, high, most, whole) {
  const step = Math.max(niceStep(high - low || 1, most), whole ? 1 : 0);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; ++i) ticks.push(i * step || 0);
  return ticks;
}

function logTicks(low, high) {
  const decades = Math.log10(high / low);
  const factors = decades > 3 ? [1] : decades > 1.2 ? [1, 3] : [1, 2, 3, 5, 7];
  const ticks = [];
  const every = Math.max(1, Math.ceil(decades / 8));
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += every) {
    for (const factor of factors) {
      const tick = factor * 10 ** power;
      if (tick >= low * 0.999 && tick <= high * 1.001) ticks.push(tick);
    }
  }
  return ticks.length > 1 ? ticks : [low, high];
}

function makeScale(low, high, from, to, logarithmic) {
  const at = logarithmic ? (value) => Math.log(value / low) / Math.log(high / low) : (value) => (value - low) / (high - low);
  return (value) => from + (to - from) * at(value);
}

// As exact as neighbouring ticks ask for; fractions in percent.
function tickText(value, ticks, isFraction, logarithmic) {
  const unit = isFraction ? 100 : 1;
  const shown = unit * value || 0;
  const gaps = logarithmic ? [Math.abs(shown)] : ticks.slice(1).map((tick, i) => Math.abs(tick - ticks[i]) * unit);
  const digits = Math.max(0, Math.ceil(-Math.log10(Math.min(...gaps, 1) * 1.0001)));
  const plain = digits <= (logarithmic ? 3 : 6) && Math.abs(shown) < 1e7;
  return plain ? shown.toLocaleString("en-US", {maximumFractionDigits: digits}) : shown.toExponential(logarithmic ? 0 : 2);
}
