/** Follows the size of a node, and how many pixels of the screen make one CSS pixel. */

export function followPixelSize(node: Element, onChange: () => void, signal: AbortSignal): void {
  const observer = new ResizeObserver(onChange);
  observer.observe(node);
  signal.addEventListener("abort", () => observer.disconnect(), { once: true });
  window.addEventListener("resize", onChange, { signal });
  followRatio(onChange, signal);
}

/** A window moved to another screen changes its ratio without a change of size. */
function followRatio(onChange: () => void, signal: AbortSignal): void {
  if (signal.aborted) return;
  matchMedia(`(resolution: ${window.devicePixelRatio}dppx)`).addEventListener(
    "change",
    () => {
      onChange();
      followRatio(onChange, signal);
    },
    { signal, once: true },
  );
}
