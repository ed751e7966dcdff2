/** The built-in map: land, borders and towns, drawn on tiles of canvas without any network. */

import L from "leaflet";
import type { Town } from "./towns.js";

declare const WORLD: string;

interface Stored {
  readonly scale: readonly [number, number];
  readonly translate: readonly [number, number];
  readonly arcs: readonly (readonly number[])[];
  readonly rings: readonly (readonly (readonly number[])[])[];
}

/** A polygon in the plane of the map, of which the world is 1 wide and 1 high. */
interface Shape {
  readonly rings: readonly Float64Array[];
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

const MOST_NORTHERN = 85.0511;
const LABEL_ROOM = 120; // pixels beside a tile from which a name reaches into it

let loading: Promise<readonly Shape[]> | null = null;

export class World extends L.GridLayer {
  #shapes: readonly Shape[] = [];
  #towns: readonly Town[] = [];
  readonly #named = new Map<number, readonly Named[]>();
  readonly #scheme = matchMedia("(prefers-color-scheme: dark)");

  constructor() {
    super({ updateWhenZooming: false, keepBuffer: 1 });
    loading ??= load();
    void loading
      .then((shapes) => {
        this.#shapes = shapes;
        this.redraw();
      })
      .catch(() => {
        loading = null; // positions are shown without land
      });
    this.#scheme.addEventListener("change", () => this.redraw());
  }

