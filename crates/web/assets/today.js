// What has this annotator answered today, the answers that still wait to be sent included?
// The newest entry is what undo takes back.

/**
 * `at`: milliseconds since 1970 on this machine.
 * @typedef {{face: number, image: string, context: string, expression: number, valence: number | null,
 *   arousal: number | null, at: number}} TodaysAnswer
 */

/**
 * The list after one more event: an answer replaces an earlier one of its face and is the newest, an undo removes it.
 * @param {TodaysAnswer[]} list oldest first
 * @param {import("./queue.js").Entry} entry
 * @returns {TodaysAnswer[]}
 */
export function after(list, { event, at, shown }) {
  if (event.kind === "flag") return list;
  const others = list.filter((answer) => answer.face !== event.face);
  if (event.kind === "undo") return others;
  const { face, expression, valence = null, arousal = null } = event;
  return [...others, { face, ...shown, expression: /** @type {number} */ (expression), valence, arousal, at }];
}

/**
 * The server's list (newest first) with what it has not heard yet. `waiting` has to be taken before the server is
 * asked: an event that arrives there meanwhile is then applied twice, which changes nothing.
 * @param {any[]} answers @param {import("./queue.js").Entry[]} waiting @param {number} pool @param {number} now
 * @returns {TodaysAnswer[]} oldest first
 */
export function merged(answers, waiting, pool, now) {
  const known = answers.map(({ age_ms, ...answer }) => ({ ...answer, at: now - age_ms })).reverse();
  return waiting.filter(({ event }) => event.pool === pool).reduce(after, known);
}
