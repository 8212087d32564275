// The forward steps: for each kind of layer the pictures in a row, and how the number of the chosen cell is computed.

/** The box of the window at a cell of the output, in cells of the input; it may reach past the input's edges. */
function windowBox({ kernel, stride, pad }, [row, column]) {
  const [top, left] = [row * stride[0] - pad[0], column * stride[1] - pad[1]];
  return [top, left, top + kernel[0], left + kernel[1]];
}

/** How many cells the window at a cell of the output has in a padded map of H x W cells. */
function cellsInside({ kernel, stride, pad }, place, { H, W }) {
  const [rows, columns] = [H, W].map((size, axis) => Math.min(kernel[axis], size + 2 * pad[axis] - place[axis] * stride[axis]));
  return rows * columns;
}

const cellBox = ([row, column]) => [row, column, row + 1, column + 1];

/** values[i][j] of a KH x KW window. */
const table = ([KH, KW], value) => Array.from({ length: KH }, (_, i) => Array.from({ length: KW }, (_, j) => value(i, j)));

/** The weights that kernel o has for channel c of its group, as one map; for an image, its three as three maps. */
function kernelMaps(layer, o) {
  const w = array(layer.w);
  const [, C, H, W] = w.shape;
  const data = w.data.subarray(o * C * H * W, (o + 1) * C * H * W);
  return { data, C, H, W, units: C * H * W, largest: data.reduce((most, value) => Math.max(most, Math.abs(value)), 0) };
}

/** The first channel that kernel o reads. */
function firstChannel(layer, o) {
  const perGroup = layer.out[0] / layer.groups;
  return Math.floor(o / perGroup) * array(layer.w).shape[1];
}

const COLOURS = ["red", "green", "blue"];
const readsImage = (step) => about.steps[0].name === step.name;
const channelName = (step, c) => (readsImage(step) ? COLOURS[c] : `map ${c + 1}`);

/** The sum over the window of one channel's products. */
function share(layer, x, o, c, cell) {
  const [top, left] = windowBox(layer.window, cell);
  const w = array(layer.w);
  let total = 0;
  for (let i = 0; i < w.shape[2]; i++) {
    for (let j = 0; j < w.shape[3]; j++) {
      total += (at(x, firstChannel(layer, o) + c, top + i, left + j) ?? 0) * weight(w, o, c, i, j);
    }
  }
  return total;
}

const ONE_CELL = { kernel: [1, 1], stride: [1, 1], pad: [0, 0] };

