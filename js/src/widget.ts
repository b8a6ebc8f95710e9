/** The entry: what anywidget calls, and what an exported file calls. */

import { AnywidgetHost, type Host, type WidgetModel } from "./host/host";
import { followKernel } from "./host/kernel_watch";
import { type ReadPart, StaticHost, type StaticPayload } from "./host/static_host";
import { hideStill, keepInNotebook } from "./page/still_output";
import "./styles.css";
import { App } from "./page/app";
import { Alert } from "./ui/alert";
import { element } from "./ui/dom";

interface RenderContext {
  readonly model: WidgetModel;
  readonly el: HTMLElement;
  readonly signal?: AbortSignal;
}

function showFailure(el: HTMLElement, error: unknown): void {
  const alert = new Alert();
  alert.show(
    "The widget could not be shown.",
    `${error instanceof Error ? error.message : String(error)} Update iua_widget, restart the kernel and reload the page.`,
  );
  el.replaceChildren(element("div", { class: "iua-widget" }, alert.node()));
}

/** What goes wrong in a listener or a timer of this bundle, and not in the page around it. */
function onOwnErrors(report: (error: unknown) => void, signal: AbortSignal): void {
  const own = (error: unknown): boolean =>
    error instanceof Error && (error.stack ?? "").includes(import.meta.url);
  window.addEventListener("error", ({ error }) => own(error) && report(error), { signal });
  window.addEventListener("unhandledrejection", ({ reason }) => own(reason) && report(reason), {
    signal,
  });
}

function mount(el: HTMLElement, host: Host, signal: AbortSignal): void {
  const app = new App(host, signal);
  el.append(app.node());
  onOwnErrors((error) => app.fail(error), signal);
  app.paint();
}

function render({ model, el, signal }: RenderContext): () => void {
  const view = new AbortController();
  signal?.addEventListener("abort", () => view.abort(), { once: true });
  try {
    mount(el, new AnywidgetHost(model, view.signal), view.signal);
    const still = String(model.get("_still") ?? "");
    if (still !== "") {
      hideStill(still, el.ownerDocument, view.signal);
      keepInNotebook(still, model, view.signal);
    }
  } catch (error) {
    showFailure(el, error);
  }
  return () => view.abort();
}

/** Show exported data without a kernel; resolves once it is painted. */
export async function renderStatic(
  el: HTMLElement,
  payload: StaticPayload,
  read: ReadPart,
): Promise<void> {
  try {
    mount(el, await StaticHost.open(payload, read), new AbortController().signal);
  } catch (error) {
    showFailure(el, error);
  }
}

/** Once a widget, however many views it has, and also while it has none. */
function initialize({ model, signal }: Pick<RenderContext, "model" | "signal">): void {
  followKernel(model, signal);
}

export default { initialize, render };
