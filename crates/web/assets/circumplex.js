// Where in the circumplex does a point lie, and where would an expression be expected?
// The browser's copy of crates/core/src/circumplex.rs; nothing here knows a document.

/**
 * A ring sector around the centre; angles in degrees, anticlockwise from positive valence.
 * @typedef {{from_degrees: number, sweep_degrees: number, min_intensity: number, max_intensity: number}} Region
 */
/**
 * Both in [-1, 1].
 * @typedef {{valence: number, arousal: number}} Point
 */

/** Pixels of the drawing from the centre to valence 1. */
export const UNIT = 100;
export const FINE_STEP = 0.05;
export const COARSE_STEP = 0.2;

// The server calculates with 32 bits; a point on an edge is inside for both.
const TOLERANCE = 1e-5;

/** @param {number} value @returns {number} within [-1, 1], two decimals, never -0 */
export function bounded(value) {
  return Math.round(Math.max(-1, Math.min(1, value)) * 100) / 100 + 0;
}

/** @param {Region} region @param {Point} point @returns {boolean} edges included */
export function contains(region, { valence, arousal }) {
  const intensity = Math.hypot(valence, arousal);
  if (intensity < region.min_intensity - TOLERANCE || intensity > region.max_intensity + TOLERANCE) return false;
  if (intensity === 0) return true;
  const angle = (Math.atan2(arousal, valence) * 180) / Math.PI;
  const turn = (((angle - region.from_degrees) % 360) + 360) % 360;
  return turn <= region.sweep_degrees + TOLERANCE || turn >= 360 - TOLERANCE;
}

/** @param {Region} region @returns {Point} the middle of the sector, where a placement starts */
export function centre(region) {
  if (region.sweep_degrees >= 360) return { valence: 0, arousal: 0 };
  const angle = ((region.from_degrees + region.sweep_degrees / 2) * Math.PI) / 180;
  const radius = (region.min_intensity + Math.min(1, region.max_intensity)) / 2;
  return { valence: bounded(radius * Math.cos(angle)), arousal: bounded(radius * Math.sin(angle)) };
}

/**
 * What an arrow key does. Valence grows to the right in every script, as the axis is drawn.
 * @param {Point} point @param {string} key KeyboardEvent.key @param {boolean} isCoarse
 * @returns {Point | null} null: not a key that moves
 */
export function stepped(point, key, isCoarse) {
  const step = isCoarse ? COARSE_STEP : FINE_STEP;
  const { valence, arousal } = point;
  switch (key) {
    case "ArrowRight": return { valence: bounded(valence + step), arousal };
    case "ArrowLeft": return { valence: bounded(valence - step), arousal };
    case "ArrowUp": return { valence, arousal: bounded(arousal + step) };
    case "ArrowDown": return { valence, arousal: bounded(arousal - step) };
    default: return null;
  }
}

/**
 * The point under a pointer; `box` is where the drawing lies on the screen, `margin` what is drawn beyond 1.
 * @param {number} x @param {number} y
 * @param {{left: number, top: number, width: number, height: number}} box
 * @param {number} margin in drawing pixels
 * @returns {Point}
 */
export function pointAt(x, y, box, margin) {
  const half = UNIT + margin;
  const across = ((x - box.left) / box.width) * 2 * half - half;
  const down = ((y - box.top) / box.height) * 2 * half - half;
  return { valence: bounded(across / UNIT), arousal: bounded(-down / UNIT) };
}

/** @param {Region} region @returns {string} an SVG path in drawing pixels, y downwards, to be clipped to the square */
export function regionPath(region) {
  const at = (degrees, radius) => {
    const angle = (degrees * Math.PI) / 180;
    return `${(radius * UNIT * Math.cos(angle)).toFixed(2)} ${(-radius * UNIT * Math.sin(angle)).toFixed(2)}`;
  };
  const { from_degrees: from, min_intensity: inner, max_intensity: outer } = region;
  const arc = (radius, to, sweep, large) => `A ${radius * UNIT} ${radius * UNIT} 0 ${large} ${sweep} ${at(to, radius)}`;
  if (region.sweep_degrees >= 360) {
    const ring = (radius) =>
      radius > 0 ? `M ${at(0, radius)} ${arc(radius, 180, 0, 1)} ${arc(radius, 360, 0, 1)} Z` : "";
    return `${ring(outer)} ${ring(inner)}`.trim();
  }
  const to = from + region.sweep_degrees;
  const large = region.sweep_degrees > 180 ? 1 : 0;
  return `M ${at(from, inner)} L ${at(from, outer)} ${arc(outer, to, 0, large)} L ${at(to, inner)} ${arc(inner, from, 1, large)} Z`;
}
