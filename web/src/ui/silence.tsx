/** What one is told when a host has muted something, or all begin muted, and when a host asks to unmute. */
import { useEffect, useRef, useState } from "react";
import type { Call, CallState } from "../call/call";
import type { Source } from "../call/sources";
import { useI18n } from "../i18n";
import { Dialog } from "./parts";

const MUTED = {
  microphone: "mutedByHost",
  camera: "cameraOffByHost",
  screen: "screenOffByHost",
  screenAudio: "screenOffByHost",
} as const;

/** Have `silence` done whenever a source of ours was muted, not by us, or was taken away. */
export function useSilence(call: Call, silence: (source: Source) => void): void {
  const does = useRef(silence);
  useEffect(() => {
    does.current = silence;
  });
  useEffect(() => {
    let seen = call.state.silenced;
    return call.subscribe(() => {
      const { silenced } = call.state;
      if (silenced === seen) return;
      seen = silenced;
      if (silenced !== undefined) does.current(silenced.source);
    });
  }, [call]);
}

interface SilenceProps {
  state: CallState;
  /** What we send now. */
  sends: (source: Source) => boolean;
  /** What we may send. */
  may: ReadonlySet<Source>;
  unmute: (source: Source) => void;
}

/** Says why we are muted, until we unmute or have read it. */
export function SilencedNotice({ state, sends, may, unmute }: SilenceProps) {
  const { t } = useI18n();
  const [read, setRead] = useState(0);
  const { silenced } = state;
  const isShown = silenced !== undefined && silenced.count > read && !sends(silenced.source);
  const isForGood = isShown && !may.has(silenced.source);
  return (
    <div role="status">
      {isShown && (
        <div className="notice">
          <span>
            {t(silenced.by === "entry" ? "mutedOnEntry" : MUTED[silenced.source])}
            {isForGood && ` ${t("silencedForGood")}`}
          </span>
          <span className="actions">
            {silenced.source === "microphone" && !isForGood && (
              <button type="button" className="primary" onClick={() => unmute("microphone")}>
                {t("unmute")}
              </button>
            )}
            <button type="button" className="quiet" onClick={() => setRead(silenced.count)}>
              {t("gotIt")}
            </button>
          </span>
        </div>
      )}
    </div>
  );
}

/** A host asks to unmute: only we can. */
export function UnmuteQuestion({ state, sends, unmute }: Omit<SilenceProps, "may">) {
  const { t } = useI18n();
  const [answered, setAnswered] = useState(0);
  const { asked } = state;
  if (asked === undefined || asked.count <= answered || sends(asked.source)) return null;
  const isCamera = asked.source === "camera";
  const text = t(isCamera ? "askedCamera" : "askedUnmute", { name: asked.by });
  const answer = (agrees: boolean) => {
    setAnswered(asked.count);
    if (agrees) unmute(asked.source);
  };
  return (
    <Dialog label={text} close={() => answer(false)}>
      <p>{text}</p>
      <div className="actions">
        <button type="button" className="primary" onClick={() => answer(true)}>
          {t(isCamera ? "turnOnCamera" : "unmute")}
        </button>
        <button type="button" className="quiet" data-first onClick={() => answer(false)}>
          {t("notNow")}
        </button>
      </div>
    </Dialog>
  );
}
