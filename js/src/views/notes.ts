/** Lines about the data: loud ones for NaN and infinities, quiet ones from the run. */

import { plural } from "../core/format";
import type { LayerMeta } from "../core/snapshot";
import { element, setText } from "./dom";

const NAMES_SHOWN = 5;

function divergedText(layers: readonly LayerMeta[]): string {
  const names = layers.slice(0, NAMES_SHOWN).map((layer) => {
    const name = layer.name.length > 60 ? `${layer.name.slice(0, 57)}…` : layer.name;
    return `“${name}” (${plural(layer.nan + layer.infinite, "value")})`;
  });
  const more = layers.length > NAMES_SHOWN ? ` and ${layers.length - NAMES_SHOWN} more` : "";
  return `${plural(layers.length, "layer")} produced NaN or infinite responses: ${names.join(", ")}${more}. `;
}

export class Notes {
  readonly #loudText = element("strong");
  readonly #loud = element(
    "p",
    { class: "iua-warning", attributes: { role: "note" } },
    this.#loudText,
    document.createTextNode(
      "Such values are never within a tolerance and count as active, so a net that diverged looks alive.",
    ),
  );
  readonly #quiet = element("div", { class: "iua-notes" });
  readonly #node = element("div", { class: "iua-note-box" }, this.#loud, this.#quiet);
  #shown = "";

  update(notes: readonly string[], layers: readonly LayerMeta[]): void {
    const diverged = layers.filter((layer) => layer.nan + layer.infinite > 0);
    this.#loud.hidden = diverged.length === 0;
    if (diverged.length > 0) setText(this.#loudText, divergedText(diverged));
    const key = JSON.stringify(notes);
    if (key !== this.#shown) {
      this.#shown = key;
      this.#quiet.replaceChildren(
        ...notes.map((text) => element("p", { class: "iua-note", text })),
      );
    }
    this.#node.hidden = diverged.length === 0 && notes.length === 0;
  }

  node(): HTMLElement {
    return this.#node;
  }
}
