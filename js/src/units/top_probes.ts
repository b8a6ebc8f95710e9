/** The probes that had the largest responses of a unit, drawn: images, or texts with a mark. */

import { formatInteger, formatMagnitude } from "../reading/format";
import { element } from "../ui/dom";

/** One of them. */
interface TopProbe {
  readonly probe: number;
  readonly value: number;
  /** Where in the response it is; empty where that is not known. */
  readonly place: readonly number[];
  /** The address of an image; empty where it is a text, or nothing to be seen. */
  readonly src: string;
  /** A text: the token marked, and what is around it. */
  readonly before: string;
  readonly marked: string;
  readonly after: string;
}

/** Those of a unit, by its index in the layer's own order. */
export interface TopOfUnit {
  readonly layer: string;
  readonly unit: number;
  readonly probes: readonly TopProbe[];
}

function figureOf({ probe, value, place, src, before, marked, after }: TopProbe): HTMLElement {
  const words = `probe ${formatInteger(probe)}: ${formatMagnitude(value)}`;
  const at = place.length === 0 ? words : `${words}, at ${place.join(", ")}`;
  const text = element("p", { title: before + marked + after });
  text.append(before, element("mark", { text: marked }), after);
  text.hidden = text.title === "";
  const image = element("img", { attributes: { alt: words } });
  image.hidden = src === "";
  if (src !== "") image.src = src;
  return element("figure", {}, image, text, element("figcaption", { text: words, title: at }));
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
