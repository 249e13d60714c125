/** The cart, and the way from it to an order. */

import * as api from "../api.js";
import { giveUp, onCartChange, order, readCart, setQuantity } from "../cart.js";
import { announce, button, h, table } from "../dom.js";
import { choice, field, form } from "../forms.js";
import { explain, region } from "../region.js";
import { go } from "../router.js";
import { recovery } from "../services.js";
import { user } from "../session.js";
import { remember } from "../storage.js";
import { countries, dateTime, money, t } from "../texts.js";

/** The view of the cart. While this tab waits for the answer to an order, its form stays as it is. */
export async function cartPage({ signal }) {
  let [shown, isSending] = [null, false];
  const waiting = h("p", { role: "status", class: "notice" });
  const wait = (problem, seconds) => waiting.replaceChildren(t("order.waiting", { reason: explain(problem), seconds }));
  const send = async (details) => {
    isSending = true;
    try {
      const answer = await order(details, wait);
      if (!answer) return; // another tab has ordered it
      await remember(answer.data.id, "order", answer);
      if (signal.aborted) announce(t("order.placed")); // the visitor is elsewhere by now
      else go(`/orders/${answer.data.id}`);
    } finally {
      isSending = false;
      waiting.replaceChildren();
      if (!signal.aborted) update();
    }
  };
  const lines = region(async () => cartTable((await readCart()).lines, () => lines.reload()));
  const next = region(async () => {
    const cart = await readCart();
    shown = stepOf(cart);
    return STEPS[shown](cart, send);
  });
  const update = async () => {
    lines.reload();
    if (!isSending && stepOf(await readCart()) !== shown) next.reload();
  };
  onCartChange(update, signal);
  return { title: t("cart.title"), content: [lines, next, waiting] };
}

function stepOf({ attempt, lines }) {
  if (attempt) return "repeat";
  if (!lines.length) return "nothing";
  return user() ? "order" : "sign-in";
}

const STEPS = {
  nothing: () => h("a", { class: "button", href: "#/" }, t("cart.browse")),
  "sign-in": () => h("a", { class: "button", href: "#/sign-in?next=/cart" }, t("cart.sign-in")),
  order: async (_, send) => [h("h2", {}, t("address.title")), orderForm(send, await countries())],
  repeat: ({ attempt }, send) => h("div", { class: "notice" }, t("order.undecided", { at: dateTime(attempt.at) }),
    form(t("order.ask-again"), [], () => send()), button(t("order.give-up"), giveUp)),
};

function orderForm(send, lands) {
  const line = (name, label, autocomplete, required = false) =>
    field(name, t(`address.${label}`), { autocomplete: `shipping ${autocomplete}`, required, maxlength: 200 });
  return form(t("order.place"), [
    line("name", "name", "name", true),
    line("line1", "line1", "address-line1", true),
    line("line2", "line2", "address-line2"),
    line("postal_code", "postal-code", "postal-code"),
    line("city", "city", "address-level2", true),
    line("region", "region", "address-level1"),
    choice("country", t("address.country"), lands, "", { autocomplete: "shipping country", required: true }),
    field("note", t("order.note"), { maxlength: 1000 }),
  ], ({ note, ...address }) => send({ shipping_address: address, note }));
}

/** Return the lines with prices and stock. Without product-service, the browser still knows what is in the cart. */
async function cartTable(lines, reload) {
  if (!lines.length) return h("p", { class: "notice" }, t("cart.empty"));
  const asked = api.products({ ids: lines.map(({ id }) => id).join(",") });
  const { data, problem } = await asked.catch((caught) => ({ problem: caught }));
  if (problem) recovery(problem).then(reload, () => {});
  const found = data && new Map(data.items.map((product) => [product.id, product]));
  const columns = ["cart.product", "cart.quantity", "cart.price", "cart.stock", "cart.remove"];
  const rows = table("cart.title", columns, lines.map((line) => [
    h("a", { href: `#/products/${encodeURIComponent(line.id)}` }, line.name),
    quantityOf(line),
    ...(found ? offer(line, found.get(line.id)) : ["", ""]),
    button("✕", () => setQuantity(line.id, 0), { class: "small", "aria-label": t("cart.remove-named", line) }),
  ]));
  return [rows, problem ? h("p", { class: "notice" }, explain(problem)) : total(lines, found)];
}

function quantityOf({ id, name, quantity: value }) {
  const change = ({ target: box }) => box.reportValidity() && setQuantity(id, Number((box.defaultValue = box.value)));
  const label = { "data-key": id, "aria-label": t("cart.quantity-of", { name }) };
  return h("input", { type: "number", min: 1, max: 1000, required: true, value, change, ...label });
}

/** Return price and stock of a line as they are now. */
function offer({ quantity }, product) {
  if (!product) return ["", h("strong", { class: "error" }, t("cart.gone"))];
  const stock = t(product.stock ? "product.stock" : "product.sold-out", { count: product.stock });
  const isShort = product.stock < quantity;
  return [money(product.price, product.currency), isShort ? h("strong", { class: "error" }, stock) : stock];
}

/** Return what the cart costs now. What the order costs, the services decide. */
function total(lines, products) {
  const priceOf = ({ id }) => Math.round((products.get(id)?.price ?? 0) * 100);
  const cents = lines.reduce((sum, line) => sum + priceOf(line) * line.quantity, 0);
  const [first] = products.values();
  return first ? h("p", { class: "price" }, t("cart.total", { amount: money(cents / 100, first.currency) })) : "";
}
