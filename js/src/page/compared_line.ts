/** The line that says what is compared with what, or why it cannot be. */

import { plural } from "../reading/format";
import { element, setText } from "../ui/dom";
import type { RunInfo } from "./store";

const WORDS = "newly dead: dead here, not there · revived: dead there, not here";

/** "MyNet (2,048 probes) compared with epoch1.iua (1,024 probes)"; empty where nothing is. */
export function comparedWords({ compared, source, probes }: RunInfo): string {
  if (compared === null) return "";
  const there = `${compared.with} (${plural(compared.probes, "probe")})`;
  if (compared.refused !== "") return `Not compared with ${there}: ${compared.refused}`;
  return `${source} (${plural(probes, "probe")}) compared with ${there}`;
}

export class ComparedLine {
  readonly #what = element("span");
  readonly #words = element("span", { class: "iua-compared-words" });
  readonly #node = element("p", { class: "iua-compared" }, this.#what, this.#words);

  constructor() {
    this.#node.hidden = true;
  }

  update(run: RunInfo): void {
    const { compared } = run;
    this.#node.hidden = compared === null;
    this.#node.classList.toggle("iua-compared-refused", (compared?.refused ?? "") !== "");
    setText(this.#what, comparedWords(run));
    setText(this.#words, compared?.refused === "" ? WORDS : "");
  }

  node(): HTMLElement {
    return this.#node;
  }
}
