// The page: which step, which maps and which cell are looked at, and what changes them.

const steps = about.steps;
const scene = document.getElementById("scene");
const slider = document.getElementById("slider");
const look = { step: 0, left: 0, right: 0, cell: [0, 0] };
let sliding = null;

const layerOf = (step) => about.layers[step.name];
const isBack = (step) => step.direction === "backward";
const mixes = (step) => ["conv", "linear", "flatten", "loss"].includes(layerOf(step).kind);

/** The arrays of a step, as maps. */
function arraysOf(step) {
  return Object.fromEntries(Object.entries(step.arrays).map(([name, place]) => [name, maps(place)]));
}

/** What the cell lies in: the output, or on the way back the gradient of the input. */
const focusOf = (step) => maps(isBack(step) ? step.arrays.dx : step.arrays.y);

/** The largest cell of map c (of a gradient, the one largest in size), or of the units whose weights the page carries. */
function strongestCell(step, c) {
  const m = focusOf(step);
  const layer = layerOf(step);
  const among = m.flat ? (isBack(step) ? layer.inputs : layer.units) : undefined;
  const size = (place) => (isBack(step) ? Math.abs(m.data[place]) : m.data[place]);
  let best = among ? among[0] : c * m.H * m.W;
  for (const place of among ?? Array.from({ length: Math.min(m.H * m.W, m.units) }, (_, i) => c * m.H * m.W + i)) {
    if (size(place) > size(best)) best = place;
  }
  const inMap = best - c * m.H * m.W;
  return [Math.floor(inMap / m.W), inMap % m.W];
}

/** The map of the focus that is largest at the cell (of a gradient, in size). */
function strongestMap(step, [row, column]) {
  const m = focusOf(step);
  const size = (c) => (isBack(step) ? Math.abs(at(m, c, row, column)) : at(m, c, row, column));
  let best = 0;
  for (let c = 1; c < m.C; c++) if (size(c) > size(best)) best = c;
  return best;
}

/** The cell of map c, within two cells of the one given, where the gradient is largest. */
function strongestNear(m, c, [row, column]) {
  let best = [row, column];
  for (let r = Math.max(0, row - 2); r <= Math.min(m.H - 1, row + 2); r++) {
    for (let k = Math.max(0, column - 2); k <= Math.min(m.W - 1, column + 2); k++) {
      if (Math.abs(at(m, c, r, k)) > Math.abs(at(m, c, ...best))) best = [r, k];
    }
  }
  return best;
}

/** Go to a step; the maps and the place that were looked at are kept as far as there are such. */
function go(index) {
  const from = steps[look.step];
  const to = steps[Math.max(0, Math.min(steps.length - 1, index))];
  const [before, after] = [focusOf(from), focusOf(to)];
  const back = isBack(to);
  look.step = steps.indexOf(to);
  if (before.flat || after.flat || from === to) {
    const c = after.flat ? 0 : strongestOf(after);
    look.cell = strongestCell(to, c);
    look.left = look.right = c;
  } else {
    const scaled = (place, old, now) => Math.min(now - 1, Math.floor(((place + 0.5) * now) / old));
    look.cell = [scaled(look.cell[0], before.H, after.H), scaled(look.cell[1], before.W, after.W)];
    const kept = Math.min(isBack(from) ? look.left : look.right, after.C - 1);
    const chosen = mixes(to) ? strongestMap(to, look.cell) : kept;
    if (back) look.cell = strongestNear(after, chosen, look.cell);
    look.left = chosen;
    look.right = back && mixes(to) ? Math.min(kept, maps(to.arrays.dy).C - 1) : chosen;
  }
  settle(true);
  history.replaceState(null, "", `#${to.name}-${to.direction}`);
  show();
  document.querySelector("#track [aria-current]").scrollIntoView({ block: "nearest", inline: "center" });
}

/** The map with the largest number. */
function strongestOf(m) {
  let best = 0;
  for (let i = 0; i < m.data.length; i++) if (m.data[i] > m.data[best]) best = i;
  return Math.floor(best / (m.H * m.W));
}

