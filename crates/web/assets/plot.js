// How is the circumplex drawn, and what do a pointer and a screen reader find there?

import { UNIT, bounded, pointAt, regionPath } from "./circumplex.js";

/** @typedef {import("./circumplex.js").Point} Point */
/** @typedef {import("./circumplex.js").Region} Region */

/** Drawn beyond the square, for the point at its very edge. */
const MARGIN = 12;
const SVG = "http://www.w3.org/2000/svg";

/**
 * @param {object} parts
 * @param {SVGSVGElement} parts.svg
 * @param {{valence: HTMLElement, arousal: HTMLElement}} parts.sliders
 * @param {(key: string) => string} parts.text a message of the page
 * @param {(value: number) => string} parts.number as the language writes it
 * @param {(point: Point) => void} parts.onMove a pointer or a slider key asks for this point
 */
export function createPlot({ svg, sliders, text, number, onMove }) {
  const half = UNIT + MARGIN;
  svg.setAttribute("viewBox", `${-half} ${-half} ${2 * half} ${2 * half}`);

  const defs = add(svg, "defs", {});
  const pattern = add(defs, "pattern", { id: "hatch", width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
  add(pattern, "rect", { width: 7, height: 7, class: "wash" });
  add(pattern, "line", { x1: 0, y1: 0, x2: 0, y2: 7, class: "stripe" });
  const clip = add(defs, "clipPath", { id: "square" });
  add(clip, "rect", { x: -UNIT, y: -UNIT, width: 2 * UNIT, height: 2 * UNIT });

  add(svg, "rect", { x: -UNIT, y: -UNIT, width: 2 * UNIT, height: 2 * UNIT, class: "ground" });
  const region = add(svg, "path", { class: "region", fill: "url(#hatch)", "fill-rule": "evenodd", "clip-path": "url(#square)" });
  add(svg, "circle", { r: UNIT, class: "circle" });
  add(svg, "circle", { r: UNIT / 2, class: "circle faint" });
  add(svg, "line", { x1: -UNIT, x2: UNIT, y1: 0, y2: 0, class: "axis" });
  add(svg, "line", { y1: -UNIT, y2: UNIT, x1: 0, x2: 0, class: "axis" });
  const words = [
    ["valence_high", UNIT - 3, -4, "end"],
    ["valence_low", -UNIT + 3, -4, "start"],
    ["arousal_high", 4, -UNIT + 11, "start"],
    ["arousal_low", 4, UNIT - 5, "start"],
  ];
  for (const [key, x, y, anchor] of words) {
    add(svg, "text", { x, y, "text-anchor": anchor, class: "word" }).textContent = text(String(key));
  }
  // A diamond for the model and a ringed cross for the annotator: told apart by shape, not by colour.
  const model = add(svg, "path", { d: "M 0 -7 L 7 0 L 0 7 L -7 0 Z", class: "model", visibility: "hidden" });
  const mark = add(svg, "g", { class: "mark", visibility: "hidden" });
  add(mark, "circle", { r: 8, class: "halo" });
  add(mark, "circle", { r: 8 });
  add(mark, "path", { d: "M -5 0 H 5 M 0 -5 V 5" });

  const place = (element, point) => {
    element.setAttribute("visibility", point ? "visible" : "hidden");
    if (point) element.setAttribute("transform", `translate(${point.valence * UNIT} ${-point.arousal * UNIT})`);
  };

  const follow = (/** @type {PointerEvent} */ event) => {
    onMove(pointAt(event.clientX, event.clientY, svg.getBoundingClientRect(), MARGIN));
  };
  svg.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    svg.setPointerCapture(event.pointerId);
    follow(event);
  });
  svg.addEventListener("pointermove", (event) => {
    if (svg.hasPointerCapture(event.pointerId)) follow(event);
  });

  const describe = (slider, value, low, high, where) => {
    const word = value === 0 ? "" : text(value < 0 ? low : high);
    slider.setAttribute("aria-valuenow", String(value));
    slider.setAttribute("aria-valuetext", [number(value), word, where].filter(Boolean).join(", "));
    /** @type {HTMLElement} */ (slider.querySelector("bdi")).textContent = number(value);
  };

  return {
    /**
     * @param {{region: Region | null, point: Point | null, suggested: Point | null, isInside: boolean}} shown
     */
    show({ region: sector, point, suggested, isInside }) {
      region.setAttribute("d", sector ? regionPath(sector) : "");
      svg.classList.toggle("is-open", point !== null);
      place(mark, point);
      place(model, suggested);
      for (const slider of [sliders.valence, sliders.arousal]) {
        slider.setAttribute("aria-disabled", String(point === null));
      }
      if (point) {
        const where = text(isInside ? "annotate_inside" : "annotate_outside");
        describe(sliders.valence, point.valence, "valence_low", "valence_high", where);
        describe(sliders.arousal, point.arousal, "arousal_low", "arousal_high", where);
      } else {
        for (const slider of [sliders.valence, sliders.arousal]) {
          slider.setAttribute("aria-valuenow", "0");
          slider.removeAttribute("aria-valuetext");
          /** @type {HTMLElement} */ (slider.querySelector("bdi")).textContent = "–";
        }
      }
    },
  };
}

/**
 * The keys of a slider beyond the arrows, which move the point wherever the focus is.
 * @param {string} key @param {"valence" | "arousal"} axis @param {Point} point @param {number} step
 * @returns {Point | null}
 */
export function sliderKey(key, axis, point, step) {
  switch (key) {
    case "Home": return { ...point, [axis]: -1 };
    case "End": return { ...point, [axis]: 1 };
    case "PageUp": return { ...point, [axis]: bounded(point[axis] + step) };
    case "PageDown": return { ...point, [axis]: bounded(point[axis] - step) };
    default: return null;
  }
}

/** @returns {any} the new element */
function add(parent, name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  parent.append(element);
  return element;
}
