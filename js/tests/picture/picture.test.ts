import { describe, expect, it } from "vitest";
import { drawPicture, fitText, type Picture, textWidth, wrapText } from "../../src/picture/picture";

const COLORS = {
  ground: "rgb(255, 255, 255)",
  text: "rgb(20, 20, 20)",
  muted: "rgb(90, 90, 90)",
  line: "rgb(220, 220, 220)",
  bar: "rgb(127, 159, 191)",
  barUpper: "rgb(185, 205, 224)",
  barRest: "rgb(233, 237, 241)",
  accent: "rgb(21, 101, 192)",
  dead: "rgb(179, 38, 30)",
  font: '"A & B", sans-serif',
};

const PICTURE: Picture = {
  title: "Inactive units of <b>net</b>",
  text: "Of <i>net</i> most units are dead.",
  lines: ["inactive: |x| ≤ 0.05", "64 probes · done"],
  rows: [
    {
      name: 'a "quoted" & <i>named</i> layer\u0007',
      units: "96",
      share: "12.3–14.1 %",
      lower: 0.123,
      upper: 0.141,
      dead: "3",
      changes: null,
      alarm: true,
      selected: true,
    },
  ],
  shared: "model.*.relu",
  more: "and 988 more layers",
  curve: { name: "relu", shares: [0.1, 0.2, 1], at: 0.5, from: "exact zero", to: "|x| ≤ 10" },
  timeline: null,
  heatmap: {
    name: "relu",
    summary: "96 units",
    image: "data:image/png;base64,AAAA",
    width: 400,
    height: 200,
    legend: [
      [
        { kind: "text", text: "0 %" },
        { kind: "ramp", colors: ["rgb(1, 2, 3)", "rgb(4, 5, 6)"] },
        { kind: "text", text: "100 %" },
      ],
      [
        { kind: "swatch", color: "rgb(232, 64, 42)" },
        { kind: "text", text: "dead" },
      ],
      [
        { kind: "ring", color: "rgb(232, 64, 42)" },
        { kind: "text", text: "lone dead unit" },
      ],
    ],
  },
  colors: COLORS,
};

/** Every tag is closed in its turn, and nothing is left bare that XML forbids. */
function expectWellFormed(svg: string): void {
  const open: string[] = [];
  for (const [tag, close, name] of svg.matchAll(
    /<(\/?)([a-z]+)(?:\s+[\w-]+="[^"<&]*(?:&\w+;[^"<&]*)*")*\s*\/?>/g,
  )) {
    if (close === "/") expect(open.pop()).toBe(name);
    else if (!tag.endsWith("/>")) open.push(name as string);
  }
  expect(open).toEqual([]);
  const text = svg.replace(/<[^>]*>/g, "");
  expect(text).not.toMatch(/[<>]|&(?!amp;|lt;|gt;|quot;)/);
}

describe("a saved picture", () => {
  it("is well-formed whatever layers are called", () => {
    const { svg } = drawPicture(PICTURE);
    expectWellFormed(svg);
    expect(svg).not.toContain("<b>");
    expect(svg).not.toContain("\u0007");
    expect(svg).toContain("&lt;b&gt;net&lt;/b&gt;");
  });

  it("says what it shows: title, rule, probes, figures, legend, and the image itself", () => {
    const { svg } = drawPicture(PICTURE);
    for (const text of [
      "layer: model.*.relu",
      "|x| ≤ 0.05",
      "64 probes · done",
      "12.3–14.1 %",
      "and 988 more layers",
    ]) {
      expect(svg).toContain(text);
    }
    for (const text of [
      "0 %",
      "100 %",
      "dead",
      "lone dead unit",
      "<circle",
      "exact zero",
      "data:image/png;base64,AAAA",
    ]) {
      expect(svg).toContain(text);
    }
  });

  it("keeps all it draws within its size, with any of its parts missing", () => {
    const image = "data:image/png;base64,BBBB";
    const timeline = { caption: "Step 300 · <newest>", image, width: 1200, height: 104 };
    const without = [{ heatmap: null }, { curve: null }, { rows: [], curve: null }];
    for (const missing of [{}, { timeline }, ...without]) {
      const { svg, width, height } = drawPicture({ ...PICTURE, ...missing });
      expectWellFormed(svg);
      for (const [, x, y] of svg.matchAll(/<(?:text|rect|image)[^>]* x="([\d.]+)" y="([\d.]+)"/g)) {
        expect(Number(x)).toBeLessThanOrEqual(width);
        expect(Number(y)).toBeLessThanOrEqual(height);
      }
      expect(svg).not.toMatch(/NaN|undefined|Infinity/);
    }
  });

  it("shortens a long name in the middle, so that its end is kept", () => {
    const name = `encoder.${"block.".repeat(40)}relu2`;
    const short = fitText(name, 13, 200);
    expect(textWidth(short, 13)).toBeLessThanOrEqual(200);
    expect(short).toMatch(/^encoder.*….*relu2$/);
    expect(fitText("relu", 13, 200)).toBe("relu");
  });

  it("sets what is to be seen under its title, on as many lines as it takes", () => {
    const text = `Of ${"a very long sentence about units ".repeat(12)}${"m".repeat(200)} end.`;
    const lines = wrapText(text, 14, 600);
    expect(lines.length).toBeGreaterThan(4);
    for (const line of lines) expect(textWidth(line, 14)).toBeLessThanOrEqual(600);
    expect(wrapText("two words", 14, 600)).toEqual(["two words"]);
    expect(wrapText("  ", 14, 600)).toEqual([]);
    const plain = drawPicture({ ...PICTURE, text: "" });
    const told = drawPicture({ ...PICTURE, text });
    expectWellFormed(told.svg);
    expect(told.svg).toContain("end.");
    expect(told.height).toBeGreaterThan(plain.height);
    expect(drawPicture(PICTURE).svg).toContain("Of &lt;i&gt;net&lt;/i&gt; most units are dead.");
  });
});
