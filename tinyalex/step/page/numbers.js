"use strict";
// The numbers of the pass: unpacked, found by index, and written for people.

const about = JSON.parse(document.getElementById("about").textContent);
let stored = null; // all numbers: float32, or of a large net 16-bit integers
const unpacked = new Map(); // place -> {shape, data}

/** Unpack the blob: base64 of gzip of the lowest bytes of all numbers, then of the next bytes of all, and so on. */
async function unpack() {
  const text = document.getElementById("numbers").textContent;
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const places = new Uint8Array(await new Response(stream).arrayBuffer());
  const count = places.length / about.bytes;
  const joined = new Uint8Array(places.length);
  for (let i = 0; i < places.length; i++) joined[(i % count) * about.bytes + Math.floor(i / count)] = places[i];
  stored = about.bytes === 4 ? new Float32Array(joined.buffer) : new Int16Array(joined.buffer);
}

/** The array at a place: {shape, data, largest}, its data in the order of the shape. */
function array(place) {
  if (!unpacked.has(place)) {
    const { first, shape, unit } = about.places[place];
    const count = shape.reduce((product, side) => product * side, 1);
    const data = new Float32Array(count);
    let largest = 0;
    for (let i = 0; i < count; i++) {
      data[i] = stored[first + i] * unit;
      largest = Math.max(largest, Math.abs(data[i]));
    }
    unpacked.set(place, { shape, data, largest });
  }
  return unpacked.get(place);
}

/** An array of maps (C, H, W); a row of D features becomes one map of about as many rows as columns. */
function maps(place) {
  const found = array(place);
  if (found.shape.length === 3) {
    const [C, H, W] = found.shape;
    return { ...found, C, H, W, units: C * H * W, flat: false };
  }
  const units = found.shape[0];
  const W = units <= 32 ? units : Math.ceil(Math.sqrt(units));
  return { ...found, C: 1, H: Math.ceil(units / W), W, units, flat: true };
}

/** One number of maps; undefined outside them, where padding is. */
function at(m, c, row, column) {
  if (row < 0 || column < 0 || row >= m.H || column >= m.W) return undefined;
  return m.data[(c * m.H + row) * m.W + column];
}

/** One weight of kernels (OC, C, KH, KW). */
function weight(w, o, c, i, j) {
  return w.data[((o * w.shape[1] + c) * w.shape[2] + i) * w.shape[3] + j];
}

/** The words of a name in about.words, with values in their places. */
const say = (name, ...values) => values.reduce((text, value) =>
  text.replace("{}", typeof value === "number" ? whole(value) : value), about.words[name]);

/** One number of an array as in Python, counted from 0: "y[3, 0, 4]"; words count from 1. */
const entry = (name, ...place) => `${name}[${place.join(", ")}]`;

/** A whole number as an exponent. */
const raised = (power) => [...String(power)].map((sign) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(sign)]).join("");

/** A number in about four digits, with a real minus sign. */
function number(value, digits = 4) {
  if (value === undefined) return "";
  const size = Math.abs(value);
  let text;
  if (size === 0) text = "0";
  else if (size < 1e-4 || size >= 1e6) {
    const [mantissa, exponent] = value.toExponential(Math.max(0, digits - 2)).split("e");
    text = `${mantissa}·10${raised(+exponent)}`;
  } else text = size >= 1e4 ? value.toFixed(0) : String(+value.toPrecision(digits));
  return text.replace("-", "−");
}

const percent = (share) => (share < 1e-5 ? "< 0.001 %" : `${(100 * share).toFixed(share < 0.001 ? 3 : 1)} %`);
const whole = (count) => count.toLocaleString("en");
