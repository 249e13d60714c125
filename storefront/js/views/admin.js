/** Everybody's notifications, and the users with their roles, for administrators. */

import * as api from "../api.js";
import { announce, h, table } from "../dom.js";
import { form } from "../forms.js";
import { pages } from "../region.js";
import { show } from "../router.js";
import { dateTime, t } from "../texts.js";

const COLUMNS = ["created", "status", "channel", "recipient", "subject", "order"].map((key) => `notifications.${key}`);

/** The view of everybody's notifications. */
export async function notificationsPage() {
  const list = (notifications) => table("frame.notifications", COLUMNS, notifications.map(notificationRow));
  const load = async (cursor) => (await api.notifications({ cursor })).data;
  return { title: t("frame.notifications"), content: [pages(load, list, t("notifications.none"))] };
}

function notificationRow(each) {
  return [
    dateTime(each.created_at),
    h("span", { class: `status ${each.status}` }, t(`sending.${each.status}`)),
    t(`journey.${each.channel}`),
    each.recipient,
    h("details", {}, h("summary", {}, each.subject), h("p", { class: "long" }, each.body)),
    h("a", { href: `#/orders/${each.order_id}` }, each.order_id.slice(0, 8)),
  ];
}

/** The view of the users and their roles. */
export async function usersPage() {
  const columns = ["users.email", "users.name", "users.roles", "users.change"];
  const list = (users) => table("frame.users", columns, users.map(userRow));
  const load = async (cursor) => (await api.users({ cursor })).data;
  return { title: t("frame.users"), content: [h("p", {}, t("users.hint")), pages(load, list, t("users.none"))] };
}

function userRow({ id, email, name, roles }) {
  const isAdmin = roles.includes("admin");
  const wanted = isAdmin ? ["customer"] : [...roles, "admin"];
  const change = form(t(isAdmin ? "users.demote" : "users.promote", { email }), [], async () => {
    const { data } = await api.setRoles(id, wanted);
    announce(t("users.changed", { email, roles: data.roles.join(", ") }));
    await show({ moveFocus: true });
  }, "small");
  return [email, name ?? "", roles.join(", "), change];
}
