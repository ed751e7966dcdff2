/** A text as a QR code. */

import { svg, type TemplateResult } from "lit-html";
import { encode } from "uqr";
import { t } from "../texts/index.js";

/** Draw a QR code, dark on light in either colour scheme, for a camera reads no other. */
export function qrCode(text: string): TemplateResult {
  const { data, size } = encode(text, { ecc: "M", border: 4 });
  const path = data
    .map((row, y) =>
      row.map((isDark, x) => (isDark ? `M${x} ${y}h1v1h-1z` : "")).join(""),
    )
    .join("");
  return svg`<svg class="qr" role="img" aria-label=${t("qrLabel")} viewBox="0 0 ${size} ${size}"
    shape-rendering="crispEdges"><rect width=${size} height=${size} fill="#fff"></rect><path d=${path} fill="#000"></path></svg>`;
}
