/** The address of a service: what one may be, and its one form. */

/** Host, port and path of a service, as an address and a link name them. */
export const SERVICE =
  "(?<host>[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\\[[0-9A-Fa-f:.]+\\])(?<port>:[0-9]{1,5})?" +
  "(?<prefix>(?:/(?!\\.+(?:/|$))[A-Za-z0-9._~-]+)*)";
const ADDRESS = new RegExp(`^(?<scheme>https?)://${SERVICE}/?$`);
const LOOPBACK = ["127.0.0.1", "localhost", "::1"];
const LAST_PORT = 65535;
const LONGEST_HOST = 253;
const LONGEST_LABEL = 63;

/** Return a service's address in one form; null for what is none, or is not safe to use. */
export function serviceUrl(text: string): string | null {
  const found = ADDRESS.exec(text.replace(/\/+$/, ""));
  if (found === null) return null;
  const { scheme, prefix } = found.groups as Record<string, string>;
  const host = found.groups!["host"]!.toLowerCase();
  const port = found.groups!["port"] ?? "";
  if (!isHost(host) || (port !== "" && !isPort(Number(port.slice(1))))) return null;
  if (scheme !== "https" && !isLocal(host)) return null;
  return `${scheme}://${host}${port}${prefix}`;
}

/** Whether a host is this machine. */
export function isLocal(host: string): boolean {
  return LOOPBACK.includes(host.toLowerCase().replace(/^\[|\]$/g, ""));
}

function isPort(port: number): boolean {
  return port > 0 && port <= LAST_PORT;
}

function isHost(host: string): boolean {
  if (!host.startsWith("[")) {
    const labels = host.split(".");
    const isNumber = /^[0-9]+$/.test(labels.at(-1)!);
    const isBounded = labels.every(
      (label) => /^[^-](?:.*[^-])?$/.test(label) && label.length <= LONGEST_LABEL,
    );
    if (host.length > LONGEST_HOST || !isBounded) return false;
    if (isNumber) {
      return labels.length === 4 && labels.every((part) => /^(?:0|[1-9]\d{0,2})$/.test(part) && +part < 256);
    }
  }
  try {
    new URL(`http://${host}`); // the browser decodes a name in another script
    return true;
  } catch {
    return false;
  }
}
