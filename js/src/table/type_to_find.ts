/** Finding a row by typing the beginning of its name. */

import { asciiLower } from "../reading/row_order";

const FORGET_AFTER_MS = 900;

export class TypeToFind {
  #typed = "";
  #at = Number.NEGATIVE_INFINITY;

  /** Whether a blank would go on with what is being typed. */
  typing(now: number): boolean {
    return this.#typed !== "" && now - this.#at <= FORGET_AFTER_MS;
  }

  /**
   * The row to go to when a character is typed at `now` (milliseconds), or -1: the next one whose
   * text begins with what was typed, or else has it anywhere.
   */
  find(
    character: string,
    now: number,
    rows: number,
    current: number,
    text: (row: number) => string,
  ): number {
    const goesOn = this.typing(now);
    this.#typed = asciiLower(goesOn ? this.#typed + character : character);
    this.#at = now;
    const again = goesOn && [...this.#typed].every((each) => each === this.#typed[0]);
    const sought = again ? (this.#typed[0] as string) : this.#typed;
    const start = current + (sought.length > 1 ? 0 : 1);
    let within = -1;
    for (let step = 0; step < rows; step++) {
      const row = (start + step) % rows;
      const place = asciiLower(text(row)).indexOf(sought);
      if (place === 0) return row;
      if (place > 0 && within < 0) within = row;
    }
    return within;
  }
}