/** Let the map of the other side be one that the chosen one is connected with; `anew`: the one that matters most. */
function settle(anew = false) {
  const step = steps[look.step];
  const layer = layerOf(step);
  if (layer.kind !== "conv") {
    if (!mixes(step)) {
      if (isBack(step)) look.right = look.left;
      else look.left = look.right;
    }
    return;
  }
  const perIn = array(layer.w).shape[1];
  const perOut = layer.out[0] / layer.groups;
  if (!isBack(step)) {
    const first = firstChannel(layer, look.right);
    const outside = look.left < first || look.left >= first + perIn;
    if (!anew && !outside) return;
    const x = maps(step.arrays.x);
    const shares = Array.from({ length: perIn }, (_, k) => Math.abs(share(layer, x, look.right, k, look.cell)));
    look.left = first + shares.indexOf(Math.max(...shares));
  } else {
    const first = Math.floor(look.left / perIn) * perOut;
    const outside = look.right < first || look.right >= first + perOut;
    const dy = maps(step.arrays.dy);
    const came = (o) => Math.abs(shareBack(layer, dy, o, look.left, look.cell));
    if (!outside && !(anew && came(look.right) === 0)) return;
    const shares = Array.from({ length: perOut }, (_, k) => came(first + k));
    look.right = first + shares.indexOf(Math.max(...shares));
  }
}

/** Look at another cell or another map: {cell, left, right}. */
function change(to) {
  const step = steps[look.step];
  const m = focusOf(step);
  Object.assign(look, to);
  look.cell = [Math.max(0, Math.min(m.H - 1, look.cell[0])), Math.max(0, Math.min(m.W - 1, look.cell[1]))];
  if (m.flat && look.cell[0] * m.W + look.cell[1] >= m.units) look.cell[1] = (m.units - 1) % m.W;
  settle();
  show();
}

/** The pixels [top, left, bottom, right] that the cell depends on. */
function fieldOf(step) {
  const names = Object.keys(about.layers);
  const source = isBack(step) ? names[names.indexOf(step.name) - 1] : step.name === "loss" ? names.at(-2) : step.name;
  const [row, column] = look.cell;
  if (source === undefined) return [row, column, row + 1, column + 1];
  const { fields } = about.layers[source];
  const [rows, columns] = fields.length === 1 ? [fields[0], fields[0]] : [fields[row], fields[column]];
  return [rows[0], columns[0], rows[1], columns[1]];
}

/** The image with the receptive field lit. */
function pictureCard(step) {
  const [H, W] = about.size;
  const [top, left, bottom, right] = fieldOf(step);
  const outside = `M0 0H${W}V${H}H0ZM${left} ${top}V${bottom}H${right}V${top}Z`;
  return card({
    id: "field", name: "Image", title: "and what the cell sees of it", size: [H, W],
    shown: el("img", { src: about.picture, alt: "", class: W < 100 ? "dots" : undefined }),
    marks: [el("svg:path", { class: "outside", d: outside }), rectangle([top, left, bottom, right], "field")],
    note: `${bottom - top} × ${right - left} pixels, from row ${top}, column ${left}`,
  });
}

/** One side of the layer: a map of the input or output, or of its gradient. */
function sideCard(step, name, m, c, { marks = [], focus, side }) {
  const what = { x: "input", y: "output", dx: "gradient of the input", dy: "gradient of the output" }[name];
  const [row, column] = look.cell;
  const pick = focus ? (r, k) => change({ cell: [r, k] }) : undefined;
  const all = m.flat ? [...marks] : marks;
  if (focus) all.push(rectangle(cellBox([row, column]), "cell"));
  const value = focus ? `row ${row}, column ${column}: ${number(at(m, c, row, column))}` : `±${number(largestOf(m, c), 3)}`;
  return card({
    id: side, name, title: m.flat ? `${what}, ${whole(m.units)} units` : `${what}, ${mapName(step, name, c, m)}`,
    shown: mapCanvas(m, c), size: [m.H, m.W], marks: all, pick, note: value,
    read: (r, k) => `${m.flat ? `unit ${r * m.W + k}` : `row ${r}, column ${k}`}: ${number(at(m, c, r, k))}`,
  });
}

const mapName = (step, name, c, m) => (name.endsWith("x") && m.C === 3 ? channelName(step, c) : `map ${c} of ${m.C}`);

