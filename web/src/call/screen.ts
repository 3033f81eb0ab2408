/** A screen, a window or a tab that one shows to the others, with its sound where the browser has it. */
import { MediaError } from "./media";

export interface Screen {
  readonly picture: MediaStreamTrack;
  readonly sound: MediaStreamTrack | null;
}

/** What matters in what is shown: that letters are sharp, or that it moves (W3C mst-content-hint). */
export type Content = "detail" | "motion";

/** Options that TypeScript does not know yet (W3C screen-capture §5.4). */
interface Options extends DisplayMediaStreamOptions {
  selfBrowserSurface?: "include" | "exclude";
  surfaceSwitching?: "include" | "exclude";
  systemAudio?: "include" | "exclude";
}

const OPTIONS: Options = {
  video: { frameRate: { ideal: 30, max: 30 } },
  audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
  selfBrowserSurface: "exclude",
  surfaceSwitching: "include",
  systemAudio: "include",
};

/** Whether the browser can show a screen: those of phones can't. */
export function canShare(): boolean {
  return "mediaDevices" in navigator && "getDisplayMedia" in navigator.mediaDevices;
}

/** Have a person choose what to show; undefined when they would rather not. Rejects with MediaError. */
export async function choose(): Promise<Screen | undefined> {
  if (!canShare()) throw new MediaError("insecure", "video");
  try {
    const stream = await navigator.mediaDevices.getDisplayMedia(OPTIONS);
    const picture = stream.getVideoTracks()[0];
    if (picture === undefined) throw new MediaError("missing", "video");
    return { picture, sound: stream.getAudioTracks()[0] ?? null };
  } catch (error) {
    if (isCancelled(error)) return undefined;
    throw error instanceof MediaError ? error : new MediaError("failed", "video");
  }
}

/** A picker that was closed; a refusal of the operating system has the same name, and another text. */
function isCancelled(error: unknown): boolean {
  return error instanceof DOMException && error.name === "NotAllowedError" && !/system/i.test(error.message);
}
