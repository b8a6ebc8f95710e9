/** A strip of tabs with one panel on show, and beside it what stays in sight. */

import { signal } from "@preact/signals-core";
import { element, setAttribute, setText } from "../ui/dom";

interface Tab {
  readonly key: string;
  readonly button: HTMLButtonElement;
  readonly panel: HTMLElement;
}

export class TabStrip {
  readonly #tabs: Tab[] = [];
  readonly #prefix = `iua-tabs-${Math.random().toString(36).slice(2, 10)}`;
  readonly #list: HTMLElement;
  readonly #panels = element("div", { class: "iua-tab-panels" });
  readonly #pinned = element("div", { class: "iua-strip-pinned" });
  readonly #node: HTMLElement;
  readonly #abort: AbortSignal;
  /** The key of the tab on show. */
  readonly shown = signal("");

  constructor(label: string, abort: AbortSignal) {
    this.#abort = abort;
    this.#list = element("div", {
      class: "iua-tabs",
      attributes: { role: "tablist", "aria-label": label },
    });
    this.#list.addEventListener("keydown", (event) => this.#key(event), { signal: abort });
    this.#node = element(
      "section",
      { class: "iua-strip", attributes: { "aria-label": label } },
      element("div", { class: "iua-strip-main" }, this.#list, this.#panels),
      this.#pinned,
    );
  }

  /** Add a tab after those there are, unless it is there; the first one is shown. */
  add(key: string, title: string, content: HTMLElement): void {
    if (this.#tabs.some((tab) => tab.key === key)) return;
    const id = `${this.#prefix}-${key}`;
    const button = element("button", {
      class: "iua-tab",
      text: title,
      attributes: { type: "button", role: "tab", id, "aria-controls": `${id}-panel` },
    });
    const panel = element(
      "div",
      {
        class: "iua-tab-panel",
        attributes: { role: "tabpanel", id: `${id}-panel`, "aria-labelledby": id },
      },
      content,
    );
    button.addEventListener("click", () => this.show(key), { signal: this.#abort });
    this.#tabs.push({ key, button, panel });
    this.#list.append(button);
    this.#panels.append(panel);
    this.show(this.shown.value || key);
  }

  show(key: string): void {
    this.shown.value = key;
    for (const { key: other, button, panel } of this.#tabs) {
      const here = other === key;
      setAttribute(button, "aria-selected", String(here));
      button.tabIndex = here ? 0 : -1;
      panel.hidden = !here;
    }
  }

  /** Say something else on a tab. */
  name(key: string, title: string): void {
    const tab = this.#tabs.find((one) => one.key === key);
    if (tab !== undefined) setText(tab.button, title);
  }

  /** Show beside the tabs, at the right, whichever is open. */
  pin(content: HTMLElement): void {
    this.#pinned.replaceChildren(content);
  }

  #key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const here = this.#tabs.findIndex(({ key }) => key === this.shown.value);
    const last = this.#tabs.length - 1;
    const places: Readonly<Record<string, number>> = {
      ArrowLeft: here === 0 ? last : here - 1,
      ArrowRight: here === last ? 0 : here + 1,
      Home: 0,
      End: last,
    };
    const tab = this.#tabs[places[event.key] ?? -1];
    if (tab === undefined) return;
    this.show(tab.key);
    tab.button.focus();
    event.preventDefault();
    event.stopPropagation();
  }

  node(): HTMLElement {
    return this.#node;
  }
}
