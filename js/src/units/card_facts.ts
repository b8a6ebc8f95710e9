/** What is told of a unit that is selected: its share in each group, and its top probes, drawn. */

import { formatInteger, formatMagnitude } from "../reading/format";
import { element } from "../ui/dom";

/** One of the probes with its largest responses. */
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

/** By the unit's index in the layer's own order. */
export interface FactsOfUnit {
  readonly layer: string;
  readonly unit: number;
  /** "Inactive in: cow: 100.0 %, cat: 34.2 %"; empty where there are no groups. */
  readonly groups: string;
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

export class CardFacts {
  readonly #groups = element("p", { class: "iua-card-groups" });
  readonly #probes = element("div", {
    class: "iua-top",
    attributes: { role: "group", "aria-label": "probes with the largest responses" },
  });
  readonly #node = element("div", { class: "iua-card-facts" }, this.#groups, this.#probes);
  #facts: FactsOfUnit | null = null;

  /** Null where nothing was told. */
  update(facts: FactsOfUnit | null): void {
    if (facts === this.#facts) return;
    this.#facts = facts;
    this.#groups.textContent = facts?.groups ?? "";
    this.#probes.replaceChildren(...(facts?.probes ?? []).map(figureOf));
  }

  node(): HTMLElement {
    return this.#node;
  }
}
