/**
 * Names of layers made short, so that no two read alike. Names part at dots, slashes, calls and
 * parts: `encoder`, `.stages`, `.0`, `/relu`, `:1`, `[0]`. A part tells a name from others where
 * names that have been the same so far go on differently; what does not tell is left out first.
 */

/** How wide a text is, in the unit of the room it is to fit. */
export type WidthOf = (text: string) => number;

interface Branch {
  readonly next: Map<string, Branch>;
  /** How many names go on here, and whether one ends here. */
  count: number;
  ends: boolean;
}

interface Part {
  readonly text: string;
  /** Whether names that begin alike differ here. */
  readonly tells: boolean;
  /** How many names have it after the same beginning. */
  readonly count: number;
  /** What it may go on with instead, itself included. */
  readonly branch: Branch;
}

const PART = /(?=[./:[])/;
/** Letters with the marks above them. */
const LETTERS = /\P{M}\p{M}*|\p{M}+/gu;
const DIGIT = /^[0-9]$/;
const LEFT_OUT = "…";

function newBranch(): Branch {
  return { next: new Map(), count: 0, ends: false };
}

function grow(root: Branch, path: readonly string[]): void {
  let branch = root;
  for (const step of path) {
    let next = branch.next.get(step);
    if (next === undefined) {
      next = newBranch();
      branch.next.set(step, next);
    }
    next.count++;
    branch = next;
  }
  branch.ends = true;
}

function parts(root: Branch, path: readonly string[]): Part[] {
  let branch = root;
  return path.map((text) => {
    const here = branch;
    branch = here.next.get(text) as Branch;
    const tells = here.next.size + Number(here.ends) > 1;
    return { text, tells, count: branch.count, branch: here };
  });
}

function lettersOf(text: string): string[] {
  return text.match(LETTERS) ?? [];
}

/** After what is left out no separator is needed. */
function joined(texts: readonly string[]): string {
  return texts
    .join("")
    .replace(/…(?:[./]*…)+/g, LEFT_OUT)
    .replace(/…[./]+(?=.)/gu, LEFT_OUT);
}

/**
 * Of a part, its first letters and what tells it from those in its place; numbers stay whole.
 */
function abbreviated(
  { text, branch }: Part,
  letters: Map<Branch, Branch>,
  letter = firstLetter(text),
): string {
  let root = letters.get(branch);
  if (root === undefined) {
    root = newBranch();
    for (const other of branch.next.keys()) grow(root, lettersOf(other));
    letters.set(branch, root);
  }
  const all = parts(root, lettersOf(text));
  const few = text.length <= firstLetter(text) + 2;
  const kept = all.map(({ tells }, at) => tells || at <= letter || few);
  for (let at = 0; at < all.length; at++) {
    if (!kept[at] || !DIGIT.test(all[at]?.text ?? "")) continue;
    for (let on = at + 1; DIGIT.test(all[on]?.text ?? ""); on++) kept[on] = true;
    for (let back = at - 1; DIGIT.test(all[back]?.text ?? ""); back--) kept[back] = true;
  }
  const pieces = all.map(({ text: letter }, at) => (kept[at] ? letter : LEFT_OUT));
  const short = joined(pieces);
  return lettersOf(short).length < all.length ? short : text;
}

/** Where a part's first letter is, behind the dot or slash. */
function firstLetter(text: string): number {
  return /^[./:[]/.test(text) ? 1 : 0;
}

/** How long a beginning all names share, in whole parts that a dot or a slash ends. */
function sharedBeginning(paths: readonly (readonly string[])[]): string {
  const [first = []] = paths;
  let shared = 0;
  for (let most = 1; most < first.length; most++) {
    if (!paths.every((path) => path[most - 1] === first[most - 1])) break;
    if (paths.every((path) => /^[./]/.test(path[most] ?? ""))) shared = most;
  }
  const [separator = ""] = first[shared] ?? "";
  const same = shared > 0 && paths.every((path) => path[shared]?.startsWith(separator));
  return same ? first.slice(0, shared).join("") + separator : "";
}

function sharedEnd(
  names: readonly string[],
  paths: readonly (readonly string[])[],
  beginning: string,
): string {
  const [first = []] = paths;
  let shared = "";
  for (let parts = 1; parts < first.length; parts++) {
    const part = first.at(-parts);
    if (!paths.every((path) => path.at(-parts) === part)) break;
    const end = first.slice(-parts).join("");
    if (names.some((name) => name.length <= beginning.length + end.length)) break;
    if (/^[./]/.test(part ?? "")) shared = end;
  }
  return shared;
}

export class ShortNames {
  readonly names: readonly string[];
  /** What all names begin and end with, in whole parts and with the dot or slash between. */
  readonly beginning: string = "";
  readonly end: string = "";
  readonly #paths: readonly (readonly Part[])[];
  readonly #letters = new Map<Branch, Branch>();
  #ends: Map<string, number> | undefined;

  constructor(names: readonly string[]) {
    this.names = names;
    const paths = names.map((name) => name.split(PART));
    if (names.length > 1) {
      this.beginning = sharedBeginning(paths);
      this.end = sharedEnd(names, paths, this.beginning);
    }
    const root = newBranch();
    for (const path of paths) grow(root, path);
    this.#paths = paths.map((path) => parts(root, path));
  }

  /** What all share is left out, for where it is said once beside the names. */
  withoutShared(): ShortNames {
    const { beginning, end } = this;
    if (beginning === "" && end === "") return this;
    return new ShortNames(
      this.names.map((name) => name.slice(beginning.length, name.length - end.length)),
    );
  }

  /**
   * Each name in a form that fits the room, all different. Where not even what tells them apart
   * fits, a layer has its number in the order of the network: "#17".
   */
  within(room: number, widthOf: WidthOf): string[] {
    const fits = (text: string): boolean => widthOf(text) <= room;
    const forms = this.#paths.map((path, at) => {
      const name = this.names[at] as string;
      return fits(name) ? name : this.#shortened(path, fits);
    });
    const taken = new Map<string, number>();
    for (const form of forms) taken.set(form, (taken.get(form) ?? 0) + 1);
    return forms.map((form, at) => {
      if (fits(form) && taken.get(form) === 1) return form;
      const number = `#${at + 1}`;
      if (taken.get(form) === 1 && !fits(number)) return form;
      return this.#withoutHead(at, fits, taken) ?? number;
    });
  }

  #shortened(path: readonly Part[], fits: (text: string) => boolean): string {
    const texts = path.map(({ text }) => text);
    const idle = path.flatMap((part, at) => (part.tells ? [] : [at]));
    idle.sort((one, other) => (path[other] as Part).count - (path[one] as Part).count);
    for (const at of idle) {
      texts[at] = LEFT_OUT;
      const form = joined(texts);
      if (fits(form)) return form;
    }
    const telling = path.flatMap(({ tells }, at) => (tells ? [at] : []));
    telling.sort((one, other) => (texts[other] ?? "").length - (texts[one] ?? "").length);
    for (const at of telling) {
      const part = path[at] as Part;
      texts[at] = abbreviated(part, this.#letters);
      if (!fits(joined(texts))) continue;
      for (let letter = part.text.length - 2; letter > firstLetter(part.text); letter--) {
        const longer = texts.with(at, abbreviated(part, this.#letters, letter));
        if (fits(joined(longer))) return joined(longer);
      }
      return joined(texts);
    }
    return joined(texts);
  }

  /** What the end of a name's shortest form tells, where no other name ends so. */
  #withoutHead(
    at: number,
    fits: (text: string) => boolean,
    taken: ReadonlyMap<string, number>,
  ): string | null {
    this.#ends ??= countedEnds(this.#paths.map((path) => this.#endsOf(path)));
    const ends = this.#ends;
    const found = this.#endsOf(this.#paths[at] as readonly Part[]).find(
      (form) => fits(form) && form !== LEFT_OUT && ends.get(form) === 1 && !taken.has(form),
    );
    return found ?? null;
  }

  #endsOf(path: readonly Part[]): string[] {
    const texts = path.map((part) => (part.tells ? abbreviated(part, this.#letters) : LEFT_OUT));
    const ends = texts.map((_, head) => joined([LEFT_OUT, ...texts.slice(head)]));
    return [...new Set(ends.slice(1))];
  }
}

function countedEnds(ends: readonly (readonly string[])[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const end of ends.flat()) counts.set(end, (counts.get(end) ?? 0) + 1);
  return counts;
}
