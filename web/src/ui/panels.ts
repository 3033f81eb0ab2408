/** Which panels are open beside the stage, in the order in which they were opened. */
import { useState } from "react";

export type PanelName = "people" | "statistics" | "transcript" | "chat" | "polls" | "notes";

/** Those of which one at a time is open. */
const ALTERNATIVES: readonly PanelName[] = ["chat", "polls", "notes"];
/** Where a panel covers the stage (style.css), and would cover the other panels. */
const NARROW = "(max-width: 46rem)";

/** Open a panel, or close it. Pure. */
export function toggled(open: readonly PanelName[], which: PanelName, isNarrow: boolean): readonly PanelName[] {
  if (open.includes(which)) return open.filter((each) => each !== which);
  if (isNarrow) return [which];
  const others = ALTERNATIVES.includes(which) ? open.filter((each) => !ALTERNATIVES.includes(each)) : open;
  return [...others, which];
}

export interface Panels {
  isOpen: (which: PanelName) => boolean;
  toggle: (which: PanelName) => void;
  /** Close the one that was opened last. */
  closeLast: () => void;
}

export function usePanels(): Panels {
  const [open, setOpen] = useState<readonly PanelName[]>([]);
  return {
    isOpen: (which) => open.includes(which),
    toggle: (which) => setOpen(toggled(open, which, matchMedia(NARROW).matches)),
    closeLast: () => setOpen(open.slice(0, -1)),
  };
}
