// Pictures of maps: a canvas with a dot a cell, coloured by sign and size, and marks drawn over it.

const SVG = "http://www.w3.org/2000/svg";
const isDark = () => document.documentElement.dataset.theme === "dark";
const RAMPS = {
  light: { zero: "#ffffff", above: ["#8cc4e6", "#0072b2", "#002a45"], below: ["#f4b48a", "#d55e00", "#4d2000"] },
  dark: { zero: "#15181d", above: ["#0a5f92", "#56b4e9", "#e4f4ff"], below: ["#9c4400", "#ef8a3c", "#ffeddc"] },
};

/** An element with attributes, and children that are elements or text. */
function el(tag, given = {}, ...children) {
  const [space, name] = tag.startsWith("svg:") ? [SVG, tag.slice(4)] : ["http://www.w3.org/1999/xhtml", tag];
  const made = document.createElementNS(space, name);
  for (const [key, value] of Object.entries(given)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== null) made.setAttribute(key, value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return made;
}

const rgb = (hex) => [1, 3, 5].map((place) => parseInt(hex.slice(place, place + 2), 16));

/** 511 colours for -1 ... 1: orange below zero, blue above, the page's own colour at zero. */
function ramp() {
  const { zero, above, below } = RAMPS[isDark() ? "dark" : "light"];
  return Array.from({ length: 511 }, (_, index) => {
    const t = (index - 255) / 255;
    const stops = [zero, ...(t < 0 ? below : above)].map(rgb);
    const place = Math.abs(t) ** 0.7 * (stops.length - 1); // small numbers are to be seen too
    const first = Math.min(Math.floor(place), stops.length - 2);
    return stops[first].map((from, k) => from + (place - first) * (stops[first + 1][k] - from));
  });
}
let colours = ramp();

/** The colour of a value, [r, g, b], where `largest` has the strongest one. */
function colour(value, largest) {
  const t = largest ? Math.max(-1, Math.min(1, value / largest)) : 0;
  return colours[255 + Math.round(255 * t)];
}

/** A style that colours a cell by its value, with ink that can be read on it. */
function shade(value, largest) {
  if (value === undefined) return "";
  const [r, g, b] = colour(value, largest);
  const ink = 0.3 * r + 0.59 * g + 0.11 * b > 140 ? "#222222" : "#ffffff";
  return `background:rgb(${[r, g, b].map(Math.round)});color:${ink}`;
}

/** The largest magnitude of one map. */
function largestOf(m, c) {
  let largest = 0;
  for (let i = c * m.H * m.W; i < (c + 1) * m.H * m.W && i < m.data.length; i++) {
    largest = Math.max(largest, Math.abs(m.data[i]));
  }
  return largest;
}

/** A canvas of width x height dots; dot(row, column) gives [r, g, b], or nothing where there is none. */
function canvas(width, height, dot) {
  const made = el("canvas", { width, height });
  const context = made.getContext("2d");
  const image = context.createImageData(width, height);
  for (let row = 0, place = 0; row < height; row++) {
    for (let column = 0; column < width; column++, place += 4) {
      const found = dot(row, column);
      if (!found) continue;
      image.data.set(found, place);
      image.data[place + 3] = 255;
    }
  }
  context.putImageData(image, 0, 0);
  return made;
}

/** One map as a canvas. */
function mapCanvas(m, c) {
  const largest = largestOf(m, c);
  return canvas(m.W, m.H, (row, column) => {
    const value = at(m, c, row, column);
    return value === undefined || row * m.W + column >= m.units ? null : colour(value, largest);
  });
}

/** Three maps as one picture in colour, zero grey: the kernels of the first layer. */
function colourCanvas(m) {
  const { largest } = m;
  return canvas(m.W, m.H, (row, column) =>
    [0, 1, 2].map((c) => 127.5 + 127.5 * (at(m, c, row, column) / (largest || 1))));
}

/** A box [top, left, bottom, right] as a mark of a kind that the style knows. */
function rectangle([top, left, bottom, right], kind) {
  return el("svg:rect", { class: kind, x: left, y: top, width: right - left, height: bottom - top });
}

/**
 * A picture with marks, under it its name and what it shows.
 * shown: a canvas or image;  size: [H, W] in cells;  marks: of rectangle();  pick(row, column): it can be clicked;
 * read(row, column): what is written when the pointer is over a cell;  edge [top, left, bottom, right]: the cells of
 * padding around it, so that a window that reaches past the map stays in the frame.
 */
function card({ name, title, note, shown, size: [H, W], marks = [], pick, read, id, edge = [0, 0, 0, 0] }) {
  const [top, left, bottom, right] = edge;
  const [tall, across] = [top + H + bottom, left + W + right];
  const over = el("svg:svg", { viewBox: `${-left} ${-top} ${across} ${tall}`, preserveAspectRatio: "none", class: "marks" }, marks);
  const readout = el("span", { class: "note" }, note ?? "");
  const frame = el("div", { class: "frame", style: `aspect-ratio:${across}/${tall}` }, shown, over);
  const parts = [[top, tall], [right, across], [bottom, tall], [left, across]];
  shown.style.inset = parts.map(([cells, side]) => `${(100 * cells) / side}%`).join(" ");
  shown.style.width = `${(100 * W) / across}%`;
  shown.style.height = `${(100 * H) / tall}%`;
  if (W > 2.5 * H) frame.classList.add("wide");
  if (tall > H || across > W) frame.classList.add("padded");
  const place = (event) => {
    const box = frame.getBoundingClientRect();
    const clip = (value, sides) => Math.max(0, Math.min(sides - 1, Math.floor(value)));
    const [y, x] = [(event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width];
    return [clip(y * tall - top, H), clip(x * across - left, W)];
  };
  if (read) {
    frame.addEventListener("pointermove", (event) => { readout.textContent = read(...place(event)); });
    frame.addEventListener("pointerleave", () => { readout.textContent = note ?? ""; });
  }
  if (pick) {
    frame.classList.add("pickable");
    frame.tabIndex = 0;
    frame.setAttribute("role", "application");
    frame.setAttribute("aria-label", `${name}: ${title}. Arrow keys move the cell.`);
    frame.addEventListener("click", (event) => pick(...place(event)));
  } else {
    frame.setAttribute("role", "img");
    frame.setAttribute("aria-label", `${name}: ${title}`);
  }
  return el("figure", { class: "card", id },
    el("figcaption", {}, el("b", {}, name), " ", title), frame, readout);
}

/** How many maps stand in a row of the sheet. */
const mapsAcross = (m) => Math.min(m.C, Math.max(4, Math.ceil(Math.sqrt(m.C * 2.2))));

/** All maps side by side, in one scale; those of the two columns in two blocks. A click picks one. */
function sheet({ m, groups, chosen, pick, title }) {
  const across = mapsAcross(m);
  const perGroup = m.C / groups;
  const down = Math.ceil(perGroup / across); // rows of a group
  const [H, W, gap] = [m.H + 1, m.W + 1, groups > 1 ? 2 : 0];
  const place = (c) => {
    const [group, inGroup] = [Math.floor(c / perGroup), c % perGroup];
    return [group * (down * H + gap) + Math.floor(inGroup / across) * H, (inGroup % across) * W];
  };
  const height = groups * (down * H + gap) - gap - 1;
  const shown = canvas(across * W - 1, height, () => null);
  const context = shown.getContext("2d");
  for (let c = 0; c < m.C; c++) {
    const image = context.createImageData(m.W, m.H);
    for (let i = 0; i < m.H * m.W; i++) {
      image.data.set(colour(m.data[c * m.H * m.W + i], m.largest), 4 * i);
      image.data[4 * i + 3] = 255;
    }
    const [top, left] = place(c);
    context.putImageData(image, left, top);
  }
  const find = (row, column) => {
    const group = Math.min(groups - 1, Math.floor(row / (down * H + gap)));
    const line = Math.min(down - 1, Math.floor((row - group * (down * H + gap)) / H));
    const inGroup = line * across + Math.min(across - 1, Math.floor(column / W));
    return Math.min(inGroup, perGroup - 1) + group * perGroup;
  };
  const [top, left] = place(chosen);
  const made = card({
    id: "maps", name: `All ${whole(m.C)} maps`,
    title: groups > 1 ? `${title}; the two columns, one above the other` : title,
    shown, size: [height, across * W - 1],
    marks: [rectangle([top - 0.5, left - 0.5, top + m.H + 0.5, left + m.W + 0.5], "cell")],
    pick: (row, column) => pick(find(row, column)),
    read: (row, column) => say("map", find(row, column) + 1, m.C),
    note: `${say("map", chosen + 1, m.C)} is the one above; one scale for all, the strongest is ±${number(m.largest, 3)}`,
  });
  made.classList.add("sheet");
  return made;
}
