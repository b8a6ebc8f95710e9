import { describe, expect, it } from "vitest";
import { AnywidgetHost, GONE } from "../../src/host/host";
import { followKernel } from "../../src/host/kernel_watch";
import { FakeModel } from "../helpers/fake_model";

class Signal<Value> {
  readonly slots = new Set<(sender: unknown, value: Value) => void>();
  connect(slot: (sender: unknown, value: Value) => void): void {
    this.slots.add(slot);
  }
  disconnect(slot: (sender: unknown, value: Value) => void): void {
    this.slots.delete(slot);
  }
  emit(value: Value): void {
    for (const slot of this.slots) slot(null, value);
  }
}

class Model extends FakeModel {
  readonly kernel = { statusChanged: new Signal<string>(), disposed: new Signal<unknown>() };
  readonly widget_manager: unknown;
  constructor(manager?: unknown) {
    super();
    this.widget_manager = manager ?? { kernel: this.kernel };
  }
}

describe("a kernel that the notebook tells of", () => {
  it.each(["restarting", "autorestarting", "starting", "terminating", "dead"])(
    "is gone: %s",
    (status) => {
      const model = new Model();
      followKernel(model);
      model.kernel.statusChanged.emit(status);
      expect(new AnywidgetHost(model, new AbortController().signal).get(GONE) === true).toBe(true);
    },
  );

  it("is gone when the connection to it is let go of", () => {
    const model = new Model();
    followKernel(model);
    model.kernel.disposed.emit(undefined);
    expect(new AnywidgetHost(model, new AbortController().signal).get(GONE) === true).toBe(true);
  });

  it.each(["busy", "idle", "unknown"])("is there: %s", (status) => {
    const model = new Model();
    followKernel(model);
    model.kernel.statusChanged.emit(status);
    expect(new AnywidgetHost(model, new AbortController().signal).get(GONE) === true).toBe(false);
  });

  it("gets nothing while it is gone, and what was set meanwhile when it is heard again", () => {
    const model = new Model();
    followKernel(model);
    const host = new AnywidgetHost(model, new AbortController().signal);
    const heard: boolean[] = [];
    host.subscribe(GONE, () => heard.push(host.get(GONE) === true), new AbortController().signal);
    model.kernel.statusChanged.emit("restarting");
    model.kernel.statusChanged.emit("starting");
    host.set({ filter: "conv" });
    host.settle();
    host.command("restart");
    host.shown(3);
    expect([model.saves, model.sent]).toEqual([0, []]);
    expect(host.get("filter")).toBe("conv");
    model.set("_run", {});
    expect(heard).toEqual([true, false]);
    expect(model.saves).toBe(1);
  });

  it("is followed as long as the widget is there", () => {
    const model = new Model();
    const widget = new AbortController();
    followKernel(model, widget.signal);
    widget.abort();
    expect(model.kernel.statusChanged.slots.size + model.kernel.disposed.slots.size).toBe(0);
    expect([...model.listeners.values()].every((set) => set.size === 0)).toBe(true);
  });

  it.each([undefined, {}, { kernel: null }, { kernel: {} }])(
    "is taken to be there where the host says nothing: %s",
    (manager) => {
      const model = new Model(manager ?? {});
      followKernel(model);
      expect(new AnywidgetHost(model, new AbortController().signal).get(GONE) === true).toBe(false);
    },
  );
});
