// The place that the page shows: a step, a map on each side of the layer, and a cell; and the default for each.

const steps = about.steps;
const look = { step: 0, left: 0, right: 0, cell: [0, 0] };

const layerOf = (step) => about.layers[step.name];
const isBack = (step) => step.direction === "backward";
const mixes = (step) => ["conv", "linear", "flatten", "loss"].includes(layerOf(step).kind);

/** The arrays of a step, as maps. */
function arraysOf(step) {
  return Object.fromEntries(Object.entries(step.arrays).map(([name, place]) => [name, maps(place)]));
}

/** The array of the cell: the output, or in a backward step the gradient of the input. */
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

/** Go to a step. From a neighbouring step, or from the other direction of the layer, the map and the place in it are kept if
 * the step has them. From any other step the strongest ones are chosen. */
function go(index) {
  const from = steps[look.step];
  const to = steps[Math.max(0, Math.min(steps.length - 1, index))];
  const [before, after] = [focusOf(from), focusOf(to)];
  const back = isBack(to);
  const near = to.name === from.name || Math.abs(steps.indexOf(to) - look.step) === 1;
  look.step = steps.indexOf(to);
  if (before.flat || after.flat || from === to || !near) {
    const c = after.flat ? 0 : strongestOf(to);
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

/** The map with the largest number; of a gradient, the one largest in size. */
function strongestOf(step) {
  const m = focusOf(step);
  const size = (place) => (isBack(step) ? Math.abs(m.data[place]) : m.data[place]);
  let best = 0;
  for (let i = 0; i < m.data.length; i++) if (size(i) > size(best)) best = i;
  return Math.floor(best / (m.H * m.W));
}

/** The maps on the other side that the map of the cell is connected with: the first, and how many. */
function connected(step) {
  const layer = layerOf(step);
  const [, perIn] = array(layer.w).shape;
  const perOut = layer.out[0] / layer.groups;
  return isBack(step) ? [Math.floor(look.left / perIn) * perOut, perOut] : [firstChannel(layer, look.right), perIn];
}

/** Choose a map on the other side that is connected with the map of the cell; with `anew` the one with the largest share,
 * but in a backward step the one of the step before, if its share is not 0. */
function settle(anew = false) {
  const step = steps[look.step];
  const layer = layerOf(step);
  const [side, other] = isBack(step) ? ["left", "right"] : ["right", "left"];
  if (layer.kind !== "conv") {
    if (!mixes(step)) look[other] = Math.min(look[side], layer[isBack(step) ? "out" : "in"][0] - 1);
    return;
  }
  const [first, count] = connected(step);
  const { x, dy } = arraysOf(step);
  const size = (map) => Math.abs(isBack(step) ? shareBack(layer, dy, map, look.left, look.cell)
    : share(layer, x, look.right, map - first, look.cell));
  const inside = look[other] >= first && look[other] < first + count;
  if (inside && !(anew && (!isBack(step) || size(look[other]) === 0))) return;
  const sizes = Array.from({ length: count }, (_, k) => size(first + k));
  look[other] = first + sizes.indexOf(Math.max(...sizes));
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
