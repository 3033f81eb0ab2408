/** The address of the page, as state: the app has no router, since it has few addresses. */
import { useSyncExternalStore } from "react";

const listeners = new Set<() => void>();

/** Go to another address of the app. */
export function go(path: string): void {
  history.pushState(null, "", path);
  tell();
}

/** Put another address of the app in place of this one, which nobody is to come back to. */
export function goInstead(path: string): void {
  history.replaceState(null, "", path);
  tell();
}

/** The address that somebody wants to be at: the path, and what is after it. */
export function here(): string {
  return location.pathname + location.search + location.hash;
}

/** The path of the address, and again whenever it changes. */
export function usePath(): string {
  return useSyncExternalStore(subscribe, () => location.pathname);
}

/** What is after the address's `#`, that included; servers never see it. */
export function useFragment(): string {
  return useSyncExternalStore(subscribe, () => location.hash);
}

function tell(): void {
  for (const listener of [...listeners]) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  addEventListener("popstate", listener);
  return () => {
    listeners.delete(listener);
    removeEventListener("popstate", listener);
  };
}
