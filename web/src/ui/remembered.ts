/** What a person has chosen for themselves in this browser, and finds again the next time. */
import { useCallback, useState } from "react";

/** A choice that is kept under a name. What is stored counts only if it is one of `choices`, where those are given. */
export function useRemembered<T extends string>(
  name: string,
  initial: T,
  choices?: readonly T[],
): readonly [T, (choice: T) => void] {
  const stored = `parley.${name}`;
  const [choice, setChoice] = useState<T>(() => {
    const found = localStorage.getItem(stored) as T | null;
    return found === null || choices?.includes(found) === false ? initial : found;
  });
  const choose = useCallback(
    (next: T) => {
      localStorage.setItem(stored, next);
      setChoice(next);
    },
    [stored],
  );
  return [choice, choose];
}
