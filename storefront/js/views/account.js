/** Signing in and registering. `next` in the address says where to go then. */

import * as api from "../api.js";
import { h } from "../dom.js";
import { field, form } from "../forms.js";
import { go } from "../router.js";
import { signIn } from "../session.js";
import { t } from "../texts.js";

/** The view to sign in. */
export async function signInPage({ query }) {
  const next = query.get("next");
  const fields = [email(), password("current-password", t("account.demo"))];
  const signedIn = form(t("account.sign-in"), fields, async (account) => {
    await signIn(account.email, account.password);
    go(next ?? "/");
  });
  const other = h("a", { href: `#/register${api.search({ next })}` }, t("account.to-register"));
  return { title: t("account.sign-in"), content: [signedIn, other] };
}

/** The view to open an account. */
export async function registerPage({ query }) {
  const name = field("name", t("account.name"), { autocomplete: "name", maxlength: 100 });
  const phone = field("phone", t("account.phone"), { type: "tel", autocomplete: "tel" }, t("account.phone-use"));
  const fields = [email(), password("new-password", t("account.password-rule")), name, phone];
  const registered = form(t("account.register"), fields, async (account) => {
    await api.register(account);
    await signIn(account.email, account.password);
    go(query.get("next") ?? "/");
  });
  return { title: t("account.register"), content: [registered] };
}

const email = () => field("email", t("account.email"), { type: "email", autocomplete: "username", required: true });
const password = (autocomplete, hint) =>
  field("password", t("account.password"), { type: "password", autocomplete, required: true }, hint);
