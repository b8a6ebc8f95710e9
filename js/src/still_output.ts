/** The output that is kept for readers without a kernel: it is not shown where the widget lives. */

/** Hide the output of this name, and in JupyterLab and its kin its row, until the view goes. */
export function hideStill(name: unknown, page: Document, signal: AbortSignal): void {
  if (typeof name !== "string" || name === "" || signal.aborted) return;
  const style = page.createElement("style");
  const hidden = "{ display: none !important; }";
  style.textContent = `.${name} ${hidden}\n.jp-OutputArea-child:has(.${name}) ${hidden}`;
  page.head.append(style);
  signal.addEventListener("abort", () => style.remove(), { once: true });
}
