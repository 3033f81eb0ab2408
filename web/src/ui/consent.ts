/** What oneself agrees to in a call, as state of a page; told to the server as a whole with each change. */
import { useCallback, useEffect, useRef, useState } from "react";
import { participants } from "../api/client";
import { type Agreement, NOTHING_SAID, type Question } from "../call/listening";

export interface Consent extends Agreement {
  /** What one has been asked and has answered. */
  readonly answered: ReadonlySet<Question>;
  /** Agree to something, or not any more. Rejects when the server does not take it. */
  answer(question: Question, agrees: boolean): Promise<void>;
}

/** Consent of our own participant, `meetings/{code}/participants/{id}`. Who declined captions declines them after a reload. */
export function useConsent(me: string, captionsOn: boolean): Consent {
  const [agreement, setAgreement] = useState(NOTHING_SAID);
  const [answered, setAnswered] = useState<ReadonlySet<Question>>(new Set());
  const declined = `parley.captions_declined.${me.split("/")[1] ?? ""}`;
  /** What was told last, be it that it has not been taken yet: each telling is of everything. */
  const told = useRef(NOTHING_SAID);
  const tell = useCallback(
    async (change: Partial<Agreement>) => {
      const before = told.current;
      told.current = { ...before, ...change };
      try {
        const { captionsDeclined, transcript, emotions, recording } = await participants.setConsent({
          name: me,
          consent: told.current,
        });
        setAgreement({ captionsDeclined, transcript, emotions, recording });
      } catch (error) {
        told.current = before;
        throw error;
      }
    },
    [me],
  );
  const answer = async (question: Question, agrees: boolean) => {
    const change = question === "captions" ? { captionsDeclined: !agrees } : { [question]: agrees };
    // Who says no to what they had not agreed to need not reach the server for it.
    if (Object.entries(change).some(([key, value]) => told.current[key as keyof Agreement] !== value)) await tell(change);
    setAnswered((before) => new Set(before).add(question));
    if (question !== "captions") return;
    if (agrees) sessionStorage.removeItem(declined);
    else sessionStorage.setItem(declined, "yes");
  };
  useEffect(() => {
    if (me === "" || sessionStorage.getItem(declined) === null) return;
    tell({ captionsDeclined: true }).catch((error: unknown) => console.warn(error));
  }, [me, declined, tell]);
  // Whenever captions are turned on anew, everyone is told anew.
  if (!captionsOn && answered.has("captions"))
    setAnswered(new Set([...answered].filter((question) => question !== "captions")));
  return { ...agreement, answered, answer };
}
