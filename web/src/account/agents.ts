/** What a User-Agent header means to people. All browsers claim to be others too, so that the order matters. */

const BROWSERS = [
  [/\bEdgA?\//, "Edge"],
  [/\bOPR\//, "Opera"],
  [/\b(Firefox|FxiOS)\//, "Firefox"],
  [/(Chrome|CriOS)\//, "Chrome"],
  [/\bVersion\/.*\bSafari\//, "Safari"],
] as const;
const SYSTEMS = [
  [/\bAndroid\b/, "Android"],
  [/\b(iPhone|iPad)\b/, "iOS"],
  [/\bWindows\b/, "Windows"],
  [/\bMac OS X\b/, "macOS"],
  [/\bCrOS\b/, "ChromeOS"],
  [/\bLinux\b/, "Linux"],
] as const;

/** Name the browser and the system, such as `Firefox · Windows`; what is no browser is left as it calls itself. */
export function agentText(userAgent: string): string {
  const browser = BROWSERS.find(([mark]) => mark.test(userAgent));
  const system = SYSTEMS.find(([mark]) => mark.test(userAgent));
  return browser === undefined ? userAgent : [browser, ...(system === undefined ? [] : [system])].map(([, name]) => name).join(" · ");
}
