import { describe, expect, it } from "vitest";
import { ShortNames } from "../../src/names/short_names";
import { textWidth } from "../../src/picture/picture";

const letters = (text: string): number => [...text].length;
const WIDTHS = Array.from({ length: 25 }, (_, at) => 8 + 3 * at);

/** Repeatable whole numbers below a bound. */
function dice(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const WORDS =
  "encoder decoder layer layers layer1 layer10 block_sparse_moe experts mlp act activation relu stages h 0 1 2 10 11 self_attn conv1 conv2 features 各層 слой".split(
    " ",
  );

function randomNames(seed: number): string[] {
  const roll = dice(seed);
  const beginning = ["", "model.", "model.encoder."][roll(3)];
  const end = ["", ".activation", "/relu"][roll(3)];
  const names = Array.from({ length: 2 + roll(40) }, () => {
    const parts = Array.from({ length: 1 + roll(5) }, () => WORDS[roll(WORDS.length)]);
    const call = roll(5) === 0 ? `:${1 + roll(12)}` : "";
    const part = roll(8) === 0 ? `[${roll(3)}][${roll(2)}]` : "";
    return `${beginning}${parts.join(roll(6) === 0 ? "/" : ".")}${call}${part}${end}`;
  });
  return [...new Set(names)];
}

const range = (count: number): number[] => [...Array(count).keys()];
const RESNET = [
  "embedder.embedder.activation",
  ...[3, 4, 6, 3].flatMap((layers, stage) =>
    range(layers).flatMap((layer) => {
      const path = `encoder.stages.${stage}.layers.${layer}`;
      return [`${path}.layer.0.activation`, `${path}.layer.1.activation`, `${path}.activation`];
    }),
  ),
];
const REAL: Readonly<Record<string, readonly string[]>> = {
  "ResNet-50": RESNET,
  "torchvision's ResNet-50": [
    "relu",
    ...[3, 4, 6, 3].flatMap((blocks, layer) =>
      range(blocks).flatMap((block) => {
        const relu = `layer${layer + 1}.${block}.relu`;
        return [relu, `${relu}:1`, `${relu}:2`];
      }),
    ),
  ],
  "GPT-2": range(12).map((layer) => `transformer.h.${layer}.mlp.act`),
  Swin: [2, 2, 18, 2].flatMap((blocks, layer) =>
    range(blocks).map(
      (block) => `swin.encoder.layers.${layer}.blocks.${block}.intermediate.intermediate_act_fn`,
    ),
  ),
  Mixtral: range(32).flatMap((layer) =>
    range(8).map((expert) => `model.layers.${layer}.block_sparse_moe.experts.${expert}.act_fn`),
  ),
  Inception: [
    "Inception3/relu",
    ..."abcde"
      .split("")
      .flatMap((part) =>
        ["branch1", "branch3_red", "branch3", "branch5_red"].flatMap((branch) => [
          `inception3${part}.${branch}/relu`,
          `inception4${part}.${branch}/relu:1`,
        ]),
      ),
    "inception3a/relu",
  ],
  LSTM: ["lstm[0]", "lstm[1][0]", "lstm[1][1]", "lstm:1[0]", "head.relu", "head.relu:1"],
};

/** The pieces between what is left out. */
const pieces = (form: string): string[] => form.split("…").filter((piece) => piece !== "");

/** Whether all pieces stand in a name, one after another. */
function isFrom(form: string, name: string): boolean {
  let from = 0;
  return pieces(form).every((piece) => {
    const at = name.indexOf(piece, from);
    from = at + piece.length;
    return at >= 0;
  });
}

/** The parts at which names go on differently that were alike so far, found by comparing all. */
function tellingParts(name: string, names: readonly string[]): string[] {
  const split = (text: string): string[] => text.split(/(?=[./:[])/);
  const own = split(name);
  return own.filter((part, at) => {
    const before = own.slice(0, at).join("");
    return names.some((other) => {
      const parts = split(other);
      return parts.slice(0, at).join("") === before && parts.length >= at && parts[at] !== part;
    });
  });
}

function check(names: readonly string[], room: number, widthOf = letters): void {
  const short = new ShortNames(names);
  const forms = short.within(room, widthOf);
  expect(new Set(forms).size, `distinct at ${room}: ${forms}`).toBe(names.length);
  forms.forEach((form, at) => {
    const name = names[at] as string;
    if (widthOf(name) <= room) expect(form).toBe(name);
    else if (!form.startsWith("#")) expect(isFrom(form, name), `${form} of ${name}`).toBe(true);
  });
}

describe("short names", () => {
  for (const [net, names] of Object.entries(REAL)) {
    it(`of ${net} differ at every width, and fit`, () => {
      const own = new ShortNames(names).withoutShared();
      for (const room of WIDTHS) {
        check(names, room);
        check(own.names, room);
        for (const form of own.within(room, letters)) {
          expect(letters(form)).toBeLessThanOrEqual(room);
          if (room >= 12) expect(form, `${net} at ${room}`).not.toContain("#");
        }
      }
    });

    it(`of ${net} keep every part that tells, where there is room for these`, () => {
      const forms = new ShortNames(names).within(40, letters);
      names.forEach((name, at) => {
        const telling = tellingParts(name, names);
        const needed = telling.join("").length + telling.length + 1;
        if (needed > 40) return;
        let from = 0;
        for (const part of telling) {
          const found = (forms[at] as string).indexOf(part.replace(/^[./]/, ""), from);
          expect(found, `${part} of ${name} in ${forms[at]}`).toBeGreaterThanOrEqual(0);
          from = found;
        }
      });
    });
  }

  it("differ for any names that look like modules' paths", () => {
    for (let seed = 1; seed <= 80; seed++) {
      const names = randomNames(seed);
      for (const room of [8, 9, 11, 13, 16, 20, 27, 40, 80]) {
        check(names, room);
        check(new ShortNames(names).withoutShared().names, room);
      }
    }
  });

  it("are measured as they are drawn", () => {
    for (const room of [60, 90, 140, 250]) check(RESNET, room, (text) => textWidth(text, 13));
  });

  it("leave out first what most share, and the part that tells never", () => {
    const own = new ShortNames(RESNET).withoutShared();
    const at = (room: number): readonly string[] => own.within(room, letters).slice(0, 3);
    const layer = "encoder.stages.0.layers.0.layer";
    expect(at(80)).toEqual(["embedder.embedder", `${layer}.0`, `${layer}.1`]);
    expect(at(28).slice(1)).toEqual(["encoder…0.layers.0.layer.0", "encoder…0.layers.0.layer.1"]);
    expect(at(20).slice(1)).toEqual(["encoder…0…0.layer.0", "encoder…0…0.layer.1"]);
    expect(at(12)).toEqual(["embedder…", "en…0…0.lay…0", "en…0…0.lay…1"]);
    expect(at(8)).toEqual(["embedd…", "…0…0.l…0", "…0…0.l…1"]);
    expect(own.within(4, letters).slice(0, 3)).toEqual(["emb…", "#2", "#3"]);
  });

  it("say once what all share, in whole parts", () => {
    const shared = (...names: string[]): [string, string, readonly string[]] => {
      const short = new ShortNames(names);
      return [short.beginning, short.end, short.withoutShared().names];
    };
    expect(shared("h.0.mlp.act", "h.1.mlp.act")).toEqual(["h.", ".mlp.act", ["0", "1"]]);
    expect(shared("a.relu1", "b.relu1x")).toEqual(["", "", ["a.relu1", "b.relu1x"]]);
    expect(shared("x.relu", "x.relu:1")).toEqual(["x.", "", ["relu", "relu:1"]]);
    expect(shared("lstm[0]", "lstm[1]")).toEqual(["", "", ["lstm[0]", "lstm[1]"]]);
    expect(shared("a.b", "a.b.c")).toEqual(["a.", "", ["b", "b.c"]]);
    expect(shared("h.mlp.act", "h.0.mlp.act")).toEqual(["h.", ".act", ["mlp", "0.mlp"]]);
    expect(shared("n/relu", "n/relu:1", "n/tanh")).toEqual(["n/", "", ["relu", "relu:1", "tanh"]]);
    expect(shared("alone.relu")).toEqual(["", "", ["alone.relu"]]);
    expect(new ShortNames([]).within(10, letters)).toEqual([]);
  });
});
