/** Lists that a service gives page by page. */
import { type ReactNode, useCallback, useEffect, useRef, useState } from "react";
import { useI18n } from "../i18n";
import { Problem } from "./parts";

interface Page<T> {
  readonly items: readonly T[];
  readonly nextPageToken: string;
}

export interface Pages<T> {
  /** Undefined until the first page has come. */
  readonly items: readonly T[] | undefined;
  readonly problem: string;
  /** Undefined where there is no more. */
  readonly more: (() => void) | undefined;
  readonly reload: () => void;
  /** Put something changed in the place of what it was. */
  readonly replace: (before: T, now: T) => void;
}

/** Read a list, from the beginning whenever `ask` is another function. Answers to what was asked before are dropped. */
export function usePages<T>(ask: (pageToken: string) => Promise<Page<T>>): Pages<T> {
  const { explain } = useI18n();
  const [items, setItems] = useState<readonly T[]>();
  const [next, setNext] = useState("");
  const [problem, setProblem] = useState("");
  const asked = useRef(0);
  const load = useCallback(
    async (pageToken: string) => {
      const number = ++asked.current;
      try {
        const page = await ask(pageToken);
        if (number !== asked.current) return;
        setItems((before) => (pageToken === "" ? page.items : [...(before ?? []), ...page.items]));
        setNext(page.nextPageToken);
        setProblem("");
      } catch (error) {
        if (number === asked.current) setProblem(explain(error));
      }
    },
    [ask, explain],
  );
  useEffect(() => void load(""), [load]);
  return {
    items,
    problem,
    more: next === "" ? undefined : () => void load(next),
    reload: () => void load(""),
    replace: (before, now) => setItems((all) => all?.map((each) => (each === before ? now : each))),
  };
}

/** What is round every such list: what went wrong, that it is empty, the way to more. */
export function Listed<T>({ pages, none, children }: { pages: Pages<T>; none: string; children: (items: readonly T[]) => ReactNode }) {
  const { t } = useI18n();
  return (
    <>
      <Problem text={pages.problem} />
      {pages.items === undefined && pages.problem === "" && <p className="faint">{t("loading")}</p>}
      {pages.items?.length === 0 && <p className="faint">{none}</p>}
      {pages.items !== undefined && pages.items.length > 0 && children(pages.items)}
      {pages.more !== undefined && (
        <button type="button" className="quiet" onClick={pages.more}>
          {t("more")}
        </button>
      )}
    </>
  );
}
