// The page around the step: the row of steps, the bar above it, and the keys.

let sliding = null;

/** Move the cell; over an edge of the map it comes in again at the other. */
function move(rows, columns) {
  const m = focusOf(steps[look.step]);
  change({ cell: [(look.cell[0] + rows + m.H) % m.H, (look.cell[1] + columns + m.W) % m.W] });
}

/** Go to another map of the cell, or to another connected map on the other side. */
function turn(by, otherSide = false) {
  const step = steps[look.step];
  if (otherSide && layerOf(step).kind !== "conv") return;
  const side = isBack(step) !== otherSide ? "left" : "right";
  const [first, count] = otherSide ? connected(step) : [0, focusOf(step).C];
  change({ [side]: first + ((look[side] - first + by + count) % count) });
}

/** Let the cell slide along the rows, or stop it. The last row of a grid of units may have places left over. */
function slide() {
  const button = document.getElementById("play");
  if (sliding) clearInterval(sliding);
  sliding = sliding ? null : setInterval(() => {
    const m = focusOf(steps[look.step]);
    const atEnd = m.flat && look.cell[0] * m.W + look.cell[1] === m.units - 1;
    if (atEnd) change({ cell: [0, 0] });
    else move(look.cell[1] === m.W - 1 ? 1 : 0, 1);
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
  const inMap = on.matches?.("#input .frame, #output .frame, #maps .frame");
  if (inMap && CELL_KEYS[event.key]) {
    if (on.parentElement.id === "maps") turn(CELL_KEYS[event.key][0] * mapsAcross(focusOf(steps[look.step])) + CELL_KEYS[event.key][1]);
    else move(...CELL_KEYS[event.key]);
  } else if (KEYS[event.key]) KEYS[event.key]();
  else return;
  event.preventDefault();
}

/** The row of steps: for each layer its forward step above its name and its backward step below, as high as its maps. */
function drawTrack() {
  const sides = Object.values(about.layers).map(({ out }) => (out?.length === 3 ? out[1] : 1));
  const most = Math.max(...sides);
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
  const truth = about.label === null ? "This is a forward pass as in testing."
    : `This is a training pass, with dropout; the label is “${about.classes[about.label]}”.`;
  document.getElementById("summary").textContent = `The net “${about.variant}” on one image: it says `
    + `“${about.classes[best]}”, with ${percent(data[best])}. ${truth}`;
}

async function start() {
  if (!window.DecompressionStream) {
    scene.textContent = "This browser cannot unpack the numbers: use one of 2023 or later.";
    return;
  }
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
  const named = () => steps.findIndex((step) => `#${step.name}-${step.direction}` === location.hash);
  window.addEventListener("hashchange", () => { if (named() >= 0) go(named()); });
  const index = named();
  for (const way of ["back", "next"]) document.getElementById(way).textContent = say(way);
  go(0);
  followTheme(() => { colours = ramp(); show(); });
  if (index > 0) go(index);
}

start();
