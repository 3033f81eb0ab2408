/** One's own camera and microphone, as state of a page: opened, closed, or in trouble (refused, unplugged). */
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { MediaError, open } from "../call/media";
import { canSuppress, type Made, suppressed } from "../call/noise";
import { useRemembered } from "./remembered";

/** Whether noise is taken out of one's sound; `unsupported` where it should be and can't. */
export type Suppression = "off" | "on" | "unsupported";

export interface Device {
  readonly track: MediaStreamTrack | null;
  readonly on: boolean;
  readonly problem: MediaError | undefined;
  /** Which one is open. */
  readonly deviceId: string | undefined;
  readonly suppression: Suppression;
  /** Open it, also another one by its id. */
  turnOn(deviceId?: string): Promise<void>;
  turnOff(): void;
  /** Have noise taken out, or not; a microphone that is open is opened anew. */
  setSuppressed(suppressed: boolean): void;
}

/** A device that is open, and what is sent of it. */
interface Opened extends Made {
  readonly deviceId: string | undefined;
}

export function useDevice(kind: "audio" | "video"): Device {
  const [opened, setOpened] = useState<Opened | null>(null);
  const [problem, setProblem] = useState<MediaError>();
  const [wanted, want] = useRemembered("noise_suppression", "off", ["on", "off"]);
  const [failed, setFailed] = useState(false);
  const current = useRef<Opened | null>(null);
  /** Counts what was wanted, so that a device that opens late is not kept against a later wish. */
  const wish = useRef(0);
  const put = useCallback((next: Opened | null, trouble?: MediaError) => {
    if (current.current !== next) current.current?.stop();
    current.current = next;
    setOpened(next);
    setProblem(trouble);
  }, []);
  const turnOff = useCallback(() => {
    wish.current++;
    put(null);
  }, [put]);
  const isSuppressed = kind === "audio" && wanted === "on";
  const turnOn = useCallback(
    async (deviceId?: string) => {
      const wished = ++wish.current;
      try {
        const raw = await open(kind, deviceId, isSuppressed);
        const made = await madeOf(raw, isSuppressed, setFailed);
        const next = { ...made, deviceId: raw.getSettings().deviceId };
        if (wished !== wish.current) {
          next.stop();
          return;
        }
        raw.addEventListener("ended", () => put(null, new MediaError("missing", kind)));
        put(next);
      } catch (error) {
        const trouble = error instanceof MediaError ? error : new MediaError("failed", kind);
        if (wished === wish.current) put(null, trouble);
      }
    },
    [kind, isSuppressed, put],
  );
  /** What to open when the way of opening is another one; false: nothing. */
  const due = useRef<string | undefined | false>(undefined);
  useEffect(() => {
    if (due.current !== false) void turnOn(due.current);
    due.current = false;
  }, [turnOn]);
  useEffect(() => turnOff, [turnOff]);
  return useMemo(() => {
    const suppression: Suppression = !isSuppressed ? "off" : failed || !canSuppress() ? "unsupported" : "on";
    const setSuppressed = (on: boolean) => {
      due.current = current.current === null ? false : current.current.deviceId;
      want(on ? "on" : "off");
    };
    return {
      track: opened?.track ?? null,
      on: opened !== null,
      problem,
      deviceId: opened?.deviceId,
      suppression,
      turnOn,
      turnOff,
      setSuppressed,
    };
  }, [opened, problem, isSuppressed, failed, turnOn, turnOff, want]);
}

/** What is sent of a device's track: without its noise where that is wanted and possible, else the track itself. */
async function madeOf(raw: MediaStreamTrack, isSuppressed: boolean, setFailed: (failed: boolean) => void): Promise<Made> {
  const itself = { track: raw, stop: () => raw.stop() };
  if (!isSuppressed) return itself;
  try {
    const made = await suppressed(raw);
    setFailed(false);
    return made;
  } catch (error) {
    console.warn("noise is not suppressed", error);
    setFailed(true);
    return itself;
  }
}
