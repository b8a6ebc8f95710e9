/** Layers by steps as cells of a picture: shares pooled into rows, and into columns of pixels. */

/** Rows from the first layer to the last, each of `width` cells; NaN where nothing was counted. */
export interface StripCells {
  readonly rows: number;
  readonly width: number;
  readonly shares: Float32Array;
}

/** Mean of those that are numbers; NaN of none. */
function meanOf(values: Float32Array, from: number, to: number): number {
  let sum = 0;
  let known = 0;
  for (let place = from; place < to; place++) {
    const value = values[place] as number;
    if (Number.isNaN(value)) continue;
    sum += value;
    known++;
  }
  return sum / known;
}

/** One row a layer, or where there are more than `height` the mean of several. */
function poolLayers(shares: Float32Array, layers: number, rows: number): Float32Array {
  const looks = shares.length / layers;
  const pooled = new Float32Array(rows * looks);
  for (let row = 0; row < rows; row++) {
    const first = Math.floor((row * layers) / rows);
    const last = Math.floor(((row + 1) * layers) / rows);
    for (let look = 0; look < looks; look++) {
      const at = look * layers;
      pooled[row * looks + look] = meanOf(shares, at + first, at + last);
    }
  }
  return pooled;
}

/**
 * `edges`: from where to where each look reaches, in pixels from the left end of the picture. A pixel
 * in which several looks lie shows their mean.
 */
export function stripCells(
  shares: Float32Array,
  layers: number,
  edges: Float64Array,
  width: number,
  height: number,
): StripCells {
  const rows = Math.max(1, Math.min(layers, height));
  const looks = edges.length - 1;
  const pooled = poolLayers(shares, layers, rows);
  const cells = new Float32Array(rows * width);
  let look = 0;
  for (let x = 0; x < width; x++) {
    while (look < looks - 1 && (edges[look + 1] as number) <= x) look++;
    let last = look;
    while (last < looks - 1 && (edges[last + 1] as number) < x + 1) last++;
    for (let row = 0; row < rows; row++) {
      const at = row * looks;
      cells[row * width + x] =
        last === look ? (pooled[at + look] as number) : meanOf(pooled, at + look, at + last + 1);
    }
  }
  return { rows, width, shares: cells };
}
