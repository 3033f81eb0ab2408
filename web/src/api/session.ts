/**
 * Who is signed in. The access token lives in memory only; the refresh token in localStorage, so that a reload or a
 * second tab stays signed in (it works once, and the server ends the session of one that is used twice). Refreshing is
 * done by one tab at a time, under a Web Lock.
 */
import { createClient, type Transport } from "@connectrpc/connect";
import { AuthService, type User } from "../gen/parley/user/v1/user_pb";

const STORED = "parley.refresh_token";
const LOCK = "parley.refresh";
const EARLY_MS = 60_000;

export class Session {
  user: User | undefined;
  #access = "";
  #expires = 0;
  #refreshing: Promise<boolean> | undefined;
  readonly #auth;

  constructor(transport: Transport) {
    this.#auth = createClient(AuthService, transport);
  }

  get mayBeSignedIn(): boolean {
    return localStorage.getItem(STORED) !== null;
  }

  async register(username: string, email: string, password: string, displayName: string): Promise<void> {
    const done = await this.#auth.register({ username, email, password, displayName });
    this.#begin(done.user, done.accessToken, done.refreshToken, done.expiresIn);
  }

  async login(usernameOrEmail: string, password: string): Promise<void> {
    const done = await this.#auth.login({ usernameOrEmail, password });
    this.#begin(done.user, done.accessToken, done.refreshToken, done.expiresIn);
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

  /** Trade the refresh token for a new pair, once at a time. False when the session is over. */
  refresh(): Promise<boolean> {
    this.#refreshing ??= navigator.locks
      .request(LOCK, () => this.#refresh())
      .finally(() => (this.#refreshing = undefined));
    return this.#refreshing;
  }

  forget(): void {
    localStorage.removeItem(STORED);
    this.user = undefined;
    this.#access = "";
    this.#expires = 0;
  }

  async #refresh(): Promise<boolean> {
    const refreshToken = localStorage.getItem(STORED);
    if (refreshToken === null) return false;
    const done = await this.#auth.refresh({ refreshToken });
    this.#begin(this.user, done.accessToken, done.refreshToken, done.expiresIn);
    return true;
  }

  #begin(user: User | undefined, access: string, refresh: string, expiresIn: number): void {
    this.user = user;
    this.#access = access;
    this.#expires = Date.now() + expiresIn * 1000;
    localStorage.setItem(STORED, refresh);
  }
}
