// Looks for news, and shows them without moving what is being read.
const main = () => document.querySelector("main");
const live = () => document.querySelector(".live");
const pause = 1000 * Number(document.querySelector("[data-refresh]").dataset.refresh);

async function show() {
  const answer = await fetch(location.href, {headers: {accept: "text/html"}});
  if (!answer.ok) throw new Error(answer.statusText);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const open = [...document.querySelectorAll("details")].map(one => one.open);
  const place = scrollY;
  main().replaceWith(page.querySelector("main"));
  document.querySelectorAll("details").forEach((one, number) => { one.open = open[number] || false; });
  scrollTo(0, place);
}

async function look() {
  try {
    const answer = await fetch("/state");
    if (answer.status === 401) { location.reload(); return; }
    const state = (await answer.json()).state;
    const known = document.querySelector("[data-state]").dataset.state;
    const busy = document.activeElement && document.activeElement.closest("form");
    if (state !== known && !busy) await show();
    live().textContent = "live";
  } catch {
    live().textContent = "the server does not answer; what you see is not the newest";
  }
  setTimeout(look, pause);
}

setTimeout(look, pause);
