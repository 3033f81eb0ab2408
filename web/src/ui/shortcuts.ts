/** Keys that do something wherever the focus is, but in what is typed into and in dialogs. */
import { useEffect } from "react";

/** Bind keys by their names in lower case ("m", "pageup"), with "shift+" before them where it is held. */
export function useShortcuts(shortcuts: Record<string, () => void>): void {
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const place = event.target instanceof Element ? event.target.closest("input, select, textarea, dialog") : null;
      if (place !== null || event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.defaultPrevented) return;
      const does = shortcuts[(event.shiftKey ? "shift+" : "") + event.key.toLowerCase()];
      if (does === undefined) return;
      // The letter is not to be typed into what the shortcut opens.
      if (event.key.length === 1) event.preventDefault();
      does();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  });
}
