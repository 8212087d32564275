// The step that is looked at, drawn.

const scene = document.getElementById("scene");

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
