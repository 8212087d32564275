// A stepper: the marks of each step as an SVG picture, with buttons, a slider and keys to go through the steps.

const { words, width, size: [rows, columns], point, marks, steps } = JSON.parse(document.getElementById("steps").textContent);
const part = (id) => document.getElementById(id);
const slider = part("slider");
const paint = (name) => (name ? `var(--${name})` : "none");

function svg(tag, given, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(given)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

/** The element for each kind of mark. Positions are [row, column]; widths and sizes of text are in points. */
const draw = {
  Box: ([y, x], height, wide, fill, edge, line) =>
    svg("rect", { x, y, width: wide, height, fill: paint(fill), stroke: paint(edge), "stroke-width": line * point }),
  Text: ([y, x], text, points, colour, anchor) =>
    svg("text", { x, y, fill: paint(colour), "font-size": points * point, "text-anchor": anchor }, text),
  Line: (points, colour, line, dotted) => svg("polyline", {
    points: points.map(([y, x]) => `${x},${y}`).join(" "), fill: "none", stroke: paint(colour), "stroke-width": line * point,
    "stroke-dasharray": dotted ? `${1.5 * point} ${2.5 * point}` : "none",
  }),
  Dot: ([y, x], r, colour) => svg("circle", { cx: x, cy: y, r, fill: paint(colour) }),
  Arrow: ([top, left], [bottom, right], colour) => {
    const length = Math.hypot(bottom - top, right - left);
    const [down, across] = [(bottom - top) / length, (right - left) / length];
    const [y, x] = [bottom - 0.45 * down, right - 0.45 * across]; // where the head begins
    const side = (sign) => `${x - sign * 0.2 * down},${y + sign * 0.2 * across}`;
    const made = svg("g", { fill: paint(colour), stroke: paint(colour), "stroke-width": 1.6 * point });
    made.append(svg("line", { x1: left, y1: top, x2: x, y2: y }), svg("polygon", { points: `${right},${bottom} ${side(1)} ${side(-1)}` }));
    return made;
  },
};

const picture = svg("svg", { viewBox: `0 0 ${columns} ${rows}`, role: "img", style: `max-width:${width}px;min-width:min(${width}px,30rem)` });
part("picture").append(picture);

function show(index) {
  const place = Math.max(0, Math.min(steps.length - 1, index));
  const { where, caption, marks: drawn } = steps[place];
  picture.replaceChildren(...drawn.map((number) => draw[marks[number][0]](...marks[number].slice(1))));
  picture.setAttribute("aria-label", caption);
  slider.value = place;
  slider.setAttribute("aria-valuetext", where);
  part("count").textContent = where;
  part("caption").textContent = caption;
  part("back").disabled = place === 0;
  part("next").disabled = place === steps.length - 1;
}

const move = (by) => show(+slider.value + by);
const KEYS = { ArrowRight: () => move(1), ArrowLeft: () => move(-1), Home: () => show(0), End: () => show(steps.length - 1) };

document.querySelector(".bar").setAttribute("aria-label", document.title);
slider.setAttribute("aria-label", words.step);
slider.max = steps.length - 1;
part("back").textContent = words.back;
part("next").textContent = words.next;
part("back").addEventListener("click", () => move(-1));
part("next").addEventListener("click", () => move(1));
slider.addEventListener("input", () => show(+slider.value));
document.addEventListener("keydown", (event) => {
  if (event.target === slider || event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key]();
});
followTheme(() => {});
show(0);
fitFrame();
