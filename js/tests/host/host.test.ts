import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { AnywidgetHost } from "../../src/host/host";
import { FakeModel } from "../helpers/fake_model";

describe("AnywidgetHost", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("sets at once but saves at most every 100 ms, and the last value when settled", () => {
    const model = new FakeModel();
    const host = new AnywidgetHost(model, new AbortController().signal);
    for (let step = 1; step <= 20; step++) {
      host.set({ atol: step });
      expect(model.state.atol).toBe(step);
      vi.advanceTimersByTime(16);
    }
    expect(model.saves).toBeLessThanOrEqual(4);
    const before = model.saves;
    host.set({ atol: 99 });
    host.settle();
    expect(model.saves).toBe(before + 1);
    vi.advanceTimersByTime(1000);
    expect(model.saves).toBe(before + 1);
  });

  it("sends what still waits when the view goes, and leaves no listener", () => {
    const model = new FakeModel();
    const view = new AbortController();
    const host = new AnywidgetHost(model, view.signal);
    let calls = 0;
    host.subscribe("rtol", () => calls++, view.signal);
    host.set({ rtol: 0.1 });
    host.set({ rtol: 0.2 });
    view.abort();
    expect(model.saves).toBe(2);
    model.set("rtol", 0.3);
    expect(calls).toBe(2);
    expect([...model.listeners.values()].every((set) => set.size === 0)).toBe(true);
  });
});
