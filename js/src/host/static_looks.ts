/** The looks at a training that are in an exported file: each several blocks of bytes in one. */

export interface StaticLook {
  readonly step: number;
  readonly probes: number;
  /** By name, where each block ends. */
  readonly ends: Readonly<Record<string, number>>;
  readonly parts: readonly string[];
}

/** What a file holds of a history. */
export interface StaticHistory {
  readonly timeline: readonly string[];
  /** By layer. */
  readonly lives: Readonly<Record<string, readonly string[]>>;
  /** In the order of their steps. */
  readonly looks: readonly StaticLook[];
}

type Block = "table" | "worst" | "dead" | `units ${number}`;

/** A look, unpacked. */
export class UnpackedLook {
  readonly look: StaticLook;
  readonly #data: DataView;

  constructor(look: StaticLook, data: DataView) {
    this.look = look;
    this.#data = data;
  }

  /** Null where the look has no such block. */
  block(name: Block): DataView | null {
    const names = Object.keys(this.look.ends);
    const at = names.indexOf(name);
    if (at < 0) return null;
    const from = at === 0 ? 0 : (this.look.ends[names[at - 1] as string] as number);
    const end = this.look.ends[name] as number;
    const { buffer, byteOffset } = this.#data;
    return end > from ? new DataView(buffer, byteOffset + from, end - from) : null;
  }
}

/** The look of a file that is nearest to a step; the last one for null. */
export function lookNear(looks: readonly StaticLook[], step: number | null): StaticLook | null {
  const last = looks.at(-1) ?? null;
  if (step === null) return last;
  return looks.reduce(
    (best, look) =>
      best === null || Math.abs(look.step - step) < Math.abs(best.step - step) ? look : best,
    last,
  );
}
