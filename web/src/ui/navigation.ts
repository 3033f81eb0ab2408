/** The address of the page, as state: the app has no router, since it has three addresses. */
import { useSyncExternalStore } from "react";

const listeners = new Set<() => void>();

/** Go to another address of the app. */
export function go(path: string): void {
  history.pushState(null, "", path);
  for (const listener of [...listeners]) listener();
}

/** The path of the address, and again whenever it changes. */
export function usePath(): string {
  return useSyncExternalStore(subscribe, () => location.pathname);
}

/** What is after the address's `#`, that included; servers never see it. */
export function useFragment(): string {
  return useSyncExternalStore(subscribe, () => location.hash);
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  addEventListener("popstate", listener);
  return () => {
    listeners.delete(listener);
    removeEventListener("popstate", listener);
  };
}