/** Draw the step that is looked at. */
function show() {
  const step = steps[look.step];
  const layer = layerOf(step);
  const back = isBack(step);
  const arrays = arraysOf(step);
  const drawn = (back ? backward : forward)[layer.kind](step, layer, arrays, look);
  const [inName, outName] = back ? ["dx", "dy"] : ["x", "y"];
  const leftMarks = [...(drawn.window ? [rectangle(drawn.window, "window")] : []), ...(drawn.marks ?? [])];
  const samePlace = !mixes(step) && layer.kind !== "pool";
  const other = samePlace ? [rectangle(cellBox(look.cell), "cell")] : [];
  const rightMarks = back ? [...(drawn.windowOut ? [rectangle(drawn.windowOut, "window")] : other),
    ...(drawn.cellOut ? [rectangle(cellBox(drawn.cellOut), "cell")] : [])] : [];
  const arrow = () => el("span", { class: "arrow", "aria-hidden": "true" }, back ? "←" : "→");
  const leftCard = sideCard(step, inName, arrays[inName], drawn.left ?? (arrays[inName].flat ? 0 : look.left),
    { side: "input", focus: back, marks: back ? [] : [...other, ...leftMarks] });
  const rightCard = layer.kind === "loss" ? null : sideCard(step, outName, arrays[outName],
    arrays[outName].flat ? 0 : look.right, { side: "output", focus: !back, marks: rightMarks });
  const focus = arrays[back ? "dx" : "y"];
  scene.replaceChildren(
    el("header", { class: "title" },
      el("h2", {}, step.name, el("small", {}, back ? "← backward" : "→ forward")),
      el("p", {}, el("b", {}, layer.title), `, section ${layer.section}. ${step.meaning}`),
      formula(step)),
    el("section", { class: "flow", "aria-label": "Pictures" }, pictureCard(step), arrow(), leftCard,
      rightCard ? arrow() : null, drawn.middle ? [el("div", { class: "middle" }, drawn.middle), arrow()] : null, rightCard),
    el("div", { class: "panels" },
      panel(layer.kind === "loss" ? "From logits to the loss" : "Why this number", "why", drawn.why),
      el("div", { class: "stack" },
        focus.flat || focus.C < 2 ? null : el("section", { class: "panel", "aria-label": "All maps" }, sheet({
          m: focus, groups: groupsOf(step), chosen: back ? look.left : look.right, title: back ? "of dx" : "of y",
          pick: (c) => change(back ? { left: c } : { right: c }),
        })), known(step.facts)),
      drawn.more ?? null),
  );
  document.getElementById("count").textContent = `${look.step + 1} / ${steps.length}`;
  slider.value = look.step;
  slider.setAttribute("aria-valuetext", `${step.name}, ${step.direction}`);
  document.getElementById("back").disabled = look.step === 0;
  document.getElementById("next").disabled = look.step === steps.length - 1;
  for (const button of document.querySelectorAll("#track button")) {
    if (+button.dataset.step === look.step) button.setAttribute("aria-current", "step");
    else button.removeAttribute("aria-current");
  }
}

/** The columns that the maps in focus lie in. */
function groupsOf(step) {
  const layer = layerOf(step);
  const groups = Math.max(...Object.values(about.layers).map((one) => one.groups ?? 1));
  return (isBack(step) ? layer.in : layer.out)[0] === 3 ? 1 : groups;
}

/** The formula, from markup that the page brings. */
function formula(step) {
  const made = el("div", { class: "formula" });
  made.innerHTML = step.formula.join("");
  return made;
}

/** Move the cell; over the edge of a row it goes on in the next. */
function move(rows, columns) {
  const m = focusOf(steps[look.step]);
  change({ cell: [(look.cell[0] + rows + m.H) % m.H, (look.cell[1] + columns + m.W) % m.W] });
}

/** Another map in focus, or on the other side. */
function turn(by, otherSide = false) {
  const step = steps[look.step];
  const side = isBack(step) !== otherSide ? "left" : "right";
  const m = maps(step.arrays[{ left: isBack(step) ? "dx" : "x", right: isBack(step) ? "dy" : "y" }[side]]);
  change({ [side]: (look[side] + by + m.C) % m.C });
}

