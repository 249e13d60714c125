/** Lists of orders: a customer's own, or everybody's with what an administrator has to ship. */

import * as api from "../api.js";
import { h, table } from "../dom.js";
import { choice } from "../forms.js";
import { pages } from "../region.js";
import { go } from "../router.js";
import { user } from "../session.js";
import { dateTime, money, t } from "../texts.js";

const STATUSES = ["paid", "confirmed", "shipped", "delivered", "cancelled", "rejected"]; // those to ship first

/** The view of all orders that the visitor may see. */
export async function ordersPage({ query }) {
  const status = query.get("status") ?? "";
  const statuses = STATUSES.map((each) => [each, t(`status.${each}`)]);
  const filter = choice("status", t("orders.status"), [["", t("orders.all")], ...statuses], status);
  filter.addEventListener("change", ({ target }) => go(`/orders${api.search({ status: target.value })}`));
  const load = async (cursor) => (await api.orders({ status, cursor })).data;
  return { title: t("frame.orders"), content: [filter, pages(load, tableOf, t("orders.none"))] };
}

function tableOf(orders) {
  const own = ["orders.placed", "orders.status", "orders.products", "orders.total", "orders.address"];
  const columns = user()?.isAdmin ? [...own, "orders.buyer"] : own;
  return table("frame.orders", columns, orders.map((order) => [
    h("a", { href: `#/orders/${order.id}` }, dateTime(order.created_at)),
    statusOf(order),
    order.lines.map((line) => `${line.quantity} × ${line.name}`).join(", "),
    order.total ? money(order.total, order.currency) : "",
    addressOf(order).join(", "),
    order.buyer?.email ?? "",
  ].slice(0, columns.length)));
}

/** Return the status of an order. */
export const statusOf = ({ status }) => h("span", { class: `status ${status}` }, t(`status.${status}`));

/** Return the lines of an order's address. */
export function addressOf({ shipping_address: address }) {
  if (!address) return [];
  const { name, line1, line2, postal_code: code, city, region, country } = address;
  return [name, line1, line2, [code, city].filter(Boolean).join(" "), region, country].filter(Boolean);
}
