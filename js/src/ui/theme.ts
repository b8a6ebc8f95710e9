/** Follows the colors of the page: theme, contrast and forced colors. */

const QUERIES = [
  "(prefers-color-scheme: dark)",
  "(prefers-contrast: more)",
  "(forced-colors: active)",
];
const ATTRIBUTES = [
  "class",
  "theme",
  "data-theme",
  "data-bs-theme",
  "data-jp-theme-light",
  "style",
];

export function followTheme(onChange: () => void, signal: AbortSignal): void {
  const observer = new MutationObserver(onChange);
  for (const node of [document.documentElement, document.body]) {
    observer.observe(node, { attributes: true, attributeFilter: ATTRIBUTES });
  }
  for (const query of QUERIES) {
    matchMedia(query).addEventListener("change", onChange, { signal });
  }
  signal.addEventListener("abort", () => observer.disconnect(), { once: true });
}
