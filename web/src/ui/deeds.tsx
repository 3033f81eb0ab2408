/** What a host does with a meeting: edit it, copy its link, call it off, end it, delete it; the last three after a question. */
import { type ReactNode, useState } from "react";
import { meetings } from "../api/client";
import { type Meeting, MeetingState } from "../gen/parley/meeting/v1/meeting_pb";
import { useI18n } from "../i18n";
import { go } from "./navigation";
import { Confirm } from "./parts";

export interface Deed {
  readonly text: string;
  /** The text with the meeting's title, for those who do not see which row it is in. */
  readonly label: string;
  readonly act: () => void;
}

interface Doomed {
  readonly meeting: Meeting;
  readonly text: string;
  readonly action: string;
  /** What is left of it: nothing if it is deleted. */
  readonly work: () => Promise<Meeting | undefined>;
}

export interface Deeds {
  readonly deedsOf: (meeting: Meeting) => Deed[];
  readonly problem: string;
  /** To be put into the page: what is asked before something that can't be undone. */
  readonly question: ReactNode;
}

export function useDeeds(done: (before: Meeting, now: Meeting | undefined) => void): Deeds {
  const { t, explain } = useI18n();
  const [problem, setProblem] = useState("");
  const [copied, setCopied] = useState("");
  const [doomed, setDoomed] = useState<Doomed>();
  const answered = async (sure: boolean) => {
    setDoomed(undefined);
    setProblem("");
    if (!sure || doomed === undefined) return;
    try {
      done(doomed.meeting, await doomed.work());
    } catch (error) {
      setProblem(explain(error));
    }
  };
  const copy = (name: string) => {
    navigator.clipboard.writeText(linkOf(name)).then(
      () => setCopied(name),
      (error: unknown) => setProblem(explain(error)),
    );
  };
  const deedsOf = (meeting: Meeting): Deed[] => {
    const { name, title, state } = meeting;
    const isOpen = state === MeetingState.SCHEDULED || state === MeetingState.ACTIVE;
    const ask = (text: string, action: string, work: Doomed["work"]) => () => setDoomed({ meeting, text, action, work });
    const deeds = [
      { isFor: isOpen, text: t("edit"), label: t("editOf", { title }), act: () => go(`${pathOf(name)}/edit`) },
      {
        // The link of an encrypted meeting has its key, which nobody has here; only secure contexts have a clipboard.
        isFor: isOpen && !meeting.endToEndEncrypted && "clipboard" in navigator,
        text: copied === name ? t("copied") : t("copyLink"),
        label: t("copyLinkOf", { title }),
        act: () => copy(name),
      },
      {
        isFor: state === MeetingState.SCHEDULED,
        text: t("cancelMeeting"),
        label: t("cancelMeetingOf", { title }),
        act: ask(t("cancelMeetingSure", { title }), t("cancelMeeting"), () => meetings.cancelMeeting({ name })),
      },
      {
        isFor: state === MeetingState.ACTIVE,
        text: t("endMeeting"),
        label: t("endMeetingOf", { title }),
        act: ask(t("endMeetingSure", { title }), t("endMeeting"), () => meetings.endMeeting({ name })),
      },
      {
        isFor: !isOpen,
        text: t("delete"),
        label: t("deleteMeetingOf", { title }),
        act: ask(t("deleteMeetingSure", { title }), t("delete"), async () => {
          await meetings.deleteMeeting({ name });
          return undefined;
        }),
      },
    ];
    return deeds.filter(({ isFor }) => isFor);
  };
  const question = doomed && <Confirm text={doomed.text} action={doomed.action} done={(sure) => void answered(sure)} />;
  return { deedsOf, problem, question };
}

/** The link by which others come in. */
export function linkOf(name: string): string {
  return `${location.origin}/m/${name.replace("meetings/", "")}`;
}

function pathOf(name: string): string {
  return `/s/${name.replace("meetings/", "")}`;
}
