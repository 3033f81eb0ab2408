/** Changes of the network under us: another one, or one again. */

/** Network Information (WICG); not in every browser, and `type` not in every one that has it. */
interface Connection extends EventTarget {
  readonly type?: string;
}

export interface NetworkListener {
  /** There is a network again. */
  online(): void;
  /** There may be another one; `certain` where the browser says which. */
  changed(certain: boolean): void;
}

/** Watch the network. Returns how to stop. */
export function watchNetwork(listener: NetworkListener): () => void {
  const { connection } = navigator as { connection?: Connection };
  let type = connection?.type;
  const online = (): void => listener.online();
  const change = (): void => {
    const certain = connection?.type !== type;
    type = connection?.type;
    listener.changed(certain);
  };
  addEventListener("online", online);
  connection?.addEventListener("change", change);
  return () => {
    removeEventListener("online", online);
    connection?.removeEventListener("change", change);
  };
}
