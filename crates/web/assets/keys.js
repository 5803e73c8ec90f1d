// Which action does a key mean, on whatever keyboard it was pressed?

/** The zeros of the digits on Arabic and Persian keyboards. */
const ZEROS = [0x0660, 0x06f0];

/**
 * @param {Pick<KeyboardEvent, "key" | "code">} event
 * @returns {string} a digit, "-", "?", a lower-case Latin letter, or the key's own name
 */
export function keyOf({ key, code }) {
  if ([...key].length > 1) return key;
  const point = key.codePointAt(0) ?? 0;
  for (const zero of ZEROS) {
    if (point >= zero && point <= zero + 9) return String(point - zero);
  }
  if (key === "\u2212" || key === "\u2013") return "-";
  if (key === "\u061f") return "?";
  const lower = key.toLowerCase();
  if (/^[!-~]$/.test(lower)) return lower;
  // On a keyboard without Latin letters the place of the key decides.
  const letter = /^Key([A-Z])$/.exec(code);
  return letter ? letter[1].toLowerCase() : key;
}
