/** What was said, entry by entry, and points that lead to it. */
import { durationMs } from "@bufbuild/protobuf/wkt";
import { type ReactNode, useEffect, useRef } from "react";
import { transcripts } from "../api/client";
import { clock, type Entry, entryAt, pieces } from "../call/transcript";
import { type SummaryPoint, TranscriptFormat } from "../gen/parley/meeting/v1/transcript_pb";
import { useI18n } from "../i18n";
import { save } from "./save";

interface EntriesProps {
  entries: readonly Entry[];
  /** When the meeting began, in milliseconds since 1970. */
  start: number;
  query: string;
  /** The entry to go to, by its key. `count` tells one going from the next. */
  target: Target | undefined;
}

export interface Target {
  readonly key: string;
  readonly count: number;
}

export function Entries({ entries, start, query, target }: EntriesProps) {
  const place = useRef<HTMLOListElement>(null);
  useEffect(() => {
    if (target === undefined) return;
    const entry = place.current?.querySelector<HTMLElement>(`[data-key="${CSS.escape(target.key)}"]`);
    entry?.scrollIntoView({ block: "center" });
    entry?.focus({ preventScroll: true });
  }, [target]);
  return (
    <ol ref={place} className="entries">
      {entries.map(({ key, participant, displayName, text, began }, index) => (
        <li key={key} data-key={key} className={key === target?.key ? "target" : ""} tabIndex={-1}>
          {(entries[index - 1]?.participant !== participant || query !== "") && <strong>{displayName} </strong>}
          <time className="faint">{clock(began - start)}</time>
          <span className="said">
            {pieces(text, query).map(({ text: part, isHit }, place) =>
              isHit ? <mark key={place}>{part}</mark> : <span key={place}>{part}</span>,
            )}
          </span>
        </li>
      ))}
    </ol>
  );
}

interface PointsProps {
  points: readonly SummaryPoint[];
  entries: readonly Entry[];
  start: number;
  goTo: (key: string) => void;
  /** What else is to be said of a point, by its place. */
  more?: (index: number) => ReactNode;
}

/** Points of a summary, each with the time at which it was said, which leads there. */
export function Points({ points, entries, start, goTo, more }: PointsProps) {
  const { t } = useI18n();
  return (
    <ul className="points">
      {points.map((point, index) => {
        const offset = point.offset === undefined ? 0 : durationMs(point.offset);
        const cited = entries.find(({ key }) => point.citations.includes(key)) ?? entryAt(entries, start + offset);
        const time = clock(offset);
        return (
          <li key={index}>
            {point.text} {more?.(index)}
            {cited !== undefined && (
              <button type="button" className="link" aria-label={t("goTo", { time })} onClick={() => goTo(cited.key)}>
                {time}
              </button>
            )}
          </li>
        );
      })}
    </ul>
  );
}

/** What nobody may take for minutes. */
export function MadeByMachine({ model }: { model: string }) {
  const { t } = useI18n();
  return <p className="machine">{t("madeByMachine", { model })}</p>;
}

const FORMATS = [
  { format: TranscriptFormat.TEXT, label: "format.text", ending: "txt" },
  { format: TranscriptFormat.WEBVTT, label: "format.webvtt", ending: "vtt" },
  { format: TranscriptFormat.SRT, label: "format.srt", ending: "srt" },
  { format: TranscriptFormat.JSON, label: "format.json", ending: "json" },
] as const;

/** The transcript as a file, in each of its forms. */
export function Downloads({ meeting, failed }: { meeting: string; failed: (error: unknown) => void }) {
  const { t } = useI18n();
  const download = async ({ format, ending }: (typeof FORMATS)[number]) => {
    const parts: BlobPart[] = [];
    let type = "";
    for await (const { contentType, data } of transcripts.exportTranscript({ name: meeting, format })) {
      type ||= contentType;
      parts.push(data as BlobPart);
    }
    save(new Blob(parts, { type }), `${meeting.replace("meetings/", "")}.${ending}`);
  };
  return (
    <span className="downloads" role="group" aria-label={t("download")}>
      {t("download")}:
      {FORMATS.map((each) => (
        <button key={each.ending} type="button" className="link" onClick={() => void download(each).catch(failed)}>
          {t(each.label)}
        </button>
      ))}
    </span>
  );
}
