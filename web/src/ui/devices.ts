/** One's own camera and microphone, as state of a page: opened, closed, or in trouble. */
import { useCallback, useEffect, useRef, useState } from "react";
import { MediaError, open } from "../call/media";

export interface Device {
  readonly track: MediaStreamTrack | null;
  readonly on: boolean;
  readonly problem: MediaError | undefined;
  /** Open it, also another one by its id. */
  turnOn(deviceId?: string): Promise<MediaStreamTrack | null>;
  turnOff(): void;
}

export function useDevice(kind: "audio" | "video"): Device {
  const [track, setTrack] = useState<MediaStreamTrack | null>(null);
  const [problem, setProblem] = useState<MediaError>();
  const current = useRef<MediaStreamTrack | null>(null);
  const put = useCallback((next: MediaStreamTrack | null) => {
    current.current?.stop();
    current.current = next;
    setTrack(next);
  }, []);
  const turnOn = useCallback(
    async (deviceId?: string) => {
      try {
        const opened = await open(kind, deviceId);
        put(opened);
        setProblem(undefined);
        return opened;
      } catch (error) {
        put(null);
        setProblem(error instanceof MediaError ? error : new MediaError("failed", kind));
        return null;
      }
    },
    [kind, put],
  );
  useEffect(() => {
    void turnOn();
    return () => put(null);
  }, [turnOn, put]);
  return { track, on: track !== null, problem, turnOn, turnOff: () => put(null) };
}
