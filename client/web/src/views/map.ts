/**
 * The map: Leaflet on canvas, on a world that comes with the page, or on street maps if wanted.
 *
 * It moves by itself only when a person is followed.
 */

import L from "leaflet";
import type { Position } from "../models.js";
import { locale, t } from "../texts/index.js";
import type { streets } from "./config.js";
import type { Town } from "./towns.js";
import { ago, freshness, shown } from "./words.js";
import { World } from "./world.js";

export interface Shown {
  readonly followed: string | null;
  /** The points of a day, oldest first; null: the present positions. */
  readonly track: readonly Position[] | null;
  readonly towns: readonly Town[];
}

const CLOSE = 15;
const CLOSE_IN_WORLD = 9; // the built-in map shows no more beyond
const NEAR = 46; // pixels: labels that are nearer are put below each other
const LABEL_HEIGHT = 26;
const MOST_OF_TRACK = 5000;

export class FamilyMap {
  readonly #map: L.Map;
  readonly #renderer = L.canvas({ padding: 0.3 });
  readonly #circles = L.layerGroup();
  readonly #labels = L.layerGroup();
  readonly #track = L.layerGroup();
  readonly #world: World | null;
  readonly #isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  #positions: readonly Position[] = [];
  #drawnTrack: readonly Position[] | null = null;
  #wasShown = false;
  #isMoving = false;

  constructor(
    readonly element: HTMLElement,
    { tiles, isOn }: ReturnType<typeof streets>,
    onMovedByHand: () => void,
  ) {
    const move = !this.#isCalm;
    this.#map = L.map(element, {
      renderer: this.#renderer,
      preferCanvas: true,
      zoomControl: false,
      attributionControl: false,
      zoomAnimation: move,
      fadeAnimation: move,
      markerZoomAnimation: move,
      inertia: move,
      minZoom: 1,
      maxZoom: 19,
      worldCopyJump: true,
    }).setView([30, 10], 2);
    L.control.zoom({ zoomInTitle: t("zoomIn"), zoomOutTitle: t("zoomOut") }).addTo(this.#map);
    L.control.scale({ imperial: /-(US|LR|MM|GB)$/.test(locale) }).addTo(this.#map);
    if (tiles !== null && isOn) {
      this.#world = null;
      L.tileLayer(tiles.url, { maxZoom: 19, referrerPolicy: "origin" }).addTo(this.#map);
      this.#attribute(tiles.attribution);
    } else {
      this.#world = new World();
      this.#world.addTo(this.#map);
    }
    for (const layer of [this.#track, this.#circles, this.#labels]) layer.addTo(this.#map);
    this.#map.on("zoomend", () => this.#drawLabels());
    this.#map.on("dragstart", onMovedByHand);
  }

  update(positions: readonly Position[], { followed, track, towns }: Shown): void {
    this.#world?.setTowns(towns);
    this.#positions = track === null ? positions : track.slice(-1);
    this.#drawCircles();
    this.#drawLabels();
    if (track !== this.#drawnTrack) this.#drawTrack(track);
    if (!this.#wasShown && (track ?? positions).length > 0) {
      this.#wasShown = true;
      this.showAll();
    }
    const goal = positions.find((position) => position.userId === followed);
    if (goal && track === null && !this.#isMoving) this.#follow(goal);
  }

  /** Show all positions, or the whole day. */
  showAll(): void {
    const spots = (this.#drawnTrack ?? this.#positions).map(spot);
    if (spots.length === 0) return;
    const bounds = L.latLngBounds(spots).pad(0.15);
    const maxZoom = this.#world === null ? CLOSE : CLOSE_IN_WORLD;
    this.#map.fitBounds(bounds, { maxZoom, animate: !this.#isCalm });
  }

  remove(): void {
    this.#map.remove();
  }

  #follow(goal: Position): void {
    const zoom = Math.max(this.#map.getZoom(), this.#world === null ? 12 : 8);
    if (this.#map.getCenter().distanceTo(spot(goal)) < 1 && zoom === this.#map.getZoom()) return;
    this.#isMoving = true;
    this.#map.once("moveend", () => {
      this.#isMoving = false;
    });
    this.#map.setView(spot(goal), zoom, { animate: !this.#isCalm });
  }

  #drawCircles(): void {
    this.#circles.clearLayers();
    for (const position of this.#positions) {
      const { accuracy } = position.fix;
      const style = { color: colour(position.userId), renderer: this.#renderer, interactive: false };
      if (accuracy !== null && accuracy > 0) {
        L.circle(spot(position), { ...style, radius: accuracy, weight: 1, fillOpacity: 0.12 }).addTo(
          this.#circles,
        );
      }
      L.circleMarker(spot(position), {
        ...style,
        radius: 7,
        weight: 3,
        fillColor: "#fff",
        fillOpacity: 1,
      }).addTo(this.#circles);
    }
  }

  /** Put a name at each position; of several at one place below each other. */
  #drawLabels(): void {
    this.#labels.clearLayers();
    const placed: L.Point[] = [];
    for (const position of this.#positions) {
      const point = this.#map.latLngToLayerPoint(spot(position));
      const line = placed.filter((other) => other.distanceTo(point) < NEAR).length;
      placed.push(point);
      const icon = L.divIcon({
        html: label(position),
        className: `label ${freshness(position.fix.at, Date.now())}`,
        iconSize: undefined as unknown as L.PointExpression,
        iconAnchor: [-12, 12 - line * LABEL_HEIGHT],
      });
      L.marker(spot(position), { icon, keyboard: false, interactive: false }).addTo(this.#labels);
    }
  }

  #drawTrack(track: readonly Position[] | null): void {
    this.#drawnTrack = track;
    this.#track.clearLayers();
    if (track === null || track.length === 0) return;
    const color = colour(track[0]!.userId);
    const spots = track.slice(-MOST_OF_TRACK).map(spot);
    const renderer = this.#renderer;
    L.polyline(spots, { color, weight: 3, opacity: 0.8, renderer, interactive: false }).addTo(
      this.#track,
    );
    for (const at of spots) {
      L.circleMarker(at, {
        ...{ color, renderer, radius: 2.5, weight: 1, fillOpacity: 1, interactive: false },
      }).addTo(this.#track);
    }
    this.#wasShown = false;
  }

  /** Leaflet's own control reads markup; the service's text stays text. */
  #attribute(text: string): void {
    const control = new L.Control({ position: "bottomright" });
    control.onAdd = () => {
      const element = L.DomUtil.create("p", "attribution");
      element.textContent = text;
      return element;
    };
    control.addTo(this.#map);
  }
}

function spot({ fix }: Position): L.LatLng {
  return L.latLng(fix.latitude, fix.longitude);
}

function label(position: Position): HTMLElement {
  const element = document.createElement("span");
  const name = document.createElement("bdi");
  name.textContent = shown(position.mark ? `${position.name} (${position.mark})` : position.name);
  const age = document.createElement("small");
  age.textContent = ago(position.fix.at, Date.now());
  if (!position.isConfirmed) age.textContent += ` · ${t("notConfirmed")}`;
  element.append(name, " ", age);
  return element;
}

/** A colour for each person; names tell them apart, for colours alone would not. */
function colour(userId: string): string {
  const colours = ["#14506e", "#a4361e", "#3f6b1d", "#6a3d9a", "#8a5a00", "#00655d", "#9c2568"];
  let sum = 0;
  for (const character of userId) sum = (sum * 31 + character.charCodeAt(0)) >>> 0;
  return colours[sum % colours.length]!;
}
