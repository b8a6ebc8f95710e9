/** Rounds a grid of numbers to whole ones: the sum of each quarter, too, is off by less than one. */

/** A remainder below this is rounding error of a sum. */
const NOTHING = 1e-4;

/** Real numbers in rows of `width`, the first at `offset`, each row `stride` after the one before. */
interface Plane {
  readonly values: Float32Array;
  readonly offset: number;
  readonly stride: number;
  readonly width: number;
  readonly height: number;
}

/** Sums of two by two numbers of the plane below, and the whole numbers that they get. */
interface Halved {
  readonly width: number;
  readonly height: number;
  readonly sums: Float64Array;
  readonly counts: Int32Array;
}

/**
 * Shares a whole number out over a plane by halving: of every quarter of a square the rounded part,
 * and what is left to the largest remainders. So in the whole, and in every quarter of a quarter, a
 * count differs from its real number by less than one; what is nothing stays nothing, what is one
 * stays one, and a small change of one number moves few others. Its arrays are kept for the next.
 */
export class Apportionment {
  readonly #halved: Halved[] = [];
  readonly #real = new Float64Array(4);
  readonly #whole = new Int32Array(4);

  /**
   * Call `put` with each index of `values` whose number is not zero, none above `most`; `total` is
   * near the sum of the plane.
   */
  share(
    plane: Plane,
    total: number,
    most: number,
    put: (index: number, count: number) => void,
  ): void {
    let top = 0;
    let { width, height } = plane;
    for (; top === 0 || width * height > 1; top++) {
      width = (width + 1) >> 1;
      height = (height + 1) >> 1;
      const sums = this.#roomFor(top, width, height).sums;
      if (top === 0) halve(plane.values, plane.offset, plane.stride, plane, sums);
      else {
        const below = this.#halved[top - 1] as Halved;
        halve(below.sums, 0, below.width, below, sums);
      }
    }
    (this.#halved[top - 1] as Halved).counts[0] = total;
    for (let level = top - 1; level > 0; level--) {
      const { sums, counts, ...size } = this.#halved[level - 1] as Halved;
      counts.fill(0, 0, size.width * size.height);
      const above = this.#halved[level] as Halved;
      this.#divide(sums, 0, size.width, size, above, Number.POSITIVE_INFINITY, (at, count) => {
        counts[at] = count;
      });
    }
    const { values, offset, stride } = plane;
    this.#divide(values, offset, stride, plane, this.#halved[0] as Halved, most, put);
  }

  #roomFor(level: number, width: number, height: number): Halved {
    const before = this.#halved[level];
    const enough = before !== undefined && before.counts.length >= width * height;
    const halved = {
      width,
      height,
      sums: enough ? before.sums : new Float64Array(width * height),
      counts: enough ? before.counts : new Int32Array(width * height),
    };
    this.#halved[level] = halved;
    return halved;
  }

  #divide(
    values: Float32Array | Float64Array,
    offset: number,
    stride: number,
    { width, height }: { readonly width: number; readonly height: number },
    above: Halved,
    most: number,
    put: (index: number, count: number) => void,
  ): void {
    const real = this.#real;
    const whole = this.#whole;
    for (let y = 0; y < height; y += 2) {
      const lower = y + 1 < height ? stride : -1;
      const line = (y >> 1) * above.width;
      for (let x = 0; x < width; x += 2) {
        let rest = above.counts[line + (x >> 1)] as number;
        if (rest === 0) continue;
        const at = offset + y * stride + x;
        const right = x + 1 < width;
        const a = values[at] as number;
        const b = right ? (values[at + 1] as number) : 0;
        const c = lower > 0 ? (values[at + lower] as number) : 0;
        const d = lower > 0 && right ? (values[at + lower + 1] as number) : 0;
        let na = (a + NOTHING) | 0;
        let nb = (b + NOTHING) | 0;
        let nc = (c + NOTHING) | 0;
        let nd = (d + NOTHING) | 0;
        rest -= na + nb + nc + nd;
        if (rest === 1) {
          // By far the most frequent; ties go to opposite corners first, to be spread.
          const largest = Math.max(a - na, b - nb, c - nc, d - nd);
          if (largest >= NOTHING) {
            rest = 0;
            if (a - na === largest) na++;
            else if (d - nd === largest) nd++;
            else if (b - nb === largest) nb++;
            else nc++;
          }
        }
        if (rest !== 0) {
          real[0] = a;
          real[1] = d;
          real[2] = b;
          real[3] = c;
          whole[0] = na;
          whole[1] = nd;
          whole[2] = nb;
          whole[3] = nc;
          settle(real, whole, rest, most);
          na = whole[0] as number;
          nd = whole[1] as number;
          nb = whole[2] as number;
          nc = whole[3] as number;
        }
        if (na !== 0) put(at, na);
        if (nb !== 0) put(at + 1, nb);
        if (nc !== 0) put(at + lower, nc);
        if (nd !== 0) put(at + lower + 1, nd);
      }
    }
  }
}

function halve(
  values: Float32Array | Float64Array,
  offset: number,
  stride: number,
  { width, height }: { readonly width: number; readonly height: number },
  sums: Float64Array,
): void {
  const even = width & ~1;
  let to = 0;
  for (let y = 0; y < height; y += 2) {
    const upper = offset + y * stride;
    // An odd last row is added to nothing.
    const lower = y + 1 < height ? upper + stride : -1;
    for (let x = 0; x < even; x += 2) {
      let sum = (values[upper + x] as number) + (values[upper + x + 1] as number);
      if (lower >= 0) sum += (values[lower + x] as number) + (values[lower + x + 1] as number);
      sums[to++] = sum;
    }
    if (even < width) {
      const below = lower >= 0 ? (values[lower + even] as number) : 0;
      sums[to++] = (values[upper + even] as number) + below;
    }
  }
}

/** Give what is left to the largest remainders, or take what is too much from the smallest. */
function settle(real: Float64Array, whole: Int32Array, rest: number, most: number): void {
  const step = Math.sign(rest);
  for (let left = rest; left !== 0; left -= step) {
    let best = -1;
    let largest = Number.NEGATIVE_INFINITY;
    for (let part = 0; part < 4; part++) {
      const here = whole[part] as number;
      const wanted = real[part] as number;
      if (step < 0 ? here === 0 : wanted < NOTHING || here >= most) continue;
      if (step * (wanted - here) > largest) {
        best = part;
        largest = step * (wanted - here);
      }
    }
    if (best < 0) return;
    whole[best] = (whole[best] as number) + step;
  }
}
