/** One's own screen, as state of a call: shown or not, and what matters in it. */
import { useCallback, useEffect, useRef, useState } from "react";
import type { Call } from "../call/call";
import { choose, type Content, type Screen } from "../call/screen";

export interface ScreenShare {
  readonly on: boolean;
  readonly content: Content;
  setContent(content: Content): void;
  /** Show one, or stop showing it. Rejects with MediaError, or with why it was not let be published. */
  toggle(): Promise<void>;
  /** Stop showing it, if it is shown. */
  stop(): Promise<void>;
}

export function useScreenShare(call: Call): ScreenShare {
  const [on, setOn] = useState(false);
  const [content, setChosen] = useState<Content>("detail");
  const shown = useRef<Screen>(undefined);
  const choosing = useRef(false);

  const stop = useCallback(async () => {
    const { picture, sound } = shown.current ?? {};
    shown.current = undefined;
    setOn(false);
    picture?.stop();
    sound?.stop();
    await Promise.all([call.setOwn("screen", null), call.setOwn("screenAudio", null)]);
  }, [call]);

  const start = useCallback(async () => {
    if (choosing.current) return;
    choosing.current = true;
    const screen = await choose().finally(() => (choosing.current = false));
    if (screen === undefined) return;
    screen.picture.contentHint = content;
    screen.picture.addEventListener("ended", () => void stop().catch(() => undefined));
    shown.current = screen;
    setOn(true);
    try {
      await Promise.all([call.setOwn("screen", screen.picture), call.setOwn("screenAudio", screen.sound)]);
    } catch (error) {
      await stop().catch(() => undefined);
      throw error;
    }
  }, [call, content, stop]);

  useEffect(() => () => void stop().catch(() => undefined), [stop]);
  const setContent = (chosen: Content) => {
    setChosen(chosen);
    call.setContent(chosen);
  };
  return { on, content, setContent, toggle: on ? stop : start, stop };
}
