/** Tables as text (RFC 4180), which spreadsheets open as they are. Pure. */

/** A byte order mark: without it spreadsheets take UTF-8 for something else. */
const MARK = "\ufeff";
/** What a spreadsheet would take for a formula, be it somebody's name. */
const FORMULA = /^[=+\-@\t\r]/;

export function csv(rows: readonly (readonly string[])[]): string {
  return MARK + rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

function cell(text: string): string {
  const plain = FORMULA.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
}
