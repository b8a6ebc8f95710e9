import { beforeEach, describe, expect, it, vi } from "vitest";
import type { Host } from "../../src/host/host";
import { EMPTY_RUN, Store } from "../../src/page/store";
import { unitsOnShow } from "../../src/page/units_on_show";
import { packTable } from "../helpers/tables";

const packedTable = (): DataView =>
  packTable([{ name: "a", units: 8, mean: [0, 4, 8, 8], dead: [0, 0, 8, 8] }]);

class FakeHost implements Host {
  readonly title = "";
  readonly text = "";
  readonly canRun = true;
  readonly state: Record<string, unknown> = {};
  readonly listeners = new Map<string, () => void>();
  readonly frames: number[] = [];
  settled = 0;
  get(name: string): unknown {
    return this.state[name];
  }
  set(changes: Readonly<Record<string, unknown>>): void {
    Object.assign(this.state, changes);
    for (const name of Object.keys(changes)) this.listeners.get(name)?.();
  }
  settle(): void {
    this.settled++;
  }
  command(): void {}
  shown(frame: number): void {
    this.frames.push(frame);
  }
  subscribe(name: string, listener: () => void): void {
    this.listeners.set(name, listener);
  }
}

const frames: (() => void)[] = [];

/** Run what waits for the next frame, and tell how much that was. */
function frame(): number {
  const due = frames.splice(0);
  for (const run of due) run();
  return due.length;
}

function opened(state: Record<string, unknown> = {}) {
  const host = new FakeHost();
  Object.assign(host.state, state);
  const store = new Store(host, new AbortController().signal);
  store.update();
  return { host, store };
}

describe("the state of the page", () => {
  beforeEach(() => {
    frames.length = 0;
    vi.stubGlobal("requestAnimationFrame", (run: () => void) => frames.push(run));
    return () => vi.unstubAllGlobals();
  });

  it("has the defaults where the kernel is older", () => {
    const { traits, tolerances, reading } = opened().store;
    expect(tolerances.value).toEqual({
      rtol: 0,
      atol: 1e-8,
      scale: "layer_mean",
      dead_at: 1,
      tau: 0.025,
    });
    expect([traits.selected.value, traits.sort.value, traits.filter.value]).toEqual([[], null, ""]);
    expect([traits.color.value, traits.status.value]).toEqual(["share", "idle"]);
    expect([traits._run.value, reading.value]).toEqual([EMPTY_RUN, null]);
  });

  it("shows what has changed once in a frame, and only where it is shown", () => {
    const { host, store } = opened({ _table: packedTable(), _run: { frame: 1 } });
    const seen: string[] = [];
    store.show(() => seen.push(`atol ${store.tolerances.value.atol}`));
    store.show(() => seen.push(`filter ${store.traits.filter.value}`));
    expect(seen.splice(0)).toEqual(["atol 1e-8", "filter "]);
    store.set({ atol: 0.1 });
    store.set({ atol: 0.2, rtol: 0.5 });
    host.set({ _run: { frame: 2 } });
    expect(seen).toEqual([]);
    expect(frame()).toBe(1);
    expect(seen.splice(0)).toEqual(["atol 0.2"]);
    store.set({ filter: "conv" });
    frame();
    expect(seen).toEqual(["filter conv"]);
    expect(host.frames).toEqual([1, 2, 2]);
  });

  it("reads the table anew at other tolerances, and decodes it only when it has come", () => {
    const { host, store } = opened({ _table: packedTable() });
    const before = store.reading.value;
    const shares: (number | undefined)[] = [];
    store.show(() => shares.push(store.reading.value?.share));
    store.set({ atol: 1 });
    frame();
    expect(new Set(shares).size).toBe(2);
    expect(store.reading.value?.table).toBe(before?.table);
    host.set({ _table: packedTable() });
    frame();
    expect(store.reading.value?.table).not.toBe(before?.table);
  });

  it("takes empty bytes for none and honors a view's offset", () => {
    const table = packedTable();
    const moved = new Uint8Array(table.byteLength + 8);
    moved.set(new Uint8Array(table.buffer, table.byteOffset, table.byteLength), 8);
    for (const [raw, there] of [
      [new DataView(new ArrayBuffer(0)), false],
      [moved.subarray(8), true],
      [moved.buffer.slice(8), true],
    ] as const) {
      const { store } = opened({ _table: raw });
      expect([store.reading.value !== null, store.fault.value]).toEqual([there, null]);
    }
  });

  it("keeps what it has where something cannot be read, and says so until the next frame", () => {
    const { host, store } = opened({ _table: packedTable(), _run: { frame: 1 } });
    host.set({ _table: new Uint8Array(40), filter: "a", _run: { frame: 2 } });
    frame();
    expect(String(store.fault.value)).toMatch(/not from iua_widget/);
    expect(store.reading.value).not.toBeNull();
    expect(store.traits.filter.value).toBe("a");
    expect(host.frames).toEqual([1]);
    host.set({ filter: "b" });
    frame();
    expect([store.fault.value, host.frames]).toEqual([null, [1, 2]]);
  });

  it("updates the other views where one cannot be shown", () => {
    const { store } = opened();
    const seen: string[] = [];
    store.show(() => {
      if (store.traits.filter.value === "b") throw new Error("no b");
    });
    store.show(() => seen.push(store.traits.filter.value));
    store.set({ filter: "b" });
    frame();
    expect([seen, String(store.fault.value)]).toEqual([["", "b"], "Error: no b"]);
  });

  it("lets go of units with their layer, and sends that at once", () => {
    const { host, store } = opened({ layer: "a", selected: [3, 4] });
    store.select("a");
    expect([host.state.selected, host.settled]).toEqual([[3, 4], 1]);
    store.select("b");
    expect([host.state.selected, host.state.layer, host.settled]).toEqual([[], "b", 2]);
  });
});

describe("units that are not on the page", () => {
  it("are waited for, unless the file or a kernel that is gone will never have them", () => {
    const text = (state: object): unknown => {
      const { store } = opened({ _table: packedTable(), layer: "a", ...state });
      return unitsOnShow(store)();
    };
    expect(text({})).toMatchObject({ kind: "message", text: "Waiting for units of a…" });
    expect(text({ _absent: "left out" })).toMatchObject({ text: "left out" });
    expect(text({ _gone: true })).toMatchObject({
      text: expect.stringContaining("kernel that had them is gone"),
    });
    expect(text({ layer: "" })).toMatchObject({ text: expect.stringContaining("Select a layer") });
  });
});
