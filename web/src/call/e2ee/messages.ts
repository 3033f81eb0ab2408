/** What the page and the worker of an encrypted call say to one another. */
import type { Stream } from "./frame";

/** What a transform is made with: whose frames go through it. `stream` of a receiver may be known only later. */
export interface TransformOptions {
  readonly side: "send" | "receive";
  readonly id: number;
  readonly stream: Stream | undefined;
}

/** To the worker: the meeting's secret; whose frames a receiver gets from now on; that keys are to be changed. */
export type Order =
  | { readonly kind: "secret"; readonly secret: string }
  | { readonly kind: "bind"; readonly id: number; readonly stream: Stream }
  | { readonly kind: "rotate" };

/** From the worker: a stream can no longer be decrypted, or can again. */
export interface Report {
  readonly stream: string;
  readonly decrypts: boolean;
}

/** A stream's name, unique in a meeting. */
export function nameOf({ participant, source }: { participant: string; source: string }): string {
  return `${participant} ${source}`;
}