/** Let the cell slide along the rows, or stop it. */
function slide() {
  const button = document.getElementById("play");
  if (sliding) clearInterval(sliding);
  sliding = sliding ? null : setInterval(() => {
    const m = focusOf(steps[look.step]);
    move(look.cell[1] === m.W - 1 ? 1 : 0, 1);
  }, 160);
  button.setAttribute("aria-pressed", String(Boolean(sliding)));
  button.textContent = sliding ? "stop" : "slide";
}

/** The same layer in the other direction. */
function turnBack() {
  const { name, direction } = steps[look.step];
  const other = steps.findIndex((step) => step.name === name && step.direction !== direction);
  if (other >= 0) go(other);
}

const KEYS = {
  ArrowRight: () => go(look.step + 1), ArrowLeft: () => go(look.step - 1),
  Home: () => go(0), End: () => go(steps.length - 1), b: turnBack,
  w: () => move(-1, 0), s: () => move(1, 0), a: () => move(0, -1), d: () => move(0, 1),
  "[": () => turn(-1), "]": () => turn(1), ",": () => turn(-1, true), ".": () => turn(1, true),
  " ": slide, "?": () => document.getElementById("help").showModal(),
};
const CELL_KEYS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.getElementById("help").open) return;
  const on = event.target;
  if (on === slider || (event.key === " " && on.tagName === "BUTTON")) return;
  const frame = on.closest?.("#input .frame, #output .frame");
  if (frame && CELL_KEYS[event.key]) {
    const { id } = frame.parentElement;
    move(...CELL_KEYS[event.key]);
    document.querySelector(`#${id} .frame`).focus();
  } else if (KEYS[event.key]) KEYS[event.key]();
  else return;
  event.preventDefault();
}

/** The row of steps: each layer with its forward step above its name and its backward step below, as high as its maps. */
function drawTrack() {
  const most = about.size[0];
  const button = (name, direction) => {
    const index = steps.findIndex((step) => step.name === name && step.direction === direction);
    if (index < 0) return el("span", {});
    const out = about.layers[name].out;
    const height = out && out.length === 3 ? 20 + (80 * out[1]) / most : 12;
    return el("button", {
      type: "button", class: direction, "data-step": index, onclick: () => go(index), title: `${name} ${direction}`,
      "aria-label": `${name} ${direction}`,
    }, el("i", { style: `height:${height}%` }));
  };
  const ends = ["forward →", "", "← backward"].map((text) => el("span", {}, text));
  document.getElementById("track").append(el("div", { class: "stop ends", "aria-hidden": "true" }, ends), ...Object.keys(about.layers).map((name) =>
    el("div", { class: "stop" }, button(name, "forward"), el("span", {}, name), button(name, "backward"))));
}

function drawHead() {
  document.getElementById("thumb").src = about.picture;
  const { data } = array(about.probabilities);
  const best = data.indexOf(Math.max(...data));
  const truth = about.label === null ? "This pass is one of testing: forward only."
    : `This pass is one of training, with dropout at work; the label is “${about.classes[about.label]}”.`;
  document.getElementById("summary").textContent = `The net “${about.variant}” on one image: it says `
    + `“${about.classes[best]}”, with ${percent(data[best])}. ${truth}`;
}

async function start() {
  await unpack();
  drawHead();
  drawTrack();
  slider.max = steps.length - 1;
  slider.addEventListener("input", () => go(+slider.value));
  document.getElementById("back").addEventListener("click", () => go(look.step - 1));
  document.getElementById("next").addEventListener("click", () => go(look.step + 1));
  document.getElementById("play").addEventListener("click", slide);
  document.getElementById("help-button").addEventListener("click", KEYS["?"]);
  document.addEventListener("keydown", pressed);
  darkness.addEventListener("change", () => { colours = ramp(); show(); });
  const named = () => steps.findIndex((step) => `#${step.name}-${step.direction}` === location.hash);
  window.addEventListener("hashchange", () => { if (named() >= 0) go(named()); });
  const index = named();
  go(0);
  if (index > 0) go(index);
}

start();
