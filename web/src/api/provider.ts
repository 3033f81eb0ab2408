/**
 * The way to an identity provider and back (OpenID Connect Core 1.0 §3.1). What was begun is stored in this very tab, so
 * that nobody can be signed in to another's account by a link that somebody else has begun (RFC 6749 §10.12).
 */

const STORED = "parley.sign_in";

interface Begun {
  /** `identityProviders/{id}`. */
  readonly name: string;
  readonly state: string;
  /** Where to go when signed in: an address of the app. */
  readonly goal: string;
}

export interface Answer extends Begun {
  readonly code: string;
}

type Store = Pick<Storage, "getItem" | "setItem" | "removeItem">;

export function keepBegun(store: Store, begun: Begun): void {
  store.setItem(STORED, JSON.stringify(begun));
}

/** Take what a provider has sent back, once; undefined if it is no answer to what this tab has begun. */
export function takeAnswer(store: Store, id: string, query: URLSearchParams): Answer | undefined {
  const stored = store.getItem(STORED);
  store.removeItem(STORED);
  if (stored === null) return undefined;
  const begun = JSON.parse(stored) as Begun;
  const code = query.get("code") ?? "";
  const isAnswer = begun.name === `identityProviders/${id}` && begun.state === query.get("state") && code !== "";
  return isAnswer ? { ...begun, code } : undefined;
}
