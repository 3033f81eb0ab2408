import { expect, test } from "vitest";
import { encodingsOf, fit, preferred } from "./sources";

const parameters = (encodings: RTCRtpEncodingParameters[]) => ({ encodings }) as RTCRtpSendParameters;

test("where the server takes one layer of three, that one is sent whole", () => {
  const alone = fit(parameters(encodingsOf("camera").slice(0, 1)), "camera", undefined, "");
  expect(alone.encodings).toEqual([{ rid: "q", active: true, scaleResolutionDownBy: 1, maxBitrate: 1_700_000 }]);
});

test("a screen with text keeps its size and may stutter; one that moves may not", () => {
  const text = fit(parameters(encodingsOf("screen")), "screen", undefined, "detail");
  expect(text.degradationPreference).toBe("maintain-resolution");
  expect(text.encodings.map(({ maxFramerate }) => maxFramerate)).toEqual([15, 15]);
  const film = fit(parameters(encodingsOf("screen")), "screen", undefined, "motion");
  expect(film.encodings.map(({ maxFramerate }) => maxFramerate)).toEqual([30, 30]);
});

test("redundant sound and VP8 are offered first, and nothing is left out", () => {
  const codecs = (...types: string[]) => types.map((mimeType) => ({ mimeType, clockRate: 90_000 }));
  const order = (kind: "audio" | "video", ...types: string[]) =>
    preferred(kind, codecs(...types)).map(({ mimeType }) => mimeType);
  expect(order("audio", "audio/opus", "audio/PCMU", "audio/red")).toEqual(["audio/red", "audio/opus", "audio/PCMU"]);
  expect(order("video", "video/AV1", "video/rtx", "video/H264", "video/VP8")).toEqual([
    "video/VP8",
    "video/H264",
    "video/AV1",
    "video/rtx",
  ]);
});
