/** Follows whether the kernel of a widget has been restarted, shut down or has died. */

import { GONE, type WidgetModel } from "./host";

/** What a kernel goes through only before a widget of it is there, or when it is there no more. */
const GONE_STATES: ReadonlySet<string> = new Set([
  "starting",
  "restarting",
  "autorestarting",
  "terminating",
  "dead",
]);

interface Told<Value> {
  connect(slot: (sender: unknown, value: Value) => void): unknown;
  disconnect(slot: (sender: unknown, value: Value) => void): unknown;
}

/** The part of JupyterLab's connection to a kernel that is used here. */
interface Kernel {
  readonly statusChanged?: Told<string>;
  readonly disposed?: Told<unknown>;
}

function kernelOf(model: WidgetModel): Kernel | null {
  const manager = model.widget_manager as { readonly kernel?: Kernel | null } | undefined;
  return manager?.kernel ?? null;
}

/**
 * Follow the kernel where the host lets on how it is, as Jupyter's do; others say nothing here.
 * What is heard from the kernel afterwards takes the mark away.
 */
export function followKernel(model: WidgetModel, signal?: AbortSignal): void {
  const kernel = kernelOf(model);
  if (kernel === null || signal?.aborted) return;
  const mark = (gone: boolean): void => {
    if ((model.get(GONE) === true) !== gone) model.set(GONE, gone);
  };
  const onStatus = (_kernel: unknown, status: string): void => {
    if (GONE_STATES.has(status)) mark(true);
  };
  const onDisposed = (): void => mark(true);
  const onHeard = (): void => mark(false);
  kernel.statusChanged?.connect(onStatus);
  kernel.disposed?.connect(onDisposed);
  model.on("change:_run", onHeard);
  signal?.addEventListener(
    "abort",
    () => {
      kernel.statusChanged?.disconnect(onStatus);
      kernel.disposed?.disconnect(onDisposed);
      model.off("change:_run", onHeard);
    },
    { once: true },
  );
}
