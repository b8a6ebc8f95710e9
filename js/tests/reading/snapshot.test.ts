import { describe, expect, it } from "vitest";
import { decode, decodeTable, decodeUnits, SnapshotError } from "../../src/reading/snapshot";
import { layerMeta, pack } from "../helpers/pack";

const ARRAYS = {
  a: { dtype: "u1", shape: [3], values: [1, 2, 255] },
  b: { dtype: "u2", shape: [2, 1], values: [7, 65535] },
  c: { dtype: "u4", shape: [1], values: [4294967295] },
  d: { dtype: "f4", shape: [1], values: [0.5] },
  e: { dtype: "f8", shape: [2], values: [1e-300, 2 ** 40] },
} as const;

describe("decode", () => {
  for (const byteOffset of [0, 1, 3, 8, 12]) {
    it(`reads every type at byte offset ${byteOffset}`, () => {
      const { meta, arrays } = decode(pack({ kind: "né → 名" }, ARRAYS, { byteOffset }));
      expect(meta.kind).toBe("né → 名");
      for (const [name, { values }] of Object.entries(ARRAYS)) {
        expect(Array.from(arrays.get(name) ?? [])).toEqual(values);
      }
    });
  }

  it("does not copy what is aligned", () => {
    const view = pack({}, ARRAYS, { byteOffset: 8 });
    expect(decode(view).arrays.get("e")?.buffer).toBe(view.buffer);
  });

  it("names another magic and says what to do", () => {
    expect(() => decode(pack({}, {}, { magic: "NOPE" }))).toThrow(/restart the kernel/);
  });

  it("names a newer version and says what to do", () => {
    expect(() => decode(pack({}, {}, { version: 4 }))).toThrow(/format 4.*[Uu]pdate/);
  });

  it("refuses data that is cut off", () => {
    const whole = pack({}, ARRAYS);
    for (const length of [0, 4, 15, 40, whole.byteLength - 8]) {
      expect(() => decode(new DataView(whole.buffer, 0, length))).toThrow(SnapshotError);
    }
  });

  it("refuses an unknown type and a header that is no JSON", () => {
    const odd = { a: { dtype: "u1", shape: [1], values: [1] } } as const;
    const view = pack({}, odd);
    const text = new TextDecoder().decode(view).replace('"u1"', '"i1"');
    expect(() => decode(new DataView(new TextEncoder().encode(text).buffer))).toThrow(/i1/);
    view.setUint8(16, 0x5d);
    expect(() => decode(view)).toThrow(/header/);
  });
});

describe("decodeTable and decodeUnits", () => {
  const table = {
    mean: { dtype: "f8", shape: [1, 3], values: [0, 1, 2] },
    std: { dtype: "f8", shape: [1, 3], values: [0, 0, 0] },
    dead: { dtype: "u4", shape: [1, 3], values: [0, 1, 2] },
    dead_channels: { dtype: "u4", shape: [1, 3], values: [0, 0, 1] },
    dormant: { dtype: "u4", shape: [1, 2], values: [0, 1] },
  } as const;
  const meta = {
    kind: "table",
    stops: [0, 1],
    rtol_stops: [0, 0.1],
    tau_stops: [0, 0.1],
    probes: 10,
    dead_at: 1,
    layers: [layerMeta("a", 2)],
  };

  it("reads a table", () => {
    const snapshot = decodeTable(pack(meta, table));
    expect(snapshot.rtolStops).toEqual([0, 0.1]);
    expect(snapshot.layers[0]?.name).toBe("a");
    expect(Array.from(snapshot.dead)).toEqual([0, 1, 2]);
    expect(Array.from(snapshot.deadChannels)).toEqual([0, 0, 1]);
    expect(Array.from(snapshot.dormant)).toEqual([0, 1]);
    expect(snapshot.deadAt).toBe(1);
  });

  it("reads what a unit is, and lengths that vary", () => {
    const tokens = { unit: "token", response_shape: [null, 2], masked: 7 };
    const layers = [layerMeta("a", 2, tokens)];
    expect(decodeTable(pack({ ...meta, layers }, table)).layers[0]).toMatchObject(tokens);
  });

  it("reads units that come channel by channel, and where their own axis is", () => {
    const units = {
      kind: "units",
      layer: "a",
      shape: [2, 1, 3],
      channel_axis: 2,
      units: 6,
      probes: 10,
      stops: [0],
      columns: [1],
    };
    const counts = { dtype: "u1", shape: [1, 6], values: [0, 1, 2, 3, 4, 5] } as const;
    const snapshot = decodeUnits(pack(units, { counts }));
    expect(snapshot.shape).toEqual([2, 1, 3]);
    expect(snapshot.channel_axis).toBe(2);
    expect(Array.from(snapshot.counts)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(snapshot.mean_abs).toBeNull();
    const rms = { dtype: "f4", shape: [6], values: [0, 1, 2, 3, 4, 0.5] } as const;
    expect(decodeUnits(pack(units, { counts, rms })).rms?.[5]).toBe(0.5);
    const short = { dtype: "f4", shape: [5], values: [0, 1, 2, 3, 4] } as const;
    expect(() => decodeUnits(pack(units, { counts, rms: short }))).toThrow(/rms/);
  });

  it("refuses the other kind, a missing array and one of the wrong length", () => {
    expect(() => decodeUnits(pack(meta, table))).toThrow(/kind “units”, got “table”/);
    const { dead: _dead, ...rest } = table;
    expect(() => decodeTable(pack(meta, rest))).toThrow(/dead/);
    expect(() => decodeTable(pack({ ...meta, stops: [0, 1, 2] }, table))).toThrow(/mean/);
  });
});