const forward = {
  /** For a kind of layer that has no drawing of its own here: what is in its window, and the result as recorded. */
  plain(step, layer, { x, y }, { cell, left, right }) {
    const window = layer.window ?? ONE_CELL;
    const box = windowBox(window, cell);
    return { window: layer.window && box, why: [
      grid(say("window"), table(window.kernel, (i, j) => at(x, left, box[0] + i, box[1] + j))),
      el("p", { class: "sum" }, "by the formula above, y = ", el("span", { class: "figure lit" }, number(at(y, right, ...cell)))),
    ] };
  },

  conv(step, layer, { x, y }, look) {
    const { cell, right: o } = look;
    const first = firstChannel(layer, o);
    const c = look.left - first;
    const box = windowBox(layer.window, cell);
    const [top, left] = box;
    const w = array(layer.w);
    const patch = table(layer.window.kernel, (i, j) => at(x, look.left, top + i, left + j));
    const weights = table(layer.window.kernel, (i, j) => weight(w, o, c, i, j));
    const products = patch.map((line, i) => line.map((value, j) => (value === undefined ? undefined : value * weights[i][j])));
    const shares = Array.from({ length: w.shape[1] }, (_, k) => share(layer, x, o, k, cell));
    const total = shares.reduce((one, two) => one + two, 0);
    return {
      window: box,
      middle: kernelCard(step, layer, o, c),
      why: [
        words(`${entry("y", o, ...cell)}, of ${say("kernel", o + 1, w.shape[0])}. The window in ${channelName(step, look.left)}: `,
          "each number times the weight at its place."),
        el("div", { class: "grids" }, grid(say("window"), patch), el("b", {}, "×"), grid(say("weights"), weights),
          el("b", {}, "="), grid(say("products"), products)),
        words(`The products of ${shares.length > 1 ? `each of its ${shares.length} channels` : "its channel"}, added up:`),
        bars(shares.map((value, k) => ({
          label: channelName(step, first + k), value, lit: k === c, pick: () => change({ left: first + k }),
        })), { most: 12 }),
        sum([[say("sum", w.shape[1] * w.shape[2] * w.shape[3]), total], [say("bias"), array(layer.b).data[o]]],
          at(y, o, ...cell), "y, as recorded"),
      ],
      more: [matrixProduct(layer, x, y, o, cell)],
    };
  },

  relu(step, layer, { x, y }, { cell, right: c }) {
    const value = at(x, c, ...cell);
    return { why: [
      graph((v) => Math.max(0, v), value),
      el("p", { class: "sum" }, `max(0, ${number(value)}) = `, el("span", { class: "figure lit" }, number(at(y, c, ...cell)))),
    ] };
  },

  tanh(step, layer, { x, y }, { cell, right: c }) {
    const value = at(x, c, ...cell);
    return { why: [
      graph(Math.tanh, value),
      el("p", { class: "sum" }, `tanh(${number(value)}) = `, el("span", { class: "figure lit" }, number(at(y, c, ...cell)))),
    ] };
  },

  lrn(step, layer, { x, y }, { cell, right: c }) {
    const { alpha, beta, k, size } = layer.norm;
    const seen = neighbours(layer, x.C, c, -Math.floor(size / 2));
    const squares = seen.map((j) => at(x, j, ...cell) ** 2);
    const s = k + alpha * squares.reduce((one, two) => one + two, 0);
    return { why: [
      words(`Map ${c + 1} and its neighbours at this place (${seen.length} maps${seen.length < size ? ", cut off at the edge" : ""}): `,
        `their squares damp it. The ${say("squares")}:`),
      bars(seen.map((j, i) => ({ label: `map ${j + 1}`, value: squares[i], lit: j === c, pick: () => change({ left: j, right: j }) }))),
      words(`s = k + α · sum of squares = ${number(k)} + ${number(alpha)} · ${number((s - k) / alpha)} = ${number(s)}`),
      el("p", { class: "sum" }, el("span", {}, `x / sᵝ = ${number(at(x, c, ...cell))} / ${number(s)}`, el("sup", {}, String(beta)), " ="),
        el("span", { class: "figure lit" }, number(at(y, c, ...cell)))),
    ] };
  },

  "spatial-norm"(step, layer, { x, y }, { cell, right: c }) {
    const { alpha, beta } = layer.norm;
    const box = windowBox(layer.window, cell);
    const squares = table(layer.window.kernel, (i, j) => at(x, c, box[0] + i, box[1] + j) ** 2).map((line) =>
      line.map((value) => (Number.isNaN(value) ? undefined : value)));
    const s = 1 + alpha * squares.flat().reduce((one, two) => one + (two ?? 0), 0);
    return { window: box, why: [
      grid("x², around the cell", squares),
      words(`s = 1 + α · sum of squares = ${number(s)}`),
      el("p", { class: "sum" }, el("span", {}, `x / sᵝ = ${number(at(x, c, ...cell))} / ${number(s)}`, el("sup", {}, String(beta)), " ="),
        el("span", { class: "figure lit" }, number(at(y, c, ...cell)))),
    ] };
  },

  pool(step, layer, { x, y }, { cell, right: c }) {
    const box = windowBox(layer.window, cell);
    const winner = at({ ...array(layer.argmax), H: y.H, W: y.W }, c, ...cell);
    const lit = [Math.floor(winner / layer.window.kernel[1]), winner % layer.window.kernel[1]];
    const around = [[-1, 0], [1, 0], [0, -1], [0, 1]].map(([i, j]) => [cell[0] + i, cell[1] + j])
      .filter(([row, column]) => row >= 0 && column >= 0 && row < y.H && column < y.W);
    return {
      window: box,
      marks: [...around.map((other) => rectangle(windowBox(layer.window, other), "ghost")),
        rectangle(cellBox([box[0] + lit[0], box[1] + lit[1]]), "cell")],
      why: [
        words("The numbers in the window; the largest is the output. The pale windows beside it share cells with it."),
        grid(say("window"), table(layer.window.kernel, (i, j) => at(x, c, box[0] + i, box[1] + j)), { lit }),
        el("p", { class: "sum" }, `${entry("x", c, box[0] + lit[0], box[1] + lit[1])} wins: y = `, el("span", { class: "figure lit" }, number(at(y, c, ...cell)))),
      ],
    };
  },

  "average-pool"(step, layer, { x, y }, { cell, right: c }) {
    const box = windowBox(layer.window, cell);
    const seen = table(layer.window.kernel, (i, j) => at(x, c, box[0] + i, box[1] + j));
    const total = seen.flat().reduce((one, two) => one + (two ?? 0), 0);
    const result = el("span", { class: "figure lit" }, number(at(y, c, ...cell)));
    return { window: box, why: [
      words("The numbers in the window; their mean is the output."),
      grid(say("window"), seen),
      el("p", { class: "sum" }, `sum ${number(total)} ÷ ${cellsInside(layer.window, cell, x)} cells: y = `, result),
    ] };
  },

  flatten(step, layer, { x, y }, { cell }) {
    const d = cell[0] * y.W + cell[1];
    const place = [Math.floor(d / (x.H * x.W)), Math.floor((d % (x.H * x.W)) / x.W), d % x.W];
    return { left: place[0], marks: [rectangle(cellBox(place.slice(1)), "cell")], why: [
      words(`${entry("y", d)} is ${entry("x", ...place)}, as ${place[0]} · ${x.H * x.W} + ${place[1]} · ${x.W} + ${place[2]} = ${d}.`),
    ] };
  },

  linear(step, layer, { x, y }, { cell }) {
    const unit = cell[0] * y.W + cell[1];
    const place = layer.units.indexOf(unit);
    const result = y.data[unit];
    if (place < 0) return { why: [absent(layer.units, "y", "unit", y, layer), sum([], result, entry("y", unit))] };
    const rows = array(layer.unit_weights);
    const terms = Array.from(x.data, (value, d) => value * rows.data[place * x.units + d]);
    return { why: [
      words(`${unitName(step, unit, y.units)}: every feature times its weight. The largest products:`),
      bars(terms.map((value, d) => ({ label: entry("x", d), value })), { most: 12 }),
      sum([[say("sum", terms.length), terms.reduce((one, two) => one + two, 0)],
        [say("bias"), array(layer.b).data[unit]]], result, "y, as recorded"),
    ] };
  },

  dropout(step, layer, { x, y }, { cell }) {
    const d = cell[0] * y.W + cell[1];
    const [before, after] = [x.data[d], y.data[d]];
    const says = about.label === null ? "In testing no unit is switched off."
      : before === 0 ? "It was 0 before." : after === 0 ? "It was switched off." : "It stays on.";
    return { why: [words(`${sentence(say("unit", d + 1, y.units))}. ${says}`),
      el("p", { class: "sum" }, `${number(before)} becomes `, el("span", { class: "figure lit" }, number(after)))] };
  },

  loss(step, layer, { x, y }) {
    const order = Array.from(y.data.keys()).sort((one, two) => y.data[two] - y.data[one]);
    const shown = order.slice(0, 10);
    if (!shown.includes(about.label)) shown.push(about.label);
    const of = (m, format) => bars(shown.map((k) => ({ label: about.classes[k], value: m.data[k], lit: k === about.label })),
      { format });
    const p = y.data[about.label];
    const side = (name, drawn) => el("div", { class: "card", id: name }, el("h4", {}, say(name)), drawn);
    return {
      cards: [side("logits", of(x)), side("probabilities", of(y, percent)), side("gradient", of(maps(step.arrays.dx)))],
      why: [
        words(`The softmax makes probabilities of the logits. The right class, “${about.classes[about.label]}”, is marked: `,
          `the smaller its probability, the larger the loss. ${withoutDropout()}`),
        graph((v) => -Math.log(Math.max(v, 1e-3)), p, [0, 1]),
        el("p", { class: "sum" }, `p = ${number(p)}: `, el("span", { class: "figure lit" }, say("loss", number(-Math.log(p))))),
      ],
    };
  },
};

