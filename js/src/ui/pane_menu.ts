/** A button that opens the rarely used controls of a pane. */

import { element, setAttribute } from "./dom";
import { Popup } from "./popup";

interface PaneMenuOptions {
  /** What the button shows. */
  readonly text: string;
  /** What it is called where its text does not say it. */
  readonly name?: string;
  readonly title?: string;
  /** Of the panel, for those who do not see it. */
  readonly label: string;
  readonly class?: string;
}

export class PaneMenu {
  readonly #button: HTMLButtonElement;
  readonly #popup: Popup;

  constructor(options: PaneMenuOptions, content: readonly Node[], signal: AbortSignal) {
    const { text, name, title, label } = options;
    this.#button = element("button", {
      class: "iua-button iua-tool",
      text,
      ...(title === undefined ? {} : { title }),
      attributes: { type: "button", ...(name === undefined ? {} : { "aria-label": name }) },
    });
    const panel = element(
      "div",
      {
        class: options.class ?? "",
        attributes: { role: "group", "aria-label": label },
      },
      ...content,
    );
    this.#popup = new Popup({ button: this.#button, panel }, signal);
    // What is a sign already needs none beside it.
    if (name !== undefined) this.#button.classList.remove("iua-opens");
  }

  setTitle(title: string): void {
    setAttribute(this.#button, "title", title);
  }

  node(): HTMLElement {
    return this.#popup.node();
  }
}
