/** The probes that had the largest responses of a unit, drawn: images, or texts with a mark. */

import { formatInteger, formatMagnitude } from "../reading/format";
import { element } from "../ui/dom";

/** One of them. */
interface TopProbe {
  readonly probe: number;
  readonly value: number;
  /** Where in the response it is; empty where that is not known. */
  readonly place: readonly number[];
  /** The address of an image; null where it is a text, or nothing to be seen. */
  readonly picture: string | null;
  /** Before the mark, marked, after it; null where it is none. */
  readonly text: readonly [string, string, string] | null;
}

/** Those of a unit, by its index in the layer's own order. */
export interface TopOfUnit {
  readonly layer: string;
  readonly unit: number;
  readonly probes: readonly TopProbe[];
}

function figureOf({ probe, value, place, picture, text }: TopProbe): HTMLElement {
  const at = place.length === 0 ? "" : ` at ${place.join(", ")}`;
  const words = `probe ${formatInteger(probe)}${at}: ${formatMagnitude(value)}`;
  const shown: HTMLElement[] = [];
  if (picture !== null) shown.push(element("img", { attributes: { src: picture, alt: words } }));
  if (text !== null) {
    const [before, marked, after] = text;
    shown.push(
      element(
        "p",
        { title: text.join("") },
        document.createTextNode(before),
        element("mark", { text: marked }),
        document.createTextNode(after),
      ),
    );
  }
  const caption = element("figcaption", { text: words, title: words });
  return element("figure", {}, ...shown, caption);
}

export class TopProbes {
  readonly #node = element("div", {
    class: "iua-top",
    attributes: { role: "group", "aria-label": "probes with the largest responses" },
  });
  #top: TopOfUnit | null = null;

  /** Null where none were kept. */
  update(top: TopOfUnit | null): void {
    if (top === this.#top) return;
    this.#top = top;
    this.#node.hidden = top === null;
    this.#node.replaceChildren(...(top?.probes ?? []).map(figureOf));
  }

  node(): HTMLElement {
    return this.#node;
  }
}
