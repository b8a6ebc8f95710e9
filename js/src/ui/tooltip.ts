/** A tooltip beside the pointer, kept inside the box that it lies in. */

import { element } from "./dom";

const OFFSET = 14;

export interface TipText {
  readonly title: string;
  readonly lines: readonly string[];
  /** Said in the color of alarm. */
  readonly alarm: string | null;
}

export class Tooltip {
  readonly #node = element("div", { class: "iua-tooltip", attributes: { role: "status" } });
  #shown = "";
  #width = 0;
  #height = 0;

  constructor() {
    this.#node.hidden = true;
  }

  show(text: TipText, x: number, y: number, boxWidth: number, boxHeight: number): void {
    const key = [text.title, ...text.lines, text.alarm ?? ""].join("\n");
    if (key !== this.#shown || this.#node.hidden) {
      this.#shown = key;
      this.#node.replaceChildren(
        element("strong", { text: text.title }),
        ...text.lines.map((line) => element("span", { text: line })),
        ...(text.alarm === null
          ? []
          : [element("span", { class: "iua-tooltip-dead", text: text.alarm })]),
      );
      this.#node.hidden = false;
      // Measured only when the text has changed: moving must not lay out the page.
      this.#width = this.#node.offsetWidth;
      this.#height = this.#node.offsetHeight;
    }
    const width = this.#width;
    const height = this.#height;
    const left = x + OFFSET + width > boxWidth ? x - OFFSET - width : x + OFFSET;
    const top = y + OFFSET + height > boxHeight ? y - OFFSET - height : y + OFFSET;
    const shiftX = Math.max(2, Math.min(left, boxWidth - width - 2));
    const shiftY = Math.max(2, Math.min(top, boxHeight - height - 2));
    this.#node.style.transform = `translate(${shiftX}px, ${shiftY}px)`;
  }

  hide(): void {
    this.#node.hidden = true;
  }

  node(): HTMLElement {
    return this.#node;
  }
}
