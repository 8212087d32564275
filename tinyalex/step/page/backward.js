// The backward steps: how the gradient of the chosen cell is computed.

/** The windows (u, v) that contain the cell (p, q) of the input, and the place (i, j) of the cell in each. */
function windowsContaining({ kernel, stride, pad }, [p, q], H, W) {
  const along = (place, axis, count) => {
    const found = [];
    for (let u = 0; u < count; u++) {
      const i = place + pad[axis] - u * stride[axis];
      if (i >= 0 && i < kernel[axis]) found.push([u, i]);
    }
    return found;
  };
  const [rows, columns] = [along(p, 0, H), along(q, 1, W)];
  return rows.map(([u, i]) => columns.map(([v, j]) => ({ u, v, i, j })));
}

/** The box around windowsContaining, in cells of the output. */
const boxOf = (windows) => (windows.length && windows[0].length
  ? [windows[0][0].u, windows[0][0].v, windows.at(-1)[0].u + 1, windows[0].at(-1).v + 1] : [0, 0, 0, 0]);

/** The gradient of kernel o for some channels, as maps: the sum over all places of dy times the input in the window. */
function kernelGradient(layer, x, dy, o, channels) {
  const [H, W] = layer.window.kernel;
  const data = Float32Array.from({ length: channels.length * H * W }, (_, e) => {
    const [c, i, j] = [channels[Math.floor(e / (H * W))], Math.floor(e / W) % H, e % W];
    let total = 0;
    for (let u = 0; u < dy.H; u++) {
      for (let v = 0; v < dy.W; v++) {
        const [top, left] = windowBox(layer.window, [u, v]);
        total += at(dy, o, u, v) * (at(x, c, top + i, left + j) ?? 0);
      }
    }
    return total;
  });
  return { data, C: channels.length, H, W, units: data.length, largest: data.reduce((most, one) => Math.max(most, Math.abs(one)), 0) };
}

/** Its picture: in colour where the kernel reads the image. */
function gradientCard(step, layer, { x, dy }, o, c) {
  const inColour = readsImage(step);
  const dw = kernelGradient(layer, x, dy, o, inColour ? [0, 1, 2] : [c]);
  return card({
    id: "kernel-gradient", name: "dw", title: `of ${say("kernel", o + 1, layer.out[0])}, ${inColour ? "in colour" : `for ${channelName(step, c)}`}`,
    shown: inColour ? colourCanvas(dw) : mapCanvas(dw, 0), size: [dw.H, dw.W],
    note: about.images > 1 ? "the share of this image" : "dy times the input in the window, over all places",
    read: (i, j) => `dw (${i}, ${j}): ${Array.from({ length: dw.C }, (_, k) => number(at(dw, k, i, j), 3)).join(", ")}`,
  });
}

/** The gradient from kernel o for a cell of channel c: dy of each window that contains it, times the weight there. */
function shareBack(layer, dy, o, c, cell) {
  const w = array(layer.w);
  const inGroup = c - firstChannel(layer, o);
  return windowsContaining(layer.window, cell, dy.H, dy.W).flat().reduce(
    (total, { u, v, i, j }) => total + at(dy, o, u, v) * weight(w, o, inGroup, i, j), 0);
}

const shareOf = (value) => el("span", { class: "figure lit" }, number(value));

