// How do figures on an open page stay fresh without a reload, which would move the reader back to the top?
//
// `<main data-refresh-s="5">`: after that many seconds the same page is fetched again and its main part put in the
// place of this one, unless somebody is in the middle of it: focus or a selection inside, or the page out of sight.

let timer;

/** Waits as long as the page says it stays fresh. */
function wait() {
  const seconds = Number(document.querySelector("main")?.dataset.refreshS);
  clearTimeout(timer);
  if (seconds > 0) timer = setTimeout(refresh, 1000 * seconds);
}

async function refresh() {
  if (document.hidden) return;
  const main = document.querySelector("main");
  const isInUse = main.contains(document.activeElement) || !getSelection().isCollapsed;
  try {
    if (!isInUse) {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.querySelector("main[data-refresh-s]");
      // Signed out meanwhile, or an error: what stands here stays, and the next click says why.
      if (answer.ok && fresh) main.replaceWith(fresh);
    }
  } catch {
    // No connection: the figures stay as they are until there is one.
  }
  wait();
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) wait();
});
wait();
