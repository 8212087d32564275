// A map that can be clicked, for notebooks: the picture, the cell that is looked at, and the cell of the last click.

function render({ model, el }) {
  const svg = "http://www.w3.org/2000/svg";
  const frame = document.createElement("div");
  const picture = document.createElement("img");
  const marks = document.createElementNS(svg, "svg");
  const cell = document.createElementNS(svg, "rect");
  frame.style.cssText = "position:relative;width:280px;max-width:100%;margin:4px 16px 4px 4px;cursor:crosshair";
  picture.style.cssText = "width:100%;height:100%;display:block;image-rendering:pixelated";
  marks.style.cssText = "position:absolute;inset:0;width:100%;height:100%;overflow:visible;pointer-events:none";
  frame.tabIndex = 0;
  frame.setAttribute("role", "application");
  picture.alt = "";
  for (const [name, value] of Object.entries({ width: 1, height: 1, fill: "none", stroke: "#e69f00", "stroke-width": 2.5 })) {
    cell.setAttribute(name, value);
  }
  cell.setAttribute("vector-effect", "non-scaling-stroke");
  marks.setAttribute("preserveAspectRatio", "none");
  marks.append(cell);
  frame.append(picture, marks);
  el.append(frame);

  const show = () => {
    const [rows, columns] = model.get("size");
    const [row, column] = model.get("cell");
    frame.style.aspectRatio = `${columns} / ${rows}`;
    frame.setAttribute("aria-label", `${model.get("label")}. Click a cell, or move it with the arrow keys.`);
    picture.src = model.get("picture");
    marks.setAttribute("viewBox", `0 0 ${columns} ${rows}`);
    cell.setAttribute("x", column);
    cell.setAttribute("y", row);
  };
  const choose = (row, column) => {
    const [rows, columns] = model.get("size");
    const clip = (place, sides) => Math.max(0, Math.min(sides - 1, Math.floor(place)));
    model.set("cell", [clip(row, rows), clip(column, columns)]);
    model.save_changes();
  };
  frame.addEventListener("click", (event) => {
    const box = frame.getBoundingClientRect();
    const [rows, columns] = model.get("size");
    choose(((event.clientY - box.top) / box.height) * rows, ((event.clientX - box.left) / box.width) * columns);
  });
  const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  frame.addEventListener("keydown", (event) => {
    if (!steps[event.key]) return;
    event.preventDefault();
    event.stopPropagation(); // the notebook has its own arrow keys
    const [row, column] = model.get("cell");
    choose(row + steps[event.key][0], column + steps[event.key][1]);
  });
  for (const name of ["size", "cell", "picture", "label"]) model.on(`change:${name}`, show);
  show();
}

export default { render };
