/** The transcript that a meeting keeps, page by page, as state of a page. */
import { useEffect, useState } from "react";
import { transcripts } from "../api/client";
import { type Entry, keptEntry } from "../call/transcript";

const PAGE = 500;
/** A day of talk; nobody reads more, and the exports have it all. */
const MOST = 20_000;

export interface Kept {
  readonly entries: readonly Entry[];
  readonly isLoading: boolean;
  readonly error: unknown;
}

/** Read the transcript of `meetings/{code}` if it is `wanted`, once. */
export function useKept(meeting: string, wanted: boolean): Kept {
  const [kept, setKept] = useState<Kept>({ entries: [], isLoading: wanted, error: undefined });
  useEffect(() => {
    if (!wanted) return undefined;
    const leaving = new AbortController();
    const read = async () => {
      const entries: Entry[] = [];
      let pageToken = "";
      do {
        const page = await transcripts.listTranscriptSegments(
          { parent: meeting, pageSize: PAGE, pageToken },
          { signal: leaving.signal },
        );
        entries.push(...page.segments.map(keptEntry));
        pageToken = page.nextPageToken;
        setKept({ entries: [...entries], isLoading: pageToken !== "", error: undefined });
      } while (pageToken !== "" && entries.length < MOST);
    };
    read().catch((error: unknown) => {
      if (!leaving.signal.aborted) setKept((before) => ({ ...before, isLoading: false, error }));
    });
    return () => leaving.abort();
  }, [meeting, wanted]);
  return kept;
}