/** What dropout has changed: the probability of the label in a pass as in testing. */
function withoutDropout() {
  if (!Object.values(about.layers).some(({ kind }) => kind === "dropout")) return "";
  const p = array(about.probabilities).data[about.label];
  return `This is with dropout; without it, as in testing, its probability is ${percent(p)}.`;
}

/** The maps from c + first on, `size` of them, that exist in the group of c. */
function neighbours(layer, C, c, first) {
  const perGroup = C / layer.groups;
  const start = Math.floor(c / perGroup) * perGroup;
  return Array.from({ length: layer.norm.size }, (_, i) => c + first + i).filter((j) => j >= start && j < start + perGroup);
}

const sentence = (text) => text[0].toUpperCase() + text.slice(1);

const unitName = (step, unit, units) =>
  step.name === lastLinear() ? `The logit of “${about.classes[unit]}”` : sentence(say("unit", unit + 1, units));

const lastLinear = () => Object.keys(about.layers).filter((name) => about.layers[name].kind === "linear").at(-1);

/** Why a unit's sum is not shown, and the units whose sums are. */
function absent(carried, name, what, m, layer) {
  const count = layer.in[0] * layer.out[0];
  const strongest = [...carried].sort((one, two) => Math.abs(m.data[two]) - Math.abs(m.data[one])).slice(0, 12);
  return el("div", {}, words(`This layer has ${whole(count)} weights. This page carries those of its strongest ${what}s:`),
    el("p", { class: "chips" }, strongest.map((unit) => el("button", {
      type: "button", onclick: () => change({ cell: [Math.floor(unit / m.W), unit % m.W] }),
    }, entry(name, unit)))));
}

