/** The shared notes beside the stage: one text, which everyone writes at once. */
import { type RefObject, useEffect, useRef, useState, useSyncExternalStore } from "react";
import { reports } from "../api/client";
import type { Call } from "../call/call";
import { type Delta, moved } from "../call/edits";
import type { Notes } from "../call/notes";
import { useI18n } from "../i18n";
import { Panel, Problem } from "./parts";
import { save } from "./save";

const NOTHING = () => () => undefined;

/** The notes of a meeting, once they are wanted: until then nothing of them is loaded. */
function useNotes(call: Call, meeting: string, isWanted: boolean): Notes | undefined {
  const [notes, setNotes] = useState<Notes>();
  useEffect(() => {
    if (!isWanted || notes !== undefined) return undefined;
    let isLeft = false;
    import("../call/notes").then(
      (module) => {
        if (!isLeft) setNotes(new module.Notes(reports, meeting, call.updateNotes));
      },
      (error: unknown) => console.warn(error),
    );
    return () => void (isLeft = true);
  }, [call, meeting, isWanted, notes]);
  useEffect(() => {
    if (notes === undefined) return undefined;
    const deafen = call.overhear(notes.said);
    void notes.enter();
    return () => {
      deafen();
      notes.stop();
    };
  }, [call, notes]);
  return notes;
}

interface NotesProps {
  call: Call;
  /** `meetings/{code}`. */
  meeting: string;
  isOpen: boolean;
  close: () => void;
}

export function NotesPanel({ call, meeting, isOpen, close }: NotesProps) {
  const { t, explain } = useI18n();
  const notes = useNotes(call, meeting, isOpen);
  const state = useSyncExternalStore(notes?.subscribe ?? NOTHING, () => notes?.snapshot());
  if (!isOpen) return null;
  const download = () => {
    if (notes !== undefined) save(new Blob([notes.text], { type: "text/plain" }), `${meeting.replace("meetings/", "")}-notes.txt`);
  };
  return (
    <Panel kind="transcript notes" label={t("notes")} close={close}>
      <p className="faint">{t(call.isEncrypted ? "notesNotEncrypted" : "notesHint")}</p>
      {state?.error !== undefined && <Problem text={explain(state.error)} />}
      {state?.error !== undefined && !state.isReady && (
        <button type="button" className="link" onClick={() => void notes?.enter()}>
          {t("tryAgain")}
        </button>
      )}
      {notes !== undefined && state?.isReady === true ? (
        <>
          <Paper notes={notes} />
          <p className="ends">
            <span className="faint" role="status">
              {t(state.isUnsent ? "notesUnsent" : "notesSaved")}
            </span>
            <button type="button" className="link" onClick={download}>
              {t("download")}
            </button>
          </p>
        </>
      ) : (
        state?.error === undefined && <p className="faint">{t("loading")}</p>
      )}
    </Panel>
  );
}

function Paper({ notes }: { notes: Notes }) {
  const { t } = useI18n();
  const box = useRef<HTMLTextAreaElement>(null);
  const { write, compose, composed } = usePaper(notes, box);
  return (
    <textarea
      ref={box}
      aria-label={t("notes")}
      placeholder={t("notesEmpty")}
      spellCheck={false}
      dir="auto"
      autoFocus
      onInput={write}
      onCompositionStart={compose}
      onCompositionEnd={composed}
      onBlur={() => notes.flush()}
    />
  );
}

/**
 * Have a text area show the notes. While an input method composes something the area is left alone: what others write
 * meanwhile is shown when it is done.
 */
function usePaper(notes: Notes, box: RefObject<HTMLTextAreaElement | null>) {
  const shown = useRef("");
  const isComposing = useRef(false);
  const missed = useRef<Delta[]>([]);
  useEffect(() => {
    const area = box.current;
    if (area === null) return undefined;
    shown.current = area.value = notes.text;
    return notes.watch((change) => {
      missed.current.push(change);
      if (!isComposing.current) show(area);
    });

    function show(area: HTMLTextAreaElement) {
      const { selectionStart, selectionEnd, scrollTop } = area;
      shown.current = area.value = notes.text;
      area.setSelectionRange(missed.current.reduce(moved, selectionStart), missed.current.reduce(moved, selectionEnd));
      area.scrollTop = scrollTop;
      missed.current = [];
    }
  }, [notes, box]);
  const write = () => {
    const area = box.current;
    if (area === null || isComposing.current) return;
    notes.write(shown.current, area.value, missed.current);
    if (missed.current.length > 0) {
      const place = missed.current.reduce(moved, area.selectionEnd);
      area.value = notes.text;
      area.setSelectionRange(place, place);
      missed.current = [];
    }
    shown.current = area.value;
  };
  const compose = () => void (isComposing.current = true);
  const composed = () => {
    isComposing.current = false;
    write();
  };
  return { write, compose, composed };
}
