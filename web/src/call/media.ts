/** Camera and microphone, and what can go wrong with them, in kinds that a person can act on. */

export type MediaProblem = "refused" | "missing" | "busy" | "insecure" | "failed";

export class MediaError extends Error {
  constructor(
    readonly problem: MediaProblem,
    readonly kind: "audio" | "video",
  ) {
    super(`${kind} ${problem}`);
  }
}

const AUDIO: MediaTrackConstraints = { echoCancellation: true, autoGainControl: true };
const VIDEO: MediaTrackConstraints = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } };

/** Open a device. `raw` sound is without what the browser does against noise. Rejects with MediaError. */
export async function open(kind: "audio" | "video", deviceId?: string, raw = false): Promise<MediaStreamTrack> {
  if (!("mediaDevices" in navigator)) throw new MediaError("insecure", kind);
  const usual = kind === "audio" ? { ...AUDIO, noiseSuppression: !raw } : VIDEO;
  const wanted = { ...usual, ...(deviceId ? { deviceId: { exact: deviceId } } : {}) };
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ [kind]: wanted });
    const track = stream.getTracks()[0];
    if (track === undefined) throw new MediaError("missing", kind);
    return track;
  } catch (error) {
    throw error instanceof MediaError ? error : new MediaError(problemOf(error), kind);
  }
}

/** List the devices of a kind, with names once one of them was allowed. */
export async function devices(kind: "audio" | "video"): Promise<MediaDeviceInfo[]> {
  if (!("mediaDevices" in navigator)) return [];
  const all = await navigator.mediaDevices.enumerateDevices();
  return all.filter((device) => device.kind === `${kind}input` && device.deviceId !== "");
}

/** Measure how loud a track is, 0 to 1, some times a second. Returns how to stop. */
export function meter(track: MediaStreamTrack, show: (level: number) => void): () => void {
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
  const samples = new Uint8Array(analyser.fftSize);
  const timer = setInterval(() => {
    analyser.getByteTimeDomainData(samples);
    const peak = samples.reduce((most, sample) => Math.max(most, Math.abs(sample - 128)), 0);
    show(Math.min(1, peak / 64));
  }, 100);
  return () => {
    clearInterval(timer);
    void context.close();
  };
}

function problemOf(error: unknown): MediaProblem {
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotAllowedError" || name === "SecurityError") return "refused";
  if (name === "NotFoundError" || name === "OverconstrainedError") return "missing";
  return name === "NotReadableError" || name === "AbortError" ? "busy" : "failed";
}
