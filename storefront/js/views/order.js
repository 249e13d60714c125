/** An order: what it is, how it travels, and what its buyer or an administrator can do about it. */

import * as api from "../api.js";
import { announce, button, h, table, webLink } from "../dom.js";
import { choice, field, form } from "../forms.js";
import { explain, poll, region } from "../region.js";
import { user } from "../session.js";
import { remember, tracesOf } from "../storage.js";
import { dateTime, money, t } from "../texts.js";
import { journey } from "./journey.js";
import { addressOf, statusOf } from "./orders.js";

const CARDS = ["pm_card_ok", "pm_card_declined", "pm_card_lost", "pm_card_slow"]; // of the simulated provider

/** The view of an order. It asks for news as long as it is shown. */
export async function orderPage({ id, signal }) {
  const [way, actions, facts, ids] = ["way", "actions", "facts", "ids"].map((name) => h("section", { class: name }));
  let [order, notifications, asking] = [null, [], []];
  const showWay = () => way.replaceChildren(...wayOf(order, notifications));
  const showIds = async () => ids.replaceChildren(...idsOf(id, await tracesOf(id)));
  const showNotifications = ({ data }) => showWay((notifications = data.items));
  const showOrder = ({ data }) => {
    const isOther = order?.status !== data.status;
    if (order && isOther) announce(t("order.now", { status: t(`status.${data.status}`) }));
    order = data;
    if (isOther) actions.replaceChildren(...actionsOf(order, act));
    facts.replaceChildren(...factsOf(order));
    showWay();
  };
  const act = async (name, request) => {
    try {
      await remember(id, name, await request()).then(showIds);
    } finally {
      asking.forEach((soon) => soon());
    }
  };
  const load = async () => {
    const first = await api.order(id);
    if (signal.aborted) return [];
    showOrder(first);
    showIds();
    const fail = (problem) => announce(explain(problem));
    const news = (etag) => api.notifications({ order_id: id, limit: 100 }, etag);
    const changes = (etag) => api.order(id, etag);
    asking = [poll(changes, showOrder, fail, signal, first.etag), poll(news, showNotifications, fail, signal)];
    return h("div", { class: "order" }, way, h("div", {}, actions, facts), ids);
  };
  return { title: t("order.title"), content: [region(load)] };
}

const wayOf = (order, notifications) =>
  [h("h2", {}, t("journey.title")), journey(order, notifications), h("small", {}, t("journey.asking"))];

function actionsOf({ id, status, buyer }, act) {
  const isOpen = status === "confirmed" || status === "paid";
  const { isAdmin, id: visitor } = user() ?? {};
  const cancel = async () => confirm(t("order.cancel-sure")) && act("cancel", () => api.cancel(id));
  return [
    status === "confirmed" && buyer?.id === visitor && payForm(id, act),
    isOpen && isAdmin && shipForm(id, act),
    status === "shipped" && isAdmin && form(t("order.deliver"), [], () => act("deliver", () => api.deliver(id))),
    isOpen && form(t("order.cancel"), [], cancel, "danger"),
  ].filter(Boolean);
}

function payForm(id, act) {
  const card = choice("card", t("order.card"), CARDS.map((each) => [each, t(`card.${each}`)]));
  return form(t("order.pay"), [card], (values) => act("pay", () => api.pay(id, values.card)));
}

function shipForm(id, act) {
  const tracking = [
    field("carrier", t("order.carrier"), { maxlength: 100 }),
    field("tracking_number", t("order.tracking-number"), { maxlength: 100 }),
    field("tracking_url", t("order.tracking-url"), { type: "url", maxlength: 2000 }),
  ];
  return form(t("order.ship"), tracking, (values) => act("ship", () => api.ship(id, values)));
}

function factsOf(order) {
  const rows = order.lines.map((line) => [line.name, line.quantity, money(line.unit_price, order.currency)]);
  const { url, number, carrier } = order.tracking ?? {};
  const entries = Object.entries({
    "orders.status": statusOf(order),
    "orders.placed": dateTime(order.created_at),
    "orders.total": order.total && money(order.total, order.currency),
    "orders.buyer": order.buyer?.email,
    "orders.address": addressOf(order).join("\n"),
    "order.note": order.note,
    "order.tracking": webLink(url, [carrier, number].filter(Boolean).join(" ") || url),
  }).filter(([, value]) => value);
  const lines = table("order.what", ["cart.product", "cart.quantity", "cart.price"], rows);
  const list = entries.map(([key, value]) => [h("dt", {}, t(key)), h("dd", { class: "long" }, value)]);
  return [h("h2", {}, t("order.what")), lines, h("dl", {}, list)];
}

/** Return the ids that lead to the order in logs, traces and commands. */
function idsOf(id, traces) {
  const own = traces.flatMap(({ act, requestId, traceId }) => [
    [t("ids.request", { name: t(`act.${act}`) }), requestId],
    [t("ids.trace", { name: t(`act.${act}`) }), traceId],
  ]);
  const commands = [[t("ids.log"), `./dev order ${id}`], [t("ids.waterfall"), `./dev trace ${id}`]];
  const all = [[t("order.title"), id], ...own, ...commands].filter(([, value]) => value);
  return [h("h2", {}, t("ids.title")), h("ul", {}, all.map(idEntry))];
}

function idEntry([label, value]) {
  const copy = () => navigator.clipboard.writeText(value).then(() => announce(t("ids.copied", { label })));
  const copyButton = button(t("ids.copy"), copy, { class: "small", "aria-label": t("ids.copy-named", { label }) });
  return h("li", {}, `${label} `, h("code", {}, value), " ", copyButton);
}
