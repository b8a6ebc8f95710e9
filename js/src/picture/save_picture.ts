/** Saves a picture as a file: SVG as drawn, PNG at twice its size. */

import type { DrawnPicture, PictureColors } from "./picture";

const PNG_SCALE = 2;
const RELEASE_AFTER_MS = 60_000;

function download(blob: Blob, name: string): void {
  const address = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), RELEASE_AFTER_MS);
}

function svgBlob({ svg }: DrawnPicture): Blob {
  return new Blob([svg], { type: "image/svg+xml" });
}

async function pngBlob(picture: DrawnPicture): Promise<Blob> {
  const image = new Image(picture.width, picture.height);
  const address = URL.createObjectURL(svgBlob(picture));
  try {
    image.src = address;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = picture.width * PNG_SCALE;
    canvas.height = picture.height * PNG_SCALE;
    canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((resolve, reject) => {
      canvas.toBlob((blob) => {
        if (blob === null) reject(new Error("The browser could not write the picture as PNG"));
        else resolve(blob);
      });
    });
  } finally {
    URL.revokeObjectURL(address);
  }
}

export async function savePicture(
  picture: DrawnPicture,
  kind: "svg" | "png",
  name: string,
): Promise<void> {
  const file = name.replace(/[^\p{L}\p{N}._-]+/gu, "-").slice(0, 80) || "iua";
  download(kind === "svg" ? svgBlob(picture) : await pngBlob(picture), `${file}.${kind}`);
}

export function colorsOf(node: Element): PictureColors {
  const style = getComputedStyle(node);
  const probe = document.createElement("span");
  probe.hidden = true;
  node.append(probe);
  // Asked for as a color of an element: a variable may stand for another, or for a system color.
  const color = (name: string): string => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const colors = {
    ground: color("--iua-ground"),
    text: color("--iua-text"),
    muted: color("--iua-muted"),
    line: color("--iua-line"),
    bar: color("--iua-bar"),
    barUpper: color("--iua-bar-upper"),
    barRest: color("--iua-bar-rest"),
    accent: color("--iua-accent"),
    dead: color("--iua-dead-text"),
    font: style.fontFamily,
  };
  probe.remove();
  return colors;
}
