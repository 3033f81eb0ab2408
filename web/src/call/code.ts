/** Meeting codes, as people type and paste them. */

const CODE = /^([a-z]{3})-?([a-z]{4})-?([a-z]{3})$/;

/** Find the code in what somebody typed: a code with or without dashes, or a link to a meeting. */
export function parseCode(text: string): string | undefined {
  const last = text.trim().toLowerCase().replace(/[?#].*$/, "").replace(/\/+$/, "").split("/").pop() ?? "";
  const match = CODE.exec(last);
  return match === null ? undefined : match.slice(1).join("-");
}
