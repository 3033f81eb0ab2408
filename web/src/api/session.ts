/**
 * Who is signed in. The access token lives in memory only; the refresh token in localStorage, so that a reload or a
 * second tab stays signed in (it works once, and the server ends the session of one that is used twice). Refreshing is
 * done by one tab at a time, under a Web Lock. Guests have an access token alone: theirs ends with the page.
 */
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { SignInService } from "../gen/parley/user/v1/sign_in_pb";
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
  #isGuest = false;
  readonly #auth;
  readonly #signIns;

  constructor(transport: Transport) {
    this.#auth = createClient(AuthService, transport);
    this.#signIns = createClient(SignInService, transport);
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };
  readonly user = (): User | undefined => this.#user;

  get mayBeSignedIn(): boolean {
    return localStorage.getItem(STORED) !== null;
  }

  /** Make an account, and sign in to it. False when its e-mail address is to be proven first, by a link that was sent. */
  async register(username: string, email: string, password: string, displayName: string): Promise<boolean> {
    const done = await this.#auth.register({ username, email, password, displayName });
    if (done.refreshToken === "") return false;
    this.#begin(done);
    return true;
  }

  /** `oneTimeCode` is for accounts with a second factor, which are asked for it (CODE_REQUIRED). */
  async login(usernameOrEmail: string, password: string, oneTimeCode = ""): Promise<void> {
    this.#begin(await this.#auth.login({ usernameOrEmail, password, oneTimeCode }));
  }

  /** Sign in with what an identity provider has sent back. */
  async complete(name: string, code: string, state: string): Promise<void> {
    this.#begin(await this.#signIns.completeSignIn({ name, code, state }));
  }

  /** Be a guest of one meeting, `meetings/{code}`. */
  async beGuest(meeting: string, displayName: string): Promise<void> {
    const { user, accessToken, expiresIn } = await this.#signIns.createGuestSession({ meeting, displayName });
    this.#isGuest = true;
    this.#hold(accessToken, expiresIn);
    this.setUser(user);
  }

  async logout(): Promise<void> {
    const refreshToken = this.#isGuest ? null : localStorage.getItem(STORED);
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
    if (!this.#isGuest) localStorage.removeItem(STORED);
    this.#isGuest = false;
    this.#hold("", 0);
    this.setUser(undefined);
  }

  async #refresh(): Promise<boolean> {
    if (this.#isGuest) {
      this.forget();
      return false;
    }
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

  #begin(done: Tokens & { readonly user?: User }): void {
    this.#isGuest = false;
    this.#keep(done);
    this.setUser(done.user);
  }

  #keep({ accessToken, refreshToken, expiresIn }: Tokens): void {
    this.#hold(accessToken, expiresIn);
    localStorage.setItem(STORED, refreshToken);
  }

  #hold(accessToken: string, expiresIn: number): void {
    this.#access = accessToken;
    this.#expires = Date.now() + expiresIn * 1000;
  }
}

/** Work while no other tab does. Only secure contexts have locks; elsewhere there is no call to have in two tabs. */
function alone<T>(work: () => Promise<T>): Promise<T> {
  return "locks" in navigator ? navigator.locks.request(LOCK, work) : work();
}
