// Drawing of the chosen step.

const scene = document.getElementById("scene");
const slider = document.getElementById("slider");

/** The image with the receptive field lit. */
function pictureCard(step) {
  const [H, W] = about.size;
  const [top, left, bottom, right] = fieldOf(step);
  const outside = `M0 0H${W}V${H}H0ZM${left} ${top}V${bottom}H${right}V${top}Z`;
  return card({
    id: "field", name: "image", title: say("image"), size: [H, W],
    shown: el("img", { src: about.picture, alt: "", class: W < 100 ? "dots" : undefined }),
    marks: [el("svg:path", { class: "outside", d: outside }), rectangle([top, left, bottom, right], "field")],
    note: say("field", bottom - top, right - left, top + 1, bottom, left + 1, right),
  });
}

/** One side of the layer: a map of the input or output, or of its gradient. */
function sideCard(step, name, m, c, { marks = [], focus, side, edge }) {
  const what = { x: "input", y: "output", dx: "gradient of the input", dy: "gradient of the output" }[name];
  const [row, column] = look.cell;
  const pick = focus ? (r, k) => change({ cell: [r, k] }) : undefined;
  const all = focus ? [...marks, rectangle(cellBox([row, column]), "cell")] : marks;
  const read = (r, k) => `${m.flat ? entry(name, r * m.W + k) : entry(name, c, r, k)} = ${number(at(m, c, r, k))}`;
  const value = focus ? read(row, column) : `the strongest is ±${number(largestOf(m, c), 3)}`;
  return card({
    id: side, name, title: m.flat ? `${what}, ${say("units", m.units)}` : `${what}, ${mapName(step, name, c, m)}`,
    shown: mapCanvas(m, c), size: [m.H, m.W], marks: all, pick, note: value, read, edge,
  });
}

const mapName = (step, name, c, m) => (name.endsWith("x") && m.C === 3 ? COLOURS[c] : say("map", c + 1, m.C));

/** Draw the chosen step; the element that had the focus gets it again. */
function show() {
  const active = document.activeElement;
  const focused = active.matches?.("#scene .frame") ? `#${active.parentElement.id} .frame`
    : active.matches?.("#scene .line") ? "#why .line.lit" : null;
  draw();
  if (focused) document.querySelector(focused)?.focus({ preventScroll: true });
}

/** All of the step: its title, the pictures in a row, and the panels below them. */
function draw() {
  const step = steps[look.step];
  const layer = layerOf(step);
  const arrays = arraysOf(step);
  const kinds = isBack(step) ? backward : forward;
  const drawn = (kinds[layer.kind] ?? kinds.plain)(step, layer, arrays, look);
  scene.replaceChildren(
    about.faint && (isBack(step) || layer.kind === "loss") ? el("p", { class: "faint", role: "note" }, about.faint) : "",
    el("header", { class: "title" },
      el("h2", {}, step.name, el("small", {}, isBack(step) ? "← backward" : "→ forward")),
      el("p", {}, el("b", {}, layer.title), `, section ${layer.section}. ${step.meaning}`),
      formula(step)),
    flow(step, arrays, drawn),
    el("div", { class: "panels" },
      panel(layer.kind === "loss" ? "From logits to the loss" : "Why this number", "why", drawn.why),
      el("div", { class: "stack" }, allMaps(step), factsPanel(step.facts)),
      drawn.more ?? null),
  );
  tellWhere(step);
}

/** The image, the input side, the kernel if there is one, the output side; arrows point where the numbers go. */
function flow(step, arrays, drawn) {
  const back = isBack(step);
  const layer = layerOf(step);
  const [inName, outName] = back ? ["dx", "dy"] : ["x", "y"];
  const samePlace = !mixes(step) && String(layer.in) === String(layer.out) ? [rectangle(cellBox(look.cell), "cell")] : [];
  const window = (box) => (box ? [rectangle(box, "window")] : []);
  const onLeft = back ? [] : [...samePlace, ...window(drawn.window), ...(drawn.marks ?? [])];
  const onRight = !back ? [] : drawn.windowOut ? window(drawn.windowOut)
    : drawn.cellOut ? [rectangle(cellBox(drawn.cellOut), "cell")] : samePlace;
  const mapOf = (name, c) => (arrays[name].flat ? 0 : c);
  const left = sideCard(step, inName, arrays[inName], mapOf(inName, drawn.left ?? look.left),
    { side: "input", focus: back, marks: onLeft, edge: !back && drawn.window ? padding(layer, arrays.x, arrays.y) : undefined });
  const right = sideCard(step, outName, arrays[outName], mapOf(outName, look.right),
    { side: "output", focus: !back, marks: onRight });
  const middle = drawn.middle ? el("div", { class: "middle" }, drawn.middle) : null;
  const cards = drawn.cards ? [pictureCard(step), ...drawn.cards] : [pictureCard(step), left, middle, right].filter(Boolean);
  const arrow = () => el("span", { class: "arrow", "aria-hidden": "true" }, back ? "←" : "→");
  return el("section", { class: "flow", "aria-label": "Pictures" },
    cards.flatMap((one, place) => (place ? [arrow(), one] : [one])));
}

/** The cells around the input that some window reaches: [top, left, bottom, right]. */
function padding({ window: { kernel, stride, pad } }, x, y) {
  const after = (axis, inputs, outputs) => Math.max(0, (outputs - 1) * stride[axis] - pad[axis] + kernel[axis] - inputs);
  return [...pad, after(0, x.H, y.H), after(1, x.W, y.W)];
}

/** All maps of the array of the cell. */
function allMaps(step) {
  const m = focusOf(step);
  if (m.flat || m.C < 2) return null;
  const side = isBack(step) ? "left" : "right";
  return el("section", { class: "panel", "aria-label": "All maps" }, sheet({
    m, groups: groupsOf(step), chosen: look[side], title: isBack(step) ? "of dx" : "of y", pick: (c) => change({ [side]: c }),
  }));
}

/** Say in the row of steps and in the bar where this is. */
function tellWhere(step) {
  document.getElementById("count").textContent = say("count", look.step + 1, steps.length);
  document.getElementById("said").textContent = `${step.name} ${step.direction}`;
  slider.value = look.step;
  slider.setAttribute("aria-valuetext", `${say("count", look.step + 1, steps.length)}: ${step.name}, ${step.direction}`);
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
