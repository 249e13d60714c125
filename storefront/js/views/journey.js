/**
 * The way of an order through the services, told from its history and its notifications. What they do not say is not
 * drawn as known: an event is written with the order, but only a notification shows that it went through RabbitMQ.
 */

import { h } from "../dom.js";
import { preciseTime, t } from "../texts.js";

const PAYING = { started: "doing", unknown: "doing", declined: "failed" };
const SENDING = { pending: "doing", sending: "doing", sent: "done", failed: "failed" };
const OVER = ["rejected", "failed", "cancelled"];

/** Return the drawing. */
export function journey(order, notifications) {
  return h("ol", { class: "journey", "aria-label": t("journey.title") }, stations(order, notifications).map(station));
}

function stations(order, notifications) {
  const reached = (status) => order.history.find((entry) => entry.status === status);
  const eventOf = (type) => eventSteps(notifications.filter((each) => each.event_type === type));
  const passed = (name, status, type = `order_${status}`) =>
    reached(status) ? { name, state: "done", ...reached(status), event: eventOf(type) } : { name, state: "open" };
  const { tracking, refusal, status } = order;
  const cause = refusal && t(`problem.${refusal.type}`, {}, refusal.detail);
  const isGoingOn = !OVER.includes(status);
  return [
    { name: "reservation", state: refusal || status === "failed" ? "failed" : "done", text: cause },
    reached("confirmed") && passed("order", "confirmed", "order_created"),
    payment(order, reached("paid") && eventOf("order_paid")),
    reached("cancelled") && passed("cancellation", "cancelled"),
    refund(order.payment, eventOf("order_refunded")),
    isGoingOn && { ...passed("shipment", "shipped"), text: tracking && [tracking.carrier, tracking.number].join(" ") },
    isGoingOn && passed("delivery", "delivered"),
  ].filter(Boolean);
}

function payment({ status, payment: made }, event) {
  const text = t(`card.${made?.method}`, {}, made?.method);
  if (made?.paid_at) return { name: "payment", state: "done", at: made.paid_at, text, event };
  if (made) return { name: "payment", state: PAYING[made.status] ?? "open", text: t(`payment.${made.status}`) };
  return status === "confirmed" && { name: "payment", state: "open" }; // later without a payment: the shop takes none
}

function refund(made, event) {
  if (made?.status === "refund_due") return { name: "refund", state: "doing" };
  return made?.refunded_at && { name: "refund", state: "done", at: made.refunded_at, event };
}

/** Return the steps of an event: written with the order, delivered by RabbitMQ, told to the buyer. */
function eventSteps(notifications) {
  const told = notifications.map(({ channel, status }) => ({ name: channel, state: SENDING[status] ?? "open" }));
  const at = notifications.at(-1)?.created_at;
  const broker = { name: "broker", state: at ? "done" : "doing", at };
  return [{ name: "outbox", state: "done" }, broker, ...told.toReversed()];
}

function station({ name, state, at, by, text, event }) {
  return h("li", { class: state }, h("h3", {}, t(`journey.${name}`), stateOf(state)),
    h("p", { class: "hint" }, t(`journey.${name}.place`)),
    at && h("p", {}, preciseTime(at), by && ` ${t(`by.${by}`)}`),
    text && h("p", {}, text),
    event && h("ol", { class: "event", "aria-label": t("journey.event") }, event.map(step)));
}

function step({ name, state, at }) {
  return h("li", { class: state }, t(`journey.${name}`), stateOf(state), at && h("small", {}, ` ${preciseTime(at)}`));
}

const stateOf = (state) => h("span", { class: "hidden" }, ` (${t(`state.${state}`)})`);
