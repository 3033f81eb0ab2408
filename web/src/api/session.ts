/**
 * Who is signed in. The access token lives in memory only; the refresh token in localStorage, so that a reload or a
 * second tab stays signed in (it works once, and the server ends the session of one that is used twice). Refreshing is
 * done by one tab at a time, under a Web Lock.
 */
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { AuthService, type User } from "../gen/parley/user/v1/user_pb";

const STORED = "parley.refresh_token";
const LOCK = "parley.refresh";
const EARLY_MS = 60_000;

interface Tokens {
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly expiresIn: number;
}

export class Session {
  #user: User | undefined;
  #access = "";
  #expires = 0;
  #refreshing: Promise<boolean> | undefined;
  readonly #listeners = new Set<() => void>();
  readonly #auth;

  constructor(transport: Transport) {
    this.#auth = createClient(AuthService, transport);
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };
  readonly user = (): User | undefined => this.#user;

  get mayBeSignedIn(): boolean {
    return localStorage.getItem(STORED) !== null;
  }

  async register(username: string, email: string, password: string, displayName: string): Promise<void> {
    const done = await this.#auth.register({ username, email, password, displayName });
    this.#keep(done);
    this.setUser(done.user);
  }

  async login(usernameOrEmail: string, password: string): Promise<void> {
    const done = await this.#auth.login({ usernameOrEmail, password });
    this.#keep(done);
    this.setUser(done.user);
  }

  async logout(): Promise<void> {
    const refreshToken = localStorage.getItem(STORED);
    this.forget();
    if (refreshToken !== null) await this.#auth.logout({ refreshToken });
  }

  /** Give a token that is good for a while yet; empty when nobody is signed in. */
  async accessToken(): Promise<string> {
    if (Date.now() > this.#expires - EARLY_MS) await this.refresh();
    return this.#access;
  }

  /** Trade the refresh token for a new pair, once at a time. False when the session is over, and forgotten. */
  refresh(): Promise<boolean> {
    this.#refreshing ??= alone(() => this.#refresh()).finally(() => (this.#refreshing = undefined));
    return this.#refreshing;
  }

  setUser(user: User | undefined): void {
    this.#user = user;
    for (const listener of [...this.#listeners]) listener();
  }

  forget(): void {
    localStorage.removeItem(STORED);
    this.#access = "";
    this.#expires = 0;
    this.setUser(undefined);
  }

  async #refresh(): Promise<boolean> {
    const refreshToken = localStorage.getItem(STORED);
    try {
      if (refreshToken !== null) this.#keep(await this.#auth.refresh({ refreshToken }));
    } catch (error) {
      if (ConnectError.from(error).code !== Code.Unauthenticated) throw error;
      this.forget();
    }
    if (!this.mayBeSignedIn) this.forget();
    return this.mayBeSignedIn;
  }

  #keep({ accessToken, refreshToken, expiresIn }: Tokens): void {
    this.#access = accessToken;
    this.#expires = Date.now() + expiresIn * 1000;
    localStorage.setItem(STORED, refreshToken);
  }
}

/** Work while no other tab does. Only secure contexts have locks; elsewhere there is no call to have in two tabs. */
function alone<T>(work: () => Promise<T>): Promise<T> {
  return "locks" in navigator ? navigator.locks.request(LOCK, work) : work();
}
