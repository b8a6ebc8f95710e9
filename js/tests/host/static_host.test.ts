import { gzipSync } from "node:zlib";
import { afterEach, describe, expect, it, vi } from "vitest";
import { decodeBase64 } from "../../src/host/base64";
import { StaticHost, type StaticPayload } from "../../src/host/static_host";

const BYTES = Uint8Array.from({ length: 4096 }, (_, index) => (index * index) % 251);

/** Compressed, in base64 parts of `size` bytes each. */
function parts(data: Uint8Array, size: number): string[] {
  const packed = gzipSync(data);
  return Array.from({ length: Math.ceil(packed.length / size) }, (_, part) =>
    packed.subarray(part * size, (part + 1) * size).toString("base64"),
  );
}

const TEXTS = new Map<string, string>([
  ...parts(BYTES, 300).map((text, part) => [`table-${part}`, text] as const),
  ...parts(BYTES.subarray(7), 10_000).map((text, part) => [`units-${part}`, text] as const),
  ["torn", (parts(BYTES, 300)[0] ?? "").slice(0, 40)],
]);

const PAYLOAD: StaticPayload = {
  version: 3,
  title: "one page",
  text: "what it says",
  state: { layer: "", selected: [5] },
  table: [...TEXTS.keys()].filter((id) => id.startsWith("table")),
  worst: ["units-0"],
  units: { whole: ["units-0"], torn: ["torn"], lost: ["nowhere"] },
};

function read(id: string): string {
  const text = TEXTS.get(id);
  if (text === undefined) throw new Error(id);
  return text;
}

function bytesOf(view: unknown): number[] {
  return !(view instanceof DataView) ? [] : [...new Uint8Array(view.buffer)];
}

describe("decodeBase64", () => {
  const text = Buffer.from(BYTES).toString("base64");
  afterEach(() => void vi.unstubAllGlobals());

  it("gives the bytes, of nothing too, and refuses what is not base64", () => {
    expect([...decodeBase64(text)]).toEqual([...BYTES]);
    expect(decodeBase64("").length).toBe(0);
    expect(() => decodeBase64("a")).toThrow();
  });

  it("is the browser's own where it has one", () => {
    const own = vi.fn(() => BYTES);
    vi.stubGlobal("Uint8Array", Object.assign(class extends Uint8Array {}, { fromBase64: own }));
    expect(decodeBase64(text)).toBe(BYTES);
    expect(own).toHaveBeenCalledWith(text);
  });
});

describe("StaticHost", () => {
  it("puts together what the page holds in parts", async () => {
    expect(PAYLOAD.table.length).toBeGreaterThan(1);
    const host = await StaticHost.open(PAYLOAD, read);
    expect(bytesOf(host.get("_table"))).toEqual([...BYTES]);
    expect(host.get("layer")).toBe("whole");
    expect(bytesOf(host.get("_units"))).toEqual([...BYTES.subarray(7)]);
    expect(bytesOf(host.get("_worst"))).toEqual([...BYTES.subarray(7)]);
    expect(host.get("_absent")).toBe("");
  });

  it("asks for the parts of a layer only once it is on show", async () => {
    const asked = vi.fn(read);
    const state = { ...PAYLOAD.state, layer: "absent" };
    const host = await StaticHost.open({ ...PAYLOAD, state }, asked);
    expect(asked.mock.calls.flat()).toEqual([...PAYLOAD.table, ...PAYLOAD.worst]);
    expect(host.get("_absent")).toMatch(/left out/);
    host.set({ layer: "whole" });
    await vi.waitFor(() => expect(host.get("_units")).not.toBeNull());
    expect(asked.mock.calls.flat()).toEqual([...PAYLOAD.table, ...PAYLOAD.worst, "units-0"]);
  });

  it.each(["torn", "lost"])("says that a layer is damaged: %s", async (layer) => {
    const host = await StaticHost.open({ ...PAYLOAD, state: { ...PAYLOAD.state, layer } }, read);
    expect(host.get("_units")).toBeNull();
    expect(host.get("_absent")).toMatch(/damaged/);
  });

  it("refuses a page of another format", async () => {
    await expect(StaticHost.open({ ...PAYLOAD, version: 2 }, read)).rejects.toThrow(/format 2/);
  });
});
