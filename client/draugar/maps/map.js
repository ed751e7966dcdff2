"use strict";

// Python has drawn the map so that it shows everybody. This lets one come nearer: what lies on the
// ground grows, while dots, tags and letters keep their size.

const BEND = [1, 2, 5, 10];
const WIDE_STEPS = [10, 20, 30, 60, 90];
const NEAREST = 0.1; // metres in a pixel

const power = (value) => 10 ** Math.floor(Math.log10(value));
const roundUp = (value) => BEND.map((part) => part * power(value)).find((step) => step >= value * 0.999999);
const roundDown = (value) => BEND.map((part) => part * power(value)).findLast((step) => step <= value);
const degreeStep = (least) => least <= 5 ? roundUp(least) : WIDE_STEPS.find((step) => step >= least) ?? 90;
const turned = (degrees) => ((degrees + 180) % 360 + 360) % 360 - 180;
const worldY = (latitude) => 0.5 - Math.asinh(Math.tan(latitude * Math.PI / 180)) / (2 * Math.PI);
const latitudeAt = (y) => Math.atan(Math.sinh((0.5 - y) * 2 * Math.PI)) * 180 / Math.PI;

function named(degrees, step, letters) {
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const shown = Math.abs(degrees).toFixed(decimals) + "°";
  return Number(degrees.toFixed(9)) % 180 ? `${shown} ${letters[degrees < 0 ? 1 : 0]}` : shown;
}

