/** The start of the page: load texts and addresses, then show the frame and the view that the address names. */

import { showFrame } from "./frame.js";
import { show, start } from "./router.js";
import { loadAddresses } from "./services.js";
import { onUserChange, resume } from "./session.js";
import { loadTexts } from "./texts.js";
import { catalogue, productPage } from "./views/catalogue.js";

const PATIENCE = 500; // ms to wait for user-service before the page is shown as to a visitor

/** Return a view that is loaded when it is first shown, so that the catalogue is there at once. */
const later = (module, view) => async (place) => (await import(`./views/${module}.js`))[view](place);

await Promise.all([loadTexts(), loadAddresses()]);
await Promise.race([resume().catch(() => {}), new Promise((resolve) => setTimeout(resolve, PATIENCE))]);
showFrame();
onUserChange(() => show());
start([
  ["/", catalogue],
  ["/products/:id", productPage],
  ["/cart", later("checkout", "cartPage")],
  ["/sign-in", later("account", "signInPage")],
  ["/register", later("account", "registerPage")],
  ["/orders", later("orders", "ordersPage")],
  ["/orders/:id", later("order", "orderPage")],
  ["/stock", later("admin", "stockPage")],
  ["/stock/:id", later("admin", "productEditor")],
  ["/notifications", later("admin", "notificationsPage")],
  ["/users", later("admin", "usersPage")],
]);
