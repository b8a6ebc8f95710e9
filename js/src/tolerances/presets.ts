/** Tolerances by name, as Python has them (`iua_widget.PRESETS`; tests hold them together). */

import type { Tolerances } from "../reading/threshold";

export interface Preset {
  readonly name: string;
  readonly formula: string;
  readonly source: string;
  readonly settings: Partial<Tolerances>;
}

function absolute(name: string, formula: string, source: string, atol: number): Preset {
  return { name, formula, source, settings: { rtol: 0, atol } };
}

function relative(name: string, formula: string, source: string, rtol: number): Preset {
  return { name, formula, source, settings: { rtol, atol: 0, scale: "layer_mean" } };
}

function dormant(tau: number): Preset {
  const formula =
    tau === 0 ? "mean |x| = 0" : `mean |x| of the unit ≤ ${tau} × mean |x| of the layer`;
  const source = "Sokar et al. 2023: the column “dormant”; in maps, of channels";
  return { name: `tau-dormant ${tau}`, formula, source, settings: { tau } };
}

export const PRESETS: readonly Preset[] = [
  absolute("exact zero", "x = 0", "APoZ, Hu et al. 2016", 0),
  absolute("DNIKit", "|x| ≤ 1e-8", "DNIKit's Inactive Unit Analysis, 2023", 1e-8),
  absolute("SAE", "|x| ≤ 1e-6", "dashboards of sparse autoencoders", 1e-6),
  absolute("near zero", "|x| ≤ 0.05", "fastai's ActivationStats, unsigned", 0.05),
  relative(
    "relative",
    "|x| ≤ 0.05 × layer mean |x|",
    "for nets without exact zeros: GELU, SiLU, tanh",
    0.05,
  ),
  dormant(0),
  dormant(0.025),
  dormant(0.1),
  {
    name: "rarely active",
    formula: "dead from 99 % of probes",
    source: "SageMaker Debugger; Dohare et al. 2024",
    settings: { dead_at: 0.99 },
  },
];

export const RELATIVE = PRESETS.find((preset) => preset.name === "relative") as Preset;

/** Whether the tolerances are what a preset sets; what rtol is relative to says nothing at rtol 0. */
export function inForce({ settings }: Preset, tolerances: Tolerances): boolean {
  const { rtol, atol, scale, dead_at, tau } = settings;
  return (
    (rtol === undefined || rtol === tolerances.rtol) &&
    (atol === undefined || atol === tolerances.atol) &&
    (scale === undefined || rtol === 0 || scale === tolerances.scale) &&
    (dead_at === undefined || dead_at === tolerances.dead_at) &&
    (tau === undefined || tau === tolerances.tau)
  );
}
