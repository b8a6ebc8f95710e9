/** Copies text to the clipboard, also where a page may not write to it by itself. */

import { element } from "./dom";

function copyBySelection(text: string, home: HTMLElement): boolean {
  const focused = document.activeElement;
  const area = element("textarea", {
    class: "iua-hidden",
    attributes: { "aria-hidden": "true", tabindex: "-1" },
  });
  area.value = text;
  home.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  if (focused instanceof HTMLElement) focused.focus({ preventScroll: true });
  return copied;
}

/** Whether it is there now. */
export async function copyText(text: string, home: HTMLElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text, home);
  }
}
