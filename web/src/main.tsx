import { createRoot } from "react-dom/client";
import { I18nProvider } from "./i18n";
import { App } from "./ui/app";
import "./style.css";

const place = document.getElementById("app");
if (place === null) throw new Error("no #app");
createRoot(place).render(
  <I18nProvider>
    <App />
  </I18nProvider>,
);
