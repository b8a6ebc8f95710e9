/** Hides the static table that a notebook keeps for readers without a kernel, and keeps it up to date. */

import type { WidgetModel } from "../host/host";

/** Hide the output of this name, and in JupyterLab and its kin its row, until the view goes. */
export function hideStill(name: string, page: Document, signal: AbortSignal): void {
  if (signal.aborted) return;
  const style = page.createElement("style");
  const hidden = "{ display: none !important; }";
  style.textContent = `.${name} ${hidden}\n.jp-OutputArea-child:has(.${name}) ${hidden}`;
  page.head.append(style);
  signal.addEventListener("abort", () => style.remove(), { once: true });
}

type Data = Readonly<Record<string, unknown>>;

/** What JupyterLab's widget manager knows of the notebook, as far as it is used here. */
interface Manager {
  readonly context?: { readonly model?: { readonly cells?: Iterable<Cell> } };
}

interface Cell {
  readonly outputs?: { readonly length: number; get(index: number): Output };
}

interface Output {
  readonly data: Data;
  setData(change: { readonly data: Data }): void;
}

function* outputsNamed(name: string, manager: Manager | undefined): Generator<Output> {
  for (const { outputs } of manager?.context?.model?.cells ?? []) {
    for (let index = 0; index < (outputs?.length ?? 0); index++) {
      const output = outputs?.get(index);
      if (String(output?.data?.["text/html"] ?? "").includes(name)) yield output as Output;
    }
  }
}

/**
 * Bring the output up to date in the notebook itself. JupyterLab does so when the kernel says so, but
 * not after the page was loaded anew: it no longer knows then which output the kernel means.
 */
export function keepInNotebook(name: string, model: WidgetModel, signal: AbortSignal): void {
  const kept = (): Output[] => {
    try {
      return [...outputsNamed(name, model.widget_manager as Manager | undefined)];
    } catch {
      return []; // a manager of another kind
    }
  };
  const onMessage = (content: unknown): void => {
    const { type, data } = content as { type?: string; data?: Data };
    if (type !== "kept" || data === undefined) return;
    for (const output of kept()) {
      if (output.data["text/html"] !== data["text/html"]) output.setData({ data });
    }
  };
  model.on("msg:custom", onMessage);
  signal.addEventListener("abort", () => model.off("msg:custom", onMessage), { once: true });
  if (kept().length > 0) model.send({ type: "keep" });
}
