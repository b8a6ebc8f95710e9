/** An alert: what went wrong, and what to do. */

import { element, setText } from "./dom";

export class Alert {
  readonly #title = element("strong", { class: "iua-alert-title" });
  readonly #message = element("span", { class: "iua-alert-message" });
  readonly #node = element(
    "div",
    { class: "iua-alert", attributes: { role: "alert" } },
    this.#title,
    this.#message,
  );

  constructor() {
    this.#node.hidden = true;
  }

  show(title: string, message: string): void {
    setText(this.#title, title);
    setText(this.#message, message);
    this.#node.hidden = false;
  }

  hide(): void {
    this.#node.hidden = true;
  }

  node(): HTMLElement {
    return this.#node;
  }
}
