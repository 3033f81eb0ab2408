/**
 * What of a meeting the server listens to and looks at, what somebody agrees to of it, and what they have to be asked.
 * Pure.
 */
import type { Settings } from "../gen/parley/meeting/v1/settings_pb";

/** What a server does with what is said and shown, in the order in which it is told. */
export const KINDS = ["captions", "transcript", "summary", "emotions", "voice"] as const;
export type Kind = (typeof KINDS)[number];

/** What one agrees to, as parley.meeting.v1.Consent has it for everyone who has just come in. */
export interface Agreement {
  readonly captionsDeclined: boolean;
  readonly transcript: boolean;
  readonly emotions: boolean;
  readonly recording: boolean;
}

export const NOTHING_SAID: Agreement = { captionsDeclined: false, transcript: false, emotions: false, recording: false };

export type Question = "captions" | "transcript" | "emotions";
type Switches = Pick<Settings, "captions" | "transcript" | "summary" | "emotions">;

/** What is on in a meeting, for whoever agrees. `voice` is that the server tells who is speaking. */
export function listening(settings: Switches | undefined, voice: boolean): Kind[] {
  const on: Record<Kind, boolean> = {
    captions: settings?.captions ?? false,
    transcript: settings?.transcript ?? false,
    summary: settings?.summary ?? false,
    emotions: settings?.emotions ?? false,
    voice,
  };
  return KINDS.filter((kind) => on[kind]);
}

/** Whether something concerns oneself: what is kept or summed up is only what one's captions say. */
export function concerns(kind: Kind, { captionsDeclined, transcript, emotions }: Agreement): boolean {
  switch (kind) {
    case "captions":
      return !captionsDeclined;
    case "transcript":
    case "summary":
      return !captionsDeclined && transcript;
    case "emotions":
      return emotions;
    case "voice":
      return true;
  }
}

/** What somebody has to be asked, one thing after the other: what they have answered before is not asked again. */
export function questionOf(
  settings: Switches | undefined,
  { captionsDeclined }: Agreement,
  answered: ReadonlySet<Question>,
): Question | undefined {
  if (settings === undefined) return undefined;
  const isKept = settings.transcript || settings.summary;
  if (settings.captions && !captionsDeclined && !answered.has("captions")) return "captions";
  if (settings.captions && isKept && !captionsDeclined && !answered.has("transcript")) return "transcript";
  return settings.emotions && !answered.has("emotions") ? "emotions" : undefined;
}
