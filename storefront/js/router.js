/** Routes: the part of the address after `#` names a view. A view returns its heading and its content. */

import { h } from "./dom.js";
import { explain } from "./region.js";
import { t } from "./texts.js";

let routes = [];
let ending = new AbortController();

/** Show the view of the present address now, and of each new one later. `table` has pairs of pattern and view. */
export function start(table) {
  routes = table;
  addEventListener("hashchange", () => show({ moveFocus: true }));
  return show();
}

/** Go to another view. */
export function go(path) {
  if (location.hash === `#${path}`) show({ moveFocus: true });
  location.hash = path;
}

/** Show the view of the present address (again), and end the one before: its signal stops what it still does. */
export async function show({ moveFocus = false } = {}) {
  ending.abort();
  const { signal } = (ending = new AbortController());
  const [path, query] = location.hash.slice(1).split("?");
  const { title, content } = await open(path || "/", new URLSearchParams(query), signal).catch(unexpected);
  if (signal.aborted) return;
  const heading = h("h1", { tabindex: -1 });
  document.getElementById("main").replaceChildren(heading, ...content);
  setTitle(title);
  if (!moveFocus) return;
  scrollTo(0, 0);
  heading.focus({ preventScroll: true });
}

/** Set the heading of the view, and with it the title of the window. */
export function setTitle(title) {
  document.querySelector("h1").replaceChildren(title);
  document.title = `${title} · ${t("shop.name")}`;
}

async function open(path, query, signal) {
  for (const [pattern, view] of routes) {
    const found = new RegExp(`^${pattern.replace(/:\w+/, "([^/]+)")}$`).exec(path);
    if (found) return view({ id: new URLSearchParams(`id=${found[1]}`).get("id"), query, signal }); // takes any %
  }
  return { title: t("missing.title"), content: [h("a", { href: "#/" }, t("missing.home"))] };
}

function unexpected(problem) {
  return { title: t("problem.title"), content: [h("p", { class: "problem" }, explain(problem))] };
}