/** A kernel: in colour where it reads the image, else its weights for one channel. */
function kernelCard(step, layer, o, c) {
  const kernel = kernelMaps(layer, o);
  const inColour = readsImage(step);
  return card({
    id: "kernel", name: say("kernel", o + 1, layer.out[0]), title: inColour ? "in colour, grey is 0" : `its weights for ${channelName(step, firstChannel(layer, o) + c)}`,
    shown: inColour ? colourCanvas(kernel) : mapCanvas(kernel, c), size: [kernel.H, kernel.W],
    note: `w, ${kernel.C} × ${kernel.H} × ${kernel.W}, ±${number(kernel.largest, 3)}`,
    read: (i, j) => `w (${i}, ${j}): ${(inColour ? [0, 1, 2] : [c]).map((k) => number(at(kernel, k, i, j), 3)).join(", ")}`,
  });
}

/** The convolution as a matrix product: the marked patch, the marked kernel, and the number that they give. */
function matrixProduct(layer, x, y, o, cell) {
  const w = array(layer.w);
  const [OC, C, KH, KW] = w.shape;
  const [places, entries] = [y.H * y.W, C * KH * KW];
  const lit = cell[0] * y.W + cell[1];
  const base = firstChannel(layer, o);
  const perGroup = OC / layer.groups;
  const firstKernel = Math.floor(o / perGroup) * perGroup;
  const around = (place, count, least, shown = 17) => {
    const first = Math.max(least, Math.min(place - (shown >> 1), least + count - shown));
    return Array.from({ length: Math.min(shown, count) }, (_, i) => first + i);
  };
  const rows = around(lit, places, 0);
  const kernels = around(o, perGroup, firstKernel);
  const entry = (place, e) => {
    const [i, j, c] = [Math.floor(e / (KW * C)), Math.floor(e / C) % KW, e % C];
    const [top, left] = windowBox(layer.window, [Math.floor(place / y.W), place % y.W]);
    return at(x, base + c, top + i, left + j) ?? 0;
  };
  const weightAt = (kernel, e) => weight(w, kernel, e % C, Math.floor(e / (KW * C)), Math.floor(e / C) % KW);
  const strip = (list, value, largest) => canvas(entries, list.length, (row, e) => colour(value(list[row], e), largest));
  const products = Array.from({ length: entries }, (_, e) => entry(lit, e) * weightAt(o, e));
  const most = products.reduce((one, two) => Math.max(one, Math.abs(two)), 0);
  const stripCard = (id, name, title, shown, height, place) => card({
    id, name, title, shown, size: [height, entries],
    marks: place === undefined ? [] : [rectangle([place, 0, place + 1, entries], "cell")],
  });
  return panel("The same as a matrix product", "matrix",
    words(`im2col copies the window at each of the ${whole(places)} places, its patch, to a row of ${whole(entries)} entries; `,
      "each kernel is such a row too. Then one product computes all places and all kernels: Y = patches · Wᵀ. ",
      "Marked are the patch of this place and the row of this kernel. They are multiplied entry by entry, and the products added."),
    el("div", { class: "strips" }, stripCard("patches", "im2col", say("patches", rows[0] + 1, rows.at(-1) + 1, places),
      strip(rows, entry, x.largest), rows.length, rows.indexOf(lit)),
    stripCard("kernels", "W", say("kernels", kernels[0] + 1, kernels.at(-1) + 1, OC),
      strip(kernels, weightAt, w.largest), kernels.length, kernels.indexOf(o)),
    stripCard("products", "", say("marked"), canvas(entries, 1, (_, e) => colour(products[e], most)), 1)),
    card({
      id: "block", name: "Y", title: "the same places and kernels, without the bias",
      shown: canvas(kernels.length, rows.length, (row, k) => {
        const place = rows[row];
        return colour(at(y, kernels[k], Math.floor(place / y.W), place % y.W) - array(layer.b).data[kernels[k]], y.largest);
      }),
      size: [rows.length, kernels.length],
      marks: [rectangle([rows.indexOf(lit), kernels.indexOf(o), rows.indexOf(lit) + 1, kernels.indexOf(o) + 1], "cell")],
      pick: (row, k) => change({ cell: [Math.floor(rows[row] / y.W), rows[row] % y.W], right: kernels[k] }),
      note: `the sum: ${number(products.reduce((one, two) => one + two, 0))}`,
    }));
}
