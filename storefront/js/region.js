/** Parts of a page that show what a service answers, now or again and again. One can fail while the others work on. */

import { button, h } from "./dom.js";
import { NoAnswer, recovery } from "./services.js";
import { t } from "./texts.js";

const FIRST = 700; // ms
const LONGEST = 20_000; // ms
const EASING = 1.5; // each pause is this much longer than the one before

/** Return an element with what `load()` returns, loaded again by `reload()` or when a missing service is back. */
export function region(load) {
  let latest = 0;
  const place = h("div", { tabindex: -1 });
  const fail = (problem, number) => {
    recovery(problem).then(() => number === latest && place.reload(), () => {}); // other problems stay
    const text = problem instanceof NoAnswer ? t("outage.region", problem) : explain(problem);
    const next = problem.status === 401 && `#/sign-in?next=${encodeURIComponent(location.hash.slice(1))}`;
    return h("p", { class: "problem" }, text, " ", next && h("a", { href: next }, t("frame.sign-in")));
  };
  place.reload = async () => {
    const number = ++latest;
    const content = await load().catch((problem) => fail(problem, number));
    if (number !== latest) return;
    const held = place.contains(document.activeElement) ? document.activeElement : null;
    if (held?.dataset.key && held.value !== held.defaultValue) return; // somebody types: the change will load again
    place.replaceChildren(...[content].flat());
    if (held) (place.querySelector(`[data-key="${CSS.escape(held.dataset.key)}"]`) ?? place).focus();
  };
  place.reload();
  return place;
}

/** Return a list with a button for its next page: `load(cursor)` returns a page of an API, `show(items)` an element. */
export function pages(load, show, empty) {
  const page = async (cursor) => {
    const { items, next_cursor: next } = await load(cursor);
    if (!items.length && !cursor) return h("p", { class: "notice" }, empty);
    const more = button(t("list.more"), () => {
      const following = region(() => page(next));
      more.replaceWith(following);
      following.focus();
    });
    return next ? [show(items), more] : show(items);
  };
  return region(page);
}

/**
 * Call `show(answer)` for each new state of what `ask(etag)` returns, until the signal ends it. A service that is away
 * is asked again when it is back; a problem that will not pass goes to `fail` and ends it. Return what asks at once.
 */
export function poll(ask, show, fail, signal, etag = null) {
  let [pause, wake] = [FIRST, () => {}];
  const step = async () => {
    const answer = await ask(etag);
    if (signal.aborted || answer.status === 304) return;
    if (etag) pause = FIRST;
    etag = answer.etag;
    show(answer);
  };
  const run = async () => {
    while (!signal.aborted) {
      await step().catch(recovery).catch((problem) => { if (!isPassing(problem)) throw problem; });
      await new Promise((resolve) => setTimeout((wake = resolve), pause));
      if (document.hidden) await new Promise((shown) => addEventListener("visibilitychange", shown, { once: true }));
      pause = Math.min(pause * EASING, LONGEST);
    }
  };
  run().catch((problem) => signal.aborted || fail(problem));
  return () => {
    pause = FIRST;
    wake();
  };
}

const isPassing = ({ status }) => status === 429 || status >= 500;

/** Return what a problem means, in the visitor's language if its type is known, else in the service's own words. */
export function explain(problem) {
  if (problem instanceof NoAnswer) return t("outage.request", problem);
  const wait = problem.retryAfter ? ` ${t("problem.wait", { seconds: problem.retryAfter })}` : "";
  return t(`problem.${problem.type}`, {}, problem.message) + wait;
}
