/**
 * The secret of an encrypted meeting. It travels in the link, after the `#`: browsers never send that part to a server.
 */
const SECRET_BYTES = 16;
const KEY = /#key=([A-Za-z0-9_-]{22})$/;

/** Make a secret: 128 random bits, in base64url. */
export function newSecret(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(SECRET_BYTES));
  return btoa(String.fromCharCode(...bytes)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

/** Find the secret in a link or in its fragment. */
export function secretOf(link: string): string | undefined {
  return KEY.exec(link.trim())?.[1];
}

/** The path of a meeting, and its secret if it has one. */
export function pathTo(code: string, secret: string | undefined): string {
  return secret === undefined ? `/m/${code}` : `/m/${code}#key=${secret}`;
}

/** The bytes of a secret, for HKDF alone. */
export function importSecret(secret: string): Promise<CryptoKey> {
  const bytes = Uint8Array.from(atob(secret.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
  return crypto.subtle.importKey("raw", bytes, "HKDF", false, ["deriveBits"]);
}