const backward = {
  /** For a kind of layer that has no drawing of its own here: dy of the windows that contain the cell, and the result. */
  plain(step, layer, { dy, dx }, { cell, left, right }) {
    const windows = windowsContaining(layer.window ?? ONE_CELL, cell, dy.H, dy.W);
    return { windowOut: layer.window && boxOf(windows), why: [
      windows.length && windows[0].length
        ? grid("dy of the windows that contain the cell", windows.map((line) => line.map(({ u, v }) => at(dy, right, u, v))))
        : words("No window contains this cell."),
      el("p", { class: "sum" }, "by the formula above, dx = ", shareOf(at(dx, left, ...cell))),
    ] };
  },

  conv(step, layer, { x, dy, dx }, { cell, left: c, right: o }) {
    const w = array(layer.w);
    const inGroup = c - firstChannel(layer, o);
    const windows = windowsContaining(layer.window, cell, dy.H, dy.W);
    const perGroup = layer.out[0] / layer.groups;
    const first = Math.floor(o / perGroup) * perGroup;
    const shares = Array.from({ length: perGroup }, (_, k) => shareBack(layer, dy, first + k, c, cell));
    const gradients = windows.map((line) => line.map(({ u, v }) => at(dy, o, u, v)));
    const weights = windows.map((line) => line.map(({ i, j }) => weight(w, o, inGroup, i, j)));
    const products = gradients.map((line, i) => line.map((value, j) => value * weights[i][j]));
    const reached = windows.length && windows[0].length;
    return {
      windowOut: boxOf(windows),
      middle: [kernelCard(step, layer, o, inGroup), gradientCard(step, layer, { x, dy }, o, c)],
      why: reached ? [
        words(`${windows.flat().length} windows of kernel ${o + 1} contain ${entry("x", c, ...cell)}. Each adds its gradient times the weight `,
          "by which the cell was multiplied:"),
        el("div", { class: "grids" }, grid(say("windows"), gradients), el("b", {}, "×"), grid(say("weights"), weights),
          el("b", {}, "="), grid(say("products"), products)),
        words(`All ${whole(perGroup)} kernels that read this map do so:`),
        bars(shares.map((value, k) => ({
          label: `kernel ${first + k + 1}`, value, lit: first + k === o, pick: () => change({ right: first + k }),
        })), { most: 12 }),
        sum([[`sum over ${whole(perGroup)} kernels`, shares.reduce((one, two) => one + two, 0)]],
          at(dx, c, ...cell), "dx, as recorded"),
      ] : [words("No window contains this cell, so its gradient is 0.")],
    };
  },

  relu(step, layer, { y, dy, dx }, { cell, left: c }) {
    const on = at(y, c, ...cell) > 0;
    return { why: [words(on ? `The unit was on, y = ${number(at(y, c, ...cell))}: the gradient passes.`
      : "The unit was off, y = 0: the gradient stops here."),
    el("p", { class: "sum" }, `${number(at(dy, c, ...cell))} · ${on ? 1 : 0} = `, shareOf(at(dx, c, ...cell)))] };
  },

  tanh(step, layer, { y, dy, dx }, { cell, left: c }) {
    const value = at(y, c, ...cell);
    return { why: [words(`The slope of tanh here is 1 − y² = ${number(1 - value * value)}.`),
      el("p", { class: "sum" }, `${number(at(dy, c, ...cell))} · ${number(1 - value * value)} = `, shareOf(at(dx, c, ...cell)))] };
  },

  lrn(step, layer, { x, y, dy, dx }, { cell, left: c }) {
    const { alpha, beta, k, size } = layer.norm;
    const half = Math.floor(size / 2);
    const scale = (j) => k + alpha * neighbours(layer, x.C, j, -half)
      .reduce((total, i) => total + at(x, i, ...cell) ** 2, 0);
    const seen = neighbours(layer, x.C, c, half - size + 1);
    const taken = seen.map((j) => (at(dy, j, ...cell) * at(y, j, ...cell)) / scale(j));
    const own = at(dy, c, ...cell) * scale(c) ** -beta;
    const cost = -2 * alpha * beta * at(x, c, ...cell) * taken.reduce((one, two) => one + two, 0);
    return { why: [
      words(`Its own gradient divided by sᵝ, less the effect on the ${seen.length} maps that it damps, dy · y / s for each:`),
      bars(seen.map((j, i) => ({ label: `map ${j + 1}`, value: taken[i], lit: j === c, pick: () => change({ left: j, right: j }) }))),
      sum([["dy / sᵝ", own], ["−2αβ x · the sum", cost]], at(dx, c, ...cell), "dx, as recorded"),
    ] };
  },

  "spatial-norm"(step, layer, { x, y, dy, dx }, { cell, left: c }) {
    const { alpha, beta } = layer.norm;
    const around = ([row, column], value) => table(layer.window.kernel, (i, j) => {
      const place = [row + i - layer.window.pad[0], column + j - layer.window.pad[1]];
      return at(x, c, ...place) === undefined ? undefined : value(place);
    });
    const total = (values) => values.flat().reduce((one, two) => one + (two ?? 0), 0);
    const scale = (place) => 1 + alpha * total(around(place, (other) => at(x, c, ...other) ** 2));
    const taken = around(cell, (place) => (at(dy, c, ...place) * at(y, c, ...place)) / scale(place));
    return { windowOut: windowBox(layer.window, cell), why: [
      words("Its own gradient divided by sᵝ, less the effect on the cells that it damps, dy · y / s for each:"),
      grid("dy · y / s", taken),
      sum([["dy / sᵝ", at(dy, c, ...cell) * scale(cell) ** -beta],
        ["−2αβ x · the sum", -2 * alpha * beta * at(x, c, ...cell) * total(taken)]], at(dx, c, ...cell), "dx, as recorded"),
    ] };
  },

  pool(step, layer, { dy, dx }, { cell, left: c }) {
    const windows = windowsContaining(layer.window, cell, dy.H, dy.W);
    const winners = { ...array(layer.argmax), H: dy.H, W: dy.W };
    const won = windows.flat().filter(({ u, v, i, j }) => at(winners, c, u, v) === i * layer.window.kernel[1] + j);
    const values = windows.map((line) => line.map((one) => (won.includes(one) ? at(dy, c, one.u, one.v) : 0)));
    return { windowOut: boxOf(windows), why: values.length && values[0].length ? [
      words(`${windows.flat().length === 1 ? "One window sees" : `${windows.flat().length} windows see`} this cell. `,
        won.length ? `It was the largest in ${won.length}, and gets their gradient.`
          : "Another cell was the largest in each, so its gradient is 0."),
      grid("dy where it was the largest", values),
      el("p", { class: "sum" }, "dx = ", shareOf(at(dx, c, ...cell))),
    ] : [words("No window contains this cell, so its gradient is 0.")] };
  },

  "average-pool"(step, layer, { dy, dx }, { cell, left: c }) {
    const windows = windowsContaining(layer.window, cell, dy.H, dy.W);
    const share = ({ u, v }) => at(dy, c, u, v) / cellsInside(layer.window, [u, v], dx);
    return { windowOut: boxOf(windows), why: windows.length && windows[0].length ? [
      words("Each window that sees this cell gives it an equal share of its gradient:"),
      grid("dy ÷ cells of the window", windows.map((line) => line.map(share))),
      el("p", { class: "sum" }, "their sum: dx = ", shareOf(at(dx, c, ...cell))),
    ] : [words("No window contains this cell, so its gradient is 0.")] };
  },

  flatten(step, layer, { dy, dx }, { cell, left: c }) {
    const d = (c * dx.H + cell[0]) * dx.W + cell[1];
    return { cellOut: [Math.floor(d / dy.W), d % dy.W], why: [
      words(`${entry("x", c, ...cell)} was ${entry("y", d)}, and gets its gradient.`),
      el("p", { class: "sum" }, "dx = ", shareOf(at(dx, c, ...cell))),
    ] };
  },

  linear(step, layer, { dy, dx }, { cell }) {
    const d = cell[0] * dx.W + cell[1];
    const place = layer.inputs.indexOf(d);
    if (place < 0) return { why: [absent(layer.inputs, "dx", "feature", dx, layer), sum([], dx.data[d], entry("dx", d))] };
    const weights = array(layer.input_weights);
    const terms = Array.from(dy.data, (value, unit) => value * weights.data[place * dy.units + unit]);
    return { why: [
      words(`${entry("x", d)} gets the gradient of every unit, times the weight between them. The largest products:`),
      bars(terms.map((value, unit) => ({ label: unitName(step, unit, dy.units), value })), { most: 12 }),
      sum([[say("sum", terms.length), terms.reduce((one, two) => one + two, 0)]], dx.data[d], "dx, as recorded"),
    ] };
  },

  dropout(step, layer, { x, y, dy, dx }, { cell }) {
    const d = cell[0] * dx.W + cell[1];
    const says = x.data[d] !== 0 && y.data[d] === 0 ? "It was switched off: its gradient is 0."
      : x.data[d] === 0 ? "It was 0 before dropout, so its output does not show whether it was switched off."
        : "It was on: the gradient passes.";
    return { why: [words(`${sentence(say("unit", d + 1, dx.units))}. ${says}`),
      el("p", { class: "sum" }, `${number(dy.data[d])} becomes `, shareOf(dx.data[d]))] };
  },
};
