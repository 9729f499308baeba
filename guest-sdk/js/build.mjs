// Compiles a project's plugin to a component: `node build.mjs SOURCE NAME VERSION OUT`, in the project's folder.
// esbuild makes one file of the plugin, its packages and the SDK; componentize-js compiles that with StarlingMonkey, or
// componentize-qjs with QuickJS where `package.json` says `"oast": { "engine": "quickjs" }`.

import { spawnSync } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

// Found in the project's `node_modules`, which lies above this file, as the compilers are.
import { build } from "esbuild";

const [source, name, version, out] = process.argv.slice(2);
const work = dirname(resolve(out));
const sdk = dirname(fileURLToPath(import.meta.url));

/** Says what is wrong and ends. */
function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

/** One file of an entry and all that it imports, and its source map. */
async function bundle(contents) {
  try {
    const { outputFiles } = await build({
      stdin: { contents, resolveDir: process.cwd(), sourcefile: "entry.js" },
      bundle: true, format: "esm", target: "es2022", platform: "neutral", mainFields: ["module", "main"],
      alias: { "oast-sdk": join(sdk, "src/index.js") },
      sourcemap: "external", outfile: join(work, "bundle.js"), write: false, logLevel: "warning", charset: "utf8",
    });
    return { code: outputFiles.find((file) => file.path.endsWith(".js")).text,
      map: JSON.parse(outputFiles.find((file) => file.path.endsWith(".map")).text) };
  } catch {
    process.exit(1); // esbuild has said what is wrong, and where.
  }
}

const path = (file) => JSON.stringify(file);
const sealed = `import ${path(join(sdk, "src/sealed.js"))};`;
const plugin = `import plugin from ${path(resolve(source))};`;

/** Runs the plugin's module here to learn its kind, and to show what it throws before anything is compiled. */
async function kindOf() {
  const { code } = await bundle(`${plugin} globalThis.oastPlugin = plugin;`);
  const file = join(work, "describe.mjs");
  await writeFile(file, code);
  const script = `await import(${path(pathToFileURL(file).href)}); console.log(globalThis.oastPlugin?.kind);`;
  const { stdout, stderr, status } = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
  if (status !== 0) fail(stderr.trim());
  const kind = stdout.trim();
  if (kind === "transform" || kind === "aggregate") return kind;
  return fail(`\`${source}\` has no plugin: write \`export default transform(…)\` or \`export default aggregate(…)\``);
}

/** For each line of a bundle, the line of the author's file that it came from, as `plugin.js, line 12`. */
function linesOf({ sources, mappings }) {
  const state = [0, 0, 0];
  return mappings.split(";").map((line) => {
    let place;
    for (const segment of line.split(",").filter(Boolean)) {
      const [, ...moves] = decoded(segment);
      moves.slice(0, 3).forEach((move, at) => (state[at] += move));
      const file = relative(process.cwd(), resolve(work, sources[state[0]] ?? ""));
      const foreign = file.startsWith("..") || file.includes("oast-sdk") || file === "entry.js";
      place ??= moves.length && !foreign ? `${file}, line ${state[1] + 1}` : undefined;
    }
    return place ?? 0;
  });
}

/** The numbers of a segment of a source map, each in base 64 with its sign in the lowest bit. */
function decoded(segment) {
  const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const numbers = [];
  let [shift, value] = [0, 0];
  for (const character of segment) {
    const digit = digits.indexOf(character);
    value += (digit & 31) << shift;
    shift += 5;
    if (digit & 32) continue;
    numbers.push(value & 1 ? -(value >> 1) : value >> 1);
    [shift, value] = [0, 0];
  }
  return numbers;
}

const ENGINES = { starlingmonkey: withStarlingMonkey, quickjs: withQuickJs };

async function withStarlingMonkey(sourcePath, witPath, worldName) {
  const { componentize } = await import("@bytecodealliance/componentize-js");
  const disableFeatures = ["stdio", "random", "clocks", "http", "fetch-event"];
  return componentize({ sourcePath, witPath, worldName, disableFeatures });
}

async function withQuickJs(sourcePath, witPath, world) {
  const { componentize } = await import("componentize-qjs");
  return componentize({ jsSource: await readFile(sourcePath, "utf8"), witPath, world, stubWasi: true, sync: true });
}

/** The engine that the project chose. */
async function engineOf() {
  const { oast } = JSON.parse(await readFile("package.json", "utf8"));
  const engine = oast?.engine ?? "starlingmonkey";
  if (Object.hasOwn(ENGINES, engine)) return engine;
  return fail(`package.json: there is no engine \`${engine}\`; "oast": { "engine": … } takes ${Object.keys(ENGINES).join(" or ")}`);
}

const engine = await engineOf();
await mkdir(work, { recursive: true });
const kind = await kindOf();
const { code, map } = await bundle(`${sealed} ${plugin}
import { exported } from ${path(join(sdk, "src/component.js"))};
const made = exported(plugin, ${path(name)}, ${path(version)}, ${path(engine)});
const face = made.plugin;
const work = made.${kind};
export { face as plugin, work as ${kind} };`);
const sourcePath = join(work, "bundle.js");
await writeFile(sourcePath, `${code}\nglobalThis.oastLines = ${JSON.stringify(linesOf(map))};\n`);
const world = kind === "transform" ? "row-transform" : "aggregation";
const { component } = await ENGINES[engine](sourcePath, resolve(sdk, "../wit"), world);
await writeFile(out, component);
