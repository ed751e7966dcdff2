// Makes dist/: the files that the service serves, and HASHES, which lists them.
//
//     npm ci --ignore-scripts && npm run build      (or: make web)
//
// The same sources give the same bytes on every machine: no time, path or setting goes in. A file
// under web/ has a part of its hash in its name, so a browser may keep it for ever.

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const here = (path) => new URL(path, import.meta.url);
const out = here("dist/");
const text = (path) => readFileSync(here(path), "utf8");
const sha256 = (content) => createHash("sha256").update(content).digest("hex");

const files = new Map();

/** Adds a file below web/ and returns its name there. */
function keep(name, content) {
  const [, stem, suffix] = /^(.*)(\.\w+)$/.exec(name);
  const hashed = `${stem}-${sha256(content).slice(0, 10)}${suffix}`;
  files.set(`web/${hashed}`, content);
  return hashed;
}

const options = {
  absWorkingDir: new URL(".", import.meta.url).pathname,
  bundle: true,
  minify: true,
  write: false,
  charset: "utf8",
  legalComments: "none",
  target: ["es2022", "chrome111", "firefox115", "safari16.4"],
  logLevel: "warning",
};

rmSync(out, { recursive: true, force: true });

const world = keep("world.json", text("data/world.json"));
const towns = keep("towns.json", text("data/towns.json"));
const icon = keep("icon.svg", text("icon.svg"));
const touchIcon = keep("icon-180.png", readFileSync(here("icon-180.png")));

async function styles(name) {
  const made = await build({
    ...options,
    entryPoints: [name],
    outdir: "web",
    loader: { ".png": "dataurl" },
  });
  return keep(name, made.outputFiles[0].text);
}
const css = await styles("app.css");
const mapCss = await styles("map.css");

const scripts = await build({
  ...options,
  entryPoints: { app: "src/main.ts" },
  outdir: "web",
  format: "esm",
  splitting: true,
  metafile: true,
  entryNames: "[name]-[hash]",
  chunkNames: "[name]-[hash]",
  define: {
    MAP_CSS: JSON.stringify(mapCss),
    WORLD: JSON.stringify(world),
    TOWNS: JSON.stringify(towns),
  },
});
for (const file of scripts.outputFiles) {
  files.set(`web/${file.path.split("/").at(-1)}`, file.text);
}
const [entry] = Object.entries(scripts.metafile.outputs).find(([, made]) => made.entryPoint);
const script = entry.split("/").at(-1);

const fill = (source, names) => {
  const filled = source.replace(/%(\w+)%/g, (_, name) => {
    if (!(name in names)) throw new Error(`%${name}% is not known`);
    return names[name];
  });
  return filled;
};
files.set("index.html", fill(text("index.html"), { css, icon, touchIcon, script }));
files.set("manifest.webmanifest", fill(text("manifest.webmanifest"), { icon, touchIcon }));

const shell = [...files.keys()].filter((name) => name.startsWith("web/")).sort();
const version = sha256([...files].sort().map(([name, it]) => name + sha256(it)).join()).slice(0, 16);
const worker = await build({
  ...options,
  entryPoints: { sw: "src/worker.ts" },
  outdir: ".",
  format: "iife",
  define: { SHELL: JSON.stringify(shell), VERSION: JSON.stringify(version) },
});
files.set("sw.js", worker.outputFiles[0].text);

mkdirSync(new URL("web/", out), { recursive: true });
const lines = [];
for (const [name, content] of [...files].sort(([one], [other]) => (one < other ? -1 : 1))) {
  writeFileSync(new URL(name, out), content);
  lines.push(`${sha256(content)}  ${name}\n`);
}
writeFileSync(new URL("HASHES", out), lines.join(""));
console.log(`dist/: ${readdirSync(out, { recursive: true }).length} files, version ${version}`);
