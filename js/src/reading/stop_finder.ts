/** Finds the stops that bracket a threshold in single precision, by its bits. */

/** Bits of a float32 that choose where to begin to look for a stop: 16 places an octave. */
const CELL_SHIFT = 19;
/** Without the sign: a threshold is not negative, and NaN comes after all numbers. */
const MAGNITUDE_BITS = 0x7fffffff;
const INFINITY_BITS = 0x7f800000;

const word = new Int32Array(1);
const value = new Float32Array(word.buffer);

export function numberOfBits(bits: number): number {
  word[0] = bits;
  return value[0] as number;
}

/** The least bits of a number for which a test holds, where it holds for all larger numbers. */
function leastBits(holds: (threshold: number) => boolean): number {
  let low = 0;
  let high = INFINITY_BITS;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(numberOfBits(middle))) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Thresholds and stops are told apart only where they differ by more than `slack`, relatively. */
export class StopFinder {
  readonly #stops: readonly number[];
  readonly #slack: number;
  /** Of each stop, bits of the least threshold that is above it, or cannot be told apart. */
  readonly #over: Int32Array;
  /** The first stop that is not over all of what begins with these bits. */
  readonly #begin: Uint16Array;

  constructor(stops: readonly number[], slack: number) {
    this.#stops = stops;
    this.#slack = slack;
    const over = stops.map((stop) => leastBits((threshold) => stop < threshold * (1 + slack)));
    this.#over = Int32Array.from(over);
    this.#begin = new Uint16Array(2 ** (31 - CELL_SHIFT));
    let place = 0;
    for (let cell = 0; cell < this.#begin.length; cell++) {
      while (place < over.length && (over[place] as number) <= cell << CELL_SHIFT) place++;
      this.#begin[cell] = place;
    }
  }

  /** The first stop that is surely no smaller; as many as there are stops when none is. */
  above(threshold: number): number {
    value[0] = threshold;
    const bits = (word[0] as number) & MAGNITUDE_BITS;
    let place = this.#begin[bits >>> CELL_SHIFT] as number;
    while ((this.#over[place] as number) <= bits) place++;
    return place;
  }

  /** The last stop that is surely no larger, where `above` is as found. */
  below(threshold: number, above: number): number {
    const low = threshold * (1 - this.#slack);
    let place = Math.max(0, above - 1);
    while (place > 0 && !((this.#stops[place] as number) <= low)) place--;
    return place;
  }
}
