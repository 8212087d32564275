// Parts that several layers use: grids of numbers, bars, sums in words, and the facts about a step.

/** Numbers (undefined: outside the image) as a grid, a title above it; `lit` [i, j] is marked. Small and large numbers
 * are written in powers of ten, which the title names, and all without the zero before the point. */
function grid(title, values, { lit } = {}) {
  const most = Math.max(...values.flat().map((value) => Math.abs(value ?? 0)));
  const written = values[0].length <= 7;
  const power = most >= 0.1 && most < 1000 || most === 0 ? 0 : Math.floor(Math.log10(most));
  const short = (value) => {
    const size = value / 10 ** power;
    if (Math.abs(size) < 0.005) return "0";
    return number(+size.toFixed(Math.abs(size) < 10 ? 2 : 0), 2).replace("0.", ".");
  };
  const cells = values.flatMap((line, i) => line.map((value, j) => {
    const kind = lit && lit[0] === i && lit[1] === j ? "lit" : value === undefined ? "outside" : undefined;
    const exact = value === undefined ? "outside the input: 0" : number(value);
    return el("span", { class: kind, style: shade(value, most), title: exact }, written && value !== undefined ? short(value) : "");
  }));
  const made = el("div", { class: written ? "grid written" : "grid", style: `--columns:${values[0].length}`, role: "img", "aria-label": title }, cells);
  return el("div", { class: "gridbox" }, el("p", {}, title, power ? ` (in 10${raised(power)})` : ""), made);
}

/** Bars about a zero line: items of {label, value, lit, pick, strong}; with many of them only the strongest. */
function bars(items, { most = 24, format = number } = {}) {
  const ranked = [...items].sort((one, two) => Math.abs(two.value) - Math.abs(one.value));
  const kept = new Set([...ranked.slice(0, most), ...items.filter((item) => item.lit)]);
  const shown = items.length > most ? ranked.filter((item) => kept.has(item)) : items;
  const largest = Math.max(...shown.map((item) => Math.abs(item.value)), 1e-30);
  const negative = shown.some((item) => item.value < 0);
  const lines = shown.map(({ label, value, lit, pick }) => {
    const length = (100 * Math.abs(value)) / largest / (negative ? 2 : 1);
    const start = negative ? (value < 0 ? 50 - length : 50) : 0;
    const bar = el("span", { class: "track-of-bar" }, el("i", {
      style: `left:${start}%;width:${length}%`, class: value < 0 ? "below" : "above",
    }));
    const parts = [el("span", { class: "label" }, label), bar, el("span", { class: "value" }, format(value))];
    const kind = lit ? "line lit" : "line";
    return pick
      ? el("button", { type: "button", class: kind, onclick: pick, "aria-pressed": String(Boolean(lit)) }, parts)
      : el("div", { class: kind }, parts);
  });
  const rest = items.length - shown.length;
  return el("div", { class: "bars" }, lines,
    rest ? el("p", { class: "note" }, `the ${shown.length} largest of ${whole(items.length)}`) : null);
}

/** A sum in words and numbers: pairs of [what, value], the last one after an equals sign, and what was recorded. */
function sum(parts, recorded, name) {
  const terms = parts.map(([what, value], index) => [
    index ? el("b", {}, value < 0 ? "−" : "+") : null,
    el("span", { class: "term" }, el("span", { class: "figure" }, number(index ? Math.abs(value) : value)), el("small", {}, what)),
  ]);
  return el("p", { class: "sum" }, terms, parts.length ? el("b", {}, "=") : null,
    el("span", { class: "term" }, el("span", { class: "figure lit" }, number(recorded)), el("small", {}, name)));
}

/** A titled panel. */
function panel(title, id, ...children) {
  return el("section", { class: "panel", id, "aria-label": title }, el("h3", {}, title), children);
}

const words = (...children) => el("p", { class: "words" }, children);

/** The facts about a step, and a line of statistics for each array. */
function factsPanel({ facts, statistics }) {
  const list = el("dl", { class: "facts" }, facts.flatMap(([what, much]) => [el("dt", {}, what), el("dd", {}, much)]));
  const head = ["", "min", "max", "mean", "norm", "zeros"].map((name) => el("th", { scope: "col" }, name));
  const lines = statistics.map(([name, ...values]) =>
    el("tr", {}, el("th", { scope: "row" }, name), values.map((value) => el("td", {}, value))));
  const table = el("table", {}, el("thead", {}, el("tr", {}, head)), el("tbody", {}, lines));
  return panel("Facts about this step", "known", list, el("div", { class: "scroll" }, table));
}

/** The graph of a function with one point of it lit, over a range about 0, or over the positive one that is given. */
function graph(compute, x, range) {
  const reach = Math.max(1, Math.abs(x) * 1.3);
  const [low, high] = range ?? [-reach, reach];
  const dots = Array.from({ length: 161 }, (_, i) => low + (i / 160) * (high - low));
  const tall = Math.max(...dots.map((dot) => Math.abs(compute(dot))));
  const [zero, ground, height] = range ? [5, 112, 105] : [100, 60, 50];
  const place = (dot, value) => `${zero + ((195 - zero) * dot) / high},${ground - (height * value) / tall}`;
  const [left, top] = place(x, compute(x)).split(",");
  return el("svg:svg", { viewBox: "0 0 200 120", class: "graph", role: "img", "aria-label": "The function, and this cell on it" },
    el("svg:path", { class: "axis", d: `M0 ${ground}H200M${zero} 5V115` }),
    el("svg:path", { class: "curve", d: `M${dots.map((dot) => place(dot, compute(dot))).join("L")}` }),
    el("svg:path", { class: "drop", d: `M${left} ${ground}V${top}H${zero}` }),
    el("svg:circle", { class: "point", cx: left, cy: top, r: 4 }));
}
