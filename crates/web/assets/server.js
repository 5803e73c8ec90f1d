// How does the page talk to its server, and what if somebody signed out, or in again, meanwhile?

const TIMEOUT_MS = 20_000;
/** What a browser sends even after the page is closed has to be smaller than 64 KiB. */
const KEEPALIVE_BYTES = 60_000;

/** @typedef {{status: number, body: any}} Answer */

/**
 * @param {string} token what proves that a request comes from this page
 * @param {number} account who the page was made for
 */
export function createServer(token, account) {
  let csrf = token;

  /** @returns {Promise<Answer>} rejects when no answer came, or one that is not this server's */
  const request = async (method, path, body) => {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const response = await fetch(path, {
      method,
      body: text,
      headers: { accept: "application/json", "content-type": "application/json", "x-csrf-token": csrf },
      keepalive: text !== undefined && text.length * 3 < KEEPALIVE_BYTES,
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    // A hotel's sign-in page answers 200 to everything.
    const isJson = (response.headers.get("content-type") ?? "").includes("json");
    if (!isJson && response.ok) throw new Error("not this server's answer");
    return { status: response.status, body: isJson ? await response.json() : null };
  };

  // After signing in again in another tab this page's token is stale. A fresh copy of the page has the new one, and
  // says whose it is: nobody's answers go out under somebody else's name.
  const renew = async (stale) => {
    if (csrf !== stale) return true;
    const response = await fetch(location.href, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (!response.ok) return false;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const fresh = page.querySelector('meta[name="csrf"]')?.getAttribute("content");
    const data = page.getElementById("page")?.textContent;
    if (!fresh || !data || fresh === stale || JSON.parse(data).account !== account) return false;
    csrf = fresh;
    return true;
  };

  const requestAgain = async (method, path, body) => {
    const sentWith = csrf;
    const answer = await request(method, path, body);
    if (answer.status !== 401 && answer.status !== 403) return answer;
    return (await renew(sentWith)) ? request(method, path, body) : answer;
  };

  return {
    /** @param {string} path @param {object} body @returns {Promise<Answer>} */
    post: (path, body) => requestAgain("POST", path, body),
    /** @param {string} path @returns {Promise<Answer>} */
    get: (path) => requestAgain("GET", path, undefined),
  };
}
