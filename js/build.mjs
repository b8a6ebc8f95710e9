import { readFile, writeFile } from "node:fs/promises";
import { build, context } from "esbuild";
import { minify } from "terser";

const outdir = "../iua_widget/static";

/** Our rules outweigh those of any page around, which may be for elements within this and that. */
const weighty = {
  name: "weighty",
  setup(build) {
    build.onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const text = await readFile(path, "utf8");
      const contents = text.replaceAll(/\.iua-widget(?![-\w])/g, ".iua-widget:not(#_)");
      return { contents, loader: "css" };
    });
  },
};

/** What is bundled of others comes with its license. */
const licenses = await Promise.all(
  Object.keys(JSON.parse(await readFile("package.json", "utf8")).dependencies).map(
    async (name) =>
      `/*! ${name}\n${(await readFile(`node_modules/${name}/LICENSE`, "utf8")).trim()} */`,
  ),
);

const options = {
  entryPoints: { widget: "src/widget.ts" },
  outdir,
  bundle: true,
  format: "esm",
  target: "es2022",
  // Nested style rules are written out for browsers that do not know them.
  supported: { nesting: false },
  minify: true,
  legalComments: "none",
  banner: { js: licenses.join("\n") },
  logLevel: "info",
  plugins: [weighty],
};

/** What esbuild leaves is 4 % too much once compressed: it does not inline what is used once. */
async function shrink(path) {
  const { code } = await minify(await readFile(path, "utf8"), {
    module: true,
    ecma: 2022,
    compress: { passes: 2 },
    format: { comments: "some" },
  });
  await writeFile(path, code);
}

if (process.argv.includes("--watch")) {
  const watcher = await context({ ...options, minify: false });
  await watcher.watch();
} else {
  await build(options);
  await shrink(`${outdir}/widget.js`);
}