  setTowns(towns: readonly Town[]): void {
    if (towns === this.#towns) return;
    this.#towns = towns;
    this.#named.clear();
    this.redraw();
  }

  protected override createTile(coordinates: L.Coords): HTMLElement {
    const size = this.getTileSize();
    const tile = document.createElement("canvas");
    const density = Math.min(2, devicePixelRatio || 1);
    tile.width = size.x * density;
    tile.height = size.y * density;
    const context = tile.getContext("2d");
    if (!context) return tile;
    context.scale(density, density);
    const palette = this.#scheme.matches ? DARK : LIGHT;
    context.fillStyle = palette.water;
    context.fillRect(0, 0, size.x, size.y);
    const width = size.x * 2 ** coordinates.z;
    // Beyond the date line the world begins again.
    const turns = Math.floor((coordinates.x * size.x) / width);
    const left = coordinates.x * size.x - turns * width;
    const top = coordinates.y * size.y;
    drawLand(context, this.#shapes, palette, { left, top, size: size.x, width });
    drawTowns(context, this.#namesAt(coordinates.z, width), palette, { left, top, size: size.x, width });
    return tile;
  }

  /** Choose the towns of a zoom whose names have room: the largest first. */
  #namesAt(zoom: number, width: number): readonly Named[] {
    const known = this.#named.get(zoom);
    if (known) return known;
    const taken = new Set<string>();
    const named: Named[] = [];
    for (const town of this.#towns) {
      const [x, y] = plane(town.longitude, town.latitude);
      const [column, row] = [Math.floor((x * width) / 110), Math.floor((y * width) / 26)];
      const around = [-1, 0, 1].flatMap((aside) =>
        [-1, 0, 1].map((below) => `${column + aside},${row + below}`),
      );
      if (around.some((cell) => taken.has(cell))) continue;
      taken.add(`${column},${row}`);
      named.push({ name: town.name, x: x * width, y: y * width });
    }
    this.#named.set(zoom, named);
    return named;
  }
}

interface Named {
  readonly name: string;
  readonly x: number;
  readonly y: number;
}

interface Window_ {
  readonly left: number;
  readonly top: number;
  readonly size: number;
  readonly width: number;
}

interface Palette {
  readonly water: string;
  readonly land: string;
  readonly border: string;
  readonly name: string;
  readonly halo: string;
}

const LIGHT: Palette = {
  water: "#cfe0ea",
  land: "#f6f4ec",
  border: "#b9b3a1",
  name: "#3d4650",
  halo: "#f6f4ec",
};
const DARK: Palette = {
  water: "#10202b",
  land: "#26323b",
  border: "#4b5a66",
  name: "#c7d1d9",
  halo: "#26323b",
};

function drawLand(
  context: CanvasRenderingContext2D,
  shapes: readonly Shape[],
  palette: Palette,
  { left, top, size, width }: Window_,
): void {
  context.beginPath();
  for (const [shape, turn] of shapes.flatMap((it) => [-1, 0, 1].map((turn) => [it, turn] as const))) {
    const isOutside =
      (shape.right + turn) * width < left ||
      (shape.left + turn) * width > left + size ||
      shape.bottom * width < top ||
      shape.top * width > top + size;
    if (isOutside) continue;
    for (const ring of shape.rings) {
      let [lastX, lastY] = [Infinity, Infinity];
      for (let at = 0; at < ring.length; at += 2) {
        const x = (ring[at]! + turn) * width - left;
        const y = ring[at + 1]! * width - top;
        if (at === 0) context.moveTo(x, y);
        else if (Math.abs(x - lastX) + Math.abs(y - lastY) > 0.7) context.lineTo(x, y);
        else continue;
        [lastX, lastY] = [x, y];
      }
      context.closePath();
    }
  }
  context.fillStyle = palette.land;
  context.fill("evenodd");
  context.strokeStyle = palette.border;
  context.lineWidth = 0.8;
  context.stroke();
}

function drawTowns(
  context: CanvasRenderingContext2D,
  towns: readonly Named[],
  palette: Palette,
  { left, top, size }: Window_,
): void {
  context.font = "12px system-ui, sans-serif";
  context.textBaseline = "middle";
  context.lineJoin = "round";
  context.lineWidth = 3;
  for (const { name, x, y } of towns) {
    const [atX, atY] = [x - left, y - top];
    if (atX < -LABEL_ROOM || atX > size + 4 || atY < -12 || atY > size + 12) continue;
    context.strokeStyle = palette.halo;
    context.fillStyle = palette.name;
    context.beginPath();
    context.arc(atX, atY, 2, 0, 7);
    context.fill();
    context.strokeText(name, atX + 5, atY);
    context.fillText(name, atX + 5, atY);
  }
}

async function load(): Promise<readonly Shape[]> {
  const answer = await fetch(new URL(WORLD, import.meta.url));
  if (!answer.ok) throw new Error(String(answer.status));
  const stored = (await answer.json()) as Stored;
  const arcs = stored.arcs.map((arc) => unpack(arc, stored));
  return stored.rings.map((rings) => shape(rings.map((ring) => join(ring, arcs))));
}

/** Follow the steps of an arc, into the plane of the map. */
function unpack(arc: readonly number[], { scale, translate }: Stored): Float64Array {
  const points = new Float64Array(arc.length);
  let [x, y] = [0, 0];
  for (let at = 0; at < arc.length; at += 2) {
    x += arc[at]!;
    y += arc[at + 1]!;
    const [planeX, planeY] = plane(x * scale[0] + translate[0], y * scale[1] + translate[1]);
    points[at] = planeX;
    points[at + 1] = planeY;
  }
  return points;
}

/** Join arcs to a ring; a negative number is an arc that is gone through backwards. */
function join(ring: readonly number[], arcs: readonly Float64Array[]): Float64Array {
  const points: number[] = [];
  for (const number of ring) {
    const arc = arcs[number < 0 ? ~number : number]!;
    const length = arc.length / 2;
    // The first point of an arc is the last of the one before.
    for (let step = points.length > 0 ? 1 : 0; step < length; step += 1) {
      const at = 2 * (number < 0 ? length - 1 - step : step);
      points.push(arc[at]!, arc[at + 1]!);
    }
  }
  unwrap(points);
  return Float64Array.from(points);
}

/** Let a ring that crosses the date line go on beyond the edge, and one around a pole reach it. */
function unwrap(points: number[]): void {
  for (let at = 2; at < points.length; at += 2) {
    const step = points[at]! - points[at - 2]!;
    points[at]! -= Math.round(step);
  }
  const [start, end] = [points[0]!, points[points.length - 2]!];
  if (Math.abs(end - start) > 0.5) points.push(end, 1, start, 1);
}

function shape(rings: readonly Float64Array[]): Shape {
  let [left, right, top, bottom] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const ring of rings) {
    for (let at = 0; at < ring.length; at += 2) {
      left = Math.min(left, ring[at]!);
      right = Math.max(right, ring[at]!);
      top = Math.min(top, ring[at + 1]!);
      bottom = Math.max(bottom, ring[at + 1]!);
    }
  }
  return { rings, left, right, top, bottom };
}

/** Web Mercator, with the world from 0 to 1. */
function plane(longitude: number, latitude: number): readonly [number, number] {
  const bounded = Math.max(-MOST_NORTHERN, Math.min(MOST_NORTHERN, latitude));
  const sine = Math.sin((bounded * Math.PI) / 180);
  return [longitude / 360 + 0.5, 0.5 - Math.log((1 + sine) / (1 - sine)) / (4 * Math.PI)];
}
