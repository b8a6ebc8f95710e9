/** The line below the picture: what a patch of color stands for, and how to get nearer. */

import { element, setText } from "../ui/dom";

type Grain = "unit" | "pixel" | "channel";

const SHOWN_MS = 1800;
const AT_REST = "Click, then scroll to zoom · drag to pan · Shift-drag selects";
const REFUSED = "Click the picture or hold Ctrl to zoom with the wheel";

export class PictureHint {
  readonly #node = element("p", { class: "iua-hint", text: AT_REST });
  #atRest = AT_REST;
  #note = "";
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(signal: AbortSignal) {
    signal.addEventListener("abort", () => clearTimeout(this.#timer), { once: true });
  }

  /** `shown` is what stands for the units that share a patch. */
  update(grain: Grain, shown: string): void {
    const words = {
      unit: AT_REST,
      pixel: `A pixel shows ${shown} of its live units; pixels are dead in proportion`,
      channel: `A tile shows ${shown} of a channel's live units; pixels are dead in proportion`,
    };
    this.#atRest = words[grain];
    this.#show();
  }

  /** What the reader has to know of these numbers comes first. */
  note(text: string): void {
    this.#note = text;
    this.#show();
  }

  /** The wheel turned, and the page scrolls. */
  wheelRefused(): void {
    this.#node.classList.add("iua-hint-strong");
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#node.classList.remove("iua-hint-strong");
      this.#show();
    }, SHOWN_MS);
    this.#show();
  }

  #show(): void {
    const strong = this.#node.classList.contains("iua-hint-strong");
    const text = strong ? REFUSED : this.#note || this.#atRest;
    setText(this.#node, text);
    this.#node.title = text;
  }

  node(): HTMLElement {
    return this.#node;
  }
}
