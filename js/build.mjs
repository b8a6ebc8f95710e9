import { build, context } from "esbuild";

const options = {
  entryPoints: { widget: "src/widget.ts" },
  outdir: "../iua_widget/static",
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "none",
  logLevel: "info",
};

if (process.argv.includes("--watch")) {
  const watcher = await context({ ...options, minify: false });
  await watcher.watch();
} else {
  await build(options);
}
