/** What administrators see: products with prices and stock, everybody's notifications, the users and their roles. */

import * as api from "../api.js";
import { announce, h, table } from "../dom.js";
import { field, form } from "../forms.js";
import { pages, region } from "../region.js";
import { go, show } from "../router.js";
import { dateTime, money, t } from "../texts.js";

const LOW = 10; // units, up to which a stock is called low
const COLUMNS = ["created", "status", "channel", "recipient", "subject", "order"].map((key) => `notifications.${key}`);

/** The view of all products, or of those with little stock. */
export async function stockPage({ query }) {
  const isLow = query.has("low");
  const load = async (cursor) => (await api.products({ max_stock: isLow ? LOW : "", cursor, limit: 50 })).data;
  const other = isLow ? ["#/stock", "stock.all"] : ["#/stock?low", "stock.low"];
  const link = ([href, key]) => [h("a", { class: "button", href }, t(key, { count: LOW })), " "];
  const links = h("p", {}, [["#/stock/new", "stock.new"], other].map(link));
  return { title: t("frame.stock"), content: [links, pages(load, tableOf, t("catalogue.nothing"))] };
}

function tableOf(products) {
  return table("frame.stock", ["stock.name", "stock.sku", "stock.price", "stock.stock"], products.map(productRow));
}

function productRow({ id, name, sku, price, currency, stock }) {
  const link = h("a", { href: `#/stock/${encodeURIComponent(id)}` }, name);
  return [link, sku ?? "", money(price, currency), h("span", { class: stock > LOW ? "stock" : "stock none" }, stock)];
}

/** The view to change a product, or to add one with the id `new`. */
export async function productEditor({ id }) {
  if (id === "new") return { title: t("stock.new"), content: [productForm({}, add)] };
  return { title: t("stock.edit"), content: [region(() => editor(id))] };
}

async function add(body) {
  const { data } = await api.addProduct(body);
  announce(t("stock.saved", data));
  go(`/stock/${data.id}`);
}

/** Return the form of a product. Saving names the state that it shows (If-Match), so nothing is overwritten unseen. */
async function editor(id) {
  const place = h("div");
  let shown;
  const draw = (answer, note = "") => {
    shown = answer;
    place.replaceChildren(note, productForm(shown.data, save));
  };
  const save = async (wanted) => {
    const changes = Object.entries(wanted).filter(([name, value]) => value !== shown.data[name]);
    try {
      draw(await api.changeProduct(id, Object.fromEntries(changes), shown.etag));
      announce(t("stock.saved", shown.data));
    } catch (problem) {
      if (problem.status !== 412) throw problem;
      const before = shown.data;
      const now = await api.product(id);
      draw(now, conflict(before, now.data, wanted));
    }
  };
  draw(await api.product(id));
  return place;
}

/** Say what somebody else has changed meanwhile, and what was to be changed here. */
function conflict(before, now, wanted) {
  const differing = Object.keys(wanted).filter((name) => before[name] !== now[name] || wanted[name] !== now[name]);
  const row = (name) => [t(`stock.${name}`), ...[before, now, wanted].map((state) => state[name] ?? "")];
  const columns = ["conflict.field", "conflict.before", "conflict.now", "conflict.wanted"];
  const rows = table("conflict.title", columns, differing.map(row));
  return h("div", { class: "problem", role: "alert" }, t("conflict.text"), rows);
}

function productForm(product, submit) {
  const text = (name, attributes) => field(name, t(`stock.${name}`), { value: product[name], ...attributes });
  return form(t("stock.save"), [
    text("name", { required: true, maxlength: 200 }),
    text("price", { required: true, inputmode: "decimal", pattern: "[0-9]{1,9}([.][0-9]{1,2})?" }),
    text("stock", { required: true, type: "number", min: 0, max: 1e9 }),
    text("category", { maxlength: 100 }),
    text("sku", { maxlength: 100 }),
    text("image_url", { maxlength: 2000 }),
    text("description", { maxlength: 5000 }),
  ], (values) => submit({ ...values, stock: Number(values.stock) }));
}

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
