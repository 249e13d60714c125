/** The frame around the views: navigation, the services that are away, the language, and where to look inside. */

import { giveUp, onCartChange, readCart } from "./cart.js";
import { announce, button, h } from "./dom.js";
import { go, show } from "./router.js";
import { SERVICES, isAway, onOutage, urlOf } from "./services.js";
import { onUserChange, signOut, user } from "./session.js";
import { forgetTraces } from "./storage.js";
import { LANGUAGES, language, setLanguage, t } from "./texts.js";

const LOGO = h("img", { src: "favicon.svg", alt: "", width: 28, height: 28 });
const PAGES = { visitor: [""], customer: ["", "orders"], admin: ["", "stock", "orders", "notifications", "users"] };

/** Show the frame, and keep it up to date. */
export function showFrame() {
  for (const listen of [onCartChange, onUserChange, onOutage]) listen(draw);
  addEventListener("hashchange", draw);
  draw();
}

const role = () => (user() ? (user().isAdmin ? "admin" : "customer") : "visitor");

async function draw() {
  const { lines } = await readCart();
  const count = lines.reduce((sum, line) => sum + line.quantity, 0);
  const [header, outages, footer] = ["header", "outages", "footer"].map((id) => document.getElementById(id));
  const focused = header.contains(document.activeElement) && document.activeElement.dataset.key;
  const links = PAGES[role()].map((page) => link(page, t(`frame.${page || "products"}`)));
  header.replaceChildren(
    button(t("frame.skip"), () => document.getElementById("main").focus(), { class: "skip", "data-key": "skip" }),
    h("a", { class: "brand", href: "#/" }, LOGO, t("shop.name")),
    h("nav", { "aria-label": t("frame.navigation") }, links, link("cart", t("frame.cart", { count }))),
    h("div", { class: "tools" }, languages(), session()));
  if (focused) header.querySelector(`[data-key="${focused}"]`)?.focus();
  const away = SERVICES.filter(isAway).map((service) => h("p", {}, t(`outage.${service}`)));
  if (outages.textContent !== away.map((line) => line.textContent).join("")) outages.replaceChildren(...away);
  footer.replaceChildren(h("p", {}, t("frame.inside")), h("ul", {}, SERVICES.map(inside)));
}

function link(page, text) {
  const isHere = location.hash.slice(2).split(/[?/]/)[0] === page;
  return h("a", { href: `#/${page}`, "data-key": page || "home", "aria-current": isHere && "page" }, text);
}

function languages() {
  const choose = async ({ target }) => {
    await setLanguage(target.value);
    await Promise.all([draw(), show()]);
  };
  const options = LANGUAGES.map(([value, name]) => h("option", { value, selected: value === language }, name));
  return h("select", { "aria-label": t("frame.language"), "data-key": "language", change: choose }, options);
}

function session() {
  if (!user()) return link("sign-in", t("frame.sign-in"));
  const leave = async () => {
    go("/");
    await Promise.all([forgetTraces(), giveUp()]);
    await signOut().catch(() => {}); // this browser has forgotten the token in any case
    announce(t("frame.signed-out"));
  };
  return [h("span", {}, user().email), button(t("frame.sign-out"), leave, { class: "small" })];
}

const inside = (service) =>
  h("li", { class: isAway(service) && "away" }, h("a", { href: `${urlOf(service)}/docs` }, service));
