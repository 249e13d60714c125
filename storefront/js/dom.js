/** Elements made of data. Text becomes a text node and never markup: `<b>` in a product's name is shown as it is. */

import { t } from "./texts.js";

/** Return a new element. A function is an event listener, `true` a bare attribute; `null` and `false` leave it out. */
export function h(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(attribute, value);
    else if (isGiven(value)) made.setAttribute(attribute, value === true ? "" : value);
  }
  made.append(...children.flat(2).filter(isGiven));
  return made;
}

const isGiven = (value) => value !== null && value !== undefined && value !== false;

/** Return a link to another site, or plain text if it is no web address: `javascript:` must never become a link. */
export function webLink(address, text) {
  const isWeb = URL.canParse(address) && ["https:", "http:"].includes(new URL(address).protocol);
  return isWeb ? h("a", { href: address, rel: "noreferrer noopener", target: "_blank" }, text) : text;
}

/** Return a table; caption and columns are keys of texts. Each cell names its column, for narrow screens. */
export function table(caption, columns, rows) {
  const cells = (row) => row.map((cell, number) => h("td", { "data-column": t(columns[number]) }, cell));
  const head = h("tr", {}, columns.map((column) => h("th", { scope: "col" }, t(column))));
  const body = rows.map((row) => h("tr", {}, cells(row)));
  return h("table", {}, h("caption", { class: "hidden" }, t(caption)), h("thead", {}, head), h("tbody", {}, body));
}

/** Return a button without the submit of a form. */
export const button = (text, click, attributes = {}) => h("button", { type: "button", click, ...attributes }, text);

/** Say something to everybody: it is shown for some seconds, and a screen reader reads it. */
export function announce(text) {
  const message = h("p", {}, text);
  document.getElementById("announcer").replaceChildren(message);
  setTimeout(() => message.remove(), 6000);
}