function element(name, attributes, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

class Sheet {
  constructor(svg) {
    const { width, height } = svg.viewBox.baseVal;
    const { scale, middle, top, equator, spacing, bar, tiles } = svg.dataset;
    Object.assign(this, { svg, width, height, tiles, k: 1, x: 0, y: 0 });
    Object.assign(this, { scale: +scale, middle: +middle, top: +top });
    Object.assign(this, { equator: +equator, spacing: +spacing, bar: +bar });
    this.pins = [...svg.querySelectorAll(".pin")].map((pin) => {
      const { e, f } = pin.transform.baseVal.consolidate().matrix;
      return { pin, x: e, y: f };
    });
    this.images = new Map();
    this.far = tiles ? Math.min(1, width / this.scale) : 1;
    this.near = Math.max(1, this.metres(1) / NEAREST);
    this.listen();
    if (tiles) new ResizeObserver(() => this.draw()).observe(svg); // at once, and when it appears
  }

  // Between pixels of the sheet and the world, as it is moved now.
  east(x) { return ((x - this.x) / this.k - this.width / 2) / this.scale * 360; }
  column(longitude) { return (longitude - this.middle) / 360 * this.scale * this.k + this.width / 2 * this.k + this.x; }
  latitude(y) { return latitudeAt(this.top + (y - this.y) / this.k / this.scale); }
  row(latitude) { return (worldY(latitude) - this.top) * this.scale * this.k + this.y; }
  metres(k) {
    return this.equator * Math.cos(this.latitude(this.height / 2) * Math.PI / 180) / this.scale / k;
  }

  // Zoom by a factor so that the point (x, y) comes to lie at (toX, toY).
  zoom(factor, x, y, toX = x, toY = y) {
    const k = Math.min(this.near, Math.max(this.far, this.k * factor));
    this.x = toX - (x - this.x) * k / this.k;
    this.y = toY - (y - this.y) * k / this.k;
    this.k = k;
    if (!this.tiles) { // beyond what was drawn there is nothing to see
      this.x = Math.min(0, Math.max(this.width * (1 - k), this.x));
      this.y = Math.min(0, Math.max(this.height * (1 - k), this.y));
    }
    this.svg.classList.toggle("near", k > 1);
    this.waiting ??= requestAnimationFrame(() => { this.waiting = undefined; this.draw(); });
  }

  middleZoom(factor) {
    if (factor) return this.zoom(factor, this.width / 2, this.height / 2);
    this.x = this.y = 0;
    this.k = 1;
    this.zoom(1, 0, 0);
  }

  show(person) {
    const { x, y } = this.pins.find(({ pin }) => pin.dataset.person === person);
    const factor = Math.max(1, Math.min(8, this.near) / this.k);
    this.zoom(factor, x * this.k + this.x, y * this.k + this.y, this.width / 2, this.height / 2);
  }

  draw() {
    const { k, x, y } = this;
    this.svg.querySelector(".world").setAttribute("transform", `translate(${x} ${y}) scale(${k})`);
    for (const { pin, x: px, y: py } of this.pins) {
      pin.setAttribute("transform", `translate(${px * k + x} ${py * k + y})`);
    }
    this.drawGraticule();
    this.drawBar();
    if (this.tiles) this.drawTiles();
  }

  drawGraticule() {
    const { width, height } = this;
    const clip = (value, limit) => Math.min(limit, Math.max(0, value)).toFixed(1);
    const labels = [];
    let grid = "", band = "";

    const least = this.spacing / this.scale / this.k * 360;
    const lon = degreeStep(least);
    for (let i = Math.floor((this.east(0) + this.middle) / lon); i * lon < this.east(width) + this.middle; i++) {
      const x = this.column(i * lon), next = this.column((i + 1) * lon);
      grid += `M${x.toFixed(1)} 0V${height}`;
      if (i % 2 === 0) {
        for (const y of [2.5, height - 2.5]) band += `M${clip(x, width)} ${y}H${clip(next, width)}`;
      }
      if (x > 40 && x < width - 40) {
        const text = named(turned(i * lon), lon, "EW");
        labels.push(element("text", { x, y: height - 12, "text-anchor": "middle" }, text));
      }
    }
    const lat = degreeStep(least * Math.cos(this.latitude(height / 2) * Math.PI / 180));
    for (let i = Math.floor(this.latitude(height) / lat); i * lat < this.latitude(0); i++) {
      if (Math.abs(i * lat) > 89.9) continue; // Mercator has no poles
      const y = this.row(i * lat), next = this.row(Math.min(89.9, (i + 1) * lat));
      grid += `M0 ${y.toFixed(1)}H${width}`;
      if (i % 2 === 0) {
        for (const x of [2.5, width - 2.5]) band += `M${x} ${clip(y, height)}V${clip(next, height)}`;
      }
      if (y > 20 && y < height - 60) {
        labels.push(element("text", { x: 11, y: y + 4 }, named(i * lat, lat, "NS")));
      }
    }
    this.svg.querySelector(".grid").setAttribute("d", grid);
    this.svg.querySelector(".band").setAttribute("d", band);
    this.svg.querySelector(".degrees").replaceChildren(...labels);
  }

  drawBar() {
    const metre = this.metres(this.k);
    const length = roundDown(this.bar * metre);
    const pixels = length / metre;
    const scale = this.svg.querySelector(".scale");
    const latitude = this.latitude(this.height / 2);
    const [ground, bar, half] = scale.querySelectorAll("path");
    ground.setAttribute("d", `M-4 0H${pixels + 4}`);
    bar.setAttribute("d", `M0 -4V4M0 0H${pixels}V-4V4`);
    half.setAttribute("d", `M0 0H${pixels / 2}`);
    const [amount, place] = scale.querySelectorAll("text");
    for (const text of [amount, place]) text.setAttribute("x", pixels / 2);
    amount.textContent = length < 1 ? `${Math.round(length * 100)} cm`
      : length < 1000 ? `${length} m` : `${(length / 1000).toLocaleString("en")} km`;
    place.textContent = `at ${named(latitude, 0.1, "NS")}`;
  }

  drawTiles() {
    if (!this.svg.getBoundingClientRect().width) return; // nobody sees this sheet
    const zoom = Math.min(19, Math.max(0, Math.round(Math.log2(this.scale * this.k / 256))));
    const count = 2 ** zoom, size = this.scale * this.k / count;
    const left = (this.middle + 180 + this.east(0)) / 360 * count;
    const top = (this.top - this.y / this.k / this.scale) * count;
    const wanted = new Map();
    for (let i = Math.floor(left); (i - left) * size < this.width; i++) {
      for (let j = Math.max(0, Math.floor(top)); j < count && (j - top) * size < this.height; j++) {
        const href = this.tiles.replace("{z}", zoom).replace("{y}", j)
          .replace("{x}", ((i % count) + count) % count);
        const key = `${zoom} ${i} ${j}`;
        const image = this.images.get(key) ?? element("image", { href, preserveAspectRatio: "none" });
        const at = { x: (i - left) * size, y: (j - top) * size, width: size + 0.5, height: size + 0.5 };
        for (const [name, value] of Object.entries(at)) image.setAttribute(name, value);
        wanted.set(key, image);
      }
    }
    this.images = wanted;
    this.svg.querySelector(".tiles").replaceChildren(...wanted.values());
  }

  listen() {
    const { svg } = this;
    const held = new Map();
    const at = (event) =>
      new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    const grip = () => {
      const [one, two = one] = held.values();
      const spread = Math.hypot(one.x - two.x, one.y - two.y) || 1;
      return { x: (one.x + two.x) / 2, y: (one.y + two.y) / 2, spread };
    };
    const release = (event) => {
      held.delete(event.pointerId);
      svg.classList.toggle("held", held.size > 0);
    };
    svg.addEventListener("pointerdown", (event) => {
      svg.setPointerCapture(event.pointerId);
      held.set(event.pointerId, at(event));
      svg.classList.add("held");
    });
    svg.addEventListener("pointermove", (event) => {
      if (!held.has(event.pointerId)) return;
      const before = grip();
      held.set(event.pointerId, at(event));
      const after = grip();
      this.zoom(after.spread / before.spread, before.x, before.y, after.x, after.y);
    });
    svg.addEventListener("pointerup", release);
    svg.addEventListener("pointercancel", release);
    svg.addEventListener("dblclick", (event) => this.zoom(2, at(event).x, at(event).y));
    svg.addEventListener("wheel", (event) => {
      if (event.deltaY > 0 && this.k <= this.far) return; // the page may scroll on
      event.preventDefault();
      this.zoom(2 ** (-event.deltaY / 300), at(event).x, at(event).y);
    }, { passive: false });
  }
}

const sheets = [...document.querySelectorAll("svg")].map((svg) => new Sheet(svg));
const visible = () => sheets.find(({ svg }) => svg.getBoundingClientRect().width) ?? sheets[0];

document.querySelector(".zoom").hidden = false;
for (const button of document.querySelectorAll("[data-zoom]")) {
  button.addEventListener("click", () => visible().middleZoom(+button.dataset.zoom));
}
for (const entry of document.querySelectorAll(".legend li")) {
  entry.classList.add("leads");
  entry.addEventListener("click", () => visible().show(entry.dataset.person));
}
