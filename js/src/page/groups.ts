/** Groups of probes: which of them is on show, and a small picture of the layer for each. */

import { sameItems } from "../reading/same_items";
import { select, setOptions, showValue } from "../ui/controls";
import { element, setAttribute, setText } from "../ui/dom";

/** A layer in one group. */
export interface GroupPicture {
  readonly layer: string;
  readonly group: string;
  /** "63.2 % inactive, 3 dead". */
  readonly words: string;
  /** The address of an image. */
  readonly picture: string;
}

export class Groups {
  readonly choice: HTMLSelectElement;
  readonly #pictures = element("div", { class: "iua-groups" });
  readonly #onGroup: (group: string | null) => void;
  readonly #signal: AbortSignal;
  #names: readonly string[] = [];

  /** `onGroup` is told which is to be on show, null for all probes. */
  constructor(onGroup: (group: string | null) => void, signal: AbortSignal) {
    this.#onGroup = onGroup;
    this.#signal = signal;
    this.choice = select(
      "probes on show",
      [],
      (place) => onGroup(this.#names[Number(place)] ?? null),
      signal,
    );
    this.choice.hidden = true;
  }

  /** Offer the groups there are. */
  update(names: readonly string[], group: string | null): void {
    if (!sameItems(names, this.#names)) {
      this.#names = names;
      const options = names.map((name, place) => [String(place), name] as const);
      setOptions(this.choice, [["all", "all probes"], ...options]);
    }
    this.choice.hidden = names.length === 0;
    showValue(this.choice, group === null ? "all" : String(names.indexOf(group)));
  }

  /** Show a layer's pictures, in place: those there are change. */
  show(pictures: readonly GroupPicture[], group: string | null): void {
    const nodes = this.#pictures.children;
    while (nodes.length > pictures.length) nodes[nodes.length - 1]?.remove();
    for (const [place, { group: name, words, picture }] of pictures.entries()) {
      const node = (nodes[place] as HTMLButtonElement | undefined) ?? this.#add();
      const [image, caption] = node.children as unknown as [HTMLImageElement, HTMLElement];
      if (image.src !== picture) image.src = picture;
      node.dataset.group = name;
      node.disabled = Boolean(this.choice.hidden);
      setText(caption, `${name}: ${words}`);
      setAttribute(node, "aria-pressed", String(name === group));
    }
  }

  #add(): HTMLButtonElement {
    const node = element(
      "button",
      { class: "iua-group-picture", attributes: { type: "button" } },
      element("img", { attributes: { alt: "" } }),
      element("span"),
    );
    node.addEventListener(
      "click",
      () => {
        const isShown = node.getAttribute("aria-pressed") === "true";
        this.#onGroup(isShown ? null : (node.dataset.group as string));
      },
      { signal: this.#signal },
    );
    this.#pictures.append(node);
    return node;
  }

  node(): HTMLElement {
    return this.#pictures;
  }
}
