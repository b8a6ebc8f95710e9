import { gzipSync } from "node:zlib";
import { describe, expect, it, vi } from "vitest";
import { StaticHost, type StaticPayload } from "../../src/host/static_host";
import { lookNear, UnpackedLook } from "../../src/host/static_looks";

/** Bytes that say what they are. */
function block(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

const TEXTS = new Map<string, string>();

function part(id: string, ...blocks: string[]): string[] {
  TEXTS.set(id, gzipSync(block(blocks.join(""))).toString("base64"));
  return [id];
}

const read = (id: string): string => TEXTS.get(id) ?? "";
const text = (data: unknown): string | null =>
  data instanceof DataView ? new TextDecoder().decode(data) : null;

function look(step: number): {
  step: number;
  probes: number;
  ends: Record<string, number>;
  parts: string[];
} {
  const blocks = ["table", "", "unitsA", "unitsB", "dead"].map((name) =>
    name === "" ? "" : `${name}${step}`,
  );
  const names = ["table", "worst", "units 0", "units 1", "dead"];
  let end = 0;
  const ends = Object.fromEntries(
    names.map((name, at) => {
      end += (blocks[at] as string).length;
      return [name, end] as const;
    }),
  );
  return { step, probes: 9, ends, parts: part(`look-${step}`, ...blocks) };
}

const PAYLOAD: StaticPayload = {
  version: 3,
  title: "",
  text: "",
  state: { layer: "B", look: 800, against: null, _run: { look: 800, probes: 9, source: "net" } },
  table: part("table", "own table"),
  worst: part("worst", "own worst"),
  units: { A: part("A", "own A"), B: part("B", "own B") },
  over_time: {
    timeline: part("timeline", "history"),
    lives: { A: part("life-A", "life A"), B: part("life-B", "life B") },
    looks: [look(0), look(300), look(800)],
  },
};

describe("an exported file of a history", () => {
  it("opens with the look that was on show, and its own counts", async () => {
    const host = await StaticHost.open(PAYLOAD, read);
    expect(text(host.get("_history"))).toBe("history");
    expect(text(host.get("_table"))).toBe("own table");
    expect(text(host.get("_units"))).toBe("own B");
    expect(text(host.get("_life"))).toBe("life B");
    expect(host.get("_held")).toBe(3);
  });

  it("shows the look nearest to what is chosen, and goes back", async () => {
    const host = await StaticHost.open(PAYLOAD, read);
    host.set({ look: 280 });
    await vi.waitFor(() => expect(text(host.get("_units"))).toBe("unitsB300"));
    expect(host.get("look")).toBe(300);
    expect(text(host.get("_table"))).toBe("table300");
    expect(text(host.get("_worst"))).toBeNull();
    expect(host.get("_run")).toEqual({ look: 300, probes: 9, source: "net" });
    host.set({ layer: "A" });
    await vi.waitFor(() => expect(text(host.get("_units"))).toBe("unitsA300"));
    await vi.waitFor(() => expect(text(host.get("_life"))).toBe("life A"));
    host.set({ look: null });
    await vi.waitFor(() => expect(text(host.get("_units"))).toBe("own A"));
    expect([host.get("look"), text(host.get("_table"))]).toEqual([null, "own table"]);
  });

  it("shows the last that was chosen", async () => {
    const host = await StaticHost.open(PAYLOAD, read);
    host.set({ look: 0 });
    host.set({ look: 300 });
    await vi.waitFor(() => expect(text(host.get("_units"))).toBe("unitsB300"));
    expect(host.get("look")).toBe(300);
  });

  it("gives what is dead in both looks where they are compared", async () => {
    const host = await StaticHost.open(PAYLOAD, read);
    host.set({ against: 300 });
    await vi.waitFor(() => expect(text(host.get("_dead_before"))).toBe("dead300"));
    expect(text(host.get("_dead"))).toBe("dead800");
    host.set({ look: 0 });
    await vi.waitFor(() => expect(text(host.get("_dead"))).toBe("dead0"));
    host.set({ against: null });
    await vi.waitFor(() => expect(host.get("_dead_before")).toBeNull());
  });
});

it("finds looks and their blocks", () => {
  const looks = PAYLOAD.over_time?.looks ?? [];
  expect([null, -9, 500, 600].map((step) => lookNear(looks, step)?.step)).toEqual([
    800, 0, 300, 800,
  ]);
  expect(lookNear([], 3)).toBeNull();
  const data = new DataView(block("xxtable0").buffer, 2);
  const unpacked = new UnpackedLook(looks[0] as (typeof looks)[0], data);
  expect(text(unpacked.block("table"))).toBe("table0");
  expect(unpacked.block("worst")).toBeNull();
  expect(unpacked.block("units 7")).toBeNull();
});
