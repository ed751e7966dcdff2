/** What a person takes along: files that the browser saves. */

import type { Position } from "../models.js";

/** Write points as a track of GPX 1.1. Nothing in it is a text of another member. */
export function gpx(points: readonly Position[]): string {
  const lines = points.map(({ fix }) => {
    const height = fix.altitude === null ? "" : `<ele>${fix.altitude}</ele>`;
    const time = `<time>${new Date(fix.at).toISOString()}</time>`;
    return `<trkpt lat="${fix.latitude}" lon="${fix.longitude}">${height}${time}</trkpt>`;
  });
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<gpx version="1.1" creator="Draugar" xmlns="http://www.topografix.com/GPX/1/1">',
    `<trk><trkseg>`,
    ...lines,
    "</trkseg></trk></gpx>",
    "",
  ].join("\n");
}

/** Let the browser save a file. Its name holds nothing that another member or the service says. */
export function saveFile(name: string, type: string, content: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
