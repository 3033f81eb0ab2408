/** One's own camera and microphone, as state of a page: opened, closed, or in trouble (refused, unplugged). */
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { MediaError, open } from "../call/media";

export interface Device {
  readonly track: MediaStreamTrack | null;
  readonly on: boolean;
  readonly problem: MediaError | undefined;
  /** Open it, also another one by its id. */
  turnOn(deviceId?: string): Promise<void>;
  turnOff(): void;
}

export function useDevice(kind: "audio" | "video"): Device {
  const [track, setTrack] = useState<MediaStreamTrack | null>(null);
  const [problem, setProblem] = useState<MediaError>();
  const current = useRef<MediaStreamTrack | null>(null);
  /** Counts what was wanted, so that a device that opens late is not kept against a later wish. */
  const wish = useRef(0);
  const put = useCallback((next: MediaStreamTrack | null, trouble?: MediaError) => {
    if (current.current !== next) current.current?.stop();
    current.current = next;
    setTrack(next);
    setProblem(trouble);
  }, []);
  const turnOff = useCallback(() => {
    wish.current++;
    put(null);
  }, [put]);
  const turnOn = useCallback(
    async (deviceId?: string) => {
      const wished = ++wish.current;
      try {
        const opened = await open(kind, deviceId);
        if (wished !== wish.current) {
          opened.stop();
          return;
        }
        opened.addEventListener("ended", () => put(null, new MediaError("missing", kind)));
        put(opened);
      } catch (error) {
        const trouble = error instanceof MediaError ? error : new MediaError("failed", kind);
        if (wished === wish.current) put(null, trouble);
      }
    },
    [kind, put],
  );
  useEffect(() => {
    void turnOn();
    return turnOff;
  }, [turnOn, turnOff]);
  return useMemo(
    () => ({ track, on: track !== null, problem, turnOn, turnOff }),
    [track, problem, turnOn, turnOff],
  );
}
