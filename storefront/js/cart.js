/**
 * The cart, the same in all tabs: `{lines: [{id, name, quantity}], attempt}`.
 * An attempt is an order that was sent and whose outcome is not known: its idempotency key, body, user and time. It is
 * kept until an answer arrives. A double click, another tab or a lost answer repeats it, and the shop has one order.
 */

import { placeOrder } from "./api.js";
import { user } from "./session.js";
import { read, update } from "./storage.js";

const KEY = "cart";
const EMPTY = { lines: [], attempt: null };
const REPEATS = 8;
const LONGEST_PAUSE = 5; // seconds
const MAX_QUANTITY = 1000;
const UNDECIDED = [0, 401, 408, 429]; // with these, and from 500 on, the same key may still lead to an order

const tabs = new BroadcastChannel("shop.cart");
const changes = new EventTarget();
tabs.onmessage = () => changes.dispatchEvent(new Event("change"));

/** Call a function after each change of the cart, in any tab, until the signal ends it. */
export const onCartChange = (react, signal) => changes.addEventListener("change", react, { signal });

/** Return the cart. An attempt of another user is not in it. */
export const readCart = async () => own((await read(KEY)) ?? EMPTY);

/** Add a unit of a product. */
export function addToCart({ id, name }) {
  return change(({ lines }) => {
    const before = lines.find((line) => line.id === id)?.quantity ?? 0;
    const line = { id, name, quantity: Math.min(before + 1, MAX_QUANTITY) };
    return { lines: [...lines.filter((other) => other.id !== id), line] };
  });
}

/** Set the quantity of a line; 0 removes it. */
export function setQuantity(id, quantity) {
  const set = (line) => (line.id === id ? { ...line, quantity } : line);
  return change(({ lines }) => ({ lines: filled(lines.map(set)) }));
}

/** Forget an attempt. Its order may exist. */
export const giveUp = () => change(() => ({ attempt: null }));

/**
 * Order what is in the cart, or repeat the attempt that is not decided yet. Return the answer, null for an empty cart.
 * Without an answer it asks again; `waiting(problem, seconds)` is called before each repeat. Throws Problem.
 */
export async function order(details, waiting) {
  const { attempt } = await change((cart) => ({ attempt: own(cart).attempt ?? attemptOf(cart, details) }));
  if (!attempt) return null;
  try {
    const answer = await repeatedly(() => placeOrder(attempt.body, attempt.key), waiting);
    await change((cart) => (cart.attempt?.key === attempt.key ? { lines: rest(cart, attempt), attempt: null } : {}));
    return answer;
  } catch (problem) {
    if (!isUndecided(problem)) await giveUp();
    throw problem;
  }
}

function attemptOf({ lines }, details) {
  const items = lines.map(({ id, quantity }) => ({ product_id: id, quantity }));
  const at = new Date().toISOString();
  return lines.length ? { key: crypto.randomUUID(), body: { items, ...details }, user: user()?.id, at } : null;
}

/** Return the lines without the ordered units: more may have been added meanwhile. */
function rest({ lines }, { body }) {
  const ordered = Object.fromEntries(body.items.map((item) => [item.product_id, item.quantity]));
  return filled(lines.map((line) => ({ ...line, quantity: line.quantity - (ordered[line.id] ?? 0) })));
}

const filled = (lines) => lines.filter((line) => line.quantity > 0);

async function repeatedly(ask, waiting, repeat = 0) {
  try {
    return await ask();
  } catch (problem) {
    if (repeat === REPEATS || !isUndecided(problem) || problem.status === 401) throw problem;
    const seconds = Math.max(problem.retryAfter, Math.min(2 ** repeat, LONGEST_PAUSE));
    waiting(problem, seconds);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    return repeatedly(ask, waiting, repeat + 1);
  }
}

const isUndecided = ({ status }) => status >= 500 || UNDECIDED.includes(status);
const own = (cart) => (cart.attempt?.user === user()?.id ? cart : { ...cart, attempt: null });

async function change(make) {
  const changed = await update(KEY, (cart = EMPTY) => ({ ...cart, ...make(cart) }));
  tabs.postMessage(null);
  changes.dispatchEvent(new Event("change"));
  return changed;
}
