/** The texts of the page in the visitor's language, and amounts and times as that language writes them. */

export const LANGUAGES = [["en", "English"], ["de", "Deutsch"]];
const KEY = "shop.language";

export let language = "en";
let locale = "en";
let texts = {};

/** Load the texts: in the language that was chosen before, else the first of the browser's that there is. */
export async function loadTexts() {
  const tags = [localStorage.getItem(KEY) ?? "", ...navigator.languages, "en"];
  language = tags.map((tag) => tag.slice(0, 2)).find((tag) => LANGUAGES.some(([known]) => known === tag));
  locale = navigator.languages.find((tag) => tag.startsWith(language)) ?? language; // en-GB has other dates than en-US
  texts = await (await fetch(`texts/${language}.json`)).json();
  document.documentElement.lang = language;
}

/** Choose a language for this visit and the next ones. */
export function setLanguage(tag) {
  localStorage.setItem(KEY, tag);
  return loadTexts();
}

/** Return a text with its values, else `otherwise`. With a `count` it may have the forms `key.one` and `key.other`. */
export function t(key, values = {}, otherwise = key) {
  const form = `${key}.${new Intl.PluralRules(language).select(values.count ?? 0)}`;
  return (texts[form] ?? texts[key] ?? otherwise).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

/** Return an amount such as "19.99" with its currency. */
export const money = (text, currency) => new Intl.NumberFormat(locale, { style: "currency", currency }).format(text);

/** Return pairs of code and name of all countries (ISO 3166-1), sorted by name, after an empty pair. */
export async function countries() {
  const codes = await (await fetch("texts/countries.json")).json();
  const names = new Intl.DisplayNames(language, { type: "region" });
  const pairs = codes.map((code) => [code, names.of(code)]);
  return [["", ""], ...pairs.sort(([, one], [, other]) => one.localeCompare(other, language))];
}

/** Return a time with its day. */
export const dateTime = (text) => formatted(text, { dateStyle: "medium", timeStyle: "short" });

/** Return a time of day to the millisecond. */
export const preciseTime = (text) =>
  formatted(text, { hour: "numeric", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 });

const formatted = (text, style) => new Intl.DateTimeFormat(locale, style).format(new Date(text));
